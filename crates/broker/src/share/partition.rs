//! A share partition in its shell: loaded from the share coordinator, changed under one lock, with
//! a timer for holds that end and fetches that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use naru_model::config::ShareOffsetReset;
use naru_model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use naru_share::{AckBatch, AckError, Acknowledged, SharePartition, Ticket};
use tokio::sync::{Notify, oneshot};

use super::limits;
use crate::node::{Node, millis};
use crate::partition::Partition;
use crate::peer::{ShareKey, StoredState, read_state};

/// How long who asks for a share partition whose state is lost waits for that answer.
const STATE_LOST_PAUSE: Duration = Duration::from_millis(250);

/// Result of acknowledgements that are to be stored.
pub(crate) type Stored = Result<(), AckRefusal>;

/// Why acknowledgements do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AckRefusal {
    pub(crate) error: ErrorCode,
    pub(crate) message: Option<String>,
}

impl From<ErrorCode> for AckRefusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}

impl From<AckError> for AckRefusal {
    fn from(error: AckError) -> Self {
        Self { error: error.into(), message: Some(error.to_string()) }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedPartition {
    key: ShareKey,
    log: Arc<Partition>,
    leader_epoch: LeaderEpoch,
    inner: Mutex<Inner>,
}

/// Whether it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Loading,
    Ready,
    /// It will not serve any more, because of this.
    Ended(ErrorCode),
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) phase: Phase,
    pub(super) core: SharePartition,
    pub(super) state_epoch: i32,
    /// Who waits for what is being stored.
    pub(super) waiting: HashMap<Ticket, oneshot::Sender<Stored>>,
    /// Fetches that wait for something to be available.
    fetches: Vec<Weak<Notify>>,
    /// When the timer goes off, if it is set.
    timer: Option<Timestamp>,
    /// It ends as soon as all is stored.
    pub(super) ends_when_stored: bool,
}

/// What becomes of acknowledgements.
#[derive(Debug)]
pub(crate) enum Acknowledging {
    Done(Stored),
    Storing(oneshot::Receiver<Stored>),
}

impl Acknowledging {
    /// Waits until it is known.
    pub(crate) async fn settled(self) -> Stored {
        match self {
            Self::Done(stored) => stored,
            Self::Storing(stored) => {
                stored.await.unwrap_or_else(|_| Err(ErrorCode::NotLeaderOrFollower.into()))
            }
        }
    }
}

impl SharedPartition {
    /// A share partition that is being loaded.
    pub(super) fn load(
        node: &Arc<Node>,
        key: ShareKey,
        log: &Arc<Partition>,
        leader_epoch: LeaderEpoch,
    ) -> Arc<Self> {
        let inner = Inner {
            phase: Phase::Loading,
            core: SharePartition::load(Offset::ZERO, &[]),
            state_epoch: 0,
            waiting: HashMap::new(),
            fetches: Vec::new(),
            timer: None,
            ends_when_stored: false,
        };
        let log = Arc::clone(log);
        let made = Arc::new(Self { key, log, leader_epoch, inner: Mutex::new(inner) });
        let (loading, asked) = (Arc::clone(&made), Arc::clone(node));
        node.background().spawn(async move {
            match read_state(&asked, &loading.key, loading.leader_epoch.0).await {
                Ok(stored) => loading.loaded(&asked, &stored),
                Err(error) => {
                    let share = loading.name();
                    if error == ErrorCode::InvalidRequest {
                        tracing::warn!(
                            %share,
                            "the share coordinator has no state, but the group has begun: \
                             __share_group_state was lost. Stop the group's members, then say where \
                             they go on: kafka-share-groups --reset-offsets"
                        );
                        // Members ask again at once.
                        tokio::time::sleep(STATE_LOST_PAUSE).await;
                    } else {
                        tracing::warn!(%share, %error, "cannot be loaded");
                    }
                    loading.end(refusal(error));
                    asked.share().forget(&loading);
                }
            }
        });
        made
    }

