//! What the assignor promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Problem, Work, Worker, assign};
use crate::streams::tasks::Assignment;

fn worker(id: &str, process: &str) -> Worker {
    Worker { id: id.into(), process_id: process.into(), last: Assignment::default() }
}

fn problem(workers: Vec<Worker>, works: &[(&str, i32, bool)], standby_replicas: usize) -> Problem {
    let subtopologies = works
        .iter()
        .map(|(id, tasks, is_stateful)| {
            ((*id).to_owned(), Work { tasks: *tasks, is_stateful: *is_stateful })
        })
        .collect();
    Problem { workers, subtopologies, standby_replicas }
}

/// The next problem: everyone begins with what it has.
fn again(problem: &Problem, assigned: &[(Arc<str>, Assignment)]) -> Problem {
    let mut next = problem.clone();
    for worker in &mut next.workers {
        let last = assigned.iter().find(|(id, _)| *id == worker.id);
        worker.last = last.map(|(_, last)| last.clone()).unwrap_or_default();
    }
    next
}

fn count(assignment: &Assignment) -> usize {
    assignment.active.values().chain(assignment.standby.values()).map(BTreeSet::len).sum()
}

#[test]
fn a_process_with_more_threads_takes_more() {
    let workers = vec![worker("a1", "p"), worker("a2", "p"), worker("b", "q")];
    let assigned = assign(&problem(workers, &[("0", 6, false)], 0));
    assert!(assigned.iter().all(|(_, one)| count(one) == 2), "{assigned:?}");
}

#[test]
fn who_kept_the_state_runs_the_task_when_its_owner_is_gone() {
    let workers = vec![worker("a", "p"), worker("b", "q"), worker("c", "r")];
    let first = problem(workers, &[("0", 3, true)], 1);
    let assigned = assign(&first);
    let (gone, left) = assigned.split_first().expect("three");
    let mut second = again(&first, &assigned);
    second.workers.remove(0);
    let after = assign(&second);
    let lost = &gone.1.active["0"];
    let keeper =
        left.iter().find(|(_, one)| one.standby.get("0").is_some_and(|set| !set.is_disjoint(lost)));
    let (keeper, _) = keeper.expect("somebody kept it");
    let (_, now) = after.iter().find(|(id, _)| id == keeper).expect("still there");
    assert!(lost.is_subset(&now.active["0"]), "{after:?}");
}

#[test]
fn nobody_gets_nothing_of_nothing() {
    assert_eq!(assign(&problem(vec![], &[("0", 3, true)], 1)), []);
    let assigned = assign(&problem(vec![worker("a", "p")], &[], 1));
    assert_eq!(assigned, [("a".into(), Assignment::default())]);
}

fn problems() -> impl Strategy<Value = Problem> {
    let workers = prop::collection::vec(0..4_usize, 1..7);
    let works = prop::collection::vec((1..6_i32, any::<bool>()), 1..4);
    (workers, works, 0..3_usize).prop_map(|(processes, works, standby_replicas)| {
        let workers = processes.iter().enumerate();
        let workers = workers.map(|(at, one)| worker(&format!("m{at}"), &format!("p{one}")));
        let ids = ["0", "1", "2"];
        let works: Vec<_> = ids.into_iter().zip(works).map(|(id, (n, s))| (id, n, s)).collect();
        problem(workers.collect(), &works, standby_replicas)
    })
}

proptest! {
    #[test]
    fn every_task_runs_once_with_copies_elsewhere_and_stays_where_it_is(first in problems()) {
        let assigned = assign(&first);
        check(&first, &assigned);
        let second = again(&first, &assigned);
        let after = assign(&second);
        check(&second, &after);
        // Copies may move, as Kafka's do: they are shared out by members, of which a process with
        // several cannot take its share.
        let runs = |all: &[(Arc<str>, Assignment)]| -> Vec<_> {
            all.iter().map(|(id, one)| (Arc::clone(id), one.active.clone())).collect()
        };
        prop_assert_eq!(runs(&after), runs(&assigned), "nothing has changed, so nothing moves");
    }

    #[test]
    fn after_somebody_is_gone_every_task_still_runs_once(first in problems(), gone in 0..7_usize) {
        let assigned = assign(&first);
        let mut second = again(&first, &assigned);
        if second.workers.len() > 1 {
            second.workers.remove(gone % second.workers.len());
        }
        check(&second, &assign(&second));
    }
}

fn check(problem: &Problem, assigned: &[(Arc<str>, Assignment)]) {
    let mut runs = BTreeSet::new();
    let mut kept: BTreeMap<(&str, i32), BTreeSet<&str>> = BTreeMap::new();
    let mut runs_in: BTreeMap<(&str, i32), &str> = BTreeMap::new();
    for (worker, (id, assignment)) in problem.workers.iter().zip(assigned) {
        assert_eq!(worker.id, *id);
        for (subtopology, tasks) in &assignment.active {
            for task in tasks {
                assert!(runs.insert((subtopology.as_str(), *task)), "{subtopology}-{task} twice");
                runs_in.insert((subtopology, *task), &worker.process_id);
            }
        }
        for (subtopology, tasks) in &assignment.standby {
            for task in tasks {
                let processes = kept.entry((subtopology, *task)).or_default();
                assert!(processes.insert(&worker.process_id), "two copies in one process");
            }
        }
    }
    let processes: BTreeSet<&str> = problem.workers.iter().map(|one| &*one.process_id).collect();
    for (id, work) in &problem.subtopologies {
        for task in 0..work.tasks {
            let at = (id.as_str(), task);
            assert!(runs.contains(&at), "{id}-{task} runs nowhere");
            let copies = kept.get(&at).map_or(0, BTreeSet::len);
            let wanted = problem.standby_replicas.min(processes.len() - 1);
            assert_eq!(copies, if work.is_stateful { wanted } else { 0 }, "{id}-{task}");
            assert!(
                kept.get(&at).is_none_or(|all| !all.contains(runs_in[&at])),
                "a copy beside it"
            );
        }
    }
}
