use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset, Uuid};

use super::*;

const NOW: i64 = 1_000_000;
const LAG: i64 = 30_000;
const HERE: BrokerId = BrokerId(1);

/// All brokers are active, in epoch 10 times their id, except those named.
struct Cluster(Vec<i32>);

impl Brokers for Cluster {
    fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        let epoch = BrokerEpoch(i64::from(id.0) * 10);
        Some(BrokerState { epoch, active: !self.0.contains(&id.0) })
    }
}

struct Bench {
    replica: Replica,
    ends: LogEnds,
    cluster: Cluster,
    now: i64,
}

impl Bench {
    fn new(min_insync_replicas: usize) -> Self {
        let settings = ReplicaSettings { lag_time_max_ms: LAG, min_insync_replicas };
        Self {
            replica: Replica::new(HERE, settings, Offset(0)),
            ends: LogEnds::default(),
            cluster: Cluster(Vec::new()),
            now: NOW,
        }
    }

    fn leading(min_insync_replicas: usize, isr: &[i32]) -> Self {
        let mut bench = Self::new(min_insync_replicas);
        bench.metadata(Some(1), 5, 8, isr);
        bench
    }

    fn step(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.step(self.now, &self.ends, &self.cluster, event, &mut effects);
        effects
    }

    fn metadata(
        &mut self,
        leader: Option<i32>,
        epoch: i32,
        version: i32,
        isr: &[i32],
    ) -> Vec<Effect> {
        let state = PartitionState {
            leader: leader.map(BrokerId),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: version,
            replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
            isr: ids(isr),
            lost: Vec::new(),
        };
        self.step(Event::Metadata(&state))
    }

    fn log(&mut self, end: i64) -> Vec<Effect> {
        self.ends.end = Offset(end);
        self.ends.stored = Offset(end);
        self.step(Event::LogMoved)
    }

    fn fetch(&mut self, replica: i32, offset: i64) -> Vec<Effect> {
        let fetch = FollowerFetch {
            replica: BrokerId(replica),
            broker_epoch: Some(BrokerEpoch(i64::from(replica) * 10)),
            offset: Offset(offset),
            log_start: Offset(0),
            leader_end: self.ends.end,
        };
        self.step(Event::FollowerFetched(fetch))
    }

    fn answer(&mut self, proposal: u64, answer: IsrAnswer<'_>) -> Vec<Effect> {
        self.step(Event::IsrAnswered { proposal, answer })
    }

