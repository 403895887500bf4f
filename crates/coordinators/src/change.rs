//! A change of a group in the making: facts are replayed as they are decided, and taken back if
//! the decision ends in a refusal or if they cannot be stored.

use crate::kind::GroupKind;

/// What changes by replaying facts, and by nothing else.
pub(crate) trait Replay {
    /// What a record says.
    type Fact: Clone;

    /// Takes a fact in and returns the one that takes it back.
    fn replay(&mut self, fact: Self::Fact) -> Self::Fact;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Change<'g, G: Replay> {
    pub(crate) group: &'g mut G,
    facts: Vec<G::Fact>,
    undo: Vec<G::Fact>,
}

/// A change that is made.
#[derive(Debug)]
pub(crate) struct Changed<G: Replay> {
    /// To be stored.
    pub(crate) facts: Vec<G::Fact>,
    /// To be replayed in this order to take it back.
    pub(crate) undo: Vec<G::Fact>,
}

impl<'g, G: GroupKind> Change<'g, G> {
    /// Runs a decision on a group. What it refuses leaves no trace.
    pub(crate) fn run<R, E>(
        group: &'g mut G,
        act: impl FnOnce(&mut Change<'_, G>) -> Result<R, E>,
    ) -> Result<(R, Changed<G>), E> {
        let mut change = Change { group, facts: Vec::new(), undo: Vec::new() };
        match act(&mut change) {
            Ok(result) => Ok((result, change.finish())),
            Err(error) => {
                change.abandon();
                Err(error)
            }
        }
    }

    /// Takes all records of the group away.
    pub(crate) fn bury(group: &'g mut G) -> Changed<G> {
        let tombstones = group.tombstones();
        let mut change = Change { group, facts: Vec::new(), undo: Vec::new() };
        tombstones.into_iter().for_each(|fact| change.apply(fact));
        change.finish()
    }

    pub(crate) fn apply(&mut self, fact: G::Fact) {
        self.facts.push(fact.clone());
        self.undo.push(self.group.replay(fact));
    }

    fn abandon(self) {
        for fact in self.undo.into_iter().rev() {
            self.group.replay(fact);
        }
        self.group.expire_metadata();
    }

    fn finish(self) -> Changed<G> {
        let mut undo = self.undo;
        undo.reverse();
        Changed { facts: self.facts, undo }
    }
}
