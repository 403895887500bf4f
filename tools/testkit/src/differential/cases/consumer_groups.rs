//! The consumer group protocol (KIP-848): heartbeats, assignments, static members, patterns,
//! offsets by epoch, members that speak the classic protocol.

use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use naru_protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition as Assigned,
};
use naru_protocol::messages::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as Owned,
};
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use naru_protocol::{Wire as _, Writer};

use super::groups::{describe, join, sync};
use super::offsets::{Topic, commit, delete, fetch};
use crate::differential::session::Session;

/// More than the least time between two assignments.
const NEXT_ASSIGNMENT: u64 = 1_200;

fn beat(group: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// The first request of a member, or one that says everything again.
fn full(
    group: &str,
    member: &str,
    epoch: i32,
    topics: &[&str],
    owned: &[(Uuid, &[i32])],
) -> ConsumerGroupHeartbeatRequest {
    let owned = owned.iter().map(|(topic_id, partitions)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.to_vec(),
    });
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        server_assignor: Some("range".to_owned()),
        topic_partitions: Some(owned.collect()),
        ..beat(group, member, epoch)
    }
}

fn shown(group: &str) -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        include_authorized_operations: true,
    }
}

fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Vec<i32> {
    let assignment = response.assignment.iter().flat_map(|all| &all.topic_partitions);
    assignment.flat_map(|topic| topic.partitions.clone()).collect()
}

pub fn refusals(s: &mut Session) {
    let good = || full("k-refused", "m", 0, &["k1"], &[]);
    for version in 0..=1 {
        let mut no = |label: &str, request: ConsumerGroupHeartbeatRequest| {
            s.ask(label, version, &request);
        };
        no("no group", ConsumerGroupHeartbeatRequest { group_id: String::new(), ..good() });
        no("a blank group", ConsumerGroupHeartbeatRequest { group_id: " ".into(), ..good() });
        no(
            "an empty instance",
            ConsumerGroupHeartbeatRequest { instance_id: Some(String::new()), ..good() },
        );
        no(
            "an empty rack",
            ConsumerGroupHeartbeatRequest { rack_id: Some(String::new()), ..good() },
        );
        no("no timeout", ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good() });
        no("nothing owned", ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good() });
        no("something owned", full("k-refused", "m", 0, &["k1"], &[(Uuid::ONE, &[0])]));
        no("no topics", ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good() });
        no(
            "an assignor that is none",
            ConsumerGroupHeartbeatRequest { server_assignor: Some("none".into()), ..good() },
        );
        no("an epoch far below", beat("k-refused", "m", -3));
        no("no instance to leave", beat("k-refused", "m", -2));
        no("no member to leave", beat("k-refused", "", -1));
        no("no member", beat("k-refused", "", 1));
        no("leaves no group", beat("k-refused", "m", -1));
        no("beats in no group", beat("k-refused", "m", 1));
    }
    s.ask("no member id", 1, &ConsumerGroupHeartbeatRequest { member_id: String::new(), ..good() });
    for version in 0..=1 {
        s.ask("no such group", version, &shown("k-refused"));
        s.ask("no group id", version, &shown(""));
        s.ask("nothing", version, &ConsumerGroupDescribeRequest::default());
    }
}

