//! Two suites at a time: most of them wait for timeouts, JVMs and restarts more than they work.
//!
//! Invariant: what asks to run alone has the machine for itself, after all others have ended.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use naru_testkit::outcome::{Outcome, Verdict};

/// As many as CI's machine has cores.
const LANES: usize = 2;

/// A suite that waits for its turn.
pub(super) struct Job<'a> {
    name: &'static str,
    alone: bool,
    run: Box<dyn FnOnce() -> Outcome + Send + 'a>,
}

impl<'a> Job<'a> {
    pub(super) fn new(name: &'static str, run: impl FnOnce() -> Outcome + Send + 'a) -> Self {
        Self { name, alone: false, run: Box::new(run) }
    }

    /// It measures time, or does to the machine what others would notice.
    pub(super) fn alone(self) -> Self {
        Self { alone: true, ..self }
    }
}

/// Runs all, tells of each as it ends, and returns what they found in the order they were given.
pub(super) fn run(jobs: Vec<Job<'_>>, told: impl Fn(&Outcome) + Sync) -> Vec<Outcome> {
    let (alone, together): (Vec<_>, Vec<_>) =
        jobs.into_iter().enumerate().partition(|(_, job)| job.alone);
    let found = Mutex::new(Vec::new());
    for (jobs, lanes) in [(together, LANES), (alone, 1)] {
        let waiting = Mutex::new(VecDeque::from(jobs));
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| {
                    while let Some((place, job)) = next(&waiting) {
                        let outcome = guarded(job);
                        told(&outcome);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.push((place, outcome));
                    }
                });
            }
        });
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, outcome)| outcome).collect()
}

/// The lock is not held while a job runs.
fn next<T>(waiting: &Mutex<VecDeque<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A suite that panics is one that failed.
fn guarded(job: Job<'_>) -> Outcome {
    let name = job.name;
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.run)).unwrap_or_else(|_| {
        let mut outcome = Outcome::new(name);
        outcome.add(Verdict::Failed, name, "it panicked");
        outcome
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn job<'a>(name: &'static str, running: &'a AtomicUsize, most: &'a AtomicUsize) -> Job<'a> {
        Job::new(name, || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::new(name)
        })
    }

    #[test]
    fn two_run_at_a_time_and_are_told_in_order() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let jobs = ["a", "b", "c", "d"].map(|name| job(name, &running, &most));
        let names: Vec<_> = run(jobs.into(), |_| ()).into_iter().map(|o| o.suite).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(most.into_inner(), LANES);
    }

    #[test]
    fn who_asks_to_be_alone_is() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let jobs = ["a", "b", "c"].map(|name| job(name, &running, &most).alone());
        assert_eq!(run(jobs.into(), |_| ()).len(), 3);
        assert_eq!(most.into_inner(), 1);
    }

    #[test]
    fn a_panic_is_a_failure_and_the_others_run() {
        let jobs =
            vec![Job::new("bad", || panic!("no")), Job::new("good", || Outcome::new("good"))];
        let found = run(jobs, |_| ());
        assert_eq!(found[0].totals().failed, 1);
        assert_eq!(found[1].suite, "good");
    }
}
