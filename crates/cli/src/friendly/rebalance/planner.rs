//! Where replicas should be: a planner. Pure.
//!
//! First what must be: nothing stays on a broker that is drained, replicas stand in as many racks
//! as can be. Then what should be, each goal without giving up an earlier one: as many replicas on
//! each broker, as many bytes, as many leaders. Moves as little as it can, smallest first.
//!
//! Invariants of a plan: the number of replicas of each partition stays; no replica twice; only
//! brokers that take replicas get new ones; no partition stands in fewer racks than before;
//! planning again on what a plan leads to moves nothing.

use std::collections::{BTreeMap, BTreeSet};

use naru_client::TopicPartition;

/// What a broker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Gets and gives replicas.
    Takes,
    /// Keeps what it has and gets no more: it is down, or was not named.
    Keeps,
    /// Gives all it has.
    Leaves,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: i32,
    pub(super) rack: Option<String>,
    pub(super) role: Role,
}

/// A partition as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) partition: TopicPartition,
    /// The preferred leader first.
    pub(super) replicas: Vec<i32>,
    /// Of one replica.
    pub(super) bytes: i64,
    /// Counts as load, and stays as it is.
    pub(super) fixed: bool,
}

/// What is to be even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goals {
    pub(super) racks: bool,
    pub(super) replicas: bool,
    pub(super) disk: bool,
    pub(super) leaders: bool,
}

impl Goals {
    pub(super) const ALL: Self = Self { racks: true, replicas: true, disk: true, leaders: true };
}

/// One partition's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) partition: TopicPartition,
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
    /// Bytes to be copied.
    pub(super) bytes: i64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// A partition has more replicas than there are brokers left.
    #[error("{partition} has {replicas} replicas, and only {brokers} brokers would be left for it")]
    TooFewBrokers { partition: TopicPartition, replicas: usize, brokers: usize },
}

/// Load that differs by less than this share of the mean is even.
const DISK_TOLERANCE_PERCENT: i64 = 10;
/// Counts and bytes are evened in turns; they settle after a few.
const ROUNDS_MAX: usize = 50;
/// Most replicas of a broker that are looked at for one exchange.
const EXCHANGE_CANDIDATES: usize = 200;

/// The changes that make `partitions` reach `goals`, by partition.
pub(super) fn plan(
    nodes: &[Node],
    partitions: &[Placed],
    goals: Goals,
) -> Result<Vec<Move>, PlanError> {
    let mut state = State::new(nodes, partitions, goals);
    state.drain()?;
    if goals.racks {
        state.spread_racks();
    }
    // An exchange for bytes may open a way for a count that racks had barred.
    for _ in 0..ROUNDS_MAX {
        let before = state.placed.clone();
        if goals.replicas {
            state.even_replicas();
        }
        if goals.disk {
            state.even_bytes();
        }
        if state.placed == before {
            break;
        }
    }
    if goals.leaders {
        state.even_leaders();
    }
    let mut moves: Vec<Move> = partitions
        .iter()
        .zip(state.placed)
        .filter(|(before, after)| before.replicas != *after)
        .map(|(before, after)| {
            let new = after.iter().filter(|id| !before.replicas.contains(id)).count();
            Move {
                partition: before.partition.clone(),
                from: before.replicas.clone(),
                bytes: before.bytes.saturating_mul(i64::try_from(new).unwrap_or(i64::MAX)),
                to: after,
            }
        })
        .collect();
    moves.sort_by(|a, b| a.partition.cmp(&b.partition));
    Ok(moves)
}

/// What a broker carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) replicas: usize,
    pub(super) leaders: usize,
    pub(super) bytes: i64,
}

/// The load of each broker.
pub(super) fn loads<'p>(partitions: impl Iterator<Item = (&'p [i32], i64)>) -> BTreeMap<i32, Load> {
    let mut loads: BTreeMap<i32, Load> = BTreeMap::new();
    for (replicas, bytes) in partitions {
        for id in replicas {
            let load = loads.entry(*id).or_default();
            load.replicas += 1;
            load.bytes += bytes;
        }
        if let Some(first) = replicas.first() {
            loads.entry(*first).or_default().leaders += 1;
        }
    }
    loads
}

