//! Produce and InitProducerId.

use std::time::Duration;

use naru_model::Uuid;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use naru_protocol::{Records, Request};
use naru_records::{BatchOptions, Compression};

use crate::differential::batch;
use crate::differential::session::Session;

/// From this version on topics go by id.
const BY_ID: i16 = 13;

pub fn produce(topic: &str, id: Uuid, partition: i32, records: Records) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records };
    let topic =
        TopicProduceData { name: topic.to_owned(), topic_id: id, partition_data: vec![data] };
    ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 10_000, topic_data: vec![topic] }
}

pub fn run(s: &mut Session) {
    let id = s.topic("produced", 2, &[]);
    let small = s.topic("small", 1, &[("max.message.bytes", "500")]);
    let good = |batch: Vec<u8>| produce("produced", id, 0, batch::records(batch));
    for version in 3..=BY_ID {
        s.ask("good", version, &good(batch::plain(2)));
        s.ask("acks one", version, &ProduceRequest { acks: 1, ..good(batch::plain(1)) });
        s.ask("acks two", version, &ProduceRequest { acks: 2, ..good(batch::plain(1)) });
        s.ask("a wrong checksum", version, &good(batch::corrupt(batch::plain(1))));
        s.ask(
            "no such partition",
            version,
            &produce("produced", id, 9, batch::records(batch::plain(1))),
        );
        let nowhere = produce("nowhere", Uuid(5), 0, batch::records(batch::plain(1)));
        s.ask("no such topic", version, &nowhere);
        let large = produce("small", small, 0, batch::records(batch::large(600)));
        s.ask("too large", version, &large);
    }
    let bad_time = (1i64 << 62).to_be_bytes();
    let cases: Vec<(&str, Records)> = vec![
        ("no records field", Records::Null),
        ("no records", batch::records(Vec::new())),
        ("two batches", batch::records([batch::plain(1), batch::plain(2)].concat())),
        ("a tombstone without key", batch::records(batch::keyless(true))),
        ("no key", batch::records(batch::keyless(false))),
        ("magic one", batch::records(batch::patched(batch::plain(1), 16, &[1]))),
        ("magic zero", batch::records(batch::patched(batch::plain(1), 16, &[0]))),
        ("magic three", batch::records(batch::patched(batch::plain(1), 16, &[3]))),
        ("a cut batch", batch::records(batch::plain(3)[..70].to_vec())),
        ("half a header", batch::records(batch::plain(3)[..30].to_vec())),
        ("a length too large", batch::records(batch::patched(batch::plain(1), 8, &[0, 0, 9, 0]))),
        ("a length too small", batch::records(batch::patched(batch::plain(1), 8, &[0, 0, 0, 9]))),
        ("a count too large", batch::records(batch::patched(batch::plain(2), 57, &[0, 0, 0, 9]))),
        ("a count too small", batch::records(batch::patched(batch::plain(2), 57, &[0, 0, 0, 1]))),
        ("a negative count", batch::records(batch::patched(batch::plain(2), 57, &[0xff; 4]))),
        ("a wrong last delta", batch::records(batch::patched(batch::plain(2), 23, &[0, 0, 0, 9]))),
        ("a base offset", batch::records(batch::patched(batch::plain(2), 0, &7i64.to_be_bytes()))),
        ("an unknown codec", batch::records(batch::patched(batch::plain(1), 21, &[0, 7]))),
        ("gzip that is none", batch::records(batch::patched(batch::plain(1), 21, &[0, 1]))),
        ("zstd that is none", batch::records(batch::patched(batch::plain(1), 21, &[0, 4]))),
        ("a control batch", batch::records(batch::patched(batch::plain(1), 21, &[0, 0x20]))),
        ("a transactional batch", batch::records(batch::patched(batch::plain(1), 21, &[0, 0x10]))),
        ("a wrong maximal time", batch::records(batch::patched(batch::plain(1), 35, &bad_time))),
        ("times in the future", batch::records(batch::at(4_000_000_000_000, 2))),
        ("negative times", batch::records(batch::at(-1, 1))),
        (
            "garbage",
            batch::records(
                b"this is not a record batch, not even nearly so; it goes on for a while".to_vec(),
            ),
        ),
    ];
    for (label, records) in cases {
        s.ask(label, 9, &produce("produced", id, 1, records));
    }
    // What Apache Kafka takes and Naru does not comes last, in a topic of its own.
    let odd = s.topic("odd", 1, &[]);
    let stamped = batch::patched(batch::plain(1), 21, &[0, 8]);
    s.ask("append time by the client", 9, &produce("odd", odd, 0, batch::records(stamped)));
    let behind = batch::records([batch::plain(1), vec![1, 2, 3]].concat());
    s.ask("bytes behind the batch", 9, &produce("odd", odd, 0, behind));
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        let batch = batch::build(batch::TIME, 20, options);
        for version in [3, 7, 12] {
            s.ask(&format!("{compression:?}"), version, &good(batch.clone()));
        }
    }
    by_time(s);
    shapes(s, id);
}

