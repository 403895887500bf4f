//! Files of clusters: roles, voters, listeners of controllers, replication.

use super::super::{ConfigChange, ConfigOp, QuorumConfig, ReplicaSelector, ReplicationThrottle};
use super::super::{SecurityProtocol, ThrottledReplicas, TopicConfig, validate_broker};
use super::*;
use crate::BrokerId;

fn config(text: &str) -> BrokerConfig {
    load(Some(text), [], "/unused").expect("a good file").config
}

fn refused(text: &str) -> String {
    load(Some(text), [], "/unused").expect_err("a bad file").to_string()
}

const BOTH: &str = "process.roles=broker,controller\nnode.id=1\n\
    controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://h:9092,CONTROLLER://h:9093\n";
const BROKER: &str = "process.roles=broker\nnode.id=4\ncontroller.listener.names=CONTROLLER\n\
    listeners=PLAINTEXT://h:9092\n";
const CONTROLLER: &str = "process.roles=controller\nnode.id=1\n\
    controller.listener.names=CONTROLLER\nlisteners=CONTROLLER://h:9093\n";
const VOTERS: &str = "controller.quorum.voters=1@a:9093,2@b:9093,3@[::1]:9093\n";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers=a:9093,[::1]:9094\n";

#[test]
fn times_and_sizes_are_kafkas_when_nobody_sets_them() {
    let config = config(BOTH);
    let want = QuorumConfig {
        voters: Vec::new(),
        bootstrap_servers: Vec::new(),
        auto_join: false,
        election_timeout_ms: 1000,
        election_backoff_max_ms: 1000,
        fetch_timeout_ms: 2000,
        request_timeout_ms: 2000,
        retry_backoff_ms: 20,
        append_linger_ms: 25,
        fetch_max_bytes: 1_048_576,
        fetch_snapshot_max_bytes: 1_048_576,
    };
    assert_eq!(config.quorum, want);
    assert_eq!(config.cluster.heartbeat_interval_ms, 2000);
    assert_eq!(config.cluster.session_timeout_ms, 9000);
    assert_eq!(config.cluster.metadata_max_idle_interval_ms, Some(500));
    assert!(config.cluster.controlled_shutdown_enable && config.cluster.auto_leader_rebalance);
    assert_eq!(config.replication.lag_time_max_ms, 30_000);
    assert_eq!(config.replication.fetch_response_max_bytes, 10_485_760);
    assert_eq!(config.replication.num_fetchers, 1);
    assert_eq!(config.replication.socket_receive_buffer_bytes, None);
    assert_eq!(config.replication.selector, ReplicaSelector::Leader);
    assert_eq!(config.throttle, ReplicationThrottle::default());
}

