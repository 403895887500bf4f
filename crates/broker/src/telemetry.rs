//! Metrics that clients push (KIP-714), received here and shown at `/metrics`.
//!
//! Apache Kafka hands pushes to a plugin and serves the APIs only where there is one; this broker
//! is its own receiver. Rules and limits are `naru_telemetry`'s.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use naru_controller::MetadataImage;
use naru_controller::image::ResourceType;
use naru_model::{Timestamp, Uuid};
use naru_records::{Compression, inflate};
use naru_telemetry::{
    Client, Granted, Instances, Metric, PushHead, Series, SeriesStore, Subscription, Subscriptions,
    TelemetryError, read_metrics,
};

/// A push inflates to this many times `telemetry.max.bytes` at most.
const INFLATION_MAX: u64 = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    subscriptions: RwLock<Subscriptions>,
    instances: Mutex<Instances>,
    series: Mutex<SeriesStore>,
}

/// What is counted of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TelemetryCounts {
    pub(crate) instances: usize,
    pub(crate) throttled: u64,
    pub(crate) unknown_subscriptions: u64,
    pub(crate) series: usize,
    pub(crate) dropped: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Telemetry {
    /// Takes over what clients are to be asked for.
    pub(crate) fn adopt(&self, image: &MetadataImage) {
        let mut all = BTreeMap::new();
        let resources = image.configs().filter(|(one, _)| one.kind == ResourceType::ClientMetrics);
        for (resource, config) in resources {
            let value = |key: &str| config.get(key).map(String::as_str);
            let interval = value("interval.ms").and_then(|text| text.trim().parse().ok());
            match Subscription::read(value("metrics"), interval, value("match")) {
                Ok(subscription) => {
                    all.insert(resource.name.clone(), subscription);
                }
                Err(error) => {
                    tracing::warn!(subscription = resource.name, %error, "nobody is asked for it");
                }
            }
        }
        self.subscriptions.write().unwrap_or_else(PoisonError::into_inner).replace(all);
    }

    pub(crate) fn get(
        &self,
        asking: Uuid,
        client: Client,
        new_id: Uuid,
        now: Timestamp,
    ) -> Result<Granted, TelemetryError> {
        let subscriptions = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
        let mut instances = lock(&self.instances);
        let granted = instances.get(&subscriptions, asking, client, new_id, now.0);
        self.forget(instances.expire(now.0));
        granted
    }

    /// Takes a push and stores what is in it.
    pub(crate) fn push(
        &self,
        head: &PushHead,
        client: Client,
        metrics: &[u8],
        bytes_max: usize,
        now: Timestamp,
    ) -> Result<(), TelemetryError> {
        let client_id = client.client_id.clone().unwrap_or_default();
        let is_known = {
            let subscriptions = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
            let mut instances = lock(&self.instances);
            let taken = instances.push(&subscriptions, head, client, bytes_max, now.0);
            // Also when it is refused: the instance is known from then on.
            let gone = instances.expire(now.0);
            let is_known = !gone.contains(&head.instance);
            self.forget(gone);
            taken?;
            is_known
        };
        // Series of an instance that is not known would never be forgotten.
        if is_known && !metrics.is_empty() {
            let metrics = read(head.compression, metrics, bytes_max)?;
            lock(&self.series).store(head.instance, &client_id, metrics);
        }
        Ok(())
    }

    fn forget(&self, gone: Vec<Uuid>) {
        if !gone.is_empty() {
            let mut series = lock(&self.series);
            gone.into_iter().for_each(|instance| series.forget(instance));
        }
    }

    /// What clients have pushed, by the names of metrics.
    pub(crate) fn families(&self, now: Timestamp) -> BTreeMap<String, Vec<Series>> {
        let gone = lock(&self.instances).expire(now.0);
        self.forget(gone);
        lock(&self.series).families()
    }

    pub(crate) fn counts(&self) -> TelemetryCounts {
        let instances = lock(&self.instances);
        let (throttled, unknown_subscriptions) = instances.refused();
        let (series, dropped) = lock(&self.series).counts();
        let instances = instances.len();
        TelemetryCounts { instances, throttled, unknown_subscriptions, series, dropped }
    }
}

fn read(compression: i8, bytes: &[u8], bytes_max: usize) -> Result<Vec<Metric>, TelemetryError> {
    let codec = u8::try_from(compression).ok().and_then(Compression::from_number);
    let codec = codec.ok_or(TelemetryError::UnknownCompression)?;
    let most = (bytes_max as u64).saturating_mul(INFLATION_MAX);
    let mut plain = Vec::new();
    inflate(codec, bytes, most, &mut plain).map_err(|_| TelemetryError::Unreadable)?;
    read_metrics(&plain).map_err(|_| TelemetryError::Unreadable)
}

#[cfg(test)]
mod tests {
    use naru_telemetry::INSTANCES_MAX;

    use super::*;

    #[test]
    fn refused_pushes_do_not_fill_the_memory() {
        let telemetry = Telemetry::default();
        let now = Timestamp(1_700_000_000_000);
        for n in 0..INSTANCES_MAX + 5 {
            let head = PushHead {
                instance: Uuid(10 + n as u128),
                subscription: 0,
                terminating: false,
                // None that there is: refused whatever was asked for.
                compression: 9,
                len: 0,
            };
            assert!(telemetry.push(&head, Client::default(), &[], 1000, now).is_err());
        }
        assert_eq!(telemetry.counts().instances, INSTANCES_MAX);
    }
}
