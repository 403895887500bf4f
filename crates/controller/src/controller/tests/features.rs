//! UpdateFeatures. Texts are Apache Kafka 4.3.1's.

use naru_model::ErrorCode;
use naru_protocol::messages::feature_level_record::FeatureLevelRecord;
use naru_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use naru_protocol::messages::update_features_response::UpdateFeaturesResponse;

use super::brokers::{Live, registration};
use super::*;
use crate::image::{ConfigResource, METADATA_VERSION};

const ELR: &str = "eligible.leader.replicas.version";

impl Live {
    fn update(&mut self, updates: &[(&str, i16, i8)], dry: bool) -> UpdateFeaturesResponse {
        self.update_with(updates, dry, &[1])
    }

    fn update_with(
        &mut self,
        updates: &[(&str, i16, i8)],
        validate_only: bool,
        voters: &[i32],
    ) -> UpdateFeaturesResponse {
        let feature_updates = updates.iter().map(|(feature, level, kind)| FeatureUpdateKey {
            feature: (*feature).to_owned(),
            max_version_level: *level,
            upgrade_type: *kind,
            ..FeatureUpdateKey::default()
        });
        let request = UpdateFeaturesRequest {
            feature_updates: feature_updates.collect(),
            validate_only,
            ..UpdateFeaturesRequest::default()
        };
        let context = UpdateFeatures { version: 2, voters, kraft_version: 0 };
        let decision = self.cluster.controller.decide_update_features(&request, context);
        self.cluster.commit(decision.records);
        decision.response.response
    }

    fn level(&self, feature: &str) -> i16 {
        self.cluster.controller.image().feature_level(feature)
    }

    /// A cluster that an older program formatted.
    pub(super) fn at_level(metadata_version: i16) -> Self {
        let mut cluster = Cluster::empty();
        let name = METADATA_VERSION.to_owned();
        let record = FeatureLevelRecord { name, feature_level: metadata_version };
        cluster.commit(vec![RecordAndVersion::newest(record)]);
        let sessions = cluster.controller.start_sessions(SessionSettings::default(), 0);
        Self { cluster, sessions, now_ms: 0 }
    }
}

#[test]
fn levels_go_up_and_down_and_are_checked() {
    let mut live = Live::with_brokers(&[1, 2]);
    let mut refused = |update, text: &str| {
        let response = live.update(&[update], false);
        assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion.code());
        let all = "The update failed for all features since the following feature had an error: ";
        assert_eq!(response.error_message, Some(format!("{all}{text}")));
    };
    refused(
        ("transaction.version", 1, 0),
        "Invalid update version 1 for feature transaction.version. The controller does not \
         support the given upgrade type.",
    );
    refused(
        ("transaction.version", -1, 1),
        "Invalid update version -1 for feature transaction.version. A feature version cannot be \
         less than 0.",
    );
    refused(
        ("transaction.version", 3, 1),
        "Invalid update version 3 for feature transaction.version. Local controller 1 only \
         supports versions 0-2",
    );
    refused(
        ("nope", 1, 1),
        "Invalid update version 1 for feature nope. Local controller 1 does not support this \
         feature.",
    );
    refused(("nope", 0, 2), "Invalid update version 0 for feature nope. Feature nope not found.");
    refused(
        ("transaction.version", 1, 1),
        "Invalid update version 1 for feature transaction.version. Can't downgrade the version \
         of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    );
    refused(
        ("metadata.version", 29, 2),
        "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform \
         the requested downgrade because it might delete metadata information.",
    );
    refused(
        ("metadata.version", 29, 3),
        "Unsupported metadata.version downgrade from 30 to 29. Unsafe metadata \
         downgrade is not supported in this version.",
    );
    assert_eq!(live.update(&[("transaction.version", 1, 2)], true).error_code, 0);
    assert_eq!(live.level("transaction.version"), 2);
    assert_eq!(live.update(&[("transaction.version", 1, 2)], false).error_code, 0);
    assert_eq!(live.level("transaction.version"), 1);
    let up = live.update(&[("transaction.version", 2, 2)], false).error_message.unwrap();
    assert!(up.ends_with("Can't downgrade to a newer version."), "{up}");
    // All or nothing.
    live.update(&[("transaction.version", 2, 1), ("group.version", 7, 1)], false);
    assert_eq!(live.level("transaction.version"), 1);
}

