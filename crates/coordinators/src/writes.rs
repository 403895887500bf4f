//! Batches handed to the shell whose fate is not known yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::consumer::ConsumerFact;
use crate::group::ClassicGroup;
use crate::member::Member;
use crate::records::{CoordinatorRecord, Fact};
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::share::ShareFact;
use crate::streams::StreamsFact;
use crate::transactions::{Identity, TransactionVersion};
use crate::undo::Undo;

/// Names a batch of records in flight; later batches have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct WriteId(pub u64);

/// Records to append as one batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// To give back with the result.
    pub id: WriteId,
    /// Empty only for a marker.
    pub records: Vec<CoordinatorRecord>,
    /// Whether it has to do with a producer's transaction.
    pub kind: WriteKind,
}

/// What a batch has to do with transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Nothing.
    Plain,
    /// It is part of the transaction of this producer.
    Transactional(Identity),
    /// It ends the transaction of a producer.
    Marker(Marker),
}

/// The end of a producer's transaction in the shard's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction it is.
    pub producer: Identity,
    /// Commit or abort.
    pub commit: bool,
    /// The epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
    /// Which rules the epoch is judged by.
    pub version: TransactionVersion,
}

/// What is to be done when a batch is committed or has failed.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Nothing waits.
    None,
    /// An answer is due.
    Reply(ReplyToken, Reply),
    /// The transaction coordinator waits for its marker.
    Marker(ReplyToken),
    /// A new group was announced for the member that created it.
    NewGroup { group: Arc<str>, token: ReplyToken },
    /// The leader's assignment.
    Sync { group: Arc<str>, assignment: HashMap<String, Bytes> },
    /// A static member came back with a new id.
    StaticReplaced(Box<StaticReplaced>),
    /// A group was deleted; it comes back if that failed.
    Deleted { group: Box<ClassicGroup>, reply: Option<(ReplyToken, Reply)> },
}

impl From<Option<(ReplyToken, Reply)>> for Completion {
    fn from(answer: Option<(ReplyToken, Reply)>) -> Self {
        answer.map_or(Self::None, |(token, reply)| Self::Reply(token, reply))
    }
}

#[derive(Debug)]
pub(crate) struct StaticReplaced {
    pub(crate) group: Arc<str>,
    pub(crate) token: ReplyToken,
    pub(crate) api_version: i16,
    pub(crate) new_id: Arc<str>,
    /// The member as it was, to be put back if the append fails.
    pub(crate) old: Member,
    /// The leader before the replacement.
    pub(crate) old_leader: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) id: WriteId,
    pub(crate) kind: WriteKind,
    pub(crate) facts: Vec<Fact>,
    pub(crate) completion: Completion,
    /// Takes back what is part of the state already.
    pub(crate) undo: Option<Undo>,
    /// It has been taken back because an earlier batch could not be stored; if it is stored after
    /// all, the shard is in doubt.
    pub(crate) undone: bool,
    /// Answers that tell what this batch says, of requests that wrote nothing themselves.
    pub(crate) behind: Vec<(ReplyToken, Reply)>,
}

#[derive(Debug, Default)]
pub(crate) struct Writes {
    last: WriteId,
    queue: VecDeque<InFlight>,
}

impl Writes {
    pub(crate) fn push(
        &mut self,
        kind: WriteKind,
        facts: Vec<Fact>,
        completion: Completion,
    ) -> WriteId {
        self.last = WriteId(self.last.0 + 1);
        let (undo, undone, behind) = (None, false, Vec::new());
        self.queue.push_back(InFlight {
            id: self.last,
            kind,
            facts,
            completion,
            undo,
            undone,
            behind,
        });
        self.last
    }

    /// Lets `token` wait for a batch that nothing waits for yet.
    pub(crate) fn answer_with(&mut self, id: WriteId, token: ReplyToken, reply: Reply) {
        if let Some(write) = self.queue.iter_mut().rev().find(|write| write.id == id) {
            write.completion = Completion::Reply(token, reply);
        }
    }

    /// What to do if the batch cannot be stored.
    pub(crate) fn undo_with(&mut self, id: WriteId, undo: Undo) {
        if let Some(write) = self.queue.iter_mut().rev().find(|write| write.id == id) {
            write.undo = Some(undo);
        }
    }

    /// What takes back everything about a group that came after a batch, newest first.
    pub(crate) fn undo_after(&mut self, id: WriteId, group: &str) -> Vec<Undo> {
        let later = self.queue.iter_mut().rev().take_while(|write| write.id > id);
        let mut undo = Vec::new();
        for write in later {
            if write.undo.as_ref().is_some_and(|undo| **undo.group() == *group) {
                write.undone = true;
                undo.extend(write.undo.take());
            }
            // A classic group that came of what is taken back goes with it.
            let is_of_classic =
                |fact: &Fact| matches!(fact, Fact::Group { group: of, .. } if **of == *group);
            write.undone |= write.facts.iter().any(is_of_classic);
        }
        undo
    }

    /// Answers now, or when the last batch about the group is stored.
    pub(crate) fn answer_behind(
        &mut self,
        group: &Arc<str>,
        token: ReplyToken,
        reply: Reply,
        out: &mut Outcome,
    ) {
        let about = |write: &&mut InFlight| write.undo.as_ref().is_some_and(|u| u.group() == group);
        match self.queue.iter_mut().rev().find(about) {
            Some(write) => write.behind.push((token, reply)),
            None => out.reply(token, reply),
        }
    }

    pub(crate) fn take(&mut self, id: WriteId) -> Option<InFlight> {
        let at = self.queue.binary_search_by_key(&id, |write| write.id).ok()?;
        self.queue.remove(at)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = InFlight> + '_ {
        self.queue.drain(..)
    }

    /// Whether the deletion of a group is in flight.
    pub(crate) fn buries(&self, group: &str) -> bool {
        self.facts().any(
            |fact| matches!(fact, Fact::Group { group: buried, value: None } if **buried == *group)
                || matches!(fact, Fact::Consumer { group: buried, fact: ConsumerFact::Group(None) } if **buried == *group)
                || matches!(fact, Fact::Streams { group: buried, fact: StreamsFact::Group(None) } if **buried == *group)
                || matches!(fact, Fact::Share { group: buried, fact: ShareFact::Group(None) } if **buried == *group),
        )
    }

    /// Every fact in flight, oldest first.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.queue.iter().flat_map(|write| &write.facts)
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}
