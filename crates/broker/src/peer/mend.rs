//! Mends damaged logs with the bytes of other replicas, and looks for damage that nobody has met.
//!
//! A replica with damage refuses to serve it; here the records are fetched from another replica,
//! as a consumer reads them, and put back. Closed segments are looked through slowly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use naru_log::{Damage, RepairError, Scrub, ScrubPace};
use naru_model::{ErrorCode, Offset, Timestamp};
use naru_protocol::Records;
use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use naru_records::BatchHeader;

use super::connection::{Connection, ConnectionError};
use crate::node::Node;
use crate::partition::Partition;

/// How often it is looked whether there is something to mend.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Every so many of these times, what could not be mended is tried again.
const RETRY_EVERY: u32 = 10;
/// At least so many bytes are looked at in a second, so that small logs are soon done with.
const SCRUB_BYTES_MIN: u64 = 1 << 20;
/// Partitions that are looked at, at each of these times.
const SCRUB_PARTITIONS: usize = 64;
/// Bytes asked for at a time.
const FETCH_BYTES: i32 = 4 << 20;
/// Most bytes that one damage is mended with.
const MEND_BYTES_MAX: usize = 256 << 20;
/// Time that another broker gets for an answer.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Version of Fetch that is sent: from 11 on, followers answer consumers.
const FETCH_VERSION: i16 = 17;

/// Why damage stays for now.
#[derive(Debug, thiserror::Error)]
enum MendError {
    #[error("no other replica is there")]
    Alone,
    #[error("broker {0} does not give the records: {1}")]
    Refused(i32, ErrorCode),
    #[error("broker {0}: {1}")]
    Unreachable(i32, ConnectionError),
    #[error(transparent)]
    Repair(#[from] RepairError),
}

/// Mends and looks until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut stop = node.stopping();
    let log = &node.config().log;
    let (bytes_max, interval_ms) = (log.scrub_bytes_per_second_max, log.scrub_interval_ms);
    let mut scrubbing = Scrubbing::new(bytes_max, interval_ms);
    let mut unmended: Vec<Arc<Partition>> = Vec::new();
    for round in 1_u32.. {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
        if round.is_multiple_of(RETRY_EVERY) {
            unmended.drain(..).for_each(|partition| partition.keep_suspected());
        }
        let partitions = node.partitions().all();
        for partition in &partitions {
            for damage in partition.take_suspected() {
                if !mend(&node, partition, damage).await {
                    unmended.push(Arc::clone(partition));
                }
            }
        }
        if bytes_max == 0 {
            continue;
        }
        let now = node.now();
        let looked = tokio::task::spawn_blocking(move || {
            scrubbing.look(&partitions, now);
            scrubbing
        });
        // A panic has been printed by its hook; the look begins anew.
        scrubbing = looked.await.unwrap_or_else(|_| Scrubbing::new(bytes_max, interval_ms));
    }
}

/// Whether the damage is gone.
async fn mend(node: &Arc<Node>, partition: &Arc<Partition>, damage: Damage) -> bool {
    match try_mend(node, partition, damage).await {
        Ok(from) => {
            tracing::warn!(
                partition = %partition.name(), first = %damage.first, last = %damage.last, from,
                "damaged records are mended"
            );
            true
        }
        Err(MendError::Repair(RepairError::Gone)) => true,
        Err(error) => {
            tracing::error!(
                partition = %partition.name(), first = %damage.first, last = %damage.last,
                "damaged records are not mended: {error}"
            );
            false
        }
    }
}

