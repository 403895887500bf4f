//! A topology as members describe it: what its subtopologies read, write and remember.

use std::collections::{BTreeMap, BTreeSet};

use naru_protocol::messages::streams_group_heartbeat_request as request;
use naru_protocol::messages::streams_group_topology_value::{
    CopartitionGroup, StreamsGroupTopologyValue, Subtopology, TopicConfig, TopicInfo,
};

use super::error::StreamsError;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Topology {
    pub(crate) epoch: i32,
    pub(crate) subtopologies: BTreeMap<String, Subtopology>,
    /// The subtopology that reads each topic.
    readers: BTreeMap<String, String>,
}

impl Topology {
    fn new(epoch: i32, subtopologies: BTreeMap<String, Subtopology>) -> Self {
        let mut readers = BTreeMap::new();
        for (id, subtopology) in &subtopologies {
            for topic in inputs(subtopology) {
                readers.insert(topic.to_owned(), id.clone());
            }
        }
        Self { epoch, subtopologies, readers }
    }

    /// A member's topology.
    pub(crate) fn from_request(topology: &request::Topology) -> Result<Self, StreamsError> {
        check_size(topology)?;
        let mut subtopologies = BTreeMap::new();
        for one in &topology.subtopologies {
            let subtopology = from_request(one);
            check_indexes(&subtopology)?;
            let id = subtopology.subtopology_id.clone();
            if subtopologies.insert(id, subtopology).is_some() {
                let text = format!("Subtopology {} is described twice.", one.subtopology_id);
                return Err(StreamsError::InvalidTopology(text));
            }
        }
        Ok(Self::new(topology.epoch, subtopologies))
    }

    /// Every topic that must be there.
    pub(crate) fn required_topics(&self) -> BTreeSet<&str> {
        let all = self.subtopologies.values().flat_map(|one| {
            inputs(one).chain(one.state_changelog_topics.iter().map(|topic| topic.name.as_str()))
        });
        all.collect()
    }

    pub(crate) fn requires(&self, topic: &str) -> bool {
        self.readers.contains_key(topic)
            || self.subtopologies.values().any(|one| {
                one.state_changelog_topics.iter().any(|changelog| changelog.name == topic)
            })
    }

    /// The subtopology that reads a topic.
    pub(crate) fn reader(&self, topic: &str) -> Option<&str> {
        self.readers.get(topic).map(String::as_str)
    }
}

/// What a subtopology reads.
pub(crate) fn inputs(subtopology: &Subtopology) -> impl Iterator<Item = &str> {
    let repartitioned = subtopology.repartition_source_topics.iter().map(|topic| &topic.name);
    subtopology.source_topics.iter().chain(repartitioned).map(String::as_str)
}

/// The topics of a copartition group. Indexes have been checked.
pub(crate) fn copartitioned<'s>(
    subtopology: &'s Subtopology,
    group: &CopartitionGroup,
) -> BTreeSet<&'s str> {
    let at = |index: &i16| usize::try_from(*index).ok();
    let sources = group.source_topics.iter().filter_map(at);
    let sources = sources.filter_map(|index| subtopology.source_topics.get(index));
    let repartitioned = group.repartition_source_topics.iter().filter_map(at);
    let repartitioned =
        repartitioned.filter_map(|index| subtopology.repartition_source_topics.get(index));
    let repartitioned = repartitioned.map(|topic| &topic.name);
    sources.chain(repartitioned).map(String::as_str).collect()
}

/// A topology that is too big is refused before anything is made of it.
fn check_size(topology: &request::Topology) -> Result<(), StreamsError> {
    let refuse = |text: String| Err(StreamsError::InvalidTopology(text));
    let count = topology.subtopologies.len();
    if count > SUBTOPOLOGIES_MAX {
        return refuse(format!(
            "The topology has {count} subtopologies, but at most {SUBTOPOLOGIES_MAX} are allowed."
        ));
    }
    let named = |one: &request::Subtopology| -> usize {
        let groups = one.copartition_groups.iter();
        let copartitioned = groups
            .map(|group| group.source_topics.len() + group.repartition_source_topics.len())
            .sum::<usize>();
        one.source_topics.len()
            + one.state_changelog_topics.len()
            + one.repartition_sink_topics.len()
            + one.repartition_source_topics.len()
            + copartitioned
    };
    let count: usize = topology.subtopologies.iter().map(named).sum();
    if count > TOPICS_MAX {
        return refuse(format!(
            "The topology names topics {count} times, but at most {TOPICS_MAX} are allowed."
        ));
    }
    Ok(())
}

fn check_indexes(subtopology: &Subtopology) -> Result<(), StreamsError> {
    let is_in = |index: &i16, len: usize| usize::try_from(*index).is_ok_and(|index| index < len);
    let sources = subtopology.source_topics.len();
    let repartitioned = subtopology.repartition_source_topics.len();
    let good = subtopology.copartition_groups.iter().all(|group| {
        group.source_topics.iter().all(|index| is_in(index, sources))
            && group.repartition_source_topics.iter().all(|index| is_in(index, repartitioned))
    });
    if good {
        return Ok(());
    }
    let id = &subtopology.subtopology_id;
    let text = format!("A copartition group of subtopology {id} names a topic that is not there.");
    Err(StreamsError::InvalidTopology(text))
}

fn from_request(subtopology: &request::Subtopology) -> Subtopology {
    Subtopology {
        subtopology_id: subtopology.subtopology_id.clone(),
        source_topics: subtopology.source_topics.clone(),
        source_topic_regex: subtopology.source_topic_regex.clone(),
        state_changelog_topics: subtopology.state_changelog_topics.iter().map(topic).collect(),
        repartition_sink_topics: subtopology.repartition_sink_topics.clone(),
        repartition_source_topics: subtopology
            .repartition_source_topics
            .iter()
            .map(topic)
            .collect(),
        copartition_groups: subtopology
            .copartition_groups
            .iter()
            .map(|group| CopartitionGroup {
                source_topics: group.source_topics.clone(),
                source_topic_regex: group.source_topic_regex.clone(),
                repartition_source_topics: group.repartition_source_topics.clone(),
            })
            .collect(),
    }
}

fn topic(topic: &request::TopicInfo) -> TopicInfo {
    let config =
        |one: &request::KeyValue| TopicConfig { key: one.key.clone(), value: one.value.clone() };
    TopicInfo {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: topic.topic_configs.iter().map(config).collect(),
    }
}

impl From<StreamsGroupTopologyValue> for Topology {
    fn from(value: StreamsGroupTopologyValue) -> Self {
        let by_id = value.subtopologies.into_iter().map(|one| (one.subtopology_id.clone(), one));
        Self::new(value.epoch, by_id.collect())
    }
}

impl From<&Topology> for StreamsGroupTopologyValue {
    fn from(topology: &Topology) -> Self {
        Self {
            epoch: topology.epoch,
            subtopologies: topology.subtopologies.values().cloned().collect(),
        }
    }
}

/// Applications have tens; every heartbeat after a change of topics looks at all of them.
const SUBTOPOLOGIES_MAX: usize = 1_000;
/// Topics that a topology may name, each time counted, copartition groups too: looking all of them
/// up takes milliseconds.
const TOPICS_MAX: usize = 10_000;
