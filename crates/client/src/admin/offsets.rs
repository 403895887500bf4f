//! Offsets: of logs, and those that groups have committed.

use std::collections::HashMap;

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use naru_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use naru_protocol::messages::offset_fetch_response::OffsetFetchResponse;
use tokio::time::Instant;

use super::Admin;
use crate::cluster::{Cluster, Lane};
use crate::config::Isolation;
use crate::error::{Error, Result};

/// Which offset of a log is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The oldest record's.
    Earliest,
    /// The next record's.
    Latest,
    /// That of the record with the greatest timestamp (KIP-734).
    MaxTimestamp,
    /// The oldest record's on the broker's own disk (KIP-405).
    EarliestLocal,
    /// The last one moved to tiered storage (KIP-1005).
    LatestTiered,
    /// The first record's whose timestamp is this or later.
    Timestamp(i64),
}

impl OffsetSpec {
    const fn number(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::Timestamp(timestamp) => timestamp,
        }
    }

    /// The first version of ListOffsets that knows it.
    const fn since(self) -> i16 {
        match self {
            Self::Latest | Self::Earliest | Self::Timestamp(_) => 0,
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
        }
    }
}

/// An offset of a log; none of both if there is no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset, if there is one.
    pub offset: Option<i64>,
    /// Timestamp of the record, if a record was asked for.
    pub timestamp: Option<i64>,
    /// Leader epoch of the record, if known.
    pub leader_epoch: Option<i32>,
}

/// What a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record's offset.
    pub offset: i64,
    /// Leader epoch of the last record read, if known.
    pub leader_epoch: Option<i32>,
    /// The committer's note.
    pub metadata: String,
}

impl Admin {
    /// Looks up offsets of partitions; answers for each.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset>)>> {
        list_offsets(&self.cluster, wanted, isolation).await
    }

    /// What a group has committed: for some partitions, or for all. Partitions without a
    /// committed offset are left out.
    pub async fn group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
        let fetched = self
            .cluster
            .retry(async || {
                let id = self.cluster.coordinator(group).await?;
                fetch_offsets(&self.cluster, id, Lane::Main, group, partitions).await
            })
            .await?;
        Ok(fetched.into_iter().filter_map(|(p, offset)| Some((p, offset?))).collect())
    }

    /// Sets committed offsets of a group that has no members; answers for each.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        let request = commit_request(group, -1, "", None, offsets);
        self.cluster
            .retry(async || {
                let id = self.cluster.coordinator(group).await?;
                commit_offsets(&self.cluster, id, Lane::Main, &request).await
            })
            .await
    }

    /// Forgets committed offsets of a group; answers for each.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        self.cluster
            .retry(async || {
                let topics = by_topic(partitions)
                    .into_iter()
                    .map(|(name, indexes)| OffsetDeleteRequestTopic {
                        name,
                        partitions: indexes
                            .into_iter()
                            .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
                            .collect(),
                    })
                    .collect();
                let request = OffsetDeleteRequest { group_id: group.to_owned(), topics };
                let (_, response) = self.ask_coordinator(group, request).await?;
                Error::check(response.error_code)?;
                let outcomes = response.topics.into_iter().flat_map(|topic| {
                    let name = topic.name;
                    topic.partitions.into_iter().map(move |p| {
                        let partition = TopicPartition::new(name.clone(), p.partition_index);
                        (partition, Error::check(p.error_code))
                    })
                });
                Ok(outcomes.collect())
            })
            .await
    }
}

/// Groups partitions by topic, in order of first appearance.
pub(crate) fn by_topic(partitions: &[TopicPartition]) -> Vec<(String, Vec<i32>)> {
    let mut topics: Vec<(String, Vec<i32>)> = Vec::new();
    for partition in partitions {
        match topics.iter_mut().find(|(topic, _)| *topic == partition.topic) {
            Some((_, indexes)) => indexes.push(partition.partition),
            None => topics.push((partition.topic.clone(), vec![partition.partition])),
        }
    }
    topics
}

