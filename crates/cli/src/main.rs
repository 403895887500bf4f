//! The binary `naru`: a server, Kafka's tools by their own names, and friendly commands.
//!
//! The name it is called by selects the tool: `kafka-topics` (also with `.sh`) and
//! `naru kafka-topics` are the same. Nothing but choosing happens here.

#![forbid(unsafe_code)]

mod demo;
mod friendly;
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
    if let Some(code) = run_tool(name, args) {
        return code;
    }
    let Some((first, rest)) = args.split_first() else { return friendly::run(args) };
    match first.as_str() {
        "start" => return start::run(rest),
        "demo" => return demo::run(rest),
        _ => {}
    }
    run_tool(first, rest).unwrap_or_else(|| friendly::run(args))
}

/// Runs one of Kafka's tools, if `name` is one.
fn run_tool(name: &str, args: &[String]) -> Option<i32> {
    let bare = name.strip_suffix(".sh").unwrap_or(name);
    let class = args.first().filter(|_| bare == "kafka-run-class");
    if let Some("kafka-server-start") = class.and_then(|class| tools::tool_of_class(class)) {
        return Some(start::run_kafka(&args[1..]));
    }
    if bare == "kafka-server-start" {
        return Some(start::run_kafka(args));
    }
    tools::find(bare).map(|tool| (tool.run)(args)).or_else(|| tools::missing::refuse(bare))
}
