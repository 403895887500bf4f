//! How far reassignments are: what is listed, and what `--verify` says.

use std::collections::BTreeMap;

use naru_client::admin::Reassignment;
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::super::failure::Failure;
use super::json::commas;
use super::{Plan, Replicas, throttles};
use crate::text::Streams;

/// What `--list` prints.
pub(super) fn reassignments_text(reassignments: &[Reassignment]) -> String {
    if reassignments.is_empty() {
        return "No partition reassignments found.".to_owned();
    }
    let part = |word: &str, ids: &[i32]| {
        if ids.is_empty() { String::new() } else { format!(" {word}: {}.", commas(ids)) }
    };
    let line = |r: &Reassignment| {
        format!(
            "\n{}: replicas: {}.{}{}",
            r.partition,
            commas(&r.replicas),
            part("adding", &r.adding),
            part("removing", &r.removing)
        )
    };
    let lines: String = reassignments.iter().map(line).collect();
    format!("Current partition reassignments:{lines}")
}

pub(super) async fn verify(
    plan: &Plan,
    preserve: bool,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let targets = plan.replicas();
    let under_way = admin.list_partition_reassignments(None).await;
    let under_way = under_way.map_err(|error| Failure::of(&error, "listPartitionReassignments"))?;
    let mut current = Replicas::new();
    let topics: Vec<String> = topics_of(&targets);
    let described = admin.describe_topics(&topics).await;
    for (name, topic) in described.map_err(|error| Failure::of(&error, "describeTopics"))? {
        match topic {
            Ok(topic) => current.extend(
                topic
                    .partitions
                    .into_iter()
                    .map(|p| (TopicPartition::new(name.clone(), p.index), p.replicas)),
            ),
            Err(Error::Broker { code: ErrorCode::UnknownTopicOrPartition, .. }) => {}
            Err(error) => return Err(Failure::of(&error, "describeTopics")),
        }
    }
    streams.line(status_text(&targets, &under_way, &current));
    let moves = dir_moves(plan, admin).await?;
    let lines: Vec<String> = moves.iter().map(DirMove::status).collect();
    streams.line(lines.join("\n"));
    let moving = moves.iter().any(|one| one.future.is_some());
    if under_way.is_empty() && !moving && !preserve {
        throttles::clear(&targets, admin, streams).await?;
    }
    Ok(())
}

fn topics_of(targets: &Replicas) -> Vec<String> {
    let mut topics: Vec<String> = targets.keys().map(|p| p.topic.clone()).collect();
    topics.dedup();
    topics
}

fn status_text(targets: &Replicas, under_way: &[Reassignment], current: &Replicas) -> String {
    let mut text = "Status of partition reassignment:".to_owned();
    let none = Vec::new();
    for (partition, target) in targets {
        let there = current.get(partition).unwrap_or(&none);
        text.push('\n');
        if under_way.iter().any(|r| r.partition == *partition) {
            text.push_str(&format!("Reassignment of partition {partition} is still in progress."));
        } else if there == target {
            text.push_str(&format!("Reassignment of partition {partition} is completed."));
        } else {
            text.push_str(&format!(
                "There is no active reassignment of partition {partition}, but replica set is {} \
                 rather than {}.",
                commas(there),
                commas(target)
            ));
        }
    }
    text
}

/// A replica that was to be in a certain directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirMove {
    pub(super) partition: TopicPartition,
    pub(super) broker: i32,
    /// Where it was to be.
    target: String,
    /// Where it is.
    pub(super) current: Option<String>,
    /// Where it is being moved.
    pub(super) future: Option<String>,
}

impl DirMove {
    fn status(&self) -> String {
        let Self { partition, broker, target, .. } = self;
        let replica = format!("{partition}-{broker}");
        match (&self.current, &self.future) {
            (None, _) => format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There \
                 is likely an offline log directory on the broker."
            ),
            (_, Some(future)) if future == target => {
                format!("Reassignment of replica {replica} is still in progress.")
            }
            (_, Some(future)) => format!(
                "Partition {partition} on broker {broker} is being moved to log dir {future} \
                 instead of {target}."
            ),
            (Some(current), None) if current == target => {
                format!("Reassignment of replica {replica} completed successfully.")
            }
            (Some(current), None) => format!(
                "Partition {partition} on broker {broker} is not being moved from log dir \
                 {current} to {target}."
            ),
        }
    }
}

