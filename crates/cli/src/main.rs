//! The binary `naru`: a server, Kafka's tools by their own names, and friendly commands.
//!
//! The name it is called by selects the tool: `kafka-topics` (also with `.sh`) and
//! `naru kafka-topics` are the same. Nothing but choosing happens here.

#![forbid(unsafe_code)]

mod options;
mod start;
mod text;
mod tools;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> =
        std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let name = if args.is_empty() { String::new() } else { args.remove(0) };
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned());
    let code = dispatch(name.as_deref().unwrap_or("naru"), &args);
    ExitCode::from(u8::try_from(code.rem_euclid(256)).unwrap_or(1))
}

/// Runs what is called `name`; its exit code.
fn dispatch(name: &str, args: &[String]) -> i32 {
    if let Some(tool) = tools::find(name) {
        return (tool.run)(args);
    }
    if matches!(name, "kafka-server-start" | "kafka-server-start.sh") {
        return start::run_kafka(args);
    }
    match args.split_first() {
        Some((first, rest)) if first == "start" => start::run(rest),
        Some((first, rest)) if first == "kafka-server-start" => start::run_kafka(rest),
        Some((first, rest)) => match tools::find(first) {
            Some(tool) => (tool.run)(rest),
            None => 2,
        },
        None => 2,
    }
}
