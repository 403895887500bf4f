//! CreateTopics: names, counts, assignments and configurations checked in Kafka's order.

use std::collections::{BTreeMap, HashMap};

use naru_model::Uuid;
use naru_model::config::{Props, TopicConfig};
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use naru_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use naru_protocol::messages::topic_record::TopicRecord;
use naru_quotas::MutationQuota;

use super::configs::config_records;
use super::{Controller, TopicError};
use crate::image::{ConfigResource, PartitionImage};
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX, RecordAndVersion};
use crate::topic_name;

/// Most partitions that one request may create.
pub(super) const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// What CreateTopics needs besides the request.
#[derive(Debug)]
pub struct CreateTopics<F> {
    /// `num.partitions` of this broker.
    pub default_partitions: i32,
    /// `default.replication.factor` of this broker.
    pub default_replication_factor: i16,
    /// How many partitions the sender may create.
    pub quota: MutationQuota,
    /// Where topic ids come from: random ones, never the same twice.
    pub new_id: F,
}

/// A topic that may be created.
struct NewTopic {
    records: Vec<RecordAndVersion>,
    result: CreatableTopicResult,
}

impl Controller {
    /// Decides a CreateTopics request. What is refused is refused topic by topic; too many
    /// partitions refuse the whole request.
    pub fn decide_create_topics<F: FnMut() -> Uuid>(
        &self,
        request: &CreateTopicsRequest,
        context: &mut CreateTopics<F>,
    ) -> Decision<CreateTopicsResponse> {
        let refuse_all = |error: &TopicError| Decision {
            records: Vec::new(),
            response: CreateTopicsResponse {
                topics: request.topics.iter().map(|topic| refusal(&topic.name, error)).collect(),
                ..CreateTopicsResponse::default()
            },
        };
        let mut times: HashMap<&str, usize> = HashMap::new();
        for topic in &request.topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let (wanted, others): (Vec<_>, Vec<_>) = request.topics.iter().partition(|topic| {
            times.get(topic.name.as_str()) == Some(&1) && topic.name != topic_name::CLUSTER_METADATA
        });
        let total: i64 =
            wanted.iter().map(|topic| partition_count(topic, context.default_partitions)).sum();
        if total > PARTITIONS_PER_REQUEST_MAX {
            return refuse_all(&TopicError::TooManyPartitions);
        }
        let mut records = Vec::new();
        let mut topics = Vec::new();
        let mut created_before = 0;
        for topic in wanted {
            match self.new_topic(topic, created_before, context) {
                Ok(mut created) => {
                    created_before += 1;
                    records.append(&mut created.records);
                    topics.push(created.result);
                }
                Err(error) => topics.push(refusal(&topic.name, &error)),
            }
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return refuse_all(&TopicError::TooManyRecords);
        }
        let mut answered = BTreeMap::new();
        for topic in others {
            let reserved = topic.name == topic_name::CLUSTER_METADATA;
            let twice = times.get(topic.name.as_str()).is_some_and(|times| *times > 1);
            let error = if reserved && !twice {
                TopicError::ReservedName
            } else {
                TopicError::DuplicateName
            };
            answered.entry(&topic.name).or_insert_with(|| refusal(&topic.name, &error));
        }
        topics.extend(answered.into_values());
        if request.validate_only {
            records.clear();
        }
        let response = CreateTopicsResponse { topics, ..CreateTopicsResponse::default() };
        Decision { records, response }
    }

