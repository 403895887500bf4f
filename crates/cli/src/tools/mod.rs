//! Kafka's own tools, by their own names: options, output bytes, streams and exit codes of 4.3.1.

mod acls;
mod argparse;
mod bootstrap;
mod broker_api_versions;
mod client_metrics;
mod cluster;
mod common;
mod configs;
mod console_consumer;
mod console_options;
mod console_producer;
mod console_share_consumer;
mod consumer_groups;
mod delegation_tokens;
mod dump_log;
pub mod failure;
pub mod feature_levels;
mod features;
mod filter;
mod get_offsets;
mod groups_options;
mod json_file;
mod leader_election;
mod legacy;
mod log_dirs;
mod metadata_quorum;
pub mod missing;
mod properties;
pub mod reassign_partitions;
mod share_groups;
mod storage;
mod streams_groups;
mod topics;
pub mod transactions;

pub use bootstrap::from_environment;
pub use common::{KAFKA_VERSION, block_on};
pub use console_producer::Lines;
pub use legacy::tool_of_class;

/// A tool and how it is run: arguments in, exit code out.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Name without `.sh`.
    pub name: &'static str,
    /// One line on what it is for.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&[String]) -> i32,
}

/// Every tool there is.
pub static TOOLS: &[Tool] = &[
    Tool { name: "kafka-topics", about: topics::ABOUT, run: topics::run },
    Tool { name: "kafka-configs", about: configs::ABOUT, run: configs::run },
    Tool { name: "kafka-acls", about: acls::ABOUT, run: acls::run },
    Tool {
        name: "kafka-delegation-tokens",
        about: delegation_tokens::ABOUT,
        run: delegation_tokens::run,
    },
    Tool {
        name: "kafka-console-producer",
        about: console_producer::ABOUT,
        run: console_producer::run,
    },
    Tool {
        name: "kafka-console-consumer",
        about: console_consumer::ABOUT,
        run: console_consumer::run,
    },
    Tool {
        name: "kafka-consumer-groups",
        about: consumer_groups::ABOUT,
        run: consumer_groups::run,
    },
    Tool { name: "kafka-share-groups", about: share_groups::ABOUT, run: share_groups::run },
    Tool { name: "kafka-streams-groups", about: streams_groups::ABOUT, run: streams_groups::run },
    Tool {
        name: "kafka-console-share-consumer",
        about: console_share_consumer::ABOUT,
        run: console_share_consumer::run,
    },
    Tool { name: "kafka-get-offsets", about: get_offsets::ABOUT, run: get_offsets::run },
    Tool { name: "kafka-dump-log", about: dump_log::ABOUT, run: dump_log::run },
    Tool {
        name: "kafka-reassign-partitions",
        about: reassign_partitions::ABOUT,
        run: reassign_partitions::run,
    },
    Tool {
        name: "kafka-leader-election",
        about: leader_election::ABOUT,
        run: leader_election::run,
    },
    Tool {
        name: "kafka-metadata-quorum",
        about: metadata_quorum::ABOUT,
        run: metadata_quorum::run,
    },
    Tool { name: "kafka-log-dirs", about: log_dirs::ABOUT, run: log_dirs::run },
    Tool { name: "kafka-features", about: features::ABOUT, run: features::run },
    Tool {
        name: "kafka-broker-api-versions",
        about: broker_api_versions::ABOUT,
        run: broker_api_versions::run,
    },
    Tool { name: "kafka-client-metrics", about: client_metrics::ABOUT, run: client_metrics::run },
    Tool { name: "kafka-cluster", about: cluster::ABOUT, run: cluster::run },
    Tool { name: "kafka-transactions", about: transactions::ABOUT, run: transactions::run },
    Tool { name: "kafka-storage", about: storage::ABOUT, run: storage::run },
    Tool { name: "kafka-run-class", about: legacy::RUN_CLASS, run: legacy::run_class },
    Tool { name: "zookeeper-server-start", about: legacy::ZOOKEEPER, run: legacy::zookeeper },
    Tool { name: "zookeeper-server-stop", about: legacy::ZOOKEEPER, run: legacy::zookeeper },
];

/// The tool of this name, with or without `.sh`.
pub fn find(name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.iter().find(|tool| tool.name == name)
}
