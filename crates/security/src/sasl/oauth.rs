//! OAUTHBEARER (RFC 7628, KIP-255, KIP-768): a signed token (RFC 7519) says who somebody is.
//!
//! What the token claims is judged here; whether its signature is good is asked of whoever has
//! the keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use super::SaslError;

/// Longest token that is looked at.
const TOKEN_MAX: usize = 64 << 10;
/// No time in a token is further away than a hundred thousand years.
const SECONDS_MAX: f64 = 3.2e12;
/// What a server says of a token that it does not take.
const INVALID: &str = "{\"status\":\"invalid_token\"}";
/// What a server says of a token that does not allow enough.
const INSUFFICIENT: &str = "{\"status\":\"insufficient_scope\"}";
/// What a client says when it has read that it is refused.
pub const OAUTH_ACKNOWLEDGED: &[u8] = b"\x01";

/// The first message of a client: a token, and what it tells beside it by name.
pub fn oauth_first_message(token: &str, extensions: &[(String, String)]) -> Vec<u8> {
    let mut message = format!("n,,\u{1}auth=Bearer {token}\u{1}");
    for (name, value) in extensions {
        message += &format!("{name}={value}\u{1}");
    }
    message.push('\u{1}');
    message.into_bytes()
}

/// A server's side of one login.
#[derive(Debug, Default)]
pub struct OAuthServer {
    refused: Option<&'static str>,
}

/// What a server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OAuthStep {
    /// This token is to be judged.
    Judge {
        /// The token.
        token: String,
        /// Who the client wants to be; whoever the token names if empty.
        authorization: String,
    },
}

impl OAuthServer {
    /// Takes a client's message.
    ///
    /// # Errors
    /// If it is not one, or says that the client knows it is refused.
    pub fn take(&mut self, message: &[u8]) -> Result<OAuthStep, SaslError> {
        if let Some(told) = self.refused {
            return Err(if message == OAUTH_ACKNOWLEDGED {
                SaslError::Told(told.to_owned())
            } else {
                SaslError::Untold("a message after a refusal")
            });
        }
        let bad = || SaslError::Untold("not a first message of OAUTHBEARER");
        let text = std::str::from_utf8(message).map_err(|_| bad())?;
        if text.len() > TOKEN_MAX {
            return Err(bad());
        }
        let (header, rest) = text.split_once('\u{1}').ok_or_else(bad)?;
        if !header.starts_with("n,") || !header.ends_with(',') {
            return Err(bad());
        }
        let mut pairs = rest.split('\u{1}').filter_map(|pair| pair.split_once('='));
        let (_, auth) = pairs.find(|(name, _)| *name == "auth").ok_or_else(bad)?;
        let (scheme, token) = auth.split_once(' ').ok_or_else(bad)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(bad());
        }
        let authorization = header.trim_start_matches("n,").trim_end_matches(',');
        let authorization = authorization.strip_prefix("a=").unwrap_or_default().to_owned();
        Ok(OAuthStep::Judge { token: token.trim().to_owned(), authorization })
    }

    /// Refuses the token: what the client is sent, to be acknowledged.
    pub fn refuse(&mut self, why: &JwtError) -> Vec<u8> {
        let text = match why {
            JwtError::Scope(_) => INSUFFICIENT,
            _ => INVALID,
        };
        self.refused = Some(text);
        text.as_bytes().to_vec()
    }
}

/// A token that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is not three parts of base64 with JSON in them.
    #[error("the token is no JSON web token")]
    Malformed,
    /// Its signature is of another kind than those served, or none.
    #[error("the algorithm {0} is not served")]
    Algorithm(String),
    /// It must not be taken by who does not understand something (RFC 7515, `crit`), and nothing of
    /// that kind is understood here.
    #[error("the header has extensions that must be understood and are not")]
    Critical,
    /// A claim that must be there is not.
    #[error("the claim {0} is missing or of another type")]
    Missing(String),
    /// It was good, or will be.
    #[error("the token is not valid at this time")]
    Time,
    /// Somebody else made it.
    #[error("the issuer is not the expected one")]
    Issuer,
    /// It is for somebody else.
    #[error("the audience is not one of the expected")]
    Audience,
    /// It does not allow what every user here must be allowed.
    #[error("the scope {0} is missing")]
    Scope(String),
    /// Nobody vouches for it with a key that is known here.
    #[error("no key that is known here is the one that signed")]
    Key,
    /// Whoever made it has another key.
    #[error("the signature is not good")]
    Signature,
}

