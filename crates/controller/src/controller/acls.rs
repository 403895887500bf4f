//! CreateAcls (30) and DeleteAcls (31).

use std::collections::BTreeSet;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::access_control_entry_record::AccessControlEntryRecord;
use naru_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use naru_protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use naru_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use naru_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsResponse,
};
use naru_protocol::messages::remove_access_control_entry_record::RemoveAccessControlEntryRecord;
use naru_security::Principal;
use naru_security::acl::{
    Acl, AclFilter, CLUSTER_NAME, Operation, PatternType, Permission, ResourceType,
};

use super::Controller;
use crate::image::acl_of;
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX, RecordAndVersion};

/// An ACL that is not created, or a filter that finds nothing. The texts are Apache Kafka
/// 4.3.1's: tools print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum AclError {
    #[error("The only valid name for the CLUSTER resource is {CLUSTER_NAME}")]
    ClusterName,
    #[error("Invalid empty resource name")]
    EmptyName,
    #[error("Invalid resourceType {0}")]
    ResourceType(ResourceType),
    #[error("Invalid patternType {0}")]
    PatternType(PatternType),
    #[error("Invalid operation {0}")]
    Operation(Operation),
    #[error("Invalid permissionType {0}")]
    Permission(Permission),
    #[error(
        "Could not parse principal from `{0}` (no colon is present separating the principal type \
         from the principal name)"
    )]
    Principal(String),
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
    #[error("Cannot remove more than {RECORDS_PER_REQUEST_MAX} acls in a single delete operation.")]
    TooManyRemovals,
    #[error("Unknown patternFilter.")]
    UnknownPattern,
    #[error("Unknown entryFilter.")]
    UnknownEntry,
}

impl AclError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooManyRecords => ErrorCode::PolicyViolation,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl Controller {
    /// Decides a CreateAcls request. What is there already is not written again.
    pub fn decide_create_acls(
        &self,
        request: &CreateAclsRequest,
        mut new_id: impl FnMut() -> Uuid,
    ) -> Decision<CreateAclsResponse> {
        let mut records = Vec::new();
        let mut added: BTreeSet<Acl> = BTreeSet::new();
        let mut results = Vec::with_capacity(request.creations.len());
        for creation in &request.creations {
            let acl = acl_asked(creation);
            let refused = match check(&acl) {
                Ok(()) if self.image.acls().contains(&acl) || added.contains(&acl) => None,
                Ok(()) if records.len() >= RECORDS_PER_REQUEST_MAX => {
                    Some(AclError::TooManyRecords)
                }
                Ok(()) => {
                    let id = loop {
                        let id = new_id();
                        if !self.image.has_acl_id(id) {
                            break id;
                        }
                    };
                    records.push(RecordAndVersion::newest(record_of(id, &acl)));
                    added.insert(acl);
                    None
                }
                Err(error) => Some(error),
            };
            results.push(AclCreationResult {
                error_code: refused.as_ref().map_or(0, |error| error.code().code()),
                // Kafka says nothing with an empty text.
                error_message: Some(refused.map_or_else(String::new, |error| error.to_string())),
            });
        }
        let response = CreateAclsResponse { results, ..CreateAclsResponse::default() };
        Decision { records, response }
    }

    /// Decides a DeleteAcls request. What two filters find is told twice and deleted once. If all
    /// together find more than a request may delete, nothing is.
    pub fn decide_delete_acls(&self, request: &DeleteAclsRequest) -> Decision<DeleteAclsResponse> {
        let mut removed: BTreeSet<[u8; 16]> = BTreeSet::new();
        let mut records = Vec::new();
        let mut filter_results = Vec::with_capacity(request.filters.len());
        for asked in &request.filters {
            let filter = filter_asked(asked);
            let mut result = DeleteAclsFilterResult::default();
            if let Err(error) = check_filter(&filter) {
                result.error_code = error.code().code();
                result.error_message = Some(error.to_string());
                filter_results.push(result);
                continue;
            }
            for entry in self.image.acl_records() {
                if !filter.matches(&acl_of(entry)) {
                    continue;
                }
                if removed.len() >= RECORDS_PER_REQUEST_MAX {
                    return refuse_deletions(request, &AclError::TooManyRemovals);
                }
                if removed.insert(entry.id.to_bytes()) {
                    let removal = RemoveAccessControlEntryRecord { id: entry.id };
                    records.push(RecordAndVersion::newest(removal));
                }
                result.matching_acls.push(DeleteAclsMatchingAcl {
                    resource_type: entry.resource_type,
                    resource_name: entry.resource_name.clone(),
                    pattern_type: entry.pattern_type,
                    principal: entry.principal.clone(),
                    host: entry.host.clone(),
                    operation: entry.operation,
                    permission_type: entry.permission_type,
                    ..DeleteAclsMatchingAcl::default()
                });
            }
            filter_results.push(result);
        }
        let response = DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() };
        Decision { records, response }
    }
}

