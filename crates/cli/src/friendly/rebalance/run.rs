//! `naru rebalance run`, `cancel` and `prefer`: a plan carried out, batch by batch.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use naru_client::admin::ElectionType;
use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::planner::Move;
use super::{is_order_only, list, make_plan, read_plan, show_moves, size, state, summary, told};
use crate::friendly::context::Context;
use crate::friendly::failure::{Failure, PARTLY};
use crate::friendly::topic::matches_glob;
use crate::friendly::topic_config::parse_bytes;
use crate::tools::reassign_partitions::{clear_broker, clear_topic, throttled_replicas};

/// Partitions that move at the same time, unless `--batch` says otherwise.
const BATCH: usize = 20;
/// How often it is asked how far a batch is.
const POLL: Duration = Duration::from_millis(500);
/// Exit code of who was interrupted.
const INTERRUPTED: i32 = 130;

pub(super) async fn run(context: &mut Context) -> Result<i32, Failure> {
    let batch = context.number::<usize>("batch")?.unwrap_or(BATCH);
    if batch == 0 {
        return Err(Failure::usage("--batch 0 would move nothing"));
    }
    let rate = match context.value("throttle")? {
        None => None,
        Some(text) => {
            let parsed = parse_bytes(&text).filter(|rate| *rate > 0);
            let refuse = || Failure::usage(format!("--throttle is like 50MiB, not '{text}'"));
            Some(parsed.ok_or_else(refuse)?)
        }
    };
    let admin = context.admin()?;
    let under_way = admin.list_partition_reassignments(None).await?;
    if !under_way.is_empty() {
        return Err(Failure::failed(format!("{} being moved", partitions_are(under_way.len())))
            .hint("'naru rebalance status' shows them, 'naru rebalance cancel' ends it"));
    }
    let moves = match context.options.rest.first().cloned() {
        Some(path) => moves_of(&admin, &path).await?,
        None => make_plan(context).await?.1,
    };
    if moves.is_empty() {
        context.streams.line("nothing to move");
        return Ok(0);
    }
    if !context.options.has("yes") {
        show_moves(context, &moves)?;
    }
    context.confirm(&summary(&moves), "move")?;
    let everywhere = !context.options.has("topic") && context.options.rest.is_empty();
    let work = carry_out(&moves, Pace { batch, rate, everywhere }, &admin);
    tokio::select! {
        done = work => done?,
        _ = tokio::signal::ctrl_c() => {
            context.streams.error(
                "what has been started goes on, with its throttle: 'naru rebalance status' shows \
                 it, 'naru rebalance cancel' ends it",
            );
            return Ok(INTERRUPTED);
        }
    }
    context.streams.line(format!("done: {}", summary(&moves)));
    Ok(0)
}

fn partitions_are(count: usize) -> String {
    if count == 1 { "1 partition is".to_owned() } else { format!("{count} partitions are") }
}

/// The moves that a file asks for; what is so already is left out.
async fn moves_of(admin: &Admin, path: &str) -> Result<Vec<Move>, Failure> {
    let wanted = read_plan(path)?;
    let state = state::read(admin, &[], &BTreeSet::new(), None).await?;
    let mut moves = Vec::new();
    for (partition, to) in wanted {
        let known = state.partitions.iter().find(|known| known.partition == partition);
        let known =
            known.ok_or_else(|| Failure::failed(format!("{path}: {partition} does not exist")))?;
        if let Some(id) = to.iter().find(|id| !state.live.contains(id)) {
            return Err(Failure::failed(format!(
                "{path}: broker {id} of {partition} is not there"
            )));
        }
        if known.replicas != to {
            let new = to.iter().filter(|id| !known.replicas.contains(id)).count();
            moves.push(Move {
                partition,
                from: known.replicas.clone(),
                bytes: known.bytes * i64::try_from(new).unwrap_or(0),
                to,
            });
        }
    }
    Ok(moves)
}

/// Batches of at most `size` partitions that copy; those that copy nothing come first, together.
fn batches(moves: &[Move], size: usize) -> Vec<Vec<&Move>> {
    let (order, copies): (Vec<&Move>, Vec<&Move>) =
        moves.iter().partition(|one| is_order_only(one));
    let mut all = Vec::new();
    if !order.is_empty() {
        all.push(order);
    }
    all.extend(copies.chunks(size).map(<[&Move]>::to_vec));
    all
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Partitions at the same time.
    batch: usize,
    /// Bytes per second.
    rate: Option<i64>,
    /// At the end every preferred leader is to lead, not only those that are new.
    everywhere: bool,
}

