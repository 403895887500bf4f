//! What Kafka's releases mean in levels of features: facts read from the released 4.3.1 by
//! running it. Shared by `kafka-features` and `kafka-storage`.

/// Name of the feature that is the metadata's format.
pub const METADATA: &str = "metadata.version";

/// The newest level of [`METADATA`] that 4.3 finalises.
pub const LATEST: i16 = 30;

/// Levels of [`METADATA`], with their names; the last is not for production.
const VERSIONS: [(i16, &str); 25] = [
    (7, "3.3-IV3"),
    (8, "3.4-IV0"),
    (9, "3.5-IV0"),
    (10, "3.5-IV1"),
    (11, "3.5-IV2"),
    (12, "3.6-IV0"),
    (13, "3.6-IV1"),
    (14, "3.6-IV2"),
    (15, "3.7-IV0"),
    (16, "3.7-IV1"),
    (17, "3.7-IV2"),
    (18, "3.7-IV3"),
    (19, "3.7-IV4"),
    (20, "3.8-IV0"),
    (21, "3.9-IV0"),
    (22, "4.0-IV0"),
    (23, "4.0-IV1"),
    (24, "4.0-IV2"),
    (25, "4.0-IV3"),
    (26, "4.1-IV0"),
    (27, "4.1-IV1"),
    (28, "4.2-IV0"),
    (29, "4.2-IV1"),
    (30, "4.3-IV0"),
    (31, "4.4-IV0"),
];

/// A feature besides the metadata's format: its levels are 0 up to `max`.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    pub max: i16,
    /// The level of [`METADATA`] from which on a cluster has `max`.
    since: i16,
    /// The level of [`METADATA`] that `max` needs, if any.
    needs: Option<i16>,
}

const fn feature(name: &'static str, max: i16, since: i16) -> Feature {
    Feature { name, max, since, needs: None }
}

/// In the order of Kafka's lists.
pub static FEATURES: [Feature; 6] = [
    feature("kraft.version", 1, 21),
    feature("transaction.version", 2, 24),
    feature("group.version", 1, 22),
    Feature { needs: Some(23), ..feature("eligible.leader.replicas.version", 1, 26) },
    feature("share.version", 1, 28),
    feature("streams.version", 1, 29),
];

impl Feature {
    /// The level of [`METADATA`] that a level needs.
    pub fn needed(&self, level: i16) -> Option<i16> {
        self.needs.filter(|_| level == self.max)
    }

    /// The level that comes with a release.
    pub const fn level_at(&self, metadata: i16) -> i16 {
        if metadata >= self.since { self.max } else { 0 }
    }
}

/// The level that a name like `3.9-IV0`, or a release like `3.9`, means.
pub fn level_of(version: &str) -> Result<i16, String> {
    find(version, &VERSIONS)
}

/// The same, without levels that are not for production.
pub fn production_level_of(version: &str) -> Result<i16, String> {
    find(version, &VERSIONS[..VERSIONS.len() - 1])
}

