//! Kafka's simple assignor for share groups: who works on which partitions.
//!
//! Every partition gets as many members as it takes for every member to have work, and no more;
//! members get even shares, and keep what they have as far as both allow. With members of different
//! subscriptions each topic is shared out by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use crate::consumer::Partitions;

/// The only assignor.
pub(crate) const SIMPLE: &str = "simple";

/// What is to be shared out.
#[derive(Debug, Default)]
pub(super) struct Problem {
    /// In the order of their ids.
    pub(super) members: Vec<Subscriber>,
    /// Partitions that may be assigned.
    pub(super) partitions: Partitions,
    /// All members subscribe to the same topics.
    pub(super) is_homogeneous: bool,
}

/// A member.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) id: Arc<str>,
    pub(super) topics: BTreeSet<Uuid>,
    /// What it was assigned before.
    pub(super) current: Partitions,
}

type Partition = (Uuid, i32);

/// What each member is to work on.
pub(super) fn assign(problem: &Problem) -> Vec<(Arc<str>, Partitions)> {
    let held = if problem.is_homogeneous {
        let everyone: Vec<usize> = (0..problem.members.len()).collect();
        let subscribed = problem.members.first().map(|member| &member.topics);
        let topics = problem.partitions.iter();
        let topics = topics.filter(|(topic, _)| subscribed.is_some_and(|all| all.contains(topic)));
        let partitions: Vec<Partition> = topics
            .flat_map(|(topic, set)| set.iter().map(|partition| (*topic, *partition)))
            .collect();
        share_out(problem, &partitions, &everyone)
    } else {
        let mut held = vec![BTreeSet::new(); problem.members.len()];
        for (topic, set) in &problem.partitions {
            let subscribed = problem.members.iter().enumerate();
            let subscribed: Vec<usize> = subscribed
                .filter(|(_, member)| member.topics.contains(topic))
                .map(|(at, _)| at)
                .collect();
            let partitions: Vec<Partition> =
                set.iter().map(|partition| (*topic, *partition)).collect();
            let of_topic = share_out(problem, &partitions, &subscribed);
            for (all, mut some) in held.iter_mut().zip(of_topic) {
                all.append(&mut some);
            }
        }
        held
    };
    let by_topic = |held: BTreeSet<Partition>| {
        let mut partitions = Partitions::new();
        for (topic, partition) in held {
            partitions.entry(topic).or_default().insert(partition);
        }
        partitions
    };
    problem
        .members
        .iter()
        .zip(held)
        .map(|(member, held)| (Arc::clone(&member.id), by_topic(held)))
        .collect()
}

/// Shares `partitions` out among `members`; what each of all members gets.
fn share_out(
    problem: &Problem,
    partitions: &[Partition],
    members: &[usize],
) -> Vec<BTreeSet<Partition>> {
    let mut held = vec![BTreeSet::new(); problem.members.len()];
    if partitions.is_empty() || members.is_empty() {
        return held;
    }
    let sharing = members.len().div_ceil(partitions.len());
    let shares = shares(sharing * partitions.len(), members.len());
    let mut sharers: BTreeMap<Partition, usize> = partitions.iter().map(|one| (*one, 0)).collect();
    // What members have stays, as far as their shares and the partitions' go.
    for (at, share) in members.iter().zip(&shares) {
        let current = problem.members[*at].current.iter();
        let current = current.flat_map(|(topic, set)| set.iter().map(|one| (*topic, *one)));
        for one in current {
            let Some(count) = sharers.get_mut(&one) else { continue };
            if held[*at].len() < *share && *count < sharing {
                held[*at].insert(one);
                *count += 1;
            }
        }
    }
    // The rest goes round among those who have less than their share.
    let unfilled = members.iter().zip(&shares).filter(|(at, share)| held[**at].len() < **share);
    let mut unfilled: Vec<(usize, usize)> = unfilled.map(|(at, share)| (*at, *share)).collect();
    let mut next = 0;
    for (partition, mut count) in sharers {
        let mut passed_over = 0;
        while count < sharing && passed_over < unfilled.len() {
            next %= unfilled.len();
            let (at, share) = unfilled[next];
            if !held[at].insert(partition) {
                next += 1;
                passed_over += 1;
                continue;
            }
            count += 1;
            passed_over = 0;
            if held[at].len() >= share {
                unfilled.remove(next);
            } else {
                next += 1;
            }
        }
    }
    held
}

