//! Messages go through their bytes, at their newest version, as over a real network.

use bytes::Bytes;
use naru_protocol::Message;

use crate::raft::{RaftRequest, RaftResponse};

fn pass<M: Message>(message: &M) -> M {
    let version = *M::VERSIONS.end();
    M::from_bytes(&Bytes::from(message.to_bytes(version)), version).unwrap()
}

pub(super) fn pass_request(request: &RaftRequest) -> RaftRequest {
    match request {
        RaftRequest::Vote(m) => RaftRequest::Vote(pass(m)),
        RaftRequest::BeginQuorumEpoch(m) => RaftRequest::BeginQuorumEpoch(pass(m)),
        RaftRequest::EndQuorumEpoch(m) => RaftRequest::EndQuorumEpoch(pass(m)),
        RaftRequest::Fetch(m) => RaftRequest::Fetch(pass(m)),
        RaftRequest::FetchSnapshot(m) => RaftRequest::FetchSnapshot(pass(m)),
        RaftRequest::AddRaftVoter(m) => RaftRequest::AddRaftVoter(pass(m)),
        RaftRequest::RemoveRaftVoter(m) => RaftRequest::RemoveRaftVoter(pass(m)),
        RaftRequest::UpdateRaftVoter(m) => RaftRequest::UpdateRaftVoter(pass(m)),
        RaftRequest::DescribeQuorum(m) => RaftRequest::DescribeQuorum(pass(m)),
        RaftRequest::ApiVersions(m) => RaftRequest::ApiVersions(pass(m)),
    }
}

pub(super) fn pass_response(response: &RaftResponse) -> RaftResponse {
    match response {
        RaftResponse::Vote(m) => RaftResponse::Vote(pass(m)),
        RaftResponse::BeginQuorumEpoch(m) => RaftResponse::BeginQuorumEpoch(pass(m)),
        RaftResponse::EndQuorumEpoch(m) => RaftResponse::EndQuorumEpoch(pass(m)),
        RaftResponse::Fetch(m) => RaftResponse::Fetch(pass(m)),
        RaftResponse::FetchSnapshot(m) => RaftResponse::FetchSnapshot(pass(m)),
        RaftResponse::AddRaftVoter(m) => RaftResponse::AddRaftVoter(pass(m)),
        RaftResponse::RemoveRaftVoter(m) => RaftResponse::RemoveRaftVoter(pass(m)),
        RaftResponse::UpdateRaftVoter(m) => RaftResponse::UpdateRaftVoter(pass(m)),
        RaftResponse::DescribeQuorum(m) => RaftResponse::DescribeQuorum(pass(m)),
        RaftResponse::ApiVersions(m) => RaftResponse::ApiVersions(pass(m)),
    }
}
