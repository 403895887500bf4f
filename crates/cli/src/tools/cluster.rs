//! `kafka-cluster`: the cluster's id, its endpoints, and taking a broker off its books.

use naru_client::admin::ClusterDescription;
use naru_client::{Admin, Error};

use super::argparse::{Program, Sub};
use super::common::{Ended, block_on, finish};
use super::failure::Failure;
use crate::options::{Row, Takes, row};
use crate::text::{Level, Streams, java_int_order, log_line};

pub const ABOUT: &str = "Shows the cluster's id and endpoints, unregisters brokers.";

static ROWS: &[Row] = &[
    row("help", Takes::Nothing, "Shows this text.").short('h'),
    row("bootstrap-server", Takes::Text("host:port,..."), "The brokers to ask.").short('b'),
    row("bootstrap-controller", Takes::Text("host:port,..."), "The controllers to ask, instead.")
        .short('C'),
    row("command-config", Takes::Text("file"), "A properties file with settings of the client."),
    row("config", Takes::Text("file"), "The same, as it was called before.").short('c'),
    row("id", Takes::Int("id"), "unregister: the broker's node id.").short('i'),
    row("include-fenced-brokers", Takes::Nothing, "list-endpoints: fenced brokers too."),
];

const TARGET: [&str; 4] = ["bootstrap-server", "bootstrap-controller", "command-config", "config"];

