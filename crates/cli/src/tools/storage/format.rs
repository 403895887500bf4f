//! `kafka-storage format`: makes directories a node's own, as Kafka does.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_controller::controller::bootstrap_records;
use naru_controller::quorum::{
    SnapshotId, Voter, VoterEndpoint, bootstrap_checkpoint, initial_checkpoint,
};
use naru_log::MetaProperties;
use naru_model::config::BrokerConfig;
use naru_model::{Timestamp, Uuid};
use naru_protocol::metadata::MetadataRecord;

use super::{METADATA_VERSION, directories, random_uuid, read_config, read_meta};
use crate::options::Parsed;
use crate::text::Streams;

/// Who the first controllers are.
enum Quorum {
    /// `controller.quorum.voters` says so.
    Static,
    /// This node alone, or these.
    Dynamic(Vec<Voter>),
    /// Somebody else knows.
    Unknown,
}

pub(super) fn format(p: &Parsed, streams: &mut Streams) -> Result<(), String> {
    let one = |name| p.one(name).map_err(|error| error.to_string());
    let cluster_id = one("cluster-id")?
        .ok_or("kafka-storage: error: argument --cluster-id/-t is required")?
        .to_owned();
    let (config, _) = read_config(p)?;
    check_unserved(p)?;
    let node_id = config.node_id.0;
    let dirs = directories(&config);
    let (mut formatted, mut empty) = (Vec::new(), Vec::new());
    for dir in &dirs {
        match read_meta(dir)? {
            Some(meta) => {
                check_owner(dir, &meta, &cluster_id, node_id)?;
                formatted.push(dir);
            }
            None => empty.push(dir),
        }
    }
    if let Some(first) = formatted.first()
        && !p.has("ignore-formatted")
    {
        return Err(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this \
             directory and format the others.",
            first.display()
        ));
    }
    if empty.is_empty() {
        streams.line("All of the log directories are already formatted.");
        return Ok(());
    }
    let metadata_dir = Path::new(&config.metadata_log.dir);
    let own_id = random_uuid()?;
    let quorum = quorum(p, &config, own_id)?;
    let own_id = match &quorum {
        Quorum::Dynamic(voters) => {
            voters.iter().find(|v| v.id == node_id).map_or(own_id, |voter| voter.directory_id)
        }
        Quorum::Static | Quorum::Unknown => own_id,
    };
    streams.line(bootstrap_text());
    for dir in empty {
        let is_metadata = dir == metadata_dir;
        streams.line(format!(
            "Formatting {} {} with metadata.version {METADATA_VERSION}.",
            kind(is_metadata, &quorum),
            dir.display()
        ));
        let directory_id = if is_metadata { own_id } else { random_uuid()? };
        let failed = |error: String| format!("{}: {error}", dir.display());
        fs::create_dir_all(dir).map_err(|error| failed(error.to_string()))?;
        if is_metadata {
            write_metadata(dir, &quorum).map_err(failed)?;
        }
        let meta = MetaProperties {
            cluster_id: cluster_id.clone(),
            node_id,
            directory_id: Some(directory_id),
        };
        // Comes last: what has it is complete.
        write(&dir.join("meta.properties"), meta.to_text().as_bytes()).map_err(failed)?;
    }
    Ok(())
}

/// Options that would promise more than is done.
fn check_unserved(p: &Parsed) -> Result<(), String> {
    if p.has("add-scram") {
        return Err("SCRAM credentials are not served by this version of Naru".to_owned());
    }
    let release = p.one("release-version").map_err(|error| error.to_string())?;
    if let Some(release) = release
        && !METADATA_VERSION.starts_with(release.trim())
    {
        return Err(format!("Only release version {METADATA_VERSION} is served, not {release}"));
    }
    for feature in p.all("feature") {
        let fresh =
            super::FEATURES.iter().any(|(name, level)| feature == format!("{name}={level}"));
        if !fresh && feature != "metadata.version=30" && feature != "kraft.version=0" {
            return Err(format!("The level of {feature} is not served by this version of Naru"));
        }
    }
    Ok(())
}

fn check_owner(
    dir: &Path,
    meta: &MetaProperties,
    cluster_id: &str,
    node_id: i32,
) -> Result<(), String> {
    let wrong = |what: &str, expected: &str, found: &str| {
        Err(format!(
            "Exception in thread \"main\" java.lang.RuntimeException: Invalid {what} in: \
             {}/meta.properties. Expected {expected}, but read {found}",
            dir.display()
        ))
    };
    if meta.cluster_id != cluster_id {
        return wrong("cluster.id", cluster_id, &meta.cluster_id);
    }
    if meta.node_id != node_id {
        return wrong("node.id", &node_id.to_string(), &meta.node_id.to_string());
    }
    Ok(())
}

