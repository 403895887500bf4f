//! `kafka-features`: which levels the cluster could have and has, and changing them.

use naru_client::Admin;
use naru_client::admin::{FeatureDescription, UpgradeType};

use super::argparse::{Program, Sub};
use super::common::{Ended, block_on, finish};
use super::failure::Failure;
use super::feature_levels::{FEATURES, METADATA, dependencies, level_of, mapping, parse, shown};
use crate::options::{COMMAND_CONFIG, Parsed, Row, Takes, row};
use crate::text::{Streams, message};

pub const ABOUT: &str = "Shows and changes the levels of features.";

static ROWS: &[Row] = &[
    row("help", Takes::Nothing, "Shows this text.").short('h'),
    row("bootstrap-server", Takes::Text("host:port,..."), "The brokers to ask."),
    row("bootstrap-controller", Takes::Text("host:port,..."), "The controllers to ask, instead."),
    COMMAND_CONFIG,
    row("node-id", Takes::Int("id"), "describe: the node to ask; any if left out."),
    row("feature", Takes::Text("name=level"), "The feature and its new level; may be repeated."),
    row(
        "release-version",
        Takes::Text("version"),
        "All features to the levels of a release, such as 4.3.",
    ),
    row("metadata", Takes::Text("version"), "metadata.version by its name; of the past."),
    row("unsafe", Takes::Nothing, "downgrade, disable: also if metadata is lost by it."),
    row("dry-run", Takes::Nothing, "Says whether it could be done and does nothing."),
];

const fn sub(name: &'static str, options: &'static [&'static str]) -> Sub {
    Sub { name, usage: "", options }
}

const PROGRAM: Program = Program {
    name: "kafka-features",
    about: ABOUT,
    usage: "usage: kafka-features [-h] [--command-config COMMAND_CONFIG]
                      [--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER]
                      {describe,upgrade,downgrade,disable,version-mapping,feature-dependencies}
                      ...",
    rows: ROWS,
    commands: &[
        sub("describe", &["node-id"]),
        sub("upgrade", &["metadata", "release-version", "feature", "dry-run"]),
        sub("downgrade", &["metadata", "release-version", "feature", "unsafe", "dry-run"]),
        sub("disable", &["feature", "unsafe", "dry-run"]),
        sub("version-mapping", &["release-version"]),
        sub("feature-dependencies", &["feature"]),
    ],
    general: &["bootstrap-server", "bootstrap-controller", "command-config"],
    examples: &[
        "kafka-features --bootstrap-server localhost:9092 describe",
        "kafka-features --bootstrap-server localhost:9092 upgrade --release-version 4.3",
    ],
    terse: true,
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let (p, sub) = PROGRAM.read(args, streams)?;
    if sub.name == "feature-dependencies" && !p.has("feature") {
        return Err(PROGRAM.complain(None, "argument --feature is required", streams));
    }
    match act(&p, sub.name, streams) {
        Ok(()) => Ok(0),
        Err(Told::Words(text)) => {
            streams.error(text);
            Ok(1)
        }
        Err(Told::Already(ended)) => Err(ended),
    }
}

/// Why it ended.
enum Told {
    Words(String),
    Already(Ended),
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self::Words(text)
    }
}

fn act(p: &Parsed, command: &str, streams: &mut Streams) -> Result<(), Told> {
    let one = |name: &str| p.one(name).map_err(|error| Told::Words(error.to_string()));
    match command {
        "version-mapping" => {
            mapping(one("release-version")?)?.iter().for_each(|line| streams.line(line));
            return Ok(());
        }
        "feature-dependencies" => {
            dependencies(p.all("feature"))?.iter().for_each(|line| streams.line(line));
            return Ok(());
        }
        _ => {}
    }
    if !p.has("bootstrap-server") && !p.has("bootstrap-controller") {
        let words = "You must specify either --bootstrap-controller or --bootstrap-server.";
        return Err(Told::Already(PROGRAM.complain(None, words, streams)));
    }
    let target = PROGRAM.target(p, PROGRAM.usage, streams).map_err(Told::Already)?;
    let admin = target.admin(p, &["command-config"])?;
    if command == "describe" {
        let node = p.number("node-id").map_err(|error| Told::Words(error.to_string()))?;
        let described = block_on(admin.describe_features(node));
        let described = described
            .map_err(|error| Failure::of(&error, "describeFeatures").words().to_owned())?;
        streams.text(description(&described));
        return Ok(());
    }
    let change = Change::read(p, command, streams)?;
    Ok(block_on(change.carry_out(&admin, streams))?)
}

fn description(features: &FeatureDescription) -> String {
    let epoch = features.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
    let mut text = String::new();
    for (name, (min, max)) in &features.supported {
        let level = features.finalized.get(name).copied().unwrap_or(0);
        text.push_str(&format!(
            "Feature: {name:40}  SupportedMinVersion: {:15}  SupportedMaxVersion: {:15}  \
             FinalizedVersionLevel: {:15}  Epoch: {epoch}\n",
            shown(name, *min),
            shown(name, *max),
            shown(name, level),
        ));
    }
    text
}

