//! No source file grows beyond what a reader can hold.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use naru_testkit::outcome::Outcome;

/// More lines than this fail; generated code is exempt.
const MAX_LINES: usize = 1000;
const SOURCES: &[&str] = &["rs", "py", "java", "go", "mjs", "sh", "c"];

pub fn check(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "tools"] {
        collect(&root.join(folder), &mut files)?;
    }
    let mut long = Vec::new();
    for file in &files {
        let lines = std::fs::read_to_string(file)?.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{} has {lines} lines", file.strip_prefix(root)?.display()));
        }
    }
    let result = (|| {
        ensure!(files.len() > 10, "only {} source files found", files.len());
        ensure!(long.is_empty(), "{}", long.join("; "));
        Ok(())
    })();
    outcome.add_result("source files of at most 1000 lines", &result);
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default();
            if name != "generated" && name != "target" {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| SOURCES.iter().any(|known| e == *known)) {
            files.push(path);
        }
    }
    Ok(())
}
