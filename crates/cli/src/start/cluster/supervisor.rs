//! Who is started, stopped and started again: the rules of a cluster on one machine. Pure.
//!
//! `step(now, event)` pushes actions that the shell carries out. A node that ends is told and
//! started again, later each time it does not last. A stop goes node by node while enough voters
//! stay to agree, then takes the rest at once, for those who are left could not agree any more.
//!
//! Invariant: each node has at most one process; `Action::Finish` comes once, when none is left.

/// A node that has run this long starts with the shortest wait again.
const LASTED_MS: u64 = 60_000;
const WAIT_FIRST_MS: u64 = 1_000;
const WAIT_MAX_MS: u64 = 30_000;
/// A node that does not stop by then is killed.
pub(super) const STOP_PATIENCE_MS: u64 = 60_000;

/// What has happened. Nodes are named by their place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The node serves.
    Ready(usize),
    /// Its process has ended; `last` is what it said last.
    Ended { node: usize, how: Exit, last: Option<String> },
    /// Somebody wants it all to stop.
    Stop,
    /// Time has passed.
    Tick,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// A wrong configuration does not become right by another try.
    const fn is_hopeless(&self) -> bool {
        matches!(self, Self::Code(CONFIG))
    }

    fn shown(&self) -> String {
        match self {
            Self::Code(code) => format!("exit code {code}"),
            Self::Signal(signal) => format!("signal {signal}"),
        }
    }
}

/// `naru start`'s exit code for a configuration that cannot be.
const CONFIG: i32 = naru_broker::ExitCode::Config as i32;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Start(usize),
    /// Ask it to stop.
    Terminate(usize),
    /// It did not.
    Kill(usize),
    /// All nodes serve for the first time.
    AllReady,
    /// Tell the person in front of it.
    Say(String),
    /// Nothing runs any more: the exit code.
    Finish(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { since: u64, ready: bool },
    Waiting { until: u64 },
    Stopping { since: u64, killed: bool },
    Ended,
}

#[derive(Debug)]
struct Slot {
    id: u16,
    votes: bool,
    state: State,
    /// Wait before the next start.
    wait_ms: u64,
}

/// The nodes and what is known of them.
#[derive(Debug)]
pub(super) struct Supervisor {
    slots: Vec<Slot>,
    told_ready: bool,
    stopping: bool,
    finished: bool,
    /// How often somebody asked for a stop.
    asked: u32,
    code: i32,
}

impl Supervisor {
    /// Starts all nodes: their ids and whether they vote.
    pub(super) fn start(now: u64, nodes: &[(u16, bool)], actions: &mut Vec<Action>) -> Self {
        actions.extend((0..nodes.len()).map(Action::Start));
        let slot = |(id, votes): &(u16, bool)| Slot {
            id: *id,
            votes: *votes,
            state: State::Running { since: now, ready: false },
            wait_ms: WAIT_FIRST_MS,
        };
        Self {
            slots: nodes.iter().map(slot).collect(),
            told_ready: false,
            stopping: false,
            finished: false,
            asked: 0,
            code: 0,
        }
    }

