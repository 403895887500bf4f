//! Whole files and variables, and what is said of them.

use super::super::{Durability, Endpoint, SecurityProtocol};
use super::*;
use crate::BrokerId;

fn loaded(text: &str) -> Loaded {
    load(Some(text), [], "/unused").expect("a good file")
}

fn refused(text: &str) -> String {
    load(Some(text), [], "/unused").expect_err("a bad file").to_string()
}

const NODE: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
    listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093\n";

fn refused_with(more: &str) -> String {
    refused(&format!("{NODE}{more}"))
}

fn shown(endpoints: &[Endpoint]) -> Vec<String> {
    endpoints.iter().map(Endpoint::to_string).collect()
}

#[test]
fn with_neither_file_nor_variables_there_is_one_node_on_localhost() {
    let Loaded { config, report, .. } = load(None, [], "/data").expect("the zero config");
    assert_eq!(config.node_id, BrokerId(1));
    assert!(config.roles.broker && config.roles.controller);
    assert_eq!(shown(&config.listeners.broker), ["PLAINTEXT://localhost:9092"]);
    assert_eq!(shown(&config.listeners.controller), ["CONTROLLER://localhost:9093"]);
    assert_eq!(shown(&config.listeners.advertised), ["PLAINTEXT://localhost:9092"]);
    assert_eq!(config.log.dirs, ["/data"]);
    assert_eq!(config.metadata_log.dir, "/data");
    assert_eq!(config.offsets.topic_replication_factor, 3);
    assert_eq!(config.http_listener, Some(("localhost".to_owned(), 8080)));
    assert_eq!(config.log.durability, Durability::Fsync);
    assert_eq!(config.topic, super::super::TopicConfig::default());
    assert_eq!(report.unknown, []);
}

#[test]
fn a_variable_changes_one_key_of_the_zero_config() {
    let variables = [("KAFKA_NODE_ID", "7"), ("KAFKA_LISTENERS", "PLAINTEXT://localhost:19092")];
    let Loaded { config, .. } = load(None, variables, "/data").expect("good");
    assert_eq!(config.node_id, BrokerId(7));
    assert_eq!(shown(&config.listeners.broker), ["PLAINTEXT://localhost:19092"]);
    assert_eq!(shown(&config.listeners.advertised), ["PLAINTEXT://localhost:19092"]);
    assert_eq!(shown(&config.listeners.controller), ["CONTROLLER://localhost:9093"]);
}

