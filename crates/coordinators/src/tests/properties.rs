//! Random lives of groups, with crashes and failing appends.

use std::collections::HashMap;

use naru_model::ErrorCode;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::sync_group_request::SyncGroupRequest;
use proptest::prelude::*;

use super::bench::*;
use crate::{Command, GroupConfig, Reply, ReplyToken, Shard as _};

const CLIENTS: usize = 4;

#[derive(Debug, Clone)]
enum Action {
    Join {
        client: usize,
        version: i16,
        is_static: bool,
        protocols: u8,
    },
    Sync {
        client: usize,
    },
    /// Some clients do all it takes for a generation; `settles` the leader's write or not.
    Rally {
        clients: usize,
        settles: bool,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
    },
    Commit {
        client: usize,
        partition: i32,
    },
    SimpleCommit {
        partition: i32,
    },
    DeleteGroup,
    Settle {
        fails: bool,
    },
    Advance {
        milliseconds: i64,
    },
    Crash {
        lost: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (client.clone(), prop_oneof![Just(3_i16), Just(9)], any::<bool>(), 0..3_u8).prop_map(
            |(client, version, is_static, protocols)| Action::Join {
                client, version, is_static, protocols
            }
        ),
        5 => (1..=CLIENTS, prop::bool::weighted(0.8))
            .prop_map(|(clients, settles)| Action::Rally { clients, settles }),
        3 => client.clone().prop_map(|client| Action::Sync { client }),
        3 => client.clone().prop_map(|client| Action::Heartbeat { client }),
        1 => client.clone().prop_map(|client| Action::Leave { client }),
        4 => (client, 0..3_i32).prop_map(|(client, partition)| Action::Commit { client, partition }),
        1 => (0..3_i32).prop_map(|partition| Action::SimpleCommit { partition }),
        1 => Just(Action::DeleteGroup),
        8 => prop::bool::weighted(0.1).prop_map(|fails| Action::Settle { fails }),
        4 => prop_oneof![Just(500_i64), Just(3_000), Just(9_000), Just(70_000)]
            .prop_map(|milliseconds| Action::Advance { milliseconds }),
        1 => (0..3_usize).prop_map(|lost| Action::Crash { lost }),
    ]
}

/// What a client believes, from the answers it got.
#[derive(Debug, Default, Clone)]
struct Client {
    member_id: String,
    is_static: bool,
    generation: i32,
    leads: bool,
    others: Vec<String>,
}

struct Life {
    bench: Bench,
    clients: Vec<Client>,
    askers: HashMap<ReplyToken, usize>,
    commits: HashMap<ReplyToken, (i32, i64)>,
    /// Assignments seen by generation: whoever was given one, what it says.
    assigned: HashMap<(String, i32), bytes::Bytes>,
    next_offset: i64,
}

impl Life {
    fn new() -> Self {
        let mut bench = Bench::with(GroupConfig { max_size: 3, ..GroupConfig::default() });
        bench.auto_commit = false;
        Self {
            bench,
            clients: vec![Client::default(); CLIENTS],
            askers: HashMap::new(),
            commits: HashMap::new(),
            assigned: HashMap::new(),
            next_offset: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Join { client, version, is_static, protocols } => {
                self.join(client, version, is_static, usize::from(protocols));
            }
            Action::Sync { client } => self.sync(client),
            Action::Rally { clients, settles } => self.rally(clients, settles),
            Action::Heartbeat { client } => {
                let Client { member_id, generation, .. } = self.clients[client].clone();
                let answer = self.bench.heartbeat(&member_id, generation);
                if answer == ErrorCode::UnknownMemberId {
                    self.clients[client] = Client::default();
                }
            }
            Action::Leave { client } => {
                let member = naru_protocol::messages::leave_group_request::MemberIdentity {
                    member_id: std::mem::take(&mut self.clients[client]).member_id,
                    ..Default::default()
                };
                let request = naru_protocol::messages::leave_group_request::LeaveGroupRequest {
                    group_id: GROUP.into(),
                    members: vec![member],
                    ..Default::default()
                };
                self.bench.send(Command::LeaveGroup { context: context(5), request });
            }
            Action::Commit { client, partition } => {
                let Client { member_id, generation, .. } = self.clients[client].clone();
                self.commit(&member_id, generation, partition);
            }
            Action::SimpleCommit { partition } => self.commit("", -1, partition),
            Action::DeleteGroup => {
                self.bench.send(Command::DeleteGroup { group_id: GROUP.into() });
            }
            Action::Settle { fails } => {
                let result = if fails { Err(ErrorCode::NotEnoughReplicas) } else { Ok(()) };
                self.bench.settle_one(result);
            }
            Action::Advance { milliseconds } => self.bench.advance(milliseconds),
            Action::Crash { lost } => self.crash(lost),
        }
        self.hear();
        self.check();
    }

