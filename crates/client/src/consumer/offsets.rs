//! A consumer's positions: where to begin, and what to commit.

use naru_model::{ErrorCode, TopicPartition};
use tokio::time::Instant;

use super::{Consumer, Start, reset_spec};
use crate::admin::{
    CommittedOffset, OffsetSpec, commit_offsets, commit_request, fetch_offsets, list_offsets,
};
use crate::cluster::Lane;
use crate::error::{Error, Result};

impl Consumer {
    /// Finds where to begin for partitions that have no position yet.
    pub(super) async fn find_positions(&mut self) -> Result<()> {
        self.find_committed().await?;
        let wanted: Vec<(TopicPartition, OffsetSpec)> = self
            .partitions
            .iter()
            .filter_map(|(partition, reading)| match reading.start {
                Start::Lookup(spec) => Some((partition.clone(), spec)),
                Start::Committed | Start::At(_) => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = list_offsets(&self.cluster, &wanted, self.config.isolation).await?;
        for ((partition, outcome), (_, spec)) in found.into_iter().zip(wanted) {
            let listed = outcome?;
            let Some(reading) = self.partitions.get_mut(&partition) else { continue };
            reading.start = match listed.offset {
                Some(offset) => Start::At(offset),
                // No record is that young: begin with what comes next.
                None if spec != OffsetSpec::Latest => Start::Lookup(OffsetSpec::Latest),
                None => return Err(Error::code_only(ErrorCode::OffsetNotAvailable)),
            };
        }
        Ok(())
    }

    async fn find_committed(&mut self) -> Result<()> {
        let wanted: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(_, reading)| reading.start == Start::Committed)
            .map(|(partition, _)| partition.clone())
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let committed = self.committed(&wanted).await?;
        for partition in wanted {
            let found = committed.iter().find(|(p, _)| *p == partition).map(|(_, c)| c);
            let Some(reading) = self.partitions.get_mut(&partition) else { continue };
            reading.start = match found {
                Some(offset) => {
                    reading.committed = Some(offset.offset);
                    Start::At(offset.offset)
                }
                None => match reset_spec(self.config.offset_reset) {
                    Some(spec) => Start::Lookup(spec),
                    None => {
                        let TopicPartition { topic, partition } = partition;
                        return Err(Error::NoOffset { topic, partition });
                    }
                },
            };
        }
        Ok(())
    }

    /// What the group has committed for partitions; those without are left out.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
        let group = self.group()?;
        let found = self
            .cluster
            .retry(async || {
                let id = self.coordinator(&group).await?;
                let fetched =
                    fetch_offsets(&self.cluster, id, Lane::Main, &group, Some(partitions)).await;
                self.note_coordinator_error(&fetched);
                fetched
            })
            .await?;
        Ok(found.into_iter().filter_map(|(p, offset)| Some((p, offset?))).collect())
    }

    /// Commits the positions of all partitions that have moved since the last commit.
    pub async fn commit(&mut self) -> Result<()> {
        let moved: Vec<(TopicPartition, CommittedOffset)> = self
            .partitions
            .iter()
            .filter_map(|(partition, reading)| {
                let offset = reading.position().filter(|p| reading.committed != Some(*p))?;
                let leader_epoch = (reading.leader_epoch >= 0).then_some(reading.leader_epoch);
                let metadata = String::new();
                Some((partition.clone(), CommittedOffset { offset, leader_epoch, metadata }))
            })
            .collect();
        self.commit_offsets(&moved).await
    }

    /// Commits these offsets: each is that of the next record to read.
    pub async fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let group = self.group()?;
        let outcomes = self
            .cluster
            .retry(async || {
                let identity = self.membership.as_ref().map(super::Membership::identity);
                let (member, generation) = match &identity {
                    None => ("", -1),
                    Some(identity) => match identity.generation {
                        Some(generation) => (identity.member_id.as_str(), generation),
                        None => return Err(Error::code_only(ErrorCode::RebalanceInProgress)),
                    },
                };
                let instance = identity.as_ref().and(self.config.group_instance_id.as_deref());
                let request = commit_request(&group, generation, member, instance, offsets);
                let id = self.coordinator(&group).await?;
                let committed = commit_offsets(&self.cluster, id, Lane::Main, &request).await;
                self.note_coordinator_error(&committed);
                committed
            })
            .await?;
        let mut failed = None;
        for (partition, outcome) in outcomes {
            match outcome {
                Ok(()) => {
                    let offset = offsets.iter().find(|(p, _)| *p == partition);
                    if let (Some(reading), Some((_, committed))) =
                        (self.partitions.get_mut(&partition), offset)
                    {
                        reading.committed = Some(committed.offset);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Commits if it is time; a failure is told by the log only, the next one follows.
    pub(super) async fn auto_commit(&mut self) {
        let due = self.config.auto_commit
            && self.config.group_id.is_some()
            && Instant::now() >= self.next_auto_commit;
        if !due {
            return;
        }
        self.next_auto_commit = Instant::now() + self.config.auto_commit_interval;
        if let Err(error) = self.commit().await {
            tracing::warn!(%error, "auto-commit failed");
        }
    }

    fn group(&self) -> Result<String> {
        self.config.group_id.clone().ok_or_else(|| Error::Config {
            name: "group.id".to_owned(),
            value: String::new(),
            reason: "committed offsets belong to a group".to_owned(),
        })
    }

    async fn coordinator(&self, group: &str) -> Result<i32> {
        let known = self.membership.as_ref().and_then(|m| m.identity().coordinator);
        match known {
            Some(id) => Ok(id),
            None => self.cluster.coordinator(group).await,
        }
    }

    fn note_coordinator_error<T>(&self, outcome: &Result<T>) {
        if let (Err(_), Some(membership)) = (outcome, &self.membership) {
            membership.forget_coordinator();
        }
    }
}
