//! Naru's own async client for any Kafka from 2.1 on: admin, producer, consumer, share consumer.
//!
//! Records are owned bytes; futures may be dropped at any await without losing a record or a
//! position; nothing panics in the background. One [`Error`] says what happened, whether trying
//! again helps, and what to do. Never keeps a connection alive after `close` or drop.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admin;
mod cluster;
mod config;
mod consumer;
mod error;
mod group_protocol;
pub mod net;
mod partitioner;
mod producer;
mod share_consumer;

pub use admin::Admin;
pub use cluster::{Broker, Cluster, Metadata, Partition, Topic};
pub use config::{
    Acks, Assignor, ClientConfig, ClientEvent, ConsumerConfig, EventHook, Isolation, OffsetReset,
    ProducerConfig,
};
pub use consumer::{Consumer, ConsumerRecord, Rebalance, RecordBatch, TimestampType};
pub use error::{Error, Result};
pub use naru_model::TopicPartition;
pub use naru_records::Compression;
pub use partitioner::{murmur2, partition_of_key};
pub use producer::{Delivered, Delivery, Producer, ProducerRecord};
pub use share_consumer::{Acknowledge, ShareConsumer, SharedBatch};
