//! The last offset of every key in a stretch of a log, in bounded memory.
//!
//! Keys are known by a hash of 128 bits under a key of this process's own, so that nobody can
//! make two keys that are taken for one. Pure but for that: the hash keys are an argument.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use naru_model::Offset;

/// Bytes of an entry: 16 of hash, 8 of offset.
const SLOT_LEN: usize = 24;

/// Open addressing over slots of three words; a slot whose last word is 0 is free, else that is
/// the offset plus one. Fresh memory is zero, and not touched before it is used.
#[derive(Debug)]
pub struct OffsetMap {
    words: Vec<u64>,
    slots_max: usize,
    load_factor: f64,
    hashers: [RandomState; 2],
    len: usize,
    len_max: usize,
}

/// There is no room for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl OffsetMap {
    /// A map of at most `bytes` bytes, that is filled to `load_factor` at most.
    pub fn new(bytes: usize, load_factor: f64, hashers: [RandomState; 2]) -> Self {
        let slots_max = (bytes / SLOT_LEN).max(2);
        let load_factor = if load_factor > 0.0 { load_factor.min(1.0) } else { 1.0 };
        Self { words: Vec::new(), slots_max, load_factor, hashers, len: 0, len_max: 0 }
    }

    /// Forgets all, and makes room for `expected` keys if there may be so much.
    pub fn reset(&mut self, expected: u64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "how many slots fit is no exact science"
        )]
        let (slots, len_max) = {
            let wanted = (expected as f64 / self.load_factor) as usize;
            let slots = wanted.saturating_add(2).min(self.slots_max);
            (slots, (slots as f64 * self.load_factor) as usize)
        };
        // One slot stays free, where a look for a key that is not there ends.
        self.len_max = len_max.clamp(1, slots - 1);
        self.len = 0;
        self.words = vec![0; slots * 3];
    }

    /// Gives its memory back.
    pub fn release(&mut self) {
        self.words = Vec::new();
        (self.len, self.len_max) = (0, 0);
    }

    /// Notes that the key has a record at `offset`, which is later than all before.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        if self.len >= self.len_max {
            return Err(Full);
        }
        let hash = self.hash(key);
        let Some(slot) = self.slot_of(hash) else { return Err(Full) };
        if let Some([first, second, last]) = self.words.get_mut(slot..slot + 3) {
            if *last == 0 {
                self.len += 1;
            }
            (*first, *second) = hash;
            *last = offset.0.unsigned_abs().saturating_add(1);
        }
        Ok(())
    }

    /// Offset of the key's last record, if it has any here.
    pub fn last_of(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slot_of(self.hash(key))?;
        let last = self.words.get(slot + 2)?.checked_sub(1)?;
        i64::try_from(last).ok().map(Offset)
    }

    /// How many keys it has.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which part of all the memory it may use is taken, between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for a metric")]
    pub fn utilization(&self) -> f64 {
        self.len as f64 / self.slots_max as f64
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.hashers[0].hash_one(key), self.hashers[1].hash_one(key))
    }

    /// First word of the slot that has the hash, or of the free one where it would be.
    fn slot_of(&self, hash: (u64, u64)) -> Option<usize> {
        let slots = self.words.len() / 3;
        let start = usize::try_from((u128::from(hash.0) * slots as u128) >> 64).ok()?;
        (start..slots).chain(0..start).map(|slot| slot * 3).find(|at| {
            matches!(self.words.get(*at..*at + 3), Some([first, second, last])
                if *last == 0 || (*first, *second) == hash)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn map(bytes: usize, load: f64, expected: u64) -> OffsetMap {
        let mut map = OffsetMap::new(bytes, load, [RandomState::new(), RandomState::new()]);
        map.reset(expected);
        map
    }

    #[test]
    fn it_takes_no_more_keys_than_its_memory_allows() {
        let mut map = map(24 * 100, 0.9, u64::MAX);
        let taken = (0..1000).take_while(|n: &i64| map.put(&n.to_be_bytes(), Offset(*n)).is_ok());
        assert_eq!(taken.count(), 90);
        assert!((0..90).all(|n: i64| map.last_of(&n.to_be_bytes()) == Some(Offset(n))));
        assert_eq!(map.last_of(&90i64.to_be_bytes()), None);
        assert!((map.utilization() - 0.9).abs() < 1e-9);
    }

    #[test]
    fn the_smallest_map_takes_a_key() {
        let mut map = map(1, 0.1, u64::MAX);
        assert_eq!(map.put(b"a", Offset(0)), Ok(()));
        assert_eq!((map.last_of(b"a"), map.last_of(b"b")), (Some(Offset(0)), None));
        assert_eq!(map.put(b"b", Offset(1)), Err(Full));
    }

    #[test]
    fn a_map_for_what_is_expected_has_room_for_it() {
        for expected in [0, 1, 2, 9, 10, 11, 1000] {
            let mut map = map(1 << 20, 0.9, expected);
            for n in 0..expected {
                assert_eq!(map.put(&n.to_be_bytes(), Offset(0)), Ok(()), "{n} of {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_tells_what_a_map_tells(keys in proptest::collection::vec(0u8..50, 0..200)) {
            let mut ours = map(1 << 16, 0.75, 50);
            let mut theirs = HashMap::new();
            for (offset, key) in keys.iter().enumerate() {
                let offset = Offset(offset as i64);
                if ours.put(&[*key], offset).is_ok() {
                    theirs.insert(*key, offset);
                }
            }
            prop_assert_eq!(ours.len(), theirs.len());
            for key in 0..60 {
                prop_assert_eq!(ours.last_of(&[key]), theirs.get(&key).copied());
            }
        }
    }
}
