//! `--reset-offsets`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_client::admin::{CommittedOffset, OffsetSpec};
use naru_client::{Admin, Error, Isolation, TopicPartition};
use naru_model::ErrorCode;

use super::resolve::{parse_partitions, partitions_of};
use super::{FACE, Failure, groups, print_error};
use crate::options::Parsed;
use crate::text::time::{parse_datetime, parse_iso_duration};
use crate::text::{Level, Streams, log_line};
use crate::tools::common::Ended;

const SCENARIOS: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "shift-by",
    "from-file",
    "to-current",
];

const SCENARIO_NAMES: &str = "[to-offset], [to-datetime], [by-duration], [to-earliest], \
                              [to-latest], [shift-by], [from-file], [to-current]";

const NO_EXECUTE: &str = "WARN: No action will be performed as the --execute option is missing. \
In version 5.0, this command will require either --dry-run or --execute to be specified. You \
should add the --dry-run option explicitly if you are scripting this command and want to keep the \
current default behavior without prompting.";

pub(super) fn check(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    if p.has("dry-run") && p.has("execute") {
        let text = "Option [reset-offsets] only accepts one of [execute, dry-run]";
        return Err(FACE.usage(text, streams));
    }
    if !p.has("dry-run") && !p.has("execute") {
        streams.error(NO_EXECUTE);
    }
    if !p.has("group") && !p.has("all-groups") {
        let text = "Option [reset-offsets] takes one of these options: [all-groups], [group]";
        return Err(FACE.usage(text, streams));
    }
    for (at, scenario) in SCENARIOS.iter().enumerate() {
        FACE.exclude(p, scenario, &SCENARIOS[at + 1..], streams)?;
    }
    Ok(())
}

pub(in crate::tools) type Plan = BTreeMap<TopicPartition, i64>;

pub(super) async fn reset(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for group in groups(p, admin).await? {
        let state = match admin.describe_group(&group).await {
            Ok(described) => described.state,
            Err(Error::Broker { code: ErrorCode::GroupIdNotFound, .. }) => "Dead".to_owned(),
            Err(error) => return Err(error.into()),
        };
        if state != "Empty" && state != "Dead" {
            let text = format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the \
                 current state is {state}."
            );
            print_error(&text, streams);
            plans.push((group, Plan::new()));
            continue;
        }
        let wanted = partitions(p, admin, &group).await?;
        let plan = plan_for(p, admin, &group, wanted, SCENARIO_NAMES, streams).await?;
        if p.has("execute") {
            execute(admin, &group, &plan).await?;
        }
        plans.push((group, plan));
    }
    let text = if p.has("export") { export(&plans) } else { layout(&plans) };
    streams.text(text);
    Ok(())
}

pub(in crate::tools) async fn execute(
    admin: &Admin,
    group: &str,
    plan: &Plan,
) -> Result<(), Failure> {
    let offsets: Vec<(TopicPartition, CommittedOffset)> = plan
        .iter()
        .map(|(partition, offset)| {
            let metadata = String::new();
            (partition.clone(), CommittedOffset { offset: *offset, leader_epoch: None, metadata })
        })
        .collect();
    for (_, outcome) in admin.alter_group_offsets(group, &offsets).await? {
        outcome?;
    }
    Ok(())
}

/// The partitions that are meant.
async fn partitions(
    p: &Parsed,
    admin: &Admin,
    group: &str,
) -> Result<Vec<TopicPartition>, Failure> {
    if p.has("all-topics") {
        let committed = admin.group_offsets(group, None).await?;
        return Ok(committed.into_iter().map(|(partition, _)| partition).collect());
    }
    if p.has("topic") {
        let mut all = Vec::new();
        for topic in p.all("topic") {
            match parse_partitions(topic)? {
                Some(partitions) => all.extend(partitions),
                None => all.extend(partitions_of(admin, topic).await?),
            }
        }
        return Ok(all);
    }
    if p.has("from-file") {
        return Ok(Vec::new());
    }
    let text = "One of the reset scopes should be defined: --all-topics, --topic.";
    Err(Failure::Usage(text.to_owned()))
}

