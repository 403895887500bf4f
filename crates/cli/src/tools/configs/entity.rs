//! What `kafka-configs` is about: old and new ways to name it, and how it is spoken of.

use naru_client::admin::{ConfigResource, ResourceKind};

use crate::options::Parsed;

/// A kind of thing, and one of it if named; an empty name is the default of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entity {
    /// As in `--entity-type`.
    pub(super) plural: &'static str,
    /// None for users, clients and addresses, whose quotas are not configurations of a resource.
    pub(super) kind: Option<ResourceKind>,
    pub(super) name: Option<String>,
}

/// Plural, what is behind it, option with a name, option for the default.
const KINDS: [(&str, Option<ResourceKind>, &str, &str); 8] = [
    ("topics", Some(ResourceKind::Topic), "topic", ""),
    ("brokers", Some(ResourceKind::Broker), "broker", "broker-defaults"),
    ("broker-loggers", Some(ResourceKind::BrokerLogger), "broker-logger", ""),
    ("groups", Some(ResourceKind::Group), "group", ""),
    ("client-metrics", Some(ResourceKind::ClientMetrics), "client-metrics", ""),
    ("users", None, "user", "user-defaults"),
    ("clients", None, "client", "client-defaults"),
    ("ips", None, "ip", "ip-defaults"),
];

/// Reads `--entity-type` and `--entity-name`, or the options that stand for both. There is one
/// entity but for quotas of a user's client: then the user comes first. `args` is the whole command
/// line, whose order says which type a name belongs to.
pub(super) fn read(p: &Parsed, args: &[String]) -> Result<Vec<Entity>, String> {
    let mut found: Vec<Entity> = Vec::new();
    for (plural, kind, option, default) in KINDS {
        found.extend(p.all(option).map(|name| Entity {
            plural,
            kind,
            name: Some(name.to_owned()),
        }));
        if !default.is_empty() && p.has(default) {
            found.push(Entity { plural, kind, name: Some(String::new()) });
        }
    }
    let types: Vec<&str> = p.all("entity-type").collect();
    let mut names = names_in_order(args).into_iter();
    for wanted in types {
        let known = KINDS.iter().find(|(plural, ..)| *plural == wanted);
        let (plural, kind, ..) = known.ok_or_else(|| {
            let all: Vec<&str> = KINDS.iter().map(|(plural, ..)| *plural).collect();
            let all = all.join(", ");
            format!(
                "Invalid entity type {wanted}, the entity type must be one of {all} with a \
                 --bootstrap-server or --bootstrap-controller argument"
            )
        })?;
        found.push(Entity { plural, kind: *kind, name: names.next() });
    }
    // A user comes before its client.
    found.sort_by_key(|entity| entity.plural == "clients");
    let plurals: Vec<&str> = found.iter().map(|entity| entity.plural).collect();
    let entity = match plurals.as_slice() {
        [] => return Err("At least one entity type must be specified".to_owned()),
        [_] | ["users", "clients"] => &found[0],
        _ => return Err("Only one entity type can be handled at a time".to_owned()),
    };
    if p.has("alter")
        && let Some(entity) = found.iter().find(|entity| entity.name.is_none())
    {
        return Err("An entity name must be specified with --alter of ".to_owned() + entity.plural);
    }
    check_broker_id(p, entity)?;
    Ok(found)
}

/// A broker is named by its id, and loggers are those of one broker.
fn check_broker_id(p: &Parsed, entity: &Entity) -> Result<(), String> {
    let (plural, name) = (entity.plural, entity.name.as_deref());
    let loggers = match entity.kind {
        Some(ResourceKind::Broker) => false,
        Some(ResourceKind::BrokerLogger) => true,
        _ => return Ok(()),
    };
    match name {
        None | Some("") if loggers => {
            let action = if p.has("alter") { "alter" } else { "describe" };
            Err(format!("An entity name must be specified with --{action} of {plural}"))
        }
        Some(name) if !name.is_empty() && name.parse::<i32>().is_err() => Err(format!(
            "The entity name for {plural} must be a valid integer broker id, but it is: {name}"
        )),
        _ => Ok(()),
    }
}