/// Requests whose shape is strange while their batches are fine.
fn shapes(s: &mut Session, id: Uuid) {
    let transacted = s.topic("transacted", 1, &[]);
    let part =
        |index: i32| PartitionProduceData { index, records: batch::records(batch::plain(1)) };
    let topic = |name: &str, id: Uuid, partition_data: Vec<PartitionProduceData>| {
        TopicProduceData { name: name.to_owned(), topic_id: id, partition_data }
    };
    let ask = |topic_data: Vec<TopicProduceData>| ProduceRequest {
        topic_data,
        ..produce("", Uuid::ZERO, 0, Records::Null)
    };
    let cases = [
        ("nothing", ask(Vec::new())),
        ("a topic without partitions", ask(vec![topic("produced", id, Vec::new())])),
        (
            "good and bad",
            ask(vec![
                topic("produced", id, vec![part(0), part(9)]),
                topic("nowhere", Uuid(5), vec![part(0)]),
            ]),
        ),
        ("a bad name", ask(vec![topic("a b", Uuid::ZERO, vec![part(0)])])),
        ("a negative partition", ask(vec![topic("produced", id, vec![part(-1)])])),
        (
            "a transactional id",
            ProduceRequest {
                transactional_id: Some("t".to_owned()),
                ..ask(vec![topic("transacted", transacted, vec![part(0)])])
            },
        ),
        (
            "no time",
            ProduceRequest { timeout_ms: 0, ..ask(vec![topic("produced", id, vec![part(0)])]) },
        ),
        (
            "negative time",
            ProduceRequest { timeout_ms: -1, ..ask(vec![topic("produced", id, vec![part(0)])]) },
        ),
    ];
    for (label, request) in &cases {
        for version in [3, 12, BY_ID] {
            s.ask(label, version, request);
        }
    }
    let wait = Duration::from_millis(300);
    let silent = ProduceRequest { acks: 0, ..ask(vec![topic("produced", id, vec![part(0)])]) };
    unanswered(s, "acks zero", &silent, wait);
    let failing = ProduceRequest { acks: 0, ..ask(vec![topic("produced", id, vec![part(9)])]) };
    unanswered(s, "acks zero and a failure", &failing, wait);
}

fn unanswered<R: Request>(s: &mut Session, label: &str, request: &R, wait: Duration) {
    for version in [3, 12] {
        s.send("zero", version, request);
        s.expect_none::<R>("zero", label, wait);
    }
}

fn by_time(s: &mut Session) {
    let create = s.topic(
        "create-time",
        1,
        &[
            ("message.timestamp.before.max.ms", "3600000"),
            ("message.timestamp.after.max.ms", "3600000"),
        ],
    );
    let append = s.topic("append-time", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let compacted = s.topic("compacted", 1, &[("cleanup.policy", "compact")]);
    for version in [3, 8, 12] {
        let old = produce("create-time", create, 0, batch::records(batch::plain(2)));
        s.ask("too old", version, &old);
        let future = batch::records(batch::at(4_000_000_000_000, 1));
        s.ask("too new", version, &produce("create-time", create, 0, future));
        let stamped = produce("append-time", append, 0, batch::records(batch::plain(2)));
        s.ask("append time", version, &stamped);
        let keyless = produce("compacted", compacted, 0, batch::records(batch::keyless(false)));
        s.ask("compacted without a key", version, &keyless);
        let keyed = produce("compacted", compacted, 0, batch::records(batch::plain(1)));
        s.ask("compacted with a key", version, &keyed);
    }
}

pub fn idempotence(s: &mut Session) {
    let init = |transactional_id: Option<&str>, producer_id: i64, producer_epoch: i16| {
        InitProducerIdRequest {
            transactional_id: transactional_id.map(str::to_owned),
            transaction_timeout_ms: 60_000,
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        }
    };
    // Apache Kafka has no block of ids yet when it is asked first.
    for _ in 0..50 {
        if s.quiet(4, &init(None, -1, -1)).error_code == 0 {
            break;
        }
        s.sleep(50);
    }
    for version in 0..=5 {
        s.ask("a new producer", version, &init(None, -1, -1));
    }
    for version in 3..=5 {
        s.ask("a known producer", version, &init(None, 3, 0));
        s.ask("an id without epoch", version, &init(None, 3, -1));
        s.ask("an epoch without id", version, &init(None, -1, 3));
        s.ask("a negative id", version, &init(None, -5, 0));
    }
    for version in 0..=5 {
        s.ask("an empty transactional id", version, &init(Some(""), -1, -1));
    }
    let id = s.topic("idempotent", 1, &[]);
    let producer = s.quiet(4, &init(None, -1, -1)).producer_id;
    let with = |batch: Vec<u8>| produce("idempotent", id, 0, batch::records(batch));
    for version in [3, 7, 12] {
        let mut step = |label: &str, epoch: i16, sequence: i32, count: usize| {
            s.ask(label, version, &with(batch::stamped(producer, epoch, sequence, count)));
        };
        let epoch = version;
        step("a first batch that is not at zero, of a new epoch", epoch, 5, 1);
        step("first", epoch, 0, 2);
        step("next", epoch, 2, 3);
        step("duplicate of the last", epoch, 2, 3);
        step("duplicate of the first", epoch, 0, 2);
        step("half a duplicate", epoch, 2, 1);
        step("a gap", epoch, 9, 1);
        step("an old epoch", epoch - 1, 5, 1);
        for sequence in 5..10 {
            step("more", epoch, sequence, 1);
        }
        step("a duplicate of long ago", epoch, 0, 2);
        step("a sequence of long ago", epoch, 1, 3);
        step("no sequence", epoch, -1, 1);
    }
    let unknown = with(batch::stamped(999_999, 0, 7, 1));
    s.ask("an unknown producer in the middle", 9, &unknown);
    let two = [batch::stamped(producer, 20, 0, 1), batch::stamped(producer, 20, 1, 1)].concat();
    s.ask("two batches of a producer", 9, &with(two));
    s.ask("an id without epoch", 9, &with(batch::stamped(producer, -1, 0, 1)));
    let last = batch::stamped(producer, 21, 0, 1);
    s.ask("epoch twenty-one", 9, &with(last));
    s.ask("the sequence wraps: gap", 9, &with(batch::stamped(producer, 21, i32::MAX, 2)));
}
