//! `naru rebalance`: where replicas and leaders should be, getting them there, watching it.
//!
//! The planner decides and asks nobody; `state` reads the cluster; `run` carries a plan out in
//! batches. Plans are files that `kafka-reassign-partitions` reads and writes too.

mod planner;
#[cfg(test)]
mod planner_tests;
mod run;
mod state;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::context::{
    BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, Form, HELP, OUTPUT, TIMEOUT, YES,
};
use super::failure::Failure;
use crate::options::{Row, Takes, row};
use crate::text::{Column, Table};
use crate::tools::failure::Failure as ToolFailure;
use crate::tools::reassign_partitions::{format_plan, parse_plan};
use planner::{Goals, Load, Move, loads, plan};
use state::State;

const GOALS: Row = row(
    "goals",
    Takes::Text("a,b"),
    "What is to be even: racks, replicas, disk, leaders; all if left out.",
);
const DRAIN: Row = row("drain", Takes::Text("1,2"), "Brokers that are to be left empty.");
const BROKERS: Row =
    row("brokers", Takes::Text("1,2"), "Brokers that may get replicas; all live ones if left out.");
const TOPIC: Row =
    row("topic", Takes::Text("topic"), "Only topics of this name or pattern; may be repeated.")
        .short('t');

pub const COMMANDS: &[Command] = &[
    Command {
        name: "plan",
        aliases: &["propose"],
        about: "Shows what would be moved; changes nothing.",
        usage: "rebalance plan [--goals A,B] [--drain 1,2] [--brokers 1,2] [-t TOPIC]... \
                [--save FILE]",
        rows: &[
            BOOTSTRAP,
            BOOTSTRAP_SERVER,
            OUTPUT,
            TIMEOUT,
            HELP,
            GOALS,
            DRAIN,
            BROKERS,
            TOPIC,
            row(
                "save",
                Takes::Text("file"),
                "Writes the plan for 'rebalance run FILE' or kafka-reassign-partitions.",
            ),
        ],
        examples: &[
            "naru rebalance plan",
            "naru rebalance plan --drain 3 --save plan.json",
            "naru rebalance plan -o json",
        ],
        work: |context| Box::pin(show_plan(context)),
    },
    Command {
        name: "run",
        aliases: &["execute"],
        about: "Moves replicas in batches: a plan from a file, or a fresh one.",
        usage: "rebalance run [FILE] [--throttle 50MiB] [--batch N] [--goals A,B] [--drain 1,2] \
                [--yes]",
        rows: &[
            BOOTSTRAP,
            BOOTSTRAP_SERVER,
            TIMEOUT,
            YES,
            HELP,
            GOALS,
            DRAIN,
            BROKERS,
            TOPIC,
            row("throttle", Takes::Text("bytes/s"), "The most that each broker sends and gets."),
            row("batch", Takes::Int("N"), "Partitions that move at the same time (20)."),
        ],
        examples: &[
            "naru rebalance run --throttle 50MiB",
            "naru rebalance run plan.json --batch 5 --yes",
            "naru rebalance run --drain 3 --yes",
        ],
        work: |context| Box::pin(run::run(context)),
    },
    Command {
        name: "status",
        aliases: &["ls"],
        about: "Shows what is being moved, and how much is left.",
        usage: "rebalance status",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru rebalance status", "naru rebalance status -o json"],
        work: |context| Box::pin(watch::status(context)),
    },
    Command {
        name: "cancel",
        aliases: &["stop"],
        about: "Cancels what is being moved, and lifts its throttles.",
        usage: "rebalance cancel [-t TOPIC]... [--yes]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, YES, HELP, TOPIC],
        examples: &["naru rebalance cancel", "naru rebalance cancel -t orders --yes"],
        work: |context| Box::pin(run::cancel(context)),
    },
    Command {
        name: "prefer",
        aliases: &["elect"],
        about: "Lets the preferred leaders lead.",
        usage: "rebalance prefer",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, HELP],
        examples: &["naru rebalance prefer"],
        work: |context| Box::pin(run::prefer(context)),
    },
];

