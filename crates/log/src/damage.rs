//! What is known of the bytes of a segment: which were verified by this process, which are bad.
//!
//! Pure bookkeeping, one [`Integrity`] per segment. Bytes that this process has appended count as
//! verified: their checksum was right when they came in. Bytes that were on the disk before are
//! verified when they are first read, or by a [`crate::Scrub`].
//!
//! Invariants: damages do not overlap and rise by position; `verified` ranges neither touch nor
//! overlap, rise, and end before `trusted_from`.

use naru_model::Offset;

/// How many separate verified ranges are remembered; forgetting one costs a second look.
const RANGES_MAX: usize = 64;

/// A run of a segment that must not be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Base offset of the segment.
    pub segment_base: Offset,
    /// First offset that cannot be read.
    pub first: Offset,
    /// Last offset that cannot be read.
    pub last: Offset,
    /// First byte in the segment's file.
    pub position: u64,
    /// The byte after the last one: where the next good batch begins, or the end of the file.
    pub end_position: u64,
}

impl Damage {
    /// Whether the record at `offset` is among what is lost.
    pub fn contains(&self, offset: Offset) -> bool {
        self.first <= offset && offset <= self.last
    }
}

#[derive(Debug, Default)]
pub(crate) struct Integrity {
    /// From here on to the end everything was verified.
    trusted_from: u64,
    verified: Vec<(u64, u64)>,
    damages: Vec<Damage>,
}

impl Integrity {
    /// Of a file whose first `size` bytes nobody has looked at.
    pub(crate) const fn unseen(size: u64) -> Self {
        Self { trusted_from: size, verified: Vec::new(), damages: Vec::new() }
    }

    /// Whether the bytes from `from` to `to` were verified and are not known to be bad.
    pub(crate) fn covers(&self, from: u64, to: u64) -> bool {
        let damaged = self.damages.iter().any(|bad| bad.position < to && from < bad.end_position);
        let seen = from >= self.trusted_from
            || self.verified.iter().any(|range| range.0 <= from && to <= range.1);
        seen && !damaged
    }

    /// Notes that the bytes from `from` to `to` are good.
    pub(crate) fn note_verified(&mut self, mut from: u64, mut to: u64) {
        if from >= to || from >= self.trusted_from {
            return;
        }
        self.verified.retain(|range| {
            let apart = range.1 < from || to < range.0;
            if !apart {
                (from, to) = (from.min(range.0), to.max(range.1));
            }
            apart
        });
        if to >= self.trusted_from {
            self.trusted_from = from;
            return;
        }
        let at = self.verified.partition_point(|range| range.0 < from);
        self.verified.insert(at, (from, to));
        if self.verified.len() > RANGES_MAX
            && let Some(least) = (0..self.verified.len())
                .min_by_key(|at| self.verified.get(*at).map_or(0, |range| range.1 - range.0))
        {
            self.verified.remove(least);
        }
    }

    /// Notes damage; what it overlaps becomes part of it. False if nothing is new.
    pub(crate) fn note_damage(&mut self, mut damage: Damage) -> bool {
        let inside = |known: &Damage| {
            known.position <= damage.position
                && damage.end_position <= known.end_position
                && known.first <= damage.first
                && damage.last <= known.last
        };
        if self.damages.iter().any(inside) {
            return false;
        }
        self.damages.retain(|known| {
            let apart = (known.end_position <= damage.position
                || damage.end_position <= known.position)
                && (known.last < damage.first || damage.last < known.first);
            if !apart {
                damage.first = damage.first.min(known.first);
                damage.last = damage.last.max(known.last);
                damage.position = damage.position.min(known.position);
                damage.end_position = damage.end_position.max(known.end_position);
            }
            apart
        });
        let at = self.damages.partition_point(|known| known.position < damage.position);
        self.damages.insert(at, damage);
        true
    }

    /// Notes that `damage` was mended; the new bytes are good.
    pub(crate) fn mended(&mut self, damage: &Damage) {
        self.damages.retain(|known| known != damage);
        self.note_verified(damage.position, damage.end_position);
    }

    pub(crate) fn damages(&self) -> &[Damage] {
        &self.damages
    }

    pub(crate) fn damage_at(&self, offset: Offset) -> Option<Damage> {
        self.damages.iter().find(|damage| damage.contains(offset)).copied()
    }

    /// The first damage that ends after `position`.
    pub(crate) fn damage_from(&self, position: u64) -> Option<Damage> {
        self.damages.iter().find(|damage| damage.end_position > position).copied()
    }

