//! What metadata sets and only slow work takes over: files of keys, addresses of hosts.
//!
//! The thread that reacts to metadata asks for it and goes on. Of each kind there is one piece of
//! work at a time and one more to come at most, which takes what is the newest by then; until it
//! is done, what was in force stays.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use naru_model::config::SocketConfig;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Node;
use super::start::connection_limits;
use crate::listener::Hosts;

/// Whoever waits for slow work waits so long at most: disks and name servers may hang.
const SETTLED_MAX: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Later {
    security: Turns,
    hosts: Turns,
    /// Held by who sets limits on connections.
    limits: Mutex<()>,
}

/// Who does a kind of work now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobody,
    Somebody,
    /// Somebody, who may have begun before the newest was there.
    Again,
}

/// The turns of one kind of work.
#[derive(Debug)]
struct Turns(watch::Sender<Turn>);

impl Default for Turns {
    fn default() -> Self {
        Self(watch::Sender::new(Turn::default()))
    }
}

impl Turns {
    /// Asks for the work; whether nobody does it, so that whoever asks has to.
    fn take(&self) -> bool {
        self.change(|before| match before {
            Turn::Nobody => Turn::Somebody,
            Turn::Somebody | Turn::Again => Turn::Again,
        }) == Turn::Nobody
    }

    /// Has done the work; whether it has to be done again.
    fn done(&self) -> bool {
        self.change(|before| match before {
            Turn::Again => Turn::Somebody,
            Turn::Nobody | Turn::Somebody => Turn::Nobody,
        }) == Turn::Again
    }

    /// Whose turn it was.
    fn change(&self, to: impl FnOnce(Turn) -> Turn) -> Turn {
        let mut before = Turn::default();
        self.0.send_modify(|turn| {
            before = *turn;
            *turn = to(before);
        });
        before
    }

    async fn settled(&self) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(|turn| *turn == Turn::Nobody).await;
    }
}

impl Node {
    /// Takes over what is set of listeners' security before there are listeners.
    pub(super) fn begin_security(&self) {
        let listeners = self.learn_listeners();
        let own = self.layers(|layers| layers.broker.clone());
        self.security.begin(&self.props_with(&own), self.with_controllers(&listeners));
        // Other keys than the file names have to be kept fresh as well.
        self.keep_keys_fresh();
    }

    /// Takes over which listeners there are, and what is set of their security on this broker or
    /// on all: later, as files have to be read.
    pub(super) fn reload_security(self: &Arc<Self>) {
        self.do_later(
            |later| &later.security,
            |node| {
                let listeners = node.learn_listeners();
                let own = node.layers(|layers| layers.broker.clone());
                let props = node.props_with(&own);
                node.security.reload(&props, node.with_controllers(&listeners));
                node.keep_keys_fresh();
                node.open_doors();
                node.set_connection_limits();
            },
        );
    }

    /// Waits until what is set of listeners' security has been taken over, or refused.
    pub(crate) async fn security_settled(&self) {
        // After that time it is as if another broker had been asked: it comes later.
        let _ = timeout(SETTLED_MAX, self.later.security.settled()).await;
    }

    /// Takes over how many connections there may be, and how fast they may come from where. What
    /// is said of a name whose address is not known counts when it is.
    pub(super) fn limit_connections(self: &Arc<Self>) {
        self.set_connection_limits();
        if !self.limited_names().is_empty() {
            self.do_later(
                |later| &later.hosts,
                |node| {
                    node.hosts.look_up(&node.limited_names(), || node.set_connection_limits());
                },
            );
        }
    }

    /// Names that something is said of.
    fn limited_names(&self) -> BTreeSet<String> {
        let limits = self.image().quota_limits();
        let mut names = Hosts::names(limits.ips().map(|(host, _)| host));
        if let Ok(sockets) = self.layers(SocketConfig::resolve) {
            let hosts = sockets.max_connections_per_ip_overrides.keys();
            names.append(&mut Hosts::names(hosts.map(String::as_str)));
        }
        names
    }

    fn set_connection_limits(&self) {
        // Of two who set them, the later one has read the newer ones.
        let _order = self.later.limits.lock().unwrap_or_else(PoisonError::into_inner);
        match self.layers(SocketConfig::resolve) {
            Ok(sockets) => {
                let limits =
                    connection_limits(&sockets, &self.config, self.listeners().len(), &self.hosts);
                self.connections().limit(limits);
            }
            Err(error) => tracing::error!(%error, "connections are limited as they were"),
        }
        let limits = self.image().quota_limits();
        let named = limits.ips().filter_map(|(host, rate)| Some((self.hosts.address(host)?, rate)));
        self.connections().limit_addresses(named.collect(), limits.default_ip());
    }

    fn do_later(self: &Arc<Self>, turns: fn(&Later) -> &Turns, work: fn(&Arc<Self>)) {
        if !turns(&self.later).take() {
            return;
        }
        let node = Arc::clone(self);
        // A node that stops begins no more work.
        self.background.spawn_blocking(move || {
            loop {
                work(&node);
                if !turns(&node.later).done() {
                    break;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_during_the_work_is_done_once_more() {
        let turns = Turns::default();
        assert!(turns.take(), "nobody does it");
        assert!(!turns.take() && !turns.take(), "somebody does");
        assert!(turns.done(), "for both who came meanwhile");
        assert!(!turns.done());
        assert!(turns.take(), "nobody does it any more");
    }

    #[tokio::test]
    async fn who_waits_waits_for_the_newest() {
        let turns = Turns::default();
        turns.settled().await;
        turns.take();
        turns.take();
        assert!(turns.done());
        let waits = timeout(Duration::from_millis(5), turns.settled()).await;
        assert!(waits.is_err(), "the second time is under way");
        turns.done();
        turns.settled().await;
    }
}
