//! Joining the cluster: learning its id, registering, and being let in.

use std::sync::Arc;
use std::time::Duration;

use naru_client::net::{Connection, ConnectionOptions};
use naru_model::Uuid;
use naru_model::config::BrokerConfig;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use tokio::runtime::Handle;

use super::Node;
use crate::peer::{Registration, State, register_controller};

/// How long one address may take to say who it is.
const ASK_MAX: Duration = Duration::from_secs(2);
/// Pause before the addresses are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The endpoint type of controllers in DescribeCluster.
const CONTROLLERS: i8 = 2;

/// The id of the cluster that a new, empty node is to join; none if it makes its own.
///
/// A node with bootstrap servers asks them. Static voters that are all new cannot ask anybody:
/// they take an id that follows from the list of voters, which is the same on each of them.
pub(super) fn cluster_id_of(config: &BrokerConfig, runtime: &Handle) -> Option<String> {
    let quorum = &config.quorum;
    if !quorum.voters.is_empty() {
        let is_voter = quorum.voters.iter().any(|voter| voter.id == config.node_id);
        if is_voter {
            return (quorum.voters.len() > 1).then(|| id_of_voters(config));
        }
        let voters = quorum.voters.iter().map(|v| (v.host.clone(), v.port)).collect();
        return Some(runtime.block_on(ask_until_answered(voters)));
    }
    if quorum.bootstrap_servers.is_empty() {
        return None;
    }
    Some(runtime.block_on(ask_until_answered(quorum.bootstrap_servers.clone())))
}

fn id_of_voters(config: &BrokerConfig) -> String {
    let mut voters: Vec<String> = config
        .quorum
        .voters
        .iter()
        .map(|voter| format!("{}@{}:{}", voter.id.0, voter.host, voter.port))
        .collect();
    voters.sort();
    // FNV-1a, 128 bits: the same on every machine and in every release.
    let hash = voters.join(",").bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |h, b| {
        (h ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    Uuid::from_random(hash).to_string()
}

async fn ask_until_answered(addresses: Vec<(String, u16)>) -> String {
    let mut told = false;
    loop {
        for (host, port) in &addresses {
            if let Some(id) = ask(&format!("{host}:{port}")).await {
                return id;
            }
        }
        if !std::mem::replace(&mut told, true) {
            let all: Vec<String> = addresses.iter().map(|(h, p)| format!("{h}:{p}")).collect();
            tracing::warn!("waiting for the cluster: nobody answers at {}", all.join(", "));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn ask(address: &str) -> Option<String> {
    let options = ConnectionOptions {
        client_id: "join".to_owned(),
        connect_timeout: ASK_MAX,
        request_timeout: ASK_MAX,
    };
    let connection = Connection::open(address, options).await.ok()?;
    let request = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
    let version = connection.versions().pick::<DescribeClusterRequest>(i16::MAX).ok()?;
    let response = connection.call(&request, version, Duration::ZERO).await.ok()?;
    (response.error_code == 0 && !response.cluster_id.is_empty()).then_some(response.cluster_id)
}

/// Registers this process in its roles, and waits until the cluster's metadata is known here.
pub(super) fn join(node: &Arc<Node>, incarnation_id: Uuid) {
    let roles = node.config().roles;
    if roles.controller {
        node.background().spawn(register_controller(Arc::clone(node), incarnation_id));
    }
    if roles.broker {
        node.background().spawn(Registration::run(Arc::clone(node)));
        wait_until(node, "a controller to register with", State::Fenced);
        let epoch = node.registration().epoch();
        node.background().block_on(node.metadata().wait_for(|image| {
            image.broker(node.id()).is_some_and(|broker| broker.epoch >= epoch)
        }));
    }
}

/// Asks to be let in, and waits until this node has done what that makes it do.
pub(super) fn serve(node: &Arc<Node>) {
    if !node.config().roles.broker {
        return;
    }
    node.registration().serve();
    wait_until(node, "the controller to let this broker in", State::Serving);
    let id = node.id();
    node.background().block_on(async {
        let metadata = node.metadata();
        metadata.wait_for(|image| image.broker(id).is_some_and(|b| !b.fenced)).await;
        metadata.after_reactions().await;
    });
}

/// Waits, and says for what if it takes long.
fn wait_until(node: &Arc<Node>, what: &str, wanted: State) {
    /// How long nothing is said.
    const QUIET: Duration = Duration::from_secs(3);
    node.background().block_on(async {
        let mut state = node.registration().state();
        let mut stop = node.stopping();
        loop {
            let reached = state.wait_for(|state| *state == wanted || *state == State::Serving);
            tokio::select! {
                _ = reached => return,
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(QUIET) => tracing::warn!("waiting for {what}"),
            }
        }
    });
}