pub fn one_member(s: &mut Session) {
    let id = s.topic("k1", 2, &[]);
    let topic = Topic { name: "k1", id };
    for version in 0..=1 {
        let group = format!("k-one-{version}");
        let ask = |s: &mut Session, label: &str, epoch: i32| {
            s.ask(label, version, &beat(&group, "m", epoch));
        };
        s.ask("join", version, &full(&group, "m", 0, &["k1"], &[]));
        s.ask("described", version, &shown(&group));
        ask(s, "beat", 2);
        s.ask("all again", version, &full(&group, "m", 2, &["k1"], &[(id, &[0, 1])]));
        ask(s, "too new", 6);
        s.ask("a stranger", version, &beat(&group, "x", 2));
        s.ask("a stranger leaves", version, &beat(&group, "x", -1));
        s.ask(
            "an unknown instance",
            version,
            &ConsumerGroupHeartbeatRequest {
                instance_id: Some("i".into()),
                ..beat(&group, "m", 2)
            },
        );
        s.sleep(NEXT_ASSIGNMENT);
        s.ask("other topics", version, &full(&group, "m", 2, &["k1", "absent"], &[(id, &[0, 1])]));
        s.ask("fewer topics", version, &full(&group, "m", 3, &["absent"], &[(id, &[0, 1])]));
        s.ask("described as it gives up", version, &shown(&group));
        s.sleep(NEXT_ASSIGNMENT);
        s.ask("given up", version, &full(&group, "m", 3, &["absent"], &[]));
        s.ask("described without", version, &shown(&group));
        s.ask("an epoch behind", version, &full(&group, "m", 3, &["absent"], &[]));
        s.ask("two epochs behind", version, &full(&group, "m", 2, &["absent"], &[]));
        s.ask("joins again", version, &full(&group, "m", 0, &["k1"], &[]));
        s.sleep(NEXT_ASSIGNMENT);
        s.ask("is given all", version, &full(&group, "m", 4, &["k1"], &[]));
        for classic in [5, 6] {
            s.ask("described as a classic one", classic, &describe(&group));
        }
        s.ask("leave", version, &beat(&group, "m", -1));
        s.ask("described at the end", version, &shown(&group));
        s.ask("leave again", version, &beat(&group, "m", -1));
        s.ask(
            "empty",
            5,
            &ListGroupsRequest {
                states_filter: vec!["empty".into()],
                types_filter: vec!["Consumer".into()],
            },
        );
        s.quiet(9, &commit(&group, topic, &[(0, 1, None)]));
        let deletion = DeleteGroupsRequest { groups_names: vec![group.clone()] };
        s.ask("deleted", 2, &deletion);
        s.ask("described after", version, &shown(&group));
    }
    s.ask("an id is made", 0, &full("k-made", "", 0, &["k1"], &[]));
    s.ask("no topics at all", 1, &full("k-none", "m", 0, &[], &[]));
    s.ask("described with nothing", 1, &shown("k-none"));
}

pub fn offsets(s: &mut Session) {
    let topic = Topic { name: "k2", id: s.topic("k2", 2, &[]) };
    let other = Topic { name: "k3", id: s.topic("k3", 2, &[]) };
    let group = "k-offsets";
    s.ask("join", 1, &full(group, "m", 0, &["k2"], &[]));
    let by = |member: &str, epoch: i32| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: epoch,
        ..commit(group, topic, &[(0, 5, Some("x"))])
    };
    for version in 8..=10 {
        s.ask("a member's", version, &by("m", 2));
        s.ask("of an older epoch", version, &by("m", 1));
        s.ask("of a later epoch", version, &by("m", 3));
        s.ask("a stranger's", version, &by("x", 2));
        s.ask("an administrator's", version, &by("", -1));
        s.ask("a member's without epoch", version, &by("m", -1));
    }
    s.ask(
        "in no such group",
        9,
        &OffsetCommitRequest { group_id: "k-absent".into(), ..by("m", 2) },
    );
    for version in 9..=10 {
        for (label, member, epoch) in [
            ("fetched by a member", Some("m"), 2),
            ("fetched of another epoch", Some("m"), 7),
            ("fetched by a stranger", Some("x"), 2),
            ("fetched by nobody", None, -1),
            ("fetched without epoch", Some("m"), -1),
        ] {
            let mut request = fetch(group, Some(topic));
            for one in &mut request.groups {
                one.member_id = member.map(str::to_owned);
                one.member_epoch = epoch;
            }
            s.ask(label, version, &request);
        }
    }
    s.quiet(
        9,
        &OffsetCommitRequest {
            member_id: "m".into(),
            generation_id_or_member_epoch: 2,
            ..commit(group, other, &[(0, 1, None)])
        },
    );
    s.ask("a subscribed topic", 0, &delete(group, "k2", &[0]));
    s.ask("another topic", 0, &delete(group, "k3", &[0]));
    let deletion = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    s.ask("a living group", 2, &deletion);
    s.quiet(1, &beat(group, "m", -1));
    s.ask("an administrator's, when it is empty", 9, &by("", -1));
    s.ask("a member's, when it is empty", 9, &by("m", 2));
    s.ask("an empty group", 2, &deletion);
    s.ask("fetched after", 9, &fetch(group, Some(topic)));
}

