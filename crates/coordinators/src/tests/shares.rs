//! Share groups through the shard's public face, with share coordinators that may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition,
    AlterShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::delete_share_group_offsets_request::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::share_group_describe_response::DescribedGroup;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use proptest::prelude::*;

use super::bench::{Bench, GROUP, commit_request, context};
use super::consumers::world::FakeTopics;
use crate::{Command, Initialization, Reply, ReplyToken, StateDeletion};

type Held = BTreeSet<(Uuid, i32)>;

/// A member: what it wants, what it has, and what it was told last.
#[derive(Debug, Clone, Default)]
struct Client {
    id: String,
    epoch: i32,
    topics: Vec<String>,
    held: Held,
    joined: bool,
}

impl Client {
    fn new(id: &str, topics: &[&str]) -> Self {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Self { id: id.to_owned(), topics, ..Self::default() }
    }

    fn request(&self) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch: if self.joined { self.epoch } else { 0 },
            subscribed_topic_names: Some(self.topics.clone()),
            ..Default::default()
        }
    }

    fn told(&mut self, response: &ShareGroupHeartbeatResponse) {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                assert!(!self.joined || response.member_epoch >= self.epoch, "epochs go on");
                self.joined = true;
                self.epoch = response.member_epoch;
                if let Some(assignment) = &response.assignment {
                    let topics = assignment.topic_partitions.iter();
                    self.held = topics
                        .flat_map(|topic| {
                            topic.partitions.iter().map(|partition| (topic.topic_id, *partition))
                        })
                        .collect();
                }
            }
            ErrorCode::FencedMemberEpoch
            | ErrorCode::UnknownMemberId
            | ErrorCode::GroupIdNotFound => self.reborn(),
            _ => {} // It asks again.
        }
    }

    /// It comes back as somebody new.
    fn reborn(&mut self) {
        self.id.push('\'');
        (self.joined, self.epoch) = (false, 0);
        self.held.clear();
    }
}

struct World {
    bench: Bench,
    topics: FakeTopics,
    /// What share coordinators keep, and in which epoch it began.
    state: BTreeMap<(Uuid, i32), i32>,
    asked: Vec<Initialization>,
    /// What they are to end; with the group, or without.
    ending: Vec<(StateDeletion, bool)>,
}

impl World {
    fn new(topics: &[(&str, i32)]) -> Self {
        let mut world = Self {
            bench: Bench::new(),
            topics: FakeTopics::default(),
            state: BTreeMap::new(),
            asked: Vec::new(),
            ending: Vec::new(),
        };
        for (name, partitions) in topics {
            world.set_topic(name, *partitions);
        }
        world
    }

    fn set_topic(&mut self, name: &str, partitions: i32) {
        self.topics.set(name, partitions);
        self.tell_topics(name);
    }

    fn tell_topics(&mut self, name: &str) {
        let topics = Arc::new(self.topics.clone());
        self.bench.shard.on_metadata(topics, &[name.into()], false);
    }

    fn delete_topic(&mut self, name: &str) {
        let Some(gone) = self.topics.by_name.get(name).map(|topic| topic.id) else { return };
        let command = Command::TopicsDeleted { topics: vec![name.into()], ids: vec![gone] };
        self.bench.send(command);
        self.state.retain(|(topic, _), _| *topic != gone);
        self.topics.remove(name);
        self.tell_topics(name);
    }

    fn crash(&mut self) {
        self.bench.crash();
        self.bench.shard.on_metadata(Arc::new(self.topics.clone()), &[], true);
    }

    fn send(&mut self, request: ShareGroupHeartbeatRequest) -> ReplyToken {
        self.bench.send(Command::ShareGroupHeartbeat { context: context(1), request })
    }

    fn answer(&mut self, token: ReplyToken) -> Option<ShareGroupHeartbeatResponse> {
        match self.bench.answers.remove(&token)? {
            Reply::ShareGroupHeartbeat { response, initialization } => {
                self.asked.extend(initialization);
                Some(response)
            }
            other => panic!("not to a heartbeat: {other:?}"),
        }
    }

    fn ask(&mut self, request: ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
        let token = self.send(request);
        self.answer(token).expect("an answer")
    }

    fn beat(&mut self, client: &mut Client) -> ErrorCode {
        let response = self.ask(client.request());
        client.told(&response);
        ErrorCode::from_code(response.error_code)
    }

