//! What was measured, as a table of docs/benchmarks.md.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Step;

const BEGIN: &str = "<!-- begin: cargo xtask scale --write -->";
const END: &str = "<!-- end of scale -->";

pub fn markdown(steps: &[Step]) -> String {
    let mut text =
        String::from("| step | Kafka s | Naru s | Kafka MiB | Naru MiB |\n|---|---|---|---|---|\n");
    let mut names: Vec<&str> = Vec::new();
    for step in steps {
        if !names.contains(&step.name) {
            names.push(step.name);
        }
    }
    for name in names {
        let of = |system| steps.iter().find(|step| step.name == name && step.system == system);
        let (kafka, naru) = (of("apache"), of("naru"));
        let seconds =
            |s: Option<&Step>| s.map_or_else(|| "-".to_owned(), |s| format!("{:.2}", s.seconds));
        let memory =
            |s: Option<&Step>| s.map_or_else(|| "-".to_owned(), |s| s.resident_mib.to_string());
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} |",
            seconds(kafka),
            seconds(naru),
            memory(kafka),
            memory(naru)
        );
    }
    text
}

/// Replaces what is between the markers.
pub fn write_into(file: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("no begin marker")?;
    let (_, after) = rest.split_once(END).context("no end marker")?;
    Ok(std::fs::write(file, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_one_system_leaves_the_other_open() {
        let step = Step { name: "create", system: "naru", seconds: 1.234, resident_mib: 9 };
        assert!(markdown(&[step]).ends_with("| create | - | 1.23 | - | 9 |\n"));
    }
}
