//! The command lines of `naru start` and `kafka-server-start`.

use std::path::PathBuf;

use tracing::Level;

use super::cluster::{self, parse_nodes};
use super::join::Join;

const START_HELP: &str = "\
Starts a node: broker and controller in one process.

Usage: naru start [--config FILE] [--override KEY=VALUE]... [--log-level LEVEL] [--quiet]
       naru start --nodes N [--data FOLDER] [--port PORT] [--log-level LEVEL]
       naru start --join HOST:PORT [--data FOLDER] [--host NAME] [--port PORT]

  --config FILE         Kafka's server.properties; without it one node on localhost:9092 with its
                        data in ~/.local/share/naru, made by itself
  --override KEY=VALUE  changes a key of the file
  --nodes N             a cluster of N processes on this machine, kept in naru-data/node-1 and
                        so on: ports 9092, 9093 and 8080, then 10 more for each node; a node
                        that dies is started again; the same command continues later
  --join HOST:PORT      one more node for the cluster that has this broker or controller: it
                        finds out the rest, writes it to FOLDER/server.properties and starts
  --data FOLDER         where that cluster or node is kept, instead of naru-data or naru-node
  --host NAME           how the others reach this node, instead of localhost
  --port PORT           the (first) node's Kafka port, instead of 9092 or the next free one
  --log-level LEVEL     error, warn, info (default), debug or trace
  --quiet               does not list keys of the file that have no effect here

Variables named KAFKA_* set keys as in Apache Kafka's container image: KAFKA_NODE_ID=2.
SIGTERM or Ctrl-C stops cleanly.

Examples:
  naru start
  naru start --config config/server.properties --override log.retention.hours=24
  naru start --nodes 3
  naru start --join kafka1:9092 --host kafka2 --data /var/lib/naru
";

const KAFKA_HELP: &str =
    "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*\n";

/// What `start` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) config: Option<PathBuf>,
    pub(super) overrides: Vec<String>,
    pub(super) log_level: Level,
    pub(super) quiet: bool,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Start(Arguments),
    Cluster(cluster::Wanted),
    Join(Join, Arguments),
    Help(String),
}

impl Default for Arguments {
    fn default() -> Self {
        Self { config: None, overrides: Vec::new(), log_level: Level::INFO, quiet: false }
    }
}

impl Arguments {
    pub(super) fn parse_start(args: &[String]) -> Result<Wanted, String> {
        let mut arguments = Self::default();
        let (mut nodes, mut data, mut port) = (None, None, None);
        let (mut join, mut host) = (None, None);
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| format!("{name} needs a value"))
            };
            match name {
                "--config" | "-c" => arguments.config = Some(value()?.into()),
                "--override" => arguments.overrides.push(checked_override(value()?)?),
                "--log-level" => {
                    let level = value()?;
                    arguments.log_level = level.parse().map_err(|_| {
                        format!("--log-level {level}: error, warn, info, debug or trace")
                    })?;
                }
                "--quiet" | "-q" => arguments.quiet = true,
                "--help" | "-h" => return Ok(Wanted::Help(START_HELP.to_owned())),
                "--nodes" | "-n" => nodes = Some(parse_nodes(&value()?)?),
                "--join" | "-j" => join = Some(value()?),
                "--host" => host = Some(value()?),
                "--data" => data = Some(PathBuf::from(value()?)),
                "--port" => {
                    let text = value()?;
                    let parsed = text.parse::<u16>().ok().filter(|port| *port > 1024);
                    port = Some(parsed.ok_or_else(|| {
                        format!("--port {text}: a number from 1025 to 65535 is needed")
                    })?);
                }
                other => return Err(format!("{other} is not an option; see naru start --help")),
            }
        }
        if let Some(address) = join {
            if nodes.is_some() || arguments.config.is_some() || !arguments.overrides.is_empty() {
                return Err(
                    "--join makes its own file: leave out --nodes, --config and --override"
                        .to_owned(),
                );
            }
            let folder = data.unwrap_or_else(|| PathBuf::from("naru-node"));
            let host = host.unwrap_or_else(|| "localhost".to_owned());
            return Ok(Wanted::Join(Join { address, folder, host, port }, arguments));
        }
        if let Some(nodes) = nodes {
            if arguments.config.is_some() || !arguments.overrides.is_empty() {
                return Err("--nodes makes its own files: change those in its folder instead of \
                            --config and --override"
                    .to_owned());
            }
            return Ok(Wanted::Cluster(cluster::Wanted {
                nodes,
                root: data.unwrap_or_else(|| PathBuf::from(cluster::DEFAULT_ROOT)),
                port: port.unwrap_or(cluster::DEFAULT_PORT),
                log_level: arguments.log_level.to_string().to_lowercase(),
            }));
        }
        if data.is_some() || port.is_some() || host.is_some() {
            return Err("--data, --host and --port go with --nodes or --join".to_owned());
        }
        if arguments.config.is_none() && !arguments.overrides.is_empty() {
            return Err("--override changes a file: name it with --config".to_owned());
        }
        Ok(Wanted::Start(arguments))
    }

    pub(super) fn parse_kafka(args: &[String]) -> Result<Wanted, String> {
        let mut arguments = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "--override" => {
                    let value = rest.next().ok_or("--override needs a value")?;
                    arguments.overrides.push(checked_override(value.clone())?);
                }
                "--help" | "-h" => return Ok(Wanted::Help(KAFKA_HELP.to_owned())),
                "-daemon" => {
                    return Err("-daemon is not served: use a service manager, or & in the shell"
                        .to_owned());
                }
                // Options of the Java launcher that change nothing here.
                "-name" | "-loggc" => {}
                file if arguments.config.is_none() && !file.starts_with('-') => {
                    arguments.config = Some(file.into());
                }
                other => return Err(format!("{other} is not an option\n{KAFKA_HELP}")),
            }
        }
        if arguments.config.is_none() {
            return Err(KAFKA_HELP.to_owned());
        }
        Ok(Wanted::Start(arguments))
    }

    /// The file's text with the overrides behind it: a later line of properties wins.
    pub(super) fn with_overrides(&self, text: &str) -> String {
        let mut all = text.to_owned();
        for line in &self.overrides {
            all.push('\n');
            all.push_str(&line.replace('\\', "\\\\"));
        }
        all
    }
}

