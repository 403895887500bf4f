//! `kafka-topics --describe`.

use std::collections::{HashMap, HashSet};

use naru_client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, PartitionDescription, Reassignment, TopicDescription,
};
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::{Failure, ensure_exists, topic_id, topics};
use crate::options::Parsed;
use crate::text::{Streams, java_copied_order, java_hash_order};

/// The options that show some partitions only.
pub(super) const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

pub(super) async fn describe(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let mut names = match topic_id(p)? {
        Some(id) => {
            let all = admin.list_topics().await;
            let all = all.map_err(|error| Failure::of(&error, "listTopics"))?;
            let found: Vec<String> =
                all.into_iter().filter(|topic| topic.id == id).map(|topic| topic.name).collect();
            if found.is_empty() && !p.has("if-exists") {
                let text = format!("TopicId '{id}' does not exist as expected");
                return Err(Failure::argument(text));
            }
            found
        }
        None => {
            let found = topics(p, admin).await?;
            ensure_exists(p, &found)?;
            found
        }
    };
    if names.is_empty() {
        return Ok(());
    }
    java_copied_order(&mut names);
    let described = admin.describe_topics(&names).await?;
    let resources: Vec<ConfigResource> = names.iter().map(ConfigResource::topic).collect();
    let configs = admin.describe_configs(&resources, false).await?;
    let live: HashSet<i32> =
        admin.describe_cluster().await?.brokers.iter().map(|broker| broker.id).collect();
    let state = State { live, reassignments: reassignments(admin).await? };
    for ((_, topic), (_, config)) in described.into_iter().zip(configs) {
        show(p, &topic?, &config?, &state, streams);
    }
    Ok(())
}

/// What is known of the cluster besides its topics.
#[derive(Debug, Default)]
struct State {
    live: HashSet<i32>,
    reassignments: HashMap<TopicPartition, Reassignment>,
}

/// What is under way; nothing where one may not know or nobody knows.
async fn reassignments(admin: &Admin) -> Result<HashMap<TopicPartition, Reassignment>, Failure> {
    let listed = match admin.list_partition_reassignments(None).await {
        Err(Error::UnsupportedVersion { .. }) => Vec::new(),
        Err(error) if error.code() == ErrorCode::ClusterAuthorizationFailed => Vec::new(),
        listed => listed?,
    };
    Ok(listed.into_iter().map(|one| (one.partition.clone(), one)).collect())
}

fn show(
    p: &Parsed,
    topic: &TopicDescription,
    config: &[ConfigEntry],
    state: &State,
    streams: &mut Streams,
) {
    let all = !REPORTS.iter().any(|report| p.has(report));
    let only_overrides = p.has("topics-with-overrides");
    if all {
        let overrides = overrides(config);
        if !only_overrides || !overrides.is_empty() {
            streams.line(header(topic, &overrides, state));
        }
    }
    if only_overrides {
        return;
    }
    let min_isr = config
        .iter()
        .find(|entry| entry.name == "min.insync.replicas")
        .and_then(|entry| entry.value.as_deref()?.parse().ok())
        .unwrap_or(1usize);
    for partition in &topic.partitions {
        let in_sync = partition.isr.len();
        let key = TopicPartition::new(topic.name.clone(), partition.index);
        let reassignment = state.reassignments.get(&key);
        let replicas = replication_factor(partition, reassignment);
        let led = partition.leader.is_some();
        let wanted = all
            || (p.has("under-replicated-partitions") && replicas > in_sync)
            || (p.has("unavailable-partitions")
                && !partition.leader.is_some_and(|leader| state.live.contains(&leader)))
            || (p.has("under-min-isr-partitions") && (!led || in_sync < min_isr))
            || (p.has("at-min-isr-partitions") && in_sync == min_isr);
        if wanted {
            streams.line(line(&topic.name, partition, reassignment));
        }
    }
}

/// `key=value` of what is not a default, in the order of Java's map of all entries.
fn overrides(config: &[ConfigEntry]) -> Vec<String> {
    let mut names: Vec<String> = config.iter().map(|entry| entry.name.clone()).collect();
    java_hash_order(&mut names);
    names
        .iter()
        .filter_map(|name| config.iter().find(|entry| entry.name == *name))
        .filter(|entry| entry.source != ConfigSource::Default)
        .map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null")))
        .collect()
}