/// A failure of the tools in the words of the friendly commands.
fn told(failure: &ToolFailure) -> Failure {
    Failure::failed(failure.words())
}

/// Reads `--goals`.
fn goals(text: Option<&str>) -> Result<Goals, Failure> {
    let Some(text) = text else { return Ok(Goals::ALL) };
    let mut goals = Goals { racks: false, replicas: false, disk: false, leaders: false };
    for name in text.split(',').map(str::trim) {
        match name {
            "racks" | "rack" => goals.racks = true,
            "replicas" => goals.replicas = true,
            "disk" => goals.disk = true,
            "leaders" => goals.leaders = true,
            other => {
                return Err(Failure::usage(format!(
                    "--goals knows racks, replicas, disk and leaders, not '{other}'"
                )));
            }
        }
    }
    Ok(goals)
}

/// Reads a list of node ids.
fn ids(name: &str, text: Option<String>) -> Result<Option<BTreeSet<i32>>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.split(',').map(|id| id.trim().parse());
    let parsed: Result<BTreeSet<i32>, _> = parsed.collect();
    parsed
        .map(Some)
        .map_err(|_| Failure::usage(format!("--{name} is a list like 1,2, not '{text}'")))
}

/// The cluster as it stands, and the changes that the options ask for.
async fn make_plan(context: &Context) -> Result<(State, Vec<Move>), Failure> {
    let goals = goals(context.value("goals")?.as_deref())?;
    let drain = ids("drain", context.value("drain")?)?.unwrap_or_default();
    let brokers = ids("brokers", context.value("brokers")?)?;
    let topics: Vec<String> = context.options.all("topic").map(str::to_owned).collect();
    let state = state::read(&context.admin()?, &topics, &drain, brokers.as_ref()).await?;
    let moves = plan(&state.nodes, &state.partitions, goals).map_err(|error| {
        Failure::failed(error.to_string())
            .hint("add a broker first, or lower the replication factor")
    })?;
    Ok((state, moves))
}

async fn show_plan(context: &mut Context) -> Result<i32, Failure> {
    let (state, moves) = make_plan(context).await?;
    if let Some(path) = context.value("save")? {
        let text = plan_text(&moves);
        std::fs::write(&path, text + "\n")
            .map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    }
    match context.form()? {
        Form::Json => context.streams.line(plan_text(&moves)),
        Form::Ndjson => {
            moves.iter().for_each(|one| context.streams.line(move_json(one).to_string()));
        }
        Form::Name => {
            moves.iter().for_each(|one| context.streams.line(one.partition.to_string()));
        }
        Form::Table => {
            show_moves(context, &moves)?;
            context.streams.line("");
            show_loads(context, &state, &moves)?;
            context.streams.line(summary(&moves));
        }
    }
    Ok(0)
}

/// The plan as `kafka-reassign-partitions` reads it.
fn plan_text(moves: &[Move]) -> String {
    let replicas =
        moves.iter().map(|one| (one.partition.clone(), one.to.clone())).collect::<BTreeMap<_, _>>();
    format_plan(&replicas, &BTreeMap::new())
}

