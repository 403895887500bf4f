//! What goes into the state machine and what comes out.

use naru_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};

use crate::isr::{IsrAnswer, IsrProposal};

/// A partition as the metadata log says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Counts the leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts every change.
    pub partition_epoch: i32,
    /// Brokers that hold the partition.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas, as committed.
    pub isr: Vec<BrokerId>,
    /// Replicas whose log directory is lost: they cannot join the ISR.
    pub lost: Vec<BrokerId>,
}

/// The ends of this replica's log at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEnds {
    /// First offset that may be read.
    pub start: Offset,
    /// The offset after the last record.
    pub end: Offset,
    /// Up to where this replica keeps the promise of its durability: the synced end with
    /// `naru.durability=fsync`, the log end with `os`.
    pub stored: Offset,
}

/// What this broker knows of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerState {
    /// Its current registration.
    pub epoch: BrokerEpoch,
    /// It is neither fenced nor about to stop.
    pub active: bool,
}

/// The registered brokers; asked during a step, so that the core keeps no copy.
pub trait Brokers {
    /// A broker; none if it is not registered.
    fn broker(&self, id: BrokerId) -> Option<BrokerState>;
}

/// What of the configuration concerns replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaSettings {
    /// `replica.lag.time.max.ms`.
    pub lag_time_max_ms: i64,
    /// `min.insync.replicas`, not yet limited by the number of replicas.
    pub min_insync_replicas: usize,
}

/// A fetch by a follower that was served without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFetch {
    /// The follower.
    pub replica: BrokerId,
    /// Its registration, if its request told.
    pub broker_epoch: Option<BrokerEpoch>,
    /// Where it fetches on: its promise that everything before is stored.
    pub offset: Offset,
    /// Its log start.
    pub log_start: Offset,
    /// This log's end when it was read for the fetch.
    pub leader_end: Offset,
}

/// What has happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Metadata of the partition, also if nothing of it changed.
    Metadata(&'a PartitionState),
    /// Something was appended, synced or deleted here.
    LogMoved,
    /// A follower fetched from this leader.
    FollowerFetched(FollowerFetch),
    /// The leader told its high watermark to this follower.
    LeaderHighWatermark(Offset),
    /// This follower's log was truncated; the ends given are those after it.
    Truncated,
    /// Time has passed; due at least twice in `replica.lag.time.max.ms`.
    Tick,
    /// The controller has answered a proposal, or could not be asked.
    IsrAnswered {
        /// Number of the proposal.
        proposal: u64,
        /// What it said.
        answer: IsrAnswer<'a>,
    },
    /// Other settings.
    Configured(ReplicaSettings),
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The high watermark is here now. It goes back only when a follower's log was truncated.
    HighWatermark(Offset),
    /// This replica leads from now on; its log may be appended to in this epoch.
    BecameLeader {
        /// The epoch.
        epoch: LeaderEpoch,
    },
    /// This replica follows from now on, or waits for a leader; producers that wait must be told
    /// to look for the leader.
    BecameFollower {
        /// The leader, if there is one.
        leader: Option<BrokerId>,
        /// The epoch.
        epoch: LeaderEpoch,
    },
    /// To be sent to the controller (AlterPartition).
    ProposeIsr(IsrProposal),
    /// The committed ISR changed while this replica led.
    IsrChanged {
        /// It became smaller.
        shrunk: bool,
    },
}
