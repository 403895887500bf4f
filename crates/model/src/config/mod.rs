//! Kafka's configuration, declared once.
//!
//! Owns the tables of all keys (`tables`), the reading and checking of one value (`check`), the
//! layers that decide which value counts (`layers`), the answer to DescribeConfigs (`describe`),
//! the typed structs (`TopicConfig`, `BrokerConfig`), and the reading of properties text and
//! `KAFKA_*` variables (`load`). Never touches a file or the environment: texts are handed in.
//! Invariant: a key's name, type, default and bounds stand in its row and nowhere else.

mod alter;
mod broker_config;
mod check;
mod cleaner_config;
mod cluster_config;
mod consumer_groups;
mod cordoning;
mod describe;
mod environment;
mod error;
mod layers;
mod listener;
mod listener_change;
mod load;
mod nearest;
mod properties;
mod quorum_config;
mod row;
mod share_groups;
mod share_partitions;
mod streams_groups;
mod tables;
mod tokens;
mod topic_config;

pub use alter::{
    AlterTarget, ConfigChange, ConfigOp, alter, validate_broker, validate_client_metrics,
    validate_group,
};
pub use broker_config::{
    BrokerConfig, FetchConfig, GroupsConfig, ListenerLimits, LogManagerConfig, MetadataLogConfig,
    OffsetsConfig, QuotaConfig, SocketConfig, TopicDefaults, TransactionsConfig,
};
pub use check::ConfigValue;
pub use cleaner_config::CleanerConfig;
pub use cluster_config::{ClusterConfig, ReplicaSelector, ReplicationConfig, ReplicationThrottle};
pub use consumer_groups::{BoundedSetting, ConsumerGroupOwn, ConsumerGroupsConfig};
pub use cordoning::Cordoning;
pub use describe::{ConfigSource, Described, Synonym};
pub use environment::{key_of_variable, props_of_variables};
pub use error::ConfigError;
pub use layers::{Layers, Props, broker_row, stand_ins};
pub use listener::{Endpoint, Listeners, Roles, SecurityProtocol};
pub use listener_change::ListenerChange;
pub use load::{LoadError, LoadReport, Loaded, load};
pub use nearest::nearest;
pub use properties::{PropertiesError, parse_properties};
pub use quorum_config::{QuorumConfig, Voter};
pub use row::{ConfigKind, ConfigRow, Default as ConfigDefault, Scope, Status, Validator};
pub use share_groups::{ShareCoordinatorConfig, ShareGroupOwn, ShareGroupsConfig};
pub use share_partitions::{ShareGroupLimits, ShareOffsetReset, SharePartitionsConfig};
pub use streams_groups::{StreamsGroupOwn, StreamsGroupsConfig};
pub use tables::{
    Table, broker as broker_table, client_metrics as client_metrics_table, group as group_table,
    topic as topic_table,
};
pub use tokens::{Secret, TokensConfig};
pub use topic_config::{
    CleanupPolicy, Durability, ThrottledReplicas, TimestampType, TopicCompression, TopicConfig,
};
