//! Requests that wait for their answers.

use super::RaftResponse;
use super::quorum::{Quorum, Step};
use super::snapshot_fetch::Download;

/// A request on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    /// The node asked, if its id is known.
    pub(super) peer: Option<i32>,
    /// When it counts as lost.
    pub(super) deadline: i64,
    pub(super) kind: Kind,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For a vote or a pre-vote, whichever the role asks for.
    Vote {
        voter: i32,
    },
    Begin,
    End,
    /// For the log from `offset`.
    Fetch {
        offset: i64,
    },
    /// For a piece of a snapshot.
    Snapshot(Download),
    /// That the voter set say where this node listens.
    Update,
    /// What the voter that is to be added speaks.
    Versions {
        voter: i32,
    },
    /// That the voter set take this node in, or an older directory of it out.
    Join,
}

impl InFlight {
    pub(super) fn is_vote(&self) -> bool {
        matches!(self.kind, Kind::Vote { .. })
    }

    pub(super) fn is_fetch(&self) -> bool {
        matches!(self.kind, Kind::Fetch { .. } | Kind::Snapshot(_))
    }
}

impl Quorum {
    /// Requests whose time is over are lost.
    pub(super) fn expire_requests(&mut self, step: &mut Step<'_>) {
        let late: Vec<u64> = self
            .in_flight
            .iter()
            .filter(|(_, sent)| sent.deadline <= step.now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            // One answer may end the role that the others belong to.
            if let Some(sent) = self.in_flight.remove(&id) {
                self.handle_response(step, sent, None);
            }
        }
    }

    /// Takes the answer to a request; none if there is none.
    #[expect(clippy::needless_pass_by_value, reason = "the request is done with")]
    pub(super) fn handle_response(
        &mut self,
        step: &mut Step<'_>,
        sent: InFlight,
        response: Option<RaftResponse>,
    ) {
        match (sent.kind, response) {
            (Kind::Vote { voter }, Some(RaftResponse::Vote(response))) => {
                self.handle_vote_response(step, voter, Some(&response));
            }
            (Kind::Vote { voter }, _) => self.handle_vote_response(step, voter, None),
            (Kind::Begin, Some(RaftResponse::BeginQuorumEpoch(response))) => {
                self.handle_begin_response(step, &response);
            }
            (Kind::End, Some(RaftResponse::EndQuorumEpoch(response))) => {
                self.handle_end_response(step, &response);
            }
            (Kind::Fetch { offset }, Some(RaftResponse::Fetch(response))) => {
                self.handle_fetch_response(step, sent.peer, offset, &response);
            }
            (Kind::Snapshot(asked), Some(RaftResponse::FetchSnapshot(response))) => {
                self.handle_snapshot_response(step, asked, &response);
            }
            (Kind::Fetch { .. } | Kind::Snapshot(_), _) => self.back_off(step),
            (Kind::Update, Some(RaftResponse::UpdateRaftVoter(response))) => {
                self.handle_update_response(step, &response);
            }
            (Kind::Versions { voter }, Some(RaftResponse::ApiVersions(response))) => {
                self.handle_versions_response(step, voter, &response);
            }
            // Whoever asked for the change hears of it when its time is over.
            (Kind::Versions { .. }, _) => {}
            // Tried again by timers, as long as it is needed.
            (Kind::Begin | Kind::End | Kind::Update | Kind::Join, _) => {}
        }
    }
}
