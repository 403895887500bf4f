//! What Kafka says of an error where a response has room for text and nothing more is known.
//!
//! Source: `org.apache.kafka.common.protocol.Errors` of 4.3.1, read by reflection.

use naru_model::ErrorCode;

/// Kafka's words, for the errors that coordinators tell; else the error's name.
pub(super) fn words(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::UnknownServerError => {
            "The server experienced an unexpected error when processing the request."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ErrorCode::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::NotCoordinator => "This is not the correct coordinator.",
        ErrorCode::InvalidGroupId => "The group id is invalid.",
        ErrorCode::TopicAuthorizationFailed => "Topic authorization failed.",
        ErrorCode::GroupAuthorizationFailed => "Group authorization failed.",
        ErrorCode::ClusterAuthorizationFailed => "Cluster authorization failed.",
        ErrorCode::UnsupportedVersion => "The version of API is not supported.",
        ErrorCode::InvalidRequest => super::INVALID_REQUEST,
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::NetworkException => "The server disconnected before a response was received.",
        ErrorCode::FencedStateEpoch => {
            "The share coordinator rejected the request because the share-group state epoch did \
             not match."
        }
        other => other.name(),
    }
}
