//! Random lives of groups whose members speak either protocol: the group goes from one kind to the
//! other and back, answers get lost, appends fail, the coordinator crashes.

use std::collections::BTreeMap;

use naru_model::ErrorCode;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use naru_protocol::{Wire, Writer};
use proptest::prelude::*;

use super::super::bench::{GROUP, TOPIC, code, commit_request, context, join_request};
use super::migration::{assignment, read};
use super::world::{Client, World};
use crate::{Command, Reply, ReplyToken};

const CLASSICS: usize = 3;
const CONSUMERS: usize = 2;
const PARTITIONS: i32 = 5;

#[derive(Debug, Clone)]
enum Action {
    Classic(usize),
    Consumer(usize),
    /// A classic member's request whose answer gets lost.
    ClassicInVain(usize),
    LeaveClassic(usize),
    LeaveConsumer(usize),
    /// The process dies without a word and comes back as somebody new.
    Die(usize),
    Commit(usize),
    Advance(i64),
    Settle(bool),
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        24 => (0..CLASSICS).prop_map(Action::Classic),
        12 => (0..CONSUMERS).prop_map(Action::Consumer),
        2 => (0..CLASSICS).prop_map(Action::ClassicInVain),
        2 => (0..CLASSICS).prop_map(Action::LeaveClassic),
        2 => (0..CONSUMERS).prop_map(Action::LeaveConsumer),
        1 => (0..CLASSICS).prop_map(Action::Die),
        5 => (0..CLASSICS + CONSUMERS).prop_map(Action::Commit),
        10 => prop_oneof![Just(500_i64), Just(3_100), Just(50_000)].prop_map(Action::Advance),
        4 => any::<bool>().prop_map(Action::Settle),
        1 => Just(Action::Crash),
    ]
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Stage {
    #[default]
    Out,
    Joining(ReplyToken),
    /// What its generation's leader is to give to whom.
    Joined(Vec<String>),
    Syncing(ReplyToken),
    Stable,
    Beating(ReplyToken),
}

/// A consumer of the classic protocol that gives everything up before it joins.
#[derive(Debug, Clone, Default)]
struct Classic {
    id: String,
    generation: i32,
    stage: Stage,
    owned: Vec<i32>,
}

impl Classic {
    fn join(&self) -> JoinGroupRequest {
        let mut writer = Writer::default();
        writer.i16(1);
        let topics = vec![TOPIC.into()];
        ConsumerProtocolSubscription { topics, ..Default::default() }.write(&mut writer, 1);
        let metadata = writer.into_bytes().into();
        let protocols = vec![JoinGroupRequestProtocol { name: "range".into(), metadata }];
        JoinGroupRequest { protocols, ..join_request(&self.id) }
    }

    fn sync(&self, members: &[String]) -> Command {
        let share =
            |at: usize| -> Vec<i32> { (0..PARTITIONS).skip(at).step_by(members.len()).collect() };
        let entry = |(at, id): (usize, &String)| SyncGroupRequestAssignment {
            member_id: id.clone(),
            assignment: assignment(&share(at)),
        };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            assignments: members.iter().enumerate().map(entry).collect(),
            ..Default::default()
        };
        Command::SyncGroup { api_version: 4, request }
    }

    fn heartbeat(&self) -> Command {
        Command::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            generation_id: self.generation,
            ..Default::default()
        })
    }

    fn waits_for(&self) -> Option<ReplyToken> {
        match self.stage {
            Stage::Joining(token) | Stage::Syncing(token) | Stage::Beating(token) => Some(token),
            Stage::Out | Stage::Joined(_) | Stage::Stable => None,
        }
    }

    fn start_over(&mut self, keeps_id: bool) {
        let id = if keeps_id { std::mem::take(&mut self.id) } else { String::new() };
        *self = Self { id, ..Self::default() };
    }

    fn told(&mut self, reply: Reply) {
        match reply {
            Reply::JoinGroup(response) => self.joined(response),
            Reply::SyncGroup(response) if response.error_code == 0 => {
                self.owned = read(&response.assignment);
                self.stage = Stage::Stable;
            }
            Reply::SyncGroup(response) => self.refused(code(response.error_code)),
            Reply::Heartbeat(response) if response.error_code == 0 => self.stage = Stage::Stable,
            Reply::Heartbeat(response) => self.refused(code(response.error_code)),
            other => panic!("not asked for: {other:?}"),
        }
    }

    fn joined(&mut self, response: JoinGroupResponse) {
        match code(response.error_code) {
            ErrorCode::None => {
                let leads = response.leader == response.member_id;
                let members = response.members.into_iter().map(|member| member.member_id);
                self.stage = Stage::Joined(members.filter(|_| leads).collect());
                self.id = response.member_id;
                self.generation = response.generation_id;
            }
            ErrorCode::MemberIdRequired => {
                self.start_over(false);
                self.id = response.member_id;
            }
            error => self.refused(error),
        }
    }

    fn refused(&mut self, error: ErrorCode) {
        let is_gone = matches!(error, ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration);
        self.start_over(!is_gone);
    }
}

