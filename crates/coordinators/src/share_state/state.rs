//! One share partition as its records tell it.

use naru_model::{Offset, Timestamp};

use super::batches::combine;
use super::command::StateWrite;
use super::facts::{ShareStateFact, Snapshot, Update};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) now: Snapshot,
    /// The highest leader epoch that any record has told, which fences older leaders.
    pub(super) leader_epoch_seen: i32,
    /// The highest state epoch that any snapshot has told.
    pub(super) state_epoch_seen: i32,
    /// Updates since snapshots began to count them; Kafka counts the first as none.
    updates: Option<u32>,
    /// Where the last snapshot that is committed lies.
    pub(super) snapshot_at: Option<Offset>,
}

impl Tracked {
    /// What becomes of a share partition by a record; `limit` is how many updates make a
    /// snapshot due.
    pub(super) fn replayed(before: Option<Self>, fact: ShareStateFact, limit: u32) -> Option<Self> {
        match fact {
            ShareStateFact::Gone => None,
            ShareStateFact::Snapshot(now) => Some(Self {
                leader_epoch_seen: before
                    .as_ref()
                    .map_or(now.leader_epoch, |one| one.leader_epoch_seen.max(now.leader_epoch)),
                state_epoch_seen: before
                    .as_ref()
                    .map_or(now.state_epoch, |one| one.state_epoch_seen.max(now.state_epoch)),
                updates: before
                    .as_ref()
                    .and_then(|one| one.updates)
                    .map(|count| if count >= limit { 0 } else { count }),
                snapshot_at: before.and_then(|one| one.snapshot_at),
                now,
            }),
            ShareStateFact::Update(update) => Some(match before {
                Some(mut one) => {
                    one.leader_epoch_seen = one.leader_epoch_seen.max(update.leader_epoch);
                    one.updates = Some(one.updates.map_or(0, |count| count.saturating_add(1)));
                    one.now.take_in(&update);
                    one
                }
                // Its snapshot is lost; Kafka goes on with what there is.
                None => Self {
                    leader_epoch_seen: update.leader_epoch,
                    state_epoch_seen: 0,
                    updates: Some(0),
                    snapshot_at: None,
                    now: Snapshot {
                        epoch: update.epoch,
                        state_epoch: 0,
                        leader_epoch: update.leader_epoch,
                        start_offset: update.start_offset,
                        delivery_complete_count: update.delivery_complete_count,
                        created: Timestamp(0),
                        written: Timestamp(0),
                        batches: update.batches,
                    },
                },
            }),
        }
    }

    /// The record that says what was written: an update, or the next snapshot.
    pub(super) fn written(
        &self,
        write: &StateWrite,
        new_leader_epoch: Option<i32>,
        limit: u32,
        at: Timestamp,
    ) -> ShareStateFact {
        let leader_epoch = new_leader_epoch.unwrap_or(self.now.leader_epoch);
        let delivery_complete_count = write.delivery_complete_count;
        if self.updates.unwrap_or(0) < limit {
            return ShareStateFact::Update(Update {
                epoch: self.now.epoch,
                leader_epoch,
                start_offset: write.start_offset,
                delivery_complete_count,
                batches: combine(&[], &write.batches, write.start_offset),
            });
        }
        let start_offset = kept(write.start_offset, self.now.start_offset);
        ShareStateFact::Snapshot(Snapshot {
            epoch: self.now.epoch.saturating_add(1),
            state_epoch: self.now.state_epoch,
            leader_epoch,
            start_offset,
            delivery_complete_count,
            created: at,
            written: at,
            batches: combine(&self.now.batches, &write.batches, start_offset),
        })
    }

    /// The same state as the next snapshot.
    pub(super) fn snapshot(&self, at: Timestamp) -> ShareStateFact {
        let (epoch, written) = (self.now.epoch.saturating_add(1), at);
        ShareStateFact::Snapshot(Snapshot { epoch, written, ..self.now.clone() })
    }

    /// Whether the last snapshot is one that was made because nothing had happened.
    pub(super) fn is_cold(&self) -> bool {
        self.now.created != self.now.written
    }
}

impl Snapshot {
    fn take_in(&mut self, update: &Update) {
        self.start_offset = kept(update.start_offset, self.start_offset);
        self.leader_epoch =
            if update.leader_epoch == -1 { self.leader_epoch } else { update.leader_epoch };
        self.delivery_complete_count = update.delivery_complete_count;
        self.batches = combine(&self.batches, &update.batches, self.start_offset);
    }
}

/// -1 keeps what is known, and within one state epoch the start never goes back: a write that was
/// held up on its way may come behind a later one, and what that one said is done stays done.
fn kept(new: i64, known: i64) -> i64 {
    new.max(known)
}