fn refuse_deletions(request: &DeleteAclsRequest, error: &AclError) -> Decision<DeleteAclsResponse> {
    let refused = DeleteAclsFilterResult {
        error_code: error.code().code(),
        error_message: Some(error.to_string()),
        ..DeleteAclsFilterResult::default()
    };
    let response = DeleteAclsResponse {
        filter_results: vec![refused; request.filters.len()],
        ..DeleteAclsResponse::default()
    };
    Decision { records: Vec::new(), response }
}

fn check(acl: &Acl) -> Result<(), AclError> {
    if acl.resource_type == ResourceType::Cluster && acl.resource_name != CLUSTER_NAME {
        return Err(AclError::ClusterName);
    }
    if acl.resource_name.is_empty() {
        return Err(AclError::EmptyName);
    }
    if matches!(acl.resource_type, ResourceType::Unknown | ResourceType::Any) {
        return Err(AclError::ResourceType(acl.resource_type));
    }
    if !matches!(acl.pattern_type, PatternType::Literal | PatternType::Prefixed) {
        return Err(AclError::PatternType(acl.pattern_type));
    }
    if matches!(acl.operation, Operation::Unknown | Operation::Any) {
        return Err(AclError::Operation(acl.operation));
    }
    if !matches!(acl.permission, Permission::Allow | Permission::Deny) {
        return Err(AclError::Permission(acl.permission));
    }
    match Principal::parse(&acl.principal) {
        Ok(_) => Ok(()),
        Err(_) => Err(AclError::Principal(acl.principal.clone())),
    }
}

fn check_filter(filter: &AclFilter) -> Result<(), AclError> {
    if filter.resource_type == ResourceType::Unknown || filter.pattern_type == PatternType::Unknown
    {
        return Err(AclError::UnknownPattern);
    }
    if filter.is_unknown() { Err(AclError::UnknownEntry) } else { Ok(()) }
}

fn acl_asked(creation: &AclCreation) -> Acl {
    Acl {
        resource_type: ResourceType::from_code(creation.resource_type),
        pattern_type: PatternType::from_code(creation.resource_pattern_type),
        resource_name: creation.resource_name.clone(),
        principal: creation.principal.clone(),
        host: creation.host.clone(),
        operation: Operation::from_code(creation.operation),
        permission: Permission::from_code(creation.permission_type),
    }
}

fn filter_asked(asked: &DeleteAclsFilter) -> AclFilter {
    AclFilter {
        resource_type: ResourceType::from_code(asked.resource_type_filter),
        resource_name: asked.resource_name_filter.clone(),
        pattern_type: PatternType::from_code(asked.pattern_type_filter),
        principal: asked.principal_filter.clone(),
        host: asked.host_filter.clone(),
        operation: Operation::from_code(asked.operation),
        permission: Permission::from_code(asked.permission_type),
    }
}

fn record_of(id: Uuid, acl: &Acl) -> AccessControlEntryRecord {
    AccessControlEntryRecord {
        id,
        resource_type: acl.resource_type.code(),
        resource_name: acl.resource_name.clone(),
        pattern_type: acl.pattern_type.code(),
        principal: acl.principal.clone(),
        host: acl.host.clone(),
        operation: acl.operation.code(),
        permission_type: acl.permission.code(),
    }
}
