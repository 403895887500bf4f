//! Logins where there are none, and users of SCRAM.

use naru_protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use naru_protocol::messages::describe_user_scram_credentials_request::{
    DescribeUserScramCredentialsRequest, UserName,
};
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;

use crate::differential::session::{CONTROLLER, Session};

/// At a listener without logins.
pub fn out_of_place(s: &mut Session) {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "no mechanism"] {
        let handshake = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
        s.ask_each("handshake", 0..=1, &handshake);
    }
    let token = SaslAuthenticateRequest { auth_bytes: (&b"\0alice\0secret"[..]).into() };
    s.ask_each("token", 0..=2, &token);
}

pub fn users(s: &mut Session) {
    let describe = |names: &[&str]| {
        let named = names.iter().map(|name| UserName { name: (*name).to_owned() });
        let users = (!names.is_empty()).then(|| named.collect());
        DescribeUserScramCredentialsRequest { users }
    };
    let upsertion = |name: &str, mechanism: i8, iterations: i32| ScramCredentialUpsertion {
        name: name.to_owned(),
        mechanism,
        iterations,
        salt: (&b"some salt"[..]).into(),
        salted_password: (&b"0123456789abcdef0123456789abcdef"[..]).into(),
    };
    let deletion =
        |name: &str, mechanism: i8| ScramCredentialDeletion { name: name.to_owned(), mechanism };
    let alter = |deletions: Vec<_>, upsertions: Vec<_>| AlterUserScramCredentialsRequest {
        deletions,
        upsertions,
    };
    s.ask("nobody", 0, &describe(&[]));
    s.ask("nobody by name", 0, &describe(&["alice"]));
    let both = vec![upsertion("eve", 1, 4096), upsertion("eve", 2, 8192)];
    s.ask("both mechanisms at once", 0, &alter(Vec::new(), both));
    for mechanism in [1, 2] {
        s.quiet(0, &alter(vec![deletion("eve", mechanism)], Vec::new()));
    }
    s.ask("a user", 0, &alter(Vec::new(), vec![upsertion("alice", 1, 4096)]));
    s.ask("another mechanism", 0, &alter(Vec::new(), vec![upsertion("alice", 2, 8192)]));
    s.ask("another", 0, &alter(Vec::new(), vec![upsertion("bob", 1, 16_384)]));
    s.settle();
    s.ask("all", 0, &describe(&[]));
    s.ask("some", 0, &describe(&["alice", "carol"]));
    s.ask_on(CONTROLLER, "at the controller", 0, &describe(&["alice", "carol"]));
    s.ask("one twice", 0, &describe(&["alice", "alice", "bob"]));
    for (label, request) in [
        ("no name", alter(Vec::new(), vec![upsertion("", 1, 4096)])),
        ("no mechanism", alter(Vec::new(), vec![upsertion("carol", 7, 4096)])),
        ("mechanism zero", alter(Vec::new(), vec![upsertion("carol", 0, 4096)])),
        ("few iterations", alter(Vec::new(), vec![upsertion("carol", 1, 4095)])),
        ("many iterations", alter(Vec::new(), vec![upsertion("carol", 1, 16_385)])),
        ("delete nobody", alter(vec![deletion("carol", 1)], Vec::new())),
        ("delete no mechanism", alter(vec![deletion("alice", 9)], Vec::new())),
        ("delete no name", alter(vec![deletion("", 1)], Vec::new())),
        ("twice", alter(vec![deletion("alice", 1)], vec![upsertion("alice", 1, 4096)])),
        ("one good, one bad", alter(vec![deletion("carol", 1)], vec![upsertion("dave", 1, 4096)])),
    ] {
        s.ask(label, 0, &request);
    }
    let all = vec![deletion("alice", 1), deletion("bob", 1)];
    s.ask("delete", 0, &alter(all, Vec::new()));
    s.settle();
    s.ask("who is left", 0, &describe(&[]));
}
