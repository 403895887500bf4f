//! `kafka-topics`.

mod describe;

use naru_client::admin::NewTopic;
use naru_client::{Admin, Error};
use naru_model::{ErrorCode, Uuid};

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::filter::{TopicFilter, is_internal};
use crate::options::{
    BOOTSTRAP, BROKER_LIST, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old,
    row,
};
use crate::text::{Level, Streams, class, log_line, message};

pub const ABOUT: &str = "Create, delete, describe, or change a topic.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("list", Takes::Nothing, "Shows the names of the topics."),
    row("create", Takes::Nothing, "Makes a topic."),
    row("delete", Takes::Nothing, "Deletes topics."),
    row("alter", Takes::Nothing, "Adds partitions. (Configurations: kafka-configs.)"),
    row("describe", Takes::Nothing, "Shows partitions, replicas and configurations of topics."),
    row(
        "topic",
        Takes::Text("topic"),
        "The topic; with all but --create also a regular expression.",
    ),
    row("topic-id", Takes::Text("topic-id"), "The id of the topic to describe."),
    row(
        "config",
        Takes::Text("name=value"),
        "With --create: a configuration that differs from the default; may be repeated.",
    ),
    row("delete-config", Takes::Text("name"), "Not supported any more; see kafka-configs."),
    row(
        "partitions",
        Takes::Int("number"),
        "How many partitions; with --create the broker's default if left out.",
    ),
    row(
        "replication-factor",
        Takes::Int("number"),
        "How many replicas of each partition; the broker's default if left out.",
    ),
    row(
        "replica-assignment",
        Takes::Text("1:2,2:3,..."),
        "The brokers of each partition, instead of the two numbers.",
    ),
    row(
        "under-replicated-partitions",
        Takes::Nothing,
        "With --describe: only partitions with replicas that are not in sync.",
    ),
    row(
        "unavailable-partitions",
        Takes::Nothing,
        "With --describe: only partitions without a live leader.",
    ),
    row(
        "under-min-isr-partitions",
        Takes::Nothing,
        "With --describe: only partitions with fewer in-sync replicas than min.insync.replicas.",
    ),
    row(
        "at-min-isr-partitions",
        Takes::Nothing,
        "With --describe: only partitions with exactly min.insync.replicas in sync.",
    ),
    row(
        "topics-with-overrides",
        Takes::Nothing,
        "With --describe: only topics with configurations of their own.",
    ),
    row("if-exists", Takes::Nothing, "No error if the topic does not exist."),
    row("if-not-exists", Takes::Nothing, "With --create: no error if the topic exists."),
    row("exclude-internal", Takes::Nothing, "Without Kafka's own topics."),
    row(
        "partition-size-limit-per-response",
        Takes::Int("number"),
        "The most partitions in one answer of a broker.",
    ),
    old("partition", Takes::Int("number"), Old::Same("partitions")),
    old("replica", Takes::Int("number"), Old::Same("replication-factor")),
    old("force", Takes::Nothing, Old::Nothing),
    old("disable-rack-aware", Takes::Nothing, Old::Nothing),
    BROKER_LIST,
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-topics --bootstrap-server localhost:9092 --create --topic orders --partitions 3",
        "kafka-topics --bootstrap-server localhost:9092 --describe --topic orders",
    ],
    error_prefix: "",
};

const ACTIONS: [&str; 5] = ["create", "list", "alter", "describe", "delete"];
const LOGGER: &str = "org.apache.kafka.tools.TopicCommand";

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    if ACTIONS.iter().filter(|action| p.has(action)).count() != 1 {
        let text = "Command must include exactly one action: \
                    --list, --describe, --create, --alter or --delete";
        return Err(FACE.usage(text, streams));
    }
    if p.has("delete-config") {
        streams.error(
            "delete-config option is no longer supported and deprecated since version 4.0. \
             The config will be fully removed in future releases.",
        );
    }
    let servers = FACE.servers(&p, "--bootstrap-server must be specified", streams)?;
    check(&p, streams)?;
    let admin = Admin::new(FACE.admin_config(&p, &servers, streams)?);
    match block_on(act(&p, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(failure) => {
            let text = &failure.text;
            streams.line(format!("Error while executing topic command : {text}"));
            let words = format!("{}: {text}\n", failure.class);
            streams.error(log_line(Level::Error, &words, LOGGER));
            Ok(1)
        }
    }
}

