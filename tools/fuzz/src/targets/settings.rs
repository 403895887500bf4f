//! What admin clients may set on topics, groups, brokers and client metrics: any key, any value,
//! by any operation. What is judged good can be used and shown.

use naru_model::config::{
    AlterTarget, CleanerConfig, ConfigChange, ConfigOp, ConfigRow, Layers, Props,
    ReplicationThrottle, SocketConfig, TopicConfig, alter, broker_table, client_metrics_table,
    group_table, topic_table, validate_broker, validate_client_metrics, validate_group,
};

use super::{Memory, Target, as_it_is, joined, parts};
use crate::random::Random;

/// All settings of a broker are shown with all that they are called.
const MEMORY: Memory = Memory { factor: 256, floor: 4 << 20 };
const TARGETS: [AlterTarget; 4] =
    [AlterTarget::Topic, AlterTarget::Broker, AlterTarget::Group, AlterTarget::ClientMetrics];

/// See the module. An input is the number of what is changed, and three parts a change.
pub(super) fn target() -> Target {
    Target {
        name: "dynamic-configs",
        about: "configs as AlterConfigs and IncrementalAlterConfigs bring them",
        make: Box::new(make),
        repair: as_it_is,
        take: Box::new(take),
        memory: MEMORY,
    }
}

fn make(random: &mut Random) -> Vec<u8> {
    let number = random.byte() % 4;
    let rows: Vec<&ConfigRow> = match TARGETS[usize::from(number)] {
        AlterTarget::Topic => topic_table().rows().collect(),
        AlterTarget::Broker => broker_table().rows().collect(),
        AlterTarget::Group => group_table().rows().collect(),
        AlterTarget::ClientMetrics => client_metrics_table().rows().collect(),
    };
    let mut all = vec![vec![number]];
    for _ in 0..=random.below(4) {
        let row = random.pick(&rows);
        let prefix = if number == 1 && random.once_in(8) { "listener.name.x." } else { "" };
        all.push(vec![random.byte() % 4]);
        all.push([prefix, row.name].concat().into_bytes());
        all.push(value(random, row).into_bytes());
    }
    joined(&all)
}

fn value(random: &mut Random, row: &ConfigRow) -> String {
    const WORDS: [&str; 16] = [
        "true",
        "delete",
        "compact,delete",
        "zstd",
        "0:1,0:2",
        "*",
        "none",
        "earliest",
        "by_duration:P1D",
        "gzip",
        "LogAppendTime",
        "3.0-IV1",
        "uniform",
        " a , b ",
        "0.5",
        "",
    ];
    match random.below(4) {
        0 => row.default_text().unwrap_or_default().to_owned(),
        1 => random.pick(&WORDS).to_owned(),
        _ => random.number().to_string(),
    }
}

fn take(input: &[u8]) -> bool {
    let parts = parts(input);
    let Some((first, changes)) = parts.split_first() else { return false };
    let number = first.first().copied().unwrap_or(0) % 4;
    let target = TARGETS[usize::from(number)];
    let changes: Vec<ConfigChange> = changes.chunks_exact(3).map(change).collect();
    let layers = Layers::none();
    let (half, rest) = changes.split_at(changes.len() / 2);
    let Ok(set) = alter(target, &Props::new(), half) else { return false };
    let Ok(set) = alter(target, &set, rest) else { return false };
    let shown = match target {
        AlterTarget::Topic => {
            if TopicConfig::validate(&set, &layers).is_err() {
                return false;
            }
            assert!(TopicConfig::resolve(&set, &layers).is_ok(), "what is judged good can be used");
            layers.describe_topic(&set)
        }
        AlterTarget::Broker => {
            if validate_broker(&set, true).is_err() {
                return false;
            }
            let layers = Layers { broker: &set, ..layers };
            assert!(SocketConfig::resolve(&layers).is_ok(), "connections can use them");
            assert!(CleanerConfig::resolve(&layers).is_ok(), "the cleaner can use them");
            assert!(ReplicationThrottle::resolve(&layers).is_ok(), "throttles can use them");
            layers.describe_broker()
        }
        AlterTarget::Group => {
            if validate_group(&set, &layers).is_err() {
                return false;
            }
            layers.describe_group(&set)
        }
        AlterTarget::ClientMetrics => {
            if validate_client_metrics(&set).is_err() {
                return false;
            }
            layers.describe_client_metrics(&set)
        }
    };
    // A key below a listener's name is shown as it was set.
    let is_shown = |key: &String| shown.iter().any(|one| one.name == *key);
    let missing = set.keys().find(|key| target != AlterTarget::Broker && !is_shown(key));
    assert!(missing.is_none(), "what is set is shown: {missing:?}");
    !set.is_empty()
}

fn change(parts: &[&[u8]]) -> ConfigChange {
    let text = |at: usize| String::from_utf8_lossy(parts[at]).into_owned();
    let code = parts[0].first().copied().unwrap_or(0) % 4;
    let op = ConfigOp::from_code(code.cast_signed()).expect("four operations");
    let value = (op != ConfigOp::Delete).then(|| text(2));
    ConfigChange { name: text(1), op, value }
}
