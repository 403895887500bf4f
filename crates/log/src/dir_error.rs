//! Why a log directory cannot be used, each with the words a person needs.

use std::io;
use std::path::PathBuf;

use crate::error::StorageError;

/// A log directory is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error(
        "the data directory {} is in use by another process; stop that one, or choose another \
         directory",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Not allowed.
    #[error("no permission to use the data directory {}: {source}", path.display())]
    Permission {
        /// The directory or a file in it.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Mounted read-only.
    #[error("the data directory {} is on a read-only file system", path.display())]
    ReadOnly {
        /// The directory or a file in it.
        path: PathBuf,
    },
    /// No room.
    #[error("no space is left for the data directory {}", path.display())]
    Full {
        /// The directory or a file in it.
        path: PathBuf,
    },
    /// A file has that name.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to another cluster.
    #[error(
        "the data directory {} belongs to cluster {found}, this is cluster {expected}",
        path.display()
    )]
    WrongCluster {
        /// The directory.
        path: PathBuf,
        /// In its meta.properties.
        found: String,
        /// What the configuration or another directory says.
        expected: String,
    },
    /// It belongs to another node.
    #[error(
        "the data directory {} belongs to node {found}, node.id is {expected}",
        path.display()
    )]
    WrongNode {
        /// The directory.
        path: PathBuf,
        /// In its meta.properties.
        found: i32,
        /// From the configuration.
        expected: i32,
    },
    /// meta.properties is there but makes no sense.
    #[error("{} cannot be understood: {reason}", path.display())]
    MetaProperties {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A partition has two live folders, of which none is known to be the older one.
    #[error(
        "{partition} lies here twice: {}; keep the one that is complete and move the others away",
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
    )]
    Twice {
        /// The partition.
        partition: String,
        /// Its folders.
        paths: Vec<PathBuf>,
    },
    /// Anything else the disk refuses.
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for LogDirError {
    fn from(error: StorageError) -> Self {
        let full = error.is_full();
        let StorageError { action, path, source } = error;
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { path, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Self::NotADirectory { path }
            }
            _ if full => Self::Full { path },
            _ => Self::Storage(StorageError { action, path, source }),
        }
    }
}
