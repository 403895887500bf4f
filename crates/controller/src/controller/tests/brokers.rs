//! Brokers come, live, stop and go.

use naru_model::ErrorCode;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use naru_protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;

use super::*;
use crate::image::{BrokerImage, PartitionImage};

/// A cluster whose brokers speak to the active controller.
pub(super) struct Live {
    pub(super) cluster: Cluster,
    pub(super) sessions: BrokerSessions,
    pub(super) now_ms: i64,
}

pub(super) const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const TIMEOUT_MS: i64 = 9_000;

pub(super) fn directory(broker: i32) -> Uuid {
    Uuid(1_000 + u128::from(broker.unsigned_abs()))
}

pub(super) fn registration(broker: i32, incarnation: u128) -> BrokerRegistrationRequest {
    let feature = |feature: &Feature0| Feature {
        name: feature.name.to_owned(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    };
    BrokerRegistrationRequest {
        broker_id: broker,
        cluster_id: CLUSTER_ID.to_owned(),
        incarnation_id: Uuid(incarnation),
        listeners: vec![Listener {
            name: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        features: FEATURES.iter().map(feature).collect(),
        log_dirs: vec![directory(broker)],
        previous_broker_epoch: -1,
        ..BrokerRegistrationRequest::default()
    }
}

use super::Feature as Feature0;

impl Live {
    pub(super) fn new() -> Self {
        let cluster = Cluster::with_brokers(&[]);
        let sessions = cluster.controller.start_sessions(SessionSettings::default(), 0);
        Self { cluster, sessions, now_ms: 0 }
    }

    /// These brokers registered and unfenced.
    pub(super) fn with_brokers(ids: &[i32]) -> Self {
        let mut live = Self::new();
        for id in ids {
            live.start(*id, 1);
        }
        live
    }

    pub(super) fn register(
        &mut self,
        request: &BrokerRegistrationRequest,
        gone: bool,
    ) -> (ErrorCode, i64) {
        let context = RegisterBroker {
            version: 4,
            cluster_id: CLUSTER_ID,
            kraft_version: 1,
            next_offset: self.cluster.end(),
            previous_process_is_gone: gone,
            now_ms: self.now_ms,
        };
        let decision = self.cluster.controller.decide_broker_registration(
            &mut self.sessions,
            request,
            context,
        );
        self.cluster.commit(decision.records);
        (ErrorCode::from_code(decision.response.error_code), decision.response.broker_epoch)
    }

    /// Registers a process whose earlier one is gone, and unfences it.
    pub(super) fn start(&mut self, id: i32, incarnation: u128) -> i64 {
        let incarnation = incarnation * 1_000 + u128::from(id.unsigned_abs());
        let (code, epoch) = self.register(&registration(id, incarnation), true);
        assert_eq!(code, ErrorCode::None);
        let response = self.beat(id, |_| {});
        assert!(response.is_caught_up && !response.is_fenced);
        epoch
    }

    pub(super) fn heartbeat(&self, id: i32) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.broker(id).epoch,
            current_metadata_offset: self.cluster.end() - 1,
            ..BrokerHeartbeatRequest::default()
        }
    }

    pub(super) fn beat(
        &mut self,
        id: i32,
        with: impl FnOnce(&mut BrokerHeartbeatRequest),
    ) -> BrokerHeartbeatResponse {
        let mut request = self.heartbeat(id);
        with(&mut request);
        self.send(&request)
    }

    pub(super) fn send(&mut self, request: &BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
        let controller = &self.cluster.controller;
        let decision = controller.decide_broker_heartbeat(&mut self.sessions, self.now_ms, request);
        self.cluster.commit(decision.records);
        decision.response
    }

    /// Ticks until nothing is due.
    pub(super) fn tick(&mut self) {
        while self.deadline().is_some_and(|deadline| deadline <= self.now_ms) {
            let controller = &self.cluster.controller;
            let decision = controller.decide_tick(&mut self.sessions, self.now_ms);
            self.cluster.commit(decision.records);
        }
    }

    pub(super) fn deadline(&self) -> Option<i64> {
        self.cluster.controller.next_deadline(&self.sessions)
    }

    pub(super) fn gone(&mut self, id: i32) {
        let epoch = self.broker(id).epoch;
        let controller = &self.cluster.controller;
        let decision = controller.decide_broker_gone(&mut self.sessions, id, epoch);
        self.cluster.commit(decision.records);
    }

    pub(super) fn broker(&self, id: i32) -> &BrokerImage {
        self.cluster.controller.image().broker(id).unwrap()
    }

    pub(super) fn partition(&self, topic: &str, index: i32) -> PartitionImage {
        PartitionImage::clone(self.cluster.controller.image().partition(topic, index).unwrap())
    }

    /// One topic with one partition on these brokers.
    pub(super) fn topic_on(&mut self, name: &str, replicas: &[i32], min_isr: &str) {
        let mut topic = assigned(name, &[(0, replicas)]);
        topic.configs = with_config(name, &[("min.insync.replicas", Some(min_isr))]).configs;
        let [result] = self.cluster.create(&request(vec![topic])).try_into().unwrap();
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    }

    pub(super) fn configure(&mut self, topic: &str, key: &str, value: &str) {
        use naru_protocol::messages::incremental_alter_configs_request as alter;
        let config = alter::AlterableConfig {
            name: key.to_owned(),
            config_operation: 0,
            value: Some(value.to_owned()),
        };
        let resource = alter::AlterConfigsResource {
            resource_type: 2,
            resource_name: topic.to_owned(),
            configs: vec![config],
        };
        let ask = alter::IncrementalAlterConfigsRequest {
            resources: vec![resource],
            validate_only: false,
        };
        let decision = self.cluster.controller.decide_incremental_alter_configs(&ask);
        assert_eq!(decision.response.responses[0].error_code, 0);
        self.cluster.commit(decision.records);
    }
}

/// Leader, ISR and ELR.
pub(super) fn seats(partition: &PartitionImage) -> (Option<i32>, &[i32], &[i32]) {
    (partition.leader, &partition.isr, &partition.elr)
}

#[test]
fn a_broker_is_fenced_until_it_has_read_its_registration() {
    let mut live = Live::new();
    let (code, epoch) = live.register(&registration(1, 5), false);
    assert_eq!(code, ErrorCode::None);
    assert_eq!((live.broker(1).epoch, live.broker(1).fenced), (epoch, true));
    let response = live.beat(1, |heartbeat| heartbeat.current_metadata_offset = epoch - 1);
    assert!(!response.is_caught_up && response.is_fenced);
    let response = live.beat(1, |heartbeat| heartbeat.want_fence = true);
    assert!(response.is_caught_up && response.is_fenced);
    let response = live.beat(1, |heartbeat| heartbeat.current_metadata_offset = epoch);
    assert!(response.is_caught_up && !response.is_fenced);
    assert!(!live.broker(1).fenced);
}

#[test]
fn registrations_that_cannot_be_are_refused() {
    let mut live = Live::with_brokers(&[1]);
    let before = live.cluster.controller.image().clone();
    let good = registration(2, 9);
    let mut check = |request: BrokerRegistrationRequest, code| {
        assert_eq!(live.register(&request, false).0, code);
        assert_eq!(*live.cluster.controller.image(), before);
    };
    let other = BrokerRegistrationRequest { cluster_id: "other".to_owned(), ..good.clone() };
    check(other, ErrorCode::InconsistentClusterId);
    let zk = BrokerRegistrationRequest { is_migrating_zk_broker: true, ..good.clone() };
    check(zk, ErrorCode::BrokerIdNotRegistered);
    for dirs in [vec![], vec![Uuid(7)], vec![Uuid(500), Uuid(500)], vec![directory(1)]] {
        let request = BrokerRegistrationRequest { log_dirs: dirs, ..good.clone() };
        check(request, ErrorCode::InvalidRegistration);
    }
    let without = |name: &str| {
        let features = good.features.iter().filter(|feature| feature.name != name).cloned();
        BrokerRegistrationRequest { features: features.collect(), ..good.clone() }
    };
    check(without("metadata.version"), ErrorCode::InvalidRegistration);
    // Finalized, and not supported by this broker.
    check(without("group.version"), ErrorCode::UnsupportedVersion);
    check(without("kraft.version"), ErrorCode::UnsupportedVersion);
    let mut old = good.clone();
    old.features[0].max_supported_version = 29;
    check(old, ErrorCode::UnsupportedVersion);
}

#[test]
fn a_living_broker_is_not_replaced_and_a_dead_one_is_at_once() {
    let mut live = Live::with_brokers(&[1]);
    live.topic_on("t", &[1], "1");
    let epoch = live.broker(1).epoch;
    let second = registration(1, 77);
    assert_eq!(live.register(&second, false).0, ErrorCode::DuplicateBrokerRegistration);
    live.now_ms = TIMEOUT_MS;
    assert_eq!(live.register(&second, false).0, ErrorCode::DuplicateBrokerRegistration);
    let (code, next) = live.register(&second, true);
    assert_eq!(code, ErrorCode::None);
    assert!(next > epoch);
    let stale = BrokerHeartbeatRequest { broker_epoch: epoch, ..live.heartbeat(1) };
    assert_eq!(live.send(&stale).error_code, ErrorCode::StaleBrokerEpoch.code());
    // Fenced: nothing that a third one could break.
    assert_eq!(live.register(&registration(1, 78), false).0, ErrorCode::None);
}

#[test]
fn a_silent_brokers_place_is_free_after_its_session() {
    let mut live = Live::with_brokers(&[1]);
    live.now_ms = TIMEOUT_MS + 1;
    assert_eq!(live.register(&registration(1, 77), false).0, ErrorCode::None);
}

#[test]
fn the_same_process_may_say_more_and_keeps_its_epoch() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    let before = live.broker(1).clone();
    let again = BrokerRegistrationRequest {
        rack: Some("r".to_owned()),
        ..registration(1, before.incarnation_id.0)
    };
    assert_eq!(live.register(&again, false), (ErrorCode::None, before.epoch));
    assert_eq!(*live.broker(1), BrokerImage { rack: Some("r".to_owned()), ..before });
    assert_eq!(live.partition("t", 0).isr, [1, 2]);
}

