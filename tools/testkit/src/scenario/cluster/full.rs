//! The disk of the active controller's metadata is full: another voter leads, and the cluster goes
//! on; when there is space again the first one may lead as before.
//!
//! Each node's metadata lies on a small file system in memory, which root can mount.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::Stage;
use super::load::{Load, TOPIC, now};
use super::voters::make_lead;
use super::{PATIENCE, create, finish};
use crate::cluster::{Cluster, Layout, view};
use crate::install::Missing;
use crate::outcome::Outcome;
use crate::process;

const COPIES: usize = 3;
const DISK: &str = "size=8m";
/// A quarter of what a node sets aside by default would not fit twice.
const RESERVE_BYTES: &str = "262144";
/// Longer than the reserve is held and an election takes; changes are tried all the time.
const HANDED_OVER: Duration = Duration::from_secs(30);
const CHUNK: usize = 4096;

/// A mounted file system, taken away with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&path);
        process::run(&mut mount).map_err(|error| Missing(format!("mounting tmpfs ({error:#})")))?;
        Ok(Self(path))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no space. What was given up since the last time is taken, too.
    fn fill(&self) -> Result<()> {
        let mut file = File::options().append(true).create(true).open(self.filler())?;
        loop {
            match file.write_all(&[7; CHUNK]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        if let Err(error) = process::run(unmount.arg("--lazy").arg(&self.0)) {
            println!("full-metadata: {} stays mounted: {error:#}", self.0.display());
        }
    }
}

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let disks = (1..=COPIES)
        .map(|id| Disk::mount(stage.folder.join(format!("metadata-{id}"))))
        .collect::<Result<Vec<_>>>()?;
    let mut layout =
        Layout::combined(stage.system, COPIES).with("naru.log.dir.reserve.bytes", RESERVE_BYTES);
    for (node, disk) in layout.nodes.iter_mut().zip(&disks) {
        node.properties.push(("metadata.log.dir".to_owned(), path_text(&disk.0)?));
    }
    let mut cluster = Cluster::start(layout)?;
    create(&mut cluster, TOPIC)?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let load = Load::start(stage, &cluster.bootstrap())?;
    load.wait_served(now())?;
    // Its replicas are compared in the end, and followers make theirs when they hear of it.
    cluster.wait_in_sync("__consumer_offsets", PATIENCE)?;

    let full = cluster.controller(PATIENCE)?;
    let index = usize::try_from(full - 1)?;
    let disk = disks.get(index).context("a node without a disk")?;
    let handed = hand_over(&mut cluster, disk, full);
    outcome.add_result("a controller whose metadata disk is full is replaced", &handed);
    handed?;
    let goes_on = create(&mut cluster, "while-full").and_then(|()| load.wait_served(now()));
    outcome.add_result("topics are created and records acknowledged meanwhile", &goes_on);
    let stays = stays_away(&mut cluster, disk, full);
    outcome.add_result("it stays, and does not lead while the disk is full", &stays);

    disk.free()?;
    let learns = cluster.wait("what it missed", PATIENCE, |cluster| {
        view::view(cluster.port(full), Some("while-full")).map(|_| ())
    });
    outcome.add_result("with space it learns what it missed", &learns);
    let leads = make_lead(&mut cluster, full).and_then(|()| create(&mut cluster, "after-full"));
    outcome.add_result("with space it leads again", &leads);
    load.wait_served(now())?;
    finish(stage, cluster, load, COPIES, outcome)
}

/// Keeps the disk full while changes are asked for, until another node leads.
fn hand_over(cluster: &mut Cluster, disk: &Disk, full: i32) -> Result<()> {
    let began = Instant::now();
    for number in 0.. {
        disk.fill()?;
        let name = format!("change-{number}");
        // Refused, or taken by the next controller: which of them is not known yet.
        let _ = cluster.any_broker(|port| view::create_topic(port, &name, 1, 1));
        let leader = cluster.controller(PATIENCE)?;
        if leader != full {
            println!("full-metadata: handed over after {} ms", began.elapsed().as_millis());
            return Ok(());
        }
        if began.elapsed() > HANDED_OVER {
            bail!("node {full} leads with a full disk: {}", cluster.last_words(full));
        }
    }
    Ok(())
}

fn stays_away(cluster: &mut Cluster, disk: &Disk, full: i32) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        disk.fill()?;
        ensure!(cluster.is_running(full), "node {full} ended: {}", cluster.last_words(full));
        ensure!(cluster.controller(PATIENCE)? != full, "node {full} leads");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn path_text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is no text")?.to_owned())
}
