//! One core with a log in memory: what a case feeds it, and what it wants done.

use bytes::Bytes;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::Records;
use naru_protocol::messages::fetch_response::{
    EpochEndOffset, FetchResponse, PartitionData, SnapshotId as FetchSnapshotId,
};
use naru_protocol::messages::{
    begin_quorum_epoch_request as begin, end_quorum_epoch_request as end, fetch_request as fetch,
    fetch_snapshot_request as snapshot, vote_request as vote, vote_response,
};

use crate::raft::messages::{Leadership, TOPIC, TOPIC_ID};
use crate::raft::{
    ControlRecord, Effect, ElectionState, Event, LogView, Quorum, QuorumError, QuorumStart,
    QuorumTimeouts, RaftRequest, RaftResponse, SnapshotId, Unreachable, Voter, VoterEndpoint,
    VoterLog,
};

pub(super) fn directory(id: i32) -> Uuid {
    Uuid(1000 + u128::from(id.unsigned_abs()))
}

pub(super) fn endpoint(id: i32) -> VoterEndpoint {
    let port = u16::try_from(9000 + id).unwrap();
    VoterEndpoint { name: "CONTROLLER".to_owned(), host: format!("host{id}"), port }
}

pub(super) fn voter(id: i32) -> Voter {
    Voter { id, directory_id: directory(id), endpoints: vec![endpoint(id)] }
}

pub(super) fn voters(ids: &[i32]) -> Vec<Voter> {
    ids.iter().copied().map(voter).collect()
}

pub(super) fn formatted(ids: &[i32]) -> VoterLog {
    let mut log = VoterLog::new();
    log.read_snapshot(0, &ControlRecord::kraft_version(1));
    log.read_snapshot(0, &ControlRecord::voters(&voters(ids)));
    log
}

/// A log of epochs.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub(super) epochs: Vec<i32>,
    pub(super) start: i64,
    pub(super) snapshot: Option<SnapshotId>,
}

impl LogView for Log {
    fn start(&self) -> i64 {
        self.start
    }
    fn end(&self) -> i64 {
        self.start + i64::try_from(self.epochs.len()).unwrap()
    }
    fn last_epoch(&self) -> i32 {
        self.epoch_at(self.end() - 1).unwrap_or(0)
    }
    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let last = self.epochs.iter().rposition(|known| *known <= epoch)?;
        Some((self.epochs[last], self.start + i64::try_from(last).unwrap() + 1))
    }
    fn epoch_at(&self, offset: i64) -> Option<i32> {
        if offset == self.start - 1 {
            return self.snapshot.filter(|id| id.end_offset == self.start).map(|id| id.epoch);
        }
        self.epochs.get(usize::try_from(offset - self.start).ok()?).copied()
    }
    fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshot
    }
}

/// Node 1 of the voters 1, 2, 3 unless a case says otherwise.
pub(super) fn start() -> QuorumStart {
    QuorumStart {
        node_id: 1,
        directory_id: directory(1),
        cluster_id: "cluster".to_owned(),
        can_vote: true,
        listeners: vec![endpoint(1)],
        bootstrap: Vec::new(),
        static_voters: Vec::new(),
        state: None,
        voter_log: formatted(&[1, 2, 3]),
        timeouts: QuorumTimeouts::default(),
        auto_join: false,
        seed: 7,
        now_ms: 0,
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) core: Quorum,
    pub(super) log: Log,
    pub(super) now: i64,
    pub(super) effects: Vec<Effect>,
    tokens: u64,
}

impl Node {
    pub(super) fn try_start(start: QuorumStart, log: Log) -> Result<Self, QuorumError> {
        let now = start.now_ms;
        let mut effects = Vec::new();
        let core = Quorum::start(start, &log, &mut effects)?;
        let mut node = Self { core, log, now, effects: Vec::new(), tokens: 0 };
        node.obey(effects);
        Ok(node)
    }

    pub(super) fn start(start: QuorumStart, log: Log) -> Self {
        Self::try_start(start, log).unwrap()
    }

