//! Produce, Fetch, ListOffsets, DeleteRecords, OffsetForLeaderEpoch, InitProducerId.

use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use naru_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};

use super::batch::{Batch, TIMESTAMP};
use super::pair::{Pair, Side};

pub(super) fn compare(pair: &mut Pair<'_>) {
    produce(pair);
    fetch(pair);
    list_offsets(pair);
    delete_records(pair);
    leader_epochs(pair);
    producer_ids(pair);
}

fn produce(pair: &mut Pair<'_>) {
    let to = |side: &Side, topic: &str, index: i32, batch: Batch| ProduceRequest {
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            topic_id: side.id(topic),
            partition_data: vec![PartitionProduceData { index, records: batch.records() }],
        }],
        ..Default::default()
    };
    let batch = Batch::default();
    pair.good("a batch", |side, _| to(side, "diff", 0, batch));
    pair.good("records to delete", |side, _| to(side, "diff-delete", 0, batch));
    pair.bad("an unknown topic", |side, _| to(side, "diff-none", 0, batch));
    pair.bad("an unknown partition", |side, _| to(side, "diff", 9, batch));
    pair.bad("a wrong CRC", |side, _| to(side, "diff", 0, Batch { good_crc: false, ..batch }));
    let large = Batch { count: 9, value_len: 60, ..batch };
    pair.bad("a batch over the topic's limit", |side, _| to(side, "diff-small", 0, large));
    let keyless = Batch { with_key: false, ..batch };
    pair.bad("no key for a compacted topic", |side, _| to(side, "diff-compact", 0, keyless));
    pair.bad("acks=7", |side, _| ProduceRequest { acks: 7, ..to(side, "diff", 0, batch) });
}

fn fetch(pair: &mut Pair<'_>) {
    let from = |side: &Side, topic: &str, partition: i32, offset: i64, epoch: i32| FetchRequest {
        max_wait_ms: 100,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            topic_id: side.id(topic),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                current_leader_epoch: epoch,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    pair.good("from the start", |side, _| from(side, "diff", 0, 0, -1));
    pair.good("inside a batch", |side, _| from(side, "diff", 0, 4, 0));
    pair.good("an empty partition", |side, _| from(side, "diff", 1, 0, -1));
    let tiny = |side: &Side| {
        let mut request = from(side, "diff", 0, 0, -1);
        request.max_bytes = 1;
        request.topics[0].partitions[0].partition_max_bytes = 1;
        request
    };
    pair.good("a first batch larger than the limit", |side, _| tiny(side));
    pair.good("a new session", |side, _| FetchRequest {
        session_epoch: 0,
        ..from(side, "diff", 0, 0, -1)
    });
    pair.bad("an offset out of range", |side, _| from(side, "diff", 0, 9999, -1));
    pair.bad("an unknown topic", |side, _| from(side, "diff-none", 0, 0, -1));
    pair.bad("an unknown partition", |side, _| from(side, "diff", 9, 0, -1));
    pair.bad("a leader epoch to come", |side, _| from(side, "diff", 0, 0, 50));
    pair.bad("a session that nobody opened", |side, _| FetchRequest {
        session_id: 4711,
        session_epoch: 3,
        ..from(side, "diff", 0, 0, -1)
    });
}

fn list_offsets(pair: &mut Pair<'_>) {
    let at = |topic: &str, partition_index: i32, timestamp: i64| ListOffsetsRequest {
        replica_id: -1,
        timeout_ms: 5000,
        topics: vec![ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                timestamp,
                current_leader_epoch: -1,
            }],
        }],
        ..Default::default()
    };
    pair.good("the earliest", |_, _| at("diff", 0, -2));
    pair.good("the latest", |_, _| at("diff", 0, -1));
    pair.good("by time", |_, _| at("diff", 0, TIMESTAMP + 1));
    pair.good("after the last time", |_, _| at("diff", 0, TIMESTAMP * 2));
    // Below the version that brought it, a special time must be refused.
    for (name, special) in [
        ("the largest time", -3),
        ("the earliest local", -4),
        ("the latest tiered", -5),
        ("the earliest to upload", -6),
        ("no such special time", -9),
    ] {
        pair.bad(name, |_, _| at("diff", 0, special));
    }
    pair.bad("an unknown topic", |_, _| at("diff-none", 0, -1));
    pair.bad("an unknown partition", |_, _| at("diff", 9, -1));
    pair.bad("a partition twice", |_, _| {
        let mut request = at("diff", 0, -1);
        let again = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(again);
        request
    });
}

fn delete_records(pair: &mut Pair<'_>) {
    let up_to = |topic: &str, partition_index: i32, offset: i64| DeleteRecordsRequest {
        timeout_ms: 5000,
        topics: vec![DeleteRecordsTopic {
            name: topic.to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index, offset }],
        }],
    };
    pair.good("up to an offset", |_, version| up_to("diff-delete", 0, i64::from(version) + 1));
    pair.bad("beyond the end", |_, _| up_to("diff-delete", 0, 9999));
    pair.bad("an unknown topic", |_, _| up_to("diff-none", 0, 1));
    pair.bad("a compacted topic", |_, _| up_to("diff-compact", 0, 1));
}

fn leader_epochs(pair: &mut Pair<'_>) {
    let of =
        |topic: &str, current_leader_epoch: i32, leader_epoch: i32| OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: topic.to_owned(),
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch,
                    leader_epoch,
                }],
            }],
        };
    pair.good("the current epoch", |_, _| of("diff", -1, 0));
    pair.good("an epoch to come", |_, _| of("diff", -1, 9));
    pair.bad("a leader epoch to come", |_, _| of("diff", 9, 0));
    pair.bad("an unknown topic", |_, _| of("diff-none", -1, 0));
}

fn producer_ids(pair: &mut Pair<'_>) {
    let new = || InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..Default::default() };
    // The first id makes the broker fetch a block of them, which it does while the client retries.
    for side in pair.sides() {
        side.wait_for(&new(), |answer| answer.error_code == 0);
    }
    pair.good("a new producer", |_, _| new());
    pair.bad("an empty transactional id", |_, _| InitProducerIdRequest {
        transactional_id: Some(String::new()),
        ..new()
    });
}
