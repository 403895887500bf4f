//! Random lives of a cluster: brokers come, go, stop and lose directories, leaders change their
//! ISRs, admins reassign, elect, create and delete, in any order.
//!
//! Beside the controller runs a model of what was acknowledged: whenever a partition has a leader
//! and an ISR of its minimum size, something is, and exactly the ISR has it. A leader that is not
//! recovering must have everything that was acknowledged.

use std::collections::BTreeMap;

use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use naru_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_quotas::MutationQuota;
use proptest::prelude::*;

use super::brokers::{Live, registration};
use super::*;
use crate::image::PartitionImage;

const BROKERS: i32 = 4;
const TOPICS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Register { broker: i32, clean: bool, gone: bool },
    Beat { broker: i32, want_fence: bool, want_shut_down: bool, lose_dir: bool, behind: i64 },
    Gone(i32),
    Unregister(i32),
    Wait(i64),
    Isr { topic: usize, partition: i32, members: u8, stale: bool, recovering: bool },
    Reassign { topic: usize, partition: i32, target: Option<Vec<i32>> },
    Elect { kind: i8 },
    Create { topic: usize, partitions: i32, replicas: i16 },
    Delete { topic: usize },
    MinIsr { topic: usize, min: u8 },
    Unclean { topic: usize, allowed: bool },
    Assign { broker: i32, topic: usize, lost: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let broker = || 1..=BROKERS;
    let topic = || 0..TOPICS.len();
    let target = Just((1..=BROKERS).collect::<Vec<_>>())
        .prop_shuffle()
        .prop_flat_map(|all| (Just(all), 0..=4usize))
        .prop_map(|(mut all, len)| {
            all.truncate(len);
            all
        });
    prop_oneof![
        3 => (broker(), any::<bool>(), any::<bool>())
            .prop_map(|(broker, clean, gone)| Step::Register { broker, clean, gone }),
        8 => (broker(), 0..10u8, 0..8u8, 0..12u8, 0..3i64).prop_map(
            |(broker, fence, stop, lose, behind)| Step::Beat {
                broker,
                want_fence: fence == 0,
                want_shut_down: stop == 0,
                lose_dir: lose == 0,
                behind,
            }
        ),
        2 => broker().prop_map(Step::Gone),
        1 => broker().prop_map(Step::Unregister),
        2 => (0..12_000i64).prop_map(Step::Wait),
        8 => (topic(), 0..2i32, any::<u8>(), 0..10u8, 0..10u8).prop_map(
            |(topic, partition, members, stale, recovering)| Step::Isr {
                topic,
                partition,
                members,
                stale: stale == 0,
                recovering: recovering == 0,
            }
        ),
        3 => (topic(), 0..2i32, prop::option::weighted(0.8, target)).prop_map(
            |(topic, partition, target)| Step::Reassign { topic, partition, target }
        ),
        1 => (0..3i8).prop_map(|kind| Step::Elect { kind }),
        2 => (topic(), 1..3i32, 1..5i16)
            .prop_map(|(topic, partitions, replicas)| Step::Create { topic, partitions, replicas }),
        1 => topic().prop_map(|topic| Step::Delete { topic }),
        1 => (topic(), 1..4u8).prop_map(|(topic, min)| Step::MinIsr { topic, min }),
        1 => (topic(), any::<bool>()).prop_map(|(topic, allowed)| Step::Unclean { topic, allowed }),
        1 => (broker(), topic(), any::<bool>())
            .prop_map(|(broker, topic, lost)| Step::Assign { broker, topic, lost }),
    ]
}

