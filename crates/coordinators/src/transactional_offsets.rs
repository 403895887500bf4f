//! TxnOffsetCommit (key 28, v0–v5): offsets that count when the producer's transaction is
//! committed. KIP-98, 447 (fencing by member and generation; fetching of stable offsets only).
//!
//! Until the marker comes they stand beside the committed ones; the log has them in transactional
//! batches, so a reload finds them again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use naru_model::{ErrorCode, ProducerId, Timestamp};
use naru_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition,
};
use naru_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use crate::error::GroupError;
use crate::group::ClassicGroup;
use crate::offset_api::GroupRef;
use crate::offsets::{Commit, OffsetAndMetadata};
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::state::GroupState;
use crate::transactions::Identity;
use crate::writes::{Completion, Marker, WriteKind};

/// By topic and partition, then by whose transaction it is.
type GroupPending = BTreeMap<(String, i32), BTreeMap<ProducerId, Pending>>;

/// Offsets of open transactions.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PendingOffsets {
    groups: HashMap<Arc<str>, GroupPending>,
    /// Groups that a producer's open transaction has offsets of.
    producers: HashMap<ProducerId, BTreeSet<Arc<str>>>,
    /// Counts what was put in, so that later offsets are told from earlier ones.
    last: u64,
}

#[derive(Debug, PartialEq)]
struct Pending {
    value: OffsetAndMetadata,
    number: u64,
    /// A later offset has been committed: it stays when this transaction is committed.
    is_outdated: bool,
}

impl PendingOffsets {
    fn put(
        &mut self,
        producer: ProducerId,
        group: Arc<str>,
        at: (String, i32),
        value: OffsetAndMetadata,
    ) {
        self.last += 1;
        let value = Pending { value, number: self.last, is_outdated: false };
        self.producers.entry(producer).or_default().insert(Arc::clone(&group));
        self.groups.entry(group).or_default().entry(at).or_default().insert(producer, value);
    }

    /// An offset was committed, or deleted, without a transaction.
    pub(crate) fn note_plain(&mut self, group: &str, topic: &str, index: i32, deleted: bool) {
        if self.groups.is_empty() {
            return;
        }
        let Some(partitions) = self.groups.get_mut(group) else { return };
        let at = (topic.to_owned(), index);
        if deleted {
            partitions.remove(&at);
        } else if let Some(pending) = partitions.get_mut(&at) {
            pending.values_mut().for_each(|one| one.is_outdated = true);
        }
    }

    /// An offset of a transaction was committed: those before it count no more.
    fn note_committed(&mut self, group: &str, at: &(String, i32), number: u64) {
        let pending = self.groups.get_mut(group).and_then(|partitions| partitions.get_mut(at));
        for one in pending.into_iter().flat_map(BTreeMap::values_mut) {
            one.is_outdated |= one.number < number;
        }
    }

