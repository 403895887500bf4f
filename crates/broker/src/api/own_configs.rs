//! What only a broker itself can judge of what is to be set on it: whether it has such log
//! directories, whether the files of keys can be read and still name the same server.
//!
//! Files are looked at for those who may set things, and not on a thread that serves others.

use std::sync::Arc;

use naru_model::config::{AlterTarget, ConfigChange, Cordoning, Props, alter, validate_broker};

use crate::dispatch::RequestContext;
use crate::node::Node;
use crate::security::{Operation, Resource};

/// What is wrong with these changes to this broker's own configurations, if it is one of that.
pub(super) async fn objection(
    context: &RequestContext,
    changes: Vec<ConfigChange>,
) -> Option<String> {
    let before = context.node.layers(|layers| layers.broker.clone());
    let after = alter(AlterTarget::Broker, &before, &changes).ok()?;
    // A file that is named again is read again.
    let named = changes.into_iter().map(|change| change.name).collect();
    objection_to(context, named, after).await
}

/// The same of all that is to be set, instead of what was.
pub(super) async fn objection_to_all(context: &RequestContext, after: Props) -> Option<String> {
    let before = context.node.layers(|layers| layers.broker.clone());
    let named = before.keys().chain(after.keys()).cloned().collect();
    objection_to(context, named, after).await
}

async fn objection_to(
    context: &RequestContext,
    named: Vec<String>,
    after: Props,
) -> Option<String> {
    if !context.may_see(Operation::AlterConfigs, Resource::Cluster) {
        // The controller says so; nothing is told of this machine.
        return None;
    }
    // What is wrong in itself the controller says, too.
    validate_broker(&after, true).ok()?;
    let node = Arc::clone(&context.node);
    let judged = context.node.background().spawn_blocking(move || judge(&node, &named, &after));
    judged.await.ok().flatten()
}

fn judge(node: &Node, named: &[String], after: &Props) -> Option<String> {
    let cordoned = named.iter().find_map(|key| {
        let cordoning = Cordoning::of_change(key, after.get(key).map(String::as_str))?;
        cordoning.check(&node.config().log.dirs).err()
    });
    if let Some(error) = cordoned {
        return Some(error.to_string());
    }
    if !named.iter().any(|key| key.contains("ssl.") || key.contains("sasl.")) {
        return None;
    }
    let refused = node.check_security(after).err()?;
    Some(format!("Validation of dynamic config update failed: {refused}"))
}
