//! `--execute` and `--cancel`: throttle, start, and move between directories.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::super::failure::{Failure, Thrown};
use super::json::commas;
use super::throttles::plural;
use super::{
    FAILED, Plan, Replicas, format_plan, log_dirs, replicas_of_topics, throttled_replicas,
    throttles, unknown, verify,
};
use crate::options::Parsed;
use crate::text::{Streams, exception, java_int_order, java_partition_order, message};

const EXISTING: &str = "Cannot execute because there is an existing partition assignment.  Use \
                        --additional to override this and create a new partition assignment in \
                        addition to the existing one. The --additional flag can also be used to \
                        change the throttle by resubmitting the current reassignment.";

/// How long to wait before asking for moves between directories again.
const RETRY: Duration = Duration::from_millis(100);

/// How long moves between directories may take to begin.
pub(super) fn timeout(p: &Parsed) -> Result<Duration, String> {
    let ms = p.number::<i64>("timeout").map_err(|error| error.to_string())?.unwrap_or(10_000);
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// What `--execute` may do.
#[derive(Debug)]
pub(super) struct Limits {
    additional: bool,
    same_factor: bool,
    rate: Option<i64>,
    dirs_rate: Option<i64>,
    timeout: Duration,
}

impl Limits {
    pub(super) fn read(p: &Parsed) -> Result<Self, String> {
        let rate = |name: &str| {
            let rate = p.number::<i64>(name).map_err(|error| error.to_string())?;
            Ok::<_, String>(rate.filter(|rate| *rate >= 0))
        };
        Ok(Self {
            additional: p.has("additional"),
            same_factor: p.has("disallow-replication-factor-change"),
            rate: rate("throttle")?,
            dirs_rate: rate("replica-alter-log-dirs-throttle")?,
            timeout: timeout(p)?,
        })
    }
}

pub(super) async fn execute(
    plan: &Plan,
    limits: &Limits,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let proposed = plan.replicas();
    let under_way = admin.list_partition_reassignments(None).await;
    let under_way = under_way.map_err(|error| Failure::of(&error, "listPartitionReassignments"))?;
    if !limits.additional && !under_way.is_empty() {
        return Err(Failure::terse(EXISTING));
    }
    check_brokers(&proposed, admin).await?;
    let current = replicas_of(&proposed, admin).await?;
    let dirs = log_dirs(admin, &current).await;
    streams.line(format!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the \
         --reassignment-json-file option during rollback",
        format_plan(&current, &dirs)
    ));
    if limits.rate.is_some() || limits.dirs_rate.is_some() {
        streams.line(
            "Warning: You must run --verify periodically, until the reassignment completes, to \
             ensure the throttle is removed.",
        );
    }
    if let Some(rate) = limits.rate {
        throttled_replicas(&under_way, &proposed, &current).set(rate, admin).await?;
        streams.line(format!("The inter-broker throttle limit was set to {rate} B/s"));
    }
    if let Some(rate) = limits.dirs_rate {
        let brokers: BTreeSet<i32> = plan.dirs.iter().map(|((_, broker), _)| *broker).collect();
        throttles::set_dirs_rate(&brokers, rate, admin).await?;
        streams.line(format!("The replica-alter-dir throttle limit was set to {rate} B/s"));
    }
    let targets: Vec<(TopicPartition, Option<Vec<i32>>)> = proposed
        .iter()
        .map(|(partition, replicas)| (partition.clone(), Some(replicas.clone())))
        .collect();
    let errors = alter(&targets, !limits.same_factor, admin).await;
    if !errors.is_empty() {
        return Err(Failure::Terse(format!(
            "Error reassigning partition(s):\n{}",
            errors.join("\n")
        )));
    }
    streams.line(format!(
        "Successfully started partition reassignment{} for {}",
        plural(proposed.len()),
        commas(&proposed.keys().collect::<Vec<_>>())
    ));
    start_moves(plan.dirs.clone(), limits.timeout, admin, streams).await
}

/// Starts or cancels; what could not be, one line each.
async fn alter(
    targets: &[(TopicPartition, Option<Vec<i32>>)],
    any_factor: bool,
    admin: &Admin,
) -> Vec<String> {
    let mut outcomes = match admin.alter_partition_reassignments(targets, any_factor).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            targets.iter().map(|(partition, _)| (partition.clone(), Err(error.clone()))).collect()
        }
    };
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    outcomes
        .into_iter()
        .filter_map(|(partition, outcome)| {
            outcome.err().map(|error| format!("{partition}: {}", message(&error)))
        })
        .collect()
}