    /// Share coordinators do what they were asked, or fail to.
    fn initialize(&mut self, success: bool) {
        for Initialization { group, state_epoch, starts } in std::mem::take(&mut self.asked) {
            for (key, start) in &starts {
                assert_eq!(*start, -1);
                if success {
                    let known = self.state.insert(*key, state_epoch);
                    assert!(known.is_none_or(|known| known <= state_epoch), "state epochs go on");
                }
            }
            let partitions = starts.into_keys().collect();
            let group_id = group.to_string();
            self.bench.send(Command::ShareStateInitialized { group_id, partitions, success });
        }
    }

    /// Takes in the answer to a request to end state, if it is there.
    fn take_end(&mut self, token: ReplyToken) -> bool {
        match self.bench.answers.remove(&token) {
            None => return false,
            Some(Reply::DeleteShareGroupOffsets(Ok(deleted))) => {
                self.ending.extend(deleted.deletion.map(|deletion| (deletion, false)));
            }
            Some(Reply::StateDeletion(Ok(deletion))) => {
                self.ending.extend(deletion.map(|deletion| (deletion, true)));
            }
            Some(_) => {} // Refused.
        }
        true
    }

    /// Share coordinators end what they were asked to end.
    fn end(&mut self) {
        for (StateDeletion { partitions, names, .. }, with_group) in
            std::mem::take(&mut self.ending)
        {
            self.state.retain(|key, _| !partitions.contains(key));
            if with_group {
                self.bench.send(Command::DeleteGroup { group_id: GROUP.into() });
            }
            let topics = names.into_keys().collect();
            self.bench.send(Command::ShareStateDeleted { group_id: GROUP.into(), topics });
        }
    }

    fn settle_down(&mut self, clients: &mut [Client]) {
        for _ in 0..40 {
            for client in clients.iter_mut() {
                self.beat(client);
            }
            self.initialize(true);
            self.bench.advance(2_000);
        }
    }

    fn described(&mut self) -> DescribedGroup {
        match self.bench.ask(Command::ShareGroupDescribe { group_id: GROUP.into() }) {
            Reply::ShareGroupDescribe(group) => group,
            other => panic!("not described: {other:?}"),
        }
    }

    fn all(&self, names: &[&str]) -> Held {
        let topics = names.iter().filter_map(|name| self.topics.by_name.get(*name));
        topics.flat_map(|topic| (0..topic.partitions).map(|index| (topic.id, index))).collect()
    }

    fn check_replay(&self) {
        let facts = |shard: &crate::GroupShard| {
            shard.shares.get(GROUP).map(crate::share::ShareGroup::as_facts)
        };
        assert_eq!(facts(&self.bench.replayed()), facts(&self.bench.shard));
    }
}

fn leave(client: &Client) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest { member_epoch: -1, ..client.request() }
}

#[test]
fn partitions_are_assigned_once_their_state_is_kept() {
    let mut world = World::new(&[("a", 2)]);
    let mut client = Client::new("m1", &["a"]);
    assert_eq!(world.beat(&mut client), ErrorCode::None);
    assert_eq!((client.epoch, client.held.len()), (2, 0), "nothing is initialized");
    assert_eq!(world.asked.len(), 1);
    assert_eq!(world.asked[0].state_epoch, 2);
    world.beat(&mut client);
    assert_eq!(world.asked.len(), 1, "it is being begun");
    world.initialize(true);
    world.bench.advance(1_000);
    world.beat(&mut client);
    assert_eq!((client.epoch, &client.held), (3, &world.all(&["a"])));
    world.check_replay();
    let group = world.described();
    assert_eq!((group.group_state.as_str(), group.assignor_name.as_str()), ("Stable", "simple"));
    assert_eq!(group.members[0].assignment.topic_partitions[0].topic_name, "a");
}

#[test]
fn what_could_not_begin_is_asked_for_again_and_what_is_not_heard_of_after_a_while() {
    let mut world = World::new(&[("a", 1)]);
    let mut client = Client::new("m1", &["a"]);
    world.beat(&mut client);
    world.initialize(false);
    world.beat(&mut client);
    assert_eq!(world.asked.len(), 1, "asked again at once");
    world.asked.clear();
    world.bench.advance(29_000);
    world.beat(&mut client);
    assert!(world.asked.is_empty());
    world.bench.advance(1_000);
    world.beat(&mut client);
    assert_eq!(world.asked.len(), 1, "nobody has said what became of it");
}

