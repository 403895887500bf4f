//! What a reassignment means for a list of replicas: the way there, the end, and the way back
//! (KIP-455).
//!
//! On the way a partition has old and new replicas; `removing` are those to go, `adding` those to
//! come. It is done when what shall stay is in the ISR. Pure lists, no cluster.

use crate::image::PartitionImage;

/// A reassignment that has just begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reassignment {
    /// The target first, then what is to go.
    pub(super) replicas: Vec<i32>,
    pub(super) removing: Vec<i32>,
    pub(super) adding: Vec<i32>,
}

/// The lists after the end of a reassignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
}

/// The lists after giving a reassignment up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reverted {
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    /// Nobody of the old replicas is in sync: the first of them was taken all the same.
    pub(super) unclean: bool,
}

impl Reassignment {
    pub(super) fn new(current: &[i32], target: &[i32]) -> Self {
        let removing = difference(current, target);
        let adding = difference(target, current);
        let replicas = target.iter().chain(&removing).copied().collect();
        Self { replicas, removing, adding }
    }
}

/// The lists after the end, if the ISR allows to end it now.
pub(super) fn completed(
    removing: &[i32],
    adding: &[i32],
    replicas: &[i32],
    isr: &[i32],
) -> Option<Completed> {
    if removing.is_empty() && adding.is_empty() {
        return None;
    }
    let staying = |list: &[i32]| -> Vec<i32> {
        list.iter().copied().filter(|id| !removing.contains(id)).collect()
    };
    let (replicas, isr) = (staying(replicas), staying(isr));
    let arrived = replicas.iter().all(|id| isr.contains(id));
    (arrived && !replicas.is_empty() && !isr.is_empty()).then_some(Completed { replicas, isr })
}

/// The lists after giving up; none if there is nothing to go back to.
pub(super) fn reverted(partition: &PartitionImage) -> Option<Reverted> {
    let old = |list: &[i32]| -> Vec<i32> {
        list.iter().copied().filter(|id| !partition.adding_replicas.contains(id)).collect()
    };
    let (replicas, isr) = (old(&partition.replicas), old(&partition.isr));
    let first = *replicas.first()?;
    let unclean = isr.is_empty();
    let isr = if unclean { vec![first] } else { isr };
    Some(Reverted { replicas, isr, unclean })
}

/// Whether the partition is on its way.
pub(super) fn in_progress(partition: &PartitionImage) -> bool {
    !partition.removing_replicas.is_empty() || !partition.adding_replicas.is_empty()
}

/// What is in `a` and not in `b`, ascending, each once.
fn difference(a: &[i32], b: &[i32]) -> Vec<i32> {
    let mut only: Vec<i32> = a.iter().copied().filter(|id| !b.contains(id)).collect();
    only.sort_unstable();
    only.dedup();
    only
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_keeps_the_old_replicas_until_the_new_ones_are_in_sync() {
        let moving = Reassignment::new(&[1, 2, 3], &[4, 2]);
        assert_eq!(moving.replicas, [4, 2, 1, 3]);
        assert_eq!((moving.removing, moving.adding), (vec![1, 3], vec![4]));
        let end = |isr: &[i32]| completed(&[1, 3], &[4], &[4, 2, 1, 3], isr);
        assert_eq!(end(&[1, 2, 3]), None);
        assert_eq!(end(&[1, 4]), None);
        assert_eq!(end(&[1, 4, 2]), Some(Completed { replicas: vec![4, 2], isr: vec![4, 2] }));
    }

    #[test]
    fn fewer_replicas_end_at_once_if_the_rest_is_in_sync() {
        assert_eq!(
            completed(&[3], &[], &[1, 2, 3], &[1, 2, 3]),
            Some(Completed { replicas: vec![1, 2], isr: vec![1, 2] })
        );
        assert_eq!(completed(&[3], &[], &[1, 2, 3], &[3]), None);
        assert_eq!(completed(&[], &[], &[1, 2], &[1, 2]), None);
    }
}
