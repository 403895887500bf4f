//! `kafka-streams-groups`.

mod check;
mod delete;
mod layout;
mod reset;

use std::time::Duration;

use naru_client::admin::{GroupListing, OffsetSpec};
use naru_client::{Admin, Isolation};

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::consumer_groups::Failure;
use super::groups_options::{
    ALL_GROUPS, DELETE, DRY_RUN, EXECUTE, GROUP, LIST, STATE, TO_DATETIME, TO_EARLIEST, TO_LATEST,
    TO_OFFSET,
};
use super::share_groups::layout::list as list_layout;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::{Streams, class, java_grown_order, java_partition_order};
use layout::OffsetRow;

pub const ABOUT: &str = "This tool helps to list, or describe streams groups.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    LIST,
    row("describe", Takes::Nothing, "Shows where a group stands, its members, or its state."),
    DELETE,
    row("reset-offsets", Takes::Nothing, "Has a group without members begin elsewhere."),
    row("delete-offsets", Takes::Nothing, "Has a group without members forget input topics."),
    GROUP,
    ALL_GROUPS,
    row(
        "input-topic",
        Takes::Text("topic[:0,1]"),
        "An input topic, or some of its partitions; may be repeated.",
    ),
    row("all-input-topics", Takes::Nothing, "Every topic that the topology reads."),
    row("members", Takes::Nothing, "With --describe: the members and their tasks."),
    row("offsets", Takes::Nothing, "With --describe: offsets and lag, as without it."),
    STATE,
    row("verbose", Takes::Nothing, "With --describe: shows more."),
    row("timeout", Takes::Long("ms"), "How long a call may take (30000)."),
    DRY_RUN,
    EXECUTE,
    row("export", Takes::Nothing, "Shows the offsets as lines of a CSV file."),
    TO_OFFSET,
    row("from-file", Takes::Text("file"), "To the offsets of a CSV file."),
    TO_DATETIME,
    row("by-duration", Takes::Text("PnDTnHnMnS"), "To the first record that is no older."),
    TO_EARLIEST,
    TO_LATEST,
    row("to-current", Takes::Nothing, "To where it is."),
    row("shift-by", Takes::Long("n"), "By so many records, back if negative."),
    row(
        "delete-internal-topic",
        Takes::Text("topic"),
        "With --reset-offsets --execute: deletes this internal topic; may be repeated.",
    ),
    row(
        "delete-all-internal-topics",
        Takes::Nothing,
        "With --delete or --reset-offsets --execute: deletes the group's internal topics.",
    ),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-streams-groups --bootstrap-server localhost:9092 --describe --group counts",
        "kafka-streams-groups --bootstrap-server localhost:9092 --reset-offsets --group counts \
         --all-input-topics --to-earliest --delete-all-internal-topics --execute",
    ],
    error_prefix: "",
};

/// In the order in which Kafka names them.
const STATES: [&str; 6] = ["Dead", "Stable", "Empty", "Assigning", "NotReady", "Reconciling"];
const TIMEOUT_MS: u64 = 30_000;

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    if args.is_empty() {
        return Err(FACE.usage(check::ONE_ACTION, streams));
    }
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["bootstrap-server"], streams)?;
    check::check(&p, streams)?;
    let servers = FACE.servers(&p, "", streams)?;
    let mut config = FACE.admin_config(&p, &servers, streams)?;
    let ms = FACE.number::<u64>(&p, "timeout", streams)?.unwrap_or(TIMEOUT_MS);
    config.api_timeout = Duration::from_millis(ms);
    config.reach_timeout = config.api_timeout.min(config.reach_timeout);
    let admin = Admin::new(config);
    match block_on(act(&p, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(Failure::Usage(text)) => Err(FACE.usage(&text, streams)),
        Err(Failure::Cluster { error, call }) => {
            let words = format!("{}: {}", class(&error), admin_words(&error, call));
            let outer = format!("java.util.concurrent.ExecutionException: {words}");
            // What the tool asks for several groups, or to list them, Java wraps once more.
            let wrapped = call == "listGroups" || p.has("reset-offsets");
            let shown = if wrapped { &outer } else { &words };
            print_error(&format!("Executing streams group command failed due to {shown}"), streams);
            let wrapped = format!("java.lang.RuntimeException: {outer}");
            streams.error(if p.has("reset-offsets") { wrapped } else { outer });
            Ok(1)
        }
    }
}

