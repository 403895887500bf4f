//! A share session with one leader (KIP-932): what the next request to it says. Pure.
//!
//! Invariant: acknowledgements go out in the order in which they were given, with the next request
//! of the session that took the records; a session that is lost takes them with it, and the
//! records come back to the group.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;
use naru_protocol::messages::share_acknowledge_request as acknowledge;
use naru_protocol::messages::share_fetch_request as fetch;

/// A partition by its topic's id.
pub(super) type Key = (Uuid, i32);

/// The epoch that ends a session.
const FINAL: i32 = -1;
/// Holes in what was acquired: there is no record to deal with.
pub(super) const GAP: i8 = 0;

/// Offsets that are done in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    first: i64,
    last: i64,
    how: i8,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Session {
    epoch: i32,
    partitions: BTreeSet<Key>,
    done: BTreeMap<Key, Vec<Done>>,
}

impl Session {
    /// Notes what became of offsets.
    pub(super) fn acknowledge(&mut self, key: Key, (first, end): (i64, i64), how: i8) {
        let done = self.done.entry(key).or_default();
        match done.last_mut() {
            Some(last) if last.how == how && last.last + 1 == first => last.last = end,
            _ => done.push(Done { first, last: end, how }),
        }
    }

    /// Whether there is nothing to ask and nothing to say.
    pub(super) fn is_idle(&self) -> bool {
        self.partitions.is_empty() && self.done.is_empty()
    }

    /// The topics of the next fetch of `wanted`, and those to forget; acknowledgements go with it.
    pub(super) fn fetch(
        &mut self,
        wanted: &BTreeSet<Key>,
    ) -> (i32, Vec<fetch::FetchTopic>, Vec<fetch::ForgottenTopic>) {
        let mut told: BTreeMap<Uuid, Vec<fetch::FetchPartition>> = BTreeMap::new();
        let mut done = std::mem::take(&mut self.done);
        let new: Vec<Key> = wanted.difference(&self.partitions).copied().collect();
        let named: BTreeSet<Key> = new.into_iter().chain(done.keys().copied()).collect();
        for (topic, partition_index) in named {
            let done = done.remove(&(topic, partition_index)).unwrap_or_default();
            let batches = done.into_iter().map(|done| fetch::AcknowledgementBatch {
                first_offset: done.first,
                last_offset: done.last,
                acknowledge_types: vec![done.how],
            });
            let acknowledgement_batches = batches.collect();
            told.entry(topic)
                .or_default()
                .push(fetch::FetchPartition { partition_index, acknowledgement_batches });
        }
        let mut forgotten: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in self.partitions.difference(wanted) {
            forgotten.entry(*topic).or_default().push(*partition);
        }
        self.partitions.clone_from(wanted);
        let epoch = self.epoch;
        // After the last one comes the second: the first begins a session.
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        let topics = told.into_iter();
        let topics =
            topics.map(|(topic_id, partitions)| fetch::FetchTopic { topic_id, partitions });
        let forgotten = forgotten.into_iter();
        let forgotten =
            forgotten.map(|(topic_id, partitions)| fetch::ForgottenTopic { topic_id, partitions });
        (epoch, topics.collect(), forgotten.collect())
    }

    /// The request that ends the session, if it has begun; what is not acknowledged by then goes
    /// to others.
    pub(super) fn close(&mut self) -> Option<(i32, Vec<acknowledge::AcknowledgeTopic>)> {
        if self.epoch == 0 {
            return None;
        }
        let mut told: BTreeMap<Uuid, Vec<acknowledge::AcknowledgePartition>> = BTreeMap::new();
        for ((topic, partition_index), done) in std::mem::take(&mut self.done) {
            let batches = done.into_iter().map(|done| acknowledge::AcknowledgementBatch {
                first_offset: done.first,
                last_offset: done.last,
                acknowledge_types: vec![done.how],
            });
            let acknowledgement_batches = batches.collect();
            told.entry(topic).or_default().push(acknowledge::AcknowledgePartition {
                partition_index,
                acknowledgement_batches,
            });
        }
        let topics = told
            .into_iter()
            .map(|(topic_id, partitions)| acknowledge::AcknowledgeTopic { topic_id, partitions });
        Some((FINAL, topics.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid(7);

    fn wanted(partitions: &[i32]) -> BTreeSet<Key> {
        partitions.iter().map(|partition| (TOPIC, *partition)).collect()
    }

    #[test]
    fn a_session_names_partitions_once_and_forgets_those_that_go() {
        let mut session = Session::default();
        let (epoch, topics, forgotten) = session.fetch(&wanted(&[0, 1]));
        assert_eq!((epoch, topics[0].partitions.len(), forgotten.len()), (0, 2, 0));
        let (epoch, topics, forgotten) = session.fetch(&wanted(&[0, 1]));
        assert_eq!((epoch, topics.len(), forgotten.len()), (1, 0, 0));
        let (epoch, topics, forgotten) = session.fetch(&wanted(&[1, 2]));
        assert_eq!((epoch, topics[0].partitions[0].partition_index), (2, 2));
        assert_eq!(forgotten[0].partitions, [0]);
    }

    #[test]
    fn neighbours_that_are_done_in_the_same_way_are_one_batch() {
        let mut session = Session::default();
        session.fetch(&wanted(&[0]));
        for (offset, how) in [(5, 1), (6, 1), (7, 2), (9, 2)] {
            session.acknowledge((TOPIC, 0), (offset, offset), how);
        }
        let (_, topics, _) = session.fetch(&wanted(&[0]));
        let batches = topics[0].partitions[0].acknowledgement_batches.iter();
        let told: Vec<_> =
            batches.map(|b| (b.first_offset, b.last_offset, b.acknowledge_types[0])).collect();
        assert_eq!(told, [(5, 6, 1), (7, 7, 2), (9, 9, 2)]);
        let (_, topics, _) = session.fetch(&wanted(&[0]));
        assert!(topics.is_empty());
    }

    #[test]
    fn the_end_of_a_session_carries_what_is_left() {
        let mut session = Session::default();
        assert!(session.close().is_none());
        session.fetch(&wanted(&[0]));
        session.acknowledge((TOPIC, 0), (5, 5), 1);
        let (epoch, topics) = session.close().unwrap();
        assert_eq!((epoch, topics.len()), (-1, 1));
    }
}
