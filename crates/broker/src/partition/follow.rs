//! The partition as a follower: where it fetches on, storing what it got, cutting what diverges.
//!
//! A follower fetches on from what it has stored as promised: with `naru.durability=fsync` from
//! its synced end. Its fetch offset is its promise to the leader.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use naru_log::AppendError;
use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_replication::{Ask, Divergence, Event, PartitionKey, truncation};
use tokio::sync::mpsc;

use super::Partition;

/// Where a fetcher hears that a partition has stored what it got.
pub(crate) type StoredNews = mpsc::UnboundedSender<PartitionKey>;

/// Why what the leader sent was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error("it does not follow in that epoch any more")]
    NotFollowing,
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Partition {
    pub(crate) fn key(&self) -> PartitionKey {
        PartitionKey { topic: self.topic_id, partition: self.index }
    }

    /// Whom to tell when what was fetched is stored; `None` when nobody fetches any more.
    pub(crate) fn set_fetcher(&self, news: Option<StoredNews>) {
        *self.fetcher.lock().unwrap_or_else(PoisonError::into_inner) = news;
    }

    pub(super) fn tell_fetcher_if_stored(&self) {
        let fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(news) = &*fetcher {
            let ends = self.ends();
            if ends.stored >= ends.end {
                // The fetcher has gone: then nobody waits for it.
                let _ = news.send(self.key());
            }
        }
    }

    fn check_follows(&self, epoch: LeaderEpoch) -> Result<(), FollowError> {
        let role = self.role();
        if role.leads || role.epoch != epoch { Err(FollowError::NotFollowing) } else { Ok(()) }
    }

    /// What to ask the leader for in `epoch`; none while something is not stored yet, which is
    /// then on its way.
    pub(crate) fn fetch_position(self: &Arc<Self>, epoch: LeaderEpoch) -> Option<Ask> {
        let ends = self.ends();
        if ends.stored < ends.end {
            self.submit_sync();
            return None;
        }
        let last = (ends.end > ends.start).then(|| self.reader.epoch_at(Offset(ends.end.0 - 1)));
        Some(Ask {
            leader_epoch: epoch,
            offset: ends.end,
            last_fetched_epoch: last.flatten(),
            log_start: ends.start,
        })
    }

    /// Stores what the leader sent, after verifying every batch. Whether it is stored as promised
    /// already; if not, the fetcher is told when it is.
    pub(crate) fn append_fetched(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        bytes: &Bytes,
        now: Timestamp,
    ) -> Result<bool, FollowError> {
        let mut guard = self.log();
        self.check_follows(epoch)?;
        let log = guard.as_mut().ok_or(FollowError::NotFollowing)?;
        let mut result = log.append_as_follower(bytes, now);
        if let Err(AppendError::OffsetsOutOfOrder { first, log_end }) = result
            && first < log_end
            && self.log_start() == log_end
        {
            // The leader's log start, where this empty log begins, lies within a batch: records
            // before it were deleted. The batch is taken whole; the log start follows.
            log.truncate_fully_and_start_at(first, now)?;
            self.step(Event::Truncated);
            result = log.append_as_follower(bytes, now);
        }
        let unsynced = log.unsynced_records();
        drop(guard);
        match result {
            Ok(_) => {
                self.services.topic_metrics.replication_bytes_in.add(bytes.len() as u64);
                self.after_append(unsynced, now);
                let ends = self.ends();
                Ok(ends.stored >= ends.end)
            }
            Err(error) => {
                if let AppendError::Storage(storage) = &error
                    && !storage.is_full()
                {
                    self.fail(storage);
                }
                Err(error.into())
            }
        }
    }

    /// Takes over high watermark and log start of the leader.
    pub(crate) fn follow_marks(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        high_watermark: i64,
        log_start: i64,
    ) {
        if self.check_follows(epoch).is_err() {
            return;
        }
        if self.high_watermark().0 < high_watermark {
            self.step(Event::LeaderHighWatermark(Offset(high_watermark)));
        }
        let to = Offset(log_start).min(self.high_watermark());
        if to > self.log_start()
            && let Some(log) = self.log().as_mut()
            && let Err(error) = log.advance_log_start(to)
        {
            tracing::warn!(partition = %self.name(), "the log start did not move: {error}");
        }
    }

    /// Cuts off what the leader does not have.
    pub(crate) fn truncate_diverging(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        leader: Divergence,
        now: Timestamp,
    ) -> Result<(), FollowError> {
        let here = self
            .reader
            .epoch_end(leader.epoch)
            .map(|end| Divergence { epoch: end.epoch, end: end.end });
        let to = truncation(leader, here, self.log_end());
        self.cut(epoch, |log| log.truncate_to(to, now).map(drop))?;
        tracing::info!(
            partition = %self.name(), leader = ?leader, log_end = %self.log_end(), "truncated"
        );
        Ok(())
    }

    /// Cuts off what lies behind the leader's log end.
    pub(crate) fn truncate_to(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        end: Offset,
        now: Timestamp,
    ) -> Result<(), FollowError> {
        self.cut(epoch, |log| log.truncate_to(end, now).map(drop))?;
        tracing::warn!(partition = %self.name(), %end, "truncated to the leader's log end");
        Ok(())
    }

    /// Begins anew where the leader's log begins.
    pub(crate) fn restart_at(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        start: Offset,
        now: Timestamp,
    ) -> Result<(), FollowError> {
        self.cut(epoch, |log| log.truncate_fully_and_start_at(start, now))?;
        tracing::warn!(partition = %self.name(), %start, "begins anew at the leader's log start");
        Ok(())
    }

    fn cut(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        cut: impl FnOnce(&mut naru_log::Log) -> Result<(), AppendError>,
    ) -> Result<(), FollowError> {
        let mut guard = self.log();
        self.check_follows(epoch)?;
        let log = guard.as_mut().ok_or(FollowError::NotFollowing)?;
        let result = cut(log);
        // Before anybody can append again: the high watermark must not lie behind the end.
        self.step(Event::Truncated);
        drop(guard);
        if let Err(AppendError::Storage(storage)) = &result {
            self.fail(storage);
        }
        Ok(result?)
    }
}
