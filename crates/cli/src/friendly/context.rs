//! What every friendly command has: its options, its streams, the cluster, and how it fails.

use std::future::Future;
use std::io::IsTerminal as _;
use std::pin::Pin;
use std::time::Duration;

use naru_client::{Admin, ClientConfig, Error};
use naru_model::ErrorCode;
use serde_json::Value;

use super::failure::{Failure, USAGE};
use crate::options::{OptionError, Parsed, Row, Takes, help, nearest, parse, row};
use crate::text::time::parse_human_duration;
use crate::text::{Streams, Table};
use crate::tools::{block_on, from_environment};

/// Where brokers are when nobody says where.
const DEFAULT_BOOTSTRAP: &str = "localhost:9092";
/// A broker that does not answer by then is not reached.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);
/// How long a call may take, unless `--timeout` says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// `-b`.
pub const BOOTSTRAP: Row = row(
    "bootstrap",
    Takes::Text("host:port"),
    "The brokers; NARU_BOOTSTRAP or localhost:9092 if left out.",
)
.short('b');
/// The long name that Kafka's tools have for it.
pub const BOOTSTRAP_SERVER: Row = Row {
    name: "bootstrap-server",
    takes: Takes::Text("host:port"),
    help: "The same as --bootstrap.",
    old: None,
    short: None,
};
/// `-o`.
pub const OUTPUT: Row = row(
    "output",
    Takes::Text("form"),
    "table, json, ndjson or name; a table if left out, with tabs if it is not for a terminal.",
)
.short('o');
/// `--timeout`.
pub const TIMEOUT: Row = row("timeout", Takes::Text("5s"), "How long a call may take (10s).");
/// `--yes`.
pub const YES: Row = row("yes", Takes::Nothing, "Asks nothing.").short('y');
/// `--help`.
pub const HELP: Row = row("help", Takes::Nothing, "Shows this text.").short('h');

/// What a command's work returns.
pub type Work<'c> = Pin<Box<dyn Future<Output = Result<i32, Failure>> + 'c>>;

/// A command: its only declaration.
#[derive(Clone, Copy)]
pub struct Command {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub about: &'static str,
    /// What stands behind its name in `Usage:`.
    pub usage: &'static str,
    pub rows: &'static [Row],
    pub examples: &'static [&'static str],
    pub work: for<'c> fn(&'c mut Context) -> Work<'c>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Command {
    /// Runs it; the exit code.
    pub fn run(&self, args: &[String]) -> i32 {
        let mut streams = Streams::default();
        let options = match parse(self.rows, args) {
            Ok(options) => options,
            Err(error) => return self.refuse(&error, &mut streams),
        };
        if options.has("help") {
            let about = format!("{}\n\nUsage: naru {}", self.about, self.usage);
            streams.text(help(&about, self.rows, self.examples));
            return 0;
        }
        let mut context = Context { options, streams };
        let outcome = block_on((self.work)(&mut context));
        let streams = &mut context.streams;
        match outcome {
            Ok(code) => code,
            Err(failure) => {
                streams.error(format!("error: {}", failure.text));
                if let Some(hint) = &failure.hint {
                    streams.error(format!("hint: {hint}"));
                }
                if failure.code == USAGE && failure.hint.is_none() {
                    streams.error(format!("Usage: naru {}", self.usage));
                }
                failure.code
            }
        }
    }

    fn refuse(&self, error: &OptionError, streams: &mut Streams) -> i32 {
        match error {
            OptionError::Unknown(name) => {
                streams.error(format!("error: there is no option --{name} here"));
                if let Some(near) = nearest(name, self.rows.iter().map(|row| row.name)) {
                    streams.error(format!("hint: did you mean --{near}?"));
                }
            }
            OptionError::NotANumber { name, value } => {
                streams.error(format!("error: --{name} needs a number, not '{value}'"));
            }
            OptionError::NoValue(name) => {
                streams.error(format!("error: --{name} needs a value"));
            }
            OptionError::Repeated(name) => {
                streams.error(format!("error: --{name} can be given once"));
            }
        }
        streams.error(format!("Usage: naru {}", self.usage));
        USAGE
    }
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Table,
    Json,
    Ndjson,
    Name,
}

/// A running command.
#[derive(Debug)]
pub struct Context {
    pub options: Parsed,
    pub streams: Streams,
}

