//! The leader of a partition: where its followers are, who is in sync, up to where is committed.
//!
//! Invariants: at most one ISR change is on its way; only followers that hold everything up to
//! the high watermark and the start of this epoch are added.

use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset};

use crate::isr::{Isr, IsrAnswer, IsrProposal};
use crate::state::{Brokers, Effect, FollowerFetch, LogEnds, PartitionState, ReplicaSettings};

/// A proposal that the controller could not take is repeated after this long.
const PROPOSAL_RETRY_MS: i64 = 50;

/// What the leader knows of a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerInfo {
    /// The follower.
    pub id: BrokerId,
    /// Up to where it has stored the log; none until it has fetched from this leader.
    pub end: Option<Offset>,
    /// Its log start; none until it has fetched.
    pub log_start: Option<Offset>,
    /// When it had last caught up with the log end of that moment.
    pub caught_up_ms: i64,
    /// Its registration as told by its last fetch.
    pub broker_epoch: Option<BrokerEpoch>,
    /// Its log directory is lost.
    is_lost: bool,
    last_fetch_ms: i64,
    /// This log's end at its last fetch; none until it has fetched.
    leader_end_at_last_fetch: Option<Offset>,
}

impl FollowerInfo {
    fn new(id: BrokerId, caught_up_ms: i64) -> Self {
        Self {
            id,
            end: None,
            log_start: None,
            caught_up_ms,
            broker_epoch: None,
            is_lost: false,
            last_fetch_ms: 0,
            leader_end_at_last_fetch: None,
        }
    }

    fn fetched(&mut self, fetch: &FollowerFetch, now_ms: i64) {
        if fetch.offset >= fetch.leader_end {
            self.caught_up_ms = self.caught_up_ms.max(now_ms);
        } else if self.leader_end_at_last_fetch.is_some_and(|end| fetch.offset >= end) {
            // It holds all that was there when it fetched before: it keeps pace.
            self.caught_up_ms = self.caught_up_ms.max(self.last_fetch_ms);
        }
        self.end = Some(fetch.offset);
        self.log_start = Some(fetch.log_start);
        self.broker_epoch = fetch.broker_epoch;
        self.leader_end_at_last_fetch = Some(fetch.leader_end);
        self.last_fetch_ms = now_ms;
    }

    fn is_caught_up(&self, leader_end: Offset, now_ms: i64, lag_time_max_ms: i64) -> bool {
        self.end == Some(leader_end) || now_ms - self.caught_up_ms <= lag_time_max_ms
    }

    /// Whether its process is registered, unfenced, staying, and the one that fetches, and its
    /// directory there.
    fn is_eligible(&self, brokers: &dyn Brokers) -> bool {
        let is_there = brokers.broker(self.id).is_some_and(|broker| {
            broker.active && self.broker_epoch.is_none_or(|epoch| epoch == broker.epoch)
        });
        is_there && !self.is_lost
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    here: BrokerId,
    epoch: LeaderEpoch,
    /// Where the log ended when this epoch began.
    epoch_start: Offset,
    partition_epoch: i32,
    followers: Vec<FollowerInfo>,
    isr: Isr,
    proposals: u64,
    /// The log end as last seen.
    end: Offset,
    /// The proposal on its way is to be sent again then.
    resend_at_ms: Option<i64>,
}

impl Leader {
    pub(crate) fn new(here: BrokerId, state: &PartitionState, end: Offset, now_ms: i64) -> Self {
        let mut leader = Self {
            here,
            epoch: state.leader_epoch,
            epoch_start: end,
            partition_epoch: state.partition_epoch,
            followers: Vec::new(),
            isr: Isr::committed_as(state.isr.clone()),
            proposals: 0,
            end,
            resend_at_ms: None,
        };
        leader.set_replicas(state, now_ms);
        leader
    }

    pub(crate) fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub(crate) fn isr(&self) -> &Isr {
        &self.isr
    }

    pub(crate) fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    pub(crate) fn followers(&self) -> &[FollowerInfo] {
        &self.followers
    }

    fn set_replicas(&mut self, state: &PartitionState, now_ms: i64) {
        let known = std::mem::take(&mut self.followers);
        let others = state.replicas.iter().filter(|id| **id != self.here);
        self.followers = others
            .map(|id| {
                let known = known.iter().find(|follower| follower.id == *id).cloned();
                let follower = known.unwrap_or_else(|| {
                    // A member of the ISR gets the whole time to show up.
                    FollowerInfo::new(*id, if state.isr.contains(id) { now_ms } else { 0 })
                });
                FollowerInfo { is_lost: state.lost.contains(id), ..follower }
            })
            .collect();
    }

    /// Metadata of the same leader epoch.
    pub(crate) fn update(
        &mut self,
        state: &PartitionState,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) {
        if state.partition_epoch < self.partition_epoch {
            return;
        }
        self.set_replicas(state, now_ms);
        if state.partition_epoch > self.partition_epoch {
            self.commit(state.partition_epoch, state.isr.clone(), effects);
        }
    }

    fn commit(&mut self, partition_epoch: i32, isr: Vec<BrokerId>, effects: &mut Vec<Effect>) {
        let (before, after) = (self.isr.committed().len(), isr.len());
        if isr != self.isr.committed() {
            effects.push(Effect::IsrChanged { shrunk: after < before });
        }
        self.partition_epoch = partition_epoch;
        self.isr = Isr::committed_as(isr);
        self.resend_at_ms = None;
    }

