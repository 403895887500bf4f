//! `kafka-client-metrics`: subscriptions of client metrics (KIP-714, 1000).

use naru_client::Admin;
use naru_client::admin::{AlterOp, ConfigResource, ConfigSource, ResourceKind};
use naru_model::Uuid;

use super::common::{Ended, Face, block_on, finish};
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::Streams;

pub const ABOUT: &str = "This tool helps to manipulate and describe client metrics configurations.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("alter", Takes::Nothing, "Makes or changes a subscription."),
    row("delete", Takes::Nothing, "Removes a subscription."),
    row("describe", Takes::Nothing, "Shows subscriptions."),
    row("list", Takes::Nothing, "Shows the names of subscriptions."),
    row("name", Takes::Text("name"), "The name of the subscription."),
    row("generate-name", Takes::Nothing, "With --alter: a new name."),
    row("interval", Takes::Int("ms"), "How often clients push, in milliseconds."),
    row(
        "match",
        Takes::Text("k1=v1,k2=v2"),
        "Which clients it is for: patterns for client_id, client_instance_id, \
         client_software_name, client_software_version, client_source_address, client_source_port.",
    ),
    row("metrics", Takes::Text("m1,m2"), "Prefixes of the names of metrics, or *."),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-client-metrics --bootstrap-server localhost:9092 --alter --name producers \
         --metrics org.apache.kafka.producer. --interval 30000",
        "kafka-client-metrics --bootstrap-server localhost:9092 --describe",
    ],
    error_prefix: "",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    let actions = ["alter", "delete", "describe", "list"];
    let mut chosen = actions.into_iter().filter(|action| p.has(action));
    let (Some(action), None) = (chosen.next(), chosen.next()) else {
        let text =
            "Command must include exactly one action: --alter, --delete, --describe or --list.";
        return Err(FACE.usage(text, streams));
    };
    if action != "alter" {
        for other in ["generate-name", "interval", "match", "metrics"] {
            FACE.exclude(&p, action, &[other], streams)?;
        }
    }
    if action == "list" {
        FACE.exclude(&p, "list", &["name"], streams)?;
    }
    let missing = match action {
        "alter" if p.has("name") == p.has("generate-name") => {
            Some("One of --name or --generate-name must be specified with --alter.")
        }
        "delete" if !p.has("name") => {
            Some("A client metrics resource name must be specified with --delete.")
        }
        _ => None,
    };
    if let Some(text) = missing {
        streams.error(text);
        return Err(Ended(1));
    }
    let name = FACE.one(&p, "name", streams)?.map(str::to_owned);
    let interval = FACE.number::<i32>(&p, "interval", streams)?;
    let admin = FACE.admin(&p, "--bootstrap-server must be specified.", streams)?;
    let outcome = block_on(async {
        match action {
            "alter" => alter(&p, &admin, name, interval, streams).await,
            "delete" => delete(&admin, &name.unwrap_or_default(), streams).await,
            "describe" => describe(&admin, name, streams).await,
            _ => {
                let names = admin.list_config_resources(ResourceKind::ClientMetrics).await?;
                streams.line(names.join("\n"));
                Ok(())
            }
        }
    });
    match outcome {
        Ok(()) => Ok(0),
        Err(error) => {
            let words = crate::text::message(&error);
            streams.line(format!("Error while executing client metrics command : {words}"));
            Ok(1)
        }
    }
}

fn resource(name: &str) -> ConfigResource {
    ConfigResource { kind: ResourceKind::ClientMetrics, name: name.to_owned() }
}

async fn alter(
    p: &Parsed,
    admin: &Admin,
    name: Option<String>,
    interval: Option<i32>,
    streams: &mut Streams,
) -> naru_client::Result<()> {
    let name = name.unwrap_or_else(|| new_name().to_string());
    let list = |option: &str| {
        let values: Vec<&str> = p.all(option).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    let settings = [
        ("interval.ms", interval.map(|ms| ms.to_string())),
        ("metrics", list("metrics")),
        ("match", list("match")),
    ];
    let changes: Vec<(String, AlterOp)> = settings
        .into_iter()
        .filter_map(|(key, value)| {
            let value = value?;
            let op = if value.is_empty() { AlterOp::Delete } else { AlterOp::Set(value) };
            Some((key.to_owned(), op))
        })
        .collect();
    admin.alter_configs(&resource(&name), &changes, false).await?;
    streams.line(format!("Altered client metrics config for {name}."));
    Ok(())
}

/// A name that nobody has: the time and this process are enough to tell it from others.
fn new_name() -> Uuid {
    use std::hash::{BuildHasher as _, RandomState};
    let half = || u128::from(RandomState::new().hash_one(0));
    Uuid::from_random(half() << 64 | half())
}

/// What is set on a subscription.
async fn set(admin: &Admin, name: &str) -> naru_client::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (_, entries) in admin.describe_configs(&[resource(name)], false).await? {
        let own = entries?.into_iter().filter(|entry| entry.source == ConfigSource::ClientMetrics);
        found.extend(own.map(|entry| (entry.name, entry.value.unwrap_or_default())));
    }
    Ok(found)
}

async fn delete(admin: &Admin, name: &str, streams: &mut Streams) -> naru_client::Result<()> {
    let known = set(admin, name).await?;
    let changes: Vec<(String, AlterOp)> =
        known.into_iter().map(|(key, _)| (key, AlterOp::Delete)).collect();
    if !changes.is_empty() {
        admin.alter_configs(&resource(name), &changes, false).await?;
    }
    streams.line(format!("Deleted client metrics config for {name}."));
    Ok(())
}

async fn describe(
    admin: &Admin,
    name: Option<String>,
    streams: &mut Streams,
) -> naru_client::Result<()> {
    let names = match name {
        Some(name) => vec![name],
        None => admin.list_config_resources(ResourceKind::ClientMetrics).await?,
    };
    for name in names {
        streams.line(format!("Client metrics configs for {name} are:"));
        for (key, value) in set(admin, &name).await? {
            streams.line(format!("  {key}={value}"));
        }
    }
    Ok(())
}