/// What is to be changed.
#[derive(Debug)]
struct Change {
    /// `upgrade`, `downgrade` or `disable`.
    verb: String,
    /// Sorted by name.
    levels: Vec<(String, i16)>,
    upgrade: UpgradeType,
    dry: bool,
}

impl Change {
    fn read(p: &Parsed, verb: &str, streams: &mut Streams) -> Result<Self, String> {
        let upgrade = match (verb, p.has("unsafe")) {
            ("upgrade", _) => UpgradeType::Upgrade,
            (_, false) => UpgradeType::SafeDowngrade,
            (_, true) => UpgradeType::UnsafeDowngrade,
        };
        let one = |name: &str| p.one(name).map_err(|error| error.to_string());
        let mut levels: Vec<(String, i16)> = Vec::new();
        if let Some(release) = one("release-version")? {
            if p.has("metadata") || p.has("feature") {
                let text = "Can not specify `release-version` with other feature flags.";
                return Err(text.to_owned());
            }
            let metadata = level_of(release)?;
            levels.push((METADATA.to_owned(), metadata));
            for feature in &FEATURES {
                let level = feature.level_at(metadata);
                // Nothing is upgraded to not being there.
                if level > 0 || upgrade != UpgradeType::Upgrade {
                    levels.push((feature.name.to_owned(), level));
                }
            }
        }
        if let Some(version) = one("metadata")? {
            streams.line(" `metadata` flag is deprecated and may be removed in a future release.");
            levels.push((METADATA.to_owned(), level_of(version)?));
        }
        for text in p.all("feature") {
            let (name, level) = if verb == "disable" { (text.to_owned(), 0) } else { parse(text)? };
            if levels.iter().any(|(known, _)| *known == name) {
                return Err(format!("Feature {name} was specified more than once."));
            }
            levels.push((name, level));
        }
        if levels.is_empty() {
            return Err(format!("You must specify at least one feature to {verb}"));
        }
        levels.sort();
        Ok(Self { verb: verb.to_owned(), levels, upgrade, dry: p.has("dry-run") })
    }

    async fn carry_out(&self, admin: &Admin, streams: &mut Streams) -> Result<(), String> {
        let outcomes = match admin.update_features(&self.levels, self.upgrade, self.dry).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let each = |(name, _): &(String, i16)| (name.clone(), Err(error.clone()));
                self.levels.iter().map(each).collect()
            }
        };
        let mut failed = 0;
        for ((name, level), (_, outcome)) in self.levels.iter().zip(outcomes) {
            let why = outcome.err().map(|error| message(&error));
            failed += usize::from(why.is_some());
            streams.line(self.line(name, *level, why.as_deref()));
        }
        match failed {
            0 => Ok(()),
            _ => Err(format!("{failed} out of {} operation(s) failed.", self.levels.len())),
        }
    }

    /// What became of one feature.
    fn line(&self, name: &str, level: i16, why: Option<&str>) -> String {
        let (verb, disable) = (&self.verb, self.verb == "disable");
        match why {
            Some(why) => {
                let could = if self.dry { "Can" } else { "Could" };
                let to = if disable { String::new() } else { format!(" to {level}") };
                format!("{could} not {verb} {name}{to}. {why}")
            }
            None => {
                let was = if self.dry { "can be" } else { "was" };
                let to = if disable { String::new() } else { format!(" to {level}") };
                format!("{name} {was} {verb}d{to}.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_described_as_apache_kafka_describes_them() {
        let described = FeatureDescription {
            supported: [
                ("eligible.leader.replicas.version".to_owned(), (0, 1)),
                (METADATA.to_owned(), (7, 30)),
            ]
            .into(),
            finalized: [(METADATA.to_owned(), 30)].into(),
            epoch: Some(1636),
        };
        let expect = "\
Feature: eligible.leader.replicas.version          SupportedMinVersion: 0                \
SupportedMaxVersion: 1                FinalizedVersionLevel: 0                Epoch: 1636
Feature: metadata.version                          SupportedMinVersion: 3.3-IV3          \
SupportedMaxVersion: 4.3-IV0          FinalizedVersionLevel: 4.3-IV0          Epoch: 1636
";
        assert_eq!(description(&described), expect);
    }

    #[test]
    fn outcomes_are_told_in_apache_kafkas_words() {
        let change = |verb: &str, dry| Change {
            verb: verb.to_owned(),
            levels: Vec::new(),
            upgrade: UpgradeType::Upgrade,
            dry,
        };
        let check = |verb, dry, why, expect| {
            assert_eq!(change(verb, dry).line("group.version", 1, why), expect);
        };
        check("upgrade", true, None, "group.version can be upgraded to 1.");
        check("upgrade", false, None, "group.version was upgraded to 1.");
        check("disable", false, None, "group.version was disabled.");
        check("disable", true, None, "group.version can be disabled.");
        check("downgrade", true, Some("No."), "Can not downgrade group.version to 1. No.");
        check("disable", false, Some("No."), "Could not disable group.version. No.");
    }
}
