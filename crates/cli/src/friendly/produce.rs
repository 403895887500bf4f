//! `naru produce`.

use std::io::IsTerminal as _;
use std::time::Duration;

use bytes::Bytes;
use naru_client::{Delivery, Error, Producer, ProducerConfig, ProducerRecord};
use naru_model::ErrorCode;

use super::context::{BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, TIMEOUT, topic_failure};
use super::failure::{Failure, PARTLY};
use super::record::from_json;
use crate::options::{Row, Takes, row};
use crate::tools::Lines;

pub const COMMAND: Command = Command {
    name: "produce",
    aliases: &["p"],
    about: "Sends records to a topic: the arguments, else the lines of standard input.",
    usage: "produce TOPIC [VALUE]... [-k KEY] [-H NAME:VALUE]... [-i lines|ndjson]",
    rows: ROWS,
    examples: &[
        "echo hello | naru produce greetings",
        "naru produce orders '{\"id\":1}' -k 1 -H source:shell",
        "naru consume a --from start -e -o ndjson | naru produce b -i ndjson",
    ],
    work: |context| Box::pin(produce(context)),
};

static ROWS: &[Row] = &[
    BOOTSTRAP,
    BOOTSTRAP_SERVER,
    TIMEOUT,
    HELP,
    row("key", Takes::Text("key"), "The key of every record.").short('k'),
    row("header", Takes::Text("name:value"), "A header of every record; may be repeated.")
        .short('H'),
    row("partition", Takes::Text("number"), "The partition.").short('p'),
    row("input", Takes::Text("form"), "lines (default) or ndjson, as consume -o ndjson writes it.")
        .short('i'),
    row("key-separator", Takes::Text("text"), "What stands between key and value in a line.")
        .short('K'),
    row("compression", Takes::Text("codec"), "gzip, snappy, lz4 or zstd.").short('z'),
    row("tombstone", Takes::Nothing, "A record without a value; needs --key."),
    row("acks", Takes::Text("acks"), "0, 1 or all (all)."),
    row("quiet", Takes::Nothing, "Says nothing when all went well.").short('q'),
];

/// A topic that is not there by then will not be made by itself.
const TOPIC_WAIT: Duration = Duration::from_secs(2);
/// Deliveries that are remembered before the oldest is waited for.
const PENDING_MAX: usize = 50_000;

/// What all records have in common.
struct Template {
    topic: String,
    key: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
    partition: Option<i32>,
    ndjson: bool,
    key_separator: Option<String>,
}

async fn produce(context: &mut Context) -> Result<i32, Failure> {
    let words = context.names("topic")?;
    let template = template(context, &words[0])?;
    let client = context.client()?;
    let mut config = ProducerConfig { max_block: client.api_timeout, ..ProducerConfig::default() };
    config.delivery_timeout = client.api_timeout.max(Duration::from_secs(1));
    config.linger = Duration::from_millis(2);
    config.batch_size = 64 << 10;
    if let Some(codec) = context.value("compression")? {
        config.set("compression.type", &codec)?;
    }
    if let Some(acks) = context.value("acks")? {
        config.set("acks", &acks)?;
    }
    let producer = Producer::new(client, config)?;
    let prepared = tokio::time::timeout(TOPIC_WAIT, producer.prepare(&template.topic)).await;
    let unknown = Err(Error::code_only(ErrorCode::UnknownTopicOrPartition));
    if let Err(error) = prepared.unwrap_or(unknown) {
        let admin = naru_client::Admin::over(producer.cluster().clone());
        let failure = topic_failure(&admin, &template.topic, error).await;
        return Err(Failure { text: format!("record 1: {}", failure.text), ..failure });
    }
    let mut sent = Sent::default();
    if context.options.has("tombstone") {
        if template.key.is_none() {
            return Err(Failure::usage("--tombstone needs --key"));
        }
        sent.put(&producer, template.record(None)?).await;
    } else if words.len() > 1 {
        for value in &words[1..] {
            let record = template.record(Some(Bytes::copy_from_slice(value.as_bytes())))?;
            sent.put(&producer, record).await;
        }
    } else {
        send_stdin(context, &producer, &template, &mut sent).await?;
    }
    sent.settle(0).await;
    // What failed has been counted.
    let _ = producer.close().await;
    sent.tell(context, &template.topic)
}

