//! How the leader of a group divides partitions. Pure.

use std::collections::{BTreeMap, HashMap};

use naru_model::TopicPartition;

use crate::config::Assignor;

/// A member as its leader sees it.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) topics: Vec<String>,
}

/// Divides the partitions of `counts` (topic, number of partitions) among the members; every
/// member has an entry in the answer.
pub(super) fn assign(
    assignor: Assignor,
    members: &[Subscriber],
    counts: &BTreeMap<String, i32>,
) -> HashMap<String, Vec<TopicPartition>> {
    let mut sorted: Vec<&Subscriber> = members.iter().collect();
    // Static members keep their places: they sort by instance id and before the others.
    sorted.sort_by_key(|m| (m.instance_id.is_none(), m.instance_id.clone(), m.member_id.clone()));
    let mut shares: HashMap<String, Vec<TopicPartition>> =
        members.iter().map(|member| (member.member_id.clone(), Vec::new())).collect();
    match assignor {
        Assignor::Range => assign_ranges(&sorted, counts, &mut shares),
        Assignor::RoundRobin => assign_round_robin(&sorted, counts, &mut shares),
    }
    shares
}

fn assign_ranges(
    members: &[&Subscriber],
    counts: &BTreeMap<String, i32>,
    shares: &mut HashMap<String, Vec<TopicPartition>>,
) {
    for (topic, count) in counts {
        let takers: Vec<_> = members.iter().filter(|m| m.topics.contains(topic)).collect();
        let Ok(number) = i32::try_from(takers.len()) else { continue };
        if number == 0 {
            continue;
        }
        let (each, extra) = (count / number, count % number);
        let mut next = 0;
        for (index, member) in (0..number).zip(takers) {
            let take = each + i32::from(index < extra);
            let range = (next..next + take).map(|p| TopicPartition::new(topic.clone(), p));
            shares.entry(member.member_id.clone()).or_default().extend(range);
            next += take;
        }
    }
}

fn assign_round_robin(
    members: &[&Subscriber],
    counts: &BTreeMap<String, i32>,
    shares: &mut HashMap<String, Vec<TopicPartition>>,
) {
    let mut turn = 0;
    for (topic, count) in counts {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            while !members[turn % members.len()].topics.contains(topic) {
                turn += 1;
            }
            let member = members[turn % members.len()];
            turn += 1;
            shares
                .entry(member.member_id.clone())
                .or_default()
                .push(TopicPartition::new(topic.clone(), partition));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            topics: topics.iter().map(|&t| t.to_owned()).collect(),
        }
    }

    fn check(assignor: Assignor, members: &[Subscriber], counts: &[(&str, i32)], expect: &[&str]) {
        let counts = counts.iter().map(|(t, c)| ((*t).to_owned(), *c)).collect();
        let shares = assign(assignor, members, &counts);
        let text = |m: &Subscriber| {
            let share = shares[&m.member_id].iter().map(ToString::to_string);
            share.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(members.iter().map(text).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn range_gives_consecutive_partitions_and_the_rest_to_the_first() {
        let members = [member("a", None, &["t", "u"]), member("b", None, &["t", "u"])];
        check(Assignor::Range, &members, &[("t", 3), ("u", 1)], &["t-0 t-1 u-0", "t-2"]);
    }

    #[test]
    fn range_leaves_members_over_without_partitions() {
        let members =
            [member("b", None, &["t"]), member("a", None, &["t"]), member("c", None, &["t"])];
        check(Assignor::Range, &members, &[("t", 2)], &["t-1", "t-0", ""]);
    }

    #[test]
    fn static_members_come_first() {
        let members = [member("a", None, &["t"]), member("z", Some("i1"), &["t"])];
        check(Assignor::Range, &members, &[("t", 3)], &["t-2", "t-0 t-1"]);
    }

    #[test]
    fn round_robin_goes_over_all_topics() {
        let members = [member("a", None, &["t", "u"]), member("b", None, &["t", "u"])];
        check(Assignor::RoundRobin, &members, &[("t", 3), ("u", 1)], &["t-0 t-2", "t-1 u-0"]);
    }

    #[test]
    fn round_robin_skips_those_who_did_not_subscribe() {
        let members = [member("a", None, &["t"]), member("b", None, &["u"])];
        check(Assignor::RoundRobin, &members, &[("t", 2), ("u", 1), ("v", 4)], &["t-0 t-1", "u-0"]);
    }

    proptest! {
        #[test]
        fn every_partition_of_a_subscribed_topic_has_exactly_one_owner(
            members in 1usize..6, partitions in 0i32..20, round_robin: bool,
        ) {
            let members: Vec<_> =
                (0..members).map(|i| member(&format!("m{i}"), None, &["t"])).collect();
            let assignor = if round_robin { Assignor::RoundRobin } else { Assignor::Range };
            let counts = BTreeMap::from([("t".to_owned(), partitions)]);
            let shares = assign(assignor, &members, &counts);
            let mut owned: Vec<i32> = shares.values().flatten().map(|p| p.partition).collect();
            owned.sort_unstable();
            prop_assert_eq!(owned, (0..partitions).collect::<Vec<_>>());
            let sizes: Vec<usize> = shares.values().map(Vec::len).collect();
            let (min, max) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(max - min <= 1);
        }
    }
}