    fn join(&mut self, client: usize, version: i16, is_static: bool, preference: usize) {
        let member_id = self.clients[client].member_id.clone();
        // A member keeps its kind as long as it keeps its id.
        let is_static =
            if member_id.is_empty() { is_static } else { self.clients[client].is_static };
        self.clients[client].is_static = is_static;
        let names = [["a", "b"], ["b", "a"], ["a", "c"]][preference];
        let request = JoinGroupRequest {
            protocols: protocols(&names),
            group_instance_id: is_static.then(|| format!("i{client}")),
            ..join_request(&member_id)
        };
        let token = self.bench.join_as(version, request);
        self.askers.insert(token, client);
    }

    fn sync(&mut self, client: usize) {
        let Client { member_id, generation, leads, others, .. } = self.clients[client].clone();
        let others = if leads { others } else { Vec::new() };
        // The chosen protocol changes from life to life, so an older client asks.
        let request = SyncGroupRequest {
            protocol_name: None,
            ..sync_request(&member_id, generation, &others)
        };
        let token = self.bench.send(Command::SyncGroup { api_version: 4, request });
        self.askers.insert(token, client);
    }

    fn rally(&mut self, clients: usize, settles: bool) {
        for client in 0..clients {
            self.join(client, 3, client % 2 == 1, 0);
            self.hear();
        }
        for _ in 0..8 {
            self.bench.advance(1_000);
            self.hear();
        }
        for client in 0..clients {
            self.sync(client);
        }
        while settles && self.bench.settle_one(Ok(())) {
            self.hear();
        }
    }

    fn commit(&mut self, member_id: &str, generation: i32, partition: i32) {
        self.next_offset += 1;
        let request = commit_request(member_id, generation, partition, self.next_offset);
        let token = self.bench.send(Command::OffsetCommit { context: context(9), request });
        self.commits.insert(token, (partition, self.next_offset));
    }

    /// What was in flight is in the log or not, but what was answered is.
    fn crash(&mut self, lost: usize) {
        let kept = self.bench.in_flight.len().saturating_sub(lost);
        for write in self.bench.in_flight.drain(..kept) {
            self.bench.log.extend(write.records);
        }
        self.bench.crash();
        self.askers.clear();
        self.commits.clear();
    }

    /// Clients take in their answers.
    fn hear(&mut self) {
        for (token, reply) in std::mem::take(&mut self.bench.answers) {
            let asker = self.askers.remove(&token);
            match (reply, asker) {
                (Reply::JoinGroup(response), Some(asker)) => {
                    let client = &mut self.clients[asker];
                    match code(response.error_code) {
                        ErrorCode::None => {
                            client.leads = response.leader == response.member_id;
                            client.member_id = response.member_id;
                            client.generation = response.generation_id;
                            let names = response.members.into_iter().map(|m| m.member_id);
                            client.others = names.collect();
                        }
                        ErrorCode::MemberIdRequired => client.member_id = response.member_id,
                        ErrorCode::RebalanceInProgress => {}
                        _ => *client = Client::default(),
                    }
                }
                (Reply::SyncGroup(response), Some(asker)) if response.error_code == 0 => {
                    self.check_assignment(asker, &response.assignment);
                }
                (Reply::OffsetCommit(response), _) => {
                    let told = code(response.topics[0].partitions[0].error_code);
                    let committed = self.commits.remove(&token);
                    if let (ErrorCode::None, Some((partition, offset))) = (told, committed) {
                        let held = self.bench.position(partition);
                        assert!(held >= Some(offset), "told {offset}, holds {held:?}");
                    }
                }
                _ => {}
            }
        }
    }

