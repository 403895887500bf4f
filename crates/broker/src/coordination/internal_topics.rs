//! Internal topics of Kafka Streams applications: created in the name of the client that needs
//! them, beside its heartbeat; what fails is told with a later one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use naru_model::{ErrorCode, Timestamp};
use naru_protocol::Message as _;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};

use crate::dispatch::{RequestContext, ask};
use crate::node::Node;

/// Topics whose creation is remembered; of more, some are asked for later.
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Known>,
    /// Groups that a creation is under way for: one at a time.
    creating: HashSet<String>,
}

#[derive(Debug)]
struct Known {
    /// Why it could not be created; nothing while nobody knows.
    failure: Option<String>,
    until: Timestamp,
}

impl State {
    /// Whether there was room to note it.
    fn note(
        &mut self,
        now: Timestamp,
        name: &str,
        failure: Option<String>,
        for_: Duration,
    ) -> bool {
        if self.known.len() >= REMEMBERED_MAX && !self.known.contains_key(name) {
            return false;
        }
        let millis = i64::try_from(for_.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp(now.get().saturating_add(millis));
        self.known.insert(name.to_owned(), Known { failure, until });
        true
    }
}

impl InternalTopics {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a group's `topics` those to ask for now, which are noted, and what is known to have
    /// failed. If there is something to ask for, [`Self::end`] must follow.
    fn begin(
        &self,
        now: Timestamp,
        group: &str,
        topics: Vec<CreatableTopic>,
    ) -> (Vec<CreatableTopic>, Vec<String>) {
        let mut state = self.state();
        state.known.retain(|_, one| one.until > now);
        let failed = topics.iter().filter_map(|topic| {
            let failure = state.known.get(&topic.name)?.failure.as_ref()?;
            Some(format!("{} ({failure})", topic.name))
        });
        let failed = failed.collect();
        if state.creating.contains(group) {
            return (Vec::new(), failed);
        }
        let mut topics = topics;
        // What cannot be noted would be asked for again and again.
        topics.retain(|topic| {
            !state.known.contains_key(&topic.name) && state.note(now, &topic.name, None, ASKED_FOR)
        });
        if !topics.is_empty() {
            state.creating.insert(group.to_owned());
        }
        (topics, failed)
    }

    /// The creation for a group is over, whatever has come of it.
    fn end(&self, group: &str) {
        self.state().creating.remove(group);
    }

    fn answered(&self, now: Timestamp, name: &str, error: ErrorCode, message: Option<String>) {
        match error {
            ErrorCode::None | ErrorCode::TopicAlreadyExists => {
                self.state().known.remove(name);
            }
            error => {
                let text = message.unwrap_or_else(|| error.name().to_owned());
                // Without room it is asked for again early.
                self.state().note(now, name, Some(text), FAILED_FOR);
            }
        }
    }
}

/// The creation of a group's topics, until it is dropped.
struct UnderWay {
    node: Arc<Node>,
    group: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.node.coordination().internal_topics().end(&self.group);
    }
}

/// Has topics of a group created, without waiting; what earlier tries have come to, if they failed.
pub(crate) fn create_internal_topics(
    context: &RequestContext,
    group: &str,
    topics: Vec<CreatableTopic>,
) -> Option<String> {
    let node = &context.node;
    let internal = node.coordination().internal_topics();
    let (topics, failed) = internal.begin(node.now(), group, topics);
    if !topics.is_empty() {
        let under_way = UnderWay { node: Arc::clone(node), group: group.to_owned() };
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
            drop(under_way);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_creation_per_group_and_only_of_what_is_noted() {
        let topics = |range: std::ops::Range<usize>| -> Vec<CreatableTopic> {
            let name = |at: usize| format!("t-{at}");
            range.map(|at| CreatableTopic { name: name(at), ..Default::default() }).collect()
        };
        let (internal, now) = (InternalTopics::default(), Timestamp(1_000));
        let asked = |group: &str, range| internal.begin(now, group, topics(range)).0.len();
        assert_eq!(asked("g", 0..REMEMBERED_MAX - 1), REMEMBERED_MAX - 1);
        assert_eq!(asked("g", REMEMBERED_MAX..REMEMBERED_MAX + 2), 0, "one is under way");
        assert_eq!(asked("h", REMEMBERED_MAX..REMEMBERED_MAX + 2), 1, "there is room for one");
        internal.end("g");
        assert_eq!(asked("g", REMEMBERED_MAX..REMEMBERED_MAX + 2), 0, "no room");
        internal.answered(now, "t-0", ErrorCode::None, None);
        internal.answered(now, "t-1", ErrorCode::PolicyViolation, None);
        assert_eq!(asked("g", 0..2), 1);
        let (_, failed) = internal.begin(now, "i", topics(1..2));
        assert_eq!(failed.len(), 1, "a failure takes the place that its topic had");
    }
}
