//! The states of a transactional id.

/// Where a transactional id is in the life of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// It has a producer and no transaction yet.
    Empty,
    /// Partitions have been added.
    Ongoing,
    /// To be committed: markers are being written.
    PrepareCommit,
    /// To be aborted: markers are being written.
    PrepareAbort,
    /// Committed; all markers are written.
    CompleteCommit,
    /// Aborted; all markers are written.
    CompleteAbort,
    /// Its id has expired.
    Dead,
    /// Its producer is being fenced. Never written: here fencing and [`Self::PrepareAbort`] are
    /// one step.
    PrepareEpochFence,
}

impl TransactionState {
    const ALL: [(Self, i8, &'static str); 8] = [
        (Self::Empty, 0, "Empty"),
        (Self::Ongoing, 1, "Ongoing"),
        (Self::PrepareCommit, 2, "PrepareCommit"),
        (Self::PrepareAbort, 3, "PrepareAbort"),
        (Self::CompleteCommit, 4, "CompleteCommit"),
        (Self::CompleteAbort, 5, "CompleteAbort"),
        (Self::Dead, 6, "Dead"),
        (Self::PrepareEpochFence, 7, "PrepareEpochFence"),
    ];

    fn row(self) -> (Self, i8, &'static str) {
        Self::ALL.into_iter().find(|row| row.0 == self).expect("every state has its row")
    }

    /// Its number in `__transaction_state`.
    pub fn id(self) -> i8 {
        self.row().1
    }

    /// Its name in Kafka's words.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// The state of this number.
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.1 == id).map(|row| row.0)
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// Whether markers are being written.
    pub const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether an id that stays like this for long is forgotten.
    pub const fn may_expire(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}
