//! `naru demo`: a broker, a producer and a consumer group in one process, streaming what this
//! machine is doing right now.
//!
//! Real records go through a real broker on a free port; any other client may join in while it
//! runs. The data lives in a temporary folder and is removed at the end.

mod machine;
mod screen;

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use naru_broker::{Loggers, RunningNode};
use naru_client::admin::NewTopic;
use naru_client::{
    Admin, ClientConfig, Consumer, ConsumerConfig, OffsetReset, Producer, ProducerConfig,
    ProducerRecord,
};
use naru_model::config::load;
use tokio::sync::watch;

use machine::Machine;
use screen::Screen;

const TOPIC: &str = "machine";
const GROUP: &str = "demo";
/// How often the machine is measured.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Records that may wait for their acknowledgement.
const PENDING_MAX: usize = 100;
/// How often a line is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

const HELP: &str = "\
Streams what this machine is doing through a broker of its own, until Ctrl-C.

Usage: naru demo [--seconds N]
";

/// Runs the demo; its exit code.
pub(crate) fn run(args: &[String]) -> i32 {
    let seconds = match parse(args) {
        Ok(Some(seconds)) => seconds,
        Ok(None) => {
            say(HELP);
            return 0;
        }
        Err(message) => {
            complain(&message);
            return 2;
        }
    };
    match demo(seconds) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error.to_string());
            1
        }
    }
}

/// How long to run; `None` if help is wanted.
fn parse(args: &[String]) -> Result<Option<Duration>, String> {
    const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Some(FOREVER)),
        ["--help" | "-h"] => Ok(None),
        ["--seconds", number] => match number.parse() {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(format!("--seconds {number}: a whole number is needed")),
        },
        _ => Err("usage: naru demo [--seconds N]".to_owned()),
    }
}

fn demo(length: Duration) -> anyhow::Result<()> {
    let folder = temporary_folder()?;
    let ran = with_node(&folder, length);
    std::fs::remove_dir_all(&folder)?;
    ran
}

fn with_node(folder: &Path, length: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    let port = free_port()?;
    let node = start_node(folder, port, free_port()?)?;
    let server = format!("127.0.0.1:{port}");
    say(&format!("A broker runs at {server} since {} ms. Ctrl-C ends it.\n", ms(began.elapsed())));
    say(&format!("Look in from another terminal: naru consume {TOPIC} -b {server}\n\n"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let streamed = runtime.block_on(stream(&server, length));
    node.stop();
    let (sent, shown) = streamed?;
    say(&format!("\n{sent} records in, {shown} out. The data is removed.\n"));
    Ok(())
}

fn start_node(folder: &Path, port: u16, controller_port: u16) -> anyhow::Result<RunningNode> {
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n",
        folder.display()
    );
    let loaded = load(Some(&properties), [], "")?;
    // Nothing that a single node waits for can be missing.
    let (_, never) = watch::channel(false);
    Ok(naru_broker::start(loaded, Loggers::silent(), &|_, _, _| {}, never)?)
}

/// Produces and consumes until the time is over or Ctrl-C; how many records went in and out.
async fn stream(server: &str, length: Duration) -> anyhow::Result<(u64, u64)> {
    let client = ClientConfig::new(server)?;
    let admin = Admin::new(client.clone());
    let topic = NewTopic { name: TOPIC.to_owned(), partitions: Some(3), ..NewTopic::default() };
    for (_, created) in admin.create_topics(&[topic], false).await? {
        created?;
    }
    let (stop, stopped) = watch::channel(false);
    let measuring = measure(client.clone(), stopped);
    let showing = show(client, length);
    let watched = async {
        let shown = showing.await;
        stop.send_replace(true);
        shown
    };
    let (sent, shown) = tokio::join!(measuring, watched);
    Ok((sent?, shown?))
}

/// Measures the machine and produces one record a figure.
async fn measure(client: ClientConfig, mut stopped: watch::Receiver<bool>) -> anyhow::Result<u64> {
    let producer = Producer::new(client, ProducerConfig::default())?;
    let mut machine = Machine::new();
    let mut deliveries = VecDeque::new();
    let mut sent = 0;
    while !*stopped.borrow() {
        for (name, value) in machine.figures() {
            let record = ProducerRecord::to(TOPIC).key(name).value(value.to_string());
            deliveries.push_back(producer.enqueue(record).await?);
            sent += 1;
        }
        while deliveries.len() > PENDING_MAX {
            if let Some(delivery) = deliveries.pop_front() {
                delivery.await?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SAMPLE_EVERY) => {}
            _ = stopped.changed() => {}
        }
    }
    producer.flush().await?;
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close().await?;
    Ok(sent)
}

/// Consumes as a group and shows what arrives.
async fn show(client: ClientConfig, length: Duration) -> anyhow::Result<u64> {
    let config = ConsumerConfig {
        group_id: Some(GROUP.to_owned()),
        offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(client, config);
    consumer.subscribe([TOPIC])?;
    let end = tokio::time::Instant::now() + length;
    let mut screen = Screen::default();
    let mut next_line = tokio::time::Instant::now() + SHOW_EVERY;
    while tokio::time::Instant::now() < end {
        tokio::select! {
            batch = consumer.next_batch() => {
                for record in batch?.records {
                    screen.take(&record);
                }
            }
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep_until(next_line.min(end)) => {
                if let Some(line) = screen.line() {
                    say(&line);
                }
                next_line += SHOW_EVERY;
            }
        }
    }
    consumer.close().await?;
    Ok(screen.total())
}

fn temporary_folder() -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("naru-demo-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

/// A port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    // A reader that went away ends the demo by its signal, not here.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "error: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_checked() {
        let parse = |args: &[&str]| parse(&args.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["--seconds", "3"]), Ok(Some(Duration::from_secs(3))));
        assert_eq!(parse(&["-h"]), Ok(None));
        assert!(parse(&["--seconds", "x"]).is_err());
        assert!(parse(&["--fast"]).is_err());
    }

    #[test]
    fn records_go_through_a_broker_and_leave_nothing() {
        let folder = temporary_folder().unwrap();
        with_node(&folder, Duration::from_millis(1500)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
