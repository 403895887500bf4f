//! `naru transaction`.

use naru_client::admin::{TransactionDescription, TransactionFilter};
use naru_client::{Admin, Error};
use naru_model::ErrorCode;
use serde_json::{Value, json};

use super::context::{BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, OUTPUT, TIMEOUT, YES};
use super::failure::Failure;
use super::range::now_millis;
use crate::options::{Row, Takes, row};
use crate::text::time::parse_human_duration;
use crate::text::{Column, Table};
use crate::tools::transactions::{Open, Search, find_hanging, hanging_of};

/// How long a transaction may last that is not taken for hanging: Kafka's largest timeout.
const LASTS: &str = "15m";
const LONGER_THAN: Row =
    row("longer-than", Takes::Text("15m"), "How long its producer has been silent (15m).");
const TOPIC: Row = row("topic", Takes::Text("topic"), "Only this topic.").short('t');

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ls",
        aliases: &["list"],
        about: "Lists transactional ids.",
        usage: "transaction ls",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru transaction ls", "naru transaction ls -o json"],
        work: |context| Box::pin(list(context)),
    },
    Command {
        name: "show",
        aliases: &["describe", "info"],
        about: "Shows transactional ids: state, producer, since when, and which partitions.",
        usage: "transaction show ID...",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru transaction show billing-0"],
        work: |context| Box::pin(show(context)),
    },
    Command {
        name: "hanging",
        aliases: &["find-hanging"],
        about: "Finds transactions that keep readers waiting and that nobody will end.",
        usage: "transaction hanging [--topic TOPIC] [--longer-than 15m]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP, TOPIC, LONGER_THAN],
        examples: &["naru transaction hanging", "naru transaction hanging -t orders -o json"],
        work: |context| Box::pin(hanging(context)),
    },
    Command {
        name: "abort",
        aliases: &[],
        about: "Aborts the open transactions of ids and fences their producers, or aborts those \
                that hang.",
        usage: "transaction abort ID... | --hanging [--topic TOPIC] [--yes]",
        rows: &[
            BOOTSTRAP,
            BOOTSTRAP_SERVER,
            TIMEOUT,
            YES,
            HELP,
            row("hanging", Takes::Nothing, "What 'naru transaction hanging' finds."),
            TOPIC,
            LONGER_THAN,
        ],
        examples: &["naru transaction abort billing-0", "naru transaction abort --hanging --yes"],
        work: |context| Box::pin(abort(context)),
    },
];