fn template(context: &Context, topic: &str) -> Result<Template, Failure> {
    let bytes = |text: String| Bytes::from(text.into_bytes());
    let mut headers = Vec::new();
    for header in context.options.all("header") {
        let split = header.split_once([':', '=']);
        let (name, value) =
            split.ok_or_else(|| Failure::usage(format!("'{header}' is not name:value")))?;
        headers.push((name.to_owned(), Some(bytes(value.trim_start().to_owned()))));
    }
    let ndjson = match context.value("input")?.as_deref() {
        None | Some("lines") => false,
        Some("ndjson" | "json") => true,
        Some(other) => {
            return Err(Failure::usage(format!("--input is lines or ndjson, not '{other}'")));
        }
    };
    Ok(Template {
        topic: topic.to_owned(),
        key: context.value("key")?.map(bytes),
        headers,
        partition: context.number("partition")?,
        ndjson,
        key_separator: context.value("key-separator")?,
    })
}

impl Template {
    fn record(&self, value: Option<Bytes>) -> Result<ProducerRecord, Failure> {
        let mut record = match (&value, self.ndjson) {
            (Some(line), true) => from_json(line, &self.topic).map_err(Failure::usage)?,
            _ => ProducerRecord { value, ..ProducerRecord::to(self.topic.clone()) },
        };
        if let (Some(separator), false, Some(line)) =
            (&self.key_separator, self.ndjson, &record.value)
        {
            let needle = separator.as_bytes();
            let at = line.windows(needle.len().max(1)).position(|window| window == needle);
            let at = at.ok_or_else(|| Failure::usage(format!("no '{separator}' in the line")))?;
            record.key = Some(line.slice(..at));
            record.value = Some(line.slice(at + needle.len()..));
        }
        if self.key.is_some() {
            record.key.clone_from(&self.key);
        }
        record.headers.extend(self.headers.iter().cloned());
        record.partition = self.partition;
        Ok(record)
    }
}

async fn send_stdin(
    context: &mut Context,
    producer: &Producer,
    template: &Template,
    sent: &mut Sent,
) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        context.streams.error("Each line is a record; Ctrl-D ends.");
    }
    let mut lines = Lines::of_stdin();
    while let Some(batch) = lines.next_batch().await {
        for line in batch {
            let number = sent.count + 1;
            let record = template.record(Some(line)).map_err(|failure| Failure {
                text: format!("line {number}: {}", failure.text),
                ..failure
            })?;
            sent.put(producer, record).await;
        }
        if sent.failed > 0 && sent.done == 0 {
            break;
        }
        if lines.is_terminal() {
            sent.settle(0).await;
        }
    }
    Ok(())
}

/// What became of the records.
#[derive(Default)]
struct Sent {
    count: u64,
    done: u64,
    failed: u64,
    waiting: std::collections::VecDeque<(u64, Delivery)>,
    last: Option<naru_client::Delivered>,
    /// The first record that failed, and why.
    first_failure: Option<(u64, Error)>,
}

impl Sent {
    async fn put(&mut self, producer: &Producer, record: ProducerRecord) {
        self.count += 1;
        match producer.enqueue(record).await {
            Ok(delivery) => self.waiting.push_back((self.count, delivery)),
            Err(error) => self.fail(self.count, error),
        }
        self.settle(PENDING_MAX).await;
    }

    fn fail(&mut self, number: u64, error: Error) {
        self.failed += 1;
        self.first_failure.get_or_insert((number, error));
    }

    /// Waits until at most `left` records have no outcome.
    async fn settle(&mut self, left: usize) {
        while self.waiting.len() > left {
            let Some((number, delivery)) = self.waiting.pop_front() else { break };
            match delivery.await {
                Ok(delivered) => {
                    self.done += 1;
                    self.last = Some(delivered);
                }
                Err(error) => self.fail(number, error),
            }
        }
    }

    fn tell(self, context: &mut Context, topic: &str) -> Result<i32, Failure> {
        if let Some((number, error)) = self.first_failure {
            let too_large = error.code() == ErrorCode::MessageTooLarge;
            let failure = Failure::from(error);
            let text = format!(
                "record {number}: {} ({} sent, {} not)",
                failure.text, self.done, self.failed
            );
            let code = if self.done > 0 { PARTLY } else { failure.code };
            let hint = failure.hint.filter(|_| too_large || self.done == 0);
            return Err(Failure { text, hint, code });
        }
        if !context.options.has("quiet") {
            let place = match (&self.last, self.done) {
                (Some(last), 1) => {
                    let offset = last.offset.map(|o| format!(", offset {o}")).unwrap_or_default();
                    format!(" (partition {}{offset})", last.partition.partition)
                }
                _ => String::new(),
            };
            let records = if self.done == 1 { "record" } else { "records" };
            context.streams.error(format!("{} {records} to {topic}{place}", self.done));
        }
        Ok(0)
    }
}