    fn new_topic<F: FnMut() -> Uuid>(
        &self,
        topic: &CreatableTopic,
        created_before: usize,
        context: &mut CreateTopics<F>,
    ) -> Result<NewTopic, TopicError> {
        self.check_new_name(&topic.name)?;
        let config = config_of(topic)?;
        TopicConfig::validate(&config, &self.config_layers().layers())?;
        let partitions = self.new_partitions(topic, created_before, context)?;
        if !context.quota.admit(partitions.len()) {
            return Err(TopicError::QuotaExceeded);
        }
        let id = (context.new_id)();
        let replication_factor = partitions.first().map_or(0, |p| p.replicas.len());
        let result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: id,
            num_partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(replication_factor).unwrap_or(i16::MAX),
            configs: Some(self.described_config(&config)),
            ..CreatableTopicResult::default()
        };
        let record = TopicRecord { name: topic.name.clone(), topic_id: id };
        let mut records = vec![self.versioned(record)];
        let resource = ConfigResource::topic(topic.name.as_str());
        let changes = config.into_iter().map(|(name, value)| (name, Some(value)));
        records.extend(config_records(&resource, changes));
        records.extend(
            (0..)
                .zip(&partitions)
                .map(|(index, partition)| self.versioned(partition.to_record(id, index))),
        );
        Ok(NewTopic { records, result })
    }

    fn check_new_name(&self, name: &str) -> Result<(), TopicError> {
        // Kafka's checks overwrite each other: the last one that fails is told.
        if self.image.topic(name).is_some() {
            return Err(TopicError::AlreadyExists(name.to_owned()));
        }
        if let Some(key) = topic_name::collision_key(name)
            && let Some(existing) = self.colliding_names.get(&key).and_then(|names| names.first())
        {
            let (name, existing) = (name.to_owned(), existing.to_string());
            return Err(TopicError::Collides { name, existing });
        }
        Ok(topic_name::validate(name)?)
    }

    fn new_partitions<F>(
        &self,
        topic: &CreatableTopic,
        created_before: usize,
        context: &CreateTopics<F>,
    ) -> Result<Vec<PartitionImage>, TopicError> {
        if !topic.assignments.is_empty() {
            return self.assigned_partitions(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(TopicError::ReplicationFactorNotPositive);
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(TopicError::PartitionsNotPositive);
        }
        let count = partition_count(topic, context.default_partitions);
        let count = usize::try_from(count).map_err(|_| TopicError::PartitionsNotPositive)?;
        let factor = match topic.replication_factor {
            -1 => context.default_replication_factor,
            given => given,
        };
        let placed = self
            .place(self.image.topic_count() + created_before, count, factor)
            .map_err(|why| TopicError::Unplaced { factor, why })?;
        let partitions = placed.into_iter().map(|replicas| self.new_partition(replicas));
        partitions.collect::<Option<_>>().ok_or(TopicError::AllReplicasFenced { factor })
    }

    fn assigned_partitions(
        &self,
        topic: &CreatableTopic,
    ) -> Result<Vec<PartitionImage>, TopicError> {
        if topic.replication_factor != -1 {
            return Err(TopicError::AssignmentAndReplicationFactor);
        }
        if topic.num_partitions != -1 {
            return Err(TopicError::AssignmentAndPartitionCount);
        }
        let mut partitions = BTreeMap::new();
        let mut expected = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if partitions.contains_key(&index) {
                return Err(TopicError::PartitionAssignedTwice(index));
            }
            self.check_assignment(&assignment.broker_ids, expected)?;
            expected = Some(assignment.broker_ids.len());
            let partition = self.new_partition(assignment.broker_ids.clone());
            partitions.insert(index, partition.ok_or(TopicError::AssignedBrokersFenced(index))?);
        }
        if !partitions.keys().copied().eq((0..).take(partitions.len())) {
            return Err(TopicError::PartitionsNotConsecutive);
        }
        Ok(partitions.into_values().collect())
    }

    fn described_config(&self, config: &Props) -> Vec<CreatableTopicConfigs> {
        let described = self.config_layers().layers().describe_topic(config);
        let entries = described.into_iter().map(|entry| CreatableTopicConfigs {
            name: entry.name,
            value: entry.value,
            read_only: entry.read_only,
            config_source: entry.source.code(),
            is_sensitive: entry.sensitive,
        });
        entries.collect()
    }
}

fn config_of(topic: &CreatableTopic) -> Result<Props, TopicError> {
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| config.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(TopicError::NullConfig(nulls.join(",")));
    }
    let entries = topic.configs.iter();
    Ok(entries.filter_map(|c| Some((c.name.clone(), c.value.clone()?))).collect())
}

/// How many partitions a topic asks for; a refused number counts as none.
fn partition_count(topic: &CreatableTopic, default: i32) -> i64 {
    if !topic.assignments.is_empty() {
        return i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX);
    }
    match topic.num_partitions {
        -1 => i64::from(default.max(0)),
        given => i64::from(given.max(0)),
    }
}

fn refusal(name: &str, error: &TopicError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.to_owned(),
        error_code: error.code().code(),
        error_message: Some(error.to_string()),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}
