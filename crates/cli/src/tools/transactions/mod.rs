//! `kafka-transactions`: what coordinators and partitions know of transactions, and ending them.

mod hanging;
mod table;

use naru_client::Admin;
use naru_client::admin::{HangingTransaction, ProducerDescription, TransactionFilter};
use naru_client::{Error, TopicPartition};
use naru_model::{ProducerEpoch, ProducerId};

use super::argparse::{Program, Sub, Target};
use super::common::{Ended, KAFKA_VERSION, admin_words, block_on, finish};
use crate::options::{COMMAND_CONFIG, Parsed, Row, Takes, VERSION, row};
use crate::text::{Streams, java_partition_order};

pub use hanging::{Open, Search, find_hanging};
use table::table;

pub const ABOUT: &str = "Shows transactions and ends those that hang.";

static ROWS: &[Row] = &[
    row("help", Takes::Nothing, "Shows this text.").short('h'),
    Row { short: Some('v'), ..VERSION },
    row("bootstrap-server", Takes::Text("host:port,..."), "The brokers to ask."),
    COMMAND_CONFIG,
    row("transactional-id", Takes::Text("id"), "describe: the transactional id."),
    row("duration-filter", Takes::Long("ms"), "list: those that have lasted longer."),
    row("transactional-id-pattern", Takes::Text("regex"), "list: those whose id matches."),
    row("topic", Takes::Text("topic"), "The topic."),
    row("partition", Takes::Int("partition"), "The partition."),
    row("broker-id", Takes::Int("id"), "The replica of this broker; the leader's if left out."),
    row("start-offset", Takes::Long("offset"), "abort: where the transaction begins."),
    row("producer-id", Takes::Long("id"), "abort: whose it is, for brokers before 3.0."),
    row("producer-epoch", Takes::Int("epoch"), "abort: in which epoch, for brokers before 3.0."),
    row("coordinator-epoch", Takes::Int("epoch"), "abort: the coordinator's, before 3.0."),
    row(
        "max-transaction-timeout",
        Takes::Int("minutes"),
        "find-hanging: transactions may last so long; 15 if left out.",
    ),
    row("transactionalId", Takes::Text("id"), "forceTerminateTransaction: the transactional id."),
];

const PROGRAM: Program = Program {
    name: "kafka-transactions.sh",
    about: ABOUT,
    usage: "usage: kafka-transactions.sh [-h] [-v] [--command-config FILE]
                             --bootstrap-server host:port COMMAND ...",
    rows: ROWS,
    commands: &[
        Sub {
            name: "list",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port list [-h]
                             [--duration-filter DURATION_FILTER]
                             [--transactional-id-pattern TRANSACTIONAL_ID_PATTERN]",
            options: &["duration-filter", "transactional-id-pattern"],
        },
        Sub {
            name: "describe",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port describe [-h]
                             --transactional-id TRANSACTIONAL_ID",
            options: &["transactional-id"],
        },
        Sub {
            name: "describe-producers",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port
                             describe-producers [-h]
                             [--broker-id BROKER_ID] --topic TOPIC
                             --partition PARTITION",
            options: &["broker-id", "topic", "partition"],
        },
        Sub {
            name: "abort",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port abort [-h]
                             --topic TOPIC --partition PARTITION
                             [--start-offset START_OFFSET]
                             [--producer-id PRODUCER_ID]
                             [--producer-epoch PRODUCER_EPOCH]
                             [--coordinator-epoch COORDINATOR_EPOCH]",
            options: &[
                "topic",
                "partition",
                "start-offset",
                "producer-id",
                "producer-epoch",
                "coordinator-epoch",
            ],
        },
        Sub {
            name: "find-hanging",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port find-hanging [-h]
                             [--broker-id BROKER_ID]
                             [--max-transaction-timeout MAX_TRANSACTION_TIMEOUT]
                             [--topic TOPIC] [--partition PARTITION]",
            options: &["broker-id", "max-transaction-timeout", "topic", "partition"],
        },
        Sub {
            name: "forceTerminateTransaction",
            usage: "usage: kafka-transactions.sh --bootstrap-server host:port
                             forceTerminateTransaction [-h]
                             --transactionalId TRANSACTIONALID",
            options: &["transactionalId"],
        },
    ],
    general: &["bootstrap-server", "command-config"],
    examples: &[
        "kafka-transactions --bootstrap-server localhost:9092 list",
        "kafka-transactions --bootstrap-server localhost:9092 find-hanging --broker-id 1",
    ],
    terse: false,
};

