//! A follower's rule for a log that has diverged from its leader's (KIP-101, 279, 595).

use naru_model::{LeaderEpoch, Offset};

/// The last epoch up to the asked one, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end: Offset,
}

/// Where a follower cuts its log when the leader has said up to where the logs can be equal.
///
/// `here` is what the follower's own log knows of the leader's epoch: the last epoch up to it and
/// its end. If the follower has records of an epoch that the leader never had, one round is not
/// enough: the next fetch tells of the epoch before, until both agree.
pub fn truncation(leader: Divergence, here: Option<Divergence>, log_end: Offset) -> Offset {
    match here {
        // It has that epoch: equal up to the shorter of both.
        Some(known) if known.epoch == leader.epoch => known.end.min(leader.end).min(log_end),
        // It has an older one only: that is where the next look begins.
        Some(known) => known.end.min(log_end),
        None => leader.end.min(log_end),
    }
}
