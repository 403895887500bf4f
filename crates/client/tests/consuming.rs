//! The consumer against a broker that fails in known ways.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::time::Duration;

use fake::{Asked, FakeBroker, Reply};
use naru_client::admin::OffsetSpec;
use naru_client::{Consumer, ConsumerConfig, Error, OffsetReset, TopicPartition};
use naru_model::{ErrorCode, Offset, Timestamp};
use naru_protocol::Records;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::fetch_request::FetchRequest;
use naru_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::list_offsets_request::ListOffsetsRequest;
use naru_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use naru_records::{BatchBuilder, BatchOptions};

/// A log of `count` records in batches of `each`, values being their offsets.
fn log(count: i64, each: i64) -> Vec<Vec<u8>> {
    (0..count / each)
        .map(|batch| {
            let mut builder = BatchBuilder::new();
            for offset in batch * each..(batch + 1) * each {
                builder.append_plain(Timestamp(1), None, Some(offset.to_string().as_bytes()));
            }
            let base_offset = Offset(batch * each);
            builder.build(&BatchOptions { base_offset, ..Default::default() }).unwrap()
        })
        .collect()
}

fn fetched(asked: &Asked, code: ErrorCode, records: Vec<u8>, high_watermark: i64) -> Reply {
    let request: FetchRequest = asked.read();
    let partition = PartitionData {
        partition_index: 0,
        error_code: code.code(),
        high_watermark,
        preferred_read_replica: -1,
        records: Records::Inline(records.into()),
        ..Default::default()
    };
    let topic = FetchableTopicResponse {
        topic: request.topics[0].topic.clone(),
        topic_id: request.topics[0].topic_id,
        partitions: vec![partition],
    };
    asked.answer(&FetchResponse { responses: vec![topic], ..Default::default() })
}

fn wanted_offset(asked: &Asked) -> i64 {
    asked.read::<FetchRequest>().topics[0].partitions[0].fetch_offset
}

fn listed(asked: &Asked, earliest: i64, latest: i64) -> Reply {
    let request: ListOffsetsRequest = asked.read();
    let asked_for = request.topics[0].partitions[0].timestamp;
    let partition = ListOffsetsPartitionResponse {
        partition_index: 0,
        timestamp: -1,
        offset: if asked_for == -2 { earliest } else { latest },
        ..Default::default()
    };
    let topic = ListOffsetsTopicResponse { name: "t".to_owned(), partitions: vec![partition] };
    asked.answer(&ListOffsetsResponse { topics: vec![topic], ..Default::default() })
}

/// A broker with a log that answers two batches at a time, the second cut short.
async fn broker_with(count: i64, each: i64) -> FakeBroker {
    let batches = log(count, each);
    FakeBroker::start(move |asked| match asked.api {
        ApiKey::Fetch => {
            let at = usize::try_from(wanted_offset(asked) / each).unwrap();
            let mut records = batches.get(at).cloned().unwrap_or_default();
            if let Some(next) = batches.get(at + 1) {
                records.extend_from_slice(&next[..next.len() / 2]);
            }
            fetched(asked, ErrorCode::None, records, count)
        }
        ApiKey::ListOffsets => listed(asked, 0, count),
        _ => Reply::Usual,
    })
    .await
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

#[tokio::test]
async fn records_come_in_order_and_once_however_often_the_wait_is_given_up() {
    let broker = broker_with(300, 3).await;
    let mut consumer = Consumer::new(broker.client(), ConsumerConfig::default());
    consumer.assign([partition()]);
    consumer.seek_to(&partition(), OffsetSpec::Earliest).unwrap();
    let mut next = 0;
    while next < 300 {
        // Given up at every possible moment: the future is dropped and made anew.
        let wait = Duration::from_micros(u64::try_from(next % 7).unwrap() * 50);
        let Ok(batch) = tokio::time::timeout(wait, consumer.next_batch()).await else {
            tokio::task::yield_now().await;
            continue;
        };
        for record in batch.unwrap().records {
            assert_eq!(record.offset, next);
            assert_eq!(record.value.unwrap(), next.to_string().as_bytes());
            next += 1;
        }
        assert_eq!(consumer.position(&partition()), Some(next));
    }
}

#[tokio::test]
async fn a_seek_into_a_batch_begins_with_that_record() {
    let broker = broker_with(9, 3).await;
    let mut consumer = Consumer::new(broker.client(), ConsumerConfig::default());
    consumer.assign([partition()]);
    consumer.seek(&partition(), 4).unwrap();
    let batch = consumer.next_batch().await.unwrap();
    let offsets: Vec<i64> = batch.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [4, 5]);
    assert_eq!(consumer.high_watermark(&partition()), Some(9));
}

