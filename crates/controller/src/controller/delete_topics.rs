//! DeleteTopics, by name or id.

use std::collections::BTreeMap;

use naru_model::Uuid;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use naru_protocol::messages::remove_topic_record::RemoveTopicRecord;
use naru_quotas::MutationQuota;

use super::{Controller, TopicError};
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX, RecordAndVersion};

impl Controller {
    /// Decides a DeleteTopics request; `delete.topic.enable` is the handler's to check.
    ///
    /// Names of versions up to 5 and states of version 6 are read alike.
    pub fn decide_delete_topics(
        &self,
        request: &DeleteTopicsRequest,
        quota: &mut MutationQuota,
    ) -> Decision<DeleteTopicsResponse> {
        let mut asked = Asked::default();
        for name in &request.topic_names {
            asked.name(name);
        }
        for topic in &request.topics {
            match (&topic.name, topic.topic_id.is_zero()) {
                (Some(name), true) => asked.name(name),
                (None, false) => asked.id(topic.topic_id),
                (None, true) => {
                    asked.refuse(None, Uuid::ZERO, &TopicError::NeitherNameNorId);
                }
                (Some(name), false) => {
                    asked.refuse(Some(name), topic.topic_id, &TopicError::NameAndId);
                }
            }
        }
        let Asked { names, ids, mut responses } = asked;
        let mut refuse = |name: Option<&str>, id: Uuid, error: &TopicError| {
            responses.push(result(name, id, Some(error)));
        };
        // Topics to delete, and whether something asked for each of them twice.
        let mut found: BTreeMap<[u8; 16], (Uuid, &str, bool)> = BTreeMap::new();
        for (id, times) in ids.values() {
            if *times > 1 {
                refuse(None, *id, &TopicError::DuplicateId);
            }
            match self.image.topic_by_id(*id) {
                Some(topic) => {
                    found.insert(id.to_bytes(), (*id, &topic.name, *times > 1));
                }
                None if *times == 1 => refuse(None, *id, &TopicError::UnknownTopicId),
                None => {}
            }
        }
        for (name, times) in &names {
            if *times > 1 {
                refuse(Some(name), Uuid::ZERO, &TopicError::DuplicateName);
                continue;
            }
            let Some(topic) = self.image.topic(name) else {
                refuse(Some(name), Uuid::ZERO, &TopicError::UnknownTopic);
                continue;
            };
            let entry = found.entry(topic.id.to_bytes());
            let mut supplied = true;
            let (_, _, twice) = entry.or_insert_with(|| {
                supplied = false;
                (topic.id, &topic.name, false)
            });
            if supplied {
                *twice = true;
                refuse(Some(name), topic.id, &TopicError::NameOfSuppliedId);
            }
        }
        let mut records = Vec::new();
        found.retain(|_, (_, _, twice)| !*twice);
        for (id, name, _) in found.into_values() {
            // As many as a request may delete are, and the others are not, as in Kafka, which
            // has UNKNOWN_SERVER_ERROR for those.
            if records.len() >= RECORDS_PER_REQUEST_MAX {
                responses.push(result(Some(name), id, Some(&TopicError::TooManyRecords)));
                continue;
            }
            let partitions = self.image.topic_by_id(id).map_or(0, |topic| topic.partitions.len());
            if !quota.admit(partitions) {
                responses.push(result(Some(name), id, Some(&TopicError::QuotaExceeded)));
                continue;
            }
            records.push(RecordAndVersion::newest(RemoveTopicRecord { topic_id: id }));
            responses.push(result(Some(name), id, None));
        }
        let response = DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
        Decision { records, response }
    }
}

/// What a request asks for: each name and id, and how often.
#[derive(Debug, Default)]
struct Asked {
    names: BTreeMap<String, usize>,
    ids: BTreeMap<[u8; 16], (Uuid, usize)>,
    responses: Vec<DeletableTopicResult>,
}

impl Asked {
    fn name(&mut self, name: &str) {
        *self.names.entry(name.to_owned()).or_default() += 1;
    }

    fn id(&mut self, id: Uuid) {
        self.ids.entry(id.to_bytes()).or_insert((id, 0)).1 += 1;
    }

    fn refuse(&mut self, name: Option<&str>, id: Uuid, error: &TopicError) {
        self.responses.push(result(name, id, Some(error)));
    }
}

fn result(name: Option<&str>, topic_id: Uuid, error: Option<&TopicError>) -> DeletableTopicResult {
    DeletableTopicResult {
        name: name.map(str::to_owned),
        topic_id,
        error_code: error.map_or(0, |error| error.code().code()),
        error_message: error.map(ToString::to_string),
    }
}
