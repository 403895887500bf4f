//! Internal topics of Kafka Streams applications: created in the name of the client that needs
//! them, beside its heartbeat; what fails is told with a later one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use naru_model::{ErrorCode, Timestamp};
use naru_protocol::Message as _;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};

use crate::dispatch::{RequestContext, ask};

/// Topics whose creation is remembered; of more, some are asked for again early.
const REMEMBERED_MAX: usize = 1_000;
/// Failures that an answer lists.
const LISTED_MAX: usize = 3;
/// How long a failure is remembered: two of the usual heartbeats.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// How long a request may be under way before another is made.
const ASKED_FOR: Duration = Duration::from_secs(30);

/// What is known of topics that were asked for.
#[derive(Debug, Default)]
pub(crate) struct InternalTopics {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    /// Why it could not be created; nothing while nobody knows.
    failure: Option<String>,
    until: Timestamp,
}

impl InternalTopics {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: Timestamp, name: &str, failure: Option<String>, for_: Duration) {
        let mut known = self.known();
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, one| one.until > now);
        }
        if known.len() < REMEMBERED_MAX {
            let millis = i64::try_from(for_.as_millis()).unwrap_or(i64::MAX);
            let until = Timestamp(now.get().saturating_add(millis));
            known.insert(name.to_owned(), Known { failure, until });
        }
    }

    /// Of `topics` those to ask for now, and what is known to have failed.
    fn sort(
        &self,
        now: Timestamp,
        topics: Vec<CreatableTopic>,
    ) -> (Vec<CreatableTopic>, Vec<String>) {
        let mut known = self.known();
        known.retain(|_, one| one.until > now);
        let failed = topics.iter().filter_map(|topic| {
            let failure = known.get(&topic.name)?.failure.as_ref()?;
            Some(format!("{} ({failure})", topic.name))
        });
        let failed = failed.collect();
        let mut topics = topics;
        topics.retain(|topic| !known.contains_key(&topic.name));
        (topics, failed)
    }

    fn answered(&self, now: Timestamp, name: &str, error: ErrorCode, message: Option<String>) {
        match error {
            ErrorCode::None | ErrorCode::TopicAlreadyExists => {
                self.known().remove(name);
            }
            error => {
                let text = message.unwrap_or_else(|| error.name().to_owned());
                self.note(now, name, Some(text), FAILED_FOR);
            }
        }
    }
}

/// Has topics created, without waiting; what earlier tries have come to, if they failed.
pub(crate) fn create_internal_topics(
    context: &RequestContext,
    topics: Vec<CreatableTopic>,
) -> Option<String> {
    let node = &context.node;
    let (topics, failed) = node.coordination().internal_topics().sort(node.now(), topics);
    if !topics.is_empty() {
        for topic in &topics {
            let internal = node.coordination().internal_topics();
            internal.note(node.now(), &topic.name, None, ASKED_FOR);
        }
        let version = *CreateTopicsRequest::VERSIONS.end();
        let context = RequestContext { api: ApiKey::CreateTopics, version, ..context.clone() };
        node.background().spawn(async move {
            let request = CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
            let response = ask(&context.node, &context, request).await;
            for topic in response.topics {
                let error = ErrorCode::from_code(topic.error_code);
                if error != ErrorCode::None && error != ErrorCode::TopicAlreadyExists {
                    tracing::warn!(topic = %topic.name, %error, "an internal topic is not created");
                }
                let internal = context.node.coordination().internal_topics();
                internal.answered(context.node.now(), &topic.name, error, topic.error_message);
            }
        });
    }
    if failed.is_empty() {
        return None;
    }
    let listed = failed.iter().take(LISTED_MAX).cloned().collect::<Vec<String>>().join(", ");
    Some(match failed.len().checked_sub(LISTED_MAX) {
        None | Some(0) => listed,
        Some(more) => format!("{listed} and {more} more"),
    })
}
