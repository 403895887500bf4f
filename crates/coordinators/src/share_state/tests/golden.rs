//! Records of `__share_group_state` that Apache Kafka 4.3.1 wrote, byte for byte.

use bytes::Bytes;
use naru_model::Timestamp;

use super::super::facts::ShareStateFact;

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}

fn check(key: &str, value: &str) -> ShareStateFact {
    let (key, value) = (bytes(key), bytes(value));
    let read = ShareStateFact::from_bytes(&key, Some(&value)).expect("Kafka's record");
    let (of, fact) = read.expect("a known record");
    assert_eq!(of.to_string(), "jcmwr8r5m5-share-holds1:yf4UqnqSRdCouqYFzQOFUA:0");
    let record = fact.to_record(&of, Timestamp(0));
    assert_eq!(Bytes::from(record.key), key);
    assert_eq!(Bytes::from(record.value.expect("a value")), value);
    fact
}

#[test]
fn a_snapshot_reads_and_writes_as_kafkas() {
    let fact = check(
        "000000176a636d77723872356d352d73686172652d686f6c647331c9fe14aa7a9245d0a8baa605cd038550\
         00000000",
        "0000000000000000000200000000ffffffffffffffff000001a2012bba92000001a2012bba920100",
    );
    let ShareStateFact::Snapshot(snapshot) = fact else { panic!("a snapshot: {fact:?}") };
    assert_eq!((snapshot.state_epoch, snapshot.start_offset), (2, -1));
    assert_eq!((snapshot.delivery_complete_count, snapshot.batches.len()), (-1, 0));
}

#[test]
fn an_update_reads_and_writes_as_kafkas() {
    let fact = check(
        "000100176a636d77723872356d352d73686172652d686f6c647331c9fe14aa7a9245d0a8baa605cd038550\
         00000000",
        "0000000000000000000000000000000000000200000000000000000000000000000000000001000100\
         0400000000",
    );
    let ShareStateFact::Update(update) = fact else { panic!("an update: {fact:?}") };
    assert_eq!((update.start_offset, update.delivery_complete_count), (0, 0));
    let batch = update.batches[0];
    assert_eq!((batch.first_offset, batch.last_offset), (0, 0));
    assert_eq!((batch.delivery_state, batch.delivery_count), (0, 1));
}
