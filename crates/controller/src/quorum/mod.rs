//! The metadata quorum: KRaft as a pure state machine.
//!
//! `step(event)` gives effects; the shell executes them in order and feeds the results back.
//! Written for any number of voters; **served today is one voter**, this node: it elects itself at
//! start. `start` refuses every other quorum by name instead of pretending.
//!
//! Invariants: the epoch never goes back; state is saved before anything is appended in its epoch;
//! the high watermark is at most what a majority has synced, never moves back, and passes the
//! start of the leader's own epoch before it moves at all.

mod control;
mod election_state;
mod format;
mod snapshot_policy;
mod voter_log;

use std::collections::BTreeMap;

use naru_model::Uuid;

pub use control::{ControlRecord, Voter, VoterEndpoint};
pub use election_state::{ElectionState, ElectionStateError, VotedFor};
pub use format::{bootstrap_checkpoint, bootstrap_checkpoint_of, initial_checkpoint};
pub use snapshot_policy::{SnapshotId, SnapshotPolicy};
pub use voter_log::VoterLog;

/// How voters are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KraftVersion {
    /// From `controller.quorum.voters` (kraft.version 0).
    #[default]
    Static,
    /// From VotersRecords in the log (kraft.version 1).
    Dynamic,
}

/// What the quorum is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A batch of this leader is in the log, which ends at `log_end` now.
    Appended {
        /// The new end of the log.
        log_end: i64,
    },
    /// A voter has the log on disk up to `synced_end`; for the leader its own sync.
    Synced {
        /// The voter.
        voter: i32,
        /// The end of what is on its disk.
        synced_end: i64,
    },
}

/// What the shell does next, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the quorum-state file, and sync it, before the effects that follow.
    SaveState(ElectionState),
    /// Append one control batch in `epoch` at the end of the log, sync, and tell with
    /// [`Event::Appended`] and [`Event::Synced`].
    AppendControl {
        /// The leader's epoch: the batch's partition leader epoch.
        epoch: i32,
        /// Its records.
        records: Vec<ControlRecord>,
    },
    /// This node leads now; the controller may become active once the control batch is committed.
    BecameLeader {
        /// The epoch.
        epoch: i32,
    },
    /// Everything below is committed.
    AdvanceHighWatermark {
        /// The new high watermark.
        to: i64,
    },
}

/// What a node brings to its start.
#[derive(Debug, Clone)]
pub struct QuorumStart {
    /// `node.id`.
    pub node_id: i32,
    /// Directory id of the metadata directory.
    pub directory_id: Uuid,
    /// The quorum-state file, if there is one.
    pub state: Option<ElectionState>,
    /// Voters of `controller.quorum.voters`; empty if it is not set.
    pub static_voters: Vec<Voter>,
    /// What snapshot and log say of the voters.
    pub voter_log: VoterLog,
    /// End of the log.
    pub log_end: i64,
    /// Epoch of the last batch, or of the snapshot if the log is empty; 0 if both are.
    pub last_epoch: i32,
}

/// This node cannot take part in the quorum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Neither file nor log names a voter.
    #[error(
        "the metadata quorum has no voters: format the directory with --standalone, or set \
         controller.quorum.voters"
    )]
    NoVoters,
    /// Others vote, this node does not.
    #[error(
        "node {node_id} with directory id {directory_id} is not a voter of the metadata quorum"
    )]
    NotAVoter {
        /// This node.
        node_id: i32,
        /// Its metadata directory.
        directory_id: Uuid,
    },
    /// More voters than are served.
    #[error("the metadata quorum has {0} voters; one is served so far")]
    ManyVoters(usize),
    /// Epochs are used up, or the quorum-state file lies.
    #[error("the quorum's epoch {0} cannot grow")]
    EpochExhausted(i32),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Quorum {
    node_id: i32,
    epoch: i32,
    kraft_version: KraftVersion,
    voters: Vec<Voter>,
    epoch_start: i64,
    log_end: i64,
    /// What each voter has on disk, as far as this leader knows.
    synced: BTreeMap<i32, i64>,
    high_watermark: Option<i64>,
}

