//! Listeners: names, protocols, addresses, and who uses which.
//!
//! Owns the parsing of `NAME://host:port` and the rules that several listeners must keep
//! together. Never resolves a host name: an empty host is left for the shell to fill in.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::ConfigError;
use super::check::split_host_port;
use super::layers::Reader;

/// How a connection on a listener is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum SecurityProtocol {
    /// Neither TLS nor login.
    Plaintext = 0,
    /// TLS.
    Ssl = 1,
    /// Login by SASL, without TLS.
    SaslPlaintext = 2,
    /// Login by SASL inside TLS.
    SaslSsl = 3,
}

impl SecurityProtocol {
    /// Reads Kafka's name of a protocol, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in registration records.
    pub const fn id(self) -> i16 {
        self as i16
    }
}

/// One listener, or what is told to clients of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, in upper case.
    pub name: String,
    /// How it is secured.
    pub protocol: SecurityProtocol,
    /// Host to bind or to tell; empty is every interface, or this machine's name.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.name, self.host, self.port)
    }
}

/// Every listener of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// What to bind for clients and brokers.
    pub broker: Vec<Endpoint>,
    /// What to bind for the metadata quorum.
    pub controller: Vec<Endpoint>,
    /// What clients are told, one for each of `broker` that they may use.
    pub advertised: Vec<Endpoint>,
    /// What other controllers and brokers are told of the quorum's listeners.
    pub advertised_controller: Vec<Endpoint>,
    /// `controller.listener.names`, in upper case.
    pub controller_names: Vec<String>,
    /// How connections to the controllers are secured: by the first of `controller_names`.
    pub controller_protocol: SecurityProtocol,
    /// The listener other brokers use.
    pub inter_broker: String,
    /// How connections to other brokers are secured.
    pub inter_broker_protocol: SecurityProtocol,
}

/// Which parts a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// It stores partitions and serves clients.
    pub broker: bool,
    /// It votes in the metadata quorum.
    pub controller: bool,
}

/// By listener names in upper case.
pub(super) type Protocols = BTreeMap<String, SecurityProtocol>;

impl Listeners {
    pub(super) fn read(read: &Reader<'_>, roles: Roles) -> Result<Self, ConfigError> {
        let controller_names: Vec<String> = if read.is_set("controller.listener.names") {
            upper(&read.list("controller.listener.names")?.unwrap_or_default())
        } else {
            return Err(ConfigError::node(
                "controller.listener.names",
                "is required: name the controller's listener, for example CONTROLLER",
            ));
        };
        let texts = read.list("listeners")?.unwrap_or_default();
        let protocols = protocols(read, &controller_names, &texts)?;
        let all = endpoints("listeners", &texts, &protocols)?;
        distinct_ports(&all)?;
        let is_controller = |e: &Endpoint| controller_names.contains(&e.name);
        let (controller, broker): (Vec<_>, Vec<_>) = all.into_iter().partition(is_controller);
        roles_fit(roles, &controller_names, &controller, &broker)?;

        let told = match read.list("advertised.listeners")? {
            Some(texts) => Some(endpoints("advertised.listeners", &texts, &protocols)?),
            None => None,
        };
        let (told_controller, told_broker) = match told {
            Some(told) => told.into_iter().partition(is_controller),
            None => (Vec::new(), broker.clone()),
        };
        let advertised_controller = controller
            .iter()
            .map(|bound| {
                told_controller.iter().find(|e| e.name == bound.name).unwrap_or(bound).clone()
            })
            .collect();
        let inter_broker = inter_broker(read, roles, &controller_names)?;
        let this = Self {
            broker,
            controller,
            advertised: told_broker,
            advertised_controller,
            controller_protocol: controller_protocol(&controller_names, &protocols)?,
            // A broker whose listener has no entry is refused below; a mere controller speaks to
            // no broker.
            inter_broker_protocol: protocols
                .get(&inter_broker)
                .copied()
                .unwrap_or(SecurityProtocol::Plaintext),
            inter_broker,
            controller_names,
        };
        this.advertised_fit(roles)?;
        Ok(this)
    }

