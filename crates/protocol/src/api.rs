//! The table of Kafka's APIs: keys, names, versions, header versions.

pub use crate::messages::api_key::ApiKey;

macro_rules! api_keys {
    ($($key:literal $name:ident $low:literal..=$high:literal $flexible:literal $answer:literal;)*) => {
        /// An API of Kafka's protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the field's own names say it")]
        #[repr(i16)]
        pub enum ApiKey { $($name = $key,)* }

        impl ApiKey {
            /// Every API, by key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The API with this key.
            pub const fn from_key(key: i16) -> Option<Self> {
                match key { $($key => Some(Self::$name),)* _ => None }
            }

            /// The key as it goes over the wire.
            pub const fn key(self) -> i16 { self as i16 }

            /// Kafka's name, such as `Fetch`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The stable versions of the schema; empty (0..=-1) for removed APIs.
            pub const fn versions(self) -> std::ops::RangeInclusive<i16> {
                match self { $(Self::$name => $low..=$high,)* }
            }

            /// Version of the request header that `version` of this API uses.
            pub const fn request_header_version(self, version: i16) -> i16 {
                let since = match self { $(Self::$name => $flexible,)* };
                if version >= since { 2 } else { 1 }
            }

            /// Version of the response header; ApiVersions answers with 0 always, so that a
            /// client that asked with an unknown version can read it (KIP-511).
            pub const fn response_header_version(self, version: i16) -> i16 {
                let since = match self { $(Self::$name => $answer,)* };
                if matches!(self, Self::ApiVersions) || version < since { 0 } else { 1 }
            }
        }
    };
}
pub(crate) use api_keys;
