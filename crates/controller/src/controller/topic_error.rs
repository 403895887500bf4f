//! Why a change of topics is refused. The texts are Apache Kafka 4.3.1's: tools print them.

use naru_model::config::ConfigError;
use naru_model::{ErrorCode, Uuid};

use super::PlacementError;
use crate::topic_name::InvalidTopicName;

/// A topic, partition or assignment that a request asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum TopicError {
    #[error("{0}")]
    InvalidName(#[from] InvalidTopicName),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides { name: String, existing: String },
    #[error("Topic '{0}' already exists.")]
    AlreadyExists(String),
    #[error("Duplicate topic name.")]
    DuplicateName,
    #[error("Duplicate topic id.")]
    DuplicateId,
    #[error("Creation of internal topic __cluster_metadata is prohibited.")]
    ReservedName,
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
    #[error("The throttling quota has been exceeded.")]
    QuotaExceeded,
    #[error("Null value not supported for topic configs: {0}")]
    NullConfig(String),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentAndReplicationFactor,
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitionCount,
    #[error("Found multiple manual partition assignments for partition {0}")]
    PartitionAssignedTwice(i32),
    #[error("The manual partition assignment includes an empty replica list.")]
    NoReplicas,
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    UnknownBroker(i32),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    BrokerTwice(i32),
    #[error(
        "The manual partition assignment includes a partition with {replicas} replica(s), but \
         this is not consistent with previous partitions, which have {expected} replica(s)."
    )]
    UnevenReplicas { replicas: usize, expected: usize },
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced \
         or in controlled shutdown."
    )]
    AssignedBrokersFenced(i32),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    PartitionsNotConsecutive,
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactorNotPositive,
    #[error("Number of partitions was set to an invalid non-positive value.")]
    PartitionsNotPositive,
    #[error("Unable to replicate the partition {factor} time(s): {why}")]
    Unplaced { factor: i16, why: PlacementError },
    #[error(transparent)]
    NotPlaced(#[from] PlacementError),
    #[error(
        "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or \
         in controlled shutdown."
    )]
    AllReplicasFenced { factor: i16 },
    #[error("Topic already has {0} partition(s).")]
    SamePartitionCount(usize),
    #[error(
        "The topic {name} currently has {current} partition(s); {asked} would not be an increase."
    )]
    FewerPartitions { name: String, current: usize, asked: i32 },
    #[error(
        "Attempted to add {additional} additional partition(s), but only {given} assignment(s) \
         were specified."
    )]
    AssignmentCount { additional: usize, given: usize },
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,
    #[error("Attempt to find topic with invalid topicId {0}")]
    InvalidTopicId(Uuid),
    #[error("Neither topic name nor id were specified.")]
    NeitherNameNorId,
    #[error("You may not specify both topic name and topic id.")]
    NameAndId,
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfSuppliedId,
}

impl TopicError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidName(_) | Self::Collides { .. } => ErrorCode::InvalidTopicException,
            Self::AlreadyExists(_) => ErrorCode::TopicAlreadyExists,
            Self::DuplicateName
            | Self::DuplicateId
            | Self::ReservedName
            | Self::AssignmentAndReplicationFactor
            | Self::AssignmentAndPartitionCount
            | Self::InvalidTopicId(_)
            | Self::NeitherNameNorId
            | Self::NameAndId
            | Self::NameOfSuppliedId => ErrorCode::InvalidRequest,
            Self::TooManyPartitions | Self::TooManyRecords => ErrorCode::PolicyViolation,
            Self::NullConfig(_) => ErrorCode::InvalidConfig,
            Self::Config(error) => error.code(),
            Self::PartitionAssignedTwice(_)
            | Self::NoReplicas
            | Self::UnknownBroker(_)
            | Self::BrokerTwice(_)
            | Self::UnevenReplicas { .. }
            | Self::AssignedBrokersFenced(_)
            | Self::PartitionsNotConsecutive
            | Self::AssignmentCount { .. } => ErrorCode::InvalidReplicaAssignment,
            Self::ReplicationFactorNotPositive
            | Self::Unplaced { .. }
            | Self::NotPlaced(_)
            | Self::AllReplicasFenced { .. } => ErrorCode::InvalidReplicationFactor,
            Self::PartitionsNotPositive
            | Self::SamePartitionCount(_)
            | Self::FewerPartitions { .. } => ErrorCode::InvalidPartitions,
            Self::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId => ErrorCode::UnknownTopicId,
            Self::QuotaExceeded => ErrorCode::ThrottlingQuotaExceeded,
        }
    }
}

impl From<&TopicError> for ErrorCode {
    fn from(error: &TopicError) -> Self {
        error.code()
    }
}
