//! The words of this crate: states as they are stored, limits, tickets.

use naru_model::Offset;

/// What has become of a record, as it is stored; the number is Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It may be delivered, for the first time or again.
    Available,
    /// A member has processed it.
    Acknowledged,
    /// It is given up: rejected, delivered too often, or no record at all.
    Archived,
}

impl DeliveryState {
    /// The number in messages and on disk.
    #[must_use]
    pub fn id(self) -> i8 {
        match self {
            Self::Available => 0,
            Self::Acknowledged => 2,
            Self::Archived => 4,
        }
    }

    /// What a stored number means. A record that was held when its state was stored is not held
    /// by anybody who could be asked: it is available.
    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 | 1 => Some(Self::Available),
            2 => Some(Self::Acknowledged),
            3 | 4 => Some(Self::Archived),
            _ => None,
        }
    }

    /// Whether the record will never be delivered again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self != Self::Available
    }
}

/// A range of offsets with one state; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBatch {
    /// First offset.
    pub first: Offset,
    /// Last offset.
    pub last: Offset,
    /// State of each.
    pub state: DeliveryState,
    /// How often each has been delivered.
    pub deliveries: u16,
}

/// What a group is limited to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `share.record.lock.duration.ms`: how long a member may hold a record.
    pub lock_duration_ms: i64,
    /// `share.delivery.count.limit`: deliveries before a record is given up.
    pub deliveries_max: u16,
    /// `share.partition.max.record.locks`: records that may be between the start offset and the
    /// end without being done with.
    pub in_flight_max: i64,
    /// `share.renew.acknowledge.enable`
    pub may_renew: bool,
}

impl Default for Limits {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { lock_duration_ms: 30_000, deliveries_max: 5, in_flight_max: 2000, may_renew: true }
    }
}

/// Whose acknowledgement a write stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names a write until its end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteId(pub u64);
