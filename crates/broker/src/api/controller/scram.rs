//! AlterUserScramCredentials (51), decided; DescribeUserScramCredentials (50) as a controller answers.
//! Apache Kafka's controllers tell that they serve 50, and fail; clients ask them for it (KIP-919).

use naru_model::ErrorCode;
use naru_protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
use naru_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;
use naru_protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use naru_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;

use crate::dispatch::RequestContext;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    crate::api::scram::describe(&context, request)
}

pub(crate) async fn alter(
    context: RequestContext,
    request: AlterUserScramCredentialsRequest,
) -> Result<AlterUserScramCredentialsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_alter_scram(&request));
    decided.await
}
