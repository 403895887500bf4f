//! `kafka-metadata-quorum`: describe the quorum, add and remove its voters.

mod controller;
mod describe;

use super::argparse::{Program, Sub};
use super::bootstrap::command_config;
use super::common::{Ended, block_on, finish};
use super::failure::Failure;
use crate::options::{COMMAND_CONFIG, Parsed, Row, Takes, row};
use crate::text::Streams;

pub const ABOUT: &str = "Shows the metadata quorum, adds and removes its voters.";

static ROWS: &[Row] = &[
    row("help", Takes::Nothing, "Shows this text.").short('h'),
    row("bootstrap-server", Takes::Text("host:port,..."), "The brokers to ask."),
    row("bootstrap-controller", Takes::Text("host:port,..."), "The controllers to ask, instead."),
    Row {
        help: "A properties file with settings of the client; for add-controller the \
               server.properties of the controller to be added.",
        ..COMMAND_CONFIG
    },
    row("status", Takes::Nothing, "describe: leader, epoch, lag and voters in short."),
    row("replication", Takes::Nothing, "describe: how far each replica is."),
    row("human-readable", Takes::Nothing, "describe --replication: times as how long ago."),
    row("controller-id", Takes::Int("id"), "remove-controller: its node id.").short('i'),
    row("controller-directory-id", Takes::Text("uuid"), "remove-controller: its directory's id.")
        .short('d'),
    row("dry-run", Takes::Nothing, "Says what would be done and does nothing."),
];

const PROGRAM: Program = Program {
    name: "kafka-metadata-quorum",
    about: ABOUT,
    usage: "usage: kafka-metadata-quorum [-h] [--command-config COMMAND_CONFIG]
                             (--bootstrap-server BOOTSTRAP_SERVER |
                             --bootstrap-controller BOOTSTRAP_CONTROLLER)
                             {describe,add-controller,remove-controller}
                             ...",
    rows: ROWS,
    commands: &[
        Sub {
            name: "describe",
            usage: "usage: kafka-metadata-quorum (--bootstrap-server BOOTSTRAP_SERVER |
                             --bootstrap-controller BOOTSTRAP_CONTROLLER)
                             describe [-h] [--status] [--replication]
                             [--human-readable]",
            options: &["status", "replication", "human-readable"],
        },
        Sub {
            name: "add-controller",
            usage: "usage: kafka-metadata-quorum (--bootstrap-server BOOTSTRAP_SERVER |
                             --bootstrap-controller BOOTSTRAP_CONTROLLER)
                             add-controller [-h] [--dry-run]",
            options: &["dry-run"],
        },
        Sub {
            name: "remove-controller",
            usage: "usage: kafka-metadata-quorum (--bootstrap-server BOOTSTRAP_SERVER |
                             --bootstrap-controller BOOTSTRAP_CONTROLLER)
                             remove-controller [-h]
                             --controller-id CONTROLLER_ID
                             --controller-directory-id CONTROLLER_DIRECTORY_ID
                             [--dry-run]",
            options: &["controller-id", "controller-directory-id", "dry-run"],
        },
    ],
    general: &["bootstrap-server", "bootstrap-controller", "command-config"],
    examples: &[
        "kafka-metadata-quorum --bootstrap-server localhost:9092 describe --status",
        "kafka-metadata-quorum --bootstrap-server localhost:9092 --command-config \
         server.properties add-controller",
    ],
    terse: false,
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let (p, sub) = PROGRAM.read(args, streams)?;
    let target = PROGRAM.target(&p, PROGRAM.usage, streams)?;
    let removed = if sub.name == "remove-controller" {
        let id = PROGRAM.required(&p, sub, "controller-id", streams)?;
        let directory = PROGRAM.required(&p, sub, "controller-directory-id", streams)?;
        Some((id.to_owned(), directory.to_owned()))
    } else {
        None
    };
    let outcome = match file_exists(&p) {
        Ok(()) => match target.admin(&p, &["command-config"]) {
            Ok(admin) => block_on(async {
                match (sub.name, &removed) {
                    ("describe", _) => describe::describe(&p, &admin, streams).await,
                    (_, Some((id, directory))) => {
                        controller::remove(&p, &admin, id, directory, streams).await
                    }
                    _ => controller::add(&p, &admin, streams).await,
                }
            }),
            Err(text) => Err(Failure::Terse(text)),
        },
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

fn file_exists(p: &Parsed) -> Result<(), Failure> {
    match p.one("command-config") {
        Ok(Some(path)) if !std::path::Path::new(path).exists() => {
            Err(Failure::Terse(format!("Properties file {path} does not exists!")))
        }
        _ => Ok(()),
    }
}

/// The settings of the file that was named.
fn properties(p: &Parsed) -> Result<Vec<(String, String)>, Failure> {
    command_config(p, &["command-config"]).map_err(Failure::Terse)
}
