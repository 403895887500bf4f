//! Options that the tools for groups of all types have in common.

use crate::options::{Row, Takes, row};

/// `--list`.
pub(in crate::tools) const LIST: Row = row("list", Takes::Nothing, "Shows the groups.");
/// `--delete`.
pub(in crate::tools) const DELETE: Row =
    row("delete", Takes::Nothing, "Deletes groups without members.");
/// `--group`.
pub(in crate::tools) const GROUP: Row =
    row("group", Takes::Text("group"), "The group; may be repeated.");
/// `--all-groups`.
pub(in crate::tools) const ALL_GROUPS: Row = row("all-groups", Takes::Nothing, "Every group.");
/// `--topic`.
pub(in crate::tools) const TOPIC: Row = row(
    "topic",
    Takes::Text("topic[:0,1]"),
    "A topic, or some of its partitions; may be repeated.",
);
/// `--members`.
pub(in crate::tools) const MEMBERS: Row =
    row("members", Takes::Nothing, "With --describe: the members.");
/// `--state`.
pub(in crate::tools) const STATE: Row = row(
    "state",
    Takes::Maybe("states"),
    "With --describe: the state; with --list: states, or only groups in some.",
);
/// `--verbose`.
pub(in crate::tools) const VERBOSE: Row = row("verbose", Takes::Nothing, "Shows more.");
/// `--dry-run`.
pub(in crate::tools) const DRY_RUN: Row =
    row("dry-run", Takes::Nothing, "Only shows what would be set.");
/// `--execute`.
pub(in crate::tools) const EXECUTE: Row = row("execute", Takes::Nothing, "Sets it.");
/// `--to-offset`.
pub(in crate::tools) const TO_OFFSET: Row =
    row("to-offset", Takes::Long("offset"), "To this offset.");
/// `--to-earliest`.
pub(in crate::tools) const TO_EARLIEST: Row =
    row("to-earliest", Takes::Nothing, "To the oldest record.");
/// `--to-latest`.
pub(in crate::tools) const TO_LATEST: Row = row("to-latest", Takes::Nothing, "To what comes next.");
/// `--to-datetime`.
pub(in crate::tools) const TO_DATETIME: Row =
    row("to-datetime", Takes::Text("YYYY-MM-DDThh:mm:ss.sss"), "To the first record from then on.");
