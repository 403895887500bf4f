//! The leader's side of FetchSnapshot, v0-v1.

use naru_model::ErrorCode;
use naru_protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use naru_protocol::messages::fetch_snapshot_response::{
    self as response, FetchSnapshotResponse, PartitionSnapshot,
};

use super::messages;
use super::quorum::{Quorum, Step};
use super::role::Role;
use super::{Effect, SnapshotId, SnapshotRead};

impl Quorum {
    pub(super) fn handle_fetch_snapshot(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        request: &FetchSnapshotRequest,
    ) {
        let (response, read) = self.serve_snapshot(step, request);
        step.effects.push(Effect::ReplySnapshot { token, response, read });
    }

    fn serve_snapshot(
        &mut self,
        step: &Step<'_>,
        request: &FetchSnapshotRequest,
    ) -> (FetchSnapshotResponse, Option<SnapshotRead>) {
        let top_level = |error: ErrorCode| FetchSnapshotResponse {
            error_code: error.code(),
            ..FetchSnapshotResponse::default()
        };
        if self.is_other_cluster(request.cluster_id.as_deref()) {
            return (top_level(ErrorCode::InconsistentClusterId), None);
        }
        let Some(ask) = messages::snapshot(request) else {
            return (self.unknown_partition(request), None);
        };
        let id =
            SnapshotId { end_offset: ask.snapshot_id.end_offset, epoch: ask.snapshot_id.epoch };
        let mut answer = PartitionSnapshot {
            index: 0,
            snapshot_id: response::SnapshotId { end_offset: id.end_offset, epoch: id.epoch },
            position: ask.position,
            ..PartitionSnapshot::default()
        };
        let error = match self.check_leader_request(ask.current_leader_epoch) {
            Err(error) => Some(error),
            // The formatter's snapshot is not replicated.
            Ok(()) if id == SnapshotId::default() => Some(ErrorCode::SnapshotNotFound),
            Ok(()) if ask.position < 0 => Some(ErrorCode::PositionOutOfRange),
            Ok(()) => None,
        };
        if let Some(error) = error {
            answer.error_code = error.code();
            answer.snapshot_id = response::SnapshotId::default();
            answer.position = 0;
            return (self.leadership().snapshot_response(answer), None);
        }
        let key = self.replica_key(request.replica_id, ask.replica_directory_id);
        if let Role::Leader(leader) = &mut self.role
            && request.replica_id >= 0
        {
            leader.note_contact(key, ask.replica_directory_id, step.now);
        }
        let read = SnapshotRead { id, position: ask.position, max_bytes: request.max_bytes };
        (self.leadership().snapshot_response(answer), Some(read))
    }

    fn unknown_partition(&self, request: &FetchSnapshotRequest) -> FetchSnapshotResponse {
        let Some(topic) = request.topics.first() else {
            return FetchSnapshotResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..FetchSnapshotResponse::default()
            };
        };
        let answer = PartitionSnapshot {
            index: topic.partitions.first().map_or(0, |partition| partition.partition),
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            ..PartitionSnapshot::default()
        };
        let mut response = self.leadership().snapshot_response(answer);
        for answered in &mut response.topics {
            answered.name.clone_from(&topic.name);
        }
        response
    }
}
