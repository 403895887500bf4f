//! The group coordinator in its shell.

use std::convert::Infallible;

use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_coordinators::{Command, GroupConfig, GroupShard, Reply};
use naru_log::Verification;
use naru_model::{ErrorCode, Sequence};
use naru_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use naru_records::ProducerStamp;
use naru_replication::PartitionKey;

use super::Broker;
use super::coordinator::{Coordinator, Hosted};
use super::verify::Waiting;
use crate::env::Env;
use crate::message::{InTransaction, Response, Ticket};

impl Hosted for GroupShard {
    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn empty() -> Self {
        Self::new(GroupConfig { initial_rebalance_delay_ms: 100, ..GroupConfig::default() })
    }

    fn place(broker: &mut Broker) -> &mut Option<Coordinator<Self>> {
        &mut broker.groups
    }

    fn response(reply: Result<Reply, ErrorCode>) -> Response {
        Response::Group(reply)
    }

    fn carry_out(_: &mut Broker, _: &mut Env<'_>, _: u64, effect: Infallible) {
        match effect {}
    }
}

impl Broker {
    /// Takes a request of a client, or the end of a producer's transaction.
    pub(super) fn ask_groups(&mut self, env: &mut Env<'_>, ticket: Ticket, command: Command) {
        self.ask_shard::<GroupShard>(env, ticket, command, Verification::NotNeeded);
    }

    /// Offsets for a producer's transaction: the group's partition joins it, or must be in it.
    pub(super) fn commit_in_transaction(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        request: TxnOffsetCommitRequest,
        transaction: InTransaction,
    ) {
        let producer = ProducerStamp {
            id: request.producer_id.into(),
            epoch: request.producer_epoch.into(),
            base_sequence: Sequence(-1),
        };
        let key = self
            .published
            .topic(CONSUMER_OFFSETS)
            .map(|topic| PartitionKey { topic: topic.id, partition: 0 });
        let begun = match key {
            Some(key) => self.begin(env, key, producer, transaction),
            None => Err(ErrorCode::CoordinatorNotAvailable),
        };
        let waiting = Waiting::Offsets(Box::new(request), transaction);
        self.verify(env, ticket, waiting, begun);
    }
}

/// What a client's commit or look came to: the offset that is committed, or nothing.
pub(crate) fn committed_offset(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::OffsetFetch(group) if group.error_code == 0 => {
            let partition = group.topics.first()?.partitions.first()?;
            (partition.error_code == 0).then_some(partition.committed_offset)
        }
        _ => None,
    }
}
