//! What goes wrong, and what administrators do meanwhile.

use naru_controller::raft::RaftRequest;
use naru_controller::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE, is_internal};
use naru_protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;

use crate::clients::ADMIN;
use crate::env::NodeEvent;
use crate::message::{ControllerRequest, FIRST_CLIENT, Request};
use crate::metadata::{CLUSTER, directory, endpoint};
use crate::trace::note;
use crate::world::{Happening, Heal, World};

impl World {
    fn any_node(&mut self) -> i32 {
        i32::try_from(self.random.between(1, i64::from(self.settings.nodes))).unwrap_or(1)
    }

    /// Often one that leads something.
    fn victim(&mut self) -> i32 {
        let leader = self.active_controller();
        match leader {
            Some(leader) if self.random.percent(30) => leader,
            _ => self.any_node(),
        }
    }

    /// The node that decides, as far as anybody can tell.
    pub(crate) fn active_controller(&self) -> Option<i32> {
        let active = self.nodes.values().filter(|node| {
            node.process.as_ref().is_some_and(|process| process.metadata.is_active())
        });
        let epoch = |node: &&crate::node::Node| {
            node.process.as_ref().map(|process| process.metadata.leadership.epoch)
        };
        active.max_by_key(epoch).map(|node| node.id)
    }