    /// The segment ends at `size` and at offset `end` from now on.
    pub(crate) fn truncate(&mut self, size: u64, end: Offset) {
        self.trusted_from = self.trusted_from.min(size);
        self.verified.retain_mut(|range| {
            range.1 = range.1.min(size);
            range.0 < range.1
        });
        self.damages.retain(|damage| damage.position < size && damage.first < end);
        for damage in &mut self.damages {
            damage.end_position = damage.end_position.min(size);
            damage.last = damage.last.min(end.plus(-1));
        }
    }
}

/// The text of the file that remembers damages from one start to the next.
pub(crate) fn to_text(damages: &[Damage]) -> String {
    let mut text = format!("0\n{}\n", damages.len());
    for damage in damages {
        let Damage { segment_base, first, last, position, end_position } = damage;
        text.push_str(&format!("{segment_base} {first} {last} {position} {end_position}\n"));
    }
    text
}

/// Reads the text of that file; what makes no sense is left out.
pub(crate) fn from_text(text: &str) -> Vec<Damage> {
    let damage = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.trim().parse::<i64>().ok());
        let mut offset = || numbers.next().flatten().filter(|n| *n >= 0);
        let (segment_base, first, last) = (offset()?, offset()?, offset()?);
        let (position, end_position) = (offset()?.unsigned_abs(), offset()?.unsigned_abs());
        (segment_base <= first && first <= last && position <= end_position).then_some(Damage {
            segment_base: Offset(segment_base),
            first: Offset(first),
            last: Offset(last),
            position,
            end_position,
        })
    };
    text.lines().skip(2).filter_map(damage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(first: i64, last: i64, position: u64, end_position: u64) -> Damage {
        let segment_base = Offset(0);
        Damage { segment_base, first: Offset(first), last: Offset(last), position, end_position }
    }

    #[test]
    fn verified_ranges_grow_together_until_all_is_trusted() {
        let mut known = Integrity::unseen(100);
        assert!(!known.covers(0, 1) && known.covers(100, 500));
        known.note_verified(10, 20);
        known.note_verified(30, 40);
        assert!(known.covers(10, 20) && !known.covers(15, 35));
        known.note_verified(20, 30);
        assert!(known.covers(10, 40) && !known.covers(9, 40));
        known.note_verified(35, 100);
        assert!(known.covers(10, 1000));
        known.note_verified(0, 10);
        assert!(known.covers(0, 1000) && known.verified.is_empty());
    }

    #[test]
    fn ranges_are_forgotten_rather_than_kept_without_limit() {
        let mut known = Integrity::unseen(1 << 20);
        for n in 0..1000u64 {
            known.note_verified(n * 10, n * 10 + 5);
        }
        assert!(known.verified.len() <= RANGES_MAX);
        assert!(known.verified.is_sorted());
    }

    #[test]
    fn damage_is_never_covered_and_overlapping_damage_is_one() {
        let mut known = Integrity::unseen(0);
        assert!(known.note_damage(bad(5, 9, 50, 80)));
        assert!(!known.note_damage(bad(5, 9, 50, 80)));
        assert!(!known.covers(40, 51) && !known.covers(79, 90));
        assert!(known.covers(0, 50) && known.covers(80, 90));
        assert!(known.note_damage(bad(8, 12, 70, 100)));
        assert_eq!(known.damages(), [bad(5, 12, 50, 100)]);
        assert_eq!(known.damage_at(Offset(12)), Some(bad(5, 12, 50, 100)));
        assert_eq!(known.damage_at(Offset(13)), None);
        assert_eq!(known.damage_from(99), Some(bad(5, 12, 50, 100)));
        known.mended(&bad(5, 12, 50, 100));
        assert!(known.covers(0, 500));
    }

    #[test]
    fn cutting_a_segment_cuts_what_is_known_of_it() {
        let mut known = Integrity::unseen(100);
        known.note_verified(0, 40);
        known.note_damage(bad(5, 9, 50, 80));
        known.truncate(60, Offset(7));
        assert_eq!(known.damages(), [bad(5, 6, 50, 60)]);
        known.truncate(30, Offset(3));
        assert!(known.damages().is_empty());
        assert!(known.covers(0, 30) && known.covers(30, 60));
    }

    #[test]
    fn the_text_reads_back_and_nonsense_is_left_out() {
        let both = [bad(5, 9, 50, 80), bad(20, 20, 200, 200)];
        assert_eq!(from_text(&to_text(&both)), both);
        assert!(from_text("0\n1\n0 5 4 0 0\n0 1\nx\n-1 0 0 0 0").is_empty());
    }
}