struct Life {
    world: World,
    classics: Vec<Classic>,
    consumers: Vec<Client>,
    commits: BTreeMap<ReplyToken, i64>,
    /// The highest offset that somebody was told to be committed.
    committed: Option<i64>,
    next_offset: i64,
}

impl Life {
    fn new() -> Self {
        let client = |at: usize| Client::named(&format!("m{at}"), &[TOPIC]);
        Self {
            world: World::new(&[(TOPIC, PARTITIONS)]),
            classics: vec![Classic::default(); CLASSICS],
            consumers: (0..CONSUMERS).map(client).collect(),
            commits: BTreeMap::new(),
            committed: None,
            next_offset: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Classic(at) => self.go_on(at),
            Action::Consumer(at) => {
                if self.consumers[at].asked.is_none() {
                    let token = self.world.send(self.consumers[at].request());
                    self.consumers[at].asked = Some(token);
                }
            }
            Action::ClassicInVain(at) => {
                let client = &self.classics[at];
                if client.stage == Stage::Stable {
                    self.world.bench.send(client.heartbeat());
                } else if client.stage == Stage::Out && !client.id.is_empty() {
                    self.world.bench.join_as(9, client.join());
                }
            }
            Action::LeaveClassic(at) => {
                if !self.classics[at].id.is_empty() {
                    let member_id = std::mem::take(&mut self.classics[at]).id;
                    self.leave(member_id);
                }
            }
            Action::LeaveConsumer(at) => {
                let client = &mut self.consumers[at];
                if client.joined {
                    let leave =
                        ConsumerGroupHeartbeatRequest { member_epoch: -1, ..client.request() };
                    (client.joined, client.asked) = (false, None);
                    client.owned.clear();
                    self.world.send(leave);
                }
            }
            Action::Die(at) => self.classics[at].start_over(false),
            Action::Commit(at) => self.commit(at),
            Action::Advance(milliseconds) => self.world.bench.advance(milliseconds),
            Action::Settle(true) => drop(self.world.bench.settle_one(Ok(()))),
            // What was appended behind a batch that is lost is lost too.
            Action::Settle(false) => self.world.bench.settle(Err(ErrorCode::NotEnoughReplicas)),
            Action::Crash => self.crash(),
        }
        self.hear();
        self.check();
    }

    fn leave(&mut self, member_id: String) {
        use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
        let members = vec![MemberIdentity { member_id, ..Default::default() }];
        let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        self.world.bench.send(Command::LeaveGroup { context: context(5), request });
    }

    /// A classic member does what is next.
    fn go_on(&mut self, at: usize) {
        let bench = &mut self.world.bench;
        let client = &mut self.classics[at];
        client.stage = match &client.stage {
            Stage::Out => {
                // What it has it gives up first.
                client.owned.clear();
                Stage::Joining(bench.join_as(9, client.join()))
            }
            Stage::Joined(members) => Stage::Syncing(bench.send(client.sync(members))),
            Stage::Stable => Stage::Beating(bench.send(client.heartbeat())),
            Stage::Joining(_) | Stage::Syncing(_) | Stage::Beating(_) => return,
        };
    }

    fn commit(&mut self, at: usize) {
        let (id, epoch) = match self.classics.get(at) {
            Some(client) => (client.id.clone(), client.generation),
            None => {
                let client = &self.consumers[at - CLASSICS];
                (client.id.clone(), client.epoch)
            }
        };
        self.next_offset += 1;
        let request = commit_request(&id, epoch, 0, self.next_offset);
        let command = Command::OffsetCommit { context: context(9), request };
        let token = self.world.bench.send(command);
        self.commits.insert(token, self.next_offset);
    }

