//! Reading what is available and giving it to a member.

use std::sync::Arc;

use bytes::Bytes;
use naru_log::AbortedTxn;
use naru_model::config::ShareGroupLimits;
use naru_model::{ErrorCode, Offset};
use naru_share::{Acquire, AcquireMode, Acquired, ReadBatch};

use super::limits;
use super::partition::{Phase, SharedPartition};
use crate::fetch_session::Wanted;
use crate::listener::FileRange;
use crate::node::Node;
use crate::partition::{PartitionRead, ReadAs};

/// Most bytes read at a time: a member gets some hundred records, not a whole segment.
const READ_MAX: usize = 1 << 20;
/// How often reading goes on when all that was found can never be delivered.
const ROUNDS_MAX: usize = 64;

/// What a member asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acquiring<'a> {
    pub(crate) member: &'a Arc<str>,
    pub(crate) records_max: i64,
    pub(crate) range_len: i64,
    pub(crate) mode: AcquireMode,
    pub(crate) bytes_max: usize,
    /// A first batch is read even if it is larger.
    pub(crate) first: bool,
    pub(crate) settings: &'a ShareGroupLimits,
}

/// What a member got.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) records: Bytes,
    pub(crate) acquired: Vec<Acquired>,
}

impl SharedPartition {
    /// How many bytes could be read now, up to `max`.
    pub(crate) fn readable(
        &self,
        settings: &ShareGroupLimits,
        max: usize,
    ) -> Result<usize, ErrorCode> {
        let Some(from) = self.available_from(settings)? else { return Ok(0) };
        let read = self.read_at(from, settings, max, true);
        if read.error == ErrorCode::None { Ok(read.len()) } else { Err(read.error) }
    }

    /// Gives the member what is available.
    pub(crate) fn take(
        self: &Arc<Self>,
        node: &Arc<Node>,
        ask: &Acquiring<'_>,
    ) -> Result<Taken, ErrorCode> {
        for _ in 0..ROUNDS_MAX {
            let Some(from) = self.available_from(ask.settings)? else { break };
            let read = self.read_at(from, ask.settings, ask.bytes_max.min(READ_MAX), ask.first);
            match read.error {
                ErrorCode::None => {}
                // The log begins later by now, or a new leader's log ends earlier.
                ErrorCode::OffsetOutOfRange if from >= self.log().log_start() => break,
                ErrorCode::OffsetOutOfRange => continue,
                error => return Err(error),
            }
            let Some(range) = &read.range else { break };
            let bytes = whole(range).map_err(|error| {
                tracing::error!(share = %self.name(), %error, "read failed");
                ErrorCode::KafkaStorageError
            })?;
            let batches = spans(&bytes, read.aborted.as_deref().unwrap_or_default());
            let ask_core = Acquire {
                member: ask.member,
                fetch_offset: from,
                batches: &batches,
                records_max: ask.records_max,
                range_len: ask.range_len,
                mode: ask.mode,
            };
            let acquired = {
                let mut inner = self.inner();
                check(inner.phase)?;
                inner.core.acquire(node.share().now(), &ask_core, &limits(ask.settings))
            };
            self.arm(node);
            // Records that were given up because the limit was lowered.
            self.persist(node);
            if !acquired.is_empty() {
                let records = slice(&bytes, &acquired);
                self.log().metrics().bytes_out.add(records.len() as u64);
                return Ok(Taken { records, acquired });
            }
        }
        Ok(Taken::default())
    }

    /// Where there may be something to deliver; none if no more may be in flight, or it is not
    /// loaded yet.
    fn available_from(&self, settings: &ShareGroupLimits) -> Result<Option<Offset>, ErrorCode> {
        let mut inner = self.inner();
        if inner.phase == Phase::Loading {
            return Ok(None);
        }
        check(inner.phase)?;
        inner.core.move_log_start(self.log().log_start());
        Ok(inner.core.can_acquire(&limits(settings)).then(|| inner.core.next_fetch_offset()))
    }

    fn read_at(
        &self,
        from: Offset,
        settings: &ShareGroupLimits,
        max: usize,
        first: bool,
    ) -> PartitionRead {
        let end = if settings.read_committed {
            self.log().last_stable()
        } else {
            self.log().high_watermark()
        };
        if from >= end {
            let leads = self.log().check_online().and_then(|()| self.log().check_leads());
            return PartitionRead::error(leads.err().unwrap_or(ErrorCode::None));
        }
        let wanted = Wanted {
            partition: self.key().partition,
            current_leader_epoch: self.leader_epoch().0,
            fetch_offset: from.0,
            last_fetched_epoch: -1,
            log_start: -1,
            bytes_max: i32::try_from(max).unwrap_or(i32::MAX),
        };
        let uncommitted = !settings.read_committed;
        let read_as = ReadAs::Consumer { from_follower: false, uncommitted };
        let read = self.log().read(&wanted, read_as, max, first);
        if read.error == ErrorCode::None {
            let metrics = self.log().metrics();
            metrics.total_fetch_requests.add(1);
        }
        read
    }
}

fn check(phase: Phase) -> Result<(), ErrorCode> {
    match phase {
        Phase::Loading | Phase::Ready => Ok(()),
        Phase::Ended(error) => Err(error),
    }
}

fn whole(range: &FileRange) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; range.len];
    range.file.read_exact_at(&mut bytes, range.position)?;
    Ok(bytes.into())
}

/// The batches of what was read.
fn spans(bytes: &[u8], aborted: &[AbortedTxn]) -> Vec<ReadBatch> {
    let headers = naru_records::batches(bytes).map_while(Result::ok).map(|(header, _)| header);
    headers
        .map(|header| {
            let (first, last) = (header.base_offset, header.last_offset());
            let is_of = |txn: &AbortedTxn| {
                header.producer_id == txn.producer_id
                    && (txn.first_offset..=txn.last_offset).contains(&first)
            };
            let may_be = header.is_transactional() && !header.is_control();
            ReadBatch { first, last, aborted: may_be && aborted.iter().any(is_of) }
        })
        .collect()
}

/// The batches from the first to the last that have records of what was acquired.
fn slice(bytes: &Bytes, acquired: &[Acquired]) -> Bytes {
    let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else {
        return Bytes::new();
    };
    let (mut begin, mut end, mut at) = (None, 0, 0);
    for (header, batch) in naru_records::batches(bytes).map_while(Result::ok) {
        let behind = at + batch.len();
        if header.last_offset() >= first.first && header.base_offset <= last.last {
            begin.get_or_insert(at);
            end = behind;
        }
        at = behind;
    }
    begin.map_or_else(Bytes::new, |begin| bytes.slice(begin..end))
}
