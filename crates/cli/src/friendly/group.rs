//! `naru group`.

use std::collections::BTreeMap;

use naru_client::admin::{CommittedOffset, GroupDescription, OffsetSpec};
use naru_client::{Admin, Error, Isolation, TopicPartition};
use naru_model::ErrorCode;
use serde_json::{Value, json};

use super::context::{
    BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, HELP, OUTPUT, TIMEOUT, YES, group_failure,
};
use super::failure::{Failure, PARTLY};
use super::range::{Place, now_millis, parse_place};
use crate::options::{Takes, row};
use crate::text::{Column, Table};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ls",
        aliases: &["list"],
        about: "Lists groups.",
        usage: "group ls",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru group ls", "naru group ls -o json"],
        work: |context| Box::pin(list(context)),
    },
    Command {
        name: "describe",
        aliases: &["show", "info"],
        about: "Shows the members of a group, its committed offsets and its lag.",
        usage: "group describe GROUP",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru group describe billing", "naru group describe billing -o json"],
        work: |context| Box::pin(describe(context)),
    },
    Command {
        name: "lag",
        aliases: &[],
        about: "Shows how far groups are behind.",
        usage: "group lag [GROUP]...",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru group lag", "naru group lag billing -o json"],
        work: |context| Box::pin(lag(context)),
    },
    Command {
        name: "seek",
        aliases: &["reset"],
        about: "Moves the committed offsets of a group without members.",
        usage: "group seek GROUP --to PLACE [--topic TOPIC]... [--dry-run] [--yes]",
        rows: &[
            BOOTSTRAP,
            BOOTSTRAP_SERVER,
            TIMEOUT,
            YES,
            HELP,
            row("to", Takes::Text("place"), "start, end, an offset, -N, '10m ago', a date."),
            row("topic", Takes::Text("topic"), "Only this topic; may be repeated.").short('t'),
            row("dry-run", Takes::Nothing, "Only shows what would be done.").short('n'),
        ],
        examples: &["naru group seek billing --to start", "naru group seek billing --to -10m -n"],
        work: |context| Box::pin(seek(context)),
    },
    Command {
        name: "delete",
        aliases: &["rm"],
        about: "Deletes groups without members, with their committed offsets.",
        usage: "group delete GROUP... [--yes]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, YES, HELP],
        examples: &["naru group delete billing", "naru group delete a b --yes"],
        work: |context| Box::pin(delete(context)),
    },
];