fn quorum(p: &Parsed, config: &BrokerConfig, own_id: Uuid) -> Result<Quorum, String> {
    let choices = ["standalone", "initial-controllers", "no-initial-controllers"];
    let given: Vec<&str> = choices.into_iter().filter(|choice| p.has(choice)).collect();
    if given.len() > 1 {
        return Err(format!(
            "kafka-storage: error: argument --{}: not allowed with argument --{}",
            given[1], given[0]
        ));
    }
    let is_static = !config.quorum.voters.is_empty();
    match given.first() {
        Some(_) if is_static => Err(
            "You cannot use --standalone, --initial-controllers, or --no-initial-controllers with \
             a static quorum: controller.quorum.voters is set."
                .to_owned(),
        ),
        Some(&"standalone") => Ok(Quorum::Dynamic(vec![this_voter(config, own_id)])),
        Some(&"initial-controllers") => {
            let text = p.one("initial-controllers").map_err(|error| error.to_string())?;
            let name = listener_name(config);
            let voters = text.unwrap_or_default().split(',').map(|text| parse_voter(text, &name));
            Ok(Quorum::Dynamic(voters.collect::<Result<_, _>>()?))
        }
        Some(_) => Ok(Quorum::Unknown),
        None if is_static || !config.roles.controller => Ok(Quorum::Static),
        None => Err(
            "Because controller.quorum.voters is not set on this controller, you must specify one \
             of the following: --standalone, --initial-controllers, or --no-initial-controllers."
                .to_owned(),
        ),
    }
}

fn listener_name(config: &BrokerConfig) -> String {
    let first = config.listeners.advertised_controller.first();
    first.map_or_else(|| "CONTROLLER".to_owned(), |endpoint| endpoint.name.clone())
}

fn this_voter(config: &BrokerConfig, directory_id: Uuid) -> Voter {
    let endpoints = config.listeners.advertised_controller.iter().map(|endpoint| VoterEndpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    Voter { id: config.node_id.0, directory_id, endpoints: endpoints.collect() }
}

/// Reads `1@host:9093:directoryId`.
fn parse_voter(text: &str, listener: &str) -> Result<Voter, String> {
    let bad =
        || format!("Failed to parse initial controller {text}: id@host:port:directory is needed");
    let (id, rest) = text.trim().split_once('@').ok_or_else(bad)?;
    let (address, directory) = rest.rsplit_once(':').ok_or_else(bad)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    Ok(Voter {
        id: id.parse().map_err(|_| bad())?,
        directory_id: directory.parse().map_err(|_| bad())?,
        endpoints: vec![VoterEndpoint {
            name: listener.to_owned(),
            host: host.to_owned(),
            port: port.parse().map_err(|_| bad())?,
        }],
    })
}

const fn kind(is_metadata: bool, quorum: &Quorum) -> &'static str {
    match quorum {
        _ if !is_metadata => "data directory",
        Quorum::Static => "metadata directory",
        Quorum::Dynamic(_) => "dynamic metadata voter directory",
        Quorum::Unknown => "metadata directory",
    }
}

/// The line that Kafka prints about the first records of a cluster.
fn bootstrap_text() -> String {
    let records: Vec<String> = bootstrap_records()
        .into_iter()
        .filter_map(|record| match record.record {
            MetadataRecord::FeatureLevelRecord(feature) => Some(format!(
                "ApiMessageAndVersion(FeatureLevelRecord(name='{}', featureLevel={}) at version \
                 {})",
                feature.name, feature.feature_level, record.version
            )),
            _ => None,
        })
        .collect();
    format!(
        "Bootstrap metadata: BootstrapMetadata(records=[{}], metadataVersionLevel=30, \
         source=format command)",
        records.join(", ")
    )
}

fn write_metadata(dir: &Path, quorum: &Quorum) -> Result<(), String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(since.as_millis()).unwrap_or(0));
    let bootstrap = bootstrap_checkpoint(now).map_err(|error| error.to_string())?;
    write(&dir.join("bootstrap.checkpoint"), &bootstrap)?;
    if let Quorum::Dynamic(voters) = quorum {
        let log = dir.join("__cluster_metadata-0");
        fs::create_dir_all(&log).map_err(|error| error.to_string())?;
        let first = initial_checkpoint(voters, now).map_err(|error| error.to_string())?;
        write(&log.join(SnapshotId::default().to_string()), &first)?;
    }
    Ok(())
}

/// Writes a whole file or none: first beside it, then in its place.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let beside = path.with_extension("tmp");
    fs::write(&beside, bytes)
        .and_then(|()| fs::File::open(&beside)?.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_controllers_are_read() {
        let voter = parse_voter("0@[::1]:8082:JEXY6aqzQY-32P5TStzaFg", "CONTROLLER").unwrap();
        assert_eq!((voter.id, voter.endpoints[0].port), (0, 8082));
        assert_eq!(voter.endpoints[0].host, "[::1]");
        for bad in ["", "0@h:1", "x@h:1:JEXY6aqzQY-32P5TStzaFg", "0@h:p:JEXY6aqzQY-32P5TStzaFg"] {
            assert!(parse_voter(bad, "CONTROLLER").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_records_are_spoken_of_in_kafkas_words() {
        let text = bootstrap_text();
        assert!(text.starts_with(
            "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(\
             FeatureLevelRecord(name='metadata.version', featureLevel=30) at version 0), "
        ));
    }
}
