//! Which options of `kafka-streams-groups` go together, in Kafka's words.

use crate::options::Parsed;
use crate::text::Streams;
use crate::tools::common::Ended;

use super::FACE;

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
pub(super) const ONE_ACTION: &str = "Command must include exactly one action: --list, --describe, \
                                     --delete, --reset-offsets, or --delete-offsets.";

pub(super) const SCENARIOS: [&str; 8] = [
    "shift-by",
    "to-offset",
    "to-earliest",
    "to-current",
    "to-latest",
    "by-duration",
    "to-datetime",
    "from-file",
];

const SCOPE: &str = "takes one of these options: [all-groups], [group]";

pub(super) fn check(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    if let Some(text) = unavailable(p) {
        streams.error(text);
        return Err(Ended(1));
    }
    if let Some(text) = objection(p) {
        return Err(FACE.usage(&text, streams));
    }
    if p.has("reset-offsets") {
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            FACE.exclude(p, scenario, &SCENARIOS[at + 1..], streams)?;
        }
    }
    FACE.exclude(p, "group", &["all-groups", "list"], streams)?;
    if ACTIONS.iter().filter(|action| p.has(action)).count() == 1 {
        Ok(())
    } else {
        Err(FACE.usage(ONE_ACTION, streams))
    }
}

/// Options that make no sense without another one.
fn unavailable(p: &Parsed) -> Option<String> {
    let needs_describe = ["members", "offsets", "verbose"];
    let mut wrong: Vec<&str> =
        needs_describe.into_iter().filter(|name| p.has(name) && !p.has("describe")).collect();
    if p.has("state") && !p.has("describe") && !p.has("list") {
        wrong.push("state");
    }
    let names = wrong.join(", ");
    (!wrong.is_empty()).then(|| {
        format!("Option(s) [{names}] are unavailable given other options on the command line")
    })
}

fn objection(p: &Parsed) -> Option<String> {
    let has_scope = p.has("group") || p.has("all-groups");
    let text = if p.has("describe") && !has_scope {
        format!("Option [describe] {SCOPE}")
    } else if p.has("describe")
        && ["members", "offsets", "state"].iter().filter(|view| p.has(view)).count() > 1
    {
        "Option [describe] takes at most one of these options: [members], [offsets], [state]"
            .to_owned()
    } else if p.has("describe") && p.one("state").is_ok_and(|state| state.is_some()) {
        "Option [describe] does not take a value for [state]".to_owned()
    } else if p.has("delete") && !has_scope {
        format!("Option [delete] {SCOPE}")
    } else if p.has("delete") && (p.has("input-topic") || p.has("all-input-topics")) {
        "Kafka Streams does not support topic-specific offset deletion from a streams group."
            .to_owned()
    } else if p.has("delete-offsets")
        && !(p.has("group") && (p.has("input-topic") || p.has("all-input-topics")))
    {
        "Option [delete-offsets] takes the [group] and one of these options: [all-input-topics], \
         [input-topic]"
            .to_owned()
    } else if p.has("reset-offsets") {
        return objection_to_reset(p, has_scope);
    } else if p.has("dry-run") || p.has("execute") {
        "Only Option [reset-offsets] accepts [execute] or [dry-run]".to_owned()
    } else if p.has("delete-internal-topic") {
        "Option [delete-internal-topic] is only valid with [reset-offsets]".to_owned()
    } else if p.has("delete-all-internal-topics") && !p.has("delete") {
        "Option [delete-all-internal-topics] is only valid with [reset-offsets], [delete]"
            .to_owned()
    } else {
        return None;
    };
    Some(text)
}

fn objection_to_reset(p: &Parsed, has_scope: bool) -> Option<String> {
    let internal = ["delete-all-internal-topics", "delete-internal-topic"];
    let text = match (p.has("dry-run"), p.has("execute")) {
        (true, true) => {
            "Option [reset-offsets] only accepts one of [execute] and [dry-run]".to_owned()
        }
        (false, false) => {
            "Option [reset-offsets] takes the option: [execute] or [dry-run]".to_owned()
        }
        _ if !has_scope => format!("Option [reset-offsets] {SCOPE}"),
        (_, false) => {
            let option = internal.into_iter().find(|option| p.has(option))?;
            format!("Option [{option}] takes [execute] when [reset-offsets] is used.")
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::parse;

    fn said(line: &str) -> Option<String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let p = parse(super::super::ROWS, &args).unwrap();
        unavailable(&p).or_else(|| objection(&p))
    }

    #[test]
    fn options_that_do_not_fit_are_refused_in_kafkas_words() {
        for (line, expect) in [
            ("--describe", "Option [describe] takes one of these options: [all-groups], [group]"),
            (
                "--describe --group a --state x",
                "Option [describe] does not take a value for [state]",
            ),
            (
                "--describe --group a --members --state",
                "Option [describe] takes at most one of these options: [members], [offsets], \
                 [state]",
            ),
            (
                "--list --members",
                "Option(s) [members] are unavailable given other options on the command line",
            ),
            ("--list --dry-run", "Only Option [reset-offsets] accepts [execute] or [dry-run]"),
            (
                "--reset-offsets --group a --to-latest --all-input-topics",
                "Option [reset-offsets] takes the option: [execute] or [dry-run]",
            ),
            (
                "--reset-offsets --group a --to-latest --dry-run --delete-all-internal-topics",
                "Option [delete-all-internal-topics] takes [execute] when [reset-offsets] is used.",
            ),
            (
                "--delete --group a --input-topic x",
                "Kafka Streams does not support topic-specific offset deletion from a streams \
                 group.",
            ),
        ] {
            assert_eq!(said(line).as_deref(), Some(expect), "{line}");
        }
        assert_eq!(said("--list --state"), None);
        assert_eq!(said("--delete --group a --delete-all-internal-topics"), None);
    }
}
