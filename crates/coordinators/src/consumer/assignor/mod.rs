//! Assignors of the coordinator: who should own which partition.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::assignment::Partitions;

/// One of the assignors that Kafka 4.3.1 brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Evenly, moving as little as possible.
    Uniform,
    /// Consecutive partitions of each topic, so that topics with the same partitions go together.
    Range,
}

impl Assignor {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of this name, or of Kafka's class.
    pub fn from_name(name: &str) -> Option<Self> {
        const PACKAGE: &str = "org.apache.kafka.coordinator.group.assignor.";
        match name.strip_prefix(PACKAGE).unwrap_or(name) {
            "uniform" | "UniformAssignor" => Some(Self::Uniform),
            "range" | "RangeAssignor" => Some(Self::Range),
            _ => None,
        }
    }

    /// The assignment of every subscriber.
    pub(crate) fn assign(self, problem: &Problem) -> BTreeMap<Arc<str>, Partitions> {
        match self {
            Self::Uniform => uniform::assign(problem),
            Self::Range => range::assign(problem),
        }
    }
}

/// A member as an assignor sees it.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: BTreeSet<Uuid>,
    /// What the last assignment gave it.
    pub(crate) current: Partitions,
}

/// What is to be assigned to whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problem {
    pub(crate) members: Vec<Subscriber>,
    /// How many partitions each subscribed topic has.
    pub(crate) topics: BTreeMap<Uuid, i32>,
}

impl Problem {
    fn is_homogeneous(&self) -> bool {
        self.members.windows(2).all(|pair| pair[0].topics == pair[1].topics)
    }
}
