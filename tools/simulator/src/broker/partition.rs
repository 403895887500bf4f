//! One partition of a simulated broker: the production log and replica, executed as
//! `broker::partition` does (`mod`, `role`, `follow`, `read`).
//!
//! Different from there: no locks, since one thing happens at a time; a leader without followers
//! goes through the state machine, too.

use naru_controller::image::PartitionImage;
use naru_log::{AppendError, Log, LogReader};
use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use naru_replication::{
    Ask, Brokers, Divergence, Effect, Event, IsrProposal, LogEnds, PartitionKey, PartitionState,
    Replica, ReplicaSettings, truncation,
};

use super::append::Producer;
use crate::env::{Env, NodeEvent};
use crate::settings::{Mutation, times};
use crate::trace::note;

/// What a change of metadata made of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleChange {
    Same,
    Leads,
    Follows(Option<BrokerId>, LeaderEpoch),
}

/// Why what the leader sent was not stored.
#[derive(Debug)]
pub(crate) enum FollowError {
    NotFollowing,
    Append(AppendError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) key: PartitionKey,
    /// Tells this opening of the log from others of the same partition.
    pub(crate) instance: u64,
    pub(crate) log: Log,
    pub(crate) reader: LogReader,
    pub(crate) replica: Replica,
    pub(crate) high_watermark: Offset,
    /// In the flusher's queue.
    pub(crate) queued: bool,
    pub(crate) offline: bool,
    /// Whether somebody fetches for it, who wants to know what is stored.
    pub(crate) fetched_for: bool,
    pub(super) producers: Vec<Producer>,
    /// First epoch of the leadership that has not been interrupted since.
    pub(super) leading_since: Option<LeaderEpoch>,
    pub(crate) followers_parked: Vec<u64>,
    pub(crate) consumers_parked: Vec<u64>,
    /// For the broker to pass on: what the ISR should become.
    pub(crate) proposals: Vec<IsrProposal>,
    /// For the broker to pass on: everything is stored.
    pub(crate) stored_news: bool,
}

pub(crate) fn partition_state(image: &PartitionImage) -> PartitionState {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionState {
        leader: image.leader.map(BrokerId),
        leader_epoch: LeaderEpoch(image.leader_epoch),
        partition_epoch: image.partition_epoch,
        replicas: ids(&image.replicas),
        isr: ids(&image.isr),
        lost: Vec::new(),
    }
}

impl Partition {
    pub(crate) fn new(
        env: &mut Env<'_>,
        key: PartitionKey,
        instance: u64,
        log: Log,
        mark: Option<Offset>,
    ) -> Self {
        let reader = log.reader();
        let ends = reader.offsets();
        let high_watermark = mark.unwrap_or(ends.start).max(ends.start).min(ends.end);
        let settings = ReplicaSettings {
            lag_time_max_ms: times::LAG_MAX_MS,
            min_insync_replicas: env.settings.min_insync_replicas,
        };
        let mut partition = Self {
            key,
            instance,
            log,
            reader,
            replica: Replica::new(BrokerId(env.node), settings, high_watermark),
            high_watermark,
            queued: false,
            offline: false,
            fetched_for: false,
            producers: Vec::new(),
            leading_since: None,
            followers_parked: Vec::new(),
            consumers_parked: Vec::new(),
            proposals: Vec::new(),
            stored_news: false,
        };
        // Transactions that ended below the high watermark are done with.
        let _ = partition.last_stable();
        let ends = partition.ends(env);
        if ends.stored < ends.end {
            partition.submit_sync(env);
        }
        partition
    }

    /// What readers of committed records may read up to.
    pub(crate) fn last_stable(&self) -> Offset {
        self.reader.last_stable(self.high_watermark)
    }

    /// The ends of the log as replication counts them.
    pub(crate) fn ends(&self, env: &Env<'_>) -> LogEnds {
        let offsets = self.reader.offsets();
        let early = match self.replica.is_leader() {
            true => env.settings.has(Mutation::LeaderCountsUnsynced),
            false => env.settings.has(Mutation::FollowerPromisesUnsynced),
        };
        let synced = env.settings.fsync && !early;
        let stored = if synced { offsets.synced_end } else { offsets.end };
        LogEnds { start: offsets.start, end: offsets.end, stored }
    }

    /// Takes over what metadata says.
    pub(crate) fn apply(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        state: &PartitionState,
    ) -> RoleChange {
        let mut effects = Vec::new();
        let ends = self.ends(env);
        let event = Event::Metadata(state);
        self.replica.step(env.steady(), &ends, brokers, event, &mut effects);
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
        self.carry_out(env, effects);
        change
    }