async fn carry_out(moves: &[Move], pace: Pace, admin: &Admin) -> Result<(), Failure> {
    let batches = batches(moves, pace.batch);
    let mut throttles = Throttles::default();
    let mut outcome = Ok(());
    for (number, batch) in (1..).zip(&batches) {
        outcome =
            carry_out_batch(batch, (number, batches.len()), pace.rate, &mut throttles, admin).await;
        if outcome.is_err() {
            break;
        }
    }
    // Whatever happened, nothing stays slow without being watched.
    throttles.lift(admin).await?;
    outcome?;
    let led: Vec<TopicPartition> = moves
        .iter()
        .filter(|one| one.from.first() != one.to.first())
        .map(|one| one.partition.clone())
        .collect();
    if !led.is_empty() {
        elect(admin, Some(&led)).await?;
    }
    if pace.everywhere {
        // Who cannot lead now is no failure of this plan.
        admin.elect_leaders(ElectionType::Preferred, None).await?;
    }
    Ok(())
}

/// What has been throttled so far.
#[derive(Debug, Default)]
struct Throttles {
    brokers: BTreeSet<i32>,
    topics: BTreeSet<String>,
}

impl Throttles {
    async fn set(&mut self, batch: &[&Move], rate: i64, admin: &Admin) -> Result<(), Failure> {
        let replicas = |of: fn(&Move) -> &Vec<i32>| -> BTreeMap<TopicPartition, Vec<i32>> {
            batch.iter().map(|one| (one.partition.clone(), of(one).clone())).collect()
        };
        let limits = throttled_replicas(&[], &replicas(|one| &one.to), &replicas(|one| &one.from));
        self.brokers.extend(&limits.brokers);
        self.topics.extend(limits.leaders.keys().cloned());
        limits.set(rate, admin).await.map_err(|failure| told(&failure))
    }

    async fn lift(self, admin: &Admin) -> Result<(), Failure> {
        for broker in self.brokers {
            clear_broker(broker, admin).await.map_err(|failure| told(&failure))?;
        }
        for topic in self.topics {
            clear_topic(&topic, admin).await.map_err(|failure| told(&failure))?;
        }
        Ok(())
    }
}

async fn carry_out_batch(
    batch: &[&Move],
    place: (usize, usize),
    rate: Option<i64>,
    throttles: &mut Throttles,
    admin: &Admin,
) -> Result<(), Failure> {
    if let Some(rate) = rate {
        throttles.set(batch, rate, admin).await?;
    }
    start(batch, admin).await?;
    wait(batch, place, admin).await?;
    // It may have been cancelled meanwhile.
    let topics: BTreeSet<&str> = batch.iter().map(|one| one.partition.topic.as_str()).collect();
    let topics: Vec<String> = topics.into_iter().map(str::to_owned).collect();
    let metadata = admin.cluster().refresh_topics(&topics, false).await?;
    for one in batch {
        let TopicPartition { topic, partition } = &one.partition;
        let known = metadata.partition(topic, *partition);
        if let Some(known) = known.filter(|known| known.replicas != one.to) {
            let text = format!(
                "{} is on {} rather than {}: it was cancelled or changed by somebody else",
                one.partition,
                list(&known.replicas),
                list(&one.to)
            );
            return Err(Failure { code: PARTLY, ..Failure::failed(text) }
                .hint("what comes after it is not moved; run a new plan when you like"));
        }
    }
    Ok(())
}

async fn start(batch: &[&Move], admin: &Admin) -> Result<(), Failure> {
    let targets: Vec<(TopicPartition, Option<Vec<i32>>)> =
        batch.iter().map(|one| (one.partition.clone(), Some(one.to.clone()))).collect();
    for (partition, outcome) in admin.alter_partition_reassignments(&targets, true).await? {
        if let Err(error) = outcome {
            let failure = Failure::from(error);
            let text = format!("{partition}: {}", failure.text);
            return Err(Failure { text, code: PARTLY, ..failure }
                .hint("'naru rebalance status' shows what is being moved"));
        }
    }
    Ok(())
}

