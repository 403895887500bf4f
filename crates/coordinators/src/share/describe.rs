//! ShareGroupDescribe (key 77, v1).

use naru_model::ErrorCode;
use naru_protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};

use super::assignor::SIMPLE;
use super::error::ShareGroupError;
use super::group::ShareGroup;
use super::member::ShareMember;
use crate::consumer::Topics;

/// A group that is no share group.
pub(crate) fn unknown_group(group_id: String, exists: bool) -> DescribedGroup {
    let error = if exists {
        ShareGroupError::OtherType(group_id.clone())
    } else {
        ShareGroupError::NoGroup(group_id.clone())
    };
    DescribedGroup {
        error_code: ErrorCode::from(&error).code(),
        error_message: Some(error.to_string()),
        group_id,
        ..Default::default()
    }
}

/// A group; authorized operations are the caller's.
pub(super) fn describe(group: &ShareGroup, topics: &dyn Topics) -> DescribedGroup {
    DescribedGroup {
        group_id: group.id.to_string(),
        group_state: group.state().name().to_owned(),
        group_epoch: group.epoch(),
        assignment_epoch: group.target_epoch().epoch,
        assignor_name: SIMPLE.to_owned(),
        members: group.members().map(|member| described(member, topics)).collect(),
        ..Default::default()
    }
}

/// A member with its partitions; topics that are gone are left out.
fn described(member: &ShareMember, topics: &dyn Topics) -> Member {
    let profile = &member.profile;
    let assigned = member.progress.assigned.iter().filter_map(|(topic_id, partitions)| {
        let topic_name = topics.name(*topic_id)?.to_string();
        let partitions = partitions.iter().copied().collect();
        Some(TopicPartitions { topic_id: *topic_id, topic_name, partitions })
    });
    Member {
        member_id: member.id.to_string(),
        rack_id: profile.rack_id.clone(),
        member_epoch: member.progress.epoch,
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        subscribed_topic_names: profile.topics.iter().cloned().collect(),
        assignment: Assignment { topic_partitions: assigned.collect() },
    }
}