/// Where a group is to begin in the partitions that are wanted; `scenarios` are the options one of
/// which must say so.
pub(in crate::tools) async fn plan_for(
    p: &Parsed,
    admin: &Admin,
    group: &str,
    wanted: Vec<TopicPartition>,
    scenarios: &str,
    streams: &mut Streams,
) -> Result<Plan, Failure> {
    let usage = |text: String| Failure::Usage(text);
    let text = |name: &str| p.one(name).map_err(|error| usage(error.to_string()));
    let number = |name: &str| p.number::<i64>(name).map_err(|error| usage(error.to_string()));
    if let Some(offset) = number("to-offset")? {
        let asked = wanted.into_iter().map(|partition| (partition, offset)).collect();
        return within_range(admin, asked, streams).await;
    }
    if p.has("to-earliest") {
        return look_up(admin, &wanted, OffsetSpec::Earliest, streams).await;
    }
    if p.has("to-latest") {
        return look_up(admin, &wanted, OffsetSpec::Latest, streams).await;
    }
    if let Some(datetime) = text("to-datetime")? {
        let millis = parse_datetime(datetime)
            .ok_or_else(|| usage(format!("Unparseable date: \"{datetime}\"")))?;
        return look_up(admin, &wanted, OffsetSpec::Timestamp(millis), streams).await;
    }
    if let Some(duration) = text("by-duration")? {
        let back = parse_iso_duration(duration)
            .ok_or_else(|| usage("Text cannot be parsed to a Duration".to_owned()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        return look_up(admin, &wanted, OffsetSpec::Timestamp(now - back), streams).await;
    }
    if let Some(shift) = number("shift-by")? {
        let committed = admin.group_offsets(group, Some(&wanted)).await?;
        let mut asked = Plan::new();
        for partition in wanted {
            let current = committed.iter().find(|(p, _)| *p == partition).ok_or_else(|| {
                usage(format!(
                    "Cannot shift offset for partition {partition} since there is no current \
                     committed offset"
                ))
            })?;
            asked.insert(partition, current.1.offset + shift);
        }
        return within_range(admin, asked, streams).await;
    }
    if let Some(path) = text("from-file")? {
        let file = std::fs::read_to_string(path).map_err(|e| usage(format!("{path}: {e}")))?;
        let asked = parse_csv(&file, group).map_err(usage)?;
        return within_range(admin, asked, streams).await;
    }
    if p.has("to-current") {
        let committed = admin.group_offsets(group, Some(&wanted)).await?;
        let mut plan: Plan = committed.into_iter().map(|(p, c)| (p, c.offset)).collect();
        let rest: Vec<TopicPartition> =
            wanted.into_iter().filter(|partition| !plan.contains_key(partition)).collect();
        plan.extend(look_up(admin, &rest, OffsetSpec::Latest, streams).await?);
        return Ok(plan);
    }
    let text = "Option '[reset-offsets]' requires one of the following scenarios:";
    Err(usage(format!("{text} {scenarios}")))
}

async fn list(
    admin: &Admin,
    wanted: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<Vec<(TopicPartition, Option<i64>)>, Failure> {
    let wanted: Vec<_> = wanted.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = admin.list_offsets(&wanted, Isolation::ReadUncommitted).await?;
    let mut found = Vec::with_capacity(listed.len());
    for (partition, outcome) in listed {
        found.push((partition, outcome?.offset));
    }
    Ok(found)
}

/// Looks offsets up; where there is no such record, the log's end.
pub(in crate::tools) async fn look_up(
    admin: &Admin,
    wanted: &[TopicPartition],
    spec: OffsetSpec,
    streams: &mut Streams,
) -> Result<Plan, Failure> {
    let (mut plan, mut missing) = (Plan::new(), Vec::new());
    for (partition, offset) in list(admin, wanted, spec).await? {
        match offset {
            Some(offset) => {
                plan.insert(partition, offset);
            }
            None => {
                streams.line(format!(
                    "\nWarn: Partition {} from topic {} is empty. Falling back to latest known \
                     offset.",
                    partition.partition, partition.topic
                ));
                missing.push(partition);
            }
        }
    }
    for (partition, offset) in list(admin, &missing, OffsetSpec::Latest).await? {
        plan.insert(partition, offset.unwrap_or(0));
    }
    Ok(plan)
}

/// Moves offsets that lie outside of the log to its nearer end.
async fn within_range(admin: &Admin, asked: Plan, streams: &mut Streams) -> Result<Plan, Failure> {
    let partitions: Vec<TopicPartition> = asked.keys().cloned().collect();
    let starts = list(admin, &partitions, OffsetSpec::Earliest).await?;
    let ends = list(admin, &partitions, OffsetSpec::Latest).await?;
    let mut plan = Plan::new();
    for (((partition, offset), (_, start)), (_, end)) in asked.into_iter().zip(starts).zip(ends) {
        let (start, end) = (start.unwrap_or(0), end.unwrap_or(i64::MAX));
        let clash = if offset > end {
            Some(("higher than latest", end))
        } else if offset < start {
            Some(("lower than earliest", start))
        } else {
            None
        };
        if let Some((what, value)) = clash {
            let text = format!(
                "New offset ({offset}) is {what} offset for topic partition {partition}. Value \
                 will be set to {value}"
            );
            let logger = "org.apache.kafka.tools.OffsetsUtils";
            streams.error(log_line(Level::Warn, &text, logger));
        }
        plan.insert(partition, clash.map_or(offset, |(_, value)| value));
    }
    Ok(plan)
}

/// Reads lines `topic,partition,offset` or `group,topic,partition,offset`.
fn parse_csv(text: &str, group: &str) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut fields: Vec<&str> = line.split(',').map(|f| f.trim().trim_matches('"')).collect();
        if fields.len() == 4 && fields.remove(0) != group {
            continue;
        }
        let [topic, partition, offset] = fields.as_slice() else {
            return Err(format!("Cannot read the line '{line}'"));
        };
        let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse()) else {
            return Err(format!("Cannot read the line '{line}'"));
        };
        plan.insert(TopicPartition::new(*topic, partition), offset);
    }
    Ok(plan)
}

