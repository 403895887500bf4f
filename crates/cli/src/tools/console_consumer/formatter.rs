//! How a record is shown: Kafka's default formatter and its relatives.

use bytes::Bytes;
use naru_client::{ConsumerRecord, RecordBatch, TimestampType};

use crate::text::Streams;
use crate::tools::dump_log::decoders::{Shown, internal_record};

/// What is known of a record beside itself. Its leader epoch is not shown by Kafka's tools.
#[derive(Debug, Clone, Copy)]
pub(in crate::tools) struct About {
    pub(in crate::tools) partition: i32,
    pub(in crate::tools) timestamp_type: TimestampType,
    /// How often it was delivered, in a share group.
    pub(in crate::tools) delivery: Option<i16>,
}

impl About {
    pub(in crate::tools) const fn of(batch: &RecordBatch) -> Self {
        Self {
            partition: batch.partition.partition,
            timestamp_type: batch.timestamp_type,
            delivery: None,
        }
    }

    fn delivery(self) -> String {
        let count = self.delivery.map(|count| count.to_string());
        format!("Delivery:{}", count.as_deref().unwrap_or("NOT_PRESENT"))
    }
}

/// What is printed of a record.
#[derive(Debug, Clone)]
pub(in crate::tools) struct Formatter {
    kind: Kind,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_type: Type,
    value_type: Type,
    header_type: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Default,
    Nothing,
    /// Records of Kafka's own topics, as JSON.
    Internal(Shown),
}

/// What bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bytes,
    Short,
    Int,
    Long,
    Float,
    Double,
    Boolean,
}

impl Type {
    fn of(class: &str) -> Result<Self, String> {
        Ok(match class.rsplit('.').next().unwrap_or(class) {
            "StringDeserializer"
            | "ByteArrayDeserializer"
            | "BytesDeserializer"
            | "ByteBufferDeserializer"
            | "UUIDDeserializer" => Self::Bytes,
            "ShortDeserializer" => Self::Short,
            "IntegerDeserializer" => Self::Int,
            "LongDeserializer" => Self::Long,
            "FloatDeserializer" => Self::Float,
            "DoubleDeserializer" => Self::Double,
            "BooleanDeserializer" => Self::Boolean,
            _ => return Err(format!("{class} is not built in")),
        })
    }

    fn show(self, bytes: &Bytes) -> Result<Bytes, String> {
        let text = match (self, bytes.len()) {
            (Self::Bytes, _) => return Ok(bytes.clone()),
            (Self::Short, 2) => i16::from_be_bytes([bytes[0], bytes[1]]).to_string(),
            (Self::Int, 4) => array(bytes).map(i32::from_be_bytes)?.to_string(),
            (Self::Long, 8) => array(bytes).map(i64::from_be_bytes)?.to_string(),
            (Self::Float, 4) => java_float(array(bytes).map(f32::from_be_bytes)?.into()),
            (Self::Double, 8) => java_float(array(bytes).map(f64::from_be_bytes)?),
            (Self::Boolean, 1) => (bytes[0] == 1).to_string(),
            (kind, _) => {
                return Err(format!(
                    "org.apache.kafka.common.errors.SerializationException: {} bytes are no \
                     {kind:?}",
                    bytes.len()
                ));
            }
        };
        Ok(text.into())
    }
}

fn array<const N: usize>(bytes: &Bytes) -> Result<[u8; N], String> {
    bytes.first_chunk().copied().ok_or_else(|| "too few bytes".to_owned())
}

/// Java writes whole numbers with a fraction.
fn java_float(number: f64) -> String {
    if number == number.trunc() && number.abs() < 1e7 {
        format!("{number:.1}")
    } else {
        number.to_string()
    }
}

