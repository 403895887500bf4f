//! Random lives of transactional producers, with crashes, failing appends and zombies, against
//! partitions that judge by epochs as real ones do.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::{ErrorCode, ProducerId};
use proptest::prelude::*;

use super::bench::*;
use crate::transactions::{
    Identity, Markers, TransactionConfig, TransactionVersion, TxnCommand, TxnReply,
};

const CLIENTS: usize = 3;
const PARTITIONS: usize = 3;

#[derive(Debug, Clone)]
enum Action {
    /// A client starts, or starts again from what it was (KIP-360).
    Start {
        client: usize,
        from_former: bool,
    },
    /// A client writes a record, after its partition has joined the transaction.
    Write {
        client: usize,
        partition: usize,
    },
    End {
        client: usize,
        commit: bool,
    },
    /// The answer to EndTxn is lost, and the client asks again.
    EndAgain {
        client: usize,
    },
    /// The leader of a partition writes one of the markers it was sent.
    Mark {
        which: usize,
        partition: usize,
    },
    Settle {
        fails: bool,
    },
    Advance {
        milliseconds: i64,
    },
    Crash {
        lost: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        3 => (client.clone(), any::<bool>())
            .prop_map(|(client, from_former)| Action::Start { client, from_former }),
        8 => (client.clone(), 0..PARTITIONS)
            .prop_map(|(client, partition)| Action::Write { client, partition }),
        4 => (client.clone(), any::<bool>())
            .prop_map(|(client, commit)| Action::End { client, commit }),
        1 => client.prop_map(|client| Action::EndAgain { client }),
        9 => (0..4_usize, 0..PARTITIONS)
            .prop_map(|(which, partition)| Action::Mark { which, partition }),
        2 => prop::bool::weighted(0.3).prop_map(|fails| Action::Settle { fails }),
        2 => prop_oneof![Just(500_i64), Just(11_000), Just(61_000)]
            .prop_map(|milliseconds| Action::Advance { milliseconds }),
        1 => (0..3_usize).prop_map(|lost| Action::Crash { lost }),
    ]
}

/// One partition's view of one producer id.
#[derive(Debug, Default, Clone)]
struct Producer {
    epoch: i16,
    /// Transactions that have records here and no marker yet; one at a time if all is well.
    open: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Client {
    producer: Option<Identity>,
    /// Number of the transaction it is in, if any.
    transaction: Option<u64>,
    last_end: Option<(Identity, u64, bool)>,
}

struct Life {
    bench: Bench,
    version: TransactionVersion,
    clients: Vec<Client>,
    partitions: Vec<BTreeMap<ProducerId, Producer>>,
    /// Markers not written everywhere, with the partitions that lack them.
    sent: Vec<(Markers, BTreeSet<usize>)>,
    /// By transaction and partition how its records there ended.
    ends: BTreeMap<(u64, usize), bool>,
    /// Transactions whose producer was told that they are committed.
    told_committed: BTreeSet<u64>,
    told_aborted: BTreeSet<u64>,
    given_out: BTreeSet<(i64, i16)>,
    highest: BTreeMap<i64, i16>,
    next_transaction: u64,
}

impl Life {
    fn new(version: TransactionVersion) -> Self {
        Self {
            bench: Bench::with(TransactionConfig { version, ..TransactionConfig::default() }),
            version,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            partitions: vec![BTreeMap::new(); PARTITIONS],
            sent: Vec::new(),
            ends: BTreeMap::new(),
            told_committed: BTreeSet::new(),
            told_aborted: BTreeSet::new(),
            given_out: BTreeSet::new(),
            highest: BTreeMap::new(),
            next_transaction: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Start { client, from_former } => self.start(client, from_former),
            Action::Write { client, partition } => self.write(client, partition),
            Action::End { client, commit } => self.end(client, commit),
            Action::EndAgain { client } => {
                let Client { last_end, transaction, .. } = &self.clients[client];
                // Without epochs of their own nobody tells a late request from the next
                // transaction's: a client that does that harms itself.
                if let Some((former, number, commit)) = *last_end
                    && (self.version.bumps_epoch() || transaction.is_none())
                    && let Ok(next) = self.bench.end(former, self.version, commit)
                {
                    self.told(client, number, commit, next);
                }
            }
            Action::Mark { which, partition } => self.mark(which, partition),
            Action::Settle { fails } => self.fail_next(fails),
            Action::Advance { milliseconds } => self.bench.advance(milliseconds),
            Action::Crash { lost } => self.crash(lost),
        }
        self.take_markers();
        self.check();
    }

