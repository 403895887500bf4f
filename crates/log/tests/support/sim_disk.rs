//! A file system in memory that forgets what was not synced, tears writes and runs full.
//!
//! A crash leaves each file with its synced bytes and any part of what was written since. Of the
//! changes of names that were not synced, the first so many have happened: file systems journal
//! them in order. Which it is comes from a seed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use naru_log::{Disk, DiskFile, Entry};
use naru_model::Timestamp;

#[derive(Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Node>,
    /// Names as programs see them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as of the last sync of their folder.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What has happened to names since: a name with its file, or without.
    name_changes: Vec<(PathBuf, Option<usize>)>,
    dirs: std::collections::BTreeSet<PathBuf>,
    /// Calls that change something, so far.
    steps: u64,
    /// The call that fails, and how.
    fault: Option<(u64, Fault)>,
    /// Bytes that still fit, if limited.
    room: Option<u64>,
    fail_syncs: bool,
    no_descriptors: bool,
}

#[derive(Debug, Default, Clone)]
struct Node {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes this many bytes, then says that the disk is full.
    FullAfter(u64),
    /// Fails without doing anything.
    Io,
}

impl SimDisk {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// The `step`-th changing call from now on fails.
    pub fn fail_at(&self, step: u64, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.steps + step, fault));
    }

    pub fn heal(&self) {
        let mut state = self.lock();
        (state.fault, state.room, state.fail_syncs) = (None, None, false);
        state.no_descriptors = false;
    }

    /// From now on files may grow by so much, and by what is freed.
    pub fn limit_room(&self, bytes: u64) {
        self.lock().room = Some(bytes);
    }

    /// Bytes that still fit, if limited.
    pub fn room(&self) -> Option<u64> {
        self.lock().room
    }

    pub fn fail_syncs(&self) {
        self.lock().fail_syncs = true;
    }

    /// From now on no file can be opened: the process has as many open as it may.
    pub fn take_descriptors(&self) {
        self.lock().no_descriptors = true;
    }

    /// What a power cut leaves; `choose(n)` gives a number below `n`.
    pub fn after_power_cut(&self, mut choose: impl FnMut(u64) -> u64) -> Arc<Self> {
        let state = self.lock();
        let mut survived = State { dirs: state.dirs.clone(), ..State::default() };
        let mut names = state.durable_names.clone();
        let happened = choose(state.name_changes.len() as u64 + 1);
        for (path, node) in state.name_changes.iter().take(usize::try_from(happened).unwrap_or(0)) {
            match node {
                Some(node) => names.insert(path.clone(), *node),
                None => names.remove(path),
            };
        }
        for (path, node) in names {
            let bytes = tear(&state.files[node], &mut choose);
            let id = survived.files.len();
            survived.files.push(Node { durable: bytes.clone(), bytes });
            survived.names.insert(path.clone(), id);
            survived.durable_names.insert(path, id);
        }
        Arc::new(Self(Arc::new(Mutex::new(survived))))
    }

    /// What `kill -9` leaves: everything that was written.
    pub fn after_kill(&self) -> Arc<Self> {
        let state = self.lock();
        let copy = State {
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            name_changes: state.name_changes.clone(),
            dirs: state.dirs.clone(),
            ..State::default()
        };
        Arc::new(Self(Arc::new(Mutex::new(copy))))
    }

    /// Everything written so far reaches the disk.
    pub fn settle(&self) {
        let mut state = self.lock();
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        for node in &mut state.files {
            node.durable = node.bytes.clone();
        }
    }

    pub fn bytes_of(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(path).map(|node| state.files[*node].bytes.clone())
    }

    /// Overwrites a file's content, as rot or a stray program would.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let node = *state.names.get(path).expect("the file exists");
        change(&mut state.files[node].bytes);
        state.files[node].durable = state.files[node].bytes.clone();
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }
}

/// Pages that were written after the last sync may have reached the disk or not, each by itself.
fn tear(node: &Node, choose: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
    const PAGE: usize = 512;
    let mut bytes = node.durable.clone();
    if node.bytes == node.durable || choose(3) == 0 {
        return bytes;
    }
    let len = node.bytes.len();
    let new_len = match choose(3) {
        0 => len,
        1 => len.min(bytes.len()),
        _ => {
            let (low, high) = (len.min(bytes.len()), len.max(bytes.len()));
            low + usize::try_from(choose((high - low + 1) as u64)).unwrap_or(0)
        }
    };
    bytes.resize(new_len, 0);
    for at in (0..new_len.min(len)).step_by(PAGE) {
        let end = (at + PAGE).min(new_len).min(len);
        if bytes[at..end] != node.bytes[at..end] && choose(4) != 0 {
            bytes[at..end].copy_from_slice(&node.bytes[at..end]);
        }
    }
    bytes
}

