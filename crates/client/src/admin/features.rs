//! Features: which levels the cluster could have, which it has, and changing them (KIP-584).

use std::collections::BTreeMap;

use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

use super::Admin;
use crate::cluster::Lane;
use crate::error::{Error, Result};

/// The features of a node and of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Lowest and highest level that the node knows, by name.
    pub supported: BTreeMap<String, (i16, i16)>,
    /// The level that the cluster has, by name.
    pub finalized: BTreeMap<String, i16>,
    /// Offset of the metadata log up to which that is known.
    pub epoch: Option<i64>,
}

/// In which direction a level may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeType {
    /// Up only.
    Upgrade,
    /// Down, if nothing is lost by it.
    SafeDowngrade,
    /// Down, whatever is lost by it.
    UnsafeDowngrade,
}

impl Admin {
    /// Describes the features, as some node or the given one knows them.
    pub async fn describe_features(&self, node: Option<i32>) -> Result<FeatureDescription> {
        self.cluster
            .retry(async || {
                let connection = match node {
                    Some(id) => self.cluster.broker(id, Lane::Main).await?,
                    None => self.cluster.any_or_active().await?,
                };
                let request = ApiVersionsRequest {
                    client_software_name: "naru".to_owned(),
                    client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                let supported = response.supported_features.into_iter();
                let finalized = response.finalized_features.into_iter();
                let epoch = response.finalized_features_epoch;
                Ok(FeatureDescription {
                    supported: supported
                        .map(|f| (f.name, (f.min_version, f.max_version)))
                        .collect(),
                    finalized: finalized.map(|f| (f.name, f.max_version_level)).collect(),
                    epoch: (epoch >= 0).then_some(epoch),
                })
            })
            .await
    }

    /// The APIs that a broker speaks: key, lowest and highest version.
    pub async fn api_versions(&self, node: i32) -> Result<Vec<(i16, i16, i16)>> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.broker(node, Lane::Main).await?;
                let request = ApiVersionsRequest {
                    client_software_name: "naru".to_owned(),
                    client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                let apis = response.api_keys.into_iter();
                Ok(apis.map(|api| (api.api_key, api.min_version, api.max_version)).collect())
            })
            .await
    }

    /// Changes levels, all or none, or with `validate_only` says whether they could be.
    pub async fn update_features(
        &self,
        levels: &[(String, i16)],
        upgrade: UpgradeType,
        validate_only: bool,
    ) -> Result<Vec<(String, Result<()>)>> {
        let number = match upgrade {
            UpgradeType::Upgrade => 1,
            UpgradeType::SafeDowngrade => 2,
            UpgradeType::UnsafeDowngrade => 3,
        };
        let update = |(feature, level): &(String, i16)| FeatureUpdateKey {
            feature: feature.clone(),
            max_version_level: *level,
            // Version 0 of the API has this flag instead of the type.
            allow_downgrade: number > 1,
            upgrade_type: number,
        };
        let feature_updates: Vec<FeatureUpdateKey> = levels.iter().map(update).collect();
        let timeout_ms = self.timeout_ms();
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let request = UpdateFeaturesRequest {
                    timeout_ms,
                    feature_updates: feature_updates.clone(),
                    validate_only,
                };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let overall = Error::check_with(response.error_code, response.error_message);
                if overall.as_ref().is_err_and(Error::is_retriable) {
                    overall.clone()?;
                }
                Ok(levels
                    .iter()
                    .map(|(name, _)| {
                        // Since version 2 the answer names no feature.
                        let own = response.results.iter().find(|r| r.feature == *name);
                        let outcome = match own {
                            Some(r) if overall.is_ok() => {
                                Error::check_with(r.error_code, r.error_message.clone())
                            }
                            _ => overall.clone(),
                        };
                        (name.clone(), outcome)
                    })
                    .collect())
            })
            .await
    }
}
