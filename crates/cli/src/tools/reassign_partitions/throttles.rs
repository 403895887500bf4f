//! Throttles of a reassignment: which replicas of which topics, and which brokers. The
//! computing is pure; the calls below carry it out.

use std::collections::{BTreeMap, BTreeSet};

use naru_client::Admin;
use naru_client::admin::{AlterOp, ConfigResource, Reassignment};

use super::super::failure::Failure;
use super::Replicas;
use super::json::commas;
use crate::text::{Streams, java_grown_order, java_int_order};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";

/// What has to be throttled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Throttled {
    /// By topic: `partition:broker` of those that are read from.
    pub leaders: BTreeMap<String, BTreeSet<String>>,
    /// By topic: `partition:broker` of those that read.
    pub followers: BTreeMap<String, BTreeSet<String>>,
    /// All brokers involved.
    pub brokers: BTreeSet<i32>,
}

/// What has to be throttled for `proposed` and for what is under way already.
pub fn throttled_replicas(
    under_way: &[Reassignment],
    proposed: &Replicas,
    current: &Replicas,
) -> Throttled {
    // Sources and destinations by partition.
    let mut moves: BTreeMap<_, (BTreeSet<i32>, BTreeSet<i32>)> = BTreeMap::new();
    for reassignment in under_way {
        let mut sources: BTreeSet<i32> = reassignment.replicas.iter().copied().collect();
        sources.retain(|id| !reassignment.adding.contains(id));
        let destinations = reassignment.adding.iter().copied().collect();
        moves.insert(reassignment.partition.clone(), (sources, destinations));
    }
    for (partition, replicas) in proposed {
        let sources = match moves.get(partition) {
            Some((sources, _)) => sources.clone(),
            None => current.get(partition).into_iter().flatten().copied().collect(),
        };
        let destinations = replicas.iter().copied().filter(|id| !sources.contains(id)).collect();
        moves.insert(partition.clone(), (sources, destinations));
    }
    let mut throttled = Throttled::default();
    for (partition, (sources, destinations)) in moves {
        let name = |id: &i32| format!("{}:{id}", partition.partition);
        let leaders = throttled.leaders.entry(partition.topic.clone()).or_default();
        leaders.extend(sources.iter().map(name));
        let followers = throttled.followers.entry(partition.topic.clone()).or_default();
        followers.extend(destinations.iter().map(name));
        throttled.brokers.extend(sources.iter().chain(&destinations));
    }
    throttled
}

impl Throttled {
    /// Sets the throttles: `rate` bytes per second.
    pub async fn set(&self, rate: i64, admin: &Admin) -> Result<(), Failure> {
        let none = BTreeSet::new();
        for (topic, leaders) in &self.leaders {
            let followers = self.followers.get(topic).unwrap_or(&none);
            let join = |all: &BTreeSet<String>| {
                AlterOp::Set(all.iter().cloned().collect::<Vec<_>>().join(","))
            };
            let changes =
                [(LEADERS.to_owned(), join(leaders)), (FOLLOWERS.to_owned(), join(followers))];
            alter(admin, &ConfigResource::topic(topic), &changes).await?;
        }
        for broker in &self.brokers {
            let rate = AlterOp::Set(rate.to_string());
            let changes =
                [(LEADER_RATE.to_owned(), rate.clone()), (FOLLOWER_RATE.to_owned(), rate)];
            alter(admin, &ConfigResource::broker(*broker), &changes).await?;
        }
        Ok(())
    }
}

/// Limits what brokers move between their own directories.
pub(super) async fn set_dirs_rate(
    brokers: &BTreeSet<i32>,
    rate: i64,
    admin: &Admin,
) -> Result<(), Failure> {
    for broker in brokers {
        let changes = [(DIRS_RATE.to_owned(), AlterOp::Set(rate.to_string()))];
        alter(admin, &ConfigResource::broker(*broker), &changes).await?;
    }
    Ok(())
}

