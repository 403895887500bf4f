//! Everything together, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use naru_coordinators::{ReplyToken, ShareCommand, ShareReply};
use naru_model::{Offset, Timestamp};

use super::coordinator::{Coordinator, the_partition};
use super::leader::{Leader, Phase, Told, Waiting};
use crate::{AckBatch, AckType, Acknowledged, Acquire, AcquireMode, Acquired, Limits, ReadBatch};

/// The log: batches of four records, each third of which was compacted away.
const BATCHES: i64 = 18;
const BATCH_LEN: i64 = 4;

const MEMBERS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Fetch { leader: usize, member: usize, max: i64, strict: bool },
    Acknowledge { leader: usize, member: usize, at: usize, types: Vec<u8> },
    Leave { leader: usize, member: usize },
    Pass { ms: i64 },
    Deliver { message: usize },
    Lose { message: usize },
    TimeOut { leader: usize },
    Append { stored: bool },
    CrashCoordinator { kept: usize },
    MoveLeader,
    EndLeader { leader: usize },
    MoveLogStart { to: i64 },
    Alter { to: i64 },
    BeginLate,
}

/// On its way between a leader and the coordinator.
enum Message {
    Request { leader: usize, id: u64, command: ShareCommand },
    Answer { leader: usize, id: u64, reply: ShareReply },
}

/// What has been since the group was moved last.
#[derive(Default)]
struct Since {
    /// Accepted, and told so: by the leader of which epoch.
    accepted: BTreeMap<i64, i32>,
    /// The latest leader that has delivered it.
    delivered_by: BTreeMap<i64, i32>,
    /// Somebody has said that it is done, or it was delivered as often as it may be.
    may_be_done: BTreeSet<i64>,
    /// The highest start that a leader found.
    start: i64,
    /// Where the group was moved to.
    moved_to: i64,
}

pub(super) struct World {
    now: Timestamp,
    limits: Limits,
    log_start: i64,
    coordinator: Coordinator,
    leaders: Vec<Leader>,
    network: Vec<Message>,
    /// Whose request the coordinator answers.
    asking: HashMap<ReplyToken, (usize, u64)>,
    last_id: u64,
    last_state_epoch: i32,
    since: BTreeMap<i32, Since>,
}

impl World {
    pub(super) fn new() -> Self {
        let limits = Limits {
            lock_duration_ms: 15_000,
            deliveries_max: 4,
            in_flight_max: 24,
            may_renew: true,
        };
        let mut world = Self {
            now: Timestamp(0),
            limits,
            log_start: 0,
            coordinator: Coordinator::new(),
            leaders: Vec::new(),
            network: Vec::new(),
            asking: HashMap::new(),
            last_id: 0,
            last_state_epoch: 1,
            since: BTreeMap::new(),
        };
        world.begin(1, -1);
        world.coordinator.append(true);
        world.move_leader();
        world
    }

    fn begin(&mut self, state_epoch: i32, start_offset: i64) {
        let partition = the_partition();
        self.coordinator.ask(ShareCommand::Initialize { partition, state_epoch, start_offset });
    }

