//! `kafka-leader-election`.

use naru_client::admin::ElectionType;
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;
use serde_json::Value;

use super::common::{Ended, Face, block_on, finish};
use super::failure::{Failure, Thrown};
use super::json_file;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::{Streams, exception, java_partition_order};

pub const ABOUT: &str = "Elects leaders: the preferred ones, or unclean ones.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("admin.config", Takes::Text("file"), "The same as --command-config, of the past."),
    row("election-type", Takes::Text("type"), "preferred or unclean."),
    row(
        "path-to-json-file",
        Takes::Text("file"),
        "Partitions: {\"partitions\": [{\"topic\": \
        \"a\", \"partition\": 1}]}.",
    ),
    row("topic", Takes::Text("topic"), "One topic, with --partition."),
    row("partition", Takes::Int("number"), "The partition of --topic."),
    row("all-topic-partitions", Takes::Nothing, "All partitions that need an election."),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-leader-election --bootstrap-server localhost:9092 --election-type preferred \
         --all-topic-partitions",
    ],
    error_prefix: "",
};

const FAILED: &str = "org.apache.kafka.tools.AdminCommandFailedException";
const OPERATION: &str = "org.apache.kafka.tools.AdminOperationException";

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    let wanted = match Wanted::read(&p) {
        Ok(wanted) => wanted,
        Err(failure) => {
            failure.tell(streams);
            return Ok(1);
        }
    };
    FACE.exclude(&p, "admin.config", &["command-config"], streams)?;
    if p.has("admin.config") {
        streams.line(
            "Option --admin.config has been deprecated and will be removed in a future version. \
             Use --command-config instead.",
        );
    }
    let servers = FACE.one(&p, "bootstrap-server", streams)?.unwrap_or_default().to_owned();
    let admin = Admin::new(FACE.admin_config(&p, &servers, streams)?);
    match block_on(elect(&wanted, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

/// What is to be elected.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    election: ElectionType,
    /// None: all.
    partitions: Option<Vec<TopicPartition>>,
}

impl Wanted {
    fn read(p: &Parsed) -> Result<Self, Failure> {
        let failed = |text: String| Failure::thrown(FAILED, text);
        let one = |name: &str| p.one(name).map_err(|error| failed(error.to_string()));
        let election = match one("election-type")?.map(str::to_lowercase).as_deref() {
            Some("preferred") => Some(ElectionType::Preferred),
            Some("unclean") => Some(ElectionType::Unclean),
            None => None,
            Some(_) => {
                let given = one("election-type")?.unwrap_or_default();
                let mut thrown = Thrown::new(
                    "joptsimple.OptionArgumentConversionException",
                    format!("Cannot parse argument '{given}' of option election-type"),
                );
                thrown.below.push(format!(
                    "Caused by: joptsimple.ValueConversionException: Value [{given}] is not one \
                     of [[PREFERRED,UNCLEAN]]"
                ));
                return Err(Failure::Thrown(thrown));
            }
        };
        let missing: Vec<&str> =
            ["bootstrap-server", "election-type"].into_iter().filter(|name| !p.has(name)).collect();
        let Some(election) = election.filter(|_| missing.is_empty()) else {
            return Err(failed(format!("Missing required option(s): {}", missing.join(", "))));
        };
        let ways = ["topic", "all-topic-partitions", "path-to-json-file"];
        if ways.iter().filter(|way| p.has(way)).count() != 1 {
            return Err(failed(format!(
                "One and only one of the following options is required: {}",
                ways.join(", ")
            )));
        }
        match (p.has("topic"), p.has("partition")) {
            (true, false) => {
                return Err(failed("Missing required option(s): partition".to_owned()));
            }
            (false, true) => {
                let text = "Option partition is only allowed if topic is used";
                return Err(failed(text.to_owned()));
            }
            _ => {}
        }
        let partitions = if let Some(path) = one("path-to-json-file")? {
            Some(partitions_of(&json_file::read(path).map_err(wrapped)?)?)
        } else if let Some(topic) = one("topic")? {
            let index = p.number("partition").map_err(|error| failed(error.to_string()))?;
            Some(vec![TopicPartition::new(topic, index.unwrap_or_default())])
        } else {
            None
        };
        Ok(Self { election, partitions })
    }
}

/// A file that cannot be read is told as what Java wraps it in.
fn wrapped(failure: Failure) -> Failure {
    match failure {
        Failure::Thrown(inner) => {
            let text = format!("{}: {}", inner.class, inner.text);
            let below = vec![format!("Caused by: {text}")];
            let class = "java.lang.RuntimeException".to_owned();
            Failure::Thrown(Thrown { class, text, below })
        }
        terse @ Failure::Terse(_) => terse,
    }
}

/// Reads `{"partitions": [{"topic": "a", "partition": 1}]}`.
fn partitions_of(text: &str) -> Result<Vec<TopicPartition>, Failure> {
    let refuse = |text: String| Failure::thrown(OPERATION, text);
    let json: Value = serde_json::from_str(text)
        .map_err(|_| refuse("Replica election data is empty".to_owned()))?;
    let rows = json_file::object(&json)?.get("partitions").ok_or_else(|| {
        refuse("Replica election data is missing \"partitions\" field".to_owned())
    })?;
    let mut partitions: Vec<TopicPartition> = Vec::new();
    for row in json_file::array(rows)? {
        let row = json_file::object(row)?;
        let topic = json_file::string(json_file::field(row, "topic")?)?;
        let partition = json_file::integer(json_file::field(row, "partition")?)?;
        let partition = TopicPartition::new(topic, partition);
        partitions.push(partition);
    }
    let mut twice = json_file::duplicates(&partitions);
    if !twice.is_empty() {
        java_partition_order(&mut twice, |partition| partition);
        let twice: Vec<String> = twice.iter().map(ToString::to_string).collect();
        return Err(refuse(format!(
            "Replica election data contains duplicate partitions: [{}]",
            twice.join(", ")
        )));
    }
    Ok(partitions)
}

async fn elect(wanted: &Wanted, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let elected = admin.elect_leaders(wanted.election, wanted.partitions.as_deref()).await;
    let outcomes = match elected {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let words = match error.code() {
                ErrorCode::RequestTimedOut => "Timeout waiting for election results",
                ErrorCode::ClusterAuthorizationFailed => {
                    "Not authorized to perform leader election"
                }
                _ if matches!(error, Error::Unreachable { .. } | Error::Timeout { .. }) => {
                    "Timeout waiting for election results"
                }
                _ => return Err(Failure::of(&error, "electLeaders")),
            };
            streams.line(words);
            return Err(Failure::thrown(FAILED, words));
        }
    };
    let (text, failed) = report(wanted.election, outcomes);
    streams.text(text);
    if failed.is_empty() {
        return Ok(());
    }
    let mut thrown =
        Thrown::new(FAILED, format!("{} replica(s) could not be elected", failed.len()));
    thrown.below = failed.iter().map(|error| format!("\tSuppressed: {error}")).collect();
    Err(Failure::Thrown(thrown))
}

