//! Share groups at the leader of a partition (KIP-932): sessions, records acquired, acknowledged,
//! given back, rejected, held longer. The state is begun by hand, as a group coordinator does it.

use naru_model::Uuid;
use naru_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use naru_protocol::messages::initialize_share_group_state_request as initialize;
use naru_protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_request as read;
use naru_protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use naru_protocol::messages::share_acknowledge_request as acknowledge;
use naru_protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use naru_protocol::messages::share_fetch_request as fetch;
use naru_protocol::messages::share_fetch_request::ShareFetchRequest;

use super::produce::produce;
use crate::differential::batch;
use crate::differential::session::Session;

const GROUP: &str = "share-fetch";
/// Members' ids look like ids.
const ANNA: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const BERT: &str = "BBBBBBBBBBBBBBBBBBBBBA";
/// Fetches nothing; without any member a group's partitions are forgotten at some time.
const CARL: &str = "CCCCCCCCCCCCCCCCCCCCCA";

/// First and last offset, and what is said of them.
type Ack<'a> = (i64, i64, &'a [i8]);
/// A partition and what is acknowledged of it.
type Part<'a> = (Uuid, i32, &'a [Ack<'a>]);

fn fetch(member: &str, epoch: i32, parts: &[Part<'_>]) -> ShareFetchRequest {
    let topics = parts.iter().map(|(topic_id, partition_index, acks)| {
        let batches = acks.iter().map(|(first, last, types)| fetch::AcknowledgementBatch {
            first_offset: *first,
            last_offset: *last,
            acknowledge_types: types.to_vec(),
        });
        let partition = fetch::FetchPartition {
            partition_index: *partition_index,
            acknowledgement_batches: batches.collect(),
        };
        fetch::FetchTopic { topic_id: *topic_id, partitions: vec![partition] }
    });
    ShareFetchRequest {
        group_id: Some(GROUP.to_owned()),
        member_id: Some(member.to_owned()),
        share_session_epoch: epoch,
        max_wait_ms: 1500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        max_records: 500,
        batch_size: 500,
        topics: topics.collect(),
        ..Default::default()
    }
}

fn acknowledge(member: &str, epoch: i32, parts: &[Part<'_>]) -> ShareAcknowledgeRequest {
    let topics = parts.iter().map(|(topic_id, partition_index, acks)| {
        let batches = acks.iter().map(|(first, last, types)| acknowledge::AcknowledgementBatch {
            first_offset: *first,
            last_offset: *last,
            acknowledge_types: types.to_vec(),
        });
        let partition = acknowledge::AcknowledgePartition {
            partition_index: *partition_index,
            acknowledgement_batches: batches.collect(),
        };
        acknowledge::AcknowledgeTopic { topic_id: *topic_id, partitions: vec![partition] }
    });
    ShareAcknowledgeRequest {
        group_id: Some(GROUP.to_owned()),
        member_id: Some(member.to_owned()),
        share_session_epoch: epoch,
        topics: topics.collect(),
        ..Default::default()
    }
}

/// Begins the group's state of partitions; waits until that is possible.
fn begin(s: &mut Session, topic_id: Uuid, partitions: i32) {
    let partitions = (0..partitions).map(|partition| initialize::PartitionData {
        partition,
        state_epoch: 0,
        start_offset: 0,
    });
    let request = InitializeShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![initialize::InitializeStateData {
            topic_id,
            partitions: partitions.collect(),
        }],
    };
    super::share_state::wait_for_coordinators(s, topic_id);
    for _ in 0..100 {
        let answer = s.quiet(0, &request);
        let mut parts = answer.results.iter().flat_map(|topic| &topic.partitions);
        if !answer.results.is_empty() && parts.all(|one| one.error_code == 0) {
            return;
        }
        s.sleep(100);
    }
}

fn stored(topic_id: Uuid, partition: i32) -> ReadShareGroupStateRequest {
    let partitions = vec![read::PartitionData { partition, leader_epoch: 0 }];
    ReadShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![read::ReadStateData { topic_id, partitions }],
    }
}

/// A partition of ten batches of two records each begins the topic; the others are empty.
fn filled(s: &mut Session, name: &str, partitions: i32) -> Uuid {
    let id = s.topic(name, partitions, &[]);
    for _ in 0..10 {
        s.quiet(9, &produce(name, id, 0, batch::records(batch::plain(2))));
    }
    begin(s, id, partitions);
    id
}

pub fn run(s: &mut Session) {
    let id = filled(s, "sf1", 2);
    let one = |acks: &'static [Ack<'static>]| (id, 0, acks);
    s.ask_on("carl", "nothing in particular", 2, &fetch(CARL, 0, &[]));
    let some = ShareFetchRequest { max_records: 6, ..fetch(ANNA, 0, &[one(&[])]) };
    s.ask_on("anna", "the first records", 1, &some);
    let bert = ShareFetchRequest { max_records: 4, ..fetch(BERT, 0, &[one(&[])]) };
    s.ask_on("bert", "the next ones", 2, &bert);
    let more = |epoch| ShareFetchRequest { max_wait_ms: 300, ..fetch(ANNA, epoch, &[]) };
    let strict = ShareFetchRequest { share_acquire_mode: 1, max_records: 3, ..more(1) };
    s.ask_on("anna", "three and no more", 2, &strict);
    let accepts = acknowledge(ANNA, 2, &[one(&[(0, 3, &[1])])]);
    s.ask_on("anna", "accepted", 1, &accepts);
    s.ask("as stored", 0, &stored(id, 0));
    s.ask_on("anna", "one given back", 2, &acknowledge(ANNA, 3, &[one(&[(4, 4, &[2])])]));
    s.sleep(500);
    // What is given back by a request may or may not be delivered by it.
    let mixed = ShareFetchRequest {
        max_records: 2,
        ..fetch(ANNA, 4, &[one(&[(5, 5, &[3]), (10, 12, &[1, 0, 1])])])
    };
    s.ask_on("anna", "one rejected, and more", 1, &mixed);
    s.ask("as stored then", 0, &stored(id, 0));
    let renews = ShareAcknowledgeRequest {
        is_renew_ack: true,
        ..acknowledge(BERT, 1, &[one(&[(6, 9, &[4])])])
    };
    s.ask_on("bert", "held longer", 2, &renews);
    let wrong = |epoch, acks: &'static [Ack<'static>]| acknowledge(BERT, epoch, &[one(acks)]);
    s.ask_on("bert", "of somebody else", 2, &wrong(2, &[(0, 3, &[1])]));
    s.ask_on("bert", "never delivered", 2, &wrong(3, &[(30, 31, &[1])]));
    s.ask_on("bert", "ends behind all", 2, &wrong(4, &[(8, 31, &[1])]));
    s.ask_on("bert", "upside down", 2, &wrong(5, &[(9, 8, &[1])]));
    s.ask_on("bert", "too few types", 2, &wrong(6, &[(6, 9, &[1, 1])]));
    s.ask_on("bert", "no types", 2, &wrong(7, &[(6, 9, &[])]));
    s.ask_on("bert", "no such type", 2, &wrong(8, &[(6, 9, &[5])]));
    s.ask_on("bert", "no renewal announced", 2, &wrong(9, &[(6, 9, &[4])]));
    s.ask_on("bert", "not in order", 2, &wrong(10, &[(8, 9, &[1]), (6, 7, &[1])]));
    s.ask_on("bert", "no such partition", 2, &acknowledge(BERT, 11, &[(id, 7, &[(0, 0, &[1])])]));
    let nowhere: Part<'_> = (Uuid(9), 0, &[(0, 0, &[1])]);
    s.ask_on("bert", "no such topic", 2, &acknowledge(BERT, 12, &[nowhere]));
    s.ask_on("bert", "nothing", 1, &acknowledge(BERT, 13, &[]));
    let eager = ShareFetchRequest { is_renew_ack: true, ..fetch(BERT, 14, &[]) };
    s.ask_on("bert", "renews and wants records", 2, &eager);
    let renewing = ShareFetchRequest {
        is_renew_ack: true,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 0,
        max_records: 0,
        ..fetch(BERT, 14, &[one(&[(6, 6, &[4])])])
    };
    s.ask_on("bert", "renews with a fetch", 2, &renewing);
    s.ask_on("bert", "goes and accepts one", 2, &acknowledge(BERT, -1, &[one(&[(6, 6, &[1])])]));
    s.sleep(500);
    s.ask_on("anna", "what was left", 2, &more(5));
    s.ask_on("anna", "ends with a fetch", 1, &fetch(ANNA, -1, &[one(&[(7, 7, &[1])])]));
    s.sleep(500);
    s.ask_on("bert", "what both left", 1, &fetch(BERT, 0, &[one(&[])]));
    s.ask_on("bert", "ends", 2, &fetch(BERT, -1, &[]));
}

