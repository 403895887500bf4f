//! DescribeClientQuotas (48, v0–v1). KIP-546. AlterClientQuotas is the controller's.

use naru_model::ErrorCode;
use naru_protocol::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use naru_protocol::messages::describe_client_quotas_response::DescribeClientQuotasResponse;

use crate::api::acls::NOT_AUTHORIZED;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let refused = |error: ErrorCode, message: String| DescribeClientQuotasResponse {
        error_code: error.code(),
        error_message: Some(message),
        entries: None,
        ..Default::default()
    };
    if !context.may(Operation::DescribeConfigs, Resource::Cluster) {
        return refused(ErrorCode::ClusterAuthorizationFailed, NOT_AUTHORIZED.to_owned());
    }
    context
        .node
        .image()
        .describe_client_quotas(&request)
        .unwrap_or_else(|error| refused(error.code(), error.to_string()))
}
