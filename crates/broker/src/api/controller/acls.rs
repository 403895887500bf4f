//! CreateAcls (30) and DeleteAcls (31), decided; DescribeAcls (29) as a controller answers it.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::create_acls_request::CreateAclsRequest;
use naru_protocol::messages::create_acls_response::CreateAclsResponse;
use naru_protocol::messages::delete_acls_request::DeleteAclsRequest;
use naru_protocol::messages::delete_acls_response::DeleteAclsResponse;
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_protocol::messages::describe_acls_response::DescribeAclsResponse;

use super::Refuse as _;
use crate::dispatch::RequestContext;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    crate::api::acls::describe(&context, request)
}

pub(crate) async fn create(
    context: RequestContext,
    request: CreateAclsRequest,
) -> Result<CreateAclsResponse, ErrorCode> {
    if context.node.security().authorizer().is_none() {
        return Ok(request.refuse(ErrorCode::SecurityDisabled));
    }
    let node = context.node.clone();
    let decided = context.node.metadata().decide(move |deciding| {
        let new_id = || Uuid::from_random(node.random());
        deciding.controller.decide_create_acls(&request, new_id)
    });
    decided.await
}

pub(crate) async fn delete(
    context: RequestContext,
    request: DeleteAclsRequest,
) -> Result<DeleteAclsResponse, ErrorCode> {
    if context.node.security().authorizer().is_none() {
        return Ok(request.refuse(ErrorCode::SecurityDisabled));
    }
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_delete_acls(&request));
    decided.await
}
