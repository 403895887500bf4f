//! What may be asked of loggers. The texts are Apache Kafka 4.3.1's: tools print them.

use std::collections::BTreeSet;

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
    #[error("Unexpected node id. Expected {own}, but received {asked}")]
    OtherNode { own: i32, asked: i32 },
    #[error("Error due to duplicate config keys")]
    LoggerTwice,
    #[error("Null value not supported for : {0}")]
    NullValue(String),
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
    /// What Kafka's broker and controller stumble over, each in its own way.
    #[error("The server experienced an unexpected error when processing the request.")]
    Unexpected,
}

impl LoggerError {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownLogger(_) | Self::UnknownLevel { .. } => ErrorCode::InvalidConfig,
            Self::NodeNotANumber(_)
            | Self::OtherNode { .. }
            | Self::LoggerTwice
            | Self::NullValue(_)
            | Self::RootNeedsALevel
            | Self::NotAList(_) => ErrorCode::InvalidRequest,
            Self::Unexpected => ErrorCode::UnknownServerError,
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
            let value = change.value.ok_or(LoggerError::Unexpected)?;
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
        _ => Err(LoggerError::Unexpected),
    }
}

/// What a broker looks at before anything else; a controller does not.
pub(crate) fn check_request(changes: &[Change<'_>]) -> Result<(), LoggerError> {
    let mut names = BTreeSet::new();
    if !changes.iter().all(|change| names.insert(change.name)) {
        return Err(LoggerError::LoggerTwice);
    }
    let lacks = |change: &&Change<'_>| change.operation != DELETE && change.value.is_none();
    let lacking: Vec<&str> = changes.iter().filter(lacks).map(|change| change.name).collect();
    if lacking.is_empty() { Ok(()) } else { Err(LoggerError::NullValue(lacking.join(", "))) }
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
        assert_eq!(refused("root", 9, Some("WARN")).0, ErrorCode::UnknownServerError);
        assert_eq!(refused("root", SET, None).0, ErrorCode::UnknownServerError);
    }

    #[test]
    fn a_broker_wants_each_logger_once_and_with_a_value() {
        let change = |name, operation, value| Change { name, operation, value };
        let info = Some("INFO");
        assert!(check_request(&[change("a", SET, info), change("b", DELETE, None)]).is_ok());
        let twice = check_request(&[change("a", SET, None), change("a", SET, info)]);
        assert_eq!(twice, Err(LoggerError::LoggerTwice));
        let lacking = check_request(&[change("a", SET, None), change("b", APPEND, None)]);
        let text = "Null value not supported for : a, b";
        assert_eq!(lacking.unwrap_err().to_string(), text);
    }
}