/// `Error: ...` after an empty line, on standard output.
fn print_error(text: &str, streams: &mut Streams) {
    streams.line(format!("\nError: {text}"));
}

async fn act(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if p.has("list") {
        list(p, admin, streams).await
    } else if p.has("describe") {
        describe(p, admin, streams).await
    } else if p.has("delete") {
        delete::groups(p, admin, streams).await
    } else if p.has("delete-offsets") {
        delete::offsets(p, admin, streams).await
    } else {
        reset::reset(p, admin, streams).await
    }
}

async fn streams_groups(admin: &Admin, states: &[String]) -> Result<Vec<GroupListing>, Failure> {
    let listed = admin.list_groups(states, &["streams".to_owned()]).await;
    let mut groups = listed.map_err(|error| Failure::Cluster { error, call: "listGroups" })?;
    java_grown_order(&mut groups, |group| &group.group);
    Ok(groups)
}

/// The groups that are meant.
async fn wanted(p: &Parsed, admin: &Admin) -> Result<Vec<String>, Failure> {
    if p.has("all-groups") {
        let all = streams_groups(admin, &[]).await?;
        return Ok(all.into_iter().map(|group| group.group).collect());
    }
    Ok(p.all("group").map(str::to_owned).collect())
}

async fn list(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if !p.has("state") {
        for group in streams_groups(admin, &[]).await? {
            streams.line(group.group);
        }
        return Ok(());
    }
    let text = p.one("state").map_err(|error| Failure::Usage(error.to_string()))?;
    let states = parse_states(text.unwrap_or_default())?;
    streams.text(list_layout(&streams_groups(admin, &states).await?));
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
    let verbose = p.has("verbose");
    for name in wanted(p, admin).await? {
        let group = admin.describe_streams_group(&name).await;
        let call = "describeStreamsGroups";
        let group = group.map_err(|error| Failure::Cluster { error, call })?;
        if p.has("state") {
            tell_without_members(&name, &group.state, streams);
            let brokers = &admin.cluster().metadata().brokers;
            let host = brokers.get(&group.coordinator).map(|broker| broker.address());
            streams.text(layout::state(&group, &host.unwrap_or_default(), verbose));
            continue;
        }
        // As in Apache Kafka: of a group without members there is nothing to show.
        if group.members.is_empty() {
            continue;
        }
        tell_without_members(&name, &group.state, streams);
        if p.has("members") {
            streams.text(layout::members(&group, verbose));
            continue;
        }
        let mut partitions = group.read_partitions();
        java_partition_order(&mut partitions, |partition| partition);
        let committed = admin.group_offsets(&name, None).await?;
        let specs = |spec| partitions.iter().map(|p| (p.clone(), spec)).collect::<Vec<_>>();
        let isolation = Isolation::ReadUncommitted;
        let starts = admin.list_offsets(&specs(OffsetSpec::Earliest), isolation).await?;
        let ends = admin.list_offsets(&specs(OffsetSpec::Latest), isolation).await?;
        let mut rows = Vec::new();
        for ((partition, start), (_, end)) in starts.into_iter().zip(ends) {
            let committed = committed.iter().find(|(known, _)| *known == partition);
            rows.push(OffsetRow {
                current: committed.map(|(_, offset)| offset.offset),
                leader_epoch: committed.and_then(|(_, offset)| offset.leader_epoch),
                start: start?.offset.unwrap_or(0),
                end: end?.offset.unwrap_or(0),
                partition,
            });
        }
        streams.text(layout::offsets(&name, &rows, verbose));
    }
    Ok(())
}

fn tell_without_members(group: &str, state: &str, streams: &mut Streams) {
    match state {
        "Dead" => print_error(&format!("Streams group '{group}' does not exist."), streams),
        "Empty" => {
            print_error(&format!("Streams group '{group}' has no active members."), streams);
        }
        _ => {}
    }
}
