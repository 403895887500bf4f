//! `kafka-storage format`: makes directories a node's own, as Kafka does.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_controller::RecordAndVersion;
use naru_controller::quorum::{
    SnapshotId, Voter, VoterEndpoint, bootstrap_checkpoint_of, initial_checkpoint,
};
use naru_log::MetaProperties;
use naru_model::config::BrokerConfig;
use naru_model::{Timestamp, Uuid};

use super::super::feature_levels::{METADATA, shown};
use super::levels::{Levels, Way, thrown};
use super::scram::scram_record;
use super::{FORMAT_USAGE, complain, directories, random_uuid, read_config, read_meta};
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
        .ok_or_else(|| complain(FORMAT_USAGE, "argument --cluster-id/-t is required"))?
        .to_owned();
    if !p.has("config") {
        return Err(complain(FORMAT_USAGE, "argument --config/-c is required"));
    }
    let users = p.all("add-scram").map(scram_record);
    let users: Vec<RecordAndVersion> = users.collect::<Result<_, _>>()?;
    let given: Vec<&str> = CHOICES.into_iter().filter(|choice| p.has(choice)).collect();
    if let [first, second, ..] = given.as_slice() {
        let words = format!("argument {}: not allowed with argument {}", flag(second), flag(first));
        return Err(complain(FORMAT_USAGE, &words));
    }
    let (config, _) = read_config(p)?;
    let way = Way { no_static_voters: config.quorum.voters.is_empty(), told: !given.is_empty() };
    let levels = Levels::read(one("release-version")?, p.all("feature"), way)?;
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
    streams.line(levels.bootstrap_text());
    for dir in empty {
        let is_metadata = dir == metadata_dir;
        streams.line(format!(
            "Formatting {} {} with metadata.version {}.",
            kind(is_metadata, &quorum, node_id),
            dir.display(),
            shown(METADATA, levels.metadata)
        ));
        let directory_id = if is_metadata { own_id } else { random_uuid()? };
        let failed = |error: String| format!("{}: {error}", dir.display());
        fs::create_dir_all(dir).map_err(|error| failed(error.to_string()))?;
        write_bootstrap(dir, &levels, &users).map_err(failed)?;
        if is_metadata && let Quorum::Dynamic(voters) = &quorum {
            write_voters(dir, voters).map_err(failed)?;
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

/// The ways to tell the first controllers.
const CHOICES: [&str; 3] = ["standalone", "no-initial-controllers", "initial-controllers"];

fn flag(choice: &str) -> &'static str {
    match choice {
        "standalone" => "--standalone/-s",
        "no-initial-controllers" => "--no-initial-controllers/-N",
        _ => "--initial-controllers/-I",
    }
}

fn quorum(p: &Parsed, config: &BrokerConfig, own_id: Uuid) -> Result<Quorum, String> {
    let is_static = !config.quorum.voters.is_empty();
    let choice = CHOICES.into_iter().find(|choice| p.has(choice));
    match choice {
        Some("no-initial-controllers") if is_static => Ok(Quorum::Static),
        Some("no-initial-controllers") => Ok(Quorum::Unknown),
        Some(_) if is_static => {
            Err("You cannot specify controller.quorum.voters and format the node with \
             --initial-controllers or --standalone. If you want to use dynamic quorum, please \
             remove controller.quorum.voters and specify controller.quorum.bootstrap.servers \
             instead."
                .to_owned())
        }
        Some("standalone") if !config.roles.controller => {
            Err("You can only use --standalone on a controller.".to_owned())
        }
        Some("standalone") => Ok(Quorum::Dynamic(vec![this_voter(config, own_id)])),
        Some(_) => {
            let text = p.one("initial-controllers").map_err(|error| error.to_string())?;
            let name = listener_name(config);
            let voters = text.unwrap_or_default().split(',').map(|text| parse_voter(text, &name));
            Ok(Quorum::Dynamic(voters.collect::<Result<_, _>>()?))
        }
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
    let bad = |why: &str| thrown("java.lang.IllegalArgumentException", why);
    let (id, rest) =
        text.trim().split_once('@').ok_or_else(|| bad("No @ found in dynamic voter string."))?;
    let id = id.parse().map_err(|_| bad("Failed to parse node id in dynamic voter string."))?;
    // The host may be an IPv6 address in brackets.
    let (host, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match rest.split_once(':') {
            Some((host, rest)) => (host, Some(rest)),
            None => (rest, None),
        },
    };
    let rest = rest.ok_or_else(|| bad("No colon following hostname could be found."))?;
    let (port, directory) =
        rest.split_once(':').ok_or_else(|| bad("No colon following port could be found."))?;
    let port =
        port.parse().map_err(|_| bad("Failed to parse port number in dynamic voter string."))?;
    let directory_id = directory
        .parse()
        .map_err(|_| bad("Failed to parse directory ID in dynamic voter string."))?;
    let endpoint = VoterEndpoint { name: listener.to_owned(), host: host.to_owned(), port };
    Ok(Voter { id, directory_id, endpoints: vec![endpoint] })
}

fn kind(is_metadata: bool, quorum: &Quorum, node_id: i32) -> &'static str {
    match quorum {
        _ if !is_metadata => "data directory",
        Quorum::Static | Quorum::Unknown => "metadata directory",
        Quorum::Dynamic(voters) if voters.iter().any(|voter| voter.id == node_id) => {
            "dynamic metadata voter directory"
        }
        Quorum::Dynamic(_) => "dynamic metadata directory",
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(0))
}

fn write_bootstrap(dir: &Path, levels: &Levels, users: &[RecordAndVersion]) -> Result<(), String> {
    let records = [&levels.records()[..], users].concat();
    let bytes = bootstrap_checkpoint_of(&records, now());
    write(&dir.join("bootstrap.checkpoint"), &bytes.map_err(|error| error.to_string())?)
}

/// The first voters, as a snapshot before all records.
fn write_voters(dir: &Path, voters: &[Voter]) -> Result<(), String> {
    let log = dir.join("__cluster_metadata-0");
    fs::create_dir_all(&log).map_err(|error| error.to_string())?;
    let bytes = initial_checkpoint(voters, now()).map_err(|error| error.to_string())?;
    write(&log.join(SnapshotId::default().to_string()), &bytes)
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
        assert_eq!(voter.endpoints[0].host, "::1");
        for bad in [
            "",
            "0@h",
            "0@h:1",
            "x@h:1:JEXY6aqzQY-32P5TStzaFg",
            "0@h:p:JEXY6aqzQY-32P5TStzaFg",
            "0@h:1:short",
        ] {
            assert!(parse_voter(bad, "CONTROLLER").is_err(), "{bad}");
        }
    }

    #[test]
    fn directories_are_named_by_what_they_are() {
        let voter = parse_voter("2@h:1:JEXY6aqzQY-32P5TStzaFg", "CONTROLLER").unwrap();
        let quorum = Quorum::Dynamic(vec![voter]);
        assert_eq!(kind(true, &quorum, 2), "dynamic metadata voter directory");
        assert_eq!(kind(true, &quorum, 1), "dynamic metadata directory");
        assert_eq!(kind(false, &quorum, 1), "data directory");
        assert_eq!(kind(true, &Quorum::Static, 1), "metadata directory");
    }
}
