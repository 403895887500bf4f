//! Kafka's errors as its Java tools print them: the exception's class and, where the broker sends
//! no words of its own, the words that scripts have come to match.
//!
//! Source: `org.apache.kafka.common.protocol.Errors` of 4.3.1, read by reflection.

use naru_client::Error;
use naru_model::ErrorCode;

/// `org.apache.kafka.common.errors.XException: words`.
pub fn exception(error: &Error) -> String {
    format!("{}: {}", class(error), message(error))
}

/// The full name of the exception's class.
pub fn class(error: &Error) -> String {
    let class = match error {
        Error::Timeout { .. } | Error::Unreachable { .. } | Error::AdvertisedUnreachable { .. } => {
            "TimeoutException"
        }
        Error::Config { .. } => return "org.apache.kafka.common.config.ConfigException".to_owned(),
        Error::Argument(_) => return "java.lang.IllegalArgumentException".to_owned(),
        other => class_of(other.code()),
    };
    format!("org.apache.kafka.common.errors.{class}")
}

/// The words of the broker, or Kafka's own for the code.
pub fn message(error: &Error) -> String {
    match error {
        Error::Broker { message: Some(words), .. } => words.clone(),
        Error::Broker { code, message: None } => {
            let words = words_of(*code);
            if words.is_empty() { code.name().to_owned() } else { words.to_owned() }
        }
        Error::UnsupportedVersion { api, ours, theirs } => {
            let name = shouted(api.name());
            match theirs {
                None => format!("The node does not support {name}"),
                Some((low, high)) => format!(
                    "The node does not support {name} with version in range [{},{}]. The supported \
                     range is [{low},{high}].",
                    ours.0, ours.1
                ),
            }
        }
        other => other.to_string(),
    }
}

/// `AlterReplicaLogDirs` as `ALTER_REPLICA_LOG_DIRS`.
fn shouted(name: &str) -> String {
    let mut shouted = String::new();
    for (at, c) in name.chars().enumerate() {
        if at > 0 && c.is_uppercase() {
            shouted.push('_');
        }
        shouted.extend(c.to_uppercase());
    }
    shouted
}

