//! Which ACLs DescribeAcls and DeleteAcls mean.

use super::{Acl, Operation, PatternType, Permission, ResourceType, WILDCARD};

/// What is not said (`Any`, `None`) matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFilter {
    /// Kind of resource.
    pub resource_type: ResourceType,
    /// Name of the resource.
    pub resource_name: Option<String>,
    /// Kind of pattern; `Match` means every pattern that the name falls under.
    pub pattern_type: PatternType,
    /// `type:name`.
    pub principal: Option<String>,
    /// Address, or `*`, taken literally.
    pub host: Option<String>,
    /// Operation.
    pub operation: Operation,
    /// Allow or deny.
    pub permission: Permission,
}

impl AclFilter {
    /// Whether a part has a number that nobody defined.
    pub fn is_unknown(&self) -> bool {
        self.resource_type == ResourceType::Unknown
            || self.pattern_type == PatternType::Unknown
            || self.operation == Operation::Unknown
            || self.permission == Permission::Unknown
    }

    /// Whether it means this ACL.
    pub fn matches(&self, acl: &Acl) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        (self.resource_type == ResourceType::Any || self.resource_type == acl.resource_type)
            && self.matches_name(acl)
            && same(&self.principal, &acl.principal)
            && same(&self.host, &acl.host)
            && (self.operation == Operation::Any || self.operation == acl.operation)
            && (self.permission == Permission::Any || self.permission == acl.permission)
    }

    fn matches_name(&self, acl: &Acl) -> bool {
        let kind = self.pattern_type;
        if !matches!(kind, PatternType::Any | PatternType::Match) && kind != acl.pattern_type {
            return false;
        }
        let Some(name) = &self.resource_name else { return true };
        if kind != PatternType::Match {
            return *name == acl.resource_name;
        }
        match acl.pattern_type {
            PatternType::Prefixed => name.starts_with(&acl.resource_name),
            _ => *name == acl.resource_name || acl.resource_name == WILDCARD,
        }
    }
}
