//! Sends what leaders want of their ISRs to the controller (AlterPartition), and ticks them.
//!
//! One request is on its way at a time and carries everything that waited for the one before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Offset, Uuid};
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use naru_protocol::messages::alter_partition_response::AlterPartitionResponse;
use naru_replication::{Event, IsrAnswer, PartitionKey};
use tokio::sync::mpsc;

use crate::node::Node;
use crate::partition::Proposed;

/// Partitions in one request.
const BATCH_MAX: usize = 10_000;
/// Longest time between two looks at what followers do.
const TICK_MAX: Duration = Duration::from_millis(500);
/// No registration to compare with.
const ANY_EPOCH: i64 = -1;

/// Starts the tasks that do it, and the one that mends damage.
pub(crate) fn send_isr_changes(node: &Arc<Node>, proposals: mpsc::UnboundedReceiver<Proposed>) {
    node.background().spawn(send(Arc::clone(node), proposals));
    node.background().spawn(tick(Arc::clone(node)));
    node.background().spawn(super::mend::run(Arc::clone(node)));
}

async fn send(node: Arc<Node>, mut proposals: mpsc::UnboundedReceiver<Proposed>) {
    let mut batch = Vec::new();
    let mut stop = node.stopping();
    loop {
        tokio::select! {
            count = proposals.recv_many(&mut batch, BATCH_MAX) => if count == 0 { return },
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
        let batch = last_of_each(std::mem::take(&mut batch));
        let request = request(&node, &batch);
        let link = node.controller_link();
        let answer = link.send(request).await;
        answer_all(batch, answer);
    }
}

/// Of several proposals for a partition only the last one waits for its answer, and an answer
/// says nothing of which proposal it is for.
fn last_of_each(mut batch: Vec<Proposed>) -> Vec<Proposed> {
    let mut seen = HashSet::new();
    batch.reverse();
    batch.retain(|proposed| seen.insert(proposed.partition.key()));
    batch.reverse();
    batch
}

fn request(node: &Node, batch: &[Proposed]) -> AlterPartitionRequest {
    let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
    for Proposed { partition, proposal } in batch {
        let state = |(id, epoch): &(BrokerId, Option<naru_model::BrokerEpoch>)| BrokerState {
            broker_id: id.0,
            broker_epoch: epoch.map_or(ANY_EPOCH, |epoch| epoch.0),
        };
        topics.entry(partition.topic_id()).or_default().push(PartitionData {
            partition_index: partition.index(),
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: proposal.isr.iter().map(state).collect(),
            // A leader that was elected uncleanly has recovered once it changes its ISR.
            leader_recovery_state: 0,
            partition_epoch: proposal.partition_epoch,
            ..PartitionData::default()
        });
    }
    let topics = topics.into_iter();
    AlterPartitionRequest {
        broker_id: node.id(),
        broker_epoch: node.metadata().broker_epoch(),
        topics: topics.map(|(topic_id, partitions)| TopicData { topic_id, partitions }).collect(),
    }
}

fn answer_all(batch: Vec<Proposed>, answer: Result<AlterPartitionResponse, ErrorCode>) {
    let response = match answer {
        Ok(response) if response.error_code == 0 => Ok(response),
        Ok(response) => Err(ErrorCode::from_code(response.error_code)),
        Err(error) => Err(error),
    };
    for Proposed { partition, proposal } in batch {
        let number = proposal.number;
        let data = response.as_ref().map(|response| {
            let topic = response.topics.iter().find(|topic| topic.topic_id == partition.topic_id());
            topic.and_then(|topic| {
                topic.partitions.iter().find(|data| data.partition_index == partition.index())
            })
        });
        let isr: Vec<BrokerId>;
        let answer = match data {
            Ok(Some(data)) if data.error_code == 0 => {
                isr = data.isr.iter().copied().map(BrokerId).collect();
                IsrAnswer::Committed {
                    leader_epoch: LeaderEpoch(data.leader_epoch),
                    partition_epoch: data.partition_epoch,
                    isr: &isr,
                }
            }
            Ok(Some(data)) => IsrAnswer::Refused(ErrorCode::from_code(data.error_code)),
            Ok(None) => IsrAnswer::Refused(ErrorCode::UnknownServerError),
            Err(error) => IsrAnswer::Refused(again(*error)),
        };
        if let IsrAnswer::Refused(error) = answer {
            let isr: Vec<i32> = proposal.isr.iter().map(|(id, _)| id.0).collect();
            tracing::debug!(partition = %partition.name(), %error, ?isr, "ISR not changed");
        }
        partition.step(Event::IsrAnswered { proposal: number, answer });
    }
}

/// An error of the whole request says nothing of one partition: it is asked again.
fn again(error: ErrorCode) -> ErrorCode {
    if error.is_retriable() { error } else { ErrorCode::UnknownServerError }
}

/// Lets leaders look at their followers from time to time.
async fn tick(node: Arc<Node>) {
    let half = u64::try_from(node.config().replication.lag_time_max_ms / 2).unwrap_or(1);
    let every = Duration::from_millis(half.max(1)).min(TICK_MAX);
    let mut stuck = HashMap::new();
    let mut stop = node.stopping();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
        for partition in node.partitions().all() {
            let role = partition.role();
            if role.leads && !role.is_sole {
                partition.step(Event::Tick);
            }
        }
        send_producers_away(&node, &mut stuck);
    }
}

/// A leader whose lease is over, and whose followers do not fetch either, is cut off: another may
/// lead by now. Its producers would wait for an answer until they give up, and then ask it again.
/// They are told to look for the leader, which costs one that has none a retry now and then.
/// `stuck` is where the high watermarks of their partitions stood at the last look.
fn send_producers_away(node: &Arc<Node>, stuck: &mut HashMap<PartitionKey, Offset>) {
    if node.registration().is_in_contact(node.config().cluster.session_timeout_ms) {
        stuck.clear();
        return;
    }
    let mut stands = HashMap::new();
    for partition in node.partitions().all() {
        let Some(at) = partition.producers_wait_at() else { continue };
        if stuck.get(&partition.key()) == Some(&at) {
            partition.send_producers_away();
        }
        stands.insert(partition.key(), at);
    }
    *stuck = stands;
}
