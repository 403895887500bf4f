//! Appending: judge the batch, place it, and say when it will count as stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use naru_log::{AppendError, NewBatch, Origin, Verification};
use naru_model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use naru_records::{BatchHeader, InvalidBatch, ValidBatch, recompress, validate_produced};
use tokio::sync::oneshot;

use super::{Partition, PartitionSettings, Role, Stored};

/// A batch that is in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// The offset after its last record.
    pub(crate) end: Offset,
    /// -1 unless the topic uses the time of the append.
    pub(crate) log_append_time: i64,
    pub(crate) log_start: i64,
    /// The leader epoch it was appended in.
    pub(crate) epoch: LeaderEpoch,
}

/// A batch that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: ErrorCode,
    pub(crate) message: Option<String>,
    /// Index within the batch and what is wrong, for records refused one by one.
    pub(crate) records: Vec<(i32, String)>,
    /// Whether a refusal that passes, of an earlier batch, may be behind it.
    pub(crate) may_be_gap: bool,
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Self {
        let may_be_gap = error == ErrorCode::OutOfOrderSequenceNumber;
        Self { error, message: None, records: Vec::new(), may_be_gap }
    }
}

impl From<&AppendError> for Refused {
    fn from(error: &AppendError) -> Self {
        let may_be_gap = matches!(error, AppendError::OutOfOrderSequence { .. });
        let message = Some(error.to_string());
        Self { error: error.into(), message, records: Vec::new(), may_be_gap }
    }
}

impl From<&InvalidBatch> for Refused {
    fn from(error: &InvalidBatch) -> Self {
        let records = match error {
            InvalidBatch::Records(records) => {
                records.iter().map(|one| (one.batch_index, one.problem.to_string())).collect()
            }
            _ => Vec::new(),
        };
        let message = Some(error.to_string());
        Self { records, message, ..ErrorCode::from(error).into() }
    }
}

/// A produced batch in the codec that the topic asks for, with its header, if it came in another.
/// The size is judged again: it is another one.
fn recode(
    bytes: &Bytes,
    valid: &ValidBatch,
    settings: &PartitionSettings,
) -> Result<Option<(Vec<u8>, BatchHeader)>, Refused> {
    let Some((codec, level)) = settings.compression else { return Ok(None) };
    if valid.header.compression() == Ok(codec) {
        return Ok(None);
    }
    let refused = |error: InvalidBatch| Refused::from(&error);
    let recoded = recompress(bytes, codec, level, settings.inflated_max);
    let recoded = recoded.map_err(|error| refused(error.into()))?;
    let max = settings.log.max_message_bytes;
    if recoded.len() > max {
        return Err(refused(InvalidBatch::TooLarge { bytes: recoded.len(), max }));
    }
    let header = BatchHeader::parse(&recoded).map_err(|error| refused(error.into()))?;
    Ok(Some((recoded, header)))
}

impl Partition {
    /// Appends what a client produced; with `for_all` (acks=all) only if enough replicas are in
    /// sync, and only with this `verification` if it begins a transaction.
    pub(crate) fn append_produced(
        self: &Arc<Self>,
        bytes: &Bytes,
        for_all: bool,
        verification: Verification,
        now: Timestamp,
    ) -> Result<Appended, Refused> {
        self.check_online()?;
        self.check_can_append(for_all)?;
        let settings = self.settings();
        let valid = validate_produced(bytes, &settings.produce_limits(now))
            .map_err(|error| Refused::from(&error))?;
        let metrics = self.metrics();
        metrics.messages_in.add(u64::from(valid.record_count().unsigned_abs()));
        metrics.bytes_in.add(bytes.len() as u64);
        let recoded = recode(bytes, &valid, &settings)?;
        let batch = match &recoded {
            None => NewBatch::validated(bytes, valid),
            Some((bytes, header)) => {
                NewBatch::validated(bytes, ValidBatch { header: *header, ..valid })
            }
        };
        let batch = batch.with_verification(verification);
        self.append(batch, Origin::Client, now)
    }

    /// Appends what a coordinator of this broker has built, and only with this `verification` if
    /// it begins a transaction.
    pub(crate) fn append_own(
        self: &Arc<Self>,
        bytes: &Bytes,
        verification: Verification,
        now: Timestamp,
    ) -> Result<Appended, Refused> {
        self.check_online()?;
        self.check_can_append(true)?;
        if bytes.len() > self.settings().log.max_message_bytes {
            return Err(ErrorCode::MessageTooLarge.into());
        }
        let batch = NewBatch::built(bytes).map_err(|error| Refused {
            message: Some(error.to_string()),
            ..ErrorCode::from(&error).into()
        })?;
        self.append(batch.with_verification(verification), Origin::Coordinator, now)
    }

