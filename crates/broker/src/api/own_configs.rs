//! What only a broker itself can judge of what is to be set on it: whether it has such log
//! directories, whether it can listen where it is to, whether the files of keys can be read and still name the
//! same server.
//!
//! Files are looked at for those who may set things, and not on a thread that serves others.

use std::sync::Arc;

use naru_model::config::{AlterTarget, ConfigChange, Cordoning, Props, alter, validate_broker};

use crate::dispatch::RequestContext;
use crate::node::{LISTENER_KEYS, Node};
use crate::security::{Operation, Resource};

/// Which node a resource's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    This,
    Other(i32),
    NoNumber,
}

impl Named {
    pub(super) fn by(name: &str, own: i32) -> Self {
        match name.parse() {
            Ok(id) if id == own => Self::This,
            Ok(id) => Self::Other(id),
            Err(_) => Self::NoNumber,
        }
    }
}

/// What is to be set on a broker.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Changes to what is set.
    Changes(Vec<ConfigChange>),
    /// All that is to be set, instead of what was.
    All(Props),
}

impl Wanted {
    /// Whether it may change which listeners there are, or how they find out who somebody is.
    pub(super) fn is_about_security(&self) -> bool {
        match self {
            Self::Changes(changes) => changes.iter().any(|change| is_security(&change.name)),
            // What it does not name is no longer set.
            Self::All(_) => true,
        }
    }
}

/// What is wrong with this for this broker's own configurations.
pub(super) async fn objection(context: &RequestContext, wanted: Wanted) -> Option<String> {
    let before = context.node.layers(|layers| layers.broker.clone());
    let (named, after) = match wanted {
        Wanted::Changes(changes) => {
            let after = alter(AlterTarget::Broker, &before, &changes).ok()?;
            // A file that is named again is read again.
            (changes.into_iter().map(|change| change.name).collect(), after)
        }
        Wanted::All(after) => (before.keys().chain(after.keys()).cloned().collect(), after),
    };
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

/// Whether a setting says which listeners there are, or how they find out who somebody is.
fn is_security(key: &str) -> bool {
    LISTENER_KEYS.contains(&key) || key.contains("ssl.") || key.contains("sasl.")
}

fn judge(node: &Node, named: &[String], after: &Props) -> Option<String> {
    let cordoned = named.iter().find_map(|key| {
        let cordoning = Cordoning::of_change(key, after.get(key).map(String::as_str))?;
        cordoning.check(&node.config().log.dirs).err()
    });
    if let Some(error) = cordoned {
        return Some(error.to_string());
    }
    if !named.iter().any(|key| is_security(key)) {
        // Not to wait for a listener's name that is being looked up.
        return None;
    }
    node.check_listeners(after, named).err()
}