/// A token, taken apart.
#[derive(Debug, Clone)]
pub struct Jwt<'t> {
    /// How it is signed, such as `RS256`.
    pub algorithm: String,
    /// Which key signed it.
    pub key_id: Option<String>,
    /// The text that is signed.
    pub signed: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
    payload: Value,
}

impl<'t> Jwt<'t> {
    /// Takes a token apart. Nothing in it can be trusted before its signature is checked.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(token: &'t str) -> Result<Self, JwtError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| JwtError::Malformed);
        let json = |part: &str| -> Result<Value, JwtError> {
            serde_json::from_slice(&decode(part)?).map_err(|_| JwtError::Malformed)
        };
        let header = json(header)?;
        if header.get("crit").is_some() {
            return Err(JwtError::Critical);
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            algorithm: text("alg").ok_or(JwtError::Malformed)?,
            key_id: text("kid"),
            signed,
            signature: decode(signature)?,
            payload: json(payload)?,
        })
    }

    /// A claim that is a text.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.payload.get(claim).and_then(Value::as_str)
    }

    /// A claim that is a time, in milliseconds since 1970.
    pub(crate) fn time_ms(&self, claim: &str) -> Option<i64> {
        let seconds = self.payload.get(claim).and_then(Value::as_f64);
        seconds.filter(|seconds| seconds.abs() < SECONDS_MAX).map(to_ms)
    }
}

/// What tokens must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRules {
    /// `sasl.oauthbearer.expected.issuer`.
    pub issuer: Option<String>,
    /// `sasl.oauthbearer.expected.audience`; none expected if empty.
    pub audiences: Vec<String>,
    /// `sasl.oauthbearer.clock.skew.seconds`, in milliseconds.
    pub clock_skew_ms: i64,
    /// `sasl.oauthbearer.scope.claim.name`.
    pub scope_claim: String,
    /// What every token must allow.
    pub scopes: Vec<String>,
    /// Whether a token must say when it was made.
    pub needs_issued_at: bool,
    /// `sasl.oauthbearer.sub.claim.name`.
    pub subject_claim: String,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is.
    pub subject: String,
    /// Until when, in milliseconds since 1970.
    pub expires_ms: i64,
}

impl JwtRules {
    /// Judges the claims of a token whose signature is good, at a time.
    ///
    /// # Errors
    /// The first claim that does not fit.
    pub fn judge(&self, token: &Jwt<'_>, now_ms: i64) -> Result<Claims, JwtError> {
        let missing = |name: &str| JwtError::Missing(name.to_owned());
        let claim = |name: &str| token.payload.get(name);
        let time = |name: &str| token.time_ms(name).ok_or_else(|| missing(name));
        let skew = self.clock_skew_ms;
        let expires_ms = time("exp")?;
        if self.needs_issued_at || claim("iat").is_some() {
            let issued = time("iat")?;
            let is_early = !self.needs_issued_at && issued > now_ms.saturating_add(skew);
            if expires_ms < issued || is_early {
                return Err(JwtError::Time);
            }
        }
        let is_early = claim("nbf").is_some() && time("nbf")? > now_ms.saturating_add(skew);
        if expires_ms.saturating_add(skew) <= now_ms || is_early {
            return Err(JwtError::Time);
        }
        if let Some(expected) = &self.issuer
            && claim("iss").and_then(Value::as_str) != Some(expected)
        {
            return Err(JwtError::Issuer);
        }
        if !self.audiences.is_empty() {
            let named: Vec<&str> = match claim("aud") {
                Some(Value::String(one)) => vec![one],
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            if !self.audiences.iter().any(|expected| named.contains(&expected.as_str())) {
                return Err(JwtError::Audience);
            }
        }
        let subject = claim(&self.subject_claim).and_then(Value::as_str).map(str::trim);
        let subject = subject.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| missing(&self.subject_claim))?.to_owned();
        let allowed = match claim(&self.scope_claim) {
            Some(Value::String(text)) => text.split_whitespace().collect(),
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        match self.scopes.iter().find(|scope| !allowed.contains(&scope.as_str())) {
            Some(absent) => Err(JwtError::Scope(absent.clone())),
            None => Ok(Claims { subject, expires_ms }),
        }
    }
}

/// Seconds as a token has them, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "it was bounded")]
fn to_ms(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        let part = |text: &str| BASE64URL.encode(text);
        format!("{}.{}.{}", part("{\"alg\":\"RS256\",\"kid\":\"k\"}"), part(payload), part("s"))
    }

    fn rules() -> JwtRules {
        JwtRules {
            issuer: Some("me".to_owned()),
            audiences: vec!["kafka".to_owned()],
            clock_skew_ms: 30_000,
            subject_claim: "sub".to_owned(),
            scope_claim: "scope".to_owned(),
            scopes: Vec::new(),
            needs_issued_at: true,
        }
    }

