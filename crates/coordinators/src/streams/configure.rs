//! A topology with numbers: how many tasks each subtopology has, how many partitions each internal
//! topic must have, and which of them are missing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use naru_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use naru_protocol::messages::streams_group_topology_value::{Subtopology, TopicInfo};

use super::copartition::{Counts, enforce};
use super::error::StreamsError;
use super::status::{Status, listed};
use super::topology::{Topology, copartitioned, inputs};
use crate::consumer::Topics;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Configured {
    pub(crate) epoch: i32,
    /// Nothing if the topics that are there do not suit the topology.
    pub(crate) subtopologies: Option<BTreeMap<String, ConfiguredSubtopology>>,
    /// Internal topics that have to be created, by name.
    pub(crate) missing: BTreeMap<String, InternalTopic>,
    /// What keeps the group from running.
    pub(crate) problem: Option<Status>,
}

/// A subtopology with numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfiguredSubtopology {
    /// As many as its widest input has partitions.
    pub(crate) tasks: i32,
    pub(crate) sources: BTreeSet<String>,
    pub(crate) repartition_sinks: BTreeSet<String>,
    pub(crate) repartition_sources: BTreeMap<String, InternalTopic>,
    pub(crate) changelogs: BTreeMap<String, InternalTopic>,
}

/// A topic that belongs to the application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InternalTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    /// 0 for the cluster's default.
    pub(crate) replication_factor: i16,
    pub(crate) configs: BTreeMap<String, String>,
}

impl InternalTopic {
    /// The request that creates it.
    pub(crate) fn creatable(&self) -> CreatableTopic {
        let configs = self.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
        });
        CreatableTopic {
            name: self.name.clone(),
            num_partitions: self.partitions,
            replication_factor: if self.replication_factor == 0 {
                DEFAULT_REPLICATION
            } else {
                self.replication_factor
            },
            assignments: Vec::new(),
            configs: configs.collect(),
        }
    }
}

/// Why a topology has no numbers.
pub(super) enum Problem {
    /// The request is refused.
    Refused(StreamsError),
    /// The group waits for other topics.
    Waits(Status),
}

impl From<StreamsError> for Problem {
    fn from(error: StreamsError) -> Self {
        Self::Refused(error)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Waits(status)
    }
}

impl Configured {
    /// The topology over the topics of now.
    pub(super) fn of(topology: &Topology, topics: &dyn Topics) -> Result<Self, StreamsError> {
        let epoch = topology.epoch;
        match configure(topology, topics) {
            Ok((subtopologies, missing)) => {
                check_task_count(&subtopologies)?;
                let problem = (!missing.is_empty()).then(|| {
                    let names = listed(missing.keys().map(String::as_str));
                    Status::MissingInternalTopics(format!("Internal topics are missing: {names}"))
                });
                Ok(Self { epoch, subtopologies: Some(subtopologies), missing, problem })
            }
            Err(Problem::Waits(status)) => Ok(Self {
                epoch,
                subtopologies: None,
                missing: BTreeMap::new(),
                problem: Some(status),
            }),
            Err(Problem::Refused(error)) => Err(error),
        }
    }