fn checked_override(text: String) -> Result<String, String> {
    if text.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty()) {
        Ok(text)
    } else {
        // Without what it was: a password may be in it.
        Err("--override: KEY=VALUE is needed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(args: &[&str]) -> Result<Wanted, String> {
        Arguments::parse_start(&args.iter().map(|&a| a.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_file_and_its_overrides() {
        let parsed = start(&["--config=x.properties", "--override", "a=1", "-q"]);
        let Ok(Wanted::Start(arguments)) = parsed else { panic!("{parsed:?}") };
        assert_eq!(arguments.config, Some("x.properties".into()));
        assert!(arguments.quiet);
        assert_eq!(arguments.with_overrides("b=2"), "b=2\na=1");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(start(&["--config"]), Err("--config needs a value".to_owned()));
        assert!(start(&["--cnofig", "x"]).unwrap_err().contains("--cnofig"));
        let refused = start(&["--override", "ssl.key.password:pw"]).unwrap_err();
        assert!(!refused.contains("pw"), "{refused}");
        assert!(start(&["--override", "a=1"]).unwrap_err().contains("--config"));
        assert!(start(&["--config", "x", "--override", "a"]).unwrap_err().contains("KEY=VALUE"));
        assert!(start(&["--nodes", "many"]).unwrap_err().contains("--nodes many"));
        assert!(start(&["--nodes", "3", "--config", "x"]).unwrap_err().contains("--config"));
        assert!(start(&["--data", "x"]).unwrap_err().contains("--nodes"));
        assert!(start(&["--nodes", "3", "--port", "80"]).unwrap_err().contains("--port 80"));
    }

    #[test]
    fn several_nodes_are_a_cluster() {
        let expect = cluster::Wanted {
            nodes: 3,
            root: "naru-data".into(),
            port: 9092,
            log_level: "info".to_owned(),
        };
        assert_eq!(start(&["--nodes", "3"]), Ok(Wanted::Cluster(expect.clone())));
        let other = cluster::Wanted { root: "d".into(), port: 19092, ..expect };
        let args = ["--nodes=3", "--data", "d", "--port", "19092"];
        assert_eq!(start(&args), Ok(Wanted::Cluster(other)));
    }

    #[test]
    fn a_node_that_joins_needs_one_address() {
        let parsed = start(&["--join", "h:9092", "--data", "d"]);
        let Ok(Wanted::Join(join, _)) = parsed else { panic!("{parsed:?}") };
        assert_eq!((join.address.as_str(), join.host.as_str()), ("h:9092", "localhost"));
        assert!(start(&["--join", "h:9092", "--nodes", "3"]).is_err());
    }

    #[test]
    fn kafkas_command_line_names_the_file_first() {
        let args = ["server.properties", "--override", "node.id=2"].map(str::to_owned);
        let Ok(Wanted::Start(arguments)) = Arguments::parse_kafka(&args) else { panic!() };
        assert_eq!(arguments.config, Some("server.properties".into()));
        assert_eq!(arguments.overrides, ["node.id=2"]);
        assert!(Arguments::parse_kafka(&[]).is_err());
    }
}
