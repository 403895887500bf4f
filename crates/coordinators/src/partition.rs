//! Which partition of `__consumer_offsets` owns a group.

/// The partition that owns `group_id` among `partitions`: Java's string hash over UTF-16 units,
/// made non-negative as Kafka does, so that both brokers and tools agree.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash = group_id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn a_group_goes_where_java_hashes_it() {
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("hello", 50), 99_162_322 % 50);
        // One character outside the basic plane is two units: 0xd83d, 0xde00.
        assert_eq!(partition_for("\u{1f600}", 1 << 30), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn the_most_negative_hash_has_a_partition() {
        // "polygenelubricants" hashes to i32::MIN, whose absolute value does not exist.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
    }
}
