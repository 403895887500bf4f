//! Groups from outside: offsets without members, lists, descriptions, deletion.

use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
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

use super::pair::{Pair, Side};

/// The first version that fetches the offsets of many groups.
const MANY_SINCE: i16 = 8;

pub(super) fn compare(pair: &mut Pair<'_>) {
    offset_commit(pair);
    offset_fetch(pair);
    describe_and_list(pair);
    offset_delete(pair);
    delete(pair);
}

fn committing(side: &Side, group: &str, topic: &str, partition_index: i32) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.to_owned(),
            topic_id: side.id(topic),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index,
                committed_offset: 5,
                committed_leader_epoch: 0,
                committed_metadata: Some("noted".to_owned()),
            }],
        }],
        ..Default::default()
    }
}

fn offset_commit(pair: &mut Pair<'_>) {
    pair.good("without a member", |side, version| {
        committing(side, &format!("diff-simple-{version}"), "diff", 0)
    });
    pair.bad("of a member that is none", |side, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 7,
        member_id: "nobody".to_owned(),
        ..committing(side, "diff-simple-2", "diff", 0)
    });
    pair.bad("an unknown topic", |side, _| committing(side, "diff-simple-2", "diff-none", 0));
    pair.bad("an unknown partition", |side, _| committing(side, "diff-simple-2", "diff", 9));
    pair.bad("metadata over the limit", |side, _| {
        let mut request = committing(side, "diff-simple-2", "diff", 0);
        request.topics[0].partitions[0].committed_metadata = Some("m".repeat(5000));
        request
    });
    pair.bad("an empty group", |side, _| committing(side, "", "diff", 0));
}

fn offset_fetch(pair: &mut Pair<'_>) {
    let of = |side: &Side, version: i16, group: &str, partitions: Option<Vec<i32>>| {
        let name = "diff".to_owned();
        if version < MANY_SINCE {
            let topics = partitions
                .map(|partition_indexes| vec![OffsetFetchRequestTopic { name, partition_indexes }]);
            return OffsetFetchRequest { group_id: group.to_owned(), topics, ..Default::default() };
        }
        let topic_id = side.id("diff");
        let topics = partitions.map(|partition_indexes| {
            vec![OffsetFetchRequestTopics { name, topic_id, partition_indexes }]
        });
        let asked = OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            member_epoch: -1,
            topics,
            ..Default::default()
        };
        OffsetFetchRequest { groups: vec![asked], ..Default::default() }
    };
    let group = "diff-simple-3";
    pair.good("a partition", |side, v| of(side, v, group, Some(vec![0])));
    pair.good("a partition without an offset", |side, v| of(side, v, group, Some(vec![1])));
    pair.good("all partitions", |side, v| {
        // Version 1 had no way to say "all".
        of(side, v, group, if v < 2 { Some(vec![0, 1]) } else { None })
    });
    pair.good("stable offsets", |side, v| OffsetFetchRequest {
        require_stable: v >= 7,
        ..of(side, v, group, Some(vec![0]))
    });
    pair.bad("an unknown group", |side, v| of(side, v, "diff-no-group", Some(vec![0])));
    pair.bad("an unknown partition", |side, v| of(side, v, group, Some(vec![9])));
}

fn describe_and_list(pair: &mut Pair<'_>) {
    let of = |group: &str| DescribeGroupsRequest {
        groups: vec![group.to_owned()],
        include_authorized_operations: true,
    };
    pair.good("a group without members", |_, _| of("diff-simple-3"));
    pair.bad("an unknown group", |_, _| of("diff-no-group"));
    pair.bad("an empty name", |_, _| of(""));

    let list = |states: &[&str], types: &[&str]| ListGroupsRequest {
        states_filter: states.iter().map(|state| (*state).to_owned()).collect(),
        types_filter: types.iter().map(|kind| (*kind).to_owned()).collect(),
    };
    pair.good("all groups", |_, _| list(&[], &[]));
    pair.good("empty groups", |_, v| list(if v >= 4 { &["Empty"] } else { &[] }, &[]));
    pair.good("classic groups", |_, v| list(&[], if v >= 5 { &["classic"] } else { &[] }));
    pair.bad("a state that is none", |_, v| list(if v >= 4 { &["Nonsense"] } else { &[] }, &[]));
    pair.bad("a type that is none", |_, v| list(&[], if v >= 5 { &["nonsense"] } else { &[] }));
}

fn offset_delete(pair: &mut Pair<'_>) {
    let of = |group: &str, topic: &str, partition_index: i32| OffsetDeleteRequest {
        group_id: group.to_owned(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.to_owned(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index }],
        }],
    };
    pair.good("an offset", |_, _| of("diff-simple-4", "diff", 0));
    pair.bad("an unknown group", |_, _| of("diff-no-group", "diff", 0));
    pair.bad("an unknown topic", |_, _| of("diff-simple-5", "diff-none", 0));
}

fn delete(pair: &mut Pair<'_>) {
    let of = |group: &str| DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    pair.good("a group", |_, version| of(&format!("diff-simple-{}", version + 6)));
    pair.bad("an unknown group", |_, _| of("diff-no-group"));
    pair.bad("an empty name", |_, _| of(""));
}
