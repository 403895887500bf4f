//! What a real 4.3.1 broker answered after the same settings, entry by entry.

use super::super::{Layers, Props};
use super::*;

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn file() -> Props {
    props(&[
        ("node.id", "1"),
        ("log.retention.hours", "24"),
        ("foo.bar", "baz"),
        ("num.io.threads", "2"),
    ])
}

fn line(entries: &[Described], name: &str) -> String {
    let entry = entries.iter().find(|entry| entry.name == name).expect("the entry is there");
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|s| format!("{}={}:{}", s.name, shown(&s.value), s.source.code()))
        .collect();
    format!(
        "{} {} ro={} s={} [{}]",
        shown(&entry.value),
        entry.source.code(),
        entry.read_only,
        entry.sensitive,
        synonyms.join(" ")
    )
}

#[test]
fn a_broker_tells_what_its_file_says() {
    let file = file();
    let all = Layers::of_file(&file).describe_broker();
    for (name, want) in [
        (
            "log.retention.hours",
            "24 4 ro=true s=false [log.retention.hours=24:4 log.retention.hours=168:5]",
        ),
        ("log.retention.ms", "null 5 ro=false s=false []"),
        ("log.flush.interval.ms", "null 5 ro=false s=false []"),
        ("num.io.threads", "2 4 ro=false s=false [num.io.threads=2:4 num.io.threads=8:5]"),
        ("node.id", "1 4 ro=true s=false [node.id=1:4]"),
        ("foo.bar", "null 4 ro=true s=true [foo.bar=null:4]"),
        ("sasl.jaas.config", "null 5 ro=false s=true []"),
        ("authorizer.class.name", " 5 ro=true s=false [authorizer.class.name=:5]"),
        (
            "log.cleaner.io.max.bytes.per.second",
            "1.7976931348623157E308 5 ro=false s=false [log.cleaner.io.max.bytes.per.second=1.7976931348623157E308:5]",
        ),
    ] {
        assert_eq!(line(&all, name), want, "{name}");
    }
    // Kafka's 340 public keys, the one it does not know, and ours.
    assert_eq!(all.iter().filter(|entry| !entry.name.starts_with("naru.")).count(), 341);
}

#[test]
fn a_broker_tells_what_was_set_at_run_time_first() {
    let file = file();
    let broker = props(&[
        ("log.retention.ms", "3600000"),
        ("num.io.threads", "4"),
        ("listener.name.plaintext.max.connections", "5"),
    ]);
    let cluster = props(&[
        ("num.io.threads", "30"),
        ("log.cleanup.policy", "delete,delete"),
        ("nosuch", "1"),
    ]);
    let layers = Layers { broker: &broker, cluster: &cluster, file: &file };
    let all = layers.describe_broker();
    for (name, want) in [
        (
            "log.retention.ms",
            "3600000 2 ro=false s=false [log.retention.ms=3600000:2 log.retention.hours=24:4 log.retention.hours=168:5]",
        ),
        (
            "log.retention.hours",
            "168 4 ro=true s=false [log.retention.hours=24:4 log.retention.hours=168:5]",
        ),
        (
            "num.io.threads",
            "4 2 ro=false s=false [num.io.threads=4:2 num.io.threads=30:3 num.io.threads=2:4 num.io.threads=8:5]",
        ),
        (
            "listener.name.plaintext.max.connections",
            "5 2 ro=true s=false [listener.name.plaintext.max.connections=5:2 max.connections=2147483647:5]",
        ),
        ("nosuch", "null 3 ro=true s=true [nosuch=null:3]"),
        ("max.connections", "2147483647 5 ro=false s=false [max.connections=2147483647:5]"),
    ] {
        assert_eq!(line(&all, name), want, "{name}");
    }
    let defaults = layers.describe_cluster_default();
    assert_eq!(defaults.len(), 3);
    assert_eq!(line(&defaults, "num.io.threads"), "30 3 ro=false s=false [num.io.threads=30:3]");
    assert_eq!(
        line(&defaults, "log.cleanup.policy"),
        "delete,delete 3 ro=false s=false [log.cleanup.policy=delete,delete:3]"
    );
    assert_eq!(line(&defaults, "nosuch"), "null 3 ro=true s=true [nosuch=null:3]");
}

#[test]
fn a_topic_tells_its_own_values_then_the_brokers() {
    let file = file();
    let broker = props(&[("log.flush.interval.messages", "5")]);
    let topic = props(&[
        ("segment.bytes", " 2000000"),
        ("cleanup.policy", "compact, delete"),
        ("retention.bytes", "+5"),
    ]);
    let layers = Layers { broker: &broker, ..Layers::of_file(&file) };
    let all = layers.describe_topic(&topic);
    for (name, want) in [
        (
            "segment.bytes",
            "2000000 1 ro=false s=false [segment.bytes=2000000:1 log.segment.bytes=1073741824:5]",
        ),
        (
            "cleanup.policy",
            "compact,delete 1 ro=false s=false [cleanup.policy=compact,delete:1 log.cleanup.policy=delete:5]",
        ),
        ("retention.bytes", "5 1 ro=false s=false [retention.bytes=5:1 log.retention.bytes=-1:5]"),
        // The file's hours count, yet Kafka calls the value a default and lists nothing.
        ("retention.ms", "86400000 5 ro=false s=false []"),
        ("segment.ms", "604800000 5 ro=false s=false []"),
        ("flush.ms", "9223372036854775807 5 ro=false s=false []"),
        (
            "flush.messages",
            "5 2 ro=false s=false [log.flush.interval.messages=5:2 log.flush.interval.messages=9223372036854775807:5]",
        ),
        ("remote.storage.enable", "false 5 ro=false s=false []"),
        (
            "min.cleanable.dirty.ratio",
            "0.5 5 ro=false s=false [log.cleaner.min.cleanable.ratio=0.5:5]",
        ),
        ("naru.durability", "fsync 5 ro=false s=false [naru.durability=fsync:5]"),
    ] {
        assert_eq!(line(&all, name), want, "{name}");
    }
    // Kafka's 33 public keys and ours.
    assert_eq!(all.len(), 34);
}

#[test]
fn a_group_tells_its_own_values_then_the_brokers() {
    let group = props(&[("consumer.session.timeout.ms", "50000")]);
    let all = Layers::none().describe_group(&group);
    for (name, want) in [
        (
            "consumer.session.timeout.ms",
            "50000 8 ro=false s=false [consumer.session.timeout.ms=50000:8 group.consumer.session.timeout.ms=45000:5]",
        ),
        (
            "share.session.timeout.ms",
            "45000 5 ro=false s=false [group.share.session.timeout.ms=45000:5]",
        ),
        (
            "share.isolation.level",
            "read_uncommitted 5 ro=false s=false [share.isolation.level=read_uncommitted:5]",
        ),
    ] {
        assert_eq!(line(&all, name), want, "{name}");
    }
    assert_eq!(all.len(), 17);
}