pub fn two_members(s: &mut Session) {
    let id = s.topic("k4", 4, &[]);
    let group = "k-two";
    s.ask("a joins", 1, &full(group, "a", 0, &["k4"], &[]));
    s.ask("b joins at once", 1, &full(group, "b", 0, &["k4"], &[]));
    s.ask("described before the next assignment", 1, &shown(group));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("b beats", 1, &beat(group, "b", 2));
    s.ask("a is to give up", 1, &full(group, "a", 2, &["k4"], &[(id, &[0, 1, 2, 3])]));
    s.ask("described as a gives up", 1, &shown(group));
    s.ask("b still waits", 1, &full(group, "b", 3, &["k4"], &[]));
    s.ask("a has not yet", 1, &beat(group, "a", 2));
    s.ask("a has given up", 1, &full(group, "a", 2, &["k4"], &[(id, &[0, 1])]));
    s.ask("b is given", 1, &full(group, "b", 3, &["k4"], &[]));
    s.ask("described", 1, &shown(group));
    s.ask("a new topic", 1, &full(group, "b", 3, &["k4", "k5"], &[(id, &[2, 3])]));
    let second = s.topic("k5", 2, &[]);
    s.settle();
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("b is given more", 1, &full(group, "b", 4, &["k4", "k5"], &[(id, &[2, 3])]));
    s.sleep(NEXT_ASSIGNMENT);
    let owned: [(Uuid, &[i32]); 2] = [(id, &[2, 3]), (second, &[0, 1])];
    s.ask("b catches up", 1, &full(group, "b", 5, &["k4", "k5"], &owned));
    s.ask("a follows", 1, &full(group, "a", 3, &["k4"], &[(id, &[0, 1])]));
    s.ask("described with two topics", 1, &shown(group));
    s.ask("b leaves", 1, &beat(group, "b", -1));
    s.ask("described without b", 1, &shown(group));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("a takes over", 1, &full(group, "a", 5, &["k4"], &[(id, &[0, 1])]));
    s.ask("described at the end", 1, &shown(group));
}

pub fn static_members(s: &mut Session) {
    let id = s.topic("k6", 2, &[]);
    let group = "k-static";
    let of = |instance: &str, request: ConsumerGroupHeartbeatRequest| {
        ConsumerGroupHeartbeatRequest { instance_id: Some(instance.to_owned()), ..request }
    };
    s.ask("join", 1, &of("i", full(group, "a", 0, &["k6"], &[])));
    s.ask("taken", 1, &of("i", full(group, "b", 0, &["k6"], &[])));
    s.ask("beat", 1, &of("i", beat(group, "a", 2)));
    s.ask("another's instance", 1, &of("i", beat(group, "b", 2)));
    s.ask("an unknown instance", 1, &of("z", beat(group, "a", 2)));
    s.ask("leaves as another", 1, &of("i", beat(group, "b", -2)));
    s.ask("an unknown one leaves", 1, &of("z", beat(group, "a", -2)));
    s.ask("leaves for a while", 1, &of("i", beat(group, "a", -2)));
    s.ask("described as it is away", 1, &shown(group));
    s.ask("back under another id", 1, &of("i", full(group, "b", 0, &["k6"], &[])));
    s.ask("the old id", 1, &of("i", beat(group, "a", 2)));
    s.ask("described", 1, &shown(group));
    s.ask("with what it has", 1, &of("i", full(group, "b", 2, &["k6"], &[(id, &[0, 1])])));
    s.ask(
        "removed by an administrator",
        5,
        &LeaveGroupRequest {
            group_id: group.to_owned(),
            members: vec![
                MemberIdentity { group_instance_id: Some("z".into()), ..Default::default() },
                MemberIdentity { group_instance_id: Some("i".into()), ..Default::default() },
            ],
            ..Default::default()
        },
    );
    s.ask("described at the end", 1, &shown(group));
}

