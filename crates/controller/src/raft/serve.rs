//! The leader's side of Fetch: what is valid, what waits, what diverges.
//! Fetch v0-v18; v18 tells the high watermark that the replica knows (KIP-1166).

use naru_model::ErrorCode;
use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest};
use naru_protocol::messages::fetch_response::{
    EpochEndOffset, FetchResponse, PartitionData, SnapshotId as ResponseSnapshotId,
};

use super::leader::Parked;
use super::messages;
use super::quorum::{Quorum, Step, epoch_before};
use super::role::Role;
use super::{Effect, LogView, ReadPlan, SnapshotId};

/// How a replica's log stands to the leader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Valid,
    /// The replica's epoch ends here.
    Diverging(i32, i64),
    /// What the replica lacks is in a snapshot only.
    Behind(SnapshotId),
    /// Neither the log nor a snapshot helps.
    OutOfRange,
}

impl Quorum {
    pub(super) fn handle_fetch(&mut self, step: &mut Step<'_>, token: u64, request: &FetchRequest) {
        let top_level = |error: ErrorCode| Effect::ReplyFetch {
            token,
            response: FetchResponse { error_code: error.code(), ..FetchResponse::default() },
            read: None,
        };
        if self.is_other_cluster(request.cluster_id.as_deref()) {
            step.effects.push(top_level(ErrorCode::InconsistentClusterId));
            return;
        }
        let Some(fetch) = messages::fetch(request) else {
            step.effects.push(top_level(ErrorCode::InvalidRequest));
            return;
        };
        if request.max_wait_ms < 0
            || fetch.fetch_offset < 0
            || fetch.last_fetched_epoch < 0
            || fetch.last_fetched_epoch > fetch.current_leader_epoch
        {
            return self.reply_fetch_error(step, token, ErrorCode::InvalidRequest);
        }
        if let Err(error) = self.check_leader_request(fetch.current_leader_epoch) {
            return self.reply_fetch_error(step, token, error);
        }
        let position = position(step.log, fetch.fetch_offset, fetch.last_fetched_epoch);
        let mut answer = self.fetch_partition(step);
        match position {
            Position::Valid => return self.serve_valid(step, token, request, fetch),
            Position::Diverging(epoch, end_offset) => {
                answer.diverging_epoch = EpochEndOffset { epoch, end_offset };
            }
            Position::Behind(id) => {
                answer.snapshot_id =
                    ResponseSnapshotId { end_offset: id.end_offset, epoch: id.epoch };
            }
            Position::OutOfRange => answer.error_code = ErrorCode::OffsetOutOfRange.code(),
        }
        let response = self.leadership().fetch_response(answer);
        step.effects.push(Effect::ReplyFetch { token, response, read: None });
    }

    /// The replica's log is a part of this one: its end is its progress.
    fn serve_valid(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        request: &FetchRequest,
        fetch: &FetchPartition,
    ) {
        let by_state = messages::known(request.replica_state.replica_id);
        let replica = by_state.or_else(|| messages::known(request.replica_id));
        if let Some(id) = replica.filter(|id| *id != self.node_id) {
            let key = self.replica_key(id, fetch.replica_directory_id);
            let end = step.end();
            if let Role::Leader(leader) = &mut self.role {
                let directory_id = fetch.replica_directory_id;
                leader.note_fetch(key, directory_id, fetch.fetch_offset, end, step.now);
            }
            self.advance_high_watermark(step);
        }
        let parked = Parked {
            token,
            from: fetch.fetch_offset,
            high_watermark: fetch.high_watermark,
            max_bytes: request.max_bytes,
            deadline: step.now.saturating_add(i64::from(request.max_wait_ms)),
        };
        // The voter change of a fetch that commits the leader's removal may have ended its epoch.
        let Role::Leader(leader) = &mut self.role else {
            return self.reply_fetch_error(step, token, ErrorCode::NotLeaderOrFollower);
        };
        if request.max_wait_ms > 0 && leader.parked.len() < PARKED_MAX {
            leader.parked.push(parked);
        } else {
            self.reply_fetch(step, &parked);
        }
    }

    /// Answers the Fetches that have waited for what is there now, or long enough.
    pub(super) fn release_parked(&mut self, step: &mut Step<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (end, committed, now) = (step.end(), leader.committed.unwrap_or(-1), step.now);
        let due = |parked: &Parked| {
            end > parked.from || committed > parked.high_watermark || now >= parked.deadline
        };
        let (due, waiting) = leader.parked.drain(..).partition(due);
        leader.parked = waiting;
        let due: Vec<Parked> = due;
        for parked in due {
            self.reply_fetch(step, &parked);
        }
    }

    fn reply_fetch(&self, step: &mut Step<'_>, parked: &Parked) {
        let answer = self.fetch_partition(step);
        let response = self.leadership().fetch_response(answer);
        let read = (parked.from < step.end())
            .then_some(ReadPlan { from: parked.from, max_bytes: parked.max_bytes });
        step.effects.push(Effect::ReplyFetch { token: parked.token, response, read });
    }

    fn fetch_partition(&self, step: &Step<'_>) -> PartitionData {
        let committed = match &self.role {
            Role::Leader(leader) => leader.committed,
            _ => None,
        };
        PartitionData {
            partition_index: 0,
            high_watermark: committed.unwrap_or(-1),
            log_start_offset: step.log.start(),
            ..PartitionData::default()
        }
    }

    pub(super) fn reply_fetch_error(&self, step: &mut Step<'_>, token: u64, error: ErrorCode) {
        let mut answer = self.fetch_partition(step);
        answer.error_code = error.code();
        answer.high_watermark = -1;
        let response = self.leadership().fetch_response(answer);
        step.effects.push(Effect::ReplyFetch { token, response, read: None });
    }

    /// Kafka's rule for requests to the leader.
    pub(super) fn check_leader_request(&self, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.epoch {
            Err(ErrorCode::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            Ok(())
        }
    }
}

/// Compares a replica's log, which ends at `offset` with a record of `epoch`, with this one.
fn position(log: &dyn LogView, offset: i64, epoch: i32) -> Position {
    // The formatter's snapshot is never sent: its contents are in the log.
    let snapshot = log.latest_snapshot().filter(|id| *id != SnapshotId::default());
    let start = log.start();
    if offset == 0 {
        match snapshot {
            // An empty replica is filled faster by a snapshot.
            Some(id) => return Position::Behind(id),
            None if start == 0 && epoch == 0 => return Position::Valid,
            None => {}
        }
    }
    let start_epoch = epoch_before(log, start);
    let behind = offset < start || (start > 0 && offset == start && start_epoch != Some(epoch));
    if behind || start_epoch.is_some_and(|first| epoch < first) {
        return snapshot.map_or(Position::OutOfRange, Position::Behind);
    }
    if start > 0 && offset == start {
        return Position::Valid;
    }
    match log.end_of_epoch(epoch) {
        Some((known, end)) if known == epoch && end >= offset => Position::Valid,
        Some((known, end)) => Position::Diverging(known, end),
        // What the replica has of epochs before the log's is what the snapshot stands for.
        None => match start_epoch {
            _ if start == 0 => Position::Diverging(0, 0),
            Some(first) => Position::Diverging(first, start),
            None => snapshot.map_or(Position::OutOfRange, Position::Behind),
        },
    }
}

/// Most Fetches that wait; further ones are answered at once.
const PARKED_MAX: usize = 10_000;
