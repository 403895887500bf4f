//! What administrators ask of a share group: AlterShareGroupOffsets (key 91, v0),
//! DeleteShareGroupOffsets (key 92, v0), and its end by DeleteGroups.
//!
//! State is kept by share coordinators, which the shell asks: the shard notes first what is to
//! happen, so that what is interrupted can be done again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use naru_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponse, AlterShareGroupOffsetsResponsePartition,
    AlterShareGroupOffsetsResponseTopic,
};
use naru_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use naru_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;

use super::error::ShareGroupError;
use super::facts::{NamedPartitions, ShareFact, StatePartitions};
use super::group::ShareGroup;
use super::initialization::Initialization;
use super::target::{Scope, ShareChange};
use crate::consumer::TopicInfo;

/// State that the shell is to have ended; the shard is told when it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDeletion {
    /// Of which group.
    pub group: Arc<str>,
    /// Which share partitions.
    pub partitions: BTreeSet<(Uuid, i32)>,
    /// The names of their topics.
    pub names: BTreeMap<Uuid, String>,
}

/// What comes of a request to delete offsets.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedOffsets {
    /// The answers about topics that have nothing to delete.
    pub refused: Vec<DeleteShareGroupOffsetsResponseTopic>,
    /// What is to be deleted; none if nothing is.
    pub deletion: Option<StateDeletion>,
}

/// Kafka's words for a topic or partition that is not there.
const UNKNOWN: &str = "This server does not host this topic-partition.";

fn check_empty(group: &ShareGroup) -> Result<(), ShareGroupError> {
    if group.is_empty() { Ok(()) } else { Err(ShareGroupError::NonEmptyGroup) }
}

/// Notes that partitions begin at other offsets.
pub(super) fn alter_offsets(
    scope: &Scope<'_>,
    change: &mut ShareChange<'_>,
    request: &AlterShareGroupOffsetsRequest,
) -> Result<(AlterShareGroupOffsetsResponse, Option<Initialization>), ShareGroupError> {
    check_empty(change.group)?;
    let mut responses = Vec::with_capacity(request.topics.len());
    let mut begun: BTreeMap<Uuid, NamedPartitions> = BTreeMap::new();
    let mut starts = BTreeMap::new();
    for topic in &request.topics {
        let known = scope.topics.by_name(&topic.topic_name);
        // One beginning at a time: what came of an earlier one would be taken for this one's.
        let is_changing = |known: &TopicInfo| {
            scope.is_ending(change.group, known.id) || scope.is_beginning(change.group, known.id)
        };
        if known.as_ref().is_some_and(is_changing) {
            return Err(ShareGroupError::StateChanges);
        }
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let index = asked.partition_index;
            let there = known.as_ref().filter(|known| (0..known.partitions).contains(&index));
            partitions.push(match there {
                Some(TopicInfo { id, .. }) => {
                    starts.insert((*id, index), asked.start_offset);
                    let named = begun.entry(*id).or_default();
                    named.name.clone_from(&topic.topic_name);
                    named.partitions.insert(index);
                    AlterShareGroupOffsetsResponsePartition {
                        partition_index: index,
                        ..Default::default()
                    }
                }
                None => AlterShareGroupOffsetsResponsePartition {
                    partition_index: index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    error_message: Some(UNKNOWN.to_owned()),
                },
            });
        }
        responses.push(AlterShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name.clone(),
            topic_id: known.map_or(Uuid::ZERO, |known| known.id),
            partitions,
        });
    }
    let initialization = (!begun.is_empty()).then(|| scope.begin(change, begun, starts));
    Ok((AlterShareGroupOffsetsResponse { responses, ..Default::default() }, initialization))
}

