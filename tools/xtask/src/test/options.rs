//! The options of `cargo xtask test`.

use anyhow::{Context, Result, bail};
use naru_testkit::scenario::Extent;

/// Which broker the suites run against.
#[derive(Debug, PartialEq, Eq)]
pub enum Against {
    /// This project's release build, and all checks before it.
    Naru,
    /// Apache Kafka: proves the suites themselves.
    Apache,
    /// A given binary.
    Binary(String),
}

#[derive(Debug)]
pub struct Options {
    suites: Vec<String>,
    pub extent: Extent,
    pub against: Against,
    pub list: bool,
}

impl Options {
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options =
            Self { suites: Vec::new(), extent: Extent::Usual, against: Against::Naru, list: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--suite" => options.suites.push((*value()?).to_owned()),
                "--full" => options.extent = Extent::Full,
                "--list" => options.list = true,
                "--against" => {
                    options.against = match *value()? {
                        "apache" => Against::Apache,
                        binary => Against::Binary(binary.to_owned()),
                    }
                }
                other => bail!("unknown option {other}"),
            }
        }
        Ok(options)
    }

    /// Whether a suite was asked for; without `--suite` all are.
    pub fn wants(&self, name: &str) -> bool {
        self.suites.is_empty() || self.suites.iter().any(|suite| suite == name)
    }

    /// Whether everything runs against this project's own build.
    pub fn is_whole(&self) -> bool {
        self.suites.is_empty() && self.against == Against::Naru
    }

    /// A misspelt name must not look like success.
    pub fn check_names(&self, known: &[&str]) -> Result<()> {
        match self.suites.iter().find(|suite| !known.contains(&suite.as_str())) {
            Some(unknown) => bail!("no suite is called {unknown}; there are: {}", known.join(", ")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_picked_by_name() {
        let options = Options::parse(&["--suite", "kcat", "--full"]).unwrap();
        assert!(options.wants("kcat") && !options.wants("unit"));
        assert_eq!(options.extent, Extent::Full);
        assert!(options.check_names(&["unit"]).is_err());
        assert!(options.check_names(&["kcat"]).is_ok());
    }

    #[test]
    fn without_a_name_every_suite_runs() {
        assert!(Options::parse(&[]).unwrap().wants("anything"));
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(Options::parse(&["--fast"]).is_err());
        assert!(Options::parse(&["--suite"]).is_err());
    }
}
