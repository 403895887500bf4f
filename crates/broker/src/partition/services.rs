//! What all partitions of a node share for replication: the clock, the other brokers, and the way
//! to the controller.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use naru_controller::MetadataImage;
use naru_model::{BrokerEpoch, BrokerId, Offset};
use naru_replication::{BrokerState, Brokers, Candidate, FollowerInfo, IsrProposal};
use tokio::sync::mpsc;

use super::Partition;
use super::throttle::Throttles;

/// Time at which the clock of replication starts: far enough from 0, which means "never".
const CLOCK_START_MS: i64 = 1 << 40;

/// A change of an ISR, to be sent to the controller.
#[derive(Debug)]
pub(crate) struct Proposed {
    pub(crate) partition: Arc<Partition>,
    pub(crate) proposal: IsrProposal,
}

#[derive(Debug, Clone)]
struct Known {
    state: BrokerState,
    rack: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Replication {
    here: BrokerId,
    lag_time_max_ms: i64,
    started: Instant,
    brokers: RwLock<HashMap<BrokerId, Known>>,
    throttles: Throttles,
    proposals: mpsc::UnboundedSender<Proposed>,
}

impl Replication {
    /// For the broker `here`; the ISR changes that partitions want come out of the receiver.
    pub(crate) fn new(
        here: i32,
        lag_time_max_ms: i64,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Proposed>) {
        let (proposals, receiver) = mpsc::unbounded_channel();
        let replication = Self {
            here: BrokerId(here),
            lag_time_max_ms,
            started: Instant::now(),
            brokers: RwLock::default(),
            throttles: Throttles::default(),
            proposals,
        };
        (Arc::new(replication), receiver)
    }

    pub(crate) fn here(&self) -> BrokerId {
        self.here
    }

    pub(crate) fn lag_time_max_ms(&self) -> i64 {
        self.lag_time_max_ms
    }

    pub(crate) fn throttles(&self) -> &Throttles {
        &self.throttles
    }

    /// Milliseconds on a clock that nobody sets.
    pub(crate) fn now_ms(&self) -> i64 {
        CLOCK_START_MS + i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// Takes over which brokers there are.
    pub(crate) fn learn_brokers(&self, image: &MetadataImage) {
        let known = |broker: &Arc<naru_controller::image::BrokerImage>| {
            let state =
                BrokerState { epoch: BrokerEpoch(broker.epoch), active: broker.is_active() };
            (BrokerId(broker.id), Known { state, rack: broker.rack.clone() })
        };
        let all = image.brokers().map(known).collect();
        *self.brokers.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Whether a broker with this rack is there.
    pub(crate) fn knows_rack(&self, rack: &str) -> bool {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        brokers.values().any(|known| known.rack.as_deref() == Some(rack))
    }

    /// The replica that a consumer in `rack` should read `offset` from, if not from the leader.
    pub(crate) fn preferred(
        &self,
        rack: &str,
        offset: Offset,
        leader: (Offset, Offset),
        isr: &[BrokerId],
        followers: &[FollowerInfo],
    ) -> Option<BrokerId> {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        let own = Candidate {
            id: self.here,
            rack: brokers.get(&self.here).and_then(|known| known.rack.as_deref()),
            end: leader.1,
            log_start: leader.0,
            is_leader: true,
        };
        let others = followers.iter().filter(|f| isr.contains(&f.id)).filter_map(|follower| {
            let known = brokers.get(&follower.id).filter(|known| known.state.active)?;
            Some(Candidate {
                id: follower.id,
                rack: known.rack.as_deref(),
                end: follower.end?,
                log_start: follower.log_start?,
                is_leader: false,
            })
        });
        naru_replication::preferred_replica(rack, offset, others.chain([own]))
    }

    pub(super) fn propose(&self, partition: &Arc<Partition>, proposal: IsrProposal) {
        // Nobody listens any more when the node stops.
        let _ = self.proposals.send(Proposed { partition: Arc::clone(partition), proposal });
    }
}

impl Brokers for Replication {
    fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        brokers.get(&id).map(|known| known.state)
    }
}
