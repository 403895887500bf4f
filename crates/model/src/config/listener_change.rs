//! Listeners that change while a broker runs (KIP-226): which may be set, which begin and end.
//!
//! Listeners are told apart by their names. One that stays keeps its address until the next
//! start, one that the node was started with keeps it for ever; what was advertised at the start
//! is what clients are told, so that those listeners stay. How connections are secured never
//! changes under an open listener: with another protocol *and* another address it is another
//! listener of that name, which was taken away and added in one go; with another protocol alone
//! nothing changes. Pure: whether an address is free and keys can be read is the shell's to try.
//! Refusals are in the words of Apache Kafka 4.3.1, and in its order.

use std::collections::BTreeMap;

use super::ConfigError;
use super::alter::{LISTENER_LIMITS, STORES};
use super::layers::{Layers, Reader};
use super::listener::{
    Endpoint, Listeners, Protocols, Roles, SecurityProtocol, parse_endpoint, port_clash, protocols,
};

const LISTENERS: &str = "listeners";
const PROTOCOLS: &str = "listener.security.protocol.map";

/// What is to be done so that a broker listens as it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerChange {
    /// These begin.
    pub begin: Vec<Endpoint>,
    /// These end, by name.
    pub end: Vec<String>,
}

impl ListenerChange {
    /// From what is open to what is wanted. What has the name but another protocol is another
    /// listener.
    pub fn between(open: &[Endpoint], wanted: &[Endpoint]) -> Self {
        let has = |all: &[Endpoint], one: &Endpoint| {
            all.iter().any(|other| other.name == one.name && other.protocol == one.protocol)
        };
        Self {
            begin: wanted.iter().filter(|one| !has(open, one)).cloned().collect(),
            end: open.iter().filter(|one| !has(wanted, one)).map(|one| one.name.clone()).collect(),
        }
    }
}

/// Every listener that layers name, controllers' included.
struct Named {
    all: Vec<Endpoint>,
}

impl Listeners {
    /// What a broker that was started with these, and listens on `open`, is to listen on under
    /// `layers`.
    ///
    /// # Errors
    /// If it cannot; what is set is checked before, but not by a controller.
    pub fn running(
        &self,
        open: &[Endpoint],
        layers: &Layers<'_>,
        roles: Roles,
    ) -> Result<Vec<Endpoint>, ConfigError> {
        if !roles.broker {
            return Ok(Vec::new());
        }
        let named = Named::read(self, layers)?;
        self.check(&named, layers, roles)?;
        self.keeps_its_own(&named)?;
        let of_clients = named.all.into_iter().filter(|one| !self.is_controllers(&one.name));
        let at_start = |one: &Endpoint| self.broker.iter().find(|known| known.name == one.name);
        let as_open = |one: Endpoint| match open.iter().find(|known| known.name == one.name) {
            Some(known) if known.protocol == one.protocol => Ok(known.clone()),
            Some(known) if (&known.host, known.port) == (&one.host, one.port) => {
                other_protocol(&one.name)
            }
            Some(_) | None => Ok(one),
        };
        of_clients
            .map(|one| match at_start(&one) {
                Some(known) => Ok(known.clone()),
                None => as_open(one),
            })
            .collect()
    }

    /// Whether a broker that was started with these, and listens on `open`, may go from what is
    /// set to what is to be set.
    ///
    /// # Errors
    /// What is wrong.
    pub fn may_change(
        &self,
        open: &[Endpoint],
        before: &Layers<'_>,
        after: &Layers<'_>,
        roles: Roles,
    ) -> Result<(), ConfigError> {
        if [LISTENERS, PROTOCOLS].iter().all(|key| before.set(key) == after.set(key)) {
            return Ok(());
        }
        let next = Named::read(self, after)?;
        self.check(&next, after, roles)?;
        self.keeps_its_own(&next)?;
        // What runs now was checked when it was set.
        let known = Named::read(self, before)
            .map(|known| known.all)
            .unwrap_or_else(|_| self.broker.iter().chain(&self.controller).cloned().collect());
        for known in &known {
            let Some(next) = next.all.iter().find(|next| next.name == known.name) else { continue };
            let name = &known.name;
            if fixed_settings(before, name) != fixed_settings(after, name) {
                return refuse_change(format!(
                    "Configs cannot be updated dynamically for existing listener \
                     ListenerName({name}), restart broker or create a new listener for update"
                ));
            }
            // What a controller let be set may not be what runs.
            let runs = open.iter().find(|runs| runs.name == *name).unwrap_or(known);
            if next.protocol != runs.protocol {
                return other_protocol(name);
            }
        }
        Ok(())
    }

    fn is_controllers(&self, name: &str) -> bool {
        self.controller_names.iter().any(|known| known == name)
    }