impl Context {
    /// The one value of an option.
    pub fn value(&self, name: &str) -> Result<Option<String>, Failure> {
        self.options
            .one(name)
            .map(|value| value.map(str::to_owned))
            .map_err(|_| Failure::usage(format!("--{name} can be given once")))
    }

    /// The one number of an option.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.options.number(name).map_err(|error| match error {
            OptionError::NotANumber { value, .. } => {
                Failure::usage(format!("--{name} needs a number, not '{value}'"))
            }
            _ => Failure::usage(format!("--{name} can be given once")),
        })
    }

    /// The words behind the options; at least one of `what`.
    pub fn names(&self, what: &str) -> Result<Vec<String>, Failure> {
        if self.options.rest.is_empty() {
            return Err(Failure::usage(format!("which {what}?")));
        }
        Ok(self.options.rest.clone())
    }

    /// How results are to be shown.
    pub fn form(&self) -> Result<Form, Failure> {
        match self.value("output")?.as_deref() {
            None | Some("table" | "wide") => Ok(Form::Table),
            Some("json") => Ok(Form::Json),
            Some("ndjson") => Ok(Form::Ndjson),
            Some("name") => Ok(Form::Name),
            Some(other) => Err(Failure::usage(format!(
                "--output is table, json, ndjson or name, not '{other}'"
            ))),
        }
    }

    /// The client's settings.
    pub fn client(&self) -> Result<ClientConfig, Failure> {
        let given = self.value("bootstrap")?.or(self.value("bootstrap-server")?);
        let bootstrap = given.or_else(from_environment);
        let mut config = ClientConfig::new(bootstrap.as_deref().unwrap_or(DEFAULT_BOOTSTRAP))?;
        let timeout = match self.value("timeout")? {
            None => CALL_TIMEOUT,
            Some(text) => parse_human_duration(&text)
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis)
                .ok_or_else(|| Failure::usage(format!("--timeout is like 5s, not '{text}'")))?,
        };
        config.connect_timeout = CONNECT_TIMEOUT.min(timeout);
        config.request_timeout = timeout;
        config.api_timeout = timeout;
        config.reach_timeout = Duration::ZERO;
        Ok(config)
    }

    /// An admin client.
    pub fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::new(self.client()?))
    }

    /// Shows a list: a table, JSON, or names.
    pub fn show(
        &mut self,
        table: &Table,
        names: impl IntoIterator<Item = String>,
        json: Vec<Value>,
    ) -> Result<(), Failure> {
        match self.form()? {
            Form::Table if std::io::stdout().is_terminal() => {
                let bold = std::env::var_os("NO_COLOR").is_none();
                self.streams.text(table.render(bold));
            }
            Form::Table => self.streams.text(table.tabs()),
            Form::Name => names.into_iter().for_each(|name| self.streams.line(name)),
            Form::Json => self.streams.line(Value::Array(json).to_string()),
            Form::Ndjson => json.iter().for_each(|value| self.streams.line(value.to_string())),
        }
        Ok(())
    }

    /// Before something is destroyed: asks on a terminal, else needs `--yes`.
    pub fn confirm(&mut self, what: &str, name: &str) -> Result<(), Failure> {
        if self.options.has("yes") {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{what} needs --yes where nobody can be asked"))
                .hint("add --yes"));
        }
        self.streams.error(format!("{what}. Type '{name}' to go on:"));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && answer.trim() == name {
            return Ok(());
        }
        Err(Failure::failed("nothing was done"))
    }
}

/// What to say about a topic that a call did not find.
pub async fn topic_failure(admin: &Admin, topic: &str, error: Error) -> Failure {
    let code = error.code();
    if !matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) {
        return error.into();
    }
    let names: Vec<String> = match admin.list_topics().await {
        Ok(topics) => topics.into_iter().map(|topic| topic.name).collect(),
        Err(_) => Vec::new(),
    };
    let near = nearest(topic, names.iter().map(String::as_str));
    Failure::not_found("topic", topic, code, near)
}

/// What to say about a group that a call did not find.
pub async fn group_failure(admin: &Admin, group: &str, error: Error) -> Failure {
    let code = error.code();
    if code != ErrorCode::GroupIdNotFound {
        return error.into();
    }
    let names: Vec<String> = match admin.list_groups(&[], &[]).await {
        Ok(groups) => groups.into_iter().map(|group| group.group).collect(),
        Err(_) => Vec::new(),
    };
    let near = nearest(group, names.iter().map(String::as_str));
    Failure::not_found("group", group, code, near)
}
