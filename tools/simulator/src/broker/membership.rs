//! Registration, heartbeats and ISR changes: what a broker asks of the controller, as
//! `broker::peer::{registration, isr, link}` do.

use std::collections::{BTreeMap, BTreeSet};

use naru_controller::controller::FEATURES;
use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Uuid};
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use naru_protocol::messages::alter_partition_response::AlterPartitionResponse;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use naru_replication::{Event, IsrAnswer, IsrProposal, PartitionKey};

use super::{Awaited, Broker};
use crate::env::{Env, NodeEvent};
use crate::message::{ControllerRequest, ControllerResponse, Failed, Lane, Request, Response, Rpc};
use crate::metadata::{CLUSTER, Leadership};
use crate::settings::times;
use crate::trace::note;

/// As in the broker.
const RETRY_MS: i64 = 50;
const EAGER_MS: i64 = 50;
const REFUSED_MS: i64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Fenced,
    Serve,
    ShutDown,
}

/// What this broker is to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Unknown,
    Fenced,
    Serving,
    MayGo,
}

/// What this broker wants of the controller, and what it got.
#[derive(Debug)]
pub(crate) struct Registration {
    incarnation: Uuid,
    previous_epoch: i64,
    pub(crate) epoch: i64,
    pub(crate) state: State,
    wish: Wish,
    /// Wakes of earlier turns do not count.
    turn: u64,
    asking: bool,
    began: i64,
    /// When the last heartbeat was sent that a controller has answered.
    pub(super) contact: i64,
    leadership: Leadership,
}

impl Registration {
    pub(super) fn new(incarnation: Uuid, previous_epoch: i64) -> Self {
        Self {
            incarnation,
            previous_epoch,
            epoch: -1,
            state: State::Unknown,
            wish: Wish::Fenced,
            turn: 0,
            asking: false,
            began: 0,
            contact: 0,
            leadership: Leadership::default(),
        }
    }

    fn wake_in(&mut self, env: &mut Env<'_>, ms: i64) {
        self.turn += 1;
        env.later(ms.max(0), NodeEvent::Registration { turn: self.turn });
    }
}

impl Broker {
    /// Asks the active controller; none if none is known.
    pub(super) fn ask_controller(
        &self,
        env: &mut Env<'_>,
        lane: Lane,
        request: ControllerRequest,
    ) -> Option<(Rpc, Option<Request>)> {
        let leadership = self.registration.leadership;
        let request = Request::Controller(request);
        if leadership.active_here {
            return Some((env.own_rpc(), Some(request)));
        }
        let leader = leadership.leader.filter(|leader| *leader != env.node)?;
        Some((env.ask(leader, lane, request, times::CONTROLLER_TIMEOUT_MS), None))
    }

    /// News of who leads the quorum: a new controller hears of this broker at once.
    pub(crate) fn learn_leadership(&mut self, env: &mut Env<'_>, leadership: Leadership) {
        if self.registration.leadership != leadership {
            self.registration.leadership = leadership;
            if !self.registration.asking {
                self.registration.wake_in(env, 0);
            }
        }
    }

    /// Asks to be unfenced.
    pub(crate) fn wish_to_serve(&mut self, env: &mut Env<'_>) {
        if self.registration.wish == Wish::Fenced {
            self.registration.wish = Wish::Serve;
            self.hurry(env);
        }
    }

    /// Asks to be let go.
    pub(crate) fn wish_to_stop(&mut self, env: &mut Env<'_>) {
        self.registration.wish = Wish::ShutDown;
        self.hurry(env);
    }

    fn hurry(&mut self, env: &mut Env<'_>) {
        if !self.registration.asking {
            self.registration.wake_in(env, 0);
        }
    }

