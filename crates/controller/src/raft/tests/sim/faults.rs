//! What goes wrong, and what administrators do meanwhile.

use naru_protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;

use super::disk::Snapshot;
use super::world::{Happening, World, directory, endpoint};
use crate::raft::{Event, KraftVersion, LogView, RaftRequest, SnapshotId};

impl World {
    fn any_node(&mut self) -> i32 {
        let last = i64::try_from(self.nodes.len()).unwrap();
        i32::try_from(self.random.between(1, last)).unwrap()
    }

    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let node = match self.leader() {
            Some(leader) if self.random.between(0, 2) == 0 => leader,
            _ => self.any_node(),
        };
        match self.random.between(0, 11) {
            0..=2 => self.crash(node),
            3 => {
                for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                    if self.random.between(0, 1) == 0 {
                        self.crash(id);
                    }
                }
            }
            4 | 5 => {
                let one_way = self.random.between(0, 1) == 0;
                for other in self.nodes.keys().copied().filter(|id| *id != node) {
                    self.blocked.insert((node, other));
                    if !one_way {
                        self.blocked.insert((other, node));
                    }
                }
            }
            6 => {
                let other = self.any_node();
                self.blocked.insert((node, other));
            }
            7 => {
                let failing = &mut self.nodes.get_mut(&node).unwrap().failing;
                *failing = !*failing;
            }
            8 => {
                // A clean stop.
                self.feed(node, Event::Resign);
                self.crash(node);
            }
            9 => {
                // Stopped for a while, as by SIGSTOP: what comes meanwhile is handled later.
                let pause = self.random.between(100, 4000);
                self.nodes.get_mut(&node).unwrap().paused_until = self.now + pause;
            }
            10 => {
                // Told that a node is dead that is not.
                let other = self.any_node();
                if other != node {
                    self.feed(node, Event::PeerGone { id: other });
                }
            }
            _ => {}
        }
        let heal = self.random.between(100, 3500);
        self.after(heal, Happening::Heal);
        let next = self.random.between(20, 1200);
        self.after(next, Happening::Fault);
    }

    /// The process dies, and stays dead; the others notice.
    pub(super) fn kill(&mut self, id: i32) {
        self.crash_for(id, 1_000_000);
    }

    fn crash(&mut self, id: i32) {
        let down = self.random.between(0, 3000);
        self.crash_for(id, down);
    }

    pub(super) fn crash_for(&mut self, id: i32, down: i64) {
        let kept = self.random.between(0, 5);
        let node = self.nodes.get_mut(&id).unwrap();
        if node.core.take().is_none() {
            return;
        }
        node.disk.crash(kept);
        node.tokens.clear();
        node.asked.clear();
        node.tick_at = None;
        self.after(down, Happening::Restart { node: id });
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            if other != id && (self.calm || self.random.between(0, 9) < 7) && down > 30 {
                let life = self.nodes[&other].life;
                let wait = self.random.between(0, 20);
                let event = Event::PeerGone { id };
                self.after(wait, Happening::Node { node: other, life, event });
            }
        }
    }

    /// An administrator adds or removes a voter, or tries to.
    pub(super) fn change_voters(&mut self) {
        if self.calm {
            return;
        }
        if let Some(leader) = self.leader() {
            self.upgrade(leader);
            let core = self.nodes[&leader].core.as_ref().unwrap();
            let voters: Vec<i32> = core.voters().iter().map(|voter| voter.id).collect();
            let id = self.any_node();
            let request = if voters.contains(&id) {
                RaftRequest::RemoveRaftVoter(remove(id))
            } else {
                RaftRequest::AddRaftVoter(add(id, self.random.between(0, 1) == 0))
            };
            self.ask(leader, &request);
        }
        let next = self.random.between(50, 1500);
        self.after(next, Happening::Change);
    }

    /// A static quorum becomes dynamic, if all voters have said what they are.
    pub(super) fn upgrade(&mut self, leader: i32) {
        let node = self.nodes.get_mut(&leader).unwrap();
        let (disk, core) = (&node.disk, node.core.as_mut().unwrap());
        if core.kraft_version() == KraftVersion::Dynamic {
            return;
        }
        let mut effects = Vec::new();
        if core.upgrade_kraft_version(self.now, disk, &mut effects).is_ok() {
            self.upgraded += 1;
        }
        self.execute(leader, effects);
    }

    /// A node makes a snapshot of what it has committed, and mostly trims its log.
    pub(super) fn take_snapshot(&mut self) {
        let id = self.any_node();
        self.snapshot_of(id);
        if !self.calm {
            let next = self.random.between(50, 1500);
            self.after(next, Happening::Snapshot);
        }
    }

    pub(in crate::raft) fn snapshot_of(&mut self, id: i32) {
        let end = self.nodes[&id].high_watermark;
        let node = &self.nodes[&id];
        if node.core.is_none() || end <= node.disk.start {
            return;
        }
        let epoch = node.disk.epoch_at(end - 1).unwrap();
        let control = self.control_at(end);
        let (version, voters) = self.nodes[&id].core.as_ref().unwrap().voters_at(end);
        assert_eq!(super::disk::control_of(version, voters), control, "voters of a snapshot");
        let trim = self.random.between(0, 3);
        let node = self.nodes.get_mut(&id).unwrap();
        let before = node.disk.snapshots.last().map(|snapshot| snapshot.id.end_offset);
        let snapshot = Snapshot { id: SnapshotId { end_offset: end, epoch }, control };
        if node.disk.snapshots.last().is_none_or(|last| last.id < snapshot.id) {
            node.disk.snapshots.push(snapshot);
        }
        // All that the snapshot has, or only what the one before it has.
        let to = if trim == 0 { before.unwrap_or(0) } else { end };
        if trim < 3 && to > node.disk.start {
            node.disk.trim_to(to);
        }
    }
}

pub(in crate::raft) fn add(id: i32, ack_when_committed: bool) -> AddRaftVoterRequest {
    let own = endpoint(id);
    AddRaftVoterRequest {
        cluster_id: Some("cluster".to_owned()),
        timeout_ms: 2000,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![Listener { name: own.name, host: own.host, port: own.port }],
        ack_when_committed,
    }
}

pub(in crate::raft) fn remove(id: i32) -> RemoveRaftVoterRequest {
    RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory(id) }
}
