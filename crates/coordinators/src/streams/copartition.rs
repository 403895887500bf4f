//! Topics that are joined must have the same number of partitions.

use std::collections::{BTreeMap, BTreeSet};

use super::configure::Problem;
use super::error::StreamsError;
use super::status::Status;
use crate::consumer::Topics;

/// How many partitions topics have, or will have.
pub(super) struct Counts<'t> {
    pub(super) topics: &'t dyn Topics,
    /// Of internal topics, which may not be there yet.
    pub(super) decided: BTreeMap<String, i32>,
}

impl Counts<'_> {
    pub(super) fn of(&self, topic: &str) -> Result<i32, StreamsError> {
        let known = self.topics.by_name(topic).map(|topic| topic.partitions);
        known.or_else(|| self.decided.get(topic).copied()).ok_or_else(|| {
            StreamsError::InvalidTopology(format!(
                "Number of partitions is not set for topic: {topic}"
            ))
        })
    }

    fn of_all<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<BTreeMap<&'n str, i32>, StreamsError> {
        names.map(|name| Ok((name, self.of(name)?))).collect()
    }
}

/// Decides the width of a copartition group. Repartition topics follow the topics of others;
/// `fixed` ones have the width that the topology gives them.
pub(super) fn enforce(
    group: &BTreeSet<&str>,
    fixed: &BTreeSet<&str>,
    flexible: &BTreeSet<&str>,
    counts: &mut Counts<'_>,
) -> Result<(), Problem> {
    let is_repartitioned = |name: &&str| fixed.contains(name) || flexible.contains(name);
    let (own, others): (BTreeSet<&str>, BTreeSet<&str>) =
        group.iter().copied().partition(is_repartitioned);
    let own = counts.of_all(own.into_iter())?;
    let others = counts.of_all(others.into_iter())?;
    let decided = if others.is_empty() {
        let fixed: BTreeMap<&str, i32> =
            own.iter().filter(|(name, _)| fixed.contains(*name)).map(|(n, c)| (*n, *c)).collect();
        match same(&fixed)? {
            Some(width) => width,
            None => match own.values().max() {
                Some(width) => *width,
                None => return Ok(()),
            },
        }
    } else {
        match same(&others)? {
            Some(width) => width,
            None => return Ok(()),
        }
    };
    for (name, width) in own {
        if fixed.contains(name) && width != decided {
            return Err(incorrect(format!(
                "Number of partitions [{width}] of repartition topic [{name}] doesn't match \
                 number of partitions [{decided}] of the source topic."
            )));
        }
        counts.decided.insert(name.to_owned(), decided);
    }
    Ok(())
}

/// The width that all have.
fn same(widths: &BTreeMap<&str, i32>) -> Result<Option<i32>, Problem> {
    let first = widths.values().next().copied();
    if widths.values().all(|width| Some(*width) == first) {
        return Ok(first);
    }
    let all: Vec<String> = widths.iter().map(|(name, width)| format!("{name}={width}")).collect();
    Err(incorrect(format!(
        "Following topics do not have the same number of partitions: [{{{}}}]",
        all.join(", ")
    )))
}

fn incorrect(text: String) -> Problem {
    Problem::Waits(Status::IncorrectlyPartitionedTopics(text))
}
