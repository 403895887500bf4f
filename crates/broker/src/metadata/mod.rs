//! Hosts the metadata quorum and the controller: decisions go in, committed metadata comes out as
//! an immutable image that every handler reads without locks.
//!
//! The rules are `naru_controller`'s. `driver` is the loop that owns `__cluster_metadata-0`,
//! `journal` its files, `transport` its way to other voters, `open` its start. Every node runs
//! the loop: as a voter, or as an observer that only follows.

mod driver;
mod files;
mod journal;
mod open;
mod suspects;
mod transport;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use naru_controller::image::ConfigResource;
use naru_controller::raft::{RaftRequest, RaftResponse};
use naru_controller::{Controller, Decision, MetadataDelta, MetadataImage};
use naru_model::config::{Layers, Props};
use naru_model::{ErrorCode, Uuid};
use tokio::sync::{oneshot, watch};

use crate::node::Node;
pub(crate) use driver::Deciding;
use driver::{Done, Input, Job};
use suspects::{Suspects, VERDICT_MAX};

/// How long clients are told of a broker that has left; see [`MetadataHost::has_just_left`].
const DEPARTED_LISTED: Duration = Duration::from_secs(5);
/// How long a stop waits for the loop to close its log.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Who leads the metadata quorum, as far as this node knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader: Option<i32>,
    pub(crate) epoch: i32,
    /// Where the leader's controller listener is.
    pub(crate) endpoint: Option<(String, u16)>,
    /// This node is the active controller.
    pub(crate) active_here: bool,
    /// How many voters there are.
    pub(crate) voters: usize,
    /// The finalized `kraft.version`.
    pub(crate) kraft_version: i16,
}

/// A new image, what changed since the one before, and answers that go out when this node has
/// reacted to it.
struct Reaction {
    image: Arc<MetadataImage>,
    delta: MetadataDelta,
    /// Asked for by the node itself: no change of the image's.
    again: bool,
    done: Vec<Done>,
}

impl Reaction {
    /// Whether a node has to react to it that was put together with the image that ends at `known`.
    /// What it asked for itself it did with that image or a newer one.
    fn is_due(&self, known: i64) -> bool {
        self.again || self.image.end_offset() > known
    }
}

/// What the loop and everybody else have in common.
#[derive(Debug)]
struct Shared {
    image: RwLock<Arc<MetadataImage>>,
    /// The end offset of the image.
    end: watch::Sender<i64>,
    leadership: watch::Sender<Leadership>,
    /// `None` once the node has stopped.
    reactions: Mutex<Option<Sender<Reaction>>>,
    failure: watch::Sender<Option<String>>,
    /// When the image last was all that was committed; `None` before the first time.
    current_at: Mutex<Option<Instant>>,
    /// Brokers that were fenced lately, and when.
    departed: Mutex<HashMap<i32, Instant>>,
    suspects: Suspects,
    /// Leaders elected out of sync while this node was the active controller.
    unclean_elections: AtomicU64,
    file: Arc<Props>,
    node_id: i32,
}

impl Shared {
    fn new(node_id: i32, file: Props, reactions: Sender<Reaction>) -> Self {
        Self {
            image: RwLock::default(),
            end: watch::Sender::new(0),
            leadership: watch::Sender::default(),
            reactions: Mutex::new(Some(reactions)),
            failure: watch::Sender::default(),
            current_at: Mutex::default(),
            departed: Mutex::default(),
            suspects: Suspects::default(),
            unclean_elections: AtomicU64::new(0),
            file: Arc::new(file),
            node_id,
        }
    }

    fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn empty_controller(&self) -> Controller {
        Controller::new(self.node_id, Arc::clone(&self.file))
    }

