//! `kafka-metadata-quorum add-controller` and `remove-controller`.

use std::path::Path;

use naru_client::Admin;
use naru_client::admin::VoterAddress;
use naru_log::MetaProperties;
use naru_model::Uuid;

use super::{Failure, properties};
use crate::options::Parsed;
use crate::text::Streams;

const VALID: &str = "Is this a valid controller configuration file?";

/// `NAME://host:port`, with brackets around IPv6 addresses.
pub(super) fn address(listener: &VoterAddress) -> String {
    let VoterAddress { name, host, port } = listener;
    if host.contains(':') {
        format!("{name}://[{host}]:{port}")
    } else {
        format!("{name}://{host}:{port}")
    }
}

pub(super) async fn add(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if !p.has("command-config") {
        return Err(Failure::terse(
            "You must supply the configuration file of the controller you are adding when using \
             add-controller.",
        ));
    }
    let config = properties(p)?;
    let id = controller_id(&config)?;
    let directory_id = directory_id(&metadata_directory(&config)?)?;
    let listeners = listeners(&config)?;
    if !p.has("dry-run") {
        let added = admin.add_raft_voter(id, directory_id, &listeners).await;
        added.map_err(|error| Failure::of(&error, "addRaftVoter"))?;
    }
    let addresses: Vec<String> = listeners.iter().map(address).collect();
    streams.line(format!(
        "{} controller {id} with directory id {directory_id} and endpoints: {}",
        if p.has("dry-run") { "DRY RUN of adding" } else { "Added" },
        addresses.join(", ")
    ));
    Ok(())
}

pub(super) async fn remove(
    p: &Parsed,
    admin: &Admin,
    id: &str,
    directory: &str,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let id: i32 = id.parse().unwrap_or(-1);
    if id < 0 {
        return Err(Failure::Terse(format!("Invalid negative --controller-id: {id}")));
    }
    let directory_id: Uuid = directory.parse().map_err(|_| {
        let bytes = directory.trim_end_matches('=').len() * 6 / 8;
        Failure::Terse(format!(
            "Failed to parse --controller-directory-id: Input string `{directory}` decoded as \
             {bytes} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID"
        ))
    })?;
    if !p.has("dry-run") {
        let removed = admin.remove_raft_voter(id, directory_id).await;
        removed.map_err(|error| Failure::of(&error, "removeRaftVoter"))?;
    }
    // The second space is Kafka's.
    let done = if p.has("dry-run") { "DRY RUN of removing " } else { "Removed " };
    streams.line(format!("{done} KRaft controller {id} with directory id {directory_id}"));
    Ok(())
}

type Properties = [(String, String)];

fn value<'p>(config: &'p Properties, name: &str) -> Option<&'p str> {
    config.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn controller_id(config: &Properties) -> Result<i32, Failure> {
    let text = value(config, "node.id").ok_or_else(|| {
        Failure::Terse(format!("node.id not found in configuration file. {VALID}"))
    })?;
    let id: i32 = text.trim().parse().map_err(|_| {
        Failure::thrown("java.lang.NumberFormatException", format!("For input string: \"{text}\""))
    })?;
    if id < 0 {
        return Err(Failure::Terse(format!("node.id was negative in configuration file. {VALID}")));
    }
    if !value(config, "process.roles").unwrap_or_default().contains("controller") {
        return Err(Failure::Terse(format!(
            "process.roles did not contain 'controller' in configuration file. {VALID}"
        )));
    }
    Ok(id)
}

fn metadata_directory(config: &Properties) -> Result<String, Failure> {
    let dirs = value(config, "log.dirs").map(|dirs| dirs.trim().split(',').next().unwrap_or(dirs));
    let found = value(config, "metadata.log.dir").or(dirs).map(str::to_owned);
    found.ok_or_else(|| {
        Failure::Terse(format!("Neither metadata.log.dir nor log.dirs were found. {VALID}"))
    })
}

fn directory_id(directory: &str) -> Result<Uuid, Failure> {
    let unreadable = || Failure::Terse(format!("Unable to read meta.properties from {directory}"));
    let text = std::fs::read_to_string(Path::new(directory).join("meta.properties"))
        .map_err(|_| unreadable())?;
    let meta = MetaProperties::from_text(&text).map_err(|_| unreadable())?;
    meta.directory_id.ok_or_else(|| Failure::Terse(format!("No directory id found in {directory}")))
}

/// The advertised controller listeners, else those that are bound.
fn listeners(config: &Properties) -> Result<Vec<VoterAddress>, Failure> {
    let mut known = endpoints(value(config, "advertised.listeners").unwrap_or_default())?;
    known.extend(endpoints(value(config, "listeners").unwrap_or_default())?);
    let names = value(config, "controller.listener.names").ok_or_else(|| {
        Failure::Terse(format!("controller.listener.names was not found. {VALID}"))
    })?;
    names
        .split(',')
        .map(|name| {
            let name = name.trim().to_uppercase();
            let found = known.iter().find(|listener| listener.name == name).cloned();
            found.ok_or_else(|| {
                Failure::Terse(format!(
                    "Cannot find information about controller listener name: {name}"
                ))
            })
        })
        .collect()
}

/// Reads `NAME://host:port,...`; no host is this machine.
fn endpoints(text: &str) -> Result<Vec<VoterAddress>, Failure> {
    let one = |entry: &str| {
        let (name, address) = entry.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "localhost" } else { host };
        Some(VoterAddress {
            name: name.to_uppercase(),
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    };
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            one(entry).ok_or_else(|| {
                Failure::thrown(
                    "java.lang.IllegalArgumentException",
                    format!("Error creating broker listeners from '{text}': Unable to parse {entry} to a broker endpoint"),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::properties::parse_properties;

    #[test]
    fn a_controllers_own_file_says_who_it_is() {
        let config = parse_properties(
            "process.roles=broker,controller\nnode.id=4\nlog.dirs=/a,/b\n\
             listeners=PLAINTEXT://:9092,CONTROLLER://[::1]:9093\n\
             advertised.listeners=PLAINTEXT://h:9092\ncontroller.listener.names=controller",
        );
        assert_eq!(controller_id(&config).unwrap(), 4);
        assert_eq!(metadata_directory(&config).unwrap(), "/a");
        let listeners = listeners(&config).unwrap();
        assert_eq!(address(&listeners[0]), "CONTROLLER://[::1]:9093");
    }

    #[test]
    fn what_is_missing_in_the_file_is_named() {
        let check = |text: &str, expect: &str| {
            let config = parse_properties(text);
            let failure = controller_id(&config).and_then(|_| listeners(&config).map(drop));
            assert_eq!(failure.unwrap_err().words(), format!("{expect}. {VALID}"), "{text}");
        };
        check("", "node.id not found in configuration file");
        check("node.id=-1", "node.id was negative in configuration file");
        check("node.id=1", "process.roles did not contain 'controller' in configuration file");
        check("node.id=1\nprocess.roles=controller", "controller.listener.names was not found");
    }
}
