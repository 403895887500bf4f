//! `naru topic`.

use naru_client::admin::{NewTopic, OffsetSpec, TopicDescription};
use naru_client::{Admin, Error, Isolation, Topic, TopicPartition};
use naru_model::ErrorCode;
use serde_json::{Value, json};

use super::context::{
    BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, OUTPUT, TIMEOUT, YES, topic_failure,
};
use super::failure::{Failure, PARTLY};
use super::topic_config;
use crate::options::{Row, Takes, row};
use crate::text::{Column, Table};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ls",
        aliases: &["list"],
        about: "Lists topics.",
        usage: "topic ls [PATTERN] [--internal]",
        rows: &[
            BOOTSTRAP,
            BOOTSTRAP_SERVER,
            OUTPUT,
            TIMEOUT,
            HELP,
            row("internal", Takes::Nothing, "With Kafka's own topics.").short('i'),
        ],
        examples: &["naru topic ls", "naru topic ls 'ord*' -o json"],
        work: |context| Box::pin(list(context)),
    },
    Command {
        name: "create",
        aliases: &["new"],
        about: "Creates topics.",
        usage: "topic create NAME... [-p PARTITIONS] [-r REPLICAS] [-c KEY=VALUE]...",
        rows: CREATE_ROWS,
        examples: &[
            "naru topic create orders -p 6",
            "naru topic create events --retention 7d -c max.message.bytes=2MiB",
        ],
        work: |context| Box::pin(create(context)),
    },
    Command {
        name: "describe",
        aliases: &["show", "info"],
        about: "Shows the partitions of topics, with offsets.",
        usage: "topic describe NAME...",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru topic describe orders", "naru topic describe orders -o json"],
        work: |context| Box::pin(describe(context)),
    },
    Command {
        name: "delete",
        aliases: &["rm"],
        about: "Deletes topics with all their records.",
        usage: "topic delete NAME... [--yes]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, YES, HELP],
        examples: &["naru topic delete orders", "naru topic delete a b c --yes"],
        work: |context| Box::pin(delete(context)),
    },
    topic_config::COMMAND,
    Command {
        name: "add-partitions",
        aliases: &["grow"],
        about: "Raises the number of partitions; keys will go to other partitions than before.",
        usage: "topic add-partitions NAME COUNT | +MORE",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, HELP],
        examples: &["naru topic add-partitions orders 12", "naru topic add-partitions orders +3"],
        work: |context| Box::pin(add_partitions(context)),
    },
];

static CREATE_ROWS: &[Row] = &[
    BOOTSTRAP,
    BOOTSTRAP_SERVER,
    TIMEOUT,
    HELP,
    row("partitions", Takes::Text("number"), "How many partitions.").short('p'),
    row("replicas", Takes::Text("number"), "How many replicas of each.").short('r'),
    row("config", Takes::Text("key=value"), "A configuration; values may have units.").short('c'),
    row("retention", Takes::Text("7d"), "How long records are kept."),
    row("compact", Takes::Nothing, "Keeps the last record of each key."),
    row("if-not-exists", Takes::Nothing, "No error if the topic exists."),
];

async fn list(context: &mut Context) -> Result<i32, Failure> {
    let pattern = context.options.rest.first().cloned();
    let internal = context.options.has("internal");
    let topics = context.admin()?.list_topics().await?;
    let wanted: Vec<&Topic> = topics
        .iter()
        .filter(|topic| internal || !topic.internal)
        .filter(|topic| pattern.as_deref().is_none_or(|p| matches_glob(p, &topic.name)))
        .collect();
    let mut table = Table::new(&[
        Column::text("TOPIC"),
        Column::number("PARTITIONS"),
        Column::number("REPLICAS"),
        Column::number("UNDER-REPLICATED"),
    ]);
    let replicas = |topic: &Topic| topic.partitions.first().map_or(0, |p| p.replicas.len());
    let behind =
        |topic: &Topic| topic.partitions.iter().filter(|p| p.isr.len() < p.replicas.len()).count();
    for topic in &wanted {
        table.row([
            topic.name.clone(),
            topic.partitions.len().to_string(),
            replicas(topic).to_string(),
            behind(topic).to_string(),
        ]);
    }
    let json = |topic: &&Topic| {
        json!({
            "name": topic.name,
            "id": topic.id.to_string(),
            "partitions": topic.partitions.len(),
            "replicas": replicas(topic),
            "under_replicated": behind(topic),
            "internal": topic.internal,
        })
    };
    let json: Vec<Value> = wanted.iter().map(json).collect();
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    context.show(&table, names, json)?;
    Ok(0)
}

/// Shell patterns with `*` and `?`.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    let regex: String = pattern
        .chars()
        .map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            c => regex_lite::escape(&c.to_string()),
        })
        .collect();
    regex_lite::Regex::new(&format!("^{regex}$")).is_ok_and(|regex| regex.is_match(name))
}