async fn list(context: &mut Context) -> Result<i32, Failure> {
    let mut groups = context.admin()?.list_groups(&[], &[]).await?;
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    let mut table = Table::new(&[
        Column::text("GROUP"),
        Column::text("STATE"),
        Column::text("TYPE"),
        Column::text("PROTOCOL"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for g in &groups {
        table.row([
            g.group.clone(),
            g.state.clone(),
            g.group_type.clone(),
            g.protocol_type.clone(),
        ]);
        json.push(json!({
            "group": g.group,
            "state": g.state,
            "type": g.group_type,
            "protocol": g.protocol_type,
        }));
    }
    context.show(&table, groups.into_iter().map(|g| g.group), json)?;
    Ok(0)
}

/// A partition a group has something to do with.
struct Share {
    partition: TopicPartition,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<String>,
    client: Option<String>,
}

impl Share {
    fn lag(&self) -> Option<i64> {
        Some(self.end? - self.committed?)
    }
}

async fn describe_group(admin: &Admin, group: &str) -> Result<GroupDescription, Failure> {
    match admin.describe_group(group).await {
        Ok(described) => Ok(described),
        Err(error) => Err(group_failure(admin, group, error).await),
    }
}

async fn shares(admin: &Admin, group: &GroupDescription) -> Result<Vec<Share>, Failure> {
    let mut found: BTreeMap<TopicPartition, Share> = BTreeMap::new();
    for (partition, committed) in admin.group_offsets(&group.group, None).await? {
        let share = Share {
            partition: partition.clone(),
            committed: Some(committed.offset),
            end: None,
            member: None,
            client: None,
        };
        found.insert(partition, share);
    }
    for member in &group.members {
        for partition in &member.assignment {
            let share = found.entry(partition.clone()).or_insert_with(|| Share {
                partition: partition.clone(),
                committed: None,
                end: None,
                member: None,
                client: None,
            });
            share.member = Some(member.member_id.clone());
            share.client = Some(format!("{}{}", member.client_id, member.host));
        }
    }
    let wanted: Vec<_> = found.keys().map(|p| (p.clone(), OffsetSpec::Latest)).collect();
    for (partition, listed) in admin.list_offsets(&wanted, Isolation::ReadUncommitted).await? {
        if let (Some(share), Ok(listed)) = (found.get_mut(&partition), listed) {
            share.end = listed.offset;
        }
    }
    Ok(found.into_values().collect())
}

fn text(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

async fn describe(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("group")?;
    let admin = context.admin()?;
    let mut table = Table::new(&[
        Column::text("GROUP"),
        Column::text("STATE"),
        Column::text("TOPIC"),
        Column::number("PARTITION"),
        Column::number("COMMITTED"),
        Column::number("END"),
        Column::number("LAG"),
        Column::text("MEMBER"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for name in &names {
        let group = describe_group(&admin, name).await?;
        let shares = shares(&admin, &group).await?;
        for share in &shares {
            table.row([
                group.group.clone(),
                group.state.clone(),
                share.partition.topic.clone(),
                share.partition.partition.to_string(),
                text(share.committed),
                text(share.end),
                text(share.lag()),
                share.client.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        let partitions: Vec<Value> = shares
            .iter()
            .map(|share| {
                json!({
                    "topic": share.partition.topic,
                    "partition": share.partition.partition,
                    "committed": share.committed,
                    "end": share.end,
                    "lag": share.lag(),
                    "member": share.member,
                })
            })
            .collect();
        let members: Vec<Value> = group
            .members
            .iter()
            .map(|m| {
                json!({
                    "member": m.member_id,
                    "client": m.client_id,
                    "host": m.host,
                    "instance": m.instance_id,
                    "partitions": m.assignment.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            })
            .collect();
        json.push(json!({
            "group": group.group,
            "state": group.state,
            "assignor": group.assignor,
            "coordinator": group.coordinator,
            "members": members,
            "partitions": partitions,
        }));
    }
    context.show(&table, names, json)?;
    Ok(0)
}

async fn lag(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let mut names = context.options.rest.clone();
    if names.is_empty() {
        names = admin.list_groups(&[], &[]).await?.into_iter().map(|g| g.group).collect();
        names.sort();
    }
    let mut table = Table::new(&[
        Column::text("GROUP"),
        Column::text("STATE"),
        Column::number("MEMBERS"),
        Column::text("TOPIC"),
        Column::number("LAG"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for name in &names {
        let group = describe_group(&admin, name).await?;
        let mut topics: BTreeMap<String, i64> = BTreeMap::new();
        for share in shares(&admin, &group).await? {
            *topics.entry(share.partition.topic.clone()).or_default() += share.lag().unwrap_or(0);
        }
        for (topic, lag) in &topics {
            table.row([
                name.clone(),
                group.state.clone(),
                group.members.len().to_string(),
                topic.clone(),
                lag.to_string(),
            ]);
        }
        json.push(json!({
            "group": name,
            "state": group.state,
            "members": group.members.len(),
            "lag": topics.values().sum::<i64>(),
            "topics": topics,
        }));
    }
    context.show(&table, names, json)?;
    Ok(0)
}

async fn seek(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("group")?;
    let [group] = names.as_slice() else {
        return Err(Failure::usage("one group at a time"));
    };
    let place = context.value("to")?.ok_or_else(|| Failure::usage("--to says where"))?;
    let place = parse_place(&place, now_millis()).map_err(Failure::usage)?;
    let admin = context.admin()?;
    match admin.describe_group(group).await {
        Ok(described) if !described.members.is_empty() => {
            let count = described.members.len();
            return Err(Failure::failed(format!("group '{group}' has {count} members"))
                .hint("stop them first: their positions would win"));
        }
        Ok(_) | Err(Error::Broker { code: ErrorCode::GroupIdNotFound, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let topics: Vec<String> = context.options.all("topic").map(str::to_owned).collect();
    let plan = plan(&admin, group, &topics, place).await?;
    if plan.is_empty() {
        return Err(Failure::failed(format!("group '{group}' has committed nothing"))
            .hint("--topic names topics to begin with"));
    }
    let mut table = Table::new(&[
        Column::text("TOPIC"),
        Column::number("PARTITION"),
        Column::number("COMMITTED"),
        Column::number("NEW"),
    ]);
    for (partition, (before, after)) in &plan {
        table.row([
            partition.topic.clone(),
            partition.partition.to_string(),
            text(*before),
            after.to_string(),
        ]);
    }
    context.show(&table, [], Vec::new())?;
    context.streams.flush();
    if context.options.has("dry-run") {
        return Ok(0);
    }
    context.confirm(&format!("This moves group {group}"), group)?;
    let offsets: Vec<(TopicPartition, CommittedOffset)> = plan
        .into_iter()
        .map(|(partition, (_, offset))| {
            (partition, CommittedOffset { offset, leader_epoch: None, metadata: String::new() })
        })
        .collect();
    for (_, outcome) in admin.alter_group_offsets(group, &offsets).await? {
        outcome?;
    }
    Ok(0)
}

/// What is committed and what shall be.
async fn plan(
    admin: &Admin,
    group: &str,
    topics: &[String],
    place: Place,
) -> Result<BTreeMap<TopicPartition, (Option<i64>, i64)>, Failure> {
    let committed: BTreeMap<TopicPartition, i64> = admin
        .group_offsets(group, None)
        .await?
        .into_iter()
        .map(|(partition, committed)| (partition, committed.offset))
        .collect();
    let mut partitions: Vec<TopicPartition> = Vec::new();
    if topics.is_empty() {
        partitions.extend(committed.keys().cloned());
    }
    for (name, outcome) in admin.describe_topics(topics).await? {
        let topic = match outcome {
            Ok(topic) => topic,
            Err(error) => return Err(super::context::topic_failure(admin, &name, error).await),
        };
        partitions.extend(topic.partitions.iter().map(|p| TopicPartition::new(&*name, p.index)));
    }
    let look_up = async |spec| -> Result<Vec<Option<i64>>, Failure> {
        let wanted: Vec<_> = partitions.iter().map(|p| (p.clone(), spec)).collect();
        let listed = admin.list_offsets(&wanted, Isolation::ReadUncommitted).await?;
        let mut offsets = Vec::with_capacity(listed.len());
        for (_, outcome) in listed {
            offsets.push(outcome?.offset);
        }
        Ok(offsets)
    };
    let starts = look_up(OffsetSpec::Earliest).await?;
    let ends = look_up(OffsetSpec::Latest).await?;
    let times = match place {
        Place::Time(millis) => look_up(OffsetSpec::Timestamp(millis)).await?,
        _ => ends.clone(),
    };
    let mut plan = BTreeMap::new();
    for (index, partition) in partitions.iter().enumerate() {
        let (start, end) = (starts[index].unwrap_or(0), ends[index].unwrap_or(0));
        let offset = match place {
            Place::Start => start,
            Place::End => end,
            Place::Offset(offset) => offset.clamp(start, end),
            Place::BeforeEnd(count) => (end - count).max(start),
            Place::Time(_) => times[index].unwrap_or(end),
        };
        plan.insert(partition.clone(), (committed.get(partition).copied(), offset));
    }
    Ok(plan)
}

async fn delete(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("group")?;
    let admin = context.admin()?;
    for name in &names {
        describe_group(&admin, name).await?;
    }
    let list = names.join(" ");
    context.confirm(&format!("This deletes {list} with all committed offsets"), &list)?;
    let (mut done, mut last) = (0, None);
    for name in &names {
        match admin.delete_group(name).await {
            Ok(()) => {
                done += 1;
                context.streams.line(format!("deleted group {name}"));
            }
            Err(error) => last = Some(group_failure(&admin, name, error).await),
        }
    }
    match last {
        None => Ok(0),
        Some(failure) if done == 0 => Err(failure),
        Some(failure) => Err(Failure { code: PARTLY, ..failure }),
    }
}
