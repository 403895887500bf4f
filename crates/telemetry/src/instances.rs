//! The client instances that are known, and whether what they ask is taken.
//!
//! An instance is forgotten when it is silent for three intervals, at least [`EXPIRY_MS`], or when
//! there are too many: then the one that was silent for longest.

use std::collections::{BTreeSet, HashMap};

use naru_model::{ErrorCode, Uuid};

use crate::patterns::Client;
use crate::subscriptions::{Asked, Subscriptions};

/// Instances that are kept at most, as in Kafka.
pub const INSTANCES_MAX: usize = 16_384;
/// How long an instance is kept at least.
pub const EXPIRY_MS: i64 = 60_000;

/// Compression codecs there are: none, gzip, snappy, lz4, zstd.
const CODECS: std::ops::RangeInclusive<i8> = 0..=4;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// The instance has no id, or one that is reserved.
    #[error("invalid client instance id")]
    InvalidInstance,
    /// The instance has said that it will send no more.
    #[error("a request came after the terminating one")]
    Terminated,
    /// Too early.
    #[error("a request came before the next push interval")]
    TooEarly,
    /// What it was asked for has changed.
    #[error("unknown subscription id")]
    UnknownSubscription,
    /// Nobody can read it.
    #[error("unknown compression type")]
    UnknownCompression,
    /// It is more than `telemetry.max.bytes`.
    #[error("the push is too large")]
    TooLarge,
    /// What it pushed cannot be read.
    #[error("the metrics cannot be read")]
    Unreadable,
}

impl TelemetryError {
    /// The code a client gets.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::InvalidInstance | Self::Terminated => ErrorCode::InvalidRequest,
            Self::TooEarly => ErrorCode::ThrottlingQuotaExceeded,
            Self::UnknownSubscription => ErrorCode::UnknownSubscriptionId,
            Self::UnknownCompression => ErrorCode::UnsupportedCompressionType,
            Self::TooLarge => ErrorCode::TelemetryTooLarge,
            Self::Unreadable => ErrorCode::InvalidRecord,
        }
    }
}

/// What a client that asks is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The id of its instance, new if it had none.
    pub instance: Uuid,
    /// The id of what it is asked for.
    pub subscription: i32,
    /// Prefixes of the names of metrics.
    pub metrics: Vec<String>,
    /// How often it is to push.
    pub interval_ms: i32,
}

/// A push, but for its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushHead {
    /// Whose it is.
    pub instance: Uuid,
    /// What it was asked for.
    pub subscription: i32,
    /// Whether it is the last one.
    pub terminating: bool,
    /// How the metrics are compressed.
    pub compression: i8,
    /// How many bytes they are.
    pub len: usize,
}

#[derive(Debug)]
struct Instance {
    client: Client,
    asked: Asked,
    last_get_ms: i64,
    last_push_ms: i64,
    terminating: bool,
    last_error: Option<TelemetryError>,
    expires_ms: i64,
}

impl Instance {
    fn interval_ms(&self) -> i64 {
        self.asked.interval_ms.into()
    }

    fn may_get(&mut self, now_ms: i64) -> bool {
        let since = now_ms - self.last_get_ms.max(self.last_push_ms);
        let in_time = since >= self.interval_ms();
        if in_time {
            self.last_get_ms = now_ms;
        }
        in_time
    }

