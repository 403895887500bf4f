//! Tools of Apache Kafka 4.3.1 that are not among Naru's: whoever calls one is told so, and what
//! there is instead. Kafka's own tools work with Naru.

/// Name without `.sh`, and what to do instead.
pub const MISSING: &[(&str, &str)] = &[
    ("connect-distributed", CONNECT),
    ("connect-mirror-maker", CONNECT),
    ("connect-plugin-path", CONNECT),
    ("connect-standalone", CONNECT),
    ("kafka-consumer-perf-test", APACHES),
    ("kafka-delete-records", APACHES),
    ("kafka-e2e-latency", APACHES),
    ("kafka-groups", "`naru group ls` lists groups"),
    ("kafka-jmx", "there is no JMX: metrics are at /metrics, for Prometheus"),
    ("kafka-metadata-shell", "`kafka-dump-log --cluster-metadata-decoder` shows the records"),
    (
        "kafka-preferred-replica-election",
        "`kafka-leader-election --election-type preferred` does it",
    ),
    ("kafka-producer-perf-test", APACHES),
    ("kafka-replica-verification", APACHES),
    ("kafka-server-stop", "a node stops cleanly on SIGTERM"),
    ("kafka-share-consumer-perf-test", APACHES),
    (
        "kafka-streams-application-reset",
        "`kafka-streams-groups --reset-offsets` does it for groups \
                                         of the streams protocol",
    ),
    ("kafka-verifiable-consumer", APACHES),
    ("kafka-verifiable-producer", APACHES),
    ("kafka-verifiable-share-consumer", APACHES),
    ("zookeeper-shell", "there is no ZooKeeper: `naru cluster` shows the cluster"),
];

const APACHES: &str = "Apache Kafka's own works with Naru";
const CONNECT: &str = "Apache Kafka's own Connect works with Naru";

/// Says that there is no such tool here, if it is one of Kafka's.
pub fn refuse(name: &str) -> Option<i32> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    let (name, instead) = MISSING.iter().find(|(known, _)| *known == name)?;
    eprintln!("{name} is not among Naru's tools: {instead}.");
    Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tool_is_both_there_and_missing() {
        for (name, _) in MISSING {
            assert!(crate::tools::find(name).is_none(), "{name}");
        }
        assert!(MISSING.is_sorted());
        assert_eq!(refuse("kafka-jmx.sh"), Some(1));
        assert_eq!(refuse("kafka-topics"), None);
    }
}
