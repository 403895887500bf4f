//! Metadata (key 3, v0–v13). KIP-4, 320, 430, 516, 700, 1102.
//!
//! v0 an empty list is all topics, from v1 on null is · v4 auto-creation flag · v7 leader epochs
//! · v8 authorized operations · v9 flexible · v10 topic ids in answers · v12 look-up by id.
//! A topic that is created on the way is told as it is, not as an error to retry.

use std::collections::HashSet;
use std::sync::Arc;

use naru_controller::MetadataImage;
use naru_controller::image::{PartitionImage, TopicImage};
use naru_controller::topic_name::{self, is_internal};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::cluster::cluster_operations;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// First version with the flag for auto-creation; before it is always wanted.
const AUTO_CREATE_FLAG_SINCE: i16 = 4;
/// The first version that may name topics by id.
const BY_ID_SINCE: i16 = 12;
/// Versions 8 to 10 tell authorized operations of the cluster.
const CLUSTER_OPERATIONS_UNTIL: i16 = 10;

pub(crate) async fn handle(context: RequestContext, request: MetadataRequest) -> MetadataResponse {
    if !is_answerable(context.version, &request) {
        return all_refused(request);
    }
    let everything = match &request.topics {
        None => true,
        Some(topics) => context.version == 0 && topics.is_empty(),
    };
    let node = &context.node;
    node.metadata().settle_suspicions().await;
    let with_operations = request.include_topic_authorized_operations;
    let topics = if everything {
        let image = node.image();
        let seen = |topic: &&Arc<TopicImage>| {
            context.may_see(Operation::Describe, Resource::Topic(&topic.name))
        };
        let seen = image.topics().filter(seen);
        seen.map(|topic| describe(&context, topic, with_operations)).collect()
    } else {
        let auto_create =
            context.version < AUTO_CREATE_FLAG_SINCE || request.allow_auto_topic_creation;
        let asked = request.topics.unwrap_or_default();
        named(&context, asked, auto_create, with_operations).await
    };
    let image = node.image();
    let is_listed = |id: i32, fenced: bool| !fenced || node.metadata().has_just_left(id);
    let listed = image.brokers().filter(|broker| is_listed(broker.id, broker.fenced));
    let brokers = listed.filter_map(|broker| {
        let endpoint = broker.endpoint(&context.connection.listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
        })
    });
    let wants_cluster_operations = request.include_cluster_authorized_operations
        && context.version <= CLUSTER_OPERATIONS_UNTIL;
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(node.cluster_id().to_owned()),
        controller_id: node.controller_for_clients(),
        topics,
        cluster_authorized_operations: if wants_cluster_operations {
            cluster_operations(&context)
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// Whether every topic is named in a way that the version knows.
fn is_answerable(version: i16, request: &MetadataRequest) -> bool {
    request.topics.iter().flatten().all(|topic| {
        if version < BY_ID_SINCE {
            topic.name.is_some() && topic.topic_id.is_zero()
        } else {
            topic.name.is_some() || !topic.topic_id.is_zero()
        }
    })
}

/// The answer to a request that is wrong as a whole, empty of everything else as Kafka's is.
fn all_refused(request: MetadataRequest) -> MetadataResponse {
    let refused = |topic: MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    MetadataResponse {
        topics: request.topics.into_iter().flatten().map(refused).collect(),
        controller_id: -1,
        ..Default::default()
    }
}

/// The topics asked for, each once, in order.
async fn named(
    context: &RequestContext,
    asked: Vec<MetadataRequestTopic>,
    auto_create: bool,
    with_operations: bool,
) -> Vec<MetadataResponseTopic> {
    let node = &context.node;
    let mut image = node.image();
    let mut seen: HashSet<(Uuid, Option<String>)> = HashSet::new();
    let mut answers = Vec::new();
    let (asked, hidden) = partition_by_sight(context, asked);
    let create = auto_create && node.config().topics.auto_create;
    let mut not_created = HashSet::new();
    if create {
        let missing: Vec<String> = asked
            .iter()
            .filter(|topic| topic.topic_id.is_zero())
            .filter_map(|topic| topic.name.clone())
            .filter(|name| image.topic(name).is_none() && topic_name::validate(name).is_ok())
            .filter(|name| {
                let may = may_create(context, name);
                if !may {
                    not_created.insert(name.clone());
                }
                may
            })
            .collect();
        if !missing.is_empty() {
            node.auto_create(missing).await;
            image = node.image();
        }
    }
    for topic in asked {
        if !seen.insert((topic.topic_id, topic.name.clone())) {
            continue;
        }
        // A client that asks by id may send an empty name with it.
        let by_id = context.version >= BY_ID_SINCE && !topic.topic_id.is_zero();
        let found = match &topic.name {
            _ if by_id => image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId),
            Some(name) => image.topic(name).ok_or_else(|| {
                if topic_name::validate(name).is_err() {
                    ErrorCode::InvalidTopicException
                } else {
                    ErrorCode::UnknownTopicOrPartition
                }
            }),
            None => Err(ErrorCode::UnknownTopicId),
        };
        answers.push(match found {
            Ok(found) => describe(context, found, with_operations),
            Err(_) if topic.name.as_ref().is_some_and(|name| not_created.contains(name)) => {
                MetadataResponseTopic {
                    error_code: ErrorCode::TopicAuthorizationFailed.code(),
                    is_internal: topic.name.as_deref().is_some_and(is_internal),
                    name: topic.name,
                    ..Default::default()
                }
            }
            Err(error) => MetadataResponseTopic {
                error_code: error.code(),
                is_internal: topic.name.as_deref().is_some_and(is_internal),
                topic_authorized_operations: operations(
                    context,
                    topic.name.as_deref().unwrap_or_default(),
                    with_operations,
                ),
                name: topic.name,
                topic_id: topic.topic_id,
                ..Default::default()
            },
        });
    }
    answers.extend(hidden);
    answers
}

