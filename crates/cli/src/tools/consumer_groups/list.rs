//! `--list`.

use naru_client::Admin;
use naru_client::admin::GroupListing;

use super::Failure;
use crate::options::Parsed;
use crate::text::{Streams, java_grown_order};

const STATES: [&str; 7] = [
    "Empty",
    "Stable",
    "PreparingRebalance",
    "CompletingRebalance",
    "Assigning",
    "Reconciling",
    "Dead",
];

/// The groups of consumers: those of the consumer protocols, and those that only keep offsets.
pub(super) async fn consumer_groups(admin: &Admin) -> Result<Vec<GroupListing>, Failure> {
    let listed = admin.list_groups(&[], &[]).await;
    let listed = listed.map_err(|error| Failure::Cluster { error, call: "listGroups" })?;
    let mut groups: Vec<GroupListing> = listed
        .into_iter()
        .filter(|group| {
            let is_consumer = matches!(group.protocol_type.as_str(), "consumer" | "");
            let other = ["share", "streams"];
            is_consumer && !other.iter().any(|kind| group.group_type.eq_ignore_ascii_case(kind))
        })
        .collect();
    java_grown_order(&mut groups, |group| &group.group);
    Ok(groups)
}

pub(super) async fn list(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let value = |name: &str| p.one(name).map_err(|error| Failure::Usage(error.to_string()));
    let states = parse_states(value("state")?.unwrap_or_default())?;
    let types = parse_types(value("type")?.unwrap_or_default())?;
    let mut groups = consumer_groups(admin).await?;
    groups.retain(|group| {
        (states.is_empty() || states.contains(&group.state))
            && (types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(&group.group_type)))
    });
    let (with_type, with_state) = (p.has("type"), p.has("state"));
    if !with_type && !with_state {
        for group in groups {
            streams.line(group.group);
        }
        return Ok(());
    }
    let width = groups.iter().map(|group| group.group.len().max(15)).max().unwrap_or(15) + 10;
    let mut line = |group: &str, kind: &str, state: &str| {
        let mut text = format!("{group:width$}");
        if with_type {
            text.push_str(&format!(" {kind:20}"));
        }
        if with_state {
            text.push_str(&format!(" {state:20}"));
        }
        streams.line(text);
    };
    line("GROUP", "TYPE", "STATE");
    for group in &groups {
        line(&group.group, &capitalized(&group.group_type), &group.state);
    }
    Ok(())
}

/// Brokers say `classic` or `Classic`; the tool shows the latter.
fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect(),
        None => "Unknown".to_owned(),
    }
}

fn parse_states(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let found = text.split(',').map(|wanted| {
        STATES
            .iter()
            .find(|state| state.eq_ignore_ascii_case(wanted.trim()))
            .map(|s| (*s).to_owned())
    });
    found.collect::<Option<Vec<String>>>().ok_or_else(|| {
        Failure::Usage(format!(
            "Invalid state list '{text}'. Valid states are: {}",
            STATES.join(", ")
        ))
    })
}

fn parse_types(text: &str) -> Result<Vec<String>, Failure> {
    let types: Vec<String> =
        text.split(',').map(|t| t.trim().to_lowercase()).filter(|t| !t.is_empty()).collect();
    if types.iter().all(|t| t == "classic" || t == "consumer") {
        return Ok(types);
    }
    Err(Failure::Usage(format!("Invalid types list '{text}'. Valid types are: Classic, Consumer")))
}
