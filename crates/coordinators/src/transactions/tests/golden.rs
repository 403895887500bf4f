//! Records of `__transaction_state` as Apache Kafka 4.3.1 wrote them, for one producer that
//! committed two transactions.

use std::collections::BTreeSet;

use bytes::Bytes;
use naru_model::{ProducerId, Timestamp, TopicPartition};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;

use super::bench::*;
use crate::Shard as _;
use crate::transactions::{Identity, Participants, TransactionVersion, TxnCommand, TxnReply};

const KEY: &str = "00000003747831";
/// Empty, then Ongoing, PrepareCommit and CompleteCommit twice.
const VALUES: [&str; 7] = [
    "0001000000000000000500000000ea600000000001a1fe660348ffffffffffffffff0100080000000000000005",
    "0001000000000000000500000000ea600102046d6978020000000000000001a1fe66039e000001a1fe66039e02000\
     8000000000000000502020002",
    "0001000000000000000500010000ea600202046d6978020000000000000001a1fe6603be000001a1fe66039e02000\
     8000000000000000502020002",
    "0001000000000000000500010000ea600401000001a1fe6603c0000001a1fe66039e0200080000000000000005020\
     20002",
    "0001000000000000000500010000ea600102046d6978020000000000000001a1fe6603ff000001a1fe6603ff02000\
     8000000000000000502020002",
    "0001000000000000000500020000ea600202046d6978020000000000000001a1fe66040c000001a1fe6603ff02000\
     8000000000000000502020002",
    "0001000000000000000500020000ea600401000001a1fe66040c000001a1fe6603ff0200080000000000000005020\
     20002",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().collect();
    let byte =
        |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("hex"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

#[test]
fn the_same_life_is_written_as_kafka_wrote_it() {
    let wanted: Vec<Vec<u8>> = VALUES.iter().map(|value| bytes(value)).collect();
    let times = [
        0x01a1_fe66_0348_i64,
        0x01a1_fe66_039e,
        0x01a1_fe66_03be,
        0x01a1_fe66_03c0,
        0x01a1_fe66_03ff,
        0x01a1_fe66_040c,
        0x01a1_fe66_040c,
    ]
    .map(Timestamp);
    let id = || "tx1".to_owned();
    let version = TransactionVersion::V2;
    let mut bench = Bench::new();
    let mut step = |at: usize, command: TxnCommand| {
        bench.now = times[at];
        let reply = bench.ask(command);
        if at == 2 || at == 5 {
            bench.now = times[at + 1];
            bench.write_markers();
        }
        reply
    };
    let request = InitProducerIdRequest {
        transactional_id: Some(id()),
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let spare = Some(ProducerId(5));
    let reply = step(0, TxnCommand::InitProducerId { request, spare });
    let TxnReply::Initialised(mut producer) = reply else { panic!("{reply:?}") };
    for at in [1, 4] {
        let partitions = BTreeSet::from([TopicPartition::new("mix", 0)]);
        let participants = Participants { transactional_id: id(), producer, partitions };
        step(at, TxnCommand::AddPartitions { participants, version, via: None });
        let end = TxnCommand::EndTxn {
            transactional_id: id(),
            producer,
            commit: true,
            version,
            via: None,
            spare: None,
        };
        let reply = step(at + 1, end);
        let TxnReply::Ended(next) = reply else { panic!("{reply:?}") };
        producer = next;
    }
    assert_eq!(producer, Identity { id: ProducerId(5), epoch: 2.into() });
    assert!(bench.log.iter().all(|record| record.key == bytes(KEY)));
    let written: Vec<Vec<u8>> =
        bench.log.iter().filter_map(|record| record.value.clone()).collect();
    assert_eq!(written, wanted);
}

#[test]
fn kafkas_records_are_read_and_a_reload_goes_on_from_them() {
    let mut bench = Bench::new();
    for value in VALUES {
        let (key, value) = (Bytes::from(bytes(KEY)), Bytes::from(bytes(value)));
        bench.shard.replay(None, &key, Some(&value)).unwrap();
    }
    let (id, state) = bench.shard.transactions().next().expect("tx1");
    assert_eq!((id, state.name()), ("tx1", "CompleteCommit"));
}

#[test]
fn records_of_other_types_are_skipped_and_damaged_ones_refused() {
    let mut bench = Bench::new();
    let key = Bytes::from_static(&[0, 1, 0, 1, b'x']);
    assert_eq!(bench.shard.replay(None, &key, None), Ok(crate::Replayed::Skipped));
    assert_eq!(bench.shard.skipped_records(), 1);
    let key = Bytes::from(bytes(KEY));
    for value in ["", "0002", "0001ff", &VALUES[1][..60], &VALUES[0].replace("ea6000", "ea6009")] {
        let value = Bytes::from(bytes(value));
        assert!(bench.shard.replay(None, &key, Some(&value)).is_err(), "{value:?}");
    }
}
