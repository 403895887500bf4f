//! The states of a classic group.

use std::fmt;

/// Where a classic group stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; it may hold offsets.
    Empty,
    /// Waiting for members to join the next generation.
    PreparingRebalance,
    /// A generation is formed and waits for its leader's assignment.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
    /// Gone; only ever seen in answers.
    Dead,
}

impl GroupState {
    /// Kafka's name, as ListGroups and DescribeGroups say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
