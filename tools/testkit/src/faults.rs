//! The fault harness (tools/faults): its helpers built, its command made.
//!
//! The harness itself is Python and system tools; here is only how it is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::broker::System;
use crate::install::{Missing, Tools, program};
use crate::process::run;

/// System programs and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("iptables", "iptables"),
];
const PRELOADS: &[&str] = &["syncfail", "clockshift"];
const QUEUE_HEADER: &str = "/usr/include/libnetfilter_queue/libnetfilter_queue.h";

/// Where the harness is.
pub fn harness() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../faults")
}

/// A Python program of the harness.
pub fn python(tools: &Tools, file: &str) -> Result<Command> {
    let mut command = Command::new(tools.python()?);
    command.arg("-B").arg(harness().join(file)).current_dir(harness());
    Ok(command)
}

/// The harness over nodes of these systems, in turn; disks and logs are in a lasting folder.
///
/// Fails with [`Missing`] and the reason where namespaces or mounts are not to be had.
pub fn command(tools: &Tools, systems: &[System]) -> Result<Command> {
    for (name, package) in PROGRAMS {
        program(name, package)?;
    }
    let out = tools.folder("faults")?;
    let why_not = run(python(tools, "faults.py")?.arg("--out").arg(&out).arg("--why-not"))?;
    if !why_not.trim().is_empty() {
        return Err(Missing(why_not.trim().to_owned()).into());
    }
    let mut command = python(tools, "faults.py")?;
    command.arg("--out").arg(&out).args(["--native", &native(tools)?]);
    let names: Vec<&str> = systems.iter().map(System::name).collect();
    command.args(["--systems", &names.join(",")]);
    // Also for Naru: the judge of its quorum and the members of share groups are Kafka's own.
    let jars = tools.kafka_jars()?;
    command.env("FAULT_CLASSES", tools.classes("faults", "faults", &jars)?);
    command.env("KAFKA_LIBS", jars);
    for system in systems {
        if let System::Naru { binary } = system {
            command.env("NARU_BINARY", binary);
        }
    }
    Ok(command)
}

/// `NAME=PATH,...` of the helpers that can be built here; the harness skips what needs the others.
fn native(tools: &Tools) -> Result<String> {
    let mut built = Vec::new();
    for name in PRELOADS {
        let path = tools.preload(name, &harness().join(format!("native/{name}.c")))?;
        built.push(format!("{name}={}", path.display()));
    }
    if has_queue_library() {
        let source = harness().join("native/netdelay.c");
        let path = tools.c_program("netdelay", &source, &["-lnetfilter_queue"])?;
        built.push(format!("netdelay={}", path.display()));
    }
    Ok(built.join(","))
}

fn has_queue_library() -> bool {
    Path::new(QUEUE_HEADER).exists()
        || (crate::install::package("libnetfilter-queue-dev").is_ok()
            && Path::new(QUEUE_HEADER).exists())
}

/// The judge's own tests.
pub fn judge_tests(tools: &Tools) -> Result<()> {
    let mut command = Command::new(tools.python()?);
    command.args(["-B", "-m", "unittest", "-q", "test_judge"]).current_dir(harness());
    run(&mut command).map(|_| ()).context("tests of the judge")
}