fn find(version: &str, versions: &[(i16, &'static str)]) -> Result<i16, String> {
    let exact = versions.iter().find(|(_, name)| *name == version);
    let release =
        || versions.iter().rev().find(|(_, name)| name.split("-IV").next() == Some(version));
    exact.or_else(release).map(|(level, _)| *level).ok_or_else(|| {
        let names: Vec<&str> = versions.iter().map(|(_, name)| *name).collect();
        format!(
            "Unknown metadata.version '{version}'. Supported metadata.version are: {}",
            names.join(", ")
        )
    })
}

/// The name of a level.
pub fn name_of(level: i16) -> Option<&'static str> {
    VERSIONS.iter().find(|(known, _)| *known == level).map(|(_, name)| *name)
}

/// A level as it is shown: by name for the metadata's format.
pub fn shown(feature: &str, level: i16) -> String {
    match name_of(level) {
        Some(name) if feature == METADATA => name.to_owned(),
        None if feature == METADATA => format!("UNKNOWN {level}"),
        _ => level.to_string(),
    }
}

/// Reads `name=level`.
pub fn parse(text: &str) -> Result<(String, i16), String> {
    let (name, level) = text.split_once('=').ok_or_else(|| {
        format!("Can't parse feature=level string {text}: equals sign not found.")
    })?;
    let level = level.trim();
    let parsed = level.parse().map_err(|_| {
        format!("Can't parse feature=level string {text}: unable to parse {level} as a short.")
    })?;
    Ok((name.trim().to_owned(), parsed))
}

/// The features that come with a release, one line each.
pub fn mapping(version: Option<&str>) -> Result<Vec<String>, String> {
    let level = version.map_or(Ok(LATEST), level_of)?;
    let version = version.or_else(|| name_of(level)).unwrap_or_default();
    let mut lines = vec![format!("{METADATA}={level} ({version})")];
    for feature in &FEATURES {
        lines.push(format!("{}={}", feature.name, feature.level_at(level)));
    }
    Ok(lines)
}

/// What features need, one or two lines for each.
pub fn dependencies<'a>(features: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for text in features {
        let (name, level) = parse(text)?;
        if name == METADATA {
            let version = name_of(level).ok_or_else(|| format!("Unknown {METADATA} {level}"))?;
            lines.push(format!("{METADATA}={level} ({version}) has no dependencies."));
            continue;
        }
        let feature = FEATURES.iter().find(|feature| feature.name == name);
        let feature = feature.ok_or_else(|| format!("Unknown feature: {name}"))?;
        if !(0..=feature.max).contains(&level) {
            return Err(format!("No feature:{name} with feature level {level}"));
        }
        match feature.needed(level) {
            Some(needed) => {
                lines.push(format!("{name}={level} requires:"));
                lines.push(format!("    {METADATA}={needed} ({})", shown(METADATA, needed)));
            }
            None => lines.push(format!("{name}={level} has no dependencies.")),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_mean_the_levels_that_apache_kafka_prints() {
        let check = |version: Option<&str>, expect: &[&str]| {
            assert_eq!(mapping(version).unwrap(), expect, "{version:?}");
        };
        let head = ["metadata.version=30 (4.3-IV0)", "kraft.version=1", "transaction.version=2"];
        let tail = ["group.version=1", "eligible.leader.replicas.version=1"];
        let last = ["share.version=1", "streams.version=1"];
        check(None, &[&head[..], &tail, &last].concat());
        check(
            Some("3.9"),
            &[
                "metadata.version=21 (3.9)",
                "kraft.version=1",
                "transaction.version=0",
                "group.version=0",
                "eligible.leader.replicas.version=0",
                "share.version=0",
                "streams.version=0",
            ],
        );
        check(
            Some("4.1"),
            &[
                "metadata.version=27 (4.1)",
                "kraft.version=1",
                "transaction.version=2",
                "group.version=1",
                "eligible.leader.replicas.version=1",
                "share.version=0",
                "streams.version=0",
            ],
        );
        assert!(mapping(Some("9.9")).unwrap_err().ends_with("4.2-IV1, 4.3-IV0, 4.4-IV0"));
    }

    #[test]
    fn dependencies_are_told_in_apache_kafkas_words() {
        let lines = dependencies(
            ["transaction.version=2", "metadata.version=25", "eligible.leader.replicas.version=1"]
                .into_iter(),
        );
        let expect = [
            "transaction.version=2 has no dependencies.",
            "metadata.version=25 (4.0-IV3) has no dependencies.",
            "eligible.leader.replicas.version=1 requires:",
            "    metadata.version=23 (4.0-IV1)",
        ];
        assert_eq!(lines.unwrap(), expect);
        for (text, expect) in [
            ("metadata.version=99", "Unknown metadata.version 99"),
            ("share.version=5", "No feature:share.version with feature level 5"),
            ("nosuch=1", "Unknown feature: nosuch"),
            ("nosuch", "Can't parse feature=level string nosuch: equals sign not found."),
            (
                "group.version=x",
                "Can't parse feature=level string group.version=x: unable to parse x as a short.",
            ),
        ] {
            assert_eq!(dependencies([text].into_iter()).unwrap_err(), expect);
        }
    }
}
