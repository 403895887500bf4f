//! What a shard writes is appended to its partition, and the shard told what became of it: in the
//! order of its writes.

use std::sync::Weak;

use naru_coordinators::{CoordinatorRecord, Identity, Marker, Outcome, Write, WriteId, WriteKind};
use naru_log::Verification;
use naru_model::{ErrorCode, Offset, Sequence, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, ProducerStamp};
use tokio::sync::{mpsc, oneshot};

use super::{Core, Hosted, ShardHost};
use crate::partition::{Appended, Stored, TxnMarker};

/// Coordinators do not count what they write in a producer's name.
const NO_SEQUENCE: Sequence = Sequence(-1);

/// A write whose result is not known yet.
#[derive(Debug)]
pub(super) struct Pending {
    id: WriteId,
    stored: oneshot::Receiver<Stored>,
}

impl<S: Hosted> ShardHost<S> {
    /// Appends a batch. The result if it is known at once; otherwise it comes back by itself.
    pub(super) fn append(
        &self,
        core: &mut Core<S>,
        write: &Write,
        verification: Verification,
        now: Timestamp,
    ) -> Option<Result<(), ErrorCode>> {
        let appended = match self.place(write, verification, now) {
            Ok(appended) => appended,
            Err(error) => return Some(Err(error)),
        };
        core.shard.on_appended(write.id, Offset(appended.base_offset));
        match self.partition.park_until_stored(&appended) {
            // An earlier write that is not settled yet must be told first.
            None if core.unsettled == 0 => Some(Ok(())),
            None => {
                let (sender, stored) = oneshot::channel();
                let _ = sender.send(Ok(()));
                self.settle_later(core, write.id, stored)
            }
            Some(stored) => self.settle_later(core, write.id, stored),
        }
    }

    fn place(
        &self,
        write: &Write,
        verification: Verification,
        now: Timestamp,
    ) -> Result<Appended, ErrorCode> {
        let mut options = BatchOptions { compression: self.compression, ..BatchOptions::default() };
        match write.kind {
            WriteKind::Plain => {}
            WriteKind::Transactional(producer) => {
                options.producer = Some(stamp(producer));
                options.transactional = true;
            }
            WriteKind::Marker(marker) => {
                let appended = self.partition.append_marker(txn_marker(marker), now);
                return appended.map_err(|refused| refused.error);
            }
        }
        let batch = build_batch(&write.records, &options)?;
        let appended = self.partition.append_own(&batch.into(), verification, now);
        appended.map_err(|refused| refused.error)
    }

    fn settle_later(
        &self,
        core: &mut Core<S>,
        id: WriteId,
        stored: oneshot::Receiver<Stored>,
    ) -> Option<Result<(), ErrorCode>> {
        core.unsettled += 1;
        match self.pending.send(Pending { id, stored }) {
            Ok(()) => None,
            Err(_) => Some(Err(ErrorCode::CoordinatorNotAvailable)),
        }
    }

    /// Gives the shard the results of its writes, in order, as long as the host lives.
    pub(super) async fn settle_writes(
        host: Weak<Self>,
        mut results: mpsc::UnboundedReceiver<Pending>,
    ) {
        while let Some(Pending { id, stored }) = results.recv().await {
            let result = stored.await.unwrap_or(Err(ErrorCode::NotCoordinator));
            let Some(host) = host.upgrade() else { return };
            host.settle(id, result);
            host.timer_moved.notify_one();
        }
    }

    /// Tells the shard what became of a write. One that was given up on may be kept or lost: the
    /// shard that took it back would differ from the log until the next one reads it. So the
    /// shard is given up, and made anew of what the log has and the quorum of replicas keeps.
    fn settle(&self, id: WriteId, result: Result<(), ErrorCode>) {
        let mut core = self.core();
        let now = core.now();
        core.unsettled -= 1;
        let outcome = if core.loaded.is_err() {
            Outcome::default()
        } else if result == Err(ErrorCode::NotLeaderOrFollower) {
            self.give_up_in_doubt(&mut core)
        } else {
            core.shard.on_written(now, id, result)
        };
        self.carry_out(&mut core, now, outcome);
    }
}

fn txn_marker(marker: Marker) -> TxnMarker {
    TxnMarker {
        producer_id: marker.producer.id,
        producer_epoch: marker.producer.epoch,
        coordinator_epoch: marker.coordinator_epoch,
        committed: marker.commit,
        transaction_version: i8::try_from(marker.version.0).unwrap_or(i8::MAX),
    }
}

/// One batch of these records; an error is the codec's, and none is used.
fn build_batch(
    records: &[CoordinatorRecord],
    options: &BatchOptions,
) -> Result<Vec<u8>, ErrorCode> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.append_plain(record.timestamp, Some(&record.key), record.value.as_deref());
    }
    builder.build(options).map_err(|_| ErrorCode::MessageTooLarge)
}

pub(super) fn stamp(producer: Identity) -> ProducerStamp {
    ProducerStamp { id: producer.id, epoch: producer.epoch, base_sequence: NO_SEQUENCE }
}
