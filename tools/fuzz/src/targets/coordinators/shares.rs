//! Requests to a share coordinator.

use std::sync::Arc;

use naru_coordinators::{
    Prune, ShareCommand, SharePartition, ShareShard, ShareStateConfig, StateBatch, StateWrite,
};
use naru_protocol::DecodeError;
use naru_protocol::messages::delete_share_group_state_request::DeleteShareGroupStateRequest;
use naru_protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
use naru_protocol::messages::write_share_group_state_request::WriteShareGroupStateRequest;

use super::requests::{Asked, read};
use super::topics::EveryTopic;

/// Share partitions.
pub(super) struct Shares;

pub(super) const SHARE_REQUESTS: [&str; 5] = [
    "InitializeShareGroupStateRequest",
    "ReadShareGroupStateRequest",
    "WriteShareGroupStateRequest",
    "DeleteShareGroupStateRequest",
    "ReadShareGroupStateSummaryRequest",
];

impl Asked for Shares {
    type Shard = ShareShard;

    fn new() -> ShareShard {
        // Snapshots come soon.
        let config = ShareStateConfig { updates_per_snapshot: 2, ..ShareStateConfig::default() };
        let mut shard = ShareShard::new(config);
        shard.on_metadata(Arc::new(EveryTopic));
        shard
    }

    fn commands(kind: usize, version: i16, bytes: &[u8]) -> Vec<ShareCommand> {
        share_commands(kind, version, bytes).unwrap_or_default()
    }

    fn answer(_: Prune) -> Option<ShareCommand> {
        None
    }
}

fn share_commands(
    kind: usize,
    version: i16,
    bytes: &[u8],
) -> Result<Vec<ShareCommand>, DecodeError> {
    // The requests have the same shape: topics of a group, and their partitions.
    macro_rules! each_partition {
        ($request:ty, |$partition:ident, $of:ident| $command:expr) => {{
            let (_, request) = read::<$request>(version, bytes)?;
            let group: Arc<str> = request.group_id.as_str().into();
            let topics = request.topics.into_iter();
            let all = topics.flat_map(|topic| {
                let (group, topic_id) = (Arc::clone(&group), topic.topic_id);
                topic.partitions.into_iter().map(move |$of| {
                    let (group, partition) = (Arc::clone(&group), $of.partition);
                    let $partition = SharePartition { group, topic_id, partition };
                    $command
                })
            });
            all.collect()
        }};
    }
    Ok(match kind % SHARE_REQUESTS.len() {
        0 => each_partition!(InitializeShareGroupStateRequest, |partition, of| {
            let (state_epoch, start_offset) = (of.state_epoch, of.start_offset);
            ShareCommand::Initialize { partition, state_epoch, start_offset }
        }),
        1 => each_partition!(ReadShareGroupStateRequest, |partition, of| {
            ShareCommand::Read { partition, leader_epoch: of.leader_epoch }
        }),
        2 => each_partition!(WriteShareGroupStateRequest, |partition, of| {
            let batches = of.state_batches.iter().map(|batch| StateBatch {
                first_offset: batch.first_offset,
                last_offset: batch.last_offset,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            });
            let write = StateWrite {
                state_epoch: of.state_epoch,
                leader_epoch: of.leader_epoch,
                start_offset: of.start_offset,
                delivery_complete_count: of.delivery_complete_count,
                batches: batches.collect(),
            };
            ShareCommand::Write { partition, write }
        }),
        3 => each_partition!(DeleteShareGroupStateRequest, |partition, _of| {
            ShareCommand::Delete { partition }
        }),
        _ => each_partition!(ReadShareGroupStateSummaryRequest, |partition, _of| {
            ShareCommand::Summary { partition }
        }),
    })
}
