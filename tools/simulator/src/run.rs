//! One run: a storm of faults, then a calm in which everything must come together.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::facts::facts_of;
use crate::judge::Violation;
use crate::met::Met;
use crate::settings::Settings;
use crate::world::World;

/// Longest step in which the calm is looked at.
const LOOK_MS: i64 = 500;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub settings: Settings,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// Everything that happened, as one number.
    pub hash: u64,
    /// How many things happened.
    pub happened: u64,
    /// How much of what matters has happened.
    pub met: Met,
    /// Simulated milliseconds.
    pub took_ms: i64,
    /// The last lines of the trace, if they were kept.
    pub lines: Vec<String>,
}

/// Runs a seed, or a variation of it.
pub fn run(settings: Settings) -> Outcome {
    let mut world = match World::new(settings.clone()) {
        Ok(world) => world,
        Err(what) => {
            let violation = Violation { invariant: "a cluster can begin", what, at: 0 };
            return Outcome {
                settings,
                violation: Some(violation),
                hash: 0,
                happened: 0,
                met: Met::default(),
                took_ms: 0,
                lines: Vec::new(),
            };
        }
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| world.whole_run())).err();
    if let Some(panic) = panicked {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.judge.broken("nothing panics", text.unwrap_or_default());
    }
    Outcome {
        settings,
        violation: world.judge.violation.clone(),
        hash: world.trace.hash(),
        happened: world.happened(),
        met: world.judge.met,
        took_ms: world.now,
        lines: world.trace.lines().map(str::to_owned).collect(),
    }
}

impl World {
    fn whole_run(&mut self) {
        let storm = self.settings.storm_ms;
        self.run_until(storm);
        if self.judge.violation.is_some() {
            return;
        }
        self.mend_all();
        // What is written in the calm shows that everything works again.
        self.run_until(self.now + 3000);
        self.clients.writing = false;
        let deadline = self.now + self.settings.calm_ms;
        let mut apart = self.apart();
        while let Some(what) = &apart {
            if self.judge.violation.is_some() {
                return;
            }
            if self.now >= deadline {
                let what = what.clone();
                self.judge.broken("everything comes together", what);
                return;
            }
            self.run_until(self.now + LOOK_MS);
            apart = self.apart();
        }
        self.judge.transactions_are_whole();
        if let Err(what) = self.compare() {
            self.judge.broken("replicas are equal", what);
        }
    }

    /// What has not come together yet.
    fn apart(&self) -> Option<String> {
        let Some(controller) = self.active_controller() else {
            return Some("there is no active controller".to_owned());
        };
        let end = self.judge.metadata_end;
        for node in self.nodes.values() {
            let Some(process) = &node.process else {
                return Some(format!("node {} does not run", node.id));
            };
            let known = process.metadata.committed.image().end_offset();
            let leader = process.metadata.leadership.leader;
            if known < end || leader != Some(controller) {
                return Some(format!(
                    "node {} knows metadata up to {known} of {end} and leader {leader:?} instead \
                     of {controller}: {} epoch {}",
                    node.id,
                    process.metadata.quorum.state_name(),
                    process.metadata.quorum.epoch()
                ));
            }
        }
        for topic in self.judge.reference.image().topics() {
            for (index, state) in topic.partitions.iter() {
                let key = naru_replication::PartitionKey { topic: topic.id, partition: *index };
                let (mut isr, mut replicas) = (state.isr.clone(), state.replicas.clone());
                isr.sort_unstable();
                replicas.sort_unstable();
                let moves =
                    !state.adding_replicas.is_empty() || !state.removing_replicas.is_empty();
                if isr != replicas || moves || state.leader.is_none() {
                    return Some(format!("{key:?}: {state:?}"));
                }
                let committed = self.judge.partitions.get(&key).map_or(0, |f| f.committed.len());
                for id in replicas {
                    let process = self.nodes.get(&id).and_then(|node| node.process.as_ref());
                    let found = process.and_then(|process| process.broker.partitions.get(&key));
                    let Some(partition) = found else {
                        return Some(format!("broker {id} does not hold {key:?}"));
                    };
                    let (mark, end) = (partition.high_watermark.0, partition.reader.log_end().0);
                    if mark != end || usize::try_from(end) != Ok(committed) {
                        return Some(format!(
                            "broker {id} {key:?}: high watermark {mark}, log end {end}, committed \
                             {committed}"
                        ));
                    }
                }
            }
        }
        if let Some((key, producer)) = self.judge.open_somewhere() {
            return Some(format!("{key:?}: a transaction of producer {producer} is open"));
        }
        if let Some(busy) = self.txn_clients.busy() {
            return Some(format!("not done: {busy}"));
        }
        for node in self.nodes.values() {
            let broker = node.process.as_ref().map(|process| &process.broker);
            if let Some((id, state)) = broker.and_then(|broker| broker.open_transaction()) {
                return Some(format!("{id} is {} on node {}", state.name(), node.id));
            }
        }
        if let Some((key, sequence)) = self.clients.outstanding(&self.judge.deleted) {
            return Some(format!("{key:?}: the batch from {sequence} on is not acknowledged"));
        }
        for (key, position) in self.clients.positions() {
            if self.judge.deleted.contains(&key.topic) {
                continue;
            }
            let committed = self.judge.partitions.get(&key).map_or(0, |f| f.committed.len());
            if usize::try_from(position) != Ok(committed) {
                return Some(format!("{key:?} is read up to {position} of {committed}"));
            }
        }
        None
    }

    /// Every replica holds what is committed, and nothing else.
    fn compare(&self) -> Result<(), String> {
        for node in self.nodes.values() {
            let Some(process) = &node.process else { continue };
            for (key, partition) in &process.broker.partitions {
                if self.judge.deleted.contains(&key.topic) {
                    return Err(format!("broker {} keeps {key:?} of a deleted topic", node.id));
                }
                let image = self.judge.reference.image().topic_by_id(key.topic);
                let state = image.and_then(|topic| topic.partitions.get(&key.partition));
                if !state.is_some_and(|state| state.replicas.contains(&node.id)) {
                    // Moved away: it has not heard of that yet.
                    continue;
                }
                let reader = &partition.reader;
                let (start, end) = (reader.log_start().0, reader.log_end().0);
                let found = facts_of(reader, start, end)?;
                let facts = self.judge.partitions.get(key);
                let committed = facts.map(|f| f.committed.as_slice()).unwrap_or_default();
                for (offset, fact) in &found {
                    let at = usize::try_from(*offset).unwrap_or(usize::MAX);
                    if committed.get(at) != Some(fact) {
                        return Err(format!("broker {} {key:?} at {offset}", node.id));
                    }
                }
            }
            if process.metadata.committed != self.judge.reference {
                return Err(format!("the metadata of node {}", node.id));
            }
        }
        Ok(())
    }
}
