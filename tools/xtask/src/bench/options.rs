//! The options of `cargo xtask bench`.

use anyhow::{Context, Result, bail};

use super::systems::Kind;

const ROUNDS: u32 = 3;

#[derive(Debug)]
pub struct Options {
    only: Vec<String>,
    systems: Vec<String>,
    pub rounds: u32,
    /// A binary of Naru that is not to be built first.
    pub against: Option<String>,
    pub list: bool,
    /// Whether the table goes into docs/benchmarks.md.
    pub write: bool,
}

impl Options {
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            only: Vec::new(),
            systems: Vec::new(),
            rounds: ROUNDS,
            against: None,
            list: false,
            write: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--only" => options.only.push((*value()?).to_owned()),
                "--system" => options.systems.push((*value()?).to_owned()),
                "--against" => options.against = Some((*value()?).to_owned()),
                "--rounds" => options.rounds = value()?.parse()?,
                "--list" => options.list = true,
                "--write" => options.write = true,
                other => bail!("unknown option {other}"),
            }
        }
        Ok(options)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.systems.is_empty() || self.systems.contains(&kind.to_string())
    }

    /// The command that makes the same table again.
    pub fn command(&self) -> String {
        let mut text = format!("cargo xtask bench --rounds {} --write", self.rounds);
        for only in &self.only {
            text = format!("{text} --only {only}");
        }
        text
    }
}
