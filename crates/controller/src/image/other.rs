//! Records that are kept as they are: quotas, ACLs, credentials, tokens, the migration mark. Of
//! ACLs there is an index besides.

use std::cmp::Ordering;
use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::metadata::MetadataRecord;

use super::access::acl_of;
use super::{MetadataDelta, MetadataImage};

/// What makes two kept records mean the same thing: the later replaces the earlier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OtherKey {
    /// A quota: entity (type and name, sorted) and quota key.
    ClientQuota(Vec<(String, Option<String>)>, String),
    /// An ACL by id.
    AccessControlEntry(IdOrder),
    /// A SCRAM credential: user and mechanism.
    UserScramCredential(String, i8),
    /// A delegation token by id.
    DelegationToken(String),
    /// The mark of migrations.
    ZkMigrationState,
}

/// An id in the order of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdOrder(pub(super) Uuid);

impl Ord for IdOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.to_bytes().cmp(&other.0.to_bytes())
    }
}

impl PartialOrd for IdOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

enum Change {
    Keep(OtherKey),
    Remove(OtherKey),
}

impl MetadataImage {
    /// Keeps or removes a record that only has to survive; false if it is of another kind.
    pub(super) fn apply_other(
        &mut self,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> bool {
        let Some(change) = change_of(record) else {
            return false;
        };
        delta.other_changed = true;
        delta.client_quotas_changed |= matches!(record, MetadataRecord::ClientQuotaRecord(_));
        let before = match change {
            Change::Keep(key) => self.other.insert(key, record.clone()),
            Change::Remove(key) => self.other.remove(&key),
        };
        if let Some(MetadataRecord::AccessControlEntryRecord(before)) = &before {
            Arc::make_mut(&mut self.acls).remove(&acl_of(before));
        }
        if let MetadataRecord::AccessControlEntryRecord(entry) = record {
            Arc::make_mut(&mut self.acls).insert(acl_of(entry));
        }
        true
    }
}

fn change_of(record: &MetadataRecord) -> Option<Change> {
    Some(match record {
        MetadataRecord::ClientQuotaRecord(quota) => {
            let parts = quota.entity.iter();
            let mut entity: Vec<_> =
                parts.map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect();
            entity.sort();
            let key = OtherKey::ClientQuota(entity, quota.key.clone());
            if quota.remove { Change::Remove(key) } else { Change::Keep(key) }
        }
        MetadataRecord::AccessControlEntryRecord(entry) => {
            Change::Keep(OtherKey::AccessControlEntry(IdOrder(entry.id)))
        }
        MetadataRecord::RemoveAccessControlEntryRecord(entry) => {
            Change::Remove(OtherKey::AccessControlEntry(IdOrder(entry.id)))
        }
        MetadataRecord::UserScramCredentialRecord(credential) => Change::Keep(
            OtherKey::UserScramCredential(credential.name.clone(), credential.mechanism),
        ),
        MetadataRecord::RemoveUserScramCredentialRecord(credential) => Change::Remove(
            OtherKey::UserScramCredential(credential.name.clone(), credential.mechanism),
        ),
        MetadataRecord::DelegationTokenRecord(token) => {
            Change::Keep(OtherKey::DelegationToken(token.token_id.clone()))
        }
        MetadataRecord::RemoveDelegationTokenRecord(token) => {
            Change::Remove(OtherKey::DelegationToken(token.token_id.clone()))
        }
        MetadataRecord::ZkMigrationStateRecord(_) => Change::Keep(OtherKey::ZkMigrationState),
        _ => return None,
    })
}
