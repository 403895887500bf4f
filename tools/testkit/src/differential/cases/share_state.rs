//! The share coordinator (KIP-932): the state of share partitions begun, written, read, fenced and
//! ended, as leaders of partitions and group coordinators ask for it.

use naru_model::Uuid;
use naru_protocol::messages::delete_share_group_state_request as delete;
use naru_protocol::messages::delete_share_group_state_request::DeleteShareGroupStateRequest;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::initialize_share_group_state_request as initialize;
use naru_protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_request as read;
use naru_protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use naru_protocol::messages::read_share_group_state_summary_request as summary;
use naru_protocol::messages::read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
use naru_protocol::messages::write_share_group_state_request as write;
use naru_protocol::messages::write_share_group_state_request::{
    StateBatch, WriteShareGroupStateRequest,
};

use crate::differential::session::Session;

const GROUP: &str = "share-state";

fn begin(
    topic_id: Uuid,
    partition: i32,
    epoch: i32,
    start: i64,
) -> InitializeShareGroupStateRequest {
    let partitions =
        vec![initialize::PartitionData { partition, state_epoch: epoch, start_offset: start }];
    InitializeShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![initialize::InitializeStateData { topic_id, partitions }],
    }
}

fn look(topic_id: Uuid, partition: i32, leader_epoch: i32) -> ReadShareGroupStateRequest {
    let partitions = vec![read::PartitionData { partition, leader_epoch }];
    ReadShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![read::ReadStateData { topic_id, partitions }],
    }
}

/// First and last offset, state and count.
type Batch = (i64, i64, i8, i16);

fn change(
    topic_id: Uuid,
    (partition, state_epoch, leader_epoch): (i32, i32, i32),
    start_offset: i64,
    batches: &[Batch],
) -> WriteShareGroupStateRequest {
    let batches = batches.iter().map(|(first, last, state, count)| StateBatch {
        first_offset: *first,
        last_offset: *last,
        delivery_state: *state,
        delivery_count: *count,
    });
    let partitions = vec![write::PartitionData {
        partition,
        state_epoch,
        leader_epoch,
        start_offset,
        delivery_complete_count: 3,
        state_batches: batches.collect(),
    }];
    WriteShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![write::WriteStateData { topic_id, partitions }],
    }
}

fn stand(topic_id: Uuid, partition: i32) -> ReadShareGroupStateSummaryRequest {
    let partitions = vec![summary::PartitionData { partition, leader_epoch: 0 }];
    ReadShareGroupStateSummaryRequest {
        group_id: GROUP.to_owned(),
        topics: vec![summary::ReadStateSummaryData { topic_id, partitions }],
    }
}

fn end(topic_id: Uuid, partition: i32) -> DeleteShareGroupStateRequest {
    let partitions = vec![delete::PartitionData { partition }];
    DeleteShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![delete::DeleteStateData { topic_id, partitions }],
    }
}

/// The topic of share state is there, and its partitions are loaded: part of no transcript.
pub fn wait_for_coordinators(s: &mut Session, topic: Uuid) {
    let found = FindCoordinatorRequest {
        key_type: 2,
        coordinator_keys: vec![format!("{GROUP}:{topic}:0")],
        ..Default::default()
    };
    let is_found = |s: &mut Session| {
        let response = s.quiet(6, &found);
        response.coordinators.iter().all(|one| one.error_code == 0)
    };
    let is_loaded = |s: &mut Session| {
        let response = s.quiet(0, &begin(topic, 0, 0, -1));
        let mut parts = response.results.iter().flat_map(|one| &one.partitions);
        parts.all(|one| one.error_code == 0)
    };
    for _ in 0..100 {
        if is_found(s) && is_loaded(s) {
            break;
        }
        s.sleep(100);
    }
    // The other partitions of the topic.
    s.sleep(1_000);
}

