//! The network: connections that keep their order, and break.
//!
//! What is sent over a link that is cut waits, as TCP sends it again and again; whoever waits too
//! long for an answer closes the connection. What was on its way then may still arrive, so a
//! request that is sent again can arrive twice, the first one last.

use std::collections::{BTreeMap, BTreeSet};

use crate::env::NodeEvent;
use crate::message::{Actor, FIRST_CLIENT, Failed, Lane, Request, Response, Rpc, Ticket};
use crate::trace::note;
use crate::world::{Happening, World};

/// Longest time that a request is under way after its connection was closed, for each look at it.
const LATE_MAX_MS: i64 = 3000;

#[derive(Debug, Clone)]
pub(crate) enum Packet {
    Request { rpc: Rpc, request: Box<Request> },
    Response { rpc: Rpc, response: Box<Response> },
}

#[derive(Debug)]
struct Connection {
    client: Actor,
    client_life: u32,
    server: i32,
    server_life: u32,
    lane: Lane,
    open: bool,
    /// What is on its way to the server arrives although the connection is closed.
    late: bool,
    /// When the last packet arrives, to the server and to the client.
    last: [i64; 2],
    stalled: [Vec<Packet>; 2],
    pending: BTreeSet<Rpc>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Network {
    connections: BTreeMap<u64, Connection>,
    /// The open connection of each client, server and lane.
    current: BTreeMap<(Actor, Actor, Lane), u64>,
    last_number: u64,
    /// Links that carry nothing, by direction.
    pub(crate) cut: BTreeSet<(Actor, Actor)>,
    /// Of the network on top, for a while.
    pub(crate) slow_ms: i64,
}

impl Network {
    /// Who receives what goes in this direction.
    pub(crate) fn receiver(&self, connection: u64, to_server: bool) -> Option<Actor> {
        let connection = self.connections.get(&connection)?;
        Some(if to_server { connection.server } else { connection.client })
    }

    fn is_cut(&self, from: Actor, to: Actor) -> bool {
        self.cut.contains(&(from, to))
    }
}

impl World {
    fn delay(&mut self) -> i64 {
        let most = self.settings.delay_max_ms + self.network.slow_ms;
        let slow = !self.calm && self.random.between(0, 199) == 0;
        self.random.between(0, if slow { most * 50 } else { most })
    }

    fn life_of(&self, actor: Actor) -> u32 {
        self.nodes.get(&actor).map_or(0, |node| node.life)
    }

    /// Sends a request, over the connection that is there or a new one.
    #[expect(clippy::too_many_arguments, reason = "everything about one request")]
    pub(crate) fn send(
        &mut self,
        from: Actor,
        life: u32,
        to: i32,
        lane: Lane,
        rpc: Rpc,
        request: Box<Request>,
        timeout: i64,
    ) {
        let deadline = Happening::TimedOut { actor: from, life, rpc };
        self.after(timeout, deadline);
        let known = self.network.current.get(&(from, to, lane)).copied();
        let number = match known {
            Some(number) => number,
            None => {
                let Some(server) = self.nodes.get(&to) else { return };
                let (running, powered, server_life) =
                    (server.process.is_some(), server.powered, server.life);
                let open = !self.network.is_cut(from, to) && !self.network.is_cut(to, from);
                if !open || !powered {
                    // Nobody answers: the request times out.
                    return;
                }
                if !running {
                    let wait = self.delay();
                    let failed = Failed::Refused;
                    self.after(wait, Happening::Unanswered { actor: from, life, rpc, failed });
                    if matches!(lane, Lane::Raft | Lane::RaftFetch) {
                        let event = NodeEvent::PeerGone { id: to };
                        self.after(wait, Happening::Node { id: from, life, event });
                    }
                    return;
                }
                self.network.last_number += 1;
                let number = self.network.last_number;
                let connection = Connection {
                    client: from,
                    client_life: life,
                    server: to,
                    server_life,
                    lane,
                    open: true,
                    late: false,
                    last: [self.now; 2],
                    stalled: [Vec::new(), Vec::new()],
                    pending: BTreeSet::new(),
                };
                self.network.connections.insert(number, connection);
                self.network.current.insert((from, to, lane), number);
                number
            }
        };
        if let Some(connection) = self.network.connections.get_mut(&number) {
            connection.pending.insert(rpc);
        }
        self.transmit(number, true, Packet::Request { rpc, request });
    }

