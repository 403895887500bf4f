use std::collections::{BTreeMap, BTreeSet};

use naru_client::TopicPartition;
use proptest::prelude::*;

use super::planner::{Goals, Load, Move, Node, Placed, PlanError, Role, loads, plan};

fn node(id: i32, rack: Option<&str>, role: Role) -> Node {
    Node { id, rack: rack.map(str::to_owned), role }
}

fn takers(count: i32) -> Vec<Node> {
    (1..=count).map(|id| node(id, None, Role::Takes)).collect()
}

fn placed(topic: &str, index: i32, replicas: &[i32], bytes: i64) -> Placed {
    Placed {
        partition: TopicPartition::new(topic, index),
        replicas: replicas.to_vec(),
        bytes,
        fixed: false,
    }
}

/// The partitions after a plan.
fn applied(partitions: &[Placed], moves: &[Move]) -> Vec<Placed> {
    let mut after = partitions.to_vec();
    for one in moves {
        let target = after.iter_mut().find(|p| p.partition == one.partition).unwrap();
        assert_eq!(target.replicas, one.from);
        target.replicas.clone_from(&one.to);
    }
    after
}

fn load(partitions: &[Placed]) -> BTreeMap<i32, Load> {
    loads(partitions.iter().map(|p| (p.replicas.as_slice(), p.bytes)))
}

fn spread(partitions: &[Placed], nodes: &[Node], of: impl Fn(&Load) -> i64) -> i64 {
    let loads = load(partitions);
    let takers = nodes.iter().filter(|node| node.role == Role::Takes);
    let values: Vec<i64> =
        takers.map(|node| of(&loads.get(&node.id).copied().unwrap_or_default())).collect();
    values.iter().max().unwrap() - values.iter().min().unwrap()
}

#[test]
fn a_new_broker_gets_its_share_and_nobody_else_moves() {
    let partitions: Vec<Placed> =
        (0..12).map(|i| placed("a", i, &[1 + i % 3, 1 + (i + 1) % 3], 100)).collect();
    let nodes = takers(4);
    let moves = plan(&nodes, &partitions, Goals::ALL).unwrap();
    let after = applied(&partitions, &moves);
    for id in 1..=4 {
        assert_eq!(load(&after)[&id], Load { replicas: 6, leaders: 3, bytes: 600 }, "broker {id}");
    }
    // Six replicas are copied, and all of them to the new broker.
    assert_eq!(moves.iter().map(|one| one.bytes).sum::<i64>(), 600);
    for one in &moves {
        assert!(one.to.iter().all(|id| one.from.contains(id) || *id == 4), "{one:?}");
    }
}

#[test]
fn a_drained_broker_is_left_by_all() {
    let partitions: Vec<Placed> =
        (0..9).map(|i| placed("a", i, &[1 + i % 4, 1 + (i + 1) % 4, 1 + (i + 2) % 4], 1)).collect();
    let mut nodes = takers(4);
    nodes[3].role = Role::Leaves;
    let after = applied(&partitions, &plan(&nodes, &partitions, Goals::ALL).unwrap());
    assert!(after.iter().all(|p| !p.replicas.contains(&4)));
    assert_eq!(spread(&after, &nodes, |l| i64::try_from(l.replicas).unwrap()), 0);
}

#[test]
fn draining_below_the_number_of_replicas_is_refused() {
    let mut nodes = takers(3);
    nodes[2].role = Role::Leaves;
    let error = plan(&nodes, &[placed("a", 0, &[1, 2, 3], 1)], Goals::ALL).unwrap_err();
    assert_eq!(
        error,
        PlanError::TooFewBrokers {
            partition: TopicPartition::new("a", 0),
            replicas: 3,
            brokers: 2
        }
    );
    assert_eq!(error.to_string(), "a-0 has 3 replicas, and only 2 brokers would be left for it");
}

#[test]
fn replicas_are_spread_over_racks() {
    let nodes: Vec<Node> = [(1, "a"), (2, "a"), (3, "b"), (4, "c")]
        .map(|(id, rack)| node(id, Some(rack), Role::Takes))
        .into();
    let partitions = [placed("t", 0, &[1, 2, 3], 5), placed("t", 1, &[2, 1, 4], 5)];
    let goals = Goals { replicas: false, disk: false, leaders: false, racks: true };
    let after = applied(&partitions, &plan(&nodes, &partitions, goals).unwrap());
    for p in after {
        let racks: BTreeSet<_> = p
            .replicas
            .iter()
            .map(|id| nodes[usize::try_from(*id - 1).unwrap()].rack.clone())
            .collect();
        assert_eq!(racks.len(), 3, "{p:?}");
    }
}

#[test]
fn large_partitions_change_places_with_small_ones() {
    let partitions = [
        placed("a", 0, &[1], 1000),
        placed("a", 1, &[1], 1000),
        placed("b", 0, &[2], 10),
        placed("b", 1, &[2], 10),
    ];
    let nodes = takers(2);
    let after = applied(&partitions, &plan(&nodes, &partitions, Goals::ALL).unwrap());
    assert_eq!(spread(&after, &nodes, |l| l.bytes), 0);
    assert_eq!(spread(&after, &nodes, |l| i64::try_from(l.replicas).unwrap()), 0);
}