pub fn patterns(s: &mut Session) {
    let id = s.topic("k7-a", 2, &[]);
    let group = "k-patterns";
    let with =
        |pattern: &str, request: ConsumerGroupHeartbeatRequest| ConsumerGroupHeartbeatRequest {
            subscribed_topic_regex: Some(pattern.to_owned()),
            subscribed_topic_names: None,
            ..request
        };
    s.ask("join", 1, &with("k7-.*", full(group, "m", 0, &[], &[])));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("resolved", 1, &beat(group, "m", 1));
    s.ask("described", 1, &shown(group));
    let epoch = s.ask("an epoch that is none", 1, &beat(group, "m", 99)).member_epoch;
    s.ask(
        "a name instead",
        1,
        &ConsumerGroupHeartbeatRequest {
            subscribed_topic_regex: Some(String::new()),
            ..full(group, "m", epoch.max(2), &["k7-a"], &[(id, &[0, 1])])
        },
    );
    s.ask("described by name", 1, &shown(group));
    s.ask("nothing is open at the end", 1, &with("k7-(", full("k-bad", "m", 0, &[], &[])));
    s.ask("the group was not made", 1, &shown("k-bad"));
}

fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let mut w = Writer::default();
    w.i16(1);
    let owned_partitions = owned.iter().map(|(topic, partitions)| Owned {
        topic: (*topic).to_owned(),
        partitions: partitions.to_vec(),
    });
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        owned_partitions: owned_partitions.collect(),
        ..Default::default()
    };
    subscription.write(&mut w, 1);
    w.into_bytes().into()
}

fn share(topic: &str, partitions: &[i32]) -> Bytes {
    let mut w = Writer::default();
    w.i16(1);
    let assigned = vec![Assigned { topic: topic.to_owned(), partitions: partitions.to_vec() }];
    let share = ConsumerProtocolAssignment { assigned_partitions: assigned, user_data: None };
    share.write(&mut w, 1);
    w.into_bytes().into()
}

fn classic(group: &str, member: &str, owned: &[(&str, &[i32])]) -> JoinGroupRequest {
    let metadata = subscription(&["k8"], owned);
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata };
    JoinGroupRequest { protocols: vec![protocol], ..join(group, member) }
}

