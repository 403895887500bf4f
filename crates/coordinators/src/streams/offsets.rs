//! Who may commit and fetch offsets of a streams group (KIP-1071, 1251).

use super::error::StreamsError;
use super::group::StreamsGroup;
use super::member::StreamsMember;

/// The first version of OffsetCommit whose members can say their epoch.
const MEMBER_EPOCH_SINCE: i16 = 9;

impl StreamsGroup {
    /// Whether offsets of `partitions` may be committed by whoever says so. A member that is an
    /// epoch behind may still commit what it had in its epoch already.
    pub(crate) fn validate_commit<'t>(
        &self,
        api_version: i16,
        (member, epoch): (&str, i32),
        partitions: impl Iterator<Item = (&'t str, i32)>,
    ) -> Result<(), StreamsError> {
        if epoch < 0 && self.is_empty() {
            return Ok(()); // An administrator commits for a group that is not running.
        }
        let member = self.member_or_refuse(member)?;
        if api_version < MEMBER_EPOCH_SINCE {
            return Err(StreamsError::UnsupportedVersion);
        }
        self.validate_epoch(member, epoch, partitions)
    }

    /// As [`Self::validate_commit`], in a transaction, where somebody may name no member.
    pub(crate) fn validate_transactional_commit<'t>(
        &self,
        (member, instance): (&str, Option<&str>),
        epoch: i32,
        partitions: impl Iterator<Item = (&'t str, i32)>,
    ) -> Result<(), StreamsError> {
        let names_nobody = epoch == -1 && member.is_empty() && instance.is_none();
        if names_nobody || epoch < 0 && self.is_empty() {
            return Ok(());
        }
        self.validate_epoch(self.member_or_refuse(member)?, epoch, partitions)
    }

    fn validate_epoch<'t>(
        &self,
        member: &StreamsMember,
        epoch: i32,
        mut partitions: impl Iterator<Item = (&'t str, i32)>,
    ) -> Result<(), StreamsError> {
        let progress = &member.progress;
        let had = |topic: &str, partition: i32| -> Option<i32> {
            let id = self.topology()?.reader(topic)?;
            let mut held =
                [&progress.assigned.active, &progress.pending_revocation.active].into_iter();
            held.find_map(|owned| owned.get(id)?.get(&partition).copied())
        };
        let is_current = epoch == progress.epoch
            || epoch < progress.epoch
                && partitions.all(|(topic, at)| had(topic, at).is_some_and(|since| epoch >= since));
        if is_current { Ok(()) } else { Err(StreamsError::StaleMemberEpoch) }
    }

    /// Whether an OffsetFetch comes from somebody who may.
    pub(crate) fn validate_fetch(
        &self,
        member: Option<&str>,
        epoch: i32,
    ) -> Result<(), StreamsError> {
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = self.member_or_refuse(member.unwrap_or_default())?;
        if member.progress.epoch == epoch { Ok(()) } else { Err(StreamsError::StaleMemberEpoch) }
    }
}
