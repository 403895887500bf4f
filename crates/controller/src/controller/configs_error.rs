//! Why a change of configurations is refused. The texts are Apache Kafka 4.3.1's: tools print
//! them.

use naru_model::ErrorCode;
use naru_model::config::ConfigError;

use naru_telemetry::IllegalPattern;

use crate::image::ResourceType;
use crate::topic_name::InvalidTopicName;

/// A resource whose configuration is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum AlterConfigsError {
    #[error("Each resource must appear at most once.")]
    DuplicateResource,
    #[error("Unexpected resource type {0}.")]
    UnknownResourceType(i8),
    #[error("Unexpected resource type {0}.")]
    UnsupportedResourceType(ResourceType),
    #[error("Unknown operation {0} for configuration {1}")]
    UnknownOperation(i8, String),
    #[error("Default topic resources are not allowed.")]
    DefaultTopic,
    #[error("Default group resources are not allowed.")]
    DefaultGroup,
    #[error("Subscription name can't be empty")]
    UnnamedSubscription,
    #[error("{0}")]
    Pattern(#[from] IllegalPattern),
    #[error("{0}")]
    InvalidTopicName(#[from] InvalidTopicName),
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    #[error("Unable to parse broker name as a base 10 number.")]
    BrokerNotANumber,
    #[error("Invalid negative broker ID.")]
    NegativeBroker,
    #[error("No node with id {0} found.")]
    UnknownBroker(i32),
    #[error("{0}")]
    Config(ConfigError),
    #[error("{0}")]
    BrokerConfig(ConfigError),
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of \
         32767 bytes."
    )]
    ValueTooLong,
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    BrokerMinIsrWithElr,
    #[error("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")]
    NoClusterMinIsrWithElr,
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl AlterConfigsError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::DuplicateResource
            | Self::UnknownResourceType(_)
            | Self::UnsupportedResourceType(_)
            | Self::UnknownOperation(..)
            | Self::DefaultTopic
            | Self::DefaultGroup
            | Self::UnnamedSubscription
            | Self::BrokerNotANumber
            | Self::NegativeBroker => ErrorCode::InvalidRequest,
            Self::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
            Self::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownBroker(_) => ErrorCode::BrokerIdNotRegistered,
            Self::Config(error) => error.code(),
            Self::BrokerConfig(error) => error.broker_code(),
            Self::Pattern(_) => ErrorCode::InvalidConfig,
            Self::ValueTooLong | Self::BrokerMinIsrWithElr | Self::NoClusterMinIsrWithElr => {
                ErrorCode::InvalidConfig
            }
            Self::TooManyRecords => ErrorCode::PolicyViolation,
        }
    }
}
