//! The API table: what is served, at which versions, by which handler.

use std::ops::RangeInclusive;

use bytes::Bytes;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::alter_client_quotas_request::AlterClientQuotasRequest;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
use naru_protocol::messages::create_acls_request::CreateAclsRequest;
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::delete_acls_request::DeleteAclsRequest;
use naru_protocol::messages::delete_share_group_state_request::DeleteShareGroupStateRequest;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_protocol::messages::update_features_request::UpdateFeaturesRequest;
use naru_protocol::messages::write_share_group_state_request::WriteShareGroupStateRequest;

use super::forward::forward;
use super::{RequestContext, later, now};
use crate::api;
use crate::listener::Answer;

/// One API.
pub(super) struct Row {
    pub(super) api: ApiKey,
    pub(super) versions: RangeInclusive<i16>,
    pub(super) handle: fn(RequestContext, Bytes) -> Answer,
}

macro_rules! handler {
    (raw $handler:path) => {
        |context, body| $handler(context, &body)
    };
    (now $handler:path) => {
        |context, body| now(&context, &body, $handler)
    };
    (later $handler:path) => {
        |context, body| later(context, &body, $handler)
    };
    (forward $request:path) => {
        |context, body| forward::<$request>(context, &body)
    };
}

macro_rules! is_forwarded {
    (forward) => {
        true
    };
    ($kind:ident) => {
        false
    };
}

macro_rules! table {
    ($($api:ident $low:literal..=$high:literal $kind:ident $handler:path;)*) => {
        /// The APIs served, in the order of their keys.
        const SERVED: &[(ApiKey, i16, i16)] = &[$((ApiKey::$api, $low, $high),)*];

        /// Whether a broker may pass a client's request of this API on to the controller.
        pub(crate) fn is_forwardable(api: ApiKey) -> bool {
            match api {
                $(ApiKey::$api => is_forwarded!($kind) || FORWARDED_ALSO.contains(&api),)*
                _ => false,
            }
        }

        /// The row of an API, `None` if it is not served.
        pub(super) fn row(api: ApiKey) -> Option<Row> {
            match api {
                $(ApiKey::$api => Some(Row {
                    api, versions: $low..=$high, handle: handler!($kind $handler),
                }),)*
                _ => None,
            }
        }
    };
}

