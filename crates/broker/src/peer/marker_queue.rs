//! Markers of many transactions go to a broker in one request (WriteTxnMarkers): what comes while
//! requests to it are under way goes with the next one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WriteTxnMarkersRequest,
};
use naru_protocol::messages::write_txn_markers_response::WritableTxnMarkerTopicResult;
use tokio::sync::oneshot;

use crate::node::Node;

/// Requests to one broker at a time; with one, a marker would wait for two round trips.
const UNDER_WAY_MAX: usize = 4;
/// A request that takes longer, because a partition cannot store its marker, holds up no others.
const UNDER_WAY_TIME_MAX: Duration = Duration::from_millis(200);
/// Partitions that one request is about, but for those of a single transaction.
const PARTITIONS_MAX: usize = 10_000;
/// Markers that wait for one broker; more are tried again later.
const WAITING_MAX: usize = 100_000;

/// The coordinator's epoch; none when the markers are its business no longer.
pub(crate) type CoordinatorEpoch = Arc<dyn Fn() -> Option<i32> + Send + Sync>;

/// What a broker says of one marker, by topic.
pub(super) type Written = Vec<WritableTxnMarkerTopicResult>;

/// One transaction's marker on its way to one broker.
struct Waiting {
    /// Without the coordinator's epoch, which is that of when it is sent.
    marker: WritableTxnMarker,
    epoch: CoordinatorEpoch,
    answer: oneshot::Sender<Written>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("marker", &self.marker).finish_non_exhaustive()
    }
}

/// What goes to one broker.
#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<T>,
    under_way: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), under_way: 0 }
    }
}

impl<T> Queue<T> {
    fn push(&mut self, one: T) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push_back(one);
        }
        has_room
    }

    /// What goes with the next request, if it may go now; `about` says whose marker something is
    /// and for how many partitions. Answers tell producers, so each has one marker in a request.
    fn next(&mut self, about: impl Fn(&T) -> (i64, usize)) -> Option<Vec<T>> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let (mut batch, mut producers, mut partitions) = (Vec::new(), HashSet::new(), 0_usize);
        while let Some(one) = self.waiting.front() {
            let (producer, count) = about(one);
            partitions = partitions.saturating_add(count);
            let fits = batch.is_empty() || partitions <= PARTITIONS_MAX;
            if !fits || !producers.insert(producer) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        self.under_way += usize::from(!batch.is_empty());
        Some(batch).filter(|batch| !batch.is_empty())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct MarkerQueues {
    queues: Mutex<HashMap<i32, Queue<Waiting>>>,
}

impl MarkerQueues {
    fn queues(&self) -> MutexGuard<'_, HashMap<i32, Queue<Waiting>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, broker: i32, one: Waiting) -> bool {
        self.queues().entry(broker).or_default().push(one)
    }

    fn next(&self, broker: i32) -> Option<Vec<Waiting>> {
        let about = |one: &Waiting| {
            let partitions = one.marker.topics.iter().map(|topic| topic.partition_indexes.len());
            (one.marker.producer_id, partitions.sum())
        };
        self.queues().get_mut(&broker)?.next(about)
    }

    /// A request is under way no longer, or has been for too long.
    fn release(&self, broker: i32) {
        let mut queues = self.queues();
        if let Some(queue) = queues.get_mut(&broker) {
            queue.under_way = queue.under_way.saturating_sub(1);
            if queue.under_way == 0 && queue.waiting.is_empty() {
                queues.remove(&broker);
            }
        }
    }
}

/// Has a broker write a marker; none if it did not answer.
pub(super) async fn send(
    node: &Arc<Node>,
    broker: i32,
    marker: WritableTxnMarker,
    epoch: CoordinatorEpoch,
) -> Option<Written> {
    let (answer, written) = oneshot::channel();
    if !node.brokers().markers().push(broker, Waiting { marker, epoch, answer }) {
        return None;
    }
    send_next(node, broker);
    written.await.ok()
}

fn send_next(node: &Arc<Node>, broker: i32) {
    while let Some(batch) = node.brokers().markers().next(broker) {
        let asked = Arc::clone(node);
        node.background().spawn(async move { exchange(&asked, broker, batch).await });
    }
}

async fn exchange(node: &Arc<Node>, broker: i32, batch: Vec<Waiting>) {
    let (mut markers, mut answers) = (Vec::with_capacity(batch.len()), HashMap::new());
    for Waiting { mut marker, epoch, answer } in batch {
        // A coordinator that was read again sends its markers anew: those of before would end the
        // producer's next transaction.
        let Some(coordinator_epoch) = epoch() else { continue };
        marker.coordinator_epoch = coordinator_epoch;
        answers.insert(marker.producer_id, answer);
        markers.push(marker);
    }
    let request = WriteTxnMarkersRequest { markers };
    let answer = {
        let call = node.brokers().call(node, broker, &request);
        tokio::pin!(call);
        let soon = tokio::time::timeout(UNDER_WAY_TIME_MAX, &mut call).await;
        node.brokers().markers().release(broker);
        send_next(node, broker);
        match soon {
            Ok(answer) => answer,
            Err(_) => call.await,
        }
    };
    // Who is not answered asks again.
    for result in answer.into_iter().flat_map(|response| response.markers) {
        if let Some(waiting) = answers.remove(&result.producer_id) {
            // Nobody waits for it any more.
            let _ = waiting.send(result.topics);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Marker = (i64, usize);

    /// Every request is answered when no other can be sent; how many markers each has.
    fn requests(queue: &mut Queue<Marker>) -> Vec<usize> {
        let mut requests = Vec::new();
        loop {
            while let Some(batch) = queue.next(|one| *one) {
                requests.push(batch.len());
            }
            if queue.under_way == 0 {
                return requests;
            }
            queue.under_way -= 1;
        }
    }

    #[test]
    fn a_marker_goes_at_once_and_a_thousand_that_wait_go_in_one_request() {
        let mut queue = Queue::default();
        let mut sizes = Vec::new();
        for producer in 0..1_000 {
            assert!(queue.push((producer, 3)));
            sizes.extend(queue.next(|one| *one).map(|batch| batch.len()));
        }
        assert_eq!(sizes, [1; UNDER_WAY_MAX]);
        // Each of its own they were a thousand.
        assert_eq!(requests(&mut queue), [996]);
    }

    #[test]
    fn a_request_is_bounded_but_for_a_single_transaction() {
        let mut queue = Queue::default();
        for (producer, partitions) in [(1, 6_000), (2, 4_000), (3, 1), (4, 50_000), (5, 1)] {
            assert!(queue.push((producer, partitions)));
        }
        assert_eq!(requests(&mut queue), [2, 1, 1, 1]);
    }

    #[test]
    fn two_markers_of_one_producer_go_in_two_requests() {
        let mut queue = Queue::default();
        for producer in [1, 2, 1, 1] {
            assert!(queue.push((producer, 1)));
        }
        assert_eq!(requests(&mut queue), [2, 1, 1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut queue = Queue { waiting: VecDeque::new(), under_way: UNDER_WAY_MAX };
        assert!((0..WAITING_MAX).all(|_| queue.push((1, 1))));
        assert!(!queue.push((1, 1)));
        assert_eq!(queue.next(|one| *one), None);
    }
}
