//! The only door from this crate to the file system.
//!
//! One implementation for the operating system, and one in the tests that loses what was not
//! synced, tears writes and runs out of space. Calls block; the callers decide on which thread.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use naru_model::Timestamp;

/// A file system, as far as a log needs one.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for reading and writing; creates it first if `create` is set.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Reads a whole (small) file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Renames a file or folder, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Names what is in a folder, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
}

/// An open file. Reading and writing name their positions: no cursor is shared.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at a position; fewer bytes than asked for is not an error, 0 is the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes at a position; may write only the first part.
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Makes the bytes and the length durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// How long it is.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Makes the file `len` bytes long, all of which have their place on the disk.
    fn allocate(&self, len: u64) -> io::Result<()> {
        let zeros = [0; 4096];
        let mut at = self.len()?;
        while at < len {
            let part = usize::try_from(len - at).unwrap_or(zeros.len()).min(zeros.len());
            self.write_all_at(&mut [IoSlice::new(&zeros[..part])], at)?;
            at += part as u64;
        }
        Ok(())
    }
    /// The operating system's file for `sendfile`, if this is one.
    fn as_file(&self) -> Option<&File>;

    /// Fills the buffer from a position, or fails at the end of the file.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let took = self.read_at(buffer, position)?;
            if took == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[took..];
            position += took as u64;
        }
        Ok(())
    }

    /// Writes all the parts, however many calls it takes.
    fn write_all_at(&self, mut parts: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
        // Advancing by nothing drops leading empty parts, which would look like a full disk.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let wrote = self.write_at(&parts[..parts.len().min(PARTS_MAX)], position)?;
            if wrote == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut parts, wrote);
            position += wrote as u64;
        }
        Ok(())
    }
}

/// `IOV_MAX` of Linux.
const PARTS_MAX: usize = 1024;

/// What [`Disk::list`] says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last part of the path.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Bytes of a file.
    pub len: u64,
    /// When it was written last.
    pub modified: Timestamp,
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

#[derive(Debug)]
struct OsFile(File);

impl Disk for OsDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            File::options().read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Removed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A name that is not UTF-8 is none of Kafka's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let modified = since.and_then(|since| i64::try_from(since.as_millis()).ok());
            entries.push(Entry {
                name,
                is_dir: meta.is_dir(),
                len: meta.len(),
                modified: Timestamp(modified.unwrap_or(0)),
            });
        }
        Ok(entries)
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pwritev(&self.0, parts, position) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        loop {
            match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}
