//! The order in which Java's HashMap yields names: some of Kafka's tools print in it.

/// Puts names in the order of a `HashMap` that was made for that many.
pub fn java_hash_order(names: &mut [String]) {
    let mut capacity = names.len().next_power_of_two().max(1);
    // A map grows when it is more than three quarters full.
    if names.len() * 4 > capacity * 3 {
        capacity *= 2;
    }
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
    fn names_come_as_kafka_topics_prints_them() {
        let mut names = ["manual", "my.topic_with", "orders"].map(str::to_owned);
        java_hash_order(&mut names);
        assert_eq!(names, ["my.topic_with", "manual", "orders"]);
        let mut names = ["hdr", "orders"].map(str::to_owned);
        java_hash_order(&mut names);
        assert_eq!(names, ["orders", "hdr"]);
    }
}
