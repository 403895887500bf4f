//! Access control as Kafka's StandardAuthorizer has it (KIP-11, 290, 801).
//!
//! `words` are the enumerations of ACLs, `filter` finds ACLs for the admin APIs, `set` holds them
//! so that one decision looks at few, `authorizer` decides.

mod authorizer;
mod filter;
mod set;
mod words;

#[cfg(test)]
mod tests;

pub use authorizer::{Authorizer, Reason, Verdict};
pub use filter::AclFilter;
pub use set::AclSet;
pub use words::{Operation, PatternType, Permission, ResourceType};

/// The resource, or principal, or host of an ACL that is for all of them.
pub const WILDCARD: &str = "*";
/// The principal of an ACL that is for every user.
pub const EVERY_USER: &str = "User:*";
/// The one name that the cluster has as a resource.
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// One ACL: whom it is about, on which resources, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acl {
    /// What kind of thing it is about.
    pub resource_type: ResourceType,
    /// How `resource_name` is meant: literal or prefixed.
    pub pattern_type: PatternType,
    /// The name, or the beginning of names.
    pub resource_name: String,
    /// `type:name`.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    /// What it allows or denies.
    pub operation: Operation,
    /// Whether it allows or denies.
    pub permission: Permission,
}