#[test]
fn a_broker_that_is_gone_is_fenced_and_its_partitions_go_on() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2, 3], "2");
    live.topic_on("other", &[2, 3], "1");
    live.gone(1);
    assert!(live.broker(1).fenced);
    assert_eq!(seats(&live.partition("t", 0)), (Some(2), &[2, 3][..], &[][..]));
    assert_eq!(live.partition("other", 0).partition_epoch, 0);
    let records = live.cluster.log.len();
    live.gone(1);
    assert_eq!(live.cluster.log.len(), records);
}

#[test]
fn sessions_end_one_by_one_the_longest_silent_first() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2, 3], "1");
    live.now_ms = 100;
    live.beat(2, |_| {});
    live.now_ms = 200;
    live.beat(3, |_| {});
    assert_eq!(live.deadline(), Some(TIMEOUT_MS + 1));
    live.now_ms = TIMEOUT_MS;
    live.tick();
    assert!(!live.broker(1).fenced);
    live.now_ms = TIMEOUT_MS + 1;
    live.tick();
    assert!(live.broker(1).fenced && !live.broker(2).fenced);
    live.now_ms = TIMEOUT_MS + 300;
    live.tick();
    assert!(live.broker(3).fenced);
    // The last one keeps its place: it has everything.
    assert_eq!(seats(&live.partition("t", 0)), (None, &[][..], &[3][..]));
    live.beat(2, |_| {});
    assert_eq!(live.partition("t", 0).leader, None);
    live.beat(3, |_| {});
    assert_eq!(seats(&live.partition("t", 0)), (Some(3), &[3][..], &[][..]));
}