#[test]
fn a_broker_knows_its_controllers_by_voters_or_by_bootstrap_servers() {
    let by_voters = config(&format!("{BROKER}{VOTERS}"));
    let ids: Vec<i32> = by_voters.quorum.voters.iter().map(|voter| voter.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(by_voters.quorum.has_static_voters());
    let by_servers = config(&format!("{BROKER}{BOOTSTRAP}"));
    let want = [("a".to_owned(), 9093), ("::1".to_owned(), 9094)];
    assert_eq!(by_servers.quorum.bootstrap_servers, want);
    assert!(by_servers.listeners.controller.is_empty());
    assert!(refused(BROKER).starts_with("controller.quorum.bootstrap.servers: a broker without"));
}

#[test]
fn a_controller_may_stand_alone_or_among_voters() {
    let alone = config(CONTROLLER);
    assert!(!alone.roles.broker && alone.listeners.broker.is_empty());
    assert_eq!(alone.listeners.advertised_controller.len(), 1);
    assert_eq!(config(&format!("{CONTROLLER}{VOTERS}")).quorum.voters.len(), 3);
    assert_eq!(
        refused(&format!("{}{VOTERS}", CONTROLLER.replace("node.id=1", "node.id=9"))),
        "controller.quorum.voters: node 9 is a controller and must be among the voters"
    );
    assert_eq!(
        refused(&format!("{}{VOTERS}", BROKER.replace("node.id=4", "node.id=2"))),
        "controller.quorum.voters: node 2 is among the voters, but process.roles has no controller"
    );
}

#[test]
fn a_broker_speaks_to_controllers_by_the_first_of_their_names() {
    let text = format!(
        "{}{BOOTSTRAP}listener.security.protocol.map=\
         PLAINTEXT:PLAINTEXT,INSIDE:SASL_SSL,OLD:SSL\n",
        BROKER.replace("names=CONTROLLER", "names=INSIDE,OLD")
    );
    assert_eq!(config(&text).listeners.controller_protocol, SecurityProtocol::SaslSsl);
    let default = config(&format!("{BROKER}{BOOTSTRAP}")).listeners;
    assert_eq!(default.controller_protocol, SecurityProtocol::Plaintext);
    assert_eq!(default.inter_broker_protocol, SecurityProtocol::Plaintext);
    let missing = format!("{BROKER}{BOOTSTRAP}listener.security.protocol.map=PLAINTEXT:PLAINTEXT");
    assert!(refused(&missing).starts_with(
        "listener.security.protocol.map: CONTROLLER of controller.listener.names has no entry"
    ));
}

#[test]
fn roles_listeners_and_joining_must_fit() {
    for (text, want) in [
        (
            format!("{BROKER}{BOOTSTRAP}listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093"),
            "listeners: CONTROLLER is a controller's listener, but process.roles has no controller",
        ),
        (
            format!("{CONTROLLER}listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093"),
            "listeners: PLAINTEXT is not in controller.listener.names, but process.roles has no broker",
        ),
        (
            format!("{CONTROLLER}inter.broker.listener.name=CONTROLLER"),
            "inter.broker.listener.name: CONTROLLER is a controller's listener, and process.roles has no broker",
        ),
        (
            format!("{BOTH}inter.broker.listener.name=controller"),
            "inter.broker.listener.name: CONTROLLER is a controller's listener; brokers need one of their own",
        ),
        (
            format!("{BROKER}{BOOTSTRAP}controller.quorum.auto.join.enable=true"),
            "controller.quorum.auto.join.enable: only a node whose process.roles contains controller can join the voters",
        ),
        (
            format!("{BOTH}{VOTERS}controller.quorum.auto.join.enable=true"),
            "controller.quorum.auto.join.enable: voters fixed by controller.quorum.voters do not change; keep one of the two",
        ),
        (
            format!("{BOTH}replica.fetch.wait.max.ms=40000\nreplica.socket.timeout.ms=50000"),
            "replica.fetch.wait.max.ms: 40000 is more than replica.lag.time.max.ms, 30000: an idle follower would leave the in-sync set",
        ),
        (
            format!("{BOTH}replica.socket.timeout.ms=400"),
            "replica.socket.timeout.ms: 400 is less than replica.fetch.wait.max.ms, 500: followers would give up while their leader still waits for data",
        ),
        (
            format!("{BOTH}replica.selector.class=com.example.Mine"),
            "replica.selector.class: Mine is not built in; there are org.apache.kafka.common.replica.RackAwareReplicaSelector and org.apache.kafka.common.replica.LeaderSelector",
        ),
        (format!("{BOTH}broker.session.timeout.ms=0"), "broker.session.timeout.ms: 0 is below 1"),
    ] {
        assert_eq!(refused(&text), want);
    }
}

#[test]
fn the_rack_aware_selector_is_known_by_its_class() {
    let class = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let chosen = config(&format!("{BOTH}replica.selector.class={class}")).replication.selector;
    assert_eq!(chosen, ReplicaSelector::RackAware);
}

#[test]
fn replication_rates_are_set_at_run_time_and_unlimited_before() {
    let rates = Props::from([
        ("leader.replication.throttled.rate".to_owned(), "1000".to_owned()),
        ("follower.replication.throttled.rate".to_owned(), "0".to_owned()),
    ]);
    assert_eq!(validate_broker(&rates, true), Ok(()));
    assert_eq!(validate_broker(&rates, false), Ok(()));
    let file = Props::new();
    let layers = Layers { broker: &rates, ..Layers::of_file(&file) };
    let throttle = ReplicationThrottle::resolve(&layers).expect("good rates");
    assert_eq!(throttle.leader_rate, Some(1000));
    assert_eq!(throttle.follower_rate, Some(0));
    assert_eq!(throttle.alter_log_dirs_rate, None);
    let bad = Props::from([("leader.replication.throttled.rate".to_owned(), "-1".to_owned())]);
    let text = validate_broker(&bad, true).expect_err("a negative rate").to_string();
    assert_eq!(
        text,
        "Invalid value -1 for configuration leader.replication.throttled.rate: Value must be at least 0"
    );
    let shown = layers.describe_broker();
    let shown = shown.iter().find(|entry| entry.name == "leader.replication.throttled.rate");
    let shown = shown.expect("what is set is shown");
    assert_eq!(shown.value.as_deref(), Some("1000"));
    // Kafka calls it read-only, although this is the only way to set it.
    assert!(!shown.sensitive && shown.read_only);
}

#[test]
fn topics_name_the_replicas_that_a_throttle_counts_for() {
    let key = "leader.replication.throttled.replicas";
    let topic = |text: &str| {
        let own = Props::from([(key.to_owned(), text.to_owned())]);
        TopicConfig::resolve(&own, &Layers::none()).expect("good").leader_throttled_replicas
    };
    assert_eq!(topic("*"), ThrottledReplicas::All);
    let some = topic("0:1,3:2");
    assert!(some.contains(3, BrokerId(2)) && !some.contains(3, BrokerId(1)));
    assert!(topic("*").contains(9, BrokerId(9)));
    assert!(!TopicConfig::default().leader_throttled_replicas.contains(0, BrokerId(0)));
    // The tools add entries one by one.
    let change =
        ConfigChange { name: key.to_owned(), op: ConfigOp::Append, value: Some("1:1".to_owned()) };
    let current = Props::from([(key.to_owned(), "0:1".to_owned())]);
    let after = super::super::alter(super::super::AlterTarget::Topic, &current, &[change]);
    assert_eq!(after.expect("a list")[key], "0:1,1:1");
}

#[test]
fn settings_of_clusters_are_served() {
    let report = load(Some(&format!("{BOTH}{VOTERS}replica.lag.time.max.ms=9000")), [], "/d");
    let report = report.expect("good").report;
    assert_eq!(report.not_yet, []);
    assert!(report.honoured.contains(&"replica.lag.time.max.ms".to_owned()));
}
