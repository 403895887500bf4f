//! OffsetCommit (key 8, v2–v10), OffsetFetch (key 9, v1–v10), OffsetDelete (key 47, v0), and the
//! expiry of offsets and groups.
//! Commit v2–v4 retention · v6 leader epoch · v7 static members · v9 GROUP_ID_NOT_FOUND ·
//! v10 topic ids. Fetch v2 all topics · v7 stable offsets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition,
};
use naru_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use naru_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic,
};
use naru_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use naru_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use naru_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use crate::consumer::ConsumerGroup;
use crate::error::GroupError;
use crate::group::ClassicGroup;
use crate::offsets::{Commit, GroupOffsets, OffsetAndMetadata, Offsets};
use crate::records::Fact;
use crate::reply::{Reply, ReplyToken};
use crate::share::ShareGroup;
use crate::state::GroupState;
use crate::step::Step;
use crate::streams::StreamsGroup;
use crate::writes::Completion;

/// The group that a request names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GroupRef<'g> {
    Absent,
    Classic(&'g ClassicGroup),
    Consumer(&'g ConsumerGroup),
    Streams(&'g StreamsGroup),
    /// It has no committed offsets.
    Share(&'g ShareGroup),
}

impl<'g> GroupRef<'g> {
    pub(crate) fn find(
        classic: &'g HashMap<Arc<str>, ClassicGroup>,
        consumer: &'g HashMap<Arc<str>, ConsumerGroup>,
        streams: &'g HashMap<Arc<str>, StreamsGroup>,
        share: &'g HashMap<Arc<str>, ShareGroup>,
        id: &str,
    ) -> Self {
        let classic = classic.get(id).map(Self::Classic);
        let consumer = || consumer.get(id).map(Self::Consumer);
        let streams = || streams.get(id).map(Self::Streams);
        let share = || share.get(id).map(Self::Share);
        classic.or_else(consumer).or_else(streams).or_else(share).unwrap_or(Self::Absent)
    }

    pub(crate) fn id(self) -> Option<&'g Arc<str>> {
        match self {
            Self::Absent => None,
            Self::Classic(group) => Some(&group.id),
            Self::Consumer(group) => Some(&group.id),
            Self::Streams(group) => Some(&group.id),
            Self::Share(group) => Some(&group.id),
        }
    }
}

impl Step<'_> {
    pub(crate) fn commit(
        &mut self,
        group: GroupRef<'_>,
        token: ReplyToken,
        api_version: i16,
        request: &OffsetCommitRequest,
    ) {
        if let Err(error) = validate_commit(group, api_version, request) {
            let response = refused_commit(request, error);
            return self.out.reply(token, Reply::OffsetCommit(response));
        }
        if let GroupRef::Classic(group) = group {
            match group.state {
                GroupState::Stable | GroupState::PreparingRebalance => {
                    self.restart_session(group, &request.member_id);
                }
                GroupState::Empty | GroupState::CompletingRebalance | GroupState::Dead => {}
            }
        }
        let group_id: Arc<str> =
            group.id().map_or_else(|| request.group_id.as_str().into(), Arc::clone);
        let expire_timestamp =
            (request.retention_time_ms != -1).then(|| self.after(request.retention_time_ms));
        let mut facts = Vec::new();
        let mut commit_one = |topic: &str, id: Uuid, partition: &OffsetCommitRequestPartition| {
            let commit = Commit {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_deref(),
            };
            let value = match commit.at(self.now, self.config.offset_metadata_max_bytes) {
                Ok(value) => value,
                Err(error) => return error.into(),
            };
            facts.push(Fact::Offset {
                group: Arc::clone(&group_id),
                topic: topic.to_owned(),
                partition: partition.partition_index,
                value: Some(OffsetAndMetadata { expire_timestamp, topic_id: id, ..value }),
            });
            ErrorCode::None
        };
        let response = commit_response(request, &mut commit_one);
        let reply = Reply::OffsetCommit(response);
        if facts.is_empty() {
            self.out.reply(token, reply);
        } else {
            self.write(facts, Completion::Reply(token, reply));
        }
    }

    pub(crate) fn delete_offsets(
        &mut self,
        group: GroupRef<'_>,
        offsets: &Offsets,
        token: ReplyToken,
        request: &OffsetDeleteRequest,
    ) {
        let group_id = match validate_delete(group, request) {
            Ok(group_id) => group_id,
            Err(error) => {
                let error_code = ErrorCode::from(error).code();
                let response = OffsetDeleteResponse { error_code, ..Default::default() };
                return self.out.reply(token, Reply::OffsetDelete(response));
            }
        };
        let is_subscribed = |topic: &str| match group {
            GroupRef::Absent => false,
            GroupRef::Classic(group) => group.is_subscribed(topic),
            GroupRef::Consumer(group) => group.is_subscribed(topic),
            GroupRef::Streams(group) => group.is_subscribed(topic),
            GroupRef::Share(group) => group.is_subscribed(topic),
        };
        let known = self.known_offsets(group_id, offsets.group(group_id), |_| true);
        let mut facts = Vec::new();
        let mut delete_one = |topic: &OffsetDeleteRequestTopic| {
            let error = if is_subscribed(&topic.name) {
                ErrorCode::from(GroupError::GroupSubscribedToTopic)
            } else {
                let wanted = topic.partitions.iter().map(|partition| partition.partition_index);
                let held = wanted.filter(|index| known.contains(&(topic.name.as_str(), *index)));
                facts.extend(held.map(|index| tombstone(group_id, &topic.name, index)));
                ErrorCode::None
            };
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                })
                .collect();
            OffsetDeleteResponseTopic { name: topic.name.clone(), partitions }
        };
        let topics = request.topics.iter().map(&mut delete_one).collect();
        let reply = Reply::OffsetDelete(OffsetDeleteResponse { topics, ..Default::default() });
        self.write_all(facts, Completion::None, Some((token, reply)));
    }

    /// Writes `facts`, several batches of them if they are many, the last with the answer.
    pub(crate) fn write_all(
        &mut self,
        mut facts: Vec<Fact>,
        completion: Completion,
        reply: Option<(ReplyToken, Reply)>,
    ) {
        while facts.len() > BATCH_RECORDS {
            let rest = facts.split_off(BATCH_RECORDS);
            self.write(std::mem::replace(&mut facts, rest), Completion::None);
        }
        match (reply, facts.is_empty()) {
            (Some((token, reply)), true) => self.out.reply(token, reply),
            (Some((token, reply)), false) => {
                self.write(facts, Completion::Reply(token, reply));
            }
            (None, true) => {}
            (None, false) => {
                self.write(facts, completion);
            }
        }
    }

    /// The partitions of a group that hold an offset, or will when what is in flight is stored.
    pub(crate) fn known_offsets<'o>(
        &'o self,
        group: &str,
        offsets: Option<&'o GroupOffsets>,
        wanted: impl Fn(&str) -> bool,
    ) -> HashSet<(&'o str, i32)> {
        let held = offsets.into_iter().flatten().flat_map(|(topic, partitions)| {
            partitions.keys().map(move |partition| (topic.as_str(), *partition))
        });
        let in_flight = self.writes.facts().filter_map(|fact| match fact {
            Fact::Offset { group: owner, topic, partition, value: Some(_) }
                if **owner == *group =>
            {
                Some((topic.as_str(), *partition))
            }
            _ => None,
        });
        held.chain(in_flight).filter(|(topic, _)| wanted(topic)).collect()
    }
}

