//! How fast new connections may come: on the broker, on a listener, from an address (KIP-612).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::rate::{Rate, Windows};

/// Addresses whose rates are kept at most.
const ADDRESSES_MAX: usize = 50_000;

/// What to do with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// Take it, and the next one after so many milliseconds.
    Take {
        /// Milliseconds that the listener takes none.
        pause_ms: u32,
    },
    /// Close it after so many milliseconds: its address has too many.
    Close {
        /// Milliseconds to keep it waiting.
        after_ms: u32,
    },
}

/// See the module. Rates without a limit are not measured.
#[derive(Debug)]
pub struct ConnectionRates {
    windows: Windows,
    broker: Rate,
    listeners: HashMap<Box<str>, Rate>,
    addresses: HashMap<IpAddr, Rate>,
}

/// What there may be a second; none without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// On the broker.
    pub broker: Option<f64>,
    /// On this listener.
    pub listener: Option<f64>,
    /// From this address.
    pub address: Option<f64>,
}

impl ConnectionRates {
    /// No connection has come.
    pub fn new(windows: Windows) -> Self {
        Self {
            windows,
            broker: Rate::default(),
            listeners: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// Counts a connection. One that its address may not make counts nowhere.
    pub fn note(
        &mut self,
        listener: &str,
        address: IpAddr,
        bounds: Bounds,
        now_ms: i64,
    ) -> Creation {
        let windows = self.windows;
        // No pause is longer than a window.
        let most = u32::try_from(windows.size_ms).unwrap_or(u32::MAX);
        if let Some(bound) = bounds.address {
            self.make_room(now_ms);
            let rate = self.addresses.entry(address).or_default();
            rate.record(windows, 1.0, now_ms);
            let after_ms = rate.throttle_ms(windows, bound, now_ms).min(most);
            if after_ms > 0 {
                rate.record(windows, -1.0, now_ms);
                return Creation::Close { after_ms };
            }
        }
        let mut pause_ms = 0;
        if let Some(bound) = bounds.broker {
            self.broker.record(windows, 1.0, now_ms);
            pause_ms = self.broker.throttle_ms(windows, bound, now_ms);
        }
        if let Some(bound) = bounds.listener {
            let rate = self.listeners.entry(listener.into()).or_default();
            rate.record(windows, 1.0, now_ms);
            pause_ms = pause_ms.max(rate.throttle_ms(windows, bound, now_ms));
        }
        Creation::Take { pause_ms: pause_ms.min(most) }
    }

    fn make_room(&mut self, now_ms: i64) {
        if self.addresses.len() >= ADDRESSES_MAX {
            let age = i64::from(self.windows.count) * self.windows.size_ms;
            self.addresses.retain(|_, rate| now_ms - rate.last_ms() < age);
            if self.addresses.len() >= ADDRESSES_MAX {
                self.addresses.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Windows = Windows { count: 11, size_ms: 1000 };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn the_broker_pauses_what_comes_too_fast() {
        let mut rates = ConnectionRates::new(KAFKA);
        let bounds = Bounds { broker: Some(1.0), ..Bounds::default() };
        for n in 0..10 {
            let taken = rates.note("A", ip(1), bounds, 0);
            assert_eq!(taken, Creation::Take { pause_ms: 0 }, "{n}");
        }
        assert_eq!(rates.note("B", ip(2), bounds, 0), Creation::Take { pause_ms: 1000 });
        assert_eq!(rates.note("B", ip(2), bounds, 20_000), Creation::Take { pause_ms: 0 });
    }

    #[test]
    fn an_address_that_is_too_fast_is_closed_and_slows_nobody_else() {
        let mut rates = ConnectionRates::new(KAFKA);
        let bounds = Bounds { broker: Some(2.0), address: Some(1.0), ..Bounds::default() };
        for _ in 0..10 {
            rates.note("A", ip(1), bounds, 0);
        }
        for _ in 0..100 {
            let closed = rates.note("A", ip(1), bounds, 0);
            assert_eq!(closed, Creation::Close { after_ms: 1000 });
        }
        assert_eq!(rates.note("A", ip(2), bounds, 0), Creation::Take { pause_ms: 0 });
    }

    #[test]
    fn listeners_have_rates_of_their_own() {
        let mut rates = ConnectionRates::new(KAFKA);
        let bounds = Bounds { listener: Some(0.1), ..Bounds::default() };
        rates.note("A", ip(1), bounds, 0);
        assert_eq!(rates.note("A", ip(1), bounds, 0), Creation::Take { pause_ms: 1000 });
        assert_eq!(rates.note("B", ip(1), bounds, 0), Creation::Take { pause_ms: 0 });
    }
}
