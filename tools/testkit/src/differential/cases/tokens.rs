//! Delegation tokens, asked for by users who log in; a resource without an ACL is open.

use bytes::Bytes;
use naru_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use naru_protocol::messages::create_delegation_token_request::{
    CreatableRenewers, CreateDelegationTokenRequest,
};
use naru_protocol::messages::describe_delegation_token_request::{
    DescribeDelegationTokenOwner, DescribeDelegationTokenRequest,
};
use naru_protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use naru_protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;

use crate::differential::session::{CONTROLLER, Session};

/// Connections of these users.
const ADMIN: &str = "sasl-admin";
const BOB: &str = "sasl-bob";
const CAROL: &str = "sasl-carol";
const USER: i8 = 7;
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;
const CREATE_TOKENS: i8 = 13;
const DESCRIBE_TOKENS: i8 = 14;

fn create(owner: Option<&str>, renewers: &[(&str, &str)], ms: i64) -> CreateDelegationTokenRequest {
    let renewer = |(kind, name): &(&str, &str)| CreatableRenewers {
        principal_type: (*kind).to_owned(),
        principal_name: (*name).to_owned(),
    };
    CreateDelegationTokenRequest {
        owner_principal_type: owner.map(|_| "User".to_owned()),
        owner_principal_name: owner.map(str::to_owned),
        renewers: renewers.iter().map(renewer).collect(),
        max_lifetime_ms: ms,
    }
}

fn renew(hmac: &Bytes, renew_period_ms: i64) -> RenewDelegationTokenRequest {
    RenewDelegationTokenRequest { hmac: hmac.clone(), renew_period_ms }
}

fn expire(hmac: &Bytes, expiry_time_period_ms: i64) -> ExpireDelegationTokenRequest {
    ExpireDelegationTokenRequest { hmac: hmac.clone(), expiry_time_period_ms }
}

fn describe(owners: Option<&[&str]>) -> DescribeDelegationTokenRequest {
    let owner = |name: &&str| DescribeDelegationTokenOwner {
        principal_type: "User".to_owned(),
        principal_name: (*name).to_owned(),
    };
    let owners = owners.map(|owners| owners.iter().map(owner).collect());
    DescribeDelegationTokenRequest { owners }
}

/// Waits until bob's token is known, or is not any more: Apache Kafka makes its keys first.
fn wait(s: &mut Session, id: &str, is_there: bool) {
    for _ in 0..100 {
        let known = s.quiet_on(BOB, 3, &describe(None)).tokens;
        if known.iter().any(|token| token.token_id == id) == is_there {
            break;
        }
        s.sleep(50);
    }
    s.settle();
}

/// Who has not logged in gets none.
pub fn out_of_place(s: &mut Session) {
    let nothing = Bytes::from_static(b"nothing");
    for version in 1..=3 {
        s.ask("create", version, &create(None, &[], -1));
        s.ask("describe", version, &describe(None));
        s.ask_on(CONTROLLER, "create at the controller", version, &create(None, &[], -1));
    }
    for version in 1..=2 {
        s.ask("renew", version, &renew(&nothing, -1));
        s.ask("expire", version, &expire(&nothing, -1));
        s.ask_on(CONTROLLER, "renew at the controller", version, &renew(&nothing, -1));
        s.ask_on(CONTROLLER, "expire at the controller", version, &expire(&nothing, -1));
    }
}

/// Where the cluster has no secret that tokens could be made with.
pub fn disabled(s: &mut Session) {
    s.log_in(BOB);
    let nothing = Bytes::from_static(b"nothing");
    for version in 1..=3 {
        s.ask_on(BOB, "create", version, &create(None, &[("User", "carol")], -1));
        s.ask_on(BOB, "a renewer that is no user", version, &create(None, &[("G", "g")], -1));
        s.ask_on(BOB, "describe", version, &describe(None));
    }
    for version in 1..=2 {
        s.ask_on(BOB, "renew", version, &renew(&nothing, -1));
        s.ask_on(BOB, "expire", version, &expire(&nothing, -1));
    }
}

pub fn run(s: &mut Session) {
    for who in [ADMIN, BOB, CAROL] {
        s.log_in(who);
    }
    for version in 1..=3 {
        s.ask_on(BOB, "describe none", version, &describe(None));
        let made = s.ask_on(BOB, "create", version, &create(None, &[("User", "carol")], -1));
        wait(s, &made.token_id, true);
        for owners in [None, Some(&[][..]), Some(&["bob"]), Some(&["carol"]), Some(&["nobody"])] {
            s.ask_on(BOB, &format!("describe {owners:?}"), version, &describe(owners));
        }
        let version = version.min(2);
        s.ask_on(BOB, "renew", version, &renew(&made.hmac, -1));
        s.ask_on(CAROL, "renew as renewer", version, &renew(&made.hmac, 60_000));
        s.ask_on(ADMIN, "renew somebody else's", version, &renew(&made.hmac, -1));
        s.ask_on(ADMIN, "expire somebody else's", version, &expire(&made.hmac, -1));
        s.ask_on(CAROL, "expire later", version, &expire(&made.hmac, 60_000));
        s.ask_on(BOB, "expire", version, &expire(&made.hmac, -1));
        wait(s, &made.token_id, false);
        s.ask_on(BOB, "renew none", version, &renew(&made.hmac, -1));
        s.ask_on(BOB, "expire none", version, &expire(&made.hmac, -1));
    }
    let no_user = create(None, &[("User", "carol"), ("Group", "g")], -1);
    s.ask_on(BOB, "a renewer that is no user", 3, &no_user);
    short(s);
    for_others(s);
}

/// A token whose life is over before the next request.
fn short(s: &mut Session) {
    let made = s.ask_on(BOB, "a short life", 3, &create(None, &[], 1));
    wait(s, &made.token_id, true);
    s.ask_on(BOB, "renew an expired one", 2, &renew(&made.hmac, -1));
    s.ask_on(BOB, "expire an expired one", 2, &expire(&made.hmac, 1));
    s.ask_on(BOB, "remove an expired one", 2, &expire(&made.hmac, -1));
    wait(s, &made.token_id, false);
}

/// Tokens for somebody else (KIP-373).
fn for_others(s: &mut Session) {
    let acl = |operation: i8| AclCreation {
        resource_type: USER,
        resource_name: "User:bob".to_owned(),
        resource_pattern_type: LITERAL,
        principal: "User:admin".to_owned(),
        host: "*".to_owned(),
        operation,
        permission_type: ALLOW,
    };
    let open = create(Some("bob"), &[], -1);
    let made = s.ask_on(CAROL, "for bob, where nothing is closed", 3, &open);
    wait(s, &made.token_id, true);
    s.ask_on(CAROL, "bob's are seen", 3, &describe(None));
    let creations = vec![acl(CREATE_TOKENS), acl(DESCRIBE_TOKENS)];
    s.quiet(3, &CreateAclsRequest { creations });
    s.settle();
    s.ask_on(CAROL, "for bob, who is closed", 3, &create(Some("bob"), &[], -1));
    let allowed = create(Some("bob"), &[("User", "admin")], 60_000);
    let made = s.ask_on(ADMIN, "for bob", 3, &allowed);
    wait(s, &made.token_id, true);
    s.ask_on(CAROL, "what carol sees", 3, &describe(None));
    s.ask_on(ADMIN, "what the admin sees", 3, &describe(Some(&["bob"])));
    for version in 1..=3 {
        s.ask_on(CONTROLLER, "at the controller", version, &describe(None));
    }
}
