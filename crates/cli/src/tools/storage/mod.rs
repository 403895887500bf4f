//! `kafka-storage`: format, info, random-uuid, and the two look-ups of features.

mod format;
mod info;
mod levels;
mod scram;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use naru_log::MetaProperties;
use naru_model::Uuid;
use naru_model::config::{BrokerConfig, load};

use super::common::KAFKA_VERSION;
use super::feature_levels::{dependencies, mapping};
use crate::options::{OptionError, Parsed, Row, Takes, help, nearest, parse, row};
use crate::text::{Streams, justify};

pub const ABOUT: &str = "The Kafka storage tool.";

static ROWS: &[Row] = &[
    row("help", Takes::Nothing, "Shows this text.").short('h'),
    row("version", Takes::Nothing, "Shows the version of Kafka's tools it stands for."),
    row("config", Takes::Text("file"), "The node's server.properties.").short('c'),
    row("cluster-id", Takes::Text("id"), "format: the cluster's id; random-uuid makes one.")
        .short('t'),
    row(
        "standalone",
        Takes::Nothing,
        "format: this node is the only controller, others may join later.",
    )
    .short('s'),
    row("no-initial-controllers", Takes::Nothing, "format: the controllers are others.").short('N'),
    row(
        "initial-controllers",
        Takes::Text("id@host:port:directory,..."),
        "format: the first controllers.",
    )
    .short('I'),
    row("ignore-formatted", Takes::Nothing, "format: no error for directories that are formatted.")
        .short('g'),
    row(
        "release-version",
        Takes::Text("version"),
        "format: the release whose features the cluster starts with (4.3).",
    )
    .short('r'),
    row("feature", Takes::Text("name=level"), "format: the level of a feature.").short('f'),
    row(
        "add-scram",
        Takes::Text("credential"),
        "format: a SCRAM user, as MECHANISM=[name=..,password=..].",
    )
    .short('S'),
];

const COMMANDS: [&str; 5] =
    ["info", "format", "version-mapping", "feature-dependencies", "random-uuid"];

const FORMAT_USAGE: &str =
    "usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                     [--add-scram ADD_SCRAM] [--ignore-formatted]
                     [--release-version RELEASE_VERSION]
                     [--feature FEATURE] [--standalone |
                     --no-initial-controllers |
                     --initial-controllers INITIAL_CONTROLLERS]";

const USAGE: &str = "usage: kafka-storage [-h]
                     {info,format,version-mapping,feature-dependencies,random-uuid}
                     ...";

pub fn run(args: &[String]) -> i32 {
    let mut streams = Streams::default();
    match start(args, &mut streams) {
        Ok(()) => 0,
        Err(text) => {
            streams.error(text);
            1
        }
    }
}

fn start(args: &[String], streams: &mut Streams) -> Result<(), String> {
    let p = parse(ROWS, args).map_err(|error| refuse(&error))?;
    if p.has("version") {
        streams.line(KAFKA_VERSION);
        return Ok(());
    }
    if p.has("help") {
        let about = format!("{USAGE}\n\n{ABOUT}");
        let examples = [
            "kafka-storage random-uuid",
            "kafka-storage format --standalone -t ID -c config/server.properties",
        ];
        streams.text(help(&about, ROWS, &examples));
        return Ok(());
    }
    let Some(command) = p.rest.first() else {
        return Err(format!("{USAGE}\nkafka-storage: error: too few arguments"));
    };
    match command.as_str() {
        "random-uuid" => {
            streams.line(random_uuid()?.to_string());
            Ok(())
        }
        "info" => {
            let (config, _) = read_config(&p)?;
            if info::show(&directories(&config), streams) { Ok(()) } else { Err(String::new()) }
        }
        "format" => format::format(&p, streams),
        "version-mapping" => {
            let release = p.one("release-version").map_err(|error| refuse(&error))?;
            mapping(release)?.iter().for_each(|line| streams.line(line));
            Ok(())
        }
        "feature-dependencies" => {
            dependencies(p.all("feature"))?.iter().for_each(|line| streams.line(line));
            Ok(())
        }
        other => {
            let near = nearest(other, COMMANDS).map(|near| format!(" (maybe '{near}'?)"));
            let names: Vec<String> = COMMANDS.iter().map(|name| format!("'{name}'")).collect();
            let words = format!("invalid choice: '{other}' (choose from {})", names.join(", "));
            Err(complain(USAGE, &format!("{words}{}", near.unwrap_or_default())))
        }
    }
}

/// What is wrong with the command line, under how it should be.
fn complain(usage: &str, words: &str) -> String {
    format!("{usage}\n{}", justify(&format!("kafka-storage: error: {words}"), 75))
}

fn refuse(error: &OptionError) -> String {
    let near = match error {
        OptionError::Unknown(name) => nearest(name, ROWS.iter().map(|row| row.name)),
        _ => None,
    };
    let near = near.map(|near| format!("\nDid you mean --{near}?")).unwrap_or_default();
    format!("{USAGE}\nkafka-storage: error: {error}{near}")
}

/// The node's settings and their file's text.
fn read_config(p: &Parsed) -> Result<(BrokerConfig, String), String> {
    let one = |name| p.one(name).map_err(|error: OptionError| error.to_string());
    let path = one("config")?.ok_or_else(|| {
        format!("{USAGE}\nkafka-storage: error: argument --config/-c is required")
    })?;
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let loaded = load(Some(&text), [], "").map_err(|error| error.to_string())?;
    Ok((loaded.config, text))
}

/// The log directories and the metadata directory, sorted, each once.
fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = config.log.dirs.iter().map(PathBuf::from).collect();
    all.push(PathBuf::from(&config.metadata_log.dir));
    all.sort();
    all.dedup();
    all
}

/// What `meta.properties` of a directory says; none if it has none.
fn read_meta(dir: &Path) -> Result<Option<MetaProperties>, String> {
    let path = dir.join("meta.properties");
    match std::fs::read_to_string(&path) {
        Ok(text) => MetaProperties::from_text(&text)
            .map(Some)
            .map_err(|reason| format!("{}: {reason}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// An id that nobody else has.
fn random_uuid() -> Result<Uuid, String> {
    let mut bytes = [0; 16];
    let source = std::fs::File::open("/dev/urandom");
    source
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Uuid::from_random(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Parsed, OptionError> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(ROWS, &args)
    }

    #[test]
    fn short_and_long_options_stand_anywhere() {
        let a = read("format -t id -c f --standalone").unwrap();
        let b = read("--config f format --cluster-id=id -s").unwrap();
        for p in [a, b] {
            assert_eq!(p.rest, ["format"]);
            assert_eq!(p.one("cluster-id"), Ok(Some("id")));
            assert_eq!(p.one("config"), Ok(Some("f")));
            assert!(p.has("standalone"));
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(random_uuid().unwrap(), random_uuid().unwrap());
    }
}