/// Lifts all throttles of the live brokers, of those in `targets`, and of its topics.
pub(super) async fn clear(
    targets: &Replicas,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let described = admin.describe_cluster().await;
    let described = described.map_err(|error| Failure::of(&error, "describeCluster"))?;
    let live = described.brokers.iter().map(|broker| broker.id);
    let brokers: BTreeSet<i32> = live.chain(targets.values().flatten().copied()).collect();
    let mut brokers: Vec<i32> = brokers.into_iter().collect();
    java_int_order(&mut brokers, |id| *id);
    streams.line(format!(
        "Clearing broker-level throttles on broker{} {}",
        plural(brokers.len()),
        commas(&brokers)
    ));
    for broker in brokers {
        clear_broker(broker, admin).await?;
    }
    let topics: BTreeSet<&str> = targets.keys().map(|partition| partition.topic.as_str()).collect();
    let mut topics: Vec<&str> = topics.into_iter().collect();
    java_grown_order(&mut topics, |topic| topic);
    streams.line(format!(
        "Clearing topic-level throttles on topic{} {}",
        plural(topics.len()),
        topics.join(",")
    ));
    for topic in topics {
        clear_topic(topic, admin).await?;
    }
    Ok(())
}

/// Lifts the throttles of a broker.
pub async fn clear_broker(broker: i32, admin: &Admin) -> Result<(), Failure> {
    let changes =
        [LEADER_RATE, FOLLOWER_RATE, DIRS_RATE].map(|name| (name.to_owned(), AlterOp::Delete));
    alter(admin, &ConfigResource::broker(broker), &changes).await
}

/// Lifts the throttles of a topic.
pub async fn clear_topic(topic: &str, admin: &Admin) -> Result<(), Failure> {
    let changes = [LEADERS, FOLLOWERS].map(|name| (name.to_owned(), AlterOp::Delete));
    alter(admin, &ConfigResource::topic(topic), &changes).await
}

async fn alter(
    admin: &Admin,
    resource: &ConfigResource,
    changes: &[(String, AlterOp)],
) -> Result<(), Failure> {
    let altered = admin.alter_configs(resource, changes, false).await;
    altered.map_err(|error| Failure::of(&error, "incrementalAlterConfigs"))
}

pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use naru_client::TopicPartition;

    use super::*;

    fn replicas(rows: &[(&str, i32, &[i32])]) -> Replicas {
        let row = |(topic, index, ids): &(&str, i32, &[i32])| {
            (TopicPartition::new(*topic, *index), ids.to_vec())
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn sources_are_throttled_as_leaders_and_newcomers_as_followers() {
        // As Apache Kafka's tool set them for the same moves.
        let proposed = replicas(&[("manual", 0, &[3, 1]), ("orders", 0, &[1, 2])]);
        let current = replicas(&[("manual", 0, &[1, 2]), ("orders", 0, &[3, 1, 2])]);
        let throttled = throttled_replicas(&[], &proposed, &current);
        let list = |all: &BTreeMap<String, BTreeSet<String>>, topic: &str| {
            all[topic].iter().cloned().collect::<Vec<_>>().join(",")
        };
        assert_eq!(list(&throttled.leaders, "manual"), "0:1,0:2");
        assert_eq!(list(&throttled.followers, "manual"), "0:3");
        assert_eq!(list(&throttled.leaders, "orders"), "0:1,0:2,0:3");
        assert_eq!(list(&throttled.followers, "orders"), "");
        assert_eq!(throttled.brokers, [1, 2, 3].into());
    }

    #[test]
    fn what_is_under_way_keeps_its_sources() {
        let under_way = Reassignment {
            partition: TopicPartition::new("a", 0),
            replicas: vec![3, 1, 2],
            adding: vec![3],
            removing: vec![2],
        };
        let proposed = replicas(&[("a", 0, &[4, 1])]);
        let current = replicas(&[("a", 0, &[3, 1, 2])]);
        let throttled = throttled_replicas(&[under_way], &proposed, &current);
        assert_eq!(throttled.leaders["a"], ["0:1".to_owned(), "0:2".to_owned()].into());
        assert_eq!(throttled.followers["a"], ["0:4".to_owned()].into());
    }
}