fn move_json(one: &Move) -> Value {
    json!({
        "topic": one.partition.topic,
        "partition": one.partition.partition,
        "from": one.from,
        "to": one.to,
        "bytes": one.bytes,
    })
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn show_moves(context: &mut Context, moves: &[Move]) -> Result<(), Failure> {
    let mut table = Table::new(&[
        Column::text("PARTITION"),
        Column::text("FROM"),
        Column::text("TO"),
        Column::number("COPIED"),
    ]);
    for one in moves {
        table.row([one.partition.to_string(), list(&one.from), list(&one.to), size(one.bytes)]);
    }
    context.show(&table, [], Vec::new())
}

/// What each broker carries, before and after.
fn show_loads(context: &mut Context, state: &State, moves: &[Move]) -> Result<(), Failure> {
    let target = |partition: &planner::Placed| -> Vec<i32> {
        let changed = moves.iter().find(|one| one.partition == partition.partition);
        changed.map_or_else(|| partition.replicas.clone(), |one| one.to.clone())
    };
    let after: Vec<(Vec<i32>, i64)> =
        state.partitions.iter().map(|p| (target(p), p.bytes)).collect();
    let before = loads(state.partitions.iter().map(|p| (p.replicas.as_slice(), p.bytes)));
    let after = loads(after.iter().map(|(ids, bytes)| (ids.as_slice(), *bytes)));
    let mut table = Table::new(&[
        Column::number("BROKER"),
        Column::text("RACK"),
        Column::text("REPLICAS"),
        Column::text("LEADERS"),
        Column::text("DISK"),
    ]);
    for node in &state.nodes {
        let of = |loads: &BTreeMap<i32, Load>| loads.get(&node.id).copied().unwrap_or_default();
        let (old, new) = (of(&before), of(&after));
        let pair = |old: String, new: String| {
            if old == new { old } else { format!("{old} -> {new}") }
        };
        table.row([
            node.id.to_string(),
            node.rack.clone().unwrap_or_default(),
            pair(old.replicas.to_string(), new.replicas.to_string()),
            pair(old.leaders.to_string(), new.leaders.to_string()),
            pair(size(old.bytes), size(new.bytes)),
        ]);
    }
    context.show(&table, [], Vec::new())
}

/// What a plan means in one line.
fn summary(moves: &[Move]) -> String {
    if moves.is_empty() {
        return "nothing to move".to_owned();
    }
    let bytes = moves.iter().map(|one| one.bytes).sum();
    let order = moves.iter().filter(|one| is_order_only(one)).count();
    let changes = match moves.len() {
        1 => "1 partition changes".to_owned(),
        count => format!("{count} partitions change"),
    };
    format!("{changes}, {order} of them only the preferred leader; {} are copied", size(bytes))
}

/// Whether the same brokers stay, in another order.
fn is_order_only(one: &Move) -> bool {
    one.to.iter().all(|id| one.from.contains(id)) && one.from.len() == one.to.len()
}

/// Bytes for people.
fn size(bytes: i64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut whole = bytes.max(0);
    let mut tenths = 0;
    let mut unit = 0;
    while whole >= 1024 && unit + 1 < units.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ => format!("{whole}.{tenths} {}", units[unit]),
    }
}

/// Reads a plan's file.
fn read_plan(path: &str) -> Result<BTreeMap<naru_client::TopicPartition, Vec<i32>>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    let plan = parse_plan(&text).map_err(|failure| told(&failure))?;
    plan.check().map_err(|failure| told(&failure))?;
    Ok(plan.moves.into_iter().map(|one| (one.partition, one.replicas)).collect())
}

#[cfg(test)]
mod tests {
    use naru_client::TopicPartition;

    use super::*;

    #[test]
    fn goals_are_named() {
        assert_eq!(goals(None).unwrap(), Goals::ALL);
        let some = goals(Some("leaders, disk")).unwrap();
        assert!(some.leaders && some.disk && !some.replicas && !some.racks);
        assert!(goals(Some("speed")).unwrap_err().text.contains("'speed'"));
    }

    #[test]
    fn a_plan_is_a_file_of_kafkas_tool() {
        let one = Move {
            partition: TopicPartition::new("a", 0),
            from: vec![1, 2],
            to: vec![3, 2],
            bytes: 1536,
        };
        let text = plan_text(std::slice::from_ref(&one));
        let expect = "{\"version\":1,\"partitions\":[{\"topic\":\"a\",\"partition\":0,\
                      \"replicas\":[3,2],\"log_dirs\":[\"any\",\"any\"]}]}";
        assert_eq!(text, expect);
        assert_eq!(parse_plan(&text).unwrap().moves[0].replicas, [3, 2]);
        let swapped = Move { to: vec![2, 1], bytes: 0, ..one.clone() };
        assert_eq!(
            summary(&[one, swapped]),
            "2 partitions change, 1 of them only the preferred leader; 1.5 KiB are copied"
        );
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, expect) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(size(bytes), expect);
        }
    }
}
