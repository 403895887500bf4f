//! Storing what has changed: one write at a time, each with all that has come together meanwhile.

use std::sync::Arc;

use naru_model::ErrorCode;

use super::partition::{AckRefusal, Phase, SharedPartition, refusal};
use crate::node::Node;
use crate::peer::{Epochs, write_state};

impl SharedPartition {
    /// Has the share coordinator store what has changed, if that is not under way.
    pub(super) fn persist(self: &Arc<Self>, node: &Arc<Node>) {
        let first = {
            let mut inner = self.inner();
            if inner.phase != Phase::Ready {
                return;
            }
            let epochs = Epochs { leader: self.leader_epoch().0, state: inner.state_epoch };
            inner.core.begin_write().map(|write| (write, epochs))
        };
        let Some((mut write, epochs)) = first else { return };
        let (shared, asked) = (Arc::clone(self), Arc::clone(node));
        node.background().spawn(async move {
            loop {
                let stored = write_state(&asked, shared.key(), epochs, &write).await;
                let next = shared.written(&write, stored);
                shared.arm(&asked);
                match next {
                    Some(next) => write = next,
                    None => break,
                }
            }
            if matches!(shared.phase(), Phase::Ended(_)) {
                asked.share().forget(&shared);
            }
        });
    }

    /// Tells who waited for a write; the next write, if there is one.
    fn written(
        &self,
        write: &naru_share::StateWrite,
        stored: Result<(), ErrorCode>,
    ) -> Option<naru_share::StateWrite> {
        if let Err(error) = stored {
            tracing::warn!(share = %self.name(), %error, "the state could not be stored");
        }
        let answer = stored.map_err(|error| AckRefusal::from(refusal(error)));
        let mut inner = self.inner();
        for ticket in inner.core.end_write(write.id, stored.is_ok()) {
            if let Some(waiting) = inner.waiting.remove(&ticket) {
                // Who has hung up does not hear it.
                let _ = waiting.send(answer.clone());
            }
        }
        inner.wake();
        let lost = stored.err().filter(|error| is_lost(*error));
        let next = inner.core.begin_write().filter(|_| lost.is_none());
        let ends = lost.map(refusal).or_else(|| {
            (next.is_none() && inner.ends_when_stored).then_some(ErrorCode::NotLeaderOrFollower)
        });
        if let Some(error) = ends {
            // Somebody else leads, or the state was changed by an administrator: the next fetch
            // loads it anew. Under the same lock, so that nothing is given out in between.
            inner.end(error);
        }
        drop(inner);
        next.filter(|_| ends.is_none())
    }
}

/// Whether an error means that what is known here is no longer what counts.
fn is_lost(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::FencedLeaderEpoch
            | ErrorCode::FencedStateEpoch
            | ErrorCode::GroupIdNotFound
            | ErrorCode::UnknownTopicOrPartition
            // The state was deleted.
            | ErrorCode::InvalidRequest
    )
}
