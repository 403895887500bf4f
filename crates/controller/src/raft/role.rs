//! What a node is at the moment, and what it knows only while it is that.

use std::collections::BTreeMap;

use super::leader::Leader;
use super::snapshot_fetch::Download;

/// KRaft's states. An observer is unattached or a follower.
#[derive(Debug)]
pub(super) enum Role {
    /// Knows no leader of its epoch.
    Unattached {
        /// When a voter stands for election.
        election_at: i64,
    },
    /// Fetches from the epoch's leader.
    Follower(Follower),
    /// Asks whether it would win an election (KIP-996).
    Prospective(Campaign),
    /// Stands for election in an epoch of its own.
    Candidate(Campaign),
    /// Leads.
    Leader(Box<Leader>),
    /// Led this epoch, and gave it up.
    Resigned {
        /// When a voter stands for election again.
        until: i64,
    },
}

/// A replica that knows its leader.
#[derive(Debug)]
pub(super) struct Follower {
    /// When it gives its leader up, unless a Fetch is answered until then.
    pub(super) fetch_deadline: i64,
    /// Whether this leader has answered a Fetch: then nobody gets a pre-vote against it.
    pub(super) fetched: bool,
    /// The leader is known to be gone or to have resigned.
    pub(super) suspect: bool,
    /// The leader named this node its successor: an election needs no pre-vote.
    pub(super) successor: bool,
    /// When it next looks whether the voter set should say something else of it.
    pub(super) update_at: i64,
    /// The leader has taken what this static voter says of itself.
    pub(super) reported: bool,
    /// The snapshot being downloaded.
    pub(super) download: Option<Download>,
}

/// An election, real or prospective.
#[derive(Debug)]
pub(super) struct Campaign {
    /// The voters' answers; this node's is a grant.
    pub(super) ballots: BTreeMap<i32, Ballot>,
    /// When it is over.
    pub(super) deadline: i64,
    /// It is lost: what is left is to wait until the deadline.
    pub(super) lost: bool,
    /// The known leader is suspected: a lost pre-vote is tried again soon.
    pub(super) suspect: bool,
    /// How many requests were not answered.
    pub(super) unanswered: u32,
}

/// What one voter says to a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ballot {
    /// Nothing yet.
    Open,
    /// It could not be reached; it is asked again then.
    RetryAt(i64),
    /// Yes.
    Granted,
    /// No.
    Rejected,
}

impl Campaign {
    pub(super) fn new(node_id: i32, voters: impl Iterator<Item = i32>, deadline: i64) -> Self {
        let ballot = |id| (id, if id == node_id { Ballot::Granted } else { Ballot::Open });
        let ballots = voters.map(ballot).collect();
        Self { ballots, deadline, lost: false, suspect: false, unanswered: 0 }
    }

    fn count(&self, ballot: Ballot) -> usize {
        self.ballots.values().filter(|cast| **cast == ballot).count()
    }

    pub(super) fn is_won(&self) -> bool {
        self.count(Ballot::Granted) > self.ballots.len() / 2
    }

    pub(super) fn is_rejected(&self) -> bool {
        let open = self.ballots.len().saturating_sub(self.count(Ballot::Rejected));
        open <= self.ballots.len() / 2
    }

    /// The next time at which a voter is to be asked again.
    pub(super) fn retry_at(&self) -> Option<i64> {
        let at = |ballot: &Ballot| match ballot {
            Ballot::RetryAt(at) => Some(*at),
            Ballot::Open | Ballot::Granted | Ballot::Rejected => None,
        };
        if self.lost { None } else { self.ballots.values().filter_map(at).min() }
    }
}
