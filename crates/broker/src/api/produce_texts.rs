//! What is wrong with a Produce request, in words, where the log has not said it.

use std::time::Duration;

use naru_model::ErrorCode;

/// What the client asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) acks: i16,
    pub(super) timeout: Duration,
}

impl Asked {
    /// Why `partition` did not take the records of this request, and what would be right.
    pub(super) fn why(self, error: ErrorCode, partition: &str, broker: i32) -> String {
        let Self { acks, timeout } = self;
        match error {
            ErrorCode::NotLeaderOrFollower => format!(
                "broker {broker} does not lead {partition}: ask for the metadata to find its leader"
            ),
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => format!(
                "broker {broker} knows no partition {partition}: create it, or ask for the \
                 metadata again"
            ),
            ErrorCode::TopicAuthorizationFailed => {
                format!("the user may not write to {partition}: an ACL has to allow Write")
            }
            ErrorCode::TransactionalIdAuthorizationFailed => "the user may not use the \
                 transactional id, or the request names none: an ACL has to allow Write"
                .to_owned(),
            ErrorCode::InvalidTopicException => {
                format!("{partition} is internal: only brokers write to it")
            }
            ErrorCode::InvalidRequiredAcks => {
                format!("acks is {acks}: it must be 0, 1 or -1 (all)")
            }
            ErrorCode::UnsupportedCompressionType => {
                "zstd needs Produce v7 or newer: take another \
                 compression.type, or a newer client"
                    .to_owned()
            }
            ErrorCode::NotEnoughReplicas => format!(
                "fewer replicas of {partition} are in sync than min.insync.replicas asks for: \
                 nothing was written, try again"
            ),
            ErrorCode::RequestTimedOut => format!(
                "the leader has the records of {partition}, but within {} ms not all replicas in \
                 sync stored them: they may be stored later all the same",
                timeout.as_millis()
            ),
            _ => error.explanation().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_text_and_most_say_where() {
        let asked = Asked { acks: 5, timeout: Duration::from_millis(30) };
        for error in ErrorCode::ALL.iter().filter(|error| !error.is_ok()) {
            assert!(!asked.why(*error, "t-0", 1).is_empty(), "{error}");
        }
        assert!(asked.why(ErrorCode::NotLeaderOrFollower, "t-0", 1).contains("t-0"));
        assert!(asked.why(ErrorCode::InvalidRequiredAcks, "t-0", 1).contains("acks is 5"));
        assert!(asked.why(ErrorCode::RequestTimedOut, "t-0", 1).contains("30 ms"));
    }
}
