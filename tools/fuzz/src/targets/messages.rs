//! Every message at every version, and frames: what can be read can be written, and reads back
//! the same; what the schema's own writer makes is read.

use std::rc::Rc;

use bytes::Bytes;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::RequestHeader;
use naru_protocol::{DecodeError, Message, Reader, for_each_message};
use naru_schema::Schema;

use super::{Memory, Target, as_it_is};
use crate::random::Random;
use crate::schema_bytes;

/// What decoded structures and their bytes written again may cost: the decoder's own budget
/// (16 times the frame, and a mebibyte), doubled as vectors grow, and once more for the second
/// reading.
const MEMORY: Memory = Memory { factor: 80, floor: 5 << 20 };

/// A message's code.
struct Codec {
    name: &'static str,
    key: i16,
    low: i16,
    high: i16,
    check: fn(&Bytes, i16) -> Option<Vec<u8>>,
}

fn codecs() -> Vec<Codec> {
    let mut all = Vec::new();
    macro_rules! add {
        ($message:ty) => {
            all.push(Codec {
                name: <$message>::NAME,
                key: <$message>::KEY,
                low: *<$message>::VERSIONS.start(),
                high: *<$message>::VERSIONS.end(),
                check: check::<$message>,
            });
        };
    }
    for_each_message!(add);
    all
}

/// Reads the message; what it is when written, if it could be read.
fn check<M: Message + PartialEq>(bytes: &Bytes, version: i16) -> Option<Vec<u8>> {
    let read = M::from_bytes(bytes, version).ok()?;
    let written = Bytes::from(read.to_bytes(version));
    let again = match M::from_bytes(&written, version) {
        Ok(again) => again,
        // Unknown tags and long variable-length integers gave the first reading its budget.
        Err(DecodeError::TooLarge) if written.len() < bytes.len() => return Some(written.into()),
        Err(error) => panic!("{} v{version} cannot be read back: {error}", M::NAME),
    };
    let twice = again.to_bytes(version);
    assert!(twice == written, "{} v{version} changes when written again", M::NAME);
    // NaN equals nothing, but shows as what it is.
    let same = again == read || format!("{again:?}") == format!("{read:?}");
    assert!(same, "{} v{version} reads back as another: {again:?} for {read:?}", M::NAME);
    Some(written.into())
}

/// `requests`, `responses`, `data` (records, groups' own) and `frames`.
pub(crate) fn targets(schemas: &[Schema]) -> Vec<Target> {
    let pairs: Vec<(Rc<Codec>, Schema)> = codecs()
        .into_iter()
        .filter_map(|codec| {
            let schema = schemas.iter().find(|schema| schema.name == codec.name)?;
            Some((Rc::new(codec), schema.clone()))
        })
        .collect();
    let of = |kinds: &[&str]| -> Vec<(Rc<Codec>, Schema)> {
        pairs.iter().filter(|(_, schema)| kinds.contains(&schema.kind.as_str())).cloned().collect()
    };
    let requests = of(&["request"]);
    let others: Vec<_> = pairs
        .iter()
        .filter(|(_, schema)| !matches!(schema.kind.as_str(), "request" | "response"))
        .cloned()
        .collect();
    vec![
        kind("requests", "every request decoder at every version", requests.clone()),
        kind("responses", "every response decoder at every version", of(&["response"])),
        kind("data", "records and embedded messages at every version", others),
        frames(requests),
    ]
}

/// An input is the number of the message, its version and its bytes.
fn kind(name: &'static str, about: &'static str, pairs: Vec<(Rc<Codec>, Schema)>) -> Target {
    let made = pairs.clone();
    Target {
        name,
        about,
        make: Box::new(move |random| {
            let index = random.below(made.len());
            let (codec, schema) = &made[index];
            let (version, bytes) = message(random, codec, schema);
            let index = u16::try_from(index).expect("a few hundred messages");
            [index.to_be_bytes().as_slice(), &[version], &bytes].concat()
        }),
        repair: as_it_is,
        take: Box::new(move |input| {
            let Some(([high, low, version], rest)) = input.split_first_chunk::<3>() else {
                return false;
            };
            let index = usize::from(u16::from_be_bytes([*high, *low])) % pairs.len();
            let codec = &pairs[index].0;
            let version = i16::from(*version).clamp(codec.low, codec.high);
            (codec.check)(&Bytes::copy_from_slice(rest), version).is_some()
        }),
        memory: MEMORY,
    }
}

/// A valid message, which the generated code must read, and write as the schema says.
fn message(random: &mut Random, codec: &Codec, schema: &Schema) -> (u8, Vec<u8>) {
    let versions = usize::try_from(codec.high - codec.low).expect("low is not above high");
    let version = codec.low + i16::try_from(random.below(versions + 1)).expect("few versions");
    let made = schema_bytes::message(random, schema, version);
    let written = (codec.check)(&Bytes::from(made.bytes.clone()), version)
        .unwrap_or_else(|| panic!("{} v{version} is not read: {:02x?}", codec.name, made.bytes));
    if made.is_canonical {
        assert!(written == made.bytes, "{} v{version} is written otherwise", codec.name);
    }
    (u8::try_from(version).expect("few versions"), made.bytes)
}

/// An input is what stands behind a frame's length: header and request.
fn frames(pairs: Vec<(Rc<Codec>, Schema)>) -> Target {
    let made = pairs.clone();
    Target {
        name: "frames",
        about: "request headers, and the request that they announce",
        make: Box::new(move |random| {
            let (codec, schema) = &made[random.below(made.len())];
            let (version, bytes) = message(random, codec, schema);
            let api = ApiKey::from_key(codec.key).expect("every request has a key");
            let header = RequestHeader {
                api_key: codec.key,
                api_version: version.into(),
                correlation_id: 7,
                client_id: (!random.once_in(4)).then(|| "client".to_owned()),
            };
            let mut writer = naru_protocol::Writer::default();
            header.write(api, &mut writer);
            [writer.into_bytes(), bytes].concat()
        }),
        repair: as_it_is,
        take: Box::new(move |input| {
            let frame = Bytes::copy_from_slice(input);
            let mut reader = Reader::new(&frame);
            let Ok(header) = RequestHeader::read(&mut reader) else { return false };
            let rest = reader.rest();
            let Some((codec, _)) = pairs.iter().find(|(codec, _)| codec.key == header.api_key)
            else {
                return false;
            };
            (codec.low..=codec.high).contains(&header.api_version)
                && (codec.check)(&rest, header.api_version).is_some()
        }),
        memory: MEMORY,
    }
}
