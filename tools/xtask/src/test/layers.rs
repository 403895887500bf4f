//! The order between crates: arrows lead to lower layers, and pure crates stay pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use naru_testkit::outcome::Outcome;
use naru_testkit::process::run;
use serde_json::Value;

/// `layers.toml`.
#[derive(Debug, Default)]
struct Rules {
    layers: BTreeMap<String, u32>,
    pure: BTreeSet<String>,
    never: BTreeSet<String>,
}

/// The crates of the workspace with what each depends on, tests left out.
type Arrows = BTreeMap<String, BTreeSet<String>>;

pub fn check(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let rules = Rules::parse(&std::fs::read_to_string(root.join("tools/xtask/layers.toml"))?)?;
    let arrows = arrows(&metadata(root)?)?;
    outcome.add_result("every crate has a layer", &none_wrong(&unknown_crates(&rules, &arrows)));
    outcome.add_result("arrows lead downward", &none_wrong(&wrong_arrows(&rules, &arrows)));
    outcome.add_result("pure crates stay pure", &none_wrong(&impure(&rules, &arrows)));
    Ok(())
}

/// What cargo knows about the workspace and all its packages.
pub fn metadata(root: &Path) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let text = run(command.args(["metadata", "--format-version", "1"]).current_dir(root))?;
    Ok(serde_json::from_str(&text)?)
}

fn none_wrong(wrong: &[String]) -> Result<()> {
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let mut rules = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '[']) {
                continue;
            }
            let (name, value) = line.split_once(" = ").with_context(|| line.to_owned())?;
            let words = || value.split(' ').map(str::to_owned).collect();
            match name {
                "crates" => rules.pure = words(),
                "never" => rules.never = words(),
                name => {
                    rules.layers.insert(name.to_owned(), value.parse()?);
                }
            }
        }
        Ok(rules)
    }
}

fn arrows(metadata: &Value) -> Result<Arrows> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .context("workspace_members")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut arrows = Arrows::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let (Some(id), Some(name)) = (package["id"].as_str(), package["name"].as_str()) else {
            continue;
        };
        if !members.contains(id) {
            continue;
        }
        let needs = package["dependencies"].as_array().into_iter().flatten();
        // What only tests need makes no arrow.
        let lasting = needs.filter(|needed| needed["kind"].as_str() != Some("dev"));
        let names = lasting.filter_map(|needed| needed["name"].as_str()).map(str::to_owned);
        arrows.insert(name.to_owned(), names.collect());
    }
    Ok(arrows)
}

fn unknown_crates(rules: &Rules, arrows: &Arrows) -> Vec<String> {
    arrows
        .keys()
        .filter(|name| !rules.layers.contains_key(*name))
        .map(|name| format!("{name} is not in layers.toml"))
        .collect()
}

fn wrong_arrows(rules: &Rules, arrows: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, needs) in arrows {
        for to in needs {
            let (Some(above), Some(below)) = (rules.layers.get(from), rules.layers.get(to)) else {
                continue;
            };
            if below >= above {
                wrong.push(format!("{from} (layer {above}) needs {to} (layer {below})"));
            }
        }
    }
    wrong
}

fn impure(rules: &Rules, arrows: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in &rules.pure {
        for need in arrows.get(name).into_iter().flatten() {
            if rules.never.contains(need) {
                wrong.push(format!("{name} needs {need}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::parse("[layers]\na = 0\nb = 1\n# c\n[pure]\ncrates = a\nnever = tokio\n").unwrap()
    }

    fn arrow(from: &str, to: &str) -> Arrows {
        Arrows::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))])
    }

    #[test]
    fn an_arrow_down_is_fine_up_or_sideways_is_not() {
        assert!(wrong_arrows(&rules(), &arrow("b", "a")).is_empty());
        assert_eq!(wrong_arrows(&rules(), &arrow("a", "b")).len(), 1);
        assert_eq!(wrong_arrows(&rules(), &arrow("b", "b")).len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(unknown_crates(&rules(), &arrow("c", "a")), ["c is not in layers.toml"]);
    }

    #[test]
    fn a_pure_crate_that_needs_a_runtime_is_found() {
        assert_eq!(impure(&rules(), &arrow("a", "tokio")), ["a needs tokio"]);
        assert!(impure(&rules(), &arrow("b", "tokio")).is_empty());
    }
}