#[expect(clippy::too_many_lines, reason = "a flat table")]
const fn class_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::None => "",
        ErrorCode::UnknownServerError => "UnknownServerException",
        ErrorCode::OffsetOutOfRange => "OffsetOutOfRangeException",
        ErrorCode::CorruptMessage => "CorruptRecordException",
        ErrorCode::UnknownTopicOrPartition => "UnknownTopicOrPartitionException",
        ErrorCode::InvalidFetchSize => "InvalidFetchSizeException",
        ErrorCode::LeaderNotAvailable => "LeaderNotAvailableException",
        ErrorCode::NotLeaderOrFollower => "NotLeaderOrFollowerException",
        ErrorCode::RequestTimedOut => "TimeoutException",
        ErrorCode::BrokerNotAvailable => "BrokerNotAvailableException",
        ErrorCode::ReplicaNotAvailable => "ReplicaNotAvailableException",
        ErrorCode::MessageTooLarge => "RecordTooLargeException",
        ErrorCode::StaleControllerEpoch => "ControllerMovedException",
        ErrorCode::OffsetMetadataTooLarge => "OffsetMetadataTooLarge",
        ErrorCode::NetworkException => "NetworkException",
        ErrorCode::CoordinatorLoadInProgress => "CoordinatorLoadInProgressException",
        ErrorCode::CoordinatorNotAvailable => "CoordinatorNotAvailableException",
        ErrorCode::NotCoordinator => "NotCoordinatorException",
        ErrorCode::InvalidTopicException => "InvalidTopicException",
        ErrorCode::RecordListTooLarge => "RecordBatchTooLargeException",
        ErrorCode::NotEnoughReplicas => "NotEnoughReplicasException",
        ErrorCode::NotEnoughReplicasAfterAppend => "NotEnoughReplicasAfterAppendException",
        ErrorCode::InvalidRequiredAcks => "InvalidRequiredAcksException",
        ErrorCode::IllegalGeneration => "IllegalGenerationException",
        ErrorCode::InconsistentGroupProtocol => "InconsistentGroupProtocolException",
        ErrorCode::InvalidGroupId => "InvalidGroupIdException",
        ErrorCode::UnknownMemberId => "UnknownMemberIdException",
        ErrorCode::InvalidSessionTimeout => "InvalidSessionTimeoutException",
        ErrorCode::RebalanceInProgress => "RebalanceInProgressException",
        ErrorCode::InvalidCommitOffsetSize => "InvalidCommitOffsetSizeException",
        ErrorCode::TopicAuthorizationFailed => "TopicAuthorizationException",
        ErrorCode::GroupAuthorizationFailed => "GroupAuthorizationException",
        ErrorCode::ClusterAuthorizationFailed => "ClusterAuthorizationException",
        ErrorCode::InvalidTimestamp => "InvalidTimestampException",
        ErrorCode::UnsupportedSaslMechanism => "UnsupportedSaslMechanismException",
        ErrorCode::IllegalSaslState => "IllegalSaslStateException",
        ErrorCode::UnsupportedVersion => "UnsupportedVersionException",
        ErrorCode::TopicAlreadyExists => "TopicExistsException",
        ErrorCode::InvalidPartitions => "InvalidPartitionsException",
        ErrorCode::InvalidReplicationFactor => "InvalidReplicationFactorException",
        ErrorCode::InvalidReplicaAssignment => "InvalidReplicaAssignmentException",
        ErrorCode::InvalidConfig => "InvalidConfigurationException",
        ErrorCode::NotController => "NotControllerException",
        ErrorCode::InvalidRequest => "InvalidRequestException",
        ErrorCode::UnsupportedForMessageFormat => "UnsupportedForMessageFormatException",
        ErrorCode::PolicyViolation => "PolicyViolationException",
        ErrorCode::OutOfOrderSequenceNumber => "OutOfOrderSequenceException",
        ErrorCode::DuplicateSequenceNumber => "DuplicateSequenceException",
        ErrorCode::InvalidProducerEpoch => "InvalidProducerEpochException",
        ErrorCode::InvalidTxnState => "InvalidTxnStateException",
        ErrorCode::InvalidProducerIdMapping => "InvalidPidMappingException",
        ErrorCode::InvalidTransactionTimeout => "InvalidTxnTimeoutException",
        ErrorCode::ConcurrentTransactions => "ConcurrentTransactionsException",
        ErrorCode::TransactionCoordinatorFenced => "TransactionCoordinatorFencedException",
        ErrorCode::TransactionalIdAuthorizationFailed => "TransactionalIdAuthorizationException",
        ErrorCode::SecurityDisabled => "SecurityDisabledException",
        ErrorCode::OperationNotAttempted => "OperationNotAttemptedException",
        ErrorCode::KafkaStorageError => "KafkaStorageException",
        ErrorCode::LogDirNotFound => "LogDirNotFoundException",
        ErrorCode::SaslAuthenticationFailed => "SaslAuthenticationException",
        ErrorCode::UnknownProducerId => "UnknownProducerIdException",
        ErrorCode::ReassignmentInProgress => "ReassignmentInProgressException",
        ErrorCode::DelegationTokenAuthDisabled => "DelegationTokenDisabledException",
        ErrorCode::DelegationTokenNotFound => "DelegationTokenNotFoundException",
        ErrorCode::DelegationTokenOwnerMismatch => "DelegationTokenOwnerMismatchException",
        ErrorCode::DelegationTokenRequestNotAllowed => "UnsupportedByAuthenticationException",
        ErrorCode::DelegationTokenAuthorizationFailed => "DelegationTokenAuthorizationException",
        ErrorCode::DelegationTokenExpired => "DelegationTokenExpiredException",
        ErrorCode::InvalidPrincipalType => "InvalidPrincipalTypeException",
        ErrorCode::NonEmptyGroup => "GroupNotEmptyException",
        ErrorCode::GroupIdNotFound => "GroupIdNotFoundException",
        ErrorCode::FetchSessionIdNotFound => "FetchSessionIdNotFoundException",
        ErrorCode::InvalidFetchSessionEpoch => "InvalidFetchSessionEpochException",
        ErrorCode::ListenerNotFound => "ListenerNotFoundException",
        ErrorCode::TopicDeletionDisabled => "TopicDeletionDisabledException",
        ErrorCode::FencedLeaderEpoch => "FencedLeaderEpochException",
        ErrorCode::UnknownLeaderEpoch => "UnknownLeaderEpochException",
        ErrorCode::UnsupportedCompressionType => "UnsupportedCompressionTypeException",
        ErrorCode::StaleBrokerEpoch => "StaleBrokerEpochException",
        ErrorCode::OffsetNotAvailable => "OffsetNotAvailableException",
        ErrorCode::MemberIdRequired => "MemberIdRequiredException",
        ErrorCode::PreferredLeaderNotAvailable => "PreferredLeaderNotAvailableException",
        ErrorCode::GroupMaxSizeReached => "GroupMaxSizeReachedException",
        ErrorCode::FencedInstanceId => "FencedInstanceIdException",
        ErrorCode::EligibleLeadersNotAvailable => "EligibleLeadersNotAvailableException",
        ErrorCode::ElectionNotNeeded => "ElectionNotNeededException",
        ErrorCode::NoReassignmentInProgress => "NoReassignmentInProgressException",
        ErrorCode::GroupSubscribedToTopic => "GroupSubscribedToTopicException",
        ErrorCode::InvalidRecord => "InvalidRecordException",
        ErrorCode::UnstableOffsetCommit => "UnstableOffsetCommitException",
        ErrorCode::ThrottlingQuotaExceeded => "ThrottlingQuotaExceededException",
        ErrorCode::ProducerFenced => "ProducerFencedException",
        ErrorCode::ResourceNotFound => "ResourceNotFoundException",
        ErrorCode::DuplicateResource => "DuplicateResourceException",
        ErrorCode::UnacceptableCredential => "UnacceptableCredentialException",
        ErrorCode::InconsistentVoterSet => "InconsistentVoterSetException",
        ErrorCode::InvalidUpdateVersion => "InvalidUpdateVersionException",
        ErrorCode::FeatureUpdateFailed => "FeatureUpdateFailedException",
        ErrorCode::PrincipalDeserializationFailure => "PrincipalDeserializationException",
        ErrorCode::SnapshotNotFound => "SnapshotNotFoundException",
        ErrorCode::PositionOutOfRange => "PositionOutOfRangeException",
        ErrorCode::UnknownTopicId => "UnknownTopicIdException",
        ErrorCode::DuplicateBrokerRegistration => "DuplicateBrokerRegistrationException",
        ErrorCode::BrokerIdNotRegistered => "BrokerIdNotRegisteredException",
        ErrorCode::InconsistentTopicId => "InconsistentTopicIdException",
        ErrorCode::InconsistentClusterId => "InconsistentClusterIdException",
        ErrorCode::TransactionalIdNotFound => "TransactionalIdNotFoundException",
        ErrorCode::FetchSessionTopicIdError => "FetchSessionTopicIdException",
        ErrorCode::IneligibleReplica => "IneligibleReplicaException",
        ErrorCode::NewLeaderElected => "NewLeaderElectedException",
        ErrorCode::OffsetMovedToTieredStorage => "OffsetMovedToTieredStorageException",
        ErrorCode::FencedMemberEpoch => "FencedMemberEpochException",
        ErrorCode::UnreleasedInstanceId => "UnreleasedInstanceIdException",
        ErrorCode::UnsupportedAssignor => "UnsupportedAssignorException",
        ErrorCode::StaleMemberEpoch => "StaleMemberEpochException",
        ErrorCode::MismatchedEndpointType => "MismatchedEndpointTypeException",
        ErrorCode::UnsupportedEndpointType => "UnsupportedEndpointTypeException",
        ErrorCode::UnknownControllerId => "UnknownControllerIdException",
        ErrorCode::UnknownSubscriptionId => "UnknownSubscriptionIdException",
        ErrorCode::TelemetryTooLarge => "TelemetryTooLargeException",
        ErrorCode::InvalidRegistration => "InvalidRegistrationException",
        ErrorCode::TransactionAbortable => "TransactionAbortableException",
        ErrorCode::InvalidRecordState => "InvalidRecordStateException",
        ErrorCode::ShareSessionNotFound => "ShareSessionNotFoundException",
        ErrorCode::InvalidShareSessionEpoch => "InvalidShareSessionEpochException",
        ErrorCode::FencedStateEpoch => "FencedStateEpochException",
        ErrorCode::InvalidVoterKey => "InvalidVoterKeyException",
        ErrorCode::DuplicateVoter => "DuplicateVoterException",
        ErrorCode::VoterNotFound => "VoterNotFoundException",
        ErrorCode::InvalidRegularExpression => "InvalidRegularExpression",
        ErrorCode::RebootstrapRequired => "RebootstrapRequiredException",
        ErrorCode::StreamsInvalidTopology => "StreamsInvalidTopologyException",
        ErrorCode::StreamsInvalidTopologyEpoch => "StreamsInvalidTopologyEpochException",
        ErrorCode::StreamsTopologyFenced => "StreamsTopologyFencedException",
        ErrorCode::ShareSessionLimitReached => "ShareSessionLimitReachedException",
    }
}

