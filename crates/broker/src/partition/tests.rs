//! A leader and its followers over real logs, without network.

use bytes::Bytes;
use naru_log::{LogConfig, OpenOptions, OsDisk, Verification};
use naru_model::config::ThrottledReplicas;
use naru_model::{BrokerEpoch, ProducerEpoch, ProducerId, Sequence};
use naru_records::{BatchBuilder, BatchOptions, ProducerStamp};
use naru_replication::{Divergence, PartitionState};

use super::*;
use crate::fetch_session::Wanted;

const NOW: Timestamp = Timestamp(1_000_000);
const TOPIC: Uuid = Uuid(7);

/// A replica and what it lives on.
struct Place {
    partition: Arc<Partition>,
    flusher: Option<FlusherThreads>,
    _temp: tempfile::TempDir,
    _proposals: tokio::sync::mpsc::UnboundedReceiver<Proposed>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.stop();
        }
    }
}

fn place(id: i32, fsync: bool, min_insync_replicas: usize) -> Place {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("t-0");
    let options = OpenOptions {
        config: LogConfig::default(),
        clean: true,
        recovery_point: None,
        log_start: None,
        tail_bytes: 0,
        now: NOW,
    };
    let (log, _) = Log::open(Arc::new(OsDisk), &dir, options, &|_| {}).unwrap();
    let (flusher, threads) = Flusher::start(1).unwrap();
    let (replication, proposals) = Replication::new(id, 30_000);
    let settings = PartitionSettings {
        log: LogConfig::default(),
        fsync,
        min_insync_replicas,
        leader_throttled: ThrottledReplicas::Listed(Vec::new()),
        follower_throttled: ThrottledReplicas::Listed(Vec::new()),
        compression: None,
        inflated_max: 1 << 20,
    };
    let partition = Partition::new(PartitionParts {
        topic: "t".into(),
        topic_id: TOPIC,
        index: 0,
        dir: temp.path().to_path_buf(),
        log,
        settings: Arc::new(settings),
        services: PartitionServices {
            flusher,
            node_metrics: Arc::default(),
            topic_metrics: Arc::default(),
            replication,
        },
        high_watermark: None,
    });
    Place { partition, flusher: Some(threads), _temp: temp, _proposals: proposals }
}

fn state(leader: i32, epoch: i32, isr: &[i32]) -> PartitionState {
    PartitionState {
        leader: Some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: epoch * 10,
        replicas: vec![BrokerId(1), BrokerId(2)],
        isr: isr.iter().copied().map(BrokerId).collect(),
        lost: Vec::new(),
    }
}

fn batch(values: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..values {
        builder.append_plain(NOW, None, Some(b"value"));
    }
    builder.build(&BatchOptions::default()).unwrap().into()
}

fn produce(place: &Place, values: usize) -> Appended {
    place.partition.append_produced(&batch(values), true, Verification::NotNeeded, NOW).unwrap()
}

fn try_produce(place: &Place, for_all: bool) -> Result<Appended, Refused> {
    place.partition.append_produced(&batch(1), for_all, Verification::NotNeeded, NOW)
}

/// One fetch of `follower` from `leader`, stored; what the leader said of a divergence.
fn fetch(leader: &Place, follower: &Place) -> Option<(i32, i64)> {
    let epoch = follower.partition.leader_epoch();
    let ask = follower.partition.fetch_position(epoch).unwrap();
    let wanted = Wanted {
        partition: 0,
        current_leader_epoch: epoch.0,
        fetch_offset: ask.offset.0,
        last_fetched_epoch: ask.last_fetched_epoch.map_or(-1, |epoch| epoch.0),
        log_start: ask.log_start.0,
        bytes_max: 1 << 20,
    };
    let replica = follower.partition.services.replication.here();
    let broker_epoch = Some(BrokerEpoch(5));
    let leader_end = leader.partition.log_end();
    let read_as = ReadAs::Follower { replica, broker_epoch };
    let read = leader.partition.read(&wanted, read_as, 1 << 20, true);
    assert_eq!(read.error, ErrorCode::None);
    if read.diverging.is_some() {
        return read.diverging;
    }
    leader.partition.note_fetch(&wanted, replica, broker_epoch, leader_end);
    if let Some(range) = read.range {
        let mut bytes = vec![0; range.len];
        range.file.read_exact_at(&mut bytes, range.position).unwrap();
        follower.partition.append_fetched(epoch, &bytes.into(), NOW).unwrap();
    }
    let mark = leader.partition.high_watermark().0;
    follower.partition.follow_marks(epoch, mark, read.log_start);
    None
}

