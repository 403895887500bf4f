//! What was refused a moment ago, which explains a gap in a producer's sequence now.
//!
//! An idempotent producer sends on while earlier batches are in flight. If the first of them is
//! refused for a reason that passes (this broker does not lead yet, too few replicas are in sync),
//! and passes before the second is looked at, the second leaves a gap. OUT_OF_ORDER_SEQUENCE_NUMBER
//! would say that records were lost: librdkafka (its issue 4953) then begins a new producer epoch
//! and sends again, to all partitions, what may be stored there already. So such a gap is answered
//! as what left it, and the producer sends its batches again in order. Apache Kafka does not do
//! this.

use std::sync::{Mutex, PoisonError};

use naru_model::{ErrorCode, Timestamp};

use super::Partition;
use super::append::Refused;

/// How long a refusal explains gaps: requests that were sent before its answer came have arrived by
/// then.
const EXPLAINS_MS: i64 = 5_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LastRefusal(Mutex<Option<(Timestamp, ErrorCode)>>);

impl LastRefusal {
    /// Notes a refusal, or says what is behind it.
    pub(super) fn explain(&self, refused: Refused, now: Timestamp) -> Refused {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.error {
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::KafkaStorageError => {
                *last = Some((now, refused.error));
                refused
            }
            _ if refused.may_be_gap => match *last {
                Some((at, error)) if now.0.saturating_sub(at.0) < EXPLAINS_MS => Refused {
                    error,
                    message: Some("an earlier batch was refused and has to come first".to_owned()),
                    records: Vec::new(),
                    may_be_gap: true,
                },
                _ => refused,
            },
            _ => refused,
        }
    }
}

impl Partition {
    /// What a client is told of a refusal, in the light of the one before.
    pub(crate) fn explain(&self, refused: Refused, now: Timestamp) -> Refused {
        self.last_refusal.explain(refused, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(last: &LastRefusal, error: ErrorCode, at: i64) -> ErrorCode {
        last.explain(error.into(), Timestamp(at)).error
    }

    #[test]
    fn a_gap_is_told_as_the_refusal_that_left_it() {
        let (gap, last) = (ErrorCode::OutOfOrderSequenceNumber, LastRefusal::default());
        assert_eq!(told(&last, gap, 10_000), gap, "nothing explains it");
        let passing = ErrorCode::NotLeaderOrFollower;
        assert_eq!(told(&last, passing, 11_000), passing);
        assert_eq!(told(&last, gap, 11_001), passing);
        assert_eq!(told(&last, gap, 15_999), passing, "softened gaps do not renew the excuse");
        assert_eq!(told(&last, gap, 16_000), gap);
    }

    #[test]
    fn what_does_not_pass_explains_nothing() {
        let (gap, last) = (ErrorCode::OutOfOrderSequenceNumber, LastRefusal::default());
        assert_eq!(told(&last, ErrorCode::CorruptMessage, 10_000), ErrorCode::CorruptMessage);
        assert_eq!(told(&last, gap, 10_001), gap);
    }
}
