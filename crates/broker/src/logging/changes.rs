//! What may be asked of loggers. The texts are Apache Kafka 4.3.1's: tools print them.

use naru_model::ErrorCode;

use super::LogLevel;
use super::names::{ROOT, logger_of};

/// Kafka's numbers of what a change does.
pub(super) const SET: i8 = 0;
pub(super) const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// One change of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) name: &'a str,
    pub(crate) operation: i8,
    pub(crate) value: Option<&'a str>,
}

/// Why levels stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoggerError {
    #[error("Node id must be an integer, but it is: {0}")]
    NodeNotANumber(String),
    /// Kafka names the node itself twice.
    #[error("Unexpected node id. Expected {0}, but received {0}")]
    OtherNode(i32),
    #[error("Logger {0} does not exist!")]
    UnknownLogger(String),
    #[error(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid \
         log levels are {}",
        levels()
    )]
    UnknownLevel { logger: String, level: String },
    #[error("Removing the log level of the root logger is not allowed")]
    RootNeedsALevel,
    #[error("{0} operation is not allowed for the BROKER_LOGGER resource")]
    NotAList(&'static str),
    #[error("Unknown operation type {0} is not allowed for the BROKER_LOGGER resource")]
    UnknownOperation(i8),
}

impl LoggerError {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownLogger(_) | Self::UnknownLevel { .. } => ErrorCode::InvalidConfig,
            Self::NodeNotANumber(_)
            | Self::OtherNode(_)
            | Self::RootNeedsALevel
            | Self::NotAList(_)
            | Self::UnknownOperation(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// Which logger gets which level, or loses its own.
pub(super) fn decide(change: &Change<'_>) -> Result<(&'static str, Option<LogLevel>), LoggerError> {
    let name = change.name;
    let unknown = || LoggerError::UnknownLogger(name.to_owned());
    match change.operation {
        SET => {
            let logger = logger_of(name).ok_or_else(unknown)?;
            let value = change.value.unwrap_or("null");
            let level = LogLevel::named(value).ok_or_else(|| LoggerError::UnknownLevel {
                logger: name.to_owned(),
                level: value.to_owned(),
            })?;
            Ok((logger, Some(level)))
        }
        DELETE => match logger_of(name).ok_or_else(unknown)? {
            ROOT => Err(LoggerError::RootNeedsALevel),
            logger => Ok((logger, None)),
        },
        APPEND => Err(LoggerError::NotAList("APPEND")),
        SUBTRACT => Err(LoggerError::NotAList("SUBTRACT")),
        other => Err(LoggerError::UnknownOperation(other)),
    }
}

fn levels() -> String {
    LogLevel::ALL.map(LogLevel::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, operation: i8, value: Option<&str>) -> (ErrorCode, String) {
        let error = decide(&Change { name, operation, value }).unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_kafkas_words() {
        let config = ErrorCode::InvalidConfig;
        let request = ErrorCode::InvalidRequest;
        let text = "Cannot set the log level of root to warn as it is not a supported log level. \
                    Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN";
        assert_eq!(refused("root", SET, Some("warn")), (config, text.to_owned()));
        let text = "Logger no.such does not exist!";
        assert_eq!(refused("no.such", SET, Some("WARN")), (config, text.to_owned()));
        assert_eq!(refused("no.such", DELETE, None), (config, text.to_owned()));
        let text = "Removing the log level of the root logger is not allowed";
        assert_eq!(refused("root", DELETE, None), (request, text.to_owned()));
        for (operation, name) in [(APPEND, "APPEND"), (SUBTRACT, "SUBTRACT")] {
            let text = format!("{name} operation is not allowed for the BROKER_LOGGER resource");
            assert_eq!(refused("root", operation, Some("WARN")), (request, text));
        }
        assert_eq!(refused("root", 9, Some("WARN")).0, request);
    }
}
