//! `cargo xtask`: what the project does to itself.

mod codegen;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["schemas", libs] => codegen::schemas(&root, Path::new(libs)),
        ["codegen"] => codegen::codegen(&root, false),
        ["codegen", "--check"] => codegen::codegen(&root, true),
        _ => bail!("usage: cargo xtask schemas LIBS | codegen [--check]"),
    }
}
