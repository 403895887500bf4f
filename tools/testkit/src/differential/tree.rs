//! A message as a tree of named fields, read from its `Debug` text.
//!
//! Generated messages derive `Debug`, so this needs no code per message.

use std::fmt;

/// One value of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Numbers, texts (with their quotes), bytes, ids.
    Leaf(String),
    List(Vec<Tree>),
    Struct(Vec<(String, Tree)>),
}

/// Fields that tell one element of a list from another; the first ones that an element has are
/// its name in a path.
const NAMING: &[&str] = &[
    "name",
    "topic_name",
    "user",
    "mechanism",
    "topic",
    "resource_name",
    "group_id",
    "api_key",
    "key",
    "partition_index",
    "partition",
    "partition_id",
    "index",
    "broker_id",
    "node_id",
    "member_id",
    "group_instance_id",
    "topic_id",
    "log_dir",
    "batch_index",
    "source",
    "producer_id",
    "entity_type",
];
/// A field whose elements together name what they are in: whose quotas.
const ENTITY: &str = "entity";
/// Of delegation tokens, whose ids tell no order.
const REQUESTER: &str = "token_requester_principal_name";
/// A field of elements whose order says something: aborted transactions.
const ORDERED: &str = "first_offset";

impl Tree {
    /// Reads what `{:?}` of a generated message printed.
    pub fn of(message: &impl fmt::Debug) -> Self {
        let text = format!("{message:?}");
        Parser { rest: &text }.value()
    }

    /// What tells this element from its neighbours, if it has such a field.
    pub fn naming(&self) -> Option<String> {
        let Self::Struct(fields) = self else { return None };
        if fields.iter().any(|(name, _)| name == ORDERED) {
            return None;
        }
        if let Some((_, entity @ Self::List(_))) = fields.iter().find(|(name, _)| name == ENTITY) {
            return Some(entity.to_string().replace('"', ""));
        }
        if let Some((_, requester)) = fields.iter().find(|(name, _)| name == REQUESTER) {
            return Some(requester.to_string());
        }
        let found: Vec<String> = NAMING
            .iter()
            .filter_map(|name| fields.iter().find(|(field, _)| field == name))
            .filter_map(|(_, value)| match value {
                Self::Leaf(text) if text != "\"\"" && text != "None" => Some(text.replace('"', "")),
                _ => None,
            })
            .take(1)
            .collect();
        found.into_iter().next()
    }

    /// Whether any `error_code` in it is set.
    pub fn has_error(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::List(items) => items.iter().any(Self::has_error),
            Self::Struct(fields) => fields.iter().any(|(name, value)| match value {
                Self::Leaf(text) => name.ends_with("error_code") && text != "0",
                value => value.has_error(),
            }),
        }
    }

    /// Calls `change` on every leaf with the name of its field.
    pub fn leaves(&mut self, change: &mut impl FnMut(&str, &mut String)) {
        self.leaves_under("", change);
    }

    fn leaves_under(&mut self, field: &str, change: &mut impl FnMut(&str, &mut String)) {
        match self {
            Self::Leaf(text) => change(field, text),
            Self::List(items) => {
                items.iter_mut().for_each(|item| item.leaves_under(field, change));
            }
            Self::Struct(fields) => {
                for (name, value) in fields {
                    // `Some(x)` and `Inline(x)` are structs of one unnamed field.
                    let name = if name.is_empty() { field } else { name };
                    value.leaves_under(name, change);
                }
            }
        }
    }

    /// Puts the elements of lists into an order of their own: Kafka's is that of its hash maps.
    pub fn sort(&mut self) {
        match self {
            Self::Leaf(_) => {}
            Self::Struct(fields) => fields.iter_mut().for_each(|(_, value)| value.sort()),
            Self::List(items) => {
                items.iter_mut().for_each(Self::sort);
                if items.iter().all(|item| item.naming().is_some()) {
                    items.sort_by_cached_key(|item| (item.naming(), item.to_string()));
                }
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(text) => f.write_str(text),
            Self::List(items) => {
                let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Self::Struct(fields) => {
                let texts: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| match name.as_str() {
                        "" => value.to_string(),
                        name => format!("{name}: {value}"),
                    })
                    .collect();
                write!(f, "{{{}}}", texts.join(", "))
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip(&mut self, text: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+'));
        let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn quoted(&mut self) -> String {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let end = end.map_or(self.rest.len(), |(at, _)| at + 1);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.to_owned()
    }

    fn value(&mut self) -> Tree {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('"') {
            return Tree::Leaf(self.quoted());
        }
        if self.skip("[") {
            return Tree::List(self.until("]", Self::value));
        }
        let word = self.word();
        if word == "b" && self.rest.starts_with('"') {
            return Tree::Leaf(format!("b{}", self.quoted()));
        }
        if self.skip("{") {
            return Tree::Struct(self.until("}", |parser| {
                let name = parser.word().to_owned();
                parser.skip(":");
                (name, parser.value())
            }));
        }
        if self.skip("(") {
            let mut values = self.until(")", Self::value);
            return match values.pop() {
                Some(value) if values.is_empty() => value,
                Some(value) => {
                    values.push(value);
                    Tree::List(values)
                }
                None => Tree::Leaf(word.to_owned()),
            };
        }
        Tree::Leaf(word.to_owned())
    }

    fn until<T>(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        while !self.skip(end) && !self.rest.is_empty() {
            let before = self.rest.len();
            items.push(item(self));
            self.skip(",");
            if self.rest.len() == before {
                // Not a shape that `Debug` prints: leave the rest rather than spin.
                break;
            }
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug alone")]
    struct Topic {
        name: String,
        ids: Vec<i32>,
        note: Option<&'static str>,
        data: Option<bytes::Bytes>,
    }

    fn topic(name: &str) -> Topic {
        let data = Some(bytes::Bytes::from_static(b"a\"}\\"));
        Topic { name: name.into(), ids: vec![-1, 2], note: Some("x, \"y\" {"), data }
    }

    #[test]
    fn debug_text_is_read_into_fields() {
        let Tree::Struct(fields) = Tree::of(&topic("t")) else { panic!("not a struct") };
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["name", "ids", "note", "data"]);
        assert_eq!(fields[1].1, Tree::List(vec![Tree::Leaf("-1".into()), Tree::Leaf("2".into())]));
        assert_eq!(fields[2].1, Tree::Leaf("\"x, \\\"y\\\" {\"".into()));
        assert_eq!(fields[3].1, Tree::Leaf("b\"a\\\"}\\\\\"".into()));
    }

    #[test]
    fn elements_with_a_name_are_put_in_order() {
        let mut tree = Tree::of(&vec![topic("b"), topic("a")]);
        tree.sort();
        let Tree::List(items) = &tree else { panic!("not a list") };
        assert_eq!(items[0].naming().as_deref(), Some("a"));
    }

    #[test]
    fn an_error_anywhere_is_seen() {
        let leaf = |text: &str| Tree::Leaf(text.to_owned());
        let answer = |code| {
            let inner = Tree::Struct(vec![("error_code".to_owned(), leaf(code))]);
            Tree::Struct(vec![("topics".to_owned(), Tree::List(vec![inner]))])
        };
        assert!(answer("3").has_error());
        assert!(!answer("0").has_error());
    }
}
