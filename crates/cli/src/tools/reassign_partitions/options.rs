//! The command line of `kafka-reassign-partitions`: which options go with which action.

use super::super::common::{Ended, Face};
use crate::options::{
    BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, ZOOKEEPER, row,
};
use crate::text::Streams;

pub const ABOUT: &str = "Moves replicas of partitions between brokers.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    row("bootstrap-controller", Takes::Text("host:port,..."), "The controllers to ask, instead."),
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("generate", Takes::Nothing, "Proposes where replicas could be; changes nothing."),
    row("execute", Takes::Nothing, "Starts what the file says."),
    row("verify", Takes::Nothing, "Shows how far it is, and lifts the throttles when it is done."),
    row("cancel", Takes::Nothing, "Cancels what of the file is under way."),
    row("list", Takes::Nothing, "Shows what is under way."),
    row("topics-to-move-json-file", Takes::Text("file"), "generate: the topics."),
    row("broker-list", Takes::Text("0,1,..."), "generate: the brokers that may have replicas."),
    row("disable-rack-aware", Takes::Nothing, "generate: without regard to racks."),
    row("reassignment-json-file", Takes::Text("file"), "The replicas of each partition."),
    row("throttle", Takes::Long("bytes/s"), "execute: the most that brokers exchange for it."),
    row(
        "replica-alter-log-dirs-throttle",
        Takes::Long("bytes/s"),
        "execute: the most that brokers move between their own directories for it.",
    ),
    row("timeout", Takes::Long("ms"), "How long moves between directories may take to begin."),
    row("additional", Takes::Nothing, "execute: also while something is under way."),
    row("preserve-throttles", Takes::Nothing, "verify, cancel: does not lift throttles."),
    row(
        "disallow-replication-factor-change",
        Takes::Nothing,
        "execute: refuses other numbers of replicas.",
    ),
    ZOOKEEPER,
];

pub(super) const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-reassign-partitions --bootstrap-server localhost:9092 --generate \
         --topics-to-move-json-file topics.json --broker-list 1,2,3",
        "kafka-reassign-partitions --bootstrap-server localhost:9092 --execute \
         --reassignment-json-file plan.json --throttle 50000000",
    ],
    error_prefix: "",
};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Generate,
    Execute,
    Verify,
    Cancel,
    List,
}

struct Rules {
    action: Action,
    name: &'static str,
    required: &'static [&'static str],
    permitted: &'static [&'static str],
}

const RULES: [Rules; 5] = [
    Rules {
        action: Action::Generate,
        name: "generate",
        required: &["topics-to-move-json-file", "broker-list"],
        permitted: &["disable-rack-aware"],
    },
    Rules {
        action: Action::Execute,
        name: "execute",
        required: &["reassignment-json-file"],
        permitted: &[
            "additional",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    },
    Rules {
        action: Action::Verify,
        name: "verify",
        required: &["reassignment-json-file"],
        permitted: &["preserve-throttles"],
    },
    Rules {
        action: Action::Cancel,
        name: "cancel",
        required: &["reassignment-json-file"],
        permitted: &["preserve-throttles", "timeout"],
    },
    Rules { action: Action::List, name: "list", required: &[], permitted: &[] },
];

pub(super) fn check(p: &Parsed, streams: &mut Streams) -> Result<Action, Ended> {
    let given: Vec<&Rules> = RULES.iter().filter(|rules| p.has(rules.name)).collect();
    let [rules] = given.as_slice() else {
        let text = "Command must include exactly one action: --generate, --execute, --verify, \
                    --cancel, --list";
        return Err(FACE.usage(text, streams));
    };
    let target = match (p.has("bootstrap-server"), p.has("bootstrap-controller")) {
        (true, false) => "bootstrap-server",
        (false, true) => "bootstrap-controller",
        (true, true) => {
            let text = "Please don't specify both --bootstrap-server and --bootstrap-controller";
            return Err(FACE.usage(text, streams));
        }
        (false, false) => {
            let text = "Please specify either --bootstrap-server or --bootstrap-controller";
            return Err(FACE.usage(text, streams));
        }
    };
    FACE.require(p, rules.required, streams)?;
    let allowed = |name: &str| {
        name == rules.name
            || name == target
            || name == "command-config"
            || rules.required.contains(&name)
            || rules.permitted.contains(&name)
    };
    match ROWS.iter().find(|row| p.has(row.name) && !allowed(row.name)) {
        None => Ok(rules.action),
        Some(row) => {
            let text =
                format!("Option \"[{}]\" can't be used with action \"[{}]\"", row.name, rules.name);
            Err(FACE.usage(&text, streams))
        }
    }
}