/// Why an action failed, in Kafka's words.
struct Failure {
    class: String,
    text: String,
}

impl Failure {
    fn argument(text: impl Into<String>) -> Self {
        Self { class: "java.lang.IllegalArgumentException".to_owned(), text: text.into() }
    }

    fn of(error: &Error, call: &str) -> Self {
        Self { class: class(error), text: admin_words(error, call) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { class: class(&error), text: message(&error) }
    }
}

fn check(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    if p.has("describe") && p.has("if-exists") {
        if !p.has("topic") && !p.has("topic-id") {
            let text = "--topic or --topic-id is required to describe a topic";
            return Err(FACE.usage(text, streams));
        }
        if p.has("topic") && p.has("topic-id") {
            streams.line(
                "Only topic id will be used when both --topic and --topic-id are specified \
                 and topicId is not Uuid.ZERO_UUID",
            );
        }
    }
    if !p.has("list") && !p.has("describe") {
        FACE.require(p, &["topic"], streams)?;
    }
    if p.has("alter") {
        if p.has("config") {
            let text = "Option combination \"[bootstrap-server],[config]\" can't be used with \
                        option \"[alter]\" (To alter topic configurations, the kafka-configs tool \
                        can be used.)";
            return Err(FACE.usage(text, streams));
        }
        FACE.require(p, &["partitions"], streams)?;
    }
    let not_with = |allowed: &[&str]| -> Vec<&str> {
        ["alter", "create", "describe", "list", "delete"]
            .into_iter()
            .filter(|action| !allowed.contains(action))
            .collect()
    };
    let rules: [(&str, &[&str]); 7] = [
        ("config", &["alter", "create"]),
        ("partitions", &["alter", "create"]),
        ("replication-factor", &["create"]),
        ("replica-assignment", &["alter", "create"]),
        ("if-exists", &["alter", "delete", "describe"]),
        ("if-not-exists", &["create"]),
        ("exclude-internal", &["list", "describe"]),
    ];
    for (name, allowed) in rules {
        FACE.exclude(p, name, &not_with(allowed), streams)?;
    }
    if p.has("create") {
        let numbers = ["partitions", "replication-factor"];
        FACE.exclude(p, "replica-assignment", &numbers, streams)?;
    }
    for report in describe::REPORTS {
        FACE.exclude(p, report, &not_with(&["describe"]), streams)?;
        FACE.exclude(p, report, &["topics-with-overrides"], streams)?;
    }
    FACE.exclude(p, "topics-with-overrides", &not_with(&["describe"]), streams)
}

async fn act(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    if p.has("create") {
        create(p, admin, streams).await
    } else if p.has("alter") {
        alter(p, admin).await
    } else if p.has("list") {
        let names = topics(p, admin).await?;
        streams.line(names.join("\n"));
        Ok(())
    } else if p.has("describe") {
        describe::describe(p, admin, streams).await
    } else {
        delete(p, admin).await
    }
}

fn value<'p>(p: &'p Parsed, name: &str) -> Result<Option<&'p str>, Failure> {
    p.one(name).map_err(|error| Failure::argument(error.to_string()))
}

fn number(p: &Parsed, name: &str) -> Result<Option<i32>, Failure> {
    p.number(name).map_err(|error| Failure::argument(error.to_string()))
}