    /// Answers a request, if its connection is there still.
    pub(crate) fn respond(&mut self, ticket: Ticket, response: Box<Response>) {
        let Some(number) = ticket.connection else { return };
        let open = self.network.connections.get(&number).is_some_and(|known| known.open);
        if open {
            self.transmit(number, false, Packet::Response { rpc: ticket.rpc, response });
        }
    }

    /// Puts a packet on its way, behind those before it.
    fn transmit(&mut self, number: u64, to_server: bool, packet: Packet) {
        let delay = self.delay();
        let Some(connection) = self.network.connections.get_mut(&number) else { return };
        let direction = usize::from(!to_server);
        let at = (self.now + delay).max(connection.last[direction]);
        connection.last[direction] = at;
        let wait = at - self.now;
        self.after(wait, Happening::Arrive { connection: number, to_server, packet });
    }

    pub(crate) fn arrive(&mut self, number: u64, to_server: bool, packet: Packet) {
        let Some(connection) = self.network.connections.get_mut(&number) else { return };
        let (client, server) = (connection.client, connection.server);
        let (from, to) = if to_server { (client, server) } else { (server, client) };
        let direction = usize::from(!to_server);
        if connection.open
            && (self.network.cut.contains(&(from, to)) || !connection.stalled[direction].is_empty())
        {
            return connection.stalled[direction].push(packet);
        }
        if self.network.cut.contains(&(from, to)) || !(connection.open || connection.late) {
            return;
        }
        if !connection.open && to_server && self.random.percent(30) {
            // What a closed connection still delivers may take its time.
            let wait = self.random.between(1, LATE_MAX_MS);
            return self.after(wait, Happening::Arrive { connection: number, to_server, packet });
        }
        let (client_life, server_life) = (connection.client_life, connection.server_life);
        let late = !connection.open;
        match packet {
            Packet::Request { rpc, request } => {
                if self.lives(server, server_life) {
                    if late {
                        self.judge.transactions.comes_late(&request);
                    }
                    let ticket = Ticket { connection: Some(number), rpc };
                    let event = NodeEvent::Request { ticket, request };
                    self.at_node(server, server_life, event);
                } else if self.nodes.get(&server).is_some_and(|node| node.powered) {
                    // Another process, or none: the machine says that it knows no such connection.
                    self.end_connection(number, Failed::Broken);
                }
            }
            Packet::Response { rpc, response } => {
                if !connection.open || !connection.pending.remove(&rpc) {
                    return;
                }
                if client >= FIRST_CLIENT {
                    self.client_answered(client, rpc, Ok(response));
                } else {
                    let event = NodeEvent::Response { rpc, result: Ok(response) };
                    self.at_node(client, client_life, event);
                }
            }
        }
    }

    /// An answer will not come.
    pub(crate) fn unanswered(&mut self, actor: Actor, life: u32, rpc: Rpc, failed: Failed) {
        if actor >= FIRST_CLIENT {
            self.client_answered(actor, rpc, Err(failed));
        } else {
            self.at_node(actor, life, NodeEvent::Response { rpc, result: Err(failed) });
        }
    }

    /// A request has waited long enough: whoever sent it closes the connection.
    pub(crate) fn timed_out(&mut self, actor: Actor, life: u32, rpc: Rpc) {
        let number = self
            .network
            .connections
            .iter()
            .find(|(_, c)| c.client == actor && c.client_life == life && c.pending.contains(&rpc))
            .map(|(number, _)| *number);
        match number {
            Some(number) => self.end_connection(number, Failed::TimedOut),
            // It never had a connection, or was answered: then nobody waits for it.
            None => self.unanswered(actor, life, rpc, Failed::TimedOut),
        }
    }

    /// Closes the connection of a lane.
    pub(crate) fn hang_up(&mut self, from: Actor, to: Actor, lane: Lane) {
        if let Some(number) = self.network.current.get(&(from, to, lane)).copied() {
            self.end_connection(number, Failed::Broken);
        }
    }