impl Formatter {
    pub(super) fn new(
        class: Option<&str>,
        properties: &[(String, String)],
    ) -> Result<Self, String> {
        let kind = match class.and_then(|class| class.rsplit(['.', '$']).next()) {
            None | Some("DefaultMessageFormatter" | "LoggingMessageFormatter") => Kind::Default,
            Some("NoOpMessageFormatter") => Kind::Nothing,
            Some("OffsetsMessageFormatter") => Kind::Internal(Shown::Offsets),
            Some("GroupMetadataMessageFormatter") => Kind::Internal(Shown::Groups),
            Some("TransactionLogMessageFormatter") => Kind::Internal(Shown::Transactions),
            Some(other) => return Err(format!("The formatter {other} is not built in")),
        };
        let mut formatter = Self {
            kind,
            timestamp: false,
            partition: false,
            offset: false,
            delivery: false,
            epoch: false,
            headers: false,
            key: false,
            value: true,
            key_separator: "\t".to_owned(),
            line_separator: "\n".to_owned(),
            headers_separator: ",".to_owned(),
            null_literal: "null".to_owned(),
            key_type: Type::Bytes,
            value_type: Type::Bytes,
            header_type: Type::Bytes,
        };
        for (name, value) in properties {
            formatter.set(name, value)?;
        }
        Ok(formatter)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let flag = value.trim().eq_ignore_ascii_case("true");
        match name {
            "print.timestamp" => self.timestamp = flag,
            "print.partition" => self.partition = flag,
            "print.offset" => self.offset = flag,
            "print.delivery" => self.delivery = flag,
            "print.epoch" => self.epoch = flag,
            "print.headers" => self.headers = flag,
            "print.key" => self.key = flag,
            "print.value" => self.value = flag,
            "key.separator" => value.clone_into(&mut self.key_separator),
            "line.separator" => value.clone_into(&mut self.line_separator),
            "headers.separator" => value.clone_into(&mut self.headers_separator),
            "null.literal" => value.clone_into(&mut self.null_literal),
            "key.deserializer" => self.key_type = Type::of(value)?,
            "value.deserializer" => self.value_type = Type::of(value)?,
            "headers.deserializer" => self.header_type = Type::of(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Writes one record.
    pub(in crate::tools) fn write(
        &self,
        about: About,
        record: &ConsumerRecord,
        streams: &mut Streams,
    ) -> Result<(), String> {
        match self.kind {
            Kind::Nothing => {}
            Kind::Internal(shown) => {
                let text = internal_record(shown, record.key.as_ref(), record.value.as_ref());
                streams.text(text.unwrap_or_default());
            }
            Kind::Default => streams.raw(&self.line(about, record)?),
        }
        Ok(())
    }

    fn line(&self, about: About, record: &ConsumerRecord) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let mut part = |bytes: &[u8], last: bool| {
            line.extend_from_slice(bytes);
            line.extend_from_slice(if last {
                self.line_separator.as_bytes()
            } else {
                self.key_separator.as_bytes()
            });
        };
        let texts = [
            (self.timestamp, timestamp(about, record)),
            (self.partition, format!("Partition:{}", about.partition)),
            (self.offset, format!("Offset:{}", record.offset)),
            (self.delivery, about.delivery()),
            (self.epoch, "Epoch:NOT_PRESENT".to_owned()),
        ];
        let tail = [self.headers, self.key, self.value];
        for (index, (wanted, text)) in texts.iter().enumerate() {
            let later = texts[index + 1..].iter().any(|(wanted, _)| *wanted)
                || tail.iter().any(|wanted| *wanted);
            if *wanted {
                part(text.as_bytes(), !later);
            }
        }
        if self.headers {
            part(&self.headers_of(record)?, !(self.key || self.value));
        }
        if self.key {
            part(&self.field(self.key_type, record.key.as_ref())?, !self.value);
        }
        if self.value {
            part(&self.field(self.value_type, record.value.as_ref())?, true);
        }
        Ok(line)
    }

    fn headers_of(&self, record: &ConsumerRecord) -> Result<Bytes, String> {
        if record.headers.is_empty() {
            return Ok(Bytes::from_static(b"NO_HEADERS"));
        }
        let mut text = Vec::new();
        for (index, (key, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(self.headers_separator.as_bytes());
            }
            text.extend_from_slice(key);
            text.push(b':');
            text.extend_from_slice(&self.field(self.header_type, value.as_ref())?);
        }
        Ok(text.into())
    }

    fn field(&self, kind: Type, bytes: Option<&Bytes>) -> Result<Bytes, String> {
        match bytes {
            Some(bytes) => kind.show(bytes),
            None => Ok(self.null_literal.clone().into()),
        }
    }
}

fn timestamp(about: About, record: &ConsumerRecord) -> String {
    if record.timestamp < 0 {
        return "NO_TIMESTAMP".to_owned();
    }
    match about.timestamp_type {
        TimestampType::CreateTime => format!("CreateTime:{}", record.timestamp),
        TimestampType::LogAppendTime => format!("LogAppendTime:{}", record.timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_client::TopicPartition;

    fn check(properties: &[&str], expect: &str) {
        let record = ConsumerRecord {
            offset: 2,
            timestamp: 1_795_256_010_205,
            key: Some(Bytes::from_static(b"k2")),
            value: None,
            headers: vec![("h1".into(), Some("a".into())), ("h2".into(), None)],
        };
        let batch = RecordBatch {
            partition: TopicPartition::new("orders", 0),
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: 0,
            records: vec![record.clone()],
        };
        let properties: Vec<(String, String)> = properties
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let line =
            Formatter::new(None, &properties).unwrap().line(About::of(&batch), &record).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), expect);
    }

    #[test]
    fn parts_stand_in_kafkas_order() {
        check(&[], "null\n");
        let all = [
            "print.key=true",
            "print.headers=true",
            "print.partition=true",
            "print.offset=true",
            "print.timestamp=true",
        ];
        let expect = "CreateTime:1795256010205\tPartition:0\tOffset:2\th1:a,h2:null\tk2\tnull\n";
        check(&all, expect);
        let rest =
            ["print.epoch=true", "print.delivery=true", "key.separator=|", "null.literal=NULL"];
        let expect = "Delivery:NOT_PRESENT|Epoch:NOT_PRESENT|NULL\n";
        check(&rest, expect);
        check(&["print.value=false", "print.key=true"], "k2\n");
    }
}
