//! What this machine is doing, read from the kernel.

use std::fs::read_to_string;
use std::time::Instant;

/// The figures, by name.
pub(super) type Figures = Vec<(&'static str, f64)>;

/// Remembers the last reading, since most figures are differences.
#[derive(Debug)]
pub(super) struct Machine {
    cpu: (u64, u64),
    network: u64,
    at: Instant,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { cpu: cpu_ticks(), network: network_bytes(), at: Instant::now() }
    }

    /// Percent of CPU in use, GiB of memory in use, load, and bytes a second over the network.
    pub(super) fn figures(&mut self) -> Figures {
        let next = Self::new();
        let busy = next.cpu.0.saturating_sub(self.cpu.0);
        let all = next.cpu.1.saturating_sub(self.cpu.1).max(1);
        let bytes = next.network.saturating_sub(self.network);
        let seconds = next.at.duration_since(self.at).as_secs_f64().max(0.001);
        *self = next;
        vec![
            ("cpu_percent", as_float(busy) * 100.0 / as_float(all)),
            ("memory_gib", memory_used_gib()),
            ("load", load()),
            ("network_bytes_per_second", as_float(bytes) / seconds),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_float(value: u64) -> f64 {
    value as f64
}

/// Ticks in use and in all, of all processors.
fn cpu_ticks() -> (u64, u64) {
    let text = read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).flat_map(str::parse).collect();
    let all = ticks.iter().sum();
    // Idle and waiting for the disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

fn memory_used_gib() -> f64 {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    as_float(kib("MemTotal:").saturating_sub(kib("MemAvailable:"))) / f64::from(1 << 20)
}

fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// Bytes received on all interfaces since the machine started.
fn network_bytes() -> u64 {
    let text = read_to_string("/proc/net/dev").unwrap_or_default();
    let received = |line: &str| -> Option<u64> {
        let (_, figures) = line.split_once(':')?;
        figures.split_whitespace().next()?.parse().ok()
    };
    text.lines().filter_map(received).sum()
}