pub fn run(s: &mut Session) {
    let id = s.topic("ss1", 4, &[]);
    wait_for_coordinators(s, id);
    for key in [
        "a:b",
        "a:b:c:d",
        ":x:0",
        "a:x:0",
        "g:AAAAAAAAAAAAAAAAAAAABw:p",
        "g:AAAAAAAAAAAAAAAAAAAABw:0",
    ] {
        let find = FindCoordinatorRequest {
            key: key.to_owned(),
            key_type: 2,
            coordinator_keys: vec![key.to_owned()],
        };
        s.ask_each(&format!("found by {}", key.len()), 3..=6, &find);
    }
    s.ask("never begun", 0, &look(id, 3, 0));
    s.ask_each("never begun", 0..=1, &change(id, (3, 0, 0), 0, &[]));
    s.ask_each("never begun", 0..=1, &stand(id, 3));
    s.ask("never begun", 0, &end(id, 3));
    s.ask("begun", 0, &begin(id, 0, 3, -1));
    s.ask("as it began", 0, &look(id, 0, 1));
    s.ask_each("as it began", 0..=1, &stand(id, 0));
    let first = [(10, 14, 2, 1), (15, 19, 0, 1)];
    s.ask("written", 1, &change(id, (0, 3, 1), 10, &first));
    s.ask("written again", 0, &change(id, (0, -1, -1), -1, &[(15, 16, 2, 2), (13, 20, 0, 1)]));
    s.ask("as written", 0, &look(id, 0, 1));
    s.ask_each("as written", 0..=1, &stand(id, 0));
    s.ask("begins later", 1, &change(id, (0, 3, 1), 16, &[]));
    s.ask("without what was before", 0, &look(id, 0, 1));
    s.ask("a newer leader", 0, &look(id, 0, 5));
    s.ask("an older leader reads", 0, &look(id, 0, 4));
    s.ask("nobody in particular reads", 0, &look(id, 0, -1));
    s.ask_each("an older leader writes", 0..=1, &change(id, (0, 3, 4), 17, &[]));
    s.ask_each("an older state", 0..=1, &change(id, (0, 2, 5), 17, &[]));
    s.ask("an older beginning", 0, &begin(id, 0, 2, 0));
    s.ask("begun anew", 0, &begin(id, 0, 4, 100));
    s.ask("as it began anew", 0, &look(id, 0, 5));
    s.ask_each("as it began anew", 0..=1, &stand(id, 0));
    s.ask("ended", 0, &end(id, 0));
    s.ask("ended twice", 0, &end(id, 0));
    s.ask("read after its end", 0, &look(id, 0, 5));
    refusals(s, id);
}

fn refusals(s: &mut Session, id: Uuid) {
    for (label, topic, partition) in [
        ("a negative partition", id, -1),
        ("no such partition", id, 4),
        ("no such topic", Uuid(9), 0),
    ] {
        s.ask(label, 0, &begin(topic, partition, 0, 0));
        s.ask(label, 0, &look(topic, partition, 0));
        s.ask_each(label, 0..=1, &change(topic, (partition, 0, 0), 0, &[]));
        s.ask_each(label, 0..=1, &stand(topic, partition));
        s.ask(label, 0, &end(topic, partition));
    }
    let nobody = String::new;
    let group_id = nobody();
    s.ask("no group", 0, &InitializeShareGroupStateRequest { group_id, ..begin(id, 1, 0, 0) });
    let group_id = nobody();
    s.ask("no group", 0, &ReadShareGroupStateRequest { group_id, ..look(id, 1, 0) });
    let group_id = nobody();
    s.ask(
        "no group",
        0,
        &WriteShareGroupStateRequest { group_id, ..change(id, (1, 0, 0), 0, &[]) },
    );
    let group_id = nobody();
    s.ask("no group", 0, &ReadShareGroupStateSummaryRequest { group_id, ..stand(id, 1) });
    let group_id = nobody();
    s.ask("no group", 0, &DeleteShareGroupStateRequest { group_id, ..end(id, 1) });
    let topics = Vec::new();
    s.ask("no topics", 0, &InitializeShareGroupStateRequest { topics, ..begin(id, 1, 0, 0) });
    let topics = Vec::new();
    s.ask("no topics", 0, &ReadShareGroupStateRequest { topics, ..look(id, 1, 0) });
    let topics = Vec::new();
    s.ask("no topics", 0, &WriteShareGroupStateRequest { topics, ..change(id, (1, 0, 0), 0, &[]) });
    let topics = Vec::new();
    s.ask("no topics", 0, &ReadShareGroupStateSummaryRequest { topics, ..stand(id, 1) });
    let topics = Vec::new();
    s.ask("no topics", 0, &DeleteShareGroupStateRequest { topics, ..end(id, 1) });
    let mut none = begin(id, 1, 0, 0);
    none.topics[0].partitions.clear();
    s.ask("no partitions", 0, &none);
    let mut none = look(id, 1, 0);
    none.topics[0].partitions.clear();
    s.ask("no partitions", 0, &none);
    let mut none = change(id, (1, 0, 0), 0, &[]);
    none.topics[0].partitions.clear();
    s.ask("no partitions", 0, &none);
    let mut none = stand(id, 1);
    none.topics[0].partitions.clear();
    s.ask("no partitions", 0, &none);
    let mut none = end(id, 1);
    none.topics[0].partitions.clear();
    s.ask("no partitions", 0, &none);
}
