//! `naru consume`.

use std::collections::HashMap;
use std::time::Duration;

use naru_client::admin::OffsetSpec;
use naru_client::{
    Admin, Consumer, ConsumerConfig, ConsumerRecord, Isolation, OffsetReset, RecordBatch,
    TopicPartition,
};
use naru_model::ErrorCode;
use regex_lite::Regex;
use tokio::time::timeout;

use super::context::{BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, TIMEOUT, topic_failure};
use super::failure::Failure;
use super::range::{Place, now_millis, parse_place};
use super::record::{RecordForm, parse_verbs};
use crate::options::{Row, Takes, row};
use crate::text::Streams;

pub const COMMAND: Command = Command {
    name: "consume",
    aliases: &["c"],
    about: "Shows the records of topics.",
    usage: "consume TOPIC... [--from PLACE] [--to PLACE] [--tail N] [-e] [-g GROUP] [-n N]",
    rows: ROWS,
    examples: &[
        "naru consume orders --from start -e",
        "naru consume orders --tail 10",
        "naru consume orders --from '10m ago' --to now -o ndjson",
        "naru consume orders -g billing -f '%p:%o %k=%v\\n'",
    ],
    work: |context| Box::pin(consume(context)),
};

static ROWS: &[Row] = &[
    BOOTSTRAP,
    BOOTSTRAP_SERVER,
    TIMEOUT,
    HELP,
    row("from", Takes::Text("place"), "start, end (default), an offset, -N, '10m ago', a date."),
    row("to", Takes::Text("place"), "Where to end; the same words."),
    row("tail", Takes::Text("number"), "The last N records, then what comes."),
    row("exit", Takes::Nothing, "Ends at what is the end now.").short('e'),
    row("group", Takes::Text("group"), "Joins this group and commits what was shown.").short('g'),
    row("number", Takes::Text("number"), "Ends after N records.").short('n'),
    row("partition", Takes::Text("numbers"), "Only these partitions: 0,3.").short('p'),
    row("grep", Takes::Text("regex"), "Only records whose key or value matches."),
    row("output", Takes::Text("form"), "raw (default), ndjson, json or hex.").short('o'),
    row(
        "format",
        Takes::Text("format"),
        "%t topic %p partition %o offset %k key %v value %h headers %T timestamp.",
    )
    .short('f'),
    row("committed", Takes::Nothing, "Nothing of open or aborted transactions."),
];

/// How long nothing may come before positions are looked at again.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// What is shown, and when it is enough.
struct View {
    form: RecordForm,
    grep: Option<Regex>,
    max: Option<u64>,
    shown: u64,
    /// Records that are held back until the last `tail` of them are known.
    tail: Option<Tail>,
    /// Whether it goes on at the end of the span with what comes.
    follows: bool,
}

/// The last of what has been read so far.
struct Tail {
    count: usize,
    /// Timestamp and bytes.
    held: Vec<(i64, Vec<u8>)>,
}

/// Where to begin and end each partition.
struct Span {
    starts: Vec<(TopicPartition, i64)>,
    /// Empty if there is no end.
    ends: HashMap<TopicPartition, i64>,
}

async fn consume(context: &mut Context) -> Result<i32, Failure> {
    let topics = context.names("topic")?;
    let mut view = view(context)?;
    let client = context.client()?;
    let admin = Admin::new(client.clone());
    for (name, outcome) in admin.describe_topics(&topics).await? {
        if let Err(error) = outcome {
            return Err(topic_failure(&admin, &name, error).await);
        }
    }
    let group = context.value("group")?;
    let mut config = ConsumerConfig { group_id: group.clone(), ..ConsumerConfig::default() };
    config.auto_commit = group.is_some();
    if context.options.has("committed") {
        config.isolation = Isolation::ReadCommitted;
    }
    let span = span(context, &admin, &topics, config.isolation).await?;
    if group.is_some() {
        let place = context.value("from")?;
        config.offset_reset = match place.as_deref() {
            Some("start" | "earliest" | "beginning") => OffsetReset::Earliest,
            None | Some("end" | "latest") => OffsetReset::Latest,
            Some(_) => {
                return Err(Failure::usage("with --group, --from is start or end")
                    .hint("'naru group seek' moves a group anywhere"));
            }
        };
    }
    let mut consumer = Consumer::over(admin.cluster().clone(), config);
    if group.is_some() {
        consumer.subscribe(topics)?;
    } else {
        consumer.assign(span.starts.iter().map(|(partition, _)| partition.clone()));
        for (partition, offset) in &span.starts {
            consumer.seek(partition, *offset)?;
        }
    }
    let outcome = tokio::select! {
        outcome = show(&mut consumer, &mut view, &span, &mut context.streams) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(130),
    };
    context.streams.flush();
    let closed = consumer.close().await;
    let code = outcome?;
    closed?;
    Ok(code)
}

