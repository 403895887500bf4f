//! `kafka-console-consumer`: records become lines of standard output.

mod formatter;

use std::time::Duration;

use naru_client::admin::OffsetSpec;
use naru_client::{Consumer, ConsumerConfig, Error, TopicPartition};
use tokio::time::timeout;

use super::bootstrap::{client_config, command_config};
use super::common::{Ended, Face, block_on, finish};
use super::console_options::{
    COMMAND_PROPERTY, CONSUMER_PROPERTY, FORMATTER, FORMATTER_CONFIG, KEY_DESERIALIZER,
    MAX_MESSAGES, PROPERTY, SYSTEST_EVENTS, VALUE_DESERIALIZER,
};
use super::console_producer::split_pair;
use super::filter::TopicFilter;
use crate::options::{
    BOOTSTRAP, BROKER_LIST, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old,
    row,
};
use crate::text::{Level, Streams, exception, log_line};
pub(super) use formatter::{About, Formatter};

pub const ABOUT: &str =
    "This tool helps to read data from Kafka topics and outputs it to standard output.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("topic", Takes::Text("topic"), "The topic to read."),
    row("include", Takes::Text("regex"), "The topics to read, as a regular expression."),
    row("group", Takes::Text("group"), "The group to join; one of its own if left out."),
    row("partition", Takes::Int("number"), "Only this partition, without a group."),
    row(
        "offset",
        Takes::Text("offset"),
        "With --partition: earliest, latest or a number (latest).",
    ),
    row("from-beginning", Takes::Nothing, "Begins with the oldest record if nothing is committed."),
    MAX_MESSAGES,
    row("timeout-ms", Takes::Long("ms"), "Ends when no record has come for so long."),
    row("skip-message-on-error", Takes::Nothing, "Goes on after a record that cannot be shown."),
    row("isolation-level", Takes::Text("level"), "read_committed or read_uncommitted."),
    FORMATTER,
    row(
        "formatter-property",
        Takes::Text("k=v"),
        "print.timestamp, print.partition, print.offset, print.epoch, print.delivery, \
         print.headers, print.key, print.value, key.separator, line.separator, headers.separator, \
         null.literal.",
    ),
    FORMATTER_CONFIG,
    PROPERTY,
    COMMAND_PROPERTY,
    CONSUMER_PROPERTY,
    row("consumer.config", Takes::Text("file"), "The older name of --command-config."),
    KEY_DESERIALIZER,
    VALUE_DESERIALIZER,
    SYSTEST_EVENTS,
    old("whitelist", Takes::Text("regex"), Old::Same("include")),
    old("new-consumer", Takes::Nothing, Old::Nothing),
    old("old-consumer", Takes::Nothing, Old::Nothing),
    old("delete-consumer-offsets", Takes::Nothing, Old::Nothing),
    old("csv-reporter-enabled", Takes::Nothing, Old::Nothing),
    old("metrics-dir", Takes::Text("dir"), Old::Nothing),
    BROKER_LIST,
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning",
        "kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --partition 0 \
         --offset 42 --max-messages 1",
    ],
    error_prefix: "",
};

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// What is to be read, and when to stop.
struct Plan {
    what: What,
    until: Until,
}

/// When to stop.
#[derive(Clone, Copy)]
struct Until {
    max: Option<u64>,
    timeout: Option<Duration>,
    skip_errors: bool,
}