#[test]
fn nobody_is_left_behind() {
    let mut live = Live::at_level(29);
    let mut old = registration(1, 5);
    let metadata = old.features.iter_mut().find(|f| f.name == METADATA_VERSION).unwrap();
    metadata.max_supported_version = 29;
    assert_eq!(live.register(&old, false).0, ErrorCode::None);
    let text = live.update(&[(METADATA_VERSION, 30, 1)], false).error_message.unwrap();
    assert!(text.ends_with("Broker 1 only supports versions 7-29"), "{text}");
    // Replaced by a program that can; until the level is raised it could be replaced back.
    assert_eq!(live.register(&registration(1, 6), true).0, ErrorCode::None);
    let text = live.update_with(&[(METADATA_VERSION, 30, 1)], false, &[1, 2]).error_message;
    let missing = "controller 2 has not registered, and may not support this feature";
    assert!(text.unwrap().ends_with(missing));
    assert_eq!(live.register(&old, true).0, ErrorCode::None);
    live.register(&registration(1, 7), true);
    assert_eq!(live.update(&[(METADATA_VERSION, 30, 1)], false).error_code, 0);
    assert_eq!(live.level(METADATA_VERSION), 30);
    assert_eq!(live.register(&old, true).0, ErrorCode::UnsupportedVersion);
}

#[test]
fn eligible_leaders_need_one_minimum_that_all_know() {
    let mut live = Live::at_level(22);
    let text = live.update(&[(ELR, 1, 1)], false).error_message.unwrap();
    let reason = "eligible.leader.replicas.version could not be set to 1 because it depends on \
                  metadata.version level 23";
    assert!(text.ends_with(reason), "{text}");
    assert_eq!(live.update(&[(ELR, 1, 1), (METADATA_VERSION, 30, 1)], false).error_code, 0);
    let image = live.cluster.controller.image();
    let cluster = ConfigResource::cluster();
    assert_eq!(image.config_value(&cluster, "min.insync.replicas"), Some("1"));
    assert_eq!((live.level(ELR), live.level(METADATA_VERSION)), (1, 30));
}

#[test]
fn the_quorums_own_level_is_left_to_it() {
    let live = Live::with_brokers(&[1]);
    let ask = |level: i16, kind: i8, kraft_version: i16| {
        let update = FeatureUpdateKey {
            feature: "kraft.version".to_owned(),
            max_version_level: level,
            upgrade_type: kind,
            ..FeatureUpdateKey::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![update],
            ..UpdateFeaturesRequest::default()
        };
        let context = UpdateFeatures { version: 2, voters: &[1], kraft_version };
        live.cluster.controller.decide_update_features(&request, context)
    };
    let raised = ask(1, 1, 0);
    assert_eq!((raised.response.kraft_version, raised.records.len()), (Some(1), 1));
    assert_eq!(ask(1, 1, 1).response.kraft_version, None);
    assert_eq!(ask(0, 2, 1).response.response.error_code, ErrorCode::InvalidUpdateVersion.code());
}

#[test]
fn records_are_written_for_the_oldest_reader_that_the_level_allows() {
    let versions = |level: i16| {
        let mut live = Live::at_level(level);
        live.register(&registration(1, 5), false);
        live.beat(1, |_| {});
        live.topic_on("t", &[1], "1");
        live.gone(1);
        let of = |name: &str| {
            let log = &live.cluster.log;
            log.iter().find(|r| r.record.name() == name).map(|r| r.version).unwrap()
        };
        (of("RegisterBrokerRecord"), of("PartitionRecord"), of("PartitionChangeRecord"))
    };
    assert_eq!(versions(7), (1, 0, 0));
    assert_eq!(versions(16), (2, 0, 0));
    assert_eq!(versions(17), (3, 1, 1));
    assert_eq!(versions(23), (3, 2, 2));
    assert_eq!(versions(30), (4, 2, 2));
}