#[test]
fn members_share_partitions_and_a_silent_one_is_removed() {
    let mut world = World::new(&[("a", 2)]);
    let mut clients: Vec<Client> =
        (0..4).map(|at| Client::new(&format!("m{at}"), &["a"])).collect();
    world.settle_down(&mut clients);
    assert!(clients.iter().all(|client| client.held.len() == 1), "{clients:?}");
    let silent = clients.pop().expect("four");
    world.bench.advance(40_000);
    for client in &mut clients {
        world.beat(client);
    }
    world.bench.advance(6_000);
    world.settle_down(&mut clients);
    assert_eq!(world.described().members.len(), 3);
    let held: Held = clients.iter().flat_map(|client| client.held.clone()).collect();
    assert_eq!(held, world.all(&["a"]));
    let code = ErrorCode::from_code(world.ask(silent.request()).error_code);
    assert_eq!(code, ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_lost_an_answer_goes_on_and_one_far_behind_is_fenced() {
    let mut world = World::new(&[("a", 1)]);
    let mut client = Client::new("m1", &["a"]);
    world.settle_down(std::slice::from_mut(&mut client));
    let at = |epoch| ShareGroupHeartbeatRequest { member_epoch: epoch, ..client.request() };
    let code = |world: &mut World, epoch| ErrorCode::from_code(world.ask(at(epoch)).error_code);
    assert_eq!(client.epoch, 3);
    assert_eq!(code(&mut world, 2), ErrorCode::None);
    assert_eq!(code(&mut world, 1), ErrorCode::FencedMemberEpoch);
    assert_eq!(code(&mut world, 4), ErrorCode::FencedMemberEpoch);
}

#[test]
fn an_id_is_of_one_kind_of_group() {
    let mut world = World::new(&[("a", 1)]);
    let mut client = Client::new("m1", &["a"]);
    world.beat(&mut client);
    let not_found = ErrorCode::GroupIdNotFound.code();
    let described = Command::ConsumerGroupDescribe { group_id: GROUP.into() };
    let Reply::ConsumerGroupDescribe(group) = world.bench.ask(described) else { panic!("another") };
    assert_eq!(group.error_message.as_deref(), Some("Group g is not a consumer group."));
    let mut other = World::new(&[("a", 1)]);
    other.bench.commit_as(8, commit_request("", -1, 0, 5));
    assert_eq!(other.ask(client.request()).error_code, not_found);
    let listed = Command::ListGroups { states_filter: vec![], types_filter: vec!["SHARE".into()] };
    let Reply::ListGroups(groups) = world.bench.ask(listed) else { panic!("a list") };
    assert_eq!((groups.len(), groups[0].group_type.as_str()), (1, "share"));
}

fn alter(partition: i32, start_offset: i64) -> Command {
    let partition =
        AlterShareGroupOffsetsRequestPartition { partition_index: partition, start_offset };
    let topic =
        AlterShareGroupOffsetsRequestTopic { topic_name: "a".into(), partitions: vec![partition] };
    Command::AlterShareGroupOffsets(AlterShareGroupOffsetsRequest {
        group_id: GROUP.into(),
        topics: vec![topic],
    })
}

#[test]
fn offsets_are_altered_and_deleted_when_nobody_is_there_and_make_a_group_of_their_own() {
    let mut world = World::new(&[("a", 1)]);
    let Reply::AlterShareGroupOffsets(Ok((response, asked))) = world.bench.ask(alter(0, 7)) else {
        panic!("altered")
    };
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    let Initialization { group, state_epoch, starts } = asked.expect("to begin");
    assert_eq!((state_epoch, starts.values().copied().collect()), (1, vec![7]));
    let partitions: BTreeSet<_> = starts.into_keys().collect();
    let group_id = group.to_string();
    let done = Command::ShareStateInitialized { group_id, partitions, success: true };
    assert_eq!(world.bench.ask(done), Reply::Done);
    world.crash();
    assert_eq!(world.described().group_state, "Empty");
    let topic = DeleteShareGroupOffsetsRequestTopic { topic_name: "a".into() };
    let request = DeleteShareGroupOffsetsRequest { group_id: GROUP.into(), topics: vec![topic] };
    let delete = Command::DeleteShareGroupOffsets(request);
    let Reply::DeleteShareGroupOffsets(Ok(deleted)) = world.bench.ask(delete.clone()) else {
        panic!("deleted")
    };
    let deletion = deleted.deletion.expect("something");
    assert_eq!((deleted.refused.len(), deletion.partitions.len()), (0, 1));
    let topics = deletion.names.keys().copied().collect();
    world.bench.ask(Command::ShareStateDeleted { group_id: GROUP.into(), topics });
    let Reply::DeleteShareGroupOffsets(Ok(deleted)) = world.bench.ask(delete.clone()) else {
        panic!("deleted")
    };
    assert_eq!((deleted.refused.len(), deleted.deletion), (1, None));
    let mut client = Client::new("m1", &["a"]);
    world.beat(&mut client);
    for command in [alter(0, 7), delete] {
        match world.bench.ask(command) {
            Reply::AlterShareGroupOffsets(Err((error, _)))
            | Reply::DeleteShareGroupOffsets(Err((error, _))) => {
                assert_eq!(error, ErrorCode::NonEmptyGroup);
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[test]
fn a_group_is_deleted_after_its_state_and_leaves_nothing_behind() {
    let mut world = World::new(&[("a", 2)]);
    let mut client = Client::new("m1", &["a"]);
    world.settle_down(std::slice::from_mut(&mut client));
    let prepare = Command::PrepareShareGroupDeletion { group_id: GROUP.into() };
    let non_empty = Reply::StateDeletion(Err(ErrorCode::NonEmptyGroup));
    assert_eq!(world.bench.ask(prepare.clone()), non_empty);
    world.ask(leave(&client));
    let Reply::StateDeletion(Ok(Some(deletion))) = world.bench.ask(prepare) else {
        panic!("state to delete")
    };
    assert_eq!(deletion.partitions, world.all(&["a"]));
    let Reply::DeleteGroup(result) =
        world.bench.ask(Command::DeleteGroup { group_id: GROUP.into() })
    else {
        panic!("deleted")
    };
    assert_eq!(result.error_code, 0);
    assert_eq!(world.bench.shard.group_count(), 0);
    assert_eq!(world.bench.replayed().group_count(), 0);
}

#[test]
fn what_is_being_begun_is_not_ended_and_what_is_being_ended_does_not_begin() {
    let mut world = World::new(&[("a", 1)]);
    let mut client = Client::new("m1", &["a"]);
    let id = world.topics.by_name["a"].id;
    world.beat(&mut client);
    world.ask(leave(&client));
    client.reborn();
    let prepare = Command::PrepareShareGroupDeletion { group_id: GROUP.into() };
    let busy = Reply::StateDeletion(Err(ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(world.bench.ask(prepare.clone()), busy, "a request is on its way");
    world.crash();
    assert_eq!(world.bench.ask(prepare.clone()), busy, "it may be so still");
    world.initialize(true);
    let deletion = world.bench.ask(prepare);
    let Reply::StateDeletion(Ok(Some(_))) = deletion else { panic!("not deleted: {deletion:?}") };
    // Somebody joins before the group is deleted.
    world.beat(&mut client);
    assert!(world.asked.is_empty(), "it could be ended too");
    let late = BTreeSet::from([(id, 0)]);
    let group_id = GROUP.to_owned();
    world.bench.ask(Command::ShareStateInitialized { group_id, partitions: late, success: true });
    world.beat(&mut client);
    assert!(client.held.is_empty(), "what was ended since does not count");
    match world.bench.ask(alter(0, 7)) {
        Reply::AlterShareGroupOffsets(Err((ErrorCode::NonEmptyGroup, _))) => {}
        other => panic!("not refused: {other:?}"),
    }
    let topics = BTreeSet::from([id]);
    world.bench.ask(Command::ShareStateDeleted { group_id: GROUP.into(), topics });
    world.beat(&mut client);
    assert_eq!(world.asked.len(), 1, "it begins anew");
}

#[derive(Debug, Clone)]
enum Action {
    Beat(usize),
    Leave(usize),
    Die(usize),
    Subscribe(usize, usize),
    Initialize(bool),
    /// What share coordinators did is not heard of.
    Forget,
    Grow(usize, i32),
    Delete(usize),
    DeleteOffsets(usize),
    DeleteGroup,
    /// Share coordinators end what they were asked to end, and it is told.
    End,
    Advance(i64),
    Settle(bool),
    Crash,
}

const CLIENTS: usize = 4;
const TOPICS: [&str; 3] = ["a", "b", "c"];

fn action() -> impl Strategy<Value = Action> {
    let client = || 0..CLIENTS;
    prop_oneof![
        20 => client().prop_map(Action::Beat),
        2 => client().prop_map(Action::Leave),
        1 => client().prop_map(Action::Die),
        3 => (client(), 1..8_usize).prop_map(|(client, topics)| Action::Subscribe(client, topics)),
        6 => any::<bool>().prop_map(Action::Initialize),
        1 => Just(Action::Forget),
        2 => (0..3_usize, 1..6_i32).prop_map(|(topic, count)| Action::Grow(topic, count)),
        1 => (0..3_usize).prop_map(Action::Delete),
        2 => (0..3_usize).prop_map(Action::DeleteOffsets),
        2 => Just(Action::DeleteGroup),
        3 => Just(Action::End),
        6 => prop_oneof![Just(1_500_i64), Just(50_000)].prop_map(Action::Advance),
        4 => any::<bool>().prop_map(Action::Settle),
        1 => Just(Action::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everything_is_shared_out_in_the_end(
        commits_at_once: bool,
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let mut world = World::new(&[("a", 3), ("b", 2)]);
        let mut clients: Vec<Client> =
            (0..CLIENTS).map(|at| Client::new(&format!("m{at}"), &["a", "b"])).collect();
        let mut waiting: BTreeMap<usize, ReplyToken> = BTreeMap::new();
        let mut ends: Vec<ReplyToken> = Vec::new();
        world.bench.auto_commit = commits_at_once;
        for action in actions {
            match action {
                Action::Beat(at) => {
                    waiting.entry(at).or_insert_with(|| world.send(clients[at].request()));
                }
                Action::Leave(at) if clients[at].joined && !waiting.contains_key(&at) => {
                    world.send(leave(&clients[at]));
                    clients[at].reborn();
                }
                Action::Die(at) => {
                    clients[at].reborn();
                    waiting.remove(&at);
                }
                Action::Subscribe(at, mask) => {
                    let chosen = TOPICS.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
                    clients[at].topics = chosen.map(|(_, topic)| (*topic).to_owned()).collect();
                }
                Action::Initialize(success) => world.initialize(success),
                Action::Forget => world.asked.clear(),
                Action::Grow(topic, partitions) => {
                    let name = TOPICS[topic];
                    let now = world.topics.by_name.get(name).map_or(0, |topic| topic.partitions);
                    world.set_topic(name, partitions.max(now));
                }
                Action::Delete(topic) => world.delete_topic(TOPICS[topic]),
                Action::DeleteOffsets(topic) => {
                    let topic_name = TOPICS[topic].to_owned();
                    let topics = vec![DeleteShareGroupOffsetsRequestTopic { topic_name }];
                    let request =
                        DeleteShareGroupOffsetsRequest { group_id: GROUP.into(), topics };
                    ends.push(world.bench.send(Command::DeleteShareGroupOffsets(request)));
                }
                Action::DeleteGroup => {
                    let group_id = GROUP.to_owned();
                    ends.push(world.bench.send(Command::PrepareShareGroupDeletion { group_id }));
                }
                Action::End => world.end(),
                Action::Advance(milliseconds) => {
                    world.bench.advance(milliseconds);
                    if milliseconds > 30_000 {
                        // Whoever was to ask share coordinators has given up by now.
                        world.asked.clear();
                        world.ending.clear();
                    }
                }
                Action::Settle(true) => drop(world.bench.settle_one(Ok(()))),
                // What was appended behind a batch that is lost is lost too.
                Action::Settle(false) => world.bench.settle(Err(ErrorCode::NotEnoughReplicas)),
                Action::Crash => {
                    waiting.clear();
                    world.crash();
                }
                Action::Leave(_) => {}
            }
            ends.retain(|token| !world.take_end(*token));
            for (at, client) in clients.iter_mut().enumerate() {
                let Some(token) = waiting.get(&at).copied() else { continue };
                if let Some(response) = world.answer(token) {
                    waiting.remove(&at);
                    client.told(&response);
                }
            }
            for group in world.bench.shard.shares.values() {
                group.check_invariants();
            }
        }
        world.bench.auto_commit = true;
        world.bench.settle(Ok(()));
        world.check_replay();
        for token in ends {
            world.take_end(token);
        }
        world.end();
        // Who is gone for good times out.
        for _ in 0..5 {
            world.bench.advance(12_000);
            for client in &mut clients {
                world.beat(client);
            }
            world.initialize(true);
        }
        world.settle_down(&mut clients);
        world.check_replay();
        for name in TOPICS {
            let Some(topic) = world.topics.by_name.get(name) else { continue };
            let wanted = clients.iter().any(|client| client.topics.iter().any(|one| one == name));
            let held: BTreeSet<i32> = clients
                .iter()
                .flat_map(|client| &client.held)
                .filter(|(id, _)| *id == topic.id)
                .map(|(_, partition)| *partition)
                .collect();
            let expected: BTreeSet<i32> =
                if wanted { (0..topic.partitions).collect() } else { BTreeSet::new() };
            prop_assert_eq!(held, expected, "{}", name);
        }
        let kept: BTreeSet<(Uuid, i32)> = world.state.keys().copied().collect();
        for client in &clients {
            prop_assert!(client.held.is_subset(&kept), "nobody keeps the state of what is assigned");
        }
    }
}
