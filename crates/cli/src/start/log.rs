//! The log of a node, on standard error: what is told follows the node's loggers while it runs.

use std::io::IsTerminal as _;
use std::sync::Arc;

use naru_broker::{Levels, LogLevel, Loggers};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt, reload};

/// Starts the log; every logger tells what `level` says until somebody wants something else.
pub(super) fn start(level: Level) -> Arc<Loggers> {
    let levels = Levels::new(from_tracing(level));
    let (filter, handle) = reload::Layer::new(Filter(levels.clone()));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let writing = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    tracing_subscriber::registry().with(writing).with(filter).init();
    Loggers::new(levels, move |levels| {
        // It fails only when the log is gone, which is when nobody reads it any more.
        let _ = handle.reload(Filter(levels.clone()));
    })
}

/// Lets through what the loggers tell. Each place that writes is judged once after a change.
struct Filter(Levels);

impl Filter {
    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= to_tracing(self.0.of(metadata.target()))
    }
}

impl<S: Subscriber> Layer<S> for Filter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(to_tracing(self.0.finest()))
    }
}

const fn to_tracing(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Fatal => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn from_tracing(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}
