//! A change of a group in the making: facts are replayed as they are decided, and taken back if
//! the decision ends in a refusal or if they cannot be stored.

/// What changes by replaying facts, and by nothing else.
pub(crate) trait Replay {
    /// What a record says.
    type Fact: Clone;

    /// Takes a fact in and returns the one that takes it back.
    fn replay(&mut self, fact: Self::Fact) -> Self::Fact;
}

#[derive(Debug)]
pub(crate) struct Change<'g, G: Replay> {
    pub(crate) group: &'g mut G,
    facts: Vec<G::Fact>,
    undo: Vec<G::Fact>,
}

impl<'g, G: Replay> Change<'g, G> {
    pub(crate) fn new(group: &'g mut G) -> Self {
        Self { group, facts: Vec::new(), undo: Vec::new() }
    }

    pub(crate) fn apply(&mut self, fact: G::Fact) {
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
    pub(crate) fn finish(self) -> (Vec<G::Fact>, Vec<G::Fact>) {
        let mut undo = self.undo;
        undo.reverse();
        (self.facts, undo)
    }
}
