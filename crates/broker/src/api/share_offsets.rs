//! Where share groups stand: DescribeShareGroupOffsets (90, v0–v1), AlterShareGroupOffsets (91,
//! v0), DeleteShareGroupOffsets (92, v0). KIP-932, 1226.
//!
//! The group notes what is to happen, share coordinators do it, the group notes that it is done.
//! Describe v1 lag.

use std::collections::{BTreeMap, BTreeSet};

use naru_coordinators::{Command, Reply, StateDeletion};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use naru_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponse, AlterShareGroupOffsetsResponsePartition,
    AlterShareGroupOffsetsResponseTopic,
};
use naru_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use naru_protocol::messages::delete_share_group_offsets_response::{
    DeleteShareGroupOffsetsResponse, DeleteShareGroupOffsetsResponseTopic,
};
use naru_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponse, DescribeShareGroupOffsetsResponseGroup,
    DescribeShareGroupOffsetsResponsePartition, DescribeShareGroupOffsetsResponseTopic,
};

use super::group_access::{Protocol, Refused, check_group};
use super::share_groups::carry_out;
use super::words::words;
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::peer::share_log_ends::log_ends;
use crate::peer::share_state_admin::{Parts, delete, read_summary};
use crate::security::{Operation, Resource};

type DescribedTopic = DescribeShareGroupOffsetsResponseTopic;
type DescribedPartition = DescribeShareGroupOffsetsResponsePartition;

/// What is told of an offset, a lag that is not known.
const UNKNOWN: i64 = -1;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for asked in request.groups {
        let group_id = asked.group_id.clone();
        let described = match may_describe(&context, &group_id) {
            Ok(()) => describe_group(&context, asked).await,
            Err(refused) => Err(refused),
        };
        groups.push(match described {
            Ok(topics) => {
                DescribeShareGroupOffsetsResponseGroup { group_id, topics, ..Default::default() }
            }
            Err(Refused { error, text }) => DescribeShareGroupOffsetsResponseGroup {
                group_id,
                error_code: error.code(),
                error_message: Some(text),
                ..Default::default()
            },
        });
    }
    DescribeShareGroupOffsetsResponse { groups, ..Default::default() }
}

fn may_describe(context: &RequestContext, group: &str) -> Result<(), Refused> {
    Protocol::SHARE.check(context)?;
    check_group(context, Operation::Describe, group)
}

async fn describe_group(
    context: &RequestContext,
    asked: DescribeShareGroupOffsetsRequestGroup,
) -> Result<Vec<DescribedTopic>, Refused> {
    let DescribeShareGroupOffsetsRequestGroup { group_id, topics } = asked;
    let may = |name: &str| context.may_see(Operation::Describe, Resource::Topic(name));
    let image = context.node.image();
    let Some(topics) = topics else {
        let command = Command::SharePartitions { group_id: group_id.clone() };
        let kept = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::SharePartitions(kept)) => kept,
            other => return Err(ErrorCode::from_code(unexpected(other)).into()),
        };
        let named = kept.into_iter().filter_map(|(id, partitions)| {
            let name = image.topic_by_id(id)?.name.to_string();
            may(&name).then(|| ((id, name), partitions.into_iter().collect()))
        });
        return Ok(stand(context, &group_id, named.collect()).await);
    };
    let mut known: BTreeMap<(Uuid, String), Vec<i32>> = BTreeMap::new();
    let (mut absent, mut hidden) = (Vec::new(), Vec::new());
    for DescribeShareGroupOffsetsRequestTopic { topic_name, partitions } in topics {
        if !may(&topic_name) {
            let error = ErrorCode::TopicAuthorizationFailed;
            hidden.push(without_offsets(topic_name, &partitions, error));
        } else if let Some(topic) = image.topic(&topic_name) {
            known.entry((topic.id, topic_name)).or_default().extend(partitions);
        } else {
            // No offset is the absence of data, not an error.
            absent.push(without_offsets(topic_name, &partitions, ErrorCode::None));
        }
    }
    let mut topics = stand(context, &group_id, known).await;
    topics.append(&mut absent);
    topics.append(&mut hidden);
    Ok(topics)
}

