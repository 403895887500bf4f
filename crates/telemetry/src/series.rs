//! The last values of what clients have pushed, for whoever scrapes the broker.
//!
//! What only tells the difference to the last push is added up, so that every series that counts
//! only grows as long as its instance is known.

use std::collections::{BTreeMap, HashMap};

use naru_model::Uuid;

use crate::otlp::{Metric, Value};

/// Series kept of all instances.
pub const SERIES_MAX: usize = 20_000;
/// Series kept of one instance.
pub const SERIES_PER_INSTANCE_MAX: usize = 500;
/// What the names of Kafka's client metrics begin with.
const PREFIX: &str = "org.apache.kafka.";
/// What the names of Prometheus' own labels begin with.
const RESERVED_PREFIX: &str = "__";
/// Labels of every series that an instance does not choose.
const CLIENT_ID: &str = "client_id";
const CLIENT_INSTANCE_ID: &str = "client_instance_id";

/// One series of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Attributes, keys as Prometheus takes them, each once.
    pub labels: Vec<(String, String)>,
    /// Its last value.
    pub value: f64,
    /// Whether it only grows.
    pub counts: bool,
}

type Key = (String, Vec<(String, String)>);

#[derive(Debug, Default)]
struct OfInstance {
    client_id: String,
    all: BTreeMap<Key, (f64, bool)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct SeriesStore {
    instances: HashMap<Uuid, OfInstance>,
    len: usize,
    dropped: u64,
}

impl SeriesStore {
    /// Takes over what an instance has pushed.
    pub fn store(&mut self, instance: Uuid, client_id: &str, metrics: Vec<Metric>) {
        let mut of = self.instances.remove(&instance).unwrap_or_default();
        of.client_id = readable(client_id);
        for metric in metrics {
            let name = series_name(&metric.name);
            for point in metric.points {
                let labels = labels_of(&point.attributes);
                let parts: Vec<(String, f64, bool, bool)> = match point.value {
                    Value::Gauge(value) => vec![(name.clone(), value, false, false)],
                    Value::Sum { value, delta } => vec![(name.clone(), value, delta, true)],
                    Value::Histogram { count, sum, delta } => vec![
                        (format!("{name}_count"), count, delta, true),
                        (format!("{name}_sum"), sum, delta, true),
                    ],
                };
                for (name, value, delta, counts) in parts {
                    let key = (name, labels.clone());
                    if let Some((known, kind)) = of.all.get_mut(&key) {
                        *known = if delta { *known + value } else { value };
                        *kind = counts;
                    } else if of.all.len() < SERIES_PER_INSTANCE_MAX && self.len < SERIES_MAX {
                        of.all.insert(key, (value, counts));
                        self.len += 1;
                    } else {
                        self.dropped += 1;
                    }
                }
            }
        }
        // Nothing is kept of whoever has no series.
        if !of.all.is_empty() {
            self.instances.insert(instance, of);
        }
    }

    /// Forgets an instance.
    pub fn forget(&mut self, instance: Uuid) {
        if let Some(gone) = self.instances.remove(&instance) {
            self.len -= gone.all.len();
        }
    }

    /// Series that are kept, and points that were left out because there were too many.
    pub const fn counts(&self) -> (usize, u64) {
        (self.len, self.dropped)
    }

