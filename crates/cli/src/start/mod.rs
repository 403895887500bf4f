//! `naru start` and `kafka-server-start`: one node in this process.
//!
//! Parses, loads the configuration, starts the node, says what there is to say, waits for a
//! signal, stops the node. Everything else is `naru_broker`'s.

mod arguments;
mod cluster;
mod join;
mod log;
mod message;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use naru_broker::{ExitCode, GivenUp, Loggers, RunningNode, StartError};
use naru_model::config::{LoadReport, Loaded, load};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use arguments::{Arguments, Wanted};

/// A wrong command line (sysexits' EX_USAGE would be 64; Naru's commands use 2).
const USAGE: i32 = 2;
/// Something did not get to the disk in time.
const UNCLEAN: i32 = 1;
/// How often recovery says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// `naru start`.
pub(crate) fn run(args: &[String]) -> i32 {
    run_parsed(Arguments::parse_start(args))
}

/// `kafka-server-start FILE [--override KEY=VALUE]...`.
pub(crate) fn run_kafka(args: &[String]) -> i32 {
    run_parsed(Arguments::parse_kafka(args))
}

fn run_parsed(parsed: Result<Wanted, String>) -> i32 {
    let arguments = match parsed {
        Ok(Wanted::Start(arguments)) => arguments,
        Ok(Wanted::Cluster(wanted)) => return cluster::run(&wanted),
        Ok(Wanted::Join(wanted, arguments)) => match join::prepare(&wanted) {
            Ok(config) => Arguments { config: Some(config), ..arguments },
            Err(message) => {
                complain(&message);
                return ExitCode::Config as i32;
            }
        },
        Ok(Wanted::Help(text)) => {
            print(&text);
            return 0;
        }
        Err(message) => {
            complain(&message);
            return USAGE;
        }
    };
    let began = Instant::now();
    let loggers = log::start(arguments.log_level);
    let loaded = match load_config(&arguments) {
        Ok(loaded) => loaded,
        Err(message) => {
            complain(&message);
            return ExitCode::Config as i32;
        }
    };
    for line in loaded.report.lines() {
        note(&line);
    }
    // Before anything listens: who is told to stop while starting stops cleanly afterwards.
    let mut stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => {
            complain(&format!("signals cannot be awaited: {error}"));
            return ExitCode::Io as i32;
        }
    };
    match start(loaded, loggers, stop.receiver.clone()) {
        Ok(node) => {
            print(&message::started(node.summary(), began.elapsed()));
            let failure = stop.wait(&node);
            let finished = finish(node);
            failure.map_or(finished, |reason| {
                complain(&reason);
                ExitCode::Io as i32
            })
        }
        Err(error) => {
            complain(&message::refused(&error));
            error.exit_code() as i32
        }
    }
}

fn start(
    loaded: Loaded,
    loggers: Arc<Loggers>,
    given_up: GivenUp,
) -> Result<RunningNode, StartError> {
    let last = Mutex::new(Instant::now());
    let progress = |open: usize, all: usize, bytes: u64| {
        // Whoever cannot have the lock at once is not the one to tell.
        let Ok(mut last) = last.try_lock() else { return };
        if last.elapsed() >= PROGRESS_EVERY {
            *last = Instant::now();
            note(&format!("recovering: {open} of {all} logs, {} MiB verified", bytes >> 20));
        }
    };
    naru_broker::start(loaded, loggers, &progress, given_up)
}

/// SIGTERM or SIGINT, heard from the moment this is made.
struct StopSignal {
    receiver: GivenUp,
    runtime: Runtime,
}

fn stop_signal() -> std::io::Result<StopSignal> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .enable_all()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let (sender, receiver) = watch::channel(false);
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Whoever asks once more still finds the answer.
        std::future::pending::<()>().await;
    });
    Ok(StopSignal { receiver, runtime })
}

impl StopSignal {
    /// Waits until the node is to stop; why, if it is not because somebody wants it to.
    fn wait(&mut self, node: &RunningNode) -> Option<String> {
        self.runtime.block_on(async {
            tokio::select! {
                // The sender is never dropped while the runtime lives.
                _ = self.receiver.wait_for(|stop| *stop) => None,
                reason = node.failure() => Some(reason),
            }
        })
    }
}

/// Stops the node; its exit code.
fn finish(node: RunningNode) -> i32 {
    note("stopping");
    let began = Instant::now();
    if node.stop() {
        note(&format!("stopped cleanly in {} ms", began.elapsed().as_millis()));
        0
    } else {
        complain("stopped, but not everything could be written; the next start will recover");
        UNCLEAN
    }
}

fn load_config(arguments: &Arguments) -> Result<Loaded, String> {
    let text = match &arguments.config {
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            Some(arguments.with_overrides(&decode(bytes)))
        }
        None => None,
    };
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("KAFKA_"))
        .collect();
    let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let data = default_data_dir();
    let mut loaded =
        load(text.as_deref(), pairs, &data.to_string_lossy()).map_err(|error| error.to_string())?;
    if arguments.quiet {
        loaded.report = LoadReport::default();
    }
    Ok(loaded)
}

/// Java reads properties as Latin-1; people write UTF-8. What is not UTF-8 is read as Latin-1.
fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

/// Where data goes when nobody says: `$XDG_DATA_HOME/naru`, `~/.local/share/naru`, or
/// `/var/lib/naru` for a user without a home.
fn default_data_dir() -> PathBuf {
    let from = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("/var/lib/naru"), |base| base.join("naru"))
}

fn print(text: &str) {
    // A reader that went away is no reason to stop serving.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "naru: {text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "error: {text}");
}
