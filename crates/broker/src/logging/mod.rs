//! What the node's log tells, as Kafka's broker loggers: names with levels that are changed while
//! the node runs (KIP-412).
//!
//! Owns the levels and what may be asked of them. Where the log goes, and how a level makes it say
//! less, is the caller's of [`crate::start`]: it is told after each change. Levels live as long as
//! the process, as in Apache Kafka.

mod changes;
mod level;
mod levels;
mod names;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use changes::{Change, LoggerError, check_request};
pub use level::LogLevel;
pub use levels::Levels;

/// Told of the levels whenever they have changed.
type Apply = Box<dyn Fn(&Levels) + Send + Sync>;

/// The loggers of this process.
pub struct Loggers {
    levels: Mutex<Levels>,
    apply: Apply,
}

impl Loggers {
    /// Loggers with these levels; `apply` makes new ones count.
    pub fn new(levels: Levels, apply: impl Fn(&Levels) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { levels: Mutex::new(levels), apply: Box::new(apply) })
    }

    /// The loggers of a process that keeps no log.
    pub fn silent() -> Arc<Self> {
        Self::new(Levels::new(LogLevel::Info), |_| {})
    }

    /// Every logger by name, Kafka's names for them among them, with the level that counts.
    pub(crate) fn describe(&self) -> Vec<(&'static str, LogLevel)> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        names::all().map(|(name, logger)| (name, levels.of(logger))).collect()
    }

    /// Does all of the changes, which somebody has asked for, or none of them. What is about to be
    /// done is told to `note` before: afterwards that may be hidden.
    pub(crate) fn change(
        &self,
        changes: &[Change<'_>],
        validate_only: bool,
        note: impl FnOnce(&str),
    ) -> Result<(), LoggerError> {
        let decided = changes.iter().map(changes::decide).collect::<Result<Vec<_>, _>>()?;
        if validate_only || decided.is_empty() {
            return Ok(());
        }
        let told = decided.iter().map(|(logger, level)| match level {
            Some(level) => format!("{logger}={level}"),
            None => format!("{logger} as its parent"),
        });
        note(&told.collect::<Vec<_>>().join(", "));
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        for (logger, level) in &decided {
            levels.set(logger, *level);
        }
        // Under the lock: of two changes at once the later one counts.
        (self.apply)(&levels);
        for (logger, level) in decided {
            match level {
                Some(level) => tracing::warn!("the log level of {logger} is {level} now"),
                None => tracing::warn!("the log level of {logger} is its parent's now"),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loggers").field("levels", &self.levels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::changes::{DELETE, SET};
    use super::*;

    fn change<'a>(name: &'a str, operation: i8, value: Option<&'a str>) -> Change<'a> {
        Change { name, operation, value }
    }

    #[test]
    fn a_change_counts_at_once_and_is_described() {
        let (told, heard) = mpsc::channel();
        let loggers = Loggers::new(Levels::new(LogLevel::Info), move |levels| {
            told.send(levels.of("naru_broker::peer::link")).unwrap();
        });
        let described = |name: &str| {
            loggers.describe().into_iter().find(|(known, _)| *known == name).map(|(_, level)| level)
        };
        loggers.change(&[change("naru_broker::peer", SET, Some("DEBUG"))], false, |_| {}).unwrap();
        assert_eq!(heard.recv().unwrap(), LogLevel::Debug);
        assert_eq!(described("naru_broker::peer::link"), Some(LogLevel::Debug));
        assert_eq!(described("root"), Some(LogLevel::Info));
        loggers.change(&[change("naru_broker::peer", DELETE, None)], false, |_| {}).unwrap();
        assert_eq!(heard.recv().unwrap(), LogLevel::Info);
    }

    #[test]
    fn a_name_of_kafka_is_another_name_of_a_logger_here() {
        let loggers = Loggers::silent();
        let level = |name: &str| {
            loggers.describe().into_iter().find(|(known, _)| *known == name).map(|(_, level)| level)
        };
        loggers.change(&[change("org.apache.kafka", SET, Some("TRACE"))], false, |_| {}).unwrap();
        for name in ["kafka", "org.apache.kafka", "naru", "naru_log::log", "state.change.logger"] {
            assert_eq!(level(name), Some(LogLevel::Trace), "{name}");
        }
        assert_eq!(level("kafka.authorizer.logger"), Some(LogLevel::Info));
    }

    #[test]
    fn of_changes_one_of_which_is_wrong_none_is_done() {
        let loggers = Loggers::silent();
        let changes = [change("naru", SET, Some("DEBUG")), change("nothing", SET, Some("DEBUG"))];
        loggers.change(&changes, false, |_| {}).unwrap_err();
        loggers.change(&changes[..1], true, |_| {}).unwrap();
        assert!(loggers.describe().iter().all(|(_, level)| *level == LogLevel::Info));
    }
}
