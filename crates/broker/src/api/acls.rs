//! DescribeAcls (29), CreateAcls (30), DeleteAcls (31), each v1–v3. KIP-140, 290, 801.
//!
//! v2 flexible · v3 ACLs on users. The decisions are the controller's.

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::messages::create_acls_request::CreateAclsRequest;
use naru_protocol::messages::delete_acls_request::DeleteAclsRequest;
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_protocol::messages::describe_acls_response::{
    AclDescription, DescribeAclsResource, DescribeAclsResponse,
};
use naru_security::acl::{Acl, AclFilter, Operation, PatternType, Permission, ResourceType};

use crate::dispatch::{RequestContext, decode, forward};
use crate::listener::{Answer, Refusal};
use crate::security::Resource;

/// What is said where nobody decides on access; so says Kafka.
pub(crate) const NO_AUTHORIZER: &str = "No Authorizer is configured.";

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    if !context.may(Operation::Describe, Resource::Cluster) {
        return DescribeAclsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..Default::default()
        };
    }
    if context.node.security().authorizer().is_none() {
        return DescribeAclsResponse {
            error_code: ErrorCode::SecurityDisabled.code(),
            error_message: Some(NO_AUTHORIZER.to_owned()),
            ..Default::default()
        };
    }
    let filter = AclFilter {
        resource_type: ResourceType::from_code(request.resource_type_filter),
        resource_name: request.resource_name_filter,
        pattern_type: PatternType::from_code(request.pattern_type_filter),
        principal: request.principal_filter,
        host: request.host_filter,
        operation: Operation::from_code(request.operation),
        permission: Permission::from_code(request.permission_type),
    };
    let image = context.node.image();
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // ACLs of one pattern follow each other.
    for acl in image.acls().iter().filter(|acl| filter.matches(acl)) {
        match resources.last_mut() {
            Some(last) if is_about(last, acl) => {
                let entry = entry(acl);
                // The same ACL may be there under two ids.
                if last.acls.last() != Some(&entry) {
                    last.acls.push(entry);
                }
            }
            _ => resources.push(DescribeAclsResource {
                resource_type: acl.resource_type.code(),
                resource_name: acl.resource_name.clone(),
                pattern_type: acl.pattern_type.code(),
                acls: vec![entry(acl)],
            }),
        }
    }
    DescribeAclsResponse { resources, ..Default::default() }
}

fn is_about(resource: &DescribeAclsResource, acl: &Acl) -> bool {
    resource.resource_type == acl.resource_type.code()
        && resource.pattern_type == acl.pattern_type.code()
        && resource.resource_name == acl.resource_name
}

fn entry(acl: &Acl) -> AclDescription {
    AclDescription {
        principal: acl.principal.clone(),
        host: acl.host.clone(),
        operation: acl.operation.code(),
        permission_type: acl.permission.code(),
    }
}

pub(crate) fn create(context: RequestContext, body: &Bytes) -> Answer {
    let request: CreateAclsRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let unknown = request.creations.iter().any(|acl| {
        ResourceType::from_code(acl.resource_type) == ResourceType::Unknown
            || PatternType::from_code(acl.resource_pattern_type) == PatternType::Unknown
            || Operation::from_code(acl.operation) == Operation::Unknown
            || Permission::from_code(acl.permission_type) == Permission::Unknown
    });
    if unknown {
        return undefined(&context);
    }
    forward::<CreateAclsRequest>(context, body)
}

pub(crate) fn delete(context: RequestContext, body: &Bytes) -> Answer {
    let request: DeleteAclsRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let unknown = request.filters.iter().any(|filter| {
        ResourceType::from_code(filter.resource_type_filter) == ResourceType::Unknown
            || PatternType::from_code(filter.pattern_type_filter) == PatternType::Unknown
            || Operation::from_code(filter.operation) == Operation::Unknown
            || Permission::from_code(filter.permission_type) == Permission::Unknown
    });
    if unknown {
        return undefined(&context);
    }
    forward::<DeleteAclsRequest>(context, body)
}

/// Numbers that nobody defined end the connection, as in Kafka.
fn undefined(context: &RequestContext) -> Answer {
    Answer::Close(Refusal::Undefined { api: context.api.name() })
}
