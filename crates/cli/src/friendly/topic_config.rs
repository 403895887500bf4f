//! `naru topic config`.

use naru_client::admin::{AlterOp, ConfigResource, ConfigSource};
use naru_model::ErrorCode;
use serde_json::{Value, json};

use super::context::{
    BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, OUTPUT, TIMEOUT, topic_failure,
};
use super::failure::Failure;
use crate::options::{Takes, nearest, row};
use crate::text::time::parse_human_duration;
use crate::text::{Column, Table};

pub const COMMAND: Command = Command {
    name: "config",
    aliases: &["cfg"],
    about: "Shows and changes the configuration of a topic.",
    usage: "topic config NAME [get KEY... | set KEY=VALUE... | unset KEY...] [--all]",
    rows: &[
        BOOTSTRAP,
        BOOTSTRAP_SERVER,
        OUTPUT,
        TIMEOUT,
        HELP,
        row("all", Takes::Nothing, "Shows defaults as well.").short('a'),
    ],
    examples: &[
        "naru topic config orders",
        "naru topic config orders set retention.ms=7d max.message.bytes=2MiB",
        "naru topic config orders unset retention.ms",
    ],
    work: |context| Box::pin(config(context)),
};

async fn config(context: &mut Context) -> Result<i32, Failure> {
    let words = context.names("topic")?;
    let (topic, rest) = (&words[0], &words[1..]);
    match rest.split_first() {
        None => show(context, topic, &[]).await,
        Some((verb, keys)) => match verb.as_str() {
            "get" => show(context, topic, keys).await,
            "set" => {
                let pairs = keys.iter().map(|pair| parse_pair(pair));
                let changes = pairs.map(|pair| pair.map(|(k, v)| (k, AlterOp::Set(v))));
                let changes = changes.collect::<Result<Vec<_>, _>>()?;
                change(context, topic, changes).await
            }
            "unset" => {
                let changes = keys.iter().map(|key| (key.clone(), AlterOp::Delete)).collect();
                change(context, topic, changes).await
            }
            other => Err(Failure::usage(format!("'{other}' is not get, set or unset"))),
        },
    }
}

async fn change(
    context: &mut Context,
    topic: &str,
    changes: Vec<(String, AlterOp)>,
) -> Result<i32, Failure> {
    if changes.is_empty() {
        return Err(Failure::usage("which configuration?"));
    }
    let admin = context.admin()?;
    let resource = ConfigResource::topic(topic);
    if let Err(error) = admin.alter_configs(&resource, &changes, false).await {
        if error.code() == ErrorCode::InvalidConfig {
            let failure = Failure::from(error);
            let known = admin.describe_configs(&[resource], false).await?;
            let names: Vec<String> = known
                .into_iter()
                .flat_map(|(_, entries)| entries.unwrap_or_default())
                .map(|entry| entry.name)
                .collect();
            let unknown = changes.iter().find(|(key, _)| !names.contains(key));
            let near = unknown.and_then(|(key, _)| nearest(key, names.iter().map(String::as_str)));
            return Err(match near {
                Some(near) => failure.hint(format!("did you mean '{near}'?")),
                None => failure,
            });
        }
        return Err(topic_failure(&admin, topic, error).await);
    }
    for (key, op) in changes {
        context.streams.line(match op {
            AlterOp::Set(value) => format!("{topic}: {key}={value}"),
            _ => format!("{topic}: {key} is the default again"),
        });
    }
    Ok(0)
}

async fn show(context: &mut Context, topic: &str, keys: &[String]) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let described = admin.describe_configs(&[ConfigResource::topic(topic)], false).await?;
    let mut entries = Vec::new();
    for (_, outcome) in described {
        match outcome {
            Ok(found) => entries.extend(found),
            Err(error) => return Err(topic_failure(&admin, topic, error).await),
        }
    }
    for key in keys {
        if !entries.iter().any(|entry| entry.name == *key) {
            let near = nearest(key, entries.iter().map(|entry| entry.name.as_str()));
            let code = ErrorCode::InvalidConfig;
            return Err(Failure::not_found("topic configuration", key, code, near));
        }
    }
    let all = context.options.has("all");
    entries.retain(|entry| {
        if keys.is_empty() {
            all || entry.source == ConfigSource::DynamicTopic
        } else {
            keys.contains(&entry.name)
        }
    });
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut table = Table::new(&[Column::text("KEY"), Column::text("VALUE"), Column::text("FROM")]);
    let mut json: Vec<Value> = Vec::new();
    for entry in &entries {
        let from = entry.source.name().trim_end_matches("_CONFIG").to_lowercase();
        table.row([entry.name.clone(), entry.value.clone().unwrap_or_default(), from.clone()]);
        json.push(json!({ "key": entry.name, "value": entry.value, "from": from }));
    }
    context.show(&table, entries.iter().map(|entry| entry.name.clone()), json)?;
    Ok(0)
}

/// Reads `key=value`, with units where the key has one.
pub fn parse_pair(pair: &str) -> Result<(String, String), Failure> {
    let (key, value) =
        pair.split_once('=').ok_or_else(|| Failure::usage(format!("'{pair}' is not key=value")))?;
    Ok((key.to_owned(), with_units(key, value)?))
}

/// `7d` for keys in milliseconds and `2MiB` for keys in bytes become numbers.
pub fn with_units(key: &str, value: &str) -> Result<String, Failure> {
    let bad = || Failure::usage(format!("'{value}' does not fit {key}"));
    if value.parse::<i64>().is_ok() {
        return Ok(value.to_owned());
    }
    if key.ends_with(".ms") {
        return Ok(parse_human_duration(value).ok_or_else(bad)?.to_string());
    }
    if key.ends_with("bytes") {
        return Ok(parse_size(value).ok_or_else(bad)?.to_string());
    }
    Ok(value.to_owned())
}

/// Reads `50MiB`, `1GB`, or a plain number of bytes.
pub fn parse_bytes(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| parse_size(text))
}

fn parse_size(text: &str) -> Option<i64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let factor: i64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_units_of_their_keys() {
        assert_eq!(with_units("retention.ms", "7d").unwrap(), "604800000");
        assert_eq!(with_units("retention.ms", "-1").unwrap(), "-1");
        assert_eq!(with_units("max.message.bytes", "2MiB").unwrap(), "2097152");
        assert_eq!(with_units("cleanup.policy", "compact").unwrap(), "compact");
        assert!(with_units("retention.ms", "soon").is_err());
        assert!(parse_pair("novalue").is_err());
        assert_eq!(parse_bytes("1000"), Some(1000));
        assert_eq!(parse_bytes("50MiB"), Some(50 << 20));
        assert_eq!(parse_bytes("fast"), None);
    }
}
