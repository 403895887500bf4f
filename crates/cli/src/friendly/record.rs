//! Records as text: NDJSON both ways, raw values, hex, and formats with `%` verbs.

use std::fmt::Write as _;

use bytes::Bytes;
use naru_client::{ConsumerRecord, ProducerRecord, RecordBatch};
use serde_json::{Map, Value, json};

use crate::text::{base64, unbase64};

/// How a record is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordForm {
    /// The value and an end of line.
    Raw,
    /// One JSON object a line.
    Ndjson,
    /// The value in hexadecimal digits.
    Hex,
    /// A text with verbs.
    Verbs(Vec<Piece>),
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Timestamp,
    KeyLength,
    ValueLength,
}

/// Reads a format: `%t` topic, `%p` partition, `%o` offset, `%k` key, `%s` or `%v` value, `%h`
/// headers, `%T` or `%d` timestamp, `%K` and `%S` lengths, `%%`, and `\n`, `\t`, `\0`.
pub fn parse_verbs(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            }
            continue;
        }
        if c != '%' {
            text.push(c);
            continue;
        }
        let piece = match chars.next() {
            Some('%') => {
                text.push('%');
                continue;
            }
            Some('t') => Piece::Topic,
            Some('p') => Piece::Partition,
            Some('o') => Piece::Offset,
            Some('k') => Piece::Key,
            Some('s' | 'v') => Piece::Value,
            Some('h') => Piece::Headers,
            Some('T' | 'd') => Piece::Timestamp,
            Some('K') => Piece::KeyLength,
            Some('S') => Piece::ValueLength,
            Some(other) => return Err(format!("%{other} means nothing in a format")),
            None => return Err("a format ends with %".to_owned()),
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

impl RecordForm {
    /// The bytes of a record.
    pub fn render(&self, batch: &RecordBatch, record: &ConsumerRecord) -> Vec<u8> {
        match self {
            Self::Raw => {
                let mut out = record.value.as_deref().unwrap_or_default().to_vec();
                out.push(b'\n');
                out
            }
            Self::Ndjson => {
                let mut out = to_json(batch, record).to_string().into_bytes();
                out.push(b'\n');
                out
            }
            Self::Hex => {
                let mut text = String::new();
                for byte in record.value.as_deref().unwrap_or_default() {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
                text.push('\n');
                text.into_bytes()
            }
            Self::Verbs(pieces) => {
                let mut out = Vec::new();
                for piece in pieces {
                    render_piece(piece, batch, record, &mut out);
                }
                out
            }
        }
    }
}

fn render_piece(piece: &Piece, batch: &RecordBatch, record: &ConsumerRecord, out: &mut Vec<u8>) {
    let length = |bytes: &Option<Bytes>| {
        bytes.as_ref().map_or_else(|| "-1".to_owned(), |b| b.len().to_string())
    };
    match piece {
        Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
        Piece::Topic => out.extend_from_slice(batch.partition.topic.as_bytes()),
        Piece::Partition => {
            out.extend_from_slice(batch.partition.partition.to_string().as_bytes());
        }
        Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
        Piece::Key => out.extend_from_slice(record.key.as_deref().unwrap_or_default()),
        Piece::Value => out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
        Piece::Timestamp => out.extend_from_slice(record.timestamp.to_string().as_bytes()),
        Piece::KeyLength => out.extend_from_slice(length(&record.key).as_bytes()),
        Piece::ValueLength => out.extend_from_slice(length(&record.value).as_bytes()),
        Piece::Headers => {
            for (index, (key, value)) in record.headers.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                out.push(b'=');
                out.extend_from_slice(value.as_deref().unwrap_or_default());
            }
        }
    }
}

/// A record as JSON; bytes that are not UTF-8 become `{"base64": ...}`.
pub fn to_json(batch: &RecordBatch, record: &ConsumerRecord) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(key, value)| {
            json!({ "key": String::from_utf8_lossy(key), "value": bytes_to_json(value.as_deref()) })
        })
        .collect();
    json!({
        "topic": batch.partition.topic,
        "partition": batch.partition.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "headers": headers,
        "key": bytes_to_json(record.key.as_deref()),
        "value": bytes_to_json(record.value.as_deref()),
    })
}

