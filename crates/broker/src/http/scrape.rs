//! What `/metrics` says, under the names that existing dashboards read (jmx_exporter's rules for
//! Kafka, kafka_exporter) and Naru's own. What it says of partitions and of the cluster is in
//! `cluster_series`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster_series::{Shown, controller_series, partition_series, replica_series};
use crate::metrics::{Counter, Kind, MetricsText, TOPIC_ROWS, TopicMetrics};
use crate::node::Node;
use crate::partition::Partition;

/// Above this many partitions the series of single partitions are left out.
const PER_PARTITION_MAX: usize = 5000;

pub(super) fn scrape(node: &Node) -> String {
    let mut text = MetricsText::default();
    let (partitions, image) = (node.partitions().all(), node.image());
    let shown: Vec<_> = partitions.iter().map(|one| Shown::new(one, &image, node.id())).collect();
    replica_series(&mut text, node, &shown);
    controller_series(&mut text, node);
    node_series(&mut text, node);
    topic_series(&mut text, node, &partitions);
    if shown.len() <= PER_PARTITION_MAX {
        partition_series(&mut text, node, &shown);
    }
    cleaner_series(&mut text, node);
    request_series(&mut text, node);
    quota_series(&mut text, node);
    telemetry_series(&mut text, node);
    process_series(&mut text, node);
    text.finish()
}

fn node_series(text: &mut MetricsText, node: &Node) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        text.single(name, Kind::Gauge, help, value);
    };
    let offline_dirs = node.offline_dir_count() as u64;
    gauge("kafka_log_logmanager_offlinelogdirectorycount", "Directories failed.", offline_dirs);
    let connections = node.connections().count() as u64;
    gauge("naru_connections", "Client connections open.", connections);
    let (sessions, followed) = node.fetch_sessions().counts();
    gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Kept.", sessions as u64);
    gauge(
        "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached",
        "In sessions.",
        followed as u64,
    );
    let (sessions, followed, shared) = node.share().counts();
    gauge("kafka_server_sharesessioncache_sharesessionscount", "Sessions.", sessions as u64);
    gauge("kafka_server_sharesessioncache_sharepartitionscount", "In sessions.", followed as u64);
    gauge("naru_share_partitions", "Partitions of share groups led here.", shared as u64);
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
}

fn cleaner_series(text: &mut MetricsText, node: &Node) {
    let told = node.cleaner().metrics();
    let manager = "kafka_log_logcleanermanager";
    let rows = [
        (format!("{manager}_max_dirty_percent"), "Of the dirtiest log.", told.max_dirty_percent),
        (
            format!("{manager}_time_since_last_run_ms"),
            "Since a log to compact was looked for.",
            told.since_last_run_ms,
        ),
        (
            "kafka_log_logcleaner_max_compaction_delay_secs".to_owned(),
            "How long a record waits beyond max.compaction.lag.ms.",
            told.max_compaction_delay_s,
        ),
        (
            "kafka_log_logcleaner_cleaner_recopy_percent".to_owned(),
            "What the last compaction left.",
            told.recopy_percent,
        ),
        (
            "kafka_log_logcleaner_max_clean_time_secs".to_owned(),
            "How long the last compaction took.",
            told.clean_time_s,
        ),
        (
            "kafka_log_logcleaner_max_buffer_utilization_percent".to_owned(),
            "Memory for keys that it used.",
            told.buffer_percent,
        ),
        ("kafka_log_logcleaner_deadthreadcount".to_owned(), "They are started again.", 0),
    ];
    for (name, help, value) in rows {
        text.single(&name, Kind::Gauge, help, value);
    }
    text.single("naru_compactions_total", Kind::Counter, "Logs compacted.", told.rounds);
    text.single(
        "naru_compaction_freed_bytes_total",
        Kind::Counter,
        "Bytes that compaction has freed.",
        told.freed_bytes,
    );
    let bad = node.cleaner().uncleanable();
    type Row = (&'static str, &'static str, fn(&Partition) -> u64);
    const ROWS: [Row; 2] = [
        ("uncleanable_partitions_count", "Damaged, so not compacted.", |_| 1),
        ("uncleanable_bytes", "Of logs that are not compacted.", Partition::size),
    ];
    for (name, help, value) in ROWS {
        text.family(&format!("{manager}_{name}"), Kind::Gauge, help);
        for dir in node.log_dirs() {
            let here = bad.iter().filter(|partition| partition.is_in(dir.path()));
            let total: u64 = here.map(|partition| value(partition)).sum();
            text.sample(&[("logDirectory", &dir.path().display().to_string())], total);
        }
    }
}

fn request_series(text: &mut MetricsText, node: &Node) {
    text.family("kafka_network_requestmetrics_requests_total", Kind::Counter, "Requests by API.");
    for (api, total) in node.metrics().requests().filter(|(_, total)| *total > 0) {
        text.sample(&[("request", api.name())], total);
    }
}

fn quota_series(text: &mut MetricsText, node: &Node) {
    let told = node.quotas().told_of();
    text.family("naru_throttled_requests_total", Kind::Counter, "Told to wait, by quota.");
    for (kind, count, ..) in told {
        text.sample(&[("quota", kind.key())], count);
    }
    text.family("naru_throttle_seconds_total", Kind::Counter, "Told to wait in all, by quota.");
    for (kind, _, ms, _) in told {
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        text.float(&[("quota", kind.key())], ms as f64 / 1000.0);
    }
    text.family("naru_quota_clients", Kind::Gauge, "Clients whose rates are measured, by quota.");
    for (kind, .., clients) in told {
        text.sample(&[("quota", kind.key())], clients as u64);
    }
}

/// What clients have pushed (KIP-714), under the names of their metrics.
fn telemetry_series(text: &mut MetricsText, node: &Node) {
    let told = node.telemetry().counts();
    let rows = [
        ("naru_client_metrics_instances", Kind::Gauge, "Clients known.", told.instances as u64),
        ("naru_client_metrics_series", Kind::Gauge, "Series kept.", told.series as u64),
        (
            "naru_client_metrics_dropped_total",
            Kind::Counter,
            "Points left out: too many series.",
            told.dropped,
        ),
        (
            "naru_client_metrics_throttled_total",
            Kind::Counter,
            "Requests before their time.",
            told.throttled,
        ),
        (
            "naru_client_metrics_unknown_subscription_total",
            Kind::Counter,
            "Pushes of what is not asked any more.",
            told.unknown_subscriptions,
        ),
    ];
    for (name, kind, help, value) in rows {
        text.single(name, kind, help, value);
    }
    for (name, series) in node.telemetry().families(node.now()) {
        let counts = series.iter().all(|one| one.counts);
        let kind = if counts { Kind::Counter } else { Kind::Gauge };
        text.family(&name, kind, "Pushed by clients (KIP-714).");
        for one in series {
            let labels: Vec<(&str, &str)> =
                one.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            text.float(&labels, one.value);
        }
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
