//! Markers of many transactions go to a broker in one request (WriteTxnMarkers): what comes while
//! requests to it are under way goes with the next one. What is asked again goes apart from what
//! is asked for the first time: it may well be held up again.
//!
//! For markers there are at most two times [`marker_lane::ROADS_MAX`](super::marker_lane::ROADS_MAX)
//! connections to a broker, and two as long as none of its partitions is stuck.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WriteTxnMarkersRequest,
};
use naru_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerTopicResult, WriteTxnMarkersResponse,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::brokers::Slot;
use super::marker_lane::{Lane, Load};
use crate::node::{Node, millis};

/// A request that takes longer, because a partition cannot store its marker, is to hold up no
/// others.
const UNDER_WAY_TIME_MAX: Duration = Duration::from_millis(500);

/// The coordinator's epoch; none when the markers are its business no longer.
pub(crate) type CoordinatorEpoch = Arc<dyn Fn() -> Option<i32> + Send + Sync>;

/// What a broker says of one marker, by topic.
pub(super) type Written = Vec<WritableTxnMarkerTopicResult>;

/// Whether a leader has been asked for a marker before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Turn {
    First,
    Again,
}

/// Which lane: to which broker, for the first time or again.
pub(super) type Way = (i32, Turn);

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

/// See the module. A lane stays as long as the node: it holds the connection.
#[derive(Debug, Default)]
pub(super) struct MarkerQueues {
    lanes: Mutex<HashMap<Way, Lane<Waiting, Slot>>>,
}

impl MarkerQueues {
    fn lanes(&self) -> MutexGuard<'_, HashMap<Way, Lane<Waiting, Slot>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<A>(&self, way: Way, work: impl FnOnce(&mut Lane<Waiting, Slot>) -> A) -> A {
        work(self.lanes().entry(way).or_default())
    }

    fn next(&self, way: Way) -> Option<Load<Waiting, Slot>> {
        let about = |one: &Waiting| {
            let partitions = one.marker.topics.iter().map(|topic| topic.partition_indexes.len());
            (one.marker.producer_id, partitions.sum())
        };
        self.with(way, |lane| lane.next(about))
    }
}

/// Has a broker write a marker; none if it did not answer.
pub(super) async fn send(
    node: &Arc<Node>,
    way: Way,
    marker: WritableTxnMarker,
    epoch: CoordinatorEpoch,
) -> Option<Written> {
    let (answer, written) = oneshot::channel();
    let waiting = Waiting { marker, epoch, answer };
    if !node.brokers().markers().with(way, |lane| lane.push(waiting)) {
        return None;
    }
    send_next(node, way);
    written.await.ok()
}

fn send_next(node: &Arc<Node>, way: Way) {
    while let Some(load) = node.brokers().markers().next(way) {
        let asked = Arc::clone(node);
        node.background().spawn(async move { exchange(&asked, way, load).await });
    }
}

/// Sends one request and gives those who wait their answers; who gets none asks again.
async fn exchange(node: &Arc<Node>, way: Way, load: Load<Waiting, Slot>) {
    let Load { batch, road, link } = load;
    let mut is_slow = false;
    if let Ok(connection) = node.brokers().connect(node, way.0, &link).await {
        let (request, mut answers) = compose(batch);
        let timeout_ms = node.config().sockets.request_timeout_ms;
        // The broker is set to wait as long as this one, by all that is known here.
        let answered_in = millis(i64::try_from(timeout_ms).unwrap_or(0));
        let call = node.brokers().ask_slow(&connection, &request, answered_in);
        tokio::pin!(call);
        let answer = match timeout(UNDER_WAY_TIME_MAX, &mut call).await {
            Ok(answer) => answer,
            Err(_) => {
                is_slow = true;
                node.brokers().markers().with(way, |lane| lane.is_slow(road));
                send_next(node, way);
                call.await
            }
        };
        give(answer.unwrap_or_default(), &mut answers);
    }
    node.brokers().markers().with(way, |lane| lane.ended(road, is_slow));
    send_next(node, way);
}

/// Who waits for an answer, by producer.
type Answers = HashMap<i64, oneshot::Sender<Written>>;

fn compose(batch: Vec<Waiting>) -> (WriteTxnMarkersRequest, Answers) {
    let (mut markers, mut answers) = (Vec::with_capacity(batch.len()), Answers::new());
    for Waiting { mut marker, epoch, answer } in batch {
        // A coordinator that was read again sends its markers anew: those of before would end the
        // producer's next transaction.
        let Some(coordinator_epoch) = epoch() else { continue };
        marker.coordinator_epoch = coordinator_epoch;
        answers.insert(marker.producer_id, answer);
        markers.push(marker);
    }
    (WriteTxnMarkersRequest { markers }, answers)
}

fn give(answer: WriteTxnMarkersResponse, answers: &mut Answers) {
    for result in answer.markers {
        if let Some(waiting) = answers.remove(&result.producer_id) {
            // Nobody waits for it any more.
            let _ = waiting.send(result.topics);
        }
    }
}

#[cfg(test)]
mod tests {
    use naru_protocol::messages::write_txn_markers_response::WritableTxnMarkerResult;

    use super::*;

    fn waiting(producer_id: i64, epoch: Option<i32>) -> (Waiting, oneshot::Receiver<Written>) {
        let (answer, written) = oneshot::channel();
        let marker = WritableTxnMarker { producer_id, ..Default::default() };
        (Waiting { marker, epoch: Arc::new(move || epoch), answer }, written)
    }

    #[test]
    fn a_marker_whose_coordinator_was_read_again_is_not_sent() {
        let ((old, mut old_written), (new, _)) = (waiting(1, None), waiting(2, Some(7)));
        let (request, answers) = compose(vec![old, new]);
        let sent: Vec<_> =
            request.markers.iter().map(|one| (one.producer_id, one.coordinator_epoch)).collect();
        assert_eq!(sent, [(2, 7)]);
        assert_eq!(answers.len(), 1);
        // Who wanted it is told that nothing was answered.
        assert_eq!(old_written.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn who_is_missing_in_an_answer_is_told_so_and_the_others_have_theirs() {
        let ((one, mut one_written), (two, mut two_written)) =
            (waiting(1, Some(7)), waiting(2, Some(7)));
        let (_, mut answers) = compose(vec![one, two]);
        let topics =
            vec![WritableTxnMarkerTopicResult { name: "t".to_owned(), partitions: vec![] }];
        let result = WritableTxnMarkerResult { producer_id: 2, topics: topics.clone() };
        give(WriteTxnMarkersResponse { markers: vec![result] }, &mut answers);
        drop(answers);
        assert_eq!(two_written.try_recv(), Ok(topics));
        assert_eq!(one_written.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
