//! DescribeAcls (29), CreateAcls (30), DeleteAcls (31), each v1–v3. KIP-140, 290, 801.
//!
//! v2 flexible · v3 ACLs on users. The decisions are the controller's.

use naru_model::ErrorCode;
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_protocol::messages::describe_acls_response::{
    AclDescription, DescribeAclsResource, DescribeAclsResponse,
};
use naru_security::acl::{Acl, AclFilter, Operation, PatternType, Permission, ResourceType};

use crate::dispatch::RequestContext;
use crate::security::Resource;

/// What is said where nobody decides on access; so says Kafka.
pub(crate) const NO_AUTHORIZER: &str = "No Authorizer is configured.";
/// What goes with CLUSTER_AUTHORIZATION_FAILED.
pub(crate) const NOT_AUTHORIZED: &str = "Cluster authorization failed.";

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    if !context.may(Operation::Describe, Resource::Cluster) {
        return DescribeAclsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            error_message: Some(NOT_AUTHORIZED.to_owned()),
            ..Default::default()
        };
    }
    if context.node.security().authorizer().is_none() {
        return DescribeAclsResponse {
            error_code: ErrorCode::SecurityDisabled.code(),
            error_message: Some(format!("{} on the broker", NO_AUTHORIZER.trim_end_matches('.'))),
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
    DescribeAclsResponse { resources, error_message: Some(String::new()), ..Default::default() }
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
