//! Reading: what one fetch finds in one partition, and look-ups of offsets.

use std::sync::Arc;

use bytes::Bytes;
use naru_log::{AbortedTxn, ReadError};
use naru_model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp};
use naru_records::BatchHeader;
use naru_replication::{Brokers as _, FollowerFetch};

use super::Partition;
use crate::fetch_session::Wanted;
use crate::listener::FileRange;

/// What a fetch found.
#[derive(Debug)]
pub(crate) struct PartitionRead {
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
    pub(crate) log_start: i64,
    pub(crate) range: Option<FileRange>,
    /// Transactions among the records that were aborted; none unless committed records are read.
    pub(crate) aborted: Option<Vec<AbortedTxn>>,
    /// Epoch and end where the client's log leaves this one (KIP-595).
    pub(crate) diverging: Option<(i32, i64)>,
    /// Where the consumer should read instead (KIP-392).
    pub(crate) preferred: Option<BrokerId>,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadAs {
    /// A consumer; one that told its rack may read from a follower, too. Without `uncommitted` it
    /// reads up to the last stable offset.
    Consumer { from_follower: bool, uncommitted: bool },
    /// A follower, which reads up to the log end.
    Follower { replica: BrokerId, broker_epoch: Option<BrokerEpoch> },
}

/// An offset that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) epoch: i32,
}

impl PartitionRead {
    pub(crate) fn error(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            range: None,
            aborted: None,
            diverging: None,
            preferred: None,
        }
    }

    /// Bytes of records.
    pub(crate) fn len(&self) -> usize {
        self.range.as_ref().map_or(0, |range| range.len)
    }
}

impl Partition {
    /// Reads for a fetch: at most `left` bytes, but a whole first batch if this is the `first`
    /// partition with anything.
    pub(crate) fn read(
        &self,
        wanted: &Wanted,
        read_as: ReadAs,
        left: usize,
        first: bool,
    ) -> PartitionRead {
        if let Err(error) = self.check_readable(wanted, read_as) {
            return PartitionRead::error(error);
        }
        let mut read = PartitionRead {
            high_watermark: self.high_watermark().0,
            last_stable: self.last_stable().0,
            log_start: self.log_start().0,
            ..PartitionRead::error(ErrorCode::None)
        };
        read.diverging = self.divergence(wanted);
        if read.diverging.is_some() {
            return read;
        }
        let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(0).min(left);
        let offset = Offset(wanted.fetch_offset);
        let upto = match read_as {
            ReadAs::Consumer { uncommitted: true, .. } => Offset(read.high_watermark),
            ReadAs::Consumer { uncommitted: false, .. } => Offset(read.last_stable),
            ReadAs::Follower { .. } => self.log_end(),
        };
        let slice = self.reader().read(offset, bytes_max, first, upto).and_then(|slice| {
            if matches!(read_as, ReadAs::Consumer { uncommitted: false, .. }) {
                read.aborted = Some(self.reader().aborted_in(&slice, offset)?);
            }
            Ok(slice)
        });
        match slice {
            Ok(slice) if slice.len > 0 => {
                let (file, position, len) = (slice.file, slice.position, slice.len);
                read.range = Some(FileRange { file, position, len });
                read
            }
            Ok(_) => read,
            Err(error) => {
                self.metrics().failed_fetch_requests.add(1);
                if !matches!(error, ReadError::OutOfRange { .. }) {
                    tracing::error!(partition = %self.name(), "read failed: {error}");
                }
                let is_damaged = matches!(error, ReadError::Damaged { .. });
                if is_damaged {
                    self.suspect_damage();
                }
                // Without another replica nothing mends it: to ask again, as clients do in silence
                // for a storage error, would never end.
                let code = if is_damaged && self.role().is_sole {
                    ErrorCode::CorruptMessage
                } else {
                    ErrorCode::from(&error)
                };
                PartitionRead::error(code)
            }
        }
    }