fn without_offsets(name: String, partitions: &[i32], error: ErrorCode) -> DescribedTopic {
    let partitions = partitions.iter().map(|index| DescribedPartition {
        partition_index: *index,
        start_offset: UNKNOWN,
        lag: UNKNOWN,
        error_code: error.code(),
        error_message: (error != ErrorCode::None).then(|| words(error).to_owned()),
        ..Default::default()
    });
    DescribedTopic { topic_name: name, partitions: partitions.collect(), ..Default::default() }
}

/// Where a group stands in partitions of topics, as share coordinators tell.
async fn stand(
    context: &RequestContext,
    group: &str,
    topics: BTreeMap<(Uuid, String), Vec<i32>>,
) -> Vec<DescribedTopic> {
    let partitions =
        topics.iter().flat_map(|((id, _), indexes)| indexes.iter().map(|index| (*id, *index)));
    let summaries = read_summary(&context.node, group, partitions).await;
    let mut measured = BTreeSet::new();
    for ((id, name), indexes) in &topics {
        for index in indexes {
            if let Some(Ok(told)) = summaries.get(&(*id, *index))
                && told.start_offset != UNKNOWN
                && told.delivery_complete_count != NOT_COUNTED
            {
                measured.insert((name.clone(), *index));
            }
        }
    }
    let ends = if context.version >= LAG_SINCE {
        log_ends(&context.node, measured).await
    } else {
        BTreeMap::new()
    };
    let mut described = Vec::with_capacity(topics.len());
    for ((topic_id, topic_name), indexes) in topics {
        let one = |partition_index: i32| {
            let partition =
                DescribedPartition { partition_index, lag: UNKNOWN, ..Default::default() };
            let Some(Ok(told)) = summaries.get(&(topic_id, partition_index)) else {
                return DescribedPartition { start_offset: UNKNOWN, ..partition };
            };
            let partition = DescribedPartition {
                start_offset: told.start_offset,
                leader_epoch: told.leader_epoch,
                ..partition
            };
            match ends.get(&(topic_name.clone(), partition_index)) {
                None => partition,
                Some(Ok(end)) => DescribedPartition {
                    // A start may be any number that an administrator has set.
                    lag: end
                        .saturating_sub(told.start_offset)
                        .saturating_sub(i64::from(told.delivery_complete_count)),
                    ..partition
                },
                Some(Err(error)) => DescribedPartition {
                    partition_index,
                    error_code: error.code(),
                    error_message: Some(words(*error).to_owned()),
                    ..Default::default()
                },
            }
        };
        let partitions = indexes.into_iter().map(one).collect();
        described.push(DescribedTopic { topic_id, topic_name, partitions });
    }
    described
}

/// First version that tells lags.
const LAG_SINCE: i16 = 1;
/// Nobody has counted what is done behind the start.
const NOT_COUNTED: i32 = -1;

pub(crate) async fn alter(
    context: RequestContext,
    mut request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    let refuse = |Refused { error, text }| AlterShareGroupOffsetsResponse {
        error_code: error.code(),
        error_message: Some(text),
        ..Default::default()
    };
    let group = request.group_id.clone();
    let checked = Protocol::SHARE.check(&context);
    if let Err(refused) = checked.and_then(|()| check_group(&context, Operation::Read, &group)) {
        return refuse(refused);
    }
    let mut responses = Vec::new();
    let image = context.node.image();
    request.topics.retain(|topic| {
        let known = image.topic(&topic.topic_name);
        let error = if !context.may(Operation::Read, Resource::Topic(&topic.topic_name)) {
            ErrorCode::TopicAuthorizationFailed
        } else if known.is_none() {
            ErrorCode::UnknownTopicOrPartition
        } else {
            return true;
        };
        let partitions = topic.partitions.iter().map(|one| {
            let (error_code, error_message) = (error.code(), Some(words(error).to_owned()));
            let partition_index = one.partition_index;
            AlterShareGroupOffsetsResponsePartition { partition_index, error_code, error_message }
        });
        responses.push(AlterShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name.clone(),
            topic_id: known.map_or(Uuid::ZERO, |known| known.id),
            partitions: partitions.collect(),
        });
        false
    });
    if group.is_empty() {
        return refuse(ErrorCode::InvalidGroupId.into());
    }
    let command = Command::AlterShareGroupOffsets(request);
    let (mut response, initialization) =
        match context.node.coordination().ask(&group, command).await {
            Ok(Reply::AlterShareGroupOffsets(Ok(altered))) => altered,
            Ok(Reply::AlterShareGroupOffsets(Err((error, text)))) => {
                return refuse(Refused { error, text });
            }
            other => return refuse(ErrorCode::from_code(unexpected(other)).into()),
        };
    if let Some(initialization) = initialization {
        let results = carry_out(&context.node, &initialization).await;
        note_failures(&mut response, &results);
    }
    responses.append(&mut response.responses);
    AlterShareGroupOffsetsResponse { responses, ..response }
}