#[test]
fn leaders_are_evened_over_a_detour_and_without_copying() {
    // 1 leads three; 3 leads none and shares no partition with 1.
    let partitions = [
        placed("a", 0, &[1, 2], 5),
        placed("a", 1, &[1, 2], 5),
        placed("a", 2, &[2, 3], 5),
        placed("a", 3, &[1, 2], 5),
    ];
    let goals = Goals { racks: false, replicas: false, disk: false, leaders: true };
    let moves = plan(&takers(3), &partitions, goals).unwrap();
    assert!(moves.iter().all(|one| one.bytes == 0));
    let after = load(&applied(&partitions, &moves));
    let leaders: Vec<usize> = (1..=3).map(|id| after[&id].leaders).collect();
    assert_eq!(leaders.iter().max().unwrap() - leaders.iter().min().unwrap(), 1, "{leaders:?}");
}

#[test]
fn what_is_fixed_counts_and_stays() {
    let mut partitions: Vec<Placed> = (0..4).map(|i| placed("other", i, &[1], 10)).collect();
    partitions.iter_mut().for_each(|p| p.fixed = true);
    partitions.extend((0..4).map(|i| placed("a", i, &[1 + i % 2], 10)));
    let moves = plan(&takers(2), &partitions, Goals::ALL).unwrap();
    assert!(moves.iter().all(|one| one.partition.topic == "a"), "{moves:?}");
    let after = load(&applied(&partitions, &moves));
    assert_eq!((after[&1].replicas, after[&2].replicas), (4, 4));
}

#[test]
fn who_only_keeps_gets_nothing() {
    let mut nodes = takers(3);
    nodes[2].role = Role::Keeps;
    let partitions: Vec<Placed> = (0..8).map(|i| placed("a", i, &[1], 1)).collect();
    let after = applied(&partitions, &plan(&nodes, &partitions, Goals::ALL).unwrap());
    assert!(after.iter().all(|p| p.replicas != [3]));
    assert_eq!(load(&after)[&2].replicas, 4);
}

fn clusters() -> impl Strategy<Value = (Vec<Node>, Vec<Placed>)> {
    let nodes = (3i32..8, 0usize..4, any::<bool>()).prop_map(|(count, racks, drain)| {
        let rack =
            |id: i32| (racks > 0).then(|| format!("r{}", usize::try_from(id).unwrap() % racks));
        let mut nodes: Vec<Node> =
            (1..=count).map(|id| Node { id, rack: rack(id), role: Role::Takes }).collect();
        if drain && count > 3 {
            nodes[0].role = Role::Leaves;
        }
        nodes
    });
    nodes.prop_flat_map(|nodes| {
        let ids: Vec<i32> = nodes.iter().map(|node| node.id).collect();
        let replicas = (1usize..=3).prop_flat_map(move |factor| {
            proptest::sample::subsequence(ids.clone(), factor).prop_shuffle()
        });
        let partition = (replicas, 0i64..1000, 0u8..3);
        let partitions = proptest::collection::vec(partition, 1..40).prop_map(|all| {
            all.into_iter()
                .zip(0..)
                .map(|((replicas, bytes, topic), index)| {
                    placed(&format!("t{topic}"), index, &replicas, bytes)
                })
                .collect()
        });
        (Just(nodes), partitions)
    })
}

proptest! {
    #[test]
    fn a_plan_keeps_its_invariants((nodes, partitions) in clusters()) {
        let moves = plan(&nodes, &partitions, Goals::ALL).unwrap();
        let after = applied(&partitions, &moves);
        let rack = |id: &i32| nodes.iter().find(|n| n.id == *id).unwrap().rack.clone();
        let racks = |ids: &[i32]| ids.iter().map(rack).collect::<BTreeSet<_>>().len();
        let leaves = |id: &i32| nodes.iter().any(|n| n.id == *id && n.role == Role::Leaves);
        for (old, new) in partitions.iter().zip(&after) {
            prop_assert_eq!(old.replicas.len(), new.replicas.len());
            let distinct: BTreeSet<_> = new.replicas.iter().collect();
            prop_assert_eq!(distinct.len(), new.replicas.len());
            prop_assert!(!new.replicas.iter().any(leaves));
            // A rack that only a drained broker was in is lost with it.
            if !old.replicas.iter().any(leaves) {
                prop_assert!(racks(&new.replicas) >= racks(&old.replicas));
            }
        }
        if nodes[0].rack.is_none() {
            let count = |l: &Load| i64::try_from(l.replicas).unwrap();
            prop_assert!(spread(&after, &nodes, count) <= 1);
        }
        let again = plan(&nodes, &after, Goals::ALL).unwrap();
        prop_assert!(again.is_empty(), "{:?}", again);
    }

    #[test]
    fn leaders_are_never_less_even_than_before((nodes, partitions) in clusters()) {
        let goals = Goals { racks: false, replicas: false, disk: false, leaders: true };
        let after = applied(&partitions, &plan(&nodes, &partitions, goals).unwrap());
        let nodes: Vec<Node> = nodes.into_iter().filter(|n| n.role == Role::Takes).collect();
        if nodes.iter().all(|n| n.id != 1 || n.role == Role::Takes) {
            let count = |l: &Load| i64::try_from(l.leaders).unwrap();
            if partitions.iter().all(|p| p.replicas.iter().all(|id| nodes.iter().any(|n| n.id == *id))) {
                prop_assert!(spread(&after, &nodes, count) <= spread(&partitions, &nodes, count));
            }
        }
    }
}