async fn check_brokers(proposed: &Replicas, admin: &Admin) -> Result<(), Failure> {
    let described = admin.describe_cluster().await;
    let described = described.map_err(|error| Failure::of(&error, "describeCluster"))?;
    let wanted: BTreeSet<i32> = proposed.values().flatten().copied().collect();
    let mut wanted: Vec<i32> = wanted.into_iter().collect();
    java_int_order(&mut wanted, |id| *id);
    let known = |id: &i32| described.brokers.iter().any(|broker| broker.id == *id);
    match wanted.into_iter().find(|id| !known(id)) {
        None => Ok(()),
        Some(id) => Err(Failure::thrown(FAILED, format!("Unknown broker id {id}"))),
    }
}

/// The replicas that the partitions of a proposal have now.
async fn replicas_of(proposed: &Replicas, admin: &Admin) -> Result<Replicas, Failure> {
    let mut topics: Vec<String> = proposed.keys().map(|p| p.topic.clone()).collect();
    topics.dedup();
    let mut current = replicas_of_topics(admin, &topics).await?;
    current.retain(|partition, _| proposed.contains_key(partition));
    let missing = proposed.keys().filter(|partition| !current.contains_key(*partition));
    let mut missing: Vec<&TopicPartition> = missing.collect();
    if missing.is_empty() {
        return Ok(current);
    }
    java_partition_order(&mut missing, |partition| partition);
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Err(unknown(format!("Unable to find partition: {}", missing.join(", "))))
}

type DirMoves = Vec<((TopicPartition, i32), String)>;

/// Asks brokers to move replicas between their directories, again and again while they do not
/// have them yet.
async fn start_moves(
    mut pending: DirMoves,
    timeout: Duration,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let began = Instant::now();
    pending.sort_by(|((a, x), _), ((b, y), _)| x.cmp(y).then_with(|| a.cmp(b)));
    while !pending.is_empty() {
        let mut left = DirMoves::new();
        for ((partition, broker), dir) in pending {
            let moves = [(partition.clone(), dir.clone())];
            let asked = admin.alter_replica_log_dirs(broker, &moves).await;
            match asked.and_then(|answers| answers.into_iter().try_for_each(|(_, one)| one)) {
                // The space before the end of the line is Kafka's.
                Ok(()) => streams.line(format!(
                    "Successfully started moving log directory to {dir} for replica {partition} \
                     with broker {broker} "
                )),
                Err(Error::Broker { code: ErrorCode::ReplicaNotAvailable, .. }) => {
                    left.push(((partition, broker), dir));
                }
                Err(error) => {
                    let text = format!("Failed to alter dir for {partition}-{broker}");
                    let inner = exception(&error);
                    let mut thrown = Thrown::new(FAILED, text);
                    thrown.below = vec![
                        format!("Caused by: java.util.concurrent.ExecutionException: {inner}"),
                        format!("Caused by: {inner}"),
                    ];
                    return Err(Failure::Thrown(thrown));
                }
            }
        }
        pending = left;
        if pending.is_empty() {
            break;
        }
        if began.elapsed() >= timeout {
            let names: Vec<String> = pending
                .iter()
                .map(|((partition, broker), _)| format!("{partition}-{broker}"))
                .collect();
            return Err(Failure::Terse(format!(
                "Timed out before log directory move{} could be started for: {}",
                plural(names.len()),
                names.join(",")
            )));
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}

pub(super) async fn cancel(
    plan: &Plan,
    preserve: bool,
    timeout: Duration,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let targets = plan.replicas();
    let partitions: Vec<TopicPartition> = targets.keys().cloned().collect();
    let under_way = admin.list_partition_reassignments(Some(&partitions)).await;
    let under_way = under_way.map_err(|error| Failure::of(&error, "listPartitionReassignments"))?;
    let active: Vec<(TopicPartition, Option<Vec<i32>>)> =
        under_way.into_iter().map(|reassignment| (reassignment.partition, None)).collect();
    if active.is_empty() {
        streams.line("None of the specified partition reassignments are active.");
    } else {
        let errors = alter(&active, true, admin).await;
        if !errors.is_empty() {
            return Err(Failure::Terse(format!(
                "Error cancelling partition reassignment{} for:\n{}",
                plural(errors.len()),
                errors.join("\n")
            )));
        }
        let names: Vec<&TopicPartition> = active.iter().map(|(partition, _)| partition).collect();
        streams.line(format!(
            "Successfully cancelled partition reassignment{} for: {}",
            plural(names.len()),
            commas(&names)
        ));
    }
    let moving: DirMoves = verify::dir_moves(plan, admin)
        .await?
        .into_iter()
        .filter(|one| one.future.is_some())
        // Back to where it is.
        .filter_map(|one| Some(((one.partition, one.broker), one.current?)))
        .collect();
    if moving.is_empty() {
        // Kafka does not end this line.
        streams.text("None of the specified partition moves are active.");
    } else {
        start_moves(moving, timeout, admin, streams).await?;
    }
    if preserve { Ok(()) } else { throttles::clear(&targets, admin, streams).await }
}
