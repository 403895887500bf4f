//! Where everything random comes from: one number, the seed.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A source that gives the same for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.any() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Any byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.any().to_le_bytes()[0]
    }

    /// One of them, of which there is at least one.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number that is often at some edge.
    pub(crate) fn number(&mut self) -> i64 {
        const EDGES: [i64; 24] = [
            -2,
            -1,
            0,
            1,
            2,
            3,
            7,
            127,
            128,
            255,
            256,
            1023,
            32_767,
            32_768,
            65_535,
            65_536,
            i32::MAX as i64 - 1,
            i32::MAX as i64,
            i32::MIN as i64,
            u32::MAX as i64,
            1_700_000_000_000,
            i64::MAX - 1,
            i64::MAX,
            i64::MIN,
        ];
        match self.below(4) {
            0 => self.pick(&EDGES),
            1 => self.any().cast_signed(),
            _ => i64::from(self.byte() % 16),
        }
    }
}
