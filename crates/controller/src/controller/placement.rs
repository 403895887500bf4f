//! Which brokers hold a new partition, and the partition's first state.
//!
//! Every active broker leads equally often, in an order that alternates racks; the other replicas
//! go to the other racks first, and to other brokers each time the round begins anew, so that a
//! broker's partitions spread over all others when it is gone. A fenced broker never comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::{Controller, TopicError};
use crate::image::{BrokerImage, PartitionImage};

/// Why new partitions find no brokers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlacementError {
    /// Not enough of them.
    #[error(
        "The target replication factor of {factor} cannot be reached because only {brokers} \
         broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        /// Replicas asked for.
        factor: i16,
        /// Brokers that take replicas.
        brokers: usize,
    },
    /// None that could lead.
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NoUsableBroker,
}

impl Controller {
    /// Replicas of `count` partitions; `start` turns the order of the brokers.
    pub(super) fn place(
        &self,
        start: usize,
        count: usize,
        factor: i16,
    ) -> Result<Vec<Vec<i32>>, PlacementError> {
        let usable: Vec<&Arc<BrokerImage>> =
            self.image.brokers().filter(|broker| takes_replicas(broker)).collect();
        let active = usable.iter().filter(|broker| broker.is_active()).count();
        let replicas = usize::try_from(factor).unwrap_or(0);
        if active == 0 {
            return Err(PlacementError::NoUsableBroker);
        }
        if replicas > usable.len() {
            return Err(PlacementError::TooFewBrokers { factor, brokers: usable.len() });
        }
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in usable {
            let rack = racks.entry(broker.rack.as_deref()).or_default();
            let list = if broker.is_active() { &mut rack.active } else { &mut rack.inactive };
            list.push(broker.id);
        }
        let racks: Vec<Rack> = racks.into_values().collect();
        let leaders = leaders(&racks);
        Ok((start..start + count).map(|turn| stripe(&racks, &leaders, turn, replicas)).collect())
    }

    /// Checks an assignment that a client made; `expected` is the number of replicas it must have.
    pub(super) fn check_assignment(
        &self,
        replicas: &[i32],
        expected: Option<usize>,
    ) -> Result<(), TopicError> {
        if replicas.is_empty() {
            return Err(TopicError::NoReplicas);
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        let mut before = None;
        for id in sorted {
            if self.image.broker(id).is_none() {
                return Err(TopicError::UnknownBroker(id));
            }
            if before == Some(id) {
                return Err(TopicError::BrokerTwice(id));
            }
            before = Some(id);
        }
        match expected {
            Some(expected) if expected != replicas.len() => {
                Err(TopicError::UnevenReplicas { replicas: replicas.len(), expected })
            }
            _ => Ok(()),
        }
    }

    /// The first state of a partition on these brokers; none if none of them is active.
    pub(super) fn new_partition(&self, replicas: Vec<i32>) -> Option<PartitionImage> {
        let active = |id: &i32| self.image.broker(*id).is_some_and(|broker| broker.is_active());
        let isr: Vec<i32> = replicas.iter().copied().filter(active).collect();
        let directory = |id: &i32| {
            self.image.broker(*id).map(|broker| broker.default_dir()).unwrap_or_default()
        };
        Some(PartitionImage {
            directories: replicas.iter().map(directory).collect(),
            leader: Some(*isr.first()?),
            replicas,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader_recovery_state: 0,
            leader_epoch: 0,
            partition_epoch: 0,
        })
    }
}

/// The brokers of a rack.
#[derive(Debug, Default)]
struct Rack {
    active: Vec<i32>,
    inactive: Vec<i32>,
}

/// An active broker: its rack, and its place there.
#[derive(Debug, Clone, Copy)]
struct Seat {
    rack: usize,
    place: usize,
    broker: i32,
}

/// All active brokers, racks alternating.
fn leaders(racks: &[Rack]) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::new();
    for (rack, brokers) in racks.iter().enumerate() {
        let active = brokers.active.iter().enumerate();
        seats.extend(active.map(|(place, broker)| Seat { rack, place, broker: *broker }));
    }
    seats.sort_by_key(|seat| (seat.place, seat.rack));
    seats
}

