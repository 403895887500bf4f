//! AlterConfigs (33) and IncrementalAlterConfigs (44), decided; DescribeConfigs (32) as a
//! controller answers it.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response::AlterConfigsResponse;
use naru_protocol::messages::describe_configs_request::DescribeConfigsRequest;
use naru_protocol::messages::describe_configs_response::DescribeConfigsResponse;
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;

use crate::dispatch::RequestContext;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    crate::api::configs::describe(&context, request)
}

pub(crate) async fn alter(
    context: RequestContext,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_alter_configs(&request));
    decided.await
}

pub(crate) async fn alter_incrementally(
    context: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_incremental_alter_configs(&request));
    decided.await
}
