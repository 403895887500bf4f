//! Which partition a record goes to: Java's murmur2 of the key, or a sticky choice without one.
//!
//! Pure: the source of chance is an argument.

/// Kafka's 32-bit murmur2 of `data`, bit for bit what Java's clients compute.
pub fn murmur2(data: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Keys of more than 4 GiB do not fit a record; Java's length is 32 bits as well.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        k ^= k >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ k.wrapping_mul(MULTIPLIER);
    }
    for (index, byte) in tail.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of a key, as Java's default partitioner decides it.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    let positive = (murmur2(key) & 0x7fff_ffff).cast_signed();
    if partitions > 0 { positive % partitions } else { 0 }
}

/// The partition that records without a key stay on until about a batch has gone there (KIP-794).
#[derive(Debug, Clone, Copy, Default)]
pub struct Sticky {
    current: Option<i32>,
    bytes: usize,
}

impl Sticky {
    /// The partition for a record of `size` bytes; a new one is drawn from `available` by
    /// `chance` when about `batch_size` bytes went to the old one, or it is no longer available.
    pub fn choose(
        &mut self,
        available: &[i32],
        size: usize,
        batch_size: usize,
        chance: u64,
    ) -> Option<i32> {
        let still =
            self.current.filter(|current| self.bytes < batch_size && available.contains(current));
        let partition = match still {
            Some(partition) => partition,
            None => {
                self.bytes = 0;
                let count = u64::try_from(available.len()).unwrap_or(1).max(1);
                let index = usize::try_from(chance % count).unwrap_or(0);
                *available.get(index)?
            }
        };
        self.current = Some(partition);
        self.bytes += size;
        Some(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_javas_numbers() {
        // The vectors of Apache Kafka's own UtilsTest.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn a_key_always_goes_to_the_same_partition_within_range() {
        for key in ["", "a", "k1", "k2", "한글"] {
            let partition = partition_of_key(key.as_bytes(), 7);
            assert!((0..7).contains(&partition));
            assert_eq!(partition, partition_of_key(key.as_bytes(), 7));
        }
    }

    #[test]
    fn sticky_stays_for_a_batch_and_then_draws_again() {
        let mut sticky = Sticky::default();
        assert_eq!(sticky.choose(&[0, 1, 2], 60, 100, 1), Some(1));
        assert_eq!(sticky.choose(&[0, 1, 2], 60, 100, 2), Some(1));
        assert_eq!(sticky.choose(&[0, 1, 2], 60, 100, 2), Some(2));
        assert_eq!(sticky.choose(&[0, 1], 60, 100, 0), Some(0));
        assert_eq!(sticky.choose(&[], 60, 100, 0), None);
    }
}
