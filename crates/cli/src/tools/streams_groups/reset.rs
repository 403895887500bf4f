//! `--reset-offsets`: where groups without members begin next time.

use naru_client::admin::StreamsGroupDescription;
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::check::SCENARIOS;
use super::delete::internal_topics;
use super::{layout, print_error, wanted};
use crate::options::Parsed;
use crate::text::{Streams, exception};
use crate::tools::consumer_groups::Failure;
use crate::tools::consumer_groups::reset::{Plan, execute, export, plan_for};
use crate::tools::consumer_groups::resolve::{parse_partitions, partitions_of};

pub(super) async fn reset(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for name in wanted(p, admin).await? {
        let group = admin.describe_streams_group(&name).await;
        let group =
            group.map_err(|error| Failure::Cluster { error, call: "describeStreamsGroups" })?;
        if group.state != "Empty" && group.state != "Dead" {
            let text = format!(
                "Assignments can only be reset if the group '{name}' is inactive, but the current \
                 state is {}.",
                group.state
            );
            print_error(&text, streams);
            plans.push((name, Plan::new()));
            continue;
        }
        let found = partitions(p, admin, &group, streams).await?;
        let is_refused = found.is_none();
        let plan = match found.unwrap_or_default() {
            found if found.is_empty() && !p.has("from-file") => Plan::new(),
            found => plan_for(p, admin, &name, found, &scenarios(), streams).await?,
        };
        // Who names what is not the group's means another group, perhaps: nothing is deleted.
        if p.has("execute") && !is_refused {
            execute(admin, &name, &plan).await?;
            delete_topics(p, admin, &group, streams).await?;
        }
        plans.push((name, plan));
    }
    streams.text(if p.has("export") { export(&plans) } else { layout::plans(&plans) });
    Ok(())
}

fn scenarios() -> String {
    let names: Vec<String> = SCENARIOS.iter().map(|name| format!("[{name}]")).collect();
    format!("[{}]", names.join(", "))
}

/// The partitions that are meant; `None` if one is not the group's, which is said.
async fn partitions(
    p: &Parsed,
    admin: &Admin,
    group: &StreamsGroupDescription,
    streams: &mut Streams,
) -> Result<Option<Vec<TopicPartition>>, Failure> {
    let committed = admin.group_offsets(&group.group, None).await?;
    let read: Vec<&str> = group
        .subtopologies
        .iter()
        .flatten()
        .flat_map(|part| part.source_topics.iter().map(String::as_str))
        .collect();
    let mut known: Vec<TopicPartition> = committed.into_iter().map(|(one, _)| one).collect();
    if p.has("all-input-topics") {
        known.retain(|partition| read.contains(&&*partition.topic));
        return Ok(Some(known));
    }
    if p.has("input-topic") {
        let mut found = Vec::new();
        for topic in p.all("input-topic") {
            match parse_partitions(topic)? {
                Some(partitions) => found.extend(partitions),
                None => found.extend(partitions_of(admin, topic).await?),
            }
        }
        if found.iter().any(|one| !known.iter().any(|k| k.topic == one.topic)) {
            let name = &group.group;
            let text = format!("One or more topics are not part of the group '{name}'.");
            print_error(&text, streams);
            return Ok(None);
        }
        return Ok(Some(found));
    }
    if p.has("from-file") {
        return Ok(Some(Vec::new()));
    }
    let text = "One of the reset scopes should be defined: --all-topics, --topic.";
    Err(Failure::Usage(text.to_owned()))
}

async fn delete_topics(
    p: &Parsed,
    admin: &Admin,
    group: &StreamsGroupDescription,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let topics: Vec<String> = if p.has("delete-all-internal-topics") {
        internal_topics(group, streams)
    } else {
        p.all("delete-internal-topic").map(str::to_owned).collect()
    };
    if topics.is_empty() {
        return Ok(());
    }
    let outcomes = admin.delete_topics(&topics).await?;
    let Some(error) = outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) else {
        return Ok(());
    };
    let name = &group.group;
    let text = match error {
        Error::Broker { code: ErrorCode::UnknownTopicOrPartition, .. } => format!(
            "Deleting internal topics for group '{name}' failed because the topics do not exist."
        ),
        error => format!(
            "Deleting internal topics for group '{name}' failed due to {}",
            exception(&error)
        ),
    };
    print_error(&text, streams);
    Ok(())
}
