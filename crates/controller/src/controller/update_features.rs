//! UpdateFeatures (key 57, v0-v2): finalises feature levels, or takes them back. KIP-584, 778, 1022.
//!
//! v1 kinds of upgrade, dry runs · v2 one error for all. Until a level is finalised every node
//! works, and writes metadata, at the level before it, and can be replaced by an older program.
//! `kraft.version` is the quorum's: the caller carries its upgrade out.

use std::collections::BTreeMap;

use naru_model::ErrorCode;
use naru_model::config::Layers;
use naru_protocol::messages::config_record::ConfigRecord;
use naru_protocol::messages::feature_level_record::FeatureLevelRecord;
use naru_protocol::messages::no_op_record::NoOpRecord;
use naru_protocol::messages::update_features_request::UpdateFeaturesRequest;
use naru_protocol::messages::update_features_response::{
    UpdatableFeatureResult, UpdateFeaturesResponse,
};

use super::Controller;
use super::changes::{ELR_VERSION, MIN_INSYNC_REPLICAS};
use super::features::{FEATURES, KRAFT_VERSION};
use crate::image::{ConfigResource, METADATA_VERSION, ResourceType, VersionRange};
use crate::records::{CONTROLLER_REGISTRATION, Decision, RecordAndVersion};

/// What an update depends on besides the request and the image.
#[derive(Debug, Clone, Copy)]
pub struct UpdateFeatures<'a> {
    /// The version of the request.
    pub version: i16,
    /// The voters of the quorum: each must have registered what it supports.
    pub voters: &'a [i32],
    /// The finalized `kraft.version`.
    pub kraft_version: i16,
}

/// The answer, and what the quorum has to do before it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdatedFeatures {
    /// To the client.
    pub response: UpdateFeaturesResponse,
    /// `kraft.version` is to be raised to this level; refused if the quorum refuses.
    pub kraft_version: Option<i16>,
}

/// Why a level is not finalised. The texts are Apache Kafka 4.3.1's: tools print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// The level, or the way to it.
    #[error("Invalid update version {level} for feature {feature}. {reason}")]
    Level {
        /// The feature.
        feature: String,
        /// The level asked for.
        level: i16,
        /// A sentence.
        reason: String,
    },
    /// A lower metadata version could not tell what is there.
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {reason}")]
    MetadataDowngrade {
        /// The finalized version.
        from: i16,
        /// The version asked for.
        to: i16,
        /// A sentence.
        reason: &'static str,
    },
}

impl FeatureError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Level { .. } | Self::MetadataDowngrade { .. } => ErrorCode::InvalidUpdateVersion,
        }
    }
}

/// Kinds of upgrade, by the protocol's numbers.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Every metadata version from the least supported on: its name, and whether it changed what
/// records tell.
const METADATA_VERSIONS: [(&str, bool); 24] = [
    ("3.3-IV3", true),
    ("3.4-IV0", true),
    ("3.5-IV0", false),
    ("3.5-IV1", false),
    ("3.5-IV2", true),
    ("3.6-IV0", false),
    ("3.6-IV1", true),
    ("3.6-IV2", true),
    ("3.7-IV0", true),
    ("3.7-IV1", false),
    ("3.7-IV2", true),
    ("3.7-IV3", false),
    ("3.7-IV4", false),
    ("3.8-IV0", false),
    ("3.9-IV0", false),
    ("4.0-IV0", false),
    ("4.0-IV1", true),
    ("4.0-IV2", false),
    ("4.0-IV3", false),
    ("4.1-IV0", false),
    ("4.1-IV1", false),
    ("4.2-IV0", false),
    ("4.2-IV1", false),
    ("4.3-IV0", true),
];
/// The level of the first of them.
const METADATA_VERSION_MIN: i16 = 7;
/// The ELR needs records that tell it: 4.0-IV1.
const METADATA_VERSION_OF_ELR: i16 = 23;

