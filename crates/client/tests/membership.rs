//! A member of a group against a scripted coordinator.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fake::{Asked, FakeBroker, Reply};
use naru_client::{Consumer, ConsumerConfig, OffsetReset, Rebalance, TopicPartition};
use naru_model::{ErrorCode, Offset, Timestamp};
use naru_protocol::Records;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::fetch_request::FetchRequest;
use naru_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::join_group_request::JoinGroupRequest;
use naru_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::leave_group_response::LeaveGroupResponse;
use naru_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use naru_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use naru_protocol::messages::sync_group_request::SyncGroupRequest;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;
use naru_records::{BatchBuilder, BatchOptions};

const MEMBER: &str = "member-1";

/// What happened, in order: `join 1`, `commit 3 in 1`, ...
type Story = Arc<Mutex<Vec<String>>>;

/// A coordinator of one member; the second heartbeat asks for a rebalance.
#[derive(Default)]
struct Coordinator {
    story: Story,
    generation: i32,
    heartbeats: u32,
    committed: i64,
}

impl Coordinator {
    fn tell(&self, event: impl Into<String>) {
        self.story.lock().unwrap().push(event.into());
    }

    fn handle(&mut self, asked: &Asked) -> Reply {
        match asked.api {
            ApiKey::JoinGroup => self.join(asked),
            ApiKey::SyncGroup => {
                let request: SyncGroupRequest = asked.read();
                let own = request.assignments.into_iter().find(|a| a.member_id == MEMBER);
                let assignment = own.map(|own| own.assignment).unwrap_or_default();
                let protocol_name = Some("range".to_owned());
                asked.answer(&SyncGroupResponse {
                    assignment,
                    protocol_name,
                    protocol_type: Some("consumer".to_owned()),
                    ..Default::default()
                })
            }
            ApiKey::Heartbeat => {
                self.heartbeats += 1;
                let ends = self.heartbeats == 2;
                let code = if ends { ErrorCode::RebalanceInProgress } else { ErrorCode::None };
                asked.answer(&HeartbeatResponse { error_code: code.code(), ..Default::default() })
            }
            ApiKey::OffsetCommit => self.commit(asked),
            ApiKey::OffsetFetch => asked.answer(&self.offsets()),
            ApiKey::ListOffsets => asked.answer(&earliest()),
            ApiKey::Fetch => fetch(asked),
            ApiKey::LeaveGroup => {
                let request: LeaveGroupRequest = asked.read();
                self.tell(format!("leave {}", request.members[0].member_id));
                asked.answer(&LeaveGroupResponse::default())
            }
            _ => Reply::Usual,
        }
    }

    fn join(&mut self, asked: &Asked) -> Reply {
        let request: JoinGroupRequest = asked.read();
        let mut response = JoinGroupResponse {
            member_id: MEMBER.to_owned(),
            protocol_name: Some(String::new()),
            ..Default::default()
        };
        if request.member_id.is_empty() {
            self.tell("id handed out");
            response.error_code = ErrorCode::MemberIdRequired.code();
            return asked.answer(&response);
        }
        self.generation += 1;
        self.tell(format!("join {}", self.generation));
        response.generation_id = self.generation;
        response.leader = MEMBER.to_owned();
        response.protocol_type = Some("consumer".to_owned());
        response.protocol_name = Some(request.protocols[0].name.clone());
        let metadata: Bytes = request.protocols[0].metadata.clone();
        response.members = vec![JoinGroupResponseMember {
            member_id: MEMBER.to_owned(),
            metadata,
            ..Default::default()
        }];
        asked.answer(&response)
    }

    fn commit(&mut self, asked: &Asked) -> Reply {
        let request: OffsetCommitRequest = asked.read();
        assert_eq!(request.member_id, MEMBER);
        self.committed = request.topics[0].partitions[0].committed_offset;
        let generation = request.generation_id_or_member_epoch;
        self.tell(format!("commit {} in {generation}", self.committed));
        let topic = OffsetCommitResponseTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitResponsePartition::default()],
            ..Default::default()
        };
        asked.answer(&OffsetCommitResponse { topics: vec![topic], ..Default::default() })
    }

    fn offsets(&self) -> OffsetFetchResponse {
        let partition = OffsetFetchResponsePartitions {
            committed_offset: if self.committed > 0 { self.committed } else { -1 },
            ..Default::default()
        };
        let topic = OffsetFetchResponseTopics {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..Default::default()
        };
        let group = OffsetFetchResponseGroup {
            group_id: "g".to_owned(),
            topics: vec![topic],
            ..Default::default()
        };
        OffsetFetchResponse { groups: vec![group], ..Default::default() }
    }
}

fn earliest() -> ListOffsetsResponse {
    let partitions = vec![ListOffsetsPartitionResponse { offset: 0, ..Default::default() }];
    let topic = ListOffsetsTopicResponse { name: "t".to_owned(), partitions };
    ListOffsetsResponse { topics: vec![topic], ..Default::default() }
}

/// A log of three records.
fn fetch(asked: &Asked) -> Reply {
    let request: FetchRequest = asked.read();
    let at = request.topics[0].partitions[0].fetch_offset;
    let mut builder = BatchBuilder::new();
    for _ in at..3 {
        builder.append_plain(Timestamp(1), None, Some(b"v"));
    }
    let options = BatchOptions { base_offset: Offset(at), ..Default::default() };
    let records = if at < 3 { builder.build(&options).unwrap() } else { Vec::new() };
    let partition = PartitionData {
        high_watermark: 3,
        preferred_read_replica: -1,
        records: Records::Inline(records.into()),
        ..Default::default()
    };
    let topic = FetchableTopicResponse {
        topic: "t".to_owned(),
        topic_id: request.topics[0].topic_id,
        partitions: vec![partition],
    };
    asked.answer(&FetchResponse { responses: vec![topic], ..Default::default() })
}

#[tokio::test]
async fn a_rebalance_commits_before_joining_again_and_closing_leaves() {
    let story = Story::default();
    let mut coordinator = Coordinator { story: Arc::clone(&story), ..Coordinator::default() };
    let broker = FakeBroker::start(move |asked| coordinator.handle(asked)).await;
    let config = ConsumerConfig {
        group_id: Some("g".to_owned()),
        offset_reset: OffsetReset::Earliest,
        heartbeat_interval: Duration::from_millis(20),
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(broker.client(), config);
    consumer.subscribe(["t"]).unwrap();
    assert_eq!(consumer.next_batch().await.unwrap().records.len(), 3);
    // Nothing more comes, but the second heartbeat brings a rebalance.
    let rejoined = async {
        while !story.lock().unwrap().contains(&"join 2".to_owned()) {
            let _ = tokio::time::timeout(Duration::from_millis(10), consumer.next_batch()).await;
        }
        while consumer.assignment().count() == 0 {
            let _ = tokio::time::timeout(Duration::from_millis(10), consumer.next_batch()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), rejoined).await.unwrap();
    let partition = TopicPartition::new("t", 0);
    let expect = [
        Rebalance::Assigned(vec![partition.clone()]),
        Rebalance::Revoked(vec![partition.clone()]),
        Rebalance::Assigned(vec![partition]),
    ];
    assert_eq!(consumer.take_rebalances(), expect);
    consumer.close().await.unwrap();
    let story = story.lock().unwrap().clone();
    assert_eq!(story, ["id handed out", "join 1", "commit 3 in 1", "join 2", "leave member-1"]);
}
