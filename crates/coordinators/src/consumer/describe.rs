//! ConsumerGroupDescribe (key 69, v0–v1). v1 the protocol of each member.

use naru_model::ErrorCode;
use naru_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};

use super::assignment::{Partitions, partitions_of};
use super::group::ConsumerGroup;
use super::member::ConsumerMember;
use super::topics::Topics;
use crate::config::ConsumerConfig;

/// Member types of version 1.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

/// A group that is none of the consumer protocol.
pub(crate) fn unknown_group(group_id: String, exists: bool) -> DescribedGroup {
    let message = if exists {
        format!("Group {group_id} is not a consumer group.")
    } else {
        format!("Group {group_id} not found.")
    };
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(message),
        group_id,
        ..Default::default()
    }
}

/// A group; authorized operations are the caller's.
pub(super) fn describe(
    group: &ConsumerGroup,
    config: &ConsumerConfig,
    topics: &dyn Topics,
) -> DescribedGroup {
    let default_assignor = config.default_assignor().name();
    DescribedGroup {
        group_id: group.id.to_string(),
        group_state: group.state().name().to_owned(),
        group_epoch: group.epoch(),
        assignment_epoch: group.target_epoch().epoch,
        assignor_name: group.preferred_assignor().unwrap_or(default_assignor).to_owned(),
        members: group.members().map(|member| described(group, member, topics)).collect(),
        ..Default::default()
    }
}

fn described(group: &ConsumerGroup, member: &ConsumerMember, topics: &dyn Topics) -> Member {
    let profile = &member.profile;
    let nothing = Partitions::new();
    let target = group.target(&member.id).unwrap_or(&nothing);
    // What it has not given up yet is still its own.
    let mut current = partitions_of(&member.progress.assigned);
    for (topic, mut partitions) in partitions_of(&member.progress.pending_revocation) {
        current.entry(topic).or_default().append(&mut partitions);
    }
    Member {
        member_id: member.id.to_string(),
        instance_id: profile.instance_id.clone(),
        rack_id: profile.rack_id.clone(),
        member_epoch: member.progress.epoch,
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        subscribed_topic_names: profile.topics.iter().cloned().collect(),
        subscribed_topic_regex: Some(profile.regex.clone()),
        assignment: named(&current, topics),
        target_assignment: named(target, topics),
        member_type: if member.uses_classic_protocol() { CLASSIC } else { CONSUMER },
    }
}

/// An assignment with the topics' names; those that are gone are left out.
fn named(partitions: &Partitions, topics: &dyn Topics) -> Assignment {
    let named = partitions.iter().filter_map(|(topic_id, set)| {
        let topic_name = topics.name(*topic_id)?.to_string();
        let partitions = set.iter().copied().collect();
        Some(TopicPartitions { topic_id: *topic_id, topic_name, partitions })
    });
    Assignment { topic_partitions: named.collect() }
}
