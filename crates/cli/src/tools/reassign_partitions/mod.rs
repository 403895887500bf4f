//! `kafka-reassign-partitions`: where replicas should be, moving them there, and watching it.
//!
//! Reads the command line and the state of the cluster; the texts, the JSON, the throttles and
//! the proposals are made by the modules below, which ask nobody.

mod execute;
mod generate;
mod json;
mod options;
mod throttles;
mod verify;

use std::collections::BTreeMap;

use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::argparse::Target;
use super::common::{Ended, block_on, finish};
use super::failure::{Failure, Thrown};
use super::json_file;
use crate::options::Parsed;
use crate::text::{Streams, class, java_grown_order, message};

pub use generate::Node;
pub use json::{Plan, format_plan, parse_plan};
pub use options::ABOUT;
use options::{Action, FACE};
pub use throttles::{clear_broker, clear_topic, throttled_replicas};

/// What the tool itself refuses.
const FAILED: &str = "org.apache.kafka.tools.AdminCommandFailedException";
/// What the tool cannot make sense of.
const OPERATION: &str = "org.apache.kafka.tools.AdminOperationException";

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    let action = options::check(&p, streams)?;
    let servers = FACE.one(&p, "bootstrap-server", streams)?;
    let controllers = FACE.one(&p, "bootstrap-controller", streams)?;
    let target = Target {
        addresses: servers.or(controllers).unwrap_or_default().to_owned(),
        controllers: servers.is_none(),
    };
    let outcome = match target.admin(&p, &["command-config"]) {
        Ok(admin) => block_on(act(action, &p, &admin, streams)),
        Err(text) => Err(Failure::Terse(text)),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Terse(text)) => {
            streams.line(text);
            Ok(1)
        }
        Err(Failure::Thrown(thrown)) => {
            // This tool shows its traces on standard output.
            streams.line(format!("Error: {}", thrown.text));
            streams.line(thrown.trace());
            Ok(1)
        }
    }
}

async fn act(
    action: Action,
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let one = |name: &str| p.one(name).map_err(|error| Failure::Terse(error.to_string()));
    let file = |name: &str| json_file::read(one(name)?.unwrap_or_default());
    match action {
        Action::List => {
            let reassignments = admin.list_partition_reassignments(None).await;
            let reassignments =
                reassignments.map_err(|error| Failure::of(&error, "listPartitionReassignments"))?;
            streams.line(verify::reassignments_text(&reassignments));
            Ok(())
        }
        Action::Generate => {
            let text = file("topics-to-move-json-file")?;
            let brokers = one("broker-list")?.unwrap_or_default();
            generate(&text, brokers, !p.has("disable-rack-aware"), admin, streams).await
        }
        Action::Verify => {
            let plan = parse_plan(&file("reassignment-json-file")?)?;
            verify::verify(&plan, p.has("preserve-throttles"), admin, streams).await
        }
        Action::Execute => {
            let plan = parse_plan(&file("reassignment-json-file")?)?;
            plan.check()?;
            let limits = execute::Limits::read(p).map_err(Failure::Terse)?;
            execute::execute(&plan, &limits, admin, streams).await
        }
        Action::Cancel => {
            let plan = parse_plan(&file("reassignment-json-file")?)?;
            let timeout = execute::timeout(p).map_err(Failure::Terse)?;
            execute::cancel(&plan, p.has("preserve-throttles"), timeout, admin, streams).await
        }
    }
}

async fn generate(
    text: &str,
    brokers: &str,
    rack_aware: bool,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let wanted = generate::parse_brokers(brokers)?;
    let topics = json::parse_topics(text)?;
    let current = replicas_of_topics(admin, &topics).await?;
    let described = admin.describe_cluster().await;
    let described = described.map_err(|error| Failure::of(&error, "describeCluster"))?;
    let nodes: Vec<Node> = described
        .brokers
        .into_iter()
        .filter(|broker| wanted.contains(&broker.id))
        .map(|broker| Node { id: broker.id, rack: broker.rack.filter(|_| rack_aware) })
        .collect();
    let proposed = generate::propose(&current, &nodes, rack_aware, random)?;
    let dirs = log_dirs(admin, &current).await;
    streams
        .line(format!("Current partition replica assignment\n{}\n", format_plan(&current, &dirs)));
    let nowhere = BTreeMap::new();
    streams.line(format!(
        "Proposed partition reassignment configuration\n{}",
        format_plan(&proposed, &nowhere)
    ));
    Ok(())
}

/// A number below `bound` that nobody foresees.
fn random(bound: usize) -> usize {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = RandomState::new().hash_one(bound);
    usize::try_from(bits % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
}

/// Replicas by partition.
type Replicas = BTreeMap<TopicPartition, Vec<i32>>;
/// Log directories by partition and broker.
type Dirs = BTreeMap<(TopicPartition, i32), String>;

/// The replicas of all partitions of some topics.
async fn replicas_of_topics(admin: &Admin, topics: &[String]) -> Result<Replicas, Failure> {
    let mut topics = topics.to_vec();
    java_grown_order(&mut topics, |topic| topic);
    topics.dedup();
    let described = admin.describe_topics(&topics).await;
    let described = described.map_err(|error| Failure::of(&error, "describeTopics"))?;
    let mut found = Replicas::new();
    for (name, description) in described {
        let description = description.map_err(|error| match error {
            Error::Broker { code: ErrorCode::UnknownTopicOrPartition, .. } => {
                unknown(format!("Topic {name} not found."))
            }
            error => Failure::of(&error, "describeTopics"),
        })?;
        for partition in description.partitions {
            found.insert(TopicPartition::new(name.clone(), partition.index), partition.replicas);
        }
    }
    Ok(found)
}

/// What a future throws that finds no topic or partition.
fn unknown(text: String) -> Failure {
    let error = Error::broker(ErrorCode::UnknownTopicOrPartition, Some(text));
    let inner = format!("{}: {}", class(&error), message(&error));
    Failure::Thrown(Thrown {
        class: "java.util.concurrent.ExecutionException".to_owned(),
        text: inner.clone(),
        below: vec![format!("Caused by: {inner}")],
    })
}

/// Where replicas lie; what cannot be found out is left out.
async fn log_dirs(admin: &Admin, replicas: &Replicas) -> Dirs {
    let mut by_broker: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    for (partition, brokers) in replicas {
        for broker in brokers {
            by_broker.entry(*broker).or_default().push(partition.clone());
        }
    }
    let live = admin.describe_cluster().await;
    let live: Vec<i32> =
        live.map(|c| c.brokers.iter().map(|broker| broker.id).collect()).unwrap_or_default();
    let mut dirs = Dirs::new();
    for (broker, partitions) in by_broker {
        if !live.contains(&broker) {
            continue;
        }
        let described = admin.describe_log_dirs_for(broker, &partitions).await;
        for (path, dir) in described.unwrap_or_default() {
            let replicas = dir.map(|dir| dir.replicas).unwrap_or_default();
            for replica in replicas.into_iter().filter(|replica| !replica.future) {
                dirs.insert((replica.partition, broker), path.clone());
            }
        }
    }
    dirs
}
