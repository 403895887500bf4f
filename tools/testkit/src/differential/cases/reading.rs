//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeLogDirs.

use naru_model::Uuid;
use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use naru_protocol::messages::describe_log_dirs_request::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::produce::produce;
use crate::differential::batch;
use crate::differential::session::Session;

fn filled(s: &mut Session, name: &str, batches: usize) -> Uuid {
    let id = s.topic(name, 2, &[]);
    for index in 0..batches {
        let time = batch::TIME + 10_000 * i64::try_from(index).expect("few batches");
        s.quiet(9, &produce(name, id, 0, batch::records(batch::at(time, 3))));
    }
    id
}

pub fn list_offsets(s: &mut Session) {
    filled(s, "listed", 3);
    let list = |topic: &str, partitions: &[(i32, i64, i32)]| {
        let partitions = partitions.iter().map(|(index, timestamp, epoch)| ListOffsetsPartition {
            partition_index: *index,
            current_leader_epoch: *epoch,
            timestamp: *timestamp,
        });
        let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: partitions.collect() };
        ListOffsetsRequest {
            replica_id: -1,
            isolation_level: 0,
            topics: vec![topic],
            timeout_ms: 1000,
        }
    };
    let inner = batch::TIME + 10_500;
    for version in 1..=11 {
        let times = [-1, -2, -3, -4, -5, -6, -7, 0, batch::TIME, inner, batch::TIME + 99_000];
        for time in times {
            s.ask(&format!("time {time}"), version, &list("listed", &[(0, time, -1)]));
        }
        s.ask("an empty partition", version, &list("listed", &[(1, -1, -1)]));
        s.ask("an empty partition by time", version, &list("listed", &[(1, 5, -1)]));
        s.ask("no such partition", version, &list("listed", &[(9, -1, -1)]));
        s.ask("no such topic", version, &list("nowhere", &[(0, -1, -1)]));
        let committed = ListOffsetsRequest { isolation_level: 1, ..list("listed", &[(0, -1, -1)]) };
        s.ask("read committed", version, &committed);
    }
    for version in [4, 7, 11] {
        s.ask("the leader's epoch", version, &list("listed", &[(0, -1, 0)]));
        s.ask("a later epoch", version, &list("listed", &[(0, -1, 3)]));
        s.ask("a later epoch by time", version, &list("listed", &[(0, 5, 3)]));
        s.ask("the empty partition's latest time", version, &list("listed", &[(1, -3, -1)]));
        s.ask("a partition twice", version, &list("listed", &[(0, -1, -1), (0, -2, -1)]));
        s.ask("a bad name", version, &list("a b", &[(0, -1, -1)]));
        s.ask("a negative partition", version, &list("listed", &[(-1, -1, -1)]));
        s.ask(
            "a debugger",
            version,
            &ListOffsetsRequest { replica_id: -2, ..list("listed", &[(0, -1, -1)]) },
        );
        s.ask(
            "a replica",
            version,
            &ListOffsetsRequest { replica_id: 5, ..list("listed", &[(0, -1, -1)]) },
        );
        s.ask("nothing", version, &ListOffsetsRequest { topics: Vec::new(), ..list("", &[]) });
    }
}

pub fn leader_epochs(s: &mut Session) {
    filled(s, "epochs", 1);
    let ask = |topic: &str, partition: i32, current: i32, epoch: i32| {
        let partition = OffsetForLeaderPartition {
            partition,
            current_leader_epoch: current,
            leader_epoch: epoch,
        };
        let topic = OffsetForLeaderTopic { topic: topic.to_owned(), partitions: vec![partition] };
        OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] }
    };
    for version in 2..=4 {
        s.ask("epoch zero", version, &ask("epochs", 0, -1, 0));
        s.ask("with the current one", version, &ask("epochs", 0, 0, 0));
        s.ask("a later current one", version, &ask("epochs", 0, 4, 0));
        s.ask("a later epoch", version, &ask("epochs", 0, -1, 4));
        s.ask("a negative epoch", version, &ask("epochs", 0, -1, -1));
        s.ask("minus two", version, &ask("epochs", 0, -1, -2));
        s.ask("an empty partition", version, &ask("epochs", 1, -1, 0));
        s.ask("no such partition", version, &ask("epochs", 9, -1, 0));
        s.ask("no such topic", version, &ask("nowhere", 0, -1, 0));
        let replica = OffsetForLeaderEpochRequest { replica_id: 3, ..ask("epochs", 0, -1, 0) };
        s.ask("a replica", version, &replica);
    }
}

pub fn delete_records(s: &mut Session) {
    filled(s, "shortened", 3);
    s.topic("kept", 1, &[("cleanup.policy", "compact")]);
    let ask = |topic: &str, partition: i32, offset: i64| {
        let partition = DeleteRecordsPartition { partition_index: partition, offset };
        let topic = DeleteRecordsTopic { name: topic.to_owned(), partitions: vec![partition] };
        DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5000 }
    };
    for version in 0..=2 {
        let to = 2 + i64::from(version);
        s.ask("good", version, &ask("shortened", 0, to));
        s.ask("again", version, &ask("shortened", 0, to));
        s.ask("back", version, &ask("shortened", 0, to - 1));
        s.ask("behind the end", version, &ask("shortened", 0, 99));
        s.ask("a strange offset", version, &ask("shortened", 0, -2));
        s.ask("no such partition", version, &ask("shortened", 9, 1));
        s.ask("no such topic", version, &ask("nowhere", 0, 1));
        s.ask("compacted", version, &ask("kept", 0, 0));
        s.ask("internal", version, &ask("__consumer_offsets", 0, 0));
    }
    s.ask("a bad name", 2, &ask("a b", 0, 1));
    s.ask("nothing", 2, &DeleteRecordsRequest { topics: Vec::new(), timeout_ms: 5000 });
    s.ask("all", 2, &ask("shortened", 0, -1));
    s.ask("all, again", 2, &ask("shortened", 0, 9));
    s.ask("an empty partition", 2, &ask("shortened", 1, -1));
}

pub fn log_dirs(s: &mut Session) {
    filled(s, "dirs", 2);
    let ask = |topics: &[(&str, &[i32])]| {
        let topic = |(name, partitions): &(&str, &[i32])| DescribableLogDirTopic {
            topic: (*name).to_owned(),
            partitions: partitions.to_vec(),
        };
        DescribeLogDirsRequest { topics: Some(topics.iter().map(topic).collect()) }
    };
    for version in 1..=5 {
        s.ask("a topic", version, &ask(&[("dirs", &[0, 1])]));
        s.ask("one partition", version, &ask(&[("dirs", &[0])]));
        s.ask("unknown ones", version, &ask(&[("dirs", &[9]), ("nowhere", &[0])]));
        s.ask("nothing", version, &ask(&[]));
        s.ask("a topic without partitions", version, &ask(&[("dirs", &[])]));
        s.ask("a partition twice", version, &ask(&[("dirs", &[0, 0]), ("dirs", &[1])]));
    }
}