/// How long a transaction may last that is not taken for hanging.
const TIMEOUT_MINUTES: i32 = 15;

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    if args.iter().any(|arg| arg == "--version" || arg == "-v") {
        streams.line(KAFKA_VERSION);
        return Ok(0);
    }
    let (p, sub) = PROGRAM.read(args, streams)?;
    let addresses = match PROGRAM.one(&p, "bootstrap-server", streams)? {
        Some(addresses) => addresses.to_owned(),
        None => {
            let words = "argument --bootstrap-server is required";
            return Err(PROGRAM.complain(None, words, streams));
        }
    };
    let command = Command::read(&p, sub, streams)?;
    let target = Target { addresses, controllers: false };
    let told = target
        .admin(&p, &["command-config"])
        .and_then(|admin| block_on(command.carry_out(&admin, streams)));
    match told {
        Ok(()) => Ok(0),
        Err(words) => {
            streams.error(words);
            Ok(1)
        }
    }
}

/// What is to be done.
#[derive(Debug)]
enum Command {
    List(TransactionFilter),
    Describe(String),
    DescribeProducers(TopicPartition, Option<i32>),
    AbortAt(TopicPartition, i64),
    Abort(HangingTransaction),
    FindHanging(Search),
    Terminate(String),
}

impl Command {
    fn read(p: &Parsed, sub: &'static Sub, streams: &mut Streams) -> Result<Self, Ended> {
        let partition = |streams: &mut Streams| -> Result<TopicPartition, Ended> {
            let topic = PROGRAM.required(p, sub, "topic", streams)?;
            PROGRAM.required(p, sub, "partition", streams)?;
            let index = number(p, sub, "partition", streams)?.unwrap_or(0);
            Ok(TopicPartition::new(topic, index))
        };
        Ok(match sub.name {
            "list" => Self::List(TransactionFilter {
                lasted_ms: number(p, sub, "duration-filter", streams)?,
                pattern: PROGRAM.one(p, "transactional-id-pattern", streams)?.map(str::to_owned),
                ..TransactionFilter::default()
            }),
            "describe" => {
                Self::Describe(PROGRAM.required(p, sub, "transactional-id", streams)?.to_owned())
            }
            "describe-producers" => {
                Self::DescribeProducers(partition(streams)?, number(p, sub, "broker-id", streams)?)
            }
            "abort" => Self::read_abort(p, sub, partition(streams)?, streams)?,
            "find-hanging" => Self::read_search(p, sub, streams)?,
            _ => Self::Terminate(PROGRAM.required(p, sub, "transactionalId", streams)?.to_owned()),
        })
    }

    fn read_abort(
        p: &Parsed,
        sub: &'static Sub,
        partition: TopicPartition,
        streams: &mut Streams,
    ) -> Result<Self, Ended> {
        if let Some(offset) = number(p, sub, "start-offset", streams)? {
            return Ok(Self::AbortAt(partition, offset));
        }
        if !p.has("producer-id") {
            let words = "The transaction to abort must be identified either with --start-offset \
                         (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, \
                         and --coordinator-epoch (for older brokers)";
            return Err(refuse(words, streams));
        }
        for name in ["producer-epoch", "coordinator-epoch"] {
            if !p.has(name) {
                return Err(refuse(&format!("Missing required argument --{name}"), streams));
            }
        }
        let epoch: i32 = number(p, sub, "producer-epoch", streams)?.unwrap_or_default();
        let Ok(epoch) = i16::try_from(epoch) else {
            return Err(refuse(&format!("{epoch} is no producer epoch"), streams));
        };
        Ok(Self::Abort(HangingTransaction {
            partition,
            producer: ProducerId(number(p, sub, "producer-id", streams)?.unwrap_or_default()),
            epoch: ProducerEpoch(epoch),
            coordinator_epoch: number(p, sub, "coordinator-epoch", streams)?.unwrap_or_default(),
        }))
    }