    /// Registers or tells that it lives. What the node itself has to answer, if it is the active
    /// controller.
    pub(crate) fn registration_due(
        &mut self,
        env: &mut Env<'_>,
        turn: u64,
        metadata_end: i64,
    ) -> Option<(Rpc, Request)> {
        if turn != self.registration.turn || self.registration.asking {
            return None;
        }
        self.registration.began = env.now;
        let unknown = self.registration.state == State::Unknown;
        let (request, awaited) = if unknown {
            (ControllerRequest::Register(self.registration_request(env)), Awaited::Registration)
        } else {
            let wish = self.registration.wish;
            let request = BrokerHeartbeatRequest {
                broker_id: env.node,
                broker_epoch: self.registration.epoch,
                current_metadata_offset: metadata_end - 1,
                want_fence: wish == Wish::Fenced,
                want_shut_down: wish == Wish::ShutDown,
                ..BrokerHeartbeatRequest::default()
            };
            (ControllerRequest::Heartbeat(request), Awaited::Heartbeat)
        };
        match self.ask_controller(env, Lane::Lifecycle, request) {
            Some((rpc, own)) => {
                self.registration.asking = true;
                self.awaited.insert(rpc, awaited);
                own.map(|request| (rpc, request))
            }
            None => {
                self.registration.wake_in(env, RETRY_MS);
                None
            }
        }
    }

    fn registration_request(&self, env: &Env<'_>) -> BrokerRegistrationRequest {
        BrokerRegistrationRequest {
            broker_id: env.node,
            cluster_id: CLUSTER.to_owned(),
            incarnation_id: self.registration.incarnation,
            listeners: vec![Listener {
                name: "PLAINTEXT".to_owned(),
                host: "sim".to_owned(),
                port: 1,
                security_protocol: 0,
            }],
            features: FEATURES
                .iter()
                .map(|feature| Feature {
                    name: feature.name.to_owned(),
                    min_supported_version: feature.min,
                    max_supported_version: feature.max,
                })
                .collect(),
            log_dirs: vec![crate::metadata::directory(env.node)],
            previous_broker_epoch: self.registration.previous_epoch,
            ..BrokerRegistrationRequest::default()
        }
    }

    pub(super) fn registered(&mut self, env: &mut Env<'_>, result: Result<Response, Failed>) {
        self.registration.asking = false;
        let wait = match result {
            Ok(Response::Controller(Ok(ControllerResponse::Register(response)))) => {
                if response.error_code == 0 {
                    note!(env, "n{} registered as {}", env.node, response.broker_epoch);
                    self.registration.epoch = response.broker_epoch;
                    self.registration.state = State::Fenced;
                    // The node waits until it has read of it; then heartbeats begin.
                    return;
                }
                note!(env, "n{} is not registered: {}", env.node, response.error_code);
                REFUSED_MS
            }
            _ => RETRY_MS,
        };
        self.registration.wake_in(env, wait);
    }

