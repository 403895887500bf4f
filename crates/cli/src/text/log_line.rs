//! Lines of Kafka's log, as its tools write them to standard error.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::time::civil;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Worth a look.
    Warn,
    /// It did not work.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// `[2026-11-21 10:10:55,369] LEVEL text (logger)`.
pub fn log_line(level: Level, text: &str, logger: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let t = civil(i64::try_from(now.as_millis()).unwrap_or(0));
    format!(
        "[{:04}-{:02}-{:02} {:02}:{:02}:{:02},{:03}] {level} {text} ({logger})",
        t.year, t.month, t.day, t.hour, t.minute, t.second, t.millis
    )
}
