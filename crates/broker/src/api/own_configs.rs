//! What only a broker itself can judge of what is to be set on it: whether it has such log
//! directories, whether the files of keys can be read and still name the same server.

use naru_model::config::{AlterTarget, ConfigChange, Cordoning, Props, alter, validate_broker};

use crate::node::Node;

/// What is wrong with these changes to this broker's own configurations, if it is one of that.
pub(super) fn objection(node: &Node, changes: &[ConfigChange]) -> Option<String> {
    let before = node.layers(|layers| layers.broker.clone());
    let after = alter(AlterTarget::Broker, &before, changes).ok()?;
    // A file that is named again is read again.
    let named: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
    objection_to(node, &named, &after)
}

/// The same of all that is to be set, instead of what was.
pub(super) fn objection_to_all(node: &Node, after: &Props) -> Option<String> {
    let before = node.layers(|layers| layers.broker.clone());
    let named: Vec<&str> = before.keys().chain(after.keys()).map(String::as_str).collect();
    objection_to(node, &named, after)
}

fn objection_to(node: &Node, named: &[&str], after: &Props) -> Option<String> {
    // What is wrong in itself the controller says.
    validate_broker(after, true).ok()?;
    let cordoned = named.iter().find_map(|key| {
        let cordoning = Cordoning::of_change(key, after.get(*key).map(String::as_str))?;
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
