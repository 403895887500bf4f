//! OffsetCommit, OffsetFetch, OffsetDelete, ListGroups, DescribeGroups, DeleteGroups.

use naru_model::Uuid;
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use naru_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use super::groups::{describe, join, sync};
use crate::differential::session::Session;

/// A topic by name and, for the versions that want it, by id.
#[derive(Clone, Copy)]
pub struct Topic<'a> {
    pub name: &'a str,
    pub id: Uuid,
}

pub type Offset<'a> = (i32, i64, Option<&'a str>);

pub fn commit(group: &str, topic: Topic<'_>, offsets: &[Offset<'_>]) -> OffsetCommitRequest {
    let partition = |(index, offset, metadata): &Offset<'_>| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        committed_leader_epoch: 2,
        committed_metadata: metadata.map(str::to_owned),
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.name.to_owned(),
        topic_id: topic.id,
        partitions: offsets.iter().map(partition).collect(),
    };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

/// `None` asks for all topics.
pub fn fetch(group: &str, topic: Option<Topic<'_>>) -> OffsetFetchRequest {
    let partitions = || vec![0, 1, 7];
    let old = topic.map(|topic| {
        let name = topic.name.to_owned();
        vec![OffsetFetchRequestTopic { name, partition_indexes: partitions() }]
    });
    let new = topic.map(|topic| {
        let (name, topic_id) = (topic.name.to_owned(), topic.id);
        vec![OffsetFetchRequestTopics { name, topic_id, partition_indexes: partitions() }]
    });
    let group_id = group.to_owned();
    let one = OffsetFetchRequestGroup { group_id, topics: new, ..Default::default() };
    OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: old,
        groups: vec![one],
        require_stable: true,
    }
}

pub fn delete(group: &str, topic: &str, partitions: &[i32]) -> OffsetDeleteRequest {
    let partition = |index: &i32| OffsetDeleteRequestPartition { partition_index: *index };
    let topic = OffsetDeleteRequestTopic {
        name: topic.to_owned(),
        partitions: partitions.iter().map(partition).collect(),
    };
    OffsetDeleteRequest { group_id: group.to_owned(), topics: vec![topic] }
}

pub fn run(s: &mut Session) {
    let topic = Topic { name: "t1", id: s.topic("t1", 2, &[]) };
    let nowhere = Topic { name: "nowhere", id: Uuid(0x77) };
    for version in 2..=10 {
        let group = format!("commits-{version}");
        s.ask("good", version, &commit(&group, topic, &[(0, 5, Some("note")), (1, 6, None)]));
        s.ask("no such partition", version, &commit(&group, topic, &[(7, 5, None)]));
        s.ask("no such topic", version, &commit(&group, nowhere, &[(0, 5, None)]));
        s.ask("a negative offset", version, &commit(&group, topic, &[(1, -9, None)]));
        let long = "m".repeat(5000);
        s.ask("long metadata", version, &commit(&group, topic, &[(1, 7, Some(&long))]));
        s.ask("no group id", version, &commit("", topic, &[(0, 5, None)]));
        let member = OffsetCommitRequest {
            member_id: "x".to_owned(),
            generation_id_or_member_epoch: 1,
            ..commit(&group, topic, &[(0, 9, None)])
        };
        s.ask("a stranger's", version, &member);
        let nobody = OffsetCommitRequest { group_id: "absent".to_owned(), ..member };
        s.ask("a stranger's, without a group", version, &nobody);
        s.ask("nothing", version, &commit(&group, topic, &[]));
    }
    for version in 1..=10 {
        let group = format!("commits-{}", version.max(2));
        s.ask("good", version, &fetch(&group, Some(topic)));
        s.ask("no such group", version, &fetch("absent", Some(topic)));
        s.ask("no such topic", version, &fetch(&group, Some(nowhere)));
        s.ask("no group id", version, &fetch("", Some(topic)));
        if version >= 2 {
            s.ask("all", version, &fetch(&group, None));
            s.ask("all of no group", version, &fetch("absent", None));
        }
    }
    for version in [8, 9, 10] {
        let mut several = fetch("commits-8", Some(topic));
        several.groups.extend(fetch("absent", None).groups);
        several.groups.extend(fetch("commits-9", None).groups);
        s.ask("several groups", version, &several);
        s.ask("no groups", version, &OffsetFetchRequest { groups: Vec::new(), ..several });
    }
    let member = OffsetFetchRequestGroup {
        group_id: "commits-9".to_owned(),
        member_id: Some("x".to_owned()),
        member_epoch: 3,
        topics: None,
    };
    let request = OffsetFetchRequest { groups: vec![member], ..fetch("", None) };
    s.ask("as a member", 9, &request);
    s.ask("good", 0, &delete("commits-3", "t1", &[0]));
    s.ask("again", 0, &delete("commits-3", "t1", &[0]));
    s.ask("no such partition", 0, &delete("commits-3", "t1", &[9]));
    s.ask("no such topic", 0, &delete("commits-3", "nowhere", &[0]));
    s.ask("no such group", 0, &delete("absent", "t1", &[0]));
    s.ask("no group id", 0, &delete("", "t1", &[0]));
    s.ask("after it", 8, &fetch("commits-3", None));
    members(s, topic);
}

