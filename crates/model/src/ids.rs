//! Newtypes for every number that could be mistaken for another.

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare number, for codecs and texts.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

newtype! {
    /// Position of a record in one partition's log; 0-based, never reused.
    Offset(i64)
}
newtype! {
    /// Counts the leaders a partition has had (KIP-101).
    LeaderEpoch(i32)
}
newtype! {
    /// The `node.id` of a broker.
    BrokerId(i32)
}
newtype! {
    /// The registration of a broker incarnation: the offset of its registration record.
    BrokerEpoch(i64)
}
newtype! {
    /// The epoch of the active controller, equal to its quorum epoch.
    ControllerEpoch(i32)
}
newtype! {
    /// Index of a partition within its topic, 0-based.
    PartitionIndex(i32)
}
newtype! {
    /// Identity of an idempotent or transactional producer (KIP-98).
    ProducerId(i64)
}
newtype! {
    /// Generation of a producer id; an older one is fenced (KIP-98).
    ProducerEpoch(i16)
}
newtype! {
    /// Sequence number of a producer's record within one partition; wraps from 2^31-1 to 0.
    Sequence(i32)
}
newtype! {
    /// Milliseconds since 1970-01-01 UTC.
    Timestamp(i64)
}

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);

    /// The offset `records` later.
    #[must_use]
    pub const fn plus(self, records: i64) -> Self {
        Self(self.0 + records)
    }
}

impl Sequence {
    /// The sequence `records` later, wrapping as Kafka's does (2^31-1 is followed by 0).
    #[must_use]
    pub const fn plus(self, records: i32) -> Self {
        if self.0 > i32::MAX - records {
            Self(records - (i32::MAX - self.0) - 1)
        } else {
            Self(self.0 + records)
        }
    }
}

/// A partition by the name of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: String,
    /// Index within the topic.
    pub partition: i32,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    /// The folder name Kafka uses: `topic-partition`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero_after_its_largest_value() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(3), Sequence(8));
    }
}
