//! ShareAcknowledge (key 79, v1–v2). KIP-932.
//!
//! v2 renewals and how long records are held (KIP-1222).

use std::collections::BTreeMap;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use naru_protocol::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareAcknowledgeResponse,
    ShareAcknowledgeTopicResponse,
};

use super::lookup;
use super::share_acks::{self, AckResult, AckResults, AskedAcks, AskedBatch};
use crate::dispatch::RequestContext;
use crate::fetch_session::TopicKey;

pub(crate) async fn handle(
    context: RequestContext,
    request: ShareAcknowledgeRequest,
) -> ShareAcknowledgeResponse {
    let refuse = |error: ErrorCode| ShareAcknowledgeResponse {
        error_code: error.code(),
        ..Default::default()
    };
    let (group, member) = (request.group_id.as_deref(), request.member_id.as_deref());
    let session = match share_acks::session_of(&context, group, member) {
        Ok(session) => session,
        Err(error) => return refuse(error),
    };
    let node = &context.node;
    let planned = node.share().sessions().acknowledge(&session, request.share_session_epoch);
    let ends = match planned {
        Ok(ends) => ends,
        Err(error) => return refuse(error.into()),
    };
    let begun = share_acks::begin(&context, &session, &asked(&request), request.is_renew_ack);
    let results = share_acks::settled(begun).await;
    if ends {
        node.share().end_session(node, &session);
    }
    let lock_timeout = node.share_limits(&session.group).record_lock_duration_ms;
    answer(&context, results, lock_timeout)
}

fn asked(request: &ShareAcknowledgeRequest) -> AskedAcks {
    let mut asked = AskedAcks::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter().map(|batch| AskedBatch {
                first: batch.first_offset,
                last: batch.last_offset,
                types: batch.acknowledge_types.clone(),
            });
            asked.push(((topic.topic_id, partition.partition_index), batches.collect()));
        }
    }
    asked
}

fn answer(
    context: &RequestContext,
    results: AckResults,
    acquisition_lock_timeout_ms: i32,
) -> ShareAcknowledgeResponse {
    let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
    let mut leaders = Vec::new();
    for ((topic, partition_index), AckResult { error, message }) in results {
        let mut data = PartitionData {
            partition_index,
            error_code: error.code(),
            error_message: message,
            ..Default::default()
        };
        if lookup::is_wrong_leader(error) {
            let (leader_id, leader_epoch) =
                lookup::current_leader(&context.node, &TopicKey::Id(topic), partition_index);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
            leaders.push(leader_id);
        }
        topics.entry(topic).or_default().push(data);
    }
    let responses = topics
        .into_iter()
        .map(|(topic_id, partitions)| ShareAcknowledgeTopicResponse { topic_id, partitions });
    let endpoints = lookup::addresses(context, leaders.into_iter().filter(|id| *id >= 0))
        .into_iter()
        .map(|at| NodeEndpoint { node_id: at.id, host: at.host, port: at.port, rack: at.rack });
    ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms,
        responses: responses.collect(),
        node_endpoints: endpoints.collect(),
        ..Default::default()
    }
}
