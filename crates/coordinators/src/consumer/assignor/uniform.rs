//! The uniform assignor: as even as subscriptions allow, and moving as little as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::super::assignment::Partitions;
use super::Problem;

/// Members by their place in the problem, and what each has.
struct Shares<'p> {
    problem: &'p Problem,
    held: Vec<BTreeSet<(Uuid, i32)>>,
    free: BTreeSet<(Uuid, i32)>,
}

pub(super) fn assign(problem: &Problem) -> BTreeMap<Arc<str>, Partitions> {
    let mut shares = Shares::keep_current(problem);
    if problem.is_homogeneous() {
        shares.fill_quotas();
    } else {
        shares.give_to_least();
        shares.balance();
    }
    shares.into_assignment()
}

impl<'p> Shares<'p> {
    /// Everyone keeps what it has and still may have.
    fn keep_current(problem: &'p Problem) -> Self {
        let all = problem.topics.iter().flat_map(|(topic, n)| (0..*n).map(|index| (*topic, index)));
        let mut free: BTreeSet<(Uuid, i32)> = all.collect();
        let mut held = vec![BTreeSet::new(); problem.members.len()];
        for (member, mine) in problem.members.iter().zip(&mut held) {
            for (topic, partitions) in &member.current {
                if !member.topics.contains(topic) {
                    continue;
                }
                let kept = partitions.iter().map(|index| (*topic, *index));
                mine.extend(kept.filter(|one| free.remove(one)));
            }
        }
        Self { problem, held, free }
    }

    /// Everyone subscribes to the same: all get the same number, some one more.
    fn fill_quotas(&mut self) {
        let members = self.held.len();
        if members == 0 {
            return;
        }
        let total = self.free.len() + self.held.iter().map(BTreeSet::len).sum::<usize>();
        let (quota, mut extras) = (total / members, total % members);
        // Who already has more than the quota may keep one more, as long as there are extras.
        let mut goals = Vec::with_capacity(members);
        for mine in &mut self.held {
            let goal = quota + usize::from(mine.len() > quota && extras > 0);
            extras -= goal - quota;
            while mine.len() > goal {
                self.free.extend(mine.pop_last());
            }
            goals.push(goal);
        }
        for goal in goals.iter_mut().filter(|goal| **goal == quota).take(extras) {
            *goal += 1;
        }
        // Round by round, so that each topic is spread over the members too.
        let mut any = true;
        while any && !self.free.is_empty() {
            any = false;
            for (mine, goal) in self.held.iter_mut().zip(&goals) {
                if mine.len() < *goal
                    && let Some(one) = self.free.pop_first()
                {
                    mine.insert(one);
                    any = true;
                }
            }
        }
    }

    fn subscribers(&self, topic: Uuid) -> Vec<usize> {
        let members = self.problem.members.iter().enumerate();
        members.filter(|(_, one)| one.topics.contains(&topic)).map(|(index, _)| index).collect()
    }

    /// Gives each free partition to the subscriber that has least, topics with few subscribers
    /// first, because the others can still even it out.
    fn give_to_least(&mut self) {
        let mut topics: Vec<(usize, Uuid, Vec<usize>)> = Vec::new();
        for topic in self.problem.topics.keys() {
            let subscribers = self.subscribers(*topic);
            topics.push((subscribers.len(), *topic, subscribers));
        }
        topics.sort();
        for (_, topic, subscribers) in topics {
            let free: Vec<(Uuid, i32)> =
                self.free.range((topic, 0)..=(topic, i32::MAX)).copied().collect();
            for one in free {
                let least = subscribers.iter().min_by_key(|index| self.held[**index].len());
                if let Some(least) = least {
                    self.free.remove(&one);
                    self.held[*least].insert(one);
                }
            }
        }
    }

    /// Moves partitions from who has most to who has least among a topic's subscribers, until no
    /// move makes it more even. Every move lessens the sum of squares, so this ends.
    fn balance(&mut self) {
        let topics: Vec<(Uuid, Vec<usize>)> =
            self.problem.topics.keys().map(|topic| (*topic, self.subscribers(*topic))).collect();
        let mut moved = true;
        while moved {
            moved = false;
            for (topic, subscribers) in &topics {
                while self.move_one(*topic, subscribers) {
                    moved = true;
                }
            }
        }
    }

    fn move_one(&mut self, topic: Uuid, subscribers: &[usize]) -> bool {
        let one_of = |held: &BTreeSet<(Uuid, i32)>| {
            held.range((topic, 0)..=(topic, i32::MAX)).next_back().copied()
        };
        let most = subscribers
            .iter()
            .filter(|index| one_of(&self.held[**index]).is_some())
            .max_by_key(|index| self.held[**index].len());
        let least = subscribers.iter().min_by_key(|index| self.held[**index].len());
        let (Some(&most), Some(&least)) = (most, least) else { return false };
        if self.held[most].len() < self.held[least].len() + 2 {
            return false;
        }
        let Some(one) = one_of(&self.held[most]) else { return false };
        self.held[most].remove(&one);
        self.held[least].insert(one);
        true
    }

    fn into_assignment(self) -> BTreeMap<Arc<str>, Partitions> {
        let mut assigned = BTreeMap::new();
        for (member, held) in self.problem.members.iter().zip(self.held) {
            let mut partitions = Partitions::new();
            for (topic, index) in held {
                partitions.entry(topic).or_default().insert(index);
            }
            assigned.insert(Arc::clone(&member.id), partitions);
        }
        assigned
    }
}
