//! Command lines as Kafka's tools read them (jopt-simple's rules), from one row per option.
//!
//! `--name value`, `--name=value`, unique prefixes, one dash or two, options in any order and
//! repeated. Old names lead to the new ones. Parsing decides nothing: tools resolve what they got.

mod help;
mod parse;
#[cfg(test)]
mod tests;

pub use help::{help, nearest};
pub use parse::{OptionError, Parsed, parse};

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A text.
    Text(&'static str),
    /// A 32-bit number.
    Int(&'static str),
    /// A 64-bit number.
    Long(&'static str),
    /// A text, or nothing.
    Maybe(&'static str),
}

/// What an option that Kafka 4.3 no longer has means today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// The same as this one.
    Same(&'static str),
    /// Nothing: it may be left out.
    Nothing,
    /// ZooKeeper's address: brokers are found without it.
    ZooKeeper,
}

/// One option: the only place that names it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name without dashes.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What it is for.
    pub help: &'static str,
    /// Set for options of the past, which help does not show.
    pub old: Option<Old>,
    /// A letter that stands for it after one dash.
    pub short: Option<char>,
}

impl Row {
    /// With a letter.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
}

/// A row of today.
pub const fn row(name: &'static str, takes: Takes, help: &'static str) -> Row {
    Row { name, takes, help, old: None, short: None }
}

/// A row of the past.
pub const fn old(name: &'static str, takes: Takes, meaning: Old) -> Row {
    Row { name, takes, help: "", old: Some(meaning), short: None }
}

/// `--bootstrap-server`.
pub const BOOTSTRAP: Row = row(
    "bootstrap-server",
    Takes::Text("host:port,..."),
    "The brokers to connect to first; the others are found through them.",
);
/// `--command-config`.
pub const COMMAND_CONFIG: Row = row(
    "command-config",
    Takes::Text("file"),
    "A properties file with settings of the client, under Kafka's names.",
);
/// `--help`.
pub const HELP: Row = row("help", Takes::Nothing, "Shows this text.");
/// `--version`.
pub const VERSION: Row =
    row("version", Takes::Nothing, "Shows the version of Kafka's tools it stands for.");
/// `--zookeeper` of tools before 3.0.
pub const ZOOKEEPER: Row = old("zookeeper", Takes::Text("urls"), Old::ZooKeeper);
/// `--broker-list` of tools before 3.0.
pub const BROKER_LIST: Row =
    old("broker-list", Takes::Text("host:port"), Old::Same("bootstrap-server"));
