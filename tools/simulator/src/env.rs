//! What a simulated process sees of the world: clocks, its disk, chance, and the way out.

use naru_model::Timestamp;
use naru_replication::PartitionKey;

use crate::disk::NodeDisk;
use crate::judge::Judge;
use crate::message::{Actor, Failed, Lane, Request, Response, Rpc, Ticket};
use crate::random::Random;
use crate::settings::Settings;
use crate::trace::Trace;

/// The wall clock when a run begins, in milliseconds since 1970.
const WALL_START: i64 = 1_700_000_000_000;
/// The steady clock when a run begins: far from 0, which means never.
const STEADY_START: i64 = 1 << 40;

/// What happens at a node.
#[derive(Debug, Clone)]
pub(crate) enum NodeEvent {
    Request {
        ticket: Ticket,
        request: Box<Request>,
    },
    Response {
        rpc: Rpc,
        result: Result<Box<Response>, Failed>,
    },
    /// The metadata loop takes a turn.
    MetadataTurn,
    /// The sync at the end of its turn is done.
    MetadataSynced,
    /// The process of this voter is gone.
    PeerGone {
        id: i32,
    },
    /// The process behind this registration is gone.
    BrokerGone {
        id: i32,
        epoch: i64,
    },
    /// The broker reacts to published metadata.
    React,
    /// Registration or heartbeat is due.
    Registration {
        turn: u64,
    },
    /// A thread takes the partition out of the flusher's queue.
    Flush {
        key: PartitionKey,
        instance: u64,
    },
    /// A sync of the flusher is done.
    Flushed {
        plan: u64,
    },
    /// A fetcher looks what to do.
    Fetcher {
        source: i32,
    },
    /// A parked fetch has waited long enough.
    FetchExpired {
        parked: u64,
    },
    /// Something that a parked fetch waits for has come.
    FetchWoken {
        parked: u64,
    },
    /// A coordinator reads its partition.
    CoordinatorLoad {
        number: u64,
    },
    /// Something in a coordinator is due.
    CoordinatorTick {
        number: u64,
    },
    /// Markers are sent, or sent again.
    Markers {
        job: u64,
    },
    IsrTick,
    Chores,
    /// Stops cleanly, beginning with the leaders.
    Stop,
    /// Closes everything, however far the stop has come.
    StopNow,
}

/// What a process does to the world.
#[derive(Debug)]
pub(crate) enum Emit {
    Later {
        after: i64,
        event: NodeEvent,
    },
    Ask {
        to: Actor,
        lane: Lane,
        rpc: Rpc,
        request: Box<Request>,
        timeout: i64,
    },
    Answer {
        ticket: Ticket,
        response: Box<Response>,
    },
    HangUp {
        to: Actor,
        lane: Lane,
    },
    /// The process ends by itself.
    Exit {
        why: &'static str,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    pub(crate) now: i64,
    pub(crate) node: i32,
    /// How far the node's wall clock is off.
    pub(crate) skew: i64,
    pub(crate) disk: &'a NodeDisk,
    pub(crate) settings: &'a Settings,
    pub(crate) random: &'a mut Random,
    pub(crate) trace: &'a mut Trace,
    pub(crate) judge: &'a mut Judge,
    pub(crate) outbox: &'a mut Vec<Emit>,
    pub(crate) next_rpc: &'a mut Rpc,
}

impl Env<'_> {
    /// The clock that administrators set.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp(WALL_START + self.now + self.skew)
    }

    /// The clock that nobody sets.
    pub(crate) fn steady(&self) -> i64 {
        STEADY_START + self.now
    }

    /// Something happens at this node in a while.
    pub(crate) fn later(&mut self, after: i64, event: NodeEvent) {
        self.outbox.push(Emit::Later { after, event });
    }

    /// Sends a request; what comes of it is a [`NodeEvent::Response`].
    pub(crate) fn ask(&mut self, to: Actor, lane: Lane, request: Request, timeout: i64) -> Rpc {
        *self.next_rpc += 1;
        let rpc = *self.next_rpc;
        self.emit(Emit::Ask { to, lane, rpc, request: Box::new(request), timeout });
        rpc
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, ticket: Ticket, response: Response) {
        let response = Box::new(response);
        if ticket.connection.is_none() {
            self.later(0, NodeEvent::Response { rpc: ticket.rpc, result: Ok(response) });
        } else {
            self.emit(Emit::Answer { ticket, response });
        }
    }

    /// A number for a request that this node answers itself.
    pub(crate) fn own_rpc(&mut self) -> Rpc {
        *self.next_rpc += 1;
        *self.next_rpc
    }

    pub(crate) fn emit(&mut self, what: Emit) {
        if !self.disk.is_cut() {
            self.outbox.push(what);
        }
    }

    /// The judge, unless the power is gone already: then nothing happens any more.
    pub(crate) fn judge(&mut self) -> Option<&mut Judge> {
        if self.disk.is_cut() { None } else { Some(self.judge) }
    }
}
