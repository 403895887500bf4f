//! Clock, network and nodes.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;

use super::disk::{Disk, Entry};
use super::judge::Judge;
use crate::raft::random::Random;
use crate::raft::{
    Event, Quorum, QuorumStart, QuorumTimeouts, RaftRequest, RaftResponse, Voter, VoterEndpoint,
};

/// What kind of run it is.
#[derive(Debug, Clone)]
pub(in crate::raft) struct Settings {
    pub(in crate::raft) voters: i32,
    /// Nodes beyond the voters: controllers that may be added to a dynamic quorum.
    pub(in crate::raft) observers: i32,
    pub(in crate::raft) dynamic: bool,
    pub(in crate::raft) auto_join: bool,
    /// Of 1000 messages, so many are lost.
    pub(in crate::raft) loss: i64,
    pub(in crate::raft) delay_max_ms: i64,
    pub(in crate::raft) faults: bool,
    pub(in crate::raft) traced: bool,
}

impl Settings {
    pub(in crate::raft) fn calm(voters: i32) -> Self {
        Self {
            voters,
            observers: 0,
            dynamic: true,
            auto_join: false,
            loss: 0,
            delay_max_ms: 2,
            faults: false,
            traced: false,
        }
    }
}

#[derive(Debug)]
pub(in crate::raft) struct Node {
    pub(super) id: i32,
    pub(super) directory_id: Uuid,
    pub(super) disk: Disk,
    pub(in crate::raft) core: Option<Quorum>,
    /// Counts starts, so that nothing outlives a crash.
    pub(super) life: u32,
    pub(super) tick_at: Option<i64>,
    pub(super) high_watermark: i64,
    pub(super) tokens: BTreeMap<u64, (i32, u32, u64)>,
    pub(super) next_token: u64,
    /// Epoch and candidate of the votes asked for, by token.
    pub(super) asked: BTreeMap<u64, (i32, i32)>,
    pub(super) partial: Vec<u8>,
    pub(super) failing: bool,
    pub(super) paused_until: i64,
}

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Node {
        node: i32,
        life: u32,
        event: Event,
    },
    Tick {
        node: i32,
        life: u32,
    },
    Request {
        from: i32,
        from_life: u32,
        to: i32,
        id: u64,
        request: RaftRequest,
    },
    Append,
    Fault,
    Restart {
        node: i32,
    },
    /// A crash with a restart that nobody's timers notice.
    Flicker {
        node: i32,
    },
    Heal,
    Change,
    Snapshot,
}

#[derive(Debug)]
pub(in crate::raft) struct World {
    pub(in crate::raft) now: i64,
    pub(super) settings: Settings,
    pub(super) random: Random,
    pub(in crate::raft) nodes: BTreeMap<i32, Node>,
    queue: BTreeMap<(i64, u64), Happening>,
    sequence: u64,
    pub(super) blocked: BTreeSet<(i32, i32)>,
    pub(super) judge: Judge,
    pub(super) blobs: Vec<Vec<(i64, Entry)>>,
    pub(super) next_data: u64,
    pub(in crate::raft) answers: Vec<(u64, RaftResponse)>,
    pub(in crate::raft) trace: u64,
    pub(super) calm: bool,
    pub(in crate::raft) leaderships: u32,
    pub(in crate::raft) installed: u32,
    pub(in crate::raft) truncated: u32,
    pub(in crate::raft) upgraded: u32,
}

pub(super) fn voter(id: i32, directory_id: Uuid) -> Voter {
    Voter { id, directory_id, endpoints: vec![endpoint(id)] }
}

pub(super) fn endpoint(id: i32) -> VoterEndpoint {
    let port = u16::try_from(9000 + id).unwrap();
    VoterEndpoint { name: "CONTROLLER".to_owned(), host: "host".to_owned(), port }
}

pub(super) fn directory(id: i32) -> Uuid {
    Uuid(1000 + u128::from(id.unsigned_abs()))
}

impl World {
    pub(in crate::raft) fn new(seed: u64, settings: &Settings) -> Self {
        let mut world = Self {
            now: 1_000_000,
            settings: settings.clone(),
            random: Random::new(seed),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            blocked: BTreeSet::new(),
            judge: Judge::default(),
            blobs: Vec::new(),
            next_data: 0,
            answers: Vec::new(),
            trace: 0,
            calm: !settings.faults,
            leaderships: 0,
            installed: 0,
            truncated: 0,
            upgraded: 0,
        };
        let voters: Vec<Voter> = (1..=settings.voters).map(|id| voter(id, directory(id))).collect();
        for id in 1..=settings.voters + settings.observers {
            let first = settings.dynamic.then_some(voters.as_slice());
            // An added controller is formatted without voters.
            let disk = Disk::formatted(first.filter(|_| id <= settings.voters));
            let node = Node {
                id,
                directory_id: directory(id),
                disk,
                core: None,
                life: 0,
                tick_at: None,
                high_watermark: 0,
                tokens: BTreeMap::new(),
                next_token: 0,
                asked: BTreeMap::new(),
                partial: Vec::new(),
                failing: false,
                paused_until: 0,
            };
            world.nodes.insert(id, node);
            let late = world.random.between(0, 300);
            world.after(late, Happening::Restart { node: id });
        }
        world.after(10, Happening::Append);
        if settings.faults {
            world.after(500, Happening::Fault);
            world.after(900, Happening::Change);
            world.after(700, Happening::Snapshot);
        }
        world
    }

