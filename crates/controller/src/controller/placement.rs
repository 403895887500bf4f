//! Which brokers hold a new partition, and the partition's first state.
//!
//! Replicas are striped over racks, and over the brokers of a rack; a fenced broker never comes
//! first. Successive partitions start at successive racks and brokers, so that leaders spread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Controller, TopicError};
use crate::image::{BrokerImage, PartitionImage};

impl Controller {
    /// Replicas of `count` partitions; `start` turns the order of the brokers.
    pub(super) fn place(
        &self,
        start: usize,
        count: usize,
        factor: i16,
    ) -> Result<Vec<Vec<i32>>, TopicError> {
        let usable: Vec<&Arc<BrokerImage>> =
            self.image.brokers().filter(|broker| !is_cordoned(broker)).collect();
        let active = usable.iter().filter(|broker| broker.is_active()).count();
        let replicas = usize::try_from(factor).unwrap_or(0);
        if active == 0 {
            return Err(TopicError::NoUsableBroker { factor });
        }
        if replicas > usable.len() {
            return Err(TopicError::TooFewBrokers { factor, brokers: usable.len() });
        }
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in usable {
            let rack = racks.entry(broker.rack.as_deref()).or_default();
            let list = if broker.is_active() { &mut rack.active } else { &mut rack.inactive };
            list.push(broker.id);
        }
        let racks: Vec<Rack> = racks.into_values().collect();
        Ok((start..start + count).map(|turn| stripe(&racks, turn, replicas)).collect())
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

impl Rack {
    /// The broker at `depth` when the rack's order is turned by `turn`; inactive ones come last.
    fn at(&self, turn: usize, depth: usize) -> Option<i32> {
        if depth < self.active.len() {
            self.active.get((turn + depth) % self.active.len()).copied()
        } else {
            self.inactive.get(depth - self.active.len()).copied()
        }
    }
}

fn stripe(racks: &[Rack], turn: usize, replicas: usize) -> Vec<i32> {
    let (first_rack, inner_turn) = (turn % racks.len(), turn / racks.len());
    let order = || racks.iter().cycle().skip(first_rack).take(racks.len());
    let deepest = racks.iter().map(|rack| rack.active.len() + rack.inactive.len()).max();
    let mut chosen: Vec<i32> = (0..deepest.unwrap_or(0))
        .flat_map(|depth| order().filter_map(move |rack| rack.at(inner_turn, depth)))
        .collect();
    // The first active broker leads; the others keep their order.
    let is_active = |id: &i32| racks.iter().any(|rack| rack.active.contains(id));
    if let Some(leader) = chosen.iter().position(is_active) {
        chosen[..=leader].rotate_right(1);
    }
    chosen.truncate(replicas);
    chosen
}

/// Whether a broker takes no new partitions because all its directories are cordoned.
fn is_cordoned(broker: &BrokerImage) -> bool {
    let cordoned = broker.cordoned_log_dirs.as_deref().unwrap_or_default();
    !broker.log_dirs.is_empty() && broker.log_dirs.iter().all(|dir| cordoned.contains(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_alternate_racks_and_leaders_spread() {
        let rack = |active: &[i32]| Rack { active: active.to_vec(), inactive: Vec::new() };
        let racks = [rack(&[1, 2]), rack(&[3, 4])];
        let placed: Vec<_> = (0..4).map(|turn| stripe(&racks, turn, 2)).collect();
        assert_eq!(placed, [[1, 3], [3, 1], [2, 4], [4, 2]]);
    }

    #[test]
    fn an_inactive_broker_never_comes_first() {
        let racks = [
            Rack { active: Vec::new(), inactive: vec![1] },
            Rack { active: vec![2], inactive: vec![3] },
        ];
        for turn in 0..6 {
            let placed = stripe(&racks, turn, 3);
            assert_eq!(placed[0], 2);
            assert_eq!(placed.len(), 3);
        }
    }
}
