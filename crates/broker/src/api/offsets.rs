//! OffsetCommit (8, v2–v10), OffsetFetch (9, v1–v10), OffsetDelete (47, v0).
//! KIP-447, 496, 709, 848 (topic ids from v10).
//!
//! Here: which topics exist and what they are called. The rest is `naru_coordinators`'.

use naru_coordinators::{Command, Reply};
use naru_model::ErrorCode;
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestTopic,
};
use naru_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use naru_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use naru_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use naru_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::groups::{client, not_a_reader};
use super::join_answers;
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// First version of OffsetCommit and OffsetFetch that names topics by id.
const TOPIC_IDS_SINCE: i16 = 10;
/// First version of OffsetFetch with several groups.
const GROUPS_SINCE: i16 = 8;

pub(crate) async fn commit(
    context: RequestContext,
    mut request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    if let Some(error) = not_a_reader(&context, &request.group_id) {
        let topics = request.topics.iter().map(|topic| commit_refused(topic, |_| error)).collect();
        return OffsetCommitResponse { topics, ..Default::default() };
    }
    let mut refused = Vec::new();
    request.topics.retain_mut(|topic| keep_known(&context, topic, &mut refused));
    let by_id = context.version >= TOPIC_IDS_SINCE;
    let mut response = OffsetCommitResponse::default();
    if !request.topics.is_empty() || refused.is_empty() {
        let (group, topics) = (request.group_id.clone(), request.topics.clone());
        let command = Command::OffsetCommit { context: client(&context), request };
        let millis = context.node.config().offsets.commit_timeout_ms;
        let wait_max = crate::node::millis(millis);
        let asked = context.node.coordination().ask(&group, command);
        // A write that takes longer is told as Kafka tells it: ask again, perhaps elsewhere.
        let answer = tokio::time::timeout(wait_max, asked)
            .await
            .unwrap_or(Err(ErrorCode::CoordinatorNotAvailable));
        response = match answer {
            Ok(Reply::OffsetCommit(response)) => response,
            other => {
                let error = unexpected(other);
                let topics = topics.iter().map(|topic| commit_refused(topic, |_| error)).collect();
                OffsetCommitResponse { topics, ..Default::default() }
            }
        };
    }
    // A topic with good and bad partitions is answered as one.
    let key = |topic: &OffsetCommitResponseTopic| {
        if by_id {
            (topic.topic_id, String::new())
        } else {
            (naru_model::Uuid::ZERO, topic.name.clone())
        }
    };
    join_answers(&mut response.topics, refused, key, |known, topic| {
        known.partitions.extend(topic.partitions);
    });
    response
}

/// Fills in name and id, and moves what does not exist to `refused`.
fn keep_known(
    context: &RequestContext,
    topic: &mut OffsetCommitRequestTopic,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) -> bool {
    let image = context.node.image();
    let found = if context.version >= TOPIC_IDS_SINCE {
        image.topic_by_id(topic.topic_id)
    } else {
        image.topic(&topic.name)
    };
    let name = found.map_or(topic.name.as_str(), |found| &found.name);
    let is_named = found.is_some() || context.version < TOPIC_IDS_SINCE;
    if is_named && !context.may(Operation::Read, Resource::Topic(name)) {
        refused.push(commit_refused(topic, |_| ErrorCode::TopicAuthorizationFailed.code()));
        return false;
    }
    let Some(found) = found else {
        let error = if context.version >= TOPIC_IDS_SINCE {
            ErrorCode::UnknownTopicId
        } else {
            ErrorCode::UnknownTopicOrPartition
        };
        refused.push(commit_refused(topic, |_| error.code()));
        return false;
    };
    found.name.as_ref().clone_into(&mut topic.name);
    topic.topic_id = found.id;
    let count = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
    let unknown = |index: i32| index < 0 || index >= count;
    if topic.partitions.iter().any(|partition| unknown(partition.partition_index)) {
        let mut bad = topic.clone();
        bad.partitions.retain(|partition| unknown(partition.partition_index));
        topic.partitions.retain(|partition| !unknown(partition.partition_index));
        let error = ErrorCode::UnknownTopicOrPartition.code();
        refused.push(commit_refused(&bad, |_| error));
    }
    !topic.partitions.is_empty()
}

fn commit_refused(
    topic: &OffsetCommitRequestTopic,
    error: impl Fn(i32) -> i16,
) -> OffsetCommitResponseTopic {
    OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error(partition.partition_index),
            })
            .collect(),
    }
}

pub(crate) async fn fetch(
    context: RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if context.version < GROUPS_SINCE {
        return fetch_one(&context, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch_group(&context, group, request.require_stable).await);
    }
    OffsetFetchResponse { groups, ..Default::default() }
}