/// What share coordinators have not done.
fn note_failures(response: &mut AlterShareGroupOffsetsResponse, results: &Parts<ErrorCode>) {
    for topic in &mut response.responses {
        for partition in topic.partitions.iter_mut().filter(|one| one.error_code == 0) {
            let result = results.get(&(topic.topic_id, partition.partition_index));
            if let Some(error) = result.filter(|error| **error != ErrorCode::None) {
                partition.error_code = error.code();
                partition.error_message = Some(words(*error).to_owned());
            }
        }
    }
}

pub(crate) async fn delete_offsets(
    context: RequestContext,
    mut request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let refuse = |Refused { error, text }| DeleteShareGroupOffsetsResponse {
        error_code: error.code(),
        error_message: Some(text),
        ..Default::default()
    };
    let group = request.group_id.clone();
    let checked = Protocol::SHARE.check(&context);
    if let Err(refused) = checked.and_then(|()| check_group(&context, Operation::Delete, &group)) {
        return refuse(refused);
    }
    let mut responses = Vec::new();
    request.topics.retain(|topic| {
        let may = context.may(Operation::Read, Resource::Topic(&topic.topic_name));
        if !may {
            let error = ErrorCode::TopicAuthorizationFailed;
            responses.push(DeleteShareGroupOffsetsResponseTopic {
                topic_name: topic.topic_name.clone(),
                error_code: error.code(),
                error_message: Some(words(error).to_owned()),
                ..Default::default()
            });
        }
        may
    });
    if group.is_empty() {
        return refuse(ErrorCode::InvalidGroupId.into());
    }
    let command = Command::DeleteShareGroupOffsets(request);
    let deleted = match context.node.coordination().ask(&group, command).await {
        Ok(Reply::DeleteShareGroupOffsets(Ok(deleted))) => deleted,
        Ok(Reply::DeleteShareGroupOffsets(Err((error, text)))) => {
            return refuse(Refused { error, text });
        }
        other => return refuse(ErrorCode::from_code(unexpected(other)).into()),
    };
    if let Some(deletion) = deleted.deletion {
        match delete_topics(&context, deletion).await {
            Ok(mut topics) => responses.append(&mut topics),
            Err(error) => return refuse(error.into()),
        }
    }
    responses.extend(deleted.refused);
    DeleteShareGroupOffsetsResponse { responses, ..Default::default() }
}

/// Has share coordinators forget topics, and the group note which they have.
async fn delete_topics(
    context: &RequestContext,
    deletion: StateDeletion,
) -> Result<Vec<DeleteShareGroupOffsetsResponseTopic>, ErrorCode> {
    let StateDeletion { group, partitions, names } = deletion;
    let results = delete(&context.node, &group, partitions).await;
    let mut failed: BTreeMap<Uuid, ErrorCode> = BTreeMap::new();
    for ((topic, _), error) in results {
        if error != ErrorCode::None {
            failed.entry(topic).or_insert(error);
        }
    }
    let topics: BTreeSet<Uuid> =
        names.keys().filter(|topic| !failed.contains_key(topic)).copied().collect();
    if !topics.is_empty() {
        let command = Command::ShareStateDeleted { group_id: group.to_string(), topics };
        match context.node.coordination().ask(&group, command).await {
            Ok(Reply::Done) => {}
            other => return Err(ErrorCode::from_code(unexpected(other))),
        }
    }
    let answered = names.into_iter().map(|(topic_id, topic_name)| {
        let error = failed.get(&topic_id).copied();
        DeleteShareGroupOffsetsResponseTopic {
            topic_name,
            topic_id,
            error_code: error.map_or(0, ErrorCode::code),
            error_message: error.map(|error| words(error).to_owned()),
        }
    });
    Ok(answered.collect())
}
