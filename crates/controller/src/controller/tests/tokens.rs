//! Delegation tokens.

use naru_protocol::messages::create_delegation_token_request::{
    CreatableRenewers, CreateDelegationTokenRequest,
};
use naru_protocol::messages::delegation_token_record::DelegationTokenRecord;
use naru_security::Principal;

use super::Cluster;
use crate::controller::{TokenError, TokenLife};

const LIFE: TokenLife = TokenLife { max_ms: 1000, renewed_ms: 100 };

fn user(name: &str) -> Principal {
    Principal::user(name)
}

fn create(
    cluster: &mut Cluster,
    request: &CreateDelegationTokenRequest,
    now_ms: i64,
) -> Result<DelegationTokenRecord, TokenError> {
    let id = format!("token at {now_ms}");
    let controller = &cluster.controller;
    let decision = controller.decide_create_token(request, &user("alice"), LIFE, id, now_ms);
    cluster.commit(decision.records);
    decision.response
}

fn renew(cluster: &mut Cluster, id: &str, who: &str, ms: i64, now: i64) -> Result<i64, TokenError> {
    let decision = cluster.controller.decide_renew_token(Some(id), &user(who), ms, LIFE, now);
    cluster.commit(decision.records);
    decision.response
}

fn expire(
    cluster: &mut Cluster,
    id: &str,
    who: &str,
    ms: i64,
    now: i64,
) -> Result<i64, TokenError> {
    let decision = cluster.controller.decide_expire_token(Some(id), &user(who), ms, now);
    cluster.commit(decision.records);
    decision.response
}

fn with_renewer(kind: &str, name: &str) -> CreateDelegationTokenRequest {
    let renewer =
        CreatableRenewers { principal_type: kind.to_owned(), principal_name: name.to_owned() };
    CreateDelegationTokenRequest { renewers: vec![renewer], ..Default::default() }
}

#[test]
fn a_token_lives_as_long_as_asked_but_not_longer_than_allowed() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let mut life = |asked: i64, now: i64| {
        let request = CreateDelegationTokenRequest { max_lifetime_ms: asked, ..Default::default() };
        let token = create(&mut cluster, &request, now).unwrap();
        (token.max_timestamp - now, token.expiration_timestamp - now)
    };
    assert_eq!(life(-1, 1), (1000, 100));
    assert_eq!(life(500, 2), (500, 100));
    assert_eq!(life(50, 3), (50, 50));
    assert_eq!(life(i64::MAX, 4), (1000, 100));
}

#[test]
fn owner_and_renewers_change_a_token_and_nobody_else() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let token = create(&mut cluster, &with_renewer("User", "bob"), 0).unwrap();
    assert_eq!((token.owner.as_str(), token.requester.as_str()), ("User:alice", "User:alice"));
    let id = token.token_id;
    assert_eq!(renew(&mut cluster, &id, "alice", -1, 50), Ok(150));
    assert_eq!(renew(&mut cluster, &id, "bob", 20, 60), Ok(80));
    assert_eq!(renew(&mut cluster, &id, "carol", -1, 60), Err(TokenError::Owner));
    assert_eq!(expire(&mut cluster, &id, "carol", -1, 60), Err(TokenError::Owner));
    assert_eq!(expire(&mut cluster, &id, "bob", 5_000, 60), Ok(1000));
    assert_eq!(renew(&mut cluster, "none", "alice", -1, 60), Err(TokenError::NotFound));
    assert_eq!(expire(&mut cluster, &id, "alice", -1, 70), Ok(70));
    assert_eq!(expire(&mut cluster, &id, "alice", -1, 70), Err(TokenError::NotFound));
}

#[test]
fn a_token_that_has_expired_can_only_be_removed() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let id = create(&mut cluster, &CreateDelegationTokenRequest::default(), 0).unwrap().token_id;
    assert_eq!(renew(&mut cluster, &id, "alice", -1, 100), Ok(200), "at its last moment");
    assert_eq!(renew(&mut cluster, &id, "alice", -1, 201), Err(TokenError::Expired));
    assert_eq!(expire(&mut cluster, &id, "alice", 5, 201), Err(TokenError::Expired));
    assert!(cluster.controller.decide_sweep_tokens(200).is_empty());
    let swept = cluster.controller.decide_sweep_tokens(201);
    assert_eq!(swept.len(), 1);
    cluster.commit(swept);
    assert_eq!(cluster.controller.image().delegation_tokens().count(), 0);
}

#[test]
fn a_token_may_be_for_somebody_else_and_renewed_by_users_only() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let request = CreateDelegationTokenRequest {
        owner_principal_type: Some("User".to_owned()),
        owner_principal_name: Some("bob".to_owned()),
        ..Default::default()
    };
    let token = create(&mut cluster, &request, 0).unwrap();
    assert_eq!((token.owner.as_str(), token.requester.as_str()), ("User:bob", "User:alice"));
    assert_eq!(renew(&mut cluster, &token.token_id, "alice", -1, 1), Err(TokenError::Owner));
    let refused = create(&mut cluster, &with_renewer("Group", "g"), 1);
    assert_eq!(refused, Err(TokenError::Renewer));
}

#[test]
fn nobody_can_have_more_tokens_that_count_than_there_is_room_for() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let request = CreateDelegationTokenRequest::default();
    let mut make = |count: usize, now_ms: i64| {
        let made = (0..count).take_while(|number| {
            let (id, who) = (format!("{number} at {now_ms}"), user("alice"));
            let decision = cluster.controller.decide_create_token(&request, &who, LIFE, id, now_ms);
            cluster.commit(decision.records);
            decision.response.is_ok()
        });
        made.count()
    };
    assert_eq!(make(1001, 0), 1000);
    assert_eq!(make(1, 100), 0, "they count until then");
    assert_eq!(make(1, 101), 1);
    assert_eq!(cluster.controller.image().delegation_tokens().count(), 1, "the others are gone");
}

#[test]
fn a_token_is_a_small_record() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let mut many = with_renewer("User", "bob");
    many.renewers = vec![many.renewers[0].clone(); 101];
    assert_eq!(create(&mut cluster, &many, 0), Err(TokenError::TooLarge));
    many.renewers.truncate(100);
    assert!(create(&mut cluster, &many, 0).is_ok());
    let long = with_renewer("User", &"b".repeat(1025));
    assert_eq!(create(&mut cluster, &long, 0), Err(TokenError::TooLarge));
}
