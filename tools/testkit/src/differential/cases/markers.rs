//! The partition's side of transactions: transactional batches, markers, what readers of committed
//! records are told, and DescribeProducers.

use naru_model::{ProducerEpoch, ProducerId, Sequence, Uuid};
use naru_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use naru_records::{BatchOptions, ProducerStamp};

use super::produce::produce;
use crate::differential::batch;
use crate::differential::session::Session;

const TOPIC: &str = "marked";
/// A version that names topics and only verifies.
const VERIFYING: i16 = 9;

/// A producer of this scenario's own making: no coordinator knows of it, and no broker asks, since
/// both are told not to verify (`transaction.partition.verification.enable`).
#[derive(Debug, Clone, Copy)]
struct Producer {
    id: i64,
    epoch: i16,
}

impl Producer {
    fn batch(self, sequence: i32, count: usize) -> Vec<u8> {
        let producer = Some(ProducerStamp {
            id: ProducerId(self.id),
            epoch: ProducerEpoch(self.epoch),
            base_sequence: Sequence(sequence),
        });
        let options = BatchOptions { producer, transactional: true, ..BatchOptions::default() };
        batch::build(batch::TIME, count, options)
    }

    fn marker(self, commit: bool, coordinator_epoch: i32, partitions: &[i32]) -> WritableTxnMarker {
        WritableTxnMarker {
            producer_id: self.id,
            producer_epoch: self.epoch,
            transaction_result: commit,
            topics: vec![marked(TOPIC, partitions)],
            coordinator_epoch,
            ..WritableTxnMarker::default()
        }
    }
}

fn marked(topic: &str, partitions: &[i32]) -> WritableTxnMarkerTopic {
    WritableTxnMarkerTopic { name: topic.to_owned(), partition_indexes: partitions.to_vec() }
}

fn write(marker: WritableTxnMarker) -> WriteTxnMarkersRequest {
    WriteTxnMarkersRequest { markers: vec![marker] }
}

fn transactional(
    id: Uuid,
    transactional_id: &str,
    partition: i32,
    batch: Vec<u8>,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: Some(transactional_id.to_owned()),
        ..produce(TOPIC, id, partition, batch::records(batch))
    }
}

fn fetch(id: Uuid, offset: i64, isolation_level: i8) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: if partition == 0 { offset } else { 0 },
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: 0,
        session_epoch: -1,
        isolation_level,
        topics: vec![FetchTopic {
            topic: TOPIC.to_owned(),
            topic_id: id,
            partitions: vec![partition(0), partition(1)],
        }],
        ..FetchRequest::default()
    }
}

fn list(timestamp: i64, isolation_level: i8) -> ListOffsetsRequest {
    let partition = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp,
        current_leader_epoch: -1,
    };
    let partitions = vec![partition(0), partition(1)];
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions }],
        ..ListOffsetsRequest::default()
    }
}

fn producers(topic: &str, partitions: &[i32]) -> DescribeProducersRequest {
    let name = topic.to_owned();
    DescribeProducersRequest {
        topics: vec![TopicRequest { name, partition_indexes: partitions.to_vec() }],
    }
}

/// Everything that a reader can be told.
fn look(s: &mut Session, id: Uuid, when: &str) {
    for offset in [0, 2, 4] {
        for version in [4, 7, 12, 13, 18] {
            s.ask(&format!("committed from {offset} {when}"), version, &fetch(id, offset, 1));
        }
        s.ask(&format!("all from {offset} {when}"), 12, &fetch(id, offset, 0));
    }
    for version in [2, 7, 11] {
        for (timestamp, what) in [(-1, "latest"), (-2, "earliest"), (batch::TIME, "by time")] {
            s.ask(&format!("{what} committed {when}"), version, &list(timestamp, 1));
            s.ask(&format!("{what} {when}"), version, &list(timestamp, 0));
        }
    }
    s.ask(&format!("producers {when}"), 0, &producers(TOPIC, &[0, 1]));
}

