//! The usual subset of the fault harness, with less load around each fault.

use std::time::Duration;

use anyhow::Result;

use super::{Extent, Stage};
use crate::faults;
use crate::outcome::Outcome;

const USUAL_PATIENCE: Duration = Duration::from_secs(1200);
const FULL_PATIENCE: Duration = Duration::from_secs(2 * 3600);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    outcome.add_result("the judge sees each broken promise", &faults::judge_tests(stage.tools));
    let mut command = faults::command(stage.tools, std::slice::from_ref(stage.system))?;
    let patience = if stage.extent == Extent::Full {
        FULL_PATIENCE
    } else {
        command.args(["--usual", "--quick"]);
        USUAL_PATIENCE
    };
    stage.cases(&mut command, patience, outcome)
}
