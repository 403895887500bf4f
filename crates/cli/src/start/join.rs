//! `naru start --join HOST:PORT`: a node that finds out by itself what it needs for joining a
//! cluster, writes it down, and starts. The next start of its folder needs no address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use naru_client::admin::{ClusterDescription, FeatureDescription, QuorumDescription};
use naru_client::{Admin, ClientConfig, Error};

use super::cluster::layout::Settings;
use super::cluster::prepare::{is_free, make};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Voters that a cluster should have before another controller need not vote.
const VOTERS: usize = 3;
/// How far apart the ports of nodes on one machine are.
const STEP: u16 = 10;

/// What `naru start --join` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Join {
    /// A broker or a controller of the cluster.
    pub(super) address: String,
    /// Where this node keeps what it has.
    pub(super) folder: PathBuf,
    /// What the others are told about where this node is.
    pub(super) host: String,
    /// Its Kafka port; the next free one if none.
    pub(super) port: Option<u16>,
}

/// What is known of a cluster.
#[derive(Debug)]
struct Known {
    cluster: ClusterDescription,
    quorum: QuorumDescription,
    features: FeatureDescription,
}

/// Makes the node's folder if it is new; its `server.properties`.
pub(super) fn prepare(join: &Join) -> Result<PathBuf, String> {
    let path = join.folder.join("server.properties");
    if path.exists() {
        return Ok(path);
    }
    std::fs::create_dir_all(&join.folder)
        .map_err(|error| format!("{}: {error}", join.folder.display()))?;
    let folder = std::fs::canonicalize(&join.folder)
        .map_err(|error| format!("{}: {error}", join.folder.display()))?;
    let known = ask(&join.address).map_err(|error| format!("--join {}: {error}", join.address))?;
    let port = match join.port {
        Some(port) => port,
        None => free_port().ok_or("there is no free port from 9092 on; choose one with --port")?,
    };
    let settings = settings(&known, join, port, &folder)?;
    make(&folder, settings.id, &settings.text(), &known.cluster.cluster_id, &[])
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join("server.properties"))
}

fn free_port() -> Option<u16> {
    let mut ports = std::iter::successors(Some(9092u16), |port| port.checked_add(STEP));
    ports.find(|port| is_free(*port) && is_free(port + 1))
}

fn settings(known: &Known, join: &Join, port: u16, folder: &Path) -> Result<Settings, String> {
    let Known { cluster, quorum, features } = known;
    let replicas = quorum.voters.iter().chain(&quorum.observers);
    let ids = cluster.brokers.iter().map(|node| node.id).chain(replicas.map(|replica| replica.id));
    let id = ids.max().unwrap_or(0) + 1;
    let controllers: Vec<String> = quorum
        .endpoints
        .iter()
        .filter(|node| quorum.voters.iter().any(|voter| voter.id == node.id))
        .filter_map(|node| node.listeners.first())
        .map(|listener| format!("{}:{}", listener.host, listener.port))
        .collect();
    if controllers.is_empty() {
        return Err("the cluster does not tell where its controllers are; use --config".to_owned());
    }
    // A quorum with fixed voters takes no others.
    let grows = features.finalized.get("kraft.version").is_some_and(|level| *level >= 1);
    let votes = grows && quorum.voters.len() < VOTERS;
    let brokers =
        if cluster.brokers.is_empty() { quorum.voters.len() } else { cluster.brokers.len() };
    Ok(Settings {
        id,
        host: join.host.clone(),
        port,
        controller: votes,
        may_join: votes,
        controllers,
        brokers: brokers + 1,
        data: folder.join("data"),
    })
}

/// Asks a broker, else a controller.
fn ask(address: &str) -> Result<Known, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a current-thread runtime needs only a few file descriptors");
    let mut config = ClientConfig::new(address)?;
    config.connect_timeout = PATIENCE;
    config.request_timeout = PATIENCE;
    config.api_timeout = PATIENCE;
    config.reach_timeout = Duration::ZERO;
    let known = runtime.block_on(async {
        match describe(&Admin::new(config.clone())).await {
            Err(Error::Unreachable { address, source }) => {
                Err(Error::Unreachable { address, source })
            }
            Err(error) => {
                config.to_controllers = true;
                // What the broker said is the better answer if it is no controller either.
                describe(&Admin::new(config)).await.map_err(|_| error)
            }
            known => known,
        }
    });
    runtime.shutdown_background();
    known
}

async fn describe(admin: &Admin) -> Result<Known, Error> {
    let to_controllers = admin.cluster().config().to_controllers;
    Ok(Known {
        cluster: admin.describe_cluster_with(!to_controllers).await?,
        quorum: admin.describe_quorum().await?,
        features: admin.describe_features(None).await?,
    })
}

#[cfg(test)]
mod tests {
    use naru_client::Broker;
    use naru_client::admin::{QuorumNode, QuorumReplica, VoterAddress};
    use naru_model::Uuid;

    use super::*;

    fn known(voters: i32, kraft: i16) -> Known {
        let replica = |id: i32| QuorumReplica {
            id,
            directory_id: Uuid::ZERO,
            log_end: 0,
            last_fetch_ms: None,
            last_caught_up_ms: None,
        };
        let node = |id: i32| QuorumNode {
            id,
            listeners: vec![VoterAddress {
                name: "CONTROLLER".to_owned(),
                host: format!("h{id}"),
                port: 9093,
            }],
        };
        let broker = |id: i32| Broker { id, host: "h".to_owned(), port: 9092, rack: None };
        Known {
            cluster: ClusterDescription {
                cluster_id: "c".to_owned(),
                controller: None,
                brokers: (1..=voters).map(broker).collect(),
                fenced: [].into(),
            },
            quorum: QuorumDescription {
                leader: 1,
                leader_epoch: 1,
                high_watermark: 1,
                voters: (1..=voters).map(replica).collect(),
                observers: vec![replica(7)],
                endpoints: (1..=voters).map(node).collect(),
            },
            features: FeatureDescription {
                finalized: [("kraft.version".to_owned(), kraft)].into(),
                ..FeatureDescription::default()
            },
        }
    }

    fn join() -> Join {
        Join {
            address: "h1:9092".to_owned(),
            folder: "d".into(),
            host: "me".to_owned(),
            port: None,
        }
    }

    #[test]
    fn the_first_to_join_vote_and_get_an_id_that_nobody_has() {
        let made = settings(&known(1, 1), &join(), 9092, Path::new("d")).unwrap();
        assert_eq!((made.id, made.controller, made.may_join), (8, true, true));
        assert_eq!(made.controllers, ["h1:9093"]);
        let text = made.text();
        assert!(text.contains("\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"), "{text}");
        assert!(text.contains("\nadvertised.listeners=PLAINTEXT://me:9092,CONTROLLER://me:9093\n"));
        naru_model::config::load(Some(&text), [], "").unwrap();
        let third = settings(&known(2, 1), &join(), 9092, Path::new("d")).unwrap();
        assert!(third.controller && third.text().contains("default.replication.factor=3"));
    }

    #[test]
    fn enough_voters_and_fixed_voters_get_a_broker() {
        assert!(!settings(&known(3, 1), &join(), 9092, Path::new("d")).unwrap().controller);
        assert!(!settings(&known(1, 0), &join(), 9092, Path::new("d")).unwrap().controller);
        let mut silent = known(3, 1);
        silent.quorum.endpoints.clear();
        assert!(settings(&silent, &join(), 9092, Path::new("d")).unwrap_err().contains("--config"));
    }
}
