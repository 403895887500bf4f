//! `cargo xtask differential`: the same requests to Apache Kafka and to Naru, answers compared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use naru_testkit::broker::System;
use naru_testkit::cache::Cache;
use naru_testkit::differential;
use naru_testkit::install::Tools;

use crate::test::release_binary;

/// Where the result is kept.
pub const PAGE: &str = "docs/compatibility.md";

/// `--write` puts the table into the page, `--only NAME` runs the scenarios of that name,
/// `--against apache|BINARY` compares with something else than this project's release build.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let (mut write, mut only, mut against) = (false, "", None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match *word {
            "--write" => write = true,
            "--only" => only = *value()?,
            "--against" => against = Some(*value()?),
            other => bail!("unknown option {other}"),
        }
    }
    let apache = System::Apache { libs: Tools::new(Cache::open()?).kafka_jars()? };
    let subject = match against {
        Some("apache") => apache.clone(),
        Some(binary) => System::Naru { binary: PathBuf::from(binary).canonicalize()? },
        None => System::Naru { binary: release_binary(root)? },
    };
    let report = differential::run(&apache, &subject, only)?;
    let mut wrong = report.unaccepted();
    // Against itself Apache Kafka shows that the masks are right, nothing else.
    if against != Some("apache") {
        wrong.extend(report.uncovered());
        wrong.extend(report.stale().iter().map(|rule| format!("no longer there: {rule}")));
    }
    for line in &wrong {
        println!("{line}");
    }
    let counts = report.counts();
    println!(
        "{} requests: {} alike, {} with listed differences, {} with others",
        counts.asked, counts.equal, counts.accepted, counts.different
    );
    if write {
        std::fs::write(root.join(PAGE), report.markdown())?;
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