const PROGRAM: Program = Program {
    name: "kafka-cluster",
    about: ABOUT,
    usage: "usage: kafka-cluster [-h] {cluster-id,unregister,list-endpoints} ...",
    rows: ROWS,
    commands: &[
        Sub {
            name: "cluster-id",
            usage: "usage: kafka-cluster cluster-id [-h] [--config CONFIG]
                     [--command-config COMMAND_CONFIG]
                     (--bootstrap-server BOOTSTRAP_SERVER |
                     --bootstrap-controller BOOTSTRAP_CONTROLLER)",
            options: &[],
        },
        Sub {
            name: "unregister",
            usage: "usage: kafka-cluster unregister [-h] [--config CONFIG]
                     [--command-config COMMAND_CONFIG] --id ID
                     (--bootstrap-server BOOTSTRAP_SERVER |
                     --bootstrap-controller BOOTSTRAP_CONTROLLER)",
            options: &["id"],
        },
        Sub {
            name: "list-endpoints",
            usage: "usage: kafka-cluster list-endpoints [-h] [--config CONFIG]
                     [--command-config COMMAND_CONFIG]
                     [--include-fenced-brokers]
                     (--bootstrap-server BOOTSTRAP_SERVER |
                     --bootstrap-controller BOOTSTRAP_CONTROLLER)",
            options: &["include-fenced-brokers"],
        },
    ],
    general: &TARGET,
    examples: &[
        "kafka-cluster cluster-id --bootstrap-server localhost:9092",
        "kafka-cluster unregister --bootstrap-server localhost:9092 --id 3",
    ],
    terse: false,
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let (p, sub) = PROGRAM.read(args, streams)?;
    let id = if sub.name == "unregister" {
        PROGRAM.required(&p, sub, "id", streams)?.parse().unwrap_or(-1)
    } else {
        -1
    };
    let target = PROGRAM.target(&p, sub.usage, streams)?;
    let fenced = p.has("include-fenced-brokers");
    let outcome = match target.admin(&p, &["command-config", "config"]) {
        Ok(admin) => block_on(async {
            match sub.name {
                "cluster-id" => cluster_id(&admin, streams).await,
                "unregister" => unregister(&admin, id, streams).await,
                _ if fenced && target.controllers => Err(Failure::thrown(
                    "java.lang.IllegalArgumentException",
                    "The option --include-fenced-brokers is only supported with \
                     --bootstrap-server option",
                )),
                _ => {
                    let described = describe(&admin, fenced).await?;
                    streams.text(endpoints(described, target.controllers));
                    Ok(())
                }
            }
        }),
        Err(text) => Err(Failure::Terse(text)),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

async fn describe(admin: &Admin, fenced: bool) -> Result<ClusterDescription, Failure> {
    let described = admin.describe_cluster_with(fenced).await;
    described.map_err(|error| Failure::of(&error, "describeCluster"))
}

async fn cluster_id(admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let described = describe(admin, false).await?;
    if described.cluster_id.is_empty() {
        streams.line("No cluster ID found. The Kafka version is probably too old.");
    } else {
        streams.line(format!("Cluster ID: {}", described.cluster_id));
    }
    Ok(())
}

async fn unregister(admin: &Admin, id: i32, streams: &mut Streams) -> Result<(), Failure> {
    match admin.unregister_broker(id).await {
        Ok(()) => {
            streams.line(format!("Broker {id} is no longer registered."));
            Ok(())
        }
        Err(Error::UnsupportedVersion { .. }) => {
            streams.line("The target cluster does not support the broker unregistration API.");
            Ok(())
        }
        Err(error) => {
            if matches!(error, Error::Broker { .. }) {
                let text = format!(
                    "[AdminClient clientId=adminclient-1] Unregister broker request for broker ID \
                     {id} failed: {}",
                    crate::text::message(&error)
                );
                let logger = "org.apache.kafka.clients.admin.KafkaAdminClient";
                streams.error(log_line(Level::Error, &text, logger));
            }
            Err(Failure::of(&error, "unregisterBroker"))
        }
    }
}

/// The table of brokers or controllers.
fn endpoints(mut described: ClusterDescription, controllers: bool) -> String {
    java_int_order(&mut described.brokers, |node| node.id);
    let hosts = described.brokers.iter().map(|node| node.host.len()).max().unwrap_or(100);
    let racks = described.brokers.iter().filter_map(|node| node.rack.as_ref().map(String::len));
    let racks = racks.max().unwrap_or(10);
    let line = |[id, host, port, rack, state, kind]: [&str; 6]| {
        let state = if controllers { String::new() } else { format!("{state:10} ") };
        format!("{id:10} {host:hosts$} {port:10} {rack:racks$} {state}{kind:15}\n")
    };
    let mut text = line(["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]);
    for node in &described.brokers {
        text.push_str(&line([
            &node.id.to_string(),
            &node.host,
            &node.port.to_string(),
            node.rack.as_deref().unwrap_or("null"),
            if described.fenced.contains(&node.id) { "fenced" } else { "unfenced" },
            if controllers { "controller" } else { "broker" },
        ]));
    }
    text
}

#[cfg(test)]
mod tests {
    use naru_client::Broker;

    use super::*;

    fn described(rack: Option<&str>) -> ClusterDescription {
        let broker = |id: i32| Broker {
            id,
            host: "127.0.0.1".to_owned(),
            port: 24_092 + id * 100,
            rack: rack.map(|rack| format!("{rack}{id}")),
        };
        ClusterDescription {
            cluster_id: "c".to_owned(),
            controller: Some(1),
            brokers: vec![broker(1), broker(2)],
            fenced: [2].into(),
        }
    }

    #[test]
    fn endpoints_are_the_table_that_apache_kafka_prints() {
        let expect = "\
ID         HOST      PORT       RACK  STATE      ENDPOINT_TYPE  \n\
1          127.0.0.1 24192      rack1 unfenced   broker         \n\
2          127.0.0.1 24292      rack2 fenced     broker         \n";
        assert_eq!(endpoints(described(Some("rack")), false), expect);
        let expect = "\
ID         HOST      PORT       RACK       ENDPOINT_TYPE  \n\
1          127.0.0.1 24192      null       controller     \n\
2          127.0.0.1 24292      null       controller     \n";
        assert_eq!(endpoints(described(None), true), expect);
    }
}
