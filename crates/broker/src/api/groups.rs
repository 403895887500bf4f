//! The classic group protocol: JoinGroup (11, v0–v9), SyncGroup (14, v0–v5), Heartbeat (12,
//! v0–v4), LeaveGroup (13, v0–v5). KIP-62, 134, 345, 394, 800, 814.
//!
//! The rules live in `naru_coordinators`; this file carries requests there and answers back.

use naru_coordinators::{ClientContext, Command, Reply};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::join_group_request::JoinGroupRequest;
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::leave_group_response::LeaveGroupResponse;
use naru_protocol::messages::sync_group_request::SyncGroupRequest;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;

use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) async fn join(context: RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let group = request.group_id.clone();
    if let Some(error_code) = not_a_reader(&context, &group) {
        return JoinGroupResponse { error_code, ..Default::default() };
    }
    let member_uuid = Uuid::from_random(context.node.random());
    let command = Command::JoinGroup { context: client(&context), request, member_uuid };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::JoinGroup(response)) => response,
        other => JoinGroupResponse { error_code: unexpected(other), ..Default::default() },
    }
}

pub(crate) async fn sync(context: RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let group = request.group_id.clone();
    if let Some(error_code) = not_a_reader(&context, &group) {
        return SyncGroupResponse { error_code, ..Default::default() };
    }
    let command = Command::SyncGroup { api_version: context.version, request };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::SyncGroup(response)) => response,
        other => SyncGroupResponse { error_code: unexpected(other), ..Default::default() },
    }
}

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let group = request.group_id.clone();
    if let Some(error_code) = not_a_reader(&context, &group) {
        return HeartbeatResponse { error_code, ..Default::default() };
    }
    match context.node.coordination().ask(&group, Command::Heartbeat(request)).await {
        Ok(Reply::Heartbeat(response)) => response,
        other => HeartbeatResponse { error_code: unexpected(other), ..Default::default() },
    }
}

pub(crate) async fn leave(
    context: RequestContext,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let group = request.group_id.clone();
    if let Some(error_code) = not_a_reader(&context, &group) {
        return LeaveGroupResponse { error_code, ..Default::default() };
    }
    let command = Command::LeaveGroup { context: client(&context), request };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::LeaveGroup(response)) => response,
        other => LeaveGroupResponse { error_code: unexpected(other), ..Default::default() },
    }
}

/// The error of a client that may not take part in a group.
pub(super) fn not_a_reader(context: &RequestContext, group: &str) -> Option<i16> {
    let refused = !context.may(Operation::Read, Resource::Group(group));
    refused.then_some(ErrorCode::GroupAuthorizationFailed.code())
}

pub(super) fn client(context: &RequestContext) -> ClientContext {
    ClientContext {
        api_version: context.version,
        client_id: context.client_id().to_owned(),
        client_host: context.client_host(),
        viewer: None,
    }
}
