//! What can be wrong with a configuration, in the words Kafka's clients see.

use crate::ErrorCode;

/// A configuration that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One value does not fit its key.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Value {
        /// The key.
        name: String,
        /// The value, as Kafka would print it.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list breaks a rule of lists.
    #[error("Configuration '{name}' {problem}")]
    Entries {
        /// The key.
        name: String,
        /// The rule broken.
        problem: String,
    },
    /// A value whose message has its own form.
    #[error("{text}")]
    Form {
        /// The key.
        name: String,
        /// The whole message.
        text: String,
    },
    /// No topic config has this name.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicKey(String),
    /// No group config has this name.
    #[error("Unknown group config name: {0}")]
    UnknownGroupKey(String),
    /// No config of client metrics has this name.
    #[error("Unknown client metrics configuration: {0}")]
    UnknownClientMetricsKey(String),
    /// Clients are not asked to push so often, or so seldom.
    #[error("Invalid value {0} for interval.ms, interval must be between 100 and 3600000 (1 hour)")]
    PushInterval(i64),
    /// Broker keys that only a restart can change.
    #[error("Cannot update these configs dynamically: [{0}]")]
    NotDynamic(String),
    /// Broker keys that must be set for one broker.
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: [{0}]"
    )]
    NotClusterWide(String),
    /// Security keys that must carry a listener's prefix.
    #[error(
        "These security configs can be dynamically updated only per-listener using the listener \
         prefix: [{0}]"
    )]
    NeedsListenerPrefix(String),
    /// Two topic configs contradict each other.
    #[error("conflict topic config setting {low} ({low_value}) > {high} ({high_value})")]
    Conflict {
        /// The key that must not be larger.
        low: &'static str,
        /// Its value.
        low_value: i64,
        /// The key that must not be smaller.
        high: &'static str,
        /// Its value.
        high_value: i64,
    },
    /// A group config is outside what the broker allows.
    #[error("{key} must be {relation} than or equal to {bound}")]
    GroupBound {
        /// The group's key.
        key: String,
        /// `greater` or `less`.
        relation: &'static str,
        /// The broker's key that sets the bound.
        bound: String,
    },
    /// No broker config has this name, where a list was to be changed.
    #[error("Unknown config name: {0}")]
    UnknownBrokerKey(String),
    /// One request names a key twice.
    #[error("Error due to duplicate config keys")]
    DuplicateKeys,
    /// A key is to be set to nothing.
    #[error("Null value not supported for : {0}")]
    NullValue(String),
    /// Keys that together describe no node that could start.
    #[error("{key}: {problem}")]
    Node {
        /// The key to look at.
        key: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn value(
        name: &str,
        value: impl std::fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        Self::Value { name: name.to_owned(), value: value.to_string(), reason: reason.into() }
    }

    pub(super) fn node(key: &str, problem: impl Into<String>) -> Self {
        Self::Node { key: key.to_owned(), problem: problem.into() }
    }

    /// The code a client gets when the config is a broker's: Kafka answers a bad value there
    /// with another code than for topics and groups.
    pub const fn broker_code(&self) -> ErrorCode {
        match self {
            Self::Value { .. } | Self::Entries { .. } | Self::Form { .. } => {
                ErrorCode::InvalidRequest
            }
            _ => self.code(),
        }
    }

    /// The code a client gets. Every variant is the requester's fault.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotDynamic(_)
            | Self::NotClusterWide(_)
            | Self::NeedsListenerPrefix(_)
            | Self::DuplicateKeys
            | Self::UnknownClientMetricsKey(_)
            | Self::PushInterval(_)
            | Self::NullValue(_) => ErrorCode::InvalidRequest,
            Self::Value { .. }
            | Self::Entries { .. }
            | Self::Form { .. }
            | Self::UnknownTopicKey(_)
            | Self::UnknownGroupKey(_)
            | Self::UnknownBrokerKey(_)
            | Self::Conflict { .. }
            | Self::GroupBound { .. }
            | Self::Node { .. } => ErrorCode::InvalidConfig,
        }
    }
}
