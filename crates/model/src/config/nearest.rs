//! The key somebody probably meant.

/// The closest of `names`, when it is close enough to be a slip: at most a third of the letters
/// differ, three at the most for short names.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase().replace(['_', '-'], ".");
    let limit = (wrong.chars().count() / 3).clamp(1, 6);
    names
        .into_iter()
        .map(|name| (distance(&wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, drop, change or swap with their neighbour to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            row[j + 1] = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["log.retention.ms", "log.retention.hours", "log.dirs", "node.id"];

    #[test]
    fn a_slip_finds_the_key_that_was_meant() {
        for (wrong, meant) in [
            ("log.retention.hour", "log.retention.hours"),
            ("log_retention_ms", "log.retention.ms"),
            ("Log.Dirs", "log.dirs"),
            ("nodeid", "node.id"),
            ("ndoe.id", "node.id"),
        ] {
            assert_eq!(nearest(wrong, NAMES), Some(meant), "{wrong}");
        }
    }

    #[test]
    fn a_stranger_is_like_none() {
        for wrong in ["", "x", "some.plugin.setting", "schema.registry.url"] {
            assert_eq!(nearest(wrong, NAMES), None, "{wrong}");
        }
    }
}