/// The cluster and what is known of its data.
pub(super) struct World {
    pub(super) live: Live,
    incarnation: u128,
    /// Who has everything that was acknowledged.
    complete: BTreeMap<PartitionKey, BTreeSet<i32>>,
    /// How much of the log the model has followed.
    followed: usize,
    /// The controller up to there.
    shadow: Controller,
    /// Who has just stopped without saying so, while the records of that are followed.
    lost_tail: Option<i32>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            live: Live::new(),
            incarnation: 0,
            complete: BTreeMap::new(),
            followed: 0,
            shadow: Controller::new(1, Arc::new(Props::new())),
            lost_tail: None,
        };
        for broker in 1..=BROKERS {
            world.register(broker, false, false);
            world.live.beat(broker, |_| {});
        }
        world.follow();
        world
    }

    fn image(&self) -> &MetadataImage {
        self.live.cluster.controller.image()
    }

    fn register(&mut self, broker: i32, clean: bool, gone: bool) {
        self.incarnation += 1;
        let registered = self.image().broker(broker).map(|broker| broker.epoch);
        let request = BrokerRegistrationRequest {
            previous_broker_epoch: registered.filter(|_| clean).unwrap_or(-1),
            ..registration(broker, self.incarnation)
        };
        let (code, _) = self.live.register(&request, gone);
        if code == ErrorCode::None && !(clean && registered.is_some()) {
            self.lost_tail = Some(broker);
        }
    }

    fn run(&mut self, step: &Step) {
        match step.clone() {
            Step::Register { broker, clean, gone } => self.register(broker, clean, gone),
            Step::Beat { broker, want_fence, want_shut_down, lose_dir, behind } => {
                if let Some(image) = self.image().broker(broker) {
                    let dirs = image.log_dirs.clone();
                    let response = self.live.beat(broker, |heartbeat| {
                        heartbeat.want_fence = want_fence;
                        heartbeat.want_shut_down = want_shut_down;
                        heartbeat.current_metadata_offset -= behind;
                        if lose_dir {
                            heartbeat.offline_log_dirs = dirs;
                        }
                    });
                    assert_eq!(response.error_code, 0);
                    assert_eq!(response.is_fenced, self.live.broker(broker).fenced);
                    assert!(!response.should_shut_down || response.is_fenced);
                }
            }
            Step::Gone(broker) => {
                if self.image().broker(broker).is_some() {
                    self.live.gone(broker);
                    assert!(self.live.broker(broker).fenced);
                }
            }
            Step::Unregister(broker_id) => {
                let request = UnregisterBrokerRequest { broker_id };
                let (controller, sessions) =
                    (&self.live.cluster.controller, &mut self.live.sessions);
                let records = controller.decide_unregister_broker(sessions, &request).records;
                self.live.cluster.commit(records);
            }
            Step::Wait(ms) => {
                self.live.now_ms += ms;
                self.live.tick();
            }
            Step::Isr { topic, partition, members, stale, recovering } => {
                self.alter(TOPICS[topic], partition, members, stale, recovering);
            }
            Step::Reassign { topic, partition, target } => {
                self.live.reassign_partition(TOPICS[topic], partition, target.as_deref(), true);
            }
            Step::Elect { kind } => self.elect(kind),
            Step::Create { topic: index, partitions, replicas } => {
                self.live.cluster.create(&request(vec![topic(
                    TOPICS[index],
                    partitions,
                    replicas,
                )]));
            }
            Step::Delete { topic } => {
                let topic_names = vec![TOPICS[topic].to_owned()];
                let ask = DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() };
                let records = self
                    .live
                    .cluster
                    .controller
                    .decide_delete_topics(&ask, &mut MutationQuota::unlimited())
                    .records;
                self.live.cluster.commit(records);
            }
            Step::MinIsr { topic, min } => {
                if self.image().topic(TOPICS[topic]).is_some() {
                    let min = min.to_string();
                    self.live.configure(TOPICS[topic], "min.insync.replicas", &min);
                }
            }
            Step::Unclean { topic, allowed } => {
                if self.image().topic(TOPICS[topic]).is_some() {
                    let key = "unclean.leader.election.enable";
                    self.live.configure(TOPICS[topic], key, &allowed.to_string());
                    self.live.tick();
                }
            }
            Step::Assign { broker, topic, lost } => {
                if let Some(image) = self.image().broker(broker)
                    && let Some(own) = image.log_dirs.first().copied()
                {
                    let directory = if lost { Uuid::DIR_LOST } else { own };
                    self.live.assign(broker, TOPICS[topic], directory);
                }
            }
        }
        self.follow();
    }

    /// The leader asks for an ISR of the replicas whose bit is set, itself included.
    fn alter(&mut self, name: &str, index: i32, members: u8, stale: bool, recovering: bool) {
        let Some(partition) = self.image().partition(name, index).cloned() else { return };
        let Some(leader) = partition.leader else { return };
        let epoch = |id: i32| self.image().broker(id).map_or(-1, |broker| broker.epoch);
        let chosen = |id: &&i32| **id == leader || members >> id.unsigned_abs() & 1 == 1;
        let isr = partition.replicas.iter().filter(chosen);
        let state = |id: &i32| BrokerState { broker_id: *id, broker_epoch: epoch(*id) };
        let data = PartitionData {
            partition_index: index,
            leader_epoch: partition.leader_epoch - i32::from(stale),
            new_isr: Vec::new(),
            new_isr_with_epochs: isr.map(state).collect(),
            leader_recovery_state: i8::from(recovering),
            partition_epoch: partition.partition_epoch,
        };
        let topic_id = self.image().topic(name).unwrap().id;
        let request = AlterPartitionRequest {
            broker_id: leader,
            broker_epoch: epoch(leader),
            topics: vec![TopicData { topic_id, partitions: vec![data] }],
        };
        let decision = self.live.cluster.controller.decide_alter_partition(&request, 3);
        let answer = &decision.response.topics[0].partitions[0];
        assert!(!(stale && answer.error_code == 0));
        // Who joins has caught up with the leader, before the records that say so.
        if !decision.records.is_empty() {
            let joined: Vec<i32> = request.topics[0].partitions[0]
                .new_isr_with_epochs
                .iter()
                .map(|state| state.broker_id)
                .collect();
            self.complete.entry((topic_id, index)).or_default().extend(joined);
        }
        self.live.cluster.commit(decision.records);
    }

    fn elect(&mut self, election_type: i8) {
        let ask = ElectLeadersRequest { election_type, topic_partitions: None, timeout_ms: 1000 };
        let records = self.live.cluster.controller.decide_elect_leaders(&ask).records;
        self.live.cluster.commit(records);
    }

    /// Follows the records written since, one by one.
    fn follow(&mut self) {
        let lost_tail = self.lost_tail.take();
        if let Some(broker) = lost_tail {
            self.complete.values_mut().for_each(|complete| {
                complete.remove(&broker);
            });
        }
        while self.followed < self.live.cluster.log.len() {
            let record = self.live.cluster.log[self.followed].record.clone();
            let key = match &record {
                MetadataRecord::PartitionRecord(r) => Some((r.topic_id, r.partition_id)),
                MetadataRecord::PartitionChangeRecord(r) => Some((r.topic_id, r.partition_id)),
                _ => None,
            };
            let before = key.and_then(|key| partition_of(&self.shadow, key));
            let offset = i64::try_from(self.followed).unwrap();
            self.shadow.replay(offset, 1, &record).unwrap();
            self.followed += 1;
            if let Some(key) = key {
                let after = partition_of(&self.shadow, key).unwrap();
                self.check_change(key, before.as_ref(), &after);
            }
            self.acknowledge();
        }
        self.check();
    }

    fn check_change(
        &mut self,
        key: PartitionKey,
        before: Option<&PartitionImage>,
        after: &PartitionImage,
    ) {
        let complete = self.complete.entry(key).or_default();
        let Some(before) = before else {
            complete.extend(&after.isr);
            return;
        };
        assert_eq!(after.partition_epoch, before.partition_epoch + 1);
        let counted = after.leader_epoch - before.leader_epoch;
        assert!(counted == 0 || counted == 1);
        assert!(counted == 1 || after.leader == before.leader, "a leader without an epoch");
        if let Some(leader) = after.leader
            && after.leader != before.leader
        {
            if after.leader_recovery_state == 1 {
                // Records may be lost; what this leader has is what there is.
                *complete = BTreeSet::from([leader]);
            } else {
                assert!(complete.contains(&leader), "{leader} leads and lacks records: {after:?}");
            }
        }
    }

    /// Wherever something can be acknowledged, it is.
    fn acknowledge(&mut self) {
        for topic in self.shadow.image().topics() {
            let min_isr = self.shadow.config_value_of(&topic.name);
            for (index, partition) in topic.partitions.iter() {
                let enough = partition.isr.len() >= min_isr.min(partition.replicas.len());
                if partition.leader.is_some() && enough {
                    let isr = partition.isr.iter().copied().collect();
                    self.complete.insert((topic.id, *index), isr);
                }
            }
        }
    }

    /// What holds after every decision.
    fn check(&self) {
        assert_eq!(self.shadow, self.live.cluster.controller);
        let image = self.image();
        for topic in image.topics() {
            let min_isr = self.shadow.config_value_of(&topic.name);
            for partition in topic.partitions.values() {
                check_partition(image, partition, min_isr);
            }
        }
    }

    /// A snapshot says all that the log says.
    fn check_snapshot(&self) {
        let mut restored = Controller::new(1, Arc::new(Props::new()));
        let last = self.image().end_offset() - 1;
        for record in self.image().to_records() {
            let bytes = bytes::Bytes::from(record.to_bytes());
            restored.replay(last, 1, &MetadataRecord::from_bytes(&bytes).unwrap()).unwrap();
        }
        assert_eq!(restored, self.live.cluster.controller);
    }

    /// Everybody is there and in sync: everything comes to rest.
    fn calm(&mut self) {
        for broker in 1..=BROKERS {
            self.register(broker, false, true);
            self.follow();
            self.live.beat(broker, |_| {});
            self.follow();
        }
        for broker in 1..=BROKERS {
            for topic in TOPICS {
                let own = self.live.broker(broker).log_dirs[0];
                self.live.assign(broker, topic, own);
                let second = self.image().topic(topic).map(|topic| topic.id);
                if let Some(id) = second {
                    self.assign_second(broker, id, own);
                }
            }
        }
        self.elect(1);
        self.follow();
        for topic in TOPICS {
            for index in 0..2 {
                // Once for the leader that a finished reassignment gives.
                for _ in 0..2 {
                    self.alter(topic, index, u8::MAX, false, false);
                    self.follow();
                }
            }
        }
        self.elect(0);
        self.follow();
        for topic in self.image().topics() {
            for partition in topic.partitions.values() {
                let mut isr = partition.isr.clone();
                let mut replicas = partition.replicas.clone();
                isr.sort_unstable();
                replicas.sort_unstable();
                assert_eq!(isr, replicas);
                assert_eq!(partition.leader.as_ref(), partition.replicas.first());
                assert_eq!(partition.leader_recovery_state, 0);
                assert!(partition.elr.is_empty() && partition.last_known_elr.is_empty());
                assert!(partition.adding_replicas.is_empty());
                assert!(partition.removing_replicas.is_empty());
            }
        }
        let index = &self.live.cluster.controller.index;
        assert_eq!(index.without_leader().count() + index.reassigning().count(), 0);
    }
}

