//! Serving fetches: sessions, reading, waiting, as `broker::api::fetch` and `fetch_session` do.
//!
//! Different from there: sessions are lost at random, and an answer names its partitions in the
//! order of their keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use naru_log::ReadError;
use naru_model::{BrokerEpoch, BrokerId, ErrorCode, Offset};
use naru_replication::{Ask, Brokers as _, Event, FollowerFetch, PartitionKey};

use super::Broker;
use super::partition::Partition;
use crate::env::{Env, NodeEvent};
use crate::message::{FetchAnswer, FetchAsk, Fetched, Response, Ticket};
use crate::settings::Mutation;

type Follower = Option<(BrokerId, Option<BrokerEpoch>)>;

/// What a follower wants, and what it was told of each partition.
#[derive(Debug)]
pub(crate) struct Session {
    next_epoch: i32,
    followed: BTreeMap<PartitionKey, (Ask, Told)>,
}

/// The session that is asked, and whether it is to hear of every partition.
type Asked = Option<(i32, bool)>;

/// High watermark, log start, whether there was an error.
type Told = (i64, i64, bool);

/// A fetch that waits for something to read.
#[derive(Debug)]
pub(crate) struct Parked {
    ticket: Ticket,
    follower: Follower,
    session: Asked,
    targets: Vec<(PartitionKey, Ask)>,
    max_bytes: usize,
    committed: bool,
}

/// What one look at the partitions found.
struct Attempt {
    reads: Vec<(PartitionKey, Fetched)>,
    bytes: usize,
    urgent: bool,
}

impl Broker {
    pub(super) fn serve_fetch(&mut self, env: &mut Env<'_>, ticket: Ticket, ask: &FetchAsk) {
        let planned = match self.plan_session(env, ask) {
            Ok(planned) => planned,
            Err(error) => {
                let answer = FetchAnswer { error: Some(error), ..FetchAnswer::default() };
                return env.answer(ticket, Response::Fetch(answer));
            }
        };
        let (session, targets) = planned;
        let (follower, max_bytes, committed) = (ask.follower, ask.max_bytes, ask.committed);
        let fetch = Parked { ticket, follower, session, targets, max_bytes, committed };
        let attempt = self.attempt(env, &fetch, true);
        if attempt.urgent || attempt.bytes > 0 || fetch.targets.is_empty() || ask.max_wait_ms <= 0 {
            return self.answer_fetch(env, &fetch, attempt);
        }
        let number = self.number();
        env.later(ask.max_wait_ms, NodeEvent::FetchExpired { parked: number });
        self.parked.insert(number, fetch);
        self.look_again(env, number, false);
    }