fn bytes_to_json(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => json!({ "base64": base64(bytes) }),
        },
    }
}

/// A record from what [`to_json`] makes; its topic, partition and offset do not count. A value
/// that is an object or a number is taken as JSON text.
pub fn from_json(line: &[u8], topic: &str) -> Result<ProducerRecord, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let Value::Object(fields) = value else { return Err("not a JSON object".to_owned()) };
    let mut record = ProducerRecord::to(topic);
    record.key = bytes_of(fields.get("key"))?;
    record.value = bytes_of(fields.get("value"))?;
    record.timestamp = fields.get("timestamp").and_then(Value::as_i64).filter(|ms| *ms >= 0);
    record.headers = match fields.get("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(headers)) => {
            headers.iter().map(header_of).collect::<Result<_, String>>()?
        }
        Some(Value::Object(headers)) => headers
            .iter()
            .map(|(key, value)| Ok((key.clone(), bytes_of(Some(value))?)))
            .collect::<Result<_, String>>()?,
        Some(_) => return Err("headers are a list or an object".to_owned()),
    };
    Ok(record)
}

fn header_of(header: &Value) -> Result<(String, Option<Bytes>), String> {
    let key = header.get("key").and_then(Value::as_str).ok_or("a header without a key")?;
    Ok((key.to_owned(), bytes_of(header.get("value"))?))
}

fn bytes_of(value: Option<&Value>) -> Result<Option<Bytes>, String> {
    Ok(match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        Some(Value::Object(fields)) if is_base64(fields) => {
            let text = fields.get("base64").and_then(Value::as_str).unwrap_or_default();
            Some(unbase64(text).ok_or("not base64")?.into())
        }
        Some(other) => Some(other.to_string().into()),
    })
}

fn is_base64(fields: &Map<String, Value>) -> bool {
    fields.len() == 1 && fields.get("base64").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_client::{TimestampType, TopicPartition};

    fn sample(value: Option<&'static [u8]>) -> (RecordBatch, ConsumerRecord) {
        let record = ConsumerRecord {
            offset: 7,
            timestamp: 123,
            key: Some(Bytes::from_static(b"k")),
            value: value.map(Bytes::from_static),
            headers: vec![("h".into(), Some("x".into())), ("n".into(), None)],
        };
        let batch = RecordBatch {
            partition: TopicPartition::new("t", 1),
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: 0,
            records: vec![record.clone()],
        };
        (batch, record)
    }

    #[test]
    fn json_keeps_key_headers_timestamp_and_null() {
        for value in [None, Some(&b"v"[..]), Some(&b"\xff\x00"[..]), Some(&b""[..])] {
            let (batch, record) = sample(value);
            let line = to_json(&batch, &record).to_string();
            let read = from_json(line.as_bytes(), "u").unwrap();
            assert_eq!(read.topic, "u");
            assert_eq!((read.key, read.value), (record.key, record.value));
            assert_eq!(read.timestamp, Some(123));
            let headers = [("h".to_owned(), Some(Bytes::from("x"))), ("n".to_owned(), None)];
            assert_eq!(read.headers, headers);
        }
    }

    #[test]
    fn json_values_that_are_no_texts_are_taken_as_json() {
        let read = from_json(br#"{"value":{"id":1},"headers":{"a":"b"}}"#, "t").unwrap();
        assert_eq!(read.value.as_deref(), Some(&br#"{"id":1}"#[..]));
        assert_eq!(read.headers, [("a".to_owned(), Some(Bytes::from("b")))]);
        assert!(from_json(b"[]", "t").is_err() && from_json(b"{", "t").is_err());
    }

    #[test]
    fn verbs_show_the_parts() {
        let (batch, record) = sample(Some(b"v"));
        let show = |format: &str| {
            let form = RecordForm::Verbs(parse_verbs(format).unwrap());
            String::from_utf8(form.render(&batch, &record)).unwrap()
        };
        assert_eq!(show("%t/%p@%o %k=%v %T [%h] %K%S%%\\n"), "t/1@7 k=v 123 [h=x,n=] 11%\n");
        assert!(parse_verbs("%q").is_err() && parse_verbs("%").is_err());
    }
}
