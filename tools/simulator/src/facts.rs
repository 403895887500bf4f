//! The records of logs, as the judge compares them.

use naru_log::LogReader;
use naru_model::Offset;
use naru_records::EndTxnMarker;

/// Stands for the producer of what coordinators write for themselves.
const COORDINATOR: i64 = -1;

/// One committed record: the epoch it was written in, its producer, its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) leader_epoch: i32,
    pub(crate) producer: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) kind: Kind,
}

/// What a record has to do with transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// What a coordinator writes for itself.
    Own,
    Transactional,
    /// Written by a coordinator in the name of a producer, without a sequence.
    TransactionalOwn,
    Commit,
    Abort,
}

/// The records of a log from `from` to `to`.
pub(crate) fn facts_of(reader: &LogReader, from: i64, to: i64) -> Result<Vec<(i64, Fact)>, String> {
    const CHUNK: usize = 64 << 10;
    let mut found = Vec::new();
    let mut next = from;
    while next < to {
        let slice =
            reader.read(Offset(next), CHUNK, true, Offset(to)).map_err(|e| e.to_string())?;
        let bytes = slice.read_bytes().map_err(|error| error.to_string())?;
        let before = next;
        next = facts_in(&bytes, &mut found)?.unwrap_or(next);
        if next <= before {
            return Err(format!("no whole batch at {before}"));
        }
    }
    Ok(found)
}

/// The records of whole batches, and the offset behind the last one.
pub(crate) fn facts_in(bytes: &[u8], found: &mut Vec<(i64, Fact)>) -> Result<Option<i64>, String> {
    let mut next = None;
    for item in naru_records::batches(bytes) {
        // The last one may be cut short.
        let Ok((header, batch)) = item else { break };
        header.check_crc(batch).map_err(|error| error.to_string())?;
        // A coordinator's own batch has no producer: it is known by its checksum.
        let stamp = header.producer();
        let kind = match (stamp, header.is_transactional()) {
            (None, _) => Kind::Own,
            (Some(_), false) => Kind::Plain,
            (Some(stamp), true) if header.is_control() => {
                match naru_records::end_txn_marker(batch) {
                    Some(EndTxnMarker::Commit { .. }) => Kind::Commit,
                    Some(EndTxnMarker::Abort { .. }) => Kind::Abort,
                    None => return Err(format!("another control batch of {stamp:?}")),
                }
            }
            (Some(stamp), true) if stamp.base_sequence.0 < 0 => Kind::TransactionalOwn,
            (Some(_), true) => Kind::Transactional,
        };
        for index in 0..header.record_count {
            let offset = header.base_offset.0 + i64::from(index);
            let (producer, producer_epoch, first) = stamp.map_or_else(
                || (COORDINATOR, -1, header.crc.cast_signed()),
                |stamp| (stamp.id.0, stamp.epoch.0, stamp.base_sequence.0),
            );
            let fact = Fact {
                leader_epoch: header.partition_leader_epoch.0,
                producer,
                producer_epoch,
                sequence: first.wrapping_add(index),
                kind,
            };
            found.push((offset, fact));
        }
        next = Some(header.next_offset().0);
    }
    Ok(next)
}
