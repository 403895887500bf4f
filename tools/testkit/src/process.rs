//! A child process with its output in a file, its memory readable, and a certain end.
//!
//! Invariant: when a [`Process`] is dropped, neither it nor anything it started is running.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often a waiting loop looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One running (or finished) program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        Self::start_with(command, log, output.try_clone()?, output)
    }

    /// Starts `command` with its standard output in a file of its own.
    pub fn start_with_output(command: &mut Command, log: &Path, output: &Path) -> Result<Self> {
        let errors = OpenOptions::new().create(true).append(true).open(log)?;
        Self::start_with(command, log, File::create(output)?, errors)
    }

    fn start_with(command: &mut Command, log: &Path, output: File, errors: File) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end; after `patience` the process and what it started are killed.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > patience {
                self.kill();
                bail!("still running after {} s: killed", patience.as_secs());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks the process to end (SIGTERM) and waits.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(patience)
    }

    /// `kill -9`, of the process and of everything it started, and waits until it is gone.
    pub fn kill(&mut self) {
        for pid in descendants(self.child.id()) {
            // A process that ended meanwhile is as good as killed.
            let _ = pid_of(pid).and_then(|pid| Ok(kill_process(pid, Signal::KILL)?));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(pid_of(self.child.id())?, signal)?)
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .context("no VmRSS line")
    }

    /// What the process printed.
    pub fn printed(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines the process printed, for an error message.
    pub fn last_words(&self) -> String {
        last_lines(&self.printed(), 15)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Runs a command to its end and returns what it printed; fails with its words when it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        bail!("{program} ended with {}: {}", output.status, last_lines(&said, 15));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until `done` is true; an error names what was waited for.
pub fn wait_until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > patience {
            bail!("{what}: not within {} s", patience.as_secs());
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn pid_of(pid: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(pid)?).context("process id 0")
}

/// All processes below `root`, by the parents that `/proc` names.
fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so fields are counted after the last ')'.
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|parent| parent.parse::<u32>().ok());
        if let Some(parent) = parent {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start(Command::new("sh").args(["-c", script]), log).unwrap()
    }

    #[test]
    fn a_killed_process_takes_its_children_along() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = shell("sleep 1000 & echo $!; wait", &log);
        wait_until("the child's id", Duration::from_secs(5), || !process.printed().is_empty())
            .unwrap();
        let child: u32 = process.printed().trim().parse().unwrap();
        process.kill();
        let gone = || {
            fs::read_to_string(format!("/proc/{child}/stat"))
                .map_or(true, |stat| stat.contains(") Z"))
        };
        wait_until("the child's end", Duration::from_secs(5), gone).unwrap();
    }

    #[test]
    fn memory_of_a_running_process_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell("sleep 1000", &folder.path().join("log"));
        assert!(process.resident_kib().unwrap() > 0);
    }

    #[test]
    fn a_failing_command_is_an_error_with_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
