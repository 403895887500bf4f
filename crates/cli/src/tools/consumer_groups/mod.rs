//! `kafka-consumer-groups`.

mod collect;
pub(super) mod delete;
pub(super) mod layout;
mod list;
pub(super) mod reset;
pub(super) mod resolve;

use std::time::Duration;

use naru_client::{Admin, Error};
use naru_coordinators::validate_pattern;

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::groups_options::{
    ALL_GROUPS, DELETE, DRY_RUN, EXECUTE, GROUP, LIST, MEMBERS, STATE, TO_DATETIME, TO_EARLIEST,
    TO_LATEST, TO_OFFSET, TOPIC, VERBOSE,
};
use crate::options::{
    BOOTSTRAP, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old, row,
};
use crate::text::{Streams, class};

pub const ABOUT: &str = "This tool helps to list all consumer groups, describe a consumer group, \
                         delete consumer group info, or reset consumer group offsets.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    LIST,
    row("describe", Takes::Nothing, "Shows committed offsets and lag, or members, or state."),
    DELETE,
    row("reset-offsets", Takes::Nothing, "Sets committed offsets of a group without members."),
    row("delete-offsets", Takes::Nothing, "Forgets committed offsets."),
    row("validate-regex", Takes::Text("regex"), "Says whether a regular expression is valid."),
    GROUP,
    ALL_GROUPS,
    TOPIC,
    row("all-topics", Takes::Nothing, "Every topic the group has committed offsets for."),
    MEMBERS,
    row("offsets", Takes::Nothing, "With --describe: committed offsets and lag, as without it."),
    STATE,
    row(
        "type",
        Takes::Maybe("types"),
        "With --list: types, or only groups of some: classic, consumer.",
    ),
    VERBOSE,
    row("timeout", Takes::Long("ms"), "How long a call may take (5000)."),
    DRY_RUN,
    EXECUTE,
    row("export", Takes::Nothing, "Shows it as topic,partition,offset."),
    TO_OFFSET,
    TO_EARLIEST,
    TO_LATEST,
    row("to-current", Takes::Nothing, "To what is committed."),
    TO_DATETIME,
    row("by-duration", Takes::Text("PnDTnHnMnS"), "To the first record since so long ago."),
    row("shift-by", Takes::Long("number"), "So many further, or back with a minus."),
    row("from-file", Takes::Text("file"), "To what a file of lines topic,partition,offset says."),
    old("new-consumer", Takes::Nothing, Old::Nothing),
    old("old-consumer", Takes::Nothing, Old::Nothing),
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group billing",
        "kafka-consumer-groups --bootstrap-server localhost:9092 --reset-offsets --group billing \
         --topic orders --to-earliest --execute",
    ],
    error_prefix: "",
};

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

/// Why the command failed.
pub(super) enum Failure {
    /// Its arguments do not fit.
    Usage(String),
    /// The cluster refused; `wrapped` where Java's tool shows an exception inside another.
    Cluster { error: Error, call: &'static str },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Cluster { error, call: "describeGroups" }
    }
}

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    if ACTIONS.iter().filter(|action| p.has(action)).count() != 1 {
        let text = "Command must include exactly one action: --list, --describe, --delete, \
                    --reset-offsets, --delete-offsets, --validate-regex";
        return Err(FACE.usage(text, streams));
    }
    if let Some(regex) = FACE.one(&p, "validate-regex", streams)? {
        let verdict = match validate_pattern(regex) {
            Ok(()) => format!("The regular expression `{regex}` is valid."),
            Err(error) => format!("The regular expression `{regex}` is invalid: {error}."),
        };
        streams.line(verdict);
        return Ok(0);
    }
    if p.zookeeper.is_none() {
        FACE.require(&p, &["bootstrap-server"], streams)?;
    }
    check(&p, streams)?;
    let servers = FACE.servers(&p, "", streams)?;
    let mut config = FACE.admin_config(&p, &servers, streams)?;
    if let Some(ms) = FACE.number::<u64>(&p, "timeout", streams)? {
        config.api_timeout = Duration::from_millis(ms);
        config.reach_timeout = config.api_timeout.min(config.reach_timeout);
    }
    let admin = Admin::new(config);
    match block_on(act(&p, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(Failure::Usage(text)) => Err(FACE.usage(&text, streams)),
        Err(Failure::Cluster { error, call }) => {
            let words = format!("{}: {}", class(&error), admin_words(&error, call));
            let outer = format!("java.util.concurrent.ExecutionException: {words}");
            // Listing wraps the exception once more than describing does.
            let shown = if call == "listGroups" { &outer } else { &words };
            print_error(
                &format!("Executing consumer group command failed due to {shown}"),
                streams,
            );
            streams.error(&outer);
            Ok(0)
        }
    }
}

