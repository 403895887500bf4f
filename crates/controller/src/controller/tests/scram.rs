//! AlterUserScramCredentials.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};

use super::Cluster;

fn upsertion(name: &str, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: name.to_owned(),
        mechanism: 1,
        iterations,
        salt: (&b"salt"[..]).into(),
        salted_password: (&b"0123456789abcdef0123456789abcdef"[..]).into(),
    }
}

fn alter(
    cluster: &mut Cluster,
    deletions: &[&str],
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, i16)> {
    let deletion = |name: &&str| ScramCredentialDeletion { name: (*name).to_owned(), mechanism: 1 };
    let deletions = deletions.iter().map(deletion).collect();
    let request = AlterUserScramCredentialsRequest { deletions, upsertions };
    let decision = cluster.controller.decide_alter_scram(&request);
    cluster.commit(decision.records);
    decision.response.results.into_iter().map(|result| (result.user, result.error_code)).collect()
}

fn has(cluster: &Cluster, user: &str) -> bool {
    cluster.controller.image().scram_credential(user, 1).is_some()
}

#[test]
fn credentials_come_and_go() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let made = alter(&mut cluster, &[], vec![upsertion("alice", 4096), upsertion("bob", 8192)]);
    assert_eq!(made, [("alice".to_owned(), 0), ("bob".to_owned(), 0)]);
    assert!(has(&cluster, "alice") && has(&cluster, "bob"));
    assert_eq!(alter(&mut cluster, &["alice"], Vec::new()), [("alice".to_owned(), 0)]);
    assert!(!has(&cluster, "alice") && has(&cluster, "bob"));
}

#[test]
fn what_cannot_be_is_refused_for_the_whole_user() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let code = |error: ErrorCode| error.code();
    let few = alter(&mut cluster, &[], vec![upsertion("a", 4095)]);
    assert_eq!(few[0].1, code(ErrorCode::UnacceptableCredential));
    let many = alter(&mut cluster, &[], vec![upsertion("a", 16_385)]);
    assert_eq!(many[0].1, code(ErrorCode::UnacceptableCredential));
    let nobody = alter(&mut cluster, &["a"], Vec::new());
    assert_eq!(nobody[0].1, code(ErrorCode::ResourceNotFound));
    let twice = alter(&mut cluster, &["a"], vec![upsertion("a", 4096), upsertion("b", 4096)]);
    assert_eq!(twice[0].1, code(ErrorCode::DuplicateResource));
    assert_eq!(twice[1].1, 0);
    assert!(!has(&cluster, "a") && has(&cluster, "b"));
    let second = ScramCredentialUpsertion { mechanism: 2, ..upsertion("c", 4096) };
    let both = alter(&mut cluster, &[], vec![upsertion("c", 4096), second]);
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].1, code(ErrorCode::DuplicateResource));
    assert!(!has(&cluster, "c"));
}

#[test]
fn users_beyond_what_a_request_may_change_are_refused() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let many = (0..10_001).map(|at| upsertion(&format!("u{at:05}"), 4096)).collect();
    let mut results = alter(&mut cluster, &[], many);
    let last = results.pop();
    assert_eq!(last, Some(("u10000".to_owned(), ErrorCode::PolicyViolation.code())));
    assert!(results.iter().all(|(_, code)| *code == 0));
    assert!(has(&cluster, "u09999") && !has(&cluster, "u10000"));
}