#[expect(clippy::too_many_lines, reason = "a flat table")]
const fn words_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownServerError => {
            "The server experienced an unexpected error when processing the request."
        }
        ErrorCode::OffsetOutOfRange => {
            "The requested offset is not within the range of offsets maintained by the \
             server."
        }
        ErrorCode::CorruptMessage => {
            "This message has failed its CRC checksum, exceeds the valid size, has a null \
             key for a compacted topic, or is otherwise corrupt."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ErrorCode::LeaderNotAvailable => {
            "There is no leader for this topic-partition as we are in the middle of a \
             leadership election."
        }
        ErrorCode::NotLeaderOrFollower => {
            "For requests intended only for the leader, this error indicates that the \
             broker is not the current leader. For requests intended for any replica, this \
             error indicates that the broker is not a replica of the topic partition."
        }
        ErrorCode::RequestTimedOut => "The request timed out.",
        ErrorCode::MessageTooLarge => {
            "The request included a message larger than the max message size the server \
             will accept."
        }
        ErrorCode::NetworkException => "The server disconnected before a response was received.",
        ErrorCode::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::NotCoordinator => "This is not the correct coordinator.",
        ErrorCode::InvalidTopicException => {
            "The request attempted to perform an operation on an invalid topic."
        }
        ErrorCode::NotEnoughReplicas => {
            "Messages are rejected since there are fewer in-sync replicas than required."
        }
        ErrorCode::NotEnoughReplicasAfterAppend => {
            "Messages are written to the log, but to fewer in-sync replicas than required."
        }
        ErrorCode::IllegalGeneration => "Specified group generation id is not valid.",
        ErrorCode::InvalidGroupId => "The group id is invalid.",
        ErrorCode::UnknownMemberId => "The coordinator is not aware of this member.",
        ErrorCode::RebalanceInProgress => "The group is rebalancing, so a rejoin is needed.",
        ErrorCode::TopicAuthorizationFailed => "Topic authorization failed.",
        ErrorCode::GroupAuthorizationFailed => "Group authorization failed.",
        ErrorCode::UnsupportedVersion => "The version of API is not supported.",
        ErrorCode::TopicAlreadyExists => "Topic with this name already exists.",
        ErrorCode::InvalidPartitions => "Number of partitions is below 1.",
        ErrorCode::InvalidReplicationFactor => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        ErrorCode::InvalidReplicaAssignment => "Replica assignment is invalid.",
        ErrorCode::InvalidConfig => "Configuration is invalid.",
        ErrorCode::NotController => "This is not the correct controller for this cluster.",
        ErrorCode::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client \
             library or the message was sent to an incompatible broker. See the broker logs \
             for more details."
        }
        ErrorCode::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        ErrorCode::KafkaStorageError => "Disk error when trying to access log file on the disk.",
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::TopicDeletionDisabled => "Topic deletion is disabled.",
        ErrorCode::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively \
             subscribed to it."
        }
        ErrorCode::ThrottlingQuotaExceeded => "The throttling quota has been exceeded.",
        ErrorCode::UnknownTopicId => "This server does not host this topic ID.",
        ErrorCode::BrokerNotAvailable => "The broker is not available.",
        ErrorCode::ClusterAuthorizationFailed => "Cluster authorization failed.",
        ErrorCode::LogDirNotFound => {
            "The user-specified log directory is not found in the broker config."
        }
        ErrorCode::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        ErrorCode::EligibleLeadersNotAvailable => {
            "Eligible topic partition leaders are not available."
        }
        ErrorCode::NoReassignmentInProgress => "No partition reassignment is in progress.",
        ErrorCode::InvalidUpdateVersion => "The given update version was invalid.",
        ErrorCode::FeatureUpdateFailed => {
            "Unable to update finalized features due to an unexpected server error."
        }
        ErrorCode::BrokerIdNotRegistered => "The given broker ID was not registered.",
        ErrorCode::MismatchedEndpointType => {
            "The request was sent to an endpoint of the wrong type."
        }
        ErrorCode::DuplicateVoter => "The voter is already part of the set of voters.",
        ErrorCode::VoterNotFound => "The voter is not part of the set of voters.",
        ErrorCode::SecurityDisabled => "Security features are disabled.",
        ErrorCode::SaslAuthenticationFailed => "SASL Authentication failed.",
        ErrorCode::TransactionalIdAuthorizationFailed => "Transactional Id authorization failed.",
        ErrorCode::DelegationTokenAuthDisabled => "Delegation Token feature is not enabled.",
        ErrorCode::DelegationTokenNotFound => "Delegation Token is not found on server.",
        ErrorCode::DelegationTokenOwnerMismatch => {
            "Specified Principal is not valid Owner/Renewer."
        }
        ErrorCode::DelegationTokenRequestNotAllowed => {
            "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on \
             delegation token authenticated channels."
        }
        ErrorCode::DelegationTokenAuthorizationFailed => "Delegation Token authorization failed.",
        ErrorCode::DelegationTokenExpired => "Delegation Token is expired.",
        ErrorCode::InvalidPrincipalType => "Supplied principalType is not supported.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use naru_protocol::api::ApiKey;

    use super::*;

    #[test]
    fn an_api_that_is_missing_is_named_as_java_names_it() {
        let missing = Error::UnsupportedVersion {
            api: ApiKey::AlterReplicaLogDirs,
            ours: (1, 2),
            theirs: None,
        };
        let expect = "org.apache.kafka.common.errors.UnsupportedVersionException: The node does not \
                      support ALTER_REPLICA_LOG_DIRS";
        assert_eq!(exception(&missing), expect);
    }
}
