//! The workloads: what runs, on which systems, which figure counts, and the mark it has to reach.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::meter::{Meter, cpu_s, memory_mib};
use super::systems::{Kind, Systems};
use super::{Figures, probe};

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Mark {
    /// Naru's figure by Kafka's, at most.
    RatioAtMost(f64),
    /// Naru's figure by Kafka's, at least.
    RatioAtLeast(f64),
    /// Naru's figure itself, at most.
    AtMost(f64),
    /// Shown only.
    None,
}

/// One workload.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    /// The systems to run, Kafka's first.
    pub systems: &'static [Kind],
    /// The figures that are judged.
    pub marks: &'static [(&'static str, Mark)],
    pub run: fn(&mut Systems, Kind) -> Result<Figures>,
}

const PROMISE_OF_KAFKA: &[Kind] = &[Kind::Kafka, Kind::NaruOs];
const PROMISE_OF_DISK: &[Kind] = &[Kind::KafkaFlush, Kind::NaruFsync];
const PRICE_OF_SAFETY: &[Kind] = &[Kind::Kafka, Kind::NaruFsync];
const CPU: &str = "cpu_s_per_mrec";
const LOAD_RSS: (&str, Mark) = ("rss_peak_mib", Mark::AtMost(150.0));

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "produce-1k",
        about: "1 M records of 1 KiB in 64 KiB batches, acks=all",
        systems: PROMISE_OF_KAFKA,
        marks: &[(CPU, Mark::RatioAtMost(0.6)), LOAD_RSS],
        run: |systems, kind| produce(systems, kind, "1000000", "1024"),
    },
    Workload {
        name: "produce-100b",
        about: "4 M records of 100 B in 64 KiB batches, acks=all",
        systems: PROMISE_OF_KAFKA,
        marks: &[(CPU, Mark::RatioAtMost(0.6)), LOAD_RSS],
        run: |systems, kind| produce(systems, kind, "4000000", "100"),
    },
    Workload {
        name: "small",
        about: "16 producers, one record of 1 KiB per request, acks=all, 5 s",
        systems: PROMISE_OF_KAFKA,
        marks: &[(CPU, Mark::RatioAtMost(0.4)), LOAD_RSS],
        run: small,
    },
    Workload {
        name: "consume-1k",
        about: "2 M records of 1 KiB from the page cache",
        systems: PROMISE_OF_KAFKA,
        marks: &[(CPU, Mark::RatioAtMost(0.8)), LOAD_RSS],
        run: |systems, kind| consume(systems, kind, "consume-1k", "2000000", "1024"),
    },
    Workload {
        name: "consume-100b",
        about: "8 M records of 100 B from the page cache",
        systems: PROMISE_OF_KAFKA,
        marks: &[(CPU, Mark::RatioAtMost(0.8)), LOAD_RSS],
        run: |systems, kind| consume(systems, kind, "consume-100b", "8000000", "100"),
    },
    Workload {
        name: "e2e-1k",
        about: "1000 records/s of 1 KiB without linger, send to poll",
        systems: PROMISE_OF_KAFKA,
        marks: &[("p50_ms", Mark::RatioAtMost(0.8))],
        run: |systems, kind| e2e(systems, kind, "1000"),
    },
    Workload {
        name: "e2e-10k",
        about: "10000 records/s of 1 KiB without linger, send to poll",
        systems: PROMISE_OF_KAFKA,
        marks: &[("p99_ms", Mark::AtMost(20.0))],
        run: |systems, kind| e2e(systems, kind, "10000"),
    },
    Workload {
        name: "fsync-batches",
        about: "500 k records of 1 KiB in 64 KiB batches, acknowledged from the disk",
        systems: PROMISE_OF_DISK,
        marks: &[("rec_s", Mark::RatioAtLeast(5.0))],
        run: |systems, kind| produce(systems, kind, "500000", "1024"),
    },
    Workload {
        name: "fsync-small",
        about: "16 producers, one record of 1 KiB per request, acknowledged from the disk",
        systems: PROMISE_OF_DISK,
        marks: &[("rec_s", Mark::RatioAtLeast(5.0))],
        run: small,
    },
    Workload {
        name: "safety",
        about: "produce-1k, Naru from the disk and Kafka from the page cache: the price of safety",
        systems: PRICE_OF_SAFETY,
        marks: &[("rec_s", Mark::None), (CPU, Mark::None)],
        run: |systems, kind| produce(systems, kind, "1000000", "1024"),
    },
    Workload {
        name: "start",
        about: "an empty directory: time to the first answer, memory a second later",
        systems: PROMISE_OF_KAFKA,
        marks: &[("first_answer_ms", Mark::AtMost(100.0)), ("rss_mib", Mark::AtMost(25.0))],
        run: start,
    },
    Workload {
        name: "crash-2g",
        about: "kill -9 with 2 GiB of log: time until every partition answers again",
        systems: PROMISE_OF_KAFKA,
        marks: &[("ready_s", Mark::AtMost(2.0))],
        run: crash,
    },
];

