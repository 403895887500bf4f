//! Which markers go with which request, and by which connection (pure).
//!
//! A broker answers a connection's requests in order, and a marker's only when it is stored: one
//! partition without its replicas holds up every answer behind. So a connection by which a request
//! has been under way for too long gets no others: the next go by a new one, and it is let go of
//! when its requests have ended.
//!
//! Invariant: of the roads, only the last gets requests, and all before it have some under way.

use std::collections::{HashSet, VecDeque};

/// Requests under way by one road that gets others; with one, a marker would wait for two round
/// trips.
pub(super) const UNDER_WAY_MAX: usize = 4;
/// Connections at a time. When all of them are held up, what is new goes behind.
pub(super) const ROADS_MAX: usize = 4;
/// Partitions that one request is about, but for those of a single transaction.
const PARTITIONS_MAX: usize = 10_000;
/// Markers that wait; more are tried again later.
const WAITING_MAX: usize = 100_000;

/// Tells the roads of a lane apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoadId(u64);

/// One connection, or the place for it.
#[derive(Debug)]
struct Road<R> {
    id: RoadId,
    link: R,
    under_way: usize,
    /// Of these, how many have been for too long.
    slow: usize,
}

/// One request to be sent.
#[derive(Debug)]
pub(super) struct Load<T, R> {
    pub(super) batch: Vec<T>,
    pub(super) road: RoadId,
    pub(super) link: R,
}

/// What goes to one broker: `T` waits, `R` is what it goes by.
#[derive(Debug)]
pub(super) struct Lane<T, R> {
    waiting: VecDeque<T>,
    roads: Vec<Road<R>>,
    last_road: u64,
}

impl<T, R> Default for Lane<T, R> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), roads: Vec::new(), last_road: 0 }
    }
}

