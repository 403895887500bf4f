//! Errors that explain: where an answer has room for text, an error has text.
//!
//! Whatever Apache Kafka says: where it is silent Naru says why.

use naru_protocol::api::ApiKey;

use super::tree::Tree;

/// A code, and the text that stands beside it.
const PAIRS: &[(&str, &str)] =
    &[("error_code", "error_message"), ("acknowledge_error_code", "acknowledge_error_message")];
/// The text of an element that is only there for an error.
const RECORD_ERROR: &str = "batch_index_error_message";
/// Texts that say nothing.
const NOTHING: [&str; 2] = ["None", "\"\""];
/// The first versions that have room, if not all have.
const FIRST: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 8),
    (ApiKey::FindCoordinator, 1),
    (ApiKey::DescribeGroups, 6),
    (ApiKey::DeleteTopics, 5),
    (ApiKey::DescribeQuorum, 2),
];

/// Where an answer has an error and leaves the room for its text empty.
pub fn silent(api: ApiKey, version: i16, answer: &Tree) -> Vec<String> {
    let first = FIRST.iter().find(|(other, _)| *other == api).map_or(0, |(_, first)| *first);
    let mut found = Vec::new();
    if version >= first {
        look("", answer, &mut found);
    }
    found
}

fn leaf<'f>(fields: &'f [(String, Tree)], wanted: &str) -> Option<&'f str> {
    fields.iter().find_map(|(name, value)| match value {
        Tree::Leaf(text) if name == wanted => Some(text.as_str()),
        _ => None,
    })
}

/// Whether the field of this name is the text of an error, and says something.
pub fn says_more(name: &str, fields: &[(String, Tree)]) -> bool {
    let leaf = |wanted: &str| leaf(fields, wanted);
    let of_code = PAIRS.iter().find(|(_, text)| *text == name);
    of_code.is_some_and(|(code, text)| {
        leaf(code).is_some_and(|code| code != "0")
            && leaf(text).is_some_and(|text| !NOTHING.contains(&text))
    })
}

/// Whether a text is none or empty.
pub fn is_empty(text: &Tree) -> bool {
    matches!(text, Tree::Leaf(text) if NOTHING.contains(&text.as_str()))
}

fn look(path: &str, tree: &Tree, found: &mut Vec<String>) {
    match tree {
        Tree::Leaf(_) => {}
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.naming().unwrap_or_else(|| index.to_string());
                look(&format!("{path}[{name}]"), item, found);
            }
        }
        Tree::Struct(fields) => {
            let at = |name: &str| {
                if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
            };
            let leaf = |wanted: &str| leaf(fields, wanted);
            let is_silent = |text: &str| leaf(text).is_some_and(|text| NOTHING.contains(&text));
            for (code, text) in PAIRS {
                if leaf(code).is_some_and(|code| code != "0") && is_silent(text) {
                    found.push(at(text));
                }
            }
            if is_silent(RECORD_ERROR) {
                found.push(at(RECORD_ERROR));
            }
            fields.iter().for_each(|(name, value)| look(&at(name), value, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, text: &str) -> Tree {
        let leaf = |name: &str, text: &str| (name.to_owned(), Tree::Leaf(text.to_owned()));
        let fields =
            vec![leaf("name", "\"t\""), leaf("error_code", code), leaf("error_message", text)];
        let topics = Tree::List(vec![Tree::Struct(fields)]);
        Tree::Struct(vec![leaf("error_code", "0"), ("topics".to_owned(), topics)])
    }

    #[test]
    fn an_error_without_a_text_is_seen_where_there_is_room_for_one() {
        let path = vec!["topics[t].error_message".to_owned()];
        assert_eq!(silent(ApiKey::CreateTopics, 7, &answer("3", "None")), path);
        assert_eq!(silent(ApiKey::CreateTopics, 7, &answer("3", "\"\"")), path);
        assert!(silent(ApiKey::CreateTopics, 7, &answer("3", "\"why\"")).is_empty());
        assert!(silent(ApiKey::CreateTopics, 7, &answer("0", "None")).is_empty());
        assert!(silent(ApiKey::DeleteTopics, 4, &answer("3", "None")).is_empty(), "no room yet");
        assert_eq!(silent(ApiKey::DeleteTopics, 5, &answer("3", "None")), path);
    }
}