#[tokio::test]
async fn a_position_outside_of_the_log_is_reset_as_configured() {
    for (reset, expect) in [(OffsetReset::Earliest, Some(0)), (OffsetReset::None, None)] {
        let batches = log(3, 3);
        let broker = FakeBroker::start(move |asked| match asked.api {
            ApiKey::Fetch if wanted_offset(asked) == 99 => {
                fetched(asked, ErrorCode::OffsetOutOfRange, Vec::new(), 3)
            }
            ApiKey::Fetch => fetched(asked, ErrorCode::None, batches[0].clone(), 3),
            ApiKey::ListOffsets => listed(asked, 0, 3),
            _ => Reply::Usual,
        })
        .await;
        let config = ConsumerConfig { offset_reset: reset, ..ConsumerConfig::default() };
        let mut consumer = Consumer::new(broker.client(), config);
        consumer.assign([partition()]);
        consumer.seek(&partition(), 99).unwrap();
        let outcome = consumer.next_batch().await;
        match expect {
            Some(first) => assert_eq!(outcome.unwrap().records[0].offset, first),
            None => assert!(matches!(outcome, Err(Error::NoOffset { .. }))),
        }
    }
}

#[tokio::test]
async fn a_moved_leader_is_looked_up_and_reading_goes_on() {
    let batches = log(3, 3);
    let mut moved = false;
    let broker = FakeBroker::start(move |asked| match asked.api {
        ApiKey::Fetch if !moved => {
            moved = true;
            fetched(asked, ErrorCode::NotLeaderOrFollower, Vec::new(), -1)
        }
        ApiKey::Fetch => fetched(asked, ErrorCode::None, batches[0].clone(), 3),
        _ => Reply::Usual,
    })
    .await;
    let mut consumer = Consumer::new(broker.client(), ConsumerConfig::default());
    consumer.assign([partition()]);
    consumer.seek(&partition(), 0).unwrap();
    assert_eq!(consumer.next_batch().await.unwrap().records.len(), 3);
    assert!(broker.count(ApiKey::Metadata) >= 2);
}

#[tokio::test]
async fn a_rotten_batch_is_an_error_that_names_the_partition() {
    let mut rotten = log(3, 3).remove(0);
    *rotten.last_mut().unwrap() ^= 1;
    let broker = FakeBroker::start(move |asked| match asked.api {
        ApiKey::Fetch => fetched(asked, ErrorCode::None, rotten.clone(), 3),
        _ => Reply::Usual,
    })
    .await;
    let mut consumer = Consumer::new(broker.client(), ConsumerConfig::default());
    consumer.assign([partition()]);
    consumer.seek(&partition(), 0).unwrap();
    let error = consumer.next_batch().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CorruptMessage);
    assert!(error.to_string().contains("t-0"), "{error}");
}

#[tokio::test]
async fn a_member_that_is_not_allowed_to_join_is_told_so_every_time() {
    let broker = FakeBroker::start(|asked| match asked.api {
        ApiKey::JoinGroup => asked.answer(&JoinGroupResponse {
            error_code: ErrorCode::GroupAuthorizationFailed.code(),
            protocol_name: Some(String::new()),
            ..Default::default()
        }),
        _ => Reply::Usual,
    })
    .await;
    let config = ConsumerConfig { group_id: Some("g".to_owned()), ..ConsumerConfig::default() };
    let mut consumer = Consumer::new(broker.client(), config);
    consumer.subscribe(["t"]).unwrap();
    for _ in 0..2 {
        let error = consumer.next_batch().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::GroupAuthorizationFailed);
    }
}

#[tokio::test]
async fn subscribing_without_a_group_is_refused() {
    let broker = FakeBroker::start(|_| Reply::Usual).await;
    let mut consumer = Consumer::new(broker.client(), ConsumerConfig::default());
    assert!(matches!(consumer.subscribe(["t"]), Err(Error::Config { .. })));
}