    /// Tells the state machine what has happened.
    pub(crate) fn step(&mut self, env: &mut Env<'_>, brokers: &dyn Brokers, event: Event<'_>) {
        let mut effects = Vec::new();
        let ends = self.ends(env);
        let truncated = matches!(event, Event::Truncated);
        self.replica.step(env.steady(), &ends, brokers, event, &mut effects);
        if truncated && let Some(judge) = env.judge() {
            let (node, life) = (judge.node, judge.life);
            judge.partition_cut(self.key, node, life, ends.end);
        }
        self.carry_out(env, effects);
    }

    fn carry_out(&mut self, env: &mut Env<'_>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::HighWatermark(to) => {
                    self.high_watermark = to;
                    self.judge_high_watermark(env);
                    self.release(env);
                }
                Effect::BecameLeader { epoch } => {
                    note!(env, "n{} leads {:?} in epoch {epoch}", env.node, short(self.key));
                    self.leading_since.get_or_insert(epoch);
                    // They have to be told that their epoch is over.
                    wake(env, &mut self.followers_parked);
                    let (key, end) = (self.key, self.reader.log_end());
                    if let Some(judge) = env.judge() {
                        judge.leads_partition(key, epoch, end);
                    }
                }
                Effect::BecameFollower { leader, epoch } => {
                    note!(
                        env,
                        "n{} follows {leader:?} in {:?} in epoch {epoch}",
                        env.node,
                        short(self.key)
                    );
                    self.leading_since = None;
                    self.fail_waiters(env, ErrorCode::NotLeaderOrFollower);
                }
                Effect::ProposeIsr(proposal) => self.proposals.push(proposal),
                Effect::IsrChanged { .. } => {}
            }
        }
    }

    fn judge_high_watermark(&mut self, env: &mut Env<'_>) {
        let (key, to, reader) = (self.key, self.high_watermark, self.reader.clone());
        let (epoch, leads) = (self.replica.epoch(), self.replica.is_leader());
        note!(env, "n{} {:?} high watermark {to}", env.node, short(key));
        if let Some(judge) = env.judge() {
            judge.high_watermark(key, epoch, leads, to, &reader);
        }
    }

    pub(super) fn release(&mut self, env: &mut Env<'_>) {
        let mark = self.high_watermark;
        for producer in std::mem::take(&mut self.producers) {
            if producer.end <= mark {
                producer.answer(env, ErrorCode::None);
            } else {
                self.producers.push(producer);
            }
        }
        wake(env, &mut self.consumers_parked);
    }

    pub(super) fn fail_waiters(&mut self, env: &mut Env<'_>, error: ErrorCode) {
        for producer in std::mem::take(&mut self.producers) {
            producer.answer(env, error);
        }
        wake(env, &mut self.consumers_parked);
        wake(env, &mut self.followers_parked);
    }

    /// Something was appended or synced.
    pub(crate) fn advance(&mut self, env: &mut Env<'_>, brokers: &dyn Brokers) {
        self.step(env, brokers, Event::LogMoved);
        let ends = self.ends(env);
        self.stored_news |= self.fetched_for && ends.stored >= ends.end;
    }

    /// Has the partition synced by the flusher, once.
    pub(crate) fn submit_sync(&mut self, env: &mut Env<'_>) {
        if !self.queued && !self.offline {
            self.queued = true;
            let waits = env.random.between(0, 2);
            env.later(waits, NodeEvent::Flush { key: self.key, instance: self.instance });
        }
    }

    pub(crate) fn after_append(&mut self, env: &mut Env<'_>, brokers: &dyn Brokers) {
        if self.replica.is_leader() {
            wake(env, &mut self.followers_parked);
        }
        if env.settings.fsync {
            self.submit_sync(env);
        }
        self.advance(env, brokers);
    }

    /// Ends every wait; nothing is served any more.
    pub(crate) fn take_offline(&mut self, env: &mut Env<'_>, error: ErrorCode) {
        self.offline = true;
        self.fail_waiters(env, error);
    }

    /// A disk that failed takes the partition out of service; a full one does not.
    pub(super) fn note_failure(&mut self, env: &mut Env<'_>, error: &AppendError) {
        if let AppendError::Storage(storage) = error
            && !storage.is_full()
        {
            note!(env, "n{} {:?} failed: {storage}", env.node, short(self.key));
            self.log.mark_failed(storage);
            self.take_offline(env, ErrorCode::KafkaStorageError);
        }
    }

    fn check_follows(&self, epoch: LeaderEpoch) -> Result<(), FollowError> {
        let follows = !self.replica.is_leader() && self.replica.epoch() == epoch;
        if follows { Ok(()) } else { Err(FollowError::NotFollowing) }
    }

    /// What to ask the leader for in `epoch`; none while something is not stored yet.
    pub(crate) fn fetch_position(&mut self, env: &mut Env<'_>, epoch: LeaderEpoch) -> Option<Ask> {
        let ends = self.ends(env);
        if ends.stored < ends.end {
            self.submit_sync(env);
            return None;
        }
        let last = (ends.end > ends.start).then(|| self.reader.epoch_at(Offset(ends.end.0 - 1)));
        let blind = env.settings.has(Mutation::SkipTruncation);
        Some(Ask {
            leader_epoch: epoch,
            offset: ends.end,
            last_fetched_epoch: last.flatten().filter(|_| !blind),
            log_start: ends.start,
        })
    }

    /// Stores what the leader sent.
    pub(crate) fn append_fetched(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        bytes: &[u8],
    ) -> Result<(), FollowError> {
        self.check_follows(epoch)?;
        match self.log.append_as_follower(bytes, env.wall()) {
            Ok(_) => {
                self.after_append(env, brokers);
                Ok(())
            }
            Err(error) => {
                self.note_failure(env, &error);
                Err(FollowError::Append(error))
            }
        }
    }

    /// Takes over high watermark and log start of the leader.
    pub(crate) fn follow_marks(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        high_watermark: i64,
        log_start: i64,
    ) {
        if self.check_follows(epoch).is_err() {
            return;
        }
        if self.high_watermark.0 < high_watermark {
            self.step(env, brokers, Event::LeaderHighWatermark(Offset(high_watermark)));
        }
        let to = Offset(log_start).min(self.high_watermark);
        if to > self.reader.log_start() {
            // Not moved: it is told again by the next answer.
            let _ = self.log.advance_log_start(to);
        }
    }

    /// Cuts off what the leader does not have.
    pub(crate) fn truncate_diverging(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        leader: Divergence,
    ) -> Result<(), FollowError> {
        let here = self
            .reader
            .epoch_end(leader.epoch)
            .map(|end| Divergence { epoch: end.epoch, end: end.end });
        let to = truncation(leader, here, self.reader.log_end());
        self.truncate_to(env, brokers, epoch, to)
    }

    /// Cuts off what lies behind `to`.
    pub(crate) fn truncate_to(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        to: Offset,
    ) -> Result<(), FollowError> {
        note!(env, "n{} {:?} cut at {to} of {}", env.node, short(self.key), self.reader.log_end());
        self.cut(env, brokers, epoch, |log, now| log.truncate_to(to, now).map(drop))
    }

    /// Begins anew where the leader's log begins.
    pub(crate) fn restart_at(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        start: Offset,
    ) -> Result<(), FollowError> {
        note!(env, "n{} {:?} begins anew at {start}", env.node, short(self.key));
        self.cut(env, brokers, epoch, |log, now| log.truncate_fully_and_start_at(start, now))
    }

    fn cut(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        epoch: LeaderEpoch,
        cut: impl FnOnce(&mut Log, naru_model::Timestamp) -> Result<(), AppendError>,
    ) -> Result<(), FollowError> {
        self.check_follows(epoch)?;
        let result = cut(&mut self.log, env.wall());
        self.step(env, brokers, Event::Truncated);
        result.map_err(|error| {
            if let AppendError::Storage(_) = &error {
                self.take_offline(env, ErrorCode::KafkaStorageError);
            }
            FollowError::Append(error)
        })
    }

    /// Compares the leader epoch that who fetches knows with the current one.
    pub(crate) fn check_leader_epoch(&self, known: LeaderEpoch) -> Result<(), ErrorCode> {
        let current = self.replica.epoch();
        if known.0 < 0 || known == current {
            Ok(())
        } else if known < current {
            Err(ErrorCode::FencedLeaderEpoch)
        } else {
            Err(ErrorCode::UnknownLeaderEpoch)
        }
    }

    /// Epoch and end where a follower's log leaves this one, if it does.
    pub(crate) fn divergence(&self, ask: &Ask) -> Option<(i32, i64)> {
        let last = ask.last_fetched_epoch?;
        let (epoch, end) = self.epoch_end(last.0);
        (epoch < last.0 || end < ask.offset.0).then_some((epoch, end))
    }

    fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        let current = self.replica.epoch().0;
        if epoch == current {
            return (epoch, self.reader.log_end().0);
        }
        match self.reader.epoch_end(LeaderEpoch(epoch)) {
            Some(end) => (end.epoch.0, end.end.0),
            None if epoch < current => {
                let latest = self.reader.latest_epoch();
                (latest.map_or(epoch, |latest| latest.0), self.reader.log_end().0)
            }
            None => (-1, -1),
        }
    }
}

/// Tells parked fetches to look again.
pub(crate) fn wake(env: &mut Env<'_>, parked: &mut Vec<u64>) {
    for parked in parked.drain(..) {
        env.later(0, NodeEvent::FetchWoken { parked });
    }
}

/// A partition for the trace.
pub(crate) fn short(key: PartitionKey) -> (u32, i32) {
    (u32::try_from(key.topic.0 >> 32 & 0xFFFF).unwrap_or(0), key.partition)
}
