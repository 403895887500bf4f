//! Topics and threads of an application around a bench: each thread reconciles as KIP-1071 says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::create_topics_request::CreatableTopic;
use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Subtopology, TaskIds, TopicInfo, Topology,
};
use naru_protocol::messages::streams_group_heartbeat_response as answer;
use naru_protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

use super::super::bench::{Bench, GROUP, context};
use super::super::consumers::world::FakeTopics;
use crate::config::{Bounded, StreamsConfig};
use crate::{Command, GroupConfig, Reply, ReplyToken, StreamsGroupState};

pub(super) type Tasks = BTreeSet<(String, i32)>;

/// A word count: `in` is read, regrouped through `g-words` and counted into a store.
pub(super) fn word_count() -> Topology {
    let topic = |name: &str| TopicInfo { name: name.into(), ..Default::default() };
    let split = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["in".into()],
        repartition_sink_topics: vec!["g-words".into()],
        ..Default::default()
    };
    let count = Subtopology {
        subtopology_id: "1".into(),
        repartition_source_topics: vec![topic("g-words")],
        state_changelog_topics: vec![topic("g-counts")],
        ..Default::default()
    };
    Topology { epoch: 0, subtopologies: vec![split, count] }
}

/// A thread of an application: what it has, and what it was told last.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) id: String,
    pub(super) process: String,
    pub(super) epoch: i32,
    pub(super) active: Tasks,
    pub(super) standby: Tasks,
    pub(super) statuses: Vec<(i8, String)>,
    /// It is a member as far as it knows.
    pub(super) joined: bool,
    /// Its last heartbeat has no answer yet.
    pub(super) asked: Option<ReplyToken>,
    pub(super) topology: Topology,
}

impl Thread {
    pub(super) fn named(id: &str, process: &str) -> Self {
        Self {
            id: id.into(),
            process: process.into(),
            epoch: 0,
            active: Tasks::new(),
            standby: Tasks::new(),
            statuses: Vec::new(),
            joined: false,
            asked: None,
            topology: word_count(),
        }
    }

    pub(super) fn request(&self) -> StreamsGroupHeartbeatRequest {
        let request = StreamsGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            active_tasks: Some(ids(&self.active)),
            standby_tasks: Some(ids(&self.standby)),
            warmup_tasks: Some(Vec::new()),
            ..Default::default()
        };
        if self.joined {
            return request;
        }
        StreamsGroupHeartbeatRequest {
            member_epoch: 0,
            rebalance_timeout_ms: 60_000,
            process_id: Some(self.process.clone()),
            topology: Some(self.topology.clone()),
            active_tasks: Some(Vec::new()),
            standby_tasks: Some(Vec::new()),
            ..request
        }
    }

    /// Takes an answer in: gives up what is not its any more, takes what is new.
    pub(super) fn told(&mut self, response: &StreamsGroupHeartbeatResponse) {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                assert!(
                    !self.joined || response.member_epoch >= self.epoch,
                    "epochs never go back"
                );
                self.joined = true;
                self.epoch = response.member_epoch;
                if let Some(active) = &response.active_tasks {
                    self.active = tasks(active);
                    self.standby = tasks(response.standby_tasks.as_deref().unwrap_or_default());
                }
                let statuses = response.status.iter().flatten();
                self.statuses =
                    statuses.map(|one| (one.status_code, one.status_detail.clone())).collect();
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => self.forget(),
            _ => {} // It asks again.
        }
    }

    pub(super) fn forget(&mut self) {
        (self.joined, self.epoch, self.asked) = (false, 0, None);
        self.active.clear();
        self.standby.clear();
    }
}

fn ids(tasks: &Tasks) -> Vec<TaskIds> {
    let mut by_id: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (id, task) in tasks {
        by_id.entry(id).or_default().push(*task);
    }
    let ids = by_id.into_iter();
    ids.map(|(id, partitions)| TaskIds { subtopology_id: id.into(), partitions }).collect()
}

fn tasks(ids: &[answer::TaskIds]) -> Tasks {
    let all = ids.iter().flat_map(|one| {
        one.partitions.iter().map(|partition| (one.subtopology_id.clone(), *partition))
    });
    all.collect()
}

pub(super) struct World {
    pub(super) bench: Bench,
    pub(super) topics: FakeTopics,
}

impl World {
    /// Without the delay of the first assignment, and with so many standby replicas.
    pub(super) fn with(standby_replicas: i32, topics: &[(&str, i32)]) -> Self {
        let streams = StreamsConfig {
            initial_rebalance_delay_ms: 0,
            assignment_interval_ms: Bounded { value: 0, min: 0, max: 15_000 },
            standby_replicas: Bounded { value: standby_replicas, min: 0, max: 2 },
            ..StreamsConfig::default()
        };
        Self::configured(streams, topics)
    }

    pub(super) fn configured(streams: StreamsConfig, topics: &[(&str, i32)]) -> Self {
        let bench = Bench::with(GroupConfig { streams, ..GroupConfig::default() });
        let mut world = Self { bench, topics: FakeTopics::default() };
        for (name, partitions) in topics {
            world.set_topic(name, *partitions);
        }
        world
    }

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

    pub(super) fn send(&mut self, request: StreamsGroupHeartbeatRequest) -> ReplyToken {
        self.bench.send(Command::StreamsGroupHeartbeat { context: context(0), request })
    }

    pub(super) fn answer(
        &mut self,
        token: ReplyToken,
    ) -> (StreamsGroupHeartbeatResponse, Vec<CreatableTopic>) {
        match self.bench.answer(token) {
            Reply::StreamsGroupHeartbeat { response, missing } => (response, missing),
            other => panic!("not to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn ask(
        &mut self,
        request: StreamsGroupHeartbeatRequest,
    ) -> StreamsGroupHeartbeatResponse {
        let token = self.send(request);
        self.answer(token).0
    }

    /// Creates the topics that an answer asks for, as the broker does.
    pub(super) fn create(&mut self, missing: Vec<CreatableTopic>) {
        for topic in missing {
            self.set_topic(&topic.name, topic.num_partitions);
        }
    }

    pub(super) fn beat(&mut self, thread: &mut Thread) -> ErrorCode {
        let token = self.send(thread.request());
        let (response, missing) = self.answer(token);
        self.create(missing);
        thread.told(&response);
        ErrorCode::from_code(response.error_code)
    }

    /// Everyone beats, second by second, until the group is stable.
    pub(super) fn converge(&mut self, threads: &mut [Thread]) {
        for _ in 0..50 {
            for thread in threads.iter_mut() {
                self.beat(thread);
            }
            self.bench.advance(1_000);
            let stable = self.state() == Some(StreamsGroupState::Stable);
            if stable && threads.iter().all(|thread| self.is_current(thread)) {
                return;
            }
        }
        panic!("the group does not come to rest: {:?}", self.bench.shard.streams);
    }

    fn is_current(&self, thread: &Thread) -> bool {
        let group = self.bench.shard.streams.get(GROUP);
        let member = group.and_then(|group| group.member(&thread.id));
        thread.joined && member.is_some_and(|member| member.progress.epoch == thread.epoch)
    }

    pub(super) fn state(&self) -> Option<StreamsGroupState> {
        self.bench.shard.streams_groups().find(|(id, ..)| *id == GROUP).map(|(_, state, _)| state)
    }
}
