//! What tells whether a group's topics have changed: one number a topic, one a group (KIP-1101).
//!
//! The bytes that are hashed, with XXH3, are those of Kafka, so that a group which moves between
//! Kafka's coordinators and this one is not assigned anew.

use std::collections::HashMap;

use twox_hash::XxHash3_64;

use super::topics::Topics;

/// The topics' numbers, kept until their metadata changes.
#[derive(Debug, Default)]
pub(crate) struct TopicHashes(HashMap<String, i64>);

impl TopicHashes {
    pub(crate) fn forget(&mut self, topic: &str) {
        self.0.remove(topic);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, topic: &str, topics: &dyn Topics) -> Option<i64> {
        if let Some(hash) = self.0.get(topic) {
            return Some(*hash);
        }
        let hash = topic_hash(topic, topics)?;
        self.0.insert(topic.to_owned(), hash);
        Some(hash)
    }

    /// The number of a group that subscribes to these topics, names ascending; topics that do not
    /// exist do not count.
    pub(crate) fn of_group<'t>(
        &mut self,
        subscribed: impl Iterator<Item = &'t str>,
        topics: &dyn Topics,
    ) -> i64 {
        let mut bytes = Vec::new();
        for name in subscribed {
            if let Some(hash) = self.of(name, topics) {
                bytes.extend(hash.to_le_bytes());
            }
        }
        if bytes.is_empty() { 0 } else { xxh3(&bytes) }
    }
}

fn topic_hash(name: &str, topics: &dyn Topics) -> Option<i64> {
    let topic = topics.by_name(name)?;
    let mut bytes = vec![MAGIC];
    let id = topic.id.to_bytes();
    // Java's most and least significant halves, each put in the hasher's little-endian order.
    bytes.extend(id[..8].iter().rev());
    bytes.extend(id[8..].iter().rev());
    put_string(&mut bytes, name);
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
        let mut racks = topics.racks(topic.id, partition);
        racks.sort_unstable();
        for rack in racks {
            bytes.extend(utf16_len(&rack).to_le_bytes());
            put_string(&mut bytes, &rack);
        }
    }
    Some(xxh3(&bytes))
}

/// Kafka's hasher takes a string as its UTF-16 units and then their number.
fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend(utf16_len(text).to_le_bytes());
}

fn utf16_len(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

fn xxh3(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

/// Version of what is hashed.
const MAGIC: u8 = 0;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use naru_model::Uuid;

    use super::*;
    use crate::consumer::{TopicInfo, Viewer};

    #[derive(Debug)]
    struct One(&'static [&'static [&'static str]]);

    impl Topics for One {
        fn by_name(&self, name: &str) -> Option<TopicInfo> {
            let id = Uuid(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
            let partitions = i32::try_from(self.0.len()).expect("few");
            (name == "foo").then_some(TopicInfo { id, partitions })
        }

        fn name(&self, _: Uuid) -> Option<Arc<str>> {
            Some("foo".into())
        }

        fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
            visit("foo");
        }

        fn may_describe(&self, _: &Viewer, _: &str) -> bool {
            true
        }

        fn racks(&self, _: Uuid, partition: i32) -> Vec<String> {
            let index = usize::try_from(partition).expect("not negative");
            self.0[index].iter().map(|rack| (*rack).to_owned()).collect()
        }

        fn version(&self) -> i64 {
            0
        }
    }

    #[test]
    fn hashes_are_those_of_kafka() {
        // Told by org.apache.kafka.coordinator.group.Utils of Kafka 4.3.1.
        let plain = One(&[&[], &[]]);
        assert_eq!(topic_hash("foo", &plain), Some(PLAIN));
        let racks = One(&[&["b", "aé"], &[]]);
        assert_eq!(topic_hash("foo", &racks), Some(RACKS));
        let mut hashes = TopicHashes::default();
        assert_eq!(hashes.of_group(["foo", "gone"].into_iter(), &plain), GROUP);
        assert_eq!(hashes.of_group(["gone"].into_iter(), &plain), 0);
    }

    const PLAIN: i64 = -7_646_759_818_435_901_242;
    const RACKS: i64 = 5_708_143_602_208_529_564;
    const GROUP: i64 = 6_843_227_916_852_944_822;
}
