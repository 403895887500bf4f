//! How each request is answered when the whole of it is refused.

use naru_model::ErrorCode;
use naru_protocol::Request;
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_partition_request::AlterPartitionRequest;
use naru_protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use naru_protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::create_topics_response::CreatableTopicResult;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::DeletableTopicResult;
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response;
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_protocol::messages::update_features_request::UpdateFeaturesRequest;

/// A request that the active controller answers.
pub(crate) trait Refuse: Request {
    /// Refuses all of it.
    fn refuse(&self, error: ErrorCode) -> Self::Response;
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
    AssignReplicasToDirsRequest
    BrokerHeartbeatRequest
    BrokerRegistrationRequest
    ControllerRegistrationRequest
    DescribeQuorumRequest
    ElectLeadersRequest
    ListPartitionReassignmentsRequest
    RemoveRaftVoterRequest
    UnregisterBrokerRequest
    UpdateFeaturesRequest
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
}
