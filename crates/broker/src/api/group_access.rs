//! Who may take part in a group or look at it, and what those are told who may not: what is in the
//! way, and what would take it away. Kafka says nothing but the code.
//!
//! Every answer of these APIs has room for text; JoinGroup and its kin have none.

use naru_model::ErrorCode;

use super::words::words;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// Why a request about a group is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) error: ErrorCode,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(error: ErrorCode, text: impl Into<String>) -> Self {
        Self { error, text: text.into() }
    }
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Self {
        Self::new(error, words(error))
    }
}

/// A kind of group that a cluster offers or does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Protocol {
    name: &'static str,
    /// The feature that brings it with level 1.
    feature: &'static str,
    /// Whether brokers have to name it in [`PROTOCOLS`].
    is_configured: bool,
}

impl Protocol {
    pub(super) const CONSUMER: Self =
        Self { name: "consumer", feature: "group.version", is_configured: true };
    pub(super) const STREAMS: Self =
        Self { name: "streams", feature: "streams.version", is_configured: true };
    pub(super) const SHARE: Self =
        Self { name: "share", feature: "share.version", is_configured: false };

    /// Whether the cluster and this broker offer it.
    pub(super) fn check(self, context: &RequestContext) -> Result<(), Refused> {
        let Self { name, feature, is_configured } = self;
        let refused = |text| Err(Refused::new(ErrorCode::UnsupportedVersion, text));
        let node = &context.node;
        if node.image().feature_level(feature) < 1 {
            return refused(format!(
                "The cluster offers no {name} groups: its feature {feature} is at level 0 and has \
                 to be at level 1 (kafka-features upgrade --feature {feature}=1)."
            ));
        }
        let protocols = &node.config().groups.rebalance_protocols;
        if is_configured && !protocols.iter().any(|one| one == name) {
            return refused(format!(
                "Broker {} offers no {name} groups: its {PROTOCOLS} is {} and has to name {name}.",
                node.config().node_id,
                protocols.join(",")
            ));
        }
        Ok(())
    }
}

/// The setting that says which protocols a broker offers.
const PROTOCOLS: &str = "group.coordinator.rebalance.protocols";

/// Whether the client may do `operation` with a group.
pub(super) fn check_group(
    context: &RequestContext,
    operation: Operation,
    group: &str,
) -> Result<(), Refused> {
    if context.may(operation, Resource::Group(group)) {
        return Ok(());
    }
    let who = &context.connection.principal;
    let text = format!(
        "{who} is not allowed to {operation} group {group}: an ACL has to allow it and none may deny it."
    );
    Err(Refused::new(ErrorCode::GroupAuthorizationFailed, text))
}

/// Whether the client may know the topics that it names.
pub(super) fn check_topics<'n>(
    context: &RequestContext,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<(), Refused> {
    let operation = Operation::Describe;
    let hidden = names.into_iter().find(|name| !context.may(operation, Resource::Topic(name)));
    let Some(topic) = hidden else { return Ok(()) };
    let who = &context.connection.principal;
    let text = format!(
        "{who} is not allowed to {operation} topic {topic}: an ACL has to allow it and none may deny it."
    );
    Err(Refused::new(ErrorCode::TopicAuthorizationFailed, text))
}

/// Whether the client may have a group of this kind described.
pub(super) fn check_described(
    context: &RequestContext,
    protocol: Protocol,
    group: &str,
) -> Result<(), Refused> {
    protocol.check(context)?;
    check_group(context, Operation::Describe, group)?;
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId.into());
    }
    Ok(())
}
