//! The rows of `--describe`: committed offsets, log ends and owners put together.

use std::collections::HashMap;

use naru_client::admin::{CommittedOffset, GroupDescription, GroupMember, OffsetSpec};
use naru_client::{Admin, Isolation, TopicPartition};

use super::Failure;

/// One row; what is not known is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OffsetRow {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) leader_epoch: Option<i32>,
    pub(super) current: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) consumer_id: String,
    pub(super) host: String,
    pub(super) client_id: String,
}

impl OffsetRow {
    pub(super) fn lag(&self) -> Option<i64> {
        Some(self.end? - self.current?)
    }
}

/// The rows of a group: assigned partitions by owner, the busiest first, then the others.
pub(super) async fn rows(
    admin: &Admin,
    group: &GroupDescription,
) -> Result<Vec<OffsetRow>, Failure> {
    let committed: HashMap<TopicPartition, CommittedOffset> =
        admin.group_offsets(&group.group, None).await?.into_iter().collect();
    let mut members: Vec<&GroupMember> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut plan: Vec<(TopicPartition, Option<&GroupMember>)> = Vec::new();
    for member in members {
        let mut partitions = member.assignment.clone();
        partitions.sort();
        plan.extend(partitions.into_iter().map(|partition| (partition, Some(member))));
    }
    let mut others: Vec<TopicPartition> = committed
        .keys()
        .filter(|partition| !plan.iter().any(|(assigned, _)| assigned == *partition))
        .cloned()
        .collect();
    others.sort();
    plan.extend(others.into_iter().map(|partition| (partition, None)));
    let wanted: Vec<(TopicPartition, OffsetSpec)> =
        plan.iter().map(|(partition, _)| (partition.clone(), OffsetSpec::Latest)).collect();
    let ends = admin.list_offsets(&wanted, Isolation::ReadUncommitted).await?;
    let rows = plan.into_iter().zip(ends).map(|((partition, member), (_, end))| {
        let offset = committed.get(&partition);
        let of = |field: fn(&GroupMember) -> &String| {
            member.map_or_else(|| "-".to_owned(), |member| field(member).clone())
        };
        OffsetRow {
            group: group.group.clone(),
            leader_epoch: offset.and_then(|offset| offset.leader_epoch),
            current: offset.map(|offset| offset.offset),
            // A partition without a leader has no known end.
            end: end.ok().and_then(|listed| listed.offset),
            consumer_id: of(|member| &member.member_id),
            host: of(|member| &member.host),
            client_id: of(|member| &member.client_id),
            topic: partition.topic,
            partition: partition.partition,
        }
    });
    Ok(rows.collect())
}
