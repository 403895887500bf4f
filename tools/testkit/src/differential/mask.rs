//! Masks: what is never the same in two runs becomes the same text.
//!
//! Ids keep their identity: the first topic id of a transcript is `<id 1>` wherever it stands, so
//! an answer with another topic's id still differs.

use std::collections::BTreeMap;

use naru_protocol::api::ApiKey;

use super::session::{Answer, Entry};
use super::tree::Tree;

/// Fields whose value is an id.
const IDS: &[&str] = &["topic_id", "cluster_id", "member_id", "leader", "producer_id"];
/// Ids that are not always told: they are not counted, so that those behind keep their names.
const DIRECTORY: &str = "replica_directory_id";
/// The id of a delegation token. Nothing else tells two of one owner apart, so they have no order.
const TOKEN: &str = "token_id";
/// Fields whose value is a number that depends on the machine or the moment, if it is positive.
const NUMBERS: &[&str] = &[
    "port",
    "session_id",
    "throttle_time_ms",
    "log_append_time_ms",
    // Of a producer: its last marker is stamped with the broker's time.
    "last_timestamp",
    "issue_timestamp_ms",
    "expiry_timestamp_ms",
    "max_timestamp_ms",
    "issue_timestamp",
    "expiry_timestamp",
    "max_timestamp",
    "total_bytes",
    "usable_bytes",
    // An offset of the metadata log.
    "finalized_features_epoch",
];
/// The same for DescribeQuorum, where offsets are those of the metadata log.
const QUORUM_NUMBERS: &[&str] = &[
    "high_watermark",
    "leader_epoch",
    "log_end_offset",
    "last_fetch_timestamp",
    "last_caught_up_timestamp",
];
const ID_LENGTH: usize = 22;
/// The scenario whose records hold producer ids and times of the broker.
const MARKERS: &str = "markers";
/// The text of no records is not longer.
const EMPTY_RECORDS: usize = 4;

/// Masks a transcript in place, then puts lists in order.
pub fn mask(entries: &mut [Entry], port: u16, data_dir: &str) {
    let mut names = Names::default();
    for entry in entries {
        let is_quorum = entry.api == ApiKey::DescribeQuorum;
        let Answer::Message(tree) = &mut entry.answer else { continue };
        // First by the names that are the same everywhere, so that ids are met in one order.
        tree.sort();
        if entry.scenario == MARKERS {
            tree.leaves(&mut |field, text| number_producers(field, text, &mut names));
        }
        tree.leaves(&mut |field, text| mask_leaf(field, text, port, data_dir, &mut names));
        tree.leaves(&mut |_, text| names.replace_in(text));
        if entry.scenario == MARKERS {
            tree.leaves(&mut |field, text| {
                if field == "records" && text.len() > EMPTY_RECORDS {
                    *text = "<records>".to_owned();
                }
            });
        }
        if is_quorum {
            tree.leaves(&mut |field, text| mask_number(QUORUM_NUMBERS, field, text));
        }
        tree.sort();
    }
}

/// Tells producers apart, where more than one is told of.
fn number_producers(field: &str, text: &mut String, names: &mut Names) {
    if field == "producer_id" && !text.starts_with('-') {
        *text = format!("-{}", names.of(&format!("producer {text}")));
    }
}

#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(&mut self, id: &str) -> String {
        let next = self.0.len() + 1;
        self.0.entry(id.to_owned()).or_insert_with(|| format!("<id {next}>")).clone()
    }

    fn replace_in(&self, text: &mut String) {
        if text.len() < ID_LENGTH || text.starts_with("b\"") {
            return;
        }
        for (id, name) in &self.0 {
            if text.contains(id.as_str()) {
                *text = text.replace(id.as_str(), name);
            }
        }
    }
}

fn mask_leaf(field: &str, text: &mut String, port: u16, data_dir: &str, names: &mut Names) {
    if IDS.contains(&field) {
        let bare = text.trim_matches('"');
        // A short one is what the test itself sent, and zeros are no id.
        let is_number = field == "producer_id" && !bare.starts_with('-');
        if is_number || bare.len() >= ID_LENGTH && bare.chars().any(|c| c != 'A') {
            *text = if is_number { "<producer id>".to_owned() } else { names.of(bare) };
        }
        return;
    }
    // What a broker makes of the id of a token.
    if field == "hmac" && text.len() > EMPTY_RECORDS {
        *text = "<hmac>".to_owned();
        return;
    }
    if field == TOKEN {
        *text = "<token>".to_owned();
        return;
    }
    if field == DIRECTORY && text.chars().any(|c| c != 'A') {
        *text = "<directory>".to_owned();
        return;
    }
    mask_number(NUMBERS, field, text);
    if !text.starts_with('"') {
        return;
    }
    *text = text.replace(data_dir, "<data>").replace(&format!(":{port}"), ":<port>");
    mask_after(text, "127.0.0.1:", "<port>");
    mask_after(text, "should be within [", "<time>");
    mask_after(text, "should be within [<time>, ", "<time>");
}

fn mask_number(fields: &[&str], field: &str, text: &mut String) {
    if fields.contains(&field) && text.parse::<i64>().is_ok_and(|number| number > 0) {
        *text = format!("<{field}>");
    }
}

/// Numbers behind `word`: the ports that a test broker got, the limits of times around now.
fn mask_after(text: &mut String, word: &str, name: &str) {
    let mut from = 0;
    while let Some(at) = text[from..].find(word) {
        let start = from + at + word.len();
        let is_number = |c: &u8| c.is_ascii_digit() || *c == b'-';
        let digits = text[start..].bytes().take_while(is_number).count();
        if digits > 0 {
            text.replace_range(start..start + digits, name);
        }
        from = start;
    }
}

/// A short text for a report.
pub fn shown(tree: &Tree) -> String {
    let text = tree.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> Entry {
        let fields =
            fields.iter().map(|(name, text)| ((*name).to_owned(), Tree::Leaf((*text).to_owned())));
        let answer = Answer::Message(Tree::Struct(fields.collect()));
        Entry { scenario: "s", label: "l".into(), api: ApiKey::Fetch, version: 4, answer }
    }

    #[test]
    fn an_id_has_one_name_wherever_it_stands() {
        let id = "oUQxE5qMSdK8bBv3kQ5zXw";
        let message = format!("\"no topic {id} here\"");
        let mut entries = [entry(&[("topic_id", id), ("error_message", &message)])];
        mask(&mut entries, 9092, "/data");
        let wanted =
            entry(&[("topic_id", "<id 1>"), ("error_message", "\"no topic <id 1> here\"")]);
        assert_eq!(entries[0].answer, wanted.answer);
    }

    #[test]
    fn addresses_and_folders_are_masked_and_what_a_test_sent_is_not() {
        let mut entries = [entry(&[
            ("value", "\"1@127.0.0.1:4000,/x/data/y\""),
            ("member_id", "\"stranger\""),
            ("session_id", "0"),
        ])];
        mask(&mut entries, 9092, "/x/data");
        let wanted = entry(&[
            ("value", "\"1@127.0.0.1:<port>,<data>/y\""),
            ("member_id", "\"stranger\""),
            ("session_id", "0"),
        ]);
        assert_eq!(entries[0].answer, wanted.answer);
    }
}
