//! Which producers may begin a transaction here (KIP-890).
//!
//! A transactional batch that would begin a transaction needs a guard: it is given out before the
//! transaction coordinator is asked, and worthless once the producer's transaction has begun or a
//! marker has come. So an answer of the coordinator that is late cannot open a transaction which
//! nobody would end.
//!
//! Pure.

use std::collections::HashMap;

use naru_model::{ProducerEpoch, ProducerId, Sequence, Timestamp};

/// What a batch must bring that begins a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// Whether a client's transactional batch must have been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// It need not (`transaction.partition.verification.enable=false`).
    #[default]
    NotNeeded,
    /// Unless its transaction has begun here, it must bring the guard that was given out last.
    Needed(Option<VerificationGuard>),
}

/// A producer whose transaction is being verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verifying {
    pub(crate) guard: VerificationGuard,
    pub(crate) epoch: ProducerEpoch,
    /// The lowest sequence that it wants to begin with.
    pub(crate) lowest_sequence: Sequence,
    /// It uses transactions of version 2.
    pub(crate) bumps_epochs: bool,
    since: Timestamp,
}

/// The producers that are being verified.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    by_producer: HashMap<ProducerId, Verifying>,
    given: u64,
}

impl Verifications {
    /// The guard of a producer that wants to begin a transaction with a batch of this epoch and
    /// sequence; the same for all its batches until one of them has begun it.
    pub(crate) fn begin(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
        bumps_epochs: bool,
        now: Timestamp,
    ) -> VerificationGuard {
        let given = &mut self.given;
        let verifying = self.by_producer.entry(id).or_insert_with(|| {
            *given += 1;
            Verifying {
                guard: VerificationGuard(*given),
                epoch,
                lowest_sequence: sequence,
                bumps_epochs,
                since: now,
            }
        });
        if epoch > verifying.epoch {
            (verifying.epoch, verifying.lowest_sequence) = (epoch, sequence);
        } else if epoch == verifying.epoch {
            verifying.lowest_sequence = verifying.lowest_sequence.min(sequence);
        }
        verifying.guard
    }

    pub(crate) fn of(&self, id: ProducerId) -> Option<&Verifying> {
        self.by_producer.get(&id)
    }

    /// The producer's transaction has begun or ended: its guard is worth nothing any more.
    pub(crate) fn end(&mut self, id: ProducerId) {
        // Most logs verify nobody.
        if !self.by_producer.is_empty() {
            self.by_producer.remove(&id);
        }
    }

    pub(crate) fn expire(&mut self, now: Timestamp, after_ms: i64) {
        self.by_producer.retain(|_, verifying| now.0.saturating_sub(verifying.since.0) < after_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_good_until_the_transaction_begins_or_ends() {
        let mut all = Verifications::default();
        let begin = |all: &mut Verifications, epoch, sequence| {
            let (epoch, sequence) = (ProducerEpoch(epoch), Sequence(sequence));
            all.begin(ProducerId(1), epoch, sequence, true, Timestamp(0))
        };
        let first = begin(&mut all, 0, 7);
        assert_eq!(begin(&mut all, 0, 5), first, "batches in flight share it");
        assert_eq!(all.of(ProducerId(1)).unwrap().lowest_sequence, Sequence(5));
        begin(&mut all, 0, 9);
        assert_eq!(all.of(ProducerId(1)).unwrap().lowest_sequence, Sequence(5));
        begin(&mut all, 1, 9);
        assert_eq!(all.of(ProducerId(1)).unwrap().lowest_sequence, Sequence(9));
        all.end(ProducerId(1));
        assert_ne!(begin(&mut all, 1, 0), first);
        all.expire(Timestamp(99), 100);
        assert!(all.of(ProducerId(1)).is_some());
        all.expire(Timestamp(100), 100);
        assert!(all.of(ProducerId(1)).is_none());
    }
}
