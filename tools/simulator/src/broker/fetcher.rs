//! One fetcher of a simulated broker: `broker::peer::fetcher` and `answer` around the production
//! [`FetchPlan`].
//!
//! Different from there: it is a state machine instead of a task. Where the task waits, this one
//! returns and is called again.

use std::collections::{BTreeMap, BTreeSet};

use naru_log::AppendError;
use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset};
use naru_replication::{Divergence, FetchPlan, PartitionKey};

use super::Broker;
use super::partition::FollowError;
use crate::env::{Env, NodeEvent};
use crate::message::{Failed, FetchAnswer, FetchAsk, Fetched, Lane, Request, Response, Rpc};
use crate::settings::times;
use crate::trace::note;

/// As in the broker.
const INTERRUPT_AFTER_MS: i64 = 5;
const STORE_WAIT_MAX_MS: i64 = 500;
const RECONNECT_MIN_MS: i64 = 25;
const METADATA_PAUSE_MS: i64 = 20;
/// Bytes of one answer: small, so that followers take several rounds.
const FETCH_MAX_BYTES: usize = 8192;

/// What a fetcher waits for.
#[derive(Debug)]
enum Doing {
    Nothing,
    /// The answer to a fetch; others must not wait for it longer than until then.
    Fetching {
        rpc: Rpc,
        interrupt_at: Option<i64>,
    },
    /// Where the leader's logs begin and end, of partitions whose offsets it does not have.
    Ranging {
        rpc: Rpc,
        keys: Vec<PartitionKey>,
    },
    /// The partitions that store what they got, until then.
    Storing {
        until: i64,
    },
    /// A pause after failures.
    Pausing {
        until: i64,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fetcher {
    source: i32,
    pub(crate) plan: FetchPlan,
    following: BTreeMap<PartitionKey, LeaderEpoch>,
    storing: BTreeSet<PartitionKey>,
    changed_meanwhile: BTreeSet<PartitionKey>,
    doing: Doing,
    failures: u32,
    wake_at: Option<i64>,
}

impl Fetcher {
    pub(crate) fn new(source: i32) -> Self {
        Self {
            source,
            plan: FetchPlan::new(),
            following: BTreeMap::new(),
            storing: BTreeSet::new(),
            changed_meanwhile: BTreeSet::new(),
            doing: Doing::Nothing,
            failures: 0,
            wake_at: None,
        }
    }

    fn forget(&mut self, key: PartitionKey) {
        self.following.remove(&key);
        self.storing.remove(&key);
        self.plan.unfollow(key);
    }

    /// Looks in after so long.
    fn wake_in(&mut self, env: &mut Env<'_>, ms: i64) {
        let at = env.now + ms.max(0);
        if self.wake_at.is_none_or(|planned| at < planned || planned < env.now) {
            self.wake_at = Some(at);
            env.later(at - env.now, NodeEvent::Fetcher { source: self.source });
        }
    }

    /// Others have something new to ask for: the fetch under way must not hold them up.
    fn hurry(&mut self, env: &mut Env<'_>) {
        if let Doing::Fetching { interrupt_at: at @ None, .. } = &mut self.doing {
            *at = Some(env.now + INTERRUPT_AFTER_MS);
            self.wake_in(env, INTERRUPT_AFTER_MS);
        }
    }
}

impl Broker {
    fn fetcher(&mut self, source: i32) -> Option<&mut Fetcher> {
        self.fetchers.get_mut(&source)
    }

    /// Fetches for a partition from `leader` from now on, and from nobody else.
    pub(super) fn follow(
        &mut self,
        env: &mut Env<'_>,
        key: PartitionKey,
        leader: BrokerId,
        epoch: LeaderEpoch,
    ) {
        if self.assigned.get(&key).is_some_and(|current| *current != leader.0) {
            self.unfollow(key);
        }
        self.assigned.insert(key, leader.0);
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.fetched_for = true;
        }
        let fetcher = self.fetchers.entry(leader.0).or_insert_with(|| Fetcher::new(leader.0));
        fetcher.changed_meanwhile.insert(key);
        fetcher.following.insert(key, epoch);
        if self.go_on(env, leader.0, key)
            && let Some(fetcher) = self.fetcher(leader.0)
        {
            fetcher.hurry(env);
        }
        self.run_fetcher(env, leader.0);
    }

    /// Fetches no more for a partition.
    pub(super) fn unfollow(&mut self, key: PartitionKey) {
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.fetched_for = false;
        }
        if let Some(fetcher) = self.assigned.remove(&key).and_then(|at| self.fetchers.get_mut(&at))
        {
            fetcher.changed_meanwhile.insert(key);
            fetcher.forget(key);
        }
    }

