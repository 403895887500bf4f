//! The decision itself.
//!
//! Super users may do everything. One denial that fits beats any number of permissions. A
//! resource that no ACL is about is open only if `allow.everyone.if.no.acl.found` says so.

use super::{Acl, AclSet, EVERY_USER, Operation, PatternType, Permission, ResourceType, WILDCARD};
use crate::Principal;

/// The settings of the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorizer {
    /// `super.users`, each `type:name`.
    pub super_users: Vec<String>,
    /// `allow.everyone.if.no.acl.found`.
    pub allow_if_no_acl: bool,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Whether it may be.
    pub allowed: bool,
    /// Why, for whoever reads the audit log.
    pub reason: Reason<'a>,
}

/// Why a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The principal is one of `super.users`.
    SuperUser,
    /// This ACL says so.
    Acl(&'a Acl),
    /// No ACL is about the resource.
    NoAcl,
    /// There are ACLs about the resource, but none that fits.
    NoneFits,
}

impl Authorizer {
    /// Whether the principal may do everything.
    pub fn is_super_user(&self, who: &Principal) -> bool {
        self.super_users.iter().any(|user| who.is_called(user))
    }

    /// Whether `who`, who comes from the address `host`, may do `operation` on a resource.
    pub fn decide<'a>(
        &self,
        acls: &'a AclSet,
        who: &Principal,
        host: &str,
        operation: Operation,
        (resource_type, name): (ResourceType, &'a str),
    ) -> Verdict<'a> {
        if self.is_super_user(who) {
            return Verdict { allowed: true, reason: Reason::SuperUser };
        }
        let mut any = false;
        let mut permission = None;
        for acl in acls.about(resource_type, name) {
            any = true;
            if !is_for(acl, who, host) {
                continue;
            }
            match acl.permission {
                Permission::Deny if acl.operation.denies(operation) => {
                    return Verdict { allowed: false, reason: Reason::Acl(acl) };
                }
                Permission::Allow if acl.operation.implies(operation) => permission = Some(acl),
                _ => {}
            }
        }
        match permission {
            Some(acl) => Verdict { allowed: true, reason: Reason::Acl(acl) },
            None if any => Verdict { allowed: false, reason: Reason::NoneFits },
            None => Verdict { allowed: self.allow_if_no_acl, reason: Reason::NoAcl },
        }
    }

    /// Whether `who` may do `operation` on at least one resource of a kind, there or not
    /// (KIP-679).
    pub fn decide_any(
        &self,
        acls: &AclSet,
        who: &Principal,
        host: &str,
        operation: Operation,
        resource_type: ResourceType,
    ) -> bool {
        /// A name that nobody gives anything: what is allowed there is allowed everywhere.
        const SOME_NAME: &str = "hardcode";
        if self.decide(acls, who, host, operation, (resource_type, SOME_NAME)).allowed {
            return true;
        }
        let fits = |acl: &&Acl| is_for(acl, who, host) && acl.operation.denies(operation);
        let all: Vec<&Acl> = acls.of_type(resource_type).filter(fits).collect();
        let denials: Vec<&Acl> =
            all.iter().copied().filter(|acl| acl.permission == Permission::Deny).collect();
        let is_everything =
            |acl: &Acl| acl.pattern_type == PatternType::Literal && acl.resource_name == WILDCARD;
        if denials.iter().any(|denial| is_everything(denial)) {
            return false;
        }
        let mut permissions = all.iter().filter(|acl| acl.permission == Permission::Allow);
        permissions
            .any(|acl| is_everything(acl) || !denials.iter().any(|denial| covers(denial, acl)))
    }
}

/// Whether a denial leaves nothing of a permission.
fn covers(denial: &Acl, permission: &Acl) -> bool {
    match denial.pattern_type {
        PatternType::Prefixed => permission.resource_name.starts_with(&denial.resource_name),
        _ => {
            permission.pattern_type == PatternType::Literal
                && permission.resource_name == denial.resource_name
        }
    }
}

fn is_for(acl: &Acl, who: &Principal, host: &str) -> bool {
    (acl.principal == EVERY_USER || who.is_called(&acl.principal))
        && (acl.host == WILDCARD || acl.host == host)
}
