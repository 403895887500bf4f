//! `kafka-broker-api-versions`: what each broker speaks, and what of it this tool would use.

use naru_client::{Admin, Broker};
use naru_protocol::api::ApiKey;

use super::common::{Ended, Face, block_on, finish};
use super::failure::Failure;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Row, VERSION};
use crate::text::{Streams, class};

pub const ABOUT: &str = "Shows which APIs the brokers speak, in which versions.";

static ROWS: &[Row] = &[BOOTSTRAP, COMMAND_CONFIG, HELP, VERSION];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &["kafka-broker-api-versions --bootstrap-server localhost:9092"],
    error_prefix: "",
};

/// What no client asks a broker: requests among controllers, or from brokers to them.
const NOT_FOR_CLIENTS: &[ApiKey] = &[
    ApiKey::Vote,
    ApiKey::BeginQuorumEpoch,
    ApiKey::EndQuorumEpoch,
    ApiKey::AlterPartition,
    ApiKey::Envelope,
    ApiKey::FetchSnapshot,
    ApiKey::BrokerRegistration,
    ApiKey::BrokerHeartbeat,
    ApiKey::AllocateProducerIds,
    ApiKey::ControllerRegistration,
    ApiKey::AssignReplicasToDirs,
    ApiKey::UpdateRaftVoter,
];

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["bootstrap-server"], streams)?;
    let admin = FACE.admin(&p, "", streams)?;
    match block_on(show(&admin, streams)) {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

async fn show(admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let cluster = admin.describe_cluster().await;
    let cluster = cluster.map_err(|error| Failure::of(&error, "describeCluster"))?;
    for broker in &cluster.brokers {
        let said = match admin.api_versions(broker.id).await {
            Ok(ranges) => format!("({}\n)", table(&ranges)),
            Err(error) => format!("ERROR: {}: {error}", class(&error)),
        };
        streams.line(format!("{} -> {said}", node(broker)));
    }
    Ok(())
}

/// A broker as Kafka's `Node` writes itself.
fn node(broker: &Broker) -> String {
    let Broker { id, host, port, rack } = broker;
    let rack = rack.as_deref().unwrap_or("null");
    format!("{host}:{port} (id: {id} rack: {rack} isFenced: false)")
}

/// A line for each API that the broker speaks or this tool knows, by key.
fn table(ranges: &[(i16, i16, i16)]) -> String {
    let known = ApiKey::ALL.iter().copied();
    let known = known.filter(|api| !NOT_FOR_CLIENTS.contains(api) && !api.versions().is_empty());
    let mut lines: Vec<(i16, String)> =
        ranges.iter().map(|range| (range.0, spoken(*range))).collect();
    for api in known.filter(|api| !ranges.iter().any(|range| range.0 == api.key())) {
        lines.push((api.key(), format!("{}({}): UNSUPPORTED", api.name(), api.key())));
    }
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| format!("\n\t{line}")).collect();
    lines.join(",")
}

fn spoken((key, min, max): (i16, i16, i16)) -> String {
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(api) = ApiKey::from_key(key).filter(|api| !api.versions().is_empty()) else {
        return format!("UNKNOWN({key}): {range}");
    };
    let ours = api.versions();
    let usable = if min > *ours.end() {
        "unusable: node too new".to_owned()
    } else if max < *ours.start() {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", max.min(*ours.end()))
    };
    format!("{}({key}): {range} [{usable}]", api.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let text =
            table(&[(3, 0, 13), (0, 0, 99), (46, 0, 0), (1, 0, 3), (2, 50, 60), (999, 1, 2)]);
        let lines: Vec<&str> = text.split(',').map(|line| line.trim_start()).collect();
        assert_eq!(
            lines[..6],
            [
                "Produce(0): 0 to 99 [usable: 13]",
                "Fetch(1): 0 to 3 [unusable: node too old]",
                "ListOffsets(2): 50 to 60 [unusable: node too new]",
                "Metadata(3): 0 to 13 [usable: 13]",
                "OffsetCommit(8): UNSUPPORTED",
                "OffsetFetch(9): UNSUPPORTED",
            ]
        );
        assert!(lines.contains(&"ListPartitionReassignments(46): 0 [usable: 0]"));
        assert_eq!(lines.last(), Some(&"UNKNOWN(999): 1 to 2"));
        assert!(!text.contains("Vote(") && !text.contains("LeaderAndIsr"));
    }
}
