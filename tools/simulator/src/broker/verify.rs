//! Producing in a transaction: it begins in a partition only with the coordinator's word, as
//! `broker::api::{produce, verified, txn_markers}` and `broker::peer::verify` do.
//!
//! Different from there: a coordinator that is busy is asked again by the client only.

use std::collections::BTreeSet;

use naru_controller::topic_name::TRANSACTION_STATE;
use naru_coordinators::{Identity, Participants, TransactionVersion, TxnCommand, TxnReply};
use naru_log::{Verification, VerificationGuard};
use naru_model::{ErrorCode, TopicPartition};
use naru_records::BatchHeader;

use super::{Awaited, Broker};
use crate::env::Env;
use crate::message::{
    Failed, InTransaction, MarkerAsk, ProduceAnswer, ProduceAsk, Request, Response, Ticket,
};

/// A batch that waits for the coordinator's word.
#[derive(Debug)]
pub(super) struct Verifying {
    ticket: Ticket,
    ask: ProduceAsk,
    guard: VerificationGuard,
}

impl Broker {
    pub(super) fn produce(&mut self, env: &mut Env<'_>, ticket: Ticket, ask: ProduceAsk) {
        let Some(transaction) = ask.transaction else {
            return self.append(env, ticket, &ask, Verification::NotNeeded);
        };
        match self.begin(env, &ask, transaction) {
            Ok(None) => self.append(env, ticket, &ask, Verification::Needed(None)),
            Ok(Some((guard, coordinator, command))) => {
                let request = Request::Transaction(Box::new(command));
                let rpc = self.ask_broker(env, coordinator, request);
                let verifying = Box::new(Verifying { ticket, ask, guard });
                self.awaited.insert(rpc, Awaited::Verification(verifying));
            }
            Err(error) => refuse(env, ticket, error),
        }
    }

    fn append(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        ask: &ProduceAsk,
        verification: Verification,
    ) {
        match self.partitions.get_mut(&ask.key) {
            Some(partition) => {
                partition.produce(env, &self.brokers, ticket, &ask.batch, verification);
            }
            None => refuse(env, ticket, ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Guard, coordinator and question for a batch that would begin a transaction; none if it has
    /// begun.
    fn begin(
        &mut self,
        env: &Env<'_>,
        ask: &ProduceAsk,
        transaction: InTransaction,
    ) -> Result<Option<(VerificationGuard, i32, TxnCommand)>, ErrorCode> {
        let partition = self.partitions.get_mut(&ask.key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.offline {
            return Err(ErrorCode::KafkaStorageError);
        }
        if !partition.replica.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let stamp = BatchHeader::parse(&ask.batch).ok().and_then(|header| header.producer());
        let stamp = stamp.ok_or(ErrorCode::InvalidRecord)?;
        let now = env.wall();
        let Some(guard) = partition.log.begin_verification(stamp, transaction.adds, now) else {
            return Ok(None);
        };
        let image = &self.published;
        let topic = image.topic_by_id(ask.key.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let coordinator = image.partition(TRANSACTION_STATE, 0).and_then(|one| one.leader);
        let coordinator = coordinator.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let one = TopicPartition::new(topic.name.to_string(), ask.key.partition);
        let participants = Participants {
            transactional_id: transaction.transactional_id.to_owned(),
            producer: Identity { id: stamp.id, epoch: stamp.epoch },
            partitions: BTreeSet::from([one]),
        };
        let command = if transaction.adds {
            TxnCommand::AddPartitions { participants, version: TransactionVersion::V2, via: None }
        } else {
            TxnCommand::Verify(participants)
        };
        Ok(Some((guard, coordinator, command)))
    }

    /// The coordinator has spoken, or has not.
    pub(super) fn verified(
        &mut self,
        env: &mut Env<'_>,
        verifying: &Verifying,
        result: Result<Response, Failed>,
    ) {
        let error = match result {
            Ok(Response::Transaction(Ok(TxnReply::Added))) => ErrorCode::None,
            Ok(Response::Transaction(Ok(TxnReply::Verified(verdicts)))) => {
                verdicts.first().map_or(ErrorCode::UnknownServerError, |(_, verdict)| *verdict)
            }
            Ok(Response::Transaction(Ok(TxnReply::Refused(error)) | Err(error))) => error,
            Ok(_) => ErrorCode::UnknownServerError,
            Err(_) => ErrorCode::NetworkException,
        };
        let Verifying { ticket, ask, guard } = verifying;
        let adds = ask.transaction.is_some_and(|transaction| transaction.adds);
        match error {
            ErrorCode::None => self.append(env, *ticket, ask, Verification::Needed(Some(*guard))),
            // Clients of any age try again without looking for another leader.
            ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => refuse(env, *ticket, ErrorCode::NotEnoughReplicas),
            ErrorCode::ConcurrentTransactions if !adds => {
                refuse(env, *ticket, ErrorCode::NotEnoughReplicas);
            }
            ErrorCode::ProducerFenced => refuse(env, *ticket, ErrorCode::InvalidProducerEpoch),
            error => refuse(env, *ticket, error),
        }
    }

    /// Ends a transaction in a partition that this broker leads.
    pub(super) fn write_marker(&mut self, env: &mut Env<'_>, ticket: Ticket, ask: &MarkerAsk) {
        let topic = self.published.topic(&ask.partition.topic);
        let key = topic.map(|topic| naru_replication::PartitionKey {
            topic: topic.id,
            partition: ask.partition.partition,
        });
        match key.and_then(|key| self.partitions.get_mut(&key)) {
            Some(partition) => partition.write_marker(env, &self.brokers, ticket, ask.marker),
            None => {
                env.answer(ticket, Response::Marker(ErrorCode::NotLeaderOrFollower));
            }
        }
    }
}

fn refuse(env: &mut Env<'_>, ticket: Ticket, error: ErrorCode) {
    env.answer(ticket, Response::Produce(ProduceAnswer { error, base_offset: -1 }));
}
