//! What `/metrics` says of partitions, brokers and the quorum.
//!
//! Dashboards add up what the nodes say, so nothing is told twice: what is true of the cluster is
//! told by the active controller alone, what is true of a partition by its leader. Every node
//! tells what it holds itself.

use naru_controller::MetadataImage;
use naru_controller::image::PartitionImage;

use crate::metrics::{Kind, MetricsText};
use crate::node::Node;
use crate::partition::Partition;

/// Kafka's `BrokerState`.
const STARTING: u64 = 1;
const RUNNING: u64 = 3;
const STOPPING: u64 = 6;

/// A replica of this node as it is shown.
pub(super) struct Shown<'a> {
    partition: &'a Partition,
    index: String,
    leads: bool,
    under_min_isr: bool,
    at_min_isr: bool,
    in_sync: usize,
    replicas: usize,
    is_preferred: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn new(partition: &'a Partition, image: &MetadataImage, here: i32) -> Self {
        let replica = partition.replica();
        let state = image.partition(partition.topic(), partition.index());
        Self {
            partition,
            index: partition.index().to_string(),
            leads: replica.is_leader(),
            under_min_isr: replica.is_under_min_isr(),
            at_min_isr: replica.is_at_min_isr(),
            in_sync: replica.isr().len(),
            replicas: state.map_or(0, |state| replication_factor(state)),
            is_preferred: state.is_some_and(|state| state.replicas.first() == Some(&here)),
        }
    }

    fn is_under_replicated(&self) -> bool {
        self.leads && self.in_sync < self.replicas
    }

    /// What only a leader knows; 0 elsewhere, as Kafka has it.
    fn of_leader(&self, count: usize) -> i64 {
        if self.leads { i64::try_from(count).unwrap_or(i64::MAX) } else { 0 }
    }
}

/// Replicas that a partition is to have: one that a reassignment adds does not count yet.
fn replication_factor(state: &PartitionImage) -> usize {
    state.replicas.iter().filter(|id| !state.adding_replicas.contains(id)).count()
}

/// What this node holds, and what it knows of the replicas of those that it leads.
pub(super) fn replica_series(text: &mut MetricsText, node: &Node, shown: &[Shown<'_>]) {
    let count = |what: fn(&Shown<'_>) -> bool| shown.iter().filter(|one| what(one)).count() as u64;
    let mut gauge = |name: &str, help: &str, value: u64| {
        let name = format!("kafka_server_replicamanager_{name}");
        text.single(&name, Kind::Gauge, help, value);
    };
    gauge("leadercount", "Partitions led here.", count(|one| one.leads));
    gauge("partitioncount", "Partitions held here.", shown.len() as u64);
    gauge("offlinereplicacount", "Replicas of this node not in service.", offline_replicas(node));
    gauge(
        "underreplicatedpartitions",
        "Led here, and replicas are not in sync.",
        count(|one| one.is_under_replicated()),
    );
    gauge(
        "underminisrpartitioncount",
        "Led here, with fewer replicas in sync than acks=all needs.",
        count(|one| one.under_min_isr),
    );
    gauge(
        "atminisrpartitioncount",
        "Led here, with just as many replicas in sync as acks=all needs.",
        count(|one| one.at_min_isr),
    );
    let metrics = node.metrics();
    for (name, help, counter) in [
        ("isrshrinks", "Replicas fell out of ISRs of partitions led here.", &metrics.isr_shrinks),
        ("isrexpands", "Replicas came back into ISRs.", &metrics.isr_expands),
    ] {
        let name = format!("kafka_server_replicamanager_{name}_total");
        text.single(&name, Kind::Counter, help, counter.total());
    }
    let state = match node.not_ready_because() {
        None => RUNNING,
        Some("stopping") => STOPPING,
        Some(_) => STARTING,
    };
    let help = "1 starting, 3 running, 6 stopping.";
    text.single("kafka_server_kafkaserver_brokerstate", Kind::Gauge, help, state);
}

/// Replicas that this node should hold and cannot serve: their directory has failed, their log
/// could not be opened, or the disk has refused it.
fn offline_replicas(node: &Node) -> u64 {
    let (image, here) = (node.image(), node.id());
    let Some(broker) = image.broker(here) else { return 0 };
    let mut count = 0;
    for topic in image.topics() {
        for (index, state) in topic.partitions.iter() {
            if !state.replicas.contains(&here) {
                continue;
            }
            let serves = broker.has_online_dir(state.directory_of(here))
                && !node.is_not_opened(topic.id, *index)
                && node.partitions().by_id(topic.id, *index).is_ok_and(|held| !held.is_offline());
            count += u64::from(!serves);
        }
    }
    count
}

/// The quorum as this node sees it, and, if it is the active controller, the cluster.
pub(super) fn controller_series(text: &mut MetricsText, node: &Node) {
    let leadership = node.metadata().leadership().borrow().clone();
    let image = node.image();
    let mut raft = |name: &str, help: &str, value: i64| {
        let name = format!("kafka_server_raftmetrics_{name}");
        text.single(&name, Kind::Gauge, help, value);
    };
    let leader = leadership.leader.map_or(-1, i64::from);
    raft("current_leader", "Leader of the metadata quorum, -1 if none is known.", leader);
    raft("current_epoch", "Its epoch.", leadership.epoch.into());
    raft("high_watermark", "Committed metadata that this node has applied.", image.end_offset());
    raft("number_of_voters", "Voters of the metadata quorum.", leadership.voters as i64);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let name = format!("kafka_controller_kafkacontroller_{name}");
        text.single(&name, Kind::Gauge, help, value);
    };
    let active = leadership.active_here;
    gauge("activecontrollercount", "1 at the active controller.", u64::from(active));
    if active {
        let seen = Seen::of(&image);
        gauge("offlinepartitionscount", "Partitions without a leader.", seen.leaderless);
        gauge("preferredreplicaimbalancecount", "Not led by the first.", seen.not_preferred);
        gauge("globaltopiccount", "Topics in all.", image.topic_count() as u64);
        gauge("globalpartitioncount", "Partitions in all.", seen.partitions);
        gauge("activebrokercount", "Brokers not fenced.", seen.alive);
        gauge("fencedbrokercount", "Brokers fenced.", seen.fenced);
        text.single("kafka_brokers", Kind::Gauge, "Brokers in the cluster.", seen.alive);
        text.family("kafka_topic_partitions", Kind::Gauge, "Partitions of a topic.");
        for topic in image.topics() {
            text.sample(&[("topic", &*topic.name)], topic.partitions.len() as u64);
        }
    }
    text.single(
        "kafka_controller_controllerstats_uncleanleaderelections_total",
        Kind::Counter,
        "Leaders elected out of sync while this node was the active controller.",
        node.metadata().unclean_elections(),
    );
}

/// What the active controller counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    partitions: u64,
    leaderless: u64,
    not_preferred: u64,
    alive: u64,
    fenced: u64,
}

