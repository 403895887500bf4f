//! The folder for what is worth keeping between runs: jars, virtual environments, compiled classes.
//!
//! Invariant: an entry is complete when its `.complete` file holds the fingerprint it was asked
//! for; anything else is thrown away and made anew, so an interrupted run never leaves a half entry
//! that a later run would trust. Suites that run side by side make one entry at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Where lasting test material is kept.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$NARU_CACHE`, else `naru-tests` below `$XDG_CACHE_HOME` or `~/.cache`.
    pub fn open() -> Result<Self> {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let root = std::env::var_os("NARU_CACHE")
            .map(PathBuf::from)
            .or_else(|| {
                std::env::var_os("XDG_CACHE_HOME").map(|x| Path::new(&x).join("naru-tests"))
            })
            .or_else(|| home().map(|cache| cache.join("naru-tests")))
            .context("no NARU_CACHE, XDG_CACHE_HOME or HOME to keep test material under")?;
        Self::at(&root)
    }

    /// A cache at a given place.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// The folder `name`, made by `make` unless a complete one with this fingerprint is there.
    pub fn entry(
        &self,
        name: &str,
        fingerprint: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.root.join(name);
        let mark = folder.join(".complete");
        if fs::read_to_string(&mark).is_ok_and(|found| found == fingerprint) {
            return Ok(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        make(&folder).with_context(|| format!("preparing {}", folder.display()))?;
        fs::write(&mark, fingerprint)?;
        Ok(folder)
    }

    /// A folder that is nobody's entry: what is in it is its user's matter.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }
}

/// A short text that changes when any of the files' contents change.
pub fn fingerprint(files: &[PathBuf]) -> Result<String> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.file_name().hash(&mut hasher);
        fs::read(file).with_context(|| format!("reading {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once_per_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let mut made = 0;
        for fingerprint in ["a", "a", "b"] {
            cache
                .entry("e", fingerprint, |dir| {
                    made += 1;
                    Ok(fs::write(dir.join("f"), fingerprint)?)
                })
                .unwrap();
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn an_entry_whose_making_failed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        assert!(cache.entry("e", "a", |_| anyhow::bail!("offline")).is_err());
        assert!(cache.entry("e", "a", |_| Ok(())).is_ok());
    }
}
