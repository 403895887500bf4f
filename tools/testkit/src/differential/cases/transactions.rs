//! The coordinator's side of transactions, and replicas that are to lie in another directory.

use naru_protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use naru_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use naru_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use naru_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use naru_protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use naru_protocol::messages::end_txn_request::EndTxnRequest;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use crate::differential::session::{Session, USUAL};

const TOPIC: &str = "in-transactions";
/// A version that asks for the producer id as it is now.
const INIT: i16 = 5;
/// How often a coordinator that is loading is asked.
const TRIES: usize = 80;

/// A producer that the coordinator knows.
#[derive(Debug, Clone)]
struct Producer {
    transactional_id: String,
    id: i64,
    epoch: i16,
}

impl Producer {
    fn new(s: &mut Session, transactional_id: &str) -> Self {
        let request = init(transactional_id, 60_000);
        let mut answer = s.quiet(INIT, &request);
        for _ in 0..TRIES {
            if answer.error_code == 0 {
                break;
            }
            s.sleep(100);
            answer = s.quiet(INIT, &request);
        }
        let transactional_id = transactional_id.to_owned();
        Self { transactional_id, id: answer.producer_id, epoch: answer.producer_epoch }
    }

    /// As a client asks.
    fn add(&self, topic: &str, partitions: &[i32]) -> AddPartitionsToTxnRequest {
        AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![added(topic, partitions)],
            ..AddPartitionsToTxnRequest::default()
        }
    }

    /// As a broker asks.
    fn add_for(&self, partitions: &[i32], verify_only: bool) -> AddPartitionsToTxnRequest {
        let one = AddPartitionsToTxnTransaction {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            verify_only,
            topics: vec![added(TOPIC, partitions)],
        };
        AddPartitionsToTxnRequest { transactions: vec![one], ..Default::default() }
    }

    fn add_group(&self, group: &str) -> AddOffsetsToTxnRequest {
        AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        }
    }

    fn commit_offset(&self, group: &str, topic: &str) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: 7,
            committed_leader_epoch: -1,
            committed_metadata: Some("of a transaction".to_owned()),
        };
        TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: topic.to_owned(),
                partitions: vec![partition],
            }],
            ..TxnOffsetCommitRequest::default()
        }
    }

    fn end(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        }
    }
}

fn init(transactional_id: &str, transaction_timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(transactional_id.to_owned()),
        transaction_timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    }
}

fn added(topic: &str, partitions: &[i32]) -> AddPartitionsToTxnTopic {
    AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: partitions.to_vec() }
}

pub fn run(s: &mut Session) {
    s.topic(TOPIC, 2, &[]);
    // Their topics are made by the first who asks.
    for key_type in [0, 1] {
        let keys = vec!["transacted".to_owned()];
        let find =
            FindCoordinatorRequest { key_type, coordinator_keys: keys, ..Default::default() };
        for _ in 0..TRIES {
            if s.quiet(4, &find).coordinators.iter().all(|one| one.error_code == 0) {
                break;
            }
            s.sleep(100);
        }
    }
    let known = Producer::new(s, "known");
    s.ask("a timeout of nothing", INIT, &init("known", 0));
    s.ask("a timeout of a year", INIT, &init("known", i32::MAX));
    s.ask("an empty id", INIT, &init("", 60_000));
    let nobody = Producer { transactional_id: "nobody".to_owned(), ..known.clone() };
    let other = Producer { id: known.id + 7_000, ..known.clone() };
    let old = Producer { epoch: known.epoch - 1, ..known.clone() };
    for version in 0..=3 {
        let producer = Producer::new(s, &format!("adds {version}"));
        s.ask("partitions", version, &producer.add(TOPIC, &[0, 1]));
        s.ask("partitions again", version, &producer.add(TOPIC, &[1]));
        s.ask("a partition that is not there", version, &producer.add(TOPIC, &[0, 9]));
        s.ask("a topic that is not there", version, &producer.add("nowhere", &[0]));
        for (who, producer) in [("nobody", &nobody), ("another", &other), ("a zombie", &old)] {
            s.ask(&format!("partitions of {who}"), version, &producer.add(TOPIC, &[0]));
        }
    }
    for version in 4..=5 {
        let producer = Producer::new(s, &format!("adds for {version}"));
        s.ask("verified before", version, &producer.add_for(&[0], true));
        s.ask("partitions by a broker", version, &producer.add_for(&[0], false));
        s.ask("verified", version, &producer.add_for(&[0], true));
        s.ask("verified and not", version, &producer.add_for(&[0, 1], true));
        s.ask("of nobody", version, &nobody.add_for(&[0], false));
        s.ask("of a zombie", version, &old.add_for(&[0], true));
    }
    for version in 0..=4 {
        let producer = Producer::new(s, &format!("adds offsets {version}"));
        s.ask("a group", version, &producer.add_group("transacted"));
        for (who, producer) in [("nobody", &nobody), ("another", &other), ("a zombie", &old)] {
            s.ask(&format!("a group of {who}"), version, &producer.add_group("transacted"));
        }
    }
    for version in 0..=5 {
        offsets_and_end(s, version, &nobody, &old);
    }
    s.settle();
    listed(s, &known);
}

