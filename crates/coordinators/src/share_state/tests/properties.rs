//! Random lives of share partitions, with failing appends and crashes.

use naru_model::ErrorCode;
use proptest::prelude::*;

use super::super::{ShareCommand, StateBatch};
use super::bench::{Bench, PARTITIONS, at, batch, initialize, read, write};

#[derive(Debug, Clone)]
enum Action {
    Initialize(i32, i32, i64),
    Read(i32, i32),
    Write(i32, i64, Vec<StateBatch>),
    Delete(i32),
    Settle(bool),
    Advance(i64),
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    let one = || 0..PARTITIONS;
    let some = prop::collection::vec(
        (0..40_i64, 0..9_i64, 0..5_i8, 1..4_i16)
            .prop_map(|(first, len, state, count)| batch(first, first + len, state, count)),
        0..4,
    );
    prop_oneof![
        2 => (one(), 0..3_i32, -1..9_i64).prop_map(|(p, e, s)| Action::Initialize(p, e, s)),
        3 => (one(), -1..4_i32).prop_map(|(p, e)| Action::Read(p, e)),
        9 => (one(), -1..30_i64, some).prop_map(|(p, s, b)| Action::Write(p, s, b)),
        1 => one().prop_map(Action::Delete),
        6 => any::<bool>().prop_map(Action::Settle),
        2 => prop_oneof![Just(1_000_i64), Just(200_000), Just(400_000)].prop_map(Action::Advance),
        1 => Just(Action::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_shard_that_reads_the_log_holds_what_was_decided(
        commits_at_once: bool,
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut bench = Bench::new(2);
        bench.auto_commit = commits_at_once;
        for action in actions {
            match action {
                Action::Initialize(one, epoch, start) => drop(bench.send(initialize(one, epoch, start))),
                Action::Read(one, epoch) => drop(bench.send(read(one, epoch))),
                Action::Write(one, start, batches) => drop(bench.send(write(one, start, &batches))),
                Action::Delete(one) => drop(bench.send(ShareCommand::Delete { partition: at(one) })),
                Action::Settle(true) => drop(bench.settle_one(Ok(()))),
                // What was appended behind a batch that is lost is lost too.
                Action::Settle(false) => {
                    while bench.settle_one(Err(ErrorCode::NotEnoughReplicas)) {}
                }
                Action::Advance(milliseconds) => bench.advance(milliseconds),
                Action::Crash => bench.crash(),
            }
        }
        bench.auto_commit = true;
        while bench.settle_one(Ok(())) {}
        prop_assert_eq!(bench.replayed().settled(), bench.shard.settled());
    }
}
