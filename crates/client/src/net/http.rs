//! Just as much HTTP/1.1 as fetches a small document: keys of who signs tokens.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest answer that is read.
const ANSWER_MAX: usize = 1 << 20;

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

/// Fetches a document; redirections are not followed.
///
/// # Errors
/// What went wrong, in words.
pub async fn fetch(
    url: &HttpUrl,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
) -> Result<Vec<u8>, String> {
    let fetching = async {
        let tcp = TcpStream::connect((url.host.as_str(), url.port)).await;
        let tcp = tcp.map_err(|error| error.to_string())?;
        if !url.is_secure {
            return exchange(url, tcp).await;
        }
        let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
        let config = tls.ok_or("there are no settings for TLS")?;
        let connected = TlsConnector::from(config).connect(name, tcp).await;
        exchange(url, connected.map_err(|error| error.to_string())?).await
    };
    let fetched = tokio::time::timeout(patience, fetching).await;
    fetched.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn exchange(
    url: &HttpUrl,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<Vec<u8>, String> {
    let HttpUrl { host, port, path, .. } = url;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let mut bounded = stream.take(u64::try_from(ANSWER_MAX).unwrap_or(u64::MAX));
    loop {
        if let Some(body) = body_of(&answer, false)? {
            return Ok(body);
        }
        // Whoever closes without saying so in TLS may still have sent everything.
        let read = bounded.read_buf(&mut answer).await.unwrap_or(0);
        if read == 0 {
            return body_of(&answer, true)?.ok_or_else(|| "the answer ends early".to_owned());
        }
    }
}

/// The document in an answer, or none while there is more to come; `ended` if nothing will.
fn body_of(answer: &[u8], ended: bool) -> Result<Option<Vec<u8>>, String> {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (answer.get(..at).unwrap_or_default(), answer.get(at + 4..));
    let body = body.unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| "no answer of HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return Err(format!("the answer is {}", status.escape_debug()));
    }
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return match value.eq_ignore_ascii_case("chunked") {
                true => unchunked(body),
                false => Err(format!("the answer is sent {}", value.escape_debug())),
            };
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| "the answer has no length")?);
        }
    }
    Ok(match length {
        Some(length) => body.get(..length).map(<[u8]>::to_vec),
        None => ended.then(|| body.to_vec()),
    })
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
        let body = |text: &str, ended| body_of(text.as_bytes(), ended);
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
        assert!(body("HTTP/1.1 404 Not Found\r\n\r\n", true).is_err());
        assert!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", true).is_err());
    }
}
