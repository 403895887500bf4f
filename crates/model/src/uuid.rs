//! Kafka's 128-bit ids: topic ids, directory ids, cluster ids.

use std::fmt;
use std::str::FromStr;

/// A 128-bit id, written by Kafka as 22 characters of unpadded URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub u128);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All zero: "no id" on the wire.
    pub const ZERO: Self = Self(0);
    /// Reserved by Kafka: the id of the metadata topic.
    pub const ONE: Self = Self(1);
    /// Directory id of a replica whose directory was never assigned (KIP-858).
    pub const DIR_UNASSIGNED: Self = Self(0);
    /// Directory id of a replica in a lost directory (KIP-858).
    pub const DIR_LOST: Self = Self(1);
    /// Directory id used while a broker does not report directories (KIP-858).
    pub const DIR_MIGRATING: Self = Self(2);

    /// Whether this is the "no id" value.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Makes an id of 128 random bits: version 4, never one that Kafka reserves and never one
    /// whose text begins with a dash (which command lines would take for an option).
    pub fn from_random(bits: u128) -> Self {
        let version_4 = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        // 0xf8 in the top six bits is the base64 letter '-': flip the highest bit.
        let id = if version_4 >> 122 == 62 { version_4 ^ (1 << 127) } else { version_4 };
        Self(id)
    }

    /// The 16 bytes, big-endian, as they go over the wire.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 22];
        for (index, letter) in text.iter_mut().enumerate() {
            let value = if index < 21 { self.0 >> (122 - 6 * index) } else { self.0 << 4 };
            *letter = ALPHABET[(value & 63) as usize];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Kafka id: {0:?} (22 characters of URL-safe base64 are needed)")]
pub struct ParseUuidError(pub String);

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseUuidError(text.to_owned());
        let letters = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if letters.len() != 22 {
            return Err(refuse());
        }
        let mut value: u128 = 0;
        for (index, letter) in letters.iter().enumerate() {
            let six = ALPHABET.iter().position(|a| a == letter).ok_or_else(refuse)? as u128;
            value = if index < 21 { value << 6 | six } else { value << 2 | six >> 4 };
        }
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_what_kafka_prints() {
        let id: Uuid = "4L6g3nShT-eMCtK--X86sw".parse().unwrap();
        assert_eq!(id.to_string(), "4L6g3nShT-eMCtK--X86sw");
        assert_eq!(id.to_bytes()[0], 0xe0);
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert!("short".parse::<Uuid>().is_err());
        assert!("4L6g3nShT+eMCtK++X86sw".parse::<Uuid>().is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(bits: u128) {
            prop_assert_eq!(Uuid(bits).to_string().parse::<Uuid>(), Ok(Uuid(bits)));
        }

        #[test]
        fn a_random_id_never_looks_like_an_option(bits: u128) {
            prop_assert!(!Uuid::from_random(bits).to_string().starts_with('-'));
            prop_assert!(!Uuid::from_random(bits).is_zero());
        }
    }
}
