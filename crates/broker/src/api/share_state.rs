//! The share coordinator: InitializeShareGroupState (83, v0), ReadShareGroupState (84, v0),
//! WriteShareGroupState (85, v0–v1), DeleteShareGroupState (86, v0), ReadShareGroupStateSummary
//! (87, v0–v1). KIP-932.
//!
//! Asked by the leaders of partitions and by group coordinators, on this node without a
//! connection. The rules live in `naru_coordinators`; what the five messages look like in
//! `share_state_messages.rs`. v1 delivery complete count.

use std::sync::Arc;

use bytes::Bytes;
use naru_coordinators::{ShareCommand, ShareReply, ShareStateError};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::Request;
use tokio::time::{Instant, timeout_at};

use super::words::words;
use crate::dispatch::{RequestContext, decode};
use crate::listener::Answer;
use crate::node::{Node, millis};
use crate::security::{Operation, Resource};

/// A request about share partitions.
pub(crate) trait StateRequest: Request {
    /// What it wants done to the state, to tell when it cannot be.
    const VERB: &'static str;

    /// What share partitions are asked, by topic; none if the request makes no sense, which Kafka
    /// answers with nothing.
    fn commands(self) -> Option<Vec<(Uuid, Vec<ShareCommand>)>>;

    fn response(results: Vec<(Uuid, Vec<Part>)>) -> <Self as Request>::Response;
}

/// The answer about one share partition.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) partition: i32,
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
    pub(crate) reply: ShareReply,
}

/// Answers whoever may ask: brokers. What is asked goes to the share coordinators at once, not when
/// what came before it by the same connection is answered: all of a leader's share partitions are
/// written to by one connection.
pub(crate) fn handle<R: StateRequest + 'static>(context: RequestContext, body: &Bytes) -> Answer {
    let request: R = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    if !context.may(Operation::ClusterAction, Resource::Cluster) {
        return Answer::Send(context.finish(refuse(request), 0));
    }
    let answered = answer(&context.node, request);
    Answer::Later(Box::pin(async move { Answer::Send(context.finish(answered.await, 0)) }))
}

fn refuse<R: StateRequest>(request: R) -> R::Response {
    let refused = ShareStateError::Log(ErrorCode::ClusterAuthorizationFailed);
    let refuse = |(topic, commands): (Uuid, Vec<ShareCommand>)| {
        let parts = commands.iter().map(|command| {
            let text = words(ErrorCode::ClusterAuthorizationFailed).to_owned();
            part(command_partition(command), ShareReply::Refused(refused), |_| text)
        });
        (topic, parts.collect())
    };
    let commands = request.commands().unwrap_or_default();
    R::response(commands.into_iter().map(refuse).collect())
}

/// Asks the share coordinators of this node, before the answer is waited for.
pub(crate) fn answer<R: StateRequest>(
    node: &Arc<Node>,
    request: R,
) -> impl Future<Output = R::Response> + Send + use<R> {
    let deadline = Instant::now() + millis(node.config().share_coordinator.write_timeout_ms);
    // All are asked before any is waited for.
    let under_way = request.commands().map(|commands| {
        let submit = |command: ShareCommand| {
            let index = command_partition(&command);
            let partition = command.partition().cloned();
            let submitted = partition
                .ok_or(ErrorCode::InvalidRequest)
                .and_then(|one| node.coordination().submit_share_state(&one, command));
            (index, submitted)
        };
        let topics = commands
            .into_iter()
            .map(|(topic, commands)| (topic, commands.into_iter().map(submit).collect::<Vec<_>>()));
        topics.collect::<Vec<_>>()
    });
    async move {
        let Some(under_way) = under_way else { return R::Response::default() };
        let mut results = Vec::with_capacity(under_way.len());
        for (topic, submitted) in under_way {
            let mut parts = Vec::with_capacity(submitted.len());
            for (index, submitted) in submitted {
                let reply = match submitted {
                    Ok(answer) => timeout_at(deadline, answer).await.unwrap_or(TOO_SLOW),
                    Err(error) => ShareReply::Refused(ShareStateError::Log(error)),
                };
                parts.push(part(index, reply, |error| {
                    format!("Unable to {} share group state: {}", R::VERB, words(error))
                }));
            }
            results.push((topic, parts));
        }
        R::response(results)
    }
}

/// A write that takes longer is told as Kafka tells it: ask again, perhaps elsewhere.
const TOO_SLOW: ShareReply =
    ShareReply::Refused(ShareStateError::Log(ErrorCode::CoordinatorNotAvailable));

fn command_partition(command: &ShareCommand) -> i32 {
    command.partition().map_or(-1, |one| one.partition)
}

fn part(partition: i32, reply: ShareReply, unable: impl FnOnce(ErrorCode) -> String) -> Part {
    let (error_code, error_message) = match &reply {
        ShareReply::Refused(ShareStateError::Log(error)) => (error.code(), Some(unable(*error))),
        ShareReply::Refused(error) => (ErrorCode::from(*error).code(), Some(error.to_string())),
        ShareReply::Done | ShareReply::State(_) | ShareReply::Summary(_) => (0, None),
    };
    Part { partition, error_code, error_message, reply }
}