/// What `--entity-name` and `--entity-default` say, in their order; the default is empty.
fn names_in_order(args: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let word = arg.trim_start_matches('-');
        if let Some(name) = word.strip_prefix("entity-name=") {
            names.push(name.to_owned());
        } else if word == "entity-name" {
            names.extend(args.next().cloned());
        } else if word == "entity-default" {
            names.push(String::new());
        }
    }
    names
}

impl Entity {
    pub(super) fn named(&self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self.clone() }
    }

    /// `topic` of `topics`; some words have no singular.
    fn singular(&self) -> &str {
        match self.plural {
            "client-metrics" => "client-metric",
            plural => plural.trim_end_matches('s'),
        }
    }

    pub(super) fn resource(&self) -> Option<ConfigResource> {
        Some(ConfigResource { kind: self.kind?, name: self.name.clone().unwrap_or_default() })
    }

    fn is_default(&self) -> bool {
        self.name.as_deref() == Some("")
    }

    pub(super) fn header(&self, all: bool) -> String {
        if self.is_default() {
            return format!("Default configs for {} in the cluster are:", self.plural);
        }
        let name = self.name.as_deref().unwrap_or_default();
        let which = if all { "All" } else { "Dynamic" };
        format!("{which} configs for {} {name} are:", self.singular())
    }

    pub(super) fn updated(&self) -> String {
        if self.is_default() {
            return format!(
                "Completed updating default config for {} in the cluster.",
                self.plural
            );
        }
        let name = self.name.as_deref().unwrap_or_default();
        format!("Completed updating config for {} {name}.", self.singular())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ROWS;
    use super::*;

    fn entity(line: &str) -> Result<Entity, String> {
        entities(line).map(|entities| entities[0].clone())
    }

    fn entities(line: &str) -> Result<Vec<Entity>, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        read(&crate::options::parse(ROWS, &args).unwrap(), &args)
    }

    #[test]
    fn a_user_and_its_client_may_be_named_together() {
        let names = |line| {
            let found = entities(line).unwrap();
            found.into_iter().map(|one| (one.plural, one.name)).collect::<Vec<_>>()
        };
        let both = [("users", Some("u".to_owned())), ("clients", Some(String::new()))];
        assert_eq!(names("--user u --client-defaults"), both);
        let long = "--entity-type clients --entity-default --entity-type users --entity-name u";
        assert_eq!(names(long), both);
        let all = [("users", Some("u".to_owned())), ("clients", None)];
        assert_eq!(names("--entity-type users --entity-name u --entity-type clients"), all);
        assert!(entities("--user u --ip 1.2.3.4").is_err());
    }

    #[test]
    fn the_short_and_the_long_way_name_the_same() {
        for (short, long) in [
            ("--topic t", "--entity-type topics --entity-name t"),
            ("--broker 1", "--entity-type brokers --entity-name 1"),
            ("--broker-defaults", "--entity-type brokers --entity-default"),
        ] {
            assert_eq!(entity(short), entity(long));
        }
        assert!(entity("--broker x").is_err());
        let expect = "The entity name for broker-loggers must be a valid integer broker id, but \
                      it is: x";
        assert_eq!(entity("--broker-logger x").unwrap_err(), expect);
        let expect = "An entity name must be specified with --describe of broker-loggers";
        assert_eq!(entity("--entity-type broker-loggers").unwrap_err(), expect);
        assert!(entity("--entity-type nothings").is_err());
    }

    #[test]
    fn headers_are_those_of_apache_kafka() {
        let header = |line: &str, all| entity(line).unwrap().header(all);
        assert_eq!(header("--topic orders", false), "Dynamic configs for topic orders are:");
        assert_eq!(header("--broker 1", true), "All configs for broker 1 are:");
        let expect = "Default configs for brokers in the cluster are:";
        assert_eq!(header("--broker-defaults", false), expect);
        let updated = entity("--broker-defaults").unwrap().updated();
        assert_eq!(updated, "Completed updating default config for brokers in the cluster.");
    }
}
