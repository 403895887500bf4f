//! One partition's replica on this broker: leader or follower, and its high watermark.
//!
//! Does no I/O: takes events with the time and the log's ends, pushes effects that the broker
//! carries out in order.
//!
//! Invariants: the high watermark never moves back in one leader epoch of a leader, and never
//! exceeds the log end; a leader epoch never goes back.

use naru_model::{BrokerId, LeaderEpoch, Offset};

use crate::leader::{FollowerInfo, Leader};
use crate::state::{Brokers, Effect, Event, LogEnds, PartitionState, ReplicaSettings};

/// See the module.
#[derive(Debug, Clone)]
pub struct Replica {
    here: BrokerId,
    settings: ReplicaSettings,
    high_watermark: Offset,
    leader: Option<BrokerId>,
    epoch: LeaderEpoch,
    partition_epoch: i32,
    role: Role,
}

#[derive(Debug, Clone)]
enum Role {
    /// No metadata yet.
    Unknown,
    Leader(Box<Leader>),
    Follower,
}

impl Replica {
    /// A replica of which nothing but the checkpointed high watermark is known.
    pub fn new(here: BrokerId, settings: ReplicaSettings, high_watermark: Offset) -> Self {
        Self {
            here,
            settings,
            high_watermark,
            leader: None,
            epoch: LeaderEpoch(-1),
            partition_epoch: -1,
            role: Role::Unknown,
        }
    }

    /// Takes in what has happened.
    pub fn step(
        &mut self,
        now_ms: i64,
        ends: &LogEnds,
        brokers: &dyn Brokers,
        event: Event<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            leader.note_end(ends.end, now_ms);
        }
        match event {
            Event::Metadata(state) => self.metadata(now_ms, ends, state, effects),
            Event::FollowerFetched(fetch) => {
                if let Role::Leader(leader) = &mut self.role {
                    let high_watermark = self.high_watermark;
                    leader.follower_fetched(&fetch, high_watermark, now_ms, brokers, effects);
                }
            }
            Event::Tick => {
                if let Role::Leader(leader) = &mut self.role {
                    let (end, mark) = (ends.end, self.high_watermark);
                    leader.tick(end, mark, &self.settings, now_ms, brokers, effects);
                }
            }
            Event::IsrAnswered { proposal, answer } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.answered(proposal, answer, now_ms, effects);
                }
            }
            Event::LeaderHighWatermark(told) => {
                if let Role::Follower = self.role {
                    // What is not here yet is not readable here, whatever the leader says.
                    self.raise(told.min(ends.end), effects);
                }
            }
            Event::Truncated => {
                let to = self.high_watermark.min(ends.end).max(ends.start.min(ends.end));
                if to != self.high_watermark {
                    self.high_watermark = to;
                    effects.push(Effect::HighWatermark(to));
                }
            }
            Event::Configured(settings) => self.settings = settings,
            Event::LogMoved => {}
        }
        self.advance(now_ms, ends, brokers, effects);
    }

    fn metadata(
        &mut self,
        now_ms: i64,
        ends: &LogEnds,
        state: &PartitionState,
        effects: &mut Vec<Effect>,
    ) {
        if state.leader_epoch < self.epoch || state.partition_epoch < self.partition_epoch {
            return;
        }
        self.partition_epoch = state.partition_epoch;
        let new_epoch = state.leader_epoch > self.epoch || matches!(self.role, Role::Unknown);
        self.epoch = state.leader_epoch;
        self.leader = state.leader;
        if state.leader == Some(self.here) {
            match &mut self.role {
                Role::Leader(leader) if !new_epoch => leader.update(state, now_ms, effects),
                role => {
                    *role = Role::Leader(Box::new(Leader::new(self.here, state, ends.end, now_ms)));
                    effects.push(Effect::BecameLeader { epoch: self.epoch });
                }
            }
        } else {
            self.role = Role::Follower;
            if new_epoch {
                let (leader, epoch) = (self.leader, self.epoch);
                effects.push(Effect::BecameFollower { leader, epoch });
            }
        }
    }

    fn advance(
        &mut self,
        now_ms: i64,
        ends: &LogEnds,
        brokers: &dyn Brokers,
        effects: &mut Vec<Effect>,
    ) {
        if let Role::Leader(leader) = &self.role
            && let Some(to) = leader.committed_end(ends, &self.settings, now_ms, brokers)
        {
            self.raise(to, effects);
        }
        // Deleted records are no longer waited for.
        self.raise(ends.start, effects);
    }

    fn raise(&mut self, to: Offset, effects: &mut Vec<Effect>) {
        if to > self.high_watermark {
            self.high_watermark = to;
            effects.push(Effect::HighWatermark(to));
        }
    }

    /// Up to where readers may read.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader, if there is one.
    pub fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// The leader epoch; -1 before any metadata.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The partition epoch.
    pub fn partition_epoch(&self) -> i32 {
        self.as_leader().map_or(self.partition_epoch, Leader::partition_epoch)
    }

    /// Where the log ended when this leader's epoch began; none on a follower.
    pub fn epoch_start(&self) -> Option<Offset> {
        self.as_leader().map(Leader::epoch_start)
    }

    /// Whether fewer replicas are in sync than acks=all needs; false on a follower.
    pub fn is_under_min_isr(&self) -> bool {
        self.as_leader().is_some_and(|leader| {
            leader.isr().committed().len() < leader.min_insync(&self.settings)
        })
    }

    /// Whether exactly as many replicas are in sync as acks=all needs.
    pub fn is_at_min_isr(&self) -> bool {
        self.as_leader().is_some_and(|leader| {
            leader.isr().committed().len() == leader.min_insync(&self.settings)
        })
    }

    /// Whether replicas are missing in the ISR; false on a follower.
    pub fn is_under_replicated(&self) -> bool {
        self.as_leader()
            .is_some_and(|leader| leader.isr().committed().len() < leader.followers().len() + 1)
    }

    /// Whether a change of the ISR is on its way.
    pub fn is_isr_pending(&self) -> bool {
        self.as_leader().is_some_and(|leader| leader.isr().is_pending())
    }

    /// Replicas in sync, as committed; empty on a follower.
    pub fn isr(&self) -> &[BrokerId] {
        self.as_leader().map_or(&[], |leader| leader.isr().committed())
    }

    /// What the leader knows of its followers; empty on a follower.
    pub fn followers(&self) -> &[FollowerInfo] {
        self.as_leader().map_or(&[], Leader::followers)
    }

    /// Whether `id` is a follower of this leader.
    pub fn has_follower(&self, id: BrokerId) -> bool {
        self.followers().iter().any(|follower| follower.id == id)
    }

    fn as_leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Unknown | Role::Follower => None,
        }
    }
}
