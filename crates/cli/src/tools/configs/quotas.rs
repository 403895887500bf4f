//! `kafka-configs` for users, clients and addresses: their quotas (KIP-546), and what of users is a
//! credential instead.

use naru_client::Admin;
use naru_client::admin::{QuotaEntity, QuotaEntry, QuotaMatch};

use super::Failure;
use super::entity::Entity;
use super::scram;
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

/// Sets and removes quotas of one entity: a user, a client, both, or an address; or credentials of
/// a user.
pub(super) async fn alter(
    admin: &Admin,
    entities: &[Entity],
    set: &[(String, String)],
    removed: &[String],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let Some(first) = entities.first() else { return Ok(()) };
    if check_keys(entities, set, removed)? == Concern::Credentials {
        return scram::alter(admin, first, set, removed, streams).await;
    }
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

/// What a command is about.
#[derive(Debug, PartialEq, Eq)]
enum Concern {
    Quotas,
    Credentials,
}

fn check_keys(
    entities: &[Entity],
    set: &[(String, String)],
    removed: &[String],
) -> Result<Concern, Failure> {
    let added: Vec<&str> = set.iter().map(|(key, _)| key.as_str()).collect();
    let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
    let of_user = matches!(entities, [one] if one.plural == "users");
    // A password with a bracket or comma in it goes on in the next name.
    let has_secret = set.iter().any(|(key, _)| scram::is_scram(key));
    let shown = |names: &[&str], between: &str| {
        let is_shown = |name: &str| !has_secret || scram::is_scram(name);
        let names = names.iter().map(|&name| if is_shown(name) { name } else { "[hidden]" });
        names.collect::<Vec<_>>().join(between)
    };
    let unexpected = |what: &str, done: &str, whose: &str, names: &str| {
        words(format!(
            "Only {what} configs can be {done} for '{whose}' using --bootstrap-server. Unexpected \
             config names: {names}"
        ))
    };
    if entities.iter().any(|entity| entity.plural == "ips") {
        let all = added.iter().chain(&removed).filter(|key| !IP_KEYS.contains(key));
        let unknown: Vec<&str> = all.copied().collect();
        if unknown.is_empty() {
            return Ok(Concern::Quotas);
        }
        // What is said of what is added is said of what is deleted, too.
        return Err(unexpected("connection quota", "added", "ips", &shown(&unknown, ",")));
    }
    let (what, whose) =
        if of_user { ("quota and SCRAM credential", "users") } else { ("quota", "clients") };
    // As Scala prints its collections.
    for (done, keys, collection) in [("added", &added, "Set"), ("deleted", &removed, "ArrayBuffer")]
    {
        let fits = |key: &str| CLIENT_KEYS.contains(&key) || of_user && scram::is_scram(key);
        let unknown: Vec<&str> = keys.iter().copied().filter(|key| !fits(key)).collect();
        if !unknown.is_empty() {
            let names = format!("{collection}({})", shown(&unknown, ", "));
            return Err(unexpected(what, done, whose, &names));
        }
    }
    let all = || added.iter().chain(&removed);
    if !all().any(|key| scram::is_scram(key)) {
        return Ok(Concern::Quotas);
    }
    if entities.iter().any(|entity| entity.name.as_deref() == Some("")) {
        return Err(words(
            "The use of --entity-default or --user-defaults is not allowed with User SCRAM \
             Credentials using --bootstrap-server.",
        ));
    }
    if all().any(|key| !scram::is_scram(key)) {
        return Err(words(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' \
             using --bootstrap-server.",
        ));
    }
    Ok(Concern::Credentials)
}

fn component(entity: &Entity) -> (String, QuotaMatch) {
    let name = match entity.name.as_deref() {
        None => QuotaMatch::Any,
        Some("") => QuotaMatch::Default,
        Some(name) => QuotaMatch::Exact(name.to_owned()),
    };
    (kind_of(entity).to_owned(), name)
}

/// Shows the quotas of the entities of exactly these kinds, and the credentials of users.
pub(super) async fn describe(
    admin: &Admin,
    entities: &[Entity],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let filter: Vec<(String, QuotaMatch)> = entities.iter().map(component).collect();
    for entry in admin.describe_quotas(&filter).await? {
        streams.line(line(&entry));
    }
    match entities {
        [user] if user.plural == "users" => scram::describe(admin, user, streams).await,
        _ => Ok(()),
    }
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

    fn entity(plural: &'static str, name: &str) -> Entity {
        Entity { plural, kind: None, name: Some(name.to_owned()) }
    }

    fn checked(entities: &[Entity], set: &[&str], removed: &[&str]) -> Result<Concern, String> {
        let set: Vec<(String, String)> =
            set.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        let removed: Vec<String> = removed.iter().map(|key| (*key).to_owned()).collect();
        check_keys(entities, &set, &removed).map_err(|failure| match failure {
            Failure::Words(text) => text,
            Failure::Cluster(error) => error.to_string(),
        })
    }

    #[test]
    fn a_command_is_about_quotas_or_about_credentials_of_one_user() {
        let (user, client) = (entity("users", "u"), entity("clients", "c"));
        let rate = "producer_byte_rate";
        let of_user =
            |set: &[&str], removed: &[&str]| checked(std::slice::from_ref(&user), set, removed);
        assert_eq!(of_user(&[rate], &["request_percentage"]), Ok(Concern::Quotas));
        assert_eq!(of_user(&["SCRAM-SHA-256"], &["SCRAM-SHA-512"]), Ok(Concern::Credentials));
        let both = of_user(&["SCRAM-SHA-256"], &[rate]).unwrap_err();
        assert!(both.starts_with("Cannot alter both quota and SCRAM credential"), "{both}");
        let torn = of_user(&["SCRAM-SHA-256", "word"], &[]).unwrap_err();
        assert!(torn.ends_with("Set([hidden])"), "a piece of a password may be in it: {torn}");
        let default = checked(&[entity("users", "")], &["SCRAM-SHA-256"], &[]).unwrap_err();
        assert!(default.starts_with("The use of --entity-default"), "{default}");
        for (set, removed, whose) in [
            (&["SCRAM-SHA-512"][..], &[][..], "Set(SCRAM-SHA-512)"),
            (&[], &["SCRAM-SHA-512"], "ArrayBuffer(SCRAM-SHA-512)"),
        ] {
            let refused = checked(&[user.clone(), client.clone()], set, removed).unwrap_err();
            let done = if set.is_empty() { "deleted" } else { "added" };
            let expect = format!(
                "Only quota configs can be {done} for 'clients' using --bootstrap-server. \
                 Unexpected config names: {whose}"
            );
            assert_eq!(refused, expect);
        }
    }

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
