//! Share groups (KIP-932): describe, where they stand, move them, forget.

use std::collections::BTreeMap;

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition,
    AlterShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::delete_share_group_offsets_request::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequestTopic,
};
use naru_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use naru_protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use naru_protocol::messages::share_group_describe_response::Assignment;

use super::{Admin, GroupDescription, GroupEpochs, GroupMember};
use crate::error::{Error, Result};

/// Where a share group stands in a partition; none until it has begun to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareOffset {
    /// The first record that is not done.
    pub start: i64,
    /// The epoch of the leader that keeps the state.
    pub leader_epoch: i32,
    /// How many records are not done; none if it is not known.
    pub lag: Option<i64>,
}

impl Admin {
    /// Describes a share group.
    pub async fn describe_share_group(&self, group: &str) -> Result<GroupDescription> {
        self.cluster()
            .retry(async || {
                let request = ShareGroupDescribeRequest {
                    group_ids: vec![group.to_owned()],
                    include_authorized_operations: false,
                };
                let (coordinator, response) = self.ask_coordinator(group, request).await?;
                let described = response.groups.into_iter().next();
                let described = described.ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
                Error::check_with(described.error_code, described.error_message.clone())?;
                let members = described.members.into_iter().map(|member| GroupMember {
                    member_id: member.member_id,
                    instance_id: None,
                    client_id: member.client_id,
                    host: member.client_host,
                    assignment: partitions(member.assignment),
                    epoch: Some(member.member_epoch),
                    target: None,
                });
                Ok(GroupDescription {
                    group: described.group_id,
                    state: described.group_state,
                    protocol_type: "share".to_owned(),
                    assignor: described.assignor_name,
                    coordinator,
                    epochs: Some(GroupEpochs {
                        group: described.group_epoch,
                        assignment: described.assignment_epoch,
                    }),
                    members: members.collect(),
                })
            })
            .await
    }

    /// Where a share group stands, in all partitions whose state is kept for it.
    pub async fn share_group_offsets(
        &self,
        group: &str,
    ) -> Result<Vec<(TopicPartition, Option<ShareOffset>)>> {
        self.cluster()
            .retry(async || {
                let asked = DescribeShareGroupOffsetsRequestGroup {
                    group_id: group.to_owned(),
                    topics: None,
                };
                let request = DescribeShareGroupOffsetsRequest { groups: vec![asked] };
                let (_, response) = self.ask_coordinator(group, request).await?;
                let described = response.groups.into_iter().next();
                let described = described.ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
                Error::check_with(described.error_code, described.error_message)?;
                let mut offsets = Vec::new();
                for topic in described.topics {
                    for one in topic.partitions {
                        Error::check_with(one.error_code, one.error_message)?;
                        let key = TopicPartition::new(&*topic.topic_name, one.partition_index);
                        let offset = (one.start_offset >= 0).then_some(ShareOffset {
                            start: one.start_offset,
                            leader_epoch: one.leader_epoch,
                            lag: (one.lag != -1).then_some(one.lag),
                        });
                        offsets.push((key, offset));
                    }
                }
                Ok(offsets)
            })
            .await
    }

    /// Has a share group without members begin at other offsets.
    pub async fn alter_share_group_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        self.cluster()
            .retry(async || {
                let mut by_topic: BTreeMap<String, Vec<_>> = BTreeMap::new();
                for (key, start_offset) in offsets {
                    let partition = AlterShareGroupOffsetsRequestPartition {
                        partition_index: key.partition,
                        start_offset: *start_offset,
                    };
                    by_topic.entry(key.topic.clone()).or_default().push(partition);
                }
                let topics = by_topic.into_iter().map(|(topic_name, partitions)| {
                    AlterShareGroupOffsetsRequestTopic { topic_name, partitions }
                });
                let group_id = group.to_owned();
                let request = AlterShareGroupOffsetsRequest { group_id, topics: topics.collect() };
                let (_, response) = self.ask_coordinator(group, request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let results = response.responses.into_iter().flat_map(|topic| {
                    let name = topic.topic_name;
                    topic.partitions.into_iter().map(move |one| {
                        let key = TopicPartition::new(name.clone(), one.partition_index);
                        (key, Error::check_with(one.error_code, one.error_message))
                    })
                });
                Ok(results.collect())
            })
            .await
    }

    /// Has a share group without members forget topics.
    pub async fn delete_share_group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(String, Result<()>)>> {
        self.cluster()
            .retry(async || {
                let topics = topics
                    .iter()
                    .map(|topic| DeleteShareGroupOffsetsRequestTopic { topic_name: topic.clone() });
                let group_id = group.to_owned();
                let request = DeleteShareGroupOffsetsRequest { group_id, topics: topics.collect() };
                let (_, response) = self.ask_coordinator(group, request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let results = response.responses.into_iter().map(|topic| {
                    (topic.topic_name, Error::check_with(topic.error_code, topic.error_message))
                });
                Ok(results.collect())
            })
            .await
    }
}

fn partitions(assignment: Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.into_iter();
    let flat = topics.flat_map(|topic| {
        let name = topic.topic_name;
        topic.partitions.into_iter().map(move |p| TopicPartition::new(name.clone(), p))
    });
    flat.collect()
}
