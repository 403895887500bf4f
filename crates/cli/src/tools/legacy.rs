//! Names of the past: ZooKeeper's scripts, and tools called by their Java classes.

use super::{TOOLS, Tool};

pub const ZOOKEEPER: &str = "Of the past: the quorum is built in.";
pub const RUN_CLASS: &str = "Runs a tool by the name of its Java class.";

/// `zookeeper-server-start` and its like: says so and succeeds, so that step 1 of an old tutorial
/// passes.
pub fn zookeeper(_args: &[String]) -> i32 {
    println!("ZooKeeper is not needed: Naru keeps its metadata itself. Go on with the next step.");
    0
}

/// Java classes, without their packages, and the tools they are.
const CLASSES: [(&str, &str); 25] = [
    ("TopicCommand", "kafka-topics"),
    ("ConfigCommand", "kafka-configs"),
    ("AclCommand", "kafka-acls"),
    ("DelegationTokenCommand", "kafka-delegation-tokens"),
    ("ConsoleProducer", "kafka-console-producer"),
    ("ConsoleConsumer", "kafka-console-consumer"),
    ("ConsumerGroupCommand", "kafka-consumer-groups"),
    ("ConsoleShareConsumer", "kafka-console-share-consumer"),
    ("ShareGroupCommand", "kafka-share-groups"),
    ("StreamsGroupCommand", "kafka-streams-groups"),
    ("TransactionsCommand", "kafka-transactions"),
    ("ClientMetricsCommand", "kafka-client-metrics"),
    ("GetOffsetShell", "kafka-get-offsets"),
    ("DumpLogSegments", "kafka-dump-log"),
    ("StorageTool", "kafka-storage"),
    ("ReassignPartitionsCommand", "kafka-reassign-partitions"),
    ("LeaderElectionCommand", "kafka-leader-election"),
    ("MetadataQuorumCommand", "kafka-metadata-quorum"),
    ("LogDirsCommand", "kafka-log-dirs"),
    ("FeatureCommand", "kafka-features"),
    ("BrokerApiVersionsCommand", "kafka-broker-api-versions"),
    ("ClusterTool", "kafka-cluster"),
    ("ZooKeeperMain", "zookeeper-shell"),
    ("QuorumPeerMain", "zookeeper-server-start"),
    ("Kafka", "kafka-server-start"),
];

/// The tool that a Java class is.
pub fn tool_of_class(class: &str) -> Option<&'static str> {
    let bare = class.rsplit('.').next().unwrap_or(class);
    CLASSES.iter().find(|(known, _)| *known == bare).map(|(_, tool)| *tool)
}

/// `kafka-run-class CLASS ARGS`.
pub fn run_class(args: &[String]) -> i32 {
    let Some((class, rest)) = args.split_first() else {
        eprintln!("USAGE: kafka-run-class CLASS [ARGUMENT]...");
        return 1;
    };
    let tool = tool_of_class(class).and_then(|name| TOOLS.iter().find(|tool| tool.name == name));
    match tool {
        Some(Tool { run, .. }) => run(rest),
        None => {
            eprintln!("Error: there is no tool for the class {class} in Naru");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_old_and_new_packages_are_known() {
        assert_eq!(tool_of_class("kafka.tools.GetOffsetShell"), Some("kafka-get-offsets"));
        assert_eq!(
            tool_of_class("org.apache.kafka.tools.GetOffsetShell"),
            Some("kafka-get-offsets")
        );
        assert_eq!(tool_of_class("kafka.Kafka"), Some("kafka-server-start"));
        assert_eq!(tool_of_class("a.B"), None);
    }
}