impl<T, R: Clone + Default> Lane<T, R> {
    /// Whether there was room for it.
    pub(super) fn push(&mut self, one: T) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push_back(one);
        }
        has_room
    }

    /// What goes with the next request, if it may go now; `about` says whose marker something is
    /// and for how many partitions. Answers tell producers, so each has one marker in a request.
    pub(super) fn next(&mut self, about: impl Fn(&T) -> (i64, usize)) -> Option<Load<T, R>> {
        self.waiting.front()?;
        if self.roads.is_empty() {
            self.open();
        }
        let road = self.roads.last_mut().filter(|road| road.under_way < UNDER_WAY_MAX)?;
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
        road.under_way += 1;
        Some(Load { batch, road: road.id, link: road.link.clone() })
    }

    /// A request has been under way for too long.
    pub(super) fn is_slow(&mut self, road: RoadId) {
        if let Some(road) = self.road(road) {
            road.slow += 1;
        }
        self.leave_slow();
    }

    /// A request is under way no longer.
    pub(super) fn ended(&mut self, road: RoadId, was_slow: bool) {
        if let Some(road) = self.road(road) {
            road.under_way = road.under_way.saturating_sub(1);
            road.slow = road.slow.saturating_sub(usize::from(was_slow));
        }
        let last = self.last_road;
        self.roads.retain(|road| road.under_way > 0 || road.id.0 == last);
        self.leave_slow();
    }

    fn road(&mut self, id: RoadId) -> Option<&mut Road<R>> {
        self.roads.iter_mut().find(|road| road.id == id)
    }

    /// Takes another road if the one in use is held up.
    fn leave_slow(&mut self) {
        let is_held_up = self.roads.last().is_some_and(|road| road.slow > 0);
        if is_held_up && self.roads.len() < ROADS_MAX {
            self.open();
        }
    }

    fn open(&mut self) {
        self.last_road += 1;
        let id = RoadId(self.last_road);
        self.roads.push(Road { id, link: R::default(), under_way: 0, slow: 0 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Marker = (i64, usize);
    type Markers = Lane<Marker, ()>;

    /// The requests that can be sent now: the road of each, and how many markers it has.
    fn sent(lane: &mut Markers) -> Vec<(RoadId, usize)> {
        let next = || lane.next(|one| *one).map(|load| (load.road, load.batch.len()));
        std::iter::from_fn(next).collect()
    }

    /// Every request is answered when no other can be sent; how many markers each has.
    fn requests(lane: &mut Markers) -> Vec<usize> {
        let mut requests = Vec::new();
        loop {
            let now = sent(lane);
            if now.is_empty() {
                return requests;
            }
            for (road, markers) in now {
                requests.push(markers);
                lane.ended(road, false);
            }
        }
    }

    #[test]
    fn a_marker_goes_at_once_and_a_thousand_that_wait_go_in_one_request() {
        let mut lane = Markers::default();
        let mut under_way = Vec::new();
        for producer in 0..1_000 {
            assert!(lane.push((producer, 3)));
            under_way.extend(sent(&mut lane));
        }
        assert_eq!(under_way, [(RoadId(1), 1); UNDER_WAY_MAX]);
        lane.ended(RoadId(1), false);
        // Each of its own they were a thousand.
        assert_eq!(sent(&mut lane), [(RoadId(1), 996)]);
    }

    #[test]
    fn a_request_is_bounded_but_for_a_single_transaction() {
        let mut lane = Markers::default();
        for (producer, partitions) in [(1, 6_000), (2, 4_000), (3, 1), (4, 50_000), (5, 1)] {
            assert!(lane.push((producer, partitions)));
        }
        assert_eq!(requests(&mut lane), [2, 1, 1, 1]);
    }

    #[test]
    fn two_markers_of_one_producer_go_in_two_requests() {
        let mut lane = Markers::default();
        for producer in [1, 2, 1, 1] {
            assert!(lane.push((producer, 1)));
        }
        assert_eq!(requests(&mut lane), [2, 1, 1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut lane = Markers::default();
        assert!((0..WAITING_MAX).all(|_| lane.push((1, 1))));
        assert!(!lane.push((1, 1)));
    }

    #[test]
    fn a_request_that_is_held_up_holds_up_none_that_come_after_it() {
        let mut lane = Markers::default();
        lane.push((1, 1));
        let [(stuck, _)] = sent(&mut lane)[..] else { panic!("one request") };
        lane.push((2, 1));
        let [(beside, _)] = sent(&mut lane)[..] else { panic!("one request") };
        assert_eq!(stuck, beside);
        lane.is_slow(stuck);
        for producer in 3..100 {
            lane.push((producer, 1));
            let [(road, _)] = sent(&mut lane)[..] else { panic!("one request") };
            assert_ne!(road, stuck);
            lane.ended(road, false);
        }
        // Its connection is let go of once nothing is under way by it.
        lane.ended(stuck, true);
        assert_eq!(lane.roads.len(), 2);
        lane.ended(beside, false);
        assert_eq!(lane.roads.len(), 1);
    }

    #[test]
    fn when_all_connections_are_held_up_the_first_that_ends_makes_room() {
        let mut lane = Markers::default();
        let mut stuck = Vec::new();
        for producer in 0..ROADS_MAX {
            lane.push((i64::try_from(producer).unwrap(), 1));
            let now = sent(&mut lane);
            now.iter().for_each(|(road, _)| lane.is_slow(*road));
            stuck.extend(now);
        }
        let last = stuck[ROADS_MAX - 1].0;
        lane.push((100, 1));
        assert_eq!(sent(&mut lane), [(last, 1)]);
        lane.ended(stuck[0].0, true);
        lane.push((101, 1));
        let [(road, _)] = sent(&mut lane)[..] else { panic!("one request") };
        assert_ne!(road, last);
    }

    proptest! {
        /// Whatever is slow and whatever ends: the bounds hold, and nothing is left behind.
        #[test]
        fn connections_and_requests_are_bounded(steps in prop::collection::vec(0_u8..4, 0..400)) {
            let mut lane = Markers::default();
            let mut under_way: VecDeque<(RoadId, bool)> = VecDeque::new();
            let (mut pushed, mut taken) = (0, 0);
            for step in steps {
                match step {
                    0 | 1 => {
                        lane.push((pushed, 1));
                        pushed += 1;
                    }
                    2 => {
                        if let Some((road, slow)) = under_way.back_mut().filter(|(_, slow)| !*slow) {
                            *slow = true;
                            lane.is_slow(*road);
                        }
                    }
                    _ => {
                        if let Some((road, slow)) = under_way.pop_front() {
                            lane.ended(road, slow);
                        }
                    }
                }
                for (road, markers) in sent(&mut lane) {
                    taken += i64::try_from(markers).unwrap();
                    under_way.push_back((road, false));
                }
                prop_assert!(lane.roads.len() <= ROADS_MAX);
                prop_assert!(lane.roads.iter().all(|road| road.under_way <= UNDER_WAY_MAX));
                prop_assert!(lane.roads.iter().rev().skip(1).all(|road| road.under_way > 0));
            }
            while let Some((road, slow)) = under_way.pop_front() {
                lane.ended(road, slow);
                for (road, markers) in sent(&mut lane) {
                    taken += i64::try_from(markers).unwrap();
                    under_way.push_back((road, false));
                }
            }
            prop_assert_eq!(taken, pushed);
            prop_assert!(lane.roads.len() <= 1);
        }
    }
}