#[test]
fn a_controller_that_stood_still_hears_its_brokers_before_it_judges() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.now_ms = 60_000;
    live.tick();
    assert!(!live.broker(1).fenced && !live.broker(2).fenced);
    live.beat(2, |_| {});
    // Broker 1 says nothing, and is given no more.
    assert_eq!(live.deadline(), Some(61_001));
    live.now_ms = 63_000;
    live.tick();
    assert!(live.broker(1).fenced && !live.broker(2).fenced);
}

/// A living broker of Apache Kafka may wait half a session for the old controller's answer before
/// it asks the new one; what is cut off with the old controller is to be judged in its session.
#[test]
fn a_new_controller_gives_each_broker_its_lease_to_be_heard() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2, 3], "1");
    // Controller and broker 1 fall silent together; the election takes two seconds.
    live.now_ms = 2_000;
    live.sessions = live.cluster.controller.start_sessions(SessionSettings::default(), 2_000);
    let lease = broker_lease_ms(TIMEOUT_MS);
    assert!(lease > TIMEOUT_MS / 2 && 2_000 + lease < TIMEOUT_MS);
    live.now_ms = 2_000 + TIMEOUT_MS / 2;
    live.beat(2, |_| {});
    live.now_ms = 2_000 + lease;
    live.beat(3, |_| {});
    live.tick();
    assert!(!live.broker(1).fenced, "its lease is just over");
    live.now_ms += 1;
    live.tick();
    assert!(live.broker(1).fenced && !live.broker(2).fenced && !live.broker(3).fenced);
    assert_eq!(live.partition("t", 0).leader, Some(2));
    // From the first contact on it is the whole session.
    assert_eq!(live.deadline(), Some(2_000 + TIMEOUT_MS / 2 + TIMEOUT_MS + 1));
}