    fn advertised_fit(&self, roles: Roles) -> Result<(), ConfigError> {
        const KEY: &str = "advertised.listeners";
        for told in &self.advertised {
            if !self.broker.iter().any(|bound| bound.name == told.name) {
                return Err(ConfigError::node(
                    KEY,
                    format!("{} is not one of the names in listeners", told.name),
                ));
            }
            if told.host == "0.0.0.0" || told.host == "::" {
                return Err(ConfigError::node(
                    KEY,
                    format!(
                        "{told} cannot be reached: clients would be told {}; set \
                         advertised.listeners to an address they can use",
                        told.host
                    ),
                ));
            }
        }
        if roles.broker && !self.advertised.iter().any(|e| e.name == self.inter_broker) {
            return Err(ConfigError::node(
                "inter.broker.listener.name",
                format!(
                    "{} is not advertised; name one of the advertised listeners",
                    self.inter_broker
                ),
            ));
        }
        Ok(())
    }
}

fn upper(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_uppercase()).collect()
}

pub(super) fn protocols(
    read: &Reader<'_>,
    controller_names: &[String],
    listeners: &[String],
) -> Result<Protocols, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let text = read.text(KEY)?.unwrap_or_default();
    let mut map = Protocols::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some((name, protocol)) = entry.split_once(':') else {
            return Err(ConfigError::node(
                KEY,
                format!("{entry} is not of the form NAME:PROTOCOL"),
            ));
        };
        let Some(known) = SecurityProtocol::from_name(protocol.trim()) else {
            return Err(ConfigError::node(
                KEY,
                format!(
                    "{protocol} is no security protocol; there are PLAINTEXT, SSL, \
                     SASL_PLAINTEXT and SASL_SSL"
                ),
            ));
        };
        if map.insert(name.trim().to_ascii_uppercase(), known).is_some() {
            return Err(ConfigError::node(KEY, format!("{name} is there twice")));
        }
    }
    // As Kafka does: without a map of their own and with nothing secured elsewhere, the
    // controller's listeners are plain text.
    let secured = |name: &str| matches!(name, "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
    let names = listeners.iter().filter_map(|text| text.split_once("://")).map(|(name, _)| name);
    let any_secured = names.map(str::to_ascii_uppercase).any(|name| secured(&name))
        || controller_names.iter().any(|name| secured(name));
    if !read.is_set(KEY) && !any_secured {
        for name in controller_names {
            map.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

fn endpoints(
    key: &str,
    texts: &[String],
    protocols: &Protocols,
) -> Result<Vec<Endpoint>, ConfigError> {
    let mut seen = HashSet::new();
    let mut endpoints = Vec::with_capacity(texts.len());
    for text in texts {
        let endpoint = endpoint(key, text, protocols)?;
        if !seen.insert(endpoint.name.clone()) {
            return Err(ConfigError::node(
                key,
                format!("the name {} is there twice", endpoint.name),
            ));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn endpoint(key: &str, text: &str, protocols: &Protocols) -> Result<Endpoint, ConfigError> {
    let Some((name, host, port)) = parse_endpoint(text) else {
        return Err(ConfigError::node(
            key,
            format!("{text} is not of the form NAME://host:port, port 0 to 65535"),
        ));
    };
    let Some(protocol) = protocols.get(&name) else {
        return Err(ConfigError::node(
            key,
            format!("the listener {name} has no entry in listener.security.protocol.map"),
        ));
    };
    Ok(Endpoint { name, protocol: *protocol, host, port })
}

/// Name, in upper case, host and port of `NAME://host:port`.
pub(super) fn parse_endpoint(text: &str) -> Option<(String, String, u16)> {
    let (name, address) = text.split_once("://")?;
    let name = name.trim().to_ascii_uppercase();
    let (host, port) = match address.strip_prefix(':') {
        Some(port) => ("", port.parse().ok()?),
        None => split_host_port(address)?,
    };
    (!name.is_empty()).then(|| (name, host.to_owned(), port))
}

fn distinct_ports(listeners: &[Endpoint]) -> Result<(), ConfigError> {
    match port_clash(listeners) {
        None => Ok(()),
        Some((one, other)) => Err(ConfigError::node(
            "listeners",
            format!("{} and {} both use port {}", one.name, other.name, one.port),
        )),
    }
}

/// Two listeners that cannot both have their port.
pub(super) fn port_clash(listeners: &[Endpoint]) -> Option<(&Endpoint, &Endpoint)> {
    listeners.iter().enumerate().find_map(|(at, one)| {
        let clash = listeners.iter().skip(at + 1).find(|other| {
            // An IPv4 and an IPv6 address may share a port.
            let families_differ = one.host.contains(':') != other.host.contains(':');
            one.port != 0 && one.port == other.port && !families_differ
        });
        clash.map(|other| (one, other))
    })
}

fn roles_fit(
    roles: Roles,
    names: &[String],
    controller: &[Endpoint],
    broker: &[Endpoint],
) -> Result<(), ConfigError> {
    if roles.controller {
        let missing = names.iter().find(|name| !controller.iter().any(|e| &e.name == *name));
        if let Some(name) = missing {
            return Err(ConfigError::node(
                "controller.listener.names",
                format!("{name} is not one of the names in listeners"),
            ));
        }
    } else if let Some(found) = controller.first() {
        return Err(ConfigError::node(
            "listeners",
            format!(
                "{} is a controller's listener, but process.roles has no controller",
                found.name
            ),
        ));
    }
    if roles.broker && broker.is_empty() {
        return Err(ConfigError::node("listeners", "there is none for clients"));
    }
    if !roles.broker
        && let Some(found) = broker.first()
    {
        return Err(ConfigError::node(
            "listeners",
            format!(
                "{} is not in controller.listener.names, but process.roles has no broker",
                found.name
            ),
        ));
    }
    Ok(())
}

fn inter_broker(
    read: &Reader<'_>,
    roles: Roles,
    controller_names: &[String],
) -> Result<String, ConfigError> {
    const KEY: &str = "inter.broker.listener.name";
    let named = read.text(KEY)?;
    if named.is_some() && read.is_set("security.inter.broker.protocol") {
        return Err(ConfigError::node(
            KEY,
            "cannot be set together with security.inter.broker.protocol; keep one",
        ));
    }
    let explicit = named.as_ref().map(|name| name.to_ascii_uppercase());
    if let Some(name) = explicit.filter(|name| controller_names.contains(name)) {
        let problem = if roles.broker {
            format!("{name} is a controller's listener; brokers need one of their own")
        } else {
            format!("{name} is a controller's listener, and process.roles has no broker")
        };
        return Err(ConfigError::node(KEY, problem));
    }
    let by_protocol = read.text("security.inter.broker.protocol")?;
    Ok(named.or(by_protocol).unwrap_or_else(|| "PLAINTEXT".to_owned()).to_ascii_uppercase())
}

/// A node without the controller role binds no such listener, but must know how to speak to it.
fn controller_protocol(
    names: &[String],
    protocols: &Protocols,
) -> Result<SecurityProtocol, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    if let Some(name) = names.iter().find(|name| !protocols.contains_key(*name)) {
        return Err(ConfigError::node(
            KEY,
            format!(
                "{name} of controller.listener.names has no entry; add {name}:PLAINTEXT or another protocol"
            ),
        ));
    }
    let first = names.first().and_then(|name| protocols.get(name));
    Ok(first.copied().unwrap_or(SecurityProtocol::Plaintext))
}
