//! `kafka-topics --describe`.

use std::collections::HashSet;

use naru_client::Admin;
use naru_client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, PartitionDescription, TopicDescription,
};

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
    for ((_, topic), (_, config)) in described.into_iter().zip(configs) {
        show(p, &topic?, &config?, &live, streams);
    }
    Ok(())
}

fn show(
    p: &Parsed,
    topic: &TopicDescription,
    config: &[ConfigEntry],
    live: &HashSet<i32>,
    streams: &mut Streams,
) {
    let all = !REPORTS.iter().any(|report| p.has(report));
    let only_overrides = p.has("topics-with-overrides");
    if all {
        let overrides = overrides(config);
        if !only_overrides || !overrides.is_empty() {
            streams.line(header(topic, &overrides));
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
        let led = partition.leader.is_some();
        let wanted = all
            || (p.has("under-replicated-partitions") && partition.replicas.len() > in_sync)
            || (p.has("unavailable-partitions")
                && !partition.leader.is_some_and(|leader| live.contains(&leader)))
            || (p.has("under-min-isr-partitions") && (!led || in_sync < min_isr))
            || (p.has("at-min-isr-partitions") && in_sync == min_isr);
        if wanted {
            streams.line(line(&topic.name, partition));
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

fn header(topic: &TopicDescription, overrides: &[String]) -> String {
    let id = if topic.id.is_zero() { String::new() } else { format!("\tTopicId: {}", topic.id) };
    format!(
        "Topic: {}{id}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
        topic.name,
        topic.partitions.len(),
        topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
        overrides.join(",")
    )
}

fn line(topic: &str, partition: &PartitionDescription) -> String {
    let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let elr =
        |ids: &Option<Vec<i32>>| ids.as_ref().map_or_else(|| "N/A".to_owned(), |ids| list(ids));
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: \
         {}\tLastKnownElr: {}",
        partition.index,
        list(&partition.replicas),
        list(&partition.isr),
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
        assert_eq!(line("orders", &partition), expect);
        let offline = PartitionDescription {
            leader: None,
            isr: vec![],
            elr: Some(vec![3]),
            last_known_elr: None,
            ..partition.clone()
        };
        let expect = "\tTopic: o\tPartition: 0\tLeader: none\tReplicas: 3,1,2\tIsr: \tElr: 3\t\
                      LastKnownElr: N/A";
        assert_eq!(line("o", &offline), expect);
        let topic = TopicDescription {
            name: "orders".to_owned(),
            id: "ClTXlKaQQ7OpKWXgI8PIxQ".parse::<Uuid>().unwrap(),
            internal: false,
            partitions: vec![partition],
        };
        let overrides = ["min.insync.replicas=1".to_owned(), "retention.ms=86400000".to_owned()];
        let expect = "Topic: orders\tTopicId: ClTXlKaQQ7OpKWXgI8PIxQ\tPartitionCount: 1\t\
                      ReplicationFactor: 3\tConfigs: min.insync.replicas=1,retention.ms=86400000";
        assert_eq!(header(&topic, &overrides), expect);
    }
}