impl Controller {
    /// Decides an UpdateFeatures request: all of it, or nothing.
    pub fn decide_update_features(
        &self,
        request: &UpdateFeaturesRequest,
        context: UpdateFeatures<'_>,
    ) -> Decision<UpdatedFeatures> {
        let mut proposed = self.image.features().clone();
        for update in &request.feature_updates {
            proposed.insert(update.feature.clone(), update.max_version_level);
        }
        let mut records = Vec::new();
        let mut kraft_version = None;
        for update in &request.feature_updates {
            let (feature, level) = (update.feature.as_str(), update.max_version_level);
            match self.update(feature, level, update.upgrade_type, &proposed, context) {
                Ok(Some(record)) => {
                    if feature == KRAFT_VERSION {
                        kraft_version = Some(level);
                    }
                    records.push(record);
                }
                Ok(None) => {}
                Err(error) => {
                    let response = UpdateFeaturesResponse {
                        error_code: error.code().code(),
                        error_message: Some(format!(
                            "The update failed for all features since the following feature had \
                             an error: {error}"
                        )),
                        ..UpdateFeaturesResponse::default()
                    };
                    let response = UpdatedFeatures { response, kraft_version: None };
                    return Decision { records: Vec::new(), response };
                }
            }
        }
        if request.validate_only {
            records.clear();
            kraft_version = None;
        } else if request
            .feature_updates
            .iter()
            .any(|update| update.feature == ELR_VERSION && update.max_version_level > 0)
        {
            // Before the level: nobody is judged by another minimum once it counts.
            records.splice(0..0, self.one_minimum_for_all());
        }
        let results = if context.version <= 1 {
            let updates = request.feature_updates.iter();
            updates
                .map(|update| UpdatableFeatureResult {
                    feature: update.feature.clone(),
                    // What Kafka's code for no error is called.
                    error_message: Some("NONE".to_owned()),
                    ..UpdatableFeatureResult::default()
                })
                .collect()
        } else {
            Vec::new()
        };
        let response = UpdateFeaturesResponse { results, ..UpdateFeaturesResponse::default() };
        Decision { records, response: UpdatedFeatures { response, kraft_version } }
    }

