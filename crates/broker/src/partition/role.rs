//! The partition as leader or follower: carries out what `naru_replication` decides.
//!
//! The role is one number that requests read without a lock; it is written under the lock of the
//! waiters, and a change of leadership under the log's lock too, so that no append can be made
//! with a role that is gone. Locks are taken in the order log, replica, waiters.
//!
//! A leader without followers moves its high watermark beside the state machine: it is what is
//! stored, and costs no lock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use naru_controller::MetadataImage;
use naru_controller::image::PartitionImage;
use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use naru_replication::{
    Effect, Event, FollowerFetch, LogEnds, PartitionState, Replica, ReplicaSettings,
};

use super::{Partition, PartitionSettings};

/// What this replica is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leads: bool,
    /// It leads and has no followers.
    pub(crate) is_sole: bool,
    /// It leads and too few replicas are in sync for acks=all.
    pub(crate) under_min_isr: bool,
}

const LEADS: i64 = 1;
const SOLE: i64 = 2;
const UNDER_MIN_ISR: i64 = 4;
const EPOCH_SHIFT: u32 = 3;

/// A [`Role`] that is read without a lock.
#[derive(Debug)]
pub(super) struct AtomicRole(AtomicI64);

impl AtomicRole {
    /// No role yet.
    pub(super) fn none() -> Self {
        Self(AtomicI64::new(-1 << EPOCH_SHIFT))
    }

    fn load(&self) -> Role {
        let bits = self.0.load(Ordering::SeqCst);
        Role {
            epoch: LeaderEpoch(i32::try_from(bits >> EPOCH_SHIFT).unwrap_or(-1)),
            leads: bits & LEADS != 0,
            is_sole: bits & SOLE != 0,
            under_min_isr: bits & UNDER_MIN_ISR != 0,
        }
    }

    fn store(&self, role: Role) {
        let flag = |on: bool, bit| if on { bit } else { 0 };
        let bits = i64::from(role.epoch.0) << EPOCH_SHIFT
            | flag(role.leads, LEADS)
            | flag(role.is_sole, SOLE)
            | flag(role.under_min_isr, UNDER_MIN_ISR);
        self.0.store(bits, Ordering::SeqCst);
    }
}

/// What a change of metadata made of this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleChange {
    /// It does what it did.
    Same,
    Leads,
    /// It follows in this epoch, or waits for a leader.
    Follows(Option<BrokerId>, LeaderEpoch),
}

/// A partition of the image as the state machine takes it.
pub(crate) fn partition_state(image: &PartitionImage, cluster: &MetadataImage) -> PartitionState {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionState {
        leader: image.leader.map(BrokerId),
        leader_epoch: LeaderEpoch(image.leader_epoch),
        partition_epoch: image.partition_epoch,
        replicas: ids(&image.replicas),
        isr: ids(&image.isr),
        lost: image
            .replicas
            .iter()
            .filter(|id| {
                let broker = cluster.broker(**id);
                broker.is_some_and(|broker| !broker.has_online_dir(image.directory_of(**id)))
            })
            .copied()
            .map(BrokerId)
            .collect(),
    }
}

impl Partition {
    pub(crate) fn role(&self) -> Role {
        self.role.load()
    }

