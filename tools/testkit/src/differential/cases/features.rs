//! UpdateFeatures.

use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

use crate::differential::session::Session;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// A feature, the level wanted, and the type of the upgrade.
type Update<'a> = (&'a str, i16, i8);

fn updates(all: &[Update<'_>]) -> UpdateFeaturesRequest {
    let key = |&(feature, level, upgrade_type): &Update<'_>| FeatureUpdateKey {
        feature: feature.to_owned(),
        max_version_level: level,
        // Versions before 1 say it in this way.
        allow_downgrade: upgrade_type != UPGRADE,
        upgrade_type,
    };
    let feature_updates = all.iter().map(key).collect();
    UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates, validate_only: false }
}

pub fn run(s: &mut Session) {
    let checked =
        |all: &[Update<'_>]| UpdateFeaturesRequest { validate_only: true, ..updates(all) };
    for version in 0..=2 {
        s.ask("the same level", version, &updates(&[("group.version", 1, UPGRADE)]));
        s.ask("an unknown feature", version, &updates(&[("flight", 1, UPGRADE)]));
        s.ask("one of two", version, &updates(&[("group.version", 1, UPGRADE), ("x", 1, UPGRADE)]));
        s.ask("down", version, &updates(&[("group.version", 0, SAFE_DOWNGRADE)]));
        s.ask("up", version, &updates(&[("group.version", 1, UPGRADE)]));
        s.ask("nothing", version, &updates(&[]));
    }
    for version in 1..=2 {
        let of = |level, upgrade_type| checked(&[("group.version", level, upgrade_type)]);
        s.ask("validate only, down", version, &of(0, SAFE_DOWNGRADE));
        s.ask("validate only, too high", version, &of(2, UPGRADE));
    }
    let cases: &[(&str, &[Update<'_>])] = &[
        ("an unknown feature at level zero", &[("flight", 0, SAFE_DOWNGRADE)]),
        ("an unknown feature raised to zero", &[("flight", 0, UPGRADE)]),
        ("no name", &[("", 1, UPGRADE)]),
        ("too high", &[("group.version", 2, UPGRADE)]),
        ("far too high", &[("metadata.version", 999, UPGRADE)]),
        ("too low", &[("metadata.version", 1, UNSAFE_DOWNGRADE)]),
        ("minus one", &[("group.version", -1, UPGRADE)]),
        ("minus one down", &[("group.version", -1, SAFE_DOWNGRADE)]),
        ("down by an upgrade", &[("group.version", 0, UPGRADE)]),
        ("metadata down by an upgrade", &[("metadata.version", 29, UPGRADE)]),
        ("the same by a downgrade", &[("group.version", 1, SAFE_DOWNGRADE)]),
        ("too high by a downgrade", &[("group.version", 2, SAFE_DOWNGRADE)]),
        ("upgrade type unknown", &[("group.version", 1, 0)]),
        ("upgrade type four", &[("group.version", 1, 4)]),
        ("upgrade type minus one", &[("group.version", 1, -1)]),
        ("metadata, the same", &[("metadata.version", 30, UPGRADE)]),
        ("metadata down safely", &[("metadata.version", 29, SAFE_DOWNGRADE)]),
        ("metadata down unsafely", &[("metadata.version", 29, UNSAFE_DOWNGRADE)]),
        ("metadata far down safely", &[("metadata.version", 7, SAFE_DOWNGRADE)]),
        ("metadata to zero", &[("metadata.version", 0, UNSAFE_DOWNGRADE)]),
        ("the quorum's, the same", &[("kraft.version", 0, UPGRADE)]),
        ("the quorum's, too high", &[("kraft.version", 2, UPGRADE)]),
        ("eligible leaders, the same", &[("eligible.leader.replicas.version", 1, UPGRADE)]),
        ("transactions down", &[("transaction.version", 1, SAFE_DOWNGRADE)]),
        ("transactions down unsafely", &[("transaction.version", 1, UNSAFE_DOWNGRADE)]),
        ("transactions up", &[("transaction.version", 2, UPGRADE)]),
        ("share groups down", &[("share.version", 0, SAFE_DOWNGRADE)]),
        ("share groups up", &[("share.version", 1, UPGRADE)]),
        ("streams down", &[("streams.version", 0, SAFE_DOWNGRADE)]),
        ("streams up", &[("streams.version", 1, UPGRADE)]),
        ("two", &[("group.version", 1, UPGRADE), ("share.version", 1, UPGRADE)]),
        ("two, one wrong", &[("group.version", 0, SAFE_DOWNGRADE), ("share.version", 9, UPGRADE)]),
    ];
    for (label, all) in cases {
        s.ask(label, 2, &updates(all));
        s.ask(&format!("{label}, with results"), 1, &checked(all));
    }
    let twice = updates(&[("group.version", 1, UPGRADE), ("group.version", 0, SAFE_DOWNGRADE)]);
    s.ask("the same twice", 2, &twice);
    s.ask("up again", 2, &updates(&[("group.version", 1, UPGRADE)]));
    s.settle();
    let client = ApiVersionsRequest {
        client_software_name: "a-client".to_owned(),
        client_software_version: "1.0".to_owned(),
    };
    s.ask("what is finalized", 4, &client);
}