async fn fetch_group(
    context: &RequestContext,
    mut group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    if !context.may(Operation::Describe, Resource::Group(&group.group_id)) {
        return OffsetFetchResponseGroup {
            group_id: group.group_id,
            error_code: ErrorCode::GroupAuthorizationFailed.code(),
            ..Default::default()
        };
    }
    let by_id = context.version >= TOPIC_IDS_SINCE;
    let image = context.node.image();
    let mut unknown = Vec::new();
    let fetches_all = group.topics.is_none();
    if let (true, Some(topics)) = (by_id, &mut group.topics) {
        topics.retain_mut(|topic| match image.topic_by_id(topic.topic_id) {
            Some(found) => {
                found.name.as_ref().clone_into(&mut topic.name);
                true
            }
            None => {
                unknown.push(refused_topic(topic, ErrorCode::UnknownTopicId));
                false
            }
        });
    }
    if let Some(topics) = &mut group.topics {
        topics.retain(|topic| {
            let may = context.may(Operation::Describe, Resource::Topic(&topic.name));
            if !may {
                unknown.push(refused_topic(topic, ErrorCode::TopicAuthorizationFailed));
            }
            may
        });
    }
    let group_id = group.group_id.clone();
    let command = Command::OffsetFetch { group, require_stable };
    let mut answer = match context.node.coordination().ask(&group_id, command).await {
        Ok(Reply::OffsetFetch(answer)) => answer,
        other => OffsetFetchResponseGroup {
            group_id,
            error_code: unexpected(other),
            ..Default::default()
        },
    };
    if fetches_all {
        let seen = |name: &str| context.may_see(Operation::Describe, Resource::Topic(name));
        answer.topics.retain(|topic| seen(&topic.name));
    }
    if by_id {
        // Offsets of topics that are gone have no id to be told under.
        answer.topics.retain_mut(|topic| match image.topic(&topic.name) {
            Some(found) => {
                topic.topic_id = found.id;
                true
            }
            None => false,
        });
    }
    answer.topics.extend(unknown);
    answer
}

fn refused_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partition_indexes
            .iter()
            .map(|&partition_index| OffsetFetchResponsePartitions {
                partition_index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(String::new()),
                error_code: error.code(),
            })
            .collect(),
    }
}

/// The shape of one group, before v8.
async fn fetch_one(context: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|topic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..Default::default()
            })
            .collect()
    });
    let asked: Option<Vec<OffsetFetchRequestTopics>> = topics.clone();
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    let mut answer = fetch_group(context, group, request.require_stable).await;
    if answer.error_code != 0 && context.version < 2 {
        // Version 1 has no error of the group: every partition carries it.
        let error = ErrorCode::from_code(answer.error_code);
        answer.topics = asked.iter().flatten().map(|topic| refused_topic(topic, error)).collect();
    }
    let topics = answer.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: answer.error_code,
        ..Default::default()
    }
}

pub(crate) async fn delete(
    context: RequestContext,
    mut request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    if !context.may(Operation::Delete, Resource::Group(&request.group_id)) {
        let error_code = ErrorCode::GroupAuthorizationFailed.code();
        return OffsetDeleteResponse { error_code, ..Default::default() };
    }
    let image = context.node.image();
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        if !context.may(Operation::Read, Resource::Topic(&topic.name)) {
            let partitions = topic.partitions.drain(..).map(|one| OffsetDeleteResponsePartition {
                partition_index: one.partition_index,
                error_code: ErrorCode::TopicAuthorizationFailed.code(),
            });
            let partitions = partitions.collect();
            refused.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
            continue;
        }
        let count = image
            .topic(&topic.name)
            .map_or(0, |found| i32::try_from(found.partitions.len()).unwrap_or(0));
        let unknown = |index: i32| index < 0 || index >= count;
        let bad = topic.partitions.iter().filter(|p| unknown(p.partition_index));
        let partitions: Vec<_> = bad
            .map(|partition| OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
            })
            .collect();
        if !partitions.is_empty() {
            refused.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
        }
        topic.partitions.retain(|partition| !unknown(partition.partition_index));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let group = request.group_id.clone();
    let command = Command::OffsetDelete(request);
    let mut response = match context.node.coordination().ask(&group, command).await {
        Ok(Reply::OffsetDelete(response)) => response,
        other => OffsetDeleteResponse { error_code: unexpected(other), ..Default::default() },
    };
    if response.error_code != 0 {
        return response;
    }
    let key = |topic: &OffsetDeleteResponseTopic| topic.name.clone();
    join_answers(&mut response.topics, refused, key, |known, topic| {
        known.partitions.extend(topic.partitions);
    });
    response
}
