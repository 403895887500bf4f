//! Help texts and suggestions, from the rows.

use std::fmt::Write as _;

use super::{Row, Takes};

/// Widest option column.
const COLUMN_MAX: usize = 42;

/// The help of a tool: what it is for, its options by name, examples.
pub fn help(about: &str, rows: &[Row], examples: &[&str]) -> String {
    let mut text = format!("{about}\n\n");
    let mut shown: Vec<(String, &str)> =
        rows.iter().filter(|row| row.old.is_none()).map(|row| (left(row), row.help)).collect();
    shown.sort();
    let width = shown.iter().map(|(left, _)| left.len()).max().unwrap_or(0).min(COLUMN_MAX);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:width$}  Description", "Option");
    let _ = writeln!(text, "{:width$}  -----------", "------");
    for (left, help) in shown {
        let _ = writeln!(text, "{left:width$}  {help}");
    }
    if !examples.is_empty() {
        let _ = writeln!(text, "\nExamples:");
        for example in examples {
            let _ = writeln!(text, "  {example}");
        }
    }
    text
}

fn left(row: &Row) -> String {
    let short = row.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    match row.takes {
        Takes::Nothing => format!("{short}--{}", row.name),
        Takes::Text(what) | Takes::Int(what) | Takes::Long(what) => {
            format!("{short}--{} <{what}>", row.name)
        }
        Takes::Maybe(what) => format!("{short}--{} [{what}]", row.name),
    }
}

/// The candidate that `typed` was most likely meant to be: at most two letters away, or with the
/// same beginning.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            let near = distance(typed, candidate);
            let starts = typed.len() >= 2 && candidate.starts_with(typed);
            (if starts { near.min(2) } else { near }, candidate)
        })
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(left != right)).min(last[j + 1] + 1);
            best = best.min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *right && *left == b[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
