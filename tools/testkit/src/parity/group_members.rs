//! A member's life at every version: join, sync, heartbeat, commit, describe, leave.

use bytes::Bytes;
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::pair::{Pair, Side};

/// MEMBER_ID_REQUIRED: the broker gives a new member its id first (KIP-394).
const MEMBER_ID_REQUIRED: i16 = 79;
/// The first version that lets several members leave at once.
const LEAVE_MANY_SINCE: i16 = 3;
/// A consumer's subscription to `diff`: version 0, one topic, no user data.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 4, b'd', b'i', b'f', b'f', 255, 255, 255, 255];
/// An assignment of `diff-0`: version 0, one topic, one partition, no user data.
const ASSIGNMENT: &[u8] =
    &[0, 0, 0, 0, 0, 1, 0, 4, b'd', b'i', b'f', b'f', 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255];

pub(super) fn compare(pair: &mut Pair<'_>) {
    for version in pair.versions::<JoinGroupRequest>() {
        live(pair, version, None);
        // Static members came with version 5.
        if version >= 5 {
            live(pair, version, Some("instance"));
        }
    }
    join_refused(pair);
    others_refused(pair);
}

fn joining(group: &str, member: &str, instance: Option<&str>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.to_owned(),
        group_instance_id: instance.map(str::to_owned),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(SUBSCRIPTION),
        }],
        reason: None,
    }
}

/// The highest version of another API that belongs to the same time as this one's.
fn fitting<R: naru_protocol::Request>(pair: &Pair<'_>, version: i16) -> i16 {
    let versions = pair.versions::<R>();
    version.clamp(*versions.start(), *versions.end())
}

fn live(pair: &mut Pair<'_>, version: i16, instance: Option<&str>) {
    let kind = instance.unwrap_or("dynamic");
    let group = format!("diff-{kind}-{version}");
    for side in pair.sides() {
        side.member.clear();
    }
    let case = format!("{kind} member");
    for _ in 0..2 {
        let joined = pair.step(&case, version, |side| joining(&group, &side.member, instance));
        let Some((kafka, ours)) = joined else { return };
        let again = kafka.error_code == MEMBER_ID_REQUIRED;
        for (side, member) in pair.sides().into_iter().zip([kafka.member_id, ours.member_id]) {
            side.member = member;
        }
        if !again {
            break;
        }
    }
    let at = fitting::<SyncGroupRequest>(pair, version);
    pair.step(&case, at, |side| syncing(side, &group, instance));
    let at = fitting::<HeartbeatRequest>(pair, version);
    pair.step(&case, at, |side| beating(&side.member, &group, 1, instance));
    let at = fitting::<DescribeGroupsRequest>(pair, version);
    pair.step(&case, at, |_| DescribeGroupsRequest {
        groups: vec![group.clone()],
        include_authorized_operations: false,
    });
    let at = fitting::<LeaveGroupRequest>(pair, version);
    pair.step(&case, at, |side| leaving(&side.member, &group, at, instance));
}

fn syncing(side: &Side, group: &str, instance: Option<&str>) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: 1,
        member_id: side.member.clone(),
        group_instance_id: instance.map(str::to_owned),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: side.member.clone(),
            assignment: Bytes::from_static(ASSIGNMENT),
        }],
    }
}

fn beating(member: &str, group: &str, generation: i32, instance: Option<&str>) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id: generation,
        member_id: member.to_owned(),
        group_instance_id: instance.map(str::to_owned),
    }
}

fn leaving(member: &str, group: &str, version: i16, instance: Option<&str>) -> LeaveGroupRequest {
    let identity = MemberIdentity {
        member_id: member.to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    };
    LeaveGroupRequest {
        group_id: group.to_owned(),
        member_id: if version < LEAVE_MANY_SINCE { member.to_owned() } else { String::new() },
        members: if version < LEAVE_MANY_SINCE { Vec::new() } else { vec![identity] },
    }
}

fn join_refused(pair: &mut Pair<'_>) {
    pair.bad("an empty group", |_, _| joining("", "", None));
    pair.bad("a member that is none", |_, _| joining("diff-bad", "nobody", None));
    pair.bad("a session that is too short", |_, _| JoinGroupRequest {
        session_timeout_ms: 10,
        ..joining("diff-bad", "", None)
    });
    pair.bad("no protocols", |_, _| JoinGroupRequest {
        protocols: Vec::new(),
        ..joining("diff-bad", "", None)
    });
}

fn others_refused(pair: &mut Pair<'_>) {
    let group = "diff-no-group";
    pair.bad("an unknown group", |_, _| beating("nobody", group, 1, None));
    pair.bad("an unknown group", |_, v| leaving("nobody", group, v, None));
    pair.bad("an unknown group", |_, _| SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: 1,
        member_id: "nobody".to_owned(),
        ..Default::default()
    });
    pair.bad("a wrong protocol", |_, _| SyncGroupRequest {
        group_id: "diff-dynamic-0".to_owned(),
        generation_id: 1,
        member_id: "nobody".to_owned(),
        protocol_type: Some("connect".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..Default::default()
    });
}
