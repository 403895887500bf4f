//! Topics and clients around a bench: each client reconciles as KIP-848 says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::super::bench::{Bench, GROUP, context};
use crate::{
    ClientContext, Command, ConsumerGroupState, GroupConfig, Reply, ReplyToken, TopicInfo, Topics,
    Viewer,
};

#[derive(Debug, Clone, Default)]
pub(in crate::tests) struct FakeTopics {
    pub(in crate::tests) by_name: BTreeMap<String, TopicInfo>,
    version: i64,
}

impl FakeTopics {
    /// Makes a topic, or gives it more partitions.
    pub(in crate::tests) fn set(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let new = Uuid(u128::try_from(self.version).expect("positive") << 64);
        let topic = self.by_name.entry(name.to_owned());
        topic.or_insert(TopicInfo { id: new, partitions }).partitions = partitions;
    }

    pub(in crate::tests) fn remove(&mut self, name: &str) {
        self.version += 1;
        self.by_name.remove(name);
    }
}

impl Topics for FakeTopics {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        self.by_name.get(name).cloned()
    }

    fn name(&self, id: Uuid) -> Option<Arc<str>> {
        let found = self.by_name.iter().find(|(_, topic)| topic.id == id);
        found.map(|(name, _)| name.as_str().into())
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.by_name.keys().for_each(|name| visit(name));
    }

    /// Nobody sees what is secret.
    fn may_describe(&self, _: &Viewer, name: &str) -> bool {
        !name.contains("secret")
    }

    fn racks(&self, _: Uuid, _: i32) -> Vec<String> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        self.version
    }
}

pub(super) type Owned = BTreeSet<(Uuid, i32)>;

/// A consumer: what it wants, what it has, and what it was told last.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) instance: Option<String>,
    pub(super) topics: Option<Vec<String>>,
    pub(super) regex: Option<String>,
    pub(super) owned: Owned,
    /// It is a member as far as it knows.
    pub(super) joined: bool,
    /// Topics may be hidden from it.
    pub(super) viewer: Option<Viewer>,
    /// Its last heartbeat has no answer yet.
    pub(super) asked: Option<ReplyToken>,
}

impl Client {
    pub(super) fn named(id: &str, topics: &[&str]) -> Self {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Self { id: id.to_owned(), topics: Some(topics), ..Self::default() }
    }

    pub(super) fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let epoch = if self.joined { self.epoch } else { 0 };
        let mut owned: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.owned {
            owned.entry(*topic).or_default().push(*partition);
        }
        let owned = owned
            .into_iter()
            .map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions });
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch: epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: self.topics.clone(),
            subscribed_topic_regex: self.regex.clone(),
            topic_partitions: Some(owned.collect()),
            ..Default::default()
        }
    }

    /// Takes an answer in: gives up what is not its any more, takes what is new.
    pub(super) fn told(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                assert!(
                    !self.joined || response.member_epoch >= self.epoch,
                    "epochs never go back"
                );
                self.joined = true;
                self.epoch = response.member_epoch;
                if let Some(assignment) = &response.assignment {
                    let all = assignment.topic_partitions.iter().flat_map(|topic| {
                        topic.partitions.iter().map(|partition| (topic.topic_id, *partition))
                    });
                    self.owned = all.collect();
                }
            }
            ErrorCode::FencedMemberEpoch
            | ErrorCode::UnknownMemberId
            | ErrorCode::GroupIdNotFound => {
                self.joined = false;
                self.epoch = 0;
                self.owned.clear();
            }
            _ => {} // It asks again.
        }
    }
}

pub(super) struct World {
    pub(super) bench: Bench,
    pub(super) topics: FakeTopics,
}

impl World {
    pub(super) fn new(topics: &[(&str, i32)]) -> Self {
        Self::with(GroupConfig::default(), topics)
    }

    pub(super) fn with(config: GroupConfig, topics: &[(&str, i32)]) -> Self {
        let mut world = Self { bench: Bench::with(config), topics: FakeTopics::default() };
        for (name, partitions) in topics {
            world.set_topic(name, *partitions);
        }
        world
    }

    /// Makes a topic, or gives it more partitions.
    pub(super) fn set_topic(&mut self, name: &str, partitions: i32) {
        self.topics.set(name, partitions);
        self.tell_topics(name);
    }

    pub(super) fn delete_topic(&mut self, name: &str) {
        self.topics.remove(name);
        self.tell_topics(name);
    }

    fn tell_topics(&mut self, name: &str) {
        let topics = Arc::new(self.topics.clone());
        self.bench.shard.on_metadata(topics, &[name.into()], false);
    }

    pub(super) fn crash(&mut self) {
        self.bench.crash();
        self.bench.shard.on_metadata(Arc::new(self.topics.clone()), &[], true);
    }

    pub(super) fn ask(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let token = self.send(request);
        self.answer(token)
    }

    pub(super) fn send(&mut self, request: ConsumerGroupHeartbeatRequest) -> ReplyToken {
        let command =
            Command::ConsumerGroupHeartbeat { context: context(1), request, member_uuid: Uuid(7) };
        self.bench.send(command)
    }

    pub(super) fn answer(&mut self, token: ReplyToken) -> ConsumerGroupHeartbeatResponse {
        match self.bench.answer(token) {
            Reply::ConsumerGroupHeartbeat(response) => response,
            other => panic!("not to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn beat(&mut self, client: &mut Client) -> ErrorCode {
        let context = ClientContext { viewer: client.viewer.clone(), ..context(1) };
        let request = client.request();
        let command = Command::ConsumerGroupHeartbeat { context, request, member_uuid: Uuid(7) };
        let token = self.bench.send(command);
        let response = self.answer(token);
        client.told(&response);
        ErrorCode::from_code(response.error_code)
    }

    /// Everyone beats, second by second, until the group is stable.
    pub(super) fn converge(&mut self, clients: &mut [Client]) {
        for _ in 0..50 {
            for client in clients.iter_mut() {
                self.beat(client);
            }
            self.bench.advance(1_000);
            let reconciled = self.state() == Some(ConsumerGroupState::Stable);
            if reconciled && clients.iter().all(|client| self.is_current(client)) {
                return;
            }
        }
        panic!("the group does not come to rest: {:?}", self.bench.shard.consumers);
    }

    fn is_current(&self, client: &Client) -> bool {
        let group = self.bench.shard.consumers.get(GROUP);
        let member = group.and_then(|group| group.member(&client.id));
        client.joined && member.is_some_and(|member| member.progress.epoch == client.epoch)
    }

    pub(super) fn state(&self) -> Option<ConsumerGroupState> {
        self.bench.shard.consumer_groups().find(|(id, ..)| *id == GROUP).map(|(_, state, _)| state)
    }

    pub(super) fn all_partitions(&self, names: &[String]) -> Owned {
        let topics = names.iter().filter_map(|name| self.topics.by_name.get(name));
        topics.flat_map(|topic| (0..topic.partitions).map(|index| (topic.id, index))).collect()
    }
}