/// Looks up offsets at the leaders; what fails for a moment is tried again.
pub(crate) async fn list_offsets(
    cluster: &Cluster,
    wanted: &[(TopicPartition, OffsetSpec)],
    isolation: Isolation,
) -> Result<Vec<(TopicPartition, Result<ListedOffset>)>> {
    let start = Instant::now();
    let mut backoff = cluster.backoff();
    let mut found: HashMap<TopicPartition, Result<ListedOffset>> = HashMap::new();
    let mut pending: Vec<(TopicPartition, OffsetSpec)> = wanted.to_vec();
    loop {
        let answers = list_offsets_once(cluster, &pending, isolation).await;
        let wait = backoff.step();
        let in_time = |error: &Error| {
            let limit = match error {
                Error::Unreachable { .. } | Error::AdvertisedUnreachable { .. } => {
                    cluster.config().reach_timeout
                }
                _ => cluster.config().api_timeout,
            };
            start.elapsed() + wait < limit
        };
        pending.retain(|(partition, _)| {
            let answer = answers.get(partition).cloned();
            let answer = answer.unwrap_or(Err(Error::code_only(ErrorCode::UnknownServerError)));
            let again = answer.as_ref().is_err_and(|error| error.is_retriable() && in_time(error));
            if again {
                cluster.forget_leader(&partition.topic, partition.partition);
            } else {
                found.insert(partition.clone(), answer);
            }
            again
        });
        if pending.is_empty() {
            break;
        }
        tokio::time::sleep(wait).await;
    }
    let answer_for = |(partition, _): &(TopicPartition, OffsetSpec)| {
        let answer = found.remove(partition);
        (partition.clone(), answer.unwrap_or(Err(Error::code_only(ErrorCode::UnknownServerError))))
    };
    Ok(wanted.iter().map(answer_for).collect())
}

async fn list_offsets_once(
    cluster: &Cluster,
    wanted: &[(TopicPartition, OffsetSpec)],
    isolation: Isolation,
) -> HashMap<TopicPartition, Result<ListedOffset>> {
    let mut answers = HashMap::new();
    let mut by_leader: HashMap<i32, Vec<(TopicPartition, OffsetSpec, i32)>> = HashMap::new();
    for (partition, spec) in wanted {
        match cluster.leader(&partition.topic, partition.partition).await {
            Ok((leader, epoch)) => {
                by_leader.entry(leader).or_default().push((partition.clone(), *spec, epoch));
            }
            Err(error) => {
                answers.insert(partition.clone(), Err(error));
            }
        }
    }
    for (leader, partitions) in by_leader {
        match list_offsets_at(cluster, leader, &partitions, isolation).await {
            Ok(found) => answers.extend(found),
            Err(error) => {
                let failed = partitions.into_iter().map(|(p, _, _)| (p, Err(error.clone())));
                answers.extend(failed);
            }
        }
    }
    answers
}

async fn list_offsets_at(
    cluster: &Cluster,
    leader: i32,
    partitions: &[(TopicPartition, OffsetSpec, i32)],
    isolation: Isolation,
) -> Result<Vec<(TopicPartition, Result<ListedOffset>)>> {
    let connection = cluster.broker(leader, Lane::Main).await?;
    let version = connection.versions().pick::<ListOffsetsRequest>(i16::MAX)?;
    if let Some((_, spec, _)) = partitions.iter().find(|(_, spec, _)| spec.since() > version) {
        return Err(Error::Argument(format!("this broker cannot look up {spec:?} offsets")));
    }
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (partition, spec, epoch) in partitions {
        let entry = ListOffsetsPartition {
            partition_index: partition.partition,
            current_leader_epoch: *epoch,
            timestamp: spec.number(),
        };
        match topics.iter_mut().find(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(entry),
            None => topics
                .push(ListOffsetsTopic { name: partition.topic.clone(), partitions: vec![entry] }),
        }
    }
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.number(),
        topics,
        timeout_ms: i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX),
    };
    let response = cluster.call(&connection, i16::MAX, |_| request).await?;
    let answers = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |p| {
            let listed = ListedOffset {
                offset: (p.offset >= 0).then_some(p.offset),
                timestamp: (p.timestamp >= 0).then_some(p.timestamp),
                leader_epoch: (p.leader_epoch >= 0).then_some(p.leader_epoch),
            };
            let partition = TopicPartition::new(name.clone(), p.partition_index);
            (partition, Error::check(p.error_code).map(|()| listed))
        })
    });
    Ok(answers.collect())
}

