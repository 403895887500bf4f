//! Share groups (KIP-932): heartbeats, assignments, what groups of other kinds are told, offsets
//! for administrators, deletion.

use naru_model::Uuid;
use naru_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition,
    AlterShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::delete_share_group_offsets_request::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;

use super::groups::{describe, join, sync};
use super::offsets::{Topic, commit, delete, fetch};
use crate::differential::session::Session;

/// More than the least time between two assignments.
const NEXT_ASSIGNMENT: u64 = 1_200;

fn beat(group: &str, member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        ..Default::default()
    }
}

fn full(group: &str, member: &str, epoch: i32, topics: &[&str]) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        ..beat(group, member, epoch)
    }
}

fn shown(group: &str) -> ShareGroupDescribeRequest {
    ShareGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        include_authorized_operations: true,
    }
}

fn stand(group: &str, topics: Option<&[(&str, &[i32])]>) -> DescribeShareGroupOffsetsRequest {
    let topics = topics.map(|topics| {
        let topics =
            topics.iter().map(|(name, partitions)| DescribeShareGroupOffsetsRequestTopic {
                topic_name: (*name).to_owned(),
                partitions: partitions.to_vec(),
            });
        topics.collect()
    });
    let group_id = group.to_owned();
    DescribeShareGroupOffsetsRequest {
        groups: vec![DescribeShareGroupOffsetsRequestGroup { group_id, topics }],
    }
}

fn alter(group: &str, topics: &[(&str, &[(i32, i64)])]) -> AlterShareGroupOffsetsRequest {
    let partition =
        |(partition_index, start_offset): &(i32, i64)| AlterShareGroupOffsetsRequestPartition {
            partition_index: *partition_index,
            start_offset: *start_offset,
        };
    let topics = topics.iter().map(|(name, partitions)| AlterShareGroupOffsetsRequestTopic {
        topic_name: (*name).to_owned(),
        partitions: partitions.iter().map(partition).collect(),
    });
    AlterShareGroupOffsetsRequest { group_id: group.to_owned(), topics: topics.collect() }
}

fn forget(group: &str, topics: &[&str]) -> DeleteShareGroupOffsetsRequest {
    let topics = topics
        .iter()
        .map(|name| DeleteShareGroupOffsetsRequestTopic { topic_name: (*name).to_owned() });
    DeleteShareGroupOffsetsRequest { group_id: group.to_owned(), topics: topics.collect() }
}

fn end(group: &str) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups_names: vec![group.to_owned()] }
}

pub fn refusals(s: &mut Session) {
    let good = || full("sg-refused", "m", 0, &["sg1"]);
    let mut no = |label: &str, request: ShareGroupHeartbeatRequest| {
        s.ask(label, 1, &request);
    };
    no("no group", ShareGroupHeartbeatRequest { group_id: String::new(), ..good() });
    no("a blank group", ShareGroupHeartbeatRequest { group_id: " ".into(), ..good() });
    no("no member", ShareGroupHeartbeatRequest { member_id: String::new(), ..good() });
    no("a blank member", ShareGroupHeartbeatRequest { member_id: " ".into(), ..good() });
    no("a long member", ShareGroupHeartbeatRequest { member_id: "m".repeat(37), ..good() });
    no("an empty rack", ShareGroupHeartbeatRequest { rack_id: Some(String::new()), ..good() });
    no("no topics", ShareGroupHeartbeatRequest { subscribed_topic_names: None, ..good() });
    no("not one topic", full("sg-refused", "m", 0, &[]));
    no("an epoch far below", beat("sg-refused", "m", -2));
    no("leaves no group", beat("sg-refused", "m", -1));
    no("beats in no group", beat("sg-refused", "m", 1));
    s.ask("no such group", 1, &shown("sg-refused"));
    s.ask("no group id", 1, &shown(""));
    s.ask("nothing", 1, &ShareGroupDescribeRequest::default());
    for version in 0..=1 {
        s.ask("no such group", version, &stand("sg-refused", None));
        s.ask("no such group's topics", version, &stand("sg-refused", Some(&[("absent", &[0])])));
        s.ask("no topics", version, &stand("sg-refused", Some(&[])));
        s.ask("no groups", version, &DescribeShareGroupOffsetsRequest::default());
    }
    s.ask("no group", 0, &alter("", &[("absent", &[(0, 0)])]));
    s.ask("no such topic", 0, &alter("sg-refused", &[("absent", &[(0, 0)])]));
    s.ask("no topics", 0, &alter("sg-refused", &[]));
    s.ask("no group", 0, &forget("", &["absent"]));
    s.ask("no such group", 0, &forget("sg-refused", &["absent"]));
    s.ask("no such group", 2, &end("sg-refused"));
}