/// The replicas of one partition, the leader first. `leaders` is not empty.
fn stripe(racks: &[Rack], leaders: &[Seat], turn: usize, replicas: usize) -> Vec<i32> {
    let round = turn / leaders.len();
    let Some(leader) = leaders.get(turn % leaders.len()) else {
        return Vec::new();
    };
    // The leader's rack comes last: it has one already.
    let others = racks.len() - 1;
    let order = (0..others).map(|step| {
        let after = 1 + (step + round) % others;
        (leader.rack + after) % racks.len()
    });
    let order = order.chain([leader.rack]);
    let queues: Vec<Vec<i32>> = order
        .filter_map(|index| Some((index, racks.get(index)?)))
        .map(|(index, rack)| {
            let own = index == leader.rack;
            let active: Vec<i32> = if own {
                // Those behind the leader's place first.
                let mut rest = rack.active.clone();
                rest.rotate_left(leader.place);
                rest.remove(0);
                rest
            } else {
                rack.active.clone()
            };
            let shift = if own { round } else { leader.place + round };
            let mut queue = turned(active, shift);
            queue.extend(turned(rack.inactive.clone(), turn));
            queue
        })
        .collect();
    let deepest = queues.iter().map(Vec::len).max().unwrap_or(0);
    let followers =
        (0..deepest).flat_map(|depth| queues.iter().filter_map(move |queue| queue.get(depth)));
    [leader.broker].into_iter().chain(followers.copied()).take(replicas).collect()
}

fn turned(mut brokers: Vec<i32>, by: usize) -> Vec<i32> {
    if !brokers.is_empty() {
        let by = by % brokers.len();
        brokers.rotate_left(by);
    }
    brokers
}

/// Whether a broker takes new partitions: not while it stops, nor with all directories cordoned.
fn takes_replicas(broker: &BrokerImage) -> bool {
    let cordoned = broker.cordoned_log_dirs.as_deref().unwrap_or_default();
    let all_cordoned =
        !broker.log_dirs.is_empty() && broker.log_dirs.iter().all(|dir| cordoned.contains(dir));
    let stopping = broker.in_controlled_shutdown && !broker.fenced;
    !all_cordoned && !stopping
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use proptest::prelude::*;

    fn rack(active: &[i32]) -> Rack {
        Rack { active: active.to_vec(), inactive: Vec::new() }
    }

    fn placed(racks: &[Rack], turns: usize, replicas: usize) -> Vec<Vec<i32>> {
        let leaders = leaders(racks);
        (0..turns).map(|turn| stripe(racks, &leaders, turn, replicas)).collect()
    }

    #[test]
    fn replicas_alternate_racks_and_leaders_spread() {
        let racks = [rack(&[1, 2]), rack(&[3, 4])];
        let expected =
            [[1, 3], [3, 1], [2, 4], [4, 2], [1, 4], [3, 2], [2, 3], [4, 1]].map(Vec::from);
        assert_eq!(placed(&racks, 8, 2), expected);
    }

    #[test]
    fn the_partitions_of_one_broker_have_their_followers_everywhere() {
        let racks = [rack(&[1, 2, 3, 4])];
        let next_to_one: BTreeSet<i32> = placed(&racks, 12, 2)
            .into_iter()
            .filter(|replicas| replicas[0] == 1)
            .map(|replicas| replicas[1])
            .collect();
        assert_eq!(next_to_one, BTreeSet::from([2, 3, 4]));
    }

    #[test]
    fn an_inactive_broker_never_comes_first() {
        let racks = [
            Rack { active: Vec::new(), inactive: vec![1] },
            Rack { active: vec![2], inactive: vec![3] },
        ];
        for replicas in placed(&racks, 6, 3) {
            assert_eq!((replicas[0], replicas.len()), (2, 3));
        }
    }

    proptest! {
        #[test]
        fn replicas_are_distinct_over_racks_and_leaders_are_even(
            sizes in prop::collection::vec((0..4usize, 0..3usize), 1..5),
            replicas in 1..6usize,
        ) {
            let mut ids = 0..;
            let mut take = |count: usize| ids.by_ref().take(count).collect::<Vec<i32>>();
            let racks: Vec<Rack> = sizes
                .iter()
                .map(|(active, inactive)| Rack { active: take(*active), inactive: take(*inactive) })
                .filter(|rack| !rack.active.is_empty() || !rack.inactive.is_empty())
                .collect();
            let active: usize = racks.iter().map(|rack| rack.active.len()).sum();
            let all: usize = active + racks.iter().map(|rack| rack.inactive.len()).sum::<usize>();
            prop_assume!(active > 0 && replicas <= all);
            let mut led: BTreeMap<i32, usize> = BTreeMap::new();
            for list in placed(&racks, active * 3, replicas) {
                prop_assert_eq!(list.len(), replicas);
                prop_assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), replicas);
                *led.entry(list[0]).or_default() += 1;
                let holds = |rack: &&Rack| {
                    list.iter().any(|id| rack.active.contains(id) || rack.inactive.contains(id))
                };
                let used = racks.iter().filter(holds).count();
                prop_assert_eq!(used, replicas.min(racks.len()));
            }
            prop_assert!(led.values().all(|times| *times == 3) && led.len() == active);
        }
    }
}
