//! The messages of the five APIs of share coordinators as commands, and replies as messages.

use std::sync::Arc;

use naru_coordinators::{ShareCommand, SharePartition, ShareReply, StateBatch, StateWrite};
use naru_model::Uuid;
use naru_protocol::messages::delete_share_group_state_request::DeleteShareGroupStateRequest;
use naru_protocol::messages::delete_share_group_state_response as deleted;
use naru_protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use naru_protocol::messages::initialize_share_group_state_response as initialized;
use naru_protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_response as read;
use naru_protocol::messages::read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
use naru_protocol::messages::read_share_group_state_summary_response as summary;
use naru_protocol::messages::write_share_group_state_request::WriteShareGroupStateRequest;
use naru_protocol::messages::write_share_group_state_response as written;

use super::share_state::{Part, StateRequest};

/// The commands of a request: what is asked of each partition of each topic. Nothing if the group
/// has no name, or if no topic or no partition is named.
macro_rules! commands {
    ($request:ident, |$key:ident, $asked:ident| $command:expr) => {{
        let group: Arc<str> = $request.group_id.into();
        let is_empty = $request.topics.iter().any(|topic| topic.partitions.is_empty());
        if group.is_empty() || $request.topics.is_empty() || is_empty {
            return None;
        }
        let topics = $request.topics.into_iter().map(|topic| {
            let topic_id = topic.topic_id;
            let ask = |$asked: _| {
                let key =
                    |partition| SharePartition { group: Arc::clone(&group), topic_id, partition };
                let $key = key;
                $command
            };
            (topic_id, topic.partitions.into_iter().map(ask).collect())
        });
        Some(topics.collect())
    }};
}

/// The response whose parts have nothing but an error.
macro_rules! plain_response {
    ($module:ident, $response:ident, $topic:ident, $results:ident) => {{
        let topics = $results.into_iter().map(|(topic_id, parts)| $module::$topic {
            topic_id,
            partitions: parts
                .into_iter()
                .map(|part| $module::PartitionResult {
                    partition: part.partition,
                    error_code: part.error_code,
                    error_message: part.error_message,
                })
                .collect(),
        });
        $module::$response { results: topics.collect() }
    }};
}

impl StateRequest for InitializeShareGroupStateRequest {
    const VERB: &'static str = "initialize";

    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>> {
        use naru_protocol::messages::initialize_share_group_state_request::PartitionData;
        commands!(self, |key, asked| {
            let asked: PartitionData = asked;
            ShareCommand::Initialize {
                partition: key(asked.partition),
                state_epoch: asked.state_epoch,
                start_offset: asked.start_offset,
            }
        })
    }

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> Self::Response {
        plain_response!(
            initialized,
            InitializeShareGroupStateResponse,
            InitializeStateResult,
            results
        )
    }
}

impl StateRequest for ReadShareGroupStateRequest {
    const VERB: &'static str = "read";

    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>> {
        use naru_protocol::messages::read_share_group_state_request::PartitionData;
        commands!(self, |key, asked| {
            let asked: PartitionData = asked;
            ShareCommand::Read { partition: key(asked.partition), leader_epoch: asked.leader_epoch }
        })
    }

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> Self::Response {
        let one = |part: Part| {
            let result = read::PartitionResult {
                partition: part.partition,
                error_code: part.error_code,
                error_message: part.error_message,
                ..Default::default()
            };
            let ShareReply::State(state) = part.reply else { return result };
            let batches = state.batches.into_iter().map(|batch| read::StateBatch {
                first_offset: batch.first_offset,
                last_offset: batch.last_offset,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            });
            read::PartitionResult {
                state_epoch: state.state_epoch,
                start_offset: state.start_offset,
                state_batches: batches.collect(),
                ..result
            }
        };
        let topics = results.into_iter().map(|(topic_id, parts)| read::ReadStateResult {
            topic_id,
            partitions: parts.into_iter().map(one).collect(),
        });
        read::ReadShareGroupStateResponse { results: topics.collect() }
    }
}

impl StateRequest for WriteShareGroupStateRequest {
    const VERB: &'static str = "write";

    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>> {
        use naru_protocol::messages::write_share_group_state_request::PartitionData;
        commands!(self, |key, asked| {
            let asked: PartitionData = asked;
            let batches = asked.state_batches.into_iter().map(|batch| StateBatch {
                first_offset: batch.first_offset,
                last_offset: batch.last_offset,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            });
            ShareCommand::Write {
                partition: key(asked.partition),
                write: StateWrite {
                    state_epoch: asked.state_epoch,
                    leader_epoch: asked.leader_epoch,
                    start_offset: asked.start_offset,
                    delivery_complete_count: asked.delivery_complete_count,
                    batches: batches.collect(),
                },
            }
        })
    }

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> Self::Response {
        plain_response!(written, WriteShareGroupStateResponse, WriteStateResult, results)
    }
}

impl StateRequest for DeleteShareGroupStateRequest {
    const VERB: &'static str = "delete";

    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>> {
        use naru_protocol::messages::delete_share_group_state_request::PartitionData;
        commands!(self, |key, asked| {
            let asked: PartitionData = asked;
            ShareCommand::Delete { partition: key(asked.partition) }
        })
    }

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> Self::Response {
        plain_response!(deleted, DeleteShareGroupStateResponse, DeleteStateResult, results)
    }
}

impl StateRequest for ReadShareGroupStateSummaryRequest {
    const VERB: &'static str = "read";

    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>> {
        use naru_protocol::messages::read_share_group_state_summary_request::PartitionData;
        commands!(self, |key, asked| {
            let asked: PartitionData = asked;
            ShareCommand::Summary { partition: key(asked.partition) }
        })
    }

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> Self::Response {
        let one = |part: Part| {
            let result = summary::PartitionResult {
                partition: part.partition,
                error_code: part.error_code,
                error_message: part.error_message,
                ..Default::default()
            };
            let ShareReply::Summary(told) = part.reply else { return result };
            summary::PartitionResult {
                state_epoch: told.state_epoch,
                leader_epoch: told.leader_epoch,
                start_offset: told.start_offset,
                delivery_complete_count: told.delivery_complete_count,
                ..result
            }
        };
        let topics = results.into_iter().map(|(topic_id, parts)| summary::ReadStateSummaryResult {
            topic_id,
            partitions: parts.into_iter().map(one).collect(),
        });
        summary::ReadShareGroupStateSummaryResponse { results: topics.collect() }
    }
}
