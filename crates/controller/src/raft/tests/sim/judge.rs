//! The invariants. Each panics with what it saw.

use std::collections::BTreeMap;

use super::disk::{Disk, Entry, index};
use crate::raft::{LogView, VotedFor};

/// What was promised so far.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The records below anybody's high watermark.
    pub(super) committed: Vec<Entry>,
    /// In which epoch each was committed.
    committed_in: Vec<i32>,
    leaders: BTreeMap<i32, i32>,
    votes: BTreeMap<(i32, u128, i32), i32>,
    epochs: BTreeMap<(i32, u128), i32>,
}

impl Judge {
    /// One leader an epoch, and it has all that was committed in epochs before. (One that was
    /// stopped and learns late that it was elected may lack what a newer one has committed.)
    pub(super) fn leads(&mut self, node: i32, epoch: i32, disk: &Disk) {
        let leader = *self.leaders.entry(epoch).or_insert(node);
        assert_eq!(leader, node, "two leaders in epoch {epoch}");
        let committed = self.committed_in.iter().take_while(|when| **when < epoch).count();
        let committed = i64::try_from(committed).unwrap();
        assert!(disk.end() >= committed, "leader {node} of {epoch} lacks what is committed");
        self.agrees(node, disk, disk.start, committed);
    }

    /// The committed prefix is the same everywhere, and never changes.
    pub(super) fn commits(&mut self, node: (i32, i32), disk: &Disk, from: i64, to: i64) {
        let (node, epoch) = node;
        assert!(to <= disk.end(), "node {node}: high watermark {to} beyond {}", disk.end());
        for offset in i64::try_from(self.committed.len()).unwrap()..to {
            let entry = disk.entry(offset).expect("what is committed first is in the log");
            self.committed.push(entry.clone());
            self.committed_in.push(epoch);
        }
        self.agrees(node, disk, from, to);
    }

    pub(super) fn agrees(&self, node: i32, disk: &Disk, from: i64, to: i64) {
        for offset in from.max(disk.start)..to {
            let (own, committed) = (disk.entry(offset), &self.committed[index(offset)]);
            assert_eq!(own, Some(committed), "node {node} differs at committed offset {offset}");
        }
    }

    /// One vote an epoch; epochs never go back.
    pub(super) fn saves(&mut self, node: i32, dir: u128, epoch: i32, voted: Option<VotedFor>) {
        let newest = self.epochs.entry((node, dir)).or_insert(epoch);
        assert!(*newest <= epoch, "node {node} goes back from epoch {newest} to {epoch}");
        *newest = epoch;
        if let Some(voted) = voted {
            self.votes(node, dir, epoch, voted.id);
        }
    }

    /// A vote was written down or given.
    pub(super) fn votes(&mut self, node: i32, dir: u128, epoch: i32, candidate: i32) {
        let vote = *self.votes.entry((node, dir, epoch)).or_insert(candidate);
        assert_eq!(vote, candidate, "node {node} votes twice in epoch {epoch}");
    }
}