type Outcomes = Vec<(TopicPartition, naru_client::Result<()>)>;

/// What to print, and the errors.
fn report(election: ElectionType, mut outcomes: Outcomes) -> (String, Vec<String>) {
    let kind = match election {
        ElectionType::Preferred => "PREFERRED",
        ElectionType::Unclean => "UNCLEAN",
    };
    // Twice, as Kafka fills one map from the other.
    java_partition_order(&mut outcomes, |(partition, _)| partition);
    let (mut done, mut needless, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, outcome) in outcomes {
        match outcome {
            Ok(()) => done.push(partition),
            Err(Error::Broker { code: ErrorCode::ElectionNotNeeded, .. }) => {
                needless.push(partition);
            }
            Err(error) => failed.push((partition, exception(&error))),
        }
    }
    java_partition_order(&mut done, |partition| partition);
    java_partition_order(&mut needless, |partition| partition);
    java_partition_order(&mut failed, |(partition, _)| partition);
    let list =
        |all: &[TopicPartition]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    if !done.is_empty() {
        text.push_str(&format!(
            "Successfully completed leader election ({kind}) for partitions {}\n",
            list(&done)
        ));
    }
    if !needless.is_empty() {
        text.push_str(&format!(
            "Valid replica already elected for partitions {}\n",
            list(&needless)
        ));
    }
    for (partition, error) in &failed {
        text.push_str(&format!(
            "Error completing leader election ({kind}) for partition: {partition}: {error}\n"
        ));
    }
    (text, failed.into_iter().map(|(_, error)| error).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(text: &str) -> TopicPartition {
        let (topic, partition) = text.rsplit_once('-').unwrap();
        TopicPartition::new(topic, partition.parse().unwrap())
    }

    #[test]
    fn elections_are_told_as_apache_kafka_tells_them() {
        let missing = Error::broker(
            ErrorCode::PreferredLeaderNotAvailable,
            Some("The preferred leader was not available.".to_owned()),
        );
        let needless = Error::code_only(ErrorCode::ElectionNotNeeded);
        let outcomes = vec![
            (tp("manual-0"), Ok(())),
            (tp("manual-2"), Ok(())),
            (tp("manual-4"), Ok(())),
            (tp("manual-1"), Err(needless.clone())),
            (tp("orders-1"), Err(needless)),
            (tp("__consumer_offsets-0"), Err(missing)),
        ];
        let (text, failed) = report(ElectionType::Preferred, outcomes);
        let expect = "\
Successfully completed leader election (PREFERRED) for partitions manual-4, manual-0, manual-2
Valid replica already elected for partitions orders-1, manual-1
Error completing leader election (PREFERRED) for partition: __consumer_offsets-0: \
org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: The preferred leader was not \
available.
";
        assert_eq!(text, expect);
        assert_eq!(failed.len(), 1);
    }

    #[test]
    fn files_name_partitions() {
        let text = r#"{"partitions":[{"topic":"a","partition":1},{"topic":"b","partition":0}]}"#;
        assert_eq!(partitions_of(text).unwrap(), [tp("a-1"), tp("b-0")]);
        let check = |text, expect| assert_eq!(partitions_of(text).unwrap_err().words(), expect);
        check("nonsense", "Replica election data is empty");
        check("{}", "Replica election data is missing \"partitions\" field");
        check(
            r#"{"partitions":[{"topic":"a","partition":1},{"topic":"a","partition":1}]}"#,
            "Replica election data contains duplicate partitions: [a-1]",
        );
        check(r#"{"partitions":[{"topic":"a"}]}"#, "No such field exists: `partition`");
    }
}