    /// Ends a connection; its client hears that nothing more is answered.
    fn end_connection(&mut self, number: u64, failed: Failed) {
        let late = self.random.percent(50);
        let Some(connection) = self.network.connections.get_mut(&number) else { return };
        connection.open = false;
        connection.late = late;
        let place = (connection.client, connection.server, connection.lane);
        let (actor, life) = (connection.client, connection.client_life);
        let (server, server_life, lane) =
            (connection.server, connection.server_life, connection.lane);
        let pending = std::mem::take(&mut connection.pending);
        connection.stalled = [Vec::new(), Vec::new()];
        if self.network.current.get(&place) == Some(&number) {
            self.network.current.remove(&place);
        }
        for rpc in pending {
            self.after(0, Happening::Unanswered { actor, life, rpc, failed });
        }
        if actor < FIRST_CLIENT && matches!(lane, Lane::Raft | Lane::RaftFetch) {
            let look = self.random.between(0, 20);
            self.after(
                look,
                Happening::Probe {
                    by: actor,
                    life,
                    of: server,
                    of_life: server_life,
                    broker_epoch: None,
                },
            );
        }
    }

    /// The connections of a process end with it. A machine without power tells nobody.
    pub(crate) fn connections_end(&mut self, id: i32, told: bool) {
        let of = |connection: &Connection| connection.client == id || connection.server == id;
        let numbers: Vec<u64> = self
            .network
            .connections
            .iter()
            .filter(|(_, connection)| connection.open && of(connection))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            let Some(connection) = self.network.connections.get(&number) else { continue };
            let (client, server, lane) = (connection.client, connection.server, connection.lane);
            let other = if client == id { server } else { client };
            let heard = told && !self.network.is_cut(id, other);
            if client == id {
                let of_life = connection.client_life;
                let lifecycle = lane == Lane::Lifecycle;
                self.end_connection(number, Failed::Broken);
                if heard && lifecycle {
                    // The controller looks whether the broker is gone.
                    let life = self.life_of(server);
                    let node = self.nodes.get(&server).and_then(|node| node.process.as_ref());
                    let epoch = node
                        .and_then(|process| process.metadata.image.broker(id))
                        .map(|broker| broker.epoch);
                    let look = self.random.between(1, 30);
                    let what =
                        Happening::Probe { by: server, life, of: id, of_life, broker_epoch: epoch };
                    self.after(look, what);
                }
            } else if heard {
                self.end_connection(number, Failed::Broken);
            }
        }
        // What is closed and has nothing on its way is forgotten in time.
        let now = self.now;
        self.network.connections.retain(|_, c| c.open || c.last[0].max(c.last[1]) + 60_000 > now);
    }

    /// Looks whether a process is there: a refused connection says that it is gone.
    pub(crate) fn probe(&mut self, by: i32, life: u32, of: i32, of_life: u32, epoch: Option<i64>) {
        let Some(node) = self.nodes.get(&of) else { return };
        let refused = node.powered && node.process.is_none();
        let reachable = !self.network.is_cut(by, of) && !self.network.is_cut(of, by);
        // Another process that has started meanwhile accepts.
        if refused && reachable && node.life == of_life {
            let event = match epoch {
                Some(epoch) => NodeEvent::BrokerGone { id: of, epoch },
                None => NodeEvent::PeerGone { id: of },
            };
            note!(self, "n{by} finds that n{of} is gone");
            self.at_node(by, life, event);
        }
    }

    /// Links carry again: what waited goes on its way.
    pub(crate) fn mend_links(&mut self) {
        self.network.cut.clear();
        self.network.slow_ms = 0;
        let numbers: Vec<u64> = self.network.connections.keys().copied().collect();
        for number in numbers {
            for to_server in [true, false] {
                let direction = usize::from(!to_server);
                let Some(connection) = self.network.connections.get_mut(&number) else { continue };
                for packet in std::mem::take(&mut connection.stalled[direction]) {
                    self.transmit(number, to_server, packet);
                }
            }
        }
    }
}