    /// Asks for a partition from where its log ends, now or when it is stored; whether now.
    fn go_on(&mut self, env: &mut Env<'_>, source: i32, key: PartitionKey) -> bool {
        let Some(fetcher) = self.fetchers.get_mut(&source) else { return false };
        let Some(epoch) = fetcher.following.get(&key).copied() else { return false };
        let Some(partition) = self.partitions.get_mut(&key).filter(|p| !p.offline) else {
            fetcher.forget(key);
            return false;
        };
        match partition.fetch_position(env, epoch) {
            Some(ask) => {
                fetcher.storing.remove(&key);
                fetcher.plan.follow(key, ask);
                true
            }
            None => {
                fetcher.storing.insert(key);
                fetcher.plan.hold(key);
                false
            }
        }
    }

    /// A partition has stored what it got.
    pub(super) fn has_stored(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        let Some(&source) = self.assigned.get(&key) else { return };
        if !self.fetchers.get(&source).is_some_and(|fetcher| fetcher.storing.contains(&key)) {
            return;
        }
        if self.go_on(env, source, key)
            && let Some(fetcher) = self.fetcher(source)
        {
            fetcher.hurry(env);
        }
        self.run_fetcher(env, source);
    }

    /// Does what there is to do.
    pub(super) fn run_fetcher(&mut self, env: &mut Env<'_>, source: i32) {
        let broker_epoch = self.registration.epoch;
        let known = self.image.broker(source).is_some();
        let Some(fetcher) = self.fetchers.get_mut(&source) else { return };
        if fetcher.wake_at.is_some_and(|at| at <= env.now) {
            fetcher.wake_at = None;
        }
        match &fetcher.doing {
            Doing::Fetching { interrupt_at: Some(at), .. } => {
                let left = at - env.now;
                if left > 0 {
                    return fetcher.wake_in(env, left);
                }
                env.emit(crate::env::Emit::HangUp { to: source, lane: Lane::Fetch });
                fetcher.plan.restart_session(true);
            }
            Doing::Fetching { interrupt_at: None, .. } | Doing::Ranging { .. } => return,
            Doing::Storing { until } if !fetcher.storing.is_empty() && *until > env.now => {
                let left = until - env.now;
                return fetcher.wake_in(env, left);
            }
            Doing::Pausing { until } if *until > env.now => {
                let left = until - env.now;
                return fetcher.wake_in(env, left);
            }
            Doing::Nothing | Doing::Storing { .. } | Doing::Pausing { .. } => {}
        }
        fetcher.doing = Doing::Nothing;
        let now = env.steady();
        let Some(plan) = fetcher.plan.next_request(now) else {
            if fetcher.plan.is_empty() {
                fetcher.plan.restart_session(false);
            }
            if let Some(at) = fetcher.plan.next_resume_ms() {
                fetcher.wake_in(env, at - now);
            }
            return;
        };
        fetcher.changed_meanwhile.clear();
        if !known {
            return self.fetch_failed(env, source);
        }
        let ask = FetchAsk {
            follower: Some((BrokerId(env.node), Some(BrokerEpoch(broker_epoch)))),
            plan,
            max_wait_ms: times::FETCH_WAIT_MS,
            committed: false,
            max_bytes: FETCH_MAX_BYTES,
        };
        let rpc = env.ask(source, Lane::Fetch, Request::Fetch(ask), times::REPLICA_TIMEOUT_MS);
        fetcher.doing = Doing::Fetching { rpc, interrupt_at: None };
    }