/// Waits until a batch is where it should be.
async fn wait(
    batch: &[&Move],
    (number, count): (usize, usize),
    admin: &Admin,
) -> Result<(), Failure> {
    let partitions: Vec<TopicPartition> = batch.iter().map(|one| one.partition.clone()).collect();
    let bytes = batch.iter().map(|one| one.bytes).sum();
    let shown = std::io::stderr().is_terminal();
    loop {
        let left = admin.list_partition_reassignments(Some(&partitions)).await?.len();
        if shown {
            eprint!(
                "\rbatch {number} of {count} ({}): {left} of {} partitions left   ",
                size(bytes),
                partitions.len()
            );
            // Progress that cannot be shown is not missed.
            let _ = std::io::stderr().flush();
        }
        if left == 0 {
            if shown {
                eprintln!();
            }
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn cancel(context: &mut Context) -> Result<i32, Failure> {
    let topics: Vec<String> = context.options.all("topic").map(str::to_owned).collect();
    let admin = context.admin()?;
    let wanted = |name: &str| topics.is_empty() || topics.iter().any(|t| matches_glob(t, name));
    let under_way = admin.list_partition_reassignments(None).await?;
    let partitions: Vec<TopicPartition> = under_way
        .into_iter()
        .map(|one| one.partition)
        .filter(|partition| wanted(&partition.topic))
        .collect();
    if !partitions.is_empty() {
        let what = match partitions.len() {
            1 => "1 partition goes back to where it was".to_owned(),
            count => format!("{count} partitions go back to where they were"),
        };
        context.confirm(&what, "cancel")?;
        let targets: Vec<(TopicPartition, Option<Vec<i32>>)> =
            partitions.iter().map(|partition| (partition.clone(), None)).collect();
        for (partition, outcome) in admin.alter_partition_reassignments(&targets, true).await? {
            match outcome {
                // It has just been done.
                Ok(()) | Err(Error::Broker { code: ErrorCode::NoReassignmentInProgress, .. }) => {}
                Err(error) => {
                    let failure = Failure::from(error);
                    let text = format!("{partition}: {}", failure.text);
                    return Err(Failure { text, code: PARTLY, ..failure });
                }
            }
        }
    }
    // Also what an interrupted run has left behind.
    for broker in admin.describe_cluster().await?.brokers {
        clear_broker(broker.id, &admin).await.map_err(|failure| told(&failure))?;
    }
    let topics: BTreeSet<&str> = partitions.iter().map(|p| p.topic.as_str()).collect();
    for topic in topics {
        clear_topic(topic, &admin).await.map_err(|failure| told(&failure))?;
    }
    context.streams.line(match partitions.len() {
        0 => "nothing is being moved; throttles of brokers are lifted".to_owned(),
        1 => "cancelled: 1 partition; throttles are lifted".to_owned(),
        count => format!("cancelled: {count} partitions; throttles are lifted"),
    });
    Ok(0)
}

/// Preferred leaders lead; how many partitions changed theirs.
async fn elect(admin: &Admin, partitions: Option<&[TopicPartition]>) -> Result<usize, Failure> {
    let mut elected = 0;
    for (partition, outcome) in admin.elect_leaders(ElectionType::Preferred, partitions).await? {
        match outcome {
            Ok(()) => elected += 1,
            Err(Error::Broker { code: ErrorCode::ElectionNotNeeded, .. }) => {}
            Err(error) => {
                let failure = Failure::from(error);
                let text = format!("{partition} keeps its leader: {}", failure.text);
                return Err(Failure { text, code: PARTLY, ..failure });
            }
        }
    }
    Ok(elected)
}

pub(super) async fn prefer(context: &mut Context) -> Result<i32, Failure> {
    let elected = elect(&context.admin()?, None).await?;
    context.streams.line(match elected {
        0 => "every preferred leader leads".to_owned(),
        1 => "1 partition changed its leader".to_owned(),
        count => format!("{count} partitions changed their leader"),
    });
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(index: i32, from: &[i32], to: &[i32]) -> Move {
        Move {
            partition: TopicPartition::new("a", index),
            from: from.to_vec(),
            to: to.to_vec(),
            bytes: 1,
        }
    }

    #[test]
    fn what_copies_nothing_comes_first_and_the_rest_in_pieces() {
        let moves = [
            one(0, &[1, 2], &[3, 2]),
            one(1, &[1, 2], &[2, 1]),
            one(2, &[1, 2], &[1, 3]),
            one(3, &[1, 2], &[2, 3]),
        ];
        let indexes: Vec<Vec<i32>> = batches(&moves, 2)
            .iter()
            .map(|batch| batch.iter().map(|one| one.partition.partition).collect())
            .collect();
        assert_eq!(indexes, [vec![1], vec![0, 2], vec![3]]);
    }
}
