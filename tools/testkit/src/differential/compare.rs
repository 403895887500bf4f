//! Two transcripts side by side.

use naru_protocol::api::ApiKey;

use super::accepted::Accepted;
use super::mask::shown;
use super::session::{Answer, Entry};
use super::texts;
use super::tree::Tree;

/// One field that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Where in the answer, such as `topics[t].partitions[0].error_code`.
    pub path: String,
    pub kafka: String,
    pub naru: String,
    /// Which accepted difference it is, if one.
    pub accepted: Option<usize>,
}

/// One request that both brokers were asked.
#[derive(Debug)]
pub struct Compared {
    pub scenario: &'static str,
    pub label: String,
    pub api: ApiKey,
    pub version: i16,
    /// Whether Apache Kafka did what it was asked.
    pub good: bool,
    pub differences: Vec<Difference>,
}

/// Pairs the transcripts' entries in order.
pub fn compare(kafka: Vec<Entry>, naru: Vec<Entry>, accepted: &Accepted) -> Vec<Compared> {
    let (asked, answered) = (kafka.len(), naru.len());
    let mut all: Vec<Compared> = kafka
        .into_iter()
        .zip(naru)
        .map(|(kafka, naru)| {
            let mut differences = Vec::new();
            if (kafka.label.as_str(), kafka.version) != (naru.label.as_str(), naru.version) {
                note(&mut differences, "(the scenario)", &kafka.label, &naru.label);
            }
            answers(&kafka.answer, &naru.answer, &mut differences);
            let good = match &kafka.answer {
                Answer::Message(tree) => !tree.has_error(),
                Answer::Unreadable(_) | Answer::Closed => false,
                Answer::Silent => true,
            };
            let silent = silent(&kafka, &naru);
            let Entry { scenario, label, api, version, .. } = kafka;
            let mut compared = Compared { scenario, label, api, version, good, differences };
            accepted.judge(&mut compared);
            // Nobody can accept that, whatever else may differ in these fields.
            compared.differences.extend(silent);
            compared
        })
        .collect();
    if asked != answered
        && let Some(last) = all.last_mut()
    {
        let (kafka, naru) = (asked.to_string(), answered.to_string());
        note(&mut last.differences, "(requests of the scenarios)", &kafka, &naru);
    }
    all
}

/// Errors that Naru leaves without a text.
fn silent(kafka: &Entry, naru: &Entry) -> Vec<Difference> {
    let Answer::Message(tree) = &naru.answer else { return Vec::new() };
    let theirs = match &kafka.answer {
        Answer::Message(tree) => texts::silent(kafka.api, kafka.version, tree),
        Answer::Unreadable(_) | Answer::Closed | Answer::Silent => Vec::new(),
    };
    let difference = |path: String| {
        let kafka = if theirs.contains(&path) { "(no text either)" } else { "(a text)" };
        let naru = "(an error without a text)".to_owned();
        Difference { path, kafka: kafka.to_owned(), naru, accepted: None }
    };
    texts::silent(naru.api, naru.version, tree).into_iter().map(difference).collect()
}

fn note(differences: &mut Vec<Difference>, path: &str, kafka: &str, naru: &str) {
    let (path, kafka, naru) = (path.to_owned(), kafka.to_owned(), naru.to_owned());
    differences.push(Difference { path, kafka, naru, accepted: None });
}

fn answers(kafka: &Answer, naru: &Answer, found: &mut Vec<Difference>) {
    if let (Answer::Message(kafka), Answer::Message(naru)) = (kafka, naru) {
        trees("", kafka, naru, found);
    } else if kafka != naru {
        note(found, "(answer)", &outcome(kafka), &outcome(naru));
    }
}

fn outcome(answer: &Answer) -> String {
    match answer {
        Answer::Message(tree) => shown(tree),
        Answer::Unreadable(text) => format!("unreadable: {text}"),
        Answer::Closed => "closes the connection".to_owned(),
        Answer::Silent => "no answer".to_owned(),
    }
}