    fn fetch_failed(&mut self, env: &mut Env<'_>, source: i32) {
        let Some(fetcher) = self.fetchers.get_mut(&source) else { return };
        fetcher.plan.restart_session(true);
        fetcher.failures = fetcher.failures.saturating_add(1);
        let pause = match fetcher.failures {
            0 | 1 => 1,
            more => (RECONNECT_MIN_MS << (more - 2).min(10)).min(times::FETCH_BACKOFF_MS),
        };
        fetcher.doing = Doing::Pausing { until: env.now + pause };
        fetcher.wake_in(env, pause);
    }

    /// An answer to a fetch, or why there is none.
    pub(super) fn fetch_answered(
        &mut self,
        env: &mut Env<'_>,
        source: i32,
        rpc: Rpc,
        result: Result<Response, Failed>,
    ) {
        let Some(fetcher) = self.fetchers.get_mut(&source) else { return };
        match &fetcher.doing {
            Doing::Fetching { rpc: waited, .. } if *waited == rpc => match result {
                Ok(Response::Fetch(answer)) => {
                    fetcher.failures = 0;
                    fetcher.doing = Doing::Nothing;
                    self.handle_answer(env, source, answer);
                }
                Ok(_) | Err(_) => self.fetch_failed(env, source),
            },
            Doing::Ranging { rpc: waited, keys } if *waited == rpc => {
                let keys = keys.clone();
                fetcher.doing = Doing::Nothing;
                let ranges = match result {
                    Ok(Response::ListOffsets(ranges)) => ranges,
                    Ok(_) | Err(_) => {
                        fetcher.plan.restart_session(true);
                        Vec::new()
                    }
                };
                self.found_ranges(env, source, &keys, &ranges);
                self.wait_until_stored(env, source);
            }
            _ => {}
        }
    }

    fn handle_answer(&mut self, env: &mut Env<'_>, source: i32, answer: FetchAnswer) {
        let Some(fetcher) = self.fetchers.get_mut(&source) else { return };
        match answer.error {
            None => fetcher.plan.answered(answer.session_id),
            Some(ErrorCode::FetchSessionIdNotFound) => {
                fetcher.plan.restart_session(false);
                return self.wait_until_stored(env, source);
            }
            Some(_) => {
                fetcher.plan.restart_session(true);
                return self.wait_until_stored(env, source);
            }
        }
        let mut out_of_range = Vec::new();
        for (key, data) in answer.partitions {
            let counts = self
                .fetchers
                .get(&source)
                .is_some_and(|fetcher| !fetcher.changed_meanwhile.contains(&key));
            if counts && self.handle_partition(env, source, key, &data) {
                out_of_range.push(key);
            }
        }
        if out_of_range.is_empty() {
            return self.wait_until_stored(env, source);
        }
        let request = Request::ListOffsets(out_of_range.clone());
        let rpc = env.ask(source, Lane::Fetch, request, times::REPLICA_TIMEOUT_MS);
        if let Some(fetcher) = self.fetchers.get_mut(&source) {
            fetcher.doing = Doing::Ranging { rpc, keys: out_of_range };
        }
    }

    fn wait_until_stored(&mut self, env: &mut Env<'_>, source: i32) {
        if let Some(fetcher) = self.fetchers.get_mut(&source) {
            fetcher.doing = Doing::Storing { until: env.now + STORE_WAIT_MAX_MS };
        }
        self.run_fetcher(env, source);
    }