enum What {
    Topic(String),
    Include(TopicFilter),
    Partition(TopicPartition, OffsetSpec),
    PartitionAt(TopicPartition, i64),
}

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    if p.has("topic") == p.has("include") {
        let text = "Exactly one of the following arguments is required: [topic], [include]";
        return Err(FACE.usage(text, streams));
    }
    if p.zookeeper.is_none() {
        FACE.require(&p, &["bootstrap-server"], streams)?;
    }
    let plan = plan(&p, streams)?;
    let servers = FACE.servers(&p, "", streams)?;
    let properties = properties(&p).map_err(|text| FACE.usage(&text, streams))?;
    let mut config = ConsumerConfig::default();
    for (name, value) in &properties {
        config.set(name, value).map_err(|error| FACE.usage(&error.to_string(), streams))?;
    }
    let given = config.group_id.is_some();
    let group = config.group_id.get_or_insert_with(own_group).clone();
    if !given && !properties.iter().any(|(name, _)| name == "enable.auto.commit") {
        config.auto_commit = false;
    }
    let label = format!("Consumer clientId=console-consumer, groupId={group}");
    let client = client_config(&servers, "console-consumer", label.leak(), &properties)
        .map_err(|text| FACE.usage(&text, streams))?;
    let formatter = formatter(&p).map_err(|text| FACE.usage(&text, streams))?;
    Ok(block_on(consume(Consumer::new(client, config), plan, &formatter, streams)))
}

fn plan(p: &Parsed, streams: &mut Streams) -> Result<Plan, Ended> {
    let partition = FACE.number::<i32>(p, "partition", streams)?;
    let offset = FACE.one(p, "offset", streams)?;
    let topic = FACE.one(p, "topic", streams)?.map(str::to_owned);
    if offset.is_some() && partition.is_none() {
        return Err(FACE.usage("The partition is required when offset is specified.", streams));
    }
    if partition.is_some() && topic.is_none() {
        return Err(FACE.usage("The topic is required when partition is specified.", streams));
    }
    if offset.is_some() && p.has("from-beginning") {
        let text = "Options from-beginning and offset cannot be specified together.";
        return Err(FACE.usage(text, streams));
    }
    let what = match (partition, topic) {
        (Some(partition), Some(topic)) => {
            let partition = TopicPartition::new(topic, partition);
            let begin = p.has("from-beginning");
            match offset.map(str::to_lowercase).as_deref() {
                None if begin => What::Partition(partition, OffsetSpec::Earliest),
                None | Some("latest") => What::Partition(partition, OffsetSpec::Latest),
                Some("earliest") => What::Partition(partition, OffsetSpec::Earliest),
                Some(number) => match number.parse::<i64>() {
                    Ok(offset) if offset >= 0 => What::PartitionAt(partition, offset),
                    _ => {
                        let text = format!(
                            "The provided offset value '{number}' is incorrect. Valid values are \
                             'earliest', 'latest', or a non-negative long."
                        );
                        return Err(FACE.usage(&text, streams));
                    }
                },
            }
        }
        (_, Some(topic)) => What::Topic(topic),
        (_, None) => {
            let pattern = FACE.one(p, "include", streams)?.unwrap_or_default();
            What::Include(TopicFilter::new(pattern).map_err(|text| FACE.usage(&text, streams))?)
        }
    };
    let max = FACE.number::<i64>(p, "max-messages", streams)?;
    let wait = FACE.number::<i64>(p, "timeout-ms", streams)?;
    let until = Until {
        max: max.and_then(|max| u64::try_from(max).ok()),
        timeout: wait.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
        skip_errors: p.has("skip-message-on-error"),
    };
    Ok(Plan { what, until })
}

/// The consumer's settings: the file, single properties, then what options say.
fn properties(p: &Parsed) -> Result<Vec<(String, String)>, String> {
    let text = |name: &str| p.one(name).map_err(|error| error.to_string());
    let mut all = command_config(p, &["command-config", "consumer.config"])?;
    for pair in p.all("command-property").chain(p.all("consumer-property")) {
        all.push(split_pair(pair)?);
    }
    let reset = all.iter().find(|(name, _)| name == "auto.offset.reset").map(|(_, v)| v.clone());
    match reset {
        Some(reset) if p.has("from-beginning") && reset != "earliest" => {
            return Err(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', \
                 please remove one option"
            ));
        }
        Some(_) => {}
        None => {
            let reset = if p.has("from-beginning") { "earliest" } else { "latest" };
            all.push(("auto.offset.reset".to_owned(), reset.to_owned()));
        }
    }
    if let Some(level) = text("isolation-level")? {
        all.push(("isolation.level".to_owned(), level.to_owned()));
    }
    if let Some(group) = text("group")? {
        let other = all.iter().find(|(name, value)| name == "group.id" && value != group);
        if other.is_some() {
            return Err("The group ids provided in different places (directly using '--group', \
                        via '--consumer-property', or via '--consumer.config') do not match."
                .to_owned());
        }
        all.push(("group.id".to_owned(), group.to_owned()));
    }
    Ok(all)
}

