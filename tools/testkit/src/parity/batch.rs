//! A record batch for the comparison: the same bytes for both brokers.

use bytes::Bytes;
use naru_protocol::Records;

/// A time long past, on a topic that keeps records for ever.
pub(super) const TIMESTAMP: i64 = 1_700_000_000_000;

/// What a batch says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub count: u8,
    pub value_len: u8,
    pub with_key: bool,
    pub good_crc: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self { count: 3, value_len: 10, with_key: true, good_crc: true }
    }
}

impl Batch {
    /// The batch in format v2, uncompressed.
    pub(super) fn records(self) -> Records {
        let mut body = Vec::new();
        body.extend(0i16.to_be_bytes());
        body.extend((i32::from(self.count) - 1).to_be_bytes());
        body.extend(TIMESTAMP.to_be_bytes());
        body.extend((TIMESTAMP + i64::from(self.count) - 1).to_be_bytes());
        // No producer: id, epoch and sequence are -1.
        body.extend((-1i64).to_be_bytes());
        body.extend((-1i16).to_be_bytes());
        body.extend((-1i32).to_be_bytes());
        body.extend(i32::from(self.count).to_be_bytes());
        for number in 0..self.count {
            body.extend(self.record(number));
        }
        let crc = crc32c::crc32c(&body) ^ u32::from(!self.good_crc);
        let mut batch = 0i64.to_be_bytes().to_vec();
        let length = i32::try_from(body.len() + 9).expect("a small batch");
        batch.extend(length.to_be_bytes());
        batch.extend((-1i32).to_be_bytes());
        batch.push(2);
        batch.extend(crc.to_be_bytes());
        batch.extend(body);
        Records::Inline(Bytes::from(batch))
    }

    fn record(self, number: u8) -> Vec<u8> {
        // Attributes, timestamp delta and offset delta; zigzag of a small number is its double.
        let mut record = vec![0, number * 2, number * 2];
        if self.with_key {
            record.extend([2, b'k']);
        } else {
            record.push(1);
        }
        record.extend(zigzag(self.value_len));
        record.extend(std::iter::repeat_n(b'v', usize::from(self.value_len)));
        record.push(0);
        let length = u8::try_from(record.len()).expect("a small record");
        let mut whole = zigzag(length);
        whole.extend(record);
        whole
    }
}

fn zigzag(value: u8) -> Vec<u8> {
    let doubled = u16::from(value) * 2;
    match u8::try_from(doubled) {
        Ok(byte) if byte < 128 => vec![byte],
        _ => {
            let low = u8::try_from(doubled & 127).expect("seven bits") | 128;
            vec![low, u8::try_from(doubled >> 7).expect("few bits")]
        }
    }
}
