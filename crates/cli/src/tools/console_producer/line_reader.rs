//! A line becomes a record: headers, key and value, as `--reader-property` says.

use bytes::Bytes;
use naru_client::ProducerRecord;

/// How lines are read.
#[derive(Debug, Clone)]
pub(super) struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    header_key_separator: String,
    null_marker: Option<String>,
}

impl LineReader {
    pub(super) fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let mut reader = Self {
            parse_key: false,
            parse_headers: false,
            ignore_error: false,
            key_separator: "\t".to_owned(),
            headers_delimiter: "\t".to_owned(),
            headers_separator: ",".to_owned(),
            header_key_separator: ":".to_owned(),
            null_marker: None,
        };
        for (name, value) in properties {
            let flag = value.trim().eq_ignore_ascii_case("true");
            match name.as_str() {
                "parse.key" => reader.parse_key = flag,
                "parse.headers" => reader.parse_headers = flag,
                "ignore.error" => reader.ignore_error = flag,
                "key.separator" => reader.key_separator.clone_from(value),
                "headers.delimiter" => reader.headers_delimiter.clone_from(value),
                "headers.separator" => reader.headers_separator.clone_from(value),
                "headers.key.separator" => reader.header_key_separator.clone_from(value),
                "null.marker" => reader.null_marker = Some(value.clone()),
                _ => {}
            }
        }
        reader.check()?;
        Ok(reader)
    }

    /// Separators that are the same would split nothing.
    fn check(&self) -> Result<(), String> {
        let pairs = [
            (
                "headers.delimiter",
                &self.headers_delimiter,
                "headers.separator",
                &self.headers_separator,
            ),
            (
                "headers.delimiter",
                &self.headers_delimiter,
                "headers.key.separator",
                &self.header_key_separator,
            ),
            (
                "headers.separator",
                &self.headers_separator,
                "headers.key.separator",
                &self.header_key_separator,
            ),
        ];
        for (name, value, other, same) in pairs {
            if self.parse_headers && value == same {
                return Err(format!(
                    "org.apache.kafka.common.KafkaException: {name} and {other} may not be equal"
                ));
            }
        }
        let marker = self.null_marker.as_deref();
        if marker.is_some_and(|marker| marker == self.key_separator) {
            let text = "null.marker and key.separator may not be equal";
            return Err(format!("org.apache.kafka.common.KafkaException: {text}"));
        }
        Ok(())
    }

    /// The record of line `number`.
    pub(super) fn record(
        &self,
        topic: &str,
        line: &Bytes,
        number: u64,
    ) -> Result<ProducerRecord, String> {
        let mut record = ProducerRecord::to(topic);
        let mut rest = line.clone();
        if self.parse_headers {
            let what = "headers delimiter";
            if let Some(headers) =
                self.cut(line, &mut rest, &self.headers_delimiter, what, number)?
            {
                record.headers = self.headers(&headers, number)?;
            }
        }
        if self.parse_key {
            let what = "key separator";
            let key = self.cut(line, &mut rest, &self.key_separator, what, number)?;
            record.key = key.and_then(|key| self.unless_null(key));
        }
        record.value = self.unless_null(rest);
        Ok(record)
    }

    /// Cuts the part before the separator off; none if it is missing and that is not an error.
    fn cut(
        &self,
        line: &Bytes,
        rest: &mut Bytes,
        separator: &str,
        what: &str,
        number: u64,
    ) -> Result<Option<Bytes>, String> {
        match find(rest, separator.as_bytes()) {
            Some(at) => {
                let part = rest.slice(..at);
                *rest = rest.slice(at + separator.len()..);
                Ok(Some(part))
            }
            None if self.ignore_error => Ok(None),
            None => {
                let line = String::from_utf8_lossy(line);
                Err(format!("No {what} found on line number {number}: '{line}'"))
            }
        }
    }

    fn headers(&self, text: &Bytes, number: u64) -> Result<Vec<(String, Option<Bytes>)>, String> {
        let mut headers = Vec::new();
        if self.unless_null(text.clone()).is_none() {
            return Ok(headers);
        }
        let mut rest = text.clone();
        loop {
            let (pair, more) = match find(&rest, self.headers_separator.as_bytes()) {
                Some(at) => {
                    let pair = rest.slice(..at);
                    rest = rest.slice(at + self.headers_separator.len()..);
                    (pair, true)
                }
                None => (rest.clone(), false),
            };
            headers.push(self.header(&pair, number)?);
            if !more {
                return Ok(headers);
            }
        }
    }

    fn header(&self, pair: &Bytes, number: u64) -> Result<(String, Option<Bytes>), String> {
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match find(pair, self.header_key_separator.as_bytes()) {
            Some(at) => {
                let value = pair.slice(at + self.header_key_separator.len()..);
                let key = pair.slice(..at);
                match self.unless_null(key) {
                    Some(key) => Ok((name(&key), self.unless_null(value))),
                    None => Err(format!(
                        "Header keys should not be equal to the null marker '{}' as they can't be \
                         null",
                        self.null_marker.as_deref().unwrap_or_default()
                    )),
                }
            }
            None if self.ignore_error => Ok((name(pair), None)),
            None => Err(format!(
                "No header key separator found in pair '{}' on line number {number}",
                name(pair)
            )),
        }
    }

    fn unless_null(&self, field: Bytes) -> Option<Bytes> {
        let null = self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == field);
        (!null).then_some(field)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &str, line: &str) -> Result<ProducerRecord, String> {
        let properties: Vec<(String, String)> = properties
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        LineReader::new(&properties)?.record("t", &Bytes::copy_from_slice(line.as_bytes()), 1)
    }

    #[test]
    fn a_plain_line_is_a_value() {
        assert_eq!(read("", "a\tb").unwrap(), ProducerRecord::to("t").value("a\tb"));
    }

    #[test]
    fn headers_and_key_stand_before_the_value() {
        let record = read("parse.key=true parse.headers=true", "h1:a,h2:b\tk\tv").unwrap();
        let expect =
            ProducerRecord::to("t").key("k").value("v").header("h1", "a").header("h2", "b");
        assert_eq!(record, expect);
    }

    #[test]
    fn the_null_marker_makes_a_tombstone() {
        let properties = "parse.key=true key.separator=: null.marker=NULL";
        let record = read(properties, "k:NULL").unwrap();
        assert_eq!(record, ProducerRecord::to("t").key("k"));
    }

    #[test]
    fn what_is_missing_is_told_in_kafkas_words() {
        for (properties, line, text) in [
            (
                "parse.key=true key.separator=:",
                "novalue",
                "No key separator found on line number 1: 'novalue'",
            ),
            (
                "parse.headers=true",
                "h1=a\tv",
                "No header key separator found in pair 'h1=a' on line number 1",
            ),
        ] {
            assert_eq!(read(properties, line).unwrap_err(), text);
        }
        let record = read("parse.key=true ignore.error=true", "novalue").unwrap();
        assert_eq!(record, ProducerRecord::to("t").value("novalue"));
    }
}