fn offsets_and_end(s: &mut Session, version: i16, nobody: &Producer, old: &Producer) {
    let group = format!("transacted {version}");
    let producer = Producer::new(s, &format!("ends {version}"));
    // By the connection that asks for the end: see ADR 8.
    s.quiet_on(USUAL, 4, &producer.add_group(&group));
    s.ask("offsets", version, &producer.commit_offset(&group, TOPIC));
    s.ask("offsets of no topic", version, &producer.commit_offset(&group, "nowhere"));
    if version >= 3 {
        let member = TxnOffsetCommitRequest {
            generation_id: 5,
            member_id: "no member".to_owned(),
            ..producer.commit_offset(&group, TOPIC)
        };
        s.ask("offsets of no member", version, &member);
    }
    s.ask("end", version, &producer.end(version % 2 == 0));
    s.ask("the end of nobody", version, &nobody.end(true));
    s.ask("the end of a zombie", version, &old.end(true));
}

fn listed(s: &mut Session, known: &Producer) {
    let all = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    s.ask_each("all", 0..=2, &all);
    let states = vec!["Ongoing".to_owned(), "Running".to_owned()];
    s.ask_each(
        "some states",
        0..=2,
        &ListTransactionsRequest { state_filters: states, ..all.clone() },
    );
    let one = ListTransactionsRequest { producer_id_filters: vec![known.id], ..all.clone() };
    s.ask_each("one producer", 0..=2, &one);
    for pattern in ["ends .*", "[", ""] {
        let transactional_id_pattern = Some(pattern.to_owned());
        let like = ListTransactionsRequest { transactional_id_pattern, ..all.clone() };
        s.ask(&format!("like {pattern}"), 2, &like);
    }
    let describe = |ids: &[&str]| DescribeTransactionsRequest {
        transactional_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    s.ask("one", 0, &describe(&["known"]));
    s.ask("nobody", 0, &describe(&["nobody"]));
    s.ask("no name", 0, &describe(&[""]));
}

pub fn directories(s: &mut Session) {
    s.topic("lies", 1, &[]);
    let known = s.quiet(4, &DescribeLogDirsRequest::default());
    let here = known.results.first().map(|dir| dir.log_dir.clone()).unwrap_or_default();
    let to = |path: &str, name: &str, partition: i32| AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir {
            path: path.to_owned(),
            topics: vec![AlterReplicaLogDirTopic {
                name: name.to_owned(),
                partitions: vec![partition],
            }],
        }],
    };
    s.ask_each("where it lies", 1..=2, &to(&here, "lies", 0));
    s.ask_each("to no directory", 1..=2, &to("/nowhere", "lies", 0));
    s.ask_each("to a relative path", 1..=2, &to("nowhere", "lies", 0));
    s.ask_each("no such partition", 1..=2, &to(&here, "lies", 8));
    s.ask_each("no such topic", 1..=2, &to(&here, "lies not", 0));
}
