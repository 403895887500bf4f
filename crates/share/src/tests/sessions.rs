use naru_model::Uuid;

use crate::sessions::PARTITIONS_MAX;
use crate::{FetchPlan, SessionError, SessionFetch, SessionKey, ShareSessions};

const TOPIC: Uuid = Uuid(7);

fn key(member: &str) -> SessionKey {
    SessionKey { group: "g".into(), member: member.into() }
}

fn fetch(epoch: i32, added: &[(Uuid, i32)]) -> SessionFetch<'_> {
    SessionFetch { epoch, added, forgotten: &[], has_acknowledgements: false, connection: 1 }
}

#[test]
fn a_session_remembers_what_is_fetched_and_counts_its_requests() {
    let mut sessions = ShareSessions::new(10);
    let (one, two) = ((TOPIC, 0), (TOPIC, 1));
    let plan = sessions.plan_fetch(&key("a"), &fetch(0, &[one, two]));
    assert_eq!(plan, Ok(FetchPlan::Fetch(vec![one, two])));
    let plan = sessions.plan_fetch(&key("a"), &fetch(1, &[]));
    assert_eq!(plan, Ok(FetchPlan::Fetch(vec![two, one])), "the next one is first");
    assert_eq!(sessions.plan_fetch(&key("a"), &fetch(1, &[])), Err(SessionError::InvalidEpoch));
    assert_eq!(sessions.acknowledge(&key("a"), 2), Ok(false));
    let forgotten = SessionFetch { forgotten: &[one], ..fetch(3, &[]) };
    assert_eq!(sessions.plan_fetch(&key("a"), &forgotten), Ok(FetchPlan::Fetch(vec![two])));
    assert_eq!(sessions.plan_fetch(&key("a"), &fetch(-1, &[])), Ok(FetchPlan::Final));
    assert_eq!(sessions.remove(&key("a")), Some(vec![two]));
    assert_eq!(sessions.plan_fetch(&key("a"), &fetch(-1, &[])), Err(SessionError::NotFound));
    assert_eq!(sessions.plan_fetch(&key("a"), &fetch(4, &[])), Err(SessionError::NotFound));
}

#[test]
fn a_new_session_acknowledges_nothing_and_there_are_only_so_many() {
    let mut sessions = ShareSessions::new(2);
    let early = SessionFetch { has_acknowledgements: true, ..fetch(0, &[]) };
    let refused = sessions.plan_fetch(&key("a"), &early);
    assert_eq!(refused, Err(SessionError::AcknowledgesTooEarly));
    assert_eq!(sessions.acknowledge(&key("a"), 0), Err(SessionError::InvalidEpoch));
    for member in ["a", "b", "a"] {
        sessions.plan_fetch(&key(member), &fetch(0, &[])).expect("there is room");
    }
    let refused = sessions.plan_fetch(&key("c"), &fetch(0, &[]));
    assert_eq!(refused, Err(SessionError::LimitReached));
    assert_eq!(sessions.counts().0, 2, "nobody lost a session by it");
    let other = SessionFetch { connection: 2, ..fetch(0, &[]) };
    sessions.plan_fetch(&key("b"), &other).expect("in its old place");
    assert_eq!(sessions.of_connection(1), [key("a")]);
    assert!(sessions.has_group("g") && !sessions.has_group("h"));
}

#[test]
fn an_answer_names_what_is_new_has_records_or_an_error() {
    let mut sessions = ShareSessions::new(2);
    let one = (TOPIC, 0);
    sessions.plan_fetch(&key("a"), &fetch(0, &[one])).expect("there is room");
    let mut tell = |has_records, is_error| sessions.tell(&key("a"), one, has_records, is_error);
    assert!(tell(false, false));
    assert!(!tell(false, false));
    assert!(tell(true, false));
    assert!(tell(false, true));
    assert!(tell(false, false), "the error is over");
    assert!(!tell(false, false));
}

#[test]
fn a_session_has_only_so_many_partitions_and_a_refusal_changes_nothing() {
    let mut sessions = ShareSessions::new(2);
    let most: Vec<(Uuid, i32)> =
        (0..).take(PARTITIONS_MAX).map(|partition| (TOPIC, partition)).collect();
    let (one, another) = ((TOPIC, 0), (Uuid(8), 0));
    sessions.plan_fetch(&key("a"), &fetch(0, &most)).expect("just as many as fit");
    let refused = sessions.plan_fetch(&key("a"), &fetch(1, &[one, another]));
    assert_eq!(refused, Err(SessionError::TooManyPartitions));
    let added = [another, another, one];
    let instead = SessionFetch { forgotten: &[one], ..fetch(1, &added) };
    sessions.plan_fetch(&key("a"), &instead).expect("one for another");
    let followed = sessions.remove(&key("a")).expect("it is there");
    assert_eq!(followed.len(), PARTITIONS_MAX);
    assert_eq!(followed.last(), Some(&another));
    assert!(!followed.contains(&one));
}
