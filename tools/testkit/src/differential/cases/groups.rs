//! FindCoordinator and the classic group protocol.

use bytes::Bytes;
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use naru_protocol::{Wire as _, Writer};

use crate::differential::session::Session;

pub fn coordinators(s: &mut Session) {
    let one = |key: &str, key_type: i8| FindCoordinatorRequest {
        key: key.to_owned(),
        key_type,
        coordinator_keys: vec![key.to_owned()],
    };
    for version in 0..=6 {
        s.ask("a group", version, &one("a-group", 0));
        s.ask("an empty group", version, &one("", 0));
    }
    for version in 1..=6 {
        s.ask("an unknown kind", version, &one("x", 9));
        s.ask("a negative kind", version, &one("x", -1));
    }
    for version in 5..=6 {
        s.ask("a share partition that is none", version, &one("no-colons", 2));
    }
    let many = FindCoordinatorRequest {
        coordinator_keys: ["g1", "g2", "", "g1"].map(str::to_owned).to_vec(),
        ..FindCoordinatorRequest::default()
    };
    s.ask("several", 4, &many);
    s.ask("none", 4, &FindCoordinatorRequest::default());
}

fn subscription(topic: &str) -> Bytes {
    let mut w = Writer::default();
    w.i16(0);
    let subscription =
        ConsumerProtocolSubscription { topics: vec![topic.to_owned()], ..Default::default() };
    subscription.write(&mut w, 0);
    w.into_bytes().into()
}

pub fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol { name: "range".to_owned(), metadata: subscription("t1") };
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 5000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    }
}

fn join_as(group: &str, member: &str, instance: &str) -> JoinGroupRequest {
    JoinGroupRequest { group_instance_id: Some(instance.to_owned()), ..join(group, member) }
}

pub fn sync(group: &str, member: &str, generation: i32, to: &[&str]) -> SyncGroupRequest {
    let assignments = to.iter().map(|member| SyncGroupRequestAssignment {
        member_id: (*member).to_owned(),
        assignment: Bytes::from_static(b"share"),
    });
    SyncGroupRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        generation_id: generation,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

fn heartbeat(group: &str, member: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        generation_id: generation,
        group_instance_id: None,
    }
}

fn leave(group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let identity = |(member, instance): &(&str, Option<&str>)| MemberIdentity {
        member_id: (*member).to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    };
    LeaveGroupRequest {
        group_id: group.to_owned(),
        member_id: members.first().map_or("", |(member, _)| member).to_owned(),
        members: members.iter().map(identity).collect(),
    }
}

pub fn describe(group: &str) -> DescribeGroupsRequest {
    DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() }
}

pub fn refusals(s: &mut Session) {
    for version in 0..=9 {
        s.ask("no group id", version, &join("", ""));
        let hasty = JoinGroupRequest { session_timeout_ms: 1, ..join("refused", "") };
        s.ask("a session too short", version, &hasty);
        let patient = JoinGroupRequest { session_timeout_ms: i32::MAX, ..join("refused", "") };
        s.ask("a session too long", version, &patient);
        s.ask("a stranger", version, &join("refused", "stranger"));
        let mute = JoinGroupRequest { protocols: Vec::new(), ..join("refused", "") };
        s.ask("no protocols", version, &mute);
        let untyped = JoinGroupRequest { protocol_type: String::new(), ..join("refused", "") };
        s.ask("no protocol type", version, &untyped);
    }
    s.ask("a static stranger", 9, &join_as("refused", "stranger", "i"));
    s.ask("an empty instance", 9, &join_as("refused", "", ""));
    s.ask("a dotted instance", 9, &join_as("refused", "", ".."));
    for version in 0..=5 {
        s.ask("no group id", version, &sync("", "x", 1, &[]));
        s.ask("no such group", version, &sync("refused", "x", 1, &[]));
    }
    let untyped = SyncGroupRequest { protocol_type: None, ..sync("refused", "x", 1, &[]) };
    s.ask("no protocol type", 5, &untyped);
    for version in 0..=4 {
        s.ask("no group id", version, &heartbeat("", "x", 1));
        s.ask("no such group", version, &heartbeat("refused", "x", 1));
    }
    for version in 0..=5 {
        s.ask("no group id", version, &leave("", &[("x", None)]));
        s.ask("no such group", version, &leave("refused", &[("x", None)]));
    }
    let several = [("", Some("i")), ("x", Some("i")), ("", None)];
    s.ask("several", 5, &leave("refused", &several));
    s.ask("nobody", 5, &leave("refused", &[]));
    for version in 0..=6 {
        s.ask("no such group", version, &describe("refused"));
        s.ask("no group id", version, &describe(""));
    }
}

