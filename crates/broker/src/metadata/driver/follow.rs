//! What the loop does with what a leader sends: append it, or start over from its snapshot.

use std::time::Instant;

use naru_controller::raft::{ControlRecord, Event, SnapshotId};

use super::super::Reaction;
use super::super::journal::JournalError;
use super::super::open::{LogRecords, replay_snapshot};
use super::Driver;

impl Driver {
    /// Appends what the leader sent. What cannot be appended is fetched again.
    pub(super) fn follow(&mut self, records: &[u8]) -> Result<(), JournalError> {
        let appended = self.journal.append_fetched(records).and_then(|appended| {
            self.journal.sync()?;
            Ok(appended)
        });
        match appended {
            Ok((end, control)) => self.step(Event::Fetched { end, control }),
            Err(error) => {
                if error.is_full {
                    self.note_no_room(false);
                }
                // On a full disk it is tried many times a second.
                if let Some(left_out) = self.not_appended.note(Instant::now()) {
                    tracing::error!(%error, left_out, "fetched metadata was not appended");
                }
                self.step(Event::FetchFailed)
            }
        }
    }

    pub(super) fn take_chunk(
        &mut self,
        id: SnapshotId,
        position: i64,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), JournalError> {
        match self.journal.write_part(id, position, bytes, last) {
            Ok(None) => Ok(()),
            Ok(Some(path)) => match self.install(id, &path) {
                Ok(control) => self.step(Event::SnapshotInstalled { id, control }),
                Err(error) => {
                    tracing::error!(%error, "a fetched snapshot is not used");
                    self.step(Event::FetchFailed)
                }
            },
            Err(error) => {
                tracing::error!(%error, "a part of a snapshot was not written");
                self.step(Event::FetchFailed)
            }
        }
    }

    /// Starts over from a whole snapshot: state, log, and what everybody sees.
    pub(super) fn install(
        &mut self,
        id: SnapshotId,
        path: &std::path::Path,
    ) -> Result<Vec<ControlRecord>, JournalError> {
        let storage = |error: &dyn std::fmt::Display| JournalError::storage(error);
        let bytes = std::fs::read(path).map_err(|error| storage(&error))?;
        let LogRecords { control, metadata } =
            LogRecords::of_snapshot(&bytes.clone().into()).map_err(|error| storage(&error))?;
        let mut fresh = self.shared.empty_controller();
        replay_snapshot(&mut fresh, id, metadata).map_err(|error| storage(&error))?;
        self.journal.install(id, &bytes)?;
        let before = self.shared.image();
        self.committed = fresh;
        let mut published = self.committed.publish();
        published.delta = naru_controller::MetadataDelta::between(&before, &published.image);
        self.shared.publish(Reaction {
            image: published.image,
            delta: published.delta,
            again: false,
            done: Vec::new(),
        });
        Ok(control)
    }
}