    fn judge(payload: &str) -> Result<Claims, JwtError> {
        rules().judge(&Jwt::parse(&token(payload))?, 1_000_000)
    }

    #[test]
    fn a_token_that_says_what_it_must_is_taken() {
        let good = r#"{"sub":"alice","iss":"me","aud":["x","kafka"],"iat":900,"exp":1100}"#;
        let claims = judge(good).unwrap();
        assert_eq!(claims, Claims { subject: "alice".to_owned(), expires_ms: 1_100_000 });
        let token = token(good);
        let token = Jwt::parse(&token).unwrap();
        assert_eq!((token.algorithm.as_str(), token.key_id.as_deref()), ("RS256", Some("k")));
    }

    #[test]
    fn a_token_with_extensions_that_must_be_understood_is_refused() {
        let part = |text: &str| BASE64URL.encode(text);
        let header = part(r#"{"alg":"RS256","kid":"k","crit":["b64"],"b64":false}"#);
        let token = format!("{header}.{}.{}", part("{}"), part("s"));
        assert_eq!(Jwt::parse(&token).map(drop), Err(JwtError::Critical));
    }

    #[test]
    fn every_claim_is_judged() {
        let with = |iss: &str, aud: &str, iat: i64, exp: i64| {
            judge(&format!(r#"{{"sub":"a","iss":"{iss}","aud":"{aud}","iat":{iat},"exp":{exp}}}"#))
        };
        assert!(with("me", "kafka", 900, 1100).is_ok());
        assert!(with("me", "kafka", 900, 971).is_ok(), "within the skew");
        assert_eq!(with("me", "kafka", 900, 970), Err(JwtError::Time));
        assert_eq!(with("me", "kafka", 1101, 1100), Err(JwtError::Time), "over before it began");
        assert_eq!(with("you", "kafka", 900, 1100), Err(JwtError::Issuer));
        assert_eq!(with("me", "other", 900, 1100), Err(JwtError::Audience));
        let nobody = judge(r#"{"iss":"me","aud":"kafka","iat":900,"exp":1100}"#);
        assert_eq!(nobody, Err(JwtError::Missing("sub".to_owned())));
        let forever = judge(r#"{"sub":"a","iss":"me","aud":"kafka","iat":900}"#);
        assert_eq!(forever, Err(JwtError::Missing("exp".to_owned())));
    }

    #[test]
    fn a_scope_may_be_asked_for_and_the_beginning_counts() {
        let rules = JwtRules { scopes: vec!["read".to_owned()], ..rules() };
        let judge = |more: &str| {
            let claims = r#""sub":"a","iss":"me","aud":"kafka","iat":900,"exp":1100"#;
            let token = token(&format!("{{{claims}{more}}}"));
            rules.judge(&Jwt::parse(&token).unwrap(), 1_000_000).map(drop)
        };
        assert_eq!(judge(r#","scope":"write read""#), Ok(()));
        assert_eq!(judge(r#","scope":["read"]"#), Ok(()));
        assert_eq!(judge(r#","scope":"readers""#), Err(JwtError::Scope("read".to_owned())));
        assert_eq!(judge(r#","scope":"read","nbf":1031"#), Err(JwtError::Time));
        assert_eq!(judge(r#","scope":"read","nbf":1030.5"#), Err(JwtError::Time));
        assert_eq!(judge(r#","scope":"read","nbf":1030"#), Ok(()));
    }

    #[test]
    fn what_is_no_token_or_message_is_refused() {
        for bad in ["", "a.b", "a.b.c", "...", "e30.e30."] {
            assert!(Jwt::parse(bad).is_err(), "{bad}");
        }
        let mut server = OAuthServer::default();
        for bad in [&b""[..], b"n,,", b"y,,\x01auth=Bearer t\x01\x01", b"n,,\x01auth=Basic t\x01"] {
            assert!(server.take(bad).is_err(), "{bad:?}");
        }
        let judged = server.take(&oauth_first_message("t", &[]));
        let plain = |token: &str, authorization: &str| {
            Ok(OAuthStep::Judge {
                token: token.to_owned(),
                authorization: authorization.to_owned(),
            })
        };
        assert_eq!(judged, plain("t", ""));
        let named = OAuthServer::default().take(b"n,a=bob,\x01auth=Bearer t\x01\x01");
        assert_eq!(named, plain("t", "bob"));
        assert_eq!(server.refuse(&JwtError::Signature), INVALID.as_bytes());
        assert_eq!(server.take(b"\x01"), Err(SaslError::Told(INVALID.to_owned())));
    }
}
