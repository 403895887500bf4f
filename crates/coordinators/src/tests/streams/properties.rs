//! Random lives of streams groups, with lost answers, crashes, failing appends and topics that
//! change.

use std::collections::BTreeMap;

use naru_model::ErrorCode;
use naru_protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use proptest::prelude::*;

use super::super::bench::{GROUP, commit_request, context};
use super::world::{Tasks, Thread, World};
use crate::{Command, Reply, ReplyToken};

const THREADS: usize = 4;
const PROCESSES: [&str; 3] = ["p", "q", "r"];

#[derive(Debug, Clone)]
enum Action {
    Beat {
        thread: usize,
    },
    /// The answer gets lost.
    BeatInVain {
        thread: usize,
    },
    Leave {
        thread: usize,
    },
    /// The thread dies without a word and comes back as somebody new.
    Die {
        thread: usize,
        process: usize,
    },
    Commit {
        thread: usize,
    },
    Grow {
        partitions: i32,
    },
    DeleteInternal,
    Advance {
        milliseconds: i64,
    },
    Settle {
        fails: bool,
    },
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    let thread = 0..THREADS;
    prop_oneof![
        20 => thread.clone().prop_map(|thread| Action::Beat { thread }),
        3 => thread.clone().prop_map(|thread| Action::BeatInVain { thread }),
        2 => thread.clone().prop_map(|thread| Action::Leave { thread }),
        4 => thread.clone().prop_map(|thread| Action::Commit { thread }),
        1 => (thread, 0..PROCESSES.len()).prop_map(|(thread, process)| Action::Die { thread, process }),
        1 => (1..5_i32).prop_map(|partitions| Action::Grow { partitions }),
        1 => Just(Action::DeleteInternal),
        8 => prop_oneof![Just(500_i64), Just(1_500), Just(50_000)]
            .prop_map(|milliseconds| Action::Advance { milliseconds }),
        4 => any::<bool>().prop_map(|fails| Action::Settle { fails }),
        1 => Just(Action::Crash),
    ]
}

struct Life {
    world: World,
    threads: Vec<Thread>,
    born: usize,
    commits: BTreeMap<ReplyToken, i64>,
    /// The highest offset that a thread was told to be committed.
    committed: Option<i64>,
    next_offset: i64,
}

impl Life {
    fn new(standby_replicas: i32) -> Self {
        let world = World::with(standby_replicas, &[("in", 2)]);
        let thread = |at: usize| Thread::named(&format!("m{at}"), PROCESSES[at % PROCESSES.len()]);
        Self {
            world,
            threads: (0..THREADS).map(thread).collect(),
            born: THREADS,
            commits: BTreeMap::new(),
            committed: None,
            next_offset: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Beat { thread } => {
                if self.threads[thread].asked.is_none() {
                    let token = self.world.send(self.threads[thread].request());
                    self.threads[thread].asked = Some(token);
                }
            }
            Action::BeatInVain { thread } => {
                self.world.send(self.threads[thread].request());
            }
            Action::Leave { thread } => {
                let thread = &mut self.threads[thread];
                if thread.joined {
                    let request =
                        StreamsGroupHeartbeatRequest { member_epoch: -1, ..thread.request() };
                    self.world.send(request);
                    thread.forget();
                }
            }
            Action::Die { thread, process } => {
                self.born += 1;
                let id = format!("m{}", self.born);
                self.threads[thread] = Thread::named(&id, PROCESSES[process]);
            }
            Action::Commit { thread } => {
                let thread = &self.threads[thread];
                self.next_offset += 1;
                let request = commit_request(&thread.id, thread.epoch, 0, self.next_offset);
                let command = Command::OffsetCommit { context: context(9), request };
                self.commits.insert(self.world.bench.send(command), self.next_offset);
            }
            Action::Grow { partitions } => {
                let now = self.world.topics.by_name["in"].partitions;
                self.world.set_topic("in", partitions.max(now));
            }
            Action::DeleteInternal => {
                self.world.delete_topic("g-words");
                self.world.delete_topic("g-counts");
            }
            Action::Advance { milliseconds } => self.world.bench.advance(milliseconds),
            Action::Settle { fails } => {
                if fails {
                    // What was appended behind a batch that is lost is lost too.
                    self.world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
                } else {
                    self.world.bench.settle_one(Ok(()));
                }
            }
            Action::Crash => {
                self.threads.iter_mut().for_each(|thread| thread.asked = None);
                self.commits.clear();
                self.world.crash();
            }
        }
        self.collect();
        self.check_owners();
    }

