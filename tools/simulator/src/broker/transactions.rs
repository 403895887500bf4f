//! The transaction coordinator in its shell, and the markers that it has written, as
//! `broker::coordination::transactions` and `broker::peer::markers` do.
//!
//! Different from there: a request for each partition instead of one for each leader, and every
//! InitProducerId brings a producer id with it, whether one is needed or not.

use std::collections::BTreeSet;

use naru_controller::topic_name::TRANSACTION_STATE;
use naru_coordinators::{
    ConnectionId, Marker, Markers, Reply, TransactionConfig, TransactionShard, TransactionState,
    TxnCommand, TxnReply,
};
use naru_log::Verification;
use naru_model::{ErrorCode, ProducerId, TopicPartition};
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;

use super::coordinator::{Coordinator, Hosted};
use super::{Awaited, Broker};
use crate::env::{Env, NodeEvent};
use crate::message::{
    ControllerRequest, ControllerResponse, Failed, Lane, MarkerAsk, Request, Response, Rpc, Ticket,
};
use crate::settings::{Mutation, times};
use crate::trace::note;

/// As in the broker.
const RETRY_MS: i64 = 50;
const RETRY_MAX_MS: i64 = 1000;
const UNKNOWN_MAX: u32 = 8;

impl Hosted for TransactionShard {
    const TOPIC: &'static str = TRANSACTION_STATE;

    fn empty() -> Self {
        Self::new(TransactionConfig {
            abort_timed_out_interval_ms: times::TRANSACTION_ABORT_INTERVAL_MS,
            ..TransactionConfig::default()
        })
    }

    fn place(broker: &mut Broker) -> &mut Option<Coordinator<Self>> {
        &mut broker.transactions
    }

    fn response(reply: Result<TxnReply, ErrorCode>) -> Response {
        Response::Transaction(reply)
    }

    fn carry_out(broker: &mut Broker, env: &mut Env<'_>, load: u64, markers: Markers) {
        note!(env, "n{} has {markers:?} written", env.node);
        let job = broker.number();
        let left = markers.partitions.clone();
        let known = MarkerJob { load, markers, left, under_way: 0, attempts: 0, pause: RETRY_MS };
        broker.marker_jobs.insert(job, known);
        env.later(0, NodeEvent::Markers { job });
    }
}

/// Markers of one transaction on their way.
#[derive(Debug)]
pub(super) struct MarkerJob {
    load: u64,
    markers: Markers,
    left: BTreeSet<TopicPartition>,
    under_way: usize,
    attempts: u32,
    pause: i64,
}

impl Broker {
    /// Whether a transaction that the coordinator here knows is not complete.
    pub(crate) fn open_transaction(&self) -> Option<(&str, TransactionState)> {
        let host = self.transactions.as_ref()?;
        let is_open = |(_, state): &(&str, TransactionState)| {
            *state == TransactionState::Ongoing || state.is_prepared()
        };
        host.shard.transactions().find(is_open)
    }

    /// Takes a request to the transaction coordinator.
    pub(super) fn ask_transactions(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        mut command: TxnCommand,
    ) {
        let connection = ticket.connection.map(ConnectionId);
        match &mut command {
            TxnCommand::InitProducerId { spare, .. } => {
                *spare = self.next_producer_id(env);
                if spare.is_none() {
                    let error = Err(ErrorCode::CoordinatorLoadInProgress);
                    return env.answer(ticket, Response::Transaction(error));
                }
            }
            TxnCommand::AddPartitions { participants, version, via } => {
                // A broker asks in the name of a client of version 2.
                *via = connection.filter(|_| !version.bumps_epoch());
                let unknown = |one: &TopicPartition| {
                    self.published.partition(&one.topic, one.partition).is_none()
                };
                if participants.partitions.iter().any(unknown) {
                    let error = Err(ErrorCode::UnknownTopicOrPartition);
                    return env.answer(ticket, Response::Transaction(error));
                }
            }
            TxnCommand::EndTxn { via, .. } => *via = connection,
            _ => {}
        }
        if env.settings.has(Mutation::ZombiesNotFenced) {
            self.disguise(&mut command);
        }
        self.ask_shard::<TransactionShard>(env, ticket, command, Verification::NotNeeded);
    }

    /// For the tests of the judge: whoever asks is taken for the current producer.
    fn disguise(&mut self, command: &mut TxnCommand) {
        let (id, producer) = match command {
            TxnCommand::AddPartitions { participants, .. } | TxnCommand::Verify(participants) => {
                (&participants.transactional_id, &mut participants.producer)
            }
            TxnCommand::EndTxn { transactional_id, producer, .. } => (&*transactional_id, producer),
            _ => return,
        };
        let describe = TxnCommand::Describe { transactional_id: id.clone() };
        let Some(host) = &mut self.transactions else { return };
        let token = naru_coordinators::ReplyToken(0);
        let described = naru_coordinators::Shard::handle(
            &mut host.shard,
            naru_model::Timestamp(0),
            token,
            describe,
        );
        if let Some((_, TxnReply::Described(known))) = described.replies.into_iter().next() {
            producer.epoch = known.producer_epoch.into();
        }
    }

