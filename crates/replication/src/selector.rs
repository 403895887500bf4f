//! Which replica a consumer should read from (KIP-392), by rack.

use naru_model::{BrokerId, Offset};

/// A replica that can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The broker.
    pub id: BrokerId,
    /// Its rack.
    pub rack: Option<&'a str>,
    /// Up to where it has the log.
    pub end: Offset,
    /// Its log start.
    pub log_start: Offset,
    /// It leads.
    pub is_leader: bool,
}

/// The replica in the consumer's rack that has `offset`: the leader if it is one of them,
/// otherwise the one that is furthest. None: read from the leader.
pub fn preferred_replica<'a>(
    rack: &str,
    offset: Offset,
    candidates: impl Iterator<Item = Candidate<'a>>,
) -> Option<BrokerId> {
    if rack.is_empty() {
        return None;
    }
    candidates
        .filter(|one| one.rack == Some(rack) && one.log_start <= offset && offset <= one.end)
        .max_by_key(|one| (one.is_leader, one.end, std::cmp::Reverse(one.id)))
        .filter(|best| !best.is_leader)
        .map(|best| best.id)
}
