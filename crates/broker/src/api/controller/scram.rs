//! AlterUserScramCredentials (51), decided.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
use naru_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;

use crate::dispatch::RequestContext;

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
