//! ACLs, SCRAM credentials and delegation tokens in the image.

use naru_model::Uuid;
use naru_protocol::messages::access_control_entry_record::AccessControlEntryRecord;
use naru_protocol::messages::delegation_token_record::DelegationTokenRecord;
use naru_protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use naru_protocol::metadata::MetadataRecord;
use naru_security::acl::{Acl, Operation, PatternType, Permission, ResourceType};

use super::MetadataImage;
use super::other::{IdOrder, OtherKey};

impl MetadataImage {
    /// Whether an ACL has this id.
    pub(crate) fn has_acl_id(&self, id: Uuid) -> bool {
        self.other.contains_key(&OtherKey::AccessControlEntry(IdOrder(id)))
    }

    /// All ACLs and their ids, ids ascending.
    pub(crate) fn acl_records(&self) -> impl Iterator<Item = &AccessControlEntryRecord> {
        self.other.values().filter_map(|record| match record {
            MetadataRecord::AccessControlEntryRecord(record) => Some(record),
            _ => None,
        })
    }

    /// What a user proves to know, by one mechanism.
    pub fn scram_credential(
        &self,
        user: &str,
        mechanism: i8,
    ) -> Option<&UserScramCredentialRecord> {
        let key = OtherKey::UserScramCredential(user.to_owned(), mechanism);
        match self.other.get(&key) {
            Some(MetadataRecord::UserScramCredentialRecord(record)) => Some(record),
            _ => None,
        }
    }

    /// The delegation token of this id.
    pub fn delegation_token(&self, id: &str) -> Option<&DelegationTokenRecord> {
        match self.other.get(&OtherKey::DelegationToken(id.to_owned())) {
            Some(MetadataRecord::DelegationTokenRecord(record)) => Some(record),
            _ => None,
        }
    }

    /// All delegation tokens, ids ascending.
    pub fn delegation_tokens(&self) -> impl Iterator<Item = &DelegationTokenRecord> {
        self.other.values().filter_map(|record| match record {
            MetadataRecord::DelegationTokenRecord(record) => Some(record),
            _ => None,
        })
    }

    /// All SCRAM credentials, users ascending.
    pub fn scram_credentials(&self) -> impl Iterator<Item = &UserScramCredentialRecord> {
        self.other.values().filter_map(|record| match record {
            MetadataRecord::UserScramCredentialRecord(record) => Some(record),
            _ => None,
        })
    }
}

/// The ACL that a record keeps.
pub(crate) fn acl_of(record: &AccessControlEntryRecord) -> Acl {
    Acl {
        resource_type: ResourceType::from_code(record.resource_type),
        pattern_type: PatternType::from_code(record.pattern_type),
        resource_name: record.resource_name.clone(),
        principal: record.principal.clone(),
        host: record.host.clone(),
        operation: Operation::from_code(record.operation),
        permission: Permission::from_code(record.permission_type),
    }
}