    /// Shows an image to everybody, then lets the node react.
    fn publish(&self, reaction: Reaction) {
        self.note_departures(&reaction);
        if self.leadership.borrow().active_here {
            let count = unclean_elections(&self.image(), &reaction);
            self.unclean_elections.fetch_add(count, Ordering::Relaxed);
        }
        let end = reaction.image.end_offset();
        *self.image.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&reaction.image);
        self.end.send_replace(end);
        if reaction.delta.is_empty() && reaction.done.is_empty() {
            return;
        }
        let reactions = self.reactions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reactions) = reactions.as_ref() {
            // Nobody reacts any more when the node has stopped.
            let _ = reactions.send(reaction);
        }
    }

    /// Has this node react once more to what is published, and publishes nothing: the loop may
    /// have something newer meanwhile.
    fn react(&self, delta: MetadataDelta, again: bool, done: Vec<Done>) {
        let reactions = self.reactions.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: no reaction to something newer is in the queue before this one.
        let image = Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(reactions) = reactions.as_ref() {
            // Nobody reacts any more when the node has stopped.
            let _ = reactions.send(Reaction { image, delta, again, done });
        }
    }

    fn note_departures(&self, reaction: &Reaction) {
        if reaction.delta.brokers_changed.is_empty() {
            return;
        }
        let before = self.image();
        let mut departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        departed.retain(|_, since| since.elapsed() < DEPARTED_LISTED);
        for id in &reaction.delta.brokers_changed {
            let was_here = before.is_alive(*id);
            if was_here && reaction.image.broker(*id).is_some_and(|broker| broker.fenced) {
                departed.insert(*id, Instant::now());
            }
        }
    }

    /// Shows the image that a start begins with; the node is not there yet to react.
    fn publish_first(&self, image: Arc<MetadataImage>) {
        self.end.send_replace(image.end_offset());
        *self.image.write().unwrap_or_else(PoisonError::into_inner) = image;
    }

    fn tell(&self, leadership: Leadership) {
        self.leadership.send_if_modified(|known| {
            let changed = *known != leadership;
            *known = leadership;
            changed
        });
    }

    fn fail(&self, reason: String) {
        self.failure.send_if_modified(|known| known.replace(reason).is_none());
    }
}