    /// When [`Event::Tick`] is due next.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let due = |slot: &Slot| match slot.state {
            State::Waiting { until } => Some(until),
            State::Stopping { since, killed: false } => Some(since + STOP_PATIENCE_MS),
            State::Running { .. } | State::Stopping { .. } | State::Ended => None,
        };
        self.slots.iter().filter_map(due).min()
    }

    pub(super) fn step(&mut self, now: u64, event: &Event, actions: &mut Vec<Action>) {
        match event {
            Event::Ready(node) => self.ready(*node, actions),
            Event::Ended { node, how, last } => {
                self.ended(now, *node, how, last.as_deref(), actions);
            }
            Event::Stop => self.stop(now, actions),
            Event::Tick => {}
        }
        self.act_on_time(now, actions);
        if self.stopping {
            self.stop_more(now, actions);
        }
    }

    fn ready(&mut self, node: usize, actions: &mut Vec<Action>) {
        let slot = &mut self.slots[node];
        let State::Running { since, ready: false } = slot.state else { return };
        slot.state = State::Running { since, ready: true };
        if self.told_ready {
            actions.push(Action::Say(format!("node {} serves again", slot.id)));
        }
        let all = self.slots.iter().all(|s| matches!(s.state, State::Running { ready: true, .. }));
        if all && !self.told_ready {
            self.told_ready = true;
            actions.push(Action::AllReady);
        }
    }

    fn ended(
        &mut self,
        now: u64,
        node: usize,
        how: &Exit,
        last: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        let slot = &mut self.slots[node];
        let last = last.map(|line| format!(": {line}")).unwrap_or_default();
        match slot.state {
            State::Stopping { .. } => {
                if *how != Exit::Code(0) {
                    self.code = 1;
                    let text = format!("node {} ended with {}{last}", slot.id, how.shown());
                    actions.push(Action::Say(text));
                }
                slot.state = State::Ended;
            }
            State::Running { since, .. } if !how.is_hopeless() => {
                if now.saturating_sub(since) >= LASTED_MS {
                    slot.wait_ms = WAIT_FIRST_MS;
                }
                let wait = slot.wait_ms;
                slot.wait_ms = (wait * 2).min(WAIT_MAX_MS);
                slot.state = State::Waiting { until: now + wait };
                actions.push(Action::Say(format!(
                    "node {} ended with {}{last}; it is started again in {} s",
                    slot.id,
                    how.shown(),
                    wait / 1000
                )));
            }
            State::Running { .. } | State::Waiting { .. } | State::Ended => {
                slot.state = State::Ended;
                self.code = CONFIG;
                let text = format!("node {} cannot be started{last}", slot.id);
                actions.push(Action::Say(text));
                // A cluster that never stood is not kept in pieces.
                if !self.told_ready {
                    self.stopping = true;
                }
            }
        }
    }

    fn stop(&mut self, now: u64, actions: &mut Vec<Action>) {
        self.asked += 1;
        self.stopping = true;
        match self.asked {
            1 => actions.push(Action::Say("stopping, node by node".to_owned())),
            2 => {
                for node in 0..self.slots.len() {
                    self.terminate(now, node, actions);
                }
            }
            _ => {
                for (node, slot) in self.slots.iter_mut().enumerate() {
                    if let State::Stopping { since, .. } = slot.state {
                        slot.state = State::Stopping { since, killed: true };
                        actions.push(Action::Kill(node));
                    }
                }
            }
        }
    }

    fn act_on_time(&mut self, now: u64, actions: &mut Vec<Action>) {
        for (node, slot) in self.slots.iter_mut().enumerate() {
            match slot.state {
                State::Waiting { .. } if self.stopping => slot.state = State::Ended,
                State::Waiting { until } if until <= now => {
                    slot.state = State::Running { since: now, ready: false };
                    actions.push(Action::Start(node));
                }
                State::Stopping { since, killed: false } if since + STOP_PATIENCE_MS <= now => {
                    slot.state = State::Stopping { since, killed: true };
                    let text = format!("node {} does not stop; it is killed", slot.id);
                    actions.extend([Action::Say(text), Action::Kill(node)]);
                }
                _ => {}
            }
        }
    }

    /// The next to stop, if nobody is stopping; the last majority of the voters at once.
    fn stop_more(&mut self, now: u64, actions: &mut Vec<Action>) {
        let runs = |slot: &Slot| matches!(slot.state, State::Running { .. });
        if self.slots.iter().any(|slot| matches!(slot.state, State::Stopping { .. })) {
            return;
        }
        let majority = self.slots.iter().filter(|slot| slot.votes).count() / 2 + 1;
        let voters = self.slots.iter().filter(|slot| slot.votes && runs(slot)).count();
        let follower = self.slots.iter().rposition(|slot| !slot.votes && runs(slot));
        let spare = || self.slots.iter().rposition(|slot| slot.votes && runs(slot));
        match follower.or_else(|| spare().filter(|_| voters > majority)) {
            Some(node) => self.terminate(now, node, actions),
            None => {
                for node in (0..self.slots.len()).rev() {
                    self.terminate(now, node, actions);
                }
            }
        }
        if self.slots.iter().all(|slot| slot.state == State::Ended) && !self.finished {
            self.finished = true;
            actions.push(Action::Finish(self.code));
        }
    }

    fn terminate(&mut self, now: u64, node: usize, actions: &mut Vec<Action>) {
        let slot = &mut self.slots[node];
        if let State::Running { .. } = slot.state {
            slot.state = State::Stopping { since: now, killed: false };
            actions.push(Action::Terminate(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Run {
        supervisor: Supervisor,
        now: u64,
    }

    impl Run {
        fn new(votes: &[bool]) -> Self {
            let nodes: Vec<(u16, bool)> = (1..).zip(votes.iter().copied()).collect();
            let mut actions = Vec::new();
            let supervisor = Supervisor::start(0, &nodes, &mut actions);
            assert_eq!(actions.len(), votes.len());
            let mut run = Self { supervisor, now: 0 };
            for node in 0..votes.len() {
                run.step(&Event::Ready(node));
            }
            run
        }

        fn step(&mut self, event: &Event) -> Vec<Action> {
            let mut actions = Vec::new();
            self.supervisor.step(self.now, event, &mut actions);
            actions
        }

        fn end(&mut self, node: usize, how: Exit) -> Vec<Action> {
            self.step(&Event::Ended { node, how, last: None })
        }
    }

    fn without_words(actions: Vec<Action>) -> Vec<Action> {
        actions.into_iter().filter(|action| !matches!(action, Action::Say(_))).collect()
    }

    #[test]
    fn a_node_that_dies_is_told_and_started_again_later_each_time() {
        let mut run = Run::new(&[true, true, true]);
        for wait in [1_000, 2_000, 4_000] {
            let told = run.end(1, Exit::Signal(9));
            let expect =
                format!("node 2 ended with signal 9; it is started again in {} s", wait / 1000);
            assert_eq!(told, [Action::Say(expect)]);
            assert_eq!(run.supervisor.next_deadline(), Some(run.now + wait));
            run.now += wait;
            assert_eq!(run.step(&Event::Tick), [Action::Start(1)]);
        }
        assert_eq!(run.step(&Event::Ready(1)), [Action::Say("node 2 serves again".to_owned())]);
        run.now += LASTED_MS;
        run.end(1, Exit::Code(1));
        assert_eq!(run.supervisor.next_deadline(), Some(run.now + 1_000));
    }

    #[test]
    fn a_stop_goes_node_by_node_and_takes_the_last_majority_at_once() {
        let mut run = Run::new(&[true, true, true, false]);
        assert_eq!(without_words(run.step(&Event::Stop)), [Action::Terminate(3)]);
        assert_eq!(run.end(3, Exit::Code(0)), [Action::Terminate(2)]);
        assert_eq!(run.end(2, Exit::Code(0)), [Action::Terminate(1), Action::Terminate(0)]);
        assert_eq!(run.end(0, Exit::Code(0)), []);
        assert_eq!(run.end(1, Exit::Code(0)), [Action::Finish(0)]);
    }

    #[test]
    fn who_does_not_stop_is_killed_and_the_exit_code_says_so() {
        let mut run = Run::new(&[true]);
        run.step(&Event::Stop);
        run.now += STOP_PATIENCE_MS;
        assert_eq!(without_words(run.step(&Event::Tick)), [Action::Kill(0)]);
        assert_eq!(without_words(run.end(0, Exit::Signal(9))), [Action::Finish(1)]);
    }

    #[test]
    fn asking_again_stops_all_at_once_and_asking_thrice_kills() {
        let mut run = Run::new(&[true, true, true]);
        run.step(&Event::Stop);
        assert_eq!(run.step(&Event::Stop), [Action::Terminate(0), Action::Terminate(1)]);
        let kills = run.step(&Event::Stop);
        assert_eq!(kills, [Action::Kill(0), Action::Kill(1), Action::Kill(2)]);
    }

    #[test]
    fn a_wrong_configuration_is_not_tried_again_and_ends_a_cluster_that_never_stood() {
        let mut actions = Vec::new();
        let nodes = [(1, true), (2, true), (3, true)];
        let mut supervisor = Supervisor::start(0, &nodes, &mut actions);
        actions.clear();
        let how = Exit::Code(CONFIG);
        let last = Some("port 9092 is taken".to_owned());
        supervisor.step(1, &Event::Ended { node: 0, how, last }, &mut actions);
        let words = "node 1 cannot be started: port 9092 is taken".to_owned();
        // The majority of the voters is what is left.
        let expect = [Action::Say(words), Action::Terminate(2), Action::Terminate(1)];
        assert_eq!(actions, expect);
    }

    #[test]
    fn a_stop_while_a_node_waits_does_not_start_it() {
        let mut run = Run::new(&[true, true, true]);
        run.end(2, Exit::Code(1));
        let stopped = without_words(run.step(&Event::Stop));
        assert_eq!(stopped, [Action::Terminate(1), Action::Terminate(0)]);
        run.end(1, Exit::Code(0));
        assert_eq!(run.end(0, Exit::Code(0)), [Action::Finish(0)]);
    }
}
