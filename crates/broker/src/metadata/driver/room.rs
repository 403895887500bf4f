//! A metadata log that cannot grow: the quorum is told, so that another voter leads, and again when
//! there is space.

use std::time::Instant;

use naru_controller::raft::Event;

use super::super::journal::JournalError;
use super::Driver;

/// How often a full disk is looked at.
const PROBE_EVERY_MS: i64 = 1_000;

/// A full disk, as the loop knows it.
pub(super) struct NoRoom {
    /// A batch of control records was refused.
    pub(super) control: bool,
    /// The quorum knows.
    pub(super) told: bool,
    /// When it is next looked whether there is space.
    probe_at: i64,
}

impl Driver {
    /// A full disk refuses a change and heals; everything else that keeps the log from being
    /// written does not. What the quorum does about it comes with [`Self::tell_room`].
    pub(super) fn mind_full(
        &mut self,
        written: Result<(), JournalError>,
        control: bool,
    ) -> Result<(), JournalError> {
        match written {
            Err(error) if error.is_full => {
                if let Some(left_out) = self.not_appended.note(Instant::now()) {
                    tracing::warn!(
                        %error, left_out, "the disk is full: a metadata change was not written"
                    );
                }
                self.note_no_room(control);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn note_no_room(&mut self, control: bool) {
        let told = self.no_room.as_ref().is_some_and(|known| known.told);
        let control = control || self.no_room.as_ref().is_some_and(|known| known.control);
        let probe_at = self.clock.now() + PROBE_EVERY_MS;
        // A control record that was lost is told in any case.
        self.no_room = Some(NoRoom { control, told: told && !control, probe_at });
    }

    /// Tells the quorum that the disk is full, once the step in which that showed is over, and that
    /// there is space again.
    pub(super) fn tell_room(&mut self) -> Result<(), JournalError> {
        let now = self.clock.now();
        let Some(no_room) = &mut self.no_room else { return Ok(()) };
        if !no_room.told {
            no_room.told = true;
            let control = std::mem::take(&mut no_room.control);
            if self.quorum.is_leader() && self.has_successors() {
                tracing::warn!("the disk of the metadata log is full: another voter is to lead");
            }
            return self.step(Event::NoRoom { control });
        }
        if no_room.probe_at > now {
            return Ok(());
        }
        no_room.probe_at = now + PROBE_EVERY_MS;
        if !self.journal.folder().has_room() {
            return Ok(());
        }
        tracing::info!("there is space for the metadata log again");
        self.no_room = None;
        self.step(Event::Room)
    }

    /// Whether anybody else may lead the quorum.
    pub(super) fn has_successors(&self) -> bool {
        self.quorum.voters().len() > 1
    }
}
