//! AllocateProducerIds (key 67, v0): producer ids, handed out to brokers in blocks. KIP-730.

use naru_model::ErrorCode;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use naru_protocol::messages::producer_ids_record::ProducerIdsRecord;

use super::Controller;
use crate::records::Decision;

/// Ids in a block.
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

impl Controller {
    /// Decides an AllocateProducerIds request of a registered process. The block may be used once
    /// the record is committed; ids of a block that a crash left unused are never given again.
    pub fn decide_allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Decision<AllocateProducerIdsResponse> {
        let (broker_id, broker_epoch) = (request.broker_id, request.broker_epoch);
        let refused = |code: ErrorCode| Decision {
            records: Vec::new(),
            response: AllocateProducerIdsResponse {
                error_code: code.code(),
                ..AllocateProducerIdsResponse::default()
            },
        };
        if let Err(error) = self.check_broker_epoch(broker_id, broker_epoch) {
            return refused(error.code());
        }
        let first = self.image.next_producer_id();
        let Some(next_producer_id) = first.checked_add(PRODUCER_ID_BLOCK_LEN.into()) else {
            // All are handed out; Kafka has no better word for it.
            return refused(ErrorCode::UnknownServerError);
        };
        let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
        Decision {
            records: vec![self.versioned(record)],
            response: AllocateProducerIdsResponse {
                producer_id_start: first,
                producer_id_len: PRODUCER_ID_BLOCK_LEN,
                ..AllocateProducerIdsResponse::default()
            },
        }
    }
}
