//! The controller's rows: which decision each request asks for.

use std::collections::BTreeMap;

use naru_controller::controller::{BrokerSessions, CreateTopics, RegisterBroker};
use naru_controller::{Controller, RecordAndVersion};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::metadata::MetadataRecord;
use naru_quotas::MutationQuota;

use super::CLUSTER;
use crate::message::{ControllerRequest, ControllerResponse};
use crate::random::Random;
use crate::settings::{Mutation, Settings};

/// What decisions are made from.
pub(super) struct Deciding<'a> {
    pub(super) here: i32,
    pub(super) controller: &'a Controller,
    pub(super) sessions: &'a mut BrokerSessions,
    pub(super) now: i64,
    pub(super) next_offset: i64,
    pub(super) dynamic: bool,
    pub(super) hears_majority: bool,
    pub(super) lost: &'a BTreeMap<i32, i64>,
    pub(super) random: &'a mut Random,
}

/// The records, the response, and whether it waits until this node has reacted.
pub(super) fn decide(
    deciding: &mut Deciding<'_>,
    request: &ControllerRequest,
) -> (Vec<RecordAndVersion>, ControllerResponse, bool) {
    let controller = deciding.controller;
    match request {
        ControllerRequest::Register(request) => {
            let id = request.broker_id;
            let registered = controller.image().broker(id).map_or(-1, |broker| broker.epoch);
            let context = RegisterBroker {
                version: 4,
                cluster_id: CLUSTER,
                kraft_version: i16::from(deciding.dynamic),
                next_offset: deciding.next_offset,
                previous_process_is_gone: id == deciding.here
                    || deciding.lost.get(&id) == Some(&registered),
                now_ms: deciding.now,
            };
            let decision =
                controller.decide_broker_registration(deciding.sessions, request, context);
            (decision.records, ControllerResponse::Register(decision.response), false)
        }
        ControllerRequest::Heartbeat(request) => {
            let mut decision =
                controller.decide_broker_heartbeat(deciding.sessions, deciding.now, request);
            if decision.records.is_empty() && !deciding.hears_majority {
                decision.response.error_code = ErrorCode::NotController.code();
            }
            (decision.records, ControllerResponse::Heartbeat(decision.response), false)
        }
        ControllerRequest::AlterPartition(request) => {
            let decision = controller.decide_alter_partition(request, 3);
            (decision.records, ControllerResponse::AlterPartition(decision.response), false)
        }
        ControllerRequest::AllocateProducerIds(request) => {
            let decision = controller.decide_allocate_producer_ids(request);
            (decision.records, ControllerResponse::AllocateProducerIds(decision.response), false)
        }
        ControllerRequest::CreateTopics(request) => {
            let random = &mut *deciding.random;
            let mut context = CreateTopics {
                quota: MutationQuota::unlimited(),
                default_partitions: 1,
                default_replication_factor: 1,
                new_id: || Uuid(u128::from(random.any()) << 32 | 1),
            };
            let decision = controller.decide_create_topics(request, &mut context);
            let codes = decision.response.topics.iter().map(|topic| topic.error_code);
            (decision.records, done(codes), true)
        }
        ControllerRequest::DeleteTopics(request) => {
            let decision =
                controller.decide_delete_topics(request, &mut MutationQuota::unlimited());
            let codes = decision.response.responses.iter().map(|topic| topic.error_code);
            (decision.records, done(codes), true)
        }
        ControllerRequest::ElectLeaders(request) => {
            let decision = controller.decide_elect_leaders(request);
            (decision.records, done([decision.response.error_code]), true)
        }
        ControllerRequest::Reassign(request) => {
            let decision = controller.decide_alter_reassignments(request);
            let topics = decision.response.responses.iter();
            let codes = topics.flat_map(|topic| topic.partitions.iter().map(|p| p.error_code));
            let response = done(codes);
            (decision.records, response, true)
        }
    }
}

fn done(codes: impl IntoIterator<Item = i16>) -> ControllerResponse {
    let first = codes.into_iter().find(|code| *code != 0).unwrap_or(0);
    ControllerResponse::Done(ErrorCode::from_code(first))
}

/// For the tests of the judge: a controller that elects whom it should not.
pub(super) fn mutate(
    settings: &Settings,
    committed: &Controller,
    mut records: Vec<RecordAndVersion>,
) -> Vec<RecordAndVersion> {
    if !settings.has(Mutation::LeaderOutsideIsr) {
        return records;
    }
    for record in &mut records {
        let MetadataRecord::PartitionChangeRecord(change) = &mut record.record else { continue };
        let topic = committed.image().topic_by_id(change.topic_id);
        let Some(known) = topic.and_then(|topic| topic.partitions.get(&change.partition_id)) else {
            continue;
        };
        let isr = change.isr.clone().unwrap_or_else(|| known.isr.clone());
        let outside = known.replicas.iter().find(|id| !isr.contains(id));
        if let (Some(outside), true) = (outside, change.leader >= 0) {
            change.leader = *outside;
        }
    }
    records
}