/// How many partitions got a leader that was neither in sync nor eligible (KIP-966).
fn unclean_elections(before: &MetadataImage, reaction: &Reaction) -> u64 {
    let unclean = |(topic, index): &&(Uuid, i32)| {
        let of = |image: &MetadataImage| {
            image.topic_by_id(*topic).and_then(|topic| topic.partitions.get(index)).cloned()
        };
        let (Some(old), Some(new)) = (of(before), of(&reaction.image)) else { return false };
        let leader = new.leader.filter(|leader| old.leader != Some(*leader));
        leader.is_some_and(|leader| !old.isr.contains(&leader) && !old.elr.contains(&leader))
    };
    reaction.delta.partitions_changed.iter().filter(unclean).count() as u64
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MetadataHost {
    shared: Arc<Shared>,
    inbox: Sender<Input>,
    /// Taken by whoever reacts, once the node is put together.
    reactions: Mutex<Option<Receiver<Reaction>>>,
    /// Brokers whose connection has ended, and the registration they had then.
    lost: Mutex<HashMap<i32, i64>>,
}

impl MetadataHost {
    /// The cluster as it is.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.shared.image()
    }

    /// This node's registration; changes with every start.
    pub(crate) fn broker_epoch(&self) -> i64 {
        self.image().broker(self.shared.node_id).map_or(-1, |broker| broker.epoch)
    }

    /// Whether clients are still told of a broker that is fenced: for a moment after it left.
    ///
    /// librdkafka takes a broker that is no longer listed apart at once, and its partitions with
    /// it, even if the same answer names their new leaders; they then wait for its next look at
    /// all topics, up to a second.
    pub(crate) fn has_just_left(&self, id: i32) -> bool {
        let departed = self.shared.departed.lock().unwrap_or_else(PoisonError::into_inner);
        departed.get(&id).is_some_and(|since| since.elapsed() < DEPARTED_LISTED)
    }

    /// Notes that a connection to a broker has ended.
    pub(crate) fn suspect(&self, id: i32) {
        self.shared.suspects.add(&self.image(), id);
    }

    /// Notes that a broker answers.
    pub(crate) fn trust(&self, id: i32) {
        self.shared.suspects.clear(id);
    }

    /// Waits a moment for the controller's verdict on brokers that may be gone.
    pub(crate) async fn settle_suspicions(&self) {
        if !self.shared.suspects.any(&self.image()) {
            return;
        }
        let settled = self.wait_for(|image| !self.shared.suspects.any(image));
        // Without a verdict the clients are told what is known.
        let _ = tokio::time::timeout(VERDICT_MAX, settled).await;
    }

    /// See [`Shared::unclean_elections`].
    pub(crate) fn unclean_elections(&self) -> u64 {
        self.shared.unclean_elections.load(Ordering::Relaxed)
    }

    /// Who leads, and news of it.
    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.subscribe()
    }

    /// Why the metadata log can no longer be used, and news of it.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<String>> {
        self.shared.failure.subscribe()
    }

    /// Waits until `enough` is true of the image.
    pub(crate) async fn wait_for(&self, mut enough: impl FnMut(&MetadataImage) -> bool) {
        let mut end = self.shared.end.subscribe();
        // The sender lives as long as this host.
        let _ = end.wait_for(|_| enough(&self.image())).await;
    }

    /// Whether the image cannot be older than `age`.
    pub(crate) fn is_current(&self, age: Duration) -> bool {
        let at = *self.shared.current_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < age)
    }

    /// The layers below a topic's own settings.
    pub(crate) fn with_layers<T>(&self, with: impl FnOnce(&Layers<'_>) -> T) -> T {
        let shared = &self.shared;
        let layers = self.image().config_layers(shared.node_id, &shared.file);
        with(&layers.layers())
    }

    /// What is set on a topic.
    pub(crate) fn topic_props(&self, topic: &str) -> Arc<Props> {
        self.image().config(&ConfigResource::topic(topic))
    }

    /// Decides, if this node is the active controller; the answer comes when the decision is
    /// committed and this node has reacted to it.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Deciding<'_>) -> Decision<R> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.submit(decide, true).await
    }

    /// As [`Self::decide`], without waiting for this node's own reaction.
    pub(crate) async fn decide_only<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Deciding<'_>) -> Decision<R> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.submit(decide, false).await
    }

    async fn submit<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Deciding<'_>) -> Decision<R> + Send + 'static,
        after_reaction: bool,
    ) -> Result<R, ErrorCode> {
        let (answer, decided) = oneshot::channel();
        // One of the two closures is called, once.
        let answer = Arc::new(Mutex::new(Some(answer)));
        let take = |answer: &Mutex<Option<oneshot::Sender<_>>>| {
            answer.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        let refused = Arc::clone(&answer);
        let job = Job {
            run: Box::new(move |deciding| {
                let Decision { records, response } = decide(deciding);
                let done = move |committed: Result<(), ErrorCode>| {
                    if let Some(answer) = take(&answer) {
                        // Whoever asked may have hung up.
                        let _ = answer.send(committed.map(|()| response));
                    }
                };
                (records, Box::new(done))
            }),
            refuse: Box::new(move |error| {
                if let Some(answer) = take(&refused) {
                    let _ = answer.send(Err(error));
                }
            }),
            after_reaction,
        };
        self.inbox.send(Input::Decide(job)).map_err(|_| ErrorCode::NotController)?;
        decided.await.unwrap_or(Err(ErrorCode::NotController))
    }

    /// Hands a request of the quorum's protocol to the core. None if the node stops.
    pub(crate) async fn raft(&self, version: i16, request: RaftRequest) -> Option<RaftResponse> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Input::Raft { version, request, reply }).ok()?;
        answer.await.ok()
    }

    /// Looks whether a broker is gone whose heartbeats came over a connection that has ended.
    pub(crate) fn broker_connection_ended(&self, node: &Arc<Node>, id: i32, epoch: i64) {
        let Some(broker) = self.image().broker(id).filter(|b| b.epoch == epoch).cloned() else {
            return;
        };
        if id == node.id() {
            return;
        }
        self.suspect(id);
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(id, epoch);
        if broker.fenced {
            return;
        }
        let inbox = self.inbox.clone();
        node.background().spawn(async move {
            if transport::broker_is_gone(&broker).await {
                // The loop has ended: the node stops.
                let _ = inbox.send(Input::BrokerGone { id, epoch });
            }
        });
    }

    /// Lets `node` react to every change on a thread of its own, until the node stops. Changes up
    /// to `known`, the end offset of the image that its partitions were opened with, are part of
    /// that already: to react to them would be to go back in time.
    pub(crate) fn start_reacting(
        &self,
        node: &Arc<Node>,
        known: i64,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let taken = self.reactions.lock().unwrap_or_else(PoisonError::into_inner).take();
        let node = Arc::clone(node);
        std::thread::Builder::new().name("reactions".to_owned()).spawn(move || {
            for reaction in taken.into_iter().flatten() {
                if reaction.is_due(known) {
                    node.react(&reaction.image, &reaction.delta);
                }
                reaction.done.into_iter().for_each(|done| done(Ok(())));
            }
        })
    }

    /// Waits until this node has reacted to everything that is published now.
    pub(crate) async fn after_reactions(&self) {
        let (told, reacted) = oneshot::channel();
        let done: Done = Box::new(move |_| {
            // Whoever waited may have given up.
            let _ = told.send(());
        });
        self.shared.react(MetadataDelta::default(), false, vec![done]);
        // Dropped unanswered when the node stops.
        let _ = reacted.await;
    }

    /// Has this node react to these as if they had just changed.
    pub(crate) fn react_again(&self, delta: MetadataDelta) {
        self.shared.react(delta, true, Vec::new());
    }

    /// Whether the last process of this registration is known to be gone.
    pub(crate) fn has_lost(&self, id: i32, epoch: i64) -> bool {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get(&id) == Some(&epoch)
    }

    /// The finalized `kraft.version`: 0 with static voters, 1 with voters in the log.
    pub(crate) fn kraft_version(&self) -> i16 {
        self.shared.leadership.borrow().kraft_version
    }

    /// Whether anybody else may lead the quorum.
    pub(crate) fn has_other_voters(&self) -> bool {
        self.shared.leadership.borrow().voters > 1
    }

    /// Hands leadership of the quorum to another voter, if there is one.
    pub(crate) fn resign(&self) {
        // The loop has ended already.
        let _ = self.inbox.send(Input::Resign);
    }

    /// The node cannot go on: the metadata log's directory has failed, or there is none left for
    /// partitions.
    pub(crate) fn give_up(&self, reason: String) {
        self.shared.fail(reason.clone());
        // The loop has ended already.
        let _ = self.inbox.send(Input::GiveUp(reason));
    }

    /// Ends the loop and closes the metadata log. Whether everything is on the disk.
    pub(crate) fn close(&self) -> bool {
        let (sender, stopped) = channel();
        if self.inbox.send(Input::Stop(sender)).is_err() {
            return false;
        }
        let closed = stopped.recv_timeout(CLOSE_MAX).unwrap_or(false);
        // Ends the thread that reacts.
        self.shared.reactions.lock().unwrap_or_else(PoisonError::into_inner).take();
        closed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_node_asks_of_itself_is_due_though_nothing_has_been_published_since() {
        let (sender, reactions) = channel();
        let shared = Shared::new(1, Props::default(), sender);
        let known = shared.image().end_offset();
        let partitions_changed = BTreeSet::from([(Uuid(7), 0)]);
        let delta = || MetadataDelta {
            partitions_changed: partitions_changed.clone(),
            ..MetadataDelta::default()
        };
        shared.react(delta(), true, Vec::new());
        shared.publish(Reaction {
            image: shared.image(),
            delta: delta(),
            again: false,
            done: Vec::new(),
        });
        let due: Vec<bool> = reactions.try_iter().map(|reaction| reaction.is_due(known)).collect();
        assert_eq!(due, [true, false]);
    }
}
