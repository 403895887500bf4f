//! `kafka-get-offsets`.

use naru_client::admin::OffsetSpec;
use naru_client::{Admin, Isolation, Topic, TopicPartition};

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::filter::{TopicFilter, is_internal};
use crate::options::{
    BOOTSTRAP, BROKER_LIST, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old,
    row,
};
use crate::text::{Streams, message};

pub const ABOUT: &str = "An interactive shell for getting topic-partition offsets.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("topic", Takes::Text("topic"), "Topics, also as a regular expression; all if left out."),
    row("partitions", Takes::Text("0,1,..."), "Partitions; all if left out."),
    row(
        "topic-partitions",
        Takes::Text("a:0,b:2-5,..."),
        "Patterns of topics, each with a partition or a range of them.",
    ),
    row(
        "time",
        Takes::Text("time"),
        "Milliseconds since 1970, or -1/latest, -2/earliest, -3/max-timestamp, -4/earliest-local, \
         -5/latest-tiered.",
    ),
    row("exclude-internal-topics", Takes::Nothing, "Without Kafka's own topics."),
    old("offsets", Takes::Int("number"), Old::Nothing),
    old("max-wait-ms", Takes::Int("ms"), Old::Nothing),
    BROKER_LIST,
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-get-offsets --bootstrap-server localhost:9092 --topic orders",
        "kafka-get-offsets --bootstrap-server localhost:9092 --topic-partitions 'o.*:0-2' --time \
         earliest",
    ],
    error_prefix: "Error occurred: ",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    if p.zookeeper.is_none() {
        FACE.require(&p, &["bootstrap-server"], streams)?;
    }
    let admin = FACE.admin(&p, "", streams)?;
    match block_on(print(&p, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(text) => {
            streams.error(format!("Error occurred: {text}"));
            Ok(1)
        }
    }
}

async fn print(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), String> {
    let one = |name: &str| p.one(name).map(|v| v.map(str::to_owned)).map_err(|e| e.to_string());
    let (topic, partitions, patterns) =
        (one("topic")?, one("partitions")?, one("topic-partitions")?);
    if patterns.is_some() && (topic.is_some() || partitions.is_some()) {
        return Err("--topic-partitions cannot be used with --topic or --partitions".to_owned());
    }
    let spec = parse_time(one("time")?.as_deref().unwrap_or("latest"))?;
    let rules = match patterns {
        Some(patterns) => patterns.split(',').map(Rule::parse).collect::<Result<Vec<_>, _>>()?,
        None => vec![Rule {
            topic: TopicFilter::new(topic.as_deref().unwrap_or(".*"))?,
            partitions: Partitions::parse_list(partitions.as_deref().unwrap_or(""))?,
        }],
    };
    let topics = admin.list_topics().await.map_err(|error| admin_words(&error, "listTopics"))?;
    let hide = p.has("exclude-internal-topics");
    let mut wanted: Vec<(TopicPartition, OffsetSpec)> = topics
        .iter()
        .filter(|topic| !(hide && is_internal(&topic.name)))
        .flat_map(|topic| matching(topic, &rules))
        .map(|partition| (partition, spec))
        .collect();
    if wanted.is_empty() {
        return Err("Could not match any topic-partitions with the specified filters".to_owned());
    }
    wanted.sort_by_key(|(partition, _)| partition.to_string());
    let listed = admin.list_offsets(&wanted, Isolation::ReadUncommitted).await;
    for (partition, outcome) in listed.map_err(|error| message(&error))? {
        match outcome {
            Ok(listed) => {
                if let Some(offset) = listed.offset {
                    streams.line(format!("{}:{}:{offset}", partition.topic, partition.partition));
                }
            }
            Err(error) => streams.error(format!(
                "Skip getting offsets for topic-partition {partition} due to error: {}",
                crate::text::exception(&error)
            )),
        }
    }
    Ok(())
}

fn matching(topic: &Topic, rules: &[Rule]) -> Vec<TopicPartition> {
    topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .filter(|index| {
            rules
                .iter()
                .any(|rule| rule.topic.matches(&topic.name) && rule.partitions.contains(*index))
        })
        .map(|index| TopicPartition::new(topic.name.clone(), index))
        .collect()
}

fn parse_time(text: &str) -> Result<OffsetSpec, String> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        number => OffsetSpec::Timestamp(number.parse().map_err(|_| {
            format!(
                "Malformed time argument {number}. Please use -1 or latest / -2 or earliest / -3 \
                 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or \
                 earliest-pending-upload, or a specified long format timestamp"
            )
        })?),
    })
}

/// Some partitions of some topics.
#[derive(Debug)]
struct Rule {
    topic: TopicFilter,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    All,
    Some(Vec<i32>),
    /// From the first number on, up to before the second.
    Range(i32, i32),
}

impl Rule {
    /// Reads `topic`, `topic:1`, `topic:1-3`, `:-3`, `topic:5-`.
    fn parse(text: &str) -> Result<Self, String> {
        let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
        let topic = if topic.is_empty() { ".*" } else { topic };
        let invalid = || format!("Invalid rule specification: {text}");
        let number = |digits: &str| digits.parse::<i32>().map_err(|_| invalid());
        let partitions = match partitions.split_once('-') {
            _ if partitions.is_empty() => Partitions::All,
            None => Partitions::Some(vec![number(partitions)?]),
            Some((low, high)) => Partitions::Range(
                if low.is_empty() { 0 } else { number(low)? },
                if high.is_empty() { i32::MAX } else { number(high)? },
            ),
        };
        Ok(Self { topic: TopicFilter::new(topic)?, partitions })
    }
}

impl Partitions {
    fn parse_list(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::All);
        }
        let numbers = text.split(',').map(|number| {
            let refuse = || {
                format!(
                    "--partitions expects a comma separated list of numeric partition ids, but \
                     received: {text}"
                )
            };
            number.trim().parse().map_err(|_| refuse())
        });
        Ok(Self::Some(numbers.collect::<Result<_, String>>()?))
    }

    fn contains(&self, index: i32) -> bool {
        match self {
            Self::All => true,
            Self::Some(numbers) => numbers.contains(&index),
            Self::Range(low, high) => (*low..*high).contains(&index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_topics_and_partitions() {
        let check = |text: &str, partitions| {
            assert_eq!(Rule::parse(text).unwrap().partitions, partitions, "{text}");
        };
        check("a", Partitions::All);
        check("a:1", Partitions::Some(vec![1]));
        check("a:1-3", Partitions::Range(1, 3));
        check(":-3", Partitions::Range(0, 3));
        check("a:5-", Partitions::Range(5, i32::MAX));
        assert!(Rule::parse("a:x").is_err());
        assert!(Rule::parse(":1").unwrap().topic.matches("anything"));
    }

    #[test]
    fn times_are_numbers_or_names() {
        assert_eq!(parse_time("-3"), Ok(OffsetSpec::MaxTimestamp));
        assert_eq!(parse_time("17"), Ok(OffsetSpec::Timestamp(17)));
        assert!(parse_time("noon").is_err());
    }
}