    /// This node has read its own registration: heartbeats begin.
    pub(crate) fn begin_heartbeats(&mut self, env: &mut Env<'_>) {
        self.hurry(env);
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        env: &mut Env<'_>,
        result: Result<Response, Failed>,
    ) {
        self.registration.asking = false;
        let wait = match result {
            Ok(Response::Controller(Ok(ControllerResponse::Heartbeat(response)))) => {
                match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => {
                        self.registration.contact = self.registration.began;
                        let state = if response.should_shut_down {
                            State::MayGo
                        } else if response.is_fenced {
                            State::Fenced
                        } else {
                            State::Serving
                        };
                        if self.registration.state != state {
                            note!(env, "n{} is {state:?} to the controller", env.node);
                        }
                        self.registration.state = state;
                        let settled = match self.registration.wish {
                            Wish::Fenced => true,
                            Wish::Serve => state == State::Serving,
                            Wish::ShutDown => state == State::MayGo,
                        };
                        if settled { times::HEARTBEAT_MS } else { EAGER_MS }
                    }
                    ErrorCode::NotController => RETRY_MS,
                    error => {
                        note!(env, "n{} has to register again: {error}", env.node);
                        self.registration.state = State::Unknown;
                        0
                    }
                }
            }
            _ => RETRY_MS,
        };
        let took = env.now - self.registration.began;
        self.registration.wake_in(env, wait - took);
    }

    /// Sends what leaders want of their ISRs: one request at a time.
    pub(super) fn send_proposals(&mut self, env: &mut Env<'_>) {
        if self.proposing || self.proposals.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.proposals);
        // Of several proposals for a partition only the last one waits for its answer.
        let mut seen = BTreeSet::new();
        batch.reverse();
        batch.retain(|(key, ..)| seen.insert(*key));
        batch.reverse();
        let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
        for (key, _, proposal) in &batch {
            let isr = proposal.isr.iter().map(|(id, epoch)| BrokerState {
                broker_id: id.0,
                broker_epoch: epoch.map_or(-1, |epoch| epoch.0),
            });
            topics.entry(key.topic).or_default().push(PartitionData {
                partition_index: key.partition,
                leader_epoch: proposal.leader_epoch.0,
                new_isr_with_epochs: isr.collect(),
                partition_epoch: proposal.partition_epoch,
                ..PartitionData::default()
            });
        }
        let topics = topics.into_iter();
        let request = AlterPartitionRequest {
            broker_id: env.node,
            broker_epoch: self.registration.epoch,
            topics: topics
                .map(|(topic_id, partitions)| TopicData { topic_id, partitions })
                .collect(),
        };
        let request = ControllerRequest::AlterPartition(request);
        match self.ask_controller(env, Lane::Controller, request) {
            Some((rpc, own)) => {
                self.proposing = true;
                self.awaited.insert(rpc, Awaited::AlterPartition(batch));
                if let Some(request) = own {
                    let ticket = crate::message::Ticket { connection: None, rpc };
                    let request = Box::new(request);
                    env.later(0, NodeEvent::Request { ticket, request });
                }
            }
            None => self.answer_proposals(env, &batch, &Err(ErrorCode::NotController)),
        }
    }

    pub(super) fn isr_answered(
        &mut self,
        env: &mut Env<'_>,
        batch: &[(PartitionKey, u64, IsrProposal)],
        result: Result<Response, Failed>,
    ) {
        self.proposing = false;
        let response = match result {
            Ok(Response::Controller(Ok(ControllerResponse::AlterPartition(response)))) => {
                match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => Ok(response),
                    error => Err(error),
                }
            }
            Ok(Response::Controller(Err(error))) => Err(error),
            Ok(_) | Err(_) => Err(ErrorCode::NetworkException),
        };
        self.answer_proposals(env, batch, &response);
    }

    fn answer_proposals(
        &mut self,
        env: &mut Env<'_>,
        batch: &[(PartitionKey, u64, IsrProposal)],
        response: &Result<AlterPartitionResponse, ErrorCode>,
    ) {
        for (key, instance, proposal) in batch {
            let data = response.as_ref().map(|response| {
                let topic = response.topics.iter().find(|topic| topic.topic_id == key.topic)?;
                topic.partitions.iter().find(|data| data.partition_index == key.partition)
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
                // An error of the whole request says nothing of one partition.
                Err(error) if error.is_retriable() => IsrAnswer::Refused(*error),
                Err(_) => IsrAnswer::Refused(ErrorCode::UnknownServerError),
            };
            note!(
                env,
                "n{} {:?} ISR {:?} from partition epoch {}: {}",
                env.node,
                super::partition::short(*key),
                proposal.isr.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
                proposal.partition_epoch,
                match answer {
                    IsrAnswer::Committed { .. } => "committed".to_owned(),
                    IsrAnswer::Refused(error) => format!("{error}"),
                }
            );
            let brokers = &self.brokers;
            let found = self.partitions.get_mut(key).filter(|one| one.instance == *instance);
            if let Some(partition) = found {
                let event = Event::IsrAnswered { proposal: proposal.number, answer };
                partition.step(env, brokers, event);
            }
        }
    }
}