async fn list(context: &mut Context) -> Result<i32, Failure> {
    let listed = context.admin()?.list_transactions(&TransactionFilter::default()).await?;
    let mut all: Vec<_> = listed
        .into_iter()
        .flat_map(|(broker, all)| all.into_iter().map(move |one| (broker, one)))
        .collect();
    all.sort_by(|(_, a), (_, b)| a.transactional_id.cmp(&b.transactional_id));
    let mut table = Table::new(&[
        Column::text("TRANSACTIONAL ID"),
        Column::text("STATE"),
        Column::number("PRODUCER"),
        Column::number("COORDINATOR"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for (broker, one) in &all {
        table.row([
            one.transactional_id.clone(),
            one.state.clone(),
            one.producer.to_string(),
            broker.to_string(),
        ]);
        json.push(json!({
            "transactional_id": one.transactional_id,
            "state": one.state,
            "producer_id": one.producer.0,
            "coordinator": broker,
        }));
    }
    context.show(&table, all.into_iter().map(|(_, one)| one.transactional_id), json)?;
    Ok(0)
}

async fn described(admin: &Admin, id: &str) -> Result<TransactionDescription, Failure> {
    admin.describe_transaction(id).await.map_err(|error| match error {
        Error::Broker { code: ErrorCode::TransactionalIdNotFound, .. } => Failure {
            hint: Some("'naru transaction ls' shows those there are".to_owned()),
            ..Failure::not_found("transactional id", id, ErrorCode::TransactionalIdNotFound, None)
        },
        other => other.into(),
    })
}

async fn show(context: &mut Context) -> Result<i32, Failure> {
    let ids = context.names("transactional id")?;
    let admin = context.admin()?;
    let mut table = Table::new(&[
        Column::text("TRANSACTIONAL ID"),
        Column::text("STATE"),
        Column::number("PRODUCER"),
        Column::number("EPOCH"),
        Column::number("COORDINATOR"),
        Column::number("TIMEOUT"),
        Column::number("OPEN FOR"),
        Column::text("PARTITIONS"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for id in &ids {
        let one = described(&admin, id).await?;
        let mut partitions = one.partitions;
        partitions.sort();
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        let open_for = one.started.map(|started| (now_millis() - started).max(0));
        table.row([
            id.clone(),
            one.state.clone(),
            one.producer.to_string(),
            one.epoch.to_string(),
            one.coordinator.to_string(),
            format!("{} s", one.timeout_ms / 1000),
            open_for.map_or_else(|| "-".to_owned(), |ms| format!("{} s", ms / 1000)),
            partitions.join(","),
        ]);
        json.push(json!({
            "transactional_id": id,
            "state": one.state,
            "producer_id": one.producer.0,
            "producer_epoch": one.epoch.0,
            "coordinator": one.coordinator,
            "timeout_ms": one.timeout_ms,
            "started_ms": one.started,
            "partitions": partitions,
        }));
    }
    context.show(&table, ids, json)?;
    Ok(0)
}

/// What hangs, as the options say.
async fn found(context: &Context, admin: &Admin) -> Result<Vec<Open>, Failure> {
    let text = context.value("longer-than")?.unwrap_or_else(|| LASTS.to_owned());
    let lasted_ms = parse_human_duration(&text)
        .ok_or_else(|| Failure::usage(format!("{text} is no duration such as 15m")))?;
    let topic = context.value("topic")?;
    let search = Search { topic, partition: None, broker: None, lasted_ms };
    find_hanging(admin, &search, now_millis()).await.map_err(|words| {
        let words = words.strip_suffix(". Enable debug logging for additional detail.");
        Failure::failed(words.unwrap_or("transactions cannot be looked for"))
    })
}

async fn hanging(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let found = found(context, &admin).await?;
    let mut table = Table::new(&[
        Column::text("PARTITION"),
        Column::number("OFFSET"),
        Column::number("PRODUCER"),
        Column::number("EPOCH"),
        Column::number("SILENT FOR"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for (partition, one) in &found {
        let silent_ms = (now_millis() - one.last_timestamp).max(0);
        table.row([
            partition.to_string(),
            one.transaction_start.unwrap_or(-1).to_string(),
            one.producer.to_string(),
            one.epoch.to_string(),
            format!("{} min", silent_ms / 60_000),
        ]);
        json.push(json!({
            "topic": partition.topic,
            "partition": partition.partition,
            "start_offset": one.transaction_start,
            "producer_id": one.producer.0,
            "producer_epoch": one.epoch,
            "last_timestamp_ms": one.last_timestamp,
        }));
    }
    context.show(&table, found.iter().map(|(partition, _)| partition.to_string()), json)?;
    Ok(0)
}

async fn abort(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    if !context.options.has("hanging") {
        let ids = context.names("transactional id")?;
        for id in &ids {
            described(&admin, id).await?;
        }
        let list = ids.join(" ");
        let what = format!("This aborts what {list} has open, and its producer is fenced");
        context.confirm(&what, &list)?;
        for id in &ids {
            admin.terminate_transaction(id).await?;
            context.streams.line(format!("ended {id}"));
        }
        return Ok(0);
    }
    let found = found(context, &admin).await?;
    if found.is_empty() {
        context.streams.line("nothing hangs");
        return Ok(0);
    }
    let count = found.len().to_string();
    context.confirm(&format!("This aborts {count} hanging transactions"), &count)?;
    for (partition, one) in &found {
        admin.abort_transaction(&hanging_of(partition, one)).await?;
        let start = one.transaction_start.unwrap_or(-1);
        context.streams.line(format!("aborted {partition} at offset {start}"));
    }
    Ok(0)
}
