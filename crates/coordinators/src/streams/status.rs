//! What a heartbeat's answer says about a group that is not as it should be.

use naru_protocol::messages::streams_group_heartbeat_response as answer;

/// A status of KIP-1071, with what is wrong in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    StaleTopology(String),
    MissingSourceTopics(String),
    IncorrectlyPartitionedTopics(String),
    MissingInternalTopics(String),
    ShutdownApplication(String),
    AssignmentDelayed(&'static str),
}

impl From<&Status> for answer::Status {
    fn from(status: &Status) -> Self {
        let (status_code, status_detail) = match status {
            Status::StaleTopology(text) => (0, text.clone()),
            Status::MissingSourceTopics(text) => (1, text.clone()),
            Status::IncorrectlyPartitionedTopics(text) => (2, text.clone()),
            Status::MissingInternalTopics(text) => (MISSING_INTERNAL_TOPICS, text.clone()),
            Status::ShutdownApplication(text) => (4, text.clone()),
            Status::AssignmentDelayed(text) => (5, (*text).to_owned()),
        };
        Self { status_code, status_detail }
    }
}

/// Names as Kafka lists them: the first few, and how many more there are.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<&str>>().join(", ");
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} additional topics"),
    }
}

/// Code of the status that internal topics are missing; whoever creates them adds to its text.
pub const MISSING_INTERNAL_TOPICS: i8 = 3;
/// Names that are listed.
const NAMES_MAX: usize = 3;