/// The whole life of a group of one, at every version of each request.
pub fn one_member(s: &mut Session) {
    for version in 0..=9 {
        let group = format!("one-{version}");
        let mut member = s.ask("join", version, &join(&group, "")).member_id;
        if version >= 4 {
            member = s.ask("join with the id", version, &join(&group, &member)).member_id;
        }
        s.ask("described while it waits", 6, &describe(&group));
        s.ask("a beat too early", 4, &heartbeat(&group, &member, 1));
        let v = version.min(5);
        s.ask("a wrong generation", v, &sync(&group, &member, 7, &[]));
        s.ask("sync", v, &sync(&group, &member, 1, &[&member]));
        s.ask("sync again", v, &sync(&group, &member, 1, &[]));
        s.ask("described", version.min(6), &describe(&group));
        s.ask("beat", version.min(4), &heartbeat(&group, &member, 1));
        s.ask("a beat of an old generation", version.min(4), &heartbeat(&group, &member, 0));
        s.ask("a stranger's beat", version.min(4), &heartbeat(&group, "x", 1));
        let other = JoinGroupRequest { protocol_type: "connect".to_owned(), ..join(&group, "") };
        s.ask("another protocol type", version, &other);
        s.ask("leave", v, &leave(&group, &[(&member, None)]));
        s.ask("leave again", v, &leave(&group, &[(&member, None)]));
        s.ask("described at the end", version.min(6), &describe(&group));
    }
    let other = SyncGroupRequest {
        protocol_name: Some("other".to_owned()),
        ..sync("one-named", "x", 1, &[])
    };
    s.ask("a protocol nobody chose", 5, &other);
}

/// Connections `a` and `b`, each a member of one group.
fn both_join(s: &mut Session, group: &str, ids: [&str; 2]) -> [String; 2] {
    s.send("a", 9, &join(group, ids[0]));
    s.sleep(100);
    s.send("b", 9, &join(group, ids[1]));
    let a = s.receive::<JoinGroupRequest>("a", "a joins").member_id;
    let b = s.receive::<JoinGroupRequest>("b", "b joins").member_id;
    [a, b]
}

fn both_sync(s: &mut Session, group: &str, generation: i32, ids: [&str; 2]) {
    s.send("a", 5, &sync(group, ids[0], generation, &ids));
    s.send("b", 5, &sync(group, ids[1], generation, &[]));
    s.receive::<SyncGroupRequest>("a", "a syncs");
    s.receive::<SyncGroupRequest>("b", "b syncs");
}

pub fn two_members(s: &mut Session) {
    let group = "two";
    let a = s.ask("a gets an id", 9, &join(group, "")).member_id;
    let b = s.ask("b gets an id", 9, &join(group, "")).member_id;
    both_join(s, group, [&a, &b]);
    s.ask("waiting for the leader", 6, &describe(group));
    both_sync(s, group, 1, [&a, &b]);
    s.ask("stable", 6, &describe(group));
    s.ask("stable, an old version", 2, &describe(group));
    let strange = JoinGroupRequest {
        protocols: vec![JoinGroupRequestProtocol {
            name: "other".to_owned(),
            metadata: Bytes::new(),
        }],
        ..join(group, "")
    };
    s.ask("a protocol nobody has", 9, &strange);
    // The follower's metadata changes: everybody must join again.
    let mut more = join(group, &b);
    more.protocols[0].metadata = subscription("t2");
    s.send("b", 9, &more);
    s.sleep(200);
    s.ask("told to join", 4, &heartbeat(group, &a, 1));
    s.ask("described in between", 6, &describe(group));
    s.ask("sync in between", 5, &sync(group, &a, 1, &[]));
    s.ask_on("a", "the leader joins", 9, &join(group, &a));
    s.receive::<JoinGroupRequest>("b", "the follower joined");
    both_sync(s, group, 2, [&a, &b]);
    s.ask("leave, with strangers", 5, &leave(group, &[(&a, None), ("nobody", None), (&a, None)]));
    s.ask("the rest must join", 4, &heartbeat(group, &b, 2));
    s.ask("one leaves by the old way", 2, &leave(group, &[(&b, None)]));
    s.ask("empty", 6, &describe(group));
    s.ask("a member that left beats", 4, &heartbeat(group, &a, 3));
    s.ask("a member that left joins", 9, &join(group, &a));
}

pub fn static_members(s: &mut Session) {
    let group = "static";
    s.send("a", 9, &join_as(group, "", "ia"));
    s.sleep(100);
    s.send("b", 9, &join_as(group, "", "ib"));
    let a = s.receive::<JoinGroupRequest>("a", "a joins").member_id;
    let b = s.receive::<JoinGroupRequest>("b", "b joins").member_id;
    both_sync(s, group, 1, [&a, &b]);
    let beat = |member: &str, instance: Option<&str>| HeartbeatRequest {
        group_instance_id: instance.map(str::to_owned),
        ..heartbeat(group, member, 1)
    };
    s.ask("its beat", 4, &beat(&a, Some("ia")));
    s.ask("another's instance", 4, &beat(&a, Some("ib")));
    s.ask("an unknown instance", 4, &beat(&a, Some("zz")));
    s.ask("another's id", 4, &beat("zz", Some("ia")));
    s.ask("a beat without instance", 4, &beat(&a, None));
    s.ask("described", 6, &describe(group));
    let again = s.ask("b comes back", 9, &join_as(group, "", "ib")).member_id;
    s.ask("the old b is fenced", 4, &beat(&b, Some("ib")));
    s.ask("the old b without instance", 4, &beat(&b, None));
    s.ask("the new b beats", 4, &beat(&again, Some("ib")));
    s.ask("the new b syncs", 5, &sync(group, &again, 1, &[]));
    s.ask("the old b joins", 9, &join_as(group, &b, "ib"));
    s.ask("b comes back by an old version", 7, &join_as(group, "", "ib"));
    s.ask("a comes back by an old version", 7, &join_as(group, "", "ia"));
    s.ask("a comes back", 9, &join_as(group, "", "ia"));
    s.ask("described again", 6, &describe(group));
    let leaving = [("", Some("ia")), ("zz", Some("ib")), ("", Some("zz"))];
    s.ask("leave by instance", 5, &leave(group, &leaving));
}
