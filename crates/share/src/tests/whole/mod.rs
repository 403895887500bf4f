//! The whole way of a share group's records, without I/O: members fetch and acknowledge at leaders,
//! leaders have a share coordinator store what has changed, the coordinator has its log. Requests
//! and answers between them are lost, held up, sent again and come in any order; leaders move while
//! the old ones do not know; coordinators crash, appends fail, administrators move groups.

mod coordinator;
mod leader;
mod world;

use proptest::prelude::*;
use world::{Step, World};

/// Which of several things; the rest of a division.
const ANY: std::ops::Range<usize> = 0..64;

fn step() -> impl Strategy<Value = Step> {
    let types = proptest::collection::vec(0_u8..5, 1..8);
    prop_oneof![
        10 => (ANY, ANY, 1..12_i64, any::<bool>()).prop_map(|(leader, member, max, strict)| {
            Step::Fetch { leader, member, max, strict }
        }),
        12 => (ANY, ANY, ANY, types).prop_map(|(leader, member, at, types)| {
            Step::Acknowledge { leader, member, at, types }
        }),
        2 => (ANY, ANY).prop_map(|(leader, member)| Step::Leave { leader, member }),
        4 => (1..12_000_i64).prop_map(|ms| Step::Pass { ms }),
        24 => ANY.prop_map(|message| Step::Deliver { message }),
        3 => ANY.prop_map(|message| Step::Lose { message }),
        5 => ANY.prop_map(|leader| Step::TimeOut { leader }),
        16 => Just(Step::Append { stored: true }),
        1 => Just(Step::Append { stored: false }),
        1 => ANY.prop_map(|kept| Step::CrashCoordinator { kept }),
        3 => Just(Step::MoveLeader),
        1 => ANY.prop_map(|leader| Step::EndLeader { leader }),
        1 => (0..40_i64).prop_map(|to| Step::MoveLogStart { to }),
        1 => (0..60_i64).prop_map(|to| Step::Alter { to }),
        1 => Just(Step::BeginLate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_stays_done_and_everything_else_is_delivered_again(
        steps in proptest::collection::vec(step(), 1..250)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}