struct State<'p> {
    partitions: &'p [Placed],
    placed: Vec<Vec<i32>>,
    racks: BTreeMap<i32, Option<&'p str>>,
    takers: Vec<i32>,
    leavers: BTreeSet<i32>,
    loads: BTreeMap<i32, Load>,
    rack_aware: bool,
    goals: Goals,
}

impl<'p> State<'p> {
    fn new(nodes: &'p [Node], partitions: &'p [Placed], goals: Goals) -> Self {
        let ids = |role: Role| nodes.iter().filter(move |n| n.role == role).map(|node| node.id);
        let placed: Vec<Vec<i32>> = partitions.iter().map(|p| p.replicas.clone()).collect();
        let mut loads = loads(partitions.iter().map(|p| (p.replicas.as_slice(), p.bytes)));
        for node in nodes {
            loads.entry(node.id).or_default();
        }
        let takers: Vec<&Node> = nodes.iter().filter(|node| node.role == Role::Takes).collect();
        Self {
            placed,
            racks: nodes.iter().map(|node| (node.id, node.rack.as_deref())).collect(),
            // Where one broker has no rack, racks say nothing.
            rack_aware: goals.racks && takers.iter().all(|node| node.rack.is_some()),
            takers: ids(Role::Takes).collect(),
            leavers: ids(Role::Leaves).collect(),
            loads,
            partitions,
            goals,
        }
    }

    fn load(&self, id: i32) -> Load {
        self.loads.get(&id).copied().unwrap_or_default()
    }

