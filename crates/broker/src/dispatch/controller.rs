//! The API table of the controller listener.
//!
//! The same rows answer three ways of asking: a frame at the controller listener, a client's
//! request that a broker has forwarded in an Envelope, and this node's own broker asking the
//! controller beside it. Only the active controller decides; every other one says so, and a
//! broker that forwards then asks again elsewhere.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;

use super::{RequestContext, decode_request};
use crate::api::controller as api;
use crate::api::controller::Refuse;
use crate::listener::{Answer, Door, Outgoing, Refusal};
use crate::security::{Operation, Resource, controller_operation, is_administration};

/// An answer of the controller.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) answer: Outgoing,
    /// Not an answer to the question: this node is not the active controller (any more).
    pub(crate) not_controller: bool,
}

/// An answer on its way.
pub(crate) type Deciding = Pin<Box<dyn Future<Output = Decided> + Send>>;

/// One API.
pub(super) struct Row {
    pub(super) versions: RangeInclusive<i16>,
    pub(super) handle: fn(RequestContext, &Bytes) -> Result<Deciding, Refusal>,
}

macro_rules! table {
    ($($api:ident $low:literal..=$high:literal $kind:ident $handler:path;)*) => {
        /// The APIs served, in the order of their keys.
        const SERVED: &[(ApiKey, i16, i16)] = &[$((ApiKey::$api, $low, $high),)*];

        /// The row of an API, `None` if it is not served here.
        pub(super) fn row(api: ApiKey) -> Option<Row> {
            match api {
                $(ApiKey::$api => Some(Row {
                    versions: $low..=$high,
                    handle: |context, body| $kind(context, body, $handler),
                }),)*
                _ => None,
            }
        }
    };
}

table! {
    Fetch 4..=18 plain api::raft::fetch;
    SaslHandshake 0..=1 plain api::cluster::sasl_handshake;
    ApiVersions 0..=4 plain api::cluster::api_versions;
    CreateTopics 2..=7 decided api::topics::create;
    DeleteTopics 1..=6 decided api::topics::delete;
    DescribeAcls 1..=3 plain api::acls::describe;
    CreateAcls 1..=3 decided api::acls::create;
    DeleteAcls 1..=3 decided api::acls::delete;
    DescribeConfigs 1..=4 plain api::configs::describe;
    AlterConfigs 0..=2 decided api::configs::alter;
    SaslAuthenticate 0..=2 plain api::cluster::sasl_authenticate;
    CreatePartitions 0..=3 decided api::topics::create_partitions;
    CreateDelegationToken 1..=3 decided api::tokens::create;
    RenewDelegationToken 1..=2 decided api::tokens::renew;
    ExpireDelegationToken 1..=2 decided api::tokens::expire;
    DescribeDelegationToken 1..=3 plain api::tokens::describe;
    ElectLeaders 0..=2 decided api::partitions::elect_leaders;
    IncrementalAlterConfigs 0..=1 decided api::configs::alter_incrementally;
    AlterPartitionReassignments 0..=1 decided api::partitions::reassign;
    ListPartitionReassignments 0..=0 decided api::partitions::list_reassignments;
    AlterClientQuotas 0..=1 decided api::client_quotas::alter;
    DescribeUserScramCredentials 0..=0 plain api::scram::describe;
    AlterUserScramCredentials 0..=0 decided api::scram::alter;
    Vote 0..=2 plain api::raft::vote;
    BeginQuorumEpoch 0..=1 plain api::raft::begin_epoch;
    EndQuorumEpoch 0..=1 plain api::raft::end_epoch;
    DescribeQuorum 0..=2 decided api::raft::describe;
    AlterPartition 2..=3 decided api::partitions::alter;
    UpdateFeatures 0..=2 decided api::cluster::update_features;
    Envelope 0..=0 plain api::envelope::handle;
    FetchSnapshot 0..=1 plain api::raft::fetch_snapshot;
    DescribeCluster 0..=2 plain api::cluster::describe;
    BrokerRegistration 0..=4 decided api::brokers::register;
    BrokerHeartbeat 0..=2 decided api::brokers::heartbeat;
    UnregisterBroker 0..=0 decided api::brokers::unregister;
    AllocateProducerIds 0..=0 decided api::cluster::allocate_producer_ids;
    ControllerRegistration 0..=0 decided api::brokers::register_controller;
    AssignReplicasToDirs 0..=0 decided api::partitions::assign_to_dirs;
    AddRaftVoter 0..=1 decided api::raft::add_voter;
    RemoveRaftVoter 0..=0 decided api::raft::remove_voter;
    UpdateRaftVoter 0..=0 plain api::raft::update_voter;
}

