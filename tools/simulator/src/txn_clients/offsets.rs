//! Offsets that go with a transaction (KIP-98, 447): its number is the offset.

use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_coordinators::Identity;
use naru_model::ErrorCode;
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::{Doing, GROUP, Offsets, RETRY_MS, TOPIC, is_fencing};
use crate::message::{Actor, InTransaction, Request};
use crate::trace::note;
use crate::world::World;

impl World {
    /// Sends the number of the transaction as an offset to the group's coordinator.
    pub(super) fn commit_offsets(&mut self, actor: Actor, number: u64) -> Offsets {
        let coordinator = self.coordinator_for(actor, CONSUMER_OFFSETS);
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return Offsets::None };
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: offset_partition(producer.identity),
            committed_offset: i64::try_from(number).unwrap_or(i64::MAX),
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic =
            TxnOffsetCommitRequestTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            transactional_id: producer.transactional_id.to_owned(),
            group_id: GROUP.to_owned(),
            producer_id: producer.identity.id.0,
            producer_epoch: producer.identity.epoch.0,
            generation_id: -1,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        let transactional_id = producer.transactional_id;
        let transaction = InTransaction { transactional_id, adds: producer.version.bumps_epoch() };
        let request = Request::TxnOffsets(Box::new(request), transaction);
        let sent = coordinator.and_then(|to| self.send_as(actor, to, request));
        sent.map_or(Offsets::ToSend, Offsets::Sent)
    }

    pub(super) fn offsets_answered(&mut self, actor: Actor, code: ErrorCode) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        let Doing::Writes(txn) = &mut producer.doing else { return };
        let number = txn.number;
        txn.offsets = Offsets::ToSend;
        match code {
            ErrorCode::None => {
                note!(self, "c{actor} has its offset in {number}");
                txn.offsets = Offsets::Stored;
                self.judge.transactions.has_offset(number);
            }
            code if is_fencing(code) => return self.replaced(actor, number),
            ErrorCode::TransactionAbortable | ErrorCode::InvalidTxnState => {
                note!(self, "c{actor} aborts {number}: {code}");
                (txn.commit, txn.unsure) = (false, true);
                let doing = std::mem::replace(&mut producer.doing, Doing::Nothing);
                if let Doing::Writes(txn) = doing {
                    self.set(actor, Doing::Ends(txn));
                }
            }
            _ => {}
        }
        self.plan_transaction(actor, RETRY_MS);
    }
}

/// Where the offsets of a producer's transactions go.
fn offset_partition(producer: Identity) -> i32 {
    i32::try_from(producer.id.0).unwrap_or(i32::MAX)
}
