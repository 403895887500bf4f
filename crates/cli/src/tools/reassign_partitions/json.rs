//! The JSON of reassignments, as Kafka's tool reads and writes it. Pure.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::json_file::{array, duplicates, field, integer, object, string};
use super::{Dirs, FAILED, OPERATION, Replicas};
use crate::text::java_partition_order;
use naru_client::TopicPartition;

/// What stands for no directory in particular.
const ANY: &str = "any";

/// One partition of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub partition: TopicPartition,
    pub replicas: Vec<i32>,
}

/// What a file says, in its order, also if it makes no sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub moves: Vec<Move>,
    /// Log directories that were asked for by name.
    pub dirs: Vec<((TopicPartition, i32), String)>,
}

/// Reads a file of reassignments.
pub fn parse_plan(text: &str) -> Result<Plan, Failure> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| Failure::thrown(OPERATION, broken(text, &error)))?;
    check_version(&json)?;
    let mut plan = Plan::default();
    let Some(rows) = object(&json)?.get("partitions") else { return Ok(plan) };
    for row in array(rows)? {
        let row = object(row)?;
        let topic = string(field(row, "topic")?)?;
        let partition = TopicPartition::new(topic, integer(field(row, "partition")?)?);
        let replicas = array(field(row, "replicas")?)?.iter().map(integer);
        let replicas: Vec<i32> = replicas.collect::<Result<_, _>>()?;
        if let Some(dirs) = row.get("log_dirs") {
            let dirs: Vec<&str> = array(dirs)?.iter().map(string).collect::<Result<_, _>>()?;
            if dirs.len() != replicas.len() {
                return Err(Failure::thrown(
                    FAILED,
                    format!(
                        "Size of replicas list {replicas:?} is different from size of log dirs \
                         list [{}] for partition {partition}",
                        dirs.join(", ")
                    ),
                ));
            }
            for (replica, dir) in replicas.iter().zip(dirs).filter(|(_, dir)| *dir != ANY) {
                plan.dirs.push(((partition.clone(), *replica), dir.to_owned()));
            }
        }
        plan.moves.push(Move { partition, replicas });
    }
    Ok(plan)
}

/// What is wrong with a text that is no JSON: for a stray word as Java's reader says it.
fn broken(text: &str, error: &serde_json::Error) -> String {
    let start = text.trim_start();
    let word: String = start.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.chars().next().is_none_or(|c| !c.is_alphabetic()) {
        return error.to_string();
    }
    let before = &text[..text.len() - start.len()];
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count());
    format!(
        "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token \
         'null', 'true' or 'false')\n at [Source: REDACTED \
         (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {}]",
        column + 1
    )
}

/// Reads a file of topics.
pub(super) fn parse_topics(text: &str) -> Result<Vec<String>, Failure> {
    let json: Value = serde_json::from_str(text)
        .map_err(|_| Failure::thrown(OPERATION, "The input string is not a valid JSON"))?;
    check_version(&json)?;
    let Some(rows) = object(&json)?.get("topics") else { return Ok(Vec::new()) };
    let mut topics: Vec<String> = Vec::new();
    for row in array(rows)? {
        topics.push(string(field(object(row)?, "topic")?)?.to_owned());
    }
    let twice = duplicates(&topics);
    if twice.is_empty() {
        return Ok(topics);
    }
    let text =
        format!("List of topics to reassign contains duplicate entries: [{}]", twice.join(", "));
    Err(Failure::thrown(FAILED, text))
}

fn check_version(json: &Value) -> Result<(), Failure> {
    match object(json)?.get("version").map(integer).transpose()? {
        None | Some(1) => Ok(()),
        Some(other) => {
            Err(Failure::thrown(OPERATION, format!("Not supported version field value {other}")))
        }
    }
}

