//! Groups: list, describe, delete.

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::Request;
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_describe_response as consumer;
use naru_protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use naru_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use naru_protocol::messages::list_groups_request::ListGroupsRequest;

use super::Admin;
use crate::cluster::Lane;
use crate::error::{Error, Result};
use crate::group_protocol::decode_versioned;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Group id.
    pub group: String,
    /// `consumer` for consumers, empty for groups that only keep offsets.
    pub protocol_type: String,
    /// State, as the broker names it; empty from old brokers.
    pub state: String,
    /// `classic`, `consumer`, ...; empty from old brokers.
    pub group_type: String,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Group id.
    pub group: String,
    /// State, as the broker names it.
    pub state: String,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// The assignor that was chosen.
    pub assignor: String,
    /// Node id of the coordinator.
    pub coordinator: i32,
    /// What only groups of the consumer protocol (KIP-848) have.
    pub epochs: Option<GroupEpochs>,
    /// Members.
    pub members: Vec<GroupMember>,
}

/// How far a group of the consumer protocol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEpochs {
    /// Counts the changes of members and topics.
    pub group: i32,
    /// The group epoch that the last assignment was made for.
    pub assignment: i32,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it has been given.
    pub assignment: Vec<TopicPartition>,
    /// Its epoch, in a group of the consumer protocol.
    pub epoch: Option<i32>,
    /// What it is to have in the end, in a group of the consumer protocol.
    pub target: Option<Vec<TopicPartition>>,
}

impl Admin {
    /// Lists the groups of all brokers, optionally only those in some states or of some types.
    pub async fn list_groups(
        &self,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<GroupListing>> {
        let metadata = self.cluster.retry(async || self.cluster.refresh_brokers().await).await?;
        let mut groups: Vec<GroupListing> = Vec::new();
        for broker in metadata.brokers.keys() {
            let listed = self
                .cluster
                .retry(async || self.list_groups_of(*broker, states, types).await)
                .await?;
            // While a coordinator moves, two brokers may list the same group.
            for group in listed {
                if !groups.iter().any(|known| known.group == group.group) {
                    groups.push(group);
                }
            }
        }
        Ok(groups)
    }

    async fn list_groups_of(
        &self,
        broker: i32,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<GroupListing>> {
        let connection = self.cluster.broker(broker, Lane::Main).await?;
        let request =
            ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Error::check(response.error_code)?;
        Ok(response
            .groups
            .into_iter()
            .map(|g| GroupListing {
                group: g.group_id,
                protocol_type: g.protocol_type,
                state: g.group_state,
                group_type: g.group_type,
            })
            .collect())
    }

    /// Describes a group of the classic protocol. A group that does not exist is
    /// `GROUP_ID_NOT_FOUND`, also from brokers that call it dead.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        match self.describe_consumer_group(group).await {
            Err(error) if is_of_another_protocol(&error) => {
                self.describe_classic_group(group).await
            }
            described => described,
        }
    }

    async fn describe_consumer_group(&self, group: &str) -> Result<GroupDescription> {
        self.cluster
            .retry(async || {
                let request = ConsumerGroupDescribeRequest {
                    group_ids: vec![group.to_owned()],
                    include_authorized_operations: false,
                };
                let (id, response) = self.ask_coordinator(group, request).await?;
                let described = response
                    .groups
                    .into_iter()
                    .next()
                    .ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
                Error::check_with(described.error_code, described.error_message.clone())?;
                Ok(consumer_description(id, described))
            })
            .await
    }

    async fn describe_classic_group(&self, group: &str) -> Result<GroupDescription> {
        self.cluster
            .retry(async || {
                let request = DescribeGroupsRequest {
                    groups: vec![group.to_owned()],
                    include_authorized_operations: false,
                };
                let (id, response) = self.ask_coordinator(group, request).await?;
                let described = response
                    .groups
                    .into_iter()
                    .next()
                    .ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
                Error::check_with(described.error_code, described.error_message.clone())?;
                if described.group_state == "Dead" {
                    let message = format!("Group {group} not found.");
                    return Err(Error::broker(ErrorCode::GroupIdNotFound, Some(message)));
                }
                Ok(description_of(id, described))
            })
            .await
    }

    /// Asks the coordinator of a group, once; its node id is told too.
    pub(super) async fn ask_coordinator<R: Request>(
        &self,
        group: &str,
        request: R,
    ) -> Result<(i32, R::Response)> {
        let id = self.cluster.coordinator(group).await?;
        let connection = self.cluster.broker(id, Lane::Main).await?;
        Ok((id, self.cluster.call(&connection, i16::MAX, |_| request).await?))
    }

    /// Deletes a group.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        self.cluster
            .retry(async || {
                let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
                let (_, response) = self.ask_coordinator(group, request).await?;
                response.results.into_iter().try_for_each(|r| Error::check(r.error_code))
            })
            .await
    }
}

fn description_of(coordinator: i32, group: DescribedGroup) -> GroupDescription {
    GroupDescription {
        group: group.group_id,
        state: group.group_state,
        protocol_type: group.protocol_type,
        assignor: group.protocol_data,
        coordinator,
        epochs: None,
        members: group.members.into_iter().map(member_of).collect(),
    }
}

fn member_of(member: DescribedGroupMember) -> GroupMember {
    // What another kind of client assigned may be anything; then no partitions are shown.
    let assignment = decode_versioned::<ConsumerProtocolAssignment>(&member.member_assignment)
        .map(|assignment| assignment.assigned_partitions)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|t| {
            let topic = t.topic;
            t.partitions.into_iter().map(move |p| TopicPartition::new(topic.clone(), p))
        })
        .collect();
    GroupMember {
        member_id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment,
        epoch: None,
        target: None,
    }
}

/// Whether an error says that the group, if there is one, is to be asked for in the classic way.
fn is_of_another_protocol(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion)
}

fn consumer_description(coordinator: i32, group: consumer::DescribedGroup) -> GroupDescription {
    let member = |member: consumer::Member| GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: partitions(member.assignment),
        epoch: Some(member.member_epoch),
        target: Some(partitions(member.target_assignment)),
    };
    GroupDescription {
        group: group.group_id,
        state: group.group_state,
        protocol_type: "consumer".to_owned(),
        assignor: group.assignor_name,
        coordinator,
        epochs: Some(GroupEpochs { group: group.group_epoch, assignment: group.assignment_epoch }),
        members: group.members.into_iter().map(member).collect(),
    }
}

fn partitions(assignment: consumer::Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.into_iter();
    let flat = topics.flat_map(|topic| {
        let name = topic.topic_name;
        topic.partitions.into_iter().map(move |p| TopicPartition::new(name.clone(), p))
    });
    flat.collect()
}
