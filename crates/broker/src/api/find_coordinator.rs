//! FindCoordinator (key 10, v0–v6). KIP-98, 699, 932.
//!
//! v1 key type · v3 flexible · v4 several keys · v6 share coordinators.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use super::INVALID_REQUEST;
use crate::coordination::{OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC, partition_of};
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
    let key_type = request.key_type;
    let may = |key: &str| check_may(&context, key_type, key);
    // Who may not ask for any of them has no topic created.
    let may_any = if context.version >= KEYS_SINCE {
        request.coordinator_keys.iter().any(|key| may(key).is_ok())
    } else {
        may(&request.key).is_ok()
    };
    let found = if may_any { Some(find(&context, key_type).await) } else { None };
    let look = |key: &str| {
        if let Some(Err(refusal)) = found {
            return Err(refusal);
        }
        may(key)?;
        match found {
            Some(Ok(topic)) => place(&context, topic, key),
            _ => Err((ErrorCode::CoordinatorNotAvailable, NOBODY)),
        }
    };
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
            error_message: Some(message.to_owned()),
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
type Refusal = (ErrorCode, &'static str);

/// What is said while nobody can answer for a key.
const NOBODY: &str = "the partition that has the key has no leader now: try again";

/// The topic whose partitions have what is looked for; it is created if it is not there yet.
async fn find(context: &RequestContext, key_type: i8) -> Result<&'static str, Refusal> {
    let refuse = |message| Err((ErrorCode::InvalidRequest, message));
    let topic = match key_type {
        GROUP => OFFSETS_TOPIC,
        TRANSACTION => TRANSACTIONS_TOPIC,
        SHARE if context.version >= SHARE_SINCE => SHARE_STATE_TOPIC,
        SHARE if context.version >= KEYS_SINCE => {
            return refuse("share coordinators are looked for from version 6 on");
        }
        _ => return refuse(INVALID_REQUEST),
    };
    let node = &context.node;
    if node.image().topic(topic).is_none() {
        node.create_internal_topic(topic).await.map_err(|error| {
            tracing::warn!(%error, "{topic} cannot be created");
            (ErrorCode::CoordinatorNotAvailable, "its topic cannot be created now: try again")
        })?;
    }
    Ok(topic)
}

fn check_may(context: &RequestContext, key_type: i8, key: &str) -> Result<(), Refusal> {
    let (operation, resource, error, text) = match key_type {
        // Brokers look for share coordinators, nobody else.
        SHARE => (
            Operation::ClusterAction,
            Resource::Cluster,
            ErrorCode::ClusterAuthorizationFailed,
            "Cluster authorization failed.",
        ),
        TRANSACTION => (
            Operation::Describe,
            Resource::TransactionalId(key),
            ErrorCode::TransactionalIdAuthorizationFailed,
            "Transactional Id authorization failed.",
        ),
        _ => (
            Operation::Describe,
            Resource::Group(key),
            ErrorCode::GroupAuthorizationFailed,
            "Group authorization failed.",
        ),
    };
    if context.may(operation, resource) {
        return if key_type == SHARE && !is_share_key(key) {
            let text = if context.version >= KEYS_SINCE {
                "the key of a share coordinator must be GROUP:TOPIC_ID:PARTITION"
            } else {
                INVALID_REQUEST
            };
            Err((ErrorCode::InvalidRequest, text))
        } else {
            Ok(())
        };
    }
    Err((error, text))
}

/// Whether a key names a group, a topic's id and a partition.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.split(':');
    let (group, topic, partition) = (parts.next(), parts.next(), parts.next());
    group.is_some_and(|group| !group.trim().is_empty())
        && topic.is_some_and(|topic| topic.parse::<Uuid>().is_ok())
        && partition.is_some_and(|partition| partition.parse::<i32>().is_ok())
        && parts.next().is_none()
}

/// The leader of the partition that has what belongs to `key`.
fn place(context: &RequestContext, topic: &str, key: &str) -> Result<Place, Refusal> {
    let image = context.node.image();
    let leader = partition_of(&image, topic, key)
        .and_then(|index| image.partition(topic, index)?.leader)
        .and_then(|id| image.broker(id))
        .filter(|broker| !broker.fenced);
    let endpoint = leader.and_then(|broker| broker.endpoint(&context.connection.listener));
    match (leader, endpoint) {
        (Some(leader), Some(endpoint)) => {
            Ok((leader.id, endpoint.host.clone(), i32::from(endpoint.port)))
        }
        _ => Err((ErrorCode::CoordinatorNotAvailable, NOBODY)),
    }
}
