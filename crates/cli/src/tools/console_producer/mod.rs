//! `kafka-console-producer`: lines of standard input become records.

mod input;
mod line_reader;

use naru_client::{Error, Producer, ProducerConfig};

use super::bootstrap::{client_config, command_config};
use super::common::{Ended, Face, block_on, finish};
use crate::options::{
    BOOTSTRAP, BROKER_LIST, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old,
    row,
};
use crate::text::{Level, Streams, class, log_line, message};
pub use input::Lines;
use line_reader::LineReader;

pub const ABOUT: &str = "This tool helps to read data from standard input and publish it to Kafka.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("topic", Takes::Text("topic"), "Where the records go."),
    row("sync", Takes::Nothing, "Waits for each record before the next is read."),
    row("batch-size", Takes::Int("bytes"), "batch.size: how large a batch gets (16384)."),
    row("max-partition-memory-bytes", Takes::Int("bytes"), "The older name of --batch-size."),
    row(
        "compression-codec",
        Takes::Maybe("codec"),
        "none, gzip, snappy, lz4 or zstd; gzip if nothing follows.",
    ),
    row("request-required-acks", Takes::Text("acks"), "0, 1, -1 or all (-1)."),
    row("request-timeout-ms", Takes::Int("ms"), "How long a broker may take (1500)."),
    row("message-send-max-retries", Takes::Int("number"), "How often a record is tried again (3)."),
    row("retry-backoff-ms", Takes::Long("ms"), "The wait before another try (100)."),
    row("timeout", Takes::Long("ms"), "linger.ms: how long a batch waits for more (1000)."),
    row("max-block-ms", Takes::Long("ms"), "How long to wait for room and metadata (60000)."),
    row("max-memory-bytes", Takes::Long("bytes"), "buffer.memory (33554432)."),
    row("metadata-expiry-ms", Takes::Long("ms"), "metadata.max.age.ms (300000)."),
    row("socket-buffer-size", Takes::Int("bytes"), "Accepted; the system chooses."),
    row("line-reader", Takes::Text("class"), "Only the reader of lines is built in."),
    row("command-property", Takes::Text("k=v"), "A setting of the producer."),
    row("producer-property", Takes::Text("k=v"), "The older name of --command-property."),
    row("producer.config", Takes::Text("file"), "The older name of --command-config."),
    row(
        "reader-property",
        Takes::Text("k=v"),
        "parse.key, parse.headers, key.separator, headers.delimiter, headers.separator, \
         headers.key.separator, null.marker, ignore.error.",
    ),
    row("property", Takes::Text("k=v"), "The older name of --reader-property."),
    row("reader-config", Takes::Text("file"), "A properties file with settings of the reader."),
    old("queue-size", Takes::Int("n"), Old::Nothing),
    old("queue-enqueuetimeout-ms", Takes::Int("ms"), Old::Nothing),
    old("key-serializer", Takes::Text("class"), Old::Nothing),
    old("value-serializer", Takes::Text("class"), Old::Nothing),
    old("old-producer", Takes::Nothing, Old::Nothing),
    old("new-producer", Takes::Nothing, Old::Nothing),
    BROKER_LIST,
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-console-producer --bootstrap-server localhost:9092 --topic orders < lines.txt",
        "kafka-console-producer --bootstrap-server localhost:9092 --topic orders --reader- \
         property parse.key=true --reader-property key.separator=:",
    ],
    error_prefix: "",
};

const CALLBACK: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["topic"], streams)?;
    if p.zookeeper.is_none() {
        FACE.require(&p, &["bootstrap-server"], streams)?;
    }
    let servers = FACE.servers(&p, "", streams)?;
    let topic = FACE.one(&p, "topic", streams)?.unwrap_or_default().to_owned();
    let fail = |text: String, streams: &mut Streams| {
        streams.error(text);
        Ended(1)
    };
    let properties = properties(&p).map_err(|text| fail(text, streams))?;
    let label = "Producer clientId=console-producer";
    let client = client_config(&servers, "console-producer", label, &properties)
        .map_err(|text| fail(text, streams))?;
    let mut config = ProducerConfig::default();
    for (name, value) in &properties {
        config.set(name, value).map_err(|error| fail(error.to_string(), streams))?;
    }
    let reader = LineReader::new(&reader_properties(&p).map_err(|text| fail(text, streams))?)
        .map_err(|text| fail(text, streams))?;
    Ok(block_on(async {
        match Producer::new(client, config) {
            Ok(producer) => {
                let code = send_lines(&producer, &topic, &reader, p.has("sync"), streams).await;
                // What could not be sent has been told record by record.
                let _ = producer.close().await;
                code
            }
            Err(error) => {
                streams.error(error.to_string());
                1
            }
        }
    }))
}

