//! Joining the cluster: learning its id, registering, and being let in.

use std::sync::Arc;
use std::time::Duration;

use naru_client::net::{Connection, ConnectionOptions};
use naru_model::Uuid;
use naru_model::config::BrokerConfig;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use tokio::runtime::Handle;

use super::start::GivenUp;
use super::{Node, StartError, fitness};
use crate::peer::{Registration, State, address, register_controller};
use crate::security::Links;

/// How long one address may take to say who it is.
const ASK_MAX: Duration = Duration::from_secs(2);
/// Pause before the addresses are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// What a new node waits for first.
const ANSWER: &str = "an answer from the cluster";
/// The endpoint type of controllers in DescribeCluster.
const CONTROLLERS: i8 = 2;

/// Waiting for others, until somebody has had enough of it.
#[derive(Debug)]
pub(super) struct Patience {
    runtime: Handle,
    given_up: GivenUp,
}

impl Patience {
    pub(super) fn new(runtime: Handle, given_up: GivenUp) -> Self {
        Self { runtime, given_up }
    }

    /// Waits for `what`, and says so if it takes long.
    pub(super) fn wait<T>(
        &self,
        what: &'static str,
        waiting: impl Future<Output = T>,
    ) -> Result<T, StartError> {
        /// How long nothing is said.
        const QUIET: Duration = Duration::from_secs(3);
        let mut given_up = self.given_up.clone();
        self.runtime.block_on(async move {
            let mut waiting = std::pin::pin!(waiting);
            loop {
                tokio::select! {
                    done = &mut waiting => return Ok(done),
                    Ok(_) = given_up.wait_for(|given_up| *given_up) => {
                        return Err(StartError::GivenUp(what));
                    }
                    () = tokio::time::sleep(QUIET) => tracing::warn!("waiting for {what}"),
                }
            }
        })
    }
}

/// The id of the cluster that a new, empty node is to join; none if it makes its own.
///
/// A node with bootstrap servers asks them. Static voters that are all new cannot ask anybody:
/// they take an id that follows from the list of voters, which is the same on each of them.
pub(super) fn cluster_id_of(
    config: &BrokerConfig,
    links: &Links,
    patience: &Patience,
) -> Result<Option<String>, StartError> {
    let quorum = &config.quorum;
    if !quorum.voters.is_empty() {
        let is_voter = quorum.voters.iter().any(|voter| voter.id == config.node_id);
        if is_voter {
            return Ok((quorum.voters.len() > 1).then(|| id_of_voters(config)));
        }
        let voters = quorum.voters.iter().map(|v| (v.host.clone(), v.port)).collect();
        return patience.wait(ANSWER, ask_until_answered(voters, links)).map(Some);
    }
    if quorum.bootstrap_servers.is_empty() {
        return Ok(None);
    }
    patience.wait(ANSWER, ask_until_answered(quorum.bootstrap_servers.clone(), links)).map(Some)
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

async fn ask_until_answered(addresses: Vec<(String, u16)>, links: &Links) -> String {
    loop {
        for (host, port) in &addresses {
            if let Some(id) = ask(&address(host, *port), links).await {
                return id;
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn ask(address: &str, links: &Links) -> Option<String> {
    let options = ConnectionOptions {
        client_id: "join".to_owned(),
        connect_timeout: ASK_MAX,
        request_timeout: ASK_MAX,
        security: Arc::clone(&links.to_controllers),
    };
    let connection = Connection::open(address, options).await.ok()?;
    let request = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
    let version = connection.versions().pick::<DescribeClusterRequest>(i16::MAX).ok()?;
    let response = connection.call(&request, version, Duration::ZERO).await.ok()?;
    (response.error_code == 0 && !response.cluster_id.is_empty()).then_some(response.cluster_id)
}

/// Registers this process in its roles, and waits until the cluster's metadata is known here.
pub(super) fn join(
    node: &Arc<Node>,
    incarnation_id: Uuid,
    patience: &Patience,
) -> Result<(), StartError> {
    let roles = node.config().roles;
    if roles.controller {
        node.background().spawn(register_controller(Arc::clone(node), incarnation_id));
    }
    if roles.broker {
        node.background().spawn(Registration::run(Arc::clone(node)));
        let mut state = node.registration().state();
        let registered = state.wait_for(|state| *state != State::Unknown);
        // The sender lives as long as the node.
        patience.wait("a controller to register with", registered).map(drop)?;
        let epoch = node.registration().epoch();
        let known = node
            .metadata()
            .wait_for(|image| image.broker(node.id()).is_some_and(|broker| broker.epoch >= epoch));
        patience.wait("the cluster's metadata", known)?;
    }
    Ok(())
}

/// Asks to be let in, and waits until this node has done what that makes it do.
pub(super) fn serve(node: &Arc<Node>, patience: &Patience) -> Result<(), StartError> {
    if !node.config().roles.broker {
        return Ok(());
    }
    let reported = fitness::report_before_serving(node);
    patience.wait("the controller to hear of damaged replicas", reported)?;
    node.background().spawn(fitness::run(Arc::clone(node)));
    node.registration().serve();
    let mut state = node.registration().state();
    patience.wait("the controller to let this broker in", async {
        // The sender lives as long as the node.
        let _ = state.wait_for(|state| *state == State::Serving).await;
        let (id, metadata) = (node.id(), node.metadata());
        metadata.wait_for(|image| image.is_alive(id)).await;
        metadata.after_reactions().await;
    })
}
