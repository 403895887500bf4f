//! The cluster: id, brokers or controllers, and taking a broker off its books.

use std::collections::BTreeSet;

use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;

use super::Admin;
use crate::cluster::{BROKERS, Broker, CONTROLLERS};
use crate::error::{Error, Result};

/// Id, controller and brokers.
#[derive(Debug, Clone)]
pub struct ClusterDescription {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Node id of the controller, if there is one.
    pub controller: Option<i32>,
    /// By node id; the controllers where controllers are spoken to.
    pub brokers: Vec<Broker>,
    /// Node ids of those that are registered but fenced, if they were asked for (KIP-1073).
    pub fenced: BTreeSet<i32>,
}

impl Admin {
    /// Describes the cluster.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.describe_cluster_with(false).await
    }

    /// Describes the cluster, fenced brokers too if `fenced`.
    pub async fn describe_cluster_with(&self, fenced: bool) -> Result<ClusterDescription> {
        let described = self.cluster.retry(async || self.describe_cluster_once(fenced).await).await;
        match described {
            Err(Error::UnsupportedVersion { .. }) => {
                let metadata =
                    self.cluster.retry(async || self.cluster.refresh_brokers().await).await?;
                Ok(ClusterDescription {
                    cluster_id: metadata.cluster_id.clone().unwrap_or_default(),
                    controller: metadata.controller,
                    brokers: metadata.brokers.values().cloned().collect(),
                    fenced: BTreeSet::new(),
                })
            }
            other => other,
        }
    }

    async fn describe_cluster_once(&self, fenced: bool) -> Result<ClusterDescription> {
        let connection = self.cluster.any().await?;
        let to_controllers = self.cluster.config().to_controllers;
        let request = DescribeClusterRequest {
            endpoint_type: if to_controllers { CONTROLLERS } else { BROKERS },
            include_fenced_brokers: fenced,
            ..Default::default()
        };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Error::check_with(response.error_code, response.error_message)?;
        let fenced = response.brokers.iter().filter(|b| b.is_fenced).map(|b| b.broker_id).collect();
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
            fenced,
        })
    }

    /// Takes a broker that is gone for good off the cluster's books.
    pub async fn unregister_broker(&self, broker: i32) -> Result<()> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.any_or_active().await?;
                let request = UnregisterBrokerRequest { broker_id: broker };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check_with(response.error_code, response.error_message)
            })
            .await
    }
}
