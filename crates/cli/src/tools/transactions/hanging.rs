//! Transactions that hang: open in a partition for longer than any may last, and unknown to their
//! coordinator.

use std::collections::{BTreeMap, BTreeSet};

use naru_client::admin::{ProducerDescription, TransactionFilter};
use naru_client::{Admin, TopicPartition};
use naru_model::ProducerId;

use super::table::table;
use super::{failed, producers_call};

/// Partitions that Kafka's tool asks about at once.
const BATCH: usize = 500;

/// Where is looked, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub topic: Option<String>,
    pub partition: Option<i32>,
    /// On the replicas of this broker; on the leaders if none.
    pub broker: Option<i32>,
    /// How long the producer has been silent.
    pub lasted_ms: i64,
}

/// A producer's open transaction in a partition.
pub type Open = (TopicPartition, ProducerDescription);

/// The transactions that hang; an error is in the tool's words.
pub async fn find_hanging(
    admin: &Admin,
    search: &Search,
    now_ms: i64,
) -> Result<Vec<Open>, String> {
    let mut open = Vec::new();
    let partitions = partitions(admin, search).await?;
    for partition in &partitions {
        let producers = admin.describe_producers(partition, search.broker).await;
        let producers = producers.map_err(|error| {
            let whose = search.broker.map_or_else(
                || "Optional.empty".to_owned(),
                |broker| format!("Optional[{broker}]"),
            );
            let count = partitions.len().min(BATCH);
            let what =
                format!("Failed to describe producers for {count} partitions on broker {whose}");
            failed(&what, &error, producers_call(search.broker))
        })?;
        for producer in producers {
            let is_old = now_ms.saturating_sub(producer.last_timestamp) > search.lasted_ms;
            if producer.transaction_start.is_some() && is_old {
                open.push((partition.clone(), producer));
            }
        }
    }
    if open.is_empty() {
        return Ok(open);
    }
    let known = known_to_coordinators(admin, &open).await?;
    open.retain(|(partition, producer)| {
        known.get(&producer.producer).is_none_or(|in_it| !in_it.contains(partition))
    });
    Ok(open)
}

/// Which partitions the coordinators know to be in the transactions of these producers.
async fn known_to_coordinators(
    admin: &Admin,
    open: &[Open],
) -> Result<BTreeMap<ProducerId, BTreeSet<TopicPartition>>, String> {
    let producers: BTreeSet<ProducerId> = open.iter().map(|(_, one)| one.producer).collect();
    let count = producers.len();
    let filter =
        TransactionFilter { producers: producers.into_iter().collect(), ..Default::default() };
    let listed = admin.list_transactions(&filter).await.map_err(|error| {
        let what = format!("Failed to list transactions for {count} producers");
        failed(&what, &error, "listTransactions(api=METADATA)")
    })?;
    let mut known = BTreeMap::new();
    for one in listed.into_iter().flat_map(|(_, all)| all) {
        let described = admin.describe_transaction(&one.transactional_id).await;
        let described = match described {
            Ok(described) => described,
            // Forgotten since it was listed.
            Err(naru_client::Error::Broker {
                code: naru_model::ErrorCode::TransactionalIdNotFound,
                ..
            }) => continue,
            Err(error) => {
                let what = format!("Failed to describe {count} transactions");
                return Err(failed(&what, &error, "describeTransactions(api=FIND_COORDINATOR)"));
            }
        };
        known.insert(described.producer, described.partitions.into_iter().collect());
    }
    Ok(known)
}

async fn partitions(admin: &Admin, search: &Search) -> Result<Vec<TopicPartition>, String> {
    if let (Some(topic), Some(index)) = (&search.topic, search.partition) {
        return Ok(vec![TopicPartition::new(topic.as_str(), index)]);
    }
    let topics = match &search.topic {
        Some(topic) => vec![topic.clone()],
        None => {
            let listed = admin.list_topics().await;
            let listed =
                listed.map_err(|error| failed("Failed to list topics", &error, "listTopics"))?;
            listed.into_iter().map(|topic| topic.name).collect()
        }
    };
    let described = admin.describe_topics(&topics).await;
    let what = format!("Failed to describe {} topics", topics.len());
    let described = described.map_err(|error| failed(&what, &error, "describeTopics"))?;
    let mut found = Vec::new();
    for (name, topic) in described {
        let topic = topic.map_err(|error| failed(&what, &error, "describeTopics"))?;
        let here = topic.partitions.iter().filter(|partition| {
            search.broker.is_none_or(|broker| partition.replicas.contains(&broker))
        });
        found.extend(here.map(|partition| TopicPartition::new(name.as_str(), partition.index)));
    }
    Ok(found)
}

/// The table of them.
pub(super) fn shown(found: &[Open], now_ms: i64) -> String {
    let titles = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    let rows = found.iter().map(|(partition, one)| {
        let silent_ms = now_ms.saturating_sub(one.last_timestamp);
        [
            partition.topic.clone(),
            partition.partition.to_string(),
            one.producer.to_string(),
            one.epoch.to_string(),
            one.coordinator_epoch.unwrap_or(-1).to_string(),
            one.transaction_start.unwrap_or(-1).to_string(),
            one.last_timestamp.to_string(),
            (silent_ms / 60_000).to_string(),
        ]
    });
    table(titles, rows)
}