    fn read_search(p: &Parsed, sub: &'static Sub, streams: &mut Streams) -> Result<Self, Ended> {
        let topic = PROGRAM.one(p, "topic", streams)?.map(str::to_owned);
        let broker = number(p, sub, "broker-id", streams)?;
        if topic.is_none() && broker.is_none() {
            let words = "The `find-hanging` command requires either --topic or --broker-id to \
                         limit the scope of the search";
            return Err(refuse(words, streams));
        }
        let partition = number(p, sub, "partition", streams)?;
        if partition.is_some() && topic.is_none() {
            let words = "The --partition argument requires --topic to be provided";
            return Err(refuse(words, streams));
        }
        let minutes: Option<i32> = number(p, sub, "max-transaction-timeout", streams)?;
        let lasted_ms = i64::from(minutes.unwrap_or(TIMEOUT_MINUTES)) * 60_000;
        Ok(Self::FindHanging(Search { topic, partition, broker, lasted_ms }))
    }

    /// An error is in the tool's words.
    async fn carry_out(&self, admin: &Admin, streams: &mut Streams) -> Result<(), String> {
        match self {
            Self::List(filter) => list(admin, filter, streams).await,
            Self::Describe(id) => describe(admin, id, streams).await,
            Self::DescribeProducers(partition, broker) => {
                describe_producers(admin, partition, *broker, streams).await
            }
            Self::AbortAt(partition, offset) => abort_at(admin, partition, *offset).await,
            Self::Abort(hanging) => abort(admin, hanging).await,
            Self::FindHanging(search) => {
                let found = find_hanging(admin, search, now_ms()).await?;
                streams.text(hanging::shown(&found, now_ms()));
                Ok(())
            }
            Self::Terminate(id) => {
                let done = admin.terminate_transaction(id).await;
                let what = format!("Failed to force terminate transactionalId `{id}`");
                done.map_err(|error| failed(&what, &error, "fenceProducer(api=FIND_COORDINATOR)"))
            }
        }
    }
}

fn number<T: std::str::FromStr>(
    p: &Parsed,
    sub: &'static Sub,
    name: &str,
    streams: &mut Streams,
) -> Result<Option<T>, Ended> {
    PROGRAM.number(p, sub, name, streams)
}

fn refuse(words: &str, streams: &mut Streams) -> Ended {
    streams.error(words);
    Ended(1)
}

/// How the tool says that a call failed.
fn failed(what: &str, error: &Error, call: &str) -> String {
    let words = admin_words(error, call);
    format!("{what}: {words}. Enable debug logging for additional detail.")
}

pub(super) fn now_ms() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn list(
    admin: &Admin,
    filter: &TransactionFilter,
    streams: &mut Streams,
) -> Result<(), String> {
    let listed = admin.list_transactions(filter).await;
    let listed = listed.map_err(|error| {
        failed("Failed to list transactions", &error, "listTransactions(api=METADATA)")
    })?;
    let rows = listed.into_iter().flat_map(|(broker, all)| {
        all.into_iter().map(move |one| {
            [one.transactional_id, broker.to_string(), one.producer.to_string(), one.state]
        })
    });
    let titles = ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"];
    streams.text(table(titles, rows));
    Ok(())
}

