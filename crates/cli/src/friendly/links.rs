//! `naru install-links`: every tool by its own name, in a directory of the user's choice.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::context::{Command, Context, HELP};
use super::failure::Failure;
use crate::tools::TOOLS;

pub const COMMAND: Command = Command {
    name: "install-links",
    aliases: &[],
    about: "Makes links to this program, so that each tool can be called by its name.",
    usage: "install-links DIRECTORY",
    rows: &[HELP],
    examples: &["naru install-links ~/bin", "naru install-links /opt/kafka/bin"],
    work: |context| Box::pin(install(context)),
};

async fn install(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("directory")?;
    let [dir] = names.as_slice() else { return Err(Failure::usage("one directory")) };
    let dir = Path::new(dir);
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let tools = TOOLS.iter().map(|tool| tool.name).chain(["kafka-server-start", "naru"]);
    let mut made = 0;
    for name in tools {
        for link in [name.to_owned(), format!("{name}.sh")] {
            let link = dir.join(link);
            match symlink(&program, &link) {
                Ok(()) => made += 1,
                // What is there already is not ours to replace.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    context.streams.line(format!("{made} links in {}", dir.display()));
    Ok(0)
}