const BATCHES: [&str; 6] = ["-X", "acks=-1", "-X", "batch.size=65536", "-X", "linger.ms=5"];

fn figure(value: &Value, name: &str) -> Result<f64> {
    value[name].as_f64().with_context(|| format!("no {name} in {value}"))
}

/// Runs a load on the broker and adds what the broker used to what the load says.
fn metered(
    systems: &Systems,
    kind: Kind,
    pid: u32,
    topic: &str,
    args: &[&str],
    keep: &[&'static str],
) -> Result<Figures> {
    let meter = Meter::begin(pid)?;
    let said = systems.load(kind, topic, args)?;
    let mut figures = meter.end(figure(&said, "records")?, figure(&said, "client_cpu_s")?)?;
    for name in keep {
        figures.insert(name, figure(&said, name)?);
    }
    Ok(figures)
}

fn produce(systems: &mut Systems, kind: Kind, count: &str, size: &str) -> Result<Figures> {
    let (_, pid) = systems.broker(kind)?;
    let topic = systems.topic(kind)?;
    let args = [&["tput", "-n", count, "-s", size], &BATCHES[..]].concat();
    metered(systems, kind, pid, &topic, &args, &["rec_s", "mb_s"])
}

fn small(systems: &mut Systems, kind: Kind) -> Result<Figures> {
    let (_, pid) = systems.broker(kind)?;
    let topic = systems.topic(kind)?;
    let args = ["small", "-P", "16", "-d", "5", "-s", "1024", "-X", "acks=-1"];
    metered(systems, kind, pid, &topic, &args, &["rec_s", "mb_s"])
}

fn consume(
    systems: &mut Systems,
    kind: Kind,
    name: &'static str,
    count: &str,
    size: &str,
) -> Result<Figures> {
    let (_, pid) = systems.broker(kind)?;
    let fill = [&["tput", "-n", count, "-s", size], &BATCHES[..]].concat();
    let topic = systems.filled(kind, name, &fill)?;
    metered(systems, kind, pid, &topic, &["consume", "-n", count, "-s", size], &["rec_s", "mb_s"])
}

fn e2e(systems: &mut Systems, kind: Kind, rate: &str) -> Result<Figures> {
    let (_, pid) = systems.broker(kind)?;
    let topic = systems.topic(kind)?;
    let args = ["e2e", "-r", rate, "-d", "8", "-s", "1024", "-X", "acks=-1"];
    metered(systems, kind, pid, &topic, &args, &["p50_ms", "p99_ms", "p999_ms"])
}

fn start(systems: &mut Systems, kind: Kind) -> Result<Figures> {
    let mut broker = systems.fresh(kind)?;
    let first_answer = broker.start_again()?;
    std::thread::sleep(Duration::from_secs(1));
    let pid = broker.pid()?;
    let mut figures = Figures::from([
        ("first_answer_ms", first_answer.as_secs_f64() * 1e3),
        ("rss_mib", memory_mib(pid, "VmRSS:")?),
        ("start_cpu_s", cpu_s(pid)?),
    ]);
    let began = Instant::now();
    broker.stop()?;
    figures.insert("stop_ms", began.elapsed().as_secs_f64() * 1e3);
    figures.insert("clean_start_ms", broker.start_again()?.as_secs_f64() * 1e3);
    Ok(figures)
}

fn crash(systems: &mut Systems, kind: Kind) -> Result<Figures> {
    const TOPIC: &str = "crash";
    const PARTITIONS: i32 = 6;
    let mut broker = systems.fresh(kind)?;
    broker.start_again()?;
    probe::create_topic(broker.port(), TOPIC, PARTITIONS, &[])?;
    let fill = [&["tput", "-n", "2000000", "-s", "1024"], &BATCHES[..]].concat();
    systems.load_on(broker.port(), TOPIC, &fill)?;
    let records = |port: u16| -> Result<i64> {
        (0..PARTITIONS).map(|partition| probe::end_offset(port, TOPIC, partition)).sum()
    };
    let before = records(broker.port())?;
    broker.kill()?;
    let began = Instant::now();
    let first_answer = broker.start_again()?;
    for partition in 0..PARTITIONS {
        probe::wait_for_log(broker.port(), TOPIC, partition)?;
    }
    let ready = began.elapsed();
    let after = records(broker.port())?;
    anyhow::ensure!(before == after, "{before} records before the kill, {after} after it");
    Ok(Figures::from([
        ("first_answer_s", first_answer.as_secs_f64()),
        ("ready_s", ready.as_secs_f64()),
        ("recovery_cpu_s", cpu_s(broker.pid()?)?),
    ]))
}
