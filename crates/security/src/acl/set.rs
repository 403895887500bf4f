//! ACLs, found by what they are about.
//!
//! Invariants: each ACL is in exactly one place, the list of its pattern; no list is empty; a
//! list is sorted, so that equal ACLs make equal sets whatever the order they came in.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use super::{Acl, PatternType, ResourceType, WILDCARD};

/// Patterns of one kind, by name.
type Patterns = BTreeMap<String, Vec<Acl>>;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AclSet {
    literal: BTreeMap<ResourceType, Patterns>,
    prefixed: BTreeMap<ResourceType, Patterns>,
    len: usize,
}

impl AclSet {
    /// Number of ACLs.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an ACL. The same may be added more than once, under several ids.
    pub fn insert(&mut self, acl: Acl) {
        let patterns = self.patterns_mut(acl.pattern_type).entry(acl.resource_type).or_default();
        let list = patterns.entry(acl.resource_name.clone()).or_default();
        let at = list.partition_point(|other| *other < acl);
        list.insert(at, acl);
        self.len += 1;
    }

    /// Takes an ACL out once.
    pub fn remove(&mut self, acl: &Acl) {
        let kinds = self.patterns_mut(acl.pattern_type);
        let Some(patterns) = kinds.get_mut(&acl.resource_type) else { return };
        let Some(list) = patterns.get_mut(&acl.resource_name) else { return };
        let Ok(at) = list.binary_search(acl) else { return };
        list.remove(at);
        if list.is_empty() {
            patterns.remove(&acl.resource_name);
        }
        if patterns.is_empty() {
            kinds.remove(&acl.resource_type);
        }
        self.len -= 1;
    }

    /// Whether there is such an ACL.
    pub fn contains(&self, acl: &Acl) -> bool {
        let kinds = match acl.pattern_type {
            PatternType::Prefixed => &self.prefixed,
            _ => &self.literal,
        };
        kinds
            .get(&acl.resource_type)
            .and_then(|patterns| patterns.get(&acl.resource_name))
            .is_some_and(|list| list.binary_search(acl).is_ok())
    }

    /// The ACLs about the resource `name`: those of exactly this name, those for all names, those
    /// of a beginning of it.
    pub fn about<'s>(
        &'s self,
        resource_type: ResourceType,
        name: &'s str,
    ) -> impl Iterator<Item = &'s Acl> {
        let literal = self.literal.get(&resource_type);
        let exact = literal.and_then(|patterns| patterns.get(name));
        let wildcard = if name == WILDCARD { None } else { literal.and_then(|p| p.get(WILDCARD)) };
        let prefixes =
            Prefixes { patterns: self.prefixed.get(&resource_type), name, cursor: Some(name) };
        exact.into_iter().chain(wildcard).chain(prefixes).flatten()
    }

    /// All ACLs about resources of a kind.
    pub fn of_type(&self, resource_type: ResourceType) -> impl Iterator<Item = &Acl> {
        let kinds = [&self.literal, &self.prefixed];
        kinds
            .into_iter()
            .filter_map(move |kinds| kinds.get(&resource_type))
            .flat_map(|patterns| patterns.values().flatten())
    }

    /// All ACLs.
    pub fn iter(&self) -> impl Iterator<Item = &Acl> {
        let kinds = [&self.literal, &self.prefixed].into_iter();
        kinds.flat_map(|kinds| kinds.values().flat_map(|patterns| patterns.values().flatten()))
    }

    fn patterns_mut(&mut self, kind: PatternType) -> &mut BTreeMap<ResourceType, Patterns> {
        match kind {
            PatternType::Prefixed => &mut self.prefixed,
            _ => &mut self.literal,
        }
    }
}

/// The lists whose names are a beginning of `name`, longest first.
struct Prefixes<'s> {
    patterns: Option<&'s Patterns>,
    name: &'s str,
    /// Nothing above this is of interest any more.
    cursor: Option<&'s str>,
}

impl<'s> Iterator for Prefixes<'s> {
    type Item = &'s Vec<Acl>;

    fn next(&mut self) -> Option<Self::Item> {
        let patterns = self.patterns?;
        loop {
            let cursor = self.cursor?;
            let (found, list) =
                patterns.range::<str, _>((Unbounded, Included(cursor))).next_back()?;
            if let Some(rest) = cursor.strip_prefix(found.as_str()) {
                // Whatever is shorter still comes before it.
                self.cursor = if rest.is_empty() {
                    shorter(cursor)
                } else {
                    shorter(&self.name[..found.len()])
                };
                return Some(list);
            }
            // No beginning of the name lies between what is found and the cursor, but for those
            // that both begin with.
            self.cursor = Some(&cursor[..common(cursor, found)]);
        }
    }
}

/// The text without its last character.
fn shorter(text: &str) -> Option<&str> {
    text.char_indices().next_back().map(|(at, _)| &text[..at])
}

/// Bytes that both begin with, up to a whole character.
fn common(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}
