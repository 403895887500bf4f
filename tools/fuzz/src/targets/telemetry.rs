//! What clients push as metrics (KIP-714), compressed by a codec, and the patterns by which
//! subscriptions choose clients.

use naru_model::Uuid;
use naru_records::{Compression, compress, inflate};
use naru_telemetry::{
    Client, Instances, PushHead, SERIES_PER_INSTANCE_MAX, SeriesStore, Subscription, Subscriptions,
    read_metrics,
};

use super::{Memory, Target, as_it_is, texts};
use crate::random::Random;

/// What a push may inflate to here.
const INFLATED_MAX: u64 = 64 << 10;
/// The codecs' own tables and windows (zstd: 8 MiB and more), and what 64 KiB can hold: 10,000
/// metrics of a name and a list each, and the series made of them.
const MEMORY: Memory = Memory { factor: 64, floor: 48 << 20 };

const NOW_MS: i64 = 1_700_000_000_000;

/// `telemetry-push` and `telemetry-match`.
pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "telemetry-push",
            about: "metrics that clients push, compressed or not",
            make: Box::new(push),
            repair: as_it_is,
            take: Box::new(take_push),
            memory: MEMORY,
        },
        texts(
            ("telemetry-match", "the client metrics' own configs: metrics and match"),
            // A regular expression is compiled to as much as its library allows.
            Memory { factor: 4096, floor: 64 << 20 },
            MATCHES,
            take_match,
        ),
    ]
}

/// A codec's number, then the message in that codec.
fn push(random: &mut Random) -> Vec<u8> {
    let number = random.byte() % 5;
    let mut all = Vec::new();
    for _ in 0..random.below(6) {
        let metric = metric(random);
        all.extend(field(2, &metric));
    }
    let message = field(1, &field(2, &all));
    let mut out = vec![number];
    let codec = Compression::from_number(number).expect("five codecs");
    compress(codec, None, &message, &mut out).expect("a small message");
    out
}

fn metric(random: &mut Random) -> Vec<u8> {
    const NAMES: [&str; 4] = ["org.apache.kafka.producer.record.send.total", "m", "", "naïve ☃"];
    let mut points = Vec::new();
    // Gauges and sums have their attributes elsewhere than histograms.
    let (shape, attributes) = random.pick(&[(5, 7), (7, 7), (9, 9)]);
    for _ in 0..random.below(4) {
        let mut point = Vec::new();
        for _ in 0..random.below(3) {
            let value = match random.below(4) {
                0 => field(1, b"text"),
                1 => vec![2 << 3, random.byte() & 1],
                2 => vec![3 << 3, random.byte() & 0x7f],
                _ => fixed(4, random.any()),
            };
            let key = random.pick(&["topic", "client_id", "__name", "9", ""]);
            point.extend(field(attributes, &[field(1, key.as_bytes()), field(2, &value)].concat()));
        }
        point.extend(fixed(random.pick(&[4, 5, 6]), random.any()));
        points.extend(field(1, &point));
    }
    let temporality = [2 << 3, random.byte() % 3];
    let data = [points, temporality.to_vec()].concat();
    [field(1, random.pick(&NAMES).as_bytes()), field(shape, &data)].concat()
}

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = body.len();
    while len >= 0x80 {
        out.push(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    out.push(len.to_le_bytes()[0]);
    out.extend_from_slice(body);
    out
}

fn fixed(number: u8, bits: u64) -> Vec<u8> {
    [vec![number << 3 | 1], bits.to_le_bytes().to_vec()].concat()
}

fn take_push(input: &[u8]) -> bool {
    let Some((number, payload)) = input.split_first() else { return false };
    let Some(codec) = Compression::from_number(*number) else { return false };
    let mut plain = Vec::new();
    if inflate(codec, payload, INFLATED_MAX, &mut plain).is_err() {
        return false;
    }
    assert!(plain.len() as u64 <= INFLATED_MAX, "no more than what is allowed");
    let Ok(metrics) = read_metrics(&plain) else { return false };
    let instance = Uuid(7);
    let mut store = SeriesStore::default();
    for _ in 0..2 {
        store.store(instance, "client\n7", metrics.clone());
        let series = store.families().values().map(Vec::len).sum::<usize>();
        assert!(series <= SERIES_PER_INSTANCE_MAX, "an instance has its limit");
        assert_eq!(store.counts().0, series, "what is counted is there");
    }
    for (name, series) in store.families() {
        let is_fit =
            |text: &str| text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        assert!(is_fit(&name), "a name that Prometheus takes: {name:?}");
        for one in series {
            let mut keys: Vec<&str> = one.labels.iter().map(|(key, _)| key.as_str()).collect();
            assert!(keys.iter().all(|key| is_fit(key)), "labels that Prometheus takes: {keys:?}");
            keys.sort_unstable();
            assert!(keys.windows(2).all(|two| two[0] != two[1]), "each label once: {keys:?}");
        }
    }
    store.forget(instance);
    assert_eq!(store.counts().0, 0, "nothing is left");
    !metrics.is_empty()
}

const MATCHES: &[&str] = &[
    "org.apache.kafka.producer.,*\nclient_software_name=apache-kafka-java,client_id=app-.*",
    "*\nclient_source_address=127\\.0\\.0\\.[0-9]+,client_source_port=(80|90){1,3}",
    "a,a,b\nclient_instance_id=[A-Za-z0-9_-]{22}",
    "\n",
];

fn take_match(text: &str) -> bool {
    let (metrics, matches) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(subscription) = Subscription::read(Some(metrics), Some(100), Some(matches)) else {
        return false;
    };
    let mut subscriptions = Subscriptions::default();
    subscriptions.replace([("one".to_owned(), subscription)].into());
    let mut instances = Instances::default();
    let client = || Client { client_id: Some("app-1".to_owned()), ..Client::default() };
    let granted = instances.get(&subscriptions, Uuid(0), client(), Uuid(9), NOW_MS);
    let granted = granted.expect("a client that asks for the first time is told");
    let head = PushHead {
        instance: granted.instance,
        subscription: granted.subscription,
        terminating: false,
        compression: 0,
        len: 10,
    };
    instances.push(&subscriptions, &head, client(), 1 << 20, NOW_MS + 1).is_ok()
}
