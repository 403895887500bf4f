//! The records of `__cluster_metadata`, framed as Kafka frames them: frame version 1, record
//! type, record version, fields.

use crate::{DecodeError, Reader};

pub use crate::messages::metadata_record::MetadataRecord;

const FRAME_VERSION: u32 = 1;

macro_rules! metadata_records {
    ($($key:literal $name:ident;)*) => {
        /// One metadata record of any type.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "the field's own names say it")]
        pub enum MetadataRecord { $($name($name),)* }

        impl MetadataRecord {
            /// The record type's key.
            pub const fn key(&self) -> i16 {
                match self { $(Self::$name(_) => $key,)* }
            }

            /// Kafka's name of the record type.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            fn read_body(
                key: i16,
                r: &mut crate::Reader<'_>,
                version: i16,
            ) -> Result<Self, crate::DecodeError> {
                use crate::{Message as _, Wire as _};
                match key {
                    $($key if $name::VERSIONS.contains(&version) => {
                        Ok(Self::$name($name::read(r, version)?))
                    })*
                    _ => Err(crate::DecodeError::UnknownVersion(version)),
                }
            }

            fn write_body(&self, w: &mut crate::Writer, version: i16) {
                use crate::Wire as _;
                match self { $(Self::$name(record) => record.write(w, version),)* }
            }

            /// Reads a framed record.
            pub fn from_bytes(bytes: &bytes::Bytes) -> Result<Self, crate::DecodeError> {
                let mut r = crate::Reader::new(bytes);
                let (key, version) = crate::metadata::read_frame(&mut r)?;
                Self::read_body(key, &mut r, version)
            }

            /// The framed record at `version` of its type.
            pub fn to_bytes(&self, version: i16) -> Vec<u8> {
                let mut w = crate::metadata::write_frame(self.key(), version);
                self.write_body(&mut w, version);
                w.into_bytes()
            }
        }

        $(impl From<$name> for MetadataRecord {
            fn from(record: $name) -> Self { Self::$name(record) }
        })*
    };
}
pub(crate) use metadata_records;

pub(crate) fn read_frame(r: &mut Reader<'_>) -> Result<(i16, i16), DecodeError> {
    let small =
        |value: u32| i16::try_from(value).map_err(|_| DecodeError::BadLength(i64::from(value)));
    let frame_version = r.uvarint()?;
    if frame_version != FRAME_VERSION {
        return Err(DecodeError::UnknownVersion(small(frame_version)?));
    }
    Ok((small(r.uvarint()?)?, small(r.uvarint()?)?))
}

pub(crate) fn write_frame(key: i16, version: i16) -> crate::Writer {
    let mut w = crate::Writer::default();
    w.uvarint(FRAME_VERSION);
    w.uvarint(u32::from(key.cast_unsigned()));
    w.uvarint(u32::from(version.cast_unsigned()));
    w
}
