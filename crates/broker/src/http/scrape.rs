//! What `/metrics` says, under the names that existing dashboards read (jmx_exporter's rules for
//! Kafka, kafka_exporter) and Naru's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metrics::{Counter, Kind, MetricsText, TOPIC_ROWS, TopicMetrics};
use crate::node::Node;
use crate::partition::Partition;

/// Above this many partitions the series of single partitions are left out.
const PER_PARTITION_MAX: usize = 5000;

pub(super) fn scrape(node: &Node) -> String {
    let mut text = MetricsText::default();
    let partitions = node.partitions().all();
    node_series(&mut text, node, &partitions);
    topic_series(&mut text, node, &partitions);
    if partitions.len() <= PER_PARTITION_MAX {
        partition_series(&mut text, &partitions);
    }
    request_series(&mut text, node);
    process_series(&mut text, node);
    text.finish()
}

fn node_series(text: &mut MetricsText, node: &Node, partitions: &[Arc<Partition>]) {
    let count = partitions.len() as u64;
    let offline = partitions.iter().filter(|partition| partition.is_offline()).count() as u64;
    let topics = node.image().topic_count() as u64;
    let mut gauge = |name: &str, help: &str, value: u64| {
        text.single(name, Kind::Gauge, help, value);
    };
    gauge("kafka_server_replicamanager_leadercount", "Partitions led here.", count);
    gauge("kafka_server_replicamanager_partitioncount", "Partitions held here.", count);
    gauge("kafka_server_replicamanager_offlinereplicacount", "Replicas not readable.", offline);
    gauge("kafka_server_replicamanager_underreplicatedpartitions", "Replicas are missing.", 0);
    gauge("kafka_server_replicamanager_underminisrpartitioncount", "ISR below the minimum.", 0);
    gauge("kafka_controller_kafkacontroller_activecontrollercount", "1 on the leader.", 1);
    gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "No leader.", offline);
    gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics in all.", topics);
    gauge("kafka_controller_kafkacontroller_globalpartitioncount", "In all.", count);
    gauge("kafka_controller_kafkacontroller_activebrokercount", "Brokers not fenced.", 1);
    gauge("kafka_controller_kafkacontroller_fencedbrokercount", "Brokers fenced.", 0);
    let offline_dirs = node.offline_dir_count() as u64;
    gauge("kafka_log_logmanager_offlinelogdirectorycount", "Directories failed.", offline_dirs);
    gauge("kafka_server_kafkaserver_brokerstate", "3 is running.", 3);
    gauge("kafka_brokers", "Brokers in the cluster.", 1);
    let connections = node.connections().count() as u64;
    gauge("naru_connections", "Client connections open.", connections);
    let (sessions, followed) = node.fetch_sessions().counts();
    gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Kept.", sessions as u64);
    gauge(
        "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached",
        "In sessions.",
        followed as u64,
    );
    let metrics = node.metrics();
    let mut counter = |name: &str, help: &str, counter: &Counter| {
        text.single(name, Kind::Counter, help, counter.total());
    };
    counter("naru_log_flushes_total", "Syncs of log files.", &metrics.log_flushes);
    counter(
        "naru_refused_connections_total",
        "Closed for their bytes.",
        &metrics.refused_connections,
    );
    text.family("naru_log_flush_seconds_total", Kind::Counter, "Time spent syncing log files.");
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    text.float(&[], metrics.log_flush_micros.total() as f64 / 1e6);
    text.family("naru_build_info", Kind::Gauge, "The version that runs.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn topic_series(text: &mut MetricsText, node: &Node, partitions: &[Arc<Partition>]) {
    let by_topic: BTreeMap<&str, &Arc<TopicMetrics>> =
        partitions.iter().map(|partition| (partition.topic(), partition.metrics())).collect();
    for (name, help, counter) in TOPIC_ROWS {
        let family = format!("kafka_server_brokertopicmetrics_{name}_total");
        text.family(&family, Kind::Counter, help);
        let mut sum = counter(&node.metrics().deleted_topics).total();
        for (topic, metrics) in &by_topic {
            let total = counter(metrics).total();
            sum += total;
            text.sample(&[("topic", topic)], total);
        }
        text.sample(&[], sum);
    }
    text.family("kafka_topic_partitions", Kind::Gauge, "Partitions of a topic.");
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for partition in partitions {
        *counts.entry(partition.topic()).or_default() += 1;
    }
    for (topic, count) in counts {
        text.sample(&[("topic", topic)], count);
    }
}

fn partition_series(text: &mut MetricsText, partitions: &[Arc<Partition>]) {
    type Row = (&'static str, &'static str, fn(&Partition) -> i64);
    const ROWS: &[Row] = &[
        ("kafka_log_log_size", "Bytes of the log.", |p| p.size().cast_signed()),
        ("kafka_log_log_logstartoffset", "First offset.", |p| p.log_start().0),
        ("kafka_log_log_logendoffset", "Offset after the last record.", |p| p.log_end().0),
        ("kafka_log_log_numlogsegments", "Segments.", |p| p.segment_count().cast_signed()),
        ("kafka_topic_partition_current_offset", "High watermark.", |p| p.high_watermark().0),
        ("kafka_topic_partition_oldest_offset", "First offset.", |p| p.log_start().0),
        ("kafka_topic_partition_in_sync_replica", "Replicas in sync.", |_| 1),
        ("kafka_topic_partition_replicas", "Replicas.", |_| 1),
        ("kafka_topic_partition_under_replicated_partition", "1 if one is missing.", |_| 0),
        ("kafka_topic_partition_leader_is_preferred", "1 if the first replica leads.", |_| 1),
        ("kafka_cluster_partition_underreplicated", "1 if one is missing.", |_| 0),
    ];
    for (name, help, value) in ROWS {
        text.family(name, Kind::Gauge, help);
        for partition in partitions {
            let index = partition.index().to_string();
            let labels = [("topic", partition.topic()), ("partition", &index)];
            text.sample(&labels, value(partition));
        }
    }
}

fn request_series(text: &mut MetricsText, node: &Node) {
    text.family("kafka_network_requestmetrics_requests_total", Kind::Counter, "Requests by API.");
    for (api, total) in node.metrics().requests().filter(|(_, total)| *total > 0) {
        text.sample(&[("request", api.name())], total);
    }
}

fn process_series(text: &mut MetricsText, node: &Node) {
    let usage = ProcessUsage::read();
    text.family("process_cpu_seconds_total", Kind::Counter, "CPU time used.");
    text.float(&[], usage.cpu_seconds);
    text.single(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory in RAM.",
        usage.resident_bytes,
    );
    text.single("process_open_fds", Kind::Gauge, "Open file descriptors.", usage.open_fds);
    text.single("process_max_fds", Kind::Gauge, "File descriptors allowed.", usage.fds_max);
    text.family("process_start_time_seconds", Kind::Gauge, "When the node started.");
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    text.float(&[], node.started_at().0 as f64 / 1000.0);
}

/// What the kernel says of this process.
struct ProcessUsage {
    cpu_seconds: f64,
    resident_bytes: u64,
    open_fds: u64,
    fds_max: u64,
}

impl ProcessUsage {
    fn read() -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        let cpu_seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            cpu_seconds,
            resident_bytes: pages * rustix::param::page_size() as u64,
            open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count() as u64),
            fds_max: fds.current.unwrap_or(u64::MAX),
        }
    }
}
