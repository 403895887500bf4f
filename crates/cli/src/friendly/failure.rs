//! Why a friendly command failed: one line, a hint, an exit code.

use naru_client::Error;
use naru_model::ErrorCode;

/// Exit code of a wrong command line.
pub const USAGE: i32 = 2;
const FAILED: i32 = 1;
const NOT_FOUND: i32 = 3;
const NO_CONNECTION: i32 = 4;
const NOT_ALLOWED: i32 = 5;
const TOO_LATE: i32 = 6;
/// Exit code when some of several things were done.
pub const PARTLY: i32 = 7;

/// A failure as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub text: String,
    pub hint: Option<String>,
    pub code: i32,
}

impl Failure {
    /// The command line is wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, code: USAGE }
    }

    /// It did not work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, code: FAILED }
    }

    /// The thing does not exist; `near` is what may have been meant.
    pub fn not_found(what: &str, name: &str, code: ErrorCode, near: Option<&str>) -> Self {
        Self {
            text: format!("{what} '{name}' does not exist ({})", shown(code)),
            hint: near.map(|near| format!("did you mean '{near}'?")),
            code: NOT_FOUND,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn shown(code: ErrorCode) -> String {
    format!("{} {}", code.name(), code.code())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Unreachable { .. }
            | Error::AdvertisedUnreachable { .. }
            | Error::Disconnected { .. } => NO_CONNECTION,
            Error::Timeout { .. } => TOO_LATE,
            Error::Config { .. } | Error::Argument(_) => USAGE,
            other => exit_code_of(other.code()),
        };
        let text = match &error {
            Error::Broker { code, message: Some(message) } => {
                format!("{message} ({})", shown(*code))
            }
            other => other.to_string(),
        };
        Self { text, hint: error.hint().map(str::to_owned), code }
    }
}

const fn exit_code_of(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::GroupIdNotFound
        | ErrorCode::ResourceNotFound
        | ErrorCode::BrokerIdNotRegistered
        | ErrorCode::TransactionalIdNotFound => NOT_FOUND,
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::SaslAuthenticationFailed => NOT_ALLOWED,
        ErrorCode::RequestTimedOut => TOO_LATE,
        ErrorCode::NetworkException | ErrorCode::BrokerNotAvailable => NO_CONNECTION,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_kinds_of_failure_apart() {
        let of = |code| Failure::from(Error::code_only(code)).code;
        assert_eq!(of(ErrorCode::UnknownTopicOrPartition), 3);
        assert_eq!(of(ErrorCode::TopicAuthorizationFailed), 5);
        assert_eq!(of(ErrorCode::RequestTimedOut), 6);
        assert_eq!(of(ErrorCode::InvalidConfig), 1);
        let text = Failure::not_found(
            "topic",
            "ordrs",
            ErrorCode::UnknownTopicOrPartition,
            Some("orders"),
        );
        assert_eq!(text.text, "topic 'ordrs' does not exist (UNKNOWN_TOPIC_OR_PARTITION 3)");
        assert_eq!(text.hint.as_deref(), Some("did you mean 'orders'?"));
    }
}