    /// All series by name, with client id and instance among their labels.
    pub fn families(&self) -> BTreeMap<String, Vec<Series>> {
        let mut families: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for (id, of) in &self.instances {
            for ((name, labels), (value, counts)) in &of.all {
                let mut labels = labels.clone();
                labels.push((CLIENT_ID.to_owned(), of.client_id.clone()));
                labels.push((CLIENT_INSTANCE_ID.to_owned(), id.to_string()));
                let series = Series { labels, value: *value, counts: *counts };
                families.entry(name.clone()).or_default().push(series);
            }
        }
        families
    }
}

/// `org.apache.kafka.producer.record.send.total` as `kafka_client_producer_record_send_total`.
fn series_name(name: &str) -> String {
    format!("kafka_client_{}", sanitized(name.strip_prefix(PREFIX).unwrap_or(name)))
}

/// Attributes as labels: in order, no key twice, none that is somebody else's to set.
fn labels_of(attributes: &[(String, String)]) -> Vec<(String, String)> {
    let is_free = |key: &str| {
        !key.starts_with(RESERVED_PREFIX) && key != CLIENT_ID && key != CLIENT_INSTANCE_ID
    };
    let mut labels: Vec<(String, String)> = attributes
        .iter()
        .map(|(key, value)| (sanitized(key), readable(value)))
        .filter(|(key, _)| is_free(key))
        .collect();
    labels.sort();
    labels.dedup_by(|next, kept| next.0 == kept.0);
    labels
}

/// A text with a space for each control character, line ends and NUL among them.
fn readable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text of letters, digits and underscores that begins with no digit.
fn sanitized(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut name: String = text.chars().map(fits).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Point;

    fn metric(name: &str, value: Value) -> Metric {
        let attributes = vec![("node.id".to_owned(), "1".to_owned())];
        Metric { name: name.to_owned(), points: vec![Point { attributes, value }] }
    }

    #[test]
    fn differences_are_added_up_and_totals_replace() {
        let mut store = SeriesStore::default();
        let push = |store: &mut SeriesStore, value| {
            store.store(Uuid(5), "app", vec![metric("org.apache.kafka.producer.x.total", value)]);
        };
        push(&mut store, Value::Sum { value: 3.0, delta: true });
        push(&mut store, Value::Sum { value: 4.0, delta: true });
        let families = store.families();
        let series = &families["kafka_client_producer_x_total"][0];
        assert!((series.value - 7.0).abs() < 1e-9 && series.counts);
        assert_eq!(series.labels[0], ("node_id".to_owned(), "1".to_owned()));
        assert_eq!(series.labels[1], ("client_id".to_owned(), "app".to_owned()));
        push(&mut store, Value::Sum { value: 9.0, delta: false });
        assert!((store.families()["kafka_client_producer_x_total"][0].value - 9.0).abs() < 1e-9);
        store.forget(Uuid(5));
        assert_eq!(store.counts(), (0, 0));
    }

    #[test]
    fn an_instance_may_not_fill_the_memory() {
        let mut store = SeriesStore::default();
        for n in 0..SERIES_PER_INSTANCE_MAX + 3 {
            store.store(Uuid(5), "app", vec![metric(&format!("m{n}"), Value::Gauge(1.0))]);
        }
        assert_eq!(store.counts(), (SERIES_PER_INSTANCE_MAX, 3));
    }

    #[test]
    fn labels_are_unique_and_free_to_choose() {
        let attributes = [
            ("node.id", "2"),
            ("node-id", "1"),
            ("__name__", "up"),
            ("..x", "y"),
            ("client.id", "somebody"),
            ("client_instance_id", "else"),
            ("a", "one\ntwo\0three"),
        ];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let expect = [("a", "one two three"), ("node_id", "1")];
        let expect = expect.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(labels_of(&attributes), expect);
    }

    #[test]
    fn nothing_is_kept_of_an_instance_without_series() {
        let mut store = SeriesStore::default();
        let empty = Metric { name: "m".to_owned(), points: Vec::new() };
        store.store(Uuid(5), "app", vec![empty]);
        assert!(store.instances.is_empty());
        store.store(Uuid(5), "a\nb", vec![metric("m", Value::Gauge(1.0))]);
        store.store(Uuid(5), "a\nb", Vec::new());
        assert_eq!(store.counts(), (1, 0));
        assert_eq!(store.families()["kafka_client_m"][0].labels[1].1, "a b");
    }

    #[test]
    fn names_are_what_prometheus_takes() {
        assert_eq!(series_name("org.apache.kafka.consumer.a-b.c"), "kafka_client_consumer_a_b_c");
        assert_eq!(sanitized("9x"), "_9x");
    }
}
