//! What an identity provider is asked: a token for a client that shows its secret (RFC 6749, 4.4).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// One POST request: what is told beside the usual headers, and its body, a form.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The value of the header Authorization, if there is one.
    pub authorization: Option<String>,
    /// The form.
    pub body: String,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both have secrets in them.
        f.write_str("TokenRequest")
    }
}

/// Who asks with a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// `sasl.oauthbearer.client.credentials.client.id`.
    pub id: String,
    /// `sasl.oauthbearer.client.credentials.client.secret`.
    pub secret: String,
    /// `sasl.oauthbearer.header.urlencode`: id and secret are encoded before they are shown.
    pub is_encoded: bool,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ClientSecret {
    /// The request for a token.
    pub fn request(&self, scope: Option<&str>) -> TokenRequest {
        let shown = match self.is_encoded {
            true => format!("{}:{}", encoded(&self.id), encoded(&self.secret)),
            false => format!("{}:{}", self.id, self.secret),
        };
        let mut body = "grant_type=client_credentials".to_owned();
        if let Some(scope) = scope {
            body += &format!("&scope={}", encoded(scope));
        }
        TokenRequest { authorization: Some(format!("Basic {}", BASE64.encode(shown))), body }
    }
}

/// A text as forms have it (application/x-www-form-urlencoded).
pub(super) fn encoded(text: &str) -> String {
    let mut form = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                form.push(char::from(byte));
            }
            b' ' => form.push('+'),
            _ => form += &format!("%{byte:02X}"),
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_shows_its_secret_and_what_it_wants() {
        let client =
            ClientSecret { id: "a".to_owned(), secret: "b c/ä".to_owned(), is_encoded: false };
        let request = client.request(Some("x y"));
        let basic = |shown: &str| Some(format!("Basic {}", BASE64.encode(shown)));
        assert_eq!(request.authorization, basic("a:b c/ä"));
        assert_eq!(request.body, "grant_type=client_credentials&scope=x+y");
        let encoded = ClientSecret { is_encoded: true, ..client.clone() }.request(None);
        assert_eq!(encoded.authorization, basic("a:b+c%2F%C3%A4"));
        assert_eq!(encoded.body, "grant_type=client_credentials");
        let shown = format!("{client:?} {request:?}");
        assert!(!shown.contains("b c") && !shown.contains("Basic"), "{shown}");
    }
}