/// What others may read, asked with an authorizer: `theirs` and `closed-share` are not for all.
pub fn closed(s: &mut Session, theirs: &str, topic_id: Uuid) {
    let one: Part<'_> = (topic_id, 0, &[]);
    let acks: Part<'_> = (topic_id, 0, &[(0, 0, &[1])]);
    for version in 1..=2 {
        let group_id = || Some(theirs.to_owned());
        let fetches = ShareFetchRequest { group_id: group_id(), ..fetch(ANNA, 0, &[one]) };
        s.ask("share: not their group", version, &fetches);
        let accepts =
            ShareAcknowledgeRequest { group_id: group_id(), ..acknowledge(ANNA, 1, &[acks]) };
        s.ask("share: not their group", version, &accepts);
        let group_id = theirs.to_owned();
        let stands = DescribeShareGroupOffsetsRequest {
            groups: vec![DescribeShareGroupOffsetsRequestGroup { group_id, topics: None }],
        };
        s.ask("share: not their group", version - 1, &stands);
        let quick = ShareFetchRequest { max_wait_ms: 200, ..fetch(ANNA, 0, &[one]) };
        s.ask("share: not their topic", version, &quick);
        let both = ShareFetchRequest { max_wait_ms: 200, ..fetch(ANNA, 1, &[acks]) };
        s.ask("share: not their topic, acknowledged", version, &both);
        s.ask("share: not their topic", version, &acknowledge(ANNA, -1, &[acks]));
    }
}