    /// The record that finalises one level; none if the quorum has it already.
    fn update(
        &self,
        feature: &str,
        level: i16,
        upgrade_type: i8,
        proposed: &BTreeMap<String, i16>,
        context: UpdateFeatures<'_>,
    ) -> Result<Option<RecordAndVersion>, FeatureError> {
        let refuse = |reason: String| {
            Err(FeatureError::Level { feature: feature.to_owned(), level, reason })
        };
        if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&upgrade_type) {
            return refuse("The controller does not support the given upgrade type.".to_owned());
        }
        let current = if feature == KRAFT_VERSION {
            context.kraft_version
        } else {
            self.image.feature_level(feature)
        };
        if level < 0 {
            return refuse("A feature version cannot be less than 0.".to_owned());
        }
        if let Some(reason) = self.reason_not_supported(feature, level, context.voters) {
            return refuse(reason);
        }
        if level < current && upgrade_type == UPGRADE {
            return refuse(
                "Can't downgrade the version of this feature without setting the upgrade type \
                 to either safe or unsafe downgrade."
                    .to_owned(),
            );
        }
        if level > current && upgrade_type != UPGRADE {
            return refuse("Can't downgrade to a newer version.".to_owned());
        }
        if feature == METADATA_VERSION {
            check_metadata_version(current, level, upgrade_type)?;
        } else if feature == KRAFT_VERSION {
            if level < current {
                return refuse("Can't downgrade the version of this feature.".to_owned());
            }
            // The log shows that something happened; the level itself is in control records.
            let raised = level > current;
            return Ok(raised.then(|| self.versioned(NoOpRecord {})));
        } else if !FEATURES.iter().any(|known| known.name == feature) {
            return refuse(format!("Feature {feature} not found."));
        } else if feature == ELR_VERSION
            && level > 0
            && proposed.get(METADATA_VERSION).is_none_or(|mv| *mv < METADATA_VERSION_OF_ELR)
        {
            return refuse(format!(
                "{feature} could not be set to {level} because it depends on metadata.version \
                 level {METADATA_VERSION_OF_ELR}"
            ));
        }
        let record = FeatureLevelRecord { name: feature.to_owned(), feature_level: level };
        Ok(Some(self.versioned(record)))
    }

    /// Who does not support a level, in Kafka's words.
    fn reason_not_supported(&self, feature: &str, level: i16, voters: &[i32]) -> Option<String> {
        let disabled = VersionRange { min: 0, max: 0 };
        let local = FEATURES.iter().find(|known| known.name == feature);
        let local = local.map_or(disabled, |f| VersionRange { min: f.min, max: f.max });
        let in_range = |who: String, range: VersionRange| {
            let range_text = match range {
                VersionRange { min, max } if min == max => min.to_string(),
                VersionRange { min, max } => format!("{min}-{max}"),
            };
            if (range.min..=range.max).contains(&level) {
                None
            } else if range.max == 0 {
                Some(format!("{who} does not support this feature."))
            } else {
                Some(format!("{who} only supports versions {range_text}"))
            }
        };
        let of = |features: &BTreeMap<String, VersionRange>| {
            features.get(feature).copied().unwrap_or(disabled)
        };
        let node_id = self.node_id;
        let local = in_range(format!("Local controller {node_id}"), local);
        let brokers = || {
            let mut brokers = self.image.brokers();
            brokers.find_map(|b| in_range(format!("Broker {}", b.id), of(&b.features)))
        };
        let controllers = || {
            let mut others = self.image.controllers().filter(|c| c.id != node_id);
            others.find_map(|c| in_range(format!("Controller {}", c.id), of(&c.features)))
        };
        let unknown = || {
            let known = |id: i32| id == node_id || self.image.controller(id).is_some();
            let missing = voters.iter().find(|id| !known(**id))?;
            Some(format!(
                "controller {missing} has not registered, and may not support this feature"
            ))
        };
        let local_and_brokers = local.or_else(brokers);
        if self.image.feature_level(METADATA_VERSION) < CONTROLLER_REGISTRATION {
            return local_and_brokers;
        }
        local_and_brokers.or_else(controllers).or_else(unknown)
    }

    /// With eligible leader replicas the least size of an ISR must be known to the controller, and
    /// the same for all brokers (KIP-966).
    fn one_minimum_for_all(&self) -> Vec<RecordAndVersion> {
        let config = |resource: &ConfigResource, value: Option<String>| {
            self.versioned(ConfigRecord {
                resource_type: resource.kind.id(),
                resource_name: resource.name.clone(),
                name: MIN_INSYNC_REPLICAS.to_owned(),
                value,
            })
        };
        let mut records = Vec::new();
        let cluster = ConfigResource::cluster();
        if self.image.config_value(&cluster, MIN_INSYNC_REPLICAS).is_none() {
            let minimum = Layers::of_file(&self.file).effective(MIN_INSYNC_REPLICAS);
            records.push(config(&cluster, minimum.map(|text| text.into_owned())));
        }
        let brokers = self.image.configs().filter(|(resource, config)| {
            resource.kind == ResourceType::Broker
                && !resource.name.is_empty()
                && config.contains_key(MIN_INSYNC_REPLICAS)
        });
        records.extend(brokers.map(|(broker, _)| config(broker, None)));
        records
    }
}

fn check_metadata_version(from: i16, to: i16, upgrade_type: i8) -> Result<(), FeatureError> {
    let changes = |level: i16| {
        let index = usize::try_from(level - METADATA_VERSION_MIN).ok();
        index.and_then(|index| METADATA_VERSIONS.get(index)).is_some_and(|(_, changes)| *changes)
    };
    if to >= from || !(to + 1..=from).any(changes) {
        return Ok(());
    }
    let reason = if upgrade_type == SAFE_DOWNGRADE {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    } else {
        "Unsafe metadata downgrade is not supported in this version."
    };
    Err(FeatureError::MetadataDowngrade { from, to, reason })
}
