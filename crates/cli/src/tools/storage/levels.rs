//! The levels of features that a fresh directory starts with: a release's, changed one by one.

use naru_controller::RecordAndVersion;
use naru_protocol::messages::feature_level_record::FeatureLevelRecord;

use super::super::feature_levels::{
    FEATURES, LATEST, METADATA, name_of, parse, production_level_of,
};

/// How the first controllers are told, as far as levels care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// `controller.quorum.voters` is empty.
    pub(super) no_static_voters: bool,
    /// One of `--standalone`, `--initial-controllers`, `--no-initial-controllers` was given.
    pub(super) told: bool,
}

/// Levels above 0, the metadata's first, the others by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) metadata: i16,
    others: Vec<(&'static str, i16)>,
}

impl Levels {
    /// Reads `--release-version` and `--feature name=level`.
    pub(super) fn read<'a>(
        release: Option<&str>,
        features: impl Iterator<Item = &'a str>,
        way: Way,
    ) -> Result<Self, String> {
        let mut wanted: Vec<(String, i16)> = Vec::new();
        for text in features {
            let parsed = parse(text).map_err(|why| thrown("java.lang.RuntimeException", &why))?;
            wanted.retain(|(name, _)| *name != parsed.0);
            wanted.push(parsed);
        }
        let by_feature = wanted.iter().position(|(name, _)| name == METADATA);
        let by_feature = by_feature.map(|at| wanted.remove(at).1);
        let metadata = match (release, by_feature) {
            (Some(_), Some(_)) => {
                return Err(format!(
                    "Use --release-version instead of --feature {METADATA}=X to avoid ambiguity."
                ));
            }
            (Some(release), None) => production_level_of(release)?,
            (None, Some(level)) => name_of(level).map(|_| level).ok_or_else(|| {
                let why = format!("No MetadataVersion with feature level {level}");
                thrown("java.lang.IllegalArgumentException", &why)
            })?,
            (None, None) => LATEST,
        };
        for (name, _) in &wanted {
            if !FEATURES.iter().any(|feature| feature.name == name) {
                let mut known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
                known.sort_unstable();
                return Err(format!(
                    "Unsupported feature: {name}. Supported features are: {}",
                    known.join(", ")
                ));
            }
        }
        let mut others = Vec::new();
        for feature in &FEATURES {
            let asked = wanted.iter().find(|(name, _)| feature.name == name);
            let level = asked.map_or_else(|| feature.level_at(metadata), |(_, level)| *level);
            if !(0..=feature.max).contains(&level) {
                let why = format!("No feature:{} with feature level {level}", feature.name);
                return Err(thrown("java.lang.IllegalArgumentException", &why));
            }
            if feature.name == KRAFT {
                if let Some((_, level)) = asked {
                    check_kraft(*level, way)?;
                }
                // The quorum itself keeps this one.
                continue;
            }
            if let Some(needed) = feature.needed(level).filter(|needed| metadata < *needed) {
                let why = format!(
                    "{} could not be set to {level} because it depends on {METADATA} level \
                     {needed}",
                    feature.name
                );
                return Err(thrown("java.lang.IllegalArgumentException", &why));
            }
            if level > 0 {
                others.push((feature.name, level));
            }
        }
        others.sort_unstable();
        Ok(Self { metadata, others })
    }

    /// The first records of the metadata log.
    pub(super) fn records(&self) -> Vec<RecordAndVersion> {
        let record = |(name, feature_level): (&str, i16)| {
            RecordAndVersion::newest(FeatureLevelRecord { name: name.to_owned(), feature_level })
        };
        std::iter::once((METADATA, self.metadata))
            .chain(self.others.iter().copied())
            .map(record)
            .collect()
    }

    /// The line that Kafka prints about the first records.
    pub(super) fn bootstrap_text(&self) -> String {
        let all = std::iter::once((METADATA, self.metadata)).chain(self.others.iter().copied());
        let record = |(name, level): (&str, i16)| {
            format!(
                "ApiMessageAndVersion(FeatureLevelRecord(name='{name}', featureLevel={level}) at \
                 version 0)"
            )
        };
        let records: Vec<String> = all.map(record).collect();
        format!(
            "Bootstrap metadata: BootstrapMetadata(records=[{}], metadataVersionLevel={}, \
             source=format command)",
            records.join(", "),
            self.metadata
        )
    }
}