fn view(context: &Context) -> Result<View, Failure> {
    let form = match (context.value("format")?, context.value("output")?.as_deref()) {
        (Some(format), _) => RecordForm::Verbs(parse_verbs(&format).map_err(Failure::usage)?),
        (None, None | Some("raw" | "value")) => RecordForm::Raw,
        (None, Some("json" | "ndjson")) => RecordForm::Ndjson,
        (None, Some("hex")) => RecordForm::Hex,
        (None, Some("table")) => {
            let format = "%t\\t%p\\t%o\\t%T\\t%k\\t%v\\n";
            RecordForm::Verbs(parse_verbs(format).map_err(Failure::usage)?)
        }
        (None, Some(other)) => {
            let text = format!("--output is raw, ndjson, json, hex or table, not '{other}'");
            return Err(Failure::usage(text));
        }
    };
    let grep = match context.value("grep")? {
        None => None,
        Some(regex) => Some(Regex::new(&regex).map_err(|error| Failure::usage(error.to_string()))?),
    };
    let tail = context.number("tail")?.map(|count| Tail { count, held: Vec::new() });
    let follows = !context.options.has("exit") && !context.options.has("to");
    Ok(View { form, grep, max: context.number("number")?, shown: 0, tail, follows })
}

/// Looks up where to begin and where to end.
async fn span(
    context: &Context,
    admin: &Admin,
    topics: &[String],
    isolation: Isolation,
) -> Result<Span, Failure> {
    let now = now_millis();
    let place = |name: &str| -> Result<Option<Place>, Failure> {
        let text = context.value(name)?;
        text.map(|text| parse_place(&text, now).map_err(Failure::usage)).transpose()
    };
    let from = match (place("from")?, context.number::<i64>("tail")?) {
        (Some(_), Some(_)) => return Err(Failure::usage("--tail and --from say the same")),
        (Some(from), None) => from,
        (None, Some(tail)) => Place::BeforeEnd(tail),
        (None, None) if context.options.has("exit") => Place::Start,
        (None, None) => Place::End,
    };
    let to = match (place("to")?, context.options.has("exit")) {
        (Some(to), _) => Some(to),
        (None, true) => Some(Place::End),
        (None, false) => None,
    };
    let partitions = partitions(context, admin, topics).await?;
    let starts = find(admin, &partitions, from, isolation).await?;
    // A tail needs to know the end that it is the tail of.
    let ends = match (to, context.options.has("tail")) {
        (Some(to), _) => find(admin, &partitions, to, isolation).await?.into_iter().collect(),
        (None, true) => {
            find(admin, &partitions, Place::End, isolation).await?.into_iter().collect()
        }
        (None, false) => HashMap::new(),
    };
    let ends = if context.options.has("group") && to.is_none() { HashMap::new() } else { ends };
    Ok(Span { starts, ends })
}

async fn partitions(
    context: &Context,
    admin: &Admin,
    topics: &[String],
) -> Result<Vec<TopicPartition>, Failure> {
    let wanted: Option<Vec<i32>> =
        match context.value("partition")? {
            None => None,
            Some(list) => {
                let numbers = list.split(',').map(|n| n.trim().parse());
                let numbers = numbers.collect::<Result<_, _>>();
                Some(numbers.map_err(|_| {
                    Failure::usage(format!("--partition is like 0,3, not '{list}'"))
                })?)
            }
        };
    let metadata = admin.cluster().refresh_topics(topics, false).await?;
    let all = topics.iter().filter_map(|topic| metadata.topic(topic)).flat_map(|topic| {
        topic.partitions.iter().map(|p| TopicPartition::new(topic.name.clone(), p.index))
    });
    let found: Vec<TopicPartition> =
        all.filter(|p| wanted.as_ref().is_none_or(|w| w.contains(&p.partition))).collect();
    if found.is_empty() {
        return Err(Failure::failed("no such partition")
            .hint("'naru topic describe' shows the partitions there are"));
    }
    Ok(found)
}