    /// Takes note of the log's end. Followers that had everything had it until now: an idle
    /// partition is not asked for all the time.
    pub(crate) fn note_end(&mut self, end: Offset, now_ms: i64) {
        if end > self.end {
            for follower in &mut self.followers {
                if follower.end == Some(self.end) {
                    follower.caught_up_ms = follower.caught_up_ms.max(now_ms);
                }
            }
            self.end = end;
        }
    }

    pub(crate) fn follower_fetched(
        &mut self,
        fetch: &FollowerFetch,
        high_watermark: Offset,
        now_ms: i64,
        brokers: &dyn Brokers,
        effects: &mut Vec<Effect>,
    ) {
        let Some(follower) = self.followers.iter_mut().find(|f| f.id == fetch.replica) else {
            return;
        };
        follower.fetched(fetch, now_ms);
        if self.isr.maximal_contains(fetch.replica) || self.isr.is_pending() {
            return;
        }
        let follows = fetch.offset >= high_watermark && fetch.offset >= self.epoch_start;
        if follows && follower.is_eligible(brokers) {
            let mut isr = self.isr.committed().to_vec();
            isr.push(fetch.replica);
            self.propose(isr, brokers, effects);
        }
    }

    /// Drops followers that lag from the ISR, adds those that waited for another change, and
    /// repeats a proposal that got lost.
    pub(crate) fn tick(
        &mut self,
        end: Offset,
        high_watermark: Offset,
        settings: &ReplicaSettings,
        now_ms: i64,
        brokers: &dyn Brokers,
        effects: &mut Vec<Effect>,
    ) {
        if self.isr.is_pending() {
            if self.resend_at_ms.is_some_and(|at| at <= now_ms) {
                self.resend(brokers, effects);
            }
            return;
        }
        let lags = |id: &BrokerId| {
            let follower = self.followers.iter().find(|follower| follower.id == *id);
            follower.is_some_and(|f| !f.is_caught_up(end, now_ms, settings.lag_time_max_ms))
        };
        let isr = self.isr.committed();
        let stay: Vec<BrokerId> = isr.iter().copied().filter(|id| !lags(id)).collect();
        if stay.len() < isr.len() {
            self.propose(stay, brokers, effects);
            return;
        }
        let joins = |follower: &&FollowerInfo| {
            !isr.contains(&follower.id)
                && follower.end.is_some_and(|at| at >= high_watermark && at >= self.epoch_start)
                && follower.is_caught_up(end, now_ms, settings.lag_time_max_ms)
                && follower.is_eligible(brokers)
        };
        if let Some(follower) = self.followers.iter().find(joins) {
            let mut isr = isr.to_vec();
            isr.push(follower.id);
            self.propose(isr, brokers, effects);
        }
    }

    fn propose(&mut self, isr: Vec<BrokerId>, brokers: &dyn Brokers, effects: &mut Vec<Effect>) {
        self.proposals += 1;
        self.isr.propose(self.proposals, isr);
        self.resend(brokers, effects);
    }

    fn resend(&mut self, brokers: &dyn Brokers, effects: &mut Vec<Effect>) {
        self.resend_at_ms = None;
        let Some(isr) = self.isr.proposed() else { return };
        let with_epoch = |id: &BrokerId| {
            let follower = self.followers.iter().find(|follower| follower.id == *id);
            let told = follower.and_then(|follower| follower.broker_epoch);
            (*id, told.or_else(|| brokers.broker(*id).map(|broker| broker.epoch)))
        };
        effects.push(Effect::ProposeIsr(IsrProposal {
            number: self.proposals,
            leader_epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.iter().map(with_epoch).collect(),
        }));
    }

    pub(crate) fn answered(
        &mut self,
        number: u64,
        answer: IsrAnswer<'_>,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) {
        if !self.isr.is_pending_as(number) {
            return;
        }
        match answer {
            IsrAnswer::Committed { leader_epoch, partition_epoch, isr } => {
                // Of a later epoch metadata will tell.
                if leader_epoch == self.epoch && partition_epoch >= self.partition_epoch {
                    self.commit(partition_epoch, isr.to_vec(), effects);
                }
            }
            IsrAnswer::Refused(error) => match error {
                // Certainly not committed: on the next occasion it is decided anew.
                ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => {
                    self.isr.withdraw();
                }
                // This replica's view is old. Metadata will come, and until then either ISR may
                // be the one that counts.
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected => {}
                _ => self.resend_at_ms = Some(now_ms + PROPOSAL_RETRY_MS),
            },
        }
    }

    /// Up to where the log is committed, as far as the followers' promises go.
    pub(crate) fn committed_end(
        &self,
        ends: &LogEnds,
        settings: &ReplicaSettings,
        now_ms: i64,
        brokers: &dyn Brokers,
    ) -> Option<Offset> {
        // KIP-966: what fewer than min.insync.replicas hold is not committed.
        if self.isr.committed().len() < self.min_insync(settings) {
            return None;
        }
        let mut least = ends.stored;
        for follower in &self.followers {
            if follower.end.is_some_and(|end| end >= least) {
                continue;
            }
            // One that is about to join must hold what is committed when it does, or it could
            // never catch up with a busy leader that is alone in its ISR.
            let waited_for = || {
                follower.is_caught_up(ends.end, now_ms, settings.lag_time_max_ms)
                    && follower.is_eligible(brokers)
            };
            if self.isr.maximal_contains(follower.id) || waited_for() {
                least = follower.end?;
            }
        }
        Some(least)
    }

    pub(crate) fn min_insync(&self, settings: &ReplicaSettings) -> usize {
        settings.min_insync_replicas.min(self.followers.len() + 1)
    }
}