/// Where the replicas are that a plan gives directories, by broker.
pub(super) async fn dir_moves(plan: &Plan, admin: &Admin) -> Result<Vec<DirMove>, Failure> {
    let mut wanted: Vec<(i32, TopicPartition, String)> = plan
        .dirs
        .iter()
        .map(|((partition, broker), dir)| (*broker, partition.clone(), dir.clone()))
        .collect();
    wanted.sort();
    let mut by_broker: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    for (broker, partition, _) in &wanted {
        by_broker.entry(*broker).or_default().push(partition.clone());
    }
    let mut places = BTreeMap::new();
    for (broker, partitions) in by_broker {
        let dirs = admin.describe_log_dirs_for(broker, &partitions).await;
        for (path, dir) in dirs.map_err(|error| Failure::of(&error, "describeLogDirs"))? {
            for replica in dir.map(|dir| dir.replicas).unwrap_or_default() {
                places.insert((broker, replica.partition, replica.future), path.clone());
            }
        }
    }
    let place = |(broker, partition, target): (i32, TopicPartition, String)| {
        let at = |future: bool| places.get(&(broker, partition.clone(), future)).cloned();
        let (current, future) = (at(false), at(true));
        DirMove { partition, broker, target, current, future }
    };
    Ok(wanted.into_iter().map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(topic, index)
    }

    #[test]
    fn reassignments_are_listed_as_apache_kafka_lists_them() {
        assert_eq!(reassignments_text(&[]), "No partition reassignments found.");
        let one = Reassignment {
            partition: tp("orders", 0),
            replicas: vec![1, 3, 2],
            adding: vec![3],
            removing: vec![2],
        };
        let expect =
            "Current partition reassignments:\norders-0: replicas: 1,3,2. adding: 3. removing: 2.";
        assert_eq!(reassignments_text(std::slice::from_ref(&one)), expect);
        let growing = Reassignment { removing: vec![], ..one };
        assert!(reassignments_text(&[growing]).ends_with("replicas: 1,3,2. adding: 3."));
    }

    #[test]
    fn each_partition_is_done_under_way_or_elsewhere() {
        let targets: Replicas = [
            (tp("manual", 0), vec![3, 1]),
            (tp("manual", 17), vec![1, 2]),
            (tp("manual", 9), vec![1, 2]),
            (tp("orders", 0), vec![1, 2]),
        ]
        .into();
        let current: Replicas =
            [(tp("manual", 0), vec![3, 1, 2]), (tp("orders", 0), vec![1, 2])].into();
        let under_way = Reassignment {
            partition: tp("manual", 0),
            replicas: vec![3, 1, 2],
            adding: vec![3],
            removing: vec![2],
        };
        let expect = "\
Status of partition reassignment:
Reassignment of partition manual-0 is still in progress.
There is no active reassignment of partition manual-9, but replica set is  rather than 1,2.
There is no active reassignment of partition manual-17, but replica set is  rather than 1,2.
Reassignment of partition orders-0 is completed.";
        assert_eq!(status_text(&targets, &[under_way], &current), expect);
    }

    #[test]
    fn moves_between_directories_are_told_in_apache_kafkas_words() {
        let check = |current: Option<&str>, future: Option<&str>, expect: &str| {
            let one = DirMove {
                partition: tp("manual", 0),
                broker: 1,
                target: "/b".to_owned(),
                current: current.map(str::to_owned),
                future: future.map(str::to_owned),
            };
            assert_eq!(one.status(), expect);
        };
        check(
            Some("/a"),
            None,
            "Partition manual-0 on broker 1 is not being moved from log dir /a to /b.",
        );
        check(Some("/b"), None, "Reassignment of replica manual-0-1 completed successfully.");
        check(Some("/a"), Some("/b"), "Reassignment of replica manual-0-1 is still in progress.");
        check(
            Some("/a"),
            Some("/c"),
            "Partition manual-0 on broker 1 is being moved to log dir /c instead of /b.",
        );
    }
}
