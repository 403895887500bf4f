//! What the binary does without any broker: names, usage, exit codes, streams.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn naru(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.args(args).env_remove("NARU_BOOTSTRAP").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn check(args: &[&str], code: i32, out: &str, err_begins: &str) {
    let output = naru(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), out, "{args:?}");
    assert!(stderr(&output).starts_with(err_begins), "{args:?}: {}", stderr(&output));
}

#[test]
fn a_link_named_like_a_tool_is_that_tool() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["kafka-topics", "kafka-topics.sh"] {
        let link = dir.path().join(name);
        symlink(env!("CARGO_BIN_EXE_naru"), &link).unwrap();
        let output = Command::new(link).arg("--version").output().unwrap();
        assert_eq!(stdout(&output), "4.3.1\n");
    }
    check(&["kafka-topics", "--version"], 0, "4.3.1\n", "");
    check(&["kafka-run-class", "kafka.admin.TopicCommand", "--version"], 0, "4.3.1\n", "");
}

#[test]
fn wrong_options_are_told_in_kafkas_words() {
    let unknown = "lst is not a recognized option\nDid you mean --list?\n";
    check(&["kafka-topics", "--bootstrap-server", NOWHERE, "--lst"], 1, "", unknown);
    let missing = "Missing required argument \"[topic]\"\n";
    check(&["kafka-topics", "--bootstrap-server", NOWHERE, "--create"], 1, "", missing);
    let value = "Option topic requires an argument";
    check(&["kafka-topics", "--topic"], 1, "", value);
    let number = "Cannot parse argument 'x' of option partitions";
    check(&["kafka-topics", "--create", "--partitions", "x"], 1, "", number);
    check(&["kafka-topics"], 1, "", "Create, delete, describe, or change a topic.\n");
    check(&["kafka-topics", "--list"], 1, "", "--bootstrap-server must be specified\n");
    let action = "Command must include exactly one action: ";
    check(&["kafka-topics", "--list", "--create"], 1, "", action);
    let offset = "The partition is required when offset is specified.\n";
    let args = ["kafka-console-consumer", "--bootstrap-server", NOWHERE, "--topic", "t"];
    check(&[&args[..], &["--offset", "latest"]].concat(), 1, "", offset);
    check(&["kafka-get-offsets", "--wat"], 1, "", "Error occurred: wat is not a recognized option");
}

#[test]
fn friendly_usage_errors_end_with_2_and_name_the_option() {
    check(&["topc"], 2, "", "error: there is no command 'topc'\nhint: did you mean 'naru topic'?");
    let number = "error: --partitions needs a number, not 'x'\n";
    check(&["topic", "create", "t", "--partitions", "x"], 2, "", number);
    let option = "error: there is no option --outptu here\nhint: did you mean --output?\n";
    check(&["topic", "ls", "--outptu", "json"], 2, "", option);
    check(&["topic", "describe"], 2, "", "error: which topic?\n");
}

#[test]
fn nobody_listening_is_told_within_three_seconds_with_exit_code_4() {
    for args in [
        &["topic", "ls", "-b", NOWHERE][..],
        &["consume", "t", "-b", NOWHERE],
        &["produce", "t", "v", "-b", NOWHERE],
        &["group", "ls", "-b", NOWHERE],
    ] {
        let began = Instant::now();
        let output = naru(args);
        assert!(began.elapsed() < Duration::from_secs(3), "{args:?}");
        assert_eq!(output.status.code(), Some(4), "{args:?}");
        assert!(stderr(&output).lines().count() <= 3, "{args:?}");
        assert!(stderr(&output).contains("cannot reach 127.0.0.1:1"), "{args:?}");
    }
}

#[test]
fn kafkas_tools_warn_once_and_then_say_that_no_node_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("client.properties");
    std::fs::write(&config, "default.api.timeout.ms=300\n").unwrap();
    let config = config.to_string_lossy().into_owned();
    let args =
        ["kafka-topics", "--bootstrap-server", NOWHERE, "--list", "--command-config", &config];
    let output = naru(&args);
    assert_eq!(output.status.code(), Some(1));
    let expect = "Error while executing topic command : Timed out waiting for a node assignment. \
                  Call: listTopics\n";
    assert_eq!(stdout(&output), expect);
    assert_eq!(stderr(&output).matches(" WARN ").count(), 1, "{}", stderr(&output));
}

#[test]
fn nothing_writes_colour_into_a_pipe() {
    for args in
        [&["help"][..], &["topic", "ls", "--help"], &["kafka-topics", "--help"], &["version"]]
    {
        let output = naru(args);
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.contains(&0x1b), "{args:?}");
    }
}

#[test]
fn a_formatted_directory_is_described_and_not_formatted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").to_string_lossy().into_owned();
    let file = dir.path().join("server.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=3\nlog.dirs={data}\n\
         listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
         controller.listener.names=CONTROLLER\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy().into_owned();
    let id = stdout(&naru(&["kafka-storage", "random-uuid"])).trim().to_owned();
    assert_eq!(id.len(), 22);
    let format = ["kafka-storage", "format", "-t", &id, "-c", &file, "--standalone"];
    let output = naru(&format);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let again = format!("Log directory {data} is already formatted.");
    check(&format, 1, "", &again);
    let info = stdout(&naru(&["kafka-storage", "info", "-c", &file]));
    assert!(info.starts_with(&format!("Found log directory:\n  {data}\n\n")), "{info}");
    assert!(info.contains(&format!("{{cluster.id={id}, directory.id=")), "{info}");
    let bootstrap = format!("{data}/bootstrap.checkpoint");
    let dump = ["kafka-dump-log", "--cluster-metadata-decoder", "--files", &bootstrap];
    let dumped = stdout(&naru(&dump));
    assert!(dumped.contains(r#"{"name":"metadata.version","featureLevel":30}"#), "{dumped}");
}
