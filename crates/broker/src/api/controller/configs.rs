//! AlterConfigs (33) and IncrementalAlterConfigs (44), decided; DescribeConfigs (32) as a
//! controller answers it.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response::{self, AlterConfigsResponse};
use naru_protocol::messages::describe_configs_request::DescribeConfigsRequest;
use naru_protocol::messages::describe_configs_response::DescribeConfigsResponse;
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response::{
    self, IncrementalAlterConfigsResponse,
};

use crate::api::configs::may_not;
use crate::api::loggers::{self, As};
use crate::dispatch::RequestContext;
use crate::security::Operation;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    crate::api::configs::describe(&context, request)
}

pub(crate) async fn alter(
    context: RequestContext,
    mut request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, ErrorCode> {
    let mut refused = Vec::new();
    request.resources.retain(|one| {
        let refusal =
            may_not(&context, Operation::AlterConfigs, one.resource_type, &one.resource_name);
        refused.extend(refusal.map(|(error, message)| {
            alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: Some(message.to_owned()),
                resource_type: one.resource_type,
                resource_name: one.resource_name.clone(),
            }
        }));
        refusal.is_none()
    });
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_alter_configs(&request));
    let mut response = decided.await?;
    response.responses.extend(refused);
    Ok(response)
}

pub(crate) async fn alter_incrementally(
    context: RequestContext,
    mut request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, ErrorCode> {
    let mut refused =
        loggers::change_in(&context, As::Controller, &mut request.resources, request.validate_only);
    if request.resources.is_empty() && !refused.is_empty() {
        // Every controller answers for itself, also one that decides nothing.
        let responses = refused;
        return Ok(IncrementalAlterConfigsResponse { responses, ..Default::default() });
    }
    request.resources.retain(|one| {
        let refusal =
            may_not(&context, Operation::AlterConfigs, one.resource_type, &one.resource_name);
        refused.extend(refusal.map(|(error, message)| {
            incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: Some(message.to_owned()),
                resource_type: one.resource_type,
                resource_name: one.resource_name.clone(),
            }
        }));
        refusal.is_none()
    });
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_incremental_alter_configs(&request));
    let mut response = decided.await?;
    response.responses.extend(refused);
    Ok(response)
}