/// Whether a topic that is not there may be created on first use.
fn may_create(context: &RequestContext, name: &str) -> bool {
    !context.is_judged()
        || context.may_see(Operation::Create, Resource::Cluster)
        || context.may(Operation::Create, Resource::Topic(name))
}

/// Takes out the topics that the sender may not describe, with their answers.
fn partition_by_sight(
    context: &RequestContext,
    mut asked: Vec<MetadataRequestTopic>,
) -> (Vec<MetadataRequestTopic>, Vec<MetadataResponseTopic>) {
    let mut hidden = Vec::new();
    if !context.is_judged() {
        return (asked, hidden);
    }
    let image = context.node.image();
    asked.retain(|topic| {
        let by_id = context.version >= BY_ID_SINCE && !topic.topic_id.is_zero();
        let known = if by_id { image.topic_by_id(topic.topic_id).map(|t| &*t.name) } else { None };
        let name = if by_id { known } else { topic.name.as_deref() };
        let seen = name.is_none_or(|name| context.may(Operation::Describe, Resource::Topic(name)));
        if !seen {
            hidden.push(MetadataResponseTopic {
                error_code: ErrorCode::TopicAuthorizationFailed.code(),
                // Ids are no secret, names are.
                name: topic.name.clone().filter(|_| !by_id),
                topic_id: topic.topic_id,
                ..Default::default()
            });
        }
        seen
    });
    (asked, hidden)
}

fn describe(
    context: &RequestContext,
    topic: &TopicImage,
    with_operations: bool,
) -> MetadataResponseTopic {
    let image = context.node.image();
    let partitions = topic.partitions.iter().map(|(&index, partition)| {
        let availability = Availability::of(&image, partition);
        MetadataResponsePartition {
            error_code: availability.error.code(),
            partition_index: index,
            leader_id: availability.leader_id,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            offline_replicas: availability.offline_replicas,
        }
    });
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: operations(context, &topic.name, with_operations),
    }
}

/// What the client may do, which for Kafka is the same with a topic that is not there.
fn operations(context: &RequestContext, topic: &str, wanted: bool) -> i32 {
    if wanted { context.operations(Resource::Topic(topic)) } else { i32::MIN }
}

/// Which of a partition's brokers are there.
pub(super) struct Availability {
    pub(super) error: ErrorCode,
    /// -1 without a leader that is there.
    pub(super) leader_id: i32,
    pub(super) offline_replicas: Vec<i32>,
}

impl Availability {
    pub(super) fn of(image: &MetadataImage, partition: &PartitionImage) -> Self {
        let alive = |id: &i32| image.is_alive(*id);
        let leader = partition.leader.filter(alive);
        Self {
            error: if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
            leader_id: leader.unwrap_or(-1),
            offline_replicas: partition.replicas.iter().copied().filter(|id| !alive(id)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: Option<&str>, topic_id: Uuid) -> MetadataRequest {
        let topic = MetadataRequestTopic { name: name.map(str::to_owned), topic_id };
        MetadataRequest { topics: Some(vec![topic]), ..Default::default() }
    }

    #[test]
    fn topics_go_by_name_and_from_version_12_on_by_id_too() {
        assert!(is_answerable(11, &asked(Some("t"), Uuid::ZERO)));
        assert!(!is_answerable(11, &asked(Some("t"), Uuid(7))));
        assert!(!is_answerable(11, &asked(None, Uuid(7))));
        assert!(is_answerable(12, &asked(None, Uuid(7))));
        assert!(!is_answerable(12, &asked(None, Uuid::ZERO)));
    }
}
