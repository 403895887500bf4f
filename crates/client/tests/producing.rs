//! The producer against a broker that fails in known ways.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake::{Asked, FakeBroker, Reply};
use naru_client::{Acks, Error, Producer, ProducerConfig, ProducerRecord};
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::produce_request::ProduceRequest;
use naru_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use naru_records::{BatchHeader, read_records};

/// The batches a broker was sent: base sequence and values.
type Seen = Arc<Mutex<Vec<(i32, Vec<String>)>>>;

fn note(asked: &Asked, seen: &Seen) -> usize {
    let request: ProduceRequest = asked.read();
    let records = request.topic_data[0].partition_data[0].records.inline();
    let header = BatchHeader::parse(&records).unwrap();
    let values = read_records(&records, 1 << 20)
        .unwrap()
        .map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap())
        .collect();
    let mut seen = seen.lock().unwrap();
    seen.push((header.base_sequence.0, values));
    seen.len()
}

fn produced(asked: &Asked, code: ErrorCode, base_offset: i64) -> Reply {
    let partition = PartitionProduceResponse {
        index: 0,
        error_code: code.code(),
        base_offset,
        log_append_time_ms: -1,
        ..Default::default()
    };
    let topic = TopicProduceResponse {
        name: "t".to_owned(),
        partition_responses: vec![partition],
        ..Default::default()
    };
    asked.answer(&ProduceResponse { responses: vec![topic], ..Default::default() })
}

fn config() -> ProducerConfig {
    ProducerConfig {
        linger: Duration::ZERO,
        delivery_timeout: Duration::from_secs(3),
        max_block: Duration::from_secs(1),
        ..ProducerConfig::default()
    }
}

/// A broker that answers the n-th produce request with the n-th code, then with success.
async fn scripted(codes: &'static [ErrorCode], seen: &Seen) -> FakeBroker {
    let seen = Arc::clone(seen);
    FakeBroker::start(move |asked| match asked.api {
        ApiKey::Produce => {
            let count = note(asked, &seen);
            let code = codes.get(count - 1).copied().unwrap_or(ErrorCode::None);
            let offset = if code.is_ok() { 40 } else { -1 };
            produced(asked, code, offset)
        }
        _ => Reply::Usual,
    })
    .await
}

#[tokio::test]
async fn a_delivery_knows_partition_and_offset() {
    let seen = Seen::default();
    let broker = scripted(&[], &seen).await;
    let slow = ProducerConfig { linger: Duration::from_millis(20), ..config() };
    let producer = Producer::new(broker.client(), slow).unwrap();
    let first = producer.enqueue(ProducerRecord::to("t").value("a")).await.unwrap();
    let second = producer.enqueue(ProducerRecord::to("t").value("b")).await.unwrap();
    assert_eq!(first.await.unwrap().offset, Some(40));
    let delivered = second.await.unwrap();
    assert_eq!((delivered.partition.partition, delivered.offset), (0, Some(41)));
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(*seen.lock().unwrap(), [(0, both)]);
    producer.close().await.unwrap();
}

#[tokio::test]
async fn what_may_succeed_is_sent_again_with_the_same_sequence() {
    for code in [ErrorCode::NotLeaderOrFollower, ErrorCode::RequestTimedOut] {
        let seen = Seen::default();
        let codes: &'static [ErrorCode] = Box::leak(vec![code, code].into_boxed_slice());
        let broker = scripted(codes, &seen).await;
        let producer = Producer::new(broker.client(), config()).unwrap();
        producer.send(ProducerRecord::to("t").value("a")).await.unwrap();
        let sequences: Vec<i32> = seen.lock().unwrap().iter().map(|(s, _)| *s).collect();
        assert_eq!(sequences, [0, 0, 0], "{code}");
    }
}

#[tokio::test]
async fn a_duplicate_is_a_success_whose_offset_is_forgotten() {
    let seen = Seen::default();
    let broker = scripted(&[ErrorCode::DuplicateSequenceNumber], &seen).await;
    let producer = Producer::new(broker.client(), config()).unwrap();
    let delivered = producer.send(ProducerRecord::to("t").value("a")).await.unwrap();
    assert_eq!(delivered.offset, None);
}

