//! AllocateProducerIds (key 67, v0): producer ids, handed out to brokers in blocks. KIP-730.

use naru_model::ErrorCode;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use naru_protocol::messages::producer_ids_record::ProducerIdsRecord;

use super::Controller;
use crate::records::{Decision, RecordAndVersion};

/// Ids in a block.
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

/// Producer ids that one broker may give to producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first of them.
    pub first: i64,
    /// How many.
    pub len: i32,
}

/// No producer id is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all producer ids are handed out")]
pub struct ProducerIdsExhausted;

impl Controller {
    /// Decides an AllocateProducerIds request of a registered process.
    pub fn decide_allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Decision<AllocateProducerIdsResponse> {
        let (broker, epoch) = (request.broker_id, request.broker_epoch);
        let refused = |code: ErrorCode| Decision {
            records: Vec::new(),
            response: AllocateProducerIdsResponse {
                error_code: code.code(),
                ..AllocateProducerIdsResponse::default()
            },
        };
        if let Err(error) = self.check_broker_epoch(broker, epoch) {
            return refused(error.code());
        }
        match self.decide_producer_ids(broker, epoch) {
            Ok(decision) => Decision {
                records: decision.records,
                response: AllocateProducerIdsResponse {
                    producer_id_start: decision.response.first,
                    producer_id_len: decision.response.len,
                    ..AllocateProducerIdsResponse::default()
                },
            },
            Err(ProducerIdsExhausted) => refused(ErrorCode::UnknownServerError),
        }
    }

    /// Hands the next block to a broker. The block may be used once the record is committed; ids
    /// of a block that a crash left unused are never given again.
    pub fn decide_producer_ids(
        &self,
        broker_id: i32,
        broker_epoch: i64,
    ) -> Result<Decision<ProducerIdBlock>, ProducerIdsExhausted> {
        let first = self.image.next_producer_id();
        let next_producer_id =
            first.checked_add(PRODUCER_ID_BLOCK_LEN.into()).ok_or(ProducerIdsExhausted)?;
        let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
        Ok(Decision {
            records: vec![RecordAndVersion::newest(record)],
            response: ProducerIdBlock { first, len: PRODUCER_ID_BLOCK_LEN },
        })
    }
}