fn trees(path: &str, kafka: &Tree, naru: &Tree, found: &mut Vec<Difference>) {
    match (kafka, naru) {
        (Tree::Struct(kafka_fields), Tree::Struct(naru_fields)) => {
            for ((name, kafka), (_, naru)) in kafka_fields.iter().zip(naru_fields) {
                let mut path =
                    if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if texts::says_more(name, naru_fields) && texts::is_empty(kafka) {
                    path += SAYS_NOTHING;
                }
                trees(&path, kafka, naru, found);
            }
        }
        (Tree::List(kafka_items), Tree::List(naru_items)) => {
            lists(path, kafka_items, naru_items, found);
        }
        (kafka, naru) if kafka == naru => {}
        (kafka, naru) => note(found, path, &shown(kafka), &shown(naru)),
    }
}

/// Behind the path of an error's text that Naru has and Apache Kafka has not.
pub const SAYS_NOTHING: &str = " (Kafka: nothing)";

/// Elements are paired by name, those of the same name in order; what has no name by place.
fn lists(path: &str, kafka: &[Tree], naru: &[Tree], found: &mut Vec<Difference>) {
    let structs = kafka.iter().chain(naru).all(|item| matches!(item, Tree::Struct(_)));
    if !structs {
        if kafka != naru {
            let list = |items: &[Tree]| shown(&Tree::List(items.to_vec()));
            note(found, path, &list(kafka), &list(naru));
        }
        return;
    }
    let (kafka, naru) = (named(kafka), named(naru));
    for (name, item) in &kafka {
        let path = format!("{path}[{name}]");
        match naru.iter().find(|(other, _)| other == name) {
            Some((_, other)) => trees(&path, item, other, found),
            None => note(found, &path, &shown(item), "(absent)"),
        }
    }
    for (name, item) in &naru {
        if !kafka.iter().any(|(other, _)| other == name) {
            note(found, &format!("{path}[{name}]"), "(absent)", &shown(item));
        }
    }
}

fn named(items: &[Tree]) -> Vec<(String, &Tree)> {
    let mut named: Vec<(String, &Tree)> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.naming().unwrap_or_default();
        let base = |other: &str| other.split('#').next() == Some(name.as_str());
        let same = named.iter().filter(|(other, _)| base(other)).count();
        let name = if same == 0 && !name.is_empty() { name } else { format!("{name}#{same}") };
        named.push((name, item));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(text: &str) -> Tree {
        Tree::Leaf(text.to_owned())
    }

    fn topic(name: &str, error: &str) -> Tree {
        let fields = vec![("name".to_owned(), leaf(name)), ("error_code".to_owned(), leaf(error))];
        Tree::Struct(fields)
    }

    fn differences(kafka: Vec<Tree>, naru: Vec<Tree>) -> Vec<String> {
        let whole = |items| Tree::Struct(vec![("topics".to_owned(), Tree::List(items))]);
        let mut found = Vec::new();
        trees("", &whole(kafka), &whole(naru), &mut found);
        found.iter().map(|d| format!("{} {} {}", d.path, d.kafka, d.naru)).collect()
    }

    #[test]
    fn a_field_that_differs_is_told_with_its_path() {
        let found = differences(vec![topic("a", "0")], vec![topic("a", "3")]);
        assert_eq!(found, ["topics[a].error_code 0 3"]);
    }

    #[test]
    fn an_element_that_only_one_side_has_is_told() {
        let found = differences(vec![topic("a", "0")], vec![topic("b", "0")]);
        assert_eq!(
            found,
            [
                "topics[a] {name: a, error_code: 0} (absent)",
                "topics[b] (absent) {name: b, error_code: 0}"
            ]
        );
    }

    #[test]
    fn elements_of_the_same_name_are_paired_in_order() {
        let twice = || vec![topic("a", "0"), topic("a", "3")];
        assert!(differences(twice(), twice()).is_empty());
        assert_eq!(differences(twice(), vec![topic("a", "0")]).len(), 1);
    }
}