#[test]
fn a_producer_waits_for_the_follower_to_store_its_batch() {
    let (leader, follower) = (place(1, false, 1), place(2, false, 1));
    assert_eq!(leader.partition.apply(&state(1, 3, &[1, 2])), RoleChange::Leads);
    let follows = RoleChange::Follows(Some(BrokerId(1)), LeaderEpoch(3));
    assert_eq!(follower.partition.apply(&state(1, 3, &[1, 2])), follows);
    let appended = produce(&leader, 4);
    let mut stored = leader.partition.park_until_stored(&appended).unwrap();
    assert_eq!(fetch(&leader, &follower), None);
    assert!(stored.try_recv().is_err(), "it has got it, but has not said that it has stored it");
    assert_eq!(fetch(&leader, &follower), None);
    assert_eq!(stored.try_recv(), Ok(Ok(())));
    assert_eq!(follower.partition.high_watermark(), Offset(4));
    assert_eq!(leader.partition.park_until_stored(&appended).map(drop), None);
}

#[test]
fn with_fsync_a_follower_promises_only_what_is_synced() {
    let (leader, follower) = (place(1, false, 1), place(2, true, 1));
    leader.partition.apply(&state(1, 3, &[1, 2]));
    follower.partition.apply(&state(1, 3, &[1, 2]));
    let (news, mut stored) = tokio::sync::mpsc::unbounded_channel();
    follower.partition.set_fetcher(Some(news));
    produce(&leader, 4);
    fetch(&leader, &follower);
    // The flusher's thread syncs, then tells.
    assert_eq!(stored.blocking_recv(), Some(follower.partition.key()));
    let ask = follower.partition.fetch_position(LeaderEpoch(3)).unwrap();
    assert_eq!((ask.offset, ask.last_fetched_epoch), (Offset(4), Some(LeaderEpoch(3))));
}

#[test]
fn who_waits_is_told_at_once_when_leadership_is_lost() {
    let leader = place(1, false, 1);
    leader.partition.apply(&state(1, 3, &[1, 2]));
    let appended = produce(&leader, 1);
    let mut stored = leader.partition.park_until_stored(&appended).unwrap();
    leader.partition.apply(&state(2, 4, &[1, 2]));
    assert_eq!(stored.try_recv(), Ok(Err(ErrorCode::NotLeaderOrFollower)));
    let mut late = leader.partition.park_until_stored(&appended).unwrap();
    assert_eq!(late.try_recv(), Ok(Err(ErrorCode::NotLeaderOrFollower)));
    let refused = try_produce(&leader, false).unwrap_err();
    assert_eq!(refused.error, ErrorCode::NotLeaderOrFollower);
    leader.partition.apply(&state(1, 5, &[1, 2]));
    let mut again = leader.partition.park_until_stored(&appended).unwrap();
    assert_eq!(again.try_recv(), Ok(Err(ErrorCode::NotLeaderOrFollower)), "another may be there");
}