    /// Whether tasks can be assigned.
    pub(crate) fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

type Numbers = (BTreeMap<String, ConfiguredSubtopology>, BTreeMap<String, InternalTopic>);

fn configure(topology: &Topology, topics: &dyn Topics) -> Result<Numbers, Problem> {
    check_sources(topology, topics)?;
    let mut counts = Counts { topics, decided: repartition_counts(topology, topics)? };
    let repartitioned = |fixed: bool| -> BTreeSet<&str> {
        let all = topology.subtopologies.values().flat_map(|one| &one.repartition_source_topics);
        let wanted = all.filter(|topic| (topic.partitions != 0) == fixed);
        wanted.map(|topic| topic.name.as_str()).collect()
    };
    let (fixed, flexible) = (repartitioned(true), repartitioned(false));
    for subtopology in topology.subtopologies.values() {
        for group in &subtopology.copartition_groups {
            enforce(&copartitioned(subtopology, group), &fixed, &flexible, &mut counts)?;
        }
    }
    for (id, subtopology) in &topology.subtopologies {
        let widest = widest(id, subtopology, &counts)?;
        for changelog in &subtopology.state_changelog_topics {
            counts.decided.insert(changelog.name.clone(), widest);
        }
    }
    let mut configured = BTreeMap::new();
    for (id, subtopology) in &topology.subtopologies {
        configured.insert(id.clone(), with_numbers(id, subtopology, &counts)?);
    }
    let missing = missing(&configured, topics)?;
    Ok((configured, missing))
}

/// More tasks than can be assigned while others wait are refused.
fn check_task_count(
    subtopologies: &BTreeMap<String, ConfiguredSubtopology>,
) -> Result<(), StreamsError> {
    let tasks = subtopologies.values().map(|one| u64::try_from(one.tasks).unwrap_or(0));
    let count: u64 = tasks.sum();
    if count <= TASKS_MAX {
        return Ok(());
    }
    Err(StreamsError::InvalidTopology(format!(
        "The topology has {count} tasks over its topics, but at most {TASKS_MAX} are allowed."
    )))
}

fn check_sources(topology: &Topology, topics: &dyn Topics) -> Result<(), Status> {
    let sources = topology.subtopologies.values().flat_map(|one| &one.source_topics);
    let gone: BTreeSet<&str> =
        sources.map(String::as_str).filter(|name| topics.by_name(name).is_none()).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let names = listed(gone.into_iter());
    Err(Status::MissingSourceTopics(format!("Source topics {names} are missing.")))
}

/// A repartition topic is as wide as what is written to it, if the topology does not say.
fn repartition_counts(
    topology: &Topology,
    topics: &dyn Topics,
) -> Result<BTreeMap<String, i32>, StreamsError> {
    let all: Vec<&Subtopology> = topology.subtopologies.values().collect();
    let mut decided: BTreeMap<String, i32> = all
        .iter()
        .flat_map(|one| &one.repartition_source_topics)
        .filter(|topic| topic.partitions != 0)
        .map(|topic| (topic.name.clone(), topic.partitions))
        .collect();
    let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        for topic in &one.repartition_source_topics {
            readers.entry(topic.name.as_str()).or_default().push(at);
        }
    }
    // Kafka goes over all of them again and again, and each decides as soon as anything it reads
    // is known. The same order, but only those that have something new to look at.
    let mut due: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (at, one) in all.iter().enumerate() {
        if widest_known(one, &decided, topics).is_some() {
            due.insert((0, at));
        }
    }
    let mut is_done = vec![false; all.len()];
    while let Some((pass, at)) = due.pop_first() {
        if std::mem::replace(&mut is_done[at], true) {
            continue;
        }
        let Some(widest) = widest_known(all[at], &decided, topics) else { continue };
        for sink in &all[at].repartition_sink_topics {
            if let Entry::Vacant(free) = decided.entry(sink.clone()) {
                free.insert(widest);
                let readers = readers.get(sink.as_str()).into_iter().flatten();
                due.extend(readers.map(|reader| (pass + usize::from(*reader <= at), *reader)));
            }
        }
    }
    let is_undecided = |sink: &String| !decided.contains_key(sink);
    if all.iter().any(|one| one.repartition_sink_topics.iter().any(is_undecided)) {
        return invalid(
            "Failed to compute number of partitions for all repartition topics. There may be \
             loops in the topology that cannot be resolved.",
        );
    }
    let is_unknown = |topic: &TopicInfo| !decided.contains_key(&topic.name);
    if all.iter().any(|one| one.repartition_source_topics.iter().any(is_unknown)) {
        return invalid(
            "Failed to compute number of partitions for all repartition topics, because a \
             repartition source topic is never used as a sink topic.",
        );
    }
    Ok(decided)
}

