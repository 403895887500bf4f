//! The client's one error type: what went wrong, whether trying again helps, what a person can do.
//!
//! Cloneable, because one broken batch or connection is news for many waiting callers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use naru_model::ErrorCode;
use naru_protocol::DecodeError;
use naru_protocol::api::ApiKey;
use naru_records::BatchError;

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made.
    #[error("cannot reach {address} ({})", describe_io(source))]
    Unreachable {
        /// Host and port that were tried.
        address: String,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The cluster answered at one address but its brokers advertise others that do not answer.
    #[error(
        "connected to {bootstrap}, but it told clients to use {advertised}, which cannot be \
         reached from here ({reason})"
    )]
    AdvertisedUnreachable {
        /// The address that answered.
        bootstrap: String,
        /// The address it advertises.
        advertised: String,
        /// Why that one cannot be reached.
        reason: String,
    },
    /// The connection broke while an answer was awaited.
    #[error("the connection to {address} was lost")]
    Disconnected {
        /// Host and port of the broker.
        address: String,
    },
    /// The time given to the call is over.
    #[error("{what} took longer than {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A broker answered with an error code.
    #[error("{}", broker_text(*code, message.as_deref()))]
    Broker {
        /// The code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        message: Option<String>,
    },
    /// No version of an API is known to both sides.
    #[error(
        "{} is not served by this broker in a version this client speaks ({})",
        api.name(), versions_text(*ours, *theirs)
    )]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// Versions of this client.
        ours: (i16, i16),
        /// Versions of the broker, if it knows the API at all.
        theirs: Option<(i16, i16)>,
    },
    /// An answer could not be read.
    #[error("the answer to {} is malformed: {source}", api.name())]
    Decode {
        /// The API.
        api: ApiKey,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A fetched batch could not be read.
    #[error("a batch of {topic}-{partition} cannot be read: {source}")]
    Batch {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// What is wrong with it.
        source: BatchError,
    },
    /// A configuration value is not usable.
    #[error("invalid value {value:?} for configuration {name}: {reason}")]
    Config {
        /// The key.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument is not usable.
    #[error("{0}")]
    Argument(String),
    /// The record is larger than the producer may send.
    #[error(
        "The message is {size} bytes when serialized which is larger than {limit}, which is the \
         value of the max.request.size configuration."
    )]
    RecordTooLarge {
        /// Size of the record in a batch of its own.
        size: usize,
        /// `max.request.size`.
        limit: usize,
    },
    /// The producer's buffer is full and the caller did not want to wait.
    #[error("the producer's buffer.memory is used up")]
    BufferFull,
    /// There is no committed offset, and `auto.offset.reset` is `none`.
    #[error("no offset to start from for {topic}-{partition}, and auto.offset.reset is none")]
    NoOffset {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// The producer or consumer has been closed.
    #[error("the client has been closed")]
    Closed,
}

impl Error {
    /// A broker's error code without words.
    pub const fn code_only(code: ErrorCode) -> Self {
        Self::Broker { code, message: None }
    }

    /// A broker's error code with its words.
    pub const fn broker(code: ErrorCode, message: Option<String>) -> Self {
        Self::Broker { code, message }
    }

    /// `Ok` for code 0, else the error.
    pub fn check(code: i16) -> Result<()> {
        Self::check_with(code, None)
    }

    /// `Ok` for code 0, else the error with the broker's words.
    pub fn check_with(code: i16, message: Option<String>) -> Result<()> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(Self::Broker { code, message }),
        }
    }

    /// Kafka's code for it: the broker's, or the nearest for what happened on this side.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Broker { code, .. } => *code,
            Self::Unreachable { .. }
            | Self::AdvertisedUnreachable { .. }
            | Self::Disconnected { .. } => ErrorCode::NetworkException,
            Self::Timeout { .. } => ErrorCode::RequestTimedOut,
            Self::UnsupportedVersion { .. } => ErrorCode::UnsupportedVersion,
            Self::Decode { .. } | Self::Batch { .. } => ErrorCode::CorruptMessage,
            Self::Config { .. } => ErrorCode::InvalidConfig,
            Self::Argument(_) => ErrorCode::InvalidRequest,
            Self::RecordTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::BufferFull => ErrorCode::ThrottlingQuotaExceeded,
            Self::NoOffset { .. } => ErrorCode::OffsetOutOfRange,
            Self::Closed => ErrorCode::OperationNotAttempted,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Broker { code, .. } => {
                code.is_retriable() || matches!(code, ErrorCode::ConcurrentTransactions)
            }
            Self::Unreachable { .. }
            | Self::AdvertisedUnreachable { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::BufferFull => true,
            Self::UnsupportedVersion { .. }
            | Self::Decode { .. }
            | Self::Batch { .. }
            | Self::Config { .. }
            | Self::Argument(_)
            | Self::RecordTooLarge { .. }
            | Self::NoOffset { .. }
            | Self::Closed => false,
        }
    }

    /// Whether it says that the cached metadata may be out of date.
    pub const fn is_stale_metadata(&self) -> bool {
        match self {
            Self::Broker { code, .. } => matches!(
                code,
                ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::InconsistentTopicId
                    | ErrorCode::NetworkException
                    | ErrorCode::NotController
            ),
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }

    /// What a person may do about it, if there is something.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("is a broker running there? `naru start` starts one"),
            Self::AdvertisedUnreachable { .. } => {
                Some("set advertised.listeners of the broker to an address that clients can reach")
            }
            Self::UnsupportedVersion { .. } => Some("brokers from Kafka 2.1 on are understood"),
            Self::RecordTooLarge { .. } => {
                Some("raise max.request.size here, and max.message.bytes of the topic")
            }
            Self::NoOffset { .. } => Some("set auto.offset.reset to earliest or latest"),
            Self::Broker { code, .. } => broker_hint(*code),
            Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Decode { .. }
            | Self::Batch { .. }
            | Self::Config { .. }
            | Self::Argument(_)
            | Self::BufferFull
            | Self::Closed => None,
        }
    }
}

const fn broker_hint(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UnknownTopicOrPartition => Some("`naru topic ls` shows the topics there are"),
        ErrorCode::MessageTooLarge => Some("raise max.message.bytes of the topic"),
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            Some("fewer replicas are in sync than min.insync.replicas asks for")
        }
        ErrorCode::NonEmptyGroup => Some("stop the members of the group first"),
        ErrorCode::InvalidReplicationFactor => {
            Some("the replication factor cannot exceed the number of brokers")
        }
        ErrorCode::SaslAuthenticationFailed => Some("check user name and password"),
        _ => None,
    }
}

/// The system's words without the number it appends.
fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn broker_text(code: ErrorCode, message: Option<&str>) -> String {
    match message {
        Some(message) => message.to_owned(),
        None => code.to_string(),
    }
}

fn versions_text(ours: (i16, i16), theirs: Option<(i16, i16)>) -> String {
    match theirs {
        Some((low, high)) => {
            format!("ours are {} to {}, the broker's {low} to {high}", ours.0, ours.1)
        }
        None => "the broker does not know it".to_owned(),
    }
}