pub fn run(s: &mut Session) {
    let id = s.topic(TOPIC, 2, &[]);
    let mut one = Producer { id: 90_001, epoch: 1 };
    let two = Producer { id: 90_002, epoch: 1 };
    look(s, id, "before all");
    let put = |s: &mut Session, label: &str, request: &ProduceRequest| {
        s.ask(label, VERIFYING, request);
    };
    put(s, "plain", &produce(TOPIC, id, 0, batch::records(batch::plain(1))));
    put(s, "first", &transactional(id, "marks one", 0, one.batch(0, 2)));
    put(s, "in another partition", &transactional(id, "marks one", 1, one.batch(0, 1)));
    put(s, "of another", &transactional(id, "marks two", 0, two.batch(0, 1)));
    put(s, "next", &transactional(id, "marks one", 0, one.batch(2, 1)));
    put(s, "repeated", &transactional(id, "marks one", 0, one.batch(2, 1)));
    put(s, "a gap", &transactional(id, "marks one", 0, one.batch(9, 1)));
    let outside = batch::stamped(one.id, one.epoch, 3, 1);
    put(s, "outside of its transaction", &produce(TOPIC, id, 0, batch::records(outside)));
    // Markers have the broker's time.
    s.ask("greatest time committed", 7, &list(-3, 1));
    s.ask("greatest time", 7, &list(-3, 0));
    // Which of the two is meant shows from here on.
    s.ask("the producer of one partition", 0, &producers(TOPIC, &[1]));
    look(s, id, "with two open");
    refusals(s, id, one, two);

    for version in [1, 2] {
        let nowhere = WritableTxnMarker {
            topics: vec![marked("nowhere", &[0]), marked(TOPIC, &[9])],
            ..one.marker(true, 5, &[])
        };
        s.ask("a marker for what is not there", version, &write(nowhere));
        s.ask("no markers", version, &WriteTxnMarkersRequest::default());
        let old = Producer { epoch: one.epoch - 1, ..one };
        s.ask("a marker of an old epoch", version, &write(old.marker(true, 5, &[0])));
    }
    let strict = WritableTxnMarker { transaction_version: 2, ..one.marker(false, 5, &[0]) };
    s.ask("a marker of the same epoch with version 2", 2, &write(strict.clone()));
    s.ask("abort", 1, &write(one.marker(false, 5, &[0, 1])));
    look(s, id, "after an abort");
    s.ask("the same marker with version 2", 2, &write(strict));
    s.ask("a marker of an old coordinator", 1, &write(one.marker(false, 4, &[0])));
    s.ask("a marker again", 1, &write(one.marker(false, 5, &[0])));
    put(s, "plain", &produce(TOPIC, id, 0, batch::records(batch::plain(1))));
    s.ask("commit", 2, &write(two.marker(true, 7, &[0])));
    look(s, id, "after a commit");

    one.epoch += 1;
    let next = WritableTxnMarker { transaction_version: 2, ..one.marker(true, 6, &[1]) };
    s.ask("a marker of the next epoch", 2, &write(next));
    let old = Producer { epoch: one.epoch - 1, ..one };
    let zombie = batch::stamped(old.id, old.epoch, 1, 1);
    put(s, "of an old epoch", &produce(TOPIC, id, 1, batch::records(zombie)));
    s.ask("producers at the end", 0, &producers(TOPIC, &[0, 1]));
    s.ask("producers of what is not there", 0, &producers("nowhere", &[0]));
    s.ask("producers of no such partition", 0, &producers(TOPIC, &[7]));
    s.ask("producers of a bad name", 0, &producers("a b", &[0]));
    let several = WriteTxnMarkersRequest {
        markers: vec![one.marker(true, 6, &[0]), two.marker(false, 7, &[0, 1])],
    };
    s.ask("markers of two producers", 1, &several);
    look(s, id, "at the end");
}

/// Transactional batches that are refused whole.
fn refusals(s: &mut Session, id: Uuid, one: Producer, two: Producer) {
    for version in [3, VERIFYING, 11] {
        let nobody = produce(TOPIC, id, 0, batch::records(one.batch(3, 1)));
        s.ask("without a transactional id", version, &nobody);
        let mut mixed = transactional(id, "marks one", 0, one.batch(3, 1));
        let other = PartitionProduceData { index: 1, records: batch::records(two.batch(1, 1)) };
        mixed.topic_data[0].partition_data.push(other);
        s.ask("of two producers", version, &mixed);
        let mut nowhere = transactional(id, "marks one", 9, one.batch(3, 1));
        nowhere.topic_data[0].name = "nowhere".to_owned();
        s.ask("to no topic", version, &nowhere);
        let missing = transactional(id, "marks one", 9, one.batch(3, 1));
        s.ask("to no partition", version, &missing);
    }
}
