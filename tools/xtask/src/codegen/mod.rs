//! Kafka's message schemas: extracted as bare facts from the released jars, then turned into Rust.
//!
//! `schemas LIBS` reads the jars' JSON files and writes `crates/protocol/schemas/*.schema`
//! (names, types, versions, tags, defaults; nothing else). `codegen` turns those files into
//! `crates/protocol/src/generated/`; `codegen --check` fails when the committed code is stale.

mod errors;
mod extract;
mod names;
mod rust;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use naru_schema::{Schema, load};

/// `xtask schemas LIBS`: rewrites the schema files from the jars in `libs`.
pub fn schemas(root: &Path, libs: &Path) -> Result<()> {
    let folder = root.join("crates/protocol/schemas");
    std::fs::create_dir_all(&folder)?;
    let mut count = 0;
    for schema in extract::from_jars(libs)? {
        std::fs::write(folder.join(format!("{}.schema", schema.name)), schema.to_text())?;
        count += 1;
    }
    println!("{count} schemas written to crates/protocol/schemas");
    Ok(())
}

/// `xtask codegen [--check]`: writes, or compares, the generated Rust.
pub fn codegen(root: &Path, check: bool) -> Result<()> {
    let wanted = generated_files(&load(&root.join("crates/protocol/schemas"))?)?;
    let folder = root.join("crates/protocol/src/generated");
    if check {
        return compare(&folder, &wanted);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    for (name, text) in &wanted {
        std::fs::write(folder.join(name), text)?;
    }
    println!("{} files written to crates/protocol/src/generated", wanted.len());
    Ok(())
}

fn generated_files(schemas: &[Schema]) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut modules = Vec::new();
    for schema in schemas.iter().filter(|schema| names::is_generated(schema)) {
        let module = names::snake(&schema.name);
        files.insert(format!("{module}.rs"), format_rust(&rust::message(schema)?)?);
        modules.push((module, schema.name.clone()));
    }
    files.insert("mod.rs".to_owned(), format_rust(&rust::module_list(&modules))?);
    files.insert("api_key.rs".to_owned(), format_rust(&rust::api_keys(schemas)?)?);
    files.insert("metadata_record.rs".to_owned(), format_rust(&rust::metadata_records(schemas))?);
    Ok(files)
}

fn format_rust(source: &str) -> Result<String> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "max_width=100,use_small_heuristics=Max"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt")?;
    child.stdin.take().context("rustfmt's input")?.write_all(source.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused generated code:\n{source}");
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn compare(folder: &Path, wanted: &BTreeMap<String, String>) -> Result<()> {
    let mut stale = Vec::new();
    for (name, text) in wanted {
        if std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text) {
            stale.push(name.clone());
        }
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !wanted.contains_key(&name) {
            stale.push(name);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!("generated code is stale, run `cargo xtask codegen`: {}", stale.join(", "))
}
