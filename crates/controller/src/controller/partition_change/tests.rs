//! Elections, eligible leaders and epochs, one partition at a time.

use super::*;

const RULES: ChangeRules =
    ChangeRules { min_isr: 2, elr: true, bump_on_shrink: false, directories: true };

fn partition(replicas: &[i32], isr: &[i32], leader: Option<i32>) -> PartitionImage {
    PartitionImage {
        replicas: replicas.to_vec(),
        directories: vec![Uuid(500); replicas.len()],
        isr: isr.to_vec(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader,
        leader_recovery_state: 0,
        leader_epoch: 4,
        partition_epoch: 7,
    }
}

/// The partition after the change, with these brokers there.
fn after(change: PartitionChange<'_>, alive: &[i32]) -> Option<PartitionImage> {
    let before = change.before;
    let record = change.build(|id| alive.contains(&id), |id| Uuid(900 + id as u128))?;
    Some(before.changed_by(&record))
}

fn leaves(before: &PartitionImage, broker: i32, alive: &[i32]) -> PartitionImage {
    let isr = before.isr.iter().copied().filter(|id| *id != broker).collect();
    after(PartitionChange::of(before, RULES).isr(isr), alive).unwrap()
}

#[test]
fn nothing_to_change_gives_no_record() {
    let before = partition(&[1, 2, 3], &[1, 2, 3], Some(1));
    assert_eq!(after(PartitionChange::of(&before, RULES), &[1, 2, 3]), None);
}

#[test]
fn a_follower_that_leaves_costs_no_leader_epoch() {
    let next = leaves(&partition(&[1, 2, 3], &[1, 2, 3], Some(1)), 3, &[1, 2]);
    assert_eq!((next.isr.as_slice(), next.leader), (&[1, 2][..], Some(1)));
    assert_eq!((next.leader_epoch, next.partition_epoch), (4, 8));
}

#[test]
fn before_metadata_version_3_6_a_smaller_isr_counts_the_leader_epoch() {
    let before = partition(&[1, 2, 3], &[1, 2, 3], Some(1));
    let rules = ChangeRules { bump_on_shrink: true, ..RULES };
    let next = after(PartitionChange::of(&before, rules).isr(vec![1, 2]), &[1, 2]).unwrap();
    assert_eq!((next.leader, next.leader_epoch), (Some(1), 5));
    let grown = partition(&[1, 2, 3], &[1, 2], Some(1));
    let next = after(PartitionChange::of(&grown, rules).isr(vec![1, 2, 3]), &[1, 2, 3]).unwrap();
    assert_eq!(next.leader_epoch, 4);
}

#[test]
fn the_next_in_order_of_preference_leads() {
    let next = leaves(&partition(&[1, 3, 2], &[1, 2, 3], Some(1)), 1, &[2, 3]);
    assert_eq!((next.leader, next.leader_epoch), (Some(3), 5));
    assert_eq!(next.isr, [2, 3]);
    assert!(next.elr.is_empty());
}

#[test]
fn below_its_minimum_who_leaves_the_isr_stays_eligible() {
    let one = leaves(&partition(&[1, 2, 3], &[1, 2], Some(1)), 1, &[2, 3]);
    assert_eq!((one.isr.as_slice(), one.elr.as_slice()), (&[2][..], &[1][..]));
    assert_eq!((one.leader, one.last_known_elr.as_slice()), (Some(2), &[][..]));
    let none = leaves(&one, 2, &[3]);
    assert_eq!((none.isr.as_slice(), none.elr.as_slice()), (&[][..], &[1, 2][..]));
    assert_eq!((none.leader, none.last_known_elr.as_slice()), (None, &[2][..]));
    // Either of the two has everything.
    let again = after(PartitionChange::of(&none, RULES), &[1, 3]).unwrap();
    assert_eq!((again.leader, again.isr.as_slice()), (Some(1), &[1][..]));
    assert_eq!((again.elr.as_slice(), again.last_known_elr.as_slice()), (&[2][..], &[][..]));
    assert_eq!(again.leader_recovery_state, 0);
    // With the minimum reached again, nobody has to be remembered.
    let full = after(PartitionChange::of(&again, RULES).isr(vec![1, 3]), &[1, 3]).unwrap();
    assert!(full.elr.is_empty());
}

#[test]
fn an_unclean_stop_costs_the_place_among_the_eligible() {
    let before = partition(&[1, 2], &[1], Some(1));
    let before = PartitionImage { elr: vec![2], ..before };
    let change = PartitionChange::of(&before, RULES).isr(vec![]).unclean_shutdown(Some(1));
    let next = after(change, &[]).unwrap();
    assert_eq!((next.isr.as_slice(), next.elr.as_slice()), (&[][..], &[2][..]));
    let change = PartitionChange::of(&next, RULES).unclean_shutdown(Some(2));
    let next = after(change, &[]).unwrap();
    assert_eq!((next.elr.as_slice(), next.last_known_elr.as_slice()), (&[][..], &[1][..]));
    // Nobody is known to be complete: the last leader is better than any other, if it is there.
    assert_eq!(after(PartitionChange::of(&next, RULES), &[2]), None);
    let next = after(PartitionChange::of(&next, RULES), &[1, 2]).unwrap();
    assert_eq!((next.leader, next.isr.as_slice()), (Some(1), &[1][..]));
    assert_eq!((next.leader_recovery_state, next.last_known_elr.as_slice()), (1, &[][..]));
}

#[test]
fn without_the_feature_the_last_one_stays_in_the_isr() {
    let rules = ChangeRules { elr: false, ..RULES };
    let before = partition(&[1, 2], &[1], Some(1));
    let next = after(PartitionChange::of(&before, rules).isr(vec![]), &[2]).unwrap();
    assert_eq!((next.leader, next.isr.as_slice()), (None, &[1][..]));
    assert_eq!((next.elr.as_slice(), next.last_known_elr.as_slice()), (&[][..], &[][..]));
    assert_eq!(after(PartitionChange::of(&next, rules), &[2]), None);
    let next = after(PartitionChange::of(&next, rules), &[1, 2]).unwrap();
    assert_eq!((next.leader, next.leader_recovery_state), (Some(1), 0));
}

#[test]
fn an_unclean_election_takes_anybody_and_says_so() {
    let before = partition(&[1, 2, 3], &[1], Some(1));
    let change = PartitionChange::of(&before, RULES).isr(vec![]).election(Election::Unclean);
    let next = after(change, &[3]).unwrap();
    assert_eq!((next.leader, next.isr.as_slice()), (Some(3), &[3][..]));
    assert_eq!((next.leader_recovery_state, next.elr.as_slice()), (1, &[][..]));
    // Somebody who has everything comes first.
    let before = PartitionImage { isr: vec![], elr: vec![2], leader: None, ..before };
    let change = PartitionChange::of(&before, RULES).election(Election::Unclean);
    let next = after(change, &[2, 3]).unwrap();
    assert_eq!((next.leader, next.leader_recovery_state), (Some(2), 0));
}

#[test]
fn a_preferred_election_moves_a_partition_that_is_fine() {
    let before = partition(&[1, 2], &[2, 1], Some(2));
    assert_eq!(after(PartitionChange::of(&before, RULES), &[1, 2]), None);
    let preferred = |alive: &[i32]| {
        after(PartitionChange::of(&before, RULES).election(Election::Preferred), alive)
    };
    assert_eq!(preferred(&[1, 2]).unwrap().leader, Some(1));
    assert_eq!(preferred(&[2]), None);
}

#[test]
fn a_reassignment_ends_when_its_target_is_in_sync() {
    let before = PartitionImage {
        removing_replicas: vec![1],
        adding_replicas: vec![3],
        ..partition(&[3, 2, 1], &[1, 2], Some(1))
    };
    let next = after(PartitionChange::of(&before, RULES).isr(vec![1, 2, 3]), &[1, 2, 3]).unwrap();
    assert_eq!((next.replicas.as_slice(), next.isr.as_slice()), (&[3, 2][..], &[2, 3][..]));
    assert_eq!((next.leader, next.leader_epoch), (Some(3), 5));
    assert_eq!((next.removing_replicas, next.adding_replicas), (vec![], vec![]));
    assert_eq!(next.directories, [Uuid(500), Uuid(500)]);
}

#[test]
fn a_replica_taken_away_counts_the_leader_epoch_and_is_not_eligible() {
    let before = partition(&[1, 2, 3], &[1, 2, 3], Some(1));
    let rules = ChangeRules { min_isr: 3, ..RULES };
    let change = PartitionChange::of(&before, rules).removing(vec![3]);
    let next = after(change, &[1, 2, 3]).unwrap();
    assert_eq!((next.replicas.as_slice(), next.isr.as_slice()), (&[1, 2][..], &[1, 2][..]));
    assert_eq!((next.leader, next.leader_epoch), (Some(1), 5));
    assert!(next.elr.is_empty());
}

#[test]
fn a_new_replica_gets_the_directory_of_its_broker() {
    let before = partition(&[1], &[1], Some(1));
    let change = PartitionChange::of(&before, RULES).replicas(vec![2, 1]).adding(vec![2]);
    let next = after(change, &[1, 2]).unwrap();
    assert_eq!(next.directories, [Uuid(902), Uuid(500)]);
    assert_eq!((next.leader_epoch, next.adding_replicas), (4, vec![2]));
    let change = PartitionChange::of(&before, RULES).directory(1, Uuid(77));
    assert_eq!(after(change, &[1]).unwrap().directories, [Uuid(77)]);
}

#[test]
fn a_last_leader_that_is_no_replica_any_more_does_not_lead() {
    let before = PartitionImage { last_known_elr: vec![1], ..partition(&[2, 3], &[], None) };
    assert_eq!(after(PartitionChange::of(&before, RULES), &[1, 2, 3]), None);
    let change = PartitionChange::of(&before, RULES).election(Election::Unclean);
    assert_eq!(after(change, &[1, 2, 3]).unwrap().leader, Some(2));
}
