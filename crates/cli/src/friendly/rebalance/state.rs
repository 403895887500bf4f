//! The cluster as the planner wants to know it.

use std::collections::{BTreeMap, BTreeSet};

use naru_client::{Admin, TopicPartition};

use super::planner::{Node, Placed, Role};
use crate::friendly::failure::Failure;
use crate::friendly::topic::matches_glob;

/// Brokers and partitions.
#[derive(Debug)]
pub(super) struct State {
    pub(super) nodes: Vec<Node>,
    pub(super) partitions: Vec<Placed>,
    /// Those that answer.
    pub(super) live: BTreeSet<i32>,
}

/// Bytes of each partition's largest replica.
pub(super) async fn sizes(
    admin: &Admin,
    live: &BTreeSet<i32>,
) -> Result<BTreeMap<TopicPartition, BTreeMap<i32, i64>>, Failure> {
    let mut sizes: BTreeMap<TopicPartition, BTreeMap<i32, i64>> = BTreeMap::new();
    for broker in live {
        for (_, dir) in admin.describe_log_dirs(*broker).await? {
            // A directory that is offline says nothing about its replicas.
            for replica in dir.map(|dir| dir.replicas).unwrap_or_default() {
                if !replica.future {
                    sizes.entry(replica.partition).or_default().insert(*broker, replica.size);
                }
            }
        }
    }
    Ok(sizes)
}

/// Reads brokers and partitions; those of topics that are not meant are fixed.
pub(super) async fn read(
    admin: &Admin,
    topics: &[String],
    drain: &BTreeSet<i32>,
    brokers: Option<&BTreeSet<i32>>,
) -> Result<State, Failure> {
    let described = admin.describe_cluster().await?;
    let live: BTreeSet<i32> = described.brokers.iter().map(|broker| broker.id).collect();
    for id in drain.iter().chain(brokers.into_iter().flatten()) {
        if !live.contains(id) && !drain.contains(id) {
            return Err(Failure::failed(format!("broker {id} is not there")));
        }
    }
    let role = |id: i32| {
        if drain.contains(&id) {
            Role::Leaves
        } else if live.contains(&id) && brokers.is_none_or(|brokers| brokers.contains(&id)) {
            Role::Takes
        } else {
            Role::Keeps
        }
    };
    let sizes = sizes(admin, &live).await?;
    let wanted = |name: &str| topics.is_empty() || topics.iter().any(|t| matches_glob(t, name));
    let mut partitions = Vec::new();
    for topic in admin.list_topics().await? {
        let fixed = !wanted(&topic.name);
        for known in topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), known.index);
            let bytes = sizes.get(&partition).and_then(|by| by.values().max()).copied();
            partitions.push(Placed {
                partition,
                replicas: known.replicas,
                bytes: bytes.unwrap_or(0),
                fixed,
            });
        }
    }
    if partitions.iter().all(|p| p.fixed) && !topics.is_empty() {
        return Err(Failure::failed(format!("no topic is called {}", topics.join(" or "))));
    }
    let absent = partitions.iter().flat_map(|p| p.replicas.iter().copied());
    let mut ids: BTreeSet<i32> = absent.collect();
    ids.extend(&live);
    let rack = |id: i32| described.brokers.iter().find(|b| b.id == id).and_then(|b| b.rack.clone());
    let nodes = ids.into_iter().map(|id| Node { id, rack: rack(id), role: role(id) }).collect();
    Ok(State { nodes, partitions, live })
}
