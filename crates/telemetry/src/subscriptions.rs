//! What clients are asked for: the `client-metrics` resources, joined for one client.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;

use crate::java::set_order;
use crate::patterns::{Client, IllegalPattern, Matches};

/// `interval.ms` where nobody sets it.
pub const INTERVAL_MS_DEFAULT: i32 = 300_000;
/// The entry of `metrics` that asks for all.
pub const ALL_METRICS: &str = "*";

/// One `client-metrics` resource.
#[derive(Debug, Clone, Default)]
pub struct Subscription {
    metrics: Vec<String>,
    interval_ms: i32,
    matches: Matches,
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

impl Subscription {
    /// Reads what is set: `metrics`, `interval.ms` and `match`.
    ///
    /// # Errors
    /// A `match` that cannot be read; the controller lets none in.
    pub fn read(
        metrics: Option<&str>,
        interval_ms: Option<i32>,
        matches: Option<&str>,
    ) -> Result<Self, IllegalPattern> {
        Ok(Self {
            metrics: entries(metrics.unwrap_or_default()).map(str::to_owned).collect(),
            interval_ms: interval_ms.unwrap_or(INTERVAL_MS_DEFAULT),
            matches: Matches::parse(entries(matches.unwrap_or_default()))?,
        })
    }
}

/// What one client is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Prefixes of names, in the order that Java's set has.
    pub(crate) metrics: Vec<String>,
    pub(crate) interval_ms: i32,
    pub(crate) id: i32,
    /// Which state of the subscriptions it was made from.
    pub(crate) version: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Subscriptions {
    all: BTreeMap<String, Subscription>,
    version: u64,
}

impl Subscriptions {
    /// Puts other subscriptions in force: every client's is looked at again.
    pub fn replace(&mut self, all: BTreeMap<String, Subscription>) {
        self.all = all;
        self.version += 1;
    }

    /// Counts the changes.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn asked(&self, id: Uuid, client: &Client) -> Asked {
        let mut interval_ms = INTERVAL_MS_DEFAULT;
        let (mut metrics, mut seen) = (Vec::new(), BTreeSet::new());
        let mut everything = false;
        for subscription in self.all.values().filter(|one| one.matches.fit(client)) {
            everything |= subscription.metrics.iter().any(|metric| metric == ALL_METRICS);
            interval_ms = interval_ms.min(subscription.interval_ms);
            let mut own = subscription.metrics.clone();
            set_order(&mut own);
            metrics.extend(own.into_iter().filter(|metric| seen.insert(metric.clone())));
        }
        if everything {
            metrics = vec![ALL_METRICS.to_owned()];
        }
        set_order(&mut metrics);
        let id = subscription_id(&metrics, interval_ms, id);
        Asked { metrics, interval_ms, id, version: self.version }
    }
}

/// CRC-32C over the metrics and the interval, as Java prints them, with the instance's hash code
/// over it.
fn subscription_id(metrics: &[String], interval_ms: i32, instance: Uuid) -> i32 {
    let text = format!("[{}]{interval_ms}", metrics.join(", "));
    let crc = crc32c::crc32c(text.as_bytes());
    let bytes = instance.to_bytes();
    let part =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    // Java: (int) (x >> 32) ^ (int) x, where x is one half over the other.
    let hash = part(0) ^ part(4) ^ part(8) ^ part(12);
    (crc ^ hash).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions(all: &[(&str, Option<i32>, &str)]) -> Subscriptions {
        let mut subscriptions = Subscriptions::default();
        let read = all.iter().enumerate().map(|(n, (metrics, interval, matches))| {
            let read = Subscription::read(Some(metrics), *interval, Some(matches)).unwrap();
            (n.to_string(), read)
        });
        subscriptions.replace(read.collect());
        subscriptions
    }

    fn client(id: &str) -> Client {
        Client { client_id: Some(id.to_owned()), ..Client::default() }
    }

    #[test]
    fn what_fits_is_joined_and_the_shortest_interval_counts() {
        let all = subscriptions(&[
            ("a.,b.", Some(1000), "client_id=x.*"),
            ("b.,c.", Some(2000), ""),
            ("z.", Some(100), "client_id=other"),
        ]);
        let asked = all.asked(Uuid::ONE, &client("x1"));
        assert_eq!(asked.interval_ms, 1000);
        let metrics: BTreeSet<&str> = asked.metrics.iter().map(String::as_str).collect();
        assert_eq!(metrics, BTreeSet::from(["a.", "b.", "c."]));
        assert_ne!(asked.id, all.asked(Uuid(99), &client("x1")).id);
        assert_ne!(asked.id, all.asked(Uuid::ONE, &client("y")).id);
    }

    #[test]
    fn a_star_stands_for_all() {
        let all = subscriptions(&[("a.", None, ""), ("*", None, "")]);
        assert_eq!(all.asked(Uuid::ONE, &client("x")).metrics, ["*"]);
    }

    #[test]
    fn a_client_that_nothing_is_for_is_asked_for_nothing() {
        let none = Subscriptions::default().asked(Uuid::ZERO, &client("x"));
        assert_eq!((none.metrics.len(), none.interval_ms), (0, INTERVAL_MS_DEFAULT));
        // CRC-32C of `[]300000`.
        assert_eq!(none.id, crc32c::crc32c(b"[]300000").cast_signed());
    }
}
