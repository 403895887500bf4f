//! Share groups at the leaders of their partitions (KIP-932).
//!
//! The rules are `naru_share`'s. Here live the sessions of members, one [`SharedPartition`] for
//! each group and partition that this broker leads, and what brings them together: leaders that
//! change, connections that end, groups that set something else.

mod partition;
mod persist;
mod read;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use naru_controller::image::{ConfigResource, ResourceType};
use naru_controller::{MetadataDelta, MetadataImage};
use naru_model::config::{ShareGroupLimits, SharePartitionsConfig};
use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_share::{Limits, SessionKey, ShareSessions};

pub(crate) use partition::{AckRefusal, Acknowledging, Phase, SharedPartition};
pub(crate) use read::{Acquiring, Taken};

use crate::node::Node;
use crate::partition::Partition;
use crate::peer::ShareKey;

/// The feature that share groups come with.
const SHARE_VERSION: &str = "share.version";

/// See the module.
#[derive(Debug)]
pub(crate) struct ShareGroups {
    sessions: Mutex<ShareSessions>,
    partitions: Mutex<HashMap<ShareKey, Arc<SharedPartition>>>,
    began: Instant,
}

impl ShareGroups {
    pub(crate) fn new(config: &SharePartitionsConfig) -> Self {
        Self {
            sessions: Mutex::new(ShareSessions::new(config.max_sessions)),
            partitions: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// The time by which holds are measured: it tells no date, but nobody sets it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, ShareSessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<ShareKey, Arc<SharedPartition>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share partition over a partition that this broker leads. One that is new here, or of an
    /// earlier leadership, is loaded first.
    pub(crate) fn open(
        &self,
        node: &Arc<Node>,
        key: &ShareKey,
        log: &Arc<Partition>,
    ) -> Arc<SharedPartition> {
        let epoch = log.leader_epoch();
        let mut partitions = self.partitions();
        if let Some(known) = partitions.get(key) {
            if known.is_over(log, epoch) {
                known.stay();
                return Arc::clone(known);
            }
            known.end(ErrorCode::NotLeaderOrFollower);
        }
        let made = SharedPartition::load(node, key.clone(), log, epoch);
        partitions.insert(key.clone(), Arc::clone(&made));
        made
    }

    /// The share partition, if it is here already.
    pub(crate) fn get(&self, key: &ShareKey) -> Option<Arc<SharedPartition>> {
        self.partitions().get(key).cloned()
    }

    /// Takes a share partition out that has ended, unless another is in its place.
    fn forget(&self, gone: &Arc<SharedPartition>) {
        let mut partitions = self.partitions();
        if partitions.get(gone.key()).is_some_and(|known| Arc::ptr_eq(known, gone)) {
            partitions.remove(gone.key());
        }
    }

    /// Ends a member's session: what it holds is given back. False if there was none.
    pub(crate) fn end_session(&self, node: &Arc<Node>, session: &SessionKey) -> bool {
        let (fetched, others) = {
            let mut sessions = self.sessions();
            (sessions.remove(session), sessions.has_group(&session.group))
        };
        let Some(fetched) = fetched else { return false };
        for (topic, partition) in fetched {
            let key = ShareKey { group: Arc::clone(&session.group), topic, partition };
            if let Some(shared) = self.get(&key) {
                shared.release_member(node, &session.member);
            }
        }
        if !others {
            self.leave_group(&session.group);
        }
        true
    }

    /// Ends the sessions of a connection that has ended.
    pub(crate) fn connection_ended(&self, node: &Arc<Node>, connection: u64) {
        let sessions = self.sessions().of_connection(connection);
        for session in sessions {
            self.end_session(node, &session);
        }
    }

    /// Lets go of a group's partitions when it has no member here any more: whatever an
    /// administrator changes meanwhile is read when one comes back.
    fn leave_group(&self, group: &str) {
        let mut partitions = self.partitions();
        let of_group = partitions.iter().filter(|(key, _)| *key.group == *group);
        let idle: Vec<ShareKey> = of_group
            .filter(|(_, shared)| shared.end_when_stored())
            .map(|(key, _)| key.clone())
            .collect();
        for key in idle {
            partitions.remove(&key);
        }
    }

    /// Lets go of share partitions that this broker does not lead any more.
    pub(crate) fn learn(&self, node: &Node, image: &MetadataImage, delta: &MetadataDelta) {
        if delta.partitions_changed.is_empty() && delta.topics_deleted.is_empty() {
            return;
        }
        self.partitions().retain(|key, shared| {
            let topic = image.topic_by_id(key.topic);
            let state = topic.and_then(|topic| topic.partitions.get(&key.partition));
            let leads = state.is_some_and(|state| {
                state.leader == Some(node.id()) && state.leader_epoch == shared.leader_epoch().0
            });
            if !leads {
                let gone = state.is_none();
                shared.end(if gone {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    ErrorCode::NotLeaderOrFollower
                });
            }
            leads
        });
    }

    /// Gives everything up, because the node stops.
    pub(crate) fn unload(&self) {
        for (_, shared) in self.partitions().drain() {
            shared.end(ErrorCode::NotLeaderOrFollower);
        }
    }

    /// Sessions, partitions in sessions, and share partitions here.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let (sessions, followed) = self.sessions().counts();
        (sessions, followed, self.partitions().len())
    }
}

impl Node {
    /// Whether the cluster has share groups.
    pub(crate) fn has_share_groups(&self) -> bool {
        self.image().feature_level(SHARE_VERSION) >= 1
            || self.config().groups.rebalance_protocols.iter().any(|name| name == "share")
    }

    /// What counts for a share group now.
    pub(crate) fn share_limits(&self, group: &str) -> ShareGroupLimits {
        let config = self.layers(SharePartitionsConfig::resolve).unwrap_or_else(|error| {
            tracing::error!(%error, "settings of share groups stay as they were at the start");
            self.config().groups.share_partitions.clone()
        });
        let resource = ConfigResource { kind: ResourceType::Group, name: group.into() };
        config.of_group(&self.image().config(&resource))
    }
}

/// The limits as the core takes them.
pub(crate) fn limits(of: &ShareGroupLimits) -> Limits {
    Limits {
        lock_duration_ms: of.record_lock_duration_ms.into(),
        deliveries_max: u16::try_from(of.delivery_count_limit).unwrap_or(u16::MAX),
        in_flight_max: of.max_record_locks.into(),
        may_renew: of.may_renew,
    }
}

/// The key of a group's state on a partition.
pub(crate) fn share_key(group: &Arc<str>, topic: Uuid, partition: i32) -> ShareKey {
    ShareKey { group: Arc::clone(group), topic, partition }
}