/// Answers from what is committed.
pub(crate) fn fetch_offsets(
    offsets: Option<&GroupOffsets>,
    request: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let topics = match request.topics {
        None => offsets
            .into_iter()
            .flatten()
            .map(|(topic, partitions)| OffsetFetchResponseTopics {
                name: topic.clone(),
                partitions: partitions
                    .iter()
                    .map(|(partition, value)| fetched(*partition, Some(value)))
                    .collect(),
                ..Default::default()
            })
            .collect(),
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let held = offsets.and_then(|topics| topics.get(&topic.name));
                let partitions = topic
                    .partition_indexes
                    .iter()
                    .map(|index| {
                        let value = held.and_then(|partitions| partitions.get(index));
                        fetched(*index, value.filter(|value| same_topic(value, topic.topic_id)))
                    })
                    .collect();
                let (name, topic_id) = (topic.name, topic.topic_id);
                OffsetFetchResponseTopics { name, topic_id, partitions }
            })
            .collect(),
    };
    OffsetFetchResponseGroup { group_id: request.group_id, topics, ..Default::default() }
}

/// The answer to who may not fetch.
pub(crate) fn refused_fetch(
    request: OffsetFetchRequestGroup,
    error: ErrorCode,
) -> OffsetFetchResponseGroup {
    let error_code = error.code();
    OffsetFetchResponseGroup { group_id: request.group_id, error_code, ..Default::default() }
}

/// A topic that was made again under its old name does not inherit offsets.
fn same_topic(value: &OffsetAndMetadata, topic_id: Uuid) -> bool {
    value.topic_id.is_zero() || topic_id.is_zero() || value.topic_id == topic_id
}

fn fetched(partition: i32, value: Option<&OffsetAndMetadata>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: value.map_or(-1, |value| value.offset),
        committed_leader_epoch: value.map_or(-1, |value| value.leader_epoch),
        metadata: Some(value.map(|value| value.metadata.clone()).unwrap_or_default()),
        error_code: 0,
    }
}

