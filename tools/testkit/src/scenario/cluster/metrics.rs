//! What the nodes' `/metrics` say while one of them is dead, as a dashboard would add it up.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::tools::TOPIC;
use crate::cluster::metrics::Metrics;
use crate::cluster::{Cluster, Layout, view};
use crate::probe;

const PATIENCE: Duration = Duration::from_secs(60);
/// A topic with one replica each, so that a dead node leaves partitions without a leader.
const LONELY: &str = "lonely";
const LONELY_PARTITIONS: i32 = 6;

const LED: &str = "kafka_server_replicamanager_leadercount";
const HELD: &str = "kafka_server_replicamanager_partitioncount";
const OFFLINE_REPLICAS: &str = "kafka_server_replicamanager_offlinereplicacount";
const UNDER_REPLICATED: &str = "kafka_server_replicamanager_underreplicatedpartitions";
const UNDER_MIN_ISR: &str = "kafka_server_replicamanager_underminisrpartitioncount";
const ACTIVE: &str = "kafka_controller_kafkacontroller_activecontrollercount";
const LEADERLESS: &str = "kafka_controller_kafkacontroller_offlinepartitionscount";
const ALL_PARTITIONS: &str = "kafka_controller_kafkacontroller_globalpartitioncount";
const ALIVE: &str = "kafka_controller_kafkacontroller_activebrokercount";
const FENCED: &str = "kafka_controller_kafkacontroller_fencedbrokercount";
const BROKERS: &str = "kafka_brokers";

/// Where the nodes tell their metrics.
pub(super) struct Watch {
    ports: Vec<u16>,
}

/// The metrics of all running nodes.
struct Scrapes(Vec<Metrics>);

impl Scrapes {
    fn sum(&self, family: &str) -> f64 {
        self.0.iter().map(|metrics| metrics.sum(family)).sum()
    }

    fn expect(&self, family: &str, expected: usize) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let expected = expected as f64;
        let found = self.sum(family);
        ensure!((found - expected).abs() < 0.5, "{family}: {found}, not {expected}");
        Ok(())
    }

    fn expect_of_topic(&self, family: &str, topic: &str, expected: usize) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let expected = expected as f64;
        let found: f64 = self.0.iter().map(|metrics| metrics.sum_of_topic(family, topic)).sum();
        ensure!((found - expected).abs() < 0.5, "{family} of {topic}: {found}, not {expected}");
        Ok(())
    }

    /// Told by the active controller alone.
    fn expect_once(&self, family: &str, expected: usize) -> Result<()> {
        let told = self.0.iter().filter(|metrics| metrics.get(family).is_some()).count();
        ensure!(told == 1, "{told} nodes tell {family}");
        self.expect(family, expected)
    }
}

impl Watch {
    /// Gives every node an HTTP listener.
    pub(super) fn prepare(layout: &mut Layout) -> Result<Self> {
        let mut ports = Vec::new();
        for node in &mut layout.nodes {
            let port = probe::free_port()?;
            node.properties.push(("naru.http.listener".to_owned(), format!("127.0.0.1:{port}")));
            ports.push(port);
        }
        Ok(Self { ports })
    }

    fn scrape(&self, cluster: &mut Cluster) -> Result<Scrapes> {
        let port = |id: i32| {
            let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
            index.and_then(|index| self.ports.get(index)).copied()
        };
        let ids = cluster.running();
        let ports = ids.into_iter().map(|id| port(id).context("no port"));
        ports.map(|port| Metrics::scrape(port?)).collect::<Result<_>>().map(Scrapes)
    }

    /// The sum of a family over all nodes.
    pub(super) fn sum(&self, cluster: &mut Cluster, family: &str) -> Result<f64> {
        self.scrape(cluster).map(|scrapes| scrapes.sum(family))
    }

    /// All nodes are there and nothing is missing.
    pub(super) fn whole(&self, cluster: &mut Cluster) -> Result<()> {
        lonely(cluster)?;
        let nodes = cluster.ids().len();
        cluster.wait("metrics of a whole cluster", PATIENCE, |cluster| {
            let scrapes = self.scrape(cluster)?;
            let all = partitions(cluster)?;
            scrapes.expect(ACTIVE, 1)?;
            scrapes.expect_once(ALL_PARTITIONS, all.len())?;
            scrapes.expect_once(LEADERLESS, 0)?;
            scrapes.expect_once(ALIVE, nodes)?;
            scrapes.expect_once(FENCED, 0)?;
            scrapes.expect_once(BROKERS, nodes)?;
            scrapes.expect(LED, all.len())?;
            scrapes.expect(HELD, all.iter().map(|one| one.replicas.len()).sum())?;
            for calm in [UNDER_REPLICATED, UNDER_MIN_ISR, OFFLINE_REPLICAS] {
                scrapes.expect(calm, 0)?;
            }
            Ok(())
        })
    }

    /// Node `dead` is gone, and was missed.
    pub(super) fn broken(&self, cluster: &mut Cluster, dead: i32) -> Result<()> {
        let alive = cluster.running().len();
        cluster.wait("metrics of a broken cluster", PATIENCE, |cluster| {
            let scrapes = self.scrape(cluster)?;
            let all = partitions(cluster)?;
            let copied = || all.iter().filter(|one| one.replicas.len() > 1);
            let missing = copied().filter(|one| one.replicas.contains(&dead)).count();
            let alone: Vec<_> = all.iter().filter(|one| one.replicas == [dead]).collect();
            ensure!(missing > 0 && !alone.is_empty(), "node {dead} had nothing");
            ensure!(alone.iter().all(|one| one.leader < 0), "a dead node leads");
            scrapes.expect(ACTIVE, 1)?;
            scrapes.expect_once(LEADERLESS, alone.len())?;
            scrapes.expect_once(ALIVE, alive)?;
            scrapes.expect_once(FENCED, 1)?;
            scrapes.expect_once(BROKERS, alive)?;
            scrapes.expect(LED, all.len() - alone.len())?;
            scrapes.expect(UNDER_REPLICATED, missing)?;
            scrapes.expect("kafka_cluster_partition_underreplicated", missing)?;
            scrapes.expect("kafka_topic_partition_under_replicated_partition", missing)?;
            // min.insync.replicas is 2, and two of three are left.
            let of_topic = cluster.topic(TOPIC)?.partitions.len();
            scrapes.expect_of_topic("kafka_cluster_partition_atminisr", TOPIC, of_topic)?;
            scrapes.expect_of_topic("kafka_cluster_partition_underminisr", TOPIC, 0)
        })
    }
}

fn lonely(cluster: &mut Cluster) -> Result<()> {
    const ALREADY_EXISTS: i16 = 36;
    let port = |port| view::create_topic(port, LONELY, LONELY_PARTITIONS, 1);
    cluster.wait("the lonely topic", PATIENCE, |cluster| match cluster.any_broker(port)? {
        0 | ALREADY_EXISTS => Ok(()),
        error => bail!("error {error}"),
    })
}

/// Every partition of the cluster.
fn partitions(cluster: &mut Cluster) -> Result<Vec<view::PartitionView>> {
    cluster.any_broker(view::every_partition)
}
