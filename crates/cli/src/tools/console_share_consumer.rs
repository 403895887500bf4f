//! `kafka-console-share-consumer`: records of a share group become lines of standard output, each
//! acknowledged when it has been shown.

use std::time::Duration;

use naru_client::{Acknowledge, ConsumerConfig, Error, ShareConsumer};
use tokio::time::timeout;

use super::bootstrap::{client_config, command_config};
use super::common::{Ended, Face, block_on, finish};
use super::console_consumer::{About, Formatter, formatter, interrupted};
use super::console_options::{
    COMMAND_PROPERTY, CONSUMER_PROPERTY, FORMATTER, FORMATTER_CONFIG, KEY_DESERIALIZER,
    MAX_MESSAGES, PROPERTY, SYSTEST_EVENTS, VALUE_DESERIALIZER,
};
use super::console_producer::split_pair;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::{Level, Streams, exception, log_line};

pub const ABOUT: &str = "This tool helps to read data from Kafka topics using share groups and \
                         outputs it to standard output.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("topic", Takes::Text("topic"), "The topic to read."),
    row("group", Takes::Text("group"), "The share group (console-share-consumer)."),
    row("release", Takes::Nothing, "Gives each record back when it has been shown."),
    row("reject", Takes::Nothing, "Has nobody get a record again that has been shown."),
    MAX_MESSAGES,
    row("timeout-ms", Takes::Int("ms"), "Ends when no record has come for so long."),
    row("reject-message-on-error", Takes::Nothing, "Rejects a record that cannot be shown."),
    FORMATTER,
    row(
        "formatter-property",
        Takes::Text("k=v"),
        "print.timestamp, print.partition, print.offset, print.delivery, print.epoch, \
         print.headers, print.key, print.value, key.separator, line.separator, headers.separator, \
         null.literal.",
    ),
    FORMATTER_CONFIG,
    PROPERTY,
    COMMAND_PROPERTY,
    CONSUMER_PROPERTY,
    row("consumer-config", Takes::Text("file"), "The older name of --command-config."),
    KEY_DESERIALIZER,
    VALUE_DESERIALIZER,
    SYSTEST_EVENTS,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-console-share-consumer --bootstrap-server localhost:9092 --topic jobs --group work",
        "kafka-console-share-consumer --bootstrap-server localhost:9092 --topic jobs --group work \
         --release --max-messages 1 --formatter-property print.delivery=true",
    ],
    error_prefix: "",
};

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
const GROUP: &str = "console-share-consumer";

/// What to do with records, and when to stop.
#[derive(Clone, Copy)]
struct Plan {
    how: Acknowledge,
    max: Option<u64>,
    timeout: Option<Duration>,
    reject_errors: bool,
}

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    let Some(topic) = FACE.one(&p, "topic", streams)? else {
        return Err(FACE.usage("--topic is a required argument", streams));
    };
    FACE.require(&p, &["bootstrap-server"], streams)?;
    let how = match (p.has("reject"), p.has("release")) {
        (true, true) => {
            let text = "At most one of --reject and --release may be specified.";
            return Err(FACE.usage(text, streams));
        }
        (true, false) => Acknowledge::Reject,
        (false, true) => Acknowledge::Release,
        (false, false) => Acknowledge::Accept,
    };
    let servers = FACE.servers(&p, "", streams)?;
    let properties = properties(&p).map_err(|text| FACE.usage(&text, streams))?;
    let mut config = ConsumerConfig::default();
    for (name, value) in &properties {
        config.set(name, value).map_err(|error| FACE.usage(&error.to_string(), streams))?;
    }
    let group = config.group_id.get_or_insert_with(|| GROUP.to_owned()).clone();
    let label = format!("ShareConsumer clientId={GROUP}, groupId={group}");
    let client = client_config(&servers, GROUP, label.leak(), &properties)
        .map_err(|text| FACE.usage(&text, streams))?;
    let formatter = formatter(&p).map_err(|text| FACE.usage(&text, streams))?;
    let number = |wanted: Option<i32>| wanted.and_then(|number| u64::try_from(number).ok());
    let plan = Plan {
        how,
        max: number(FACE.number(&p, "max-messages", streams)?),
        timeout: number(FACE.number(&p, "timeout-ms", streams)?).map(Duration::from_millis),
        reject_errors: p.has("reject-message-on-error"),
    };
    block_on(async {
        // The consumer's timers need the runtime.
        let consumer = ShareConsumer::new(client, config, [topic]);
        let consumer = consumer.map_err(|error| FACE.usage(&error.to_string(), streams))?;
        Ok(consume(consumer, plan, &formatter, streams).await)
    })
}