impl Plan {
    /// Whether it can be carried out.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |text: String| Err(Failure::thrown(FAILED, text));
        if self.moves.is_empty() {
            return refuse("Partition reassignment list cannot be empty".to_owned());
        }
        if self.moves.iter().any(|one| one.replicas.is_empty()) {
            return refuse("Partition replica list cannot be empty".to_owned());
        }
        let partitions: Vec<TopicPartition> =
            self.moves.iter().map(|one| one.partition.clone()).collect();
        let mut twice = duplicates(&partitions);
        if !twice.is_empty() {
            java_partition_order(&mut twice, |partition| partition);
            return refuse(format!(
                "Partition reassignment contains duplicate topic partitions: {}",
                commas(&twice)
            ));
        }
        let twice: Vec<String> = self
            .moves
            .iter()
            .map(|one| (&one.partition, duplicates(&one.replicas)))
            .filter(|(_, twice)| !twice.is_empty())
            .map(|(partition, twice)| {
                format!("{partition} contains multiple entries for {}", commas(&twice))
            })
            .collect();
        if !twice.is_empty() {
            return refuse(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                twice.join(". ")
            ));
        }
        Ok(())
    }

    /// Replicas by partition.
    pub(super) fn replicas(&self) -> Replicas {
        self.moves.iter().map(|one| (one.partition.clone(), one.replicas.clone())).collect()
    }
}

/// Writes a file of reassignments, by topic and partition.
pub fn format_plan(replicas: &Replicas, dirs: &Dirs) -> String {
    let rows: Vec<Value> = replicas
        .iter()
        .map(|(partition, replicas)| {
            let dir = |id: &i32| dirs.get(&(partition.clone(), *id)).map_or(ANY, String::as_str);
            json!({
                "topic": partition.topic,
                "partition": partition.partition,
                "replicas": replicas,
                "log_dirs": replicas.iter().map(dir).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "version": 1, "partitions": rows }).to_string()
}

pub(super) fn commas<T: ToString>(things: &[T]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_apache_kafka_writes_and_reads_back() {
        let expect = "{\"version\":1,\"partitions\":[{\"topic\":\"manual\",\"partition\":0,\
                      \"replicas\":[1,2],\"log_dirs\":[\"/d1\",\"any\"]},{\"topic\":\"orders\",\
                      \"partition\":0,\"replicas\":[3,1,2],\"log_dirs\":[\"any\",\"any\",\
                      \"any\"]}]}";
        let plan = parse_plan(expect).unwrap();
        plan.check().unwrap();
        let manual = TopicPartition::new("manual", 0);
        assert_eq!(plan.dirs, [((manual, 1), "/d1".to_owned())]);
        let dirs = plan.dirs.iter().cloned().collect();
        assert_eq!(format_plan(&plan.replicas(), &dirs), expect);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_apache_kafkas_words() {
        let row = |index: i32, replicas: &str| {
            format!("{{\"topic\":\"manual\",\"partition\":{index},\"replicas\":{replicas}}}")
        };
        let file =
            |rows: &[String]| format!("{{\"version\":1,\"partitions\":[{}]}}", rows.join(","));
        let check = |text: &str, expect: &str| {
            let failure = parse_plan(text).and_then(|plan| plan.check()).unwrap_err();
            assert_eq!(failure.words(), expect, "{text}");
        };
        check(
            &file(&[row(0, "[3,1]"), row(0, "[1,2]")]),
            "Partition reassignment contains duplicate topic partitions: manual-0",
        );
        check(
            &file(&[row(0, "[3,3]")]),
            "Partition replica lists may not contain duplicate entries: manual-0 contains \
             multiple entries for 3",
        );
        check(&file(&[]), "Partition reassignment list cannot be empty");
        check(&file(&[row(0, "[]")]), "Partition replica list cannot be empty");
        check("{\"version\":2}", "Not supported version field value 2");
        check("{\"partitions\":[{\"topic\":\"manual\"}]}", "No such field exists: `partition`");
        check(
            "{\"partitions\":[{\"topic\":\"manual\",\"partition\":0,\"replicas\":[1,2],\
             \"log_dirs\":[\"any\"]}]}",
            "Size of replicas list [1, 2] is different from size of log dirs list [any] for \
             partition manual-0",
        );
    }

    #[test]
    fn topics_to_move_are_read() {
        let text = "{\"topics\":[{\"topic\":\"a\"},{\"topic\":\"b\"}],\"version\":1}";
        assert_eq!(parse_topics(text).unwrap(), ["a", "b"]);
        assert_eq!(parse_topics("x").unwrap_err().words(), "The input string is not a valid JSON");
    }
}
