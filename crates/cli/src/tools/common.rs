//! What the tools of Kafka have in common: reading options, finding brokers, running, failing.

use std::future::Future;

use naru_client::{Admin, ClientConfig, Error};

use super::bootstrap::{client_config, command_config, from_environment, resolve};
use crate::options::{OptionError, Parsed, Row, help, nearest, parse};
use crate::text::Streams;

/// The version whose tools these are.
pub const KAFKA_VERSION: &str = "4.3.1";

/// What is fixed about a tool.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    pub about: &'static str,
    pub rows: &'static [Row],
    pub examples: &'static [&'static str],
    /// What stands before the words of an option error.
    pub error_prefix: &'static str,
}

/// A tool that ends before its work is done: with this exit code, after it has said why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended(pub i32);

impl Face {
    /// Reads the command line; deals with no arguments, `--help` and `--version`.
    pub fn read(&self, args: &[String], streams: &mut Streams) -> Result<Parsed, Ended> {
        if args.is_empty() {
            return Err(self.usage(self.about, streams));
        }
        let parsed = parse(self.rows, args).map_err(|error| self.refuse(&error, streams))?;
        if parsed.has("help") {
            // Kafka's tools show their help as an error.
            return Err(self.usage(self.about, streams));
        }
        if parsed.has("version") {
            streams.line(KAFKA_VERSION);
            return Err(Ended(0));
        }
        for notice in &parsed.notices {
            streams.error(notice);
        }
        Ok(parsed)
    }

    fn help(&self) -> String {
        help(self.about, self.rows, self.examples)
    }

    /// Says what is wrong with the command line and how it should be.
    pub fn usage(&self, message: &str, streams: &mut Streams) -> Ended {
        streams.error(message);
        streams.error(self.help().trim_start_matches(self.about).trim_start());
        Ended(1)
    }

    /// An option that cannot be read.
    pub fn refuse(&self, error: &OptionError, streams: &mut Streams) -> Ended {
        streams.error(format!("{}{error}", self.error_prefix));
        if let OptionError::Unknown(name) = error {
            let names = self.rows.iter().filter(|row| row.old.is_none()).map(|row| row.name);
            if let Some(near) = nearest(name, names) {
                streams.error(format!("Did you mean --{near}?"));
            }
        }
        Ended(1)
    }

    /// All of `names` must have been given.
    pub fn require(&self, p: &Parsed, names: &[&str], streams: &mut Streams) -> Result<(), Ended> {
        match names.iter().find(|name| !p.has(name)) {
            None => Ok(()),
            Some(missing) => {
                Err(self.usage(&format!("Missing required argument \"[{missing}]\""), streams))
            }
        }
    }

    /// None of `others` may have been given together with `name`.
    pub fn exclude(
        &self,
        p: &Parsed,
        name: &str,
        others: &[&str],
        streams: &mut Streams,
    ) -> Result<(), Ended> {
        let clash = others.iter().find(|other| p.has(name) && p.has(other));
        match clash {
            None => Ok(()),
            Some(other) => {
                let text = format!("Option \"[{name}]\" can't be used with option \"[{other}]\"");
                Err(self.usage(&text, streams))
            }
        }
    }

    /// The one value of an option.
    pub fn one<'p>(
        &self,
        p: &'p Parsed,
        name: &str,
        streams: &mut Streams,
    ) -> Result<Option<&'p str>, Ended> {
        p.one(name).map_err(|error| self.refuse(&error, streams))
    }

    /// The one number of an option.
    pub fn number<T: std::str::FromStr>(
        &self,
        p: &Parsed,
        name: &str,
        streams: &mut Streams,
    ) -> Result<Option<T>, Ended> {
        p.number(name).map_err(|error| self.refuse(&error, streams))
    }

    /// The brokers; `missing` is said if there are none.
    pub fn servers(
        &self,
        p: &Parsed,
        missing: &str,
        streams: &mut Streams,
    ) -> Result<String, Ended> {
        let given = self.one(p, "bootstrap-server", streams)?;
        match resolve(given, p.zookeeper.as_deref(), from_environment()) {
            Some(found) => {
                if let Some(notice) = found.notice {
                    streams.error(notice);
                }
                Ok(found.servers)
            }
            None => {
                streams.error(missing);
                Err(Ended(1))
            }
        }
    }

    /// The settings of an admin client.
    pub fn admin_config(
        &self,
        p: &Parsed,
        servers: &str,
        streams: &mut Streams,
    ) -> Result<ClientConfig, Ended> {
        let client = "adminclient-1";
        let label = "AdminClient clientId=adminclient-1";
        command_config(p, &["command-config"])
            .and_then(|properties| client_config(servers, client, label, &properties))
            .map_err(|text| {
                streams.error(text);
                Ended(1)
            })
    }

    /// The admin client of a tool whose `--bootstrap-server` is required.
    pub fn admin(&self, p: &Parsed, missing: &str, streams: &mut Streams) -> Result<Admin, Ended> {
        let servers = self.servers(p, missing, streams)?;
        Ok(Admin::new(self.admin_config(p, &servers, streams)?))
    }
}

/// Runs a tool's work to its end on this thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a current-thread runtime needs only a few file descriptors");
    let outcome = runtime.block_on(work);
    // A name lookup that hangs must not keep the tool alive.
    runtime.shutdown_background();
    outcome
}

/// What Kafka's admin client says when it reached no broker in time.
pub fn admin_words(error: &Error, call: &str) -> String {
    match error {
        Error::Unreachable { .. } | Error::AdvertisedUnreachable { .. } => {
            format!("Timed out waiting for a node assignment. Call: {call}")
        }
        other => crate::text::message(other),
    }
}

/// Runs `body`; the exit code.
pub fn finish(outcome: Result<i32, Ended>) -> i32 {
    match outcome {
        Ok(code) | Err(Ended(code)) => code,
    }
}
