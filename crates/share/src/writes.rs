//! What must be stored: changes wait in order and go out one write after another, each with all
//! that has come together meanwhile.

use std::collections::BTreeMap;

use naru_model::Offset;

use crate::state::{DeliveryState, StateBatch, Ticket, WriteId};

/// A write of a share partition's state (WriteShareGroupState).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// By which its end is told.
    pub id: WriteId,
    /// Before it everything is done.
    pub start: Offset,
    /// Records from the start on that are done already.
    pub complete: i32,
    /// What has changed, in order, without overlaps.
    pub batches: Vec<StateBatch>,
}

/// One range that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) state: DeliveryState,
    pub(crate) deliveries: u16,
    /// Who waits for it.
    pub(crate) ticket: Option<Ticket>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Writes {
    queued: Vec<Change>,
    under_way: Option<(WriteId, Vec<Change>)>,
    next: u64,
}

impl Writes {
    pub(crate) fn queue(&mut self, change: Change) {
        self.queued.push(change);
    }

    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.under_way.is_none()
    }

    /// What goes out now: nothing while a write is under way.
    pub(crate) fn begin(&mut self, start: i64) -> Option<(WriteId, Vec<StateBatch>)> {
        if self.under_way.is_some() || self.queued.is_empty() {
            return None;
        }
        self.next += 1;
        let id = WriteId(self.next);
        let changes = std::mem::take(&mut self.queued);
        let batches = combined(&changes, start);
        self.under_way = Some((id, changes));
        Some((id, batches))
    }

    /// The changes of the write that has ended.
    pub(crate) fn end(&mut self, id: WriteId) -> Vec<Change> {
        match self.under_way.take() {
            Some((under_way, changes)) if under_way == id => changes,
            other => {
                self.under_way = other;
                Vec::new()
            }
        }
    }
}

/// Changes laid over each other, what came last on top; nothing before `start`.
fn combined(changes: &[Change], start: i64) -> Vec<StateBatch> {
    let mut ranges: BTreeMap<i64, Change> = BTreeMap::new();
    for change in changes {
        let change = Change { first: change.first.max(start), ..*change };
        if change.first > change.last {
            continue;
        }
        let before = ranges.range(..change.first).next_back().map(|(_, known)| *known);
        if let Some(known) = before.filter(|known| known.last >= change.first) {
            ranges.insert(known.first, Change { last: change.first - 1, ..known });
            if known.last > change.last {
                let first = change.last + 1;
                ranges.insert(first, Change { first, ..known });
            }
        }
        let covered: Vec<i64> =
            ranges.range(change.first..=change.last).map(|(first, _)| *first).collect();
        for first in covered {
            let Some(known) = ranges.remove(&first) else { continue };
            if known.last > change.last {
                let first = change.last + 1;
                ranges.insert(first, Change { first, ..known });
            }
        }
        ranges.insert(change.first, change);
    }
    let mut batches: Vec<StateBatch> = Vec::new();
    for change in ranges.into_values() {
        let Change { first, last, state, deliveries, .. } = change;
        match batches.last_mut() {
            Some(known)
                if known.last.0 + 1 == first
                    && (known.state, known.deliveries) == (state, deliveries) =>
            {
                known.last = Offset(last);
            }
            _ => batches.push(StateBatch {
                first: Offset(first),
                last: Offset(last),
                state,
                deliveries,
            }),
        }
    }
    batches
}
