//! Which edges of the program an input went through, if the compiler was told to count them
//! (`cargo xtask fuzz --coverage`, on a stable compiler: LLVM's own pass writes the counters).
//!
//! Without that nothing is known, and every input is as good as the next.

/// Counts of one run, in classes as other fuzzers have them: 1, 2, 3, 4-7, 8-15, ...
fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128..=255 => 128,
    }
}

/// Edges that are passed over together.
const BLOCK: usize = 64;

/// What has been seen so far of one target.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<u8>);

impl Seen {
    /// Takes in what the last run did; whether any of it was new.
    pub(crate) fn take(&mut self, counters: &[u8]) -> bool {
        self.0.resize(counters.len(), 0);
        let mut news = false;
        // An input goes through few edges of many.
        let blocks = self.0.chunks_mut(BLOCK).zip(counters.chunks(BLOCK));
        for (seen, counts) in blocks.filter(|(_, counts)| counts.iter().any(|count| *count != 0)) {
            for (seen, count) in seen.iter_mut().zip(counts) {
                let class = class(*count);
                news |= class & !*seen != 0;
                *seen |= class;
            }
        }
        news
    }

    /// Edges seen at least once.
    pub(crate) fn edges(&self) -> usize {
        self.0.iter().filter(|seen| **seen != 0).count()
    }
}

#[cfg(not(fuzz_coverage))]
mod counters {
    /// Forgets the last run.
    pub(crate) fn clear() {}

    /// The counters of the last run; none.
    pub(crate) fn all() -> Vec<u8> {
        Vec::new()
    }
}

#[cfg(fuzz_coverage)]
#[expect(unsafe_code, reason = "the compiler's pass hands out its counters as pointers")]
mod counters {
    use std::sync::Mutex;

    /// Begin and length of each object file's counters.
    static RANGES: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

    // SAFETY: the name is the one that the pass calls; nothing else has it.
    #[unsafe(no_mangle)]
    extern "C" fn __sanitizer_cov_8bit_counters_init(begin: *mut u8, end: *mut u8) {
        let range = (begin.addr(), end.addr() - begin.addr());
        RANGES.lock().expect("nothing panics with it").push(range);
        begin.expose_provenance();
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    extern "C" fn __sanitizer_cov_trace_pc_indir(_callee: usize) {}

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    extern "C" fn __sanitizer_cov_pcs_init(_begin: *const usize, _end: *const usize) {}

    /// Forgets the last run.
    pub(crate) fn clear() {
        for (begin, len) in RANGES.lock().expect("nothing panics with it").iter() {
            let counters = std::ptr::with_exposed_provenance_mut::<u8>(*begin);
            // SAFETY: the pass handed out this range for the life of the program; one thread.
            unsafe { counters.write_bytes(0, *len) };
        }
    }

    /// The counters of the last run.
    pub(crate) fn all() -> Vec<u8> {
        let mut all = Vec::new();
        for (begin, len) in RANGES.lock().expect("nothing panics with it").iter() {
            let counters = std::ptr::with_exposed_provenance::<u8>(*begin);
            // SAFETY: as in `clear`.
            all.extend_from_slice(unsafe { std::slice::from_raw_parts(counters, *len) });
        }
        all
    }
}

pub(crate) use counters::{all, clear};
