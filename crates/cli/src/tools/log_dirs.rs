//! `kafka-log-dirs`.

use naru_client::Admin;
use naru_client::admin::{LogDir, ReplicaSize};
use serde_json::{Value, json};

use super::common::{Ended, Face, block_on, finish};
use super::failure::Failure;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::{Streams, class, java_grown_order, java_int_order, java_partition_order};

pub const ABOUT: &str = "Shows what lies in the log directories of brokers.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row("describe", Takes::Nothing, "Shows the log directories."),
    row("topic-list", Takes::Text("a,b,..."), "Topics; all if left out."),
    row("broker-list", Takes::Text("0,1,..."), "Brokers; all if left out."),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &["kafka-log-dirs --bootstrap-server localhost:9092 --describe --topic-list orders"],
    error_prefix: "",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["bootstrap-server", "describe"], streams)?;
    let admin = FACE.admin(&p, "", streams)?;
    match block_on(describe(&p, &admin, streams)) {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

/// What is between commas, each once.
fn list<'p>(p: &'p Parsed, name: &str) -> Result<Vec<&'p str>, Failure> {
    let text = p.one(name).map_err(|error| Failure::Terse(error.to_string()))?;
    let mut found: Vec<&str> = Vec::new();
    for item in text.unwrap_or_default().split(',').filter(|item| !item.is_empty()) {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    Ok(found)
}

async fn describe(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let topics = list(p, "topic-list")?;
    let cluster = admin.describe_cluster().await;
    let cluster = cluster.map_err(|error| Failure::of(&error, "describeCluster"))?;
    let mut known: Vec<i32> = cluster.brokers.iter().map(|broker| broker.id).collect();
    java_int_order(&mut known, |id| *id);
    let mut wanted = Vec::new();
    for id in list(p, "broker-list")? {
        wanted.push(id.parse::<i32>().map_err(|_| {
            let text = format!("For input string: \"{id}\"");
            Failure::thrown("java.lang.NumberFormatException", text)
        })?);
    }
    java_int_order(&mut wanted, |id| *id);
    let absent: Vec<i32> = wanted.iter().copied().filter(|id| !known.contains(id)).collect();
    if !absent.is_empty() {
        return Err(Failure::Terse(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent \
             brokers: {}",
            commas(&absent),
            commas(&known)
        )));
    }
    if wanted.is_empty() {
        wanted = known;
    }
    streams.line("Querying brokers for log directories information");
    let mut brokers = Vec::new();
    for id in &wanted {
        let dirs = admin.describe_log_dirs(*id).await;
        let mut dirs = dirs.map_err(|error| Failure::of(&error, "describeLogDirs"))?;
        java_grown_order(&mut dirs, |(path, _)| path);
        let dirs: Vec<Value> =
            dirs.into_iter().map(|(path, dir)| shown(&path, dir, &topics)).collect();
        brokers.push(json!({ "broker": id, "logDirs": dirs }));
    }
    streams.line(format!("Received log directory information from brokers {}", commas(&wanted)));
    streams.line(json!({ "brokers": brokers, "version": 1 }).to_string());
    Ok(())
}

fn shown(path: &str, dir: naru_client::Result<LogDir>, topics: &[&str]) -> Value {
    let (mut replicas, error) = match dir {
        Ok(dir) => (dir.replicas, Value::Null),
        Err(error) => (Vec::new(), Value::String(class(&error))),
    };
    java_partition_order(&mut replicas, |replica| &replica.partition);
    replicas.retain(|r| topics.is_empty() || topics.contains(&r.partition.topic.as_str()));
    java_partition_order(&mut replicas, |replica| &replica.partition);
    let one = |r: &ReplicaSize| {
        json!({
            "partition": r.partition.to_string(),
            "size": r.size,
            "offsetLag": r.offset_lag,
            "isFuture": r.future,
        })
    };
    let partitions: Vec<Value> = replicas.iter().map(one).collect();
    json!({ "partitions": partitions, "error": error, "logDir": path })
}

fn commas(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use naru_client::{Error, TopicPartition};
    use naru_model::ErrorCode;

    use super::*;

    #[test]
    fn a_directory_is_shown_as_apache_kafka_shows_it() {
        let replica = |topic: &str, index: i32| ReplicaSize {
            partition: TopicPartition::new(topic, index),
            size: 5,
            offset_lag: 0,
            future: false,
        };
        let dir = LogDir {
            path: "/d1".to_owned(),
            total_bytes: None,
            usable_bytes: None,
            replicas: vec![replica("orders", 1), replica("other", 0), replica("orders", 0)],
        };
        let expect = "{\"partitions\":[{\"partition\":\"orders-0\",\"size\":5,\"offsetLag\":0,\
                      \"isFuture\":false},{\"partition\":\"orders-1\",\"size\":5,\"offsetLag\":0,\
                      \"isFuture\":false}],\"error\":null,\"logDir\":\"/d1\"}";
        assert_eq!(shown("/d1", Ok(dir), &["orders"]).to_string(), expect);
        let offline = Err(Error::code_only(ErrorCode::KafkaStorageError));
        let expect = "{\"partitions\":[],\"error\":\
                      \"org.apache.kafka.common.errors.KafkaStorageException\",\"logDir\":\"/d2\"}";
        assert_eq!(shown("/d2", offline, &[]).to_string(), expect);
    }
}