/// The producer's settings: the tool's own defaults, then the file, then single properties.
fn properties(p: &Parsed) -> Result<Vec<(String, String)>, String> {
    let text = |name: &str| p.one(name).map_err(|error| error.to_string());
    let mut all: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    for (option, name, default) in [
        ("timeout", "linger.ms", "1000"),
        ("request-required-acks", "acks", "-1"),
        ("request-timeout-ms", "request.timeout.ms", "1500"),
        ("message-send-max-retries", "retries", "3"),
        ("retry-backoff-ms", "retry.backoff.ms", "100"),
        ("max-block-ms", "max.block.ms", "60000"),
        ("max-memory-bytes", "buffer.memory", "33554432"),
        ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
    ] {
        put(name, text(option)?.unwrap_or(default));
    }
    let batch = text("max-partition-memory-bytes")?.or(text("batch-size")?);
    put("batch.size", batch.unwrap_or("16384"));
    if p.has("compression-codec") {
        let codec = text("compression-codec")?.filter(|codec| !codec.is_empty());
        put("compression.type", codec.unwrap_or("gzip"));
    }
    all.extend(command_config(p, &["command-config", "producer.config"])?);
    for pair in p.all("command-property").chain(p.all("producer-property")) {
        all.push(split_pair(pair)?);
    }
    Ok(all)
}

fn reader_properties(p: &Parsed) -> Result<Vec<(String, String)>, String> {
    let mut all = command_config(p, &["reader-config"])?;
    for pair in p.all("property").chain(p.all("reader-property")) {
        all.push(split_pair(pair)?);
    }
    Ok(all)
}

/// Reads `key=value`.
pub fn split_pair(pair: &str) -> Result<(String, String), String> {
    let invalid = || {
        // What follows a name may be a password.
        let name = pair.split([' ', ':']).next().unwrap_or_default();
        format!("Invalid command line properties: {name}")
    };
    let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn send_lines(
    producer: &Producer,
    topic: &str,
    reader: &LineReader,
    sync: bool,
    streams: &mut Streams,
) -> i32 {
    let mut lines = Lines::of_stdin();
    let mut number = 0u64;
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    loop {
        if lines.is_terminal() {
            streams.text(">");
            streams.flush();
        }
        let Some(batch) = lines.next_batch().await else { break };
        for line in batch {
            number += 1;
            let record = match reader.record(topic, &line, number) {
                Ok(record) => record,
                Err(text) => {
                    streams.error(format!("org.apache.kafka.common.KafkaException: {text}"));
                    return 1;
                }
            };
            let sizes =
                (record.key.as_ref().map(|k| k.len()), record.value.as_ref().map(|v| v.len()));
            let outcome = match producer.enqueue(record).await {
                Ok(delivery) if sync => delivery.await.map(drop),
                Ok(delivery) => {
                    // A task of its own costs more than the record; failures are looked for in
                    // order of sending, behind a channel.
                    let _ = failed.send((delivery, sizes));
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tell_failure(topic, sizes, &error, streams);
                if matches!(error, Error::Closed) {
                    return 1;
                }
            }
            while failures.len() > PENDING_MAX {
                let Some((delivery, sizes)) = failures.recv().await else { break };
                if let Err(error) = delivery.await {
                    tell_failure(topic, sizes, &error, streams);
                }
            }
        }
    }
    if producer.flush().await.is_err() {
        return 0;
    }
    drop(failed);
    while let Some((delivery, sizes)) = failures.recv().await {
        if let Err(error) = delivery.await {
            tell_failure(topic, sizes, &error, streams);
        }
    }
    0
}

/// Deliveries that are remembered before the oldest is waited for.
const PENDING_MAX: usize = 100_000;

fn tell_failure(
    topic: &str,
    (key, value): (Option<usize>, Option<usize>),
    error: &Error,
    streams: &mut Streams,
) {
    let size =
        |bytes: Option<usize>| bytes.map_or_else(|| "null".to_owned(), |n| format!("{n} bytes"));
    let text = format!(
        "Error when sending message to topic {topic} with key: {}, value: {} with error:",
        size(key),
        size(value)
    );
    streams.error(log_line(Level::Error, &text, CALLBACK));
    streams.error(format!("{}: {}", class(error), message(error)));
}
