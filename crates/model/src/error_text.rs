//! One sentence about each error code: what is wrong, and what would be right.
//!
//! For answers that have room for a text where nothing is known that says more. Never for logic:
//! clients go by the code.

use crate::ErrorCode;

impl ErrorCode {
    /// What is wrong, and what would be right. Nothing for [`ErrorCode::None`].
    #[expect(clippy::too_many_lines, reason = "a table: a row a code")]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::None => "",
            Self::UnknownServerError => {
                "The broker failed for a reason that it did not expect; its log says more."
            }
            Self::OffsetOutOfRange => {
                "The offset is not in the log; ask ListOffsets where the log begins and ends."
            }
            Self::CorruptMessage => {
                "The records are damaged: their checksum, size or format is wrong; send them again."
            }
            Self::UnknownTopicOrPartition => {
                "The topic or the partition does not exist, or not on this broker yet; create it, \
                 or ask for the metadata again."
            }
            Self::InvalidFetchSize => "The size to fetch is negative; it must be 0 or more.",
            Self::LeaderNotAvailable => {
                "The partition has no leader now; ask again when one is elected."
            }
            Self::NotLeaderOrFollower => {
                "This broker does not lead the partition; ask for the metadata to find the leader."
            }
            Self::RequestTimedOut => {
                "The request was not done within its timeout; it may have been done all the same."
            }
            Self::BrokerNotAvailable => "The broker is not there; try another one, or later.",
            Self::ReplicaNotAvailable => {
                "The broker has no replica of the partition; ask for the metadata again."
            }
            Self::MessageTooLarge => {
                "The records are larger than max.message.bytes of the topic; send fewer at once, \
                 or raise it."
            }
            Self::StaleControllerEpoch => "A newer controller is active; ask that one.",
            Self::OffsetMetadataTooLarge => {
                "The metadata of an offset is longer than offset.metadata.max.bytes; shorten it."
            }
            Self::NetworkException => "The connection broke before there was an answer; try again.",
            Self::CoordinatorLoadInProgress => {
                "The coordinator reads its log, and answers when it is done; try again."
            }
            Self::CoordinatorNotAvailable => {
                "There is no coordinator now: the partition of its topic has no leader; try again."
            }
            Self::NotCoordinator => {
                "Another broker coordinates it now; ask FindCoordinator which one."
            }
            Self::InvalidTopicException => {
                "The topic's name is not valid, or the topic is not for clients to write to."
            }
            Self::RecordListTooLarge => {
                "The batch is larger than segment.bytes of the topic; send fewer records at once."
            }
            Self::NotEnoughReplicas => {
                "Fewer replicas are in sync than min.insync.replicas asks for; nothing was \
                 written, try again."
            }
            Self::NotEnoughReplicasAfterAppend => {
                "The records were written, but fewer replicas are in sync than \
                 min.insync.replicas asks for."
            }
            Self::InvalidRequiredAcks => "acks must be 0, 1 or -1 (all).",
            Self::IllegalGeneration => {
                "The group is in another generation than the member; it has to join again."
            }
            Self::InconsistentGroupProtocol => {
                "The member has no protocol type and assignor in common with the others of the \
                 group."
            }
            Self::InvalidGroupId => "The group id is not valid; it must not be empty.",
            Self::UnknownMemberId => {
                "The group knows no member of this id; it has to join again without one."
            }
            Self::InvalidSessionTimeout => {
                "The session timeout must lie between group.min.session.timeout.ms and \
                 group.max.session.timeout.ms."
            }
            Self::RebalanceInProgress => "The group rebalances; the member has to join again.",
            Self::InvalidCommitOffsetSize => {
                "The offsets are too many for one batch of __consumer_offsets; commit fewer at once."
            }
            Self::TopicAuthorizationFailed => {
                "The user may not do that with the topic; an ACL has to allow it."
            }
            Self::GroupAuthorizationFailed => {
                "The user may not do that with the group; an ACL has to allow it."
            }
            Self::ClusterAuthorizationFailed => {
                "The user may not do that with the cluster; an ACL has to allow it."
            }
            Self::InvalidTimestamp => {
                "The timestamp of a record is not within message.timestamp.before.max.ms and \
                 message.timestamp.after.max.ms of the topic."
            }
            Self::UnsupportedSaslMechanism => {
                "The listener does not have this SASL mechanism; see sasl.enabled.mechanisms."
            }
            Self::IllegalSaslState => {
                "The request does not come when a login expects it; log in with SASL first."
            }
            Self::UnsupportedVersion => {
                "The request asks for what its version or this cluster does not have; see \
                 ApiVersions."
            }
            Self::TopicAlreadyExists => "A topic of this name exists; choose another name.",
            Self::InvalidPartitions => {
                "The number of partitions must be 1 or more, and may grow only."
            }
            Self::InvalidReplicationFactor => {
                "The replication factor must be 1 or more, and there must be as many brokers."
            }
            Self::InvalidReplicaAssignment => {
                "The assignment must name registered brokers, each once, for every partition."
            }
            Self::InvalidConfig => "A config has a name or a value that is not valid.",
            Self::NotController => {
                "This node is not the active controller; ask DescribeQuorum or the metadata for it."
            }
            Self::InvalidRequest => {
                "The fields of the request contradict each other, or have values that make no \
                 sense."
            }
            Self::UnsupportedForMessageFormat => {
                "The message format does not have that; records must be of magic 2."
            }
            Self::PolicyViolation => "A policy of the cluster does not allow it.",
            Self::OutOfOrderSequenceNumber => {
                "Records of the producer are missing between its last batch and this one."
            }
            Self::DuplicateSequenceNumber => "The records were written before.",
            Self::InvalidProducerEpoch => {
                "The producer was replaced by one of a higher epoch; it has to begin anew."
            }
            Self::InvalidTxnState => {
                "The transaction is in another state than the request expects."
            }
            Self::InvalidProducerIdMapping => {
                "The producer id is not that of the transactional id; the producer has to begin \
                 anew."
            }
            Self::InvalidTransactionTimeout => {
                "The transaction timeout must be more than 0 and not more than \
                 transaction.max.timeout.ms."
            }
            Self::ConcurrentTransactions => {
                "The transaction before is still being ended; try again."
            }
            Self::TransactionCoordinatorFenced => {
                "A newer coordinator has written to the partition; this one has given up."
            }
            Self::TransactionalIdAuthorizationFailed => {
                "The user may not use the transactional id, or the request names none; an ACL has \
                 to allow it."
            }
            Self::SecurityDisabled => {
                "No authorizer is configured; set authorizer.class.name on brokers and controllers."
            }
            Self::OperationNotAttempted => {
                "Nothing was done about this, because another part of the request failed."
            }
            Self::KafkaStorageError => {
                "The log directory of the partition failed; another replica has to lead it."
            }
            Self::LogDirNotFound => "The broker has no such log directory; see log.dirs.",
            Self::SaslAuthenticationFailed => "The login failed; check the name and its password.",
            Self::UnknownProducerId => {
                "Nothing is known of the producer any more; it has to begin anew."
            }
            Self::ReassignmentInProgress => {
                "The partition is being reassigned; wait until that is done, or cancel it."
            }
            Self::DelegationTokenAuthDisabled => {
                "Delegation tokens are not enabled; set delegation.token.secret.key."
            }
            Self::DelegationTokenNotFound => "There is no such delegation token.",
            Self::DelegationTokenOwnerMismatch => {
                "Only the owner and the renewers of a delegation token may do that."
            }
            Self::DelegationTokenRequestNotAllowed => {
                "The connection must log in by other means than a delegation token, or TLS, for \
                 that."
            }
            Self::DelegationTokenAuthorizationFailed => {
                "The user may not do that with the delegation token; an ACL has to allow it."
            }
            Self::DelegationTokenExpired => "The delegation token has expired; create another.",
            Self::InvalidPrincipalType => "Principals of delegation tokens must be of type User.",
            Self::NonEmptyGroup => "The group has members; stop them first.",
            Self::GroupIdNotFound => "There is no such group, or it is of another type.",
            Self::FetchSessionIdNotFound => {
                "The broker does not know the fetch session any more; begin another."
            }
            Self::InvalidFetchSessionEpoch => {
                "The epoch of the fetch session is not the one that comes next; begin another."
            }
            Self::ListenerNotFound => {
                "The leader has no listener of the name that the client came in by."
            }
            Self::TopicDeletionDisabled => {
                "Topics may not be deleted; set delete.topic.enable=true."
            }
            Self::FencedLeaderEpoch => {
                "The leader epoch is older than that of the leader; ask for the metadata again."
            }
            Self::UnknownLeaderEpoch => {
                "The leader epoch is newer than what this broker knows; try again."
            }
            Self::UnsupportedCompressionType => {
                "This version of the request cannot carry the compression; take another \
                 compression.type, or a newer client."
            }
            Self::StaleBrokerEpoch => "The broker has registered anew since; its epoch is older.",
            Self::OffsetNotAvailable => {
                "The new leader does not know yet how far the log is committed; try again."
            }
            Self::MemberIdRequired => "The member has to join again with the id that it is given.",
            Self::PreferredLeaderNotAvailable => {
                "The preferred leader is not alive or not in sync; wait until it is."
            }
            Self::GroupMaxSizeReached => "The group has as many members as group.max.size allows.",
            Self::FencedInstanceId => {
                "Another member has taken over the group.instance.id; ids must be unique."
            }
            Self::EligibleLeadersNotAvailable => {
                "No replica that could lead is alive; wait for one, or elect uncleanly."
            }
            Self::ElectionNotNeeded => "The partition has the leader that it should have.",
            Self::NoReassignmentInProgress => "The partition is not being reassigned.",
            Self::GroupSubscribedToTopic => {
                "Members of the group are subscribed to the topic; its offsets are in use."
            }
            Self::InvalidRecord => "A record is not valid for the topic.",
            Self::UnstableOffsetCommit => {
                "A transaction that is open may change the offset; try again when it has ended."
            }
            Self::ThrottlingQuotaExceeded => {
                "The quota is used up; try again after the throttle time."
            }
            Self::ProducerFenced => {
                "Another producer has begun with the same transactional id; this one must end."
            }
            Self::ResourceNotFound => "There is no such resource.",
            Self::DuplicateResource => "The request names the resource twice; name it once.",
            Self::UnacceptableCredential => "The credential does not meet what is required.",
            Self::InconsistentVoterSet => {
                "The voters in the request are not those of the quorum; ask for them again."
            }
            Self::InvalidUpdateVersion => "The feature cannot be set to that level.",
            Self::FeatureUpdateFailed => "The features could not be updated; nothing was changed.",
            Self::PrincipalDeserializationFailure => {
                "The principal of a forwarded request cannot be read."
            }
            Self::SnapshotNotFound => "There is no such snapshot any more; ask for the newest.",
            Self::PositionOutOfRange => "The position is not within the snapshot.",
            Self::UnknownTopicId => {
                "This broker knows no topic of this id; ask for the metadata again."
            }
            Self::DuplicateBrokerRegistration => {
                "Another broker that is alive has this node.id; node ids must be unique."
            }
            Self::BrokerIdNotRegistered => "No broker of this id is registered.",
            Self::InconsistentTopicId => {
                "The log has another topic id than the request; ask for the metadata again."
            }
            Self::InconsistentClusterId => "The node belongs to another cluster.",
            Self::TransactionalIdNotFound => "There is no such transactional id.",
            Self::FetchSessionTopicIdError => {
                "The fetch session mixes topics by name and by id; begin another."
            }
            Self::IneligibleReplica => "The replica may not be in sync: its broker is not alive.",
            Self::NewLeaderElected => "The change makes another broker lead the partition.",
            Self::OffsetMovedToTieredStorage => "The offset is in tiered storage.",
            Self::FencedMemberEpoch => {
                "The member's epoch is not the one that the coordinator has; it has to join again."
            }
            Self::UnreleasedInstanceId => {
                "Another member still has the group.instance.id; it has to leave first."
            }
            Self::UnsupportedAssignor => "The broker does not have this assignor.",
            Self::StaleMemberEpoch => {
                "The member's epoch is not the current one; try again after the next heartbeat."
            }
            Self::MismatchedEndpointType => {
                "The request came to a broker and asks for controllers, or the other way round."
            }
            Self::UnsupportedEndpointType => {
                "The endpoint type is not known: 1 brokers, 2 controllers."
            }
            Self::UnknownControllerId => "No controller of this id is registered.",
            Self::UnknownSubscriptionId => {
                "The client's metrics subscription has changed; ask for it again."
            }
            Self::TelemetryTooLarge => {
                "The pushed metrics are larger than telemetry.max.bytes; push fewer."
            }
            Self::InvalidRegistration => "The registration is not valid in this cluster.",
            Self::TransactionAbortable => "The transaction cannot be committed; abort it.",
            Self::InvalidRecordState => {
                "The record is not acquired by this member, or is acknowledged already."
            }
            Self::ShareSessionNotFound => {
                "The broker does not know the share session any more; begin another."
            }
            Self::InvalidShareSessionEpoch => {
                "The epoch of the share session is not the one that comes next; begin another."
            }
            Self::FencedStateEpoch => {
                "The share partition's state was begun anew; the epoch is older than that."
            }
            Self::InvalidVoterKey => {
                "The voter's id and directory id are not those of the node; see DescribeQuorum."
            }
            Self::DuplicateVoter => "The node is a voter already.",
            Self::VoterNotFound => "The node is no voter.",
            Self::InvalidRegularExpression => {
                "The regular expression cannot be read; see the syntax of RE2."
            }
            Self::RebootstrapRequired => {
                "The client has to begin with its bootstrap servers again."
            }
            Self::StreamsInvalidTopology => "The topology is not valid.",
            Self::StreamsInvalidTopologyEpoch => "The topology's epoch is not valid.",
            Self::StreamsTopologyFenced => "The group has a topology of a newer epoch.",
            Self::ShareSessionLimitReached => {
                "The broker has as many share sessions as it takes; try again later."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_sentence_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL.iter().filter(|code| !code.is_ok()) {
            let text = code.explanation();
            assert!(text.ends_with('.') && text.starts_with(|c: char| c.is_alphabetic()), "{code}");
            assert!(seen.insert(text), "{code} says what another says");
        }
    }
}