    fn loaded(&self, node: &Node, stored: &StoredState) {
        let start = stored.start.unwrap_or_else(|| {
            first_offset(&self.log, node.share_limits(&self.key.group).offset_reset, node.now())
        });
        let mut inner = self.inner();
        if inner.phase != Phase::Loading {
            return;
        }
        inner.core = SharePartition::load(start, &stored.batches);
        inner.core.move_log_start(self.log.log_start());
        inner.state_epoch = stored.state_epoch;
        inner.phase = Phase::Ready;
        tracing::debug!(share = %self.name(), start = %inner.core.start(), "loaded");
        inner.wake();
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> &ShareKey {
        &self.key
    }

    pub(super) fn log(&self) -> &Arc<Partition> {
        &self.log
    }

    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.key.group, self.log.name())
    }

    /// Whether it is that of this partition in this leadership, and serves or will.
    pub(super) fn is_over(&self, log: &Arc<Partition>, epoch: LeaderEpoch) -> bool {
        let has_ended = matches!(self.phase(), Phase::Ended(_));
        Arc::ptr_eq(&self.log, log) && self.leader_epoch == epoch && !has_ended
    }

    /// Whether it serves.
    pub(crate) fn phase(&self) -> Phase {
        self.inner().phase
    }

    /// Wakes `fetch` when something may have become available here.
    pub(crate) fn park(&self, fetch: &Arc<Notify>) {
        let mut inner = self.inner();
        let fetch = Arc::downgrade(fetch);
        // One that looks again is here once all the same.
        inner.fetches.retain(|waiting| waiting.strong_count() > 0 && !waiting.ptr_eq(&fetch));
        inner.fetches.push(fetch);
    }

    /// Takes in what a member says of records that it holds.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        node: &Arc<Node>,
        member: &str,
        batches: &[AckBatch],
    ) -> Acknowledging {
        let limits = limits(&node.share_limits(&self.key.group));
        let mut inner = self.inner();
        match inner.phase {
            Phase::Ready => {}
            // Nobody can hold anything yet.
            Phase::Loading => {
                return Acknowledging::Done(Err(ErrorCode::InvalidRecordState.into()));
            }
            Phase::Ended(error) => return Acknowledging::Done(Err(error.into())),
        }
        match inner.core.acknowledge(node.share().now(), member, batches, &limits) {
            Err(error) => {
                tracing::debug!(share = %self.name(), member, %error, "acknowledgements refused");
                Acknowledging::Done(Err(error.into()))
            }
            Ok(Acknowledged::AtOnce) => {
                drop(inner);
                self.arm(node);
                Acknowledging::Done(Ok(()))
            }
            Ok(Acknowledged::WhenStored(ticket)) => {
                let (sender, receiver) = oneshot::channel();
                inner.waiting.insert(ticket, sender);
                drop(inner);
                self.persist(node);
                Acknowledging::Storing(receiver)
            }
        }
    }

    /// Gives back what a member holds, who is gone.
    pub(super) fn release_member(self: &Arc<Self>, node: &Arc<Node>, member: &str) {
        let limits = limits(&node.share_limits(&self.key.group));
        let mut inner = self.inner();
        if inner.phase == Phase::Ready && inner.core.release_member(member, &limits) {
            inner.wake();
            drop(inner);
            self.persist(node);
        }
    }

    /// Ends: who waits is told `error`.
    pub(crate) fn end(&self, error: ErrorCode) {
        self.inner().end(error);
    }

    /// Ends at once if all is stored, which is told, or else as soon as it is.
    pub(super) fn end_when_stored(&self) -> bool {
        let mut inner = self.inner();
        let is_stored = inner.phase != Phase::Ready || inner.core.is_stored();
        inner.ends_when_stored = !is_stored;
        if is_stored {
            inner.end(ErrorCode::NotLeaderOrFollower);
        }
        is_stored
    }

    /// A member has come back before it ended.
    pub(super) fn stay(&self) {
        self.inner().ends_when_stored = false;
    }

    /// Sets the timer for holds that end.
    pub(super) fn arm(self: &Arc<Self>, node: &Arc<Node>) {
        let mut inner = self.inner();
        let Some(deadline) = inner.core.next_deadline().filter(|_| inner.phase == Phase::Ready)
        else {
            return;
        };
        if inner.timer.is_some_and(|set| set <= deadline) {
            return;
        }
        inner.timer = Some(deadline);
        drop(inner);
        let (shared, node) = (Arc::downgrade(self), Arc::clone(node));
        let pause = millis((deadline.0 - node.share().now().0).max(1));
        node.clone().background().spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(shared) = shared.upgrade() {
                shared.on_timer(&node, deadline);
            }
        });
    }

    fn on_timer(self: &Arc<Self>, node: &Arc<Node>, deadline: Timestamp) {
        let limits = limits(&node.share_limits(&self.key.group));
        let mut inner = self.inner();
        if inner.timer != Some(deadline) {
            // An earlier one was set since, and set another.
            return;
        }
        inner.timer = None;
        let any = inner.phase == Phase::Ready && inner.core.tick(node.share().now(), &limits);
        if any {
            inner.wake();
        }
        drop(inner);
        if any {
            self.persist(node);
        }
        self.arm(node);
    }
}