    fn start(&mut self, client: usize, from_former: bool) {
        let former = self.clients[client].producer.filter(|_| from_former);
        if let Ok(producer) = self.bench.init_as(former, 60_000) {
            // Nobody is given what another had; who asks again gets what it was to have.
            assert!(
                self.given_out.insert((producer.id.0, producer.epoch.0)) || former.is_some(),
                "{producer:?} was given out before"
            );
            self.note(producer);
            // The epochs of others that use the id are old from now on.
            self.clients[client] =
                Client { producer: Some(producer), transaction: None, last_end: None };
        }
    }

    /// Epochs never go back.
    fn note(&mut self, producer: Identity) {
        let highest = self.highest.entry(producer.id.0).or_insert(producer.epoch.0);
        assert!(producer.epoch.0 >= *highest, "{producer:?} after epoch {highest}");
        *highest = producer.epoch.0;
    }

    fn write(&mut self, client: usize, partition: usize) {
        let Some(producer) = self.clients[client].producer else { return };
        let known = self.partitions[partition].get(&producer.id).cloned().unwrap_or_default();
        let index = i32::try_from(partition).unwrap();
        // Which of the two protocols asks first makes no difference here: the coordinator must
        // have the partition before the first record is appended.
        if self.bench.add(producer, self.version, index).is_err() {
            return;
        }
        if producer.epoch.0 < known.epoch {
            return;
        }
        let current = self.highest[&producer.id.0];
        assert_eq!(producer.epoch.0, current, "a zombie's record was let through");
        let number = *self.clients[client].transaction.get_or_insert_with(|| {
            self.next_transaction += 1;
            self.next_transaction
        });
        let known = self.partitions[partition].entry(producer.id).or_default();
        known.epoch = producer.epoch.0;
        known.open.insert(number);
        assert_eq!(known.open.len(), 1, "two transactions of one producer are open at once");
    }

    fn end(&mut self, client: usize, commit: bool) {
        let Client { producer: Some(producer), transaction, .. } = self.clients[client] else {
            return;
        };
        let number = transaction.unwrap_or_default();
        self.clients[client].last_end = Some((producer, number, commit));
        if let Ok(next) = self.bench.end(producer, self.version, commit) {
            self.told(client, number, commit, next);
        }
    }

    fn told(&mut self, client: usize, number: u64, commit: bool, next: Identity) {
        if number > 0 {
            let told = if commit { &mut self.told_committed } else { &mut self.told_aborted };
            told.insert(number);
        }
        let is_current = self.clients[client].last_end.map(|last| last.1) == Some(number)
            && self.clients[client].transaction.is_none_or(|current| current == number);
        if is_current {
            self.clients[client].transaction = None;
            if next != Identity::NONE && self.version.bumps_epoch() {
                self.note(next);
                self.clients[client].producer = Some(next);
            }
        }
    }

    fn take_markers(&mut self) {
        for markers in std::mem::take(&mut self.bench.markers) {
            let indexes = markers.partitions.iter();
            let lacking = indexes.map(|one| usize::try_from(one.partition).unwrap()).collect();
            self.sent.push((markers, lacking));
        }
    }

    fn mark(&mut self, which: usize, partition: usize) {
        if self.sent.is_empty() {
            return;
        }
        let which = which % self.sent.len();
        let (markers, lacking) = &mut self.sent[which];
        if !lacking.remove(&partition) {
            return;
        }
        let (producer, commit) = (markers.producer, markers.commit);
        let is_done = lacking.is_empty();
        self.write_marker(partition, producer, commit);
        if is_done {
            let (markers, _) = self.sent.remove(which);
            let Markers { transactional_id, producer, .. } = markers;
            self.bench.send(TxnCommand::MarkersWritten { transactional_id, producer });
        }
    }

