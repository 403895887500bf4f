//! What has become of a share partition's records: batches of offsets that fared alike.
//!
//! Of two statements about one offset the one of more deliveries holds, and of the same number the
//! one whose state has the higher number, as in Kafka: what is done is never undone by a write
//! that comes late.
//!
//! Invariant: behind a record that is held for long there are not more batches than about twice
//! the records that are not done, or [`BATCHES_MAX`].

use std::collections::BTreeSet;

/// Offsets that fared alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBatch {
    /// The first offset.
    pub first_offset: i64,
    /// The last offset, which belongs to the batch.
    pub last_offset: i64,
    /// 0 available, 2 acknowledged, 4 archived.
    pub delivery_state: i8,
    /// How often the records were delivered.
    pub delivery_count: i16,
}

impl StateBatch {
    /// Whether nobody will get the records again.
    fn is_done(&self) -> bool {
        self.delivery_state >= ACKNOWLEDGED
    }

    /// What decides between two statements.
    fn rank(&self) -> (i16, i8) {
        (self.delivery_count, self.delivery_state)
    }
}

/// The first state in which records are done with: acknowledged, archiving, archived.
const ACKNOWLEDGED: i8 = 2;

/// `known` and `new` as one list: sorted, without overlaps, neighbours that fared alike joined,
/// nothing before `start_offset` (-1 keeps everything).
pub(super) fn combine(
    known: &[StateBatch],
    new: &[StateBatch],
    start_offset: i64,
) -> Vec<StateBatch> {
    let all = known.iter().chain(new).filter(|batch| batch.first_offset <= batch.last_offset);
    let all: Vec<StateBatch> = all.filter_map(|batch| after(batch, start_offset)).collect();
    // Between two neighbouring cuts every batch covers all offsets or none.
    let cuts: BTreeSet<i64> = all
        .iter()
        .flat_map(|batch| [batch.first_offset, batch.last_offset.saturating_add(1)])
        .collect();
    let mut starting = all;
    starting.sort_unstable_by_key(|batch| batch.first_offset);
    let mut starting = starting.into_iter().peekable();
    let mut open: Vec<StateBatch> = Vec::new();
    let mut combined: Vec<StateBatch> = Vec::new();
    let mut cuts = cuts.into_iter().peekable();
    while let Some(from) = cuts.next() {
        let Some(&until) = cuts.peek() else { break };
        open.retain(|batch| batch.last_offset >= from);
        while let Some(batch) = starting.next_if(|batch| batch.first_offset <= from) {
            open.push(batch);
        }
        let Some(holds) = open.iter().max_by_key(|batch| batch.rank()) else { continue };
        let piece = StateBatch { first_offset: from, last_offset: until - 1, ..*holds };
        match combined.last_mut() {
            Some(last) if last.last_offset + 1 == from && last.rank() == piece.rank() => {
                last.last_offset = piece.last_offset;
            }
            _ => combined.push(piece),
        }
    }
    if combined.len() > BATCHES_MAX { folded(combined) } else { combined }
}

/// More batches than this say no more how their records were done, only that they were: neighbours
/// that are done are one. Kafka has no such limit; at some tens of thousands the record would be
/// larger than the topic takes.
const BATCHES_MAX: usize = 1000;

fn folded(batches: Vec<StateBatch>) -> Vec<StateBatch> {
    let mut folded: Vec<StateBatch> = Vec::new();
    for batch in batches {
        match folded.last_mut() {
            Some(last)
                if last.is_done()
                    && batch.is_done()
                    && last.last_offset + 1 == batch.first_offset =>
            {
                let holds = if last.rank() < batch.rank() { batch } else { *last };
                let (first_offset, last_offset) = (last.first_offset, batch.last_offset);
                *last = StateBatch { first_offset, last_offset, ..holds };
            }
            _ => folded.push(batch),
        }
    }
    folded
}

/// What of a batch is not before the start.
fn after(batch: &StateBatch, start_offset: i64) -> Option<StateBatch> {
    (batch.last_offset >= start_offset)
        .then(|| StateBatch { first_offset: batch.first_offset.max(start_offset), ..*batch })
}
