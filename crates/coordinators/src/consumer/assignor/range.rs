//! The range assignor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::super::assignment::Partitions;
use super::{Problem, Subscriber};

/// Gives each topic's subscribers, static ones first, consecutive partitions.
pub(super) fn assign(problem: &Problem) -> BTreeMap<Arc<str>, Partitions> {
    let mut members: Vec<&Subscriber> = problem.members.iter().collect();
    // A static member keeps its place when it comes back under another id.
    members.sort_by(|a, b| {
        let rank = |one: &Subscriber| (one.instance_id.is_none(), one.instance_id.clone());
        rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
    });
    let mut assigned: BTreeMap<Arc<str>, Partitions> =
        members.iter().map(|member| (Arc::clone(&member.id), Partitions::new())).collect();
    for (topic, count) in &problem.topics {
        assign_topic(*topic, *count, &members, &mut assigned);
    }
    assigned
}

fn assign_topic(
    topic: Uuid,
    count: i32,
    members: &[&Subscriber],
    assigned: &mut BTreeMap<Arc<str>, Partitions>,
) {
    let subscribers: Vec<&&Subscriber> =
        members.iter().filter(|member| member.topics.contains(&topic)).collect();
    let Ok(number) = i32::try_from(subscribers.len()) else { return };
    if number == 0 {
        return;
    }
    let (quota, extra) = (count / number, count % number);
    let mut start = 0;
    for (index, member) in (0..).zip(subscribers) {
        let end = start + quota + i32::from(index < extra);
        let range: BTreeSet<i32> = (start..end).collect();
        start = end;
        if let Some(partitions) = assigned.get_mut(&member.id)
            && !range.is_empty()
        {
            partitions.insert(topic, range);
        }
    }
}
