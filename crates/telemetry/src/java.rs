//! The order in which a Java `HashSet` of texts that grew from nothing yields them: the id of a
//! subscription is computed over it.

/// Puts texts, each once and as they were put in, in the order of the set.
pub(crate) fn set_order(texts: &mut [String]) {
    let mut capacity: usize = 16;
    while texts.len() * 4 > capacity * 3 {
        capacity *= 2;
    }
    let mask = u32::try_from(capacity - 1).unwrap_or(u32::MAX);
    // Within a bucket what was put in first comes first: the sort is stable.
    texts.sort_by_key(|text| {
        let hash = hash(text);
        (hash ^ (hash >> 16)) & mask
    });
}

fn hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_a_java_set() {
        // From jshell: new HashSet<>(List.of("c", "a", "b", "metric.two", "metric.one")).
        let mut texts = ["c", "a", "b"].map(str::to_owned);
        set_order(&mut texts);
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(hash("hello"), 99_162_322);
    }
}
