//! What every generated message implements, and the names its module uses.

use std::ops::RangeInclusive;

pub(crate) use bytes::Bytes;
use naru_model::ErrorCode;
pub(crate) use naru_model::Uuid;

pub(crate) use crate::{DecodeError, Reader, Writer};

/// A structure that can be read and written at a version.
pub trait Wire: Sized {
    /// Reads the structure as `version` lays it out.
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;
    /// Writes the structure as `version` lays it out; fields that version lacks are left out.
    fn write(&self, w: &mut Writer, version: i16);
}

/// A whole message: a request, a response, a record.
pub trait Message: Wire + Default + Clone + std::fmt::Debug {
    /// Kafka's name of it.
    const NAME: &'static str;
    /// Its API key or record type, -1 if it has none.
    const KEY: i16;
    /// The versions its schema covers.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact strings and tagged fields; `i16::MAX` if none.
    const FLEXIBLE_SINCE: i16;

    /// How long whoever gets this message is to send nothing (KIP-219).
    fn throttle_time_ms(&self) -> i32 {
        0
    }

    /// Says how long to send nothing, if the message has a field for it.
    fn set_throttle_time_ms(&mut self, _ms: i32) {}

    /// Gives every error that has none a text, where the message has room for one.
    fn explain_errors(&mut self) {}

    /// Reads a message that must stand at the start of `bytes`; what follows it is ignored, as
    /// Kafka ignores it.
    fn from_bytes(bytes: &Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes), version)
    }

    /// The message alone, without a header.
    fn to_bytes(&self, version: i16) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(&mut writer, version);
        writer.into_bytes()
    }
}

/// A request and what answers it.
pub trait Request: Message {
    /// The answer's message.
    type Response: Message;
}

/// Most errors of an answer that are given a text: there are as many as a request has parts, and a
/// text takes more room than what was asked.
pub const EXPLAINED_MAX: usize = 1000;

/// Gives an error a text if it has none and is one of those that are `left`.
pub(crate) fn explain(code: i16, text: &mut Option<String>, left: &mut usize) {
    if code == 0 || *left == 0 {
        return;
    }
    *left -= 1;
    if text.as_deref().is_none_or(str::is_empty) {
        *text = Some(ErrorCode::from_code(code).explanation().to_owned());
    }
}

/// Record bytes inside a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Records {
    /// No records field at all.
    #[default]
    Null,
    /// Bytes in memory; when read, a slice of the frame.
    Inline(Bytes),
    /// Bytes that whoever sends the frame splices in, such as a range of a file. The writer notes
    /// where they belong ([`crate::External`]).
    External {
        /// How many bytes will be spliced in.
        len: usize,
    },
}

impl Records {
    /// The bytes in memory; empty for null and external ones.
    pub fn inline(&self) -> Bytes {
        match self {
            Self::Inline(bytes) => bytes.clone(),
            Self::Null | Self::External { .. } => Bytes::new(),
        }
    }

    /// Length in bytes, wherever they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len(),
            Self::External { len } => *len,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
