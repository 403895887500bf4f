//! Answers as trees of named fields, made from Rust's own debug text of a message.
//!
//! The generated messages derive `Debug` and nothing else that could be walked; its pretty form has
//! one field a line, which is all that a comparison needs.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// Fields by which the elements of a list are told apart, so that their order does not matter.
const NAMES: &[&str] = &[
    "name",
    "topic",
    "topic_name",
    "partition_index",
    "partition",
    "index",
    "api_key",
    "group_id",
    "resource_name",
    "key",
    "node_id",
    "broker_id",
];
/// Fields whose values are each broker's own.
const MASKED: &[&str] = &[
    "host",
    "port",
    "cluster_id",
    "topic_id",
    "member_id",
    "leader",
    "producer_id",
    "session_id",
    "log_dir",
    "total_bytes",
    "usable_bytes",
    "client_host",
    "replica_directory_id",
    "finalized_features_epoch",
];
/// Values of masked fields that mean "none" and are compared all the same.
const NOTHING: &[&str] = &["\"\"", "-1", "0", "None", "AAAAAAAAAAAAAAAAAAAAAA"];

#[derive(Debug, PartialEq, Eq)]
enum Tree {
    Leaf(String),
    Struct(Vec<(String, Tree)>),
    List(Vec<Tree>),
}

/// The values of an answer by path, masked.
pub(super) fn fields(message: &impl Debug) -> BTreeMap<String, String> {
    let text = format!("{message:#?}");
    let mut lines = text.lines().map(str::trim);
    let mut found = BTreeMap::new();
    let first = lines.next().unwrap_or_default();
    flatten(parse(first, &mut lines), String::new(), &mut found);
    found
}

fn parse<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> Tree {
    let first = first.trim_end_matches(',');
    let closes = |line: &str| matches!(line.trim_end_matches(','), "}" | "]" | ")");
    match first.chars().last() {
        Some('{') => {
            let mut fields = Vec::new();
            while let Some(line) = lines.next().filter(|line| !closes(line)) {
                let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                fields.push((name.to_owned(), parse(value, lines)));
            }
            Tree::Struct(fields)
        }
        Some('[' | '(') => {
            let mut items = Vec::new();
            while let Some(line) = lines.next().filter(|line| !closes(line)) {
                items.push(parse(line, lines));
            }
            // `Some(value)` and other wrappers are their value.
            if first.ends_with('(') && items.len() == 1 {
                items.swap_remove(0)
            } else {
                Tree::List(items)
            }
        }
        _ => Tree::Leaf(first.to_owned()),
    }
}

fn flatten(tree: Tree, path: String, found: &mut BTreeMap<String, String>) {
    match tree {
        Tree::Leaf(value) => {
            let name = path.rsplit('.').next().unwrap_or_default();
            let masked = MASKED.contains(&name) && !NOTHING.contains(&value.as_str());
            found.insert(path, if masked { "(masked)".to_owned() } else { value });
        }
        Tree::Struct(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, format!("{path}{dot}{name}"), found);
            }
        }
        Tree::List(items) => {
            for (index, item) in items.into_iter().enumerate() {
                let label = name_of(&item).unwrap_or_else(|| index.to_string());
                let mut place = format!("{path}[{label}]");
                while found.keys().any(|known| known.starts_with(&place)) {
                    place.push('\'');
                }
                flatten(item, place, found);
            }
        }
    }
}

/// What tells an element of a list from its neighbours.
fn name_of(item: &Tree) -> Option<String> {
    let Tree::Struct(fields) = item else { return None };
    NAMES.iter().find_map(|wanted| {
        fields.iter().find_map(|(name, value)| match value {
            Tree::Leaf(text) if name == wanted && text != "\"\"" => {
                Some(text.trim_matches('"').to_owned())
            }
            _ => None,
        })
    })
}

/// One field that differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub path: String,
    pub kafka: String,
    pub ours: String,
}

/// All fields that differ; a field that one side lacks differs too.
pub(super) fn differences(
    kafka: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let mut paths: Vec<&String> = kafka.keys().chain(ours.keys()).collect();
    paths.sort();
    paths.dedup();
    let value = |side: &BTreeMap<String, String>, path: &String| {
        side.get(path).cloned().unwrap_or_else(|| "absent".to_owned())
    };
    paths
        .into_iter()
        .map(|path| Difference {
            path: path.clone(),
            kafka: value(kafka, path),
            ours: value(ours, path),
        })
        .filter(|found| found.kafka != found.ours)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug only")]
    struct Part {
        name: Option<&'static str>,
        codes: Vec<i32>,
        host: &'static str,
        inner: Option<Box<Part>>,
    }

    fn part(name: &'static str, codes: &[i32], host: &'static str) -> Part {
        Part { name: Some(name), codes: codes.to_vec(), host, inner: None }
    }

    #[test]
    fn fields_are_found_by_path() {
        let mut outer = part("a", &[1, 2], "h");
        outer.inner = Some(Box::new(part("b {", &[], "")));
        let found = fields(&outer);
        assert_eq!(found["codes[1]"], "2");
        assert_eq!(found["inner.name"], "\"b {\"");
        assert_eq!(found["host"], "(masked)");
        assert_eq!(found["inner.host"], "\"\"");
    }

    #[test]
    fn the_order_of_named_elements_does_not_matter() {
        let (a, b) = (|| part("a", &[1], "x"), || part("b", &[2], "y"));
        let there = fields(&vec![a(), b()]);
        let back = fields(&vec![b(), a()]);
        assert_eq!(differences(&there, &back), []);
    }

    #[test]
    fn a_value_and_a_missing_element_differ() {
        let long = fields(&vec![part("a", &[1], ""), part("b", &[2], "")]);
        let short = fields(&vec![part("a", &[3], "")]);
        let paths: Vec<String> =
            differences(&long, &short).into_iter().map(|found| found.path).collect();
        assert!(paths.contains(&"[a].codes[0]".to_owned()), "{paths:?}");
        assert!(paths.contains(&"[b].codes[0]".to_owned()), "{paths:?}");
    }
}
