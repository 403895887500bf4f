//! The quorum's own requests: Vote (52), BeginQuorumEpoch (53), EndQuorumEpoch (54), Fetch (1) of
//! the metadata log, FetchSnapshot (59), DescribeQuorum (55), AddRaftVoter (80), RemoveRaftVoter
//! (81), UpdateRaftVoter (82). KIP-595, 630, 853, 996.
//!
//! The quorum core answers all of them.

use naru_controller::raft::{RaftRequest, RaftResponse};
use naru_model::ErrorCode;
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use naru_protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use naru_protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use naru_protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use naru_protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;
use naru_protocol::messages::fetch_request::FetchRequest;
use naru_protocol::messages::fetch_response::FetchResponse;
use naru_protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use naru_protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use naru_protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use naru_protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;
use naru_protocol::messages::vote_request::VoteRequest;
use naru_protocol::messages::vote_response::VoteResponse;

use crate::dispatch::RequestContext;

/// What a peer is told when this node stops: it asks again elsewhere.
const STOPPING: i16 = ErrorCode::BrokerNotAvailable.code();

macro_rules! answered_by_the_core {
    ($($name:ident $variant:ident $request:ident $response:ident;)*) => {
        $(pub(crate) async fn $name(context: RequestContext, request: $request) -> $response {
            let asked = RaftRequest::$variant(request);
            match context.node.metadata().raft(context.version, asked).await {
                Some(RaftResponse::$variant(response)) => response,
                _ => $response { error_code: STOPPING, ..Default::default() },
            }
        })*
    };
}

answered_by_the_core! {
    vote Vote VoteRequest VoteResponse;
    begin_epoch BeginQuorumEpoch BeginQuorumEpochRequest BeginQuorumEpochResponse;
    end_epoch EndQuorumEpoch EndQuorumEpochRequest EndQuorumEpochResponse;
    fetch Fetch FetchRequest FetchResponse;
    fetch_snapshot FetchSnapshot FetchSnapshotRequest FetchSnapshotResponse;
    update_voter UpdateRaftVoter UpdateRaftVoterRequest UpdateRaftVoterResponse;
    ask_describe DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse;
    ask_add AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse;
    ask_remove RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse;
}

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeQuorumRequest,
) -> Result<DescribeQuorumResponse, ErrorCode> {
    let version = context.version;
    let mut response = ask_describe(context, request).await;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let inner = partition.map_or(0, |partition| partition.error_code);
    if is_elsewhere(response.error_code) || is_elsewhere(inner) {
        return Err(ErrorCode::NotController);
    }
    if version >= 2 {
        put_texts(&mut response);
    }
    Ok(response)
}

/// Kafka's words for what the core says with codes alone; nothing wrong is an empty text.
fn put_texts(response: &mut DescribeQuorumResponse) {
    let text = |code: i16| match ErrorCode::from_code(code) {
        ErrorCode::None => String::new(),
        ErrorCode::UnknownTopicOrPartition => {
            "This server does not host this topic-partition.".to_owned()
        }
        other => other.name().to_owned(),
    };
    response.error_message = Some(text(response.error_code));
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.error_message = Some(text(partition.error_code));
    }
}

pub(crate) async fn add_voter(
    context: RequestContext,
    request: AddRaftVoterRequest,
) -> Result<AddRaftVoterResponse, ErrorCode> {
    let response = ask_add(context, request).await;
    if is_elsewhere(response.error_code) { Err(ErrorCode::NotController) } else { Ok(response) }
}

pub(crate) async fn remove_voter(
    context: RequestContext,
    request: RemoveRaftVoterRequest,
) -> Result<RemoveRaftVoterResponse, ErrorCode> {
    let response = ask_remove(context, request).await;
    if is_elsewhere(response.error_code) { Err(ErrorCode::NotController) } else { Ok(response) }
}

/// Whether the answer says that another node leads.
fn is_elsewhere(code: i16) -> bool {
    matches!(ErrorCode::from_code(code), ErrorCode::NotLeaderOrFollower | ErrorCode::NotController)
}