    fn crash(&mut self) {
        self.world.crash();
        self.commits.clear();
        self.consumers.iter_mut().for_each(|client| client.asked = None);
        for client in &mut self.classics {
            // Its connection is gone: it asks again.
            client.stage = match std::mem::take(&mut client.stage) {
                Stage::Beating(_) => Stage::Stable,
                Stage::Joining(_) | Stage::Syncing(_) => Stage::Out,
                stage @ (Stage::Out | Stage::Joined(_) | Stage::Stable) => stage,
            };
        }
    }

    fn hear(&mut self) {
        let answers = &mut self.world.bench.answers;
        for client in &mut self.classics {
            if let Some(reply) = client.waits_for().and_then(|token| answers.remove(&token)) {
                client.told(reply);
            }
        }
        for (token, offset) in std::mem::take(&mut self.commits) {
            match answers.remove(&token) {
                Some(Reply::OffsetCommit(response)) => {
                    if response.topics[0].partitions[0].error_code == 0 {
                        self.committed = self.committed.max(Some(offset));
                    }
                }
                Some(other) => panic!("not to a commit: {other:?}"),
                None => drop(self.commits.insert(token, offset)),
            }
        }
        for client in &mut self.consumers {
            if client.asked.is_some_and(|token| self.world.bench.answers.contains_key(&token)) {
                let token = client.asked.take().expect("just seen");
                let response = self.world.answer(token);
                client.told(&response);
            }
        }
    }

    /// Who owns what, of those that are members.
    fn owners(&self) -> BTreeMap<i32, String> {
        let shard = &self.world.bench.shard;
        let is_member = |id: &str| {
            let classic = shard.groups.get(GROUP);
            let consumer = shard.consumers.get(GROUP);
            classic.is_some_and(|group| group.members().any(|member| *member.id == *id))
                || consumer.is_some_and(|group| group.member(id).is_some())
        };
        let classics = self.classics.iter().map(|one| (&one.id, one.owned.clone()));
        let consumers = self.consumers.iter().filter(|one| one.joined).map(|one| {
            (&one.id, one.owned.iter().map(|(_, partition)| *partition).collect::<Vec<_>>())
        });
        let mut owners = BTreeMap::new();
        for (id, owned) in classics.chain(consumers).filter(|(id, _)| is_member(id)) {
            for partition in owned {
                let other = owners.insert(partition, id.clone());
                assert_eq!(other, None, "{partition} has two owners, one is {id}");
            }
        }
        owners
    }

    fn check(&self) {
        self.owners();
        let bench = &self.world.bench;
        assert!(bench.position(0) >= self.committed, "a committed offset went back");
        if bench.in_flight.is_empty() && !bench.group_unsaved {
            self.check_replay();
        }
    }

    fn check_replay(&self) {
        let (decided, replayed) = (&self.world.bench.shard, self.world.bench.replayed());
        let facts = |shard: &crate::GroupShard| {
            shard.consumers.get(GROUP).map(crate::consumer::ConsumerGroup::as_facts)
        };
        assert_eq!(facts(&replayed), facts(decided));
        let (offsets, groups) = decided.settled_state();
        let (replayed_offsets, replayed_groups) = replayed.settled_state();
        assert_eq!(replayed_offsets, offsets);
        for (id, group) in groups {
            assert_eq!(replayed_groups.get(&id), Some(&group));
        }
    }

    fn everybody_goes_on(&mut self, seconds: u32) {
        for _ in 0..seconds {
            (0..CLASSICS).for_each(|at| self.act(&Action::Classic(at)));
            (0..self.consumers.len()).for_each(|at| self.act(&Action::Consumer(at)));
            self.act(&Action::Advance(1_000));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn members_of_both_protocols_share_everything_out_whatever_happens(
        commits_at_once: bool,
        actions in prop::collection::vec(action(), 1..120),
        consumers_stay: bool,
    ) {
        let mut life = Life::new();
        life.world.bench.auto_commit = commits_at_once;
        for action in &actions {
            life.act(action);
        }
        life.world.bench.auto_commit = true;
        life.world.bench.settle(Ok(()));
        life.hear();
        // Who is gone for good times out.
        life.everybody_goes_on(60);
        if !consumers_stay {
            (0..CONSUMERS).for_each(|at| life.act(&Action::LeaveConsumer(at)));
            life.consumers.clear();
        }
        life.everybody_goes_on(120);
        let owned: Vec<i32> = life.owners().into_keys().collect();
        prop_assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>());
        prop_assert_eq!(life.world.bench.shard.consumers.contains_key(GROUP), consumers_stay);
        life.check_replay();
    }
}
