//! Topics out of a consumer's subscription metadata.

use std::collections::HashSet;

use bytes::Bytes;
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::{DecodeError, Reader, Wire};

/// `protocol.type` of groups of consumers.
pub(crate) const CONSUMER_PROTOCOL: &str = "consumer";

/// The topics that all `subscriptions` name; `None` if one of them cannot be read.
///
/// The bytes are a client's: reading them is bounded by their length, and what cannot be read
/// leaves the topics unknown instead of failing the group.
pub(crate) fn subscribed_topics<'a>(
    subscriptions: impl Iterator<Item = &'a Bytes>,
) -> Option<HashSet<String>> {
    let mut topics = HashSet::new();
    for subscription in subscriptions {
        topics.extend(read_topics(subscription).ok()?);
    }
    Some(topics)
}

fn read_topics(subscription: &Bytes) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader::new(subscription);
    let version = reader.i16()?;
    if version < 0 {
        return Err(DecodeError::UnknownVersion(version));
    }
    // Later versions only append fields, so version 0 finds the topics in all of them.
    Ok(ConsumerProtocolSubscription::read(&mut reader, 0)?.topics)
}
