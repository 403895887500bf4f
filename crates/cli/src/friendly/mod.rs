//! The friendly commands: `naru topic`, `naru produce`, `naru consume`, `naru group`.
//!
//! A table for people, tabs or JSON for programs; one line says what went wrong, the next what to
//! do. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no connection, 5 not allowed,
//! 6 too late, 7 done in part, 130 interrupted.

mod cluster;
mod consume;
mod context;
mod failure;
mod group;
mod links;
mod produce;
mod range;
mod rebalance;
mod record;
mod topic;
mod topic_config;
mod transaction;

use crate::options::nearest;
use crate::tools::TOOLS;
use context::Command;
use failure::USAGE;

/// The commands, their short names and what they are for.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("demo", "", "streams what this machine is doing through a broker of its own"),
    ("start", "", "starts a node, or with --nodes a cluster on this machine"),
    ("topic", "t", "ls, create, describe, delete, config, add-partitions"),
    ("produce", "p", "sends records: arguments, lines of standard input, or NDJSON"),
    ("consume", "c", "shows records: from anywhere, to anywhere, in any form"),
    ("group", "g", "ls, describe, lag, seek, delete"),
    ("transaction", "", "ls, show, hanging, abort"),
    ("cluster", "", "describe, quorum, log-dirs, features, unregister"),
    ("quorum", "", "status, remove: the voters on the metadata"),
    ("rebalance", "", "plan, run, status, cancel, prefer: where replicas and leaders are"),
    ("install-links", "", "makes each tool callable by its own name"),
    ("version", "", "the version of this program"),
];

/// Runs `naru ARGS`; the exit code.
pub fn run(args: &[String]) -> i32 {
    let Some((first, rest)) = args.split_first() else {
        print!("{}", help());
        return 0;
    };
    match first.as_str() {
        "topic" | "topics" | "t" => noun("topic", topic::COMMANDS, rest),
        "group" | "groups" | "g" => noun("group", group::COMMANDS, rest),
        "transaction" | "transactions" => noun("transaction", transaction::COMMANDS, rest),
        "cluster" => noun("cluster", cluster::COMMANDS, rest),
        "quorum" => noun("quorum", cluster::QUORUM_COMMANDS, rest),
        "rebalance" => noun("rebalance", rebalance::COMMANDS, rest),
        "produce" | "p" => produce::COMMAND.run(rest),
        "consume" | "c" => consume::COMMAND.run(rest),
        "install-links" => links::COMMAND.run(rest),
        "version" | "--version" | "-V" => {
            println!("naru {} (Kafka {})", env!("CARGO_PKG_VERSION"), crate::tools::KAFKA_VERSION);
            0
        }
        "help" | "--help" | "-h" => match rest.split_first() {
            None => {
                print!("{}", help());
                0
            }
            Some((command, more)) => {
                let mut args = vec![command.clone()];
                args.extend(more.iter().cloned());
                args.push("--help".to_owned());
                run(&args)
            }
        },
        other => {
            eprintln!("error: there is no command '{other}'");
            let names = COMMANDS.iter().map(|(name, ..)| *name);
            let names = names.chain(TOOLS.iter().map(|tool| tool.name));
            match nearest(other, names) {
                Some(near) => eprintln!("hint: did you mean 'naru {near}'?"),
                None => eprintln!("hint: 'naru help' shows the commands"),
            }
            USAGE
        }
    }
}

/// `naru NOUN VERB ...`.
fn noun(noun: &str, verbs: &'static [Command], args: &[String]) -> i32 {
    let list = || {
        let mut text = format!("Usage: naru {noun} COMMAND\n\n");
        for verb in verbs {
            text.push_str(&format!("  {:16}{}\n", verb.name, verb.about));
        }
        text.push_str(&format!("\n'naru {noun} COMMAND --help' says more.\n"));
        text
    };
    match args.split_first() {
        None => {
            eprint!("{}", list());
            USAGE
        }
        Some((verb, _)) if matches!(verb.as_str(), "--help" | "-h" | "help") => {
            print!("{}", list());
            0
        }
        Some((verb, rest)) => {
            let known =
                |name: &str| verbs.iter().find(|v| v.name == name || v.aliases.contains(&name));
            match known(verb) {
                Some(command) => command.run(rest),
                None => {
                    eprintln!("error: 'naru {noun}' has no command '{verb}'");
                    match nearest(verb, verbs.iter().map(|verb| verb.name)) {
                        Some(near) => eprintln!("hint: did you mean 'naru {noun} {near}'?"),
                        None => eprintln!("hint: 'naru {noun} --help' shows what there is"),
                    }
                    USAGE
                }
            }
        }
    }
}

fn help() -> String {
    let mut text =
        String::from("Naru: a Kafka platform in one program.\n\nUsage: naru COMMAND\n\n");
    for (name, short, about) in COMMANDS {
        let short = if short.is_empty() { String::new() } else { format!(" ({short})") };
        text.push_str(&format!("  {:16}{about}\n", format!("{name}{short}")));
    }
    text.push_str("\nKafka's own tools, also by these names alone:\n\n");
    for tool in TOOLS {
        let about = tool.about.split(['.', ',']).next().unwrap_or_default();
        text.push_str(&format!("  {:27}{about}\n", tool.name));
    }
    text.push_str(
        "\nExamples:\n  naru start\n  echo hello | naru produce greetings\n  \
         naru consume greetings --from start -e\n",
    );
    text
}
