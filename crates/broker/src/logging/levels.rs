//! Levels by logger: a logger without one has that of the nearest logger above it.

use std::collections::BTreeMap;

use super::LogLevel;
use super::names::{ROOT, parent};

/// Which logger tells how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    root: LogLevel,
    own: BTreeMap<String, LogLevel>,
}

impl Levels {
    /// All loggers at the same level.
    pub const fn new(root: LogLevel) -> Self {
        Self { root, own: BTreeMap::new() }
    }

    /// The level that counts for a logger: a module's path, or another target of the log.
    pub fn of(&self, logger: &str) -> LogLevel {
        let mut at = Some(logger);
        while let Some(logger) = at {
            if let Some(level) = self.own.get(logger) {
                return *level;
            }
            at = parent(logger);
        }
        self.root
    }

    /// The level of the logger that tells most.
    pub fn finest(&self) -> LogLevel {
        self.own.values().copied().fold(self.root, LogLevel::max)
    }

    /// Gives a logger a level of its own, or takes it; the root always has one.
    pub(super) fn set(&mut self, logger: &str, level: Option<LogLevel>) {
        if logger == ROOT {
            self.root = level.unwrap_or(self.root);
        } else if let Some(level) = level {
            self.own.insert(logger.to_owned(), level);
        } else {
            self.own.remove(logger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_logger_with_a_level_counts() {
        let mut levels = Levels::new(LogLevel::Info);
        levels.set("naru", Some(LogLevel::Warn));
        levels.set("naru_broker::peer", Some(LogLevel::Trace));
        assert_eq!(levels.of("naru_broker::peer::link"), LogLevel::Trace);
        assert_eq!(levels.of("naru_broker::peer"), LogLevel::Trace);
        assert_eq!(levels.of("naru_broker::peers"), LogLevel::Warn);
        assert_eq!(levels.of("naru_log::log"), LogLevel::Warn);
        assert_eq!(levels.of("audit.login"), LogLevel::Info);
        assert_eq!(levels.of("rustls::conn"), LogLevel::Info);
        assert_eq!(levels.finest(), LogLevel::Trace);
        levels.set("naru_broker::peer", None);
        assert_eq!(levels.of("naru_broker::peer::link"), LogLevel::Warn);
        assert_eq!(levels.finest(), LogLevel::Info);
    }

    #[test]
    fn the_root_keeps_a_level() {
        let mut levels = Levels::new(LogLevel::Info);
        levels.set("root", Some(LogLevel::Fatal));
        levels.set("root", None);
        assert_eq!(levels.of("naru_log::log"), LogLevel::Fatal);
    }
}
