//! `cordoned.log.dirs` (KIP-1066): data directories that take no new partitions.

use super::ConfigError;
use super::layers::{Layers, Reader};

/// The key.
pub(super) const KEY: &str = "cordoned.log.dirs";

/// Stands for every data directory.
const ALL: &str = "*";

/// Which data directories take no new partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cordoning {
    entries: Vec<String>,
}

impl Cordoning {
    /// What counts now for a broker.
    ///
    /// # Errors
    /// When the value does not fit its key; the checks at the change keep that out.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        Self::read(&Reader::broker(*layers))
    }

    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self { entries: read.list(KEY)?.unwrap_or_default() })
    }

    /// What a change of `key` names for directories, if it is the key of this.
    pub fn of_change(key: &str, value: Option<&str>) -> Option<Self> {
        let entries = value.unwrap_or_default().split(',').map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
        (key == KEY).then_some(Self { entries })
    }

    /// Whether this data directory takes no new partitions.
    pub fn covers(&self, dir: &str) -> bool {
        self.entries.iter().any(|entry| entry == ALL || entry == dir)
    }

    /// Checks that nothing else is named beside all, and nothing that is no data directory of
    /// this node.
    ///
    /// # Errors
    /// In Kafka's words.
    pub fn check(&self, log_dirs: &[String]) -> Result<(), ConfigError> {
        self.check_all_alone()?;
        let unknown =
            self.entries.iter().filter(|entry| *entry != ALL && !log_dirs.contains(entry));
        let missing: Vec<&str> = unknown.map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        refuse(format!(
            "requirement failed: All entries in {KEY} must be present in log.dirs or log.dir. \
             Missing entries : {}",
            missing.join(", ")
        ))
    }

    /// The part of [`check`](Self::check) that does not depend on a node.
    pub(super) fn check_all_alone(&self) -> Result<(), ConfigError> {
        if self.entries.len() < 2 || self.entries.iter().all(|entry| entry != ALL) {
            return Ok(());
        }
        refuse(format!(
            "requirement failed: When {KEY} is set to {ALL}, it must not contain other values"
        ))
    }
}

fn refuse(text: String) -> Result<(), ConfigError> {
    Err(ConfigError::Form { name: KEY.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &str) -> Option<String> {
        let dirs = ["/a".to_owned(), "/b".to_owned()];
        let cordoning = Cordoning::of_change(KEY, Some(value)).unwrap();
        cordoning.check(&dirs).err().map(|error| error.to_string())
    }

    #[test]
    fn only_data_directories_are_cordoned_or_all_of_them() {
        for fine in ["", "*", "/a", "/b, /a"] {
            assert_eq!(told(fine), None, "{fine}");
        }
        assert!(told("*,/a").unwrap().ends_with("it must not contain other values"));
        assert!(told("/a,x,y").unwrap().ends_with("Missing entries : x, y"));
        assert!(Cordoning::of_change("log.dirs", Some("x")).is_none());
    }

    #[test]
    fn a_star_covers_every_directory() {
        let all = Cordoning::of_change(KEY, Some("*")).unwrap();
        let one = Cordoning::of_change(KEY, Some("/a")).unwrap();
        assert!(all.covers("/a") && all.covers("/b") && one.covers("/a") && !one.covers("/b"));
    }
}
