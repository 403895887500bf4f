//! Random lives of a share partition: members, time, failing stores, crashes.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::{Offset, Timestamp};
use proptest::prelude::*;

use super::World;
use crate::{
    AckType, Acknowledged, AcquireMode, DeliveryState, Limits, SharePartition, StateBatch,
    StateWrite, Ticket,
};

const RECORDS: i64 = 60;

#[derive(Debug, Clone)]
enum Step {
    Acquire { member: usize, max: i64, strict: bool },
    Acknowledge { member: usize, at: usize, types: Vec<u8> },
    Release { member: usize },
    Pass { ms: i64 },
    BeginWrite,
    EndWrite { stored: bool },
    LogStart { to: i64 },
    Crash { stored: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let types = proptest::collection::vec(0_u8..5, 10);
    let step = prop_oneof![
        4 => (0..3_usize, 1..30_i64, any::<bool>())
            .prop_map(|(member, max, strict)| Step::Acquire { member, max, strict }),
        6 => (0..3_usize, 0..60_usize, types)
            .prop_map(|(member, at, types)| Step::Acknowledge { member, at, types }),
        1 => (0..3_usize).prop_map(|member| Step::Release { member }),
        2 => (1..20_000_i64).prop_map(|ms| Step::Pass { ms }),
        4 => Just(Step::BeginWrite),
        4 => any::<bool>().prop_map(|stored| Step::EndWrite { stored }),
        1 => (0..RECORDS).prop_map(|to| Step::LogStart { to }),
        1 => any::<bool>().prop_map(|stored| Step::Crash { stored }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What the share coordinator has.
#[derive(Debug, Default)]
struct Store {
    start: i64,
    states: BTreeMap<i64, (DeliveryState, u16)>,
}

impl Store {
    fn apply(&mut self, write: &StateWrite) {
        assert!(write.start.0 >= self.start, "the stored start went back");
        self.start = write.start.0;
        for batch in &write.batches {
            for offset in batch.first.0..=batch.last.0 {
                self.states.insert(offset, (batch.state, batch.deliveries));
            }
        }
    }

    fn load(&self) -> SharePartition {
        let batches: Vec<StateBatch> = self
            .states
            .range(self.start..)
            .map(|(offset, (state, deliveries))| StateBatch {
                first: Offset(*offset),
                last: Offset(*offset),
                state: *state,
                deliveries: *deliveries,
            })
            .collect();
        SharePartition::load(Offset(self.start), &batches)
    }
}

/// An offset whose acknowledgement is being stored, and who held it until when.
#[derive(Debug)]
struct Waiting {
    offset: i64,
    accepted: bool,
    hold: (usize, Timestamp),
}

struct Life {
    world: World,
    store: Store,
    under_way: Option<StateWrite>,
    waiting: BTreeMap<Ticket, Vec<Waiting>>,
    /// Acknowledged, and told so.
    acknowledged: BTreeSet<i64>,
    held: BTreeMap<i64, (usize, Timestamp)>,
    start: Offset,
}

const MEMBERS: [&str; 3] = ["a", "b", "c"];

impl Life {
    fn new() -> Self {
        let mut world = World::new(RECORDS / 10);
        world.limits = Limits { deliveries_max: 4, in_flight_max: 40, ..Limits::default() };
        Self {
            world,
            store: Store::default(),
            under_way: None,
            waiting: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            held: BTreeMap::new(),
            start: Offset(0),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Acquire { member, max, strict } => self.acquire(*member, *max, *strict),
            Step::Acknowledge { member, at, types } => self.acknowledge(*member, *at, types),
            Step::Release { member } => {
                self.world.partition.release_member(MEMBERS[*member], &self.world.limits);
                self.held.retain(|_, (holder, _)| holder != member);
            }
            Step::Pass { ms } => {
                self.world.now = Timestamp(self.world.now.0 + ms);
                self.world.partition.tick(self.world.now, &self.world.limits);
                let now = self.world.now;
                self.held.retain(|_, (_, until)| *until > now);
            }
            Step::BeginWrite => {
                if let Some(write) = self.world.partition.begin_write() {
                    assert!(self.under_way.is_none());
                    self.under_way = Some(write);
                }
            }
            Step::EndWrite { stored } => self.end_write(*stored),
            Step::LogStart { to } => self.world.partition.move_log_start(Offset(*to)),
            Step::Crash { stored } => {
                if let Some(write) = self.under_way.take().filter(|_| *stored) {
                    self.store.apply(&write);
                }
                self.waiting.clear();
                self.held.clear();
                self.world.partition = self.store.load();
                self.start = Offset(0);
            }
        }
        self.world.partition.check_invariants();
        assert!(self.world.partition.start() >= self.start, "the start went back");
        self.start = self.world.partition.start();
    }

    fn acquire(&mut self, member: usize, max: i64, strict: bool) {
        let mode = if strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
        let until = Timestamp(self.world.now.0 + self.world.limits.lock_duration_ms);
        let acquired = self.world.acquire_as(MEMBERS[member], max, mode);
        let count: i64 = acquired.iter().map(|range| range.last.0 - range.first.0 + 1).sum();
        assert!(!strict || count <= max);
        for range in acquired {
            assert!(range.deliveries <= self.world.limits.deliveries_max);
            for offset in range.first.0..=range.last.0 {
                assert!(!self.acknowledged.contains(&offset), "{offset} delivered again");
                let before = self.held.insert(offset, (member, until));
                assert_eq!(before, None, "{offset} held by two");
            }
        }
    }

    fn acknowledge(&mut self, member: usize, at: usize, types: &[u8]) {
        let own = self.held.iter().filter(|(_, (holder, _))| *holder == member);
        let own: Vec<i64> = own.map(|(offset, _)| *offset).collect();
        let Some(first) = (!own.is_empty()).then(|| own[at % own.len()]) else { return };
        let run = own.iter().skip_while(|offset| **offset < first).enumerate();
        let len = run.take_while(|(at, offset)| **offset == first + *at as i64).count();
        let of = |id: &u8| AckType::from_id(i8::try_from(*id).expect("small")).expect("a type");
        let types: Vec<AckType> = types.iter().take(len).map(of).collect();
        let last = first + types.len() as i64 - 1;
        let done = self.world.acknowledge(MEMBERS[member], first, last, &types);
        let Ok(done) = done else { return };
        let mut waiting = Vec::new();
        for (offset, of) in (first..=last).zip(types) {
            let until = Timestamp(self.world.now.0 + self.world.limits.lock_duration_ms);
            if of == AckType::Renew {
                self.held.insert(offset, (member, until));
            } else if let Some(hold) = self.held.remove(&offset) {
                // Whether it is held still is known when it is stored or has failed.
                waiting.push(Waiting { offset, accepted: of == AckType::Accept, hold });
            }
        }
        match done {
            Acknowledged::AtOnce => {}
            Acknowledged::WhenStored(ticket) => {
                self.waiting.insert(ticket, waiting);
            }
        }
    }

    fn end_write(&mut self, stored: bool) {
        let Some(write) = self.under_way.take() else { return };
        if stored {
            self.store.apply(&write);
        }
        for ticket in self.world.partition.end_write(write.id, stored) {
            for waiting in self.waiting.remove(&ticket).expect("it waits once") {
                if !stored {
                    self.held.insert(waiting.offset, waiting.hold);
                } else if waiting.accepted {
                    self.acknowledged.insert(waiting.offset);
                }
            }
        }
        let start = self.world.partition.start().0;
        self.held.retain(|offset, _| *offset >= start);
        let now = self.world.now;
        self.world.partition.tick(now, &self.world.limits);
        self.held.retain(|_, (_, until)| *until > now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_held_twice_delivered_too_often_or_delivered_after_it_was_acknowledged(
        steps in steps()
    ) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
        }
    }
}