    /// Threads take in what they have been answered; missing topics are created.
    fn collect(&mut self) {
        for (token, offset) in std::mem::take(&mut self.commits) {
            match self.world.bench.answers.remove(&token) {
                Some(Reply::OffsetCommit(response)) => {
                    if response.topics[0].partitions[0].error_code == 0 {
                        self.committed = self.committed.max(Some(offset));
                    }
                }
                Some(other) => panic!("not to a commit: {other:?}"),
                None => drop(self.commits.insert(token, offset)),
            }
        }
        assert!(self.world.bench.position(0) >= self.committed, "a committed offset went back");
        for at in 0..self.threads.len() {
            let asked = self.threads[at].asked;
            if let Some(token) = asked.filter(|one| self.world.bench.answers.contains_key(one)) {
                self.threads[at].asked = None;
                let (response, missing) = self.world.answer(token);
                self.world.create(missing);
                self.threads[at].told(&response);
            }
        }
    }

    /// No two threads that are members run the same task.
    fn check_owners(&self) {
        let group = self.world.bench.shard.streams.get(GROUP);
        let is_member = |thread: &&Thread| {
            thread.joined && group.is_some_and(|group| group.member(&thread.id).is_some())
        };
        let mut owners: BTreeMap<&(String, i32), &str> = BTreeMap::new();
        for thread in self.threads.iter().filter(is_member) {
            for task in &thread.active {
                let other = owners.insert(task, &thread.id);
                assert_eq!(other, None, "{task:?} has two owners");
            }
        }
    }

    fn check_replay(&self) {
        let facts = |shard: &crate::GroupShard| {
            shard.streams.get(GROUP).map(crate::streams::StreamsGroup::as_facts)
        };
        let replayed = self.world.bench.replayed();
        assert_eq!(facts(&replayed), facts(&self.world.bench.shard));
        assert_eq!(replayed.settled_state().0, self.world.bench.shard.settled_state().0);
    }
}

/// The internal topics follow the source, as an administrator would see to.
fn recreate(world: &mut World) {
    world.delete_topic("g-words");
    world.delete_topic("g-counts");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_task_has_one_owner_and_everything_is_assigned_in_the_end(
        commits_at_once: bool,
        standby_replicas in 0..3_i32,
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let mut life = Life::new(standby_replicas);
        life.world.bench.auto_commit = commits_at_once;
        for action in &actions {
            life.act(action);
        }
        life.world.bench.auto_commit = true;
        life.world.bench.settle(Ok(()));
        life.collect();
        life.check_replay();
        life.threads.iter_mut().for_each(|thread| thread.asked = None);
        recreate(&mut life.world);
        // Who is gone for good times out.
        for _ in 0..5 {
            life.world.bench.advance(12_000);
            for thread in &mut life.threads {
                life.world.beat(thread);
            }
        }
        life.world.converge(&mut life.threads);
        life.check_owners();
        life.check_replay();
        let width = life.world.topics.by_name["in"].partitions;
        let active: Tasks = life.threads.iter().flat_map(|one| one.active.clone()).collect();
        let all: Tasks = ["0", "1"]
            .into_iter()
            .flat_map(|id| (0..width).map(move |task| (id.to_owned(), task)))
            .collect();
        prop_assert_eq!(active, all);
        for thread in &life.threads {
            // No process keeps a copy of what it runs.
            let process = life.threads.iter().filter(|other| other.process == thread.process);
            for other in process {
                prop_assert!(thread.standby.is_disjoint(&other.active));
                prop_assert!(thread.id == other.id || thread.standby.is_disjoint(&other.standby));
            }
        }
    }
}
