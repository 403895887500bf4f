//! Tools with commands of their own, `tool [options] command [options]`, as Java's argparse4j
//! reads them: one list of rows, options anywhere.

use super::bootstrap::{client_config, command_config};
use super::common::Ended;
use crate::options::{OptionError, Parsed, Row, Takes, help, nearest, parse};
use crate::text::{Streams, justify};
use naru_client::Admin;

/// Width of what is complained of.
const WIDTH: usize = 75;

/// A command of a tool.
#[derive(Debug, Clone, Copy)]
pub struct Sub {
    pub name: &'static str,
    /// What stands before a complaint about its options.
    pub usage: &'static str,
    /// Its options, without those of the tool itself.
    pub options: &'static [&'static str],
}

/// What is fixed about such a tool.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    pub usage: &'static str,
    pub rows: &'static [Row],
    pub commands: &'static [Sub],
    /// Options that stand before the command and may be given with any of them.
    pub general: &'static [&'static str],
    pub examples: &'static [&'static str],
    /// Whether complaints come in one line, without the usage.
    pub terse: bool,
}

impl Program {
    /// Reads a command line; deals with `--help`.
    pub fn read(
        &self,
        args: &[String],
        streams: &mut Streams,
    ) -> Result<(Parsed, &'static Sub), Ended> {
        let parsed = parse(self.rows, args).map_err(|error| {
            let usage = args.iter().find_map(|arg| self.find(arg)).map(|sub| sub.usage);
            self.complain(usage, &self.words(&error), streams)
        })?;
        if parsed.has("help") {
            let about = format!("{}\n\n{}", self.usage, self.about);
            streams.text(help(&about, self.rows, self.examples));
            return Err(Ended(0));
        }
        let Some(name) = parsed.rest.first() else {
            return Err(self.complain(None, "too few arguments", streams));
        };
        let Some(sub) = self.find(name) else {
            let names: Vec<String> =
                self.commands.iter().map(|sub| format!("'{}'", sub.name)).collect();
            let words = format!("invalid choice: '{name}' (choose from {})", names.join(", "));
            return Err(self.complain(None, &words, streams));
        };
        let foreign = self.rows.iter().find(|row| {
            parsed.has(row.name)
                && !sub.options.contains(&row.name)
                && !self.general.contains(&row.name)
        });
        let foreign = foreign.map(|row| format!("--{}", row.name));
        if let Some(foreign) = foreign.as_ref().or_else(|| parsed.rest.get(1)) {
            let words = format!("unrecognized arguments: '{foreign}'");
            return Err(self.complain(Some(sub.usage), &words, streams));
        }
        Ok((parsed, sub))
    }

    fn find(&self, name: &str) -> Option<&'static Sub> {
        self.commands.iter().find(|sub| sub.name == name)
    }

    fn words(&self, error: &OptionError) -> String {
        match error {
            OptionError::Unknown(name) => {
                let near = nearest(name, self.rows.iter().map(|row| row.name));
                let near = near.map(|near| format!(" (maybe --{near}?)")).unwrap_or_default();
                format!("unrecognized arguments: '--{name}'{near}")
            }
            OptionError::NoValue(name) => {
                format!("argument {}: expected one argument", self.shown(name))
            }
            OptionError::NotANumber { name, value } => {
                let row = self.rows.iter().find(|row| row.name == *name);
                let is_long = row.is_some_and(|row| matches!(row.takes, Takes::Long(_)));
                format!(
                    "argument {}: could not convert '{value}' to {} (For input string: \
                     \"{value}\")",
                    self.shown(name),
                    if is_long { "Long" } else { "Integer" }
                )
            }
            OptionError::Repeated(name) => format!("argument {} is repeated", self.shown(name)),
        }
    }

    /// `--name/-n`.
    pub fn shown(&self, name: &str) -> String {
        let short = self.rows.iter().find(|row| row.name == name).and_then(|row| row.short);
        short.map_or_else(|| format!("--{name}"), |letter| format!("--{name}/-{letter}"))
    }

    /// Says what is wrong with the command line.
    pub fn complain(
        &self,
        usage: Option<&'static str>,
        words: &str,
        streams: &mut Streams,
    ) -> Ended {
        if self.terse {
            streams.error(format!("Command line error: {words}. Type --help for help."));
        } else {
            let line = justify(&format!("{}: error: {words}", self.name), WIDTH);
            streams.error(format!("{}\n{line}", usage.unwrap_or(self.usage)));
        }
        Ended(1)
    }

    /// The one value of an option.
    pub fn one<'p>(
        &self,
        p: &'p Parsed,
        name: &str,
        streams: &mut Streams,
    ) -> Result<Option<&'p str>, Ended> {
        p.one(name).map_err(|error| self.complain(None, &self.words(&error), streams))
    }

    /// The one number of an option.
    pub fn number<T: std::str::FromStr>(
        &self,
        p: &Parsed,
        sub: &Sub,
        name: &str,
        streams: &mut Streams,
    ) -> Result<Option<T>, Ended> {
        p.number(name).map_err(|error| self.complain(Some(sub.usage), &self.words(&error), streams))
    }

    /// An option that must have been given.
    pub fn required<'p>(
        &self,
        p: &'p Parsed,
        sub: &Sub,
        name: &str,
        streams: &mut Streams,
    ) -> Result<&'p str, Ended> {
        match self.one(p, name, streams)? {
            Some(value) => Ok(value),
            None => {
                let words = format!("argument {} is required", self.shown(name));
                Err(self.complain(Some(sub.usage), &words, streams))
            }
        }
    }

    /// Exactly one of `--bootstrap-server` and `--bootstrap-controller`.
    pub fn target(
        &self,
        p: &Parsed,
        usage: &'static str,
        streams: &mut Streams,
    ) -> Result<Target, Ended> {
        let (server, controller) =
            (self.shown("bootstrap-server"), self.shown("bootstrap-controller"));
        let servers = self.one(p, "bootstrap-server", streams)?;
        let controllers = self.one(p, "bootstrap-controller", streams)?;
        match (servers, controllers) {
            (Some(addresses), None) => {
                Ok(Target { addresses: addresses.to_owned(), controllers: false })
            }
            (None, Some(addresses)) => {
                Ok(Target { addresses: addresses.to_owned(), controllers: true })
            }
            (None, None) => {
                let words = format!("one of the arguments {server} {controller} is required");
                Err(self.complain(Some(usage), &words, streams))
            }
            (Some(_), Some(_)) => {
                // The later one is what is complained of.
                let (late, early) = if p.is_behind("bootstrap-controller", "bootstrap-server") {
                    (controller, server)
                } else {
                    (server, controller)
                };
                let words = format!("argument {late}: not allowed with argument {early}");
                Err(self.complain(Some(usage), &words, streams))
            }
        }
    }
}

/// Whom a tool speaks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub addresses: String,
    pub controllers: bool,
}

impl Target {
    /// The admin client; `files` are the options that may name its settings.
    pub fn admin(&self, p: &Parsed, files: &[&str]) -> Result<Admin, String> {
        let label = "AdminClient clientId=adminclient-1";
        let properties = command_config(p, files)?;
        let mut config = client_config(&self.addresses, "adminclient-1", label, &properties)?;
        config.to_controllers = self.controllers;
        Ok(Admin::new(config))
    }
}
