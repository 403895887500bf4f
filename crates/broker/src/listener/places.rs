//! Who may connect: limits on connections in all, on a listener and from an address, and on how
//! fast they come (KIP-402, 612).
//!
//! Where all places are taken a listener waits for one, as Kafka's acceptors do, and takes nobody
//! meanwhile; an address that has too many is closed at once, one that is too fast after a while.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use naru_model::config::ListenerLimits;
use naru_quotas::{Bounds, ConnectionRates, Creation, Windows};
use tokio::sync::Notify;

/// What is set for connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionLimits {
    /// `max.connections`
    pub(crate) total: usize,
    /// `max.connections.per.ip`
    pub(crate) per_ip: usize,
    pub(crate) per_ip_overrides: HashMap<IpAddr, usize>,
    /// `max.connection.creation.rate`
    pub(crate) creation_rate: Option<f64>,
    /// Limits of single listeners, by their names in lower case.
    pub(crate) listeners: BTreeMap<String, ListenerLimits>,
    /// The listener whose connections the broker's limits do not count.
    pub(crate) protected: Option<String>,
}

/// What client quotas say of addresses.
#[derive(Debug, Default)]
struct AddressRates {
    named: HashMap<IpAddr, f64>,
    others: Option<f64>,
}

#[derive(Debug)]
pub(crate) struct ConnectionRegistry {
    began: Instant,
    limits: RwLock<ConnectionLimits>,
    address_rates: RwLock<AddressRates>,
    rates: Mutex<ConnectionRates>,
    open: Mutex<Open>,
    /// Told when a place is free or limits have changed.
    news: Notify,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
    per_listener: HashMap<Box<str>, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken: there may be one later.
    Full,
    /// The address has too many.
    Address,
}

/// A counted connection; dropping it frees its place.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<ConnectionRegistry>,
    listener: Box<str>,
    ip: IpAddr,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConnectionLimits {
    fn of_listener(&self, listener: &str) -> ListenerLimits {
        if self.listeners.is_empty() {
            return ListenerLimits::default();
        }
        self.listeners.get(&listener.to_lowercase()).copied().unwrap_or_default()
    }

    fn is_protected(&self, listener: &str) -> bool {
        self.protected.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(listener))
    }
}

impl ConnectionRegistry {
    pub(crate) fn new(limits: ConnectionLimits, windows: Windows) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            limits: RwLock::new(limits),
            address_rates: RwLock::default(),
            rates: Mutex::new(ConnectionRates::new(windows)),
            open: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Puts other limits in force; connections that are open stay.
    pub(crate) fn limit(&self, limits: ConnectionLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        self.news.notify_waiters();
    }

    /// Puts other limits on the rates of addresses in force: of these, and of all others.
    pub(crate) fn limit_addresses(&self, named: HashMap<IpAddr, f64>, others: Option<f64>) {
        let rates = AddressRates { named, others };
        *self.address_rates.write().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// Counts a new connection in the rates; what is to be done with it.
    pub(crate) fn note_new(&self, listener: &str, ip: IpAddr) -> Creation {
        let ip = ip.to_canonical();
        let bounds = {
            let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
            let addresses = self.address_rates.read().unwrap_or_else(PoisonError::into_inner);
            Bounds {
                broker: limits.creation_rate.filter(|_| !limits.is_protected(listener)),
                listener: limits.of_listener(listener).creation_rate.map(f64::from),
                address: addresses.named.get(&ip).copied().or(addresses.others),
            }
        };
        if bounds == Bounds::default() {
            return Creation::Take { pause_ms: 0 };
        }
        let now_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        lock(&self.rates).note(listener, ip, bounds, now_ms)
    }

    /// Counts a connection from `ip`. Controllers' listeners wait for nobody's place.
    pub(crate) fn enter(
        self: &Arc<Self>,
        listener: &str,
        is_controller: bool,
        ip: IpAddr,
    ) -> Result<Place, NoPlace> {
        let ip = ip.to_canonical();
        let mut open = lock(&self.open);
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let here = open.per_listener.get(listener).copied().unwrap_or(0);
        let here_max = limits.of_listener(listener).max_connections;
        let is_full = here_max.is_some_and(|max| here >= max)
            || (open.total >= limits.total && !is_controller && !limits.is_protected(listener));
        if is_full {
            return Err(NoPlace::Full);
        }
        let ip_max = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip);
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        if from_ip >= ip_max {
            return Err(NoPlace::Address);
        }
        open.total += 1;
        open.per_ip.insert(ip, from_ip + 1);
        open.per_listener.insert(listener.into(), here + 1);
        Ok(Place { registry: Arc::clone(self), listener: listener.into(), ip })
    }

