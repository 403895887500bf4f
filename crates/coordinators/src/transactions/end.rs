//! EndTxn (key 26, v0–v5). KIP-98; from v5 on each transaction has an epoch of its own (KIP-890),
//! so an old epoch tells a repeated request from the next one.

use naru_model::{ProducerEpoch, ProducerId, Timestamp};

use super::command::ConnectionId;
use super::error::TxnError;
use super::metadata::{EPOCH_MAX_FOR_CLIENTS, Identity, Metadata, TransactionVersion};
use super::state::TransactionState::{
    CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit,
    PrepareEpochFence,
};

/// How a producer wants to end its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) producer: Identity,
    pub(super) commit: bool,
    /// What the request's version says of the client.
    pub(super) version: TransactionVersion,
    /// The connection by which it is told.
    pub(super) via: Option<ConnectionId>,
}

/// What EndTxn leads to.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// It has been done before; who the producer is now.
    Done(Identity),
    /// The end is decided when this is written.
    Prepare(Metadata),
    /// It takes a new producer id.
    NeedsProducerId,
}

/// Judges `wish`. `is_moving` if a transition is in flight; `spare` is an id that nobody has.
pub(super) fn decide(
    known: &Metadata,
    is_moving: bool,
    wish: Wish,
    spare: Option<ProducerId>,
    now: Timestamp,
) -> Result<End, TxnError> {
    if wish.version.bumps_epoch() {
        decide_with_bump(known, is_moving, wish, spare, now)
    } else {
        decide_without_bump(known, is_moving, wish, now)
    }
}

fn decide_without_bump(
    known: &Metadata,
    is_moving: bool,
    wish: Wish,
    now: Timestamp,
) -> Result<End, TxnError> {
    if known.producer.id != wish.producer.id {
        return Err(TxnError::InvalidProducerIdMapping);
    }
    if known.producer.epoch != wish.producer.epoch {
        return Err(TxnError::ProducerFenced);
    }
    if is_moving || known.state.is_prepared() {
        return Err(TxnError::ConcurrentTransactions);
    }
    match (known.state, wish.commit) {
        (Ongoing, commit) => {
            Ok(End::Prepare(known.ending(commit, TransactionVersion::V0, None, now)))
        }
        (CompleteCommit, true) | (CompleteAbort, false) => Ok(End::Done(Identity::NONE)),
        (
            Empty | CompleteCommit | CompleteAbort | PrepareCommit | PrepareAbort | Dead
            | PrepareEpochFence,
            _,
        ) => Err(TxnError::InvalidTxnState),
    }
}

fn decide_with_bump(
    known: &Metadata,
    is_moving: bool,
    wish: Wish,
    spare: Option<ProducerId>,
    now: Timestamp,
) -> Result<End, TxnError> {
    // Before anything else, as Kafka has it: who the producer is next may be on its way. It has a
    // transition under way until the markers are written.
    if is_moving || known.state.is_prepared() {
        return Err(TxnError::ConcurrentTransactions);
    }
    let (current, asked) = (known.producer, wish.producer);
    // The epochs were used up, and the answer that told the next producer id was lost.
    let again_with_next_id = known.previous_id == Some(asked.id)
        && asked.epoch == EPOCH_MAX_FOR_CLIENTS
        && current.epoch == ProducerEpoch(0);
    let again = asked.epoch.0.checked_add(1) == Some(current.epoch.0);
    let is_retry = again || again_with_next_id;
    if current.id != asked.id && !again_with_next_id {
        return Err(TxnError::InvalidProducerIdMapping);
    }
    let is_current = asked.epoch == current.epoch;
    let is_valid = match known.state {
        Ongoing | Empty | Dead | PrepareEpochFence => is_current,
        PrepareCommit | PrepareAbort | CompleteCommit | CompleteAbort => is_retry || is_current,
    };
    if !is_valid {
        return Err(TxnError::ProducerFenced);
    }
    let prepare = |commit| {
        let next_id = match (known.is_exhausted(), spare) {
            (false, _) => None,
            (true, Some(id)) => Some(id),
            (true, None) => return End::NeedsProducerId,
        };
        End::Prepare(known.ending(commit, wish.version, next_id, now))
    };
    match (known.state, wish.commit) {
        (Ongoing, commit) => Ok(prepare(commit)),
        (CompleteCommit, true) | (CompleteAbort, false) if is_retry => Ok(End::Done(current)),
        // The producer gives up before its first record has made it into the transaction.
        (CompleteCommit | CompleteAbort, false) if !is_retry => Ok(prepare(false)),
        (Empty, false) => Ok(prepare(false)),
        (
            Empty | CompleteCommit | CompleteAbort | PrepareCommit | PrepareAbort | Dead
            | PrepareEpochFence,
            _,
        ) => Err(TxnError::InvalidTxnState),
    }
}
