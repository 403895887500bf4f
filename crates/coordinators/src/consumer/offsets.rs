//! Who may commit and fetch offsets of a consumer group (KIP-848, 1251).

use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;

use super::error::ConsumerError;
use super::group::ConsumerGroup;
use super::member::ConsumerMember;

/// The first version whose members can say their epoch.
const MEMBER_EPOCH_SINCE: i16 = 9;

impl ConsumerGroup {
    /// Whether an OffsetCommit comes from somebody who may. A member that is an epoch behind may
    /// still commit what it had in its epoch already.
    pub(crate) fn validate_commit(
        &self,
        api_version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<(), ConsumerError> {
        let received = request.generation_id_or_member_epoch;
        if received < 0 && self.is_empty() {
            return Ok(()); // An administrator commits for a group that is not running.
        }
        let id = request.member_id.as_str();
        let member = self.member(id).ok_or_else(|| ConsumerError::unknown_member(id, &self.id))?;
        if !member.uses_classic_protocol() && api_version < MEMBER_EPOCH_SINCE {
            return Err(ConsumerError::UnsupportedVersion);
        }
        let known = member.progress.epoch;
        if received > known {
            return Err(stale(member));
        }
        if received == known {
            return Ok(());
        }
        let all = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| (topic.topic_id, partition.partition_index))
        });
        for (topic, partition) in all {
            let progress = &member.progress;
            let held = [&progress.assigned, &progress.pending_revocation];
            let since = held.iter().find_map(|owned| owned.get(&topic)?.get(&partition));
            if since.is_none_or(|since| received < *since) {
                return Err(stale(member));
            }
        }
        Ok(())
    }

    /// Whether a TxnOffsetCommit comes from a member in its epoch, or from somebody who names
    /// neither.
    pub(crate) fn validate_transactional_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ConsumerError> {
        let names_nobody = member_id.is_empty() && instance_id.is_none();
        if epoch < 0 && (self.is_empty() || names_nobody) {
            return Ok(());
        }
        let member = self
            .member(member_id)
            .ok_or_else(|| ConsumerError::unknown_member(member_id, &self.id))?;
        // What this request knows of epochs is the generation.
        if member.progress.epoch == epoch { Ok(()) } else { Err(ConsumerError::IllegalGeneration) }
    }

    /// Whether an OffsetFetch comes from somebody who may.
    pub(crate) fn validate_fetch(
        &self,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ConsumerError> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let id = member_id.unwrap_or_default();
        let member = self.member(id).ok_or_else(|| ConsumerError::unknown_member(id, &self.id))?;
        if member.progress.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }
}

fn stale(member: &ConsumerMember) -> ConsumerError {
    if member.uses_classic_protocol() {
        ConsumerError::IllegalGeneration
    } else {
        ConsumerError::StaleMemberEpoch
    }
}