    pub(super) fn after(&mut self, ms: i64, what: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + ms, self.sequence), what);
    }

    pub(super) fn start_node(&mut self, id: i32) {
        let seed = self.random.next();
        let now_ms = self.now;
        let settings = self.settings.clone();
        let node = self.nodes.get_mut(&id).unwrap();
        if node.core.is_some() {
            return;
        }
        node.life += 1;
        node.high_watermark = 0;
        let fixed = (1..=settings.voters).map(|id| voter(id, Uuid::ZERO));
        let start = QuorumStart {
            node_id: id,
            directory_id: node.directory_id,
            cluster_id: "cluster".to_owned(),
            can_vote: true,
            listeners: vec![endpoint(id)],
            bootstrap: (1..=settings.voters)
                .map(|id| (endpoint(id).host, endpoint(id).port))
                .collect(),
            static_voters: if settings.dynamic { Vec::new() } else { fixed.collect() },
            state: node.disk.state,
            voter_log: node.disk.voter_log(),
            timeouts: QuorumTimeouts { fetch_max_bytes: 64, ..QuorumTimeouts::default() },
            auto_join: settings.auto_join,
            seed,
            now_ms,
        };
        let mut effects = Vec::new();
        let core = Quorum::start(start, &node.disk, &mut effects).unwrap();
        node.core = Some(core);
        self.execute(id, effects);
        self.plan_tick(id);
    }

    pub(super) fn feed(&mut self, id: i32, event: Event) {
        let now = self.now;
        if std::env::var("NARU_RAFT_TRACE").is_ok() {
            println!("{now} {id} <- {event:?}");
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(core) = &mut node.core else { return };
        let mut effects = Vec::new();
        core.step(now, &node.disk, event, &mut effects);
        core.check_invariants(&node.disk);
        self.execute(id, effects);
        self.plan_tick(id);
    }

    fn plan_tick(&mut self, id: i32) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(at) = node.core.as_ref().and_then(Quorum::next_deadline) else { return };
        if node.tick_at.is_none_or(|planned| planned <= now || at < planned) {
            node.tick_at = Some(at.max(now));
            let life = node.life;
            self.after((at - now).max(0), Happening::Tick { node: id, life });
        }
    }

    pub(in crate::raft) fn run_for(&mut self, ms: i64) {
        let until = self.now + ms;
        let mut at_once = 0;
        while let Some((&(at, sequence), _)) = self.queue.first_key_value() {
            if at > until {
                break;
            }
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 100_000, "no progress at {at}: {:?}", self.queue.first_key_value());
            self.now = at.max(self.now);
            let what = self.queue.remove(&(at, sequence)).unwrap();
            self.happen(what);
        }
        self.now = until;
    }

    fn alive(&self, id: i32, life: u32) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.core.is_some() && node.life == life)
    }

    fn happen(&mut self, what: Happening) {
        let at = match &what {
            Happening::Node { node, .. }
            | Happening::Tick { node, .. }
            | Happening::Request { to: node, .. } => Some(self.nodes[node].paused_until),
            _ => None,
        };
        if let Some(until) = at.filter(|until| *until > self.now) {
            return self.after(until - self.now, what);
        }
        match what {
            Happening::Node { node, life, event } => {
                if self.alive(node, life) {
                    self.node_event(node, event);
                }
            }
            Happening::Tick { node, life } => {
                if self.alive(node, life)
                    && self.nodes[&node].tick_at.is_some_and(|at| at <= self.now)
                {
                    self.nodes.get_mut(&node).unwrap().tick_at = None;
                    self.feed(node, Event::Tick);
                }
            }
            Happening::Request { from, from_life, to, id, request } => {
                self.deliver(from, from_life, to, id, request);
            }
            Happening::Append => {
                self.append_data();
                let pause = self.random.between(1, 100);
                self.after(pause, Happening::Append);
            }
            Happening::Restart { node } => self.start_node(node),
            Happening::Flicker { node } => {
                let down = self.random.between(0, 40);
                self.crash_for(node, down);
            }
            Happening::Fault => self.fault(),
            Happening::Heal => self.blocked.clear(),
            Happening::Change => self.change_voters(),
            Happening::Snapshot => self.take_snapshot(),
        }
    }

    pub(in crate::raft) fn leader(&self) -> Option<i32> {
        let leading =
            self.nodes.values().filter(|n| n.core.as_ref().is_some_and(Quorum::is_leader));
        leading.max_by_key(|node| node.core.as_ref().map(Quorum::epoch)).map(|node| node.id)
    }
}
