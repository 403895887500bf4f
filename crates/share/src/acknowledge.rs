//! A member says what has become of records that it holds.

use naru_model::{Offset, Timestamp};

use crate::error::AckError;
use crate::partition::{SharePartition, released};
use crate::run::{Pending, Run, State};
use crate::state::{DeliveryState, Limits, Ticket};
use crate::writes::Change;

/// What a member says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckType {
    /// There was no record at this offset.
    Gap,
    /// It has been processed.
    Accept,
    /// Somebody may try again.
    Release,
    /// Nobody should try again.
    Reject,
    /// The member needs more time (KIP-1222).
    Renew,
}

impl AckType {
    /// What a number in a request means.
    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Gap),
            1 => Some(Self::Accept),
            2 => Some(Self::Release),
            3 => Some(Self::Reject),
            4 => Some(Self::Renew),
            _ => None,
        }
    }

    fn becomes(self, deliveries: u16, limits: &Limits) -> Option<DeliveryState> {
        match self {
            Self::Accept => Some(DeliveryState::Acknowledged),
            Self::Gap | Self::Reject => Some(DeliveryState::Archived),
            Self::Release => Some(released(deliveries, limits)),
            Self::Renew => None,
        }
    }
}

/// What a member says of a range; both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckBatch {
    /// First offset.
    pub first: Offset,
    /// Last offset.
    pub last: Offset,
    /// One for all offsets, or one for each.
    pub types: Vec<AckType>,
}

impl AckBatch {
    /// The range in parts that are of one type.
    fn parts(&self) -> Vec<(i64, i64, AckType)> {
        let (first, last) = (self.first.0, self.last.0);
        match self.types.as_slice() {
            [] => Vec::new(),
            [one] => vec![(first, last, *one)],
            many => {
                let mut parts: Vec<(i64, i64, AckType)> = Vec::new();
                for (offset, of) in (first..=last).zip(many) {
                    match parts.last_mut() {
                        Some((_, end, known)) if known == of => *end = offset,
                        _ => parts.push((offset, offset, *of)),
                    }
                }
                parts
            }
        }
    }
}

/// What becomes of acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// There is nothing to store.
    AtOnce,
    /// They count when this ticket's write is stored.
    WhenStored(Ticket),
}

impl SharePartition {
    /// Takes in a member's acknowledgements: all, or none.
    ///
    /// # Errors
    /// The member does not hold all of the records.
    pub fn acknowledge(
        &mut self,
        now: Timestamp,
        member: &str,
        batches: &[AckBatch],
        limits: &Limits,
    ) -> Result<Acknowledged, AckError> {
        for batch in batches {
            self.check(member, batch, limits)?;
        }
        let ticket = self.writes.next_ticket();
        let mut changes = Vec::new();
        for (first, last, of) in batches.iter().flat_map(AckBatch::parts) {
            let first = first.max(self.start);
            for (first, run) in self.runs.within_mut(first, last) {
                if let Some(change) = apply(first, run, of, ticket, now, limits) {
                    changes.push(change);
                }
            }
        }
        if changes.is_empty() {
            return Ok(Acknowledged::AtOnce);
        }
        changes.into_iter().for_each(|change| self.writes.queue(change));
        Ok(Acknowledged::WhenStored(ticket))
    }

    fn check(&self, member: &str, batch: &AckBatch, limits: &Limits) -> Result<(), AckError> {
        let (first, last) = (batch.first.0, batch.last.0);
        if last < self.start {
            // Done already, or the log begins later by now.
            return Ok(());
        }
        let known = match self.runs.floor(first) {
            Some((begin, _)) => begin,
            None if (first..=last).contains(&self.start) => self.start,
            None => return Err(AckError::NotFound),
        };
        let Some(end) = self.runs.overlapping(known, last).next_back().map(|(_, run)| run.last)
        else {
            // Everything from the start on has been acknowledged in the meantime.
            return Err(AckError::NotFound);
        };
        if end < first {
            return Err(AckError::FirstPastAcquired);
        }
        if end < last {
            return Err(AckError::LastPastAcquired);
        }
        if batch.types.contains(&AckType::Renew) && !limits.may_renew {
            return Err(AckError::RenewDisabled);
        }
        let overlapping = self.runs.overlapping(first.max(self.start), last);
        let mut known = overlapping.filter(|(_, run)| !run.is_gap());
        known.try_for_each(|(first, run)| check_run(member, first, run))
    }
}

fn check_run(member: &str, first: i64, run: &Run) -> Result<(), AckError> {
    match run.hold() {
        None if run.is_whole(first) => Err(AckError::NotAcquired),
        None => Err(AckError::OffsetNotAcquired),
        Some(hold) if *hold.member != *member => {
            Err(if run.is_whole(first) { AckError::NotOwner } else { AckError::NotOwnerOfOffset })
        }
        Some(hold) if hold.pending.is_some() => Err(AckError::UnderWay),
        Some(_) => Ok(()),
    }
}

/// Notes what a record is about to become; none if there is nothing to store.
fn apply(
    first: i64,
    run: &mut Run,
    of: AckType,
    ticket: Ticket,
    now: Timestamp,
    limits: &Limits,
) -> Option<Change> {
    let (last, deliveries) = (run.last, run.deliveries);
    let State::Acquired(hold) = &mut run.state else { return None };
    if hold.pending.is_some() {
        // Named twice in one request: the first counts.
        return None;
    }
    let Some(to) = of.becomes(deliveries, limits) else {
        hold.until = Timestamp(now.0.saturating_add(limits.lock_duration_ms));
        return None;
    };
    hold.pending = Some(Pending { ticket, to });
    Some(Change { first, last, state: to, deliveries, ticket: Some(ticket) })
}
