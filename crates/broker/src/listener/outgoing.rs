//! One response on its way out: bytes in memory with ranges of log files between them.

use std::sync::Arc;

use naru_log::DiskFile;
use naru_protocol::{External, Message, Writer, api::ApiKey, frame};

/// A range of a log file that goes to the socket without passing through user space.
#[derive(Debug, Clone)]
pub(crate) struct FileRange {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) position: u64,
    pub(crate) len: usize,
}

/// A whole response frame.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// Where each of `ranges` goes, ascending.
    pub(crate) externals: Vec<External>,
    pub(crate) ranges: Vec<FileRange>,
    /// How long no further request of the connection is looked at once this is on its way.
    pub(crate) throttle_ms: u32,
}

impl Outgoing {
    /// Frames `message` as the answer to the request with this correlation id.
    pub(crate) fn message<M: Message>(
        message: &M,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
    ) -> Self {
        let (bytes, _) = frame::response(message, api, version, correlation_id).into_parts();
        let throttle_ms = u32::try_from(message.throttle_time_ms()).unwrap_or(0);
        Self { bytes, throttle_ms, ..Self::default() }
    }

    /// A response that another node has put together: header and message, without the length.
    pub(crate) fn framed(response: &[u8]) -> Self {
        let len = i32::try_from(response.len()).unwrap_or(i32::MAX);
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend_from_slice(response);
        Self { bytes, ..Self::default() }
    }

    /// Frames `message`, whose external records are `ranges`, in the order they were written.
    pub(crate) fn with_ranges(writer: Writer, ranges: Vec<FileRange>) -> Self {
        let (bytes, externals) = writer.into_parts();
        debug_assert_eq!(externals.len(), ranges.len());
        Self { bytes, externals, ranges, throttle_ms: 0 }
    }

    /// No answer at all, and then a pause.
    pub(crate) fn pause(throttle_ms: u32) -> Self {
        Self { throttle_ms, ..Self::default() }
    }

    /// Bytes on the wire, those of files included.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.ranges.iter().map(|range| range.len).sum::<usize>()
    }
}