/// What ApiVersions tells at the controller listener: key, lowest and highest version.
pub(crate) fn advertised() -> &'static [(ApiKey, i16, i16)] {
    SERVED
}

/// Runs a request of the controller listener.
pub(super) fn handle(context: RequestContext, body: &Bytes) -> Answer {
    match decide(context, body) {
        Ok(deciding) => Answer::Later(Box::pin(async move { Answer::Send(deciding.await.answer) })),
        Err(refusal) => Answer::Close(refusal),
    }
}

/// Runs a request as the controller.
pub(crate) fn decide(context: RequestContext, body: &Bytes) -> Result<Deciding, Refusal> {
    let row = row(context.api).ok_or_else(|| Refusal::UnknownApi(context.api.key()))?;
    if !row.versions.contains(&context.version) {
        let (api, version) = (context.api.name(), context.version);
        return Err(Refusal::UnservedVersion { api, version });
    }
    (row.handle)(context, body)
}

/// The refusal of a request whose sender lacks what it needs of the cluster as a whole.
fn not_allowed<R: Refuse>(context: &RequestContext, request: &R) -> Option<Deciding> {
    let operation = controller_operation(context.api)?;
    if context.may(operation, Resource::Cluster) {
        return None;
    }
    let refused = request.refuse(ErrorCode::ClusterAuthorizationFailed);
    let answer = context.frame(refused);
    Some(Box::pin(std::future::ready(Decided { answer, not_controller: false })))
}

/// Runs a handler that every controller can answer.
fn plain<R, F>(
    context: RequestContext,
    body: &Bytes,
    handler: impl FnOnce(RequestContext, R) -> F,
) -> Result<Deciding, Refusal>
where
    R: Refuse,
    F: Future<Output = R::Response> + Send + 'static,
{
    let request = decode_request::<R>(&context, body)?;
    let reply = context.reply();
    if let Some(refused) = not_allowed(&context, &request) {
        return Ok(refused);
    }
    let answer = handler(context, request);
    Ok(Box::pin(
        async move { Decided { answer: reply.frame(answer.await), not_controller: false } },
    ))
}

/// Whether a broker asks over its connection to the controller, as Kafka tells: by CLUSTER_ACTION.
fn is_asked_by_broker(context: &RequestContext) -> bool {
    matches!(context.connection.door, Door::Controller(_))
        && context.may_see(Operation::ClusterAction, Resource::Cluster)
}

/// Runs a handler that only the active controller can answer.
fn decided<R, F>(
    context: RequestContext,
    body: &Bytes,
    handler: impl FnOnce(RequestContext, R) -> F,
) -> Result<Deciding, Refusal>
where
    R: Refuse + Send + Sync + 'static,
    F: Future<Output = Result<R::Response, ErrorCode>> + Send + 'static,
{
    let request = decode_request::<R>(&context, body)?;
    let reply = context.reply();
    if let Some(refused) = not_allowed(&context, &request) {
        return Ok(refused);
    }
    if is_administration(context.api) && !context.connection.own {
        let (who, host, about) =
            (&context.connection.principal, &context.connection.host, request.about());
        tracing::info!(target: "audit.admin", %who, host, api = context.api.name(), about);
    }
    // Kept to name everything that was asked for in a refusal.
    let asked = request.clone();
    let asked_by_broker = is_asked_by_broker(&context);
    let deciding = handler(context, request);
    Ok(Box::pin(async move {
        let mut decided = match deciding.await {
            Ok(response) => Decided { answer: reply.frame(response), not_controller: false },
            Err(error) => Decided {
                answer: reply.frame(asked.refuse(error)),
                not_controller: error == ErrorCode::NotController,
            },
        };
        if asked_by_broker {
            // Told in the message, but its connection also carries AlterPartition and the requests
            // of other clients: whoever is limited waits at the broker's own door.
            decided.answer.throttle_ms = 0;
        }
        decided
    }))
}
