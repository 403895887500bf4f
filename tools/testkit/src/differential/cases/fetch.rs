//! Fetch, with and without sessions.

use naru_model::Uuid;
use naru_protocol::messages::fetch_request::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic,
};

use super::produce::produce;
use crate::differential::batch;
use crate::differential::session::Session;

pub fn part(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

pub fn fetch(topics: &[(&str, Uuid, Vec<FetchPartition>)]) -> FetchRequest {
    let topic = |(name, id, partitions): &(&str, Uuid, Vec<FetchPartition>)| FetchTopic {
        topic: (*name).to_owned(),
        topic_id: *id,
        partitions: partitions.clone(),
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: 0,
        session_epoch: -1,
        topics: topics.iter().map(topic).collect(),
        ..FetchRequest::default()
    }
}

/// A topic of two partitions; the first holds four batches of 1, 2, 3 and 4 records.
fn filled(s: &mut Session, name: &str) -> Uuid {
    let id = s.topic(name, 2, &[]);
    for count in 1..=4 {
        s.quiet(9, &produce(name, id, 0, batch::records(batch::plain(count))));
    }
    id
}

pub fn run(s: &mut Session) {
    let id = filled(s, "fetched");
    let unknown = Uuid(0x77);
    for version in 4..=18 {
        let from = |offset: i64| fetch(&[("fetched", id, vec![part(0, offset)])]);
        s.ask("from the start", version, &from(0));
        s.ask("from the middle of a batch", version, &from(2));
        s.ask("from the end", version, &from(10));
        s.ask("behind the end", version, &from(11));
        s.ask("a negative offset", version, &from(-1));
        s.ask("no such partition", version, &fetch(&[("fetched", id, vec![part(7, 0)])]));
        s.ask("no such topic", version, &fetch(&[("nowhere", unknown, vec![part(0, 0)])]));
        let mixed = fetch(&[
            ("fetched", id, vec![part(0, 3), part(1, 0)]),
            ("nowhere", unknown, vec![part(0, 0)]),
        ]);
        s.ask("some good and some bad", version, &mixed);
        s.ask("nothing", version, &fetch(&[]));
        let committed = FetchRequest { isolation_level: 1, ..from(0) };
        s.ask("read committed", version, &committed);
    }
    for version in [9, 11, 12, 18] {
        let with = |change: &dyn Fn(&mut FetchPartition)| {
            let mut wanted = part(0, 1);
            change(&mut wanted);
            fetch(&[("fetched", id, vec![wanted])])
        };
        s.ask("the leader's epoch", version, &with(&|p| p.current_leader_epoch = 0));
        s.ask("a later epoch", version, &with(&|p| p.current_leader_epoch = 5));
        s.ask("a strange epoch", version, &with(&|p| p.current_leader_epoch = -7));
        s.ask("a fetched epoch", version, &with(&|p| p.last_fetched_epoch = 0));
        s.ask("a later fetched epoch", version, &with(&|p| p.last_fetched_epoch = 3));
        s.ask("one byte", version, &with(&|p| p.partition_max_bytes = 1));
        s.ask("no byte", version, &with(&|p| p.partition_max_bytes = 0));
        s.ask("minus one byte", version, &with(&|p| p.partition_max_bytes = -1));
        s.ask("two batches' worth", version, &with(&|p| p.partition_max_bytes = 180));
        let whole = |max_bytes: i32| FetchRequest { max_bytes, ..with(&|_| {}) };
        s.ask("a response of one byte", version, &whole(1));
        s.ask("a response of no byte", version, &whole(0));
        s.ask("a response of 180 bytes", version, &whole(180));
        let twice = fetch(&[("fetched", id, vec![part(0, 1), part(0, 3)])]);
        s.ask("a partition twice", version, &twice);
        let limited = FetchRequest {
            max_bytes: 100,
            ..fetch(&[("fetched", id, vec![part(1, 0), part(0, 0), part(0, 6)])])
        };
        s.ask("the limit over partitions", version, &limited);
        s.ask(
            "an isolation level of seven",
            version,
            &FetchRequest { isolation_level: 7, ..whole(900) },
        );
        s.ask(
            "a cluster id",
            version,
            &FetchRequest { cluster_id: Some("x".into()), ..whole(900) },
        );
        s.ask("a rack", version, &FetchRequest { rack_id: "r1".into(), ..whole(900) });
    }
    let waiting = FetchRequest { max_wait_ms: 300, ..fetch(&[("fetched", id, vec![part(1, 0)])]) };
    s.ask("a wait in vain", 12, &waiting);
    let more = FetchRequest {
        max_wait_ms: 300,
        min_bytes: 100_000,
        ..fetch(&[("fetched", id, vec![part(0, 0)])])
    };
    s.ask("a wait for more than there is", 12, &more);
}

pub fn sessions(s: &mut Session) {
    let id = filled(s, "sessions");
    let unknown = Uuid(0x77);
    for version in [7, 12, 13, 18] {
        let open = |topics: &[(&str, Uuid, Vec<FetchPartition>)]| FetchRequest {
            session_epoch: 0,
            ..fetch(topics)
        };
        let whole = [("sessions", id, vec![part(0, 0), part(1, 0)])];
        let session = s.ask("open", version, &open(&whole)).session_id;
        let next = |epoch: i32, topics: &[(&str, Uuid, Vec<FetchPartition>)]| FetchRequest {
            session_id: session,
            session_epoch: epoch,
            ..fetch(topics)
        };
        s.ask("nothing changed", version, &next(1, &[]));
        let moved = [("sessions", id, vec![part(0, 10)])];
        s.ask("moved to the end", version, &next(2, &moved));
        s.ask("nothing new", version, &next(3, &[]));
        s.quiet(9, &produce("sessions", id, 1, batch::records(batch::plain(1))));
        s.ask("something new", version, &next(4, &[]));
        s.ask("a wrong epoch", version, &next(9, &[]));
        s.ask("the epoch before", version, &next(4, &[]));
        s.ask("after errors", version, &next(5, &[]));
        s.ask("out of range", version, &next(6, &[("sessions", id, vec![part(0, 99)])]));
        s.ask("still out of range", version, &next(7, &[]));
        let stranger = [("nowhere", unknown, vec![part(0, 0)])];
        s.ask("an unknown topic joins", version, &next(8, &stranger));
        s.ask("an unknown topic stays", version, &next(9, &[]));
        let mut forget = next(10, &[]);
        forget.forgotten_topics_data = vec![ForgottenTopic {
            topic: "sessions".to_owned(),
            topic_id: id,
            partitions: vec![0],
        }];
        s.ask("forget one", version, &forget);
        s.ask("after it", version, &next(11, &[]));
        let close = FetchRequest { session_id: session, session_epoch: -1, ..fetch(&moved) };
        s.ask("close", version, &close);
        s.ask("a closed one", version, &next(12, &[]));
        let strange = FetchRequest { session_id: 12_345, session_epoch: 1, ..fetch(&[]) };
        s.ask("an unknown one", version, &strange);
        let odd = FetchRequest { session_id: 0, session_epoch: 5, ..fetch(&whole) };
        s.ask("no id but an epoch", version, &odd);
        s.ask("open with nothing", version, &open(&[]));
    }
}
