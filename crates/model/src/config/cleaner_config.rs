//! What steers compaction on a node, all of which may change while it runs.

use super::ConfigError;
use super::layers::{Layers, Reader};

/// The settings of compaction that are not a topic's.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerConfig {
    /// Whether logs are compacted at all.
    pub enable: bool,
    /// Compactions at a time.
    pub threads: usize,
    /// What all of them read and write a second; `None` is without limit.
    pub io_bytes_per_second: Option<f64>,
    /// Memory for the keys of all of them.
    pub dedupe_buffer_bytes: usize,
    /// How full that may get, between 0 and 1.
    pub load_factor: f64,
    /// Pause when there is nothing to compact.
    pub backoff_ms: u64,
}

impl CleanerConfig {
    /// The settings that count now for a broker.
    ///
    /// # Errors
    /// When a value does not fit its key; the checks at the change keep that out.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let read = Reader::broker(*layers);
        let rate = read.double("log.cleaner.io.max.bytes.per.second")?;
        Ok(Self {
            enable: read.flag("log.cleaner.enable")?,
            threads: read.size("log.cleaner.threads")?,
            io_bytes_per_second: Some(rate).filter(|rate| *rate < f64::MAX),
            dedupe_buffer_bytes: read.size("log.cleaner.dedupe.buffer.size")?,
            load_factor: read.double("log.cleaner.io.buffer.load.factor")?,
            backoff_ms: u64::try_from(read.long("log.cleaner.backoff.ms")?).unwrap_or(0),
        })
    }
}