#[test]
fn a_broker_that_is_long_gone_delays_no_verdict_on_another() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.gone(1);
    live.now_ms = 100_000;
    live.beat(2, |_| {});
    live.now_ms += TIMEOUT_MS + 1;
    live.tick();
    assert!(live.broker(2).fenced);
}

#[test]
fn a_stopping_broker_loses_its_leaders_and_stops_when_the_others_know() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    let stop = |heartbeat: &mut BrokerHeartbeatRequest| heartbeat.want_shut_down = true;
    let response = live.beat(1, stop);
    assert!(!response.should_shut_down && !response.is_fenced);
    assert!(live.broker(1).in_controlled_shutdown);
    assert_eq!(seats(&live.partition("t", 0)), (Some(2), &[2][..], &[][..]));
    // Broker 2 has not read of its new partition yet.
    assert!(!live.beat(1, stop).should_shut_down);
    live.beat(2, |heartbeat| heartbeat.current_metadata_offset -= 1);
    assert!(!live.beat(1, stop).should_shut_down);
    live.beat(2, |_| {});
    let response = live.beat(1, stop);
    assert!(response.should_shut_down && response.is_fenced);
    assert!(live.broker(1).fenced);
    // It stopped cleanly, says so, and is back at once.
    let again = BrokerRegistrationRequest {
        previous_broker_epoch: live.broker(1).epoch,
        ..registration(1, 99)
    };
    assert_eq!(live.register(&again, false).0, ErrorCode::None);
    assert!(!live.broker(1).in_controlled_shutdown);
}

#[test]
fn the_only_broker_stops_too() {
    let mut live = Live::with_brokers(&[1]);
    live.topic_on("t", &[1], "1");
    let stop = |heartbeat: &mut BrokerHeartbeatRequest| heartbeat.want_shut_down = true;
    live.beat(1, stop);
    assert_eq!(seats(&live.partition("t", 0)), (None, &[][..], &[1][..]));
    assert!(live.beat(1, stop).should_shut_down);
    let epoch = live.broker(1).epoch;
    let again = BrokerRegistrationRequest { previous_broker_epoch: epoch, ..registration(1, 99) };
    assert_eq!(live.register(&again, false).0, ErrorCode::None);
    live.beat(1, |_| {});
    let partition = live.partition("t", 0);
    assert_eq!(seats(&partition), (Some(1), &[1][..], &[][..]));
    assert_eq!(partition.leader_recovery_state, 0);
}

#[test]
fn a_process_that_did_not_stop_cleanly_is_not_eligible_any_more() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "2");
    live.gone(2);
    assert_eq!(seats(&live.partition("t", 0)), (Some(1), &[1][..], &[2][..]));
    live.register(&registration(2, 50), false);
    assert_eq!(seats(&live.partition("t", 0)), (Some(1), &[1][..], &[][..]));
    // Registered anew without having been fenced in between.
    live.register(&registration(1, 51), true);
    let partition = live.partition("t", 0);
    assert_eq!(seats(&partition), (None, &[][..], &[][..]));
    assert_eq!(partition.last_known_elr, [1]);
    live.beat(2, |_| {});
    assert_eq!(live.partition("t", 0).leader, None);
    live.beat(1, |_| {});
    let partition = live.partition("t", 0);
    assert_eq!((partition.leader, partition.leader_recovery_state), (Some(1), 1));
}

