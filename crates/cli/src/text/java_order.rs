//! The order in which Java's HashMap yields names: some of Kafka's tools print in it.

use naru_model::TopicPartition;

/// Puts names in the order of a `HashMap` that was made for that many and filled in this order.
pub fn java_hash_order(names: &mut [String]) {
    let mut capacity = names.len().next_power_of_two().max(1);
    // A map grows when it is more than three quarters full.
    if names.len() * 4 > capacity * 3 {
        capacity *= 2;
    }
    order_by_bucket(names, capacity);
}

/// Puts names in the order of a `HashMap` that was copied from another one into a third, as
/// Kafka's admin client does with what it describes.
pub fn java_copied_order(names: &mut [String]) {
    java_hash_order(names);
    // A copy is made large enough for not having to grow.
    order_by_bucket(names, (names.len() * 4 / 3 + 1).next_power_of_two());
    java_hash_order(names);
}

/// Puts things in the order of a `HashMap` by name that grew from nothing.
pub fn java_grown_order<T>(things: &mut [T], name: impl Fn(&T) -> &str) {
    order_grown(things, |thing| java_hash(name(thing)));
}

/// Puts things in the order of a `HashMap` by number that grew from nothing.
pub fn java_int_order<T>(things: &mut [T], number: impl Fn(&T) -> i32) {
    order_grown(things, |thing| number(thing).cast_unsigned());
}

/// Puts things in the order of a `HashMap` by partition that grew from nothing.
pub fn java_partition_order<T>(things: &mut [T], partition: impl Fn(&T) -> &TopicPartition) {
    order_grown(things, |thing| {
        let TopicPartition { topic, partition } = partition(thing);
        let index = partition.cast_unsigned().wrapping_add(31);
        index.wrapping_mul(31).wrapping_add(java_hash(topic))
    });
}

fn order_grown<T>(things: &mut [T], hash: impl Fn(&T) -> u32) {
    let mut capacity: usize = 16;
    while things.len() * 4 > capacity * 3 {
        capacity *= 2;
    }
    let mask = u32::try_from(capacity - 1).unwrap_or(u32::MAX);
    things.sort_by_key(|thing| {
        let hash = hash(thing);
        (hash ^ (hash >> 16)) & mask
    });
}

/// Within a bucket, what was put in first comes first: the sort is stable.
fn order_by_bucket(names: &mut [String], capacity: usize) {
    let mask = u32::try_from(capacity - 1).unwrap_or(u32::MAX);
    names.sort_by_key(|name| {
        let hash = java_hash(name);
        (hash ^ (hash >> 16)) & mask
    });
}

fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_as_kafka_topics_describes_them() {
        for expect in [
            &["my.topic_with", "manual", "orders"][..],
            &["orders", "hdr"],
            &["orders", "__consumer_offsets", "my.t_x"],
        ] {
            let mut names: Vec<String> = expect.iter().map(|&name| name.to_owned()).collect();
            names.sort();
            java_copied_order(&mut names);
            assert_eq!(names, expect);
        }
    }

    #[test]
    fn groups_come_as_kafka_consumer_groups_lists_them() {
        let expect = ["console-consumer-39956", "console-consumer-23678", "g1", "g2", "live"];
        let mut names = expect;
        names.sort_unstable();
        java_grown_order(&mut names, |name| name);
        assert_eq!(names, expect);
    }

    #[test]
    fn partitions_come_as_kafka_log_dirs_lists_them() {
        let expect = [
            ("orders", 0),
            ("manual", 4),
            ("orders", 1),
            ("orders", 2),
            ("manual", 1),
            ("manual", 0),
            ("manual", 3),
            ("manual", 2),
        ];
        // As the broker named them: what shares a bucket keeps that order.
        let topic = |name, count| (0..count).map(move |index| TopicPartition::new(name, index));
        let mut partitions: Vec<_> = topic("orders", 3).chain(topic("manual", 5)).collect();
        java_partition_order(&mut partitions, |partition| partition);
        assert_eq!(partitions, expect.map(|(topic, index)| TopicPartition::new(topic, index)));
    }

    #[test]
    fn small_numbers_come_sorted_and_large_ones_by_their_bucket() {
        let mut numbers = [100, 9, 7, 17];
        java_int_order(&mut numbers, |number| *number);
        assert_eq!(numbers, [17, 100, 7, 9]);
    }

    #[test]
    fn configurations_come_as_kafka_topics_prints_them() {
        let topic = "cleanup.policy compression.gzip.level compression.lz4.level \
                     compression.type compression.zstd.level delete.retention.ms \
                     file.delete.delay.ms flush.messages flush.ms \
                     follower.replication.throttled.replicas index.interval.bytes \
                     leader.replication.throttled.replicas local.retention.bytes \
                     local.retention.ms max.compaction.lag.ms max.message.bytes \
                     message.timestamp.after.max.ms message.timestamp.before.max.ms \
                     message.timestamp.type min.cleanable.dirty.ratio min.compaction.lag.ms \
                     min.insync.replicas preallocate remote.log.copy.disable \
                     remote.log.delete.on.disable remote.storage.enable retention.bytes \
                     retention.ms segment.bytes segment.index.bytes segment.jitter.ms \
                     segment.ms unclean.leader.election.enable";
        let mut names: Vec<String> = topic.split(' ').map(str::to_owned).collect();
        java_hash_order(&mut names);
        let set = ["compression.type", "min.insync.replicas", "cleanup.policy", "segment.bytes"];
        names.retain(|name| set.contains(&name.as_str()));
        // As `--describe` of __consumer_offsets shows them.
        assert_eq!(names, set);
    }
}