const KRAFT: &str = "kraft.version";

fn check_kraft(level: i16, way: Way) -> Result<(), String> {
    let Way { no_static_voters, told } = way;
    let dynamic = no_static_voters && told;
    match (level, dynamic) {
        (0, true) => Err("Cannot set kraft.version to 0 if controller.quorum.voters is empty and \
                          one of the flags --standalone, --initial-controllers, or \
                          --no-initial-controllers is used. For dynamic controllers support, try \
                          removing the --feature flag for kraft.version."
            .to_owned()),
        (1.., false) => Err(format!(
            "Cannot set kraft.version to {level} unless controller.quorum.voters is empty and one \
             of the flags --standalone, --initial-controllers, or --no-initial-controllers is \
             used. For dynamic controllers support, try using one of --standalone, \
             --initial-controllers, or --no-initial-controllers and removing \
             controller.quorum.voters."
        )),
        _ => Ok(()),
    }
}

pub(super) fn thrown(class: &str, why: &str) -> String {
    format!("Exception in thread \"main\" {class}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMIC: Way = Way { no_static_voters: true, told: true };
    const STATIC: Way = Way { no_static_voters: false, told: false };

    fn read(release: Option<&str>, features: &[&str], way: Way) -> Result<Levels, String> {
        Levels::read(release, features.iter().copied(), way)
    }

    #[test]
    fn levels_are_those_that_apache_kafka_formats_with() {
        let check = |release, features: &[&str], expect: &[(&str, i16)]| {
            let levels = read(release, features, DYNAMIC).unwrap();
            let records = levels.records().len();
            let mut all = vec![(METADATA, levels.metadata)];
            all.extend(levels.others);
            assert_eq!(all, expect, "{release:?} {features:?}");
            assert_eq!(records, expect.len());
        };
        let elr = ("eligible.leader.replicas.version", 1);
        let (group, transaction) = (("group.version", 1), ("transaction.version", 2));
        let (share, streams) = (("share.version", 1), ("streams.version", 1));
        check(None, &[], &[(METADATA, 30), elr, group, share, streams, transaction]);
        check(Some("3.9"), &[], &[(METADATA, 21)]);
        check(Some("4.0"), &[], &[(METADATA, 25), group, transaction]);
        check(None, &["metadata.version=25"], &[(METADATA, 25), group, transaction]);
        check(None, &["group.version=0"], &[(METADATA, 30), elr, share, streams, transaction]);
        check(
            None,
            &["transaction.version=1", "share.version=0"],
            &[(METADATA, 30), elr, group, streams, ("transaction.version", 1)],
        );
    }

    #[test]
    fn what_cannot_be_is_refused_in_apache_kafkas_words() {
        let check = |release, features: &[&str], way, expect: &str| {
            let why = read(release, features, way).unwrap_err();
            assert!(why.contains(expect), "{why}");
        };
        check(Some("4.4"), &[], DYNAMIC, "Unknown metadata.version '4.4'. Supported");
        check(
            None,
            &["nosuch=1"],
            DYNAMIC,
            "Unsupported feature: nosuch. Supported features are: \
            eligible.leader.replicas.version, group.version, kraft.version, share.version, \
            streams.version, transaction.version",
        );
        check(None, &["group.version=5"], DYNAMIC, "No feature:group.version with feature level 5");
        check(
            Some("3.9"),
            &["eligible.leader.replicas.version=1"],
            DYNAMIC,
            "could not be set to 1 because it depends on metadata.version level 23",
        );
        check(Some("4.1"), &["metadata.version=20"], DYNAMIC, "to avoid ambiguity.");
        check(None, &["kraft.version=0"], DYNAMIC, "Cannot set kraft.version to 0 if");
        check(None, &["kraft.version=1"], STATIC, "Cannot set kraft.version to 1 unless");
        read(None, &["kraft.version=1"], DYNAMIC).unwrap();
        read(None, &["kraft.version=0"], STATIC).unwrap();
    }

    #[test]
    fn the_first_records_are_spoken_of_in_kafkas_words() {
        let text = read(Some("3.9"), &[], DYNAMIC).unwrap().bootstrap_text();
        assert_eq!(
            text,
            "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(\
             FeatureLevelRecord(name='metadata.version', featureLevel=21) at version 0)], \
             metadataVersionLevel=21, source=format command)"
        );
    }
}
