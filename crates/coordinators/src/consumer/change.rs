//! A change of a group in the making: facts are replayed as they are decided, and taken back if
//! the decision ends in a refusal or if they cannot be stored.

use std::sync::Arc;

use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use crate::group::ClassicGroup;

/// What takes a change back.
#[derive(Debug)]
pub(crate) struct Undo {
    pub(crate) group: Arc<str>,
    /// To be replayed in this order.
    pub(crate) facts: Vec<ConsumerFact>,
    /// The classic group that became the consumer group.
    pub(crate) classic: Option<Box<ClassicGroup>>,
    /// The consumer group has ended; what has taken its place has to go.
    pub(crate) ended: bool,
}

#[derive(Debug)]
pub(crate) struct Change<'g> {
    pub(crate) group: &'g mut ConsumerGroup,
    facts: Vec<ConsumerFact>,
    undo: Vec<ConsumerFact>,
}

impl<'g> Change<'g> {
    pub(crate) fn new(group: &'g mut ConsumerGroup) -> Self {
        Self { group, facts: Vec::new(), undo: Vec::new() }
    }

    pub(crate) fn apply(&mut self, fact: ConsumerFact) {
        self.facts.push(fact.clone());
        self.undo.push(self.group.replay(fact));
    }

    /// Takes everything back.
    pub(crate) fn abandon(self) {
        for fact in self.undo.into_iter().rev() {
            self.group.replay(fact);
        }
    }

    /// The facts to store, and what takes them back.
    pub(crate) fn finish(self) -> (Vec<ConsumerFact>, Vec<ConsumerFact>) {
        let mut undo = self.undo;
        undo.reverse();
        (self.facts, undo)
    }
}