    /// Whether this broker leads it.
    pub(crate) fn check_leads(&self) -> Result<(), ErrorCode> {
        if self.role().leads { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Where the leader is asked what the replica knows; see the module for the order of locks.
    pub(crate) fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn replica_settings(
        settings: &PartitionSettings,
        lag_time_max_ms: i64,
    ) -> ReplicaSettings {
        ReplicaSettings { lag_time_max_ms, min_insync_replicas: settings.min_insync_replicas }
    }

    /// The ends of the log as replication counts them.
    pub(super) fn ends(&self) -> LogEnds {
        let offsets = self.reader.offsets();
        let stored = if self.settings().fsync { offsets.synced_end } else { offsets.end };
        LogEnds { start: offsets.start, end: offsets.end, stored }
    }

    /// Takes over what metadata says. No append is under way meanwhile.
    pub(crate) fn apply(self: &Arc<Self>, state: &PartitionState) -> RoleChange {
        let _no_appends = self.log();
        let mut replica = self.replica();
        let (ends, now_ms) = (self.ends(), self.services.replication.now_ms());
        let brokers = &*self.services.replication;
        let mut effects = Vec::new();
        if self.role().is_sole {
            // The state machine catches up with what moved beside it.
            replica.step(now_ms, &ends, brokers, Event::LogMoved, &mut effects);
        }
        replica.step(now_ms, &ends, brokers, Event::Metadata(state), &mut effects);
        let mut change = RoleChange::Same;
        for effect in &effects {
            match effect {
                Effect::BecameLeader { .. } => change = RoleChange::Leads,
                Effect::BecameFollower { leader, epoch } => {
                    change = RoleChange::Follows(*leader, *epoch);
                }
                Effect::HighWatermark(_) | Effect::ProposeIsr(_) | Effect::IsrChanged { .. } => {}
            }
        }
        self.carry_out(&replica, effects);
        change
    }

    /// Takes note of a follower's fetch; the log start it had before, if it is known.
    pub(super) fn follower_fetched(self: &Arc<Self>, fetch: FollowerFetch) -> Option<Offset> {
        let mut replica = self.replica();
        let follower = replica.followers().iter().find(|follower| follower.id == fetch.replica);
        let before = follower.and_then(|follower| follower.log_start);
        self.step_locked(&mut replica, Event::FollowerFetched(fetch));
        before
    }

    /// Tells the state machine what has happened.
    pub(crate) fn step(self: &Arc<Self>, event: Event<'_>) {
        self.step_locked(&mut self.replica(), event);
    }

    fn step_locked(self: &Arc<Self>, replica: &mut Replica, event: Event<'_>) {
        let mut effects = Vec::new();
        let replication = &self.services.replication;
        replica.step(replication.now_ms(), &self.ends(), &**replication, event, &mut effects);
        self.carry_out(replica, effects);
    }

    /// Carries effects out while the state machine is locked, so that they keep their order.
    fn carry_out(self: &Arc<Self>, replica: &Replica, effects: Vec<Effect>) {
        let role = Role {
            epoch: replica.epoch(),
            leads: replica.is_leader(),
            is_sole: replica.is_leader() && replica.followers().is_empty(),
            under_min_isr: replica.is_under_min_isr(),
        };
        if effects.is_empty() && role == self.role() {
            return;
        }
        let mut waiters = self.waiters();
        self.role.store(role);
        for effect in effects {
            match effect {
                Effect::HighWatermark(to) => {
                    self.high_watermark.store(to.0, Ordering::SeqCst);
                    waiters.release(self.key(), to);
                }
                Effect::BecameLeader { epoch } => {
                    waiters.lead_since(epoch);
                    // They have to be told that their epoch is over.
                    waiters.wake_followers(self.key());
                }
                Effect::BecameFollower { .. } => waiters.lead_no_more(self.key()),
                Effect::ProposeIsr(proposal) => self.services.replication.propose(self, proposal),
                Effect::IsrChanged { shrunk } => {
                    let metrics = &self.services.node_metrics;
                    if shrunk { &metrics.isr_shrinks } else { &metrics.isr_expands }.add(1);
                    let isr: Vec<i32> = replica.isr().iter().map(|id| id.0).collect();
                    tracing::debug!(partition = %self.name(), ?isr, "ISR changed");
                }
            }
        }
    }

    /// Moves the high watermark to what is stored, and wakes who waited for that.
    pub(super) fn advance(self: &Arc<Self>) {
        if self.role().is_sole {
            let stored = self.ends().stored;
            if self.high_watermark() >= stored {
                return;
            }
            let mut waiters = self.waiters();
            // Looked at again under the lock that the role is written under.
            if self.role().is_sole {
                if self.high_watermark.fetch_max(stored.0, Ordering::SeqCst) < stored.0 {
                    waiters.release(self.key(), stored);
                }
                return;
            }
        }
        self.step(Event::LogMoved);
        self.tell_fetcher_if_stored();
    }

    /// Where the log ended when this leader's epoch began; none on a follower.
    pub(crate) fn epoch_start(&self) -> Option<Offset> {
        self.replica().epoch_start()
    }

    /// The smallest log start of all replicas that are there, which DeleteRecords waits for.
    pub(crate) fn low_watermark(&self) -> Offset {
        let replica = self.replica();
        let brokers = &*self.services.replication;
        let alive = |id| {
            let broker = naru_replication::Brokers::broker(brokers, id);
            broker.is_some_and(|broker| broker.active)
        };
        let followers = replica.followers().iter().filter(|follower| alive(follower.id));
        let starts = followers.map(|follower| follower.log_start.unwrap_or(Offset::ZERO));
        starts.fold(self.log_start(), Offset::min)
    }
}
