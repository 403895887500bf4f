use naru_model::{Timestamp, Uuid};

use super::*;

const DIRECTORY: Uuid = Uuid(77);

fn voter(id: i32, directory_id: Uuid) -> Voter {
    let endpoint =
        VoterEndpoint { name: "CONTROLLER".to_owned(), host: "localhost".to_owned(), port: 9093 };
    Voter { id, directory_id, endpoints: vec![endpoint] }
}

/// What the formatter's snapshot says of the voters.
fn formatted(voters: &[Voter]) -> VoterLog {
    let mut log = VoterLog::new();
    log.read_snapshot(0, &ControlRecord::kraft_version(1));
    log.read_snapshot(0, &ControlRecord::voters(voters));
    log
}

fn fresh() -> QuorumStart {
    QuorumStart {
        node_id: 1,
        directory_id: DIRECTORY,
        state: None,
        static_voters: Vec::new(),
        voter_log: formatted(&[voter(1, DIRECTORY)]),
        log_end: 0,
        last_epoch: 0,
    }
}

fn start(start: QuorumStart) -> Result<(Quorum, Vec<Effect>), QuorumError> {
    let mut effects = Vec::new();
    Ok((Quorum::start(start, &mut effects)?, effects))
}

#[test]
fn a_fresh_standalone_node_leads_epoch_1_and_writes_its_voters() {
    let (_, effects) = start(fresh()).unwrap();
    let voters = [voter(1, DIRECTORY)];
    let records = vec![
        ControlRecord::leader_change(1, &voters, &voters),
        ControlRecord::kraft_version(1),
        ControlRecord::voters(&voters),
    ];
    assert_eq!(
        effects,
        [
            Effect::SaveState(ElectionState { epoch: 1, leader: Some(1), voted: None }),
            Effect::AppendControl { epoch: 1, records },
            Effect::BecameLeader { epoch: 1 },
        ]
    );
}

#[test]
fn a_restart_leads_the_next_epoch_and_writes_the_leader_only() {
    let mut again = fresh();
    again.voter_log.read_log(&ControlRecord::voters(&[voter(1, DIRECTORY)]));
    again.state = Some(ElectionState { epoch: 4, leader: Some(1), voted: None });
    again.log_end = 20;
    again.last_epoch = 4;
    let (quorum, effects) = start(again).unwrap();
    assert_eq!(quorum.epoch(), 5);
    let Effect::AppendControl { records, .. } = &effects[1] else { panic!("{effects:?}") };
    assert!(matches!(records.as_slice(), [ControlRecord::LeaderChange(_)]));
}

#[test]
fn the_epoch_passes_that_of_the_log_when_the_state_file_is_lost() {
    let (quorum, _) = start(QuorumStart { last_epoch: 9, log_end: 3, ..fresh() }).unwrap();
    assert_eq!(quorum.epoch(), 10);
}

#[test]
fn the_high_watermark_follows_the_sync_and_waits_for_the_own_epoch() {
    let (mut quorum, _) = start(QuorumStart { log_end: 10, last_epoch: 1, ..fresh() }).unwrap();
    let mut effects = Vec::new();
    quorum.step(Event::Synced { voter: 1, synced_end: 10 }, &mut effects);
    assert_eq!(quorum.high_watermark(), None);
    quorum.step(Event::Appended { log_end: 11 }, &mut effects);
    assert_eq!(effects, []);
    quorum.step(Event::Synced { voter: 1, synced_end: 11 }, &mut effects);
    quorum.step(Event::Synced { voter: 1, synced_end: 9 }, &mut effects);
    quorum.step(Event::Synced { voter: 2, synced_end: 99 }, &mut effects);
    assert_eq!(effects, [Effect::AdvanceHighWatermark { to: 11 }]);
}

#[test]
fn a_quorum_that_is_not_served_is_refused_by_name() {
    let refused = |changed: QuorumStart| start(changed).map(|_| ()).unwrap_err();
    let other = formatted(&[voter(1, Uuid(5))]);
    assert_eq!(
        refused(QuorumStart { voter_log: other, ..fresh() }),
        QuorumError::NotAVoter { node_id: 1, directory_id: DIRECTORY }
    );
    assert_eq!(
        refused(QuorumStart { voter_log: VoterLog::new(), ..fresh() }),
        QuorumError::NoVoters
    );
    let three = [voter(1, Uuid::ZERO), voter(2, Uuid::ZERO), voter(3, Uuid::ZERO)];
    let fixed =
        QuorumStart { voter_log: VoterLog::new(), static_voters: three.to_vec(), ..fresh() };
    assert_eq!(refused(fixed), QuorumError::ManyVoters(3));
    assert_eq!(
        refused(QuorumStart { last_epoch: i32::MAX, ..fresh() }),
        QuorumError::EpochExhausted(i32::MAX)
    );
}

#[test]
fn a_static_voter_writes_no_voters() {
    let fixed = QuorumStart {
        voter_log: VoterLog::new(),
        static_voters: vec![voter(1, Uuid::ZERO)],
        ..fresh()
    };
    let (quorum, effects) = start(fixed).unwrap();
    let Effect::AppendControl { records, .. } = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(records.len(), 1);
    let state = ElectionState { epoch: 1, leader: Some(1), voted: None };
    assert!(
        quorum.state_json(&state).contains(r#""currentVoters":[{"voterId":1}],"data_version":0"#)
    );
}

#[test]
fn a_formatted_directory_holds_what_kafkas_formatter_writes() {
    // Sizes are those of the files of Apache Kafka 4.3.1's formatter with one voter at
    // localhost:23093.
    let voters = [voter(1, DIRECTORY)];
    assert_eq!(initial_checkpoint(&voters, Timestamp(1)).unwrap().len(), 241);
    assert_eq!(bootstrap_checkpoint(Timestamp(1)).unwrap().len(), 411);
}
