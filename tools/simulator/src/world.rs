//! Clock, queue, nodes and clients: the loop that lets one thing happen after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::{ClientEvent, Clients};
use crate::disk::NodeDisk;
use crate::env::{Emit, Env, NodeEvent};
use crate::group_clients::GroupClients;
use crate::judge::Judge;
use crate::message::Actor;
use crate::metadata;
use crate::network::{Network, Packet};
use crate::node::{Node, Process};
use crate::random::Random;
use crate::settings::Settings;
use crate::trace::{Trace, note};
use crate::txn_clients::TxnClients;

/// Happenings at one moment, beyond which a run does not get anywhere.
const AT_ONCE_MAX: u32 = 20_000;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Happening {
    Node {
        id: i32,
        life: u32,
        event: NodeEvent,
    },
    Arrive {
        connection: u64,
        to_server: bool,
        packet: Packet,
    },
    /// A request gets no answer, for this reason.
    Unanswered {
        actor: Actor,
        life: u32,
        rpc: u64,
        failed: crate::message::Failed,
    },
    TimedOut {
        actor: Actor,
        life: u32,
        rpc: u64,
    },
    /// Somebody has noticed that a connection ended, and looks whether the process is there.
    Probe {
        by: i32,
        life: u32,
        of: i32,
        of_life: u32,
        broker_epoch: Option<i64>,
    },
    Client(Actor, ClientEvent),
    Fault,
    Administrate,
    Heal(Heal),
    Restart {
        id: i32,
        life: u32,
    },
    /// The power goes while the node writes.
    Snap {
        id: i32,
        life: u32,
    },
}