/// How many replicas a partition is to have: those that are only coming do not count yet.
fn replication_factor(
    partition: &PartitionDescription,
    reassignment: Option<&Reassignment>,
) -> usize {
    let coming = reassignment.map_or(0, |one| one.adding.len());
    partition.replicas.len().saturating_sub(coming)
}

fn header(topic: &TopicDescription, overrides: &[String], state: &State) -> String {
    let id = if topic.id.is_zero() { String::new() } else { format!("\tTopicId: {}", topic.id) };
    format!(
        "Topic: {}{id}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
        topic.name,
        topic.partitions.len(),
        topic.partitions.first().map_or(0, |partition| {
            let key = TopicPartition::new(topic.name.clone(), partition.index);
            replication_factor(partition, state.reassignments.get(&key))
        }),
        overrides.join(",")
    )
}

fn line(
    topic: &str,
    partition: &PartitionDescription,
    reassignment: Option<&Reassignment>,
) -> String {
    let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let elr =
        |ids: &Option<Vec<i32>>| ids.as_ref().map_or_else(|| "N/A".to_owned(), |ids| list(ids));
    let moving = reassignment.map(|one| {
        let (adding, removing) = (list(&one.adding), list(&one.removing));
        format!("\tAdding Replicas: {adding}\tRemoving Replicas: {removing}")
    });
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}{}\tElr: \
         {}\tLastKnownElr: {}",
        partition.index,
        list(&partition.replicas),
        list(&partition.isr),
        moving.unwrap_or_default(),
        elr(&partition.elr),
        elr(&partition.last_known_elr)
    )
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_model::Uuid;

    #[test]
    fn lines_are_those_of_apache_kafka() {
        let partition = PartitionDescription {
            index: 0,
            leader: Some(3),
            replicas: vec![3, 1, 2],
            isr: vec![3, 1, 2],
            elr: Some(vec![]),
            last_known_elr: Some(vec![]),
        };
        let expect = "\tTopic: orders\tPartition: 0\tLeader: 3\tReplicas: 3,1,2\tIsr: 3,1,2\tElr: \
                      \tLastKnownElr: ";
        assert_eq!(line("orders", &partition, None), expect);
        let offline = PartitionDescription {
            leader: None,
            isr: vec![],
            elr: Some(vec![3]),
            last_known_elr: None,
            ..partition.clone()
        };
        let expect = "\tTopic: o\tPartition: 0\tLeader: none\tReplicas: 3,1,2\tIsr: \tElr: 3\t\
                      LastKnownElr: N/A";
        assert_eq!(line("o", &offline, None), expect);
        let moved = PartitionDescription {
            replicas: vec![1, 3, 2],
            leader: Some(1),
            isr: vec![1, 2],
            ..partition.clone()
        };
        let reassignment = Reassignment {
            partition: TopicPartition::new("orders", 0),
            replicas: vec![1, 3, 2],
            adding: vec![3],
            removing: vec![2],
        };
        let expect = "\tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1,3,2\tIsr: 1,2\t\
                      Adding Replicas: 3\tRemoving Replicas: 2\tElr: \tLastKnownElr: ";
        assert_eq!(line("orders", &moved, Some(&reassignment)), expect);
        let topic = TopicDescription {
            name: "orders".to_owned(),
            id: "ClTXlKaQQ7OpKWXgI8PIxQ".parse::<Uuid>().unwrap(),
            internal: false,
            partitions: vec![partition],
        };
        let overrides = ["min.insync.replicas=1".to_owned(), "retention.ms=86400000".to_owned()];
        let expect = "Topic: orders\tTopicId: ClTXlKaQQ7OpKWXgI8PIxQ\tPartitionCount: 1\t\
                      ReplicationFactor: 3\tConfigs: min.insync.replicas=1,retention.ms=86400000";
        assert_eq!(header(&topic, &overrides, &State::default()), expect);
    }
}