/// OffsetFetch at a coordinator; none where nothing is committed.
pub(crate) async fn fetch_offsets(
    cluster: &Cluster,
    coordinator: i32,
    lane: Lane,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>> {
    let connection = cluster.broker(coordinator, lane).await?;
    let topics = partitions.map(by_topic);
    // Version 10 wants topic ids, which old topics and brokers lack.
    let response = cluster
        .call(&connection, 9, |version| {
            let mut request = OffsetFetchRequest { require_stable: true, ..Default::default() };
            if version >= 8 {
                let topics = topics.map(|topics| {
                    let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
                        name,
                        partition_indexes,
                        ..Default::default()
                    };
                    topics.into_iter().map(topic).collect()
                });
                request.groups = vec![OffsetFetchRequestGroup {
                    group_id: group.to_owned(),
                    topics,
                    ..Default::default()
                }];
            } else {
                request.group_id = group.to_owned();
                request.topics = topics.map(|topics| {
                    let topic = |(name, partition_indexes)| OffsetFetchRequestTopic {
                        name,
                        partition_indexes,
                    };
                    topics.into_iter().map(topic).collect()
                });
            }
            request
        })
        .await?;
    committed_of(response)
}

fn committed_of(
    response: OffsetFetchResponse,
) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>> {
    Error::check(response.error_code)?;
    let mut committed = Vec::new();
    let mut take = |topic: &str, index: i32, code: i16, offset: i64, epoch: i32, note: String| {
        Error::check(code)?;
        let value = (offset >= 0).then(|| CommittedOffset {
            offset,
            leader_epoch: (epoch >= 0).then_some(epoch),
            metadata: note,
        });
        committed.push((TopicPartition::new(topic, index), value));
        Ok::<(), Error>(())
    };
    for topic in response.topics {
        for p in topic.partitions {
            let note = p.metadata.unwrap_or_default();
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            take(&topic.name, p.partition_index, p.error_code, offset, epoch, note)?;
        }
    }
    for group in response.groups {
        Error::check(group.error_code)?;
        for topic in group.topics {
            for p in topic.partitions {
                let note = p.metadata.unwrap_or_default();
                let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                take(&topic.name, p.partition_index, p.error_code, offset, epoch, note)?;
            }
        }
    }
    Ok(committed)
}

/// The request that commits `offsets` as a member, or as nobody with generation -1.
pub(crate) fn commit_request(
    group: &str,
    generation: i32,
    member_id: &str,
    instance_id: Option<&str>,
    offsets: &[(TopicPartition, CommittedOffset)],
) -> OffsetCommitRequest {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (partition, committed) in offsets {
        let entry = OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(committed.metadata.clone()),
        };
        match topics.iter_mut().find(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(entry),
            None => topics.push(OffsetCommitRequestTopic {
                name: partition.topic.clone(),
                partitions: vec![entry],
                ..Default::default()
            }),
        }
    }
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member_id.to_owned(),
        group_instance_id: instance_id.map(str::to_owned),
        retention_time_ms: -1,
        topics,
    }
}

/// OffsetCommit at a coordinator; answers for each partition.
pub(crate) async fn commit_offsets(
    cluster: &Cluster,
    coordinator: i32,
    lane: Lane,
    request: &OffsetCommitRequest,
) -> Result<Vec<(TopicPartition, Result<()>)>> {
    let connection = cluster.broker(coordinator, lane).await?;
    let response = cluster.call(&connection, 9, |_| request.clone()).await?;
    let mut outcomes = Vec::new();
    for topic in response.topics {
        for p in topic.partitions {
            let outcome = Error::check(p.error_code);
            if let Err(Error::Broker { code, .. }) = &outcome
                && matches!(
                    code,
                    ErrorCode::CoordinatorNotAvailable
                        | ErrorCode::NotCoordinator
                        | ErrorCode::CoordinatorLoadInProgress
                )
            {
                return Err(Error::code_only(*code));
            }
            outcomes.push((TopicPartition::new(topic.name.clone(), p.partition_index), outcome));
        }
    }
    Ok(outcomes)
}