    /// Feeds an event, does to the log what is asked, and keeps the effects.
    pub(super) fn feed(&mut self, event: Event) -> &mut Self {
        let mut effects = Vec::new();
        self.core.step(self.now, &self.log, event, &mut effects);
        self.obey(effects);
        self.core.check_invariants(&self.log);
        self
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::AppendControl { epoch, records } => {
                    self.log.epochs.extend(records.iter().map(|_| *epoch));
                }
                Effect::TruncateTo { offset } => {
                    let keep = usize::try_from(offset - self.log.start).unwrap();
                    self.log.epochs.truncate(keep);
                }
                _ => {}
            }
        }
        self.effects.extend(effects);
    }

    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Lets time pass, with a tick at every deadline.
    pub(super) fn pass(&mut self, ms: i64) -> &mut Self {
        let until = self.now + ms;
        for _ in 0..10_000 {
            match self.core.next_deadline().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.feed(Event::Tick);
                }
                None => {
                    self.now = until;
                    return self;
                }
            }
        }
        panic!("too many deadlines: {:?}", self.core);
    }

    pub(super) fn ask(&mut self, request: RaftRequest) -> RaftResponse {
        self.ask_version(2, request)
    }

    /// The answer to a request that is answered at once.
    pub(super) fn ask_version(&mut self, version: i16, request: RaftRequest) -> RaftResponse {
        let token = self.ask_later(version, request);
        self.answer(token).expect("an answer at once")
    }

    pub(super) fn ask_later(&mut self, version: i16, request: RaftRequest) -> u64 {
        self.tokens += 1;
        let token = self.tokens;
        self.feed(Event::Request { token, version, request });
        token
    }

    pub(super) fn answer(&self, asked: u64) -> Option<RaftResponse> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { token, response } if *token == asked => Some(response.clone()),
            Effect::ReplyFetch { token, response, .. } if *token == asked => {
                Some(RaftResponse::Fetch(response.clone()))
            }
            Effect::ReplySnapshot { token, response, .. } if *token == asked => {
                Some(RaftResponse::FetchSnapshot(response.clone()))
            }
            _ => None,
        })
    }

    /// The requests sent, with the ids that their answers need.
    pub(super) fn sent(&self) -> Vec<(u64, Option<i32>, &RaftRequest)> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { request_id, to, request, .. } => Some((*request_id, to.id, request)),
            _ => None,
        });
        sent.collect()
    }

    pub(super) fn sent_votes(&self) -> Vec<(u64, i32, vote::PartitionData)> {
        let votes = self.sent().into_iter().filter_map(|(id, to, request)| match request {
            RaftRequest::Vote(vote) => Some((id, to?, vote.topics[0].partitions[0].clone())),
            _ => None,
        });
        votes.collect()
    }

    pub(super) fn sent_fetch(&self) -> Option<(u64, Option<i32>, fetch::FetchPartition)> {
        let mut fetches = self.sent().into_iter().filter_map(|(id, to, request)| match request {
            RaftRequest::Fetch(fetch) => Some((id, to, fetch.topics[0].partitions[0].clone())),
            _ => None,
        });
        fetches.next_back()
    }

    pub(super) fn respond(&mut self, request_id: u64, response: RaftResponse) -> &mut Self {
        self.feed(Event::Response { request_id, result: Ok(response) })
    }

    pub(super) fn fail(&mut self, request_id: u64) -> &mut Self {
        self.feed(Event::Response { request_id, result: Err(Unreachable) })
    }

    /// Answers the votes asked for, and forgets the effects before.
    pub(super) fn vote(&mut self, granted: bool) -> &mut Self {
        let votes = self.sent_votes();
        assert!(!votes.is_empty(), "no votes asked for: {:?}", self.effects);
        self.effects.clear();
        for (id, _, asked) in votes {
            let leadership = says(None, asked.replica_epoch);
            let response = leadership.vote_response(ErrorCode::None, granted);
            self.respond(id, RaftResponse::Vote(response));
        }
        self
    }

    /// Wins the next election.
    pub(super) fn lead(mut self) -> Self {
        while self.sent_votes().is_empty() {
            self.pass(50);
        }
        self.vote(true);
        self.vote(true);
        assert!(self.core.is_leader());
        let log_end = self.log.end();
        self.feed(Event::Appended { log_end });
        self.feed(Event::Synced { end: log_end });
        self
    }

    /// Follows node 2 in `epoch`, which has answered a Fetch.
    pub(super) fn follow(mut self, epoch: i32) -> Self {
        self.ask(RaftRequest::BeginQuorumEpoch(begin_from(2, epoch)));
        self.answer_fetch(partition(1));
        self.effects.clear();
        // The answer of the next one.
        self.core.in_flight.clear();
        self.feed(Event::Tick);
        self
    }

    /// Answers the last Fetch as leader 2.
    pub(super) fn answer_fetch(&mut self, answer: PartitionData) -> &mut Self {
        let (id, _, _) = self.sent_fetch().expect("a fetch");
        self.effects.clear();
        let response = says(Some(2), self.core.epoch()).fetch_response(answer);
        self.respond(id, RaftResponse::Fetch(response))
    }

    /// A Fetch of a replica; the token of its answer.
    pub(super) fn fetched_by(&mut self, id: i32, from: i64) -> u64 {
        let last = self.log.epoch_at(from - 1).unwrap_or(0);
        let request = fetch_of(id, self.core.epoch(), from, last);
        self.ask_later(18, RaftRequest::Fetch(request))
    }
}

pub(super) fn says(leader: Option<i32>, epoch: i32) -> Leadership {
    let endpoint = leader.map(|id| (format!("host{id}"), endpoint(id).port));
    Leadership { leader, epoch, endpoint }
}

pub(super) fn partition(high_watermark: i64) -> PartitionData {
    PartitionData { high_watermark, ..PartitionData::default() }
}

pub(super) fn diverging(epoch: i32, end_offset: i64) -> PartitionData {
    PartitionData { diverging_epoch: EpochEndOffset { epoch, end_offset }, ..partition(0) }
}

