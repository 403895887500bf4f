//! Metadata transactions: records that count together or not at all (KIP-868).

use naru_protocol::messages::abort_transaction_record::AbortTransactionRecord;
use naru_protocol::metadata::MetadataRecord;

use super::Controller;
use crate::image::ReplayError;
use crate::records::RecordAndVersion;

/// Records that wait for the end of their transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OpenTransaction {
    held: Vec<(i64, i32, MetadataRecord)>,
}

impl OpenTransaction {
    pub(super) fn hold(&mut self, offset: i64, epoch: i32, record: &MetadataRecord) {
        self.held.push((offset, epoch, record.clone()));
    }
}

impl Controller {
    pub(super) fn begin_transaction(&mut self) -> Result<(), ReplayError> {
        if self.open_transaction.is_some() {
            return Err(ReplayError::NestedTransaction);
        }
        self.open_transaction = Some(OpenTransaction::default());
        Ok(())
    }

    pub(super) fn end_transaction(&mut self, offset: i64, epoch: i32) -> Result<(), ReplayError> {
        let record = "EndTransactionRecord";
        let open = self.open_transaction.take().ok_or(ReplayError::NoTransaction { record })?;
        for (offset, epoch, record) in &open.held {
            self.apply(*offset, *epoch, record)?;
        }
        self.advance_to(offset.saturating_add(1), epoch);
        Ok(())
    }

    pub(super) fn abort_transaction(&mut self) -> Result<(), ReplayError> {
        let record = "AbortTransactionRecord";
        self.open_transaction.take().ok_or(ReplayError::NoTransaction { record })?;
        Ok(())
    }

    /// What a new leader writes if its predecessor left a transaction open.
    pub(super) fn abort_left_open(&self) -> Option<RecordAndVersion> {
        self.open_transaction.as_ref()?;
        let reason = Some("Aborting previous metadata transaction".to_owned());
        Some(RecordAndVersion::newest(AbortTransactionRecord { reason }))
    }
}