/// The consumer's settings: the file, single properties, then what options say.
fn properties(p: &Parsed) -> Result<Vec<(String, String)>, String> {
    for (old, new) in
        [("consumer-property", "command-property"), ("consumer-config", "command-config")]
    {
        if p.has(old) && p.has(new) {
            return Err(format!("Options --{old} and --{new} cannot be specified together."));
        }
    }
    let mut all = command_config(p, &["command-config", "consumer-config"])?;
    for pair in p.all("command-property").chain(p.all("consumer-property")) {
        all.push(split_pair(pair)?);
    }
    if let Some(group) = p.one("group").map_err(|error| error.to_string())? {
        if let Some((_, other)) = all.iter().find(|(name, id)| name == "group.id" && id != group) {
            return Err(format!(
                "The group ids provided in different places (directly using '--group', via \
                 '--consumer-property', or via '--consumer-config') do not match. Detected group \
                 ids: '{group}', '{other}'"
            ));
        }
        all.push(("group.id".to_owned(), group.to_owned()));
    }
    Ok(all)
}

async fn consume(
    mut consumer: ShareConsumer,
    plan: Plan,
    formatter: &Formatter,
    streams: &mut Streams,
) -> i32 {
    let mut count = 0;
    let outcome = tokio::select! {
        outcome = show(&mut consumer, plan, formatter, &mut count, streams) => outcome,
        () = interrupted() => Ok(130),
    };
    let outcome = outcome.map_err(|error| {
        let words = "Error processing message, terminating consumer process: ";
        streams.error(log_line(Level::Error, words, LOGGER));
        streams.error(exception(&error));
    });
    streams.flush();
    if let Err(error) = consumer.close().await {
        streams.error(exception(&error));
    }
    streams.error(format!("Processed a total of {count} messages"));
    // As with Kafka's tool: what ends the reading is no failure of the tool.
    outcome.unwrap_or(0)
}

/// Shows records until there is a reason to stop.
async fn show(
    consumer: &mut ShareConsumer,
    plan: Plan,
    formatter: &Formatter,
    count: &mut u64,
    streams: &mut Streams,
) -> Result<i32, Error> {
    loop {
        if plan.max.is_some_and(|max| *count >= max) {
            return Ok(0);
        }
        let next = consumer.next_batch();
        let batch = match plan.timeout {
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
        for (record, delivery) in &batch.records {
            if plan.max.is_some_and(|max| *count >= max) {
                // What is not shown is given back at the end.
                break;
            }
            *count += 1;
            let about = About {
                partition: batch.partition.partition,
                timestamp_type: batch.timestamp_type,
                delivery: Some(*delivery),
            };
            match formatter.write(about, record, streams) {
                Ok(()) => consumer.acknowledge(&batch, record.offset, plan.how),
                Err(text) => {
                    streams.error(text);
                    if !plan.reject_errors {
                        return Ok(1);
                    }
                    consumer.acknowledge(&batch, record.offset, Acknowledge::Reject);
                }
            }
        }
        streams.flush();
        if streams.is_broken() {
            return Ok(0);
        }
    }
}
