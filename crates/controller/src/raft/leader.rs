//! What a leader knows of its replicas, and when it must doubt its leadership.

use std::collections::BTreeMap;

use naru_model::Uuid;

use super::Voter;
use super::change::Change;
use super::quorum::{Quorum, Step};
use super::role::Role;
use super::voters::ReplicaKey;

/// A leader's epoch.
#[derive(Debug)]
pub(super) struct Leader {
    /// End of the log when it was elected: its own records begin here.
    pub(super) epoch_start: i64,
    started_ms: i64,
    /// The high watermark, once it has passed `epoch_start`.
    pub(super) committed: Option<i64>,
    /// Voters and observers that have fetched.
    pub(super) replicas: BTreeMap<ReplicaKey, Progress>,
    /// Fetches that wait for something new.
    pub(super) parked: Vec<Parked>,
    /// When the voters that do not fetch are told again who leads.
    pub(super) begin_at: i64,
    /// The voter change under way.
    pub(super) change: Option<Change>,
    /// What static voters have said of themselves.
    pub(super) reported: BTreeMap<i32, Voter>,
}

/// How far a replica is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Directory id that it gives itself.
    pub(super) directory_id: Uuid,
    /// What it has on disk; none if it only downloads a snapshot yet.
    pub(super) end: Option<i64>,
    /// Its last Fetch or FetchSnapshot.
    pub(super) contact_ms: i64,
    /// Its last Fetch; -1 for none.
    pub(super) fetch_ms: i64,
    /// When it was last known to have all; -1 for never.
    pub(super) caught_up_ms: i64,
    /// End of the leader's log at its last Fetch.
    leader_end: i64,
}

/// A Fetch that waits.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    pub(super) token: u64,
    pub(super) from: i64,
    /// The high watermark that the replica knows.
    pub(super) high_watermark: i64,
    pub(super) max_bytes: i32,
    pub(super) deadline: i64,
}

impl Leader {
    pub(super) fn new(epoch_start: i64, now: i64) -> Self {
        Self {
            epoch_start,
            started_ms: now,
            committed: None,
            replicas: BTreeMap::new(),
            parked: Vec::new(),
            begin_at: now,
            change: None,
            reported: BTreeMap::new(),
        }
    }

    pub(super) fn progress(&self, voter: &Voter) -> Option<&Progress> {
        self.replicas.get(&ReplicaKey::of(voter))
    }

    /// The voters are known with their directories from now on.
    pub(super) fn know_directories(&mut self, voters: &[Voter]) {
        for voter in voters {
            let fixed = ReplicaKey { id: voter.id, directory_id: Uuid::ZERO };
            if let Some(progress) = self.replicas.remove(&fixed) {
                self.replicas.insert(ReplicaKey::of(voter), progress);
            }
        }
    }

    pub(super) fn heard_since(&self, voter: &Voter, since: i64) -> bool {
        self.progress(voter).is_some_and(|progress| progress.contact_ms >= since)
    }

    /// Notes that a replica is alive.
    pub(super) fn note_contact(&mut self, key: ReplicaKey, directory_id: Uuid, now: i64) {
        let progress = self.replicas.entry(key).or_insert(Progress {
            directory_id,
            end: None,
            contact_ms: now,
            fetch_ms: -1,
            caught_up_ms: -1,
            leader_end: -1,
        });
        progress.directory_id = directory_id;
        progress.contact_ms = progress.contact_ms.max(now);
    }

    /// Notes a valid Fetch from `offset`: what is below is on the replica's disk.
    pub(super) fn note_fetch(
        &mut self,
        key: ReplicaKey,
        directory_id: Uuid,
        offset: i64,
        leader_end: i64,
        now: i64,
    ) {
        self.note_contact(key, directory_id, now);
        let Some(progress) = self.replicas.get_mut(&key) else { return };
        if offset >= leader_end {
            progress.caught_up_ms = progress.caught_up_ms.max(now);
        } else if progress.leader_end > 0 && offset >= progress.leader_end {
            progress.caught_up_ms = progress.caught_up_ms.max(progress.fetch_ms);
        }
        progress.end = Some(offset);
        progress.fetch_ms = progress.fetch_ms.max(now);
        progress.leader_end = leader_end;
    }
}

impl Quorum {
    pub(super) fn drive_leader(&mut self, step: &mut Step<'_>) {
        let Role::Leader(leader) = &self.role else { return };
        if self.majority_deadline(leader).is_some_and(|deadline| step.now >= deadline) {
            // Others may lead by now; this node must not go on as if it did.
            self.resign(step);
            return;
        }
        if step.now >= leader.begin_at {
            self.begin_epoch(step);
        }
        self.drive_change(step);
        self.advance_high_watermark(step);
        self.forget_observers(step);
        self.release_parked(step);
    }

    /// When this leader resigns unless more voters fetch: a majority must have done so within
    /// one and a half fetch timeouts.
    fn majority_deadline(&self, leader: &Leader) -> Option<i64> {
        let others = || self.voters().iter().filter(|voter| !self.is_self(voter));
        let total = self.voters().len();
        let own = total.saturating_sub(others().count());
        let needed = (total / 2 + 1).saturating_sub(own);
        let contact = |voter: &Voter| {
            leader.progress(voter).map_or(leader.started_ms, |progress| progress.contact_ms)
        };
        let mut contacts: Vec<i64> = others().map(contact).collect();
        contacts.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = contacts.get(needed.checked_sub(1)?)?.max(&leader.started_ms);
        Some(oldest.saturating_add(self.resign_after_ms()))
    }

    /// Whether a majority has fetched from this leader so lately that nobody else can lead yet:
    /// within three quarters of the fetch timeout.
    pub fn hears_majority(&self, now: i64) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let recent = self.timeouts.fetch_timeout_ms.saturating_mul(3) / 4;
        self.majority_deadline(leader).is_none_or(|deadline| {
            now <= deadline.saturating_sub(self.resign_after_ms()).saturating_add(recent)
        })
    }

    /// One and a half fetch timeouts.
    fn resign_after_ms(&self) -> i64 {
        self.timeouts.fetch_timeout_ms.saturating_mul(3) / 2
    }

    pub(super) fn leader_deadline(&self, leader: &Leader) -> Option<i64> {
        let parked = leader.parked.iter().map(|parked| parked.deadline);
        let change = leader.change.as_ref().map(|change| change.deadline);
        let majority = self.majority_deadline(leader);
        let alone = self.voters().iter().all(|voter| self.is_self(voter));
        let begin = (!alone).then_some(leader.begin_at);
        parked.chain(change).chain(majority).chain(begin).min()
    }

    /// Observers that have not fetched for long are not described any more.
    fn forget_observers(&mut self, step: &Step<'_>) {
        let voters: Vec<ReplicaKey> = self.voters().iter().map(ReplicaKey::of).collect();
        let Role::Leader(leader) = &mut self.role else { return };
        let oldest = step.now.saturating_sub(OBSERVER_SESSION_MS);
        leader
            .replicas
            .retain(|key, progress| progress.contact_ms >= oldest || voters.contains(key));
    }

    /// The other voters, those with the longest log first.
    pub(super) fn successors(&self) -> Vec<Voter> {
        let mut voters = self.other_voters();
        if let Role::Leader(leader) = &self.role {
            let end = |voter: &Voter| leader.progress(voter).and_then(|progress| progress.end);
            voters.sort_by_key(|voter| (std::cmp::Reverse(end(voter)), voter.id));
        }
        voters
    }
}

/// How long an observer that does not fetch stays in the description.
const OBSERVER_SESSION_MS: i64 = 300_000;
