//! ACLs: describe, create, delete (KIP-140, 290, 919).

use naru_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use naru_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_security::acl::{Acl, AclFilter, Operation, PatternType, Permission, ResourceType};

use super::Admin;
use crate::error::{Error, Result};

impl Admin {
    /// The ACLs that a filter means.
    pub async fn describe_acls(&self, filter: &AclFilter) -> Result<Vec<Acl>> {
        self.cluster
            .retry(async || {
                let request = DescribeAclsRequest {
                    resource_type_filter: filter.resource_type.code(),
                    resource_name_filter: filter.resource_name.clone(),
                    pattern_type_filter: filter.pattern_type.code(),
                    principal_filter: filter.principal.clone(),
                    host_filter: filter.host.clone(),
                    operation: filter.operation.code(),
                    permission_type: filter.permission.code(),
                };
                let connection = self.cluster.any_or_active().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let acls = response.resources.into_iter().flat_map(|resource| {
                    let name = resource.resource_name;
                    resource.acls.into_iter().map(move |acl| Acl {
                        resource_type: ResourceType::from_code(resource.resource_type),
                        pattern_type: PatternType::from_code(resource.pattern_type),
                        resource_name: name.clone(),
                        principal: acl.principal,
                        host: acl.host,
                        operation: Operation::from_code(acl.operation),
                        permission: Permission::from_code(acl.permission_type),
                    })
                });
                Ok(acls.collect())
            })
            .await
    }

    /// Creates ACLs; what became of each.
    pub async fn create_acls(&self, acls: &[Acl]) -> Result<Vec<Result<()>>> {
        self.cluster
            .retry(async || {
                let creations = acls.iter().map(|acl| AclCreation {
                    resource_type: acl.resource_type.code(),
                    resource_name: acl.resource_name.clone(),
                    resource_pattern_type: acl.pattern_type.code(),
                    principal: acl.principal.clone(),
                    host: acl.host.clone(),
                    operation: acl.operation.code(),
                    permission_type: acl.permission.code(),
                });
                let request = CreateAclsRequest { creations: creations.collect() };
                let connection = self.cluster.any_or_active().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let results = response.results.into_iter();
                Ok(results
                    .map(|one| Error::check_with(one.error_code, one.error_message))
                    .collect())
            })
            .await
    }

    /// Deletes the ACLs that filters mean; for each filter the ACLs that are gone.
    pub async fn delete_acls(&self, filters: &[AclFilter]) -> Result<Vec<Result<Vec<Acl>>>> {
        self.cluster
            .retry(async || {
                let filters = filters.iter().map(|filter| DeleteAclsFilter {
                    resource_type_filter: filter.resource_type.code(),
                    resource_name_filter: filter.resource_name.clone(),
                    pattern_type_filter: filter.pattern_type.code(),
                    principal_filter: filter.principal.clone(),
                    host_filter: filter.host.clone(),
                    operation: filter.operation.code(),
                    permission_type: filter.permission.code(),
                });
                let request = DeleteAclsRequest { filters: filters.collect() };
                let connection = self.cluster.any_or_active().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let results = response.filter_results.into_iter().map(|result| {
                    Error::check_with(result.error_code, result.error_message)?;
                    let acls = result.matching_acls.into_iter().map(|acl| {
                        Error::check_with(acl.error_code, acl.error_message)?;
                        Ok(Acl {
                            resource_type: ResourceType::from_code(acl.resource_type),
                            pattern_type: PatternType::from_code(acl.pattern_type),
                            resource_name: acl.resource_name,
                            principal: acl.principal,
                            host: acl.host,
                            operation: Operation::from_code(acl.operation),
                            permission: Permission::from_code(acl.permission_type),
                        })
                    });
                    acls.collect()
                });
                Ok(results.collect())
            })
            .await
    }
}