#[test]
fn variables_that_describe_a_node_are_the_node_as_in_the_container_image() {
    // The single-node example of Apache's image.
    let variables = [
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        (
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
        ),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092"),
        ("KAFKA_LISTENERS", "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@broker:29093"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_LOG_DIRS", "/tmp/kraft-combined-logs"),
        ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
    ];
    let Loaded { config, report, .. } = load(None, variables, "/unused").expect("good");
    assert_eq!(shown(&config.listeners.broker), ["PLAINTEXT_HOST://:9092", "PLAINTEXT://:19092"]);
    assert_eq!(
        shown(&config.listeners.advertised),
        ["PLAINTEXT_HOST://localhost:9092", "PLAINTEXT://broker:19092"]
    );
    assert_eq!(config.listeners.inter_broker, "PLAINTEXT");
    assert_eq!(config.quorum.voters.len(), 1);
    assert_eq!(config.http_listener, None);
    assert_eq!(config.log.dirs, ["/tmp/kraft-combined-logs"]);
    assert_eq!(report.unknown, []);
    assert_eq!(report.honoured.len(), 10);
}

#[test]
fn variables_win_over_the_file() {
    let loaded =
        load(Some(&format!("{NODE}num.partitions=3")), [("KAFKA_NUM_PARTITIONS", "9")], "/d");
    assert_eq!(loaded.expect("good").config.topics.num_partitions, 9);
}

#[test]
fn every_key_is_accounted_for() {
    let Loaded { report, .. } = loaded(&format!(
        "{NODE}log.retention.hours=24\nnum.io.threads=8\nbackground.threads=4\nqueued.max.request.bytes=2\n\
         log.retention.hour=5\nmy.plugin=1\nzookeeper.connect=z:2181\nsuper.users=User:a\n\
         listener.name.plaintext.max.connections=9\ninter.broker.protocol.version=3.5\n"
    ));
    assert!(report.honoured.contains(&"log.retention.hours".to_owned()));
    assert!(report.honoured.contains(&"listener.name.plaintext.max.connections".to_owned()));
    assert_eq!(
        report.unknown,
        [
            ("log.retention.hour".to_owned(), Some("log.retention.hours")),
            ("my.plugin".to_owned(), None)
        ]
    );
    assert_eq!(
        report.lines(),
        [
            "unknown config log.retention.hour; did you mean log.retention.hours?",
            "unknown config my.plugin",
            "not served yet (a limit on the bytes of waiting requests): queued.max.request.bytes",
            "no meaning here (ZooKeeper's work is built in): zookeeper.connect",
            "no meaning here (gone from Kafka since 4.0): inter.broker.protocol.version",
            "no meaning here (no thread pool to size: one task serves each connection): \
             background.threads, num.io.threads",
        ]
    );
}

#[test]
fn time_units_and_topic_defaults_come_from_the_brokers_keys() {
    let Loaded { config, .. } = loaded(&format!(
        "{NODE}log.retention.minutes=2\nlog.retention.hours=24\nlog.roll.hours=1\n\
         log.flush.scheduler.interval.ms=5\nnaru.durability=os\nlog.cleanup.policy=compact"
    ));
    assert_eq!(config.topic.retention_ms, Some(120_000));
    assert_eq!(config.topic.segment_ms, 3_600_000);
    assert_eq!(config.topic.flush_ms, 5);
    assert_eq!(config.topic.durability, Durability::Os);
    assert!(config.topic.cleanup_policy.compact && !config.topic.cleanup_policy.delete);
    let forever = loaded(&format!("{NODE}log.retention.hours=-1")).config.topic.retention_ms;
    assert_eq!(forever, None);
}

#[test]
fn values_of_all_keys_are_checked_also_of_those_not_read() {
    assert_eq!(
        refused_with("log.cleaner.threads=x"),
        "Invalid value x for configuration log.cleaner.threads: Not a number of type INT"
    );
    assert_eq!(
        refused_with("listener.name.plaintext.max.connections=-1"),
        "Invalid value -1 for configuration max.connections: Value must be at least 0"
    );
    assert_eq!(refused_with("a=\\u1"), "line 5: \\u needs four hexadecimal digits after it");
}

#[test]
fn a_node_must_say_who_it_is() {
    assert_eq!(
        refused("node.id=1"),
        "process.roles: is required; for one node write process.roles=broker,controller"
    );
    assert!(refused("broker.id=1\nzookeeper.connect=z:2181").contains("Kafka before 4.0"));
    assert_eq!(
        refused("process.roles=broker"),
        "node.id: is required with process.roles, for example node.id=1"
    );
    assert_eq!(
        refused("process.roles=broker\nnode.id=1"),
        "controller.listener.names: is required: name the controller's listener, for example CONTROLLER"
    );
    assert_eq!(refused_with("broker.id=2"), "node.id: 1 and broker.id 2 differ; keep one");
    let by_old_name = NODE.replace("node.id", "broker.id");
    assert_eq!(loaded(&by_old_name).config.node_id, BrokerId(1));
    assert_eq!(loaded(&by_old_name).props.get("node.id").map(String::as_str), Some("1"));
}

#[test]
fn listeners_must_fit_each_other() {
    for (more, want) in [
        (
            "listeners=PLAINTEXT://:1,CONTROLLER://:1",
            "listeners: PLAINTEXT and CONTROLLER both use port 1",
        ),
        (
            "listeners=PLAINTEXT://:1,PLAINTEXT://:2,CONTROLLER://:3",
            "listeners: the name PLAINTEXT is there twice",
        ),
        (
            "listeners=PLAINTEXT://:1",
            "controller.listener.names: CONTROLLER is not one of the names in listeners",
        ),
        ("listeners=CONTROLLER://:1", "listeners: there is none for clients"),
        (
            "listeners=localhost:9092",
            "listeners: localhost:9092 is not of the form NAME://host:port, port 0 to 65535",
        ),
        (
            "listeners=PLAINTEXT://h:99999,CONTROLLER://:1",
            "listeners: PLAINTEXT://h:99999 is not of the form NAME://host:port, port 0 to 65535",
        ),
        (
            "listeners=FOO://:1,CONTROLLER://:2",
            "listeners: the listener FOO has no entry in listener.security.protocol.map",
        ),
        (
            "listener.security.protocol.map=PLAINTEXT:TLS",
            "listener.security.protocol.map: TLS is no security protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL",
        ),
        (
            "advertised.listeners=SSL://h:1",
            "advertised.listeners: SSL is not one of the names in listeners",
        ),
        (
            "inter.broker.listener.name=INSIDE",
            "inter.broker.listener.name: INSIDE is not advertised; name one of the advertised listeners",
        ),
        (
            "inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
            "inter.broker.listener.name: cannot be set together with security.inter.broker.protocol; keep one",
        ),
    ] {
        assert_eq!(refused_with(more), want, "{more}");
    }
    for host in ["0.0.0.0", "[::]"] {
        let text = refused_with(&format!("listeners=PLAINTEXT://{host}:1,CONTROLLER://:2"));
        assert!(text.starts_with("advertised.listeners: PLAINTEXT://"), "{text}");
    }
    let controller_at_broker = NODE.replace("broker,controller", "broker");
    assert!(refused(&controller_at_broker).starts_with("listeners: CONTROLLER is a controller's"));
}

#[test]
fn listeners_know_their_protocols_and_addresses() {
    let Loaded { config, .. } = loaded(&format!(
        "{NODE}listeners=in://[::1]:1,Out://h:0,CONTROLLER://:2\n\
         listener.security.protocol.map=in:PLAINTEXT,OUT:sasl_ssl,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=IN\nadvertised.listeners=IN://[::1]:1"
    ));
    assert_eq!(shown(&config.listeners.broker), ["IN://[::1]:1", "OUT://h:0"]);
    assert_eq!(config.listeners.broker[1].protocol, SecurityProtocol::SaslSsl);
    assert_eq!(shown(&config.listeners.advertised), ["IN://[::1]:1"]);
}

#[test]
fn other_keys_must_fit_each_other() {
    for (more, want) in [
        (
            "controller.quorum.voters=2@h:1",
            "controller.quorum.voters: node 1 is a controller and must be among the voters",
        ),
        (
            "controller.quorum.voters=1@h:1,1@h:2",
            "controller.quorum.voters: the id 1 is there twice",
        ),
        (
            "log.retention.ms=0",
            "log.retention.ms: 0 would keep nothing; write -1 for ever or a number above 0",
        ),
        (
            "group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8",
            "group.min.session.timeout.ms: 9 is more than group.max.session.timeout.ms, 8",
        ),
        (
            "max.connections.per.ip.overrides=h",
            "max.connections.per.ip.overrides: h is not of the form host:limit",
        ),
        ("naru.http.listener=8080", "naru.http.listener: 8080 is not of the form host:port"),
        ("request.timeout.ms=-1", "request.timeout.ms: -1 is below 0"),
    ] {
        assert_eq!(refused_with(more), want, "{more}");
    }
}

#[test]
fn topics_are_judged_as_kafka_judges_them() {
    use super::super::TopicConfig;
    let judge = |pairs: &[(&str, &str)]| {
        let own = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        TopicConfig::validate(&own, &Layers::none()).map_err(|error| error.to_string())
    };
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(judge(&[("cleanup.policy", "delete,delete"), ("naru.durability", "os")]), Ok(()));
    assert_eq!(judge(&[("nosuch", "1")]), refused("Unknown topic config name: nosuch"));
    assert_eq!(
        judge(&[("segment.bytes", "1")]),
        refused("Invalid value 1 for configuration segment.bytes: Value must be at least 1048576")
    );
    assert_eq!(
        judge(&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "3")]),
        refused(
            "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (3)"
        )
    );
    assert_eq!(
        judge(&[("remote.storage.enable", "true")]),
        refused(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
        )
    );
}
