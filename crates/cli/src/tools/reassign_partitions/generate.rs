//! Proposals of `--generate`: replicas spread evenly over brokers and racks. Pure.

use std::collections::{BTreeMap, BTreeSet};

use naru_client::TopicPartition;

use super::super::failure::Failure;
use super::super::json_file::duplicates;
use super::{FAILED, OPERATION, Replicas};
use crate::text::java_partition_order;

/// A broker that may have replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub rack: Option<String>,
}

/// Reads `0,1,2`.
pub(super) fn parse_brokers(text: &str) -> Result<Vec<i32>, Failure> {
    let ids = text.split(',').map(|id| {
        id.parse::<i32>().map_err(|_| {
            let text = format!("For input string: \"{id}\"");
            Failure::thrown("java.lang.NumberFormatException", text)
        })
    });
    let ids: Vec<i32> = ids.collect::<Result<_, _>>()?;
    let twice = duplicates(&ids);
    if twice.is_empty() {
        return Ok(ids);
    }
    let text = format!("Broker list contains duplicate entries: {twice:?}");
    Err(Failure::thrown(FAILED, text))
}

/// New replicas for all partitions of the topics in `current`, as many as one of each topic's
/// partitions has. `random` gives a number below its argument.
pub(super) fn propose(
    current: &Replicas,
    nodes: &[Node],
    rack_aware: bool,
    random: impl Fn(usize) -> usize,
) -> Result<Replicas, Failure> {
    let without = nodes.iter().filter(|node| node.rack.is_none()).count();
    if rack_aware && without != 0 && without != nodes.len() {
        return Err(Failure::thrown(
            OPERATION,
            "Not all brokers have rack information. Add --disable-rack-aware in command line to \
             make replica assignment without rack information.",
        ));
    }
    // A topic's factor is that of the first of its partitions in the order of Java's map.
    let mut ordered: Vec<(&TopicPartition, usize)> =
        current.iter().map(|(partition, replicas)| (partition, replicas.len())).collect();
    java_partition_order(&mut ordered, |(partition, _)| partition);
    let mut topics: BTreeMap<&str, (usize, Vec<&TopicPartition>)> = BTreeMap::new();
    for (partition, factor) in ordered {
        let topic = topics.entry(&partition.topic).or_insert((factor, Vec::new()));
        topic.1.push(partition);
    }
    let mut proposed = Replicas::new();
    for (factor, mut partitions) in topics.into_values() {
        partitions.sort();
        if factor > nodes.len() {
            return Err(Failure::thrown(
                "org.apache.kafka.common.errors.InvalidReplicationFactorException",
                format!(
                    "The target replication factor of {factor} cannot be reached because only {} \
                     broker(s) are registered or some brokers have all their log directories \
                     cordoned.",
                    nodes.len()
                ),
            ));
        }
        let (start, shift) = (random(nodes.len()), random(nodes.len()));
        let assigned = assign(nodes, partitions.len(), factor, start, shift);
        for (partition, replicas) in partitions.into_iter().zip(assigned) {
            proposed.insert(partition.clone(), replicas);
        }
    }
    Ok(proposed)
}

/// Replicas for `count` partitions, `factor` each: leaders one broker after the other, followers
/// behind them at a distance that grows with each round, and in other racks as long as there are
/// some. At most as many as there are brokers.
pub fn assign(
    nodes: &[Node],
    count: usize,
    factor: usize,
    start: usize,
    shift: usize,
) -> Vec<Vec<i32>> {
    let ring = ring(nodes);
    let size = ring.len();
    if size == 0 {
        return vec![Vec::new(); count];
    }
    let replicas = |index: usize| {
        let lead = (start + index) % size;
        let distance = shift + index / size;
        let mut chosen = vec![ring[lead]];
        // Behind the leader, from a place that moves on: everyone once.
        let others =
            (0..size - 1).map(|step| ring[(lead + 1 + (distance + step) % (size - 1)) % size]);
        let others: Vec<&Node> = others.collect();
        while chosen.len() < factor.min(size) {
            let left = |node: &&&Node| !chosen.iter().any(|one| one.id == node.id);
            let racks: BTreeSet<&Option<String>> = chosen.iter().map(|one| &one.rack).collect();
            let elsewhere = others
                .iter()
                .filter(left)
                .find(|node| node.rack.is_some() && !racks.contains(&node.rack));
            match elsewhere.or_else(|| others.iter().find(left)) {
                Some(node) => chosen.push(node),
                None => break,
            }
        }
        chosen.iter().map(|node| node.id).collect()
    };
    (0..count).map(replicas).collect()
}

/// The brokers, neighbours in different racks.
fn ring(nodes: &[Node]) -> Vec<&Node> {
    let mut racks: BTreeMap<&Option<String>, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        racks.entry(&node.rack).or_default().push(node);
    }
    for rack in racks.values_mut() {
        rack.sort_by_key(|node| node.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| racks.values().filter_map(move |rack| rack.get(at).copied());
    (0..longest).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(racks: &[Option<&str>]) -> Vec<Node> {
        let node = |(id, rack): (i32, &Option<&str>)| Node { id, rack: rack.map(str::to_owned) };
        (1..).zip(racks).map(node).collect()
    }

    #[test]
    fn replicas_are_different_brokers_and_leaders_take_turns() {
        let nodes = nodes(&[None; 5]);
        let assigned = assign(&nodes, 20, 3, 2, 1);
        for replicas in &assigned {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3, "{replicas:?}");
        }
        for id in 1..=5 {
            assert_eq!(assigned.iter().filter(|replicas| replicas[0] == id).count(), 4);
            assert_eq!(assigned.iter().filter(|replicas| replicas.contains(&id)).count(), 12);
        }
    }

    #[test]
    fn racks_are_used_before_any_is_used_twice() {
        let nodes = nodes(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("c"), Some("c")]);
        for start in 0..6 {
            for replicas in assign(&nodes, 12, 3, start, 5 - start) {
                let racks: BTreeSet<i32> = replicas.iter().map(|id| (id - 1) / 2).collect();
                assert_eq!(racks.len(), 3, "{replicas:?}");
            }
            for replicas in assign(&nodes, 12, 5, start, 0) {
                assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 5);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_in_apache_kafkas_words() {
        assert_eq!(
            parse_brokers("1,1").unwrap_err().words(),
            "Broker list contains duplicate entries: [1]"
        );
        assert_eq!(parse_brokers("x").unwrap_err().words(), "For input string: \"x\"");
        let current: Replicas = [(TopicPartition::new("a", 0), vec![1, 2])].into();
        let refused = propose(&current, &nodes(&[None]), true, |_| 0).unwrap_err();
        let expect = "The target replication factor of 2 cannot be reached because only 1 \
                      broker(s) are registered or some brokers have all their log directories \
                      cordoned.";
        assert_eq!(refused.words(), expect);
        let mixed = propose(&current, &nodes(&[None, Some("a")]), true, |_| 0).unwrap_err();
        assert!(mixed.words().starts_with("Not all brokers have rack information."));
    }
}