table! {
    Produce 3..=13 raw api::produce::handle;
    Fetch 4..=18 raw api::fetch::handle;
    ListOffsets 1..=11 later api::list_offsets::handle;
    Metadata 0..=13 later api::metadata::handle;
    OffsetCommit 2..=10 later api::offsets::commit;
    OffsetFetch 1..=10 later api::offsets::fetch;
    FindCoordinator 0..=6 later api::find_coordinator::handle;
    JoinGroup 0..=9 later api::groups::join;
    Heartbeat 0..=4 later api::groups::heartbeat;
    LeaveGroup 0..=5 later api::groups::leave;
    SyncGroup 0..=5 later api::groups::sync;
    DescribeGroups 0..=6 later api::group_admin::describe;
    ListGroups 0..=5 later api::group_admin::list;
    SaslHandshake 0..=1 now api::sasl::handshake;
    ApiVersions 0..=4 now api::api_versions::handle;
    CreateTopics 2..=7 forward CreateTopicsRequest;
    DeleteTopics 1..=6 forward DeleteTopicsRequest;
    DeleteRecords 0..=2 later api::delete_records::handle;
    InitProducerId 0..=5 later api::init_producer_id::handle;
    OffsetForLeaderEpoch 2..=4 now api::leader_epoch::handle;
    DescribeAcls 1..=3 now api::acls::describe;
    CreateAcls 1..=3 forward CreateAclsRequest;
    DeleteAcls 1..=3 forward DeleteAclsRequest;
    WriteTxnMarkers 1..=2 raw api::txn_markers::handle;
    AddPartitionsToTxn 0..=5 later api::transactions::add_partitions;
    AddOffsetsToTxn 0..=4 later api::transactions::add_offsets;
    EndTxn 0..=5 later api::transactions::end;
    TxnOffsetCommit 0..=5 later api::txn_offset_commit::handle;
    DescribeConfigs 1..=4 now api::configs::describe;
    AlterConfigs 0..=2 later api::configs::alter;
    AlterReplicaLogDirs 1..=2 now api::log_dirs::alter;
    DescribeLogDirs 1..=5 now api::log_dirs::describe;
    SaslAuthenticate 0..=2 now api::sasl::authenticate;
    CreatePartitions 0..=3 forward CreatePartitionsRequest;
    CreateDelegationToken 1..=3 later api::tokens::create;
    RenewDelegationToken 1..=2 later api::tokens::renew;
    ExpireDelegationToken 1..=2 later api::tokens::expire;
    DescribeDelegationToken 1..=3 now api::tokens::describe;
    DeleteGroups 0..=2 later api::group_admin::delete;
    ElectLeaders 0..=2 forward ElectLeadersRequest;
    IncrementalAlterConfigs 0..=1 later api::configs::alter_incrementally;
    AlterPartitionReassignments 0..=1 forward AlterPartitionReassignmentsRequest;
    ListPartitionReassignments 0..=0 forward ListPartitionReassignmentsRequest;
    OffsetDelete 0..=0 later api::offsets::delete;
    DescribeClientQuotas 0..=1 now api::client_quotas::describe;
    AlterClientQuotas 0..=1 forward AlterClientQuotasRequest;
    DescribeUserScramCredentials 0..=0 now api::scram::describe;
    AlterUserScramCredentials 0..=0 forward AlterUserScramCredentialsRequest;
    DescribeQuorum 0..=2 forward DescribeQuorumRequest;
    UpdateFeatures 0..=2 forward UpdateFeaturesRequest;
    DescribeCluster 0..=2 now api::cluster::describe;
    DescribeProducers 0..=0 now api::producers::describe;
    UnregisterBroker 0..=0 forward UnregisterBrokerRequest;
    ConsumerGroupHeartbeat 0..=1 later api::consumer_groups::heartbeat;
    ConsumerGroupDescribe 0..=1 later api::consumer_groups::describe;
    StreamsGroupHeartbeat 0..=0 later api::streams_groups::heartbeat;
    StreamsGroupDescribe 0..=0 later api::streams_groups::describe;
    DescribeTransactions 0..=0 later api::transactions_admin::describe;
    ListTransactions 0..=2 later api::transactions_admin::list;
    GetTelemetrySubscriptions 0..=0 now api::telemetry::subscriptions;
    PushTelemetry 0..=0 now api::telemetry::push;
    ListConfigResources 0..=1 now api::config_resources::list;
    DescribeTopicPartitions 0..=0 now api::topic_partitions::describe;
    ShareGroupHeartbeat 1..=1 later api::share_groups::heartbeat;
    ShareGroupDescribe 1..=1 later api::share_groups::describe;
    ShareFetch 1..=2 later api::share_fetch::handle;
    ShareAcknowledge 1..=2 later api::share_acknowledge::handle;
    InitializeShareGroupState 0..=0 raw api::share_state::handle::<InitializeShareGroupStateRequest>;
    ReadShareGroupState 0..=0 raw api::share_state::handle::<ReadShareGroupStateRequest>;
    WriteShareGroupState 0..=1 raw api::share_state::handle::<WriteShareGroupStateRequest>;
    DeleteShareGroupState 0..=0 raw api::share_state::handle::<DeleteShareGroupStateRequest>;
    ReadShareGroupStateSummary 0..=1 raw api::share_state::handle::<ReadShareGroupStateSummaryRequest>;
    DescribeShareGroupOffsets 0..=1 later api::share_offsets::describe;
    AlterShareGroupOffsets 0..=0 later api::share_offsets::alter;
    DeleteShareGroupOffsets 0..=0 later api::share_offsets::delete_offsets;
    AddRaftVoter 0..=1 forward AddRaftVoterRequest;
    RemoveRaftVoter 0..=0 forward RemoveRaftVoterRequest;
}

/// Requests that a broker passes on to the active controller (KIP-590).
const FORWARDED_ALSO: [ApiKey; 5] = [
    ApiKey::AlterConfigs,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::CreateDelegationToken,
    ApiKey::RenewDelegationToken,
    ApiKey::ExpireDelegationToken,
];

/// What ApiVersions tells: key, lowest and highest version.
pub(crate) fn advertised() -> impl Iterator<Item = (ApiKey, i16, i16)> {
    SERVED.iter().map(|&(api, low, high)| match api {
        // Versions 0 to 2 are refused but told, as Kafka tells them: some releases of librdkafka
        // switch features off when the lowest version is above 0 (KAFKA-18659).
        ApiKey::Produce => (api, 0, high),
        _ => (api, low, high),
    })
}

/// What is really served.
pub(crate) fn served() -> &'static [(ApiKey, i16, i16)] {
    SERVED
}