#[tokio::test]
async fn what_cannot_succeed_fails_at_once_and_the_next_record_gets_a_new_identity() {
    let seen = Seen::default();
    let broker = scripted(&[ErrorCode::MessageTooLarge], &seen).await;
    let producer = Producer::new(broker.client(), config()).unwrap();
    let error = producer.send(ProducerRecord::to("t").value("a")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::MessageTooLarge);
    producer.send(ProducerRecord::to("t").value("b")).await.unwrap();
    assert_eq!(broker.count(ApiKey::InitProducerId), 2);
    let sequences: Vec<i32> = seen.lock().unwrap().iter().map(|(s, _)| *s).collect();
    assert_eq!(sequences, [0, 0]);
}

#[tokio::test]
async fn records_keep_their_order_when_a_batch_in_the_middle_fails() {
    let seen = Seen::default();
    let placed: Arc<Mutex<Vec<i32>>> = Arc::default();
    let (noted, log) = (Arc::clone(&seen), Arc::clone(&placed));
    // A broker of Kafka's rules: refuses what is not next in sequence, and fails the third once.
    let broker = FakeBroker::start(move |asked| {
        if asked.api != ApiKey::Produce {
            return Reply::Usual;
        }
        let count = note(asked, &noted);
        let (sequence, values) = noted.lock().unwrap()[count - 1].clone();
        let mut log = log.lock().unwrap();
        let next = i32::try_from(log.len()).unwrap();
        if count == 3 {
            return produced(asked, ErrorCode::NotLeaderOrFollower, -1);
        }
        if sequence != next {
            return produced(asked, ErrorCode::OutOfOrderSequenceNumber, -1);
        }
        log.extend(values.iter().map(|value| value.parse::<i32>().unwrap()));
        produced(asked, ErrorCode::None, i64::from(next))
    })
    .await;
    let one_each = ProducerConfig { batch_size: 1, ..config() };
    let producer = Producer::new(broker.client(), one_each).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..20 {
        let record = ProducerRecord::to("t").value(number.to_string());
        deliveries.push(producer.enqueue(record).await.unwrap());
    }
    for (delivery, number) in deliveries.into_iter().zip(0..) {
        assert_eq!(delivery.await.unwrap().offset, Some(number));
    }
    assert_eq!(*placed.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_too_large_is_refused_before_it_is_sent() {
    let broker = FakeBroker::start(|_| Reply::Usual).await;
    let small = ProducerConfig { max_request_size: 100, ..config() };
    let producer = Producer::new(broker.client(), small).unwrap();
    let record = ProducerRecord::to("t").value(vec![0; 200]);
    assert!(matches!(producer.send(record).await, Err(Error::RecordTooLarge { .. })));
}

#[tokio::test]
async fn a_full_buffer_is_back_pressure_and_then_an_error() {
    let broker = FakeBroker::start(|asked| match asked.api {
        ApiKey::Produce => Reply::Silence,
        _ => Reply::Usual,
    })
    .await;
    let tight =
        ProducerConfig { buffer_memory: 200, max_block: Duration::from_millis(50), ..config() };
    let producer = Producer::new(broker.client(), tight).unwrap();
    let record = || ProducerRecord::to("t").value(vec![0; 100]);
    let first = producer.enqueue(record()).await.unwrap();
    assert!(matches!(producer.enqueue(record()).await, Err(Error::BufferFull)));
    drop(first);
}

#[tokio::test]
async fn acks_0_waits_for_nobody() {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let broker = FakeBroker::start(move |asked| match asked.api {
        ApiKey::Produce => {
            note(asked, &noted);
            Reply::Silence
        }
        _ => Reply::Usual,
    })
    .await;
    let config = ProducerConfig { acks: Acks::None, ..config() };
    let producer = Producer::new(broker.client(), config).unwrap();
    let delivered = producer.send(ProducerRecord::to("t").value("a")).await.unwrap();
    assert_eq!(delivered.offset, None);
    assert_eq!(broker.count(ApiKey::InitProducerId), 0);
}

#[tokio::test]
async fn a_closed_producer_refuses_records() {
    let seen = Seen::default();
    let broker = scripted(&[], &seen).await;
    let producer = Producer::new(broker.client(), config()).unwrap();
    let other = producer.clone();
    producer.close().await.unwrap();
    let error = other.send(ProducerRecord::to("t").value("a")).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
}