    /// A producer id that nobody has; if there is none here the controller is asked for more.
    fn next_producer_id(&mut self, env: &mut Env<'_>) -> Option<ProducerId> {
        let next = self.producer_ids.next();
        if next.is_none() && !self.awaited.values().any(|one| matches!(one, Awaited::ProducerIds)) {
            let request = AllocateProducerIdsRequest {
                broker_id: env.node,
                broker_epoch: self.registration.epoch,
            };
            let request = ControllerRequest::AllocateProducerIds(request);
            if let Some((rpc, own)) = self.ask_controller(env, Lane::Controller, request) {
                self.awaited.insert(rpc, Awaited::ProducerIds);
                if let Some(request) = own {
                    let ticket = Ticket { connection: None, rpc };
                    let request = Box::new(request);
                    env.later(0, NodeEvent::Request { ticket, request });
                }
            }
        }
        next.map(ProducerId)
    }

    pub(super) fn producer_ids_answered(&mut self, result: Result<Response, Failed>) {
        if let Ok(Response::Controller(Ok(ControllerResponse::AllocateProducerIds(block)))) = result
            && block.error_code == 0
        {
            let first = block.producer_id_start;
            self.producer_ids = first..first + i64::from(block.producer_id_len);
        }
    }

    /// Asks another broker, or this one.
    pub(super) fn ask_broker(&self, env: &mut Env<'_>, to: i32, request: Request) -> Rpc {
        if to != env.node {
            return env.ask(to, Lane::Transactions, request, times::BROKER_TIMEOUT_MS);
        }
        let rpc = env.own_rpc();
        let ticket = Ticket { connection: None, rpc };
        env.later(0, NodeEvent::Request { ticket, request: Box::new(request) });
        rpc
    }

    /// Asks every leader that has not written its marker.
    pub(super) fn send_markers(&mut self, env: &mut Env<'_>, number: u64) {
        let Some(mut job) = self.marker_jobs.remove(&number) else { return };
        let host = self.transactions.as_ref();
        let Some(coordinator_epoch) = host.and_then(|host| host.leads_in(job.load)) else { return };
        let image = std::sync::Arc::clone(&self.published);
        let keeps_unknown = job.attempts < UNKNOWN_MAX;
        job.attempts += 1;
        let mut asks = Vec::new();
        job.left.retain(|one| {
            let known = image.partition(&one.topic, one.partition);
            asks.extend(known.and_then(|known| known.leader).map(|leader| (leader, one.clone())));
            known.is_some() || keeps_unknown
        });
        let marker = Marker {
            producer: job.markers.producer,
            commit: job.markers.commit,
            coordinator_epoch,
            version: job.markers.version,
        };
        job.under_way = asks.len();
        for (leader, partition) in asks {
            let ask = MarkerAsk { partition: partition.clone(), marker };
            let rpc = self.ask_broker(env, leader, Request::Marker(ask));
            self.awaited.insert(rpc, Awaited::Marker { job: number, partition });
        }
        if env.settings.has(Mutation::MarkersSentOnce) {
            job.left.clear();
        }
        self.go_on_with_markers(env, number, job);
    }

    pub(super) fn marker_answered(
        &mut self,
        env: &mut Env<'_>,
        number: u64,
        partition: &TopicPartition,
        result: &Result<Response, Failed>,
    ) {
        let Some(mut job) = self.marker_jobs.remove(&number) else { return };
        job.under_way -= 1;
        match result {
            Ok(
                Response::Marker(ErrorCode::None)
                | Response::Group(Ok(Reply::TransactionEnded(Ok(())))),
            ) => {
                job.left.remove(partition);
            }
            Ok(
                Response::Marker(error) | Response::Group(Ok(Reply::TransactionEnded(Err(error)))),
            ) if matches!(
                error,
                ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced
            ) =>
            {
                note!(env, "n{} gives markers up: {error}: {:?}", env.node, job.markers);
                return;
            }
            // Who did not answer is asked again, or another leader is.
            Ok(_) | Err(_) => {}
        }
        self.go_on_with_markers(env, number, job);
    }

    fn go_on_with_markers(&mut self, env: &mut Env<'_>, number: u64, mut job: MarkerJob) {
        if job.under_way == 0 && job.left.is_empty() {
            let Markers { transactional_id, producer, .. } = job.markers;
            let command = TxnCommand::MarkersWritten { transactional_id, producer };
            return self.tell_shard::<TransactionShard>(env, job.load, command);
        }
        if job.under_way == 0 {
            env.later(job.pause, NodeEvent::Markers { job: number });
            job.pause = (job.pause * 2).min(RETRY_MAX_MS);
        }
        self.marker_jobs.insert(number, job);
    }
}