#[test]
fn a_lost_directory_takes_only_its_replicas_offline() {
    let mut live = Live::with_brokers(&[2]);
    let two = vec![Uuid(600), Uuid(601)];
    let request = BrokerRegistrationRequest { log_dirs: two, ..registration(1, 5) };
    live.register(&request, false);
    live.beat(1, |_| {});
    live.topic_on("a", &[1, 2], "1");
    live.topic_on("b", &[1, 2], "1");
    live.assign(1, "a", Uuid(600));
    live.assign(1, "b", Uuid(601));
    live.beat(1, |heartbeat| heartbeat.offline_log_dirs = vec![Uuid(600)]);
    assert_eq!(live.partition("a", 0).leader, Some(2));
    assert_eq!(live.partition("b", 0).leader, Some(1));
    assert_eq!(live.broker(1).log_dirs, [Uuid(601)]);
    let records = live.cluster.log.len();
    live.beat(1, |heartbeat| heartbeat.offline_log_dirs = vec![Uuid(600)]);
    assert_eq!(live.cluster.log.len(), records);
    // Nobody can lead from a lost directory.
    live.gone(2);
    assert_eq!(live.partition("a", 0).leader, None);
}

#[test]
fn cordoned_directories_are_noted_once() {
    let mut live = Live::with_brokers(&[1]);
    let cordon = |heartbeat: &mut BrokerHeartbeatRequest| {
        heartbeat.cordoned_log_dirs = Some(vec![directory(1)]);
    };
    live.beat(1, cordon);
    assert_eq!(live.broker(1).cordoned_log_dirs, Some(vec![directory(1)]));
    let records = live.cluster.log.len();
    live.beat(1, cordon);
    live.beat(1, |_| {});
    assert_eq!(live.cluster.log.len(), records);
    let [result] = live.cluster.create(&request(vec![topic("t", 1, 1)])).try_into().unwrap();
    assert_eq!(result.error_code, ErrorCode::InvalidReplicationFactor.code());
}

#[test]
fn an_unregistered_broker_is_forgotten() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    let mut unregister = |id| {
        let request = UnregisterBrokerRequest { broker_id: id };
        let controller = &live.cluster.controller;
        let decision = controller.decide_unregister_broker(&mut live.sessions, &request);
        live.cluster.commit(decision.records);
        decision.response
    };
    assert_eq!(unregister(1).error_code, 0);
    let refused = unregister(1);
    assert_eq!(refused.error_code, ErrorCode::BrokerIdNotRegistered.code());
    let text = "Broker ID 1 is not currently registered";
    assert_eq!(refused.error_message.as_deref(), Some(text));
    assert!(live.cluster.controller.image().broker(1).is_none());
    assert_eq!(seats(&live.partition("t", 0)), (Some(2), &[2][..], &[][..]));
}

#[test]
fn preferred_leaders_come_back_when_it_is_time() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    live.gone(1);
    live.start(1, 2);
    let before = live.partition("t", 0);
    live.alter_isr("t", 2, &[2, 1]);
    assert_eq!(live.partition("t", 0).leader, Some(2));
    live.now_ms = 299_999;
    live.beat(1, |_| {});
    live.beat(2, |_| {});
    live.tick();
    assert_eq!(live.partition("t", 0).leader, Some(2));
    live.now_ms = 300_000;
    live.tick();
    assert_eq!(live.partition("t", 0).leader, Some(1));
    assert_eq!(live.partition("t", 0).leader_epoch, before.leader_epoch + 1);
}

#[test]
fn unclean_elections_happen_when_they_are_allowed_and_no_sooner() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    live.gone(2);
    live.gone(1);
    live.beat(2, |_| {});
    live.tick();
    assert_eq!(live.partition("t", 0).leader, None);
    live.configure("t", "unclean.leader.election.enable", "true");
    assert!(live.deadline().is_some_and(|deadline| deadline <= live.now_ms));
    live.tick();
    let partition = live.partition("t", 0);
    assert_eq!((partition.leader, partition.leader_recovery_state), (Some(2), 1));
    assert!(live.deadline().is_none_or(|deadline| deadline > live.now_ms));
}