impl Inner {
    /// See [`SharedPartition::end`].
    pub(super) fn end(&mut self, error: ErrorCode) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.phase = Phase::Ended(error);
        for (_, waiting) in self.waiting.drain() {
            // Who has hung up does not hear it.
            let _ = waiting.send(Err(error.into()));
        }
        self.wake();
    }

    /// Wakes fetches: something may be available.
    pub(super) fn wake(&mut self) {
        for fetch in self.fetches.drain(..) {
            if let Some(fetch) = fetch.upgrade() {
                fetch.notify_one();
            }
        }
    }
}

/// Where a group begins to read.
fn first_offset(log: &Partition, reset: ShareOffsetReset, now: Timestamp) -> Offset {
    match reset {
        ShareOffsetReset::Earliest => log.log_start(),
        ShareOffsetReset::Latest => log.high_watermark(),
        ShareOffsetReset::ByDuration { ms } => {
            let found = log.offset_at_time(now.0.saturating_sub(ms)).unwrap_or_else(|error| {
                tracing::warn!(partition = %log.name(), %error, "no offset by time");
                None
            });
            found.map_or_else(|| log.high_watermark(), |found| Offset(found.offset))
        }
    }
}

/// What a client is told of an error of the share coordinator. As in Kafka, but that one that is
/// not reached is told as what it is to a client, not as UNKNOWN_SERVER_ERROR.
pub(super) fn refusal(error: ErrorCode) -> ErrorCode {
    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else says nothing to a client")]
    match error {
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NetworkException
        | ErrorCode::BrokerNotAvailable => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        ErrorCode::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => {
            ErrorCode::NotLeaderOrFollower
        }
        _ => ErrorCode::UnknownServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_share_coordinator_refuses_is_told_as_by_kafka() {
        use ErrorCode as E;
        for (refused, told) in [
            (E::NotCoordinator, E::CoordinatorNotAvailable),
            (E::CoordinatorNotAvailable, E::CoordinatorNotAvailable),
            (E::CoordinatorLoadInProgress, E::CoordinatorNotAvailable),
            (E::GroupIdNotFound, E::GroupIdNotFound),
            (E::UnknownTopicOrPartition, E::UnknownTopicOrPartition),
            (E::FencedLeaderEpoch, E::NotLeaderOrFollower),
            (E::FencedStateEpoch, E::NotLeaderOrFollower),
            (E::InvalidRequest, E::UnknownServerError),
            (E::UnsupportedVersion, E::UnknownServerError),
            // Kafka: UNKNOWN_SERVER_ERROR.
            (E::NetworkException, E::CoordinatorNotAvailable),
        ] {
            assert_eq!(refusal(refused), told, "{refused}");
        }
    }
}
