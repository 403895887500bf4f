//! Records into lines for people.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_client::ConsumerRecord;

/// Values in the little chart.
const CHART_LEN: usize = 24;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What has arrived.
#[derive(Debug, Default)]
pub(super) struct Screen {
    latest: BTreeMap<String, f64>,
    cpu: VecDeque<f64>,
    total: u64,
    since_line: u64,
    /// Milliseconds from send to here, of the records since the last line.
    latency: i64,
}

impl Screen {
    pub(super) fn take(&mut self, record: &ConsumerRecord) {
        let text = |bytes: &Option<bytes::Bytes>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let Ok(value) = text(&record.value).parse() else { return };
        let name = text(&record.key);
        if name == "cpu_percent" {
            self.cpu.push_back(value);
            if self.cpu.len() > CHART_LEN {
                self.cpu.pop_front();
            }
        }
        self.latest.insert(name, value);
        self.total += 1;
        self.since_line += 1;
        self.latency = self.latency.max(now_ms() - record.timestamp);
    }

    /// A line on what came since the last one.
    pub(super) fn line(&mut self) -> Option<String> {
        if self.since_line == 0 {
            return None;
        }
        let figure = |name: &str| self.latest.get(name).copied().unwrap_or(0.0);
        let mut line = String::from("cpu ");
        line.extend(self.cpu.iter().map(|percent| bar(*percent)));
        let _ = writeln!(
            line,
            " {:3.0} %   memory {:.1} GiB   load {:.2}   network {:.0} kB/s   {} records, read \
             {} ms after they were made at the latest",
            figure("cpu_percent"),
            figure("memory_gib"),
            figure("load"),
            figure("network_bytes_per_second") / 1000.0,
            self.since_line,
            self.latency
        );
        self.since_line = 0;
        self.latency = 0;
        Some(line)
    }

    /// Records in all.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

fn bar(percent: f64) -> char {
    let step = BARS
        .iter()
        .enumerate()
        .rev()
        .find(|(index, _)| percent >= f64::from(u32::try_from(*index).unwrap_or(0)) * 12.5);
    step.map_or(BARS[0], |(_, bar)| *bar)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn bars_rise_with_the_value() {
        let bars: String = [0.0, 12.5, 50.0, 99.0, 250.0].into_iter().map(bar).collect();
        assert_eq!(bars, "▁▂▅██");
    }
}