/// What ends by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heal {
    Network,
    Space(i32),
    Disk(i32),
    Clock(i32),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) judge: Judge,
    pub(crate) nodes: BTreeMap<i32, Node>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) group_clients: GroupClients,
    pub(crate) txn_clients: TxnClients,
    pub(crate) calm: bool,
    queue: BTreeMap<(i64, u64), Happening>,
    sequence: u64,
    happened: u64,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let mut random = Random::new(settings.seed);
        let clients = Clients::new(&settings, &mut random);
        let mut world = Self {
            now: 0,
            random,
            trace: Trace::new(settings.keeps_lines),
            judge: Judge::new(),
            nodes: BTreeMap::new(),
            network: Network::default(),
            clients,
            group_clients: GroupClients::default(),
            txn_clients: TxnClients::new(),
            calm: false,
            queue: BTreeMap::new(),
            sequence: 0,
            happened: 0,
            settings,
        };
        let initial = metadata::first_voters(world.settings.voters)?;
        for id in 1..=world.settings.nodes {
            let disk = NodeDisk::new();
            let voter = world.settings.dynamic && id <= world.settings.voters;
            metadata::format(&disk, voter.then_some(initial.as_slice()))?;
            let skew = world.random.between(-500, 500);
            world.nodes.insert(
                id,
                Node {
                    id,
                    disk,
                    life: 0,
                    process: None,
                    powered: true,
                    skew,
                    paused_until: 0,
                    next_rpc: 0,
                    full: false,
                    broken: false,
                },
            );
            let late = world.random.between(0, 300);
            world.after(late, Happening::Restart { id, life: 0 });
        }
        for (actor, event) in world.clients.first_events() {
            world.after(500, Happening::Client(actor, event));
        }
        for actor in GroupClients::actors() {
            world.after(700, Happening::Client(actor, ClientEvent::Go));
        }
        for actor in world.txn_clients.actors() {
            world.after(900, Happening::Client(actor, ClientEvent::Go));
        }
        world.after(3000, Happening::Fault);
        world.after(1500, Happening::Administrate);
        Ok(world)
    }

    pub(crate) fn after(&mut self, ms: i64, what: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + ms.max(0), self.sequence), what);
    }

    /// How many things have happened.
    pub(crate) fn happened(&self) -> u64 {
        self.happened
    }

    /// Lets things happen until then, or until a promise is broken.
    pub(crate) fn run_until(&mut self, until: i64) {
        let mut at_once = 0;
        while let Some((&(at, sequence), _)) = self.queue.first_key_value() {
            if at > until || self.judge.violation.is_some() {
                break;
            }
            at_once = if at > self.now { 0 } else { at_once + 1 };
            self.now = at.max(self.now);
            self.judge.now = self.now;
            let Some(what) = self.queue.remove(&(at, sequence)) else { break };
            if at_once > AT_ONCE_MAX {
                self.judge.broken("time passes", format!("still {what:?}"));
                break;
            }
            self.happened += 1;
            self.happen(what);
        }
        self.now = until.max(self.now);
        self.judge.now = self.now;
    }

    fn happen(&mut self, what: Happening) {
        if let Some(until) = self.paused_until(&what) {
            // A stopped process handles later what comes meanwhile.
            let wait = until - self.now;
            return self.after(wait, what);
        }
        match what {
            Happening::Node { id, life, event } => self.at_node(id, life, event),
            Happening::Arrive { connection, to_server, packet } => {
                self.arrive(connection, to_server, packet);
            }
            Happening::Unanswered { actor, life, rpc, failed } => {
                self.unanswered(actor, life, rpc, failed);
            }
            Happening::TimedOut { actor, life, rpc } => self.timed_out(actor, life, rpc),
            Happening::Probe { by, life, of, of_life, broker_epoch } => {
                self.probe(by, life, of, of_life, broker_epoch);
            }
            Happening::Client(actor, event) => self.at_client(actor, event),
            Happening::Fault => self.fault(),
            Happening::Administrate => self.administrate(),
            Happening::Heal(heal) => self.heal(heal),
            Happening::Restart { id, life } => self.restart(id, life),
            Happening::Snap { id, life } => {
                let node = self.nodes.get_mut(&id);
                if let Some(node) = node.filter(|node| node.life == life && node.process.is_some())
                {
                    node.disk.cut_at(1);
                    self.after_node(id);
                }
            }
        }
    }

    fn paused_until(&self, what: &Happening) -> Option<i64> {
        let id = match what {
            Happening::Node { id, .. } => *id,
            Happening::Arrive { connection, to_server, .. } => {
                self.network.receiver(*connection, *to_server)?
            }
            Happening::Unanswered { actor, .. } | Happening::TimedOut { actor, .. } => *actor,
            Happening::Probe { by, .. } => *by,
            _ => return None,
        };
        self.nodes.get(&id).map(|node| node.paused_until).filter(|until| *until > self.now)
    }

    /// Whether this process lives.
    pub(crate) fn lives(&self, id: i32, life: u32) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.process.is_some() && node.life == life)
    }

    pub(crate) fn at_node(&mut self, id: i32, life: u32, event: NodeEvent) {
        if !self.lives(id, life) {
            return;
        }
        let result = self.with_process(id, |process, env| process.handle(env, event));
        if let Err(why) = result {
            self.exits(id, &why);
        }
        self.after_node(id);
    }

    /// Calls a process with what it sees of the world, and carries out what it does to it.
    fn with_process<T>(
        &mut self,
        id: i32,
        call: impl FnOnce(&mut Process, &mut Env<'_>) -> Result<T, String>,
    ) -> Result<(), String> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let Some(mut process) = node.process.take() else { return Ok(()) };
        let mut outbox = Vec::new();
        let result = {
            let mut env = env_of(
                node,
                self.now,
                &self.settings,
                &mut self.random,
                &mut self.trace,
                &mut self.judge,
                &mut outbox,
            );
            call(&mut process, &mut env).map(drop)
        };
        node.process = Some(process);
        let life = node.life;
        self.carry_out(id, life, outbox);
        result
    }

    fn carry_out(&mut self, id: i32, life: u32, outbox: Vec<Emit>) {
        for emit in outbox {
            match emit {
                Emit::Later { after, event } => {
                    self.after(after, Happening::Node { id, life, event });
                }
                Emit::Ask { to, lane, rpc, request, timeout } => {
                    self.send(id, life, to, lane, rpc, request, timeout);
                }
                Emit::Answer { ticket, response } => self.respond(ticket, response),
                Emit::HangUp { to, lane } => self.hang_up(id, to, lane),
                Emit::Exit { why } => {
                    if why == "closed" {
                        self.close(id);
                    } else {
                        self.exits(id, why);
                    }
                }
            }
        }
    }

    /// What may have to be done after something happened at a node.
    fn after_node(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.process.is_some() && node.disk.is_cut() {
            note!(self, "n{id} loses power in the middle of something");
            self.power_cut(id);
            return;
        }
        let Some(process) = &mut node.process else { return };
        let (life, probes) = (node.life, std::mem::take(&mut process.metadata.to_probe));
        for (broker, epoch) in probes {
            let of_life = self.nodes.get(&broker).map_or(0, |node| node.life);
            let what =
                Happening::Probe { by: id, life, of: broker, of_life, broker_epoch: Some(epoch) };
            self.after(2, what);
        }
    }

    /// Starts the process of a node.
    pub(crate) fn restart(&mut self, id: i32, life: u32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.process.is_some() || node.life != life {
            return;
        }
        node.powered = true;
        node.life += 1;
        node.paused_until = 0;
        let life = node.life;
        note!(self, "n{id} starts, life {life}");
        let mut outbox = Vec::new();
        let started = {
            let mut env = env_of(
                node,
                self.now,
                &self.settings,
                &mut self.random,
                &mut self.trace,
                &mut self.judge,
                &mut outbox,
            );
            Process::start(&mut env)
        };
        match started {
            Ok(process) => {
                node.process = Some(process);
                self.carry_out(id, life, outbox);
                self.after_node(id);
            }
            Err(why) => {
                let excused = node.full || node.broken || node.disk.is_cut();
                note!(self, "n{id} does not start: {why}");
                if excused {
                    let disk = node.disk.after_kill();
                    node.disk = disk;
                    if node.full {
                        node.disk.limit_room(0);
                    }
                    self.after(1000, Happening::Restart { id, life });
                } else {
                    let what = format!("node {id}: {why}");
                    self.judge.broken("a node can start again", what);
                }
            }
        }
    }

    /// A process that has stopped leaves everything closed.
    fn close(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(process) = node.process.take() else { return };
        let mut outbox = Vec::new();
        {
            let mut env = env_of(
                node,
                self.now,
                &self.settings,
                &mut self.random,
                &mut self.trace,
                &mut self.judge,
                &mut outbox,
            );
            process.close(&mut env);
        }
        note!(self, "n{id} has stopped");
        let (life, disk, full) = (node.life, node.disk.after_kill(), node.full);
        node.disk = disk;
        if full {
            node.disk.limit_room(0);
        }
        self.connections_end(id, true);
        let down = self.random.between(10, 2500);
        self.after(down, Happening::Restart { id, life });
    }

    /// A process ends because something cannot be done.
    pub(crate) fn exits(&mut self, id: i32, why: &str) {
        let Some(node) = self.nodes.get(&id) else { return };
        if node.process.is_none() || node.disk.is_cut() {
            return;
        }
        note!(self, "n{id} exits: {why}");
        let broken = node.broken;
        if !node.full && !broken {
            let what = format!("node {id}: {why}");
            self.judge.broken("a node goes on while its disk does", what);
        }
        self.kill(id);
        if broken && let Some(node) = self.nodes.get_mut(&id) {
            // What the kernel could not write it has dropped.
            node.disk = node.disk.after_power_cut(&mut self.random);
        }
    }

    /// `kill -9`: what was written is there still.
    pub(crate) fn kill(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.process.take().is_none() {
            return;
        }
        note!(self, "n{id} is killed");
        self.judge.met.crashes += 1;
        node.disk = node.disk.after_kill();
        if node.full {
            node.disk.limit_room(0);
        }
        let life = node.life;
        self.connections_end(id, true);
        let down = self.down_time();
        self.after(down, Happening::Restart { id, life });
    }

    /// The machine loses power: what was not synced may be gone.
    pub(crate) fn power_cut(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.process.take().is_none() {
            return;
        }
        note!(self, "n{id} has no power");
        self.judge.met.crashes += 1;
        node.disk = node.disk.after_power_cut(&mut self.random);
        if node.full {
            node.disk.limit_room(0);
        }
        node.powered = false;
        let life = node.life;
        self.connections_end(id, false);
        let down = self.down_time();
        self.after(down, Happening::Restart { id, life });
    }

    fn down_time(&mut self) -> i64 {
        match self.random.between(0, 3) {
            0 => self.random.between(0, 50),
            1 => self.random.between(0, 1000),
            _ => self.random.between(0, 6000),
        }
    }

    /// The connections from the node to others that were there, for the judge of convergence.
    pub(crate) fn running(&self) -> BTreeSet<i32> {
        let running = self.nodes.values().filter(|node| node.process.is_some());
        running.map(|node| node.id).collect()
    }
}

fn env_of<'a>(
    node: &'a mut Node,
    now: i64,
    settings: &'a Settings,
    random: &'a mut Random,
    trace: &'a mut Trace,
    judge: &'a mut Judge,
    outbox: &'a mut Vec<Emit>,
) -> Env<'a> {
    (judge.node, judge.life) = (node.id, node.life);
    Env {
        now,
        node: node.id,
        skew: node.skew,
        disk: &node.disk,
        settings,
        random,
        trace,
        judge,
        outbox,
        next_rpc: &mut node.next_rpc,
    }
}
