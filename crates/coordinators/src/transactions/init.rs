//! InitProducerId (key 22, v0–v5) with a transactional id. KIP-98, 360, 890.

use naru_model::{ProducerEpoch, ProducerId, Timestamp};

use super::error::TxnError;
use super::metadata::{Identity, Metadata, is_exhausted};
use super::state::TransactionState;

/// What InitProducerId leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Init {
    /// The producer may begin, when this is written.
    Begin(Metadata),
    /// The transaction of the producer before is to be aborted first.
    Fence,
    /// It takes a new producer id.
    NeedsProducerId,
}

/// A producer's wish to begin. `expected` is what it was before, if it says so (KIP-360);
/// `spare` is an id that nobody has.
pub(super) fn decide(
    known: Option<&Metadata>,
    expected: Option<Identity>,
    timeout_ms: i32,
    spare: Option<ProducerId>,
    now: Timestamp,
) -> Result<Init, TxnError> {
    let Some(known) = known else {
        let begin = |id| Init::Begin(Metadata::new(id, timeout_ms, now));
        return Ok(spare.map_or(Init::NeedsProducerId, begin));
    };
    if expected.is_some_and(|expected| !is_of(known, expected)) {
        return Err(TxnError::ProducerFenced);
    }
    match known.state {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
            Err(TxnError::ConcurrentTransactions)
        }
        TransactionState::Ongoing => Ok(Init::Fence),
        TransactionState::Empty
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => {
            let is_current = expected.is_none_or(|e| e.epoch == known.producer.epoch);
            if known.is_exhausted() && is_current {
                let Some(id) = spare else { return Ok(Init::NeedsProducerId) };
                let producer = Identity { id, epoch: ProducerEpoch(0) };
                let last_epoch = expected.map(|_| known.producer.epoch);
                return Ok(Init::Begin(known.initialised(producer, last_epoch, timeout_ms, now)));
            }
            let (epoch, last_epoch) = next_epoch(known, expected)?;
            let producer = Identity { id: known.producer.id, epoch };
            Ok(Init::Begin(known.initialised(producer, last_epoch, timeout_ms, now)))
        }
        // Neither is ever written.
        TransactionState::Dead | TransactionState::PrepareEpochFence => {
            Err(TxnError::InvalidTxnState)
        }
    }
}

/// Whether the producer that `expected` names may go on as this one: it is this one, or it asks
/// again for the id that followed its own when the epochs were used up.
fn is_of(known: &Metadata, expected: Identity) -> bool {
    expected.id == known.producer.id
        || (Some(expected.id) == known.previous_id && is_exhausted(expected.epoch))
}

/// The epoch a producer begins with, and the one to remember for a repetition of its request.
fn next_epoch(
    known: &Metadata,
    expected: Option<Identity>,
) -> Result<(ProducerEpoch, Option<ProducerEpoch>), TxnError> {
    let current = known.producer.epoch;
    let bumped = || current.0.checked_add(1).map(ProducerEpoch).ok_or(TxnError::ProducerFenced);
    match expected.map(|expected| expected.epoch) {
        None => Ok((bumped()?, None)),
        Some(epoch) if epoch == current => Ok((bumped()?, Some(current))),
        // The answer was lost: nobody has begun since, or the last epoch would be forgotten.
        Some(epoch) if Some(epoch) == known.last_epoch => Ok((current, known.last_epoch)),
        Some(_) => Err(TxnError::ProducerFenced),
    }
}
