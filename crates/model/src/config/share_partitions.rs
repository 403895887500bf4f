//! The settings of share groups that concern partitions and their leaders (KIP-932).

use super::ConfigError;
use super::consumer_groups::{BoundedSetting, bounded};
use super::layers::{Layers, Props, Reader};

/// `group.share.*`, as far as leaders of partitions are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharePartitionsConfig {
    /// How long a member may hold a record.
    pub record_lock_duration_ms: BoundedSetting,
    /// Deliveries of a record before it is given up.
    pub delivery_count_limit: BoundedSetting,
    /// Records of a partition that may be in flight.
    pub max_record_locks: BoundedSetting,
    /// Share sessions remembered at a time.
    pub max_sessions: usize,
}

/// Where a share group starts to read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareOffsetReset {
    /// With the first record there is.
    Earliest,
    /// With what comes next.
    Latest,
    /// With what is at most this old.
    ByDuration {
        /// Milliseconds.
        ms: i64,
    },
}

/// What counts for one share group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareGroupLimits {
    /// `share.record.lock.duration.ms`
    pub record_lock_duration_ms: i32,
    /// `share.delivery.count.limit`
    pub delivery_count_limit: i32,
    /// `share.partition.max.record.locks`
    pub max_record_locks: i32,
    /// `share.renew.acknowledge.enable`
    pub may_renew: bool,
    /// `share.isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// `share.auto.offset.reset`
    pub offset_reset: ShareOffsetReset,
}

impl SharePartitionsConfig {
    /// The settings that count now.
    ///
    /// # Errors
    /// A value that is wrong or outside of its bounds.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        Self::read(&Reader::broker(*layers))
    }

    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            record_lock_duration_ms: bounded(
                read,
                "group.share.record.lock.duration.ms",
                "group.share.min.record.lock.duration.ms",
                "group.share.max.record.lock.duration.ms",
            )?,
            delivery_count_limit: bounded(
                read,
                "group.share.delivery.count.limit",
                "group.share.min.delivery.count.limit",
                "group.share.max.delivery.count.limit",
            )?,
            max_record_locks: bounded(
                read,
                "group.share.partition.max.record.locks",
                "group.share.min.partition.max.record.locks",
                "group.share.max.partition.max.record.locks",
            )?,
            max_sessions: read.size("group.share.max.share.sessions")?,
        })
    }

    /// What counts for a group that sets `own`. A value that is wrong, which the check at the
    /// change keeps out, counts as not set; one out of the brokers' bounds as the nearest in them.
    #[must_use]
    pub fn of_group(&self, own: &Props) -> ShareGroupLimits {
        let text = |name: &str| own.get(name).map(|text| text.trim());
        let number = |name: &str, setting: BoundedSetting| {
            let set = text(name).and_then(|text| text.parse::<i32>().ok());
            set.map_or(setting.value, |value| value.clamp(setting.min, setting.max))
        };
        ShareGroupLimits {
            record_lock_duration_ms: number(
                "share.record.lock.duration.ms",
                self.record_lock_duration_ms,
            ),
            delivery_count_limit: number("share.delivery.count.limit", self.delivery_count_limit),
            max_record_locks: number("share.partition.max.record.locks", self.max_record_locks),
            may_renew: text("share.renew.acknowledge.enable")
                .is_none_or(|text| !text.eq_ignore_ascii_case("false")),
            read_committed: text("share.isolation.level") == Some("read_committed"),
            offset_reset: text("share.auto.offset.reset").map_or(ShareOffsetReset::Latest, reset),
        }
    }
}

fn reset(text: &str) -> ShareOffsetReset {
    match text.strip_prefix("by_duration:") {
        Some(duration) => match duration_ms(duration) {
            Some(ms) => ShareOffsetReset::ByDuration { ms },
            None => ShareOffsetReset::Latest,
        },
        None if text == "earliest" => ShareOffsetReset::Earliest,
        None => ShareOffsetReset::Latest,
    }
}

/// `PnDTnHnMn.nS` in milliseconds.
fn duration_ms(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, mut time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut ms: i64 = 0;
    let mut add = |number: &str, unit_ms: i64| -> Option<()> {
        ms = ms.checked_add(number.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        Some(())
    };
    if !days.is_empty() {
        add(days.strip_suffix('D')?, 86_400_000)?;
    }
    for (unit, unit_ms) in [('H', 3_600_000), ('M', 60_000)] {
        if let Some((number, after)) = time.split_once(unit) {
            add(number, unit_ms)?;
            time = after;
        }
    }
    if !time.is_empty() {
        let (whole, part) = {
            let seconds = time.strip_suffix('S')?;
            seconds.split_once('.').unwrap_or((seconds, ""))
        };
        add(whole, 1000)?;
        let thousandths: String = part.chars().chain("000".chars()).take(3).collect();
        add(&thousandths, 1)?;
    }
    Some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_java_writes_them() {
        assert_eq!(duration_ms("PT1H"), Some(3_600_000));
        assert_eq!(duration_ms("P1DT2H3M4.5S"), Some(86_400_000 + 7_384_500));
        assert_eq!(duration_ms("pt0.0039s"), Some(3));
        assert_eq!(duration_ms("P2D"), Some(172_800_000));
        assert_eq!(duration_ms("1H"), None);
    }

    #[test]
    fn a_group_sets_what_it_wants_within_the_brokers_bounds() {
        let bounds = |value, min, max| BoundedSetting { value, min, max };
        let config = SharePartitionsConfig {
            record_lock_duration_ms: bounds(30_000, 15_000, 60_000),
            delivery_count_limit: bounds(5, 2, 10),
            max_record_locks: bounds(2000, 100, 4000),
            max_sessions: 2000,
        };
        let nothing = config.of_group(&Props::new());
        assert_eq!((nothing.record_lock_duration_ms, nothing.delivery_count_limit), (30_000, 5));
        assert!(nothing.may_renew && !nothing.read_committed);
        assert_eq!(nothing.offset_reset, ShareOffsetReset::Latest);
        let own = [
            ("share.record.lock.duration.ms", "1000"),
            ("share.delivery.count.limit", "7"),
            ("share.renew.acknowledge.enable", "false"),
            ("share.isolation.level", "read_committed"),
            ("share.auto.offset.reset", "by_duration:PT1M"),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let set = config.of_group(&own.collect());
        assert_eq!((set.record_lock_duration_ms, set.delivery_count_limit), (15_000, 7));
        assert!(!set.may_renew && set.read_committed);
        assert_eq!(set.offset_reset, ShareOffsetReset::ByDuration { ms: 60_000 });
    }
}