    fn rack(&self, id: i32) -> Option<&'p str> {
        self.racks.get(&id).copied().flatten()
    }

    /// How many racks replicas stand in; where racks say nothing, all the same.
    fn racks_of(&self, replicas: &[i32]) -> usize {
        if !self.rack_aware {
            return 0;
        }
        replicas.iter().map(|id| self.rack(*id)).collect::<BTreeSet<_>>().len()
    }

    /// The replicas of a partition with one broker instead of another.
    fn exchanged(&self, index: usize, from: i32, to: i32) -> Vec<i32> {
        self.placed[index].iter().map(|id| if *id == from { to } else { *id }).collect()
    }

    /// Whether a replica may go from one broker to another without losing a rack.
    fn may_move(&self, index: usize, from: i32, to: i32) -> bool {
        let replicas = &self.placed[index];
        !self.partitions[index].fixed
            && replicas.contains(&from)
            && !replicas.contains(&to)
            && self.racks_of(&self.exchanged(index, from, to)) >= self.racks_of(replicas)
    }

    fn shift(&mut self, index: usize, from: i32, to: i32) {
        let leads = self.placed[index].first() == Some(&from);
        self.placed[index] = self.exchanged(index, from, to);
        let bytes = self.partitions[index].bytes;
        let change = |load: &mut Load, sign: i64| {
            load.replicas = load.replicas.saturating_add_signed(if sign > 0 { 1 } else { -1 });
            load.bytes += sign * bytes;
            if leads {
                load.leaders = load.leaders.saturating_add_signed(if sign > 0 { 1 } else { -1 });
            }
        };
        change(self.loads.entry(from).or_default(), -1);
        change(self.loads.entry(to).or_default(), 1);
    }

    /// The broker that should get a replica: in a new rack if it can be, else with little load.
    fn best_taker(&self, index: usize, from: i32) -> Option<i32> {
        let free = self.takers.iter().copied().filter(|id| !self.placed[index].contains(id));
        free.min_by_key(|id| {
            let racks = self.racks_of(&self.exchanged(index, from, *id));
            let load = self.load(*id);
            (std::cmp::Reverse(racks), load.replicas, load.bytes, *id)
        })
    }

    /// The partitions that may change.
    fn movable(&self) -> Vec<usize> {
        (0..self.placed.len()).filter(|index| !self.partitions[*index].fixed).collect()
    }

    fn drain(&mut self) -> Result<(), PlanError> {
        for index in self.movable() {
            let leaving: Vec<i32> =
                self.placed[index].iter().copied().filter(|id| self.leavers.contains(id)).collect();
            for from in leaving {
                let Some(to) = self.best_taker(index, from) else {
                    return Err(PlanError::TooFewBrokers {
                        partition: self.partitions[index].partition.clone(),
                        replicas: self.placed[index].len(),
                        brokers: self.takers.len(),
                    });
                };
                self.shift(index, from, to);
            }
        }
        Ok(())
    }

    fn spread_racks(&mut self) {
        if !self.rack_aware {
            return;
        }
        for index in self.movable() {
            while let Some((from, to)) = self.rack_gain(index) {
                self.shift(index, from, to);
            }
        }
    }

    /// A replica in a rack that has another one, and a broker in a rack that has none.
    fn rack_gain(&self, index: usize) -> Option<(i32, i32)> {
        let replicas = &self.placed[index];
        let racks = self.racks_of(replicas);
        let mut pairs: Vec<(i32, i32)> = Vec::new();
        for from in replicas.iter().copied().filter(|id| self.takers.contains(id)) {
            let gains = |to: &i32| {
                !replicas.contains(to) && self.racks_of(&self.exchanged(index, from, *to)) > racks
            };
            pairs.extend(self.takers.iter().copied().filter(gains).map(|to| (from, to)));
        }
        pairs.into_iter().min_by_key(|(from, to)| {
            let (source, target) = (self.load(*from), self.load(*to));
            (target.replicas, std::cmp::Reverse(source.replicas), target.bytes, *from, *to)
        })
    }

    fn even_replicas(&mut self) {
        while let Some((index, from, to)) = self.replica_gain() {
            self.shift(index, from, to);
        }
    }

    /// The best move from a broker with more to one with at least two fewer.
    fn replica_gain(&self) -> Option<(usize, i32, i32)> {
        let mut order = self.takers.clone();
        order.sort_by_key(|id| (self.load(*id).replicas, *id));
        for from in order.iter().rev().copied() {
            for to in order.iter().copied() {
                if self.load(from).replicas < self.load(to).replicas + 2 {
                    break;
                }
                if let Some(index) = self.smallest_move(from, to) {
                    return Some((index, from, to));
                }
            }
        }
        None
    }

    /// The partition to move: of the topic that is most uneven between the two, the smallest.
    fn smallest_move(&self, from: i32, to: i32) -> Option<usize> {
        let mut topics: BTreeMap<&str, i64> = BTreeMap::new();
        for (placed, known) in self.placed.iter().zip(self.partitions) {
            let count = topics.entry(&known.partition.topic).or_default();
            *count += i64::from(placed.contains(&from)) - i64::from(placed.contains(&to));
        }
        let may = (0..self.placed.len()).filter(|index| self.may_move(*index, from, to));
        may.min_by_key(|index| {
            let known = &self.partitions[*index];
            let uneven = topics.get(known.partition.topic.as_str()).copied().unwrap_or(0);
            // A follower goes before a leader.
            let leads = self.placed[*index].first() == Some(&from);
            (-uneven, known.bytes, leads, *index)
        })
    }

    fn even_bytes(&mut self) {
        let total: i64 = self.takers.iter().map(|id| self.load(*id).bytes).sum();
        let brokers = i64::try_from(self.takers.len()).unwrap_or(1).max(1);
        let tolerance = (total / brokers * DISK_TOLERANCE_PERCENT / 100).max(1);
        // Each step makes the loads strictly more even; the bound is for patience alone.
        for _ in 0..self.placed.len().saturating_mul(4) {
            let mut order = self.takers.clone();
            order.sort_by_key(|id| (self.load(*id).bytes, *id));
            let Some(from) = order.last().copied() else { return };
            let best = order.iter().copied().find_map(|to| {
                let gap = self.load(from).bytes - self.load(to).bytes;
                (gap > tolerance).then(|| self.byte_gain(from, to, gap, tolerance)).flatten()
            });
            let Some((index, back, to)) = best else { return };
            self.shift(index, from, to);
            if let Some(back) = back {
                self.shift(back, to, from);
            }
        }
    }

    /// A move, or an exchange of two replicas, that about halves the gap between two brokers.
    fn byte_gain(
        &self,
        from: i32,
        to: i32,
        gap: i64,
        tolerance: i64,
    ) -> Option<(usize, Option<usize>, i32)> {
        let useful = |bytes: i64| bytes > tolerance / 2 && bytes < gap;
        let off = |bytes: i64| (gap - 2 * bytes).abs();
        let candidates = |a: i32, b: i32| {
            let may = (0..self.placed.len()).filter(|index| self.may_move(*index, a, b));
            let mut found: Vec<usize> = may.collect();
            found.sort_by_key(|index| std::cmp::Reverse(self.partitions[*index].bytes));
            found
        };
        let bytes = |index: usize| self.partitions[index].bytes;
        let mut give = candidates(from, to);
        let mut best: Option<(i64, usize, Option<usize>)> = None;
        let mut consider = |candidate: (i64, usize, Option<usize>)| {
            if best.is_none_or(|best| candidate < best) {
                best = Some(candidate);
            }
        };
        if !self.goals.replicas || self.load(from).replicas > self.load(to).replicas {
            for index in give.iter().copied().filter(|index| useful(bytes(*index))) {
                consider((off(bytes(index)), index, None));
            }
        }
        let mut take = candidates(to, from);
        // The large ones go, for the small ones that come back.
        take.reverse();
        give.truncate(EXCHANGE_CANDIDATES);
        take.truncate(EXCHANGE_CANDIDATES);
        for index in give {
            for back in take.iter().copied().filter(|back| *back != index) {
                let net = bytes(index) - bytes(back);
                if useful(net) {
                    consider((off(net), index, Some(back)));
                }
            }
        }
        best.map(|(_, index, back)| (index, back, to))
    }

    /// Evens leaders by changing which replica comes first; no byte moves. A path of changes is
    /// sought from each broker that leads more to one that leads at least two fewer.
    fn even_leaders(&mut self) {
        loop {
            let mut order = self.takers.clone();
            order.sort_by_key(|id| (std::cmp::Reverse(self.load(*id).leaders), *id));
            let path = order.iter().find_map(|from| self.leader_path(*from));
            let Some(path) = path else { return };
            for (index, to) in path {
                let replicas = &mut self.placed[index];
                let Some(at) = replicas.iter().position(|id| *id == to) else { continue };
                let from = replicas[0];
                replicas.swap(0, at);
                self.loads.entry(from).or_default().leaders -= 1;
                self.loads.entry(to).or_default().leaders += 1;
            }
        }
    }

    /// Partitions and their new leaders, from `from` on to a broker with little to lead.
    fn leader_path(&self, from: i32) -> Option<Vec<(usize, i32)>> {
        let most = self.load(from).leaders;
        // By broker: the partition whose leadership it would get.
        let mut reached: BTreeMap<i32, (usize, i32)> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            let led = (0..self.placed.len())
                .filter(|i| self.placed[*i].first() == Some(&at) && !self.partitions[*i].fixed);
            for index in led {
                for next in self.placed[index].iter().copied().skip(1) {
                    if next == from || reached.contains_key(&next) || !self.takers.contains(&next) {
                        continue;
                    }
                    reached.insert(next, (index, at));
                    if self.load(next).leaders + 2 <= most {
                        return Some(trace(&reached, from, next));
                    }
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

fn trace(reached: &BTreeMap<i32, (usize, i32)>, from: i32, to: i32) -> Vec<(usize, i32)> {
    let mut path = Vec::new();
    let mut at = to;
    while at != from {
        let Some((index, before)) = reached.get(&at).copied() else { break };
        path.push((index, at));
        at = before;
    }
    path
}