/// `Error: ...` after an empty line, on standard output.
fn print_error(text: &str, streams: &mut Streams) {
    streams.line(format!("\nError: {text}"));
}

fn check(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    if p.has("describe") {
        if !p.has("group") && !p.has("all-groups") {
            let text = "Option [describe] takes one of these options: [all-groups], [group]";
            return Err(FACE.usage(text, streams));
        }
        let views = ["members", "offsets", "state"].iter().filter(|view| p.has(view)).count();
        if views > 1 {
            let text = "Option [describe] takes at most one of these options: [members], \
                        [offsets], [state]";
            return Err(FACE.usage(text, streams));
        }
        if p.one("state").is_ok_and(|state| state.is_some()) {
            let text = "Option [describe] does not take a value for [state]";
            return Err(FACE.usage(text, streams));
        }
    } else if !p.has("list") {
        for option in ["members", "offsets", "state", "verbose"] {
            if p.has(option) {
                let text = format!("Option [{option}] is only valid with [describe]");
                return Err(FACE.usage(&text, streams));
            }
        }
    }
    if p.has("delete") {
        if !p.has("group") && !p.has("all-groups") {
            let text = "Option [delete] takes one of these options: [all-groups], [group]";
            return Err(FACE.usage(text, streams));
        }
        FACE.exclude(p, "topic", &["delete"], streams)?;
    }
    if p.has("delete-offsets") && !(p.has("group") && p.has("topic")) {
        let text = "Option [delete-offsets] takes the following options: [topic], [group]";
        return Err(FACE.usage(text, streams));
    }
    if p.has("reset-offsets") {
        reset::check(p, streams)?;
    }
    FACE.exclude(p, "group", &["all-groups", "list"], streams)?;
    FACE.exclude(p, "topic", &["all-topics"], streams)
}

async fn act(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if p.has("list") {
        list::list(p, admin, streams).await
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

/// The groups that are meant, sorted.
async fn groups(p: &Parsed, admin: &Admin) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = if p.has("all-groups") {
        list::consumer_groups(admin).await?.into_iter().map(|group| group.group).collect()
    } else {
        p.all("group").map(str::to_owned).collect()
    };
    names.sort();
    names.dedup();
    Ok(names)
}

async fn describe(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let names = groups(p, admin).await?;
    let mut described = Vec::new();
    for name in &names {
        described.push(admin.describe_group(name).await?);
    }
    let verbose = p.has("verbose");
    for group in &described {
        if p.has("members") {
            let worth =
                layout::tell_state(&group.group, &group.state, group.members.len(), streams);
            streams.text(layout::members(group, worth, verbose));
        } else if p.has("state") {
            let brokers = &admin.cluster().metadata().brokers;
            let host = brokers.get(&group.coordinator).map(|broker| broker.address());
            if layout::tell_state(&group.group, &group.state, 1, streams) {
                streams.text(layout::state(group, &host.unwrap_or_default(), verbose));
            }
        } else {
            let rows = collect::rows(admin, group).await?;
            if layout::tell_state(&group.group, &group.state, rows.len(), streams) {
                streams.text(layout::offsets(&rows, verbose));
            }
        }
    }
    Ok(())
}