    pub(crate) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let id = self.victim();
        match self.random.between(0, 22) {
            0..=3 => self.crash(id),
            4 | 5 => {
                for id in 1..=self.settings.nodes {
                    if self.random.percent(60) {
                        self.crash(id);
                    }
                }
            }
            6 | 7 => self.isolate(id),
            8 => {
                let other = self.any_node();
                note!(self, "nothing goes from n{id} to n{other}");
                self.network.cut.insert((id, other));
            }
            9 => {
                for other in 1..=self.settings.nodes {
                    for third in 1..=self.settings.nodes {
                        if (other % 2 == 0) != (third % 2 == 0) {
                            self.network.cut.insert((other, third));
                        }
                    }
                }
                note!(self, "nothing goes between even and odd nodes");
            }
            10 => {
                self.network.slow_ms = self.random.between(10, 300);
                note!(self, "the network is slow by up to {} ms", self.network.slow_ms);
            }
            11 | 12 => {
                let until = self.now + self.random.between(100, 6000);
                note!(self, "n{id} is frozen until {until}");
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.paused_until = until;
                }
            }
            13 => self.jump_clock(id),
            14 | 15 => self.fill_disk(id),
            16 | 17 => {
                let life = self.nodes.get(&id).map_or(0, |node| node.life);
                self.after(0, Happening::Node { id, life, event: NodeEvent::Stop });
            }
            18 | 19 => {
                // The power goes while the node writes, soon.
                let steps = self.random.between(1, 60);
                if self.settings.fsync
                    && let Some(node) = self.nodes.get_mut(&id)
                    && node.process.is_some()
                {
                    note!(self, "n{id} loses power after {steps} more writes");
                    node.disk.cut_at(steps.unsigned_abs());
                }
            }
            21 if self.settings.fsync => {
                note!(self, "the disk of n{id} fails");
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.broken = true;
                    node.disk.fail_syncs();
                }
                let wait = self.random.between(200, 5000);
                self.after(wait, Happening::Heal(Heal::Disk(id)));
            }
            20 => {
                // Everybody is killed, and loses power soon after it is back: what nobody has
                // synced after the restart is gone.
                for id in 1..=self.settings.nodes {
                    self.kill(id);
                    let life = self.nodes.get(&id).map_or(0, |node| node.life);
                    let wait = self.random.between(0, 30);
                    self.after(wait, Happening::Restart { id, life });
                    let wait = wait + self.random.between(1, 1000);
                    if self.settings.fsync {
                        self.after(wait, Happening::Snap { id, life: life + 1 });
                    }
                }
            }
            _ => {
                // A crash and another one right after the restart.
                self.crash(id);
                let wait = self.random.between(1, 300);
                let life = self.nodes.get(&id).map_or(0, |node| node.life + 1);
                if self.settings.fsync {
                    self.after(wait, Happening::Snap { id, life });
                }
            }
        }
        let heal = self.random.between(100, 5000);
        self.after(heal, Happening::Heal(Heal::Network));
        let most = self.settings.fault_pause_max_ms;
        let next = self.random.between(10, most);
        self.after(next, Happening::Fault);
    }

    /// What a crash can be: with `os` durability a power cut may take what was acknowledged.
    fn crash(&mut self, id: i32) {
        if self.settings.fsync && self.random.percent(60) {
            self.power_cut(id);
        } else {
            self.kill(id);
        }
    }

    fn isolate(&mut self, id: i32) {
        let (to, from) = match self.random.between(0, 3) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let clients = self.random.percent(50);
        note!(self, "n{id} is cut off, out: {from}, in: {to}, clients: {clients}");
        let mut others: Vec<i32> = (1..=self.settings.nodes).filter(|other| *other != id).collect();
        if clients {
            others.extend(FIRST_CLIENT..=ADMIN);
        }
        for other in others {
            if to {
                self.network.cut.insert((other, id));
            }
            if from {
                self.network.cut.insert((id, other));
            }
        }
    }

    fn jump_clock(&mut self, id: i32) {
        let far = if self.random.percent(30) { 3_600_000 } else { 8000 };
        let skew = self.random.between(-far, far);
        note!(self, "the clock of n{id} is off by {skew} ms");
        if let Some(node) = self.nodes.get_mut(&id) {
            node.skew = skew;
        }
        let back = self.random.between(200, 6000);
        self.after(back, Happening::Heal(Heal::Clock(id)));
    }

    fn fill_disk(&mut self, id: i32) {
        let room = self.random.between(0, 3000);
        note!(self, "n{id} has {room} bytes of space left");
        if let Some(node) = self.nodes.get_mut(&id) {
            node.full = true;
            node.disk.limit_room(room.unsigned_abs());
        }
        let wait = self.random.between(200, 5000);
        self.after(wait, Happening::Heal(Heal::Space(id)));
    }

    pub(crate) fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::Network => self.mend_links(),
            Heal::Space(id) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.full = false;
                    node.disk.heal();
                }
            }
            Heal::Disk(id) => {
                // Another disk, or the same one again: the process starts anew.
                if let Some(node) = self.nodes.get_mut(&id)
                    && std::mem::take(&mut node.broken)
                {
                    let running = node.process.is_some();
                    if running {
                        self.kill(id);
                    }
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.disk = node.disk.after_power_cut(&mut self.random);
                        node.disk.heal();
                    }
                }
            }
            Heal::Clock(id) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.skew = 0;
                }
            }
        }
    }

    /// Everything is mended, for good.
    pub(crate) fn mend_all(&mut self) {
        note!(self, "everything is mended");
        self.calm = true;
        self.mend_links();
        for id in 1..=self.settings.nodes {
            self.heal(Heal::Space(id));
            self.heal(Heal::Disk(id));
            self.heal(Heal::Clock(id));
            if let Some(node) = self.nodes.get_mut(&id) {
                node.paused_until = node.paused_until.min(self.now);
                let life = node.life;
                self.restart(id, life);
            }
        }
    }

    /// Topics, reassignments, elections, voters.
    pub(crate) fn administrate(&mut self) {
        if self.calm {
            return;
        }
        let image = self.judge.reference.image();
        let internal = [CONSUMER_OFFSETS, TRANSACTION_STATE];
        let missing = internal.into_iter().find(|name| image.topic(name).is_none());
        // Nobody uses transactions or groups before there are topics for them.
        let next = self.random.between(300, if missing.is_some() { 600 } else { 3000 });
        self.after(next, Happening::Administrate);
        let Some(controller) = self.active_controller() else { return };
        if let Some(missing) = missing {
            let request = self.new_topic(missing.to_owned(), 1);
            return self.ask_as_administrator(controller, Request::Controller(request));
        }
        let image = self.judge.reference.image();
        let topics = image.topic_count() - internal.len();
        if topics == 0 || (topics < 4 && self.random.percent(15)) {
            let partitions = if topics == 0 { self.settings.partitions } else { 1 };
            let taken = |name: &String| image.topic(name).is_some();
            // A deleted topic's name is used again.
            let name = (0..).map(|number| format!("topic-{number}")).find(|name| !taken(name));
            let request = self.new_topic(name.unwrap_or_default(), partitions);
            return self.ask_as_administrator(controller, Request::Controller(request));
        }
        match self.random.between(0, 9) {
            0..=3 => {
                if let Some(request) = self.reassignment() {
                    self.ask_as_administrator(controller, Request::Controller(request));
                }
            }
            4 | 5 => {
                let request = ElectLeadersRequest {
                    election_type: 0,
                    topic_partitions: None,
                    timeout_ms: 1000,
                };
                let request = ControllerRequest::ElectLeaders(request);
                self.ask_as_administrator(controller, Request::Controller(request));
            }
            8 => {
                if let Some(request) = self.deletion() {
                    self.ask_as_administrator(controller, Request::Controller(request));
                }
            }
            6 | 7 if self.settings.dynamic => self.change_voters(controller),
            _ => {}
        }
    }

    fn new_topic(&mut self, name: String, partitions: i32) -> ControllerRequest {
        let topic = CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: self.settings.replication_factor,
            ..CreatableTopic::default()
        };
        note!(self, "administrator creates {}", topic.name);
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, validate_only: false };
        ControllerRequest::CreateTopics(request)
    }

    /// Deletes a topic; another one of its name may be created later.
    fn deletion(&mut self) -> Option<ControllerRequest> {
        let image = self.judge.reference.image();
        let names: Vec<String> = image
            .topics()
            .map(|topic| topic.name.to_string())
            .filter(|name| !is_internal(name))
            .collect();
        let name = self.random.pick(&names)?;
        note!(self, "administrator deletes {name}");
        Some(ControllerRequest::DeleteTopics(DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }],
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        }))
    }

    fn reassignment(&mut self) -> Option<ControllerRequest> {
        let image = self.judge.reference.image();
        let mut all = Vec::new();
        for topic in image.topics() {
            all.extend(topic.partitions.keys().map(|index| (topic.name.to_string(), *index)));
        }
        let (name, partition_index) = self.random.pick(&all)?;
        let cancel = self.random.percent(20);
        let mut nodes: Vec<i32> = (1..=self.settings.nodes).collect();
        let mut replicas = Vec::new();
        let count = self.random.between(2, 3);
        for _ in 0..count {
            replicas.push(nodes.swap_remove(self.random.below(nodes.len())));
        }
        note!(
            self,
            "administrator moves {name}-{partition_index} to {replicas:?}, or cancels: {cancel}"
        );
        let replicas = (!cancel).then_some(replicas);
        let partition = ReassignablePartition { partition_index, replicas };
        Some(ControllerRequest::Reassign(AlterPartitionReassignmentsRequest {
            timeout_ms: 1000,
            allow_replication_factor_change: true,
            topics: vec![ReassignableTopic { name, partitions: vec![partition] }],
        }))
    }

    fn change_voters(&mut self, controller: i32) {
        let id = self.any_node();
        let Some(process) = self.nodes.get(&controller).and_then(|node| node.process.as_ref())
        else {
            return;
        };
        let voters = process.metadata.quorum.voters();
        let votes = voters.iter().any(|voter| voter.id == id);
        if votes && voters.len() < 3 {
            return;
        }
        note!(self, "administrator changes the vote of n{id}, votes now: {votes}");
        let request = if votes {
            RaftRequest::RemoveRaftVoter(RemoveRaftVoterRequest {
                cluster_id: None,
                voter_id: id,
                voter_directory_id: directory(id),
            })
        } else {
            let own = endpoint(id);
            RaftRequest::AddRaftVoter(AddRaftVoterRequest {
                cluster_id: Some(CLUSTER.to_owned()),
                timeout_ms: 2000,
                voter_id: id,
                voter_directory_id: directory(id),
                listeners: vec![Listener { name: own.name, host: own.host, port: own.port }],
                ack_when_committed: true,
            })
        };
        self.ask_as_administrator(controller, Request::Raft(request));
    }
}