async fn describe(admin: &Admin, id: &str, streams: &mut Streams) -> Result<(), String> {
    let described = admin.describe_transaction(id).await.map_err(|error| {
        let what = format!("Failed to describe transaction state of transactional-id `{id}`");
        let error = match error {
            Error::Broker { code, message: None }
                if code == naru_model::ErrorCode::TransactionalIdNotFound =>
            {
                let words = format!(
                    "DescribeTransactions request for transactionalId `{id}` failed because the \
                     ID could not be found"
                );
                Error::broker(code, Some(words))
            }
            other => other,
        };
        failed(&what, &error, "describeTransactions(api=FIND_COORDINATOR)")
    })?;
    let none = || "None".to_owned();
    let mut partitions = described.partitions;
    java_partition_order(&mut partitions, |partition| partition);
    let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    let titles = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    let row = [
        described.coordinator.to_string(),
        id.to_owned(),
        described.producer.to_string(),
        described.epoch.to_string(),
        described.state,
        described.timeout_ms.to_string(),
        described.started.map_or_else(none, |at| at.to_string()),
        described.started.map_or_else(none, |at| (now_ms() - at).to_string()),
        names.join(","),
    ];
    streams.text(table(titles, [row]));
    Ok(())
}

async fn producers_at(
    admin: &Admin,
    partition: &TopicPartition,
    broker: Option<i32>,
) -> Result<Vec<ProducerDescription>, String> {
    admin.describe_producers(partition, broker).await.map_err(|error| {
        let whose = broker.map_or_else(|| "leader".to_owned(), |id| format!("broker {id}"));
        let what = format!("Failed to describe producers for partition {partition} on {whose}");
        failed(&what, &error, producers_call(broker))
    })
}

/// What the admin client is waiting for when it asks for producers.
const fn producers_call(broker: Option<i32>) -> &'static str {
    match broker {
        Some(_) => "describeProducers(api=DESCRIBE_PRODUCERS)",
        None => "describeProducers(api=METADATA)",
    }
}

async fn describe_producers(
    admin: &Admin,
    partition: &TopicPartition,
    broker: Option<i32>,
    streams: &mut Streams,
) -> Result<(), String> {
    let producers = producers_at(admin, partition, broker).await?;
    let titles = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    let rows = producers.iter().map(|one| {
        [
            one.producer.to_string(),
            one.epoch.to_string(),
            one.coordinator_epoch.unwrap_or(-1).to_string(),
            one.last_sequence.to_string(),
            one.last_timestamp.to_string(),
            one.transaction_start.map_or_else(|| "None".to_owned(), |at| at.to_string()),
        ]
    });
    streams.text(table(titles, rows));
    Ok(())
}

async fn abort_at(admin: &Admin, partition: &TopicPartition, offset: i64) -> Result<(), String> {
    let producers = admin.describe_producers(partition, None).await.map_err(|error| {
        let what = format!("Failed to validate producer state for partition {partition}");
        failed(&what, &error, producers_call(None))
    })?;
    let found = producers.iter().find(|one| one.transaction_start == Some(offset));
    let Some(found) = found else {
        return Err(format!(
            "Could not find any open transactions starting at offset {offset} on partition \
             {partition}"
        ));
    };
    abort(admin, &hanging_of(partition, found)).await
}

/// The marker that ends a producer's transaction where it hangs.
pub fn hanging_of(partition: &TopicPartition, found: &ProducerDescription) -> HangingTransaction {
    HangingTransaction {
        partition: partition.clone(),
        producer: found.producer,
        // Brokers tell 16 bits in 32.
        epoch: ProducerEpoch(i16::try_from(found.epoch).unwrap_or(i16::MAX)),
        coordinator_epoch: found.coordinator_epoch.unwrap_or(0),
    }
}

async fn abort(admin: &Admin, hanging: &HangingTransaction) -> Result<(), String> {
    let done = admin.abort_transaction(hanging).await;
    done.map_err(|error| {
        let HangingTransaction { partition, producer, epoch, coordinator_epoch } = hanging;
        let what = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={partition}, \
             producerId={producer}, producerEpoch={epoch}, coordinatorEpoch={coordinator_epoch})"
        );
        failed(&what, &error, "abortTransaction(api=METADATA)")
    })
}