pub(in crate::tools) fn layout(plans: &[(String, Plan)]) -> String {
    let group = plans.iter().map(|(group, _)| group.len()).max().unwrap_or(0).max(15);
    let topics = plans.iter().flat_map(|(_, plan)| plan.keys());
    let topic = topics.map(|partition| partition.topic.len()).max().unwrap_or(0).max(15);
    let mut text = String::new();
    if !plans.is_empty() {
        text.push_str(&format!(
            "\n{:group$} {:topic$} {:10} NEW-OFFSET",
            "GROUP", "TOPIC", "PARTITION"
        ));
    }
    for (name, plan) in plans {
        for (partition, offset) in plan {
            let index = partition.partition.to_string();
            text.push_str(&format!(
                "\n{name:group$} {:topic$} {index:10} {offset}",
                partition.topic
            ));
        }
    }
    text.push('\n');
    text
}

pub(in crate::tools) fn export(plans: &[(String, Plan)]) -> String {
    let mut text = String::new();
    for (group, plan) in plans {
        for (partition, offset) in plan {
            if plans.len() > 1 {
                text.push_str(&format!("{group},"));
            }
            text.push_str(&format!("{},{},{offset}\n", partition.topic, partition.partition));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Vec<(String, Plan)> {
        let plan = Plan::from([
            (TopicPartition::new("orders", 0), 3),
            (TopicPartition::new("orders", 1), 0),
        ]);
        vec![("g2".to_owned(), plan)]
    }

    #[test]
    fn plans_look_as_apache_kafka_prints_them() {
        let expect = "\n\
GROUP           TOPIC           PARTITION  NEW-OFFSET\n\
g2              orders          0          3\n\
g2              orders          1          0\n";
        assert_eq!(layout(&plans()), expect);
        assert_eq!(export(&plans()), "orders,0,3\norders,1,0\n\n");
    }

    #[test]
    fn what_is_exported_can_be_read_back() {
        let plans = plans();
        assert_eq!(parse_csv(&export(&plans), "g2").unwrap(), plans[0].1);
        let with_group = "g1,a,0,1\ng2,a,0,2\n";
        let expect = Plan::from([(TopicPartition::new("a", 0), 2)]);
        assert_eq!(parse_csv(with_group, "g2").unwrap(), expect);
        assert!(parse_csv("a,b\n", "g").is_err());
    }
}
