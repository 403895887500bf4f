//! Differences that the project knows and explains: the table in `docs/compatibility.md`.

use std::path::Path;

use anyhow::{Context, Result};

use super::tree::Difference;

const FILE: &str = "../../docs/compatibility.md";
const HEADING: &str = "## Answers that differ";

/// A row: API, part of the case's name, field pattern, reason.
#[derive(Debug)]
struct Row {
    api: String,
    case: String,
    field: String,
}

/// The table.
#[derive(Debug)]
pub(super) struct Known(Vec<Row>);

impl Known {
    pub(super) fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let (_, section) = text.split_once(HEADING).context("no section of differences")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let mut rows = Vec::new();
        for line in section.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [api, case, field, reason] = cells[..] else {
                anyhow::bail!("a row of {} cells: {line}", cells.len())
            };
            if api == "API" || api.starts_with("--") {
                continue;
            }
            anyhow::ensure!(!reason.is_empty(), "a row without a reason: {line}");
            rows.push(Row {
                api: api.to_owned(),
                case: case.to_owned(),
                field: field.trim_matches('`').to_owned(),
            });
        }
        Ok(Self(rows))
    }

    /// Whether a difference is in the table. A cell `*` stands for anything, and so does a `*`
    /// inside a field.
    pub(super) fn explains(&self, api: &str, case: &str, found: &Difference) -> bool {
        self.0.iter().any(|row| {
            (row.api == api || row.api == "*")
                && (row.case == "*" || case.contains(&row.case))
                && matches(&row.field, &found.path)
        })
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        assert!(matches("a.b", "a.b"));
        assert!(matches("a[*].b", "a[x].b"));
        assert!(matches("a*", "a[x].b"));
        assert!(!matches("a.b", "a.b.c"));
        assert!(!matches("a[*].b", "a[x].c"));
    }

    #[test]
    fn rows_explain_what_they_name() {
        let text = format!(
            "# C\n{HEADING}\n| API | case | field | why |\n|---|---|---|---|\n\
             | Fetch | * | `a[*]` | because |\n\n## Next\n| not | a | row |\n"
        );
        let known = Known::parse(&text).unwrap();
        let found = |path: &str| Difference {
            path: path.to_owned(),
            kafka: String::new(),
            ours: String::new(),
        };
        assert!(known.explains("Fetch", "good", &found("a[1]")));
        assert!(!known.explains("Produce", "good", &found("a[1]")));
        assert!(!known.explains("Fetch", "good", &found("b")));
    }

    #[test]
    fn the_committed_table_is_readable() {
        Known::read().unwrap();
    }
}