#[test]
fn a_leader_that_stays_keeps_its_waiters() {
    let (leader, follower) = (place(1, false, 1), place(2, false, 1));
    leader.partition.apply(&state(1, 3, &[1, 2]));
    let appended = produce(&leader, 1);
    let mut stored = leader.partition.park_until_stored(&appended).unwrap();
    leader.partition.apply(&state(1, 4, &[1, 2]));
    follower.partition.apply(&state(1, 4, &[1, 2]));
    fetch(&leader, &follower);
    fetch(&leader, &follower);
    assert_eq!(stored.try_recv(), Ok(Ok(())));
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_only() {
    let leader = place(1, false, 2);
    leader.partition.apply(&state(1, 3, &[1]));
    let append = |for_all| try_produce(&leader, for_all);
    assert_eq!(append(true).unwrap_err().error, ErrorCode::NotEnoughReplicas);
    assert!(append(false).is_ok());
    assert_eq!(leader.partition.high_watermark(), Offset(0), "nor is it committed");
    let mut more = state(1, 3, &[1, 2]);
    more.partition_epoch += 1;
    leader.partition.apply(&more);
    assert!(append(true).is_ok());
}

#[test]
fn a_former_leader_cuts_off_what_nobody_else_has() {
    let (old, new) = (place(1, false, 1), place(2, false, 1));
    for place in [&old, &new] {
        place.partition.apply(&state(1, 3, &[1, 2]));
    }
    produce(&old, 5);
    fetch(&old, &new);
    fetch(&old, &new);
    produce(&old, 2);
    for place in [&old, &new] {
        place.partition.apply(&state(2, 4, &[1, 2]));
    }
    let (epoch, end) = fetch(&new, &old).expect("the old leader has more than the new one");
    assert_eq!((epoch, end), (3, 5));
    let leader = Divergence { epoch: LeaderEpoch(epoch), end: Offset(end) };
    old.partition.truncate_diverging(LeaderEpoch(4), leader, NOW).unwrap();
    assert_eq!(old.partition.log_end(), Offset(5));
    produce(&new, 3);
    assert_eq!(fetch(&new, &old), None);
    assert_eq!(old.partition.log_end(), Offset(8));
    assert_eq!(old.partition.epoch_at(Offset(7)), 4);
}

#[test]
fn a_new_follower_begins_with_the_batch_that_the_log_start_lies_in() {
    let (leader, follower) = (place(1, false, 1), place(2, false, 1));
    leader.partition.apply(&state(1, 3, &[1]));
    follower.partition.apply(&state(1, 3, &[1]));
    produce(&leader, 4);
    leader.partition.log().as_mut().unwrap().advance_log_start(Offset(2)).unwrap();
    follower.partition.restart_at(LeaderEpoch(3), Offset(2), NOW).unwrap();
    fetch(&leader, &follower);
    fetch(&leader, &follower);
    let ends = follower.partition.reader().offsets();
    assert_eq!((ends.start, ends.end), (Offset(2), Offset(4)));
    assert_eq!(follower.partition.high_watermark(), Offset(4));
}

#[test]
fn a_leader_without_records_of_its_own_knows_where_older_epochs_end() {
    let leader = place(1, false, 1);
    leader.partition.apply(&state(1, 3, &[1, 2]));
    produce(&leader, 5);
    leader.partition.apply(&state(1, 9, &[1, 2]));
    assert_eq!(leader.partition.epoch_end(9), (9, 5));
    assert_eq!(leader.partition.epoch_end(6), (3, 5));
    assert_eq!(leader.partition.epoch_end(3), (3, 5));
    assert_eq!(leader.partition.epoch_end(10), (-1, -1));
}

#[test]
fn strangers_and_the_past_are_not_served() {
    let (leader, follower) = (place(1, false, 1), place(2, false, 1));
    leader.partition.apply(&state(1, 3, &[1, 2]));
    follower.partition.apply(&state(1, 3, &[1, 2]));
    let read = |place: &Place, epoch, read_as| {
        let wanted = Wanted {
            partition: 0,
            current_leader_epoch: epoch,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start: 0,
            bytes_max: 100,
        };
        place.partition.read(&wanted, read_as, 100, true).error
    };
    let broker = |id| ReadAs::Follower { replica: BrokerId(id), broker_epoch: None };
    assert_eq!(read(&leader, 3, broker(2)), ErrorCode::None);
    assert_eq!(read(&leader, 3, broker(9)), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(read(&leader, 2, broker(2)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(read(&leader, 4, broker(2)), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(read(&follower, 3, broker(1)), ErrorCode::NotLeaderOrFollower);
    let consumer = |from_follower| ReadAs::Consumer { from_follower, uncommitted: true };
    assert_eq!(read(&follower, 3, consumer(false)), ErrorCode::NotLeaderOrFollower);
    assert_eq!(read(&follower, 3, consumer(true)), ErrorCode::None);
}

#[test]
fn a_replica_that_becomes_the_only_one_commits_by_itself() {
    let leader = place(1, false, 1);
    leader.partition.apply(&state(1, 3, &[1, 2]));
    produce(&leader, 4);
    assert_eq!(leader.partition.high_watermark(), Offset(0));
    let mut alone = state(1, 3, &[1]);
    alone.replicas = vec![BrokerId(1)];
    alone.partition_epoch += 1;
    leader.partition.apply(&alone);
    assert!(leader.partition.role().is_sole);
    assert_eq!(leader.partition.high_watermark(), Offset(4));
    produce(&leader, 1);
    assert_eq!(leader.partition.high_watermark(), Offset(5));
    let mut grown = state(1, 3, &[1]);
    grown.partition_epoch += 2;
    leader.partition.apply(&grown);
    produce(&leader, 1);
    assert_eq!(leader.partition.high_watermark(), Offset(6), "the follower is not in sync yet");
}

#[test]
fn committed_records_end_before_a_transaction_until_its_marker_is_replicated() {
    let (leader, follower) = (place(1, false, 1), place(2, false, 1));
    for place in [&leader, &follower] {
        place.partition.apply(&state(1, 3, &[1, 2]));
    }
    produce(&leader, 1);
    let mut builder = BatchBuilder::new();
    builder.append_plain(NOW, None, Some(b"value"));
    let stamp =
        ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(0), base_sequence: Sequence(0) };
    let options =
        BatchOptions { producer: Some(stamp), transactional: true, ..BatchOptions::default() };
    let bytes: Bytes = builder.build(&options).unwrap().into();
    let append = |guard| {
        let verification = Verification::Needed(guard);
        leader.partition.append_produced(&bytes, true, verification, NOW)
    };
    assert_eq!(append(None).unwrap_err().error, ErrorCode::InvalidTxnState);
    let guard = leader.partition.begin_verification(stamp, false, NOW).unwrap();
    append(guard).unwrap();
    fetch(&leader, &follower);
    fetch(&leader, &follower);
    assert_eq!(leader.partition.high_watermark(), Offset(2));
    assert_eq!(leader.partition.last_stable(), Offset(1));
    let marker = TxnMarker {
        producer_id: stamp.id,
        producer_epoch: stamp.epoch,
        coordinator_epoch: 4,
        committed: false,
        transaction_version: 0,
    };
    let refused = follower.partition.append_marker(marker, NOW).unwrap_err();
    assert_eq!(refused.error, ErrorCode::NotLeaderOrFollower);
    let news = Arc::new(Notify::new());
    leader.partition.append_marker(marker, NOW).unwrap();
    fetch(&leader, &follower);
    assert_eq!(leader.partition.last_stable(), Offset(1), "the follower may not have it");
    leader.partition.park_consumer(&news);
    fetch(&leader, &follower);
    assert_eq!(leader.partition.last_stable(), Offset(3));
    let woken = futures_now(news.notified());
    assert!(woken, "who waits for committed records is woken");
    fetch(&leader, &follower);
    assert_eq!(follower.partition.last_stable(), Offset(3));
    let wanted = Wanted {
        partition: 0,
        current_leader_epoch: 3,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start: 0,
        bytes_max: 1 << 20,
    };
    let as_consumer = ReadAs::Consumer { from_follower: true, uncommitted: false };
    for place in [&leader, &follower] {
        let read = place.partition.read(&wanted, as_consumer, 1 << 20, true);
        let aborted = read.aborted.unwrap();
        assert_eq!((aborted[0].producer_id.0, aborted[0].first_offset.0), (7, 1));
    }
}

#[test]
fn what_a_coordinator_writes_for_a_transaction_that_has_ended_meanwhile_is_refused() {
    let leader = place(1, false, 1);
    leader.partition.apply(&state(1, 3, &[1]));
    let stamp =
        ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(0), base_sequence: Sequence(-1) };
    let mut builder = BatchBuilder::new();
    builder.append_plain(NOW, Some(b"group and partition"), Some(b"offset"));
    let options =
        BatchOptions { producer: Some(stamp), transactional: true, ..BatchOptions::default() };
    let bytes: Bytes = builder.build(&options).unwrap().into();
    let append = |guard| leader.partition.append_own(&bytes, Verification::Needed(guard), NOW);
    let late = leader.partition.begin_verification(stamp, true, NOW).unwrap();
    let abort = TxnMarker {
        producer_id: stamp.id,
        producer_epoch: stamp.epoch,
        coordinator_epoch: 4,
        committed: false,
        transaction_version: 0,
    };
    leader.partition.append_marker(abort, NOW).unwrap();
    assert_eq!(append(late).unwrap_err().error, ErrorCode::InvalidTxnState);
    let guard = leader.partition.begin_verification(stamp, true, NOW).unwrap();
    append(guard).unwrap();
    assert_eq!(leader.partition.begin_verification(stamp, true, NOW), Ok(None), "it has begun");
}

/// Whether a future is ready.
fn futures_now(future: impl Future) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut context).is_ready()
}
