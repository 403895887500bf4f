//! `kafka-share-groups`.

pub(super) mod layout;

use std::collections::BTreeMap;
use std::time::Duration;

use naru_client::admin::{GroupListing, OffsetSpec};
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::consumer_groups::Failure;
use super::consumer_groups::reset::{Plan, layout as plan_layout, look_up};
use super::consumer_groups::resolve::{parse_partitions, partitions_of};
use super::groups_options::{
    ALL_GROUPS, DELETE, DRY_RUN, EXECUTE, GROUP, LIST, MEMBERS, STATE, TO_DATETIME, TO_EARLIEST,
    TO_LATEST, TOPIC, VERBOSE,
};
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::time::parse_datetime;
use crate::text::{Streams, class, exception, java_grown_order, message};

pub const ABOUT: &str = "This tool helps to list all share groups, describe a share group, delete \
                         share group info, or reset share group offsets.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    LIST,
    row("describe", Takes::Nothing, "Shows where a group stands, its members, or its state."),
    DELETE,
    row("reset-offsets", Takes::Nothing, "Has a group without members begin elsewhere."),
    row("delete-offsets", Takes::Nothing, "Has a group without members forget topics."),
    GROUP,
    ALL_GROUPS,
    TOPIC,
    row("all-topics", Takes::Nothing, "Every topic the group has begun to read."),
    MEMBERS,
    row("offsets", Takes::Nothing, "With --describe: start offsets and lag, as without it."),
    STATE,
    VERBOSE,
    row("timeout", Takes::Long("ms"), "How long a call may take (30000)."),
    DRY_RUN,
    EXECUTE,
    TO_EARLIEST,
    TO_LATEST,
    TO_DATETIME,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-share-groups --bootstrap-server localhost:9092 --describe --group workers",
        "kafka-share-groups --bootstrap-server localhost:9092 --reset-offsets --group workers \
         --topic orders --to-earliest --execute",
    ],
    error_prefix: "",
};

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
const STATES: [&str; 3] = ["Empty", "Stable", "Dead"];
const TIMEOUT_MS: u64 = 30_000;

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["bootstrap-server"], streams)?;
    check(&p, streams)?;
    if ACTIONS.iter().filter(|action| p.has(action)).count() != 1 {
        let text = "Command must include exactly one action: --list, --describe, --delete, \
                    --reset-offsets, --delete-offsets.";
        return Err(FACE.usage(text, streams));
    }
    let servers = FACE.servers(&p, "", streams)?;
    let mut config = FACE.admin_config(&p, &servers, streams)?;
    let ms = FACE.number::<u64>(&p, "timeout", streams)?.unwrap_or(TIMEOUT_MS);
    config.api_timeout = Duration::from_millis(ms);
    config.reach_timeout = config.api_timeout.min(config.reach_timeout);
    let admin = Admin::new(config);
    match block_on(act(&p, &admin, streams)) {
        Ok(code) => Ok(code),
        Err(Failure::Usage(text)) => Err(FACE.usage(&text, streams)),
        Err(Failure::Cluster { error, call }) => {
            let words = format!("{}: {}", class(&error), admin_words(&error, call));
            print_error(&format!("Executing share group command failed due to {words}"), streams);
            streams.error(format!("java.util.concurrent.ExecutionException: {words}"));
            Ok(0)
        }
    }
}

fn print_error(text: &str, streams: &mut Streams) {
    streams.line(format!("\nError: {text}"));
}

fn check(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    let refuse = |text: &str, streams: &mut Streams| Err(FACE.usage(text, streams));
    if p.has("describe") {
        if !p.has("group") && !p.has("all-groups") {
            let text = "Option [describe] takes one of these options: [all-groups], [group]";
            return refuse(text, streams);
        }
        if ["members", "offsets", "state"].iter().filter(|view| p.has(view)).count() > 1 {
            let text = "Option [describe] takes at most one of these options: [members], \
                        [offsets], [state]";
            return refuse(text, streams);
        }
        if p.one("state").is_ok_and(|state| state.is_some()) {
            return refuse("Option [describe] does not take a value for [state]", streams);
        }
    }
    if p.has("delete") {
        if !p.has("group") && !p.has("all-groups") {
            return refuse("Option [delete] takes the options [group] or [all-groups]", streams);
        }
        if p.has("group") && p.has("all-groups") {
            let text = "Option [delete] takes either [group] or [all-groups], not both.";
            return refuse(text, streams);
        }
        if p.has("topic") {
            return refuse("Option [delete] does not take the option: [topic]", streams);
        }
    }
    if p.has("delete-offsets") && !(p.has("group") && p.has("topic")) {
        let text = "Option [delete-offsets] takes the following options: [group], [topic]";
        return refuse(text, streams);
    }
    if p.has("reset-offsets") {
        check_reset(p, streams)?;
    }
    FACE.exclude(p, "group", &["all-groups", "list"], streams)
}

