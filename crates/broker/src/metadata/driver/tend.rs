//! What the metadata log needs from time to time: snapshots, the deletion of what is old, and, in a
//! cluster, records that show that the active controller lives.

use naru_controller::batch::snapshot;
use naru_controller::raft::SnapshotId;
use naru_model::Timestamp;

use super::super::journal::JournalError;
use super::Driver;
use crate::node::now;

/// How often it is looked whether anything is old.
const TEND_EVERY_MS: i64 = 60_000;

/// When what was done last.
pub(super) struct Tending {
    /// The last metadata of this controller.
    pub(super) written_ms: i64,
    /// Time of the newest committed batch that is not in a snapshot for sure.
    pub(super) committed: Option<Timestamp>,
    due_ms: i64,
    tokens_due_ms: i64,
}

impl Tending {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            written_ms: now_ms,
            committed: None,
            due_ms: now_ms + TEND_EVERY_MS,
            tokens_due_ms: now_ms,
        }
    }
}

impl Driver {
    /// When the next NoOpRecord is due, if nothing else is written.
    ///
    /// One is for others to see that metadata moves: a node that is alone writes none, and leaves
    /// an idle disk alone.
    pub(super) fn next_no_op(&self) -> Option<i64> {
        let active = self.active.as_ref()?;
        let interval = self.settings.idle_interval_ms?;
        let here = self.settings.node_id;
        let alone =
            !self.has_successors() && active.controller.image().brokers().all(|b| b.id == here);
        // A disk that is full is not asked twice a second.
        let may = !alone && self.no_room.is_none();
        may.then(|| self.tending.written_ms.saturating_add(interval))
    }

    /// Writes a NoOpRecord if it is due (`metadata.max.idle.interval.ms`).
    pub(super) fn show_life(&mut self) -> Result<(), JournalError> {
        if self.next_no_op().is_none_or(|due| due > self.clock.now()) {
            return Ok(());
        }
        let records = self.active.as_ref().map(|active| active.controller.decide_no_op());
        self.write_or_wait(&records.unwrap_or_default())
    }

    /// Removes delegation tokens that have expired
    /// (`delegation.token.expiry.check.interval.ms`).
    pub(super) fn sweep_tokens(&mut self) -> Result<(), JournalError> {
        let now_ms = self.clock.now();
        let (Some(active), Some(interval)) = (&self.active, self.settings.token_check_interval_ms)
        else {
            return Ok(());
        };
        if self.tending.tokens_due_ms > now_ms {
            return Ok(());
        }
        self.tending.tokens_due_ms = now_ms.saturating_add(interval);
        let removed = active.controller.decide_sweep_tokens(now().0);
        self.write_or_wait(&removed)
    }

    /// Takes the snapshot that is due by time, and deletes what is old.
    pub(super) fn tend(&mut self) {
        let now_ms = self.clock.now();
        if self.tending.due_ms > now_ms {
            return;
        }
        self.tending.due_ms = now_ms + TEND_EVERY_MS;
        self.take_snapshot_if_due();
        self.delete_old();
    }

    pub(super) fn take_snapshot_if_due(&mut self) {
        if self.policy.is_due(now().0)
            && let Some(time) = self.tending.committed
        {
            self.take_snapshot(time);
            self.delete_old();
        }
    }

    fn delete_old(&mut self) {
        if let Err(error) = self.journal.delete_old(self.settings.retention, now()) {
            tracing::error!("old metadata was not deleted: {error}");
        }
    }

    /// Writes a snapshot; if that fails, the log still has everything.
    fn take_snapshot(&mut self, at: Timestamp) {
        let image = self.committed.image();
        let id = SnapshotId { end_offset: image.end_offset(), epoch: image.epoch() };
        let (version, voters) = self.quorum.voters_at(id.end_offset);
        let written = snapshot(image, version, voters, at, now())
            .map_err(|error| JournalError::storage(&error))
            .and_then(|bytes| self.journal.write_snapshot(id, &bytes));
        match written {
            Ok(()) => self.policy.snapshot_taken(),
            Err(error) => tracing::error!("no metadata snapshot was written: {error}"),
        }
    }
}
