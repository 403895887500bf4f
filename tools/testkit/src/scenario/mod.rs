//! Whole stories about one broker: a real file streamed through it, kills under load, bad input,
//! its directory read by Kafka's own tools.

use std::time::Instant;

use anyhow::Result;

use crate::broker::System;
use crate::install::{Missing, Tools};
use crate::outcome::{Outcome, Verdict};

/// How much a scenario does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What fits into every run of the test command.
    Usual,
    /// As much as the project promises to have shown.
    Full,
}

/// One story.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// What it shows, for the list of suites.
    pub about: &'static str,
    run: fn(&Tools, &System, Extent, &mut Outcome) -> Result<()>,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    pub fn run(&self, tools: &Tools, system: &System, extent: Extent) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::new(self.name);
        if let Err(error) = (self.run)(tools, system, extent, &mut outcome) {
            match error.downcast_ref::<Missing>() {
                Some(missing) => outcome.add(Verdict::Skipped, self.name, &missing.to_string()),
                None => outcome.add(Verdict::Failed, self.name, &format!("{error:#}")),
            }
        }
        outcome.took = began.elapsed();
        outcome
    }
}
