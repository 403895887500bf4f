//! Decodes messages by Kafka's schemas at run time and shows them as Kafka's own JSON.
//!
//! The schemas are those that `naru-protocol` is generated from. Tagged fields that are not there
//! are left out, as Kafka's converters leave out defaults.

use std::ops::RangeInclusive;

use bytes::Bytes;
use naru_protocol::{DecodeError, Reader};
use serde_json::{Map, Value};

/// A message's schema.
#[derive(Debug)]
pub(super) struct Schema {
    fields: Vec<Field>,
    structs: Vec<(String, Vec<Field>)>,
    versions: RangeInclusive<i16>,
    flexible: RangeInclusive<i16>,
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: String,
    versions: RangeInclusive<i16>,
    nullable: RangeInclusive<i16>,
    tag: Option<(u32, RangeInclusive<i16>)>,
    children: Vec<Field>,
}

impl Schema {
    /// Reads the text of a schema file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
        let head = lines.next()?;
        let attribute = |name: &str| {
            head.split(' ').find_map(|word| word.strip_prefix(name)).and_then(parse_versions)
        };
        let fields = parse_fields(&mut lines, 1)?;
        let mut structs = Vec::new();
        while let Some(line) = lines.next() {
            let name = line.strip_prefix("struct ")?.split(' ').next()?;
            structs.push((name.to_owned(), parse_fields(&mut lines, 1)?));
        }
        let (versions, flexible) = (attribute("versions=")?, attribute("flexible=")?);
        Some(Self { fields, structs, versions, flexible })
    }

    /// Shows the message at the beginning of `bytes`.
    pub(super) fn decode(&self, bytes: &Bytes, version: i16) -> Result<Value, DecodeError> {
        if !self.versions.contains(&version) {
            return Err(DecodeError::UnknownVersion(version));
        }
        let mut reader = Reader::new(bytes);
        self.decode_fields(&self.fields, &mut reader, version)
    }

    fn decode_fields(
        &self,
        fields: &[Field],
        reader: &mut Reader<'_>,
        version: i16,
    ) -> Result<Value, DecodeError> {
        let flexible = self.flexible.contains(&version);
        let here = |field: &&Field| field.versions.contains(&version);
        let mut found: Vec<(usize, Value)> = Vec::new();
        for (index, field) in fields.iter().enumerate().filter(|(_, field)| here(field)) {
            if field.tag_in(version).is_none() {
                found.push((index, self.decode_field(field, reader, version)?));
            }
        }
        if flexible {
            reader.tags(|tag, reader| {
                let tagged = fields
                    .iter()
                    .enumerate()
                    .find(|(_, field)| here(field) && field.tag_in(version) == Some(tag));
                if let Some((index, field)) = tagged {
                    found.push((index, self.decode_field(field, reader, version)?));
                }
                Ok(())
            })?;
        }
        found.sort_by_key(|(index, _)| *index);
        let entries = found.into_iter().map(|(index, value)| (camel(&fields[index].name), value));
        Ok(Value::Object(entries.collect::<Map<_, _>>()))
    }

    fn decode_field(
        &self,
        field: &Field,
        reader: &mut Reader<'_>,
        version: i16,
    ) -> Result<Value, DecodeError> {
        let flexible = self.flexible.contains(&version);
        let nullable = field.nullable.contains(&version);
        if let Some(kind) = field.kind.strip_prefix("[]") {
            let item = |reader: &mut Reader<'_>| self.decode_value(kind, field, reader, version);
            let items = reader.nullable_array(flexible, nullable, item)?;
            return Ok(items.map_or(Value::Null, Value::Array));
        }
        match field.kind.as_str() {
            "string" => Ok(reader.nullable_string(flexible, nullable)?.into()),
            "bytes" => {
                let bytes = reader.nullable_bytes(flexible, nullable)?;
                Ok(bytes.map(|bytes| base64(&bytes)).into())
            }
            kind => self.decode_value(kind, field, reader, version),
        }
    }

    fn decode_value(
        &self,
        kind: &str,
        field: &Field,
        reader: &mut Reader<'_>,
        version: i16,
    ) -> Result<Value, DecodeError> {
        let flexible = self.flexible.contains(&version);
        Ok(match kind {
            "bool" => reader.bool()?.into(),
            "int8" => reader.i8()?.into(),
            "int16" => reader.i16()?.into(),
            "uint16" => reader.u16()?.into(),
            "int32" => reader.i32()?.into(),
            "uint32" => reader.u32()?.into(),
            "int64" => reader.i64()?.into(),
            "float64" => reader.f64()?.into(),
            "uuid" => reader.uuid()?.to_string().into(),
            "string" => reader.string(flexible)?.into(),
            "bytes" => base64(&reader.bytes(flexible)?).into(),
            name => {
                let shared = self.structs.iter().find(|(known, _)| known == name);
                let fields = match shared {
                    Some((_, fields)) if field.children.is_empty() => fields,
                    _ => &field.children,
                };
                self.decode_fields(fields, reader, version)?
            }
        })
    }
}

