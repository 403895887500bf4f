//! Log directories: what lies in them, and moving replicas between those of one broker.

use std::collections::BTreeMap;

use naru_model::TopicPartition;
use naru_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use naru_protocol::messages::describe_log_dirs_request::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use naru_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;

use super::{Admin, by_topic};
use crate::cluster::Lane;
use crate::error::{Error, Result};

/// One log directory of a broker.
#[derive(Debug, Clone)]
pub struct LogDir {
    /// Path on the broker.
    pub path: String,
    /// Size of its file system; none from old brokers.
    pub total_bytes: Option<i64>,
    /// Free bytes; none from old brokers.
    pub usable_bytes: Option<i64>,
    /// What lies in it.
    pub replicas: Vec<ReplicaSize>,
}

/// A replica in a log directory.
#[derive(Debug, Clone)]
pub struct ReplicaSize {
    /// Which partition.
    pub partition: TopicPartition,
    /// Bytes of its segments.
    pub size: i64,
    /// How far it is behind the leader.
    pub offset_lag: i64,
    /// Whether it is being moved here.
    pub future: bool,
}

impl Admin {
    /// Describes the log directories of a broker; answers for each directory.
    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<(String, Result<LogDir>)>> {
        self.log_dirs_of(broker, None).await
    }

    /// Describes where some partitions lie on a broker; answers for each directory.
    pub async fn describe_log_dirs_for(
        &self,
        broker: i32,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(String, Result<LogDir>)>> {
        self.log_dirs_of(broker, Some(partitions)).await
    }

    async fn log_dirs_of(
        &self,
        broker: i32,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(String, Result<LogDir>)>> {
        let topics = partitions.map(|partitions| {
            let topic = |(topic, partitions): (String, Vec<i32>)| DescribableLogDirTopic {
                topic,
                partitions,
            };
            by_topic(partitions).into_iter().map(topic).collect()
        });
        let request = DescribeLogDirsRequest { topics };
        self.cluster
            .retry(async || {
                let connection = self.cluster.broker(broker, Lane::Main).await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check(response.error_code)?;
                let dirs = response.results.into_iter().map(|dir| {
                    let path = dir.log_dir.clone();
                    (path, Error::check(dir.error_code).map(|()| log_dir_of(dir)))
                });
                Ok(dirs.collect())
            })
            .await
    }

    /// Asks a broker to move replicas into these directories of its own; answers for each.
    pub async fn alter_replica_log_dirs(
        &self,
        broker: i32,
        moves: &[(TopicPartition, String)],
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        let mut dirs: BTreeMap<&str, Vec<TopicPartition>> = BTreeMap::new();
        for (partition, path) in moves {
            dirs.entry(path).or_default().push(partition.clone());
        }
        let dirs = dirs
            .into_iter()
            .map(|(path, partitions)| AlterReplicaLogDir {
                path: path.to_owned(),
                topics: by_topic(&partitions)
                    .into_iter()
                    .map(|(name, partitions)| AlterReplicaLogDirTopic { name, partitions })
                    .collect(),
            })
            .collect();
        let request = AlterReplicaLogDirsRequest { dirs };
        self.cluster
            .retry(async || {
                let connection = self.cluster.broker(broker, Lane::Main).await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                let answers = response.results.into_iter().flat_map(|topic| {
                    let name = topic.topic_name;
                    topic.partitions.into_iter().map(move |p| {
                        let partition = TopicPartition::new(name.clone(), p.partition_index);
                        (partition, Error::check(p.error_code))
                    })
                });
                Ok(answers.collect())
            })
            .await
    }
}

fn log_dir_of(dir: DescribeLogDirsResult) -> LogDir {
    let replicas = dir
        .topics
        .into_iter()
        .flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |p| ReplicaSize {
                partition: TopicPartition::new(name.clone(), p.partition_index),
                size: p.partition_size,
                offset_lag: p.offset_lag,
                future: p.is_future_key,
            })
        })
        .collect();
    LogDir {
        path: dir.log_dir,
        total_bytes: (dir.total_bytes >= 0).then_some(dir.total_bytes),
        usable_bytes: (dir.usable_bytes >= 0).then_some(dir.usable_bytes),
        replicas,
    }
}
