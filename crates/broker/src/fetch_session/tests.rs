use naru_model::{ErrorCode, Timestamp, Uuid};

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn target(partition: i32, offset: i64) -> FetchTarget {
    let wanted = Wanted {
        partition,
        current_leader_epoch: -1,
        fetch_offset: offset,
        last_fetched_epoch: -1,
        log_start: -1,
        bytes_max: 1000,
    };
    FetchTarget { topic: TopicKey::Id(Uuid(7)), wanted }
}

fn ask(id: i32, epoch: i32) -> SessionAsk {
    SessionAsk { id, epoch, uses_topic_ids: true, of_follower: false }
}

fn open(sessions: &FetchSessions, new_id: i32, now: Timestamp) -> SessionPlan {
    sessions.plan(ask(0, 0), &[target(0, 0), target(1, 0)], &[], now, new_id).unwrap()
}

fn followed(plan: &SessionPlan) -> Vec<FetchTarget> {
    match plan {
        SessionPlan::Session { session, .. } => lock(session).targets(),
        SessionPlan::Sessionless => Vec::new(),
    }
}

#[test]
fn an_incremental_request_changes_adds_and_forgets() {
    let sessions = FetchSessions::new(10);
    assert_eq!(followed(&open(&sessions, 5, NOW)), [target(0, 0), target(1, 0)]);
    let forgotten = [(TopicKey::Id(Uuid(7)), 1)];
    let changes = [target(0, 9), target(2, 0)];
    let plan = sessions.plan(ask(5, 1), &changes, &forgotten, NOW, 6).unwrap();
    assert_eq!(followed(&plan), [target(0, 9), target(2, 0)]);
}

#[test]
fn wrong_epochs_ids_and_naming_are_refused() {
    let sessions = FetchSessions::new(10);
    open(&sessions, 5, NOW);
    let refused = |ask| sessions.plan(ask, &[], &[], NOW, 6).unwrap_err();
    assert_eq!(refused(ask(5, 2)), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(refused(ask(9, 1)), ErrorCode::FetchSessionIdNotFound);
    let by_name = SessionAsk { uses_topic_ids: false, ..ask(5, 1) };
    assert_eq!(refused(by_name), ErrorCode::FetchSessionTopicIdError);
    assert!(sessions.plan(ask(5, 1), &[], &[], NOW, 6).is_ok(), "refusals do not move the epoch");
}

#[test]
fn a_final_epoch_closes_the_session() {
    let sessions = FetchSessions::new(10);
    open(&sessions, 5, NOW);
    assert!(matches!(sessions.plan(ask(5, -1), &[], &[], NOW, 6), Ok(SessionPlan::Sessionless)));
    assert_eq!(sessions.counts().0, 0);
}

#[test]
fn a_full_cache_gives_places_of_unused_sessions_only() {
    let sessions = FetchSessions::new(1);
    open(&sessions, 5, NOW);
    assert!(matches!(open(&sessions, 6, NOW), SessionPlan::Sessionless));
    let later = Timestamp(NOW.0 + EVICTION_AGE_MS + 1);
    assert!(matches!(open(&sessions, 6, later), SessionPlan::Session { full: true, .. }));
    assert_eq!(sessions.counts(), (1, 2));
}

#[test]
fn a_followers_session_that_never_goes_on_makes_place_for_another_followers() {
    let sessions = FetchSessions::new(2);
    let begin = |id, now| {
        let ask = SessionAsk { of_follower: true, ..ask(0, 0) };
        sessions.plan(ask, &[target(0, 0)], &[], now, id).unwrap()
    };
    begin(5, NOW);
    begin(6, NOW);
    let goes_on = SessionAsk { of_follower: true, ..ask(5, 1) };
    sessions.plan(goes_on, &[], &[], NOW, 9).unwrap();
    let soon = Timestamp(NOW.0 + FIRST_ANSWER_MAX_MS);
    assert!(matches!(begin(7, soon), SessionPlan::Sessionless), "its answer may be on its way");
    let later = Timestamp(soon.0 + 1);
    assert!(matches!(open(&sessions, 7, later), SessionPlan::Sessionless), "a consumer's");
    assert!(matches!(begin(7, later), SessionPlan::Session { .. }));
    let lost = sessions.plan(SessionAsk { of_follower: true, ..ask(6, 1) }, &[], &[], later, 9);
    assert_eq!(lost.unwrap_err(), ErrorCode::FetchSessionIdNotFound);
    assert!(matches!(begin(8, later), SessionPlan::Sessionless), "the one that goes on stays");
}

#[test]
fn an_incremental_answer_names_only_what_is_new() {
    let sessions = FetchSessions::new(1);
    let SessionPlan::Session { session, .. } = open(&sessions, 5, NOW) else {
        panic!("no session")
    };
    let mut session = lock(&session);
    assert!(session.tell(&target(0, 0), 10, 0, true, false));
    assert!(!session.tell(&target(0, 0), 10, 0, false, false), "nothing new");
    assert!(session.tell(&target(0, 0), 11, 0, false, false), "a new high watermark");
    assert!(session.tell(&target(0, 0), 11, 3, false, false), "a new log start");
    assert!(session.tell(&target(0, 0), 11, 3, false, true), "an error");
    assert!(session.tell(&target(0, 0), 11, 3, false, false), "the error is gone");
}

#[test]
fn partitions_that_were_served_go_last() {
    let sessions = FetchSessions::new(1);
    let SessionPlan::Session { session, .. } = open(&sessions, 5, NOW) else {
        panic!("no session")
    };
    let mut session = lock(&session);
    session.rotate(&[(TopicKey::Id(Uuid(7)), 0)]);
    assert_eq!(session.targets(), [target(1, 0), target(0, 0)]);
}

#[test]
fn a_followers_session_takes_the_place_of_a_consumers() {
    let sessions = FetchSessions::new(1);
    open(&sessions, 5, NOW);
    let follower = SessionAsk { of_follower: true, ..ask(0, 0) };
    let plan = sessions.plan(follower, &[target(0, 0)], &[], NOW, 6).unwrap();
    assert!(matches!(plan, SessionPlan::Session { full: true, .. }));
    let later = Timestamp(NOW.0 + 1);
    assert!(matches!(open(&sessions, 7, later), SessionPlan::Sessionless));
}

#[test]
fn a_feed_names_what_is_followed_only() {
    let sessions = FetchSessions::new(1);
    let SessionPlan::Session { session, .. } = open(&sessions, 5, NOW) else {
        panic!("no session")
    };
    let session = lock(&session);
    for partition in [1, 9] {
        session.feed().note(naru_replication::PartitionKey { topic: Uuid(7), partition });
    }
    assert_eq!(session.changed(), [target(1, 0)]);
    assert_eq!(session.changed(), []);
}

#[test]
fn a_session_ends_with_the_request_that_began_it_unless_an_answer_told_of_it() {
    let sessions = Arc::new(FetchSessions::new(10));
    open(&sessions, 5, NOW);
    open(&sessions, 6, NOW);
    let given_up = BegunSession::new(&sessions, 5);
    let mut answered = BegunSession::new(&sessions, 6);
    assert_eq!(sessions.counts().0, 2, "both live as long as their requests");
    answered.tell();
    drop((given_up, answered, BegunSession::none()));
    let goes_on = |id| sessions.plan(ask(id, 1), &[], &[], NOW, 7);
    assert_eq!(goes_on(5).unwrap_err(), ErrorCode::FetchSessionIdNotFound);
    assert!(matches!(goes_on(6), Ok(SessionPlan::Session { full: false, .. })));
}
