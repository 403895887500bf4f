//! What a request needs of the cluster as a whole.

use naru_protocol::api::ApiKey;
use naru_security::acl::Operation;

/// The operation on the cluster without which a controller refuses a request before it is looked
/// at; none if its handler asks for what it needs.
pub(crate) fn controller_operation(api: ApiKey) -> Option<Operation> {
    Some(match api {
        // Between brokers and controllers.
        ApiKey::Fetch
        | ApiKey::Vote
        | ApiKey::BeginQuorumEpoch
        | ApiKey::EndQuorumEpoch
        | ApiKey::FetchSnapshot
        | ApiKey::UpdateRaftVoter
        | ApiKey::Envelope
        | ApiKey::AlterPartition
        | ApiKey::BrokerRegistration
        | ApiKey::BrokerHeartbeat
        | ApiKey::ControllerRegistration
        | ApiKey::AllocateProducerIds
        | ApiKey::AssignReplicasToDirs => Operation::ClusterAction,
        ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::UpdateFeatures
        | ApiKey::UnregisterBroker
        | ApiKey::AddRaftVoter
        | ApiKey::RemoveRaftVoter
        | ApiKey::CreateAcls
        | ApiKey::DeleteAcls
        // Unlike at a broker.
        | ApiKey::DescribeCluster
        | ApiKey::AlterUserScramCredentials => Operation::Alter,
        ApiKey::AlterClientQuotas => Operation::AlterConfigs,
        ApiKey::ListPartitionReassignments | ApiKey::DescribeQuorum => Operation::Describe,
        _ => return None,
    })
}

/// Whether a request changes the cluster for people: the audit log tells of it.
pub(crate) fn is_administration(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::AlterReplicaLogDirs
            | ApiKey::UpdateFeatures
            | ApiKey::UnregisterBroker
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::AlterUserScramCredentials
            | ApiKey::AlterClientQuotas
            | ApiKey::CreateDelegationToken
            | ApiKey::RenewDelegationToken
            | ApiKey::ExpireDelegationToken
    )
}
