//! Records that Apache Kafka 4.3.1 wrote, byte for byte.

use bytes::Bytes;
use naru_model::Timestamp;
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::{Reader, Wire};

use crate::Shard as _;
use crate::records::Fact;

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}

fn check(key: &str, value: &str) -> Fact {
    let (key, value) = (bytes(key), bytes(value));
    let fact = Fact::from_bytes(&key, Some(&value)).expect("Kafka's record");
    let record = fact.to_record(Timestamp(0)).expect("a known record");
    assert_eq!(Bytes::from(record.key), key);
    assert_eq!(Bytes::from(record.value.expect("a value")), value);
    fact
}

#[test]
fn an_offset_commit_reads_and_writes_as_kafkas() {
    let fact = check(
        "00010006672d6a6176610002743100000000",
        "000400000000000000030000000001000001a1fe47c2ab0100106e0c8837371847c59bd0ce897b71\
         72d1",
    );
    let Fact::Offset { group, topic, partition, value: Some(value) } = fact else {
        panic!("an offset: {fact:?}");
    };
    assert_eq!((&*group, topic.as_str(), partition), ("g-java", "t1", 0));
    assert_eq!((value.offset, value.leader_epoch), (3, 0));
    assert_eq!(value.topic_id.to_string(), "bgyINzcYR8Wb0M6Je3Fy0Q");
    assert_eq!(value.expire_timestamp, None);
}

#[test]
fn a_generation_reads_and_writes_as_kafkas() {
    let fact = check(
        "00020006672d6a617661",
        "00030008636f6e73756d657200000001000572616e676500287374312d38323737643233322d3535\
         65382d343337312d626634332d303737376532383166346632000001a1fe47c20000000001002873\
         74312d38323737643233322d353565382d343337312d626634332d30373737653238316634663200\
         037374310010636f6e736f6c652d636f6e73756d6572000a2f3132372e302e302e31000493e00000\
         afc80000001800030000000100027431ffffffff00000000ffffffffffff00000016000300000001\
         000274310000000100000000ffffffff",
    );
    let Fact::Group { group, value: Some(value) } = fact else {
        panic!("a group: {fact:?}");
    };
    assert_eq!(
        (&*group, value.generation, value.protocol.as_deref()),
        ("g-java", 1, Some("range"))
    );
    let member = &value.members[0];
    assert_eq!(member.group_instance_id.as_deref(), Some("st1"));
    assert_eq!(member.client_host, "/127.0.0.1");
    let mut reader = Reader::new(&member.subscription);
    assert_eq!(reader.i16(), Ok(3));
    let subscription = ConsumerProtocolSubscription::read(&mut reader, 3).expect("a subscription");
    assert_eq!(subscription.topics, ["t1"]);
}

#[test]
fn empty_groups_read_and_write_as_kafkas() {
    check("00020005672d64796e", "0003000000000000ffffffff000001a1fe47c72d00000000");
    check("00020005672d64796e", "00030008636f6e73756d657200000002ffffffff000001a1fe47c99a00000000");
}

#[test]
fn a_record_of_a_newer_type_is_skipped_and_counted() {
    let mut shard = crate::GroupShard::new(crate::GroupConfig::default());
    let key = bytes("00630001610000");
    assert_eq!(shard.replay(None, &key, None), Ok(crate::Replayed::Skipped));
    assert_eq!(shard.skipped_records(), 1);
}

#[test]
fn a_damaged_record_is_an_error_and_not_a_panic() {
    let mut shard = crate::GroupShard::new(crate::GroupConfig::default());
    for (key, value) in [("", ""), ("0001", ""), ("00020001", "0003"), ("0002000161", "00630000")] {
        assert!(shard.replay(None, &bytes(key), Some(&bytes(value))).is_err(), "{key} {value}");
    }
}

#[test]
fn a_share_groups_records_read_and_write_as_kafkas() {
    check(
        "000a00186a636d77723872356d352d73686172652d686f6c6473313400166d4b515a52583866524b657973\
         34546b42755a443441",
        "000000047831340b2f3132372e302e302e31020f6a636d77723872356d352d74313500",
    );
    check(
        "000b00176a636d77723872356d352d73686172652d686f6c647331",
        "000000000002ee2fbc27418e0fbf00",
    );
    check(
        "000c00176a636d77723872356d352d73686172652d686f6c647331",
        "000000000002010008000001a2012bad5f",
    );
    let target = check(
        "000d00176a636d77723872356d352d73686172652d686f6c64733300164356324f2d3444445139577142453648\
         6f6b59343667",
        "00000201f2bdaa5dd647b5aed02526029de25302000000000000",
    );
    let Fact::Share { group, .. } = &target else { panic!("a share group: {target:?}") };
    assert_eq!(&**group, "jcmwr8r5m5-share-holds3");
    check(
        "000e00176a636d77723872356d352d73686172652d686f6c64733300164356324f2d3444445139577142453648\
         6f6b59343667",
        "00000000000300000002000201f2bdaa5dd647b5aed02526029de25302000000000000",
    );
    check(
        "000f00186a636d77723872356d352d73686172652d686f6c64733134",
        "0000025034f383c13045a195eb5fe1dbbf668b0f6a636d77723872356d352d743135020000000000010100",
    );
}
