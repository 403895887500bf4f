//! The figures as a table, and its place in docs/benchmarks.md.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::Run;
use super::options::Options;
use super::systems::Kind;
use super::workloads::{Mark, Workload};

const BEGIN: &str = "<!-- begin: cargo xtask bench --write -->";
const END: &str = "<!-- end -->";

/// The table of all judged figures.
pub fn markdown(workloads: &[&Workload], runs: &[Run], options: &Options) -> String {
    let mut text = format!("Made by `{}` on {}.\n\n", options.command(), machine());
    text.push_str(
        "| workload | figure | Apache Kafka min / median / max | Naru min / median / max | \
         ratio, median [min..max] | mark | reached | noise |\n|---|---|---|---|---|---|---|---|\n",
    );
    for workload in workloads {
        for (name, mark) in workload.marks {
            let row = Row::new(workload, name, *mark, runs);
            let _ = writeln!(text, "{}", row.text());
        }
    }
    text.push_str("\nSystems and workloads:\n\n");
    for workload in workloads {
        let systems: Vec<String> = workload.systems.iter().map(Kind::to_string).collect();
        let _ =
            writeln!(text, "* `{}` ({}): {}", workload.name, systems.join(", "), workload.about);
    }
    text
}

/// One judged figure of one workload.
struct Row<'a> {
    workload: &'a Workload,
    figure: &'a str,
    mark: Mark,
    kafka: Vec<f64>,
    naru: Vec<f64>,
    /// Naru by Kafka, within each round.
    ratios: Vec<f64>,
    noise: f64,
}

impl<'a> Row<'a> {
    fn new(workload: &'a Workload, figure: &'a str, mark: Mark, runs: &[Run]) -> Self {
        let of = |naru: bool| -> Vec<(u32, f64)> {
            runs.iter()
                .filter(|run| run.workload == workload.name && run.system.is_naru() == naru)
                .filter_map(|run| Some((run.round, *run.figures.get(figure)?)))
                .collect()
        };
        let (kafka, naru) = (of(false), of(true));
        let ratios = naru
            .iter()
            .filter_map(|(round, value)| {
                let (_, other) = kafka.iter().find(|(found, _)| found == round)?;
                (*other > 0.0).then_some(value / other)
            })
            .collect();
        let values = |list: Vec<(u32, f64)>| list.into_iter().map(|(_, value)| value).collect();
        let noises = runs.iter().filter(|run| run.workload == workload.name);
        let noise = noises.filter_map(|run| run.figures.get("noise")).fold(0.0, |a, b| b.max(a));
        Row { workload, figure, mark, kafka: values(kafka), naru: values(naru), ratios, noise }
    }

    fn text(&self) -> String {
        let ratio = match median(&self.ratios) {
            Some(middle) => {
                let (low, high) = ends(&self.ratios);
                format!("{} [{}..{}]", number(middle), number(low), number(high))
            }
            None => "-".to_owned(),
        };
        let (mark, reached) = self.judge();
        format!(
            "| {} | {} | {} | {} | {ratio} | {mark} | {reached} | {} |",
            self.workload.name,
            self.figure,
            three(&self.kafka),
            three(&self.naru),
            number(self.noise),
        )
    }

    fn judge(&self) -> (String, &'static str) {
        let (text, measured, good): (String, _, fn(f64, f64) -> bool) = match self.mark {
            Mark::RatioAtMost(limit) => {
                (format!("ratio ≤ {limit}"), median(&self.ratios), |a, b| a <= b)
            }
            Mark::RatioAtLeast(limit) => {
                (format!("ratio ≥ {limit}"), median(&self.ratios), |a, b| a >= b)
            }
            Mark::AtMost(limit) => (format!("≤ {limit}"), median(&self.naru), |a, b| a <= b),
            Mark::None => return ("-".to_owned(), "-"),
        };
        let (Mark::RatioAtMost(limit) | Mark::RatioAtLeast(limit) | Mark::AtMost(limit)) =
            self.mark
        else {
            return (text, "-");
        };
        let reached = match measured {
            Some(value) if good(value, limit) => "yes",
            Some(_) => "no",
            None => "not measured",
        };
        (text, reached)
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: &[f64]) -> Option<f64> {
    let values = sorted(values);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let values = sorted(values);
    (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0))
}

fn three(values: &[f64]) -> String {
    match median(values) {
        Some(middle) => {
            let (low, high) = ends(values);
            format!("{} / {} / {}", number(low), number(middle), number(high))
        }
        None => "-".to_owned(),
    }
}

/// Three significant digits are all that such figures carry.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What the figures depend on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']).trim();
    format!("{cores} cores ({model}), Linux {}", kernel.trim())
}

/// Replaces what is between the markers.
pub fn write_into(file: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(std::fs::write(file, replace(&text, table)?)?)
}

fn replace(text: &str, table: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("no begin marker")?;
    let (_, after) = rest.split_once(END).context("no end marker")?;
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Figures;
    use crate::bench::workloads::WORKLOADS;

    fn run(system: Kind, round: u32, value: f64) -> Run {
        let figures = Figures::from([("cpu_s_per_mrec", value), ("noise", 0.1)]);
        Run { workload: "produce-1k", system, round, figures }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let workload = &WORKLOADS[0];
        let runs = [
            run(Kind::Kafka, 0, 2.0),
            run(Kind::NaruOs, 0, 1.0),
            run(Kind::NaruOs, 1, 8.0),
            run(Kind::Kafka, 1, 10.0),
            run(Kind::NaruOs, 2, 1.0),
        ];
        let row = Row::new(workload, "cpu_s_per_mrec", Mark::RatioAtMost(0.6), &runs);
        assert_eq!(row.ratios, [0.5, 0.8]);
        assert_eq!(row.judge(), ("ratio ≤ 0.6".to_owned(), "no"));
    }

    #[test]
    fn a_mark_without_a_measurement_is_not_reached() {
        let row = Row::new(&WORKLOADS[0], "cpu_s_per_mrec", Mark::AtMost(1.0), &[]);
        assert_eq!(row.judge().1, "not measured");
    }

    #[test]
    fn the_table_takes_the_place_between_the_markers() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(replace(&text, "new").unwrap(), format!("a\n{BEGIN}\n\nnew\n{END}\nb\n"));
        assert!(replace("none", "new").is_err());
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