    /// What every node must keep, whether it starts or runs.
    fn check(&self, next: &Named, layers: &Layers<'_>, roles: Roles) -> Result<(), ConfigError> {
        let of_controllers = next.all.iter().any(|one| self.is_controllers(&one.name));
        if roles.controller && !of_controllers {
            return refuse(
                "requirement failed: controller.listener.names must contain at least one value \
                 appearing in the 'listeners' configuration when running the KRaft controller role",
            );
        }
        if !roles.controller && of_controllers {
            return refuse(
                "requirement failed: controller.listener.names must not contain a value appearing \
                 in the 'listeners' configuration when running KRaft with just the broker role",
            );
        }
        let of_clients = next.all.iter().filter(|one| !self.is_controllers(&one.name));
        let told: Vec<&Endpoint> = match layers.set("advertised.listeners") {
            Some(_) => self.advertised.iter().collect(),
            None => of_clients.collect(),
        };
        if told.is_empty() {
            return refuse(
                "requirement failed: There must be at least one broker advertised listener. \
                 Perhaps all listeners appear in controller.listener.names?",
            );
        }
        if !told.iter().any(|one| one.name == self.inter_broker) {
            return refuse(format!(
                "requirement failed: inter.broker.listener.name must be a listener name defined in \
                 advertised.listeners. The valid options based on currently configured listeners \
                 are {}",
                names(told, ",")
            ));
        }
        if told.iter().any(|told| !next.has(&told.name)) {
            return refuse(format!(
                "requirement failed: advertised.listeners listener names must be equal to or a \
                 subset of the ones defined in listeners. Found {}. The valid options based on the \
                 current configuration are {}",
                names(told, ","),
                names(&next.all, ",")
            ));
        }
        if told.iter().any(|told| told.host == "0.0.0.0") {
            return refuse(
                "requirement failed: advertised.listeners cannot use the nonroutable meta-address \
                 0.0.0.0. Use a routable IP address.",
            );
        }
        Ok(())
    }

    /// What the cluster has been told of this broker stays, and so do the controller's listeners.
    fn keeps_its_own(&self, next: &Named) -> Result<(), ConfigError> {
        if self.advertised.iter().any(|told| !next.has(&told.name)) {
            let set = |endpoints: &[Endpoint]| {
                let names: Vec<String> =
                    endpoints.iter().map(|one| format!("ListenerName({})", one.name)).collect();
                format!("Set({})", names.join(", "))
            };
            return refuse_change(format!(
                "Advertised listeners '{}' must be a subset of listeners '{}'",
                set(&self.advertised),
                set(&next.all)
            ));
        }
        let mut of_controllers = next.all.iter().filter(|one| self.is_controllers(&one.name));
        let is_new = |one: &&Endpoint| !self.controller.iter().any(|known| known.name == one.name);
        match of_controllers.find(is_new) {
            Some(new) => refuse_change(format!(
                "Listener {} of controllers cannot begin while the node runs, restart it",
                new.name
            )),
            None => Ok(()),
        }
    }
}

impl Named {
    fn read(started: &Listeners, layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let read = Reader::broker(*layers);
        let texts = read.list(LISTENERS)?.unwrap_or_default();
        let entries = layers.set(PROTOCOLS).into_iter().flat_map(|text| text.split(','));
        let mut named = entries.filter_map(|entry| entry.split_once(':')).map(|(_, name)| name);
        if let Some(wrong) = named.find(|name| SecurityProtocol::from_name(name.trim()).is_none()) {
            let text = format!("Invalid security protocol `{wrong}` defined in {PROTOCOLS}");
            return refuse(text);
        }
        let protocols = protocols(&read, &started.controller_names, &texts)?;
        endpoints(&texts, &protocols).map(|all| Self { all }).map_err(|problem| {
            let all = texts.join(", ");
            let text = format!("Error creating broker listeners from '[{all}]': {problem}");
            ConfigError::Form { name: LISTENERS.to_owned(), text }
        })
    }

    fn has(&self, name: &str) -> bool {
        self.all.iter().any(|one| one.name == name)
    }
}

fn endpoints(texts: &[String], protocols: &Protocols) -> Result<Vec<Endpoint>, String> {
    let mut all: Vec<Endpoint> = Vec::with_capacity(texts.len());
    for text in texts {
        let (name, host, port) = parse_endpoint(text)
            .ok_or_else(|| format!("Unable to parse {text} to a broker endpoint"))?;
        let protocol = protocols
            .get(&name)
            .ok_or_else(|| format!("No security protocol defined for listener {name}"))?;
        all.push(Endpoint { name, protocol: *protocol, host, port });
    }
    let told = || texts.join(", ");
    let twice = |one: &Endpoint| all.iter().filter(|other| other.name == one.name).count() > 1;
    if all.iter().any(twice) {
        return Err(format!("Each listener must have a different name, listeners: [{}]", told()));
    }
    match port_clash(&all) {
        Some((one, other)) if !(is_address(&one.host) && is_address(&other.host)) => {
            Err(format!("Each listener must have a different port, listeners: [{}]", told()))
        }
        Some((one, _)) => Err(format!(
            "If you have two listeners on the same port then one needs to be IPv4 and the other \
             IPv6, listeners: [{}], port: {}",
            told(),
            one.port
        )),
        None => Ok(all),
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// What is set for one listener alone, but for what may change while it is open.
fn fixed_settings<'l>(layers: &Layers<'l>, listener: &str) -> BTreeMap<&'l str, &'l str> {
    let prefix = format!("listener.name.{}.", listener.to_ascii_lowercase());
    // The nearest layer comes last and counts.
    let all = [layers.file, layers.cluster, layers.broker].into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value.as_str())))
        .filter(|(key, _)| !STORES.contains(key) && !LISTENER_LIMITS.contains(key))
        .collect()
}

fn other_protocol<T>(listener: &str) -> Result<T, ConfigError> {
    refuse_change(format!(
        "Security protocol cannot be updated for existing listener ListenerName({listener})"
    ))
}

fn names<'e>(endpoints: impl IntoIterator<Item = &'e Endpoint>, between: &str) -> String {
    let names: Vec<&str> = endpoints.into_iter().map(|one| one.name.as_str()).collect();
    names.join(between)
}

fn refuse<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Form { name: LISTENERS.to_owned(), text: text.into() })
}

fn refuse_change<T>(text: impl std::fmt::Display) -> Result<T, ConfigError> {
    refuse(format!(
        "Invalid value org.apache.kafka.common.config.ConfigException: {text} for configuration \
         Invalid dynamic configuration"
    ))
}

#[cfg(test)]
mod tests;
