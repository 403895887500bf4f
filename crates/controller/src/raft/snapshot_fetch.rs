//! The replica's side of FetchSnapshot (KIP-630): piece by piece, then the log begins anew.

use naru_model::ErrorCode;
use naru_protocol::messages::fetch_snapshot_request::{
    self as request, FetchSnapshotRequest, PartitionSnapshot, TopicSnapshot,
};
use naru_protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;

use super::messages::{self, TOPIC};
use super::quorum::{Quorum, Step};
use super::requests::Kind;
use super::role::Role;
use super::{ControlRecord, Destination, Effect, RaftRequest, SnapshotId, VoterLog};

/// A snapshot of which `position` bytes are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Download {
    pub(super) id: SnapshotId,
    pub(super) position: i64,
}

impl Quorum {
    pub(super) fn send_fetch_snapshot(
        &mut self,
        step: &mut Step<'_>,
        to: Destination,
        download: Download,
    ) {
        let Download { id, position } = download;
        let partition = PartitionSnapshot {
            partition: 0,
            current_leader_epoch: self.epoch,
            snapshot_id: request::SnapshotId { end_offset: id.end_offset, epoch: id.epoch },
            position,
            replica_directory_id: self.directory_id,
        };
        let message = FetchSnapshotRequest {
            cluster_id: Some(self.cluster_id.clone()),
            replica_id: self.node_id,
            max_bytes: self.timeouts.fetch_max_bytes,
            topics: vec![TopicSnapshot { name: TOPIC.to_owned(), partitions: vec![partition] }],
        };
        let timeout = self.timeouts.fetch_timeout_ms;
        let message = RaftRequest::FetchSnapshot(message);
        self.send(step, to, timeout, message, Kind::Snapshot(download));
    }

    pub(super) fn handle_snapshot_response(
        &mut self,
        step: &mut Step<'_>,
        asked: Download,
        response: &FetchSnapshotResponse,
    ) {
        self.back_off(step);
        let Some(partition) = messages::snapshot_of(response).filter(|_| response.error_code == 0)
        else {
            return;
        };
        let says = &partition.current_leader;
        let leader = messages::known(says.leader_id);
        let mut endpoints = response.node_endpoints.iter();
        let endpoint = endpoints
            .find(|node| Some(node.node_id) == leader)
            .map(|node| (node.host.clone(), node.port));
        let error = ErrorCode::from_code(partition.error_code);
        let current = self.take_leadership(step, error, leader, says.leader_epoch, endpoint);
        let Role::Follower(follower) = &mut self.role else { return };
        if !current || self.busy || follower.download != Some(asked) {
            return;
        }
        let id = SnapshotId {
            end_offset: partition.snapshot_id.end_offset,
            epoch: partition.snapshot_id.epoch,
        };
        let bytes = partition.unaligned_records.inline();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let position = asked.position.saturating_add(length);
        let fits = id == asked.id
            && partition.position == asked.position
            && !bytes.is_empty()
            && position <= partition.size;
        if !error.is_ok() || !fits {
            // The leader has it no more, or another one: the next Fetch says what it has.
            follower.download = None;
            return;
        }
        let last = position == partition.size;
        follower.download = (!last).then_some(Download { id, position });
        self.busy = last;
        self.fetcher.reset(step.now);
        self.heard_leader(step.now);
        step.effects.push(Effect::SnapshotChunk { id, position: asked.position, bytes, last });
    }

    pub(super) fn handle_snapshot_installed(
        &mut self,
        step: &mut Step<'_>,
        id: SnapshotId,
        control: &[ControlRecord],
    ) {
        self.busy = false;
        self.voter_log = VoterLog::new();
        for record in control {
            self.voter_log.read_snapshot(id.end_offset, record);
        }
        self.synced_end = id.end_offset;
        self.raise_high_watermark(step, id.end_offset);
        if matches!(&self.role, Role::Follower(follower) if !follower.suspect) {
            self.heard_leader(step.now);
        }
    }
}
