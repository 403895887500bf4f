//! The cluster: id, brokers, disks.

use naru_model::TopicPartition;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;

use super::Admin;
use crate::cluster::{Broker, Lane};
use crate::error::{Error, Result};

/// Id, controller and brokers.
#[derive(Debug, Clone)]
pub struct ClusterDescription {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Node id of the controller, if there is one.
    pub controller: Option<i32>,
    /// By node id.
    pub brokers: Vec<Broker>,
}

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
    /// Describes the cluster.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let described = self.cluster.retry(async || self.describe_cluster_once().await).await;
        match described {
            Err(Error::UnsupportedVersion { .. }) => {
                let metadata =
                    self.cluster.retry(async || self.cluster.refresh_brokers().await).await?;
                Ok(ClusterDescription {
                    cluster_id: metadata.cluster_id.clone().unwrap_or_default(),
                    controller: metadata.controller,
                    brokers: metadata.brokers.values().cloned().collect(),
                })
            }
            other => other,
        }
    }

    async fn describe_cluster_once(&self) -> Result<ClusterDescription> {
        let connection = self.cluster.any().await?;
        let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Error::check_with(response.error_code, response.error_message)?;
        let mut brokers: Vec<Broker> = response
            .brokers
            .into_iter()
            .map(|b| Broker { id: b.broker_id, host: b.host, port: b.port, rack: b.rack })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription {
            cluster_id: response.cluster_id,
            controller: (response.controller_id >= 0).then_some(response.controller_id),
            brokers,
        })
    }

    /// Describes the log directories of a broker; answers for each directory.
    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<(String, Result<LogDir>)>> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.broker(broker, Lane::Main).await?;
                let request = DescribeLogDirsRequest { topics: None };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                let dirs = response.results.into_iter().map(|dir| {
                    let path = dir.log_dir.clone();
                    (path, Error::check(dir.error_code).map(|()| log_dir_of(dir)))
                });
                Ok(dirs.collect())
            })
            .await
    }
}

type WireLogDir = naru_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;

fn log_dir_of(dir: WireLogDir) -> LogDir {
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
