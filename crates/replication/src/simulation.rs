//! Three replicas over model logs, on random schedules of crashes that lose what was not synced,
//! elections, late metadata, lost ISR changes and fetches.
//!
//! Checked after each step: what any leader has committed is never lost or changed, logs agree up
//! to the high watermark, a leader's high watermark does not move back in its epoch. Afterwards
//! everything must converge.

use std::collections::BTreeMap;

use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset};
use proptest::prelude::*;

use super::*;

const BROKERS: usize = 3;
const LAG: i64 = 100;

/// One record: the epoch it was appended in and what makes it unique.
type Entry = (i32, u32);

#[derive(Debug, Clone)]
struct Node {
    replica: Replica,
    log: Vec<Entry>,
    synced: usize,
    /// The metadata it has.
    version: usize,
    up: bool,
    proposals: Vec<IsrProposal>,
    /// As checkpointed.
    mark: i64,
}

#[derive(Debug, Clone)]
struct World {
    nodes: Vec<Node>,
    registered: Registered,
    /// Every state the controller has committed.
    history: Vec<PartitionState>,
    committed: Vec<Entry>,
    /// High watermark of the leader of each epoch.
    marks: BTreeMap<i32, i64>,
    now: i64,
    next: u32,
    min_isr: usize,
}

#[derive(Debug, Clone)]
struct Registered([BrokerState; BROKERS]);

impl Brokers for Registered {
    fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        self.0.get(at(id)).copied()
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Produce(usize),
    Sync(usize),
    Fetch(usize),
    Learn(usize),
    Crash(usize),
    Restart(usize),
    Fence(usize),
    Answer(usize, bool),
    Wait,
}

fn at(id: BrokerId) -> usize {
    usize::try_from(id.0).unwrap()
}

fn id(at: usize) -> BrokerId {
    BrokerId(i32::try_from(at).unwrap())
}

fn offset(at: usize) -> Offset {
    Offset(i64::try_from(at).unwrap())
}

fn settings(min_insync_replicas: usize) -> ReplicaSettings {
    ReplicaSettings { lag_time_max_ms: LAG, min_insync_replicas }
}

