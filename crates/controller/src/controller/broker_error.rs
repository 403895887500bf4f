//! Why a broker's request is refused. Texts go to the log: the responses carry codes only, but
//! for UnregisterBroker.

use naru_model::{ErrorCode, Uuid};

/// A broker is not who it says, or asks for what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum BrokerError {
    #[error("Expected cluster ID {expected}, but got cluster ID {given}")]
    WrongCluster { expected: String, given: String },
    #[error("Another broker is registered with that broker id.")]
    DuplicateRegistration,
    #[error("Controller does not support registering ZK brokers.")]
    ZooKeeperBroker,
    #[error("No directories specified in request")]
    NoDirectories,
    #[error("Reserved directory ID in request")]
    ReservedDirectory,
    #[error("Duplicate directory ID in request")]
    DuplicateDirectory,
    #[error("Broker {broker} is already registered with directory {directory}")]
    DirectoryTaken { broker: i32, directory: Uuid },
    #[error("Request features do not contain 'metadata.version'")]
    NoMetadataVersion,
    #[error(
        "Unable to register because the broker does not support finalized version {finalized} of \
         {feature}. The broker wants a version between {min} and {max}, inclusive."
    )]
    UnsupportedFeature { feature: String, finalized: i16, min: i16, max: i16 },
    #[error("No broker registration found for broker id {0}")]
    NotRegistered(i32),
    #[error("Expected broker epoch {registered}, but got broker epoch {given}")]
    StaleEpoch { registered: i64, given: i64 },
    #[error("Broker ID {0} is not currently registered")]
    UnknownBroker(i32),
    #[error("The current MetadataVersion is too old to support controller registrations.")]
    NoControllerRegistrations,
    #[error("Directory assignment is not supported yet.")]
    NoDirectoryAssignment,
}

impl BrokerError {
    /// The code the broker gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::WrongCluster { .. } => ErrorCode::InconsistentClusterId,
            Self::DuplicateRegistration => ErrorCode::DuplicateBrokerRegistration,
            Self::ZooKeeperBroker | Self::UnknownBroker(_) => ErrorCode::BrokerIdNotRegistered,
            Self::NoDirectories
            | Self::ReservedDirectory
            | Self::DuplicateDirectory
            | Self::DirectoryTaken { .. }
            | Self::NoMetadataVersion => ErrorCode::InvalidRegistration,
            Self::UnsupportedFeature { .. }
            | Self::NoControllerRegistrations
            | Self::NoDirectoryAssignment => ErrorCode::UnsupportedVersion,
            Self::NotRegistered(_) | Self::StaleEpoch { .. } => ErrorCode::StaleBrokerEpoch,
        }
    }
}