    pub(super) fn check_can_append(&self, for_all: bool) -> Result<(), Refused> {
        let role = self.role();
        if !role.leads {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        }
        if for_all && role.under_min_isr {
            return Err(ErrorCode::NotEnoughReplicas.into());
        }
        Ok(())
    }

    pub(super) fn append(
        self: &Arc<Self>,
        batch: NewBatch<'_>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Appended, Refused> {
        let mut guard = self.log();
        let Some(log) = guard.as_mut() else {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        };
        // Leadership changes under the log's lock only.
        let Role { epoch, leads: true, .. } = self.role() else {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        };
        let result = log.append_one(batch, origin, epoch, now);
        let unsynced = log.unsynced_records();
        drop(guard);
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                if let AppendError::Storage(storage) = &error
                    && !storage.is_full()
                {
                    self.fail(storage);
                }
                return Err(self.refused(&error));
            }
        };
        self.after_append(unsynced, now);
        Ok(Appended {
            base_offset: appended.first_offset.0,
            end: appended.last_offset.plus(1),
            log_append_time: appended.log_append_time.map_or(-1, |time| time.0),
            log_start: appended.log_start.0,
            epoch,
        })
    }

    /// What the client is told: KAFKA_STORAGE_ERROR makes clients look for another leader and try
    /// again.
    fn refused(&self, error: &AppendError) -> Refused {
        let mut refused = Refused::from(error);
        if let AppendError::Storage(storage) = error
            && storage.is_full()
        {
            refused.message = Some(format!(
                "no space left on {}: records are taken again when there is",
                self.dir.display()
            ));
        }
        refused
    }

    /// Moves the high watermark or asks for the sync that will.
    pub(super) fn after_append(self: &Arc<Self>, unsynced: i64, now: Timestamp) {
        let settings = self.settings();
        let role = self.role();
        if role.leads && !role.is_sole {
            self.waiters().wake_followers(self.key());
        }
        if !settings.fsync {
            self.advance();
        }
        if settings.fsync || unsynced >= settings.log.flush_messages {
            self.submit_sync();
        } else if settings.log.flush_ms < i64::MAX {
            // Only the oldest append counts: a later one finds the time set.
            let _ =
                self.unsynced_since.compare_exchange(0, now.0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Waits until a batch is stored as promised; `None` if it is already.
    pub(crate) fn park_until_stored(
        &self,
        appended: &Appended,
    ) -> Option<oneshot::Receiver<Stored>> {
        self.park_until(appended.end, appended.epoch)
    }

    /// Waits until all that is in the log now is stored; `None` if it is already, or if that
    /// depends on other brokers.
    pub(crate) fn park_until_settled(&self) -> Option<oneshot::Receiver<Stored>> {
        let role = self.role();
        if role.is_sole { self.park_until(self.log_end(), role.epoch) } else { None }
    }

    /// Waits until all that is in the log now is committed; `None` if it is already.
    pub(crate) fn park_until_committed(&self) -> Option<oneshot::Receiver<Stored>> {
        self.park_until(self.log_end(), self.role().epoch)
    }

    fn park_until(&self, end: Offset, epoch: LeaderEpoch) -> Option<oneshot::Receiver<Stored>> {
        // The role is read last: what the high watermark has passed in between may be other
        // records at the same offsets if it followed somebody meanwhile.
        if self.high_watermark() >= end {
            let role = self.role();
            if role.leads && role.epoch == epoch {
                return None;
            }
        }
        let mut waiters = self.waiters();
        if !waiters.has_led_since(epoch) {
            let (lost, receiver) = oneshot::channel();
            // The receiver is here.
            let _ = lost.send(Err(ErrorCode::NotLeaderOrFollower));
            return Some(receiver);
        }
        let receiver = waiters.park_producer(end);
        // Looked at again under the lock: whoever moves the high watermark takes it afterwards.
        let high_watermark = self.high_watermark();
        if high_watermark >= end {
            waiters.release(self.key(), high_watermark);
        }
        if let Err(error) = self.check_online() {
            waiters.fail(self.key(), error);
        }
        Some(receiver)
    }
}
