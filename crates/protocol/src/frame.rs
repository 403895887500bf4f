//! Frames: a four-byte length, a header, a message.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::{DecodeError, Message, Reader, Request, Writer};

/// What stands before every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's key, known or not.
    pub api_key: i16,
    /// Version of the request.
    pub api_version: i16,
    /// Returned with the response.
    pub correlation_id: i32,
    /// The name a client gives itself.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Reads a header of any version: the API and version decide its layout (KIP-482).
    /// The client id is not required to be UTF-8: what is not reads as replacement characters.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (api_key, api_version, correlation_id) = (r.i16()?, r.i16()?, r.i32()?);
        let client_id = read_client_id(r)?;
        let flexible = ApiKey::from_key(api_key)
            .is_some_and(|api| api.request_header_version(api_version) >= 2);
        if flexible {
            r.skip_tags()?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header that `api` needs at this version.
    pub fn write(&self, api: ApiKey, w: &mut Writer) {
        w.i16(self.api_key);
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        w.nullable_string(self.client_id.as_deref(), false, true);
        if api.request_header_version(self.api_version) >= 2 {
            w.uvarint(0);
        }
    }
}

fn read_client_id(r: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    let len = r.i16()?;
    if len < 0 {
        return Ok(None);
    }
    let rest = r.rest();
    let len = usize::from(len.cast_unsigned());
    let bytes = rest.get(..len).ok_or(DecodeError::Truncated)?;
    let text = String::from_utf8_lossy(bytes).into_owned();
    r.advance(len)?;
    Ok(Some(text))
}

/// A request with header and length, ready to send.
pub fn request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client: &str,
) -> Vec<u8> {
    let api = ApiKey::from_key(R::KEY).expect("every request has an API key");
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id,
        client_id: Some(client.to_owned()),
    };
    let mut w = Writer::default();
    w.i32(0);
    header.write(api, &mut w);
    request.write(&mut w, version);
    let len = w.len() - 4;
    w.patch_i32(0, i32::try_from(len).unwrap_or(i32::MAX));
    w.into_bytes()
}

/// A response with header and length; external record bytes count in the length.
pub fn response<M: Message>(message: &M, api: ApiKey, version: i16, correlation_id: i32) -> Writer {
    let mut w = Writer::default();
    w.i32(0);
    w.i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        w.uvarint(0);
    }
    message.write(&mut w, version);
    let external: usize = w.externals().iter().map(|external| external.len).sum();
    let len = w.len() - 4 + external;
    w.patch_i32(0, i32::try_from(len).unwrap_or(i32::MAX));
    w
}

/// Reads a response frame (without its length): the correlation id and the message.
pub fn read_response<R: Request>(
    frame: &Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let api = ApiKey::from_key(R::KEY).expect("every request has an API key");
    let mut r = Reader::new(frame);
    let correlation_id = r.i32()?;
    if api.response_header_version(version) >= 1 {
        r.skip_tags()?;
    }
    Ok((correlation_id, crate::Wire::read(&mut r, version)?))
}
