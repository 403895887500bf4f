//! What a broker used while something ran: CPU, memory, and who else used the machine.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

use super::Figures;

/// Linux counts a process's CPU time in hundredths of a second, whatever its own clock is.
const TICKS_PER_S: f64 = 100.0;
const MIB: f64 = 1024.0;

/// Begun before the work, ended after it.
#[derive(Debug)]
pub struct Meter {
    pid: u32,
    cpu: f64,
    machine: f64,
    began: Instant,
}

impl Meter {
    pub fn begin(pid: u32) -> Result<Self> {
        // Makes the high-water mark of memory begin here; not every kernel lets us.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        Ok(Self { pid, cpu: cpu_s(pid)?, machine: machine_s()?, began: Instant::now() })
    }

    /// Figures for `records` records; `client_cpu_s` is what the load itself used.
    pub fn end(self, records: f64, client_cpu_s: f64) -> Result<Figures> {
        let wall = self.began.elapsed().as_secs_f64();
        let cpu = cpu_s(self.pid)? - self.cpu;
        let cores = std::thread::available_parallelism()?.get() as f64;
        let others = machine_s()? - self.machine - cpu - client_cpu_s;
        Ok(Figures::from([
            ("cpu_s_per_mrec", cpu / records * 1e6),
            ("broker_cores", cpu / wall),
            ("rss_peak_mib", memory_mib(self.pid, "VmHWM:")?),
            ("noise", (others / wall / cores).max(0.0)),
        ]))
    }
}

/// CPU seconds of a process since its start.
pub fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// CPU seconds that the whole machine was busy since its start.
fn machine_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("an empty /proc/stat")?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user, nice, system, irq, softirq, steal; not idle and not waiting for disks.
    let busy: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
    Ok(busy / TICKS_PER_S)
}

/// A line of `/proc/PID/status` in MiB.
pub fn memory_mib(pid: u32, line: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib: f64 = status
        .lines()
        .find_map(|found| found.strip_prefix(line))
        .and_then(|rest| rest.split_whitespace().next())
        .context("a missing line")?
        .parse()?;
    Ok(kib / MIB)
}