pub fn refusals(s: &mut Session) {
    let id = filled(s, "sf2", 1);
    let one: Part<'_> = (id, 0, &[]);
    let acks: Part<'_> = (id, 0, &[(0, 0, &[1])]);
    for version in 1..=2 {
        s.ask("no group", version, &ShareFetchRequest { group_id: None, ..fetch(ANNA, 0, &[one]) });
        s.ask(
            "no group",
            version,
            &ShareAcknowledgeRequest { group_id: None, ..acknowledge(ANNA, 1, &[acks]) },
        );
        for member in [None, Some(String::new()), Some("m".repeat(37))] {
            let label =
                format!("member of {} letters", member.as_ref().map_or(-1, |m| m.len() as i64));
            let member_id = || member.clone();
            let fetches = ShareFetchRequest { member_id: member_id(), ..fetch(ANNA, 0, &[one]) };
            s.ask(&label, version, &fetches);
            let accepts =
                ShareAcknowledgeRequest { member_id: member_id(), ..acknowledge(ANNA, 1, &[acks]) };
            s.ask(&label, version, &accepts);
        }
        s.ask("no session", version, &fetch(ANNA, 1, &[one]));
        s.ask("no session to end", version, &fetch(ANNA, -1, &[]));
        s.ask("acknowledges at once", version, &fetch(ANNA, 0, &[acks]));
        s.ask("no session", version, &acknowledge(ANNA, 1, &[acks]));
        s.ask("no session yet", version, &acknowledge(ANNA, 0, &[acks]));
        s.ask("no session to end", version, &acknowledge(ANNA, -1, &[acks]));
        let quick = |epoch, parts: &[Part<'_>]| ShareFetchRequest {
            max_wait_ms: 200,
            ..fetch(ANNA, epoch, parts)
        };
        s.ask("no such partition", version, &quick(0, &[(id, 5, &[])]));
        s.ask("no such partition still", version, &quick(1, &[]));
        s.ask("an old epoch", version, &quick(1, &[]));
        s.ask("an old epoch", version, &acknowledge(ANNA, 1, &[]));
        s.ask("ends with a fetch", version, &quick(-1, &[]));
        s.ask("no such topic", version, &quick(0, &[(Uuid(9), 0, &[])]));
        s.ask("ends", version, &acknowledge(ANNA, -1, &[]));
    }
}