pub fn one_member(s: &mut Session) {
    s.topic("sg1", 2, &[]);
    s.topic("sg2", 1, &[]);
    let group = "sg-one";
    s.ask("join", 1, &full(group, "m", 0, &["sg1"]));
    // Share coordinators begin the state beside the answer.
    s.sleep(5_000);
    s.ask("given all", 1, &beat(group, "m", 2));
    s.ask("described", 1, &shown(group));
    s.ask_each("not begun by a leader", 0..=1, &stand(group, None));
    s.ask_each(
        "named",
        0..=1,
        &stand(group, Some(&[("sg1", &[0]), ("sg2", &[0]), ("absent", &[0])])),
    );
    s.ask("all again", 1, &full(group, "m", 3, &["sg1"]));
    s.ask("nothing new", 1, &beat(group, "m", 3));
    s.ask("too new", 1, &beat(group, "m", 9));
    s.ask("a stranger", 1, &beat(group, "x", 3));
    s.ask("a stranger leaves", 1, &beat(group, "x", -1));
    s.ask("joins again", 1, &full(group, "m", 0, &["sg1"]));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("other topics", 1, &full(group, "m", 3, &["absent", "sg2"]));
    s.ask("described without", 1, &shown(group));
    s.ask("an epoch behind", 1, &beat(group, "m", 3));
    s.ask("two epochs behind", 1, &beat(group, "m", 2));
    s.ask(
        "with a rack",
        1,
        &ShareGroupHeartbeatRequest {
            rack_id: Some("r".into()),
            ..full(group, "m", 4, &["absent", "sg2"])
        },
    );
    others(s, group);
    s.ask("not altered with members", 0, &alter(group, &[("sg1", &[(0, 0)])]));
    s.ask("not forgotten with members", 0, &forget(group, &["sg1"]));
    s.ask("not deleted with members", 2, &end(group));
    s.ask("leaves", 1, &beat(group, "m", -1));
    s.ask("deleted", 2, &end(group));
    s.ask("described deleted", 1, &shown(group));
    s.ask_each("stands nowhere", 0..=1, &stand(group, None));
}

fn consumer(group: &str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: "c".to_owned(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![topic.to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

/// What a share group's id is told as that of another kind.
fn others(s: &mut Session, group: &str) {
    let topic = Topic { name: "sg1", id: Uuid::ZERO };
    for version in [0, 5, 6] {
        s.ask("as a classic group", version, &describe(group));
    }
    let named =
        ConsumerGroupDescribeRequest { group_ids: vec![group.to_owned()], ..Default::default() };
    s.ask_each("as a consumer group", 0..=1, &named);
    s.ask_each("joined as a consumer group", 0..=1, &consumer(group, "sg1"));
    s.ask_each("joined as a classic group", [0, 5, 9], &join(group, ""));
    s.ask_each("synced", [0, 5], &sync(group, "m", 1, &[]));
    let alive = HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id: 1,
        member_id: "m".to_owned(),
        ..Default::default()
    };
    s.ask_each("alive", [0, 4], &alive);
    let left = LeaveGroupRequest {
        group_id: group.to_owned(),
        member_id: "m".to_owned(),
        ..Default::default()
    };
    s.ask_each("left", [0, 2], &left);
    for version in [2, 8, 9] {
        s.ask("commits", version, &commit(group, topic, &[(0, 1, None)]));
        let member = OffsetCommitRequest {
            member_id: "m".to_owned(),
            generation_id_or_member_epoch: 1,
            ..commit(group, topic, &[(0, 1, None)])
        };
        s.ask("commits as a member", version, &member);
    }
    s.ask_each("fetches", [1, 7], &fetch(group, Some(topic)));
    s.ask("deletes offsets", 0, &delete(group, "sg1", &[0]));
    let types = |types: &[&str]| ListGroupsRequest {
        types_filter: types.iter().map(|one| (*one).to_owned()).collect(),
        ..Default::default()
    };
    s.ask("listed by type", 5, &types(&["Share"]));
    let stable =
        ListGroupsRequest { states_filter: vec!["stable".to_owned()], ..types(&["share"]) };
    s.ask("listed by state", 5, &stable);
}

pub fn offsets(s: &mut Session) {
    s.topic("so1", 2, &[]);
    s.topic("so2", 1, &[]);
    let group = "so";
    s.ask(
        "altered before there is a group",
        0,
        &alter(group, &[("so1", &[(0, 7), (1, 3), (2, 0)]), ("absent", &[(0, 0)])]),
    );
    s.sleep(1_000);
    s.ask("described", 1, &shown(group));
    s.ask_each("stands there", 0..=1, &stand(group, None));
    s.ask("altered again", 0, &alter(group, &[("so1", &[(0, 2)])]));
    s.sleep(500);
    s.ask_each("stands elsewhere", 0..=1, &stand(group, Some(&[("so1", &[0, 1])])));
    s.ask("forgets", 0, &forget(group, &["so1", "so2", "absent"]));
    s.ask("forgets again", 0, &forget(group, &["so1"]));
    s.ask_each("stands nowhere", 0..=1, &stand(group, None));
    s.ask_each("stands nowhere, named", 0..=1, &stand(group, Some(&[("so1", &[0])])));
    s.ask("altered to be forgotten", 0, &alter(group, &[("so1", &[(0, 1)])]));
    s.sleep(500);
    s.ask("forgets all", 0, &forget(group, &["so1"]));
    s.quiet(0, &consumer("so-consumer", "so1"));
    s.ask_each("stands in a consumer group", 0..=1, &stand("so-consumer", None));
    s.ask("altered to be deleted", 0, &alter(group, &[("so2", &[(0, 1)])]));
    s.sleep(500);
    s.ask("deleted", 2, &end(group));
    s.ask("described deleted", 1, &shown(group));
    s.ask_each("stands nowhere, deleted", 0..=1, &stand(group, Some(&[("so2", &[0])])));
}