    /// One of the latest leaders: some do not know yet that they are not.
    fn leader(&self, which: usize) -> usize {
        let recent = self.leaders.len().min(3);
        self.leaders.len() - 1 - which % recent
    }

    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Fetch { leader, member, max, strict } => {
                let mode =
                    if *strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
                self.fetch(self.leader(*leader), member % MEMBERS.len(), *max, mode);
            }
            Step::Acknowledge { leader, member, at, types } => {
                let (leader, member) = (self.leader(*leader), member % MEMBERS.len());
                let own = |(offset, (holder, _)): (&i64, &(usize, Timestamp))| {
                    (*holder == member).then_some(*offset)
                };
                let own: Vec<i64> = self.leaders[leader].held.iter().filter_map(own).collect();
                if !own.is_empty() {
                    self.acknowledge(leader, member, &own[at % own.len()..], types);
                }
            }
            Step::Leave { leader, member } => {
                let (leader, member) = (self.leader(*leader), member % MEMBERS.len());
                let leader = &mut self.leaders[leader];
                leader.core.release_member(MEMBERS[member], &self.limits);
                leader.held.retain(|_, (holder, _)| *holder != member);
            }
            Step::Pass { ms } => self.pass(*ms),
            Step::Deliver { message } if !self.network.is_empty() => {
                let message = self.network.swap_remove(message % self.network.len());
                self.deliver(message);
            }
            Step::Lose { message } if !self.network.is_empty() => {
                self.network.swap_remove(message % self.network.len());
            }
            Step::Deliver { .. } | Step::Lose { .. } => {}
            Step::TimeOut { leader } => self.time_out(self.leader(*leader)),
            Step::Append { stored } => drop(self.coordinator.append(*stored)),
            Step::CrashCoordinator { kept } => {
                self.asking.clear();
                self.coordinator.crash(*kept % 4);
            }
            Step::MoveLeader => self.move_leader(),
            Step::EndLeader { leader } => {
                let leader = self.leader(*leader);
                self.leaders[leader].phase = Phase::Ended;
            }
            Step::MoveLogStart { to } => {
                self.log_start = self.log_start.max(*to);
                for leader in self.leaders.iter_mut().filter(|one| one.is_ready()) {
                    leader.core.move_log_start(Offset(self.log_start));
                    leader.held.retain(|offset, _| *offset >= self.log_start);
                }
            }
            Step::Alter { to } => {
                self.last_state_epoch += 1;
                self.since.entry(self.last_state_epoch).or_default().moved_to = *to;
                self.begin(self.last_state_epoch, *to);
            }
            Step::BeginLate => self.begin(self.last_state_epoch, -1),
        }
        self.settle();
    }

    fn pass(&mut self, ms: i64) {
        self.now = Timestamp(self.now.0 + ms);
        self.coordinator.advance(self.now);
        for leader in self.leaders.iter_mut().filter(|one| one.is_ready()) {
            leader.core.tick(self.now, &self.limits);
            leader.held.retain(|_, (_, until)| *until > self.now);
        }
    }

    fn move_leader(&mut self) {
        let epoch = i32::try_from(self.leaders.len()).expect("few");
        self.leaders.push(Leader::new(epoch));
    }

    /// What is to be asked is sent, what is answered is on its way back; nothing contradicts itself.
    fn settle(&mut self) {
        for (token, reply) in self.coordinator.take_answers() {
            if let Some((leader, id)) = self.asking.remove(&token) {
                self.network.push(Message::Answer { leader, id, reply });
            }
        }
        for (at, leader) in self.leaders.iter_mut().enumerate() {
            if let Some(command) = leader.ask(self.last_id + 1) {
                self.last_id += 1;
                self.network.push(Message::Request { leader: at, id: self.last_id, command });
            }
            leader.core.check_invariants();
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Request { leader, id, command } => {
                let token = self.coordinator.ask(command);
                self.asking.insert(token, (leader, id));
            }
            Message::Answer { leader, id, reply } => {
                let was_loading = self.leaders[leader].phase == Phase::Loading;
                match self.leaders[leader].told(id, reply, self.log_start) {
                    Some(told) => self.told(leader, told),
                    None => self.time_out(leader),
                }
                let loaded = &self.leaders[leader];
                if was_loading && loaded.is_ready() {
                    let since = self.since.entry(loaded.state_epoch).or_default();
                    let start = loaded.core.start().0;
                    assert!(start >= since.start, "it began at {} and now at {start}", since.start);
                    since.start = start;
                }
            }
        }
    }

    fn time_out(&mut self, at: usize) {
        match self.leaders[at].ask_again(self.last_id + 1) {
            Ok(command) => {
                self.last_id += 1;
                self.network.push(Message::Request { leader: at, id: self.last_id, command });
            }
            Err(told) => self.told(at, told),
        }
    }

    fn told(&mut self, at: usize, told: Told) {
        let Told::Written(waited, stored) = told else { return };
        let leader = &mut self.leaders[at];
        let start = leader.core.start().0;
        leader.core.tick(self.now, &self.limits);
        leader.held.retain(|offset, (_, until)| *until > self.now && *offset >= start);
        if !stored {
            return;
        }
        let since = self.since.entry(leader.state_epoch).or_default();
        for Waiting { offset, .. } in waited.iter().filter(|one| one.of == AckType::Accept) {
            let before = since.accepted.insert(*offset, leader.epoch);
            assert_eq!(before, None, "{offset} was accepted twice");
            let latest = since.delivered_by.get(offset).copied();
            assert!(latest <= Some(leader.epoch), "{offset} was accepted, {latest:?} delivered it");
        }
    }

    fn batches_from(&self, from: i64) -> Vec<ReadBatch> {
        let from = from.max(self.log_start);
        let batches = (0..BATCHES).filter(|at| at % 3 != 2).map(|at| ReadBatch {
            first: Offset(at * BATCH_LEN),
            last: Offset(at * BATCH_LEN + BATCH_LEN - 1),
            aborted: at % 7 == 4,
        });
        batches.filter(|batch| batch.last.0 >= from).collect()
    }

    fn fetch(&mut self, at: usize, member: usize, records_max: i64, mode: AcquireMode) -> usize {
        let leader = &self.leaders[at];
        if !leader.is_ready() || !leader.core.can_acquire(&self.limits) {
            return 0;
        }
        let fetch_offset = leader.core.next_fetch_offset();
        let batches = self.batches_from(fetch_offset.0);
        let name: Arc<str> = MEMBERS[member].into();
        let (member_name, range_len) = (&name, 6);
        let ask = Acquire {
            member: member_name,
            fetch_offset,
            batches: &batches,
            records_max,
            range_len,
            mode,
        };
        let acquired = self.leaders[at].core.acquire(self.now, &ask, &self.limits);
        for range in &acquired {
            self.acquired(at, member, range);
        }
        acquired.len()
    }

    fn acquired(&mut self, at: usize, member: usize, range: &Acquired) {
        let leader = &mut self.leaders[at];
        let until = Timestamp(self.now.0 + self.limits.lock_duration_ms);
        let since = self.since.entry(leader.state_epoch).or_default();
        assert!(range.deliveries <= self.limits.deliveries_max);
        for offset in range.first.0..=range.last.0 {
            let before = leader.held.insert(offset, (member, until));
            assert_eq!(before, None, "{offset} is held by two");
            let by = since.accepted.get(&offset);
            assert!(
                by.is_none_or(|by| *by > leader.epoch),
                "{offset}, accepted at {by:?}, was delivered by {}",
                leader.epoch
            );
            let latest = since.delivered_by.entry(offset).or_insert(leader.epoch);
            *latest = leader.epoch.max(*latest);
            if range.deliveries == self.limits.deliveries_max {
                since.may_be_done.insert(offset);
            }
        }
    }

    /// Says of the first offsets of `own` that lie next to each other what `types` says.
    fn acknowledge(&mut self, at: usize, member: usize, own: &[i64], types: &[u8]) {
        let leader = &mut self.leaders[at];
        let Some(first) = own.first().copied().filter(|_| leader.is_ready()) else { return };
        let neighbours = own.iter().zip(first..).take_while(|(own, at)| *own == at).count();
        let of = |id: &u8| AckType::from_id(i8::try_from(*id).expect("small")).expect("a type");
        let types: Vec<AckType> = types.iter().take(neighbours).map(of).collect();
        let last = first + i64::try_from(types.len()).expect("few") - 1;
        let (first_offset, last_offset) = (Offset(first), Offset(last));
        let batch = AckBatch { first: first_offset, last: last_offset, types: types.clone() };
        let done = leader.core.acknowledge(self.now, MEMBERS[member], &[batch], &self.limits);
        let done = done.expect("it holds them all");
        let since = self.since.entry(leader.state_epoch).or_default();
        let mut waiting = Vec::new();
        for (offset, of) in (first..=last).zip(types) {
            match of {
                AckType::Renew => {
                    let until = Timestamp(self.now.0 + self.limits.lock_duration_ms);
                    leader.held.insert(offset, (member, until));
                    continue;
                }
                AckType::Release => {}
                AckType::Accept | AckType::Reject | AckType::Gap => {
                    since.may_be_done.insert(offset);
                }
            }
            let hold = leader.held.remove(&offset).expect("it is held");
            waiting.push(Waiting { offset, of, hold });
        }
        if let Acknowledged::WhenStored(ticket) = done {
            leader.waiting.insert(ticket, waiting);
        }
    }

    /// All is well from now on: what is not done is delivered.
    pub(super) fn finish(&mut self) {
        self.network.clear();
        self.asking.clear();
        while self.coordinator.append(true) {}
        self.coordinator.crash(0);
        self.leaders.iter_mut().for_each(|leader| leader.phase = Phase::Ended);
        self.move_leader();
        let last = self.leaders.len() - 1;
        self.quiesce();
        assert!(self.leaders[last].is_ready(), "a new leader has the state");
        let mut delivered = BTreeSet::new();
        for _ in 0..500 {
            if self.fetch(last, 0, 100, AcquireMode::BatchOptimized) == 0 {
                break;
            }
            let own: Vec<i64> = self.leaders[last].held.keys().copied().collect();
            delivered.extend(own.iter().copied());
            for offset in own {
                self.acknowledge(last, 0, &[offset], &[1]);
            }
            self.settle();
            self.quiesce();
        }
        let leader = &self.leaders[last];
        let end = self.batches_from(0).last().map_or(0, |batch| batch.last.0 + 1);
        assert!(leader.core.start().0 >= end, "{} of {end} is done", leader.core.start().0);
        let nothing = Since::default();
        let since = self.since.get(&leader.state_epoch).unwrap_or(&nothing);
        let begins = self.log_start.max(since.moved_to);
        for batch in self.batches_from(begins).iter().filter(|batch| !batch.aborted) {
            for offset in batch.first.0.max(begins)..=batch.last.0 {
                let is_there = delivered.contains(&offset) || since.may_be_done.contains(&offset);
                assert!(is_there, "{offset} is lost");
            }
        }
    }

    fn quiesce(&mut self) {
        for _ in 0..1000 {
            self.settle();
            while self.coordinator.append(true) {}
            self.settle();
            match self.network.pop() {
                Some(message) => self.deliver(message),
                None => return,
            }
        }
        panic!("it never becomes quiet");
    }
}
