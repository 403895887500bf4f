//! Why a node does not start: one clear message and an exit code each.

use std::io;
use std::path::PathBuf;

use naru_log::{LogDirError, ReadError};

/// Exit codes of a node that does not start (sysexits.h where it has one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The configuration is wrong.
    Config = 78,
    /// Something is in the way: a port, a lock.
    Unavailable = 69,
    /// The disk or the operating system refuses.
    Io = 74,
    /// Not allowed.
    Permission = 77,
    /// Told to stop before it had started.
    GivenUp = 75,
    /// The data is damaged beyond what recovery may mend by itself.
    Data = 65,
}

/// A node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that cannot be.
    #[error("{0}")]
    Config(String),
    /// A listener's address is taken.
    #[error("listener {listener}: {address} is in use{}", user.as_deref().unwrap_or_default())]
    AddressInUse {
        /// Name of the listener.
        listener: String,
        /// What it wanted.
        address: String,
        /// Who has it, if that is known.
        user: Option<String>,
    },
    /// A listener's address cannot be used.
    #[error("listener {listener}: cannot listen on {address}: {source}")]
    Listen {
        /// Name of the listener.
        listener: String,
        /// What it wanted.
        address: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A data directory cannot be used.
    #[error(transparent)]
    LogDir(#[from] LogDirError),
    /// A log cannot be opened.
    #[error("the log in {} cannot be opened: {source}", path.display())]
    Log {
        /// The log's folder.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The metadata log says what cannot be.
    #[error("the metadata log in {} cannot be used: {reason}", path.display())]
    Metadata {
        /// The log's folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Somebody wanted the start given up.
    #[error("the start was given up while it waited for {0}")]
    GivenUp(&'static str),
    /// Threads, signals and the like.
    #[error("the operating system refuses: {0}")]
    System(#[from] io::Error),
}

impl From<naru_log::StorageError> for StartError {
    fn from(error: naru_log::StorageError) -> Self {
        Self::LogDir(error.into())
    }
}

impl StartError {
    /// The exit code that says it to scripts.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::GivenUp(_) => ExitCode::GivenUp,
            Self::Config(_) => ExitCode::Config,
            Self::AddressInUse { .. } => ExitCode::Unavailable,
            Self::LogDir(LogDirError::Locked { .. }) => ExitCode::Unavailable,
            Self::LogDir(LogDirError::WrongCluster { .. } | LogDirError::WrongNode { .. }) => {
                ExitCode::Config
            }
            Self::LogDir(LogDirError::Permission { .. } | LogDirError::ReadOnly { .. }) => {
                ExitCode::Permission
            }
            Self::LogDir(LogDirError::MetaProperties { .. }) | Self::Metadata { .. } => {
                ExitCode::Data
            }
            Self::Log {
                source: ReadError::Damaged { .. } | ReadError::OutOfRange { .. }, ..
            } => ExitCode::Data,
            Self::Log { .. } | Self::LogDir(_) | Self::Listen { .. } | Self::System(_) => {
                ExitCode::Io
            }
        }
    }
}
