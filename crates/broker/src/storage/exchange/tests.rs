//! An exchange that ends, or fails, at every change it makes to the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use naru_log::{Checkpoint, DiskFile, Entry, OsDisk};

use super::*;
use crate::storage::Storage;

/// The operating system's disk, whose changes fail from one of them on.
#[derive(Debug, Default)]
struct Faulty {
    changes: AtomicU64,
    fails_at: AtomicU64,
    /// Later changes fail too, as after a crash.
    for_good: AtomicBool,
}

impl Faulty {
    fn change(&self) -> io::Result<()> {
        let number = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.fails_at.load(Ordering::SeqCst);
        let fails = at > 0 && (number == at || number > at && self.for_good.load(Ordering::SeqCst));
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.change()?;
        OsDisk.open(path, create)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OsDisk.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.remove_dir_all(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        OsDisk.list(path)
    }
}

const OLD: &str = "what the serving log had";
const NEW: &str = "what the copy has";

/// Two directories, a live folder in the first and a complete copy in the second.
struct Place {
    folder: tempfile::TempDir,
    name: TopicPartition,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a/t-0"), folder.path().join("b/t-0.7-future"));
        for (path, text) in [(a, OLD), (b, NEW)] {
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("records"), text).unwrap();
        }
        Self { folder, name: TopicPartition::new("t", 0) }
    }

    fn dir(&self, name: &str, disk: &Arc<Faulty>) -> LogDir {
        let disk: Arc<dyn Disk> = Arc::clone(disk) as Arc<dyn Disk>;
        LogDir::open(disk, &self.folder.path().join(name)).unwrap()
    }

    /// Exchanges with a fault at the `at`-th change; whether the copy serves from now on.
    fn exchange(&self, at: u64, for_good: bool) -> (bool, u64) {
        let disk = Arc::new(Faulty::default());
        let (a, b) = (self.dir("a", &disk), self.dir("b", &disk));
        disk.changes.store(0, Ordering::SeqCst);
        disk.fails_at.store(at, Ordering::SeqCst);
        disk.for_good.store(for_good, Ordering::SeqCst);
        let copy = self.folder.path().join("b/t-0.7-future");
        let done = exchange(&a, &b, &self.name, &copy, 9);
        (done.is_ok(), disk.changes.load(Ordering::SeqCst))
    }

    /// What the partition has after a restart.
    fn after_restart(&self) -> String {
        let paths = ["a", "b"].map(|dir| self.folder.path().join(dir).display().to_string());
        let storage = Storage::open(&paths, "").unwrap();
        storage.scan(|| 11).unwrap();
        let (_, path) = storage.place(&self.name, naru_model::Uuid::ZERO).unwrap();
        assert!(storage.dirs()[0].read_checkpoint(Checkpoint::LogStart).unwrap().is_empty());
        std::fs::read_to_string(path.join("records")).unwrap_or_default()
    }

    fn live_folders(&self) -> usize {
        ["a/t-0", "b/t-0"].iter().filter(|path| self.folder.path().join(path).exists()).count()
    }
}

#[test]
fn an_exchange_that_ends_or_fails_anywhere_leaves_the_log_that_served_last() {
    let (done, changes) = Place::new().exchange(0, false);
    assert!(done && changes > 5);
    for for_good in [true, false] {
        for at in 1..=changes {
            let place = Place::new();
            let (copy_serves, _) = place.exchange(at, for_good);
            let expected = if copy_serves { NEW } else { OLD };
            // Whoever serves goes on to write.
            let case = format!("change {at}, for good: {for_good}");
            assert_eq!(place.after_restart(), expected, "{case}");
            assert_eq!(place.live_folders(), 1, "{case}");
            assert_eq!(place.after_restart(), expected, "{case}, once more");
        }
    }
}

#[test]
fn a_mark_that_was_left_over_does_not_count_in_the_next_exchange() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("a/t-0").join(MARK), "1\n").unwrap();
    let (_, changes) = Place::new().exchange(0, false);
    for at in 1..=changes + 2 {
        let place = Place::new();
        std::fs::write(place.folder.path().join("a/t-0").join(MARK), "1\n").unwrap();
        let (copy_serves, _) = place.exchange(at, true);
        assert_eq!(place.after_restart(), if copy_serves { NEW } else { OLD }, "change {at}");
    }
}

#[test]
fn two_live_folders_of_which_none_is_marked_are_not_chosen_between() {
    let place = Place::new();
    let (from, to) = ("b/t-0.7-future", "b/t-0");
    std::fs::rename(place.folder.path().join(from), place.folder.path().join(to)).unwrap();
    let paths = ["a", "b"].map(|dir| place.folder.path().join(dir).display().to_string());
    let error = Storage::open(&paths, "").unwrap().scan(|| 11).unwrap_err().to_string();
    assert!(error.contains("t-0") && error.contains("twice"), "{error}");
}

#[test]
fn of_two_folders_of_one_name_the_one_of_a_former_topic_is_set_aside() {
    for current in [1, 2] {
        let place = Place::new();
        let (a, b) = (place.folder.path().join("a/t-0"), place.folder.path().join("b/t-0"));
        std::fs::rename(place.folder.path().join("b/t-0.7-future"), &b).unwrap();
        for (path, id) in [(&a, 1), (&b, 2)] {
            naru_log::write_partition_metadata(&OsDisk, path, naru_model::Uuid(id)).unwrap();
        }
        let paths = ["a", "b"].map(|dir| place.folder.path().join(dir).display().to_string());
        let storage = Storage::open(&paths, "").unwrap();
        storage.scan(|| 11).unwrap();
        storage.set_strays_aside(|_, id| id == naru_model::Uuid(current));
        let (_, path) = storage.place(&place.name, naru_model::Uuid(current)).unwrap();
        assert_eq!(&path, if current == 1 { &a } else { &b });
        assert_eq!(place.live_folders(), 1);
    }
}
