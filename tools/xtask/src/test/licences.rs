//! Licences of everything that is built, against a committed list.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use naru_testkit::outcome::Outcome;

pub fn check(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let text = std::fs::read_to_string(root.join("tools/xtask/licences.toml"))?;
    let allowed = allowed(&text);
    let metadata = super::layers::metadata(root)?;
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let licence = package["license"].as_str().unwrap_or("none named");
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{}: {licence}", package["name"].as_str().unwrap_or("?")));
        }
    }
    let result = (|| {
        ensure!(wrong.is_empty(), "not allowed: {}", wrong.join("; "));
        Ok(())
    })();
    outcome.add_result("licences of all packages", &result);
    Ok(())
}

fn allowed(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix("allowed = ")).map(str::to_owned).collect()
}

/// An SPDX expression: `OR` needs one side, `AND` both; `/` is an old way to write `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let text = expression.replace('/', " OR ");
    let text = text.trim();
    if let Some((left, right)) = split_outside(text, " OR ") {
        return is_allowed(left, allowed) || is_allowed(right, allowed);
    }
    if let Some((left, right)) = split_outside(text, " AND ") {
        return is_allowed(left, allowed) && is_allowed(right, allowed);
    }
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(text),
    }
}

/// Splits at the first `word` that is not inside parentheses.
fn split_outside<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    text.match_indices(word).find_map(|(at, _)| {
        let (left, right) = (&text[..at], &text[at + word.len()..]);
        (left.matches('(').count() == left.matches(')').count()).then_some((left, right))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_sum_needs_all() {
        let allowed = allowed("# c\nallowed = MIT\nallowed = Zlib\n");
        let cases = [
            ("MIT", true),
            ("MIT/GPL-3.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND Zlib", true),
            ("(GPL-3.0 AND MIT) OR Zlib", true),
            ("GPL-3.0", false),
            ("none named", false),
        ];
        for (expression, want) in cases {
            assert_eq!(is_allowed(expression, &allowed), want, "{expression}");
        }
    }
}