/// Even shares of `total`, which differ by one at most.
fn shares(total: usize, members: usize) -> Vec<usize> {
    let up_to = |member: usize| (total * member).div_ceil(members);
    (0..members).map(|member| up_to(member + 1) - up_to(member)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions(topics: &[(u128, i32)]) -> Partitions {
        topics.iter().map(|(topic, count)| (Uuid(*topic), (0..*count).collect())).collect()
    }

    fn member(id: usize, topics: &[u128], current: Partitions) -> Subscriber {
        let topics = topics.iter().map(|topic| Uuid(*topic)).collect();
        Subscriber { id: format!("m{id}").into(), topics, current }
    }

    fn sizes(assigned: &[(Arc<str>, Partitions)]) -> Vec<usize> {
        assigned.iter().map(|(_, all)| all.values().map(BTreeSet::len).sum()).collect()
    }

    #[test]
    fn one_member_gets_everything_it_subscribes_to() {
        let problem = Problem {
            members: vec![member(0, &[1], Partitions::new())],
            partitions: partitions(&[(1, 3), (2, 2)]),
            is_homogeneous: true,
        };
        assert_eq!(assign(&problem), [("m0".into(), partitions(&[(1, 3)]))]);
    }

    #[test]
    fn more_members_than_partitions_share_them() {
        let members = (0..5).map(|at| member(at, &[1], Partitions::new())).collect();
        let problem = Problem { members, partitions: partitions(&[(1, 2)]), is_homogeneous: true };
        // Three members a partition: six places for five members.
        assert_eq!(sizes(&assign(&problem)), [2, 1, 1, 1, 1]);
    }

    #[test]
    fn a_new_member_takes_from_those_who_have_more_and_nothing_else_moves() {
        let problem = Problem {
            members: vec![
                member(0, &[1], partitions(&[(1, 4)])),
                member(1, &[1], Partitions::new()),
            ],
            partitions: partitions(&[(1, 4)]),
            is_homogeneous: true,
        };
        let assigned = assign(&problem);
        assert_eq!(sizes(&assigned), [2, 2]);
        assert_eq!(assigned[0].1[&Uuid(1)], BTreeSet::from([0, 1]));
    }

    proptest! {
        #[test]
        fn every_partition_has_members_and_every_member_its_share(
            counts in prop::collection::vec(1..4_i32, 1..4),
            subscriptions in prop::collection::vec(1..8_u128, 1..7),
            rounds in prop::collection::vec(1..7_usize, 1..4),
        ) {
            let topics: Vec<(u128, i32)> = (1..).zip(counts).collect();
            let mut current: BTreeMap<Arc<str>, Partitions> = BTreeMap::new();
            for round in rounds {
                let members: Vec<Subscriber> = subscriptions.iter().take(round).enumerate()
                    .map(|(at, mask)| {
                        let wanted: Vec<u128> =
                            (1..4_u128).filter(|topic| mask >> (topic - 1) & 1 == 1).collect();
                        let id = format!("m{at}");
                        let had = current.get(id.as_str()).cloned().unwrap_or_default();
                        member(at, &wanted, had)
                    })
                    .collect();
                let is_homogeneous = members.iter().all(|one| one.topics == members[0].topics);
                let problem = Problem { members, partitions: partitions(&topics), is_homogeneous };
                let assigned = assign(&problem);
                prop_assert_eq!(&assign(&problem), &assigned, "it is the same every time");
                for (topic, count) in &topics {
                    let topic = Uuid(*topic);
                    let subscribed = problem.members.iter().filter(|one| one.topics.contains(&topic));
                    let subscribed = subscribed.count();
                    for partition in 0..*count {
                        let sharers = assigned.iter().filter(|(_, all)| {
                            all.get(&topic).is_some_and(|set| set.contains(&partition))
                        });
                        prop_assert_eq!(sharers.count() > 0, subscribed > 0);
                    }
                }
                for (member, (_, all)) in problem.members.iter().zip(&assigned) {
                    prop_assert!(all.keys().all(|topic| member.topics.contains(topic)));
                }
                if is_homogeneous {
                    let sizes = sizes(&assigned);
                    let (least, most) = (sizes.iter().min(), sizes.iter().max());
                    prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
                }
                // Asked again, nothing moves.
                current = assigned.iter().cloned().collect();
                let again = Problem {
                    members: problem.members.iter().map(|one| Subscriber {
                        id: Arc::clone(&one.id),
                        topics: one.topics.clone(),
                        current: current[&one.id].clone(),
                    }).collect(),
                    partitions: partitions(&topics),
                    is_homogeneous,
                };
                prop_assert_eq!(&assign(&again), &assigned);
            }
        }
    }
}