impl Controller {
    /// A topic's least ISR.
    fn config_value_of(&self, topic: &str) -> usize {
        let resource = crate::image::ConfigResource::topic(topic);
        let own = self.image.config_value(&resource, "min.insync.replicas");
        own.map_or(1, |text| text.parse().unwrap())
    }
}

fn partition_of(controller: &Controller, key: PartitionKey) -> Option<PartitionImage> {
    let topic = controller.image().topic_by_id(key.0)?;
    topic.partitions.get(&key.1).map(|partition| PartitionImage::clone(partition))
}

fn check_partition(image: &MetadataImage, partition: &PartitionImage, min_isr: usize) {
    let distinct = |list: &[i32]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
    let replicas = &partition.replicas;
    let within = |list: &[i32]| distinct(list) && list.iter().all(|id| replicas.contains(id));
    assert!(distinct(replicas) && !replicas.is_empty());
    assert_eq!(partition.directories.len(), replicas.len());
    assert!(within(&partition.isr) && within(&partition.elr), "{partition:?}");
    assert!(within(&partition.adding_replicas) && within(&partition.removing_replicas));
    assert!(partition.elr.iter().all(|id| !partition.isr.contains(id)), "{partition:?}");
    assert!(partition.elr.is_empty() || partition.isr.len() < min_isr, "{partition:?}");
    let active = |id: &i32| image.broker(*id).is_some_and(|broker| broker.is_active());
    assert!(partition.isr.iter().all(active), "a fenced broker in {partition:?}");
    match partition.leader {
        Some(leader) => {
            assert!(partition.isr.contains(&leader), "{partition:?}");
            assert!(partition.last_known_elr.is_empty(), "{partition:?}");
            let broker = image.broker(leader).unwrap();
            assert!(broker.has_online_dir(partition.directory_of(leader)));
            assert!(partition.leader_recovery_state == 0 || partition.isr == [leader]);
        }
        None => assert!(partition.isr.is_empty(), "{partition:?}"),
    }
}

/// As many as `PROPTEST_CASES` says, or as a few seconds allow.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").is_ok();
    let default = ProptestConfig::default();
    ProptestConfig { cases: if asked { default.cases } else { 100 }, ..default }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn leaders_have_everything_and_all_comes_to_rest(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.check_snapshot();
        world.calm();
    }
}