/// What members of a living group may commit and delete.
fn members(s: &mut Session, topic: Topic<'_>) {
    let group = "commits-alive";
    let id = s.ask("id", 9, &join(group, "")).member_id;
    s.ask("join", 9, &join(group, &id));
    let by = |generation: i32, member: &str, offset: i64| OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: member.to_owned(),
        ..commit(group, topic, &[(0, offset, None)])
    };
    s.ask("before the sync", 8, &by(1, &id, 3));
    s.ask("sync", 5, &sync(group, &id, 1, &[&id]));
    for version in [2, 8, 9, 10] {
        s.ask("a member's", version, &by(1, &id, 4));
        s.ask("a member's of another generation", version, &by(2, &id, 5));
        s.ask("nobody's in a living group", version, &by(-1, "", 6));
        s.ask("a member's without generation", version, &by(-1, &id, 7));
        s.ask("a stranger's in a living group", version, &by(1, "x", 8));
    }
    s.ask("of a living group", 8, &fetch(group, Some(topic)));
    s.ask("a subscribed topic", 0, &delete(group, "t1", &[0]));
    s.ask("another topic", 0, &delete(group, "t2", &[0]));
    let deletion = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    s.ask("a living group", 2, &deletion);
}

pub fn admin(s: &mut Session) {
    let topic = Topic { name: "t2", id: s.topic("t2", 1, &[]) };
    for name in ["admin-0", "admin-1", "admin-2"] {
        s.quiet(8, &commit(name, topic, &[(0, 1, None)]));
    }
    s.settle();
    let list = |states: &[&str], types: &[&str]| ListGroupsRequest {
        states_filter: states.iter().map(|state| (*state).to_owned()).collect(),
        types_filter: types.iter().map(|kind| (*kind).to_owned()).collect(),
    };
    for version in 0..=5 {
        s.ask("all", version, &list(&[], &[]));
    }
    for version in 4..=5 {
        s.ask("empty ones", version, &list(&["empty"], &[]));
        s.ask("stable ones", version, &list(&["Stable"], &[]));
        s.ask("dead and empty ones", version, &list(&["Dead", "Empty"], &[]));
        s.ask("a state that is none", version, &list(&["nonsense"], &[]));
    }
    s.ask("classic ones", 5, &list(&[], &["CLASSIC"]));
    s.ask("consumer ones", 5, &list(&[], &["consumer"]));
    s.ask("a type that is none", 5, &list(&[], &["nonsense"]));
    for version in 0..=6 {
        let mut several = describe("admin-0");
        several.groups.extend(["absent".to_owned(), "admin-1".to_owned()]);
        several.include_authorized_operations = true;
        s.ask("several", version, &several);
        s.ask("a group", version, &describe("admin-0"));
    }
    let names = |names: &[&str]| DeleteGroupsRequest {
        groups_names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    for version in 0..=2 {
        let name = format!("admin-{version}");
        s.ask("good and bad", version, &names(&[&name, "absent", ""]));
        s.ask("again", version, &names(&[&name]));
        s.topic(&format!("t3-{version}"), 1, &[]);
        s.quiet(8, &commit(&name, topic, &[(0, 1, None)]));
        s.ask("good", version, &names(&[&name]));
    }
    s.ask("twice the same", 2, &names(&["absent", "absent"]));
    s.ask("none", 2, &names(&[]));
}
