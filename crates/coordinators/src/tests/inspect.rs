//! What tests look at inside a shard.

use std::collections::{BTreeMap, HashSet};

use crate::GroupShard;
use crate::group::ClassicGroup;
use crate::offsets::Offsets;
use crate::state::GroupState;

impl GroupShard {
    /// Panics if the shard contradicts itself.
    pub(crate) fn check_invariants(&self) {
        for (id, group) in &self.groups {
            assert_eq!(*id, group.id);
            group.check_invariants();
        }
        for (id, group) in &self.consumers {
            assert_eq!(*id, group.id);
            assert!(!self.groups.contains_key(id), "{id} is of two kinds");
            group.check_invariants();
        }
        for (id, group) in &self.streams {
            assert_eq!(*id, group.id);
            let is_other = self.groups.contains_key(id) || self.consumers.contains_key(id);
            assert!(!is_other, "{id} is of two kinds");
            group.check_invariants();
        }
        for (id, group) in &self.shares {
            assert_eq!(*id, group.id);
            let is_other = self.groups.contains_key(id)
                || self.consumers.contains_key(id)
                || self.streams.contains_key(id);
            assert!(!is_other, "{id} is of two kinds");
            group.check_invariants();
        }
        let classic = self.groups.values().map(|g| 2 + g.len() + g.pending_joins.len());
        let consumer = self.consumers.values().map(|group| 1 + 4 * group.len());
        let streams = self.streams.values().map(|group| 1 + 2 * group.len());
        let share = self.shares.values().map(|group| group.len());
        let most = 1 + classic.chain(consumer).chain(streams).chain(share).sum::<usize>();
        assert!(self.timers.len() <= most);
    }

    /// What of the shard a reload must bring back: offsets, and every settled group's record.
    pub(crate) fn settled_state(&self) -> (&Offsets, BTreeMap<String, String>) {
        let settled = self.groups.values().filter(|group| match group.state {
            GroupState::Stable => true,
            GroupState::Empty => group.pending_joins.is_empty(),
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Dead => {
                false
            }
        });
        let text = |group: &ClassicGroup| {
            let mut record = group.to_record(&group.assignments());
            // When a group became Stable is read back as when its record was made.
            record.current_state_timestamp = 0;
            format!(
                "{:?} {record:?} {:?}",
                group.state,
                group.subscribed.as_ref().map(HashSet::len)
            )
        };
        (&self.offsets, settled.map(|group| (group.id.to_string(), text(group))).collect())
    }
}
