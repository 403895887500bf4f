//! One request's questions: may whoever sent it do this?
//!
//! A question costs a look into an immutable image, no lock but the image's own. Denials are told
//! to the audit log, permissions too at debug level (targets `audit.denied`, `audit.allowed`).

use naru_security::acl::{Authorizer, CLUSTER_NAME, Operation, ResourceType};

use super::Security;
use crate::dispatch::RequestContext;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    Cluster,
    TransactionalId(&'a str),
    DelegationToken(&'a str),
    User(&'a str),
}

impl<'a> Resource<'a> {
    const fn key(self) -> (ResourceType, &'a str) {
        match self {
            Self::Topic(name) => (ResourceType::Topic, name),
            Self::Group(id) => (ResourceType::Group, id),
            Self::Cluster => (ResourceType::Cluster, CLUSTER_NAME),
            Self::TransactionalId(id) => (ResourceType::TransactionalId, id),
            Self::DelegationToken(id) => (ResourceType::DelegationToken, id),
            Self::User(name) => (ResourceType::User, name),
        }
    }
}

/// Bit mask of all operations that there are on a kind of resource.
fn operations_of(resource_type: ResourceType) -> i32 {
    resource_type.operations().iter().fold(0, |mask, operation| mask | bit(*operation))
}

const fn bit(operation: Operation) -> i32 {
    1 << operation.code()
}

impl RequestContext {
    /// Whether the sender may do `operation` on `resource`; a denial is told to the audit log.
    pub(crate) fn may(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.judge(operation, resource, true)
    }

    /// As [`Self::may`], where a denial only hides something and is nothing to tell.
    pub(crate) fn may_see(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.judge(operation, resource, false)
    }

    /// Whether the sender may do `operation` on any resource of a kind (KIP-679).
    pub(crate) fn may_on_any(&self, operation: Operation, resource_type: ResourceType) -> bool {
        let Some(authorizer) = self.asked() else { return true };
        let (image, connection) = (self.node.image(), &self.connection);
        let (who, host) = (&connection.principal, &connection.host);
        authorizer.decide_any(image.acls(), who, host, operation, resource_type)
    }

    /// The authorized-operations field of `resource`: what of all that there is the sender may do
    /// (KIP-430).
    pub(crate) fn operations(&self, resource: Resource<'_>) -> i32 {
        let (resource_type, _) = resource.key();
        if self.asked().is_none() {
            return operations_of(resource_type);
        }
        let all = resource_type.operations().iter();
        all.filter(|operation| self.may_see(**operation, resource))
            .fold(0, |mask, operation| mask | bit(*operation))
    }

    /// Whether anything is asked at all.
    pub(crate) fn is_judged(&self) -> bool {
        self.asked().is_some()
    }

    /// Who decides on this request; nobody decides on what this node asks itself.
    fn asked(&self) -> Option<&Authorizer> {
        let security: &Security = self.node.security();
        security.authorizer().filter(|_| !self.connection.own)
    }

    fn judge(&self, operation: Operation, resource: Resource<'_>, tell: bool) -> bool {
        let Some(authorizer) = self.asked() else { return true };
        let (image, connection) = (self.node.image(), &self.connection);
        let (who, host) = (&connection.principal, &*connection.host);
        let (kind, name) = resource.key();
        let verdict = authorizer.decide(image.acls(), who, host, operation, (kind, name));
        let (api, because) = (self.api.name(), verdict.reason);
        if verdict.allowed {
            tracing::debug!(target: "audit.allowed", %who, host, %operation, %kind, name, api, ?because);
        } else if tell {
            tracing::info!(target: "audit.denied", %who, host, %operation, %kind, name, api, ?because);
        }
        verdict.allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_of_all_operations_are_those_of_kafka() {
        // From a broker of Apache Kafka 4.3.1 without an authorizer.
        assert_eq!(operations_of(ResourceType::Topic), 3576);
        assert_eq!(operations_of(ResourceType::Group), 3400);
        assert_eq!(operations_of(ResourceType::Cluster), 8096);
    }
}
