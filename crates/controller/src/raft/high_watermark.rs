//! The high watermark: what a majority of the voters has on disk.

use super::quorum::{Quorum, Step};
use super::role::Role;
use super::{Effect, Voter};

impl Quorum {
    /// Moves the leader's high watermark as far as a majority is, and does what waited for it.
    pub(super) fn advance_high_watermark(&mut self, step: &mut Step<'_>) {
        let Role::Leader(leader) = &self.role else { return };
        // The leader's own disk counts only if it votes: it may lead while it is being removed.
        let end_of = |voter: &Voter| {
            if self.is_self(voter) {
                self.synced_end
            } else {
                leader.progress(voter).and_then(|progress| progress.end).unwrap_or(0)
            }
        };
        let mut ends: Vec<i64> = self.voters().iter().map(end_of).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let majority = ends.get(ends.len() / 2).copied().unwrap_or(0).min(step.end());
        // A record of an earlier epoch is committed only together with one of this epoch.
        if majority <= leader.epoch_start || leader.committed.is_some_and(|hw| hw >= majority) {
            return;
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.committed = Some(majority);
        }
        self.raise_high_watermark(step, majority);
        self.complete_change(step, majority);
    }

    pub(super) fn raise_high_watermark(&mut self, step: &mut Step<'_>, to: i64) {
        if self.high_watermark.is_none_or(|known| known < to) {
            self.high_watermark = Some(to);
            step.effects.push(Effect::AdvanceHighWatermark { to });
        }
    }
}