    /// Takes in what a partition got; whether its offset is not in the leader's log.
    fn handle_partition(
        &mut self,
        env: &mut Env<'_>,
        source: i32,
        key: PartitionKey,
        data: &Fetched,
    ) -> bool {
        let fetcher = self.fetchers.get(&source);
        let Some(epoch) = fetcher.and_then(|fetcher| fetcher.following.get(&key)).copied() else {
            return false;
        };
        let brokers = &self.brokers;
        let Some(partition) = self.partitions.get_mut(&key) else { return false };
        let done = match (data.error, data.diverging) {
            (ErrorCode::None, Some((epoch_there, end))) => {
                let leader = Divergence { epoch: LeaderEpoch(epoch_there), end: Offset(end) };
                partition.truncate_diverging(env, brokers, epoch, leader)
            }
            (ErrorCode::None, None) => {
                let appended = if data.records.is_empty() {
                    Ok(())
                } else {
                    partition.append_fetched(env, brokers, epoch, &data.records)
                };
                if appended.is_ok() {
                    let (mark, start) = (data.high_watermark, data.log_start);
                    partition.follow_marks(env, brokers, epoch, mark, start);
                }
                appended
            }
            (ErrorCode::OffsetOutOfRange, _) => return true,
            (error, _) => {
                let pause = match error {
                    ErrorCode::NotLeaderOrFollower
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::UnknownTopicOrPartition => METADATA_PAUSE_MS,
                    _ => times::FETCH_BACKOFF_MS,
                };
                if let Some(fetcher) = self.fetchers.get_mut(&source) {
                    fetcher.plan.pause(key, env.steady() + pause);
                }
                return false;
            }
        };
        self.settle(env, source, key, done);
        false
    }

    /// Goes on with a partition, after a pause if something was wrong.
    fn settle(
        &mut self,
        env: &mut Env<'_>,
        source: i32,
        key: PartitionKey,
        done: Result<(), FollowError>,
    ) {
        match done {
            Ok(()) => drop(self.go_on(env, source, key)),
            Err(FollowError::NotFollowing) => {
                if let Some(fetcher) = self.fetchers.get_mut(&source) {
                    fetcher.plan.hold(key);
                }
            }
            Err(FollowError::Append(error)) => {
                note!(env, "n{} not stored: {error}", env.node);
                let damaged = matches!(
                    error,
                    AppendError::Damaged { .. } | AppendError::OffsetsOutOfOrder { .. }
                );
                if damaged && let Some(judge) = env.judge() {
                    judge.sent_damaged(key, &error.to_string());
                }
                if self.go_on(env, source, key)
                    && let Some(fetcher) = self.fetchers.get_mut(&source)
                {
                    fetcher.plan.pause(key, env.steady() + times::FETCH_BACKOFF_MS);
                }
            }
        }
    }

    /// Where the leader's logs are that do not have these partitions' offsets.
    fn found_ranges(
        &mut self,
        env: &mut Env<'_>,
        source: i32,
        keys: &[PartitionKey],
        ranges: &[(PartitionKey, Offset, Offset)],
    ) {
        for &key in keys {
            let fetcher = self.fetchers.get_mut(&source);
            let Some((fetcher, epoch)) = fetcher.and_then(|fetcher| {
                let epoch = fetcher.following.get(&key).copied()?;
                Some((fetcher, epoch))
            }) else {
                continue;
            };
            let Some((_, start, end)) = ranges.iter().find(|(other, ..)| *other == key) else {
                fetcher.plan.pause(key, env.steady() + times::FETCH_BACKOFF_MS);
                continue;
            };
            let brokers = &self.brokers;
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            let log_end = partition.reader.log_end();
            let done = if *end < log_end {
                partition.truncate_to(env, brokers, epoch, *end)
            } else if *start > log_end {
                partition.restart_at(env, brokers, epoch, *start)
            } else {
                Ok(())
            };
            self.settle(env, source, key, done);
        }
    }
}
