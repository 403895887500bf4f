//! What metadata sets and only slow work takes over: files of keys, addresses of hosts.
//!
//! The thread that reacts to metadata asks for it and goes on. Of each kind there is one piece of
//! work at a time and one more to come at most, which takes what is the newest by then; until it
//! is done, what was in force stays.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

    /// Does the work that was taken, and again as long as it is asked for meanwhile.
    fn work(&self, work: impl Fn()) {
        loop {
            // That it panicked has been said. Nobody may wait for it, and who asks next finds
            // that nobody does it.
            let _ = catch_unwind(AssertUnwindSafe(&work));
            if !self.done() {
                break;
            }
        }
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
                // Before as well: a door that begins has its limits from the first client on.
                node.set_connection_limits();
                node.open_doors();
                node.set_connection_limits();
            },
        );
    }

    /// Waits until what this broker knows to be set of listeners' security has been taken over,
    /// or refused. What another node leads the cluster to is known here a little later than it
    /// is answered: a change by way of a broker that is no active controller may count shortly
    /// after its answer.
    pub(crate) async fn security_settled(&self) {
        // After that time it is as if another broker had been asked: it comes later.
        let _ = timeout(SETTLED_MAX, self.later.security.settled()).await;
    }

    /// Takes over how many connections there may be, and how fast they may come from where. What
    /// is said of a name whose address is not known counts when it is.
    pub(super) fn limit_connections(self: &Arc<Self>) {
        if !self.set_connection_limits().is_empty() {
            self.look_hosts_up();
        }
    }

    /// Looks limited names up again if the address of one is still not known.
    pub(super) fn look_unknown_hosts_up(self: &Arc<Self>) {
        let names = self.set_connection_limits();
        if names.iter().any(|name| self.hosts.address(name).is_none()) {
            self.look_hosts_up();
        }
    }

    fn look_hosts_up(self: &Arc<Self>) {
        self.do_later(
            |later| &later.hosts,
            |node| {
                let names = node.set_connection_limits();
                node.hosts.look_up(&names, || {
                    node.set_connection_limits();
                });
            },
        );
    }

    /// Waits until limited names have been looked up, so that no connection comes before its
    /// limit.
    pub(super) async fn hosts_settled(&self) {
        // Limits of names that nobody tells the address of come later.
        let _ = timeout(SETTLED_MAX, self.later.hosts.settled()).await;
    }

    /// Puts limits in force, of names as far as their addresses are known; gives the names.
    fn set_connection_limits(&self) -> BTreeSet<String> {
        // Of two who set them, the later one has read the newer ones.
        let _order = self.later.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let quotas = self.image().quota_limits();
        let mut names = Hosts::names(quotas.ips().map(|(host, _)| host));
        match self.layers(SocketConfig::resolve) {
            Ok(sockets) => {
                let overrides = sockets.max_connections_per_ip_overrides.keys();
                names.append(&mut Hosts::names(overrides.map(String::as_str)));
                let limits =
                    connection_limits(&sockets, &self.config, self.open_count(), &self.hosts);
                self.connections().limit(limits);
            }
            Err(error) => tracing::error!(%error, "connections are limited as they were"),
        }
        let named = quotas.ips().filter_map(|(host, rate)| Some((self.hosts.address(host)?, rate)));
        self.connections().limit_addresses(named.collect(), quotas.default_ip());
        names
    }

    fn do_later(self: &Arc<Self>, turns: fn(&Later) -> &Turns, work: fn(&Arc<Self>)) {
        if !turns(&self.later).take() {
            return;
        }
        let node = Arc::clone(self);
        // A node that stops begins no more work.
        self.background.spawn_blocking(move || turns(&node.later).work(|| work(&node)));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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

    #[test]
    fn work_that_panics_is_done_and_begun_anew() {
        let turns = Turns::default();
        let times = Cell::new(0);
        assert!(turns.take());
        turns.work(|| {
            times.set(times.get() + 1);
            if times.get() == 1 {
                turns.take();
                panic!("a panic of this test's");
            }
        });
        assert_eq!(times.get(), 2, "who asked meanwhile is not forgotten");
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