impl World {
    fn new(min_isr: usize) -> Self {
        let all: Vec<BrokerId> = (0..BROKERS).map(id).collect();
        let first = PartitionState {
            leader: Some(id(0)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: all.clone(),
            isr: all,
            lost: Vec::new(),
        };
        let node = |at: usize| Node {
            replica: Replica::new(id(at), settings(min_isr), Offset(0)),
            log: Vec::new(),
            synced: 0,
            version: 0,
            up: true,
            proposals: Vec::new(),
            mark: 0,
        };
        let state = BrokerState { epoch: BrokerEpoch(0), active: true };
        let mut world = Self {
            nodes: (0..BROKERS).map(node).collect(),
            registered: Registered([state; BROKERS]),
            history: vec![first],
            committed: Vec::new(),
            marks: BTreeMap::new(),
            now: 1_000_000,
            next: 0,
            min_isr,
        };
        (0..BROKERS).for_each(|at| world.tell_metadata(at));
        world
    }

    fn state(&self) -> &PartitionState {
        self.history.last().unwrap()
    }

    fn event(&mut self, at: usize, event: Event<'_>) {
        let node = &mut self.nodes[at];
        let ends =
            LogEnds { start: Offset(0), end: offset(node.log.len()), stored: offset(node.synced) };
        let mut effects = Vec::new();
        node.replica.step(self.now, &ends, &self.registered, event, &mut effects);
        for effect in effects {
            if let Effect::ProposeIsr(proposal) = effect {
                node.proposals.push(proposal);
            }
        }
        self.check(at);
    }

    fn tell_metadata(&mut self, at: usize) {
        let state = self.history[self.nodes[at].version].clone();
        self.event(at, Event::Metadata(&state));
    }

    fn check(&mut self, at: usize) {
        let node = &self.nodes[at];
        let mark = usize::try_from(node.replica.high_watermark().0).unwrap();
        assert!(mark <= node.log.len(), "the high watermark is beyond the end");
        for (place, entry) in node.log[..mark].iter().enumerate() {
            match self.committed.get(place) {
                Some(known) => assert_eq!(known, entry, "readers saw other records at {place}"),
                None => self.committed.push(*entry),
            }
        }
        if node.replica.is_leader() {
            let known = self.marks.entry(node.replica.epoch().0).or_default();
            let mark = node.replica.high_watermark().0;
            assert!(*known <= mark, "the high watermark moved back in its epoch");
            *known = mark;
        }
        let state = self.state();
        assert!(state.isr.iter().all(|id| state.replicas.contains(id)));
        if node.replica.is_leader() && node.replica.epoch() == state.leader_epoch {
            assert!(node.log.len() >= self.committed.len(), "a leader without committed records");
            assert_eq!(node.log[..self.committed.len()], self.committed[..]);
        }
    }

    /// The controller changes leader and ISR so that a broker is not needed any more.
    fn leave(&mut self, gone: usize) {
        let mut next = self.state().clone();
        let others: Vec<BrokerId> =
            next.isr.iter().copied().filter(|other| *other != id(gone)).collect();
        let was_leader = next.leader == Some(id(gone));
        if !others.is_empty() {
            next.isr = others;
        }
        if was_leader {
            // Who joined last leads first: what joined too early shows.
            next.leader = next.isr.iter().rev().copied().find(|one| self.is_active(*one));
            next.leader_epoch = LeaderEpoch(next.leader_epoch.0 + 1);
        }
        next.partition_epoch += 1;
        self.history.push(next);
    }

    fn is_active(&self, id: BrokerId) -> bool {
        self.registered.0[at(id)].active
    }

    fn elect_if_needed(&mut self) {
        let state = self.state();
        let leader = state.isr.iter().rev().copied().find(|one| self.is_active(*one));
        if state.leader.is_none() && leader.is_some() {
            let mut next = state.clone();
            next.leader = leader;
            next.leader_epoch = LeaderEpoch(next.leader_epoch.0 + 1);
            next.partition_epoch += 1;
            self.history.push(next);
        }
    }

    fn decide(&mut self, proposal: &IsrProposal, from: usize) -> Result<PartitionState, ErrorCode> {
        let state = self.state();
        if proposal.leader_epoch != state.leader_epoch || state.leader != Some(id(from)) {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if proposal.partition_epoch != state.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        for (member, epoch) in &proposal.isr {
            let known = self.registered.0[at(*member)];
            if !known.active || epoch.is_some_and(|epoch| epoch != known.epoch) {
                return Err(ErrorCode::IneligibleReplica);
            }
        }
        let mut next = state.clone();
        next.isr = proposal.isr.iter().map(|(member, _)| *member).collect();
        next.partition_epoch += 1;
        self.history.push(next.clone());
        Ok(next)
    }

    fn fetch(&mut self, follower: usize) {
        let Some(leader) = self.nodes[follower].replica.leader().map(at) else { return };
        let (from, to) = (&self.nodes[leader], &self.nodes[follower]);
        let same_epoch = from.replica.epoch() == to.replica.epoch();
        if leader == follower || !from.up || !from.replica.is_leader() || !same_epoch {
            return;
        }
        // A follower fetches on only from what it has stored.
        if to.synced < to.log.len() {
            return;
        }
        let here = to.log.len();
        if let Some(last) = to.log.last().map(|entry| entry.0) {
            let (epoch, end) = epoch_end(&from.log, last, from.replica.epoch().0);
            if epoch < last || end < here {
                let known = known_end(&to.log, epoch);
                let leader = Divergence { epoch: LeaderEpoch(epoch), end: offset(end) };
                let cut = usize::try_from(truncation(leader, known, offset(here)).0).unwrap();
                assert!(cut < here, "truncation makes progress");
                let node = &mut self.nodes[follower];
                node.log.truncate(cut);
                node.synced = node.synced.min(cut);
                self.event(follower, Event::Truncated);
                return;
            }
        }
        assert!(here <= from.log.len());
        let leader_end = from.log.len();
        let records: Vec<Entry> = from.log[here..leader_end.min(here + 3)].to_vec();
        let fetch = FollowerFetch {
            replica: id(follower),
            broker_epoch: Some(self.registered.0[follower].epoch),
            offset: offset(here),
            log_start: Offset(0),
            leader_end: offset(leader_end),
        };
        self.event(leader, Event::FollowerFetched(fetch));
        let told = self.nodes[leader].replica.high_watermark();
        self.nodes[follower].log.extend(records);
        self.event(follower, Event::LeaderHighWatermark(told));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Produce(at) => {
                let node = &mut self.nodes[at];
                if node.up && node.replica.is_leader() {
                    node.log.push((node.replica.epoch().0, self.next));
                    self.next += 1;
                    self.event(at, Event::LogMoved);
                }
            }
            Step::Sync(at) if self.nodes[at].up => {
                self.nodes[at].synced = self.nodes[at].log.len();
                self.event(at, Event::LogMoved);
            }
            Step::Fetch(at) if self.nodes[at].up => self.fetch(at),
            Step::Learn(at) if self.nodes[at].up => {
                let next = (self.nodes[at].version + 1).min(self.history.len() - 1);
                self.nodes[at].version = next;
                self.tell_metadata(at);
            }
            Step::Crash(at) if self.nodes[at].up => {
                let node = &mut self.nodes[at];
                node.up = false;
                node.log.truncate(node.synced);
                node.mark = node.replica.high_watermark().0.min(node.mark + 2);
                node.proposals.clear();
            }
            Step::Restart(at) if !self.nodes[at].up => self.restart(at),
            Step::Fence(at) if !self.nodes[at].up && self.registered.0[at].active => {
                self.registered.0[at].active = false;
                self.leave(at);
            }
            Step::Answer(at, arrives) if !self.nodes[at].proposals.is_empty() => {
                let proposal = self.nodes[at].proposals.remove(0);
                let decided = self.decide(&proposal, at);
                let answer = match &decided {
                    Ok(state) if arrives => IsrAnswer::Committed {
                        leader_epoch: state.leader_epoch,
                        partition_epoch: state.partition_epoch,
                        isr: &state.isr,
                    },
                    Err(error) if arrives => IsrAnswer::Refused(*error),
                    _ => IsrAnswer::Refused(ErrorCode::NetworkException),
                };
                self.event(at, Event::IsrAnswered { proposal: proposal.number, answer });
            }
            Step::Wait => {
                self.now += LAG / 3;
                for at in 0..BROKERS {
                    if self.nodes[at].up {
                        self.event(at, Event::Tick);
                    }
                }
            }
            _ => {}
        }
    }

    /// A new process registers, which takes the old one out, and learns all metadata before it
    /// leads or follows.
    fn restart(&mut self, at: usize) {
        self.registered.0[at].active = false;
        self.leave(at);
        self.registered.0[at].epoch.0 += 1;
        self.registered.0[at].active = true;
        self.elect_if_needed();
        let node = &mut self.nodes[at];
        node.up = true;
        node.synced = node.log.len();
        let mark = Offset(node.mark.min(i64::try_from(node.log.len()).unwrap()));
        node.replica = Replica::new(id(at), settings(self.min_isr), mark);
        node.version = self.history.len() - 1;
        self.tell_metadata(at);
    }
}

/// What a leader in `current` answers of where `epoch` ended.
fn epoch_end(log: &[Entry], epoch: i32, current: i32) -> (i32, usize) {
    if epoch == current {
        return (epoch, log.len());
    }
    let end = log.iter().position(|entry| entry.0 > epoch).unwrap_or(log.len());
    let found = log[..end].last().map_or(epoch, |entry| entry.0);
    (found, end)
}

/// What a follower's own log knows of an epoch.
fn known_end(log: &[Entry], epoch: i32) -> Option<Divergence> {
    let end = log.iter().position(|entry| entry.0 > epoch)?;
    let found = log[..end].last().map_or(epoch, |entry| entry.0);
    Some(Divergence { epoch: LeaderEpoch(found), end: offset(end) })
}

fn any_step() -> impl Strategy<Value = Step> {
    let node = 0..BROKERS;
    prop_oneof![
        6 => node.clone().prop_map(Step::Produce),
        8 => node.clone().prop_map(Step::Sync),
        10 => node.clone().prop_map(Step::Fetch),
        6 => node.clone().prop_map(Step::Learn),
        1 => node.clone().prop_map(Step::Crash),
        2 => node.clone().prop_map(Step::Restart),
        2 => node.clone().prop_map(Step::Fence),
        4 => (node, any::<bool>()).prop_map(|(node, arrives)| Step::Answer(node, arrives)),
        2 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn committed_is_never_lost_and_everything_converges(
        min_isr in 1usize..3,
        steps in prop::collection::vec(any_step(), 1..400),
    ) {
        let mut world = World::new(min_isr);
        for step in steps {
            world.step(step);
        }
        // Calm: everybody is up, hears everything and fetches.
        for at in 0..BROKERS {
            world.step(Step::Restart(at));
        }
        for _ in 0..400 {
            for at in 0..BROKERS {
                for step in [Step::Learn(at), Step::Sync(at), Step::Fetch(at), Step::Answer(at, true)] {
                    world.step(step);
                }
            }
            world.step(Step::Wait);
        }
        prop_assert_eq!(world.state().isr.len(), BROKERS, "all are in sync again");
        let leader = at(world.state().leader.unwrap());
        let log = world.nodes[leader].log.clone();
        for node in &world.nodes {
            prop_assert_eq!(&node.log, &log);
            prop_assert_eq!(node.replica.high_watermark(), offset(log.len()));
        }
    }
}
