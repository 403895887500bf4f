//! A few runs, since tests are built without optimization: `cargo xtask test --suite simulation`
//! makes hundreds.

use naru_simulator::{Met, Mutation, Outcome, Settings, run};

fn traced(seed: u64) -> Outcome {
    run(Settings { keeps_lines: true, ..Settings::of(seed) })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, again, other) = (traced(4), traced(4), traced(5));
    assert_eq!(first.lines, again.lines);
    assert_eq!((first.hash, first.happened), (again.hash, again.happened));
    assert_ne!(first.hash, other.hash);
}

#[test]
fn nothing_is_lost_and_everything_comes_together() {
    let mut met = Met::default();
    for seed in 1..=10 {
        let outcome = run(Settings::of(seed));
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
        met += outcome.met;
    }
    // Runs in which nothing happens would prove nothing.
    assert!(met.acked > 500 && met.read > 1000, "{met:?}");
    assert!(met.crashes > 30 && met.cuts > 3 && met.quorum_leaders > 20, "{met:?}");
    assert!(met.txns_committed > 200 && met.txns_aborted > 5, "{met:?}");
    assert!(met.txns_left > 20 && met.txns_fenced > 10 && met.skipped > 50, "{met:?}");
}

/// Each fault made on purpose, with a seed whose run it spoils.
#[test]
fn the_judge_notices_what_is_broken_on_purpose() {
    let cases = [
        (Mutation::AckBeforeHighWatermark, "what is acknowledged is committed"),
        (Mutation::ReadUncommitted, "no reader sees what is not committed"),
        (Mutation::LeaderOutsideIsr, "the leader is in the ISR"),
        (Mutation::VoterSkipsSync, "committed metadata is never lost"),
        (Mutation::ReadUnstable, "readers of committed records see these and no others"),
        (Mutation::ZombiesNotFenced, "nothing of a fenced producer is stored"),
    ];
    for (mutation, invariant) in cases {
        let broken = (1..=10).find_map(|seed| {
            run(Settings { mutation: Some(mutation), ..Settings::of(seed) }).violation
        });
        assert_eq!(broken.unwrap().invariant, invariant, "{mutation:?}");
    }
}