async fn create(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("topic")?;
    let partitions = context.number::<i32>("partitions")?;
    let replicas = context.number::<i16>("replicas")?;
    let mut configs = Vec::new();
    for pair in context.options.all("config") {
        configs.push(topic_config::parse_pair(pair)?);
    }
    if let Some(retention) = context.value("retention")? {
        let value = topic_config::with_units("retention.ms", &retention)?;
        configs.push(("retention.ms".to_owned(), value));
    }
    if context.options.has("compact") {
        configs.push(("cleanup.policy".to_owned(), "compact".to_owned()));
    }
    let topic = |name: &String| NewTopic {
        name: name.clone(),
        partitions,
        replication_factor: replicas,
        assignments: Vec::new(),
        configs: configs.clone(),
    };
    let topics: Vec<NewTopic> = names.iter().map(topic).collect();
    let quiet = context.options.has("if-not-exists");
    let outcomes = context.admin()?.create_topics(&topics, false).await?;
    finish_each(context, outcomes, "created topic", |error| {
        quiet && error.code() == ErrorCode::TopicAlreadyExists
    })
}

async fn delete(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("topic")?;
    let admin = context.admin()?;
    for (name, outcome) in admin.describe_topics(&names).await? {
        if let Err(error) = outcome {
            return Err(topic_failure(&admin, &name, error).await);
        }
    }
    let list = names.join(" ");
    context.confirm(&format!("This deletes {list} with all records"), &list)?;
    let outcomes = admin.delete_topics(&names).await?;
    finish_each(context, outcomes, "deleted topic", |_| false)
}

/// Tells the outcome for each; the exit code says whether all, some or none were done.
fn finish_each<T>(
    context: &mut Context,
    outcomes: Vec<(String, Result<T, Error>)>,
    done: &str,
    fine: impl Fn(&Error) -> bool,
) -> Result<i32, Failure> {
    let (mut good, mut last) = (0, None);
    for (name, outcome) in outcomes {
        match outcome {
            Ok(_) => {
                good += 1;
                context.streams.line(format!("{done} {name}"));
            }
            Err(error) if fine(&error) => good += 1,
            Err(error) => {
                if let Some(before) = last.replace(Failure::from(error)) {
                    context.streams.error(format!("error: {}", before.text));
                }
            }
        }
    }
    match last {
        None => Ok(0),
        Some(failure) if good == 0 => Err(failure),
        Some(failure) => Err(Failure { code: PARTLY, ..failure }),
    }
}

async fn describe(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("topic")?;
    let admin = context.admin()?;
    let mut table = Table::new(&[
        Column::text("TOPIC"),
        Column::number("PARTITION"),
        Column::number("LEADER"),
        Column::text("REPLICAS"),
        Column::text("ISR"),
        Column::number("START"),
        Column::number("END"),
        Column::number("RECORDS"),
    ]);
    let mut json = Vec::new();
    for (name, outcome) in admin.describe_topics(&names).await? {
        let topic = match outcome {
            Ok(topic) => topic,
            Err(error) => return Err(topic_failure(&admin, &name, error).await),
        };
        json.push(describe_one(&admin, &topic, &mut table).await?);
    }
    context.show(&table, names, json)?;
    Ok(0)
}

async fn describe_one(
    admin: &Admin,
    topic: &TopicDescription,
    table: &mut Table,
) -> Result<Value, Failure> {
    let at = |spec| {
        let name = topic.name.clone();
        let wanted: Vec<_> = topic
            .partitions
            .iter()
            .map(|p| (TopicPartition::new(name.clone(), p.index), spec))
            .collect();
        async move { admin.list_offsets(&wanted, Isolation::ReadUncommitted).await }
    };
    let (starts, ends) = (at(OffsetSpec::Earliest).await?, at(OffsetSpec::Latest).await?);
    let list = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut partitions = Vec::new();
    for ((p, (_, start)), (_, end)) in topic.partitions.iter().zip(starts).zip(ends) {
        let offset = |listed: Result<naru_client::admin::ListedOffset, Error>| {
            listed.ok().and_then(|listed| listed.offset)
        };
        let (start, end) = (offset(start), offset(end));
        let count = start.zip(end).map(|(start, end)| end - start);
        let text = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        table.row([
            topic.name.clone(),
            p.index.to_string(),
            p.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
            list(&p.replicas),
            list(&p.isr),
            text(start),
            text(end),
            text(count),
        ]);
        partitions.push(json!({
            "partition": p.index,
            "leader": p.leader,
            "replicas": p.replicas,
            "isr": p.isr,
            "start_offset": start,
            "end_offset": end,
        }));
    }
    Ok(json!({
        "name": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions,
    }))
}

async fn add_partitions(context: &mut Context) -> Result<i32, Failure> {
    let [name, count] = context.options.rest.as_slice() else {
        return Err(Failure::usage("a topic and a number are needed"));
    };
    let (name, count) = (name.clone(), count.clone());
    let admin = context.admin()?;
    let bad = || Failure::usage(format!("'{count}' is not a number of partitions"));
    let wanted = match count.strip_prefix('+') {
        None => count.parse::<i32>().map_err(|_| bad())?,
        Some(more) => {
            let metadata =
                admin.cluster().refresh_topics(std::slice::from_ref(&name), false).await?;
            let known = metadata.topic(&name).map_or(0, |topic| topic.partitions.len());
            i32::try_from(known).unwrap_or(0) + more.parse::<i32>().map_err(|_| bad())?
        }
    };
    if let Err(error) = admin.create_partitions(&name, wanted, None, false).await {
        return Err(topic_failure(&admin, &name, error).await);
    }
    context.streams.line(format!("topic {name} has {wanted} partitions"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        assert!(matches_glob("ord*", "orders"));
        assert!(matches_glob("a.?", "a.b"));
        assert!(!matches_glob("a.?", "axb"));
        assert!(!matches_glob("ord", "orders"));
    }
}