/// The widest of what a subtopology reads, as far as that is known.
fn widest_known(
    subtopology: &Subtopology,
    decided: &BTreeMap<String, i32>,
    topics: &dyn Topics,
) -> Option<i32> {
    let upstream = subtopology.repartition_source_topics.iter();
    let upstream = upstream.filter_map(|topic| decided.get(&topic.name).copied());
    let sources = subtopology.source_topics.iter();
    let sources = sources.filter_map(|name| topics.by_name(name)).map(|one| one.partitions);
    upstream.chain(sources).max()
}

fn widest(id: &str, subtopology: &Subtopology, counts: &Counts<'_>) -> Result<i32, StreamsError> {
    let mut widest: Option<i32> = None;
    for topic in inputs(subtopology) {
        widest = widest.max(Some(counts.of(topic)?));
    }
    widest.ok_or_else(|| {
        StreamsError::InvalidTopology(format!("No source topics found for subtopology {id}"))
    })
}

fn with_numbers(
    id: &str,
    subtopology: &Subtopology,
    counts: &Counts<'_>,
) -> Result<ConfiguredSubtopology, StreamsError> {
    let internal = |topic: &TopicInfo| -> Result<(String, InternalTopic), StreamsError> {
        let partitions = match topic.partitions {
            0 => counts.decided.get(&topic.name).copied().ok_or_else(|| no_count(&topic.name))?,
            fixed => fixed,
        };
        let configs = topic.topic_configs.iter();
        let internal = InternalTopic {
            name: topic.name.clone(),
            partitions,
            replication_factor: topic.replication_factor,
            configs: configs.map(|one| (one.key.clone(), one.value.clone())).collect(),
        };
        Ok((topic.name.clone(), internal))
    };
    let repartition_sources = subtopology.repartition_source_topics.iter().map(internal);
    let changelogs = subtopology.state_changelog_topics.iter().map(internal);
    Ok(ConfiguredSubtopology {
        tasks: widest(id, subtopology, counts)?,
        sources: subtopology.source_topics.iter().cloned().collect(),
        repartition_sinks: subtopology.repartition_sink_topics.iter().cloned().collect(),
        repartition_sources: repartition_sources.collect::<Result<_, _>>()?,
        changelogs: changelogs.collect::<Result<_, _>>()?,
    })
}

/// The internal topics that are not there; those that are must be as wide as they should.
fn missing(
    configured: &BTreeMap<String, ConfiguredSubtopology>,
    topics: &dyn Topics,
) -> Result<BTreeMap<String, InternalTopic>, Status> {
    let mut wanted: BTreeMap<String, InternalTopic> = BTreeMap::new();
    for one in configured.values() {
        for (name, topic) in one.repartition_sources.iter().chain(&one.changelogs) {
            wanted.insert(name.clone(), topic.clone());
        }
    }
    for (name, topic) in &wanted {
        if let Some(found) = topics.by_name(name)
            && found.partitions != topic.partitions
        {
            return Err(Status::IncorrectlyPartitionedTopics(format!(
                "Existing topic {name} has different number of partitions: expected {}, found {}",
                topic.partitions, found.partitions
            )));
        }
    }
    wanted.retain(|name, _| topics.by_name(name).is_none());
    Ok(wanted)
}

fn no_count(topic: &str) -> StreamsError {
    StreamsError::InvalidTopology(format!("Number of partitions must be set for topic {topic}"))
}

fn invalid<T>(text: &str) -> Result<T, StreamsError> {
    Err(StreamsError::InvalidTopology(text.to_owned()))
}

/// Leaves the number of replicas to the cluster.
const DEFAULT_REPLICATION: i16 = -1;
/// An assignment of as many takes a fraction of a second, in which the shard does nothing else.
const TASKS_MAX: u64 = 100_000;