impl State {
    fn name(&mut self, path: &Path, node: Option<usize>) {
        match node {
            Some(node) => self.names.insert(path.to_path_buf(), node),
            None => self.names.remove(path),
        };
        self.name_changes.push((path.to_path_buf(), node));
    }

    fn frees(&mut self, bytes: u64) {
        if let Some(room) = &mut self.room {
            *room += bytes;
        }
    }

    fn step(&mut self) -> io::Result<Option<Fault>> {
        self.steps += 1;
        match self.fault {
            Some((at, Fault::Io)) if at == self.steps => Err(io::Error::from_raw_os_error(5)),
            Some((at, fault)) if at == self.steps => Ok(Some(fault)),
            _ => Ok(None),
        }
    }
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    node: usize,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        if state.no_descriptors {
            return Err(io::Error::from_raw_os_error(24));
        }
        let node = match state.names.get(path) {
            Some(node) => *node,
            None if create => {
                if state.step()?.is_some() || state.room == Some(0) {
                    return Err(full());
                }
                let parent = path.parent().unwrap_or_else(|| Path::new("/"));
                if !state.dirs.contains(parent) {
                    return Err(missing());
                }
                state.files.push(Node::default());
                let node = state.files.len() - 1;
                state.name(path, Some(node));
                node
            }
            None => return Err(missing()),
        };
        Ok(Arc::new(SimFile { state: Arc::clone(&self.0), node }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.bytes_of(path).ok_or_else(missing)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let node = *state.names.get(from).ok_or_else(missing)?;
        // One change, as renaming is atomic: the old name goes before the new one can be missed.
        state.name(to, Some(node));
        state.name(from, None);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.contains_key(path) {
            return Err(missing());
        }
        state.step()?;
        if let Some(node) = state.names.get(path).copied() {
            let len = state.files[node].bytes.len() as u64;
            state.frees(len);
        }
        state.name(path, None);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let inside: Vec<_> =
            state.names.keys().filter(|name| name.starts_with(path)).cloned().collect();
        for name in inside {
            state.name(&name, None);
        }
        state.dirs.retain(|dir| !dir.starts_with(path));
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        for dir in path.ancestors() {
            state.dirs.insert(dir.to_path_buf());
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        if state.fail_syncs {
            return Err(io::Error::from_raw_os_error(5));
        }
        let changes = std::mem::take(&mut state.name_changes);
        for (name, node) in changes {
            if name.parent() != Some(path) {
                state.name_changes.push((name, node));
                continue;
            }
            match node {
                Some(node) => state.durable_names.insert(name, node),
                None => state.durable_names.remove(&name),
            };
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.lock();
        if !state.dirs.contains(path) {
            return Err(missing());
        }
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files =
            state.names.iter().filter(|(p, _)| p.parent() == Some(path)).map(|(p, node)| {
                let len = state.files[*node].bytes.len() as u64;
                Entry { name: name(p), is_dir: false, len, modified: Timestamp(0) }
            });
        let dirs = state.dirs.iter().filter(|p| p.parent() == Some(path)).map(|p| Entry {
            name: name(p),
            is_dir: true,
            len: 0,
            modified: Timestamp(0),
        });
        Ok(files.chain(dirs).collect())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.lock();
        let bytes = &state.files[self.node].bytes;
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        let took = buffer.len().min(bytes.len() - from);
        buffer[..took].copy_from_slice(&bytes[from..from + took]);
        Ok(took)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut state = self.lock();
        let fault = state.step()?;
        let data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut allowed = data.len();
        if let Some(Fault::FullAfter(bytes)) = fault {
            allowed = allowed.min(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        if let Some(room) = state.room {
            let len = state.files[self.node].bytes.len();
            let grows = (from + allowed).saturating_sub(len) as u64;
            let short = usize::try_from(grows.saturating_sub(room)).unwrap_or(usize::MAX);
            allowed = allowed.saturating_sub(short);
            state.room = Some(room - grows.min(room));
        }
        if allowed == 0 && !data.is_empty() {
            return Err(full());
        }
        let bytes = &mut state.files[self.node].bytes;
        if bytes.len() < from + allowed {
            bytes.resize(from + allowed, 0);
        }
        bytes[from..from + allowed].copy_from_slice(&data[..allowed]);
        if allowed < data.len() && fault.is_some() {
            // The next call of the loop that continues a short write must fail.
            let next = state.steps + 1;
            state.fault = Some((next, Fault::FullAfter(0)));
        }
        Ok(allowed)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        if state.fail_syncs {
            return Err(io::Error::from_raw_os_error(5));
        }
        let node = &mut state.files[self.node];
        node.durable = node.bytes.clone();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let before = state.files[self.node].bytes.len();
        state.frees(before.saturating_sub(len) as u64);
        state.files[self.node].bytes.resize(len, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().files[self.node].bytes.len() as u64)
    }

    fn as_file(&self) -> Option<&File> {
        None
    }
}