impl Seen {
    fn of(image: &MetadataImage) -> Self {
        let mut seen = Self::default();
        for state in image.topics().flat_map(|topic| topic.partitions.values()) {
            seen.partitions += 1;
            seen.leaderless += u64::from(state.leader.is_none());
            seen.not_preferred += u64::from(state.leader != state.replicas.first().copied());
        }
        for broker in image.brokers() {
            *(if broker.fenced { &mut seen.fenced } else { &mut seen.alive }) += 1;
        }
        seen
    }
}

/// Series of single partitions.
pub(super) fn partition_series(text: &mut MetricsText, node: &Node, shown: &[Shown<'_>]) {
    type Row = (&'static str, &'static str, fn(&Shown<'_>) -> i64);
    const HELD: &[Row] = &[
        ("kafka_log_log_size", "Bytes of the log.", |one| one.partition.size().cast_signed()),
        ("kafka_log_log_logstartoffset", "First offset.", |one| one.partition.log_start().0),
        ("kafka_log_log_logendoffset", "Offset after the last record.", |one| {
            one.partition.log_end().0
        }),
        ("kafka_log_log_numlogsegments", "Segments.", |one| {
            one.partition.segment_count().cast_signed()
        }),
        ("kafka_cluster_partition_underreplicated", "1 if replicas are not in sync.", |one| {
            one.is_under_replicated().into()
        }),
        ("kafka_cluster_partition_underminisr", "1 below min.insync.replicas.", |one| {
            one.under_min_isr.into()
        }),
        ("kafka_cluster_partition_atminisr", "1 at min.insync.replicas.", |one| {
            one.at_min_isr.into()
        }),
        ("kafka_cluster_partition_insyncreplicascount", "In sync; 0 on a follower.", |one| {
            one.of_leader(one.in_sync)
        }),
        ("kafka_cluster_partition_replicascount", "Replicas; 0 on a follower.", |one| {
            one.of_leader(one.replicas)
        }),
    ];
    const LED: &[Row] = &[
        ("kafka_topic_partition_current_offset", "High watermark.", |one| {
            one.partition.high_watermark().0
        }),
        ("kafka_topic_partition_oldest_offset", "First offset.", |one| one.partition.log_start().0),
        ("kafka_topic_partition_in_sync_replica", "Replicas in sync.", |one| {
            one.of_leader(one.in_sync)
        }),
        ("kafka_topic_partition_replicas", "Replicas.", |one| one.of_leader(one.replicas)),
        ("kafka_topic_partition_under_replicated_partition", "1 if not all are in sync.", |one| {
            one.is_under_replicated().into()
        }),
        ("kafka_topic_partition_leader_is_preferred", "1 if the first replica leads.", |one| {
            one.is_preferred.into()
        }),
    ];
    let mut family = |(name, help, value): &Row, leaders_only: bool| {
        text.family(name, Kind::Gauge, help);
        for one in shown.iter().filter(|one| one.leads || !leaders_only) {
            let labels = [("topic", one.partition.topic()), ("partition", &*one.index)];
            text.sample(&labels, value(one));
        }
    };
    HELD.iter().for_each(|row| family(row, false));
    LED.iter().for_each(|row| family(row, true));
    text.family("kafka_topic_partition_leader", Kind::Gauge, "The leader's id.");
    for one in shown.iter().filter(|one| one.leads) {
        let labels = [("topic", one.partition.topic()), ("partition", &*one.index)];
        text.sample(&labels, node.id());
    }
}
