//! Committed offsets of a shard's groups.
//!
//! Holds only what has been replayed, which is what is committed in the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use naru_model::{Timestamp, Uuid};

use crate::error::GroupError;

/// One committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to consume; any number a client sent, as Kafka keeps it.
    pub offset: i64,
    /// Leader epoch of the last consumed record, -1 if the client did not say.
    pub leader_epoch: i32,
    /// The client's text.
    pub metadata: String,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it expires, if the request said so (OffsetCommit v2 to v4).
    pub expire_timestamp: Option<Timestamp>,
    /// The topic's id when it was committed, zero if not known.
    pub topic_id: Uuid,
}

impl OffsetAndMetadata {
    /// Whether its time is over, if nobody has needed it since `unneeded_since`.
    pub(crate) fn is_expired(
        &self,
        now: Timestamp,
        unneeded_since: Timestamp,
        retention_ms: i64,
    ) -> bool {
        match self.expire_timestamp {
            Some(at) => now >= at,
            None => now.get().saturating_sub(unneeded_since.get()) >= retention_ms,
        }
    }
}

/// One position as a request gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commit<'r> {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<&'r str>,
}

impl Commit<'_> {
    /// What is kept of it, committed `now`: it expires with its group, and names no topic id.
    pub(crate) fn at(
        self,
        now: Timestamp,
        metadata_max: usize,
    ) -> Result<OffsetAndMetadata, GroupError> {
        let metadata = self.metadata.unwrap_or_default();
        // `offset.metadata.max.bytes` is about Java's length of a string.
        if metadata.encode_utf16().count() > metadata_max {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        Ok(OffsetAndMetadata {
            offset: self.offset,
            leader_epoch: self.leader_epoch.max(-1),
            metadata: metadata.to_owned(),
            commit_timestamp: now,
            expire_timestamp: None,
            topic_id: Uuid::ZERO,
        })
    }
}

/// Offsets by topic and partition of one group.
pub(crate) type GroupOffsets = BTreeMap<String, BTreeMap<i32, OffsetAndMetadata>>;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Offsets {
    groups: HashMap<Arc<str>, GroupOffsets>,
}

impl Offsets {
    pub(crate) fn group(&self, group: &str) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    pub(crate) fn get(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&OffsetAndMetadata> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    pub(crate) fn put(
        &mut self,
        group: &Arc<str>,
        topic: String,
        partition: i32,
        value: OffsetAndMetadata,
    ) {
        if !self.groups.contains_key(group) {
            self.groups.insert(Arc::clone(group), GroupOffsets::new());
        }
        let topics = self.groups.get_mut(group).expect("inserted above");
        topics.entry(topic).or_default().insert(partition, value);
    }

    pub(crate) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(topics) = self.groups.get_mut(group) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &GroupOffsets)> {
        self.groups.iter()
    }

    /// How many positions are held.
    pub(crate) fn len(&self) -> usize {
        self.groups.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }
}
