//! Messages made from Kafka's schemas, byte by byte, without the generated code: a second writer
//! for it to be held against.

use naru_schema::{Field, Schema, Versions};

use crate::random::Random;

/// Elements of one array.
const ELEMENTS_MAX: usize = 4;
const WORDS: [&str; 14] = [
    "",
    "t",
    "topic",
    "topic-1",
    "group",
    "g",
    "member",
    "rack",
    "range",
    "consumer",
    "client-7",
    "uniform",
    "naïve ☃",
    "__consumer_offsets",
];

/// Bytes of a message, and whether a writer could have made no others of it.
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// No tagged field, whose defaults a writer leaves out.
    pub(crate) is_canonical: bool,
}

/// A message of this schema at `version`.
pub(crate) fn message(random: &mut Random, schema: &Schema, version: i16) -> Made {
    let at = Versions { low: version, high: version };
    let mut writer = Writer {
        random,
        schema,
        at,
        flexible: schema.flexible.contains(at),
        out: Vec::new(),
        is_canonical: true,
    };
    writer.structure(&schema.fields);
    Made { bytes: writer.out, is_canonical: writer.is_canonical }
}

struct Writer<'s> {
    random: &'s mut Random,
    schema: &'s Schema,
    at: Versions,
    flexible: bool,
    out: Vec<u8>,
    is_canonical: bool,
}

impl<'s> Writer<'s> {
    fn structure(&mut self, fields: &'s [Field]) {
        let is_tagged =
            |field: &&Field| field.tag.is_some() && field.tagged.contains(field.versions);
        for field in fields.iter().filter(|field| !is_tagged(field)) {
            if field.versions.contains(self.at) {
                self.value(field);
            }
        }
        if !self.flexible {
            return;
        }
        let tagged = fields.iter().filter(|field| field.tag.is_some());
        let mut chosen: Vec<(u32, Option<&Field>)> = Vec::new();
        for field in tagged.filter(|field| field.tagged.contains(self.at)) {
            if self.random.once_in(2) {
                chosen.push((field.tag.unwrap_or_default(), Some(field)));
            }
        }
        if self.random.once_in(8) {
            chosen.push((1000, None));
        }
        self.is_canonical &= chosen.is_empty();
        chosen.sort_by_key(|(tag, _)| *tag);
        self.uvarint(chosen.len() as u64);
        for (tag, field) in chosen {
            self.uvarint(u64::from(tag));
            let outside = std::mem::take(&mut self.out);
            match field {
                Some(field) => self.value(field),
                None => self.out.extend_from_slice(b"unknown"),
            }
            let inside = std::mem::replace(&mut self.out, outside);
            self.uvarint(inside.len() as u64);
            self.out.extend_from_slice(&inside);
        }
    }

    fn value(&mut self, field: &'s Field) {
        let flexible = self.flexible && !field.never_flexible;
        let nullable = field.nullable.contains(self.at);
        let is_null = nullable && self.random.once_in(3);
        if let Some(element) = field.ty.strip_prefix("[]") {
            if is_null {
                return self.length(None, flexible, false);
            }
            let count = self.random.below(ELEMENTS_MAX);
            self.length(Some(count), flexible, false);
            for _ in 0..count {
                self.element(element, field, flexible);
            }
            return;
        }
        match field.ty.as_str() {
            "string" if is_null => self.length(None, flexible, true),
            "bytes" | "records" if is_null => self.length(None, flexible, false),
            ty if ty.starts_with(char::is_uppercase) && nullable => {
                self.out.push(if is_null { 0xff } else { 1 });
                if !is_null {
                    self.element(ty, field, flexible);
                }
            }
            ty => self.element(ty, field, flexible),
        }
    }

    fn element(&mut self, ty: &str, field: &'s Field, flexible: bool) {
        let number = self.random.number().to_be_bytes();
        match ty {
            "bool" => self.out.push(number[7] & 1),
            "int8" => self.out.push(number[7]),
            "int16" | "uint16" => self.out.extend_from_slice(&number[6..]),
            "int32" | "uint32" => self.out.extend_from_slice(&number[4..]),
            "int64" | "float64" => self.out.extend_from_slice(&number),
            "uuid" => {
                let id = if self.random.once_in(2) { [0; 8] } else { number };
                self.out.extend_from_slice(&[id, number].concat());
            }
            "string" => {
                let word = self.random.pick(&WORDS);
                self.length(Some(word.len()), flexible, true);
                self.out.extend_from_slice(word.as_bytes());
            }
            "bytes" | "records" => {
                let len = self.random.below(24);
                self.length(Some(len), flexible, false);
                let bytes: Vec<u8> = (0..len).map(|_| self.random.byte()).collect();
                self.out.extend_from_slice(&bytes);
            }
            name if field.fields.is_empty() => {
                let shared = self.schema.structs.iter().find(|shared| shared.name == name);
                self.structure(&shared.expect("every structure's fields are known").fields);
            }
            _ => self.structure(&field.fields),
        }
    }

    fn length(&mut self, len: Option<usize>, flexible: bool, short: bool) {
        let len = len.map_or(-1, |len| i32::try_from(len).expect("lengths are small"));
        if flexible {
            self.uvarint((i64::from(len) + 1).cast_unsigned());
        } else if short {
            let len = i16::try_from(len).expect("words are short");
            self.out.extend_from_slice(&len.to_be_bytes());
        } else {
            self.out.extend_from_slice(&len.to_be_bytes());
        }
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.out.push(value.to_le_bytes()[0]);
    }
}
