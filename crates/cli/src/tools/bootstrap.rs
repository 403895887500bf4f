//! Which brokers a tool talks to, also when it was told in the words of the past.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use naru_client::{ClientConfig, ClientEvent, Error, EventHook};

use super::properties::read_properties;
use crate::options::Parsed;
use crate::text::{Level, log_line};

/// How long a tool of Kafka's goes on trying to reach a broker, unless
/// `default.api.timeout.ms` says otherwise.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// Where Kafka listens.
const KAFKA_PORT: u16 = 9092;

/// The brokers named in the environment.
pub fn from_environment() -> Option<String> {
    std::env::var("NARU_BOOTSTRAP").ok().filter(|address| !address.is_empty())
}

/// What a tool was told about brokers, and what to say about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// `host:port,...`.
    pub servers: String,
    /// A line for standard error.
    pub notice: Option<String>,
}

/// Finds the brokers: `--bootstrap-server`, else what stands for `--zookeeper`.
pub fn resolve(
    servers: Option<&str>,
    zookeeper: Option<&str>,
    environment: Option<String>,
) -> Option<Bootstrap> {
    if let Some(servers) = servers {
        return Some(Bootstrap { servers: servers.to_owned(), notice: None });
    }
    let zookeeper = zookeeper?;
    let servers = environment.unwrap_or_else(|| {
        // The chroot means nothing here. The port given comes second: somebody may have put a
        // broker's address there.
        let hosts = zookeeper.split('/').next().unwrap_or(zookeeper);
        let near = hosts.split(',').map(|host| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            format!("{name}:{KAFKA_PORT}")
        });
        let given = hosts.split(',').filter(|host| {
            host.rsplit_once(':').is_some_and(|(_, port)| port != KAFKA_PORT.to_string())
        });
        near.chain(given.map(str::to_owned)).collect::<Vec<_>>().join(",")
    });
    let first = servers.split(',').next().unwrap_or(&servers);
    let notice = format!(
        "ZooKeeper is not used by Naru; connecting to {first} instead. \
         Use --bootstrap-server {first}."
    );
    Some(Bootstrap { servers, notice: Some(notice) })
}

/// The client's settings of a tool: file, then brokers. Names the client does not know are left
/// to producers and consumers. The first connection that fails is told as Kafka tells it.
pub fn client_config(
    servers: &str,
    client_id: &str,
    label: &'static str,
    properties: &[(String, String)],
) -> Result<ClientConfig, String> {
    let mut config = ClientConfig { client_id: client_id.to_owned(), ..ClientConfig::default() };
    config.reach_timeout = REACH_TIMEOUT;
    for (name, value) in properties {
        if name != "bootstrap.servers" {
            config.set(name, value).map_err(|error| error.to_string())?;
        }
    }
    config
        .set("bootstrap.servers", servers)
        .map_err(|_| format!("Invalid url in bootstrap.servers: {servers}"))?;
    let told = AtomicBool::new(false);
    config.events = Some(EventHook::new(move |event| {
        if let ClientEvent::ConnectFailed { node, address, error } = event
            && !told.swap(true, Ordering::Relaxed)
        {
            let (level, why) = match refused_login(error) {
                Some(why) => (Level::Error, format!("failed authentication due to: {why}")),
                None => {
                    let text = "could not be established. Node may not be available.";
                    (Level::Warn, text.to_owned())
                }
            };
            let (node, address) = (node.unwrap_or(-1), java_address(address));
            let text = format!("[{label}] Connection to node {node} ({address}) {why}");
            eprintln!("{}", log_line(level, &text, "org.apache.kafka.clients.NetworkClient"));
        }
    }));
    Ok(config)
}

/// What is said of a login that failed, if that is why there is no connection.
fn refused_login(error: &Error) -> Option<String> {
    match error {
        Error::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Some(source.to_string())
        }
        _ => None,
    }
}

/// Reads the file of `--command-config` and its older names.
pub fn command_config(parsed: &Parsed, names: &[&str]) -> Result<Vec<(String, String)>, String> {
    for name in names {
        if let Some(path) = parsed.one(name).map_err(|error| error.to_string())? {
            return read_properties(Path::new(path)).map_err(|error| format!("{path}: {error}"));
        }
    }
    Ok(Vec::new())
}

/// `host/ip:port` as Java shows a socket's address.
fn java_address(address: &str) -> String {
    use std::net::ToSocketAddrs as _;
    let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
    if address.parse::<std::net::SocketAddr>().is_ok() {
        return format!("/{address}");
    }
    match address.to_socket_addrs().ok().and_then(|mut all| all.find(std::net::SocketAddr::is_ipv4))
    {
        Some(resolved) => format!("{host}/{resolved}"),
        None => format!("{address}/<unresolved>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(servers: Option<&str>, zookeeper: Option<&str>, env: Option<&str>, expect: &str) {
        let found = resolve(servers, zookeeper, env.map(str::to_owned));
        assert_eq!(found.map(|b| b.servers).unwrap_or_default(), expect);
    }

    #[test]
    fn zookeepers_address_leads_to_the_broker_beside_it() {
        check(Some("b:1"), Some("z:2181"), None, "b:1");
        check(None, Some("z:2181/chroot"), None, "z:9092,z:2181");
        check(None, Some("z1:2181,z2:2181"), None, "z1:9092,z2:9092,z1:2181,z2:2181");
        check(None, Some("z:2181"), Some("e:1"), "e:1");
        check(None, None, Some("e:1"), "");
    }

    #[test]
    fn the_notice_names_where_it_goes() {
        let found = resolve(None, Some("localhost:2181"), None).unwrap();
        let text = "ZooKeeper is not used by Naru; connecting to localhost:9092 instead. \
                    Use --bootstrap-server localhost:9092.";
        assert_eq!(found.notice.as_deref(), Some(text));
    }
}