/// The offsets of a place in each partition.
async fn find(
    admin: &Admin,
    partitions: &[TopicPartition],
    place: Place,
    isolation: Isolation,
) -> Result<Vec<(TopicPartition, i64)>, Failure> {
    let look_up = async |spec| -> Result<Vec<Option<i64>>, Failure> {
        let wanted: Vec<_> = partitions.iter().map(|p| (p.clone(), spec)).collect();
        let listed = admin.list_offsets(&wanted, isolation).await?;
        let mut offsets = Vec::with_capacity(listed.len());
        for (_, outcome) in listed {
            offsets.push(outcome?.offset);
        }
        Ok(offsets)
    };
    let ends = look_up(OffsetSpec::Latest).await?;
    let starts = look_up(OffsetSpec::Earliest).await?;
    let found = match place {
        Place::Start => starts.clone(),
        Place::End | Place::BeforeEnd(_) | Place::Offset(_) => ends.clone(),
        Place::Time(millis) => look_up(OffsetSpec::Timestamp(millis)).await?,
    };
    let mut offsets = Vec::with_capacity(partitions.len());
    for (index, partition) in partitions.iter().enumerate() {
        let (start, end) = (starts[index].unwrap_or(0), ends[index].unwrap_or(0));
        let offset = match place {
            Place::Offset(offset) => offset.clamp(start, end),
            Place::BeforeEnd(count) => (end - count).max(start),
            // No record is that young: the end.
            _ => found[index].unwrap_or(end),
        };
        offsets.push((partition.clone(), offset));
    }
    Ok(offsets)
}

async fn show(
    consumer: &mut Consumer,
    view: &mut View,
    span: &Span,
    streams: &mut Streams,
) -> Result<i32, Failure> {
    let mut ended = span.ends.is_empty();
    loop {
        if view.is_full() {
            return Ok(0);
        }
        if !ended && has_reached(consumer, span) {
            view.release_tail(streams);
            if !view.follows {
                return Ok(0);
            }
            view.tail = None;
            ended = true;
        }
        let batch = match timeout(LOOK_AROUND, consumer.next_batch()).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(error)) if error.code() == ErrorCode::RebalanceInProgress => continue,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => continue,
        };
        let end = if view.follows { None } else { span.ends.get(&batch.partition).copied() };
        for record in &batch.records {
            if end.is_some_and(|end| record.offset >= end) {
                break;
            }
            if view.is_full() {
                // What is not shown is not committed.
                consumer.seek(&batch.partition, record.offset)?;
                break;
            }
            view.put(&batch, record, streams);
        }
        streams.flush();
        if streams.is_broken() {
            return Ok(0);
        }
    }
}

/// Whether every partition has been read up to its end.
fn has_reached(consumer: &Consumer, span: &Span) -> bool {
    span.ends.iter().all(|(partition, end)| {
        // Another member of the group may have the partition.
        let assigned = consumer.assignment().any(|ours| ours == partition);
        let began = consumer.assignment().next().is_some();
        (began && !assigned) || consumer.position(partition).is_some_and(|at| at >= *end)
    })
}

impl View {
    fn is_full(&self) -> bool {
        self.max.is_some_and(|max| self.shown >= max)
    }

    fn put(&mut self, batch: &RecordBatch, record: &ConsumerRecord, streams: &mut Streams) {
        if let Some(regex) = &self.grep {
            let hit = [&record.key, &record.value]
                .into_iter()
                .flatten()
                .any(|bytes| regex.is_match(&String::from_utf8_lossy(bytes)));
            if !hit {
                return;
            }
        }
        let bytes = self.form.render(batch, record);
        match &mut self.tail {
            Some(tail) => tail.held.push((record.timestamp, bytes)),
            None => {
                streams.raw(&bytes);
                self.shown += 1;
            }
        }
    }

    /// Shows the last of what was held back, by time.
    fn release_tail(&mut self, streams: &mut Streams) {
        let Some(tail) = &mut self.tail else { return };
        tail.held.sort_by_key(|(timestamp, _)| *timestamp);
        let skip = tail.held.len().saturating_sub(tail.count);
        for (_, bytes) in tail.held.drain(..).skip(skip) {
            streams.raw(&bytes);
            self.shown += 1;
        }
        streams.flush();
    }
}
