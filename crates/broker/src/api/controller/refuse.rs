//! How each request is answered when the whole of it is refused.

use std::collections::BTreeSet;

use naru_model::ErrorCode;
use naru_protocol::Request;
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::alter_client_quotas_request::AlterClientQuotasRequest;
use naru_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_partition_request::AlterPartitionRequest;
use naru_protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
use naru_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use naru_protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use naru_protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use naru_protocol::messages::create_acls_request::CreateAclsRequest;
use naru_protocol::messages::create_acls_response::AclCreationResult;
use naru_protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::create_topics_response::CreatableTopicResult;
use naru_protocol::messages::delete_acls_request::DeleteAclsRequest;
use naru_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::DeletableTopicResult;
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_configs_request::DescribeConfigsRequest;
use naru_protocol::messages::describe_configs_response::DescribeConfigsResult;
use naru_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use naru_protocol::messages::envelope_request::EnvelopeRequest;
use naru_protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use naru_protocol::messages::fetch_request::FetchRequest;
use naru_protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response;
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_protocol::messages::update_features_request::UpdateFeaturesRequest;
use naru_protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use naru_protocol::messages::vote_request::VoteRequest;

use crate::api::acls::{NO_AUTHORIZER, NOT_AUTHORIZED};

/// A request that the active controller answers.
pub(crate) trait Refuse: Request {
    /// Refuses all of it.
    fn refuse(&self, error: ErrorCode) -> Self::Response;

    /// What it is about, for the audit log; without secrets.
    fn about(&self) -> String {
        String::new()
    }
}

/// Requests whose answers have an error code for the whole.
macro_rules! refused_as_a_whole {
    ($($request:ty)*) => {
        $(impl Refuse for $request {
            fn refuse(&self, error: ErrorCode) -> Self::Response {
                Self::Response { error_code: error.code(), ..Default::default() }
            }
        })*
    };
}

refused_as_a_whole! {
    AddRaftVoterRequest
    AllocateProducerIdsRequest
    AlterPartitionReassignmentsRequest
    AlterPartitionRequest
    ApiVersionsRequest
    AssignReplicasToDirsRequest
    BeginQuorumEpochRequest
    BrokerHeartbeatRequest
    BrokerRegistrationRequest
    ControllerRegistrationRequest
    DescribeAclsRequest
    DescribeClusterRequest
    DescribeDelegationTokenRequest
    DescribeQuorumRequest
    DescribeUserScramCredentialsRequest
    ElectLeadersRequest
    EndQuorumEpochRequest
    EnvelopeRequest
    ExpireDelegationTokenRequest
    FetchRequest
    FetchSnapshotRequest
    ListPartitionReassignmentsRequest
    RemoveRaftVoterRequest
    RenewDelegationTokenRequest
    UnregisterBrokerRequest
    SaslAuthenticateRequest
    SaslHandshakeRequest
    UpdateFeaturesRequest
    UpdateRaftVoterRequest
    VoteRequest
}

impl Refuse for CreateDelegationTokenRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        Self::Response { error_code: error.code(), ..Default::default() }
    }

    fn about(&self) -> String {
        self.owner_principal_name.clone().unwrap_or_default()
    }
}

impl Refuse for DescribeConfigsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.resources.iter().map(|one| DescribeConfigsResult {
            error_code: error.code(),
            resource_type: one.resource_type,
            resource_name: one.resource_name.clone(),
            ..Default::default()
        });
        Self::Response { results: refused.collect(), ..Default::default() }
    }
}

/// What goes with the refusal of a request about ACLs.
fn acl_message(error: ErrorCode) -> Option<String> {
    match error {
        ErrorCode::SecurityDisabled => Some(NO_AUTHORIZER.to_owned()),
        ErrorCode::ClusterAuthorizationFailed => Some(NOT_AUTHORIZED.to_owned()),
        _ => None,
    }
}

impl Refuse for AlterUserScramCredentialsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let deleted = self.deletions.iter().map(|one| &one.name);
        let users: BTreeSet<&String> =
            deleted.chain(self.upsertions.iter().map(|one| &one.name)).collect();
        let refused = users.into_iter().map(|user| AlterUserScramCredentialsResult {
            user: user.clone(),
            error_code: error.code(),
            error_message: acl_message(error),
        });
        Self::Response { results: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        let deleted = self.deletions.iter().map(|one| one.name.as_str());
        list(deleted.chain(self.upsertions.iter().map(|one| one.name.as_str())))
    }
}

impl Refuse for AlterClientQuotasRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.entries.iter().map(|entry| EntryData {
            error_code: error.code(),
            error_message: acl_message(error),
            entity: entry
                .entity
                .iter()
                .map(|part| EntityData {
                    entity_type: part.entity_type.clone(),
                    entity_name: part.entity_name.clone(),
                })
                .collect(),
        });
        Self::Response { entries: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        format!("{:?}", self.entries)
    }
}

impl Refuse for CreateAclsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.creations.iter().map(|_| AclCreationResult {
            error_code: error.code(),
            error_message: acl_message(error),
        });
        Self::Response { results: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        format!("{:?}", self.creations)
    }
}

impl Refuse for DeleteAclsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.filters.iter().map(|_| DeleteAclsFilterResult {
            error_code: error.code(),
            error_message: acl_message(error),
            ..Default::default()
        });
        Self::Response { filter_results: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        format!("{:?}", self.filters)
    }
}

/// Names in a row.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(",")
}

impl Refuse for CreateTopicsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.topics.iter().map(|topic| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            ..Default::default()
        });
        Self::Response { topics: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        list(self.topics.iter().map(|topic| topic.name.as_str()))
    }
}

impl Refuse for DeleteTopicsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let by_name = self.topic_names.iter().map(|name| DeletableTopicResult {
            name: Some(name.clone()),
            error_code: error.code(),
            ..Default::default()
        });
        let by_state = self.topics.iter().map(|topic| DeletableTopicResult {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            error_code: error.code(),
            ..Default::default()
        });
        Self::Response { responses: by_name.chain(by_state).collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        let named = self.topics.iter().filter_map(|topic| topic.name.as_deref());
        list(self.topic_names.iter().map(String::as_str).chain(named))
    }
}

impl Refuse for CreatePartitionsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.topics.iter().map(|topic| CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            ..Default::default()
        });
        Self::Response { results: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        list(self.topics.iter().map(|topic| topic.name.as_str()))
    }
}

impl Refuse for AlterConfigsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused =
            self.resources.iter().map(|one| alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: None,
                resource_type: one.resource_type,
                resource_name: one.resource_name.clone(),
            });
        Self::Response { responses: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        let key = |name: &str, key: &str| format!("{name}:{key}");
        let keys = self.resources.iter().flat_map(|one| {
            one.configs.iter().map(move |config| key(&one.resource_name, &config.name))
        });
        keys.collect::<Vec<_>>().join(",")
    }
}

impl Refuse for IncrementalAlterConfigsRequest {
    fn refuse(&self, error: ErrorCode) -> Self::Response {
        let refused = self.resources.iter().map(|one| {
            incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: None,
                resource_type: one.resource_type,
                resource_name: one.resource_name.clone(),
            }
        });
        Self::Response { responses: refused.collect(), ..Default::default() }
    }

    fn about(&self) -> String {
        let key = |name: &str, key: &str| format!("{name}:{key}");
        let keys = self.resources.iter().flat_map(|one| {
            one.configs.iter().map(move |config| key(&one.resource_name, &config.name))
        });
        keys.collect::<Vec<_>>().join(",")
    }
}
