//! Which names a topic may have, in Kafka's words.

/// Longest name: with the partition number it still fits a file name.
pub const LENGTH_MAX: usize = 249;

/// The topic of the metadata log.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";
/// The topic of committed offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic of transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// The topic of share groups.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";

/// Why a name is refused. The text is Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// No character at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// A name that file systems give a meaning.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Reserved(String),
    /// More than 249 characters.
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {max}",
        max = LENGTH_MAX
    )]
    TooLong(String),
    /// A character that is not allowed.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII \
         alphanumerics, '.', '_' and '-'"
    )]
    IllegalCharacter(String),
}

/// Checks a name; every topic of the image passed it.
pub fn validate(name: &str) -> Result<(), InvalidTopicName> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err(InvalidTopicName::Empty)
    } else if matches!(name, "." | "..") {
        Err(InvalidTopicName::Reserved(name.to_owned()))
    } else if name.encode_utf16().count() > LENGTH_MAX {
        // Java counts UTF-16 units; for legal names they are the bytes.
        Err(InvalidTopicName::TooLong(name.to_owned()))
    } else if !name.bytes().all(legal) {
        Err(InvalidTopicName::IllegalCharacter(name.to_owned()))
    } else {
        Ok(())
    }
}

/// Whether the topic is one that brokers keep for themselves.
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// What two names have in common if metric names cannot tell them apart; none if the name has
/// no '.' and no '_'.
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_kafkas_do() {
        let text = |name: &str| validate(name).map_err(|error| error.to_string());
        assert_eq!(text("orders.v2_a-B"), Ok(()));
        assert_eq!(text(&"a".repeat(249)), Ok(()));
        assert_eq!(text("..").unwrap_err(), "Topic name is invalid: '..' is not allowed");
        assert_eq!(text("").unwrap_err(), "Topic name is invalid: the empty string is not allowed");
        assert_eq!(
            text("a/b").unwrap_err(),
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'"
        );
        let long = "b".repeat(250);
        assert_eq!(
            text(&long).unwrap_err(),
            format!(
                "Topic name is invalid: the length of '{long}' is longer than the max allowed \
                 length 249"
            )
        );
        assert!(validate("größe").is_err());
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_eq!(collision_key("ab"), None);
    }
}
