//! What a follower does with what its leader has answered for a partition.

use std::time::Instant;

use naru_log::AppendError;
use naru_model::{ErrorCode, LeaderEpoch, Offset};
use naru_protocol::Records;
use naru_protocol::messages::fetch_response::PartitionData;
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_replication::{Divergence, PartitionKey};

use super::fetcher::Fetcher;
use crate::partition::FollowError;

/// Version of ListOffsets that is sent.
const LIST_OFFSETS_VERSION: i16 = 9;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// Pause when leader and follower have not heard of the same leader epoch yet.
const METADATA_PAUSE_MS: i64 = 20;

/// How long a throttled partition waits before its rate is looked at again.
const THROTTLE_PAUSE_MS: i64 = 200;

impl Fetcher {
    /// Takes in what a partition got; whether its offset is not in the leader's log.
    pub(super) fn handle_partition(&mut self, key: PartitionKey, data: &PartitionData) -> bool {
        let Some(following) = self.following.get(&key) else { return false };
        let (partition, epoch) = (following.partition.clone(), following.epoch);
        let now = self.node.now();
        let done = match ErrorCode::from_code(data.error_code) {
            ErrorCode::None if data.diverging_epoch.epoch >= 0 => {
                let leader = Divergence {
                    epoch: LeaderEpoch(data.diverging_epoch.epoch),
                    end: Offset(data.diverging_epoch.end_offset),
                };
                partition.truncate_diverging(epoch, leader, now)
            }
            ErrorCode::None => {
                let (appended, len) = match &data.records {
                    Records::Inline(bytes) if !bytes.is_empty() => {
                        (partition.append_fetched(epoch, bytes, now).map(drop), bytes.len())
                    }
                    Records::Inline(_) | Records::Null | Records::External { .. } => (Ok(()), 0),
                };
                if appended.is_ok() {
                    partition.follow_marks(epoch, data.high_watermark, data.log_start_offset);
                    let lags = partition.log_end().0 < data.high_watermark;
                    if partition.note_got(len, lags) {
                        self.throttled.insert(key, self.now_ms() + THROTTLE_PAUSE_MS);
                    }
                }
                appended
            }
            ErrorCode::OffsetOutOfRange => return true,
            error => {
                self.pause_for(key, error);
                return false;
            }
        };
        self.settle(key, done);
        false
    }

    /// Goes on with a partition, after a pause if something was wrong.
    fn settle(&mut self, key: PartitionKey, done: Result<(), FollowError>) {
        match done {
            Ok(()) => drop(self.go_on(key)),
            // Metadata has said something new; that comes with the news.
            Err(FollowError::NotFollowing) => self.plan.hold(key),
            Err(FollowError::Append(error)) => {
                let Some(following) = self.following.get(&key) else { return };
                let (partition, metrics) =
                    (following.partition.name(), following.partition.metrics());
                match &error {
                    AppendError::Damaged { .. } | AppendError::OffsetsOutOfOrder { .. } => {
                        tracing::error!(partition, "the leader sent something damaged: {error}");
                    }
                    // A full disk refuses for as long as it is full: once in a while is enough.
                    _ => {
                        if let Some(left_out) = metrics.storage_failures.note(Instant::now()) {
                            tracing::error!(partition, left_out, "not stored: {error}");
                        }
                    }
                }
                if self.go_on(key) {
                    let backoff = self.node.config().replication.fetch_backoff_ms;
                    self.plan.pause(key, self.now_ms() + backoff);
                }
            }
        }
    }

    fn pause_for(&mut self, key: PartitionKey, error: ErrorCode) {
        let pause = match error {
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition => METADATA_PAUSE_MS,
            _ => self.node.config().replication.fetch_backoff_ms,
        };
        tracing::debug!(?key, %error, "the leader does not serve the partition");
        self.plan.pause(key, self.now_ms() + pause);
    }

    /// Finds out where the leader's logs are that do not have these partitions' offsets.
    pub(super) async fn find_range(&mut self, keys: Vec<PartitionKey>) {
        let ends = self.list_offsets(&keys, LATEST).await;
        let starts = self.list_offsets(&keys, EARLIEST).await;
        for key in keys {
            let Some(following) = self.following.get(&key) else { continue };
            let (partition, epoch) = (following.partition.clone(), following.epoch);
            let name = (partition.topic().to_owned(), partition.index());
            let of = |all: &[((String, i32), i64)]| {
                all.iter().find(|(other, _)| *other == name).map(|(_, offset)| Offset(*offset))
            };
            let (Some(end), Some(start)) = (of(&ends), of(&starts)) else {
                let backoff = self.node.config().replication.fetch_backoff_ms;
                self.plan.pause(key, self.now_ms() + backoff);
                continue;
            };
            let now = self.node.now();
            let done = if end < partition.log_end() {
                partition.truncate_to(epoch, end, now)
            } else if start > partition.log_end() {
                partition.restart_at(epoch, start, now)
            } else {
                Ok(())
            };
            self.settle(key, done);
        }
    }

    /// Asks the leader for an end of its logs; those that it tells.
    async fn list_offsets(
        &mut self,
        keys: &[PartitionKey],
        timestamp: i64,
    ) -> Vec<((String, i32), i64)> {
        let mut request = ListOffsetsRequest { replica_id: self.node.id(), ..Default::default() };
        for key in keys {
            let Some(following) = self.following.get(key) else { continue };
            request.topics.push(ListOffsetsTopic {
                name: following.partition.topic().to_owned(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: key.partition,
                    current_leader_epoch: following.epoch.0,
                    timestamp,
                }],
            });
        }
        let within = self.timeout();
        let Some(connection) = &mut self.connection else { return Vec::new() };
        match connection.ask(&request, LIST_OFFSETS_VERSION, within).await {
            Ok(response) => response
                .topics
                .into_iter()
                .flat_map(|topic| {
                    topic.partitions.into_iter().map(move |p| (topic.name.clone(), p))
                })
                .filter(|(_, partition)| partition.error_code == 0)
                .map(|(name, partition)| ((name, partition.partition_index), partition.offset))
                .collect(),
            Err(error) => {
                tracing::warn!("the leader's offsets are not known: {error}");
                self.connection = None;
                self.plan.restart_session(true);
                Vec::new()
            }
        }
    }
}
