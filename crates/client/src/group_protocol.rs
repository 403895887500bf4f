//! What consumers say to each other inside JoinGroup and SyncGroup: a version and a message.

use bytes::Bytes;
use naru_protocol::{DecodeError, Message};

/// Reads a message that stands behind its own 16-bit version; newer versions read as the newest
/// known one, as Java does.
pub(crate) fn decode_versioned<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let version = bytes.first_chunk::<2>().map(|version| i16::from_be_bytes(*version));
    let version = version.ok_or(DecodeError::Truncated)?;
    if version < 0 {
        return Err(DecodeError::UnknownVersion(version));
    }
    M::from_bytes(&bytes.slice(2..), version.min(*M::VERSIONS.end()))
}

/// Writes a message behind its version.
pub(crate) fn encode_versioned<M: Message>(message: &M, version: i16) -> Bytes {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend_from_slice(&message.to_bytes(version));
    bytes.into()
}