    /// Waits until [`Self::enter`] may say something else. Ask for it before entering.
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }

    /// Connections open now.
    pub(crate) fn count(&self) -> usize {
        lock(&self.open).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.registry.open);
        open.total -= 1;
        if let Some(count) = open.per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.per_ip.remove(&self.ip);
            }
        }
        if let Some(count) = open.per_listener.get_mut(&self.listener) {
            *count -= 1;
        }
        drop(open);
        self.registry.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { count: 11, size_ms: 1000 };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn limits(total: usize, per_ip: usize) -> ConnectionLimits {
        ConnectionLimits { total, per_ip, ..ConnectionLimits::default() }
    }

    fn enter(registry: &Arc<ConnectionRegistry>, from: u8) -> Result<Place, NoPlace> {
        registry.enter("PLAINTEXT", false, ip(from))
    }

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let per_ip_overrides = HashMap::from([(ip(9), 0)]);
        let limits = ConnectionLimits { per_ip_overrides, ..limits(3, 2) };
        let registry = ConnectionRegistry::new(limits, WINDOWS);
        let first = enter(&registry, 1);
        let _second = enter(&registry, 1);
        assert_eq!(enter(&registry, 1).unwrap_err(), NoPlace::Address, "two per address");
        assert_eq!(enter(&registry, 9).unwrap_err(), NoPlace::Address, "none for this one");
        let _third = enter(&registry, 2);
        assert_eq!(enter(&registry, 3).unwrap_err(), NoPlace::Full, "three in all");
        assert!(registry.enter("CONTROLLER", true, ip(3)).is_ok(), "but for controllers");
        drop(first);
        assert!(enter(&registry, 3).is_ok());
    }

    #[test]
    fn a_listener_has_limits_of_its_own_and_one_is_protected() {
        let own = ListenerLimits { max_connections: Some(1), creation_rate: None };
        let limits = ConnectionLimits {
            listeners: BTreeMap::from([("plaintext".to_owned(), own)]),
            protected: Some("internal".to_owned()),
            ..limits(1, 9)
        };
        let registry = ConnectionRegistry::new(limits, WINDOWS);
        let _first = enter(&registry, 1);
        assert_eq!(enter(&registry, 2).unwrap_err(), NoPlace::Full);
        assert_eq!(registry.enter("OTHER", false, ip(2)).unwrap_err(), NoPlace::Full);
        assert!(registry.enter("INTERNAL", false, ip(2)).is_ok());
    }

    #[test]
    fn limits_change_at_run_time_and_tell_who_waits() {
        let registry = ConnectionRegistry::new(limits(1, 9), WINDOWS);
        let _first = enter(&registry, 1);
        let mut news = Box::pin(registry.news());
        assert!(!news.as_mut().enable());
        assert_eq!(enter(&registry, 2).unwrap_err(), NoPlace::Full);
        registry.limit(limits(2, 9));
        assert!(news.as_mut().enable(), "told");
        let _second = enter(&registry, 2);
        registry.limit(limits(1, 9));
        assert_eq!(registry.count(), 2, "who is there stays");
    }

    #[test]
    fn rates_are_limited_per_address_and_change_at_run_time() {
        let registry = ConnectionRegistry::new(limits(99, 99), WINDOWS);
        let is_taken = || registry.note_new("A", ip(1)) == Creation::Take { pause_ms: 0 };
        assert!((0..50).all(|_| is_taken()));
        registry.limit_addresses(HashMap::from([(ip(1), 0.1)]), None);
        assert!(is_taken());
        assert!(!is_taken());
        registry.limit_addresses(HashMap::new(), None);
        assert!(is_taken());
        registry.limit(ConnectionLimits { creation_rate: Some(0.01), ..limits(99, 99) });
        assert!(!is_taken());
    }
}