    /// The first push after it was asked may come early: clients spread theirs.
    fn may_push(&mut self, now_ms: i64) -> bool {
        let in_time = self.last_get_ms > self.last_push_ms
            || now_ms - self.last_push_ms >= self.interval_ms();
        if in_time {
            self.last_push_ms = now_ms;
        }
        in_time
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Instances {
    all: HashMap<Uuid, Instance>,
    by_expiry: BTreeSet<(i64, u128)>,
    /// How many requests came too early, and how many for what is not asked any more.
    throttled: u64,
    unknown_subscriptions: u64,
}

impl Instances {
    /// Tells a client what it is asked for. `new_id` is a fresh id for one that has none.
    ///
    /// # Errors
    /// When it asks before its interval is over.
    pub fn get(
        &mut self,
        subscriptions: &Subscriptions,
        asking: Uuid,
        client: Client,
        new_id: Uuid,
        now_ms: i64,
    ) -> Result<Granted, TelemetryError> {
        let id = if asking.is_zero() { new_id } else { asking };
        let instance = touch(&mut self.all, &mut self.by_expiry, subscriptions, id, client, now_ms);
        let in_time = instance.may_get(now_ms);
        let must_ask = matches!(
            instance.last_error,
            Some(TelemetryError::UnknownSubscription | TelemetryError::UnknownCompression)
        );
        if !in_time && !must_ask {
            self.throttled += 1;
            return Err(TelemetryError::TooEarly);
        }
        // Whoever was sent here may push early, as after any first question.
        instance.last_get_ms = now_ms;
        instance.last_error = None;
        let Asked { metrics, interval_ms, id: subscription, .. } = instance.asked.clone();
        Ok(Granted { instance: id, subscription, metrics, interval_ms })
    }

    /// Whether a push is taken.
    ///
    /// # Errors
    /// Why it is not.
    pub fn push(
        &mut self,
        subscriptions: &Subscriptions,
        head: &PushHead,
        client: Client,
        bytes_max: usize,
        now_ms: i64,
    ) -> Result<(), TelemetryError> {
        let id = head.instance;
        if id == Uuid::ZERO || id == Uuid::ONE {
            return Err(TelemetryError::InvalidInstance);
        }
        let instance = touch(&mut self.all, &mut self.by_expiry, subscriptions, id, client, now_ms);
        let taken = check(instance, head, bytes_max, now_ms);
        instance.terminating = head.terminating;
        instance.last_error = taken.err();
        match taken {
            Err(TelemetryError::TooEarly) => self.throttled += 1,
            Err(TelemetryError::UnknownSubscription) => self.unknown_subscriptions += 1,
            _ => {}
        }
        taken
    }

    /// Instances that are known.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Requests that came too early, and pushes for what was not asked any more.
    pub const fn refused(&self) -> (u64, u64) {
        (self.throttled, self.unknown_subscriptions)
    }

    /// Forgets the instances that have been silent for too long; which they are.
    pub fn expire(&mut self, now_ms: i64) -> Vec<Uuid> {
        let mut gone = Vec::new();
        while let Some(&(at, id)) = self.by_expiry.first()
            && (at <= now_ms || self.all.len() > INSTANCES_MAX)
        {
            self.by_expiry.pop_first();
            self.all.remove(&Uuid(id));
            gone.push(Uuid(id));
        }
        gone
    }
}

fn check(
    instance: &mut Instance,
    head: &PushHead,
    bytes_max: usize,
    now_ms: i64,
) -> Result<(), TelemetryError> {
    if instance.terminating {
        return Err(TelemetryError::Terminated);
    }
    if !instance.may_push(now_ms) && !head.terminating {
        return Err(TelemetryError::TooEarly);
    }
    if head.subscription != instance.asked.id {
        return Err(TelemetryError::UnknownSubscription);
    }
    if !CODECS.contains(&head.compression) {
        return Err(TelemetryError::UnknownCompression);
    }
    if head.len > bytes_max {
        return Err(TelemetryError::TooLarge);
    }
    Ok(())
}

/// The instance of this id, with what it is asked for now.
fn touch<'a>(
    all: &'a mut HashMap<Uuid, Instance>,
    by_expiry: &mut BTreeSet<(i64, u128)>,
    subscriptions: &Subscriptions,
    id: Uuid,
    client: Client,
    now_ms: i64,
) -> &'a mut Instance {
    let fresh = |client: Client| Instance {
        asked: subscriptions.asked(id, &client),
        client,
        last_get_ms: 0,
        last_push_ms: 0,
        terminating: false,
        last_error: None,
        expires_ms: i64::MIN,
    };
    let client = Client { instance_id: id.to_string(), ..client };
    let instance = all.entry(id).or_insert_with(|| fresh(client));
    if instance.asked.version < subscriptions.version() {
        // It begins anew: it may ask and push at once.
        let client = std::mem::take(&mut instance.client);
        *instance = Instance { expires_ms: instance.expires_ms, ..fresh(client) };
    }
    by_expiry.remove(&(instance.expires_ms, id.0));
    let silence = EXPIRY_MS.max(i64::from(instance.asked.interval_ms) * 3);
    instance.expires_ms = now_ms.saturating_add(silence);
    by_expiry.insert((instance.expires_ms, id.0));
    instance
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::subscriptions::Subscription;

    const NEW: Uuid = Uuid(77);
    const BEGAN: i64 = 1_700_000_000_000;
    const BYTES_MAX: usize = 1000;