/// Mends from the first replica that can; which one it was.
async fn try_mend(
    node: &Arc<Node>,
    partition: &Arc<Partition>,
    damage: Damage,
) -> Result<i32, MendError> {
    let mut trouble = MendError::Alone;
    for source in sources(node, partition) {
        match fetch(node, partition, source, damage).await {
            Ok(bytes) => {
                let mended = Arc::clone(partition);
                let done = tokio::task::spawn_blocking(move || mended.mend(&damage, &bytes)).await;
                match done {
                    Ok(Ok(())) => return Ok(source),
                    Ok(Err(error)) => trouble = error.into(),
                    Err(_) => return Err(trouble),
                }
            }
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

/// The other replicas that are there, the leader first, then those in sync.
fn sources(node: &Node, partition: &Partition) -> Vec<i32> {
    let image = node.image();
    let Some(state) = image.partition(partition.topic(), partition.index()) else {
        return Vec::new();
    };
    let is_there = |id: &i32| *id != node.id() && image.is_alive(*id);
    let mut all: Vec<i32> = state.replicas.iter().copied().filter(is_there).collect();
    all.sort_by_key(|id| (state.leader != Some(*id), !state.isr.contains(id)));
    all
}

/// The batches that hold the damaged records, from another broker.
async fn fetch(
    node: &Node,
    partition: &Partition,
    source: i32,
    damage: Damage,
) -> Result<Vec<u8>, MendError> {
    let unreachable = |error| MendError::Unreachable(source, error);
    let image = node.image();
    let config = node.config();
    let endpoint = image.broker(source).and_then(|b| b.endpoint(&config.listeners.inter_broker));
    let endpoint = endpoint.ok_or(MendError::Alone)?;
    let client_id = format!("broker-{}-mend", node.id());
    let security = &node.security().links().to_brokers;
    let (host, port) = (&endpoint.host, endpoint.port);
    let mut connection = Connection::open(host, port, client_id, None, ASK_MAX, security)
        .await
        .map_err(unreachable)?;
    let mut good = Vec::new();
    let mut next = damage.first;
    while next <= damage.last && good.len() < MEND_BYTES_MAX {
        let request = request(partition, next);
        let response =
            connection.ask(&request, FETCH_VERSION, ASK_MAX).await.map_err(unreachable)?;
        let data = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let data = data
            .ok_or_else(|| MendError::Refused(source, ErrorCode::from_code(response.error_code)))?;
        let bytes = match data.records {
            Records::Inline(bytes) if data.error_code == 0 && !bytes.is_empty() => bytes,
            _ => return Err(MendError::Refused(source, ErrorCode::from_code(data.error_code))),
        };
        let (whole, end) = whole_batches(&bytes, next);
        if end <= next {
            return Err(MendError::Refused(source, ErrorCode::CorruptMessage));
        }
        good.extend_from_slice(whole);
        next = end;
    }
    Ok(good)
}

fn request(partition: &Partition, offset: Offset) -> FetchRequest {
    let wanted = FetchPartition {
        partition: partition.index(),
        current_leader_epoch: -1,
        fetch_offset: offset.0,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: FETCH_BYTES,
        ..FetchPartition::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        topics: vec![FetchTopic {
            topic_id: partition.topic_id(),
            partitions: vec![wanted],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// The batches that are there to their ends, and the offset after them.
fn whole_batches(bytes: &[u8], from: Offset) -> (&[u8], Offset) {
    let (mut len, mut end) = (0, from);
    while let Some(rest) = bytes.get(len..)
        && let Ok(header) = BatchHeader::parse(rest)
        && header.size() <= rest.len()
    {
        len += header.size();
        end = header.next_offset();
    }
    (&bytes[..len], end)
}

/// The slow look through everything: once after the start, as fast as is allowed; then once in
/// each interval, in no more haste than that needs.
#[derive(Debug)]
struct Scrubbing {
    pace: ScrubPace,
    interval: Duration,
    /// Index of the next partition among all.
    at: usize,
    current: Option<(Arc<Partition>, Scrub)>,
    /// When this look through everything began.
    began: Instant,
    /// Everything has been looked through since.
    finished: bool,
}

impl Scrubbing {
    fn new(bytes_max: u64, interval_ms: u64) -> Self {
        Self {
            pace: ScrubPace::new(SCRUB_BYTES_MIN, bytes_max, interval_ms),
            interval: Duration::from_millis(interval_ms),
            at: 0,
            current: None,
            began: Instant::now(),
            finished: false,
        }
    }

    /// Looks at what may be looked at by now.
    fn look(&mut self, partitions: &[Arc<Partition>], now: Timestamp) {
        if self.finished {
            if self.began.elapsed() < self.interval {
                return;
            }
            (self.finished, self.began) = (false, Instant::now());
        }
        let total = partitions.iter().map(|partition| partition.size()).sum();
        let allowed = self.pace.allowance(now, total);
        let left = self.look_at(partitions, allowed);
        self.pace.spent(allowed - left);
        if self.finished {
            self.pace.pass_done();
        }
    }

    /// Looks at `left` bytes, or at a few partitions; how many are left.
    fn look_at(&mut self, partitions: &[Arc<Partition>], mut left: u64) -> u64 {
        for _ in 0..SCRUB_PARTITIONS.min(partitions.len()) {
            if self.current.is_none() {
                let Some(partition) = partitions.get(self.at) else {
                    (self.at, self.finished) = (0, true);
                    return left;
                };
                self.at += 1;
                self.current = Some((Arc::clone(partition), partition.scrub()));
            }
            let Some((partition, scrub)) = &mut self.current else { return left };
            while left > 0 {
                match partition.scrub_step(scrub, left) {
                    Ok(step) if step.done => {
                        self.current = None;
                        break;
                    }
                    Ok(step) => left = left.saturating_sub(step.bytes.max(1)),
                    Err(error) => {
                        tracing::debug!(partition = %partition.name(), "not looked at: {error}");
                        self.current = None;
                        break;
                    }
                }
            }
            if left == 0 {
                break;
            }
        }
        // Without partitions there is nothing more to look at.
        self.finished |= partitions.is_empty();
        left
    }
}