pub fn migration(s: &mut Session) {
    let id = s.topic("k8", 2, &[]);
    let group = "k-moving";
    let old = s.ask("an id", 9, &classic(group, "", &[])).member_id;
    s.ask("joined", 9, &classic(group, &old, &[]));
    let mut request = sync(group, &old, 1, &[]);
    request.assignments = vec![SyncGroupRequestAssignment {
        member_id: old.clone(),
        assignment: share("k8", &[0, 1]),
    }];
    s.ask("synced", 5, &request);
    let heartbeat = |epoch: i32| HeartbeatRequest {
        group_id: group.to_owned(),
        member_id: old.clone(),
        generation_id: epoch,
        group_instance_id: None,
    };
    s.ask("a beat of no such member", 1, &beat(group, "new", 1));
    s.ask("a consumer joins", 1, &full(group, "new", 0, &["k8"], &[]));
    s.ask("described", 1, &shown(group));
    s.ask("no classic group", 6, &describe(group));
    s.ask("the old one is to join", 4, &heartbeat(1));
    s.ask("another generation", 4, &heartbeat(2));
    s.ask(
        "another protocol",
        9,
        &JoinGroupRequest { protocol_type: "connect".into(), ..classic(group, &old, &[]) },
    );
    let both: [(&str, &[i32]); 1] = [("k8", &[0, 1])];
    s.ask("the old one joins", 9, &classic(group, &old, &both));
    let first = s.ask("the old one syncs", 5, &sync(group, &old, 1, &[])).assignment;
    s.ask("it is to join again", 4, &heartbeat(1));
    // What it kept is in the assignment's last number.
    let kept = i32::from(first.get(first.len().saturating_sub(5)).copied().unwrap_or_default());
    let one: [(&str, &[i32]); 1] = [("k8", &[kept])];
    s.ask("the old one joins again", 9, &classic(group, &old, &one));
    let none = SyncGroupRequest { protocol_name: Some("none".into()), ..sync(group, &old, 2, &[]) };
    s.ask("a protocol that is none", 5, &none);
    s.ask("an old generation", 5, &sync(group, &old, 1, &[]));
    s.ask("the old one syncs again", 5, &sync(group, &old, 2, &[]));
    s.ask("its beat", 4, &heartbeat(2));
    let given = s.ask("the new one is given", 1, &full(group, "new", 2, &["k8"], &[]));
    s.ask("described with both", 1, &shown(group));
    s.ask(
        "the new one's classic beat",
        4,
        &HeartbeatRequest { member_id: "new".into(), ..heartbeat(2) },
    );
    let by = |member: &str, epoch: i32| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: epoch,
        ..commit(group, Topic { name: "k8", id }, &[(0, 5, None)])
    };
    s.ask("the old one commits", 8, &by(&old, 2));
    s.ask("the old one commits for an old generation", 8, &by(&old, 1));
    s.ask("with what it has", 1, &full(group, "new", 2, &["k8"], &[(id, &assigned(&given))]));
    s.ask("the new one leaves", 1, &beat(group, "new", -1));
    s.ask("no consumer group", 1, &shown(group));
    s.ask("classic again", 6, &describe(group));
    s.ask("the old one rebalances", 4, &heartbeat(2));
    s.ask(
        "and leaves",
        5,
        &LeaveGroupRequest {
            group_id: group.to_owned(),
            members: vec![MemberIdentity { member_id: old.clone(), ..Default::default() }],
            ..Default::default()
        },
    );
    static_heir(s);
}

/// A classic static member takes the place of the last one that speaks the consumer protocol.
fn static_heir(s: &mut Session) {
    let group = "k-heir";
    let owner = |request: ConsumerGroupHeartbeatRequest| ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".to_owned()),
        ..request
    };
    let as_heir = |request: JoinGroupRequest| JoinGroupRequest {
        group_instance_id: Some("i".to_owned()),
        ..request
    };
    let epoch =
        s.ask("a static one", 1, &owner(full(group, "owner", 0, &["k8"], &[]))).member_epoch;
    let heir = s.ask("its heir", 9, &as_heir(classic(group, "", &[]))).member_id;
    s.ask("the heir's group", 6, &describe(group));
    s.ask("not the owner's", 1, &shown(group));
    s.ask("the owner's beat", 1, &owner(beat(group, "owner", epoch)));
    let heartbeat = HeartbeatRequest {
        group_id: group.to_owned(),
        member_id: heir.clone(),
        generation_id: epoch,
        group_instance_id: Some("i".to_owned()),
    };
    s.ask("the heir's beat", 4, &heartbeat);
    let request = SyncGroupRequest {
        group_instance_id: Some("i".to_owned()),
        ..sync(group, &heir, epoch, &[])
    };
    s.ask("what it inherits", 5, &request);
    s.ask(
        "the heir leaves",
        5,
        &LeaveGroupRequest {
            group_id: group.to_owned(),
            members: vec![MemberIdentity {
                member_id: heir,
                group_instance_id: Some("i".to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    s.ask("nobody's group", 6, &describe(group));
}
