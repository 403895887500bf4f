//! Damage in a partition's log: noticed, noted, mended with another replica's bytes.

use std::sync::atomic::Ordering;

use naru_log::{Damage, ReadError, RepairError, Scrub, ScrubStep};

use super::Partition;

impl Partition {
    /// Has the damage looked at that a read has met.
    pub(crate) fn suspect_damage(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// What is damaged, if anything new may be; asked about once each time.
    pub(crate) fn take_suspected(&self) -> Vec<Damage> {
        if !self.suspect.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let damages = self.reader.damages();
        if !damages.is_empty()
            && let Some(log) = self.log().as_mut()
            && let Err(error) = log.save_damages()
        {
            tracing::warn!(partition = %self.name(), "damage is not noted: {error}");
        }
        damages
    }

    /// Has the damage looked at again that could not be mended.
    pub(crate) fn keep_suspected(&self) {
        self.suspect_damage();
    }

    /// A slow look through its closed segments.
    pub(crate) fn scrub(&self) -> Scrub {
        Scrub::new(self.reader.clone())
    }

    /// Looks at `budget` bytes more.
    pub(crate) fn scrub_step(
        &self,
        scrub: &mut Scrub,
        budget: u64,
    ) -> Result<ScrubStep, ReadError> {
        let step = scrub.step(budget)?;
        if let Some(damage) = &step.damage {
            tracing::error!(
                partition = %self.name(), first = %damage.first, last = %damage.last,
                "damaged records found"
            );
            self.suspect_damage();
        }
        Ok(step)
    }

    /// Mends damage with what another replica has there. Blocks on the disk.
    pub(crate) fn mend(&self, damage: &Damage, good: &[u8]) -> Result<(), RepairError> {
        match self.log().as_mut() {
            Some(log) => log.repair(damage, good, log.has_gaps()),
            None => Err(RepairError::Gone),
        }
    }
}