    /// A generation has one owner for everything: an assignment never changes within it.
    fn check_assignment(&mut self, asker: usize, assignment: &bytes::Bytes) {
        let Client { member_id, generation, .. } = self.clients[asker].clone();
        if !assignment.is_empty() {
            // Static members that came back hold what their former self was assigned.
            let text = String::from_utf8_lossy(assignment).into_owned();
            assert!(text.ends_with(&format!("@{generation}")), "{text} in {generation}");
        }
        let first =
            self.assigned.entry((member_id, generation)).or_insert_with(|| assignment.clone());
        assert_eq!(first, assignment);
    }

    fn check(&self) {
        if self.bench.in_flight.is_empty() {
            let reloaded = self.bench.replayed();
            let (offsets, groups) = self.bench.shard.settled_state();
            let (loaded_offsets, loaded_groups) = reloaded.settled_state();
            assert_eq!(offsets, loaded_offsets);
            if self.bench.group_unsaved {
                return;
            }
            for (id, group) in groups {
                assert_eq!(Some(&group), loaded_groups.get(&id));
            }
        }
    }

    /// The partition moves away: all who wait are told.
    fn give_up(mut self) {
        let outcome = self.bench.shard.unload();
        self.bench.run(outcome);
        assert!(self.bench.waiting.is_empty(), "{:?}", self.bench.waiting);
    }

    /// Once clients are gone and appends end, nobody is left waiting.
    fn end(mut self) {
        for _ in 0..4 {
            self.bench.settle(Ok(()));
            self.bench.advance(400_000);
        }
        self.bench.settle(Ok(()));
        assert!(self.bench.waiting.is_empty(), "{:?}", self.bench.waiting);
        assert!(self.bench.in_flight.is_empty());
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_group_survives_any_life(
        actions in prop::collection::vec(action(), 1..120),
        moves_away: bool,
    ) {
        let mut life = Life::new();
        for action in &actions {
            life.act(action);
        }
        if moves_away { life.give_up() } else { life.end() }
    }

    #[test]
    fn any_metadata_leaves_a_group_working(
        metadata in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bench = Bench::new();
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: metadata.into() };
        let request = JoinGroupRequest { protocols: vec![protocol], ..join_request("") };
        let token = bench.join_as(3, request);
        bench.advance(3_000);
        let id = bench.joined(token).member_id;
        let token = bench.sync(&id, 1, std::slice::from_ref(&id));
        assert_eq!(bench.synced(token).error_code, 0);
        assert_eq!(bench.commit_as(9, commit_request(&id, 1, 0, 1)), ErrorCode::None);
        bench.crash();
        assert_eq!(bench.heartbeat(&id, 1), ErrorCode::None);
    }

    #[test]
    fn any_bytes_replay_or_are_refused(
        kind in 0_i16..4,
        key in prop::collection::vec(any::<u8>(), 0..40),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
    ) {
        let mut shard = crate::GroupShard::new(GroupConfig::default());
        let key: Vec<u8> = kind.to_be_bytes().into_iter().chain(key).collect();
        let value = value.map(bytes::Bytes::from);
        let _ = shard.replay(None, &key.into(), value.as_ref());
        shard.on_loaded(naru_model::Timestamp(0));
    }
}
