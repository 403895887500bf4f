//! Patterns of topic names, as Kafka's tools take them: a regular expression for the whole name,
//! with commas for alternatives.

use regex_lite::Regex;

/// Which topics are meant.
#[derive(Debug, Clone)]
pub struct TopicFilter {
    regex: Regex,
}

impl TopicFilter {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let bare = pattern.trim().replace(',', "|").replace(' ', "");
        let bare = bare.trim_matches(['"', '\'']);
        Regex::new(&format!("^(?:{bare})$"))
            .map(|regex| Self { regex })
            .map_err(|_| format!("{bare} is an invalid regex."))
    }

    /// Whether a topic is meant.
    pub fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }
}

/// Whether Kafka itself keeps state in a topic of this name.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match_one_of_the_patterns() {
        let filter = TopicFilter::new("o.*, hdr").unwrap();
        assert!(filter.matches("orders") && filter.matches("hdr"));
        assert!(!filter.matches("hdr2") && !filter.matches("to"));
        assert!(TopicFilter::new("a[").is_err());
    }
}