pub(super) fn see_snapshot(end_offset: i64, epoch: i32) -> PartitionData {
    PartitionData { snapshot_id: FetchSnapshotId { end_offset, epoch }, ..partition(0) }
}

pub(super) fn records(high_watermark: i64) -> PartitionData {
    let records = Records::Inline(Bytes::from_static(b"batches"));
    PartitionData { records, ..partition(high_watermark) }
}

pub(super) fn vote_by(id: i32, epoch: i32, last: (i32, i64), pre_vote: bool) -> RaftRequest {
    let partition = vote::PartitionData {
        partition_index: 0,
        replica_epoch: epoch,
        replica_id: id,
        replica_directory_id: directory(id),
        voter_directory_id: directory(1),
        last_offset_epoch: last.0,
        last_offset: last.1,
        pre_vote,
    };
    RaftRequest::Vote(vote::VoteRequest {
        cluster_id: Some("cluster".to_owned()),
        voter_id: 1,
        topics: vec![vote::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] }],
    })
}

pub(super) fn begin_from(leader: i32, epoch: i32) -> begin::BeginQuorumEpochRequest {
    let own = endpoint(leader);
    let partition = begin::PartitionData {
        partition_index: 0,
        voter_directory_id: directory(1),
        leader_id: leader,
        leader_epoch: epoch,
    };
    begin::BeginQuorumEpochRequest {
        cluster_id: None,
        voter_id: 1,
        topics: vec![begin::TopicData {
            topic_name: TOPIC.to_owned(),
            partitions: vec![partition],
        }],
        leader_endpoints: vec![begin::LeaderEndpoint {
            name: own.name,
            host: own.host,
            port: own.port,
        }],
    }
}

pub(super) fn end_from(leader: i32, epoch: i32, successors: &[i32]) -> RaftRequest {
    let candidate =
        |id: &i32| end::ReplicaInfo { candidate_id: *id, candidate_directory_id: directory(*id) };
    let partition = end::PartitionData {
        partition_index: 0,
        leader_id: leader,
        leader_epoch: epoch,
        preferred_successors: successors.to_vec(),
        preferred_candidates: successors.iter().map(candidate).collect(),
    };
    RaftRequest::EndQuorumEpoch(end::EndQuorumEpochRequest {
        cluster_id: None,
        topics: vec![end::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] }],
        leader_endpoints: Vec::new(),
    })
}

pub(super) fn fetch_of(id: i32, epoch: i32, offset: i64, last_epoch: i32) -> fetch::FetchRequest {
    let partition = fetch::FetchPartition {
        current_leader_epoch: epoch,
        fetch_offset: offset,
        last_fetched_epoch: last_epoch,
        replica_directory_id: directory(id),
        high_watermark: i64::MAX,
        ..fetch::FetchPartition::default()
    };
    let topic =
        fetch::FetchTopic { topic: String::new(), topic_id: TOPIC_ID, partitions: vec![partition] };
    fetch::FetchRequest {
        cluster_id: Some("cluster".to_owned()),
        replica_state: fetch::ReplicaState { replica_id: id, replica_epoch: -1 },
        max_wait_ms: 500,
        max_bytes: 1000,
        topics: vec![topic],
        ..fetch::FetchRequest::default()
    }
}

pub(super) fn snapshot_of(id: i32, epoch: i32, of: SnapshotId, position: i64) -> RaftRequest {
    let partition = snapshot::PartitionSnapshot {
        partition: 0,
        current_leader_epoch: epoch,
        snapshot_id: snapshot::SnapshotId { end_offset: of.end_offset, epoch: of.epoch },
        position,
        replica_directory_id: directory(id),
    };
    RaftRequest::FetchSnapshot(snapshot::FetchSnapshotRequest {
        cluster_id: None,
        replica_id: id,
        max_bytes: 1000,
        topics: vec![snapshot::TopicSnapshot {
            name: TOPIC.to_owned(),
            partitions: vec![partition],
        }],
    })
}

/// Error and vote of an answer to Vote.
pub(super) fn voted(response: &RaftResponse) -> (ErrorCode, bool) {
    let RaftResponse::Vote(vote_response::VoteResponse { topics, error_code, .. }) = response
    else {
        panic!("{response:?}")
    };
    let Some(topic) = topics.first() else { return (ErrorCode::from_code(*error_code), false) };
    let partition = &topic.partitions[0];
    (ErrorCode::from_code(partition.error_code), partition.vote_granted)
}

pub(super) fn fetch_error(response: &RaftResponse) -> ErrorCode {
    let RaftResponse::Fetch(FetchResponse { responses, error_code, .. }) = response else {
        panic!("{response:?}")
    };
    let partition = responses.first().map(|topic| topic.partitions[0].error_code);
    ErrorCode::from_code(partition.unwrap_or(*error_code))
}

pub(super) fn fetched(response: Option<RaftResponse>) -> PartitionData {
    let Some(RaftResponse::Fetch(response)) = response else { panic!("{response:?}") };
    response.responses[0].partitions[0].clone()
}

pub(super) fn state(epoch: i32, leader: Option<i32>) -> Option<ElectionState> {
    Some(ElectionState { epoch, leader, voted: None })
}