    fn check_readable(&self, wanted: &Wanted, read_as: ReadAs) -> Result<(), ErrorCode> {
        self.check_online()?;
        self.check_leader_epoch(wanted.current_leader_epoch)?;
        match read_as {
            ReadAs::Consumer { from_follower: true, .. } => Ok(()),
            ReadAs::Consumer { from_follower: false, .. } => self.check_leads(),
            ReadAs::Follower { replica, broker_epoch } => {
                self.check_leads()?;
                if !self.replica().has_follower(replica) {
                    // One of both does not have the latest metadata yet.
                    return Err(if wanted.current_leader_epoch >= 0 {
                        ErrorCode::UnknownLeaderEpoch
                    } else {
                        ErrorCode::NotLeaderOrFollower
                    });
                }
                let registered = self.services.replication.broker(replica);
                let is_old = |epoch| registered.is_some_and(|broker| epoch < broker.epoch);
                if broker_epoch.is_some_and(is_old) {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                Ok(())
            }
        }
    }

    /// Takes note of how far a follower is: its fetch offset is its promise. The log's end must
    /// have been `leader_end` when it was read.
    pub(crate) fn note_fetch(
        self: &Arc<Self>,
        wanted: &Wanted,
        replica: BrokerId,
        broker_epoch: Option<BrokerEpoch>,
        leader_end: Offset,
    ) {
        let log_start = Offset(wanted.log_start.max(0));
        let fetch = FollowerFetch {
            replica,
            broker_epoch,
            offset: Offset(wanted.fetch_offset),
            log_start,
            leader_end,
        };
        let before = self.follower_fetched(fetch);
        if before.is_some_and(|before| before < log_start) {
            // Whoever deletes records waits for that.
            self.waiters().wake_consumers();
        }
    }

    /// Where a consumer in `rack` should read instead of here.
    pub(crate) fn preferred_replica(&self, rack: &str, offset: i64) -> Option<BrokerId> {
        let replica = self.replica();
        if replica.followers().is_empty() {
            return None;
        }
        let leader = (self.log_start(), self.log_end());
        let replication = &self.services.replication;
        let (isr, followers) = (replica.isr(), replica.followers());
        replication.preferred(rack, Offset(offset), leader, isr, followers)
    }

    /// Compares the leader epoch a client knows with the current one (KIP-320); -1 is not known.
    pub(crate) fn check_leader_epoch(&self, known: i32) -> Result<(), ErrorCode> {
        let current = self.leader_epoch().0;
        if known < 0 || known == current {
            Ok(())
        } else if known < current {
            Err(ErrorCode::FencedLeaderEpoch)
        } else {
            Err(ErrorCode::UnknownLeaderEpoch)
        }
    }

    fn divergence(&self, wanted: &Wanted) -> Option<(i32, i64)> {
        if wanted.last_fetched_epoch < 0 {
            return None;
        }
        let (epoch, end) = self.epoch_end(wanted.last_fetched_epoch);
        let diverges = epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset;
        diverges.then_some((epoch, end))
    }

    /// The last epoch up to `epoch` and where it ends; -1 and -1 if that is not known.
    pub(crate) fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        if epoch == self.leader_epoch().0 {
            return (epoch, self.log_end().0);
        }
        match self.reader().epoch_end(LeaderEpoch(epoch)) {
            Some(end) => (end.epoch.0, end.end.0),
            // This leader's epoch has begun where the log ends, whether it has records or not.
            None if epoch < self.leader_epoch().0 => {
                let latest = self.reader().latest_epoch();
                (latest.map_or(epoch, |latest| latest.0), self.log_end().0)
            }
            None => (-1, -1),
        }
    }

    /// The first record at or after `time`.
    pub(crate) fn offset_at_time(&self, time: i64) -> Result<Option<Looked>, ReadError> {
        let found = self.reader().offset_at_time(Timestamp(time))?;
        Ok(found.map(|found| Looked {
            offset: found.offset.0,
            timestamp: found.timestamp.0,
            epoch: found.epoch.0,
        }))
    }

    /// The first record with the greatest timestamp.
    pub(crate) fn max_timestamp(&self) -> Result<Option<Looked>, ReadError> {
        let found = self.reader().max_timestamp()?;
        Ok(found.map(|found| Looked {
            offset: found.offset.0,
            timestamp: found.timestamp.0,
            epoch: found.epoch.0,
        }))
    }

    /// The epoch of the record at `offset`, -1 if the log knows none.
    pub(crate) fn epoch_at(&self, offset: Offset) -> i32 {
        self.reader().epoch_at(offset).map_or(-1, |epoch| epoch.0)
    }

    /// Reads the whole log, batch by batch with its control batches, `chunk` bytes at a time.
    pub(crate) fn for_each_batch(
        &self,
        chunk: usize,
        mut each: impl FnMut(&BatchHeader, &Bytes) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut next = self.log_start();
        let end = self.log_end();
        while next < end {
            let slice = self.reader().read(next, chunk, true, end).map_err(|error| {
                if matches!(error, ReadError::Damaged { .. }) {
                    self.suspect_damage();
                }
                error.to_string()
            })?;
            let bytes = Bytes::from(slice.read_bytes().map_err(|e| e.to_string())?);
            let before = next;
            for item in naru_records::batches(&bytes) {
                let (header, batch) = item.map_err(|error| error.to_string())?;
                next = header.next_offset();
                if header.last_offset() >= before {
                    each(&header, &bytes.slice_ref(batch))?;
                }
            }
            if next == before {
                return Err(format!("no batch at offset {before} of {}", self.name()));
            }
        }
        Ok(())
    }
}
