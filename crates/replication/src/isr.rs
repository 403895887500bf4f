//! The in-sync replicas: what is committed, and at most one change on its way.
//!
//! Invariant: while a change is on its way the high watermark waits for every replica that is in
//! the ISR before or after it (the maximal ISR), because either may be what the controller has.

use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch};

/// A change of the ISR for the controller to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    /// Number of the proposal; the answer names it.
    pub number: u64,
    /// Epoch of the leader that proposes.
    pub leader_epoch: LeaderEpoch,
    /// Partition epoch that it was decided at.
    pub partition_epoch: i32,
    /// The new ISR with each member's registration; none lets the controller skip the check.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
}

/// What came of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsrAnswer<'a> {
    /// It is committed.
    Committed {
        /// Of the partition now.
        leader_epoch: LeaderEpoch,
        /// Of the partition now.
        partition_epoch: i32,
        /// The ISR now.
        isr: &'a [BrokerId],
    },
    /// The controller refused, or could not be asked.
    Refused(ErrorCode),
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Isr {
    committed: Vec<BrokerId>,
    pending: Option<Pending>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    number: u64,
    isr: Vec<BrokerId>,
}

impl Isr {
    pub(crate) fn committed_as(isr: Vec<BrokerId>) -> Self {
        Self { committed: isr, pending: None }
    }

    pub(crate) fn committed(&self) -> &[BrokerId] {
        &self.committed
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(crate) fn is_pending_as(&self, number: u64) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.number == number)
    }

    /// In the ISR as committed or as proposed.
    pub(crate) fn maximal_contains(&self, id: BrokerId) -> bool {
        let pending = self.pending.as_ref();
        self.committed.contains(&id) || pending.is_some_and(|pending| pending.isr.contains(&id))
    }

    /// Notes a change that is on its way.
    pub(crate) fn propose(&mut self, number: u64, isr: Vec<BrokerId>) {
        debug_assert!(self.pending.is_none(), "one change at a time");
        self.pending = Some(Pending { number, isr });
    }

    /// What is proposed.
    pub(crate) fn proposed(&self) -> Option<&[BrokerId]> {
        self.pending.as_ref().map(|pending| pending.isr.as_slice())
    }

    /// Takes the proposal back: it is known not to have been committed.
    pub(crate) fn withdraw(&mut self) {
        self.pending = None;
    }
}
