//! The few bytes of Kafka's protocol that a test needs before any client library is running.
//!
//! Deliberately independent of Naru's own codecs: a test that used them could not see their faults.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The largest answer a test is willing to read.
const MAX_ANSWER: usize = 64 << 20;

/// A request body under construction, in the protocol's classic (not flexible) encoding.
#[derive(Debug, Default, Clone)]
pub struct Body(Vec<u8>);

impl Body {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn int8(mut self, value: i8) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn int16(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn int32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn int64(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn string(self, text: &str) -> Self {
        let length = i16::try_from(text.len()).expect("test strings are short");
        let mut body = self.int16(length);
        body.0.extend(text.as_bytes());
        body
    }

    pub fn uvarint(mut self, mut value: u32) -> Self {
        while value > 0x7f {
            self.0.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).expect("seven bits"));
        self
    }

    /// A string of the flexible encoding.
    pub fn compact_string(self, text: &str) -> Self {
        let length = u32::try_from(text.len() + 1).expect("test strings are short");
        self.uvarint(length).raw(text.as_bytes())
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One connection; requests are answered one at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    pub fn open(port: u16, timeout: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation: 0 })
    }

    /// Sends a request with the classic header (version 1) and returns the body of the answer.
    pub fn ask(&mut self, api_key: i16, version: i16, body: &Body) -> Result<Vec<u8>> {
        let header = self.header(api_key, version);
        self.ask_with(header, body)
    }

    /// Like [`Self::ask`] with the flexible headers, which must carry no tagged fields.
    pub fn ask_flexible(&mut self, api_key: i16, version: i16, body: &Body) -> Result<Vec<u8>> {
        let header = self.header(api_key, version).uvarint(0);
        let answer = self.ask_with(header, body)?;
        let (tags, rest) = answer.split_first().context("an answer without tags")?;
        ensure!(*tags == 0, "tagged fields in a header");
        Ok(rest.to_vec())
    }

    fn header(&mut self, api_key: i16, version: i16) -> Body {
        self.correlation += 1;
        let header = Body::new().int16(api_key).int16(version).int32(self.correlation);
        header.string("naru-testkit")
    }

    fn ask_with(&mut self, header: Body, body: &Body) -> Result<Vec<u8>> {
        let answer = self.exchange(header.raw(body.bytes()).bytes())?;
        let (correlation, rest) =
            answer.split_first_chunk().context("an answer of under 4 bytes")?;
        ensure!(i32::from_be_bytes(*correlation) == self.correlation, "another request's answer");
        Ok(rest.to_vec())
    }

    /// Sends one frame as it is and reads one frame.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let mut frame = i32::try_from(request.len())?.to_be_bytes().to_vec();
        frame.extend(request);
        self.stream.write_all(&frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("a negative length")?;
        ensure!(length <= MAX_ANSWER, "an answer of {length} bytes");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// Reads an answer's fields in order.
#[derive(Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().context("the answer is too short")?;
        self.0 = rest;
        Ok(*head)
    }

    /// What has not been read yet, in bytes.
    pub fn rest(&self) -> usize {
        self.0.len()
    }

    pub fn int8(&mut self) -> Result<i8> {
        self.take().map(i8::from_be_bytes)
    }

    pub fn int16(&mut self) -> Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    pub fn int32(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    pub fn int64(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    /// The length of an array; a null array is empty.
    pub fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.int32()?.max(0)).unwrap_or(0);
        ensure!(count <= self.0.len(), "an array of {count} in {} bytes", self.0.len());
        Ok(count)
    }

    pub fn int32s(&mut self) -> Result<Vec<i32>> {
        (0..self.count()?).map(|_| self.int32()).collect()
    }

    pub fn uvarint(&mut self) -> Result<u32> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.take()?;
            ensure!(shift < 32, "a varint of over five bytes");
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A string of the flexible encoding; null is empty.
    pub fn compact_string(&mut self) -> Result<String> {
        let length = usize::try_from(self.uvarint()?.saturating_sub(1))?;
        self.text(length)
    }

    pub fn string(&mut self) -> Result<String> {
        let length = usize::try_from(self.int16()?).unwrap_or(0);
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Result<String> {
        let (head, rest) = self.0.split_at_checked(length).context("a cut string")?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(head).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_fields_are_read_back_as_they_were_written() {
        let body = Body::new().uvarint(300).compact_string("abc").int32(1).int32(-5);
        let mut fields = Fields::of(body.bytes());
        assert_eq!(fields.uvarint().unwrap(), 300);
        assert_eq!(fields.compact_string().unwrap(), "abc");
        assert_eq!(fields.int32s().unwrap(), [-5]);
        assert_eq!(fields.rest(), 0);
    }

    #[test]
    fn fields_are_read_back_as_they_were_written() {
        let body = Body::new().int16(-2).string("ab").int32(7).int64(-1);
        let mut fields = Fields::of(body.bytes());
        assert_eq!(fields.int16().unwrap(), -2);
        assert_eq!(fields.string().unwrap(), "ab");
        assert_eq!(fields.int32().unwrap(), 7);
        assert_eq!(fields.int64().unwrap(), -1);
        assert!(fields.int16().is_err());
    }
}
