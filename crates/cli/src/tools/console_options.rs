//! Options that the tools which show records have in common.

use crate::options::{Row, Takes, row};

/// `--max-messages`.
pub(in crate::tools) const MAX_MESSAGES: Row =
    row("max-messages", Takes::Int("number"), "Ends after so many records.");
/// `--formatter`.
pub(in crate::tools) const FORMATTER: Row = row(
    "formatter",
    Takes::Text("class"),
    "How records are shown; Kafka's class names are understood.",
);
/// `--formatter-config`.
pub(in crate::tools) const FORMATTER_CONFIG: Row = row(
    "formatter-config",
    Takes::Text("file"),
    "A properties file with settings of the formatter.",
);
/// `--property`.
pub(in crate::tools) const PROPERTY: Row =
    row("property", Takes::Text("k=v"), "The older name of --formatter-property.");
/// `--command-property`.
pub(in crate::tools) const COMMAND_PROPERTY: Row =
    row("command-property", Takes::Text("k=v"), "A setting of the consumer.");
/// `--consumer-property`.
pub(in crate::tools) const CONSUMER_PROPERTY: Row =
    row("consumer-property", Takes::Text("k=v"), "The older name of --command-property.");
/// `--key-deserializer`.
pub(in crate::tools) const KEY_DESERIALIZER: Row =
    row("key-deserializer", Takes::Text("class"), "How keys are read.");
/// `--value-deserializer`.
pub(in crate::tools) const VALUE_DESERIALIZER: Row =
    row("value-deserializer", Takes::Text("class"), "How values are read.");
/// `--enable-systest-events`.
pub(in crate::tools) const SYSTEST_EVENTS: Row =
    row("enable-systest-events", Takes::Nothing, "Accepted; system tests of Kafka use it.");
