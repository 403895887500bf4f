//! A node's disk: the log crate's simulated one behind a switch that cuts the power in the middle
//! of whatever the node is doing.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use naru_log::{Disk, DiskFile, Entry};

use crate::random::Random;
use crate::sim_disk::SimDisk;

/// No cut is planned.
const NEVER: u64 = u64::MAX;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct NodeDisk {
    inner: Arc<SimDisk>,
    /// The number of the changing call that does not happen any more, nor any after it.
    cut_at: Arc<AtomicU64>,
}

impl NodeDisk {
    pub(crate) fn new() -> Self {
        Self::over(SimDisk::new())
    }

    fn over(inner: Arc<SimDisk>) -> Self {
        Self { inner, cut_at: Arc::new(AtomicU64::new(NEVER)) }
    }

    /// Calls that have changed something so far.
    pub(crate) fn steps(&self) -> u64 {
        self.inner.steps()
    }

    /// Cuts the power at the `step`-th change from now on.
    pub(crate) fn cut_at(&self, step: u64) {
        self.cut_at.store(self.steps() + step.max(1), Ordering::SeqCst);
    }

    /// Whether nothing can be written any more.
    pub(crate) fn is_cut(&self) -> bool {
        self.steps() + 1 >= self.cut_at.load(Ordering::SeqCst)
            && self.cut_at.load(Ordering::SeqCst) != NEVER
    }

    /// From now on files may grow by so much.
    pub(crate) fn limit_room(&self, bytes: u64) {
        self.inner.limit_room(bytes);
    }

    /// From now on nothing gets to the disk, and syncs say so.
    pub(crate) fn fail_syncs(&self) {
        self.inner.fail_syncs();
    }

    /// There is space again, and syncs succeed.
    pub(crate) fn heal(&self) {
        self.inner.heal();
    }

    /// The disk after a power cut.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> Self {
        Self::over(self.inner.after_power_cut(|n| random.any() % n.max(1)))
    }

    /// The disk after the process was killed: the kernel still has all that was written.
    pub(crate) fn after_kill(&self) -> Self {
        Self::over(self.inner.after_kill())
    }

    /// The contents of a file, if there is one.
    pub(crate) fn bytes_of(&self, path: &Path) -> Option<Vec<u8>> {
        self.inner.bytes_of(path)
    }

    /// Replaces a file; afterwards it is there whole, also after a power cut.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = self.open(&temporary, true)?;
        file.set_len(0)?;
        file.write_all_at(&mut [IoSlice::new(bytes)], 0)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| self.sync_dir(folder))
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut() { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Disk for NodeDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        if create {
            self.check()?;
        }
        let inner = self.inner.open(path, create)?;
        Ok(Arc::new(NodeFile { inner, disk: self.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.inner.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.inner.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.inner.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(path)
    }
}

#[derive(Debug)]
struct NodeFile {
    inner: Arc<dyn DiskFile>,
    disk: NodeDisk,
}

impl DiskFile for NodeFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.disk.check()?;
        self.inner.write_at(parts, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.check()?;
        self.inner.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn as_file(&self) -> Option<&File> {
        None
    }
}