impl Field {
    fn tag_in(&self, version: i16) -> Option<u32> {
        self.tag.as_ref().filter(|(_, versions)| versions.contains(&version)).map(|(tag, _)| *tag)
    }
}

/// Reads the lines at this depth and, as children, the deeper ones.
fn parse_fields<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    depth: usize,
) -> Option<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    while let Some(line) = lines.peek() {
        let indent = (line.len() - line.trim_start().len()) / 2;
        if indent < depth {
            break;
        }
        if indent > depth {
            fields.last_mut()?.children = parse_fields(lines, depth + 1)?;
            continue;
        }
        fields.push(parse_field(line.trim())?);
        lines.next();
    }
    Some(fields)
}

fn parse_field(line: &str) -> Option<Field> {
    let mut words = line.split(' ');
    let (name, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
    let versions = parse_versions(words.next()?)?;
    let mut field =
        Field { name, kind, versions, nullable: NEVER, tag: None, children: Vec::new() };
    for word in words {
        if let Some(nullable) = word.strip_prefix("nullable=") {
            field.nullable = parse_versions(nullable)?;
        } else if let Some(tag) = word.strip_prefix("tag=") {
            let (tag, versions) = tag.split_once('@')?;
            field.tag = Some((tag.parse().ok()?, parse_versions(versions)?));
        }
    }
    Some(field)
}

/// No version at all: none is negative.
const NEVER: RangeInclusive<i16> = -1..=-1;

fn parse_versions(text: &str) -> Option<RangeInclusive<i16>> {
    if text == "none" {
        return Some(NEVER);
    }
    if let Some(low) = text.strip_suffix('+') {
        return Some(low.parse().ok()?..=i16::MAX);
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some(low.parse().ok()?..=high.parse().ok()?)
}

/// The first word small, as Java names fields: `BrokerId` is `brokerId`, `KRaftX` is `kRaftX`.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Bytes as Kafka's JSON shows them.
pub(super) fn base64(bytes: &[u8]) -> String {
    crate::text::base64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_protocol::Message;
    use naru_protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
    use naru_protocol::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};

    #[test]
    fn records_look_as_kafkas_converters_show_them() {
        let text = include_str!("../../../../protocol/schemas/RegisterBrokerRecord.schema");
        let record = RegisterBrokerRecord {
            broker_id: 1,
            broker_epoch: 11,
            end_points: vec![BrokerEndpoint {
                name: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 25092,
                security_protocol: 0,
            }],
            ..Default::default()
        };
        let shown = Schema::parse(text).unwrap().decode(&record.to_bytes(1).into(), 1).unwrap();
        let expect = r#"{"brokerId":1,"incarnationId":"AAAAAAAAAAAAAAAAAAAAAA","brokerEpoch":11,"endPoints":[{"name":"PLAINTEXT","host":"127.0.0.1","port":25092,"securityProtocol":0}],"features":[],"rack":null,"fenced":true,"inControlledShutdown":false}"#;
        assert_eq!(shown.to_string(), expect);
    }

    #[test]
    fn tagged_fields_are_shown_only_when_they_are_there() {
        let text =
            include_str!("../../../../protocol/schemas/BrokerRegistrationChangeRecord.schema");
        let record = BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: 11,
            fenced: -1,
            ..Default::default()
        };
        let shown = Schema::parse(text).unwrap().decode(&record.to_bytes(0).into(), 0).unwrap();
        assert_eq!(shown.to_string(), r#"{"brokerId":1,"brokerEpoch":11,"fenced":-1}"#);
    }
}