impl Quorum {
    /// Starts this node as the only voter: it leads at once, in a new epoch.
    pub fn start(start: QuorumStart, effects: &mut Vec<Effect>) -> Result<Self, QuorumError> {
        let QuorumStart { node_id, directory_id, static_voters, voter_log, log_end, .. } = start;
        let kraft_version = voter_log.kraft_version();
        let voters = match kraft_version {
            KraftVersion::Dynamic => voter_log.voters().to_vec(),
            KraftVersion::Static => static_voters,
        };
        if voters.is_empty() {
            return Err(QuorumError::NoVoters);
        }
        let is_self = |voter: &&Voter| {
            voter.id == node_id
                && (kraft_version == KraftVersion::Static || voter.directory_id == directory_id)
        };
        if !voters.iter().any(|voter| is_self(&voter)) {
            return Err(QuorumError::NotAVoter { node_id, directory_id });
        }
        if voters.len() > 1 {
            return Err(QuorumError::ManyVoters(voters.len()));
        }
        let known = start.state.map_or(0, |state| state.epoch).max(start.last_epoch);
        let epoch = known.checked_add(1).ok_or(QuorumError::EpochExhausted(known))?;
        // With one voter, standing for election and winning it are one step, saved once.
        effects.push(Effect::SaveState(ElectionState {
            epoch,
            leader: Some(node_id),
            voted: None,
        }));
        let mut records = vec![ControlRecord::leader_change(node_id, &voters, &voters)];
        if voter_log.only_in_bootstrap_snapshot() {
            // The formatter's snapshot at offset 0 goes with the first retention; the log keeps
            // the voters.
            records.push(ControlRecord::kraft_version(1));
            records.push(ControlRecord::voters(&voters));
        }
        effects.push(Effect::AppendControl { epoch, records });
        effects.push(Effect::BecameLeader { epoch });
        let synced = BTreeMap::new();
        Ok(Self {
            node_id,
            epoch,
            kraft_version,
            voters,
            epoch_start: log_end,
            log_end,
            synced,
            high_watermark: None,
        })
    }

    /// Takes an event in; what has to be done is pushed to `effects`.
    pub fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Appended { log_end } => self.log_end = self.log_end.max(log_end),
            Event::Synced { voter, synced_end } => {
                if self.voters.iter().any(|known| known.id == voter) {
                    let end = self.synced.entry(voter).or_default();
                    *end = (*end).max(synced_end.min(self.log_end));
                }
            }
        }
        let committed = self.majority_synced_end();
        if committed > self.epoch_start && self.high_watermark.is_none_or(|hw| hw < committed) {
            self.high_watermark = Some(committed);
            effects.push(Effect::AdvanceHighWatermark { to: committed });
        }
    }

    /// The leader's epoch: also the controller's.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The leader: this node.
    pub fn leader(&self) -> i32 {
        self.node_id
    }

    /// How voters are known.
    pub fn kraft_version(&self) -> KraftVersion {
        self.kraft_version
    }

    /// The voters.
    pub fn voters(&self) -> &[Voter] {
        &self.voters
    }

    /// End of the committed log; none until this leader's first batch is committed.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }

    /// End of the log.
    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    /// The text of the quorum-state file for a state that [`Effect::SaveState`] carries.
    pub fn state_json(&self, state: &ElectionState) -> String {
        let ids: Vec<i32> = self.voters.iter().map(|voter| voter.id).collect();
        state.to_json(self.kraft_version, &ids)
    }

    fn majority_synced_end(&self) -> i64 {
        let end_of = |voter: &Voter| self.synced.get(&voter.id).copied().unwrap_or(0);
        let mut ends: Vec<i64> = self.voters.iter().map(end_of).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.get(ends.len() / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
