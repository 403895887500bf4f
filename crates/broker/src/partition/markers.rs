//! The partition's part in transactions: markers that end them, and guards with which they begin.

use std::sync::Arc;

use naru_log::{NewBatch, Origin, ProducerInfo, VerificationGuard};
use naru_model::{ErrorCode, ProducerEpoch, ProducerId, Timestamp};
use naru_records::{EndTxnMarker, ProducerStamp, end_txn_batch};

use super::{Appended, Partition, Refused};

/// The end of a producer's transaction, as a transaction coordinator has decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TxnMarker {
    pub(crate) producer_id: ProducerId,
    /// With `transaction.version` 2 the one after the transaction's.
    pub(crate) producer_epoch: ProducerEpoch,
    /// Leader epoch of the coordinator's partition.
    pub(crate) coordinator_epoch: i32,
    pub(crate) committed: bool,
    /// `transaction.version` that the transaction was made with.
    pub(crate) transaction_version: i8,
}

impl TxnMarker {
    fn to_batch(self, now: Timestamp) -> Result<Vec<u8>, ErrorCode> {
        let coordinator_epoch = self.coordinator_epoch;
        let marker = if self.committed {
            EndTxnMarker::Commit { coordinator_epoch }
        } else {
            EndTxnMarker::Abort { coordinator_epoch }
        };
        // Only memory for a codec could be missing, and none is used.
        end_txn_batch(self.producer_id, self.producer_epoch, marker, now)
            .map_err(|_| ErrorCode::UnknownServerError)
    }
}

impl Partition {
    /// Appends a marker, if enough replicas are in sync. A coordinator or a producer's epoch that
    /// has been replaced is refused.
    pub(crate) fn append_marker(
        self: &Arc<Self>,
        marker: TxnMarker,
        now: Timestamp,
    ) -> Result<Appended, Refused> {
        self.check_online()?;
        self.check_can_append(true)?;
        let bytes = marker.to_batch(now)?;
        let batch = NewBatch::built(&bytes).map_err(|error| ErrorCode::from(&error))?;
        let transaction_version = marker.transaction_version;
        self.append(batch, Origin::Marker { transaction_version }, now)
    }

    /// What a transactional batch has to bring when the coordinator has said yes; none if its
    /// transaction has begun here.
    pub(crate) fn begin_verification(
        &self,
        producer: ProducerStamp,
        bumps_epochs: bool,
        now: Timestamp,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        self.check_online()?;
        let mut log = self.log();
        self.check_leads()?;
        let log = log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        Ok(log.begin_verification(producer, bumps_epochs, now))
    }

    /// The producers that are remembered, by id.
    pub(crate) fn producers(&self) -> Result<Vec<ProducerInfo>, ErrorCode> {
        self.check_online()?;
        let log = self.log();
        let mut producers = log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?.producers();
        drop(log);
        producers.sort_by_key(|producer| producer.id);
        Ok(producers)
    }
}