    /// Which session a fetch goes on with, and whether it has to hear of every partition.
    fn plan_session(
        &mut self,
        env: &mut Env<'_>,
        ask: &FetchAsk,
    ) -> Result<(Asked, Vec<(PartitionKey, Ask)>), ErrorCode> {
        let plan = &ask.plan;
        if ask.follower.is_none() {
            return Ok((None, plan.asked.clone()));
        }
        let new = |(key, ask): &(PartitionKey, Ask)| (*key, (*ask, (-1, -1, false)));
        if plan.session_epoch == 0 {
            self.sessions.remove(&plan.session_id);
            let id = i32::try_from(env.random.between(1, i64::from(i32::MAX))).unwrap_or(1);
            let followed = plan.asked.iter().map(new).collect();
            self.sessions.insert(id, Session { next_epoch: 1, followed });
            return Ok((Some((id, true)), plan.asked.clone()));
        }
        if env.random.below(200) == 0 {
            // Its place was given to another, or it was idle for too long.
            self.sessions.remove(&plan.session_id);
        }
        let session =
            self.sessions.get_mut(&plan.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.next_epoch != plan.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next_epoch = session.next_epoch.wrapping_add(1).max(1);
        for (key, ask) in &plan.asked {
            match session.followed.get_mut(key) {
                Some(known) => known.0 = *ask,
                None => {
                    session.followed.insert(*key, (*ask, (-1, -1, false)));
                }
            }
        }
        for key in &plan.forgotten {
            session.followed.remove(key);
        }
        let targets = session.followed.iter().map(|(key, (ask, _))| (*key, *ask)).collect();
        Ok((Some((plan.session_id, false)), targets))
    }

    fn attempt(&mut self, env: &mut Env<'_>, fetch: &Parked, first_look: bool) -> Attempt {
        let mut attempt = Attempt { reads: Vec::new(), bytes: 0, urgent: false };
        for (key, ask) in &fetch.targets {
            let left = fetch.max_bytes.saturating_sub(attempt.bytes);
            let first = attempt.bytes == 0;
            let brokers = &self.brokers;
            let read = match self.partitions.get_mut(key) {
                Some(partition) => {
                    let leader_end = partition.reader.log_end();
                    let mut read = read(env, brokers, partition, ask, fetch, left, first);
                    if fetch.committed
                        && read.error == ErrorCode::None
                        && let Some(judge) = env.judge()
                    {
                        judge.last_stable(*key, read.last_stable, &partition.reader);
                    }
                    if let (Some((replica, broker_epoch)), true) = (fetch.follower, first_look)
                        && read.error == ErrorCode::None
                        && read.diverging.is_none()
                    {
                        let early = env.settings.has(Mutation::LeaderCountsUnfetched);
                        let event = Event::FollowerFetched(FollowerFetch {
                            replica,
                            broker_epoch,
                            offset: if early { leader_end } else { ask.offset },
                            log_start: ask.log_start,
                            leader_end,
                        });
                        partition.step(env, brokers, event);
                        read.high_watermark = partition.high_watermark.0;
                    }
                    if read.diverging == Some((-1, -1)) {
                        // An epoch that this log never had tells nothing of where to go on.
                        read = error(ErrorCode::OffsetOutOfRange);
                    }
                    read
                }
                None => error(ErrorCode::UnknownTopicOrPartition),
            };
            attempt.bytes += read.records.len();
            attempt.urgent |= read.error != ErrorCode::None || read.diverging.is_some();
            attempt.reads.push((*key, read));
        }
        attempt
    }

    /// Something may have come for a parked fetch, or its time is over.
    pub(super) fn look_again(&mut self, env: &mut Env<'_>, number: u64, expired: bool) {
        let Some(fetch) = self.parked.remove(&number) else { return };
        let attempt = self.attempt(env, &fetch, false);
        if expired || attempt.urgent || attempt.bytes > 0 {
            return self.answer_fetch(env, &fetch, attempt);
        }
        for (key, _) in &fetch.targets {
            if let Some(partition) = self.partitions.get_mut(key) {
                let list = match fetch.follower {
                    Some(_) => &mut partition.followers_parked,
                    None => &mut partition.consumers_parked,
                };
                if !list.contains(&number) {
                    list.push(number);
                }
            }
        }
        self.parked.insert(number, fetch);
    }

    fn answer_fetch(&mut self, env: &mut Env<'_>, fetch: &Parked, attempt: Attempt) {
        let mut answer = FetchAnswer::default();
        let mut session = None;
        if let Some((id, full)) = fetch.session {
            answer.session_id = id;
            session = self.sessions.get_mut(&id).map(|session| (session, full));
        }
        for (key, read) in attempt.reads {
            if let Some((session, full)) = &mut session
                && let Some((_, told)) = session.followed.get_mut(&key)
            {
                let now = (read.high_watermark, read.log_start, read.error != ErrorCode::None);
                let news = std::mem::replace(told, now) != now || now.2;
                if !news && !*full && read.records.is_empty() && read.diverging.is_none() {
                    continue;
                }
            }
            answer.partitions.push((key, read));
        }
        env.answer(fetch.ticket, Response::Fetch(answer));
    }
}

fn error(error: ErrorCode) -> Fetched {
    Fetched {
        error,
        high_watermark: -1,
        last_stable: -1,
        aborted: Vec::new(),
        log_start: -1,
        diverging: None,
        records: Bytes::new(),
    }
}

fn read(
    env: &Env<'_>,
    brokers: &super::KnownBrokers,
    partition: &Partition,
    ask: &Ask,
    fetch: &Parked,
    left: usize,
    first: bool,
) -> Fetched {
    let follower = fetch.follower;
    if let Err(code) = check(brokers, partition, ask, follower) {
        return error(code);
    }
    let mut found = Fetched {
        high_watermark: partition.high_watermark.0,
        last_stable: partition.last_stable().0,
        log_start: partition.reader.log_start().0,
        diverging: partition.divergence(ask),
        ..error(ErrorCode::None)
    };
    if found.diverging.is_some() {
        return found;
    }
    let careless = Mutation::FollowerServesUncommitted;
    let careless = env.settings.has(careless) && !partition.replica.is_leader();
    let all = follower.is_some() || env.settings.has(Mutation::ReadUncommitted) || careless;
    let stable = fetch.committed && !env.settings.has(Mutation::ReadUnstable);
    let upto = match all {
        true => partition.reader.log_end(),
        false if stable => Offset(found.last_stable),
        false => Offset(found.high_watermark),
    };
    let slice = partition.reader.read(ask.offset, left, first, upto).and_then(|slice| {
        if fetch.committed && !env.settings.has(Mutation::AbortedNotTold) {
            found.aborted = partition.reader.aborted_in(&slice, ask.offset)?;
        }
        Ok(slice)
    });
    match slice {
        Ok(slice) => match slice.read_bytes() {
            Ok(bytes) => found.records = bytes.into(),
            Err(_) => return error(ErrorCode::KafkaStorageError),
        },
        Err(
            failed @ (ReadError::OutOfRange { .. }
            | ReadError::Storage(_)
            | ReadError::Damaged { .. }),
        ) => {
            return error(ErrorCode::from(&failed));
        }
    }
    found
}

fn check(
    brokers: &super::KnownBrokers,
    partition: &Partition,
    ask: &Ask,
    follower: Follower,
) -> Result<(), ErrorCode> {
    if partition.offline {
        return Err(ErrorCode::KafkaStorageError);
    }
    partition.check_leader_epoch(ask.leader_epoch)?;
    if !partition.replica.is_leader() && follower.is_some() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    if let Some((replica, epoch)) = follower {
        if !partition.replica.has_follower(replica) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let registered = brokers.broker(replica);
        if epoch.is_some_and(|epoch| registered.is_some_and(|broker| epoch < broker.epoch)) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
    }
    Ok(())
}
