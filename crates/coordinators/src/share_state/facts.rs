//! The records of `__share_group_state`, byte for byte as Kafka writes them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{Timestamp, Uuid};
use naru_protocol::messages::share_snapshot_key::ShareSnapshotKey;
use naru_protocol::messages::share_snapshot_value::{
    ShareSnapshotValue, StateBatch as SnapshotBatch,
};
use naru_protocol::messages::share_update_key::ShareUpdateKey;
use naru_protocol::messages::share_update_value::{ShareUpdateValue, StateBatch as UpdateBatch};
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use super::batches::StateBatch;
use crate::records::{CoordinatorRecord, read_versioned, versioned};

/// A partition as one share group sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SharePartition {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic_id: Uuid,
    /// The partition's number.
    pub partition: i32,
}

/// The coordinator's key, by whose hash a partition of `__share_group_state` is chosen.
impl fmt::Display for SharePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.group, self.topic_id, self.partition)
    }
}

/// The state of a share partition as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Counts the snapshots.
    pub(super) epoch: i32,
    pub(super) state_epoch: i32,
    pub(super) leader_epoch: i32,
    pub(super) start_offset: i64,
    pub(super) delivery_complete_count: i32,
    pub(super) created: Timestamp,
    pub(super) written: Timestamp,
    pub(super) batches: Vec<StateBatch>,
}

/// A change to the snapshot before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Update {
    /// Of the snapshot it changes.
    pub(super) epoch: i32,
    pub(super) leader_epoch: i32,
    pub(super) start_offset: i64,
    pub(super) delivery_complete_count: i32,
    pub(super) batches: Vec<StateBatch>,
}

/// What a record says of a share partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShareStateFact {
    Snapshot(Snapshot),
    Update(Update),
    /// There is none any more.
    Gone,
}

impl ShareStateFact {
    pub(super) fn to_record(&self, of: &SharePartition, now: Timestamp) -> CoordinatorRecord {
        let mut key = Writer::default();
        key.i16(match self {
            Self::Snapshot(_) | Self::Gone => ShareSnapshotKey::KEY,
            Self::Update(_) => ShareUpdateKey::KEY,
        });
        key.string(&of.group, false);
        key.uuid(of.topic_id);
        key.i32(of.partition);
        let value = match self {
            Self::Snapshot(snapshot) => Some(versioned(&snapshot_value(snapshot), VERSION)),
            Self::Update(update) => Some(versioned(&update_value(update), VERSION)),
            Self::Gone => None,
        };
        CoordinatorRecord { key: key.into_bytes(), value, timestamp: now }
    }

    /// Bytes that the record of this takes at most.
    pub(super) fn size_max(&self, of: &SharePartition) -> usize {
        let batches = match self {
            Self::Snapshot(snapshot) => snapshot.batches.len(),
            Self::Update(update) => update.batches.len(),
            Self::Gone => 0,
        };
        RECORD_BYTES + of.group.len() + batches * BATCH_BYTES
    }

    /// Reads a record; none if it is of a type this version does not know.
    pub(super) fn from_bytes(
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Option<(SharePartition, Self)>, DecodeError> {
        let mut reader = Reader::new(key);
        Ok(match reader.i16()? {
            ShareSnapshotKey::KEY => {
                let key = ShareSnapshotKey::read(&mut reader, VERSION)?;
                let of = partition(key.group_id, key.topic_id, key.partition);
                let value = value.map(read_versioned::<ShareSnapshotValue>).transpose()?;
                Some((of, value.map_or(Self::Gone, |value| Self::Snapshot(snapshot(value)))))
            }
            ShareUpdateKey::KEY => {
                let key = ShareUpdateKey::read(&mut reader, VERSION)?;
                let of = partition(key.group_id, key.topic_id, key.partition);
                let value = value.map(read_versioned::<ShareUpdateValue>).transpose()?;
                value.map(|value| (of, Self::Update(update(value))))
            }
            _ => None,
        })
    }
}

fn partition(group: String, topic_id: Uuid, partition: i32) -> SharePartition {
    SharePartition { group: group.into(), topic_id, partition }
}

fn snapshot_value(snapshot: &Snapshot) -> ShareSnapshotValue {
    ShareSnapshotValue {
        snapshot_epoch: snapshot.epoch,
        state_epoch: snapshot.state_epoch,
        leader_epoch: snapshot.leader_epoch,
        start_offset: snapshot.start_offset,
        delivery_complete_count: snapshot.delivery_complete_count,
        create_timestamp: snapshot.created.get(),
        write_timestamp: snapshot.written.get(),
        state_batches: snapshot
            .batches
            .iter()
            .map(|batch| SnapshotBatch {
                first_offset: batch.first_offset,
                last_offset: batch.last_offset,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}

fn snapshot(value: ShareSnapshotValue) -> Snapshot {
    let batches = value.state_batches.into_iter().map(|batch| StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    });
    Snapshot {
        epoch: value.snapshot_epoch,
        state_epoch: value.state_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        created: Timestamp(value.create_timestamp),
        written: Timestamp(value.write_timestamp),
        batches: batches.collect(),
    }
}

fn update_value(update: &Update) -> ShareUpdateValue {
    ShareUpdateValue {
        snapshot_epoch: update.epoch,
        leader_epoch: update.leader_epoch,
        start_offset: update.start_offset,
        delivery_complete_count: update.delivery_complete_count,
        state_batches: update
            .batches
            .iter()
            .map(|batch| UpdateBatch {
                first_offset: batch.first_offset,
                last_offset: batch.last_offset,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}

fn update(value: ShareUpdateValue) -> Update {
    let batches = value.state_batches.into_iter().map(|batch| StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    });
    Update {
        epoch: value.snapshot_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        batches: batches.collect(),
    }
}

/// The only version of keys and values so far; later fields are tagged.
const VERSION: i16 = 0;
/// More than everything but the group's name and the batches takes.
const RECORD_BYTES: usize = 128;
/// What one batch of offsets takes in a record.
const BATCH_BYTES: usize = 20;