fn check_reset(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    let text = match (p.has("dry-run"), p.has("execute")) {
        (true, true) => "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
        (false, false) => "Option [reset-offsets] takes the option: [execute] or [dry-run]",
        _ if !p.has("group") => "Option [reset-offsets] takes the option: [group]",
        _ if !p.has("topic") && !p.has("all-topics") => {
            "Option [reset-offsets] takes one of these options: [all-topics], [topic]"
        }
        _ if !["to-earliest", "to-latest", "to-datetime"].iter().any(|to| p.has(to)) => {
            "Option [reset-offsets] takes one of these options: [to-datetime], [to-earliest], \
             [to-latest]"
        }
        _ => {
            FACE.exclude(p, "to-datetime", &["to-earliest", "to-latest"], streams)?;
            return FACE.exclude(p, "to-earliest", &["to-latest"], streams);
        }
    };
    Err(FACE.usage(text, streams))
}

async fn act(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<i32, Failure> {
    if p.has("list") {
        list(p, admin, streams).await?;
    } else if p.has("describe") {
        describe(p, admin, streams).await?;
    } else if p.has("delete") {
        delete(p, admin, streams).await?;
    } else if p.has("delete-offsets") {
        delete_offsets(p, admin, streams).await?;
    } else {
        return reset(p, admin, streams).await;
    }
    Ok(0)
}

async fn share_groups(admin: &Admin, states: &[String]) -> Result<Vec<GroupListing>, Failure> {
    let listed = admin.list_groups(states, &["share".to_owned()]).await;
    let mut groups = listed.map_err(|error| Failure::Cluster { error, call: "listGroups" })?;
    java_grown_order(&mut groups, |group| &group.group);
    Ok(groups)
}

async fn list(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if !p.has("state") {
        for group in share_groups(admin, &[]).await? {
            streams.line(group.group);
        }
        return Ok(());
    }
    let text = p.one("state").map_err(|error| Failure::Usage(error.to_string()))?;
    let states = parse_states(text.unwrap_or_default())?;
    let groups = share_groups(admin, &states).await?;
    streams.text(layout::list(&groups));
    Ok(())
}

fn parse_states(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let known = |wanted: &str| STATES.iter().find(|one| one.eq_ignore_ascii_case(wanted.trim()));
    let found = text.split(',').map(|wanted| known(wanted).map(|state| (*state).to_owned()));
    found.collect::<Option<Vec<String>>>().ok_or_else(|| {
        let valid = STATES.join(", ");
        Failure::Usage(format!("Invalid state list '{text}'. Valid states are: {valid}"))
    })
}

async fn describe(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let mut names: Vec<String> = if p.has("all-groups") {
        share_groups(admin, &[]).await?.into_iter().map(|group| group.group).collect()
    } else {
        p.all("group").map(str::to_owned).collect()
    };
    names.sort();
    names.dedup();
    let verbose = p.has("verbose");
    for name in &names {
        let group = admin.describe_share_group(name).await;
        let group =
            group.map_err(|error| Failure::Cluster { error, call: "describeShareGroups" })?;
        if p.has("members") {
            if tell_empty(name, &group.state, group.members.len(), streams) {
                streams.text(layout::members(&group, verbose));
            }
        } else if p.has("state") {
            tell_empty(name, &group.state, 1, streams);
            let brokers = &admin.cluster().metadata().brokers;
            let host = brokers.get(&group.coordinator).map(|broker| broker.address());
            streams.text(layout::state(&group, &host.unwrap_or_default(), verbose));
        } else {
            let mut rows = admin.share_group_offsets(name).await?;
            rows.sort_by(|(a, _), (b, _)| a.cmp(b));
            if rows.is_empty() {
                streams.line(format!("\nShare group '{name}' has no offset information."));
            } else {
                streams.text(layout::offsets(name, &rows, verbose));
            }
        }
    }
    Ok(())
}

/// Says that a group has no members; whether there are rows worth showing.
fn tell_empty(group: &str, state: &str, rows: usize, streams: &mut Streams) -> bool {
    if state == "Empty" {
        streams.error(format!("\nShare group '{group}' has no active members."));
    }
    rows > 0
}

async fn delete(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let listed = share_groups(admin, &[]).await?;
    let names: Vec<String> = if p.has("all-groups") {
        listed.iter().map(|group| group.group.clone()).collect()
    } else {
        p.all("group").map(str::to_owned).collect()
    };
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        let known = listed.iter().find(|group| group.group == name);
        let problem = match known.map(|group| group.state.as_str()) {
            None => Some(format!(
                "java.lang.IllegalArgumentException: Group '{name}' is not a share group."
            )),
            Some("Empty") => admin.delete_group(&name).await.err().map(|error| exception(&error)),
            Some(_) => Some(format!(
                "org.apache.kafka.common.errors.GroupNotEmptyException: Share group '{name}' is \
                 not EMPTY."
            )),
        };
        match problem {
            None => deleted.push(name),
            Some(words) => failed.push((name, words)),
        }
    }
    let quoted = |names: &[String]| {
        names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    };
    if failed.is_empty() {
        let names = quoted(&deleted);
        streams.line(format!("Deletion of requested share groups ({names}) was successful."));
        return Ok(());
    }
    print_error("Deletion of some share groups failed:", streams);
    for (name, words) in failed {
        streams.line(format!("* Group '{name}' could not be deleted due to: {words}"));
    }
    if !deleted.is_empty() {
        let names = quoted(&deleted);
        streams.line(format!("\nThese share groups were deleted successfully: {names}"));
    }
    Ok(())
}