    fn high_watermark(&self) -> i64 {
        self.replica.high_watermark().0
    }
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn proposed(effects: &[Effect]) -> Option<(u64, Vec<i32>)> {
    effects.iter().find_map(|effect| match effect {
        Effect::ProposeIsr(proposal) => {
            Some((proposal.number, proposal.isr.iter().map(|(id, _)| id.0).collect()))
        }
        _ => None,
    })
}

#[test]
fn a_follower_with_a_lost_directory_is_neither_waited_for_nor_added() {
    let mut bench = Bench::leading(1, &[1, 2, 3]);
    bench.log(5);
    bench.fetch(2, 5);
    bench.fetch(3, 5);
    assert_eq!(bench.high_watermark(), 5);
    bench.log(9);
    bench.fetch(2, 9);
    assert_eq!(bench.high_watermark(), 5);
    let mut state = PartitionState {
        leader: Some(HERE),
        leader_epoch: bench.replica.epoch(),
        partition_epoch: 100,
        replicas: ids(&[1, 2, 3]),
        isr: ids(&[1, 2]),
        lost: ids(&[3]),
    };
    bench.step(Event::Metadata(&state));
    assert_eq!(bench.high_watermark(), 9);
    assert_eq!(proposed(&bench.fetch(3, 9)), None);
    state.partition_epoch += 1;
    state.lost.clear();
    bench.step(Event::Metadata(&state));
    assert_eq!(proposed(&bench.fetch(3, 9)).map(|(_, isr)| isr), Some(vec![1, 2, 3]));
}

#[test]
fn a_sole_replica_commits_what_it_has_stored() {
    let mut bench = Bench::new(3);
    let state = PartitionState {
        leader: Some(HERE),
        replicas: vec![HERE],
        isr: vec![HERE],
        ..PartitionState::default()
    };
    assert_eq!(
        bench.step(Event::Metadata(&state)),
        [Effect::BecameLeader { epoch: LeaderEpoch(0) }]
    );
    bench.ends = LogEnds { start: Offset(0), end: Offset(9), stored: Offset(7) };
    assert_eq!(bench.step(Event::LogMoved), [Effect::HighWatermark(Offset(7))]);
}

#[test]
fn the_high_watermark_waits_for_the_slowest_in_sync_follower() {
    let mut bench = Bench::leading(1, &[1, 2, 3]);
    assert_eq!(bench.log(10), []);
    assert_eq!(bench.fetch(2, 10), []);
    assert_eq!(bench.fetch(3, 4), [Effect::HighWatermark(Offset(4))]);
    assert_eq!(bench.fetch(3, 10), [Effect::HighWatermark(Offset(10))]);
    assert_eq!(bench.fetch(3, 6), [], "it never moves back");
    assert_eq!(bench.high_watermark(), 10);
}

#[test]
fn the_leader_counts_only_what_it_has_stored_itself() {
    let mut bench = Bench::leading(1, &[1, 2]);
    bench.ends = LogEnds { start: Offset(0), end: Offset(10), stored: Offset(3) };
    assert_eq!(bench.fetch(2, 10), [Effect::HighWatermark(Offset(3))]);
}

#[test]
fn what_fewer_than_min_insync_replicas_hold_is_not_committed() {
    let mut bench = Bench::leading(2, &[1]);
    assert!(bench.replica.is_under_min_isr());
    assert_eq!(bench.log(10), []);
    let (number, isr) = proposed(&bench.fetch(2, 10)).unwrap();
    assert_eq!(isr, [1, 2]);
    assert_eq!(bench.high_watermark(), 0, "a proposed member does not count yet");
    let committed = IsrAnswer::Committed {
        leader_epoch: LeaderEpoch(5),
        partition_epoch: 9,
        isr: &ids(&[1, 2]),
    };
    assert_eq!(
        bench.answer(number, committed),
        [Effect::IsrChanged { shrunk: false }, Effect::HighWatermark(Offset(10))]
    );
}

#[test]
fn a_follower_joins_only_with_the_high_watermark_and_the_start_of_the_epoch() {
    let mut bench = Bench::new(1);
    bench.log(20);
    bench.metadata(Some(1), 5, 8, &[1]);
    assert_eq!(bench.high_watermark(), 20);
    assert_eq!(proposed(&bench.fetch(2, 19)), None);
    assert_eq!(proposed(&bench.fetch(2, 20)), Some((1, vec![1, 2])));
    assert_eq!(proposed(&bench.fetch(3, 20)), None, "one change at a time");
    bench.metadata(Some(1), 5, 9, &[1, 2]);
    assert_eq!(proposed(&bench.step(Event::Tick)), Some((2, vec![1, 2, 3])));
}

#[test]
fn fenced_stopping_and_replaced_brokers_do_not_join() {
    let mut bench = Bench::leading(1, &[1]);
    bench.cluster = Cluster(vec![2]);
    assert_eq!(proposed(&bench.fetch(2, 0)), None);
    let old = FollowerFetch {
        replica: BrokerId(3),
        broker_epoch: Some(BrokerEpoch(29)),
        offset: Offset(0),
        log_start: Offset(0),
        leader_end: Offset(0),
    };
    assert_eq!(proposed(&bench.step(Event::FollowerFetched(old))), None);
    assert!(proposed(&bench.fetch(3, 0)).is_some());
}

#[test]
fn a_follower_that_lags_is_dropped_after_the_lag_time() {
    let mut bench = Bench::leading(1, &[1, 2, 3]);
    bench.log(10);
    bench.fetch(2, 10);
    bench.now += LAG;
    assert_eq!(proposed(&bench.step(Event::Tick)), None);
    bench.now += 1;
    let effects = bench.step(Event::Tick);
    assert_eq!(proposed(&effects), Some((1, vec![1, 2])), "2 has everything, however long ago");
    assert_eq!(bench.high_watermark(), 0, "until the controller agrees it is waited for");
    let state = IsrAnswer::Committed {
        leader_epoch: LeaderEpoch(5),
        partition_epoch: 9,
        isr: &ids(&[1, 2]),
    };
    let effects = bench.answer(1, state);
    assert!(effects.contains(&Effect::HighWatermark(Offset(10))));
}

#[test]
fn a_follower_of_an_idle_partition_has_the_whole_lag_time_after_the_next_append() {
    let mut bench = Bench::leading(1, &[1, 2]);
    bench.log(10);
    bench.fetch(2, 10);
    bench.now += 100 * LAG;
    bench.log(11);
    assert_eq!(proposed(&bench.step(Event::Tick)), None);
    bench.now += LAG + 1;
    assert_eq!(proposed(&bench.step(Event::Tick)), Some((1, vec![1])));
}

#[test]
fn a_follower_that_keeps_pace_with_a_busy_leader_stays() {
    let mut bench = Bench::leading(1, &[1, 2]);
    for round in 1..100 {
        bench.log(round * 10);
        // Always one round behind.
        bench.fetch(2, (round - 1) * 10);
        bench.now += LAG / 10;
        assert_eq!(proposed(&bench.step(Event::Tick)), None);
    }
}

#[test]
fn a_proposal_that_got_lost_is_repeated_and_a_refused_one_is_not() {
    let mut bench = Bench::leading(1, &[1, 2]);
    let (number, _) = proposed(&bench.fetch(3, 0)).unwrap();
    assert_eq!(bench.answer(number, IsrAnswer::Refused(ErrorCode::NotController)), []);
    assert_eq!(proposed(&bench.step(Event::Tick)), None);
    bench.now += 100;
    assert_eq!(proposed(&bench.step(Event::Tick)), Some((number, vec![1, 2, 3])));
    bench.answer(number, IsrAnswer::Refused(ErrorCode::InvalidUpdateVersion));
    bench.now += 1000;
    assert_eq!(proposed(&bench.step(Event::Tick)), None, "metadata is waited for");
    assert!(bench.replica.is_isr_pending());
    bench.metadata(Some(1), 5, 11, &[1, 2]);
    assert!(!bench.replica.is_isr_pending());
    let (number, _) = proposed(&bench.fetch(3, 0)).unwrap();
    bench.answer(number, IsrAnswer::Refused(ErrorCode::IneligibleReplica));
    assert!(!bench.replica.is_isr_pending());
}

#[test]
fn answers_to_older_proposals_and_older_metadata_change_nothing() {
    let mut bench = Bench::leading(1, &[1, 2]);
    let (number, _) = proposed(&bench.fetch(3, 0)).unwrap();
    bench.metadata(Some(1), 6, 9, &[1, 2]);
    let late = IsrAnswer::Committed {
        leader_epoch: LeaderEpoch(5),
        partition_epoch: 9,
        isr: &ids(&[1, 2, 3]),
    };
    bench.answer(number, late);
    assert_eq!(bench.replica.isr(), ids(&[1, 2]));
    assert_eq!(bench.metadata(Some(2), 5, 8, &[2]), []);
    assert!(bench.replica.is_leader());
}

#[test]
fn a_new_epoch_forgets_where_the_followers_were() {
    let mut bench = Bench::leading(1, &[1, 2]);
    bench.log(10);
    bench.fetch(2, 5);
    bench.metadata(Some(1), 6, 9, &[1, 2]);
    assert_eq!(bench.replica.followers()[0].end, None);
    assert_eq!(bench.high_watermark(), 5);
    assert_eq!(bench.log(12), []);
}

#[test]
fn a_follower_takes_the_high_watermark_as_far_as_its_log_goes() {
    let mut bench = Bench::new(1);
    let effects = bench.metadata(Some(2), 4, 1, &[2]);
    let epoch = LeaderEpoch(4);
    assert_eq!(effects, [Effect::BecameFollower { leader: Some(BrokerId(2)), epoch }]);
    bench.log(10);
    let told = |at| Event::LeaderHighWatermark(Offset(at));
    assert_eq!(bench.step(told(15)), [Effect::HighWatermark(Offset(10))]);
    assert_eq!(bench.step(told(7)), []);
    bench.ends.end = Offset(8);
    assert_eq!(bench.step(Event::Truncated), [Effect::HighWatermark(Offset(8))]);
}

#[test]
fn deleted_records_are_not_waited_for() {
    let mut bench = Bench::leading(1, &[1, 2]);
    bench.ends = LogEnds { start: Offset(4), end: Offset(10), stored: Offset(10) };
    assert_eq!(bench.step(Event::LogMoved), [Effect::HighWatermark(Offset(4))]);
}

#[test]
fn truncation_goes_to_the_last_common_end() {
    let at = |epoch, end| Divergence { epoch: LeaderEpoch(epoch), end: Offset(end) };
    let check = |leader, here, end| truncation(leader, here, Offset(end)).0;
    assert_eq!(check(at(3, 7), Some(at(3, 9)), 12), 7);
    assert_eq!(check(at(3, 9), Some(at(3, 7)), 12), 7);
    assert_eq!(check(at(3, 9), Some(at(2, 5)), 12), 5);
    assert_eq!(check(at(3, 9), None, 12), 9);
}

#[test]
fn consumers_are_sent_to_their_rack() {
    let at = |id, rack, end, is_leader| Candidate {
        id: BrokerId(id),
        rack: Some(rack),
        end: Offset(end),
        log_start: Offset(0),
        is_leader,
    };
    let all = [at(1, "a", 10, true), at(2, "b", 8, false), at(3, "b", 9, false)];
    let pick = |rack, offset| preferred_replica(rack, Offset(offset), all.iter().copied());
    assert_eq!(pick("b", 5), Some(BrokerId(3)));
    assert_eq!(pick("b", 10), None, "nobody there has it yet");
    assert_eq!(pick("a", 5), None, "the leader is there");
    assert_eq!(pick("c", 5), None);
}

#[test]
fn a_rate_is_exceeded_until_enough_time_has_passed() {
    let mut quota = RateQuota::new(Some(1000));
    quota.record(NOW, 20_000);
    assert!(quota.is_exceeded(NOW));
    assert!(quota.is_exceeded(NOW + 9_000));
    assert!(!quota.is_exceeded(NOW + 11_000));
    quota.set(None);
    quota.record(NOW + 11_000, u64::from(u32::MAX));
    assert!(!quota.is_exceeded(NOW + 11_000));
}

fn key(partition: i32) -> PartitionKey {
    PartitionKey { topic: Uuid(7), partition }
}

fn ask(offset: i64) -> Ask {
    Ask {
        leader_epoch: LeaderEpoch(1),
        offset: Offset(offset),
        last_fetched_epoch: None,
        log_start: Offset(0),
    }
}

#[test]
fn a_session_is_told_only_of_changes() {
    let mut plan = FetchPlan::new();
    assert_eq!(plan.next_request(NOW), None);
    plan.follow(key(0), ask(0));
    plan.follow(key(1), ask(0));
    let first = plan.next_request(NOW).unwrap();
    assert_eq!((first.session_id, first.session_epoch, first.asked.len()), (0, 0, 2));
    plan.answered(77);
    plan.hold(key(0));
    let second = plan.next_request(NOW).unwrap();
    assert_eq!((second.session_id, second.session_epoch), (77, 1));
    assert_eq!((second.asked, second.forgotten), (vec![], vec![key(0)]));
    plan.answered(77);
    plan.follow(key(0), ask(5));
    plan.unfollow(key(1));
    let third = plan.next_request(NOW).unwrap();
    assert_eq!((third.asked, third.forgotten), (vec![(key(0), ask(5))], vec![key(1)]));
    plan.answered(77);
    plan.hold(key(0));
    plan.follow(key(0), ask(6));
    let fourth = plan.next_request(NOW).unwrap();
    assert_eq!((fourth.asked, fourth.forgotten), (vec![(key(0), ask(6))], vec![]));
}

#[test]
fn a_paused_partition_comes_back_by_itself() {
    let mut plan = FetchPlan::new();
    plan.follow(key(0), ask(0));
    plan.pause(key(0), NOW + 10);
    assert_eq!((plan.next_request(NOW), plan.next_resume_ms()), (None, Some(NOW + 10)));
    assert_eq!(plan.next_request(NOW + 10).unwrap().asked.len(), 1);
    assert_eq!(plan.next_resume_ms(), None);
}

#[test]
fn a_lost_session_begins_anew_with_everything() {
    let mut plan = FetchPlan::new();
    plan.follow(key(0), ask(0));
    plan.next_request(NOW);
    plan.answered(77);
    plan.restart_session(true);
    let again = plan.next_request(NOW).unwrap();
    assert_eq!((again.session_id, again.session_epoch, again.asked.len()), (77, 0, 1));
    plan.restart_session(false);
    assert_eq!(plan.next_request(NOW).unwrap().session_id, 0);
    plan.answered(0);
    assert_eq!(plan.next_request(NOW).unwrap().asked.len(), 1, "no session: all each time");
}