/// What of a group's offsets has expired at `now`, and whether nothing then remains.
pub(crate) fn expired_offsets(
    group: &ClassicGroup,
    offsets: Option<&GroupOffsets>,
    now: Timestamp,
    retention_ms: i64,
) -> (Vec<Fact>, bool) {
    if offsets.is_none() {
        return (Vec::new(), true);
    }
    // Since when an offset without an expiry of its own is not needed any more; a group whose
    // topics are not known, or that is being rebalanced, needs all of them.
    let unneeded_since: &dyn Fn(&OffsetAndMetadata) -> Timestamp = match group.state {
        _ if group.protocol_type.is_none() => &|value| value.commit_timestamp,
        GroupState::Empty => &|value| group.state_since.unwrap_or(value.commit_timestamp),
        GroupState::Stable if group.uses_consumer_protocol() && group.subscribed.is_some() => {
            &|value| value.commit_timestamp
        }
        GroupState::Stable
        | GroupState::PreparingRebalance
        | GroupState::CompletingRebalance
        | GroupState::Dead => return (Vec::new(), false),
    };
    expired_of(
        &group.id,
        offsets,
        |topic| group.is_subscribed(topic),
        |value| value.is_expired(now, unneeded_since(value), retention_ms),
    )
}

/// What of `offsets` that no member needs has expired, and whether nothing then remains.
pub(crate) fn expired_of(
    group: &Arc<str>,
    offsets: Option<&GroupOffsets>,
    is_needed: impl Fn(&str) -> bool,
    is_expired: impl Fn(&OffsetAndMetadata) -> bool,
) -> (Vec<Fact>, bool) {
    let mut facts = Vec::new();
    let mut held = 0;
    for (topic, partitions) in offsets.into_iter().flatten() {
        held += partitions.len();
        if is_needed(topic) {
            continue;
        }
        let gone = partitions.iter().filter(|(_, value)| is_expired(value));
        facts.extend(gone.map(|(partition, _)| tombstone(group, topic, *partition)));
    }
    let nothing_left = facts.len() == held;
    (facts, nothing_left)
}

pub(crate) fn tombstone(group: &Arc<str>, topic: &str, partition: i32) -> Fact {
    Fact::Offset { group: Arc::clone(group), topic: topic.to_owned(), partition, value: None }
}

fn validate_commit(
    group: GroupRef<'_>,
    api_version: i16,
    request: &OffsetCommitRequest,
) -> Result<(), ErrorCode> {
    match group {
        GroupRef::Absent => match request.generation_id_or_member_epoch {
            ..0 => Ok(()), // A simple consumer makes its group by committing.
            _ if api_version >= GROUP_NOT_FOUND_SINCE => Err(ErrorCode::GroupIdNotFound),
            _ => Err(ErrorCode::IllegalGeneration),
        },
        GroupRef::Classic(group) => validate_classic_commit(group, request).map_err(Into::into),
        GroupRef::Consumer(group) => {
            group.validate_commit(api_version, request).map_err(|error| ErrorCode::from(&error))
        }
        GroupRef::Share(_) => Err(ErrorCode::GroupIdNotFound),
        GroupRef::Streams(group) => {
            let who = (request.member_id.as_str(), request.generation_id_or_member_epoch);
            let partitions = request.topics.iter().flat_map(|topic| {
                let indexes = topic.partitions.iter().map(|one| one.partition_index);
                indexes.map(|index| (topic.name.as_str(), index))
            });
            group
                .validate_commit(api_version, who, partitions)
                .map_err(|error| ErrorCode::from(&error))
        }
    }
}

fn validate_classic_commit(
    group: &ClassicGroup,
    request: &OffsetCommitRequest,
) -> Result<(), GroupError> {
    let generation = request.generation_id_or_member_epoch;
    let is_empty = group.state == GroupState::Empty;
    if generation < 0 && is_empty {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_deref();
    if generation >= 0 || !request.member_id.is_empty() || instance_id.is_some() {
        group.validate_member(&request.member_id, instance_id)?;
        if generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
    } else if !is_empty {
        return Err(GroupError::UnknownMemberId);
    }
    if group.state == GroupState::CompletingRebalance {
        return Err(GroupError::RebalanceInProgress);
    }
    Ok(())
}

fn validate_delete<'g>(
    group: GroupRef<'g>,
    request: &OffsetDeleteRequest,
) -> Result<&'g Arc<str>, GroupError> {
    if request.group_id.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    if matches!(group, GroupRef::Share(_)) {
        return Err(GroupError::GroupIdNotFound);
    }
    if let GroupRef::Classic(group) = group
        && group.state != GroupState::Empty
        && !group.uses_consumer_protocol()
    {
        return Err(GroupError::NonEmptyGroup);
    }
    group.id().ok_or(GroupError::GroupIdNotFound)
}

fn refused_commit(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    commit_response(request, &mut |_, _, _| error)
}

fn commit_response(
    request: &OffsetCommitRequest,
    commit: &mut dyn FnMut(&str, Uuid, &OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: commit(&topic.name, topic.topic_id, partition).code(),
                })
                .collect(),
        })
        .collect();
    OffsetCommitResponse { topics, ..Default::default() }
}

/// From this version on an unknown group is told as such (KIP-848).
const GROUP_NOT_FOUND_SINCE: i16 = 9;
/// Tombstones that go into one batch: far below any `max.message.bytes`.
const BATCH_RECORDS: usize = 1_000;