async fn create(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let name = value(p, "topic")?.unwrap_or_default();
    let mut topic = NewTopic::new(name);
    topic.assignments = assignments(p)?;
    for pair in p.all("config") {
        let (key, value) =
            pair.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(|| {
                Failure::argument(
                    "requirement failed: Invalid topic config: all configs to be added must be \
                     in the format \"key=val\".",
                )
            })?;
        topic.configs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    if name.contains(['.', '_']) {
        streams.line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or \
             underscore ('_') could collide. To avoid issues it is best to use either, but not \
             both.",
        );
    }
    topic.replication_factor = match number(p, "replication-factor")? {
        None => None,
        Some(factor) => match i16::try_from(factor) {
            Ok(factor) if factor >= 1 => Some(factor),
            _ => {
                let text = "The replication factor must be between 1 and 32767 inclusive";
                return Err(Failure::argument(text));
            }
        },
    };
    topic.partitions = number(p, "partitions")?;
    if topic.partitions.is_some_and(|count| count < 1) {
        return Err(Failure::argument("The partitions must be greater than 0"));
    }
    let created = admin.create_topics(&[topic], false).await;
    let created = created.map_err(|error| Failure::of(&error, "createTopics"))?;
    for (_, outcome) in created {
        match outcome {
            Ok(_) => streams.line(format!("Created topic {name}.")),
            Err(Error::Broker { code: ErrorCode::TopicAlreadyExists, .. })
                if p.has("if-not-exists") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads `1:2,2:3`.
fn assignments(p: &Parsed) -> Result<Vec<Vec<i32>>, Failure> {
    let Some(text) = value(p, "replica-assignment")?.filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut all: Vec<Vec<i32>> = Vec::new();
    for (index, list) in text.split(',').enumerate() {
        let mut brokers: Vec<i32> = Vec::new();
        for id in list.split(':').map(str::trim) {
            let parsed = id.parse();
            brokers.push(parsed.map_err(|_| Failure {
                class: "java.lang.NumberFormatException".to_owned(),
                text: format!("For input string: \"{id}\""),
            })?);
        }
        let twice: Vec<String> = brokers
            .iter()
            .enumerate()
            .filter(|(at, id)| brokers[..*at].contains(id))
            .map(|(_, id)| id.to_string())
            .collect();
        if !twice.is_empty() {
            return Err(Failure {
                class: "org.apache.kafka.tools.AdminCommandFailedException".to_owned(),
                text: format!(
                    "Partition replica lists may not contain duplicate entries: {}",
                    twice.join(",")
                ),
            });
        }
        if all.first().is_some_and(|first| first.len() != brokers.len()) {
            let list: Vec<String> = brokers.iter().map(ToString::to_string).collect();
            let list = list.join(", ");
            return Err(Failure {
                class: "org.apache.kafka.tools.AdminOperationException".to_owned(),
                text: format!("Partition {index} has different replication factor: [{list}]"),
            });
        }
        all.push(brokers);
    }
    Ok(all)
}

/// The names that `--topic` means, sorted.
async fn topics(p: &Parsed, admin: &Admin) -> Result<Vec<String>, Failure> {
    let all = admin.list_topics().await.map_err(|error| Failure::of(&error, "listTopics"))?;
    let filter = match value(p, "topic")? {
        Some(pattern) => Some(
            TopicFilter::new(pattern)
                .map_err(|text| Failure { class: "java.lang.RuntimeException".to_owned(), text })?,
        ),
        None => None,
    };
    let hide = p.has("exclude-internal");
    Ok(all
        .into_iter()
        .map(|topic| topic.name)
        .filter(|name| !(hide && is_internal(name)))
        .filter(|name| filter.as_ref().is_none_or(|filter| filter.matches(name)))
        .collect())
}

fn ensure_exists(p: &Parsed, found: &[String]) -> Result<(), Failure> {
    match value(p, "topic")? {
        Some(name) if !name.is_empty() && found.is_empty() && !p.has("if-exists") => {
            Err(Failure::argument(format!("Topic '{name}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

async fn alter(p: &Parsed, admin: &Admin) -> Result<(), Failure> {
    let assignments = assignments(p)?;
    let names = topics(p, admin).await?;
    ensure_exists(p, &names)?;
    let count = number(p, "partitions")?.unwrap_or_default();
    for name in names {
        let new = if assignments.is_empty() {
            None
        } else {
            let metadata = admin.cluster().metadata();
            let there = metadata.topic(&name).map_or(0, |topic| topic.partitions.len());
            Some(assignments.get(there..).unwrap_or_default())
        };
        admin.create_partitions(&name, count, new, false).await?;
    }
    Ok(())
}

async fn delete(p: &Parsed, admin: &Admin) -> Result<(), Failure> {
    let names = topics(p, admin).await?;
    ensure_exists(p, &names)?;
    if names.is_empty() {
        return Ok(());
    }
    for (_, outcome) in admin.delete_topics(&names).await? {
        outcome?;
    }
    Ok(())
}

/// Reads an id as the tool does.
fn topic_id(p: &Parsed) -> Result<Option<Uuid>, Failure> {
    let Some(text) = value(p, "topic-id")? else { return Ok(None) };
    let id: Uuid = text.parse().map_err(|_| {
        Failure::argument(format!("Input string with prefix `{text}` is not a base64 UUID."))
    })?;
    Ok((!id.is_zero()).then_some(id))
}