    /// Whether an open transaction has offsets of the group.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|partitions| !partitions.is_empty())
    }

    /// The partitions of a group that an open transaction has an offset of.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&str, i32)> {
        let partitions = self.groups.get(group).into_iter().flat_map(BTreeMap::keys);
        partitions.map(|(topic, index)| (topic.as_str(), *index))
    }

    fn has(&self, group: &str, at: &(String, i32)) -> bool {
        self.groups.get(group).is_some_and(|partitions| partitions.contains_key(at))
    }

    /// Takes out what a producer's transaction has.
    fn take(&mut self, producer: ProducerId) -> Vec<(Arc<str>, (String, i32), Pending)> {
        let mut taken = Vec::new();
        for group in self.producers.remove(&producer).unwrap_or_default() {
            let Some(partitions) = self.groups.get_mut(&group) else { continue };
            partitions.retain(|at, pending| {
                if let Some(one) = pending.remove(&producer) {
                    taken.push((Arc::clone(&group), at.clone(), one));
                }
                !pending.is_empty()
            });
            if partitions.is_empty() {
                self.groups.remove(&group);
            }
        }
        taken
    }

    /// Says of each offset that is not stable yet that it is not (KIP-447).
    pub(crate) fn mark_unstable(&self, response: &mut OffsetFetchResponseGroup) {
        if !self.has_group(&response.group_id) {
            return;
        }
        for topic in &mut response.topics {
            for partition in &mut topic.partitions {
                let at = (topic.name.clone(), partition.partition_index);
                if self.has(&response.group_id, &at) {
                    partition.error_code = ErrorCode::UnstableOffsetCommit.code();
                    partition.committed_offset = -1;
                    partition.committed_leader_epoch = -1;
                    partition.metadata = Some(String::new());
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.producers.clear();
    }
}

impl GroupShard {
    /// Offsets for the transaction of `request`'s producer.
    pub(crate) fn commit_in_transaction(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &TxnOffsetCommitRequest,
        out: &mut Outcome,
    ) {
        let group = GroupRef::find(
            &self.groups,
            &self.consumers,
            &self.streams,
            &self.shares,
            &request.group_id,
        );
        // The first commit has made a group of nobody.
        let is_made = self.pending.has_group(&request.group_id)
            || self.offsets.group(&request.group_id).is_some();
        if let Err(error) = validate(group, is_made, request) {
            let response = response(request, &mut |_, _| error);
            return out.reply(token, Reply::TxnOffsetCommit(response));
        }
        let group_id: Arc<str> =
            group.id().map_or_else(|| request.group_id.as_str().into(), Arc::clone);
        let metadata_max = self.config.offset_metadata_max_bytes;
        let mut facts = Vec::new();
        let mut commit_one = |topic: &str, partition: &TxnOffsetCommitRequestPartition| {
            let commit = Commit {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_deref(),
            };
            let value = match commit.at(now, metadata_max) {
                Ok(value) => value,
                Err(error) => return error.into(),
            };
            facts.push(Fact::Offset {
                group: Arc::clone(&group_id),
                topic: topic.to_owned(),
                partition: partition.partition_index,
                value: Some(value),
            });
            ErrorCode::None
        };
        let reply = Reply::TxnOffsetCommit(response(request, &mut commit_one));
        if facts.is_empty() {
            return out.reply(token, reply);
        }
        let producer =
            Identity { id: request.producer_id.into(), epoch: request.producer_epoch.into() };
        let completion = Completion::Reply(token, reply);
        self.step(now, out).write_as(WriteKind::Transactional(producer), facts, completion);
    }

    /// The transaction coordinator's word about a producer's transaction: it is appended in the
    /// order of this shard's own writes, so that the log and the state agree on what it ends.
    pub(crate) fn end_transaction(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        marker: Marker,
        out: &mut Outcome,
    ) {
        let completion = Completion::Marker(token);
        self.step(now, out).write_as(WriteKind::Marker(marker), Vec::new(), completion);
    }

    /// Takes in what a committed batch says.
    pub(crate) fn apply_as(&mut self, kind: WriteKind, facts: Vec<Fact>) {
        match kind {
            WriteKind::Plain => facts.into_iter().for_each(|fact| self.apply(fact)),
            WriteKind::Transactional(producer) => {
                facts.into_iter().for_each(|fact| self.apply_pending(producer.id, fact));
            }
            WriteKind::Marker(marker) => self.apply_marker(marker.producer.id, marker.commit),
        }
    }

    pub(crate) fn apply_pending(&mut self, producer: ProducerId, fact: Fact) {
        if let Fact::Offset { group, topic, partition, value: Some(value) } = fact {
            self.pending.put(producer, group, (topic, partition), value);
        }
    }

    pub(crate) fn apply_marker(&mut self, producer: ProducerId, commit: bool) {
        for (group, at, pending) in self.pending.take(producer) {
            if commit && !pending.is_outdated {
                self.pending.note_committed(&group, &at, pending.number);
                self.put_offset(&group, at.0, at.1, pending.value);
            }
        }
    }
}

/// Who may commit for a group: a member in its generation, or somebody who names neither.
fn validate(
    group: GroupRef<'_>,
    is_made: bool,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ErrorCode> {
    let generation = request.generation_id;
    let (member_id, instance_id) = (&request.member_id, request.group_instance_id.as_deref());
    match group {
        GroupRef::Absent if generation < 0 => Ok(()),
        GroupRef::Absent if is_made => Err(ErrorCode::UnknownMemberId),
        GroupRef::Absent => Err(ErrorCode::IllegalGeneration),
        GroupRef::Classic(group) => {
            Ok(validate_classic(group, member_id, instance_id, generation)?)
        }
        GroupRef::Consumer(group) => group
            .validate_transactional_commit(member_id, instance_id, generation)
            .map_err(|error| ErrorCode::from(&error)),
        GroupRef::Share(_) => Err(ErrorCode::GroupIdNotFound),
        GroupRef::Streams(group) => {
            let partitions = request.topics.iter().flat_map(|topic| {
                let indexes = topic.partitions.iter().map(|one| one.partition_index);
                indexes.map(|index| (topic.name.as_str(), index))
            });
            let result = group.validate_transactional_commit(
                (member_id, instance_id),
                generation,
                partitions,
            );
            result.map_err(|error| match ErrorCode::from(&error) {
                // What this request knows of epochs is the generation.
                ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
                error => error,
            })
        }
    }
}

fn validate_classic(
    group: &ClassicGroup,
    member_id: &str,
    instance_id: Option<&str>,
    generation: i32,
) -> Result<(), GroupError> {
    if generation < 0 && group.state == GroupState::Empty {
        return Ok(());
    }
    if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
        group.validate_member(member_id, instance_id)?;
        if generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
    }
    Ok(())
}

fn response(
    request: &TxnOffsetCommitRequest,
    commit: &mut dyn FnMut(&str, &TxnOffsetCommitRequestPartition) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: commit(&topic.name, partition).code(),
            })
            .collect(),
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
