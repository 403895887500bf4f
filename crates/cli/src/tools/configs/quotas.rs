//! `kafka-configs` for users, clients and addresses: their quotas (KIP-546).

use naru_client::admin::{QuotaEntity, QuotaEntry, QuotaMatch};
use naru_client::{Admin, Error};

use super::Failure;
use super::entity::Entity;
use crate::text::{Streams, java_hash_order};

const CLIENT_KEYS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const IP_KEYS: [&str; 1] = ["connection_creation_rate"];

/// Kafka's protocol names a kind otherwise than its tool.
fn kind_of(entity: &Entity) -> &'static str {
    match entity.plural {
        "users" => "user",
        "clients" => "client-id",
        _ => "ip",
    }
}

fn words(text: impl Into<String>) -> Failure {
    Failure::Words(text.into())
}

/// Sets and removes quotas of one entity: a user, a client, both, or an address.
pub(super) async fn alter(
    admin: &Admin,
    entities: &[Entity],
    set: &[(String, String)],
    removed: &[String],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let Some(first) = entities.first() else { return Ok(()) };
    check_keys(entities, set, removed)?;
    let mut ops: Vec<(String, Option<f64>)> = Vec::new();
    for (key, value) in set {
        let number = value.trim().parse().map_err(|_| {
            words(format!("Cannot parse quota configuration value for {key}: {value}"))
        })?;
        ops.push((key.clone(), Some(number)));
    }
    let filter: Vec<(String, QuotaMatch)> = entities.iter().map(component).collect();
    let known = admin.describe_quotas(&filter).await?;
    let known: Vec<&String> =
        known.iter().flat_map(|(_, values)| values.iter().map(|(key, _)| key)).collect();
    let missing: Vec<&str> =
        removed.iter().filter(|key| !known.contains(key)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(words(format!("Invalid config(s): {}", missing.join(","))));
    }
    ops.extend(removed.iter().map(|key| (key.clone(), None)));
    let entity: QuotaEntity = entities
        .iter()
        .map(|entity| (kind_of(entity).to_owned(), entity.name.clone().filter(|n| !n.is_empty())))
        .collect();
    admin.alter_quotas(&entity, &ops).await?;
    streams.line(first.updated());
    Ok(())
}

fn check_keys(
    entities: &[Entity],
    set: &[(String, String)],
    removed: &[String],
) -> Result<(), Failure> {
    let of_ips = entities.iter().any(|entity| entity.plural == "ips");
    let keys: &[&str] = if of_ips { &IP_KEYS } else { &CLIENT_KEYS };
    let unknown = |names: &mut dyn Iterator<Item = &String>| -> Option<String> {
        let unknown: Vec<&str> =
            names.map(String::as_str).filter(|name| !keys.contains(name)).collect();
        (!unknown.is_empty()).then(|| unknown.join(","))
    };
    let (what, whose) = match entities {
        _ if of_ips => ("connection quota", "ips"),
        [one] if one.plural == "users" => ("quota and SCRAM credential", "users"),
        _ => ("quota", "clients"),
    };
    let mut set = set.iter().map(|(key, _)| key);
    for (done, names) in [("added", unknown(&mut set)), ("deleted", unknown(&mut removed.iter()))] {
        let Some(names) = names else { continue };
        // What is said of addresses is the same for both.
        let done = if of_ips { "added" } else { done };
        return Err(words(format!(
            "Only {what} configs can be {done} for '{whose}' using --bootstrap-server. Unexpected \
             config names: {names}"
        )));
    }
    Ok(())
}

fn component(entity: &Entity) -> (String, QuotaMatch) {
    let name = match entity.name.as_deref() {
        None => QuotaMatch::Any,
        Some("") => QuotaMatch::Default,
        Some(name) => QuotaMatch::Exact(name.to_owned()),
    };
    (kind_of(entity).to_owned(), name)
}

/// Shows the quotas of the entities of exactly these kinds.
pub(super) async fn describe(
    admin: &Admin,
    entities: &[Entity],
    streams: &mut Streams,
) -> Result<(), Error> {
    let filter: Vec<(String, QuotaMatch)> = entities.iter().map(component).collect();
    for entry in admin.describe_quotas(&filter).await? {
        streams.line(line(&entry));
    }
    Ok(())
}

fn line((entity, values): &QuotaEntry) -> String {
    let kinds = [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")];
    let parts = kinds.iter().filter_map(|(kind, word)| {
        let (_, name) = entity.iter().find(|(known, _)| known == kind)?;
        Some(match name {
            Some(name) => format!("{word} '{name}'"),
            None => format!("the default {word}"),
        })
    });
    let whose = parts.collect::<Vec<_>>().join(", ");
    let mut keys: Vec<String> = values.iter().map(|(key, _)| key.clone()).collect();
    java_hash_order(&mut keys);
    let value = |key: &String| values.iter().find(|(known, _)| known == key).map_or(0.0, |v| v.1);
    let told: Vec<String> =
        keys.iter().map(|key| format!("{key}={}", java_double(value(key)))).collect();
    format!("Quota configs for {whose} are {}", told.join(", "))
}

/// A number as Java prints a `Double`.
fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_java() {
        for (value, expect) in [
            (2048.0, "2048.0"),
            (150.5, "150.5"),
            (1_048_576.0, "1048576.0"),
            (1e7, "1.0E7"),
            (999_999_999.0, "9.99999999E8"),
            (0.0001, "1.0E-4"),
        ] {
            assert_eq!(java_double(value), expect);
        }
    }

    #[test]
    fn a_line_is_that_of_apache_kafka() {
        let entity = vec![("user".to_owned(), Some("alice".to_owned()))];
        let values = ["producer_byte_rate", "consumer_byte_rate"]
            .iter()
            .zip([1024.0, 2048.0])
            .map(|(key, value)| ((*key).to_owned(), value))
            .collect();
        let expect = "Quota configs for user-principal 'alice' are consumer_byte_rate=2048.0, \
                      producer_byte_rate=1024.0";
        assert_eq!(line(&(entity, values)), expect);
        let both = vec![("client-id".to_owned(), None), ("user".to_owned(), Some("a".to_owned()))];
        let said = line(&(both, vec![("request_percentage".to_owned(), 200.0)]));
        let expect = "Quota configs for user-principal 'a', the default client-id are \
                      request_percentage=200.0";
        assert_eq!(said, expect);
    }
}
