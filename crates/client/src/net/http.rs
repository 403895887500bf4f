//! Just as much HTTP/1.1 as fetches a small document, keys of who signs tokens, or asks for a
//! token.

use std::sync::Arc;
use std::time::Duration;

use naru_security::bearer::TokenRequest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::security::Stream;

/// Longest answer with a document that is read.
const DOCUMENT_MAX: usize = 1 << 20;
/// Longest answer to a form that is read: one token.
const FORM_ANSWER_MAX: usize = 128 << 10;
/// What is said when there is no answer.
const LATE: &str = "no answer in time";

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// `https`.
    pub is_secure: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// The port, also if it is the usual one.
    pub port: u16,
    /// Path and query, `/` at least.
    pub path: String,
}

impl HttpUrl {
    /// Reads an address that begins with `http://` or `https://`; none if it is another.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let is_clean = |c: char| c.is_ascii_graphic();
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let usual = if is_secure { 443 } else { 80 };
        let port = port.map_or(Ok(usual), str::parse).ok()?;
        if host.is_empty() || host.contains('@') || !host.chars().chain(path.chars()).all(is_clean)
        {
            return None;
        }
        Some(Self { is_secure, host: host.to_owned(), port, path })
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// How long connecting and the answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
}

/// Fetches a document; redirections are not followed.
///
/// # Errors
/// What went wrong, in words.
pub async fn fetch(
    url: &HttpUrl,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
) -> Result<Vec<u8>, String> {
    let within = Patience { connect: patience, answer: patience };
    let fetching = exchange(url, tls, head("GET", url), DOCUMENT_MAX, within);
    let fetched = tokio::time::timeout(patience, fetching).await;
    let Answer { status, body } = fetched.unwrap_or_else(|_| Err(LATE.to_owned()))?;
    if status == 200 { Ok(body) } else { Err(format!("the answer is {status}")) }
}

/// Sends a form; the answer may have any status.
///
/// # Errors
/// What went wrong, in words.
pub(super) async fn post_form(
    url: &HttpUrl,
    tls: Option<Arc<ClientConfig>>,
    request: &TokenRequest,
    patience: Patience,
) -> Result<Answer, String> {
    let mut text = head("POST", url);
    if let Some(shown) = &request.authorization {
        text += &format!("Authorization: {shown}\r\n");
    }
    text += &format!(
        "Content-Type: application/x-www-form-urlencoded\r\nCache-Control: no-cache\r\n\
         Content-Length: {}\r\n\r\n{}",
        request.body.len(),
        request.body
    );
    exchange(url, tls, text, FORM_ANSWER_MAX, patience).await
}

/// The lines that every request begins with.
fn head(method: &str, url: &HttpUrl) -> String {
    let HttpUrl { host, port, path, .. } = url;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\
         Connection: close\r\n"
    )
}