/// Notes that the state of topics is being deleted.
pub(super) fn delete_offsets(
    scope: &Scope<'_>,
    change: &mut ShareChange<'_>,
    request: &DeleteShareGroupOffsetsRequest,
) -> Result<DeletedOffsets, ShareGroupError> {
    check_empty(change.group)?;
    let group = Arc::clone(&change.group.id);
    let Some(known) = change.group.state_partitions() else {
        return Ok(DeletedOffsets { refused: Vec::new(), deletion: None });
    };
    let mut state = known.clone();
    let mut refused = Vec::new();
    let (mut partitions, mut names) = (BTreeSet::new(), BTreeMap::new());
    for topic in &request.topics {
        let refuse = |text: &str| DeleteShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name.clone(),
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            error_message: Some(text.to_owned()),
            ..Default::default()
        };
        let Some(TopicInfo { id, partitions: count }) = scope.topics.by_name(&topic.topic_name)
        else {
            refused.push(refuse(UNKNOWN));
            continue;
        };
        if scope.is_beginning(change.group, id) {
            return Err(ShareGroupError::StateChanges);
        }
        if let Some(kept) = state.initialized.remove(&id) {
            partitions.extend(kept.partitions.into_iter().map(|partition| (id, partition)));
            state.deleting.insert(id, topic.topic_name.clone());
        } else if state.deleting.contains_key(&id) {
            // It was interrupted: all that there can be is deleted again.
            partitions.extend((0..count).map(|partition| (id, partition)));
        } else {
            refused.push(refuse("There is no offset information to delete."));
            continue;
        }
        names.insert(id, topic.topic_name.clone());
    }
    if state != *known {
        change.apply(ShareFact::State(Some(Box::new(state))));
    }
    note_end(scope, change, &names);
    let deletion = (!partitions.is_empty()).then_some(StateDeletion { group, partitions, names });
    Ok(DeletedOffsets { refused, deletion })
}

/// The state of topics is deleted.
pub(super) fn deleted(change: &mut ShareChange<'_>, topics: &BTreeSet<Uuid>) {
    let Some(known) = change.group.state_partitions() else { return };
    let mut state = known.clone();
    state.deleting.retain(|topic, _| !topics.contains(topic));
    if state != *known {
        change.apply(ShareFact::State(Some(Box::new(state))));
    }
    change.group.ended_at.retain(|topic, _| !topics.contains(topic));
}

/// Remembers since when share coordinators may be ending the state of topics.
fn note_end(scope: &Scope<'_>, change: &mut ShareChange<'_>, topics: &BTreeMap<Uuid, String>) {
    change.group.ended_at.extend(topics.keys().map(|topic| (*topic, scope.now)));
}

/// Notes that all of a group's state is being deleted, because the group is.
pub(super) fn delete_all(
    scope: &Scope<'_>,
    change: &mut ShareChange<'_>,
) -> Result<Option<StateDeletion>, ShareGroupError> {
    check_empty(change.group)?;
    let group = Arc::clone(&change.group.id);
    let Some(known) = change.group.state_partitions() else { return Ok(None) };
    if known.initializing.keys().any(|topic| scope.is_beginning(change.group, *topic)) {
        return Err(ShareGroupError::StateChanges);
    }
    let mut partitions = BTreeSet::new();
    let mut names = BTreeMap::new();
    for (topic, kept) in known.initialized.iter().chain(&known.initializing) {
        partitions.extend(kept.partitions.iter().map(|partition| (*topic, *partition)));
        names.insert(*topic, kept.name.clone());
    }
    for topic in known.deleting.keys() {
        // Of topics that are gone share coordinators keep nothing.
        let Some(name) = scope.topics.name(*topic) else { continue };
        let count = scope.topics.by_name(&name).map_or(0, |info| info.partitions);
        partitions.extend((0..count).map(|partition| (*topic, partition)));
        names.insert(*topic, name.to_string());
    }
    let state = StatePartitions { deleting: names.clone(), ..StatePartitions::default() };
    if state != *known {
        change.apply(ShareFact::State(Some(Box::new(state))));
    }
    note_end(scope, change, &names);
    Ok((!partitions.is_empty()).then_some(StateDeletion { group, partitions, names }))
}

/// Forgets topics that are gone: share coordinators forget them by themselves.
pub(super) fn forget(change: &mut ShareChange<'_>, topics: &BTreeSet<Uuid>) {
    change.group.asked_at.retain(|topic, _| !topics.contains(topic));
    change.group.ended_at.retain(|topic, _| !topics.contains(topic));
    let Some(known) = change.group.state_partitions() else { return };
    let mut state = known.clone();
    state.initializing.retain(|topic, _| !topics.contains(topic));
    state.initialized.retain(|topic, _| !topics.contains(topic));
    state.deleting.retain(|topic, _| !topics.contains(topic));
    if state != *known {
        change.apply(ShareFact::State(Some(Box::new(state))));
    }
}