pub(super) fn formatter(p: &Parsed) -> Result<Formatter, String> {
    let text = |name: &str| p.one(name).map_err(|error| error.to_string());
    let mut properties = command_config(p, &["formatter-config"])?;
    for pair in p.all("property").chain(p.all("formatter-property")) {
        properties.push(split_pair(pair)?);
    }
    for (option, name) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = text(option)? {
            properties.push((name.to_owned(), class.to_owned()));
        }
    }
    Formatter::new(text("formatter")?, &properties)
}

/// A group for this run only.
fn own_group() -> String {
    use std::hash::{BuildHasher, Hasher};
    let chance = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("console-consumer-{}", chance % 100_000)
}

async fn consume(
    mut consumer: Consumer,
    plan: Plan,
    formatter: &Formatter,
    streams: &mut Streams,
) -> i32 {
    let subscribed = match plan.what {
        What::Topic(topic) => consumer.subscribe([topic]),
        What::Include(filter) => consumer.subscribe_matching(move |topic| filter.matches(topic)),
        What::Partition(partition, spec) => {
            consumer.assign([partition.clone()]);
            consumer.seek_to(&partition, spec)
        }
        What::PartitionAt(partition, offset) => {
            consumer.assign([partition.clone()]);
            consumer.seek(&partition, offset)
        }
    };
    let mut count = 0;
    let outcome = match subscribed {
        Ok(()) => {
            tokio::select! {
                outcome = show(&mut consumer, plan.until, formatter, &mut count, streams) => outcome,
                () = interrupted() => Ok(130),
            }
        }
        Err(error) => Err(error),
    };
    let code = match outcome {
        Ok(code) => code,
        Err(error) => {
            let words = "Unknown error when running consumer: ";
            streams.error(log_line(Level::Error, words, LOGGER));
            streams.error(exception(&error));
            1
        }
    };
    streams.flush();
    // An offset that cannot be committed now is read again next time.
    let _ = consumer.close().await;
    streams.error(format!("Processed a total of {count} messages"));
    code
}

/// Shows records until there is a reason to stop.
async fn show(
    consumer: &mut Consumer,
    until: Until,
    formatter: &Formatter,
    count: &mut u64,
    streams: &mut Streams,
) -> Result<i32, Error> {
    let Until { max, timeout: wait, skip_errors } = until;
    loop {
        if max.is_some_and(|max| *count >= max) {
            return Ok(0);
        }
        let next = consumer.next_batch();
        let batch = match wait {
            None => next.await?,
            Some(wait) => match timeout(wait, next).await {
                Ok(batch) => batch?,
                Err(_) => {
                    streams.flush();
                    let words = "Error processing message, terminating consumer process: ";
                    streams.error(log_line(Level::Error, words, LOGGER));
                    streams.error("org.apache.kafka.common.errors.TimeoutException");
                    return Ok(0);
                }
            },
        };
        for record in &batch.records {
            if max.is_some_and(|max| *count >= max) {
                // What is not shown is not committed.
                consumer.seek(&batch.partition, record.offset)?;
                break;
            }
            *count += 1;
            if let Err(text) = formatter.write(About::of(&batch), record, streams)
                && !skip_errors
            {
                streams.error(text);
                return Ok(1);
            }
        }
        streams.flush();
        if streams.is_broken() {
            return Ok(0);
        }
    }
}

/// Ends when the user or the system asks the process to end.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