    struct World {
        subscriptions: Subscriptions,
        instances: Instances,
    }

    impl World {
        fn new() -> Self {
            let mut world =
                Self { subscriptions: Subscriptions::default(), instances: Instances::default() };
            world.subscribe("a.", 1000);
            world
        }

        fn subscribe(&mut self, metrics: &str, interval: i32) {
            let one = Subscription::read(Some(metrics), Some(interval), None).unwrap();
            self.subscriptions.replace(BTreeMap::from([("s".to_owned(), one)]));
        }

        fn get(&mut self, id: Uuid, at: i64) -> Result<Granted, TelemetryError> {
            self.instances.get(&self.subscriptions, id, Client::default(), NEW, BEGAN + at)
        }

        fn push(&mut self, head: PushHead, at: i64) -> Result<(), TelemetryError> {
            let client = Client::default();
            self.instances.push(&self.subscriptions, &head, client, BYTES_MAX, BEGAN + at)
        }
    }

    fn head(granted: &Granted) -> PushHead {
        PushHead {
            instance: granted.instance,
            subscription: granted.subscription,
            terminating: false,
            compression: 4,
            len: 10,
        }
    }

    #[test]
    fn a_client_asks_and_pushes_in_its_interval() {
        let mut world = World::new();
        let granted = world.get(Uuid::ZERO, 0).unwrap();
        assert_eq!((granted.instance, granted.interval_ms), (NEW, 1000));
        assert_eq!(granted.metrics, ["a."]);
        assert_eq!(world.push(head(&granted), 500), Ok(()), "the first may be early");
        assert_eq!(world.push(head(&granted), 1400), Err(TelemetryError::TooEarly));
        assert_eq!(world.push(head(&granted), 1500), Ok(()));
        assert_eq!(world.get(granted.instance, 1600), Err(TelemetryError::TooEarly));
        assert_eq!(world.instances.refused(), (2, 0));
    }

    #[test]
    fn what_is_wrong_with_a_push_is_told_in_kafkas_order() {
        let mut world = World::new();
        let granted = world.get(Uuid::ZERO, 0).unwrap();
        let good = head(&granted);
        let no_id = PushHead { instance: Uuid::ZERO, ..good };
        assert_eq!(world.push(no_id, 0), Err(TelemetryError::InvalidInstance));
        let all_wrong = PushHead { subscription: 1, compression: 9, len: 2000, ..good };
        assert_eq!(world.push(all_wrong, 1000), Err(TelemetryError::UnknownSubscription));
        let two_wrong = PushHead { compression: 9, len: 2000, ..good };
        assert_eq!(world.push(two_wrong, 2000), Err(TelemetryError::UnknownCompression));
        let large = PushHead { len: 1001, ..good };
        assert_eq!(world.push(large, 3000), Err(TelemetryError::TooLarge));
        assert_eq!(world.push(PushHead { terminating: true, ..good }, 3001), Ok(()));
        assert_eq!(world.push(good, 9000), Err(TelemetryError::Terminated));
    }

    #[test]
    fn a_change_of_subscriptions_is_learned_by_asking_again() {
        let mut world = World::new();
        let granted = world.get(Uuid::ZERO, 0).unwrap();
        world.push(head(&granted), 0).unwrap();
        world.subscribe("b.", 5000);
        let refused = world.push(head(&granted), 10);
        assert_eq!(refused, Err(TelemetryError::UnknownSubscription));
        let again = world.get(granted.instance, 20).unwrap();
        assert_eq!((again.metrics.as_slice(), again.interval_ms), (&["b.".to_owned()][..], 5000));
        assert_eq!(world.push(head(&again), 30), Ok(()));
    }

    #[test]
    fn instances_are_forgotten_when_silent_or_too_many() {
        let mut world = World::new();
        for n in 0..i64::try_from(INSTANCES_MAX).unwrap() + 5 {
            let id = Uuid(u128::from(n.unsigned_abs()) + 100);
            world.get(id, n).unwrap();
            world.instances.expire(BEGAN + n);
        }
        assert_eq!(world.instances.len(), INSTANCES_MAX);
        let late = BEGAN + 200_000;
        assert_eq!(world.instances.expire(late).len(), INSTANCES_MAX);
        assert!(world.instances.is_empty() && world.instances.by_expiry.is_empty());
    }
}
