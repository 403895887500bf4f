//! ListTransactions (key 66, v0–v2), DescribeTransactions (key 65, v0). KIP-664, 994, 1152.
//!
//! v1 duration · v2 a pattern of transactional ids.

use naru_coordinators::{TransactionState, TxnCommand, TxnReply};
use naru_model::ErrorCode;
use naru_protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use naru_protocol::messages::describe_transactions_response::{
    DescribeTransactionsResponse, TransactionState as Described,
};
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;
use naru_protocol::messages::list_transactions_response::ListTransactionsResponse;
use regex::{Regex, RegexBuilder};

use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// Bytes that a pattern may take when it is made ready.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn list(
    context: RequestContext,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let failed = |error: ErrorCode| ListTransactionsResponse {
        error_code: error.code(),
        ..Default::default()
    };
    let pattern = request.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
    let Ok(pattern) = pattern.map(whole_match).transpose() else {
        return failed(ErrorCode::InvalidRegularExpression);
    };
    let unknown = |name: &&String| TransactionState::from_name(name).is_none();
    let unknown_state_filters = request.state_filters.iter().filter(unknown).cloned().collect();
    let command = TxnCommand::List(request);
    let answers = match context.node.coordination().ask_all_transactions(&command).await {
        Ok(answers) => answers,
        Err(error) => return failed(error),
    };
    let listed = answers.into_iter().flat_map(|answer| match answer {
        TxnReply::Listed(listed) => listed,
        other => {
            unexpected(Ok(other));
            Vec::new()
        }
    });
    let is_asked_for = |id: &str| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
            && context.may_see(Operation::Describe, Resource::TransactionalId(id))
    };
    ListTransactionsResponse {
        unknown_state_filters,
        transaction_states: listed.filter(|one| is_asked_for(&one.transactional_id)).collect(),
        ..Default::default()
    }
}

/// A pattern that the whole of an id has to match.
fn whole_match(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_BYTES_MAX).build()
}

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        if !context.may(Operation::Describe, Resource::TransactionalId(&transactional_id)) {
            states.push(Described {
                error_code: ErrorCode::TransactionalIdAuthorizationFailed.code(),
                transactional_id,
                ..Default::default()
            });
            continue;
        }
        let command = TxnCommand::Describe { transactional_id: transactional_id.clone() };
        let answer = context.node.coordination().ask_transaction(&transactional_id, command).await;
        states.push(match answer {
            Ok(TxnReply::Described(mut described)) => {
                let may =
                    |topic: &str| context.may_see(Operation::Describe, Resource::Topic(topic));
                described.topics.retain(|topic| may(&topic.topic));
                described
            }
            other => {
                Described { error_code: unexpected(other), transactional_id, ..Default::default() }
            }
        });
    }
    DescribeTransactionsResponse { transaction_states: states, ..Default::default() }
}