    fn write_marker(&mut self, partition: usize, producer: Identity, commit: bool) {
        self.note(producer);
        let known = self.partitions[partition].entry(producer.id).or_default();
        if producer.epoch.0 < known.epoch {
            return;
        }
        // A marker that is repeated after a crash of the coordinator meets no open transaction:
        // the next one begins only when this one is complete.
        if self.version.bumps_epoch() && producer.epoch.0 == known.epoch && !known.open.is_empty() {
            panic!("a marker of epoch {} would end a newer transaction", producer.epoch);
        }
        known.epoch = producer.epoch.0;
        for number in std::mem::take(&mut known.open) {
            self.ends.insert((number, partition), commit);
        }
    }

    /// The next record of the log is not appended, or is, but later than a moment.
    fn fail_next(&mut self, fails: bool) {
        self.bench.auto_commit = false;
        let producer = self.clients[0].producer.unwrap_or(Identity::NONE);
        let participants = participants(producer, 0);
        let version = self.version;
        let token = self.bench.send(TxnCommand::AddPartitions { participants, version, via: None });
        let result = if fails { Err(ErrorCode::NotEnoughReplicas) } else { Ok(()) };
        while self.bench.settle_one(result) {}
        self.bench.auto_commit = true;
        let reply = self.bench.answers.remove(&token);
        assert!(matches!(reply, Some(TxnReply::Added | TxnReply::Refused(_))), "{reply:?}");
        // A transaction that has begun at the coordinator only.
        if reply == Some(TxnReply::Added) {
            self.clients[0].transaction.get_or_insert_with(|| {
                self.next_transaction += 1;
                self.next_transaction
            });
        }
    }

    /// What is in flight is in the log or not; markers on their way arrive or not.
    fn crash(&mut self, lost: usize) {
        let kept = self.sent.len().saturating_sub(lost);
        self.sent.truncate(kept);
        for (markers, lacking) in std::mem::take(&mut self.sent) {
            for partition in lacking.into_iter().skip(1) {
                self.write_marker(partition, markers.producer, markers.commit);
            }
        }
        self.bench.crash();
    }

    fn check(&self) {
        if self.bench.in_flight.is_empty() {
            assert_eq!(self.bench.shard.settled(), self.bench.replayed().settled());
        }
        let mut outcomes: BTreeMap<u64, bool> = BTreeMap::new();
        for ((number, partition), commit) in &self.ends {
            let outcome = *outcomes.entry(*number).or_insert(*commit);
            assert_eq!(outcome, *commit, "transaction {number} is torn at {partition}");
        }
        for (number, committed) in outcomes {
            assert!(committed || !self.told_committed.contains(&number), "{number} was lost");
            assert!(!committed || !self.told_aborted.contains(&number), "{number} came back");
        }
    }

    /// Once clients are gone, everything ends.
    fn finish(mut self) {
        for _ in 0..6 {
            self.bench.advance(80_000);
            self.take_markers();
            while !self.sent.is_empty() {
                for partition in 0..PARTITIONS {
                    self.mark(0, partition);
                    if self.sent.is_empty() {
                        break;
                    }
                }
            }
            self.check();
        }
        let open = self.partitions.iter().flat_map(BTreeMap::values).any(|p| !p.open.is_empty());
        assert!(!open, "a transaction hangs: {:?}", self.partitions);
        self.bench.give_up();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn transactions_end_as_a_whole_whatever_happens(
        actions in prop::collection::vec(action(), 1..120),
        with_bumps: bool,
    ) {
        let version = if with_bumps { TransactionVersion::V2 } else { TransactionVersion::V0 };
        let mut life = Life::new(version);
        for action in &actions {
            life.act(action);
        }
        life.finish();
    }

    #[test]
    fn any_bytes_replay_or_are_refused(
        kind in 0_i16..3,
        key in prop::collection::vec(any::<u8>(), 0..40),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..120)),
    ) {
        use crate::Shard as _;
        let mut bench = Bench::new();
        let key: Vec<u8> = kind.to_be_bytes().into_iter().chain(key).collect();
        let value = value.map(bytes::Bytes::from);
        let _ = bench.shard.replay(None, &key.into(), value.as_ref());
        bench.shard.on_loaded(bench.now);
    }
}
