//! What of a ConsumerGroupHeartbeat can be refused without looking at the group.

use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;

use super::assignor::Assignor;
use super::error::ConsumerError;
use crate::config::ConsumerConfig;

/// The member leaves.
pub(super) const LEAVE: i32 = -1;
/// The static member leaves for a while.
pub(super) const LEAVE_STATIC: i32 = -2;
/// From this version on members make their own ids (KIP-1082).
const OWN_MEMBER_ID_SINCE: i16 = 1;

pub(super) fn validate(
    config: &ConsumerConfig,
    api_version: i16,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), ConsumerError> {
    let invalid = |text: &str| Err(ConsumerError::InvalidRequest(text.to_owned()));
    let epoch = request.member_epoch;
    let needs_id = api_version >= OWN_MEMBER_ID_SINCE || epoch > 0 || epoch == LEAVE;
    if needs_id && is_blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_deref().is_some_and(is_blank) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_deref().is_some_and(is_blank) {
        return invalid("RackId can't be empty.");
    }
    match epoch {
        0 => {
            if request.rebalance_timeout_ms == -1 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none()
            {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
                     (re-)joining.",
                );
            }
        }
        LEAVE_STATIC if request.instance_id.is_none() => {
            return invalid("InstanceId can't be null.");
        }
        ..LEAVE_STATIC => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    match &request.server_assignor {
        Some(name) if config.assignor(name).is_none() => Err(ConsumerError::UnsupportedAssignor {
            name: name.clone(),
            supported: config.assignors().map(Assignor::name).collect::<Vec<_>>().join(", "),
        }),
        _ => Ok(()),
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
