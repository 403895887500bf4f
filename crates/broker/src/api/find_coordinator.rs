//! FindCoordinator (key 10, v0–v6). KIP-98, 699, 932.
//!
//! v1 key type · v3 flexible · v4 several keys · v6 share coordinators. Groups only: transactions
//! and share groups are not served yet, and a client that asks is told so at once.

use naru_model::ErrorCode;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use super::INVALID_REQUEST;
use crate::coordination::{OFFSETS_TOPIC, partition_of_group};
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// First version with several keys.
const KEYS_SINCE: i16 = 4;
/// First version with share coordinators.
const SHARE_SINCE: i16 = 6;
/// What Kafka says in versions of one key when nothing is wrong.
const NO_ERROR: &str = "NONE";

pub(crate) async fn handle(
    context: RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let found = find(&context, request.key_type).await;
    let may = |group: &str| {
        if context.may(Operation::Describe, Resource::Group(group)) {
            Ok(())
        } else {
            let text =
                if context.version >= KEYS_SINCE { "" } else { "Group authorization failed." };
            Err((ErrorCode::GroupAuthorizationFailed, Some(text)))
        }
    };
    let look = |key: &str| found.and_then(|()| may(key)).and_then(|()| place(&context, key));
    let coordinator = |key: String| match look(&key) {
        Ok((node_id, host, port)) => Coordinator {
            key,
            node_id,
            host,
            port,
            error_message: Some(String::new()),
            ..Default::default()
        },
        Err((error, message)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: message.map(str::to_owned),
            ..Default::default()
        },
    };
    if context.version >= KEYS_SINCE {
        let coordinators = request.coordinator_keys.into_iter().map(coordinator).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let one = coordinator(request.key);
    let error_message =
        if one.error_code == 0 { Some(NO_ERROR.to_owned()) } else { one.error_message };
    FindCoordinatorResponse {
        error_code: one.error_code,
        error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..Default::default()
    }
}

type Place = (i32, String, i32);
type Refusal = (ErrorCode, Option<&'static str>);

async fn find(context: &RequestContext, key_type: i8) -> Result<(), Refusal> {
    let refuse = |message| Err((ErrorCode::InvalidRequest, Some(message)));
    match key_type {
        GROUP => {}
        TRANSACTION => return refuse("transactions are not served yet"),
        SHARE if context.version >= SHARE_SINCE => {
            return refuse("share groups are not served yet");
        }
        SHARE => return refuse(""),
        _ => return refuse(INVALID_REQUEST),
    }
    let node = &context.node;
    if node.image().topic(OFFSETS_TOPIC).is_none() {
        node.create_offsets_topic().await.map_err(|error| {
            tracing::warn!(%error, "{OFFSETS_TOPIC} cannot be created");
            (ErrorCode::CoordinatorNotAvailable, None)
        })?;
    }
    Ok(())
}

/// The leader of the partition that has the group's offsets.
fn place(context: &RequestContext, group: &str) -> Result<Place, Refusal> {
    let image = context.node.image();
    let leader = partition_of_group(&image, group)
        .and_then(|index| image.partition(OFFSETS_TOPIC, index)?.leader)
        .and_then(|id| image.broker(id))
        .filter(|broker| !broker.fenced);
    let endpoint = leader.and_then(|broker| broker.endpoint(&context.connection.listener));
    match (leader, endpoint) {
        (Some(leader), Some(endpoint)) => {
            Ok((leader.id, endpoint.host.clone(), i32::from(endpoint.port)))
        }
        _ => Err((ErrorCode::CoordinatorNotAvailable, None)),
    }
}