/// Sends a request, whose head ends here if it has no body, and reads its answer.
async fn exchange(
    url: &HttpUrl,
    tls: Option<Arc<ClientConfig>>,
    mut request: String,
    answer_max: usize,
    patience: Patience,
) -> Result<Answer, String> {
    if !request.contains("\r\n\r\n") {
        request += "\r\n";
    }
    let connecting = async {
        let tcp = TcpStream::connect((url.host.as_str(), url.port)).await;
        let tcp = tcp.map_err(|error| error.to_string())?;
        if !url.is_secure {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
        let config = tls.ok_or("there are no settings for TLS")?;
        let connected = TlsConnector::from(config).connect(name, tcp).await;
        connected.map(|tls| Stream::Tls(Box::new(tls))).map_err(|error| error.to_string())
    };
    let late = |_| Err(LATE.to_owned());
    let connected = tokio::time::timeout(patience.connect, connecting).await;
    let stream = connected.unwrap_or_else(|_| Err("no connection in time".to_owned()))?;
    let answering = say(stream, request, answer_max);
    tokio::time::timeout(patience.answer, answering).await.unwrap_or_else(late)
}

async fn say(mut stream: Stream, request: String, answer_max: usize) -> Result<Answer, String> {
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let mut bounded = stream.take(u64::try_from(answer_max).unwrap_or(u64::MAX));
    loop {
        if let Some(whole) = answer_of(&answer, false)? {
            return Ok(whole);
        }
        // Whoever closes without saying so in TLS may still have sent everything.
        let read = bounded.read_buf(&mut answer).await.unwrap_or(0);
        if read == 0 {
            return match answer_of(&answer, true)? {
                Some(whole) => Ok(whole),
                None if answer.len() >= answer_max => {
                    Err(format!("the answer has more than {answer_max} bytes"))
                }
                None => Err("the answer ends early".to_owned()),
            };
        }
    }
}

/// Status and body of an answer, or none while there is more to come; `ended` if nothing will.
fn answer_of(answer: &[u8], ended: bool) -> Result<Option<Answer>, String> {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (answer.get(..at).unwrap_or_default(), answer.get(at + 4..));
    let body = body.unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| "no answer of HTTP")?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status =
        first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| format!("the answer is {}", first.escape_debug()))?;
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return match value.eq_ignore_ascii_case("chunked") {
                true => Ok(unchunked(body)?.map(|body| Answer { status, body })),
                false => Err(format!("the answer is sent {}", value.escape_debug())),
            };
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| "the answer has no length")?);
        }
    }
    let body = match length {
        Some(length) => body.get(..length).map(<[u8]>::to_vec),
        None => ended.then(|| body.to_vec()),
    };
    Ok(body.map(|body| Answer { status, body }))
}

/// Joins the pieces of a body; none while the last is not there.
fn unchunked(mut body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut whole = Vec::new();
    loop {
        let Some(at) = body.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(body.get(..at).unwrap_or_default()).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| "a piece has no size")?;
        let rest = body.get(at + 2..).unwrap_or_default();
        if size == 0 {
            return Ok(Some(whole));
        }
        let (Some(piece), Some(after)) =
            (rest.get(..size), size.checked_add(2).and_then(|end| rest.get(end..)))
        else {
            return Ok(None);
        };
        whole.extend_from_slice(piece);
        body = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parsed = |text: &str| {
            HttpUrl::parse(text).map(|url| (url.is_secure, url.host, url.port, url.path))
        };
        let url = |secure, host: &str, port, path: &str| {
            Some((secure, host.to_owned(), port, path.to_owned()))
        };
        assert_eq!(parsed("http://a.b/c?d#e"), url(false, "a.b", 80, "/c?d"));
        assert_eq!(parsed("https://a:8443"), url(true, "a", 8443, "/"));
        assert_eq!(parsed("https://[::1]:1?x"), url(true, "::1", 1, "/?x"));
        for bad in ["", "file:///x", "http://", "http://a:b/", "http://u@a/", "http://a/b c"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_says_or_as_the_connection() {
        let body = |text: &str, ended| {
            answer_of(text.as_bytes(), ended).map(|found| found.map(|answer| answer.body))
        };
        let some = |text: &str| Ok(Some(text.as_bytes().to_vec()));
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(body(sized, false), some("abc"));
        assert_eq!(body(&sized[..sized.len() - 1], true), Ok(None));
        let open = "HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!((body(open, false), body(open, true)), (Ok(None), some("abc")));
        let pieces =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(body(pieces, false), some("abc"));
        for end in 0..pieces.len() - 5 {
            assert_eq!(body(&pieces[..end], false), Ok(None), "{end}");
        }
        let status = |text: &str| answer_of(text.as_bytes(), true).map(|a| a.map(|a| a.status));
        assert_eq!(status("HTTP/1.1 404 Not Found\r\n\r\n"), Ok(Some(404)));
        assert!(status("SSH-2.0-x\r\n\r\n").is_err() && status("HTTP/1.1\r\n\r\n").is_err());
        assert!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", true).is_err());
    }
}