async fn delete_offsets(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let group = p.one("group").map_err(|error| Failure::Usage(error.to_string()))?;
    let topics: Vec<String> = p.all("topic").map(str::to_owned).collect();
    let mut outcomes: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    match admin.delete_share_group_offsets(group.unwrap_or_default(), &topics).await {
        Ok(answers) => {
            for (topic, outcome) in answers {
                outcomes.insert(topic, outcome.map_err(|error| message(&error)));
            }
        }
        Err(error) => {
            match error.code() {
                ErrorCode::InvalidGroupId
                | ErrorCode::GroupIdNotFound
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::NonEmptyGroup => print_error(&message(&error), streams),
                _ => {
                    let words = exception(&error);
                    print_error(&format!("Encounter some unknown error: {words}"), streams);
                }
            }
            let words = message(&error);
            outcomes.extend(topics.into_iter().map(|topic| (topic, Err(words.clone()))));
        }
    }
    streams.text(layout::deleted(&outcomes));
    Ok(())
}

async fn reset(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<i32, Failure> {
    let group = p.one("group").map_err(|error| Failure::Usage(error.to_string()))?;
    let group = group.unwrap_or_default();
    match admin.describe_share_group(group).await {
        Ok(described) if described.state != "Empty" => {
            streams.error(format!("Share group '{group}' is not empty."));
            return Ok(1);
        }
        Ok(_) | Err(Error::Broker { code: ErrorCode::GroupIdNotFound, .. }) => {}
        Err(error) => {
            streams.error(message(&error));
            return Ok(1);
        }
    }
    let mut wanted: Vec<TopicPartition> = Vec::new();
    if p.has("topic") {
        for topic in p.all("topic") {
            match parse_partitions(topic)? {
                Some(partitions) => wanted.extend(partitions),
                None => wanted.extend(partitions_of(admin, topic).await?),
            }
        }
    } else {
        let offsets = admin.share_group_offsets(group).await?;
        wanted.extend(offsets.into_iter().map(|(partition, _)| partition));
    }
    let spec = if p.has("to-earliest") {
        OffsetSpec::Earliest
    } else if p.has("to-latest") {
        OffsetSpec::Latest
    } else {
        let datetime = p.one("to-datetime").map_err(|error| Failure::Usage(error.to_string()))?;
        let datetime = datetime.unwrap_or_default();
        let millis = parse_datetime(datetime);
        let problem = || Failure::Usage(format!("Unparseable date: \"{datetime}\""));
        OffsetSpec::Timestamp(millis.ok_or_else(problem)?)
    };
    let plan: Plan = look_up(admin, &wanted, spec, streams).await?;
    if p.has("execute") {
        let offsets: Vec<(TopicPartition, i64)> =
            plan.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect();
        for (_, outcome) in admin.alter_share_group_offsets(group, &offsets).await? {
            outcome?;
        }
    }
    streams.text(plan_layout(&[(group.to_owned(), plan)]));
    Ok(0)
}
