//! Who is connected: limits on connections in all and per address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use naru_coordinators::ConnectionId;
use naru_security::Principal;

/// What a request knows of the connection it came in on.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    /// Tells it from every other connection of this process.
    pub(crate) id: ConnectionId,
    /// Who is at the other end.
    pub(crate) principal: Principal,
    /// The address of the other end, as ACLs have it.
    pub(crate) host: String,
    /// It is this node itself that asks: it may do everything.
    pub(crate) own: bool,
    /// A broker vouches for who asks, and has looked at how they are connected.
    pub(crate) forwarded: bool,
    /// Name of the listener, such as `PLAINTEXT`; decides the addresses that metadata tells.
    pub(crate) listener: Arc<str>,
    /// The other side.
    pub(crate) peer: SocketAddr,
    /// Which APIs are served here.
    pub(crate) door: Door,
    /// Requests of it whose transactions are being verified; see [`Self::begin_verifying`].
    pub(crate) verifying: Arc<AtomicUsize>,
}

/// A request whose transaction is being verified, until it is dropped.
#[derive(Debug)]
pub(crate) struct Verifying(Arc<AtomicUsize>);

impl Drop for Verifying {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Which APIs a listener serves.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// Those of brokers.
    Broker,
    /// Those of controllers, and which broker is heard through it.
    Controller(Arc<HeardBroker>),
}

/// The broker whose registration or heartbeats came over a connection; -1 if none did.
#[derive(Debug)]
pub(crate) struct HeardBroker {
    id: AtomicI32,
    epoch: AtomicI64,
}

impl Door {
    pub(crate) fn new(is_controller: bool) -> Self {
        if is_controller {
            let heard = HeardBroker { id: AtomicI32::new(-1), epoch: AtomicI64::new(-1) };
            Self::Controller(Arc::new(heard))
        } else {
            Self::Broker
        }
    }
}

impl ConnectionInfo {
    /// A request that this node asks itself.
    pub(crate) fn own() -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { own: true, ..Self::anonymous("".into(), peer, Door::Broker) }
    }

    /// A connection whose other end has not said who it is.
    pub(crate) fn anonymous(listener: Arc<str>, peer: SocketAddr, door: Door) -> Self {
        let host = peer.ip().to_canonical().to_string();
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            id: ConnectionId(LAST.fetch_add(1, Ordering::Relaxed)),
            principal: Principal::anonymous(),
            host,
            own: false,
            forwarded: false,
            listener,
            peer,
            door,
            verifying: Arc::default(),
        }
    }

    /// Whether a request that came in before is being verified. What comes after it must wait for
    /// it: the batches of a producer are appended in order.
    pub(crate) fn is_verifying(&self) -> bool {
        self.verifying.load(Ordering::Acquire) > 0
    }

    /// Notes that a request is being verified.
    pub(crate) fn begin_verifying(&self) -> Verifying {
        self.verifying.fetch_add(1, Ordering::AcqRel);
        Verifying(Arc::clone(&self.verifying))
    }

    /// Notes that this broker lives at the other end.
    pub(crate) fn hears_broker(&self, id: i32, epoch: i64) {
        if let Door::Controller(heard) = &self.door {
            heard.epoch.store(epoch, Ordering::Release);
            heard.id.store(id, Ordering::Release);
        }
    }

    /// The broker that lives at the other end, and its epoch.
    pub(crate) fn heard_broker(&self) -> Option<(i32, i64)> {
        let Door::Controller(heard) = &self.door else { return None };
        let id = heard.id.load(Ordering::Acquire);
        (id >= 0).then(|| (id, heard.epoch.load(Ordering::Acquire)))
    }
}

/// `max.connections`, `max.connections.per.ip` and its overrides.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimits {
    pub(crate) total: usize,
    pub(crate) per_ip: usize,
    pub(crate) per_ip_overrides: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
pub(crate) struct ConnectionRegistry {
    limits: RwLock<ConnectionLimits>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// A counted connection; dropping it frees its place.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<ConnectionRegistry>,
    ip: IpAddr,
}

impl ConnectionRegistry {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits: RwLock::new(limits), open: Mutex::default() })
    }

    /// Puts other limits in force; connections that are open stay.
    pub(crate) fn limit(&self, limits: ConnectionLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Counts a connection from `ip`, unless a limit is reached.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let ip_max = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip);
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        if open.total >= limits.total || from_ip >= ip_max {
            return None;
        }
        open.total += 1;
        open.per_ip.insert(ip, from_ip + 1);
        Some(Place { registry: Arc::clone(self), ip })
    }

    /// Connections open now.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(count) = open.per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let ip = |last| IpAddr::from([127, 0, 0, last]);
        let overrides = HashMap::from([(ip(9), 0)]);
        let limits = ConnectionLimits { total: 3, per_ip: 2, per_ip_overrides: overrides };
        let registry = ConnectionRegistry::new(limits);
        let first = registry.enter(ip(1));
        let _second = registry.enter(ip(1));
        assert!(registry.enter(ip(1)).is_none(), "two per address");
        assert!(registry.enter(ip(9)).is_none(), "none for this one");
        let _third = registry.enter(ip(2));
        assert!(registry.enter(ip(3)).is_none(), "three in all");
        drop(first);
        assert!(registry.enter(ip(3)).is_some());
    }
}
