//! Assertions: instead of a secret an identity provider is shown a token that this side, or
//! somebody for it, has signed (RFC 7523, KIP-1139).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

use super::request::encoded;
use super::{Lookup, NoToken, TokenRequest};

/// How long an assertion is good, and how long it was already, if nothing is said.
const LIFETIME_SECONDS: i64 = 300;
const BEGAN_SECONDS: i64 = 60;

const FILE: &str = "sasl.oauthbearer.assertion.file";
const ISSUER: &str = "sasl.oauthbearer.assertion.claim.iss";
const KEY: &str = "sasl.oauthbearer.assertion.private.key.file";

/// What an assertion is shown for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionGrant {
    /// It stands for the client's secret (RFC 7523, 2.2).
    ClientCredentials {
        /// `sasl.oauthbearer.client.credentials.client.id`.
        client_id: Option<String>,
    },
    /// It is what is exchanged for a token (RFC 7523, 2.1).
    JwtBearer,
}

/// Where assertions come from.
#[derive(Debug, Clone, PartialEq)]
pub enum AssertionPlace {
    /// Somebody puts them into a file.
    File(String),
    /// They are signed here.
    Signed(AssertionRules),
}

/// How assertions are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA, PKCS#1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// What is signed, and with which key.
#[derive(Clone, PartialEq)]
pub struct AssertionRules {
    /// `sasl.oauthbearer.assertion.algorithm`.
    pub algorithm: SigningAlgorithm,
    /// `sasl.oauthbearer.assertion.private.key.file`.
    pub key_file: String,
    /// `sasl.oauthbearer.assertion.private.key.passphrase`.
    pub passphrase: Option<String>,
    /// `sasl.oauthbearer.assertion.template.file`.
    pub template_file: Option<String>,
    claims: Map<String, Value>,
    lifetime_seconds: i64,
    began_seconds: i64,
    has_id: bool,
}

impl fmt::Debug for AssertionRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AssertionRules");
        let shown = shown.field("algorithm", &self.algorithm).field("key_file", &self.key_file);
        shown.field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl AssertionPlace {
    /// Whether the settings ask for assertions where secrets are usual.
    pub(super) fn is_asked_for(text: Lookup<'_>) -> bool {
        text(FILE).is_some() || text(ISSUER).is_some()
    }

    pub(super) fn read(text: Lookup<'_>) -> Result<Self, String> {
        if let Some(file) = text(FILE) {
            return Ok(Self::File(file));
        }
        let algorithm = text("sasl.oauthbearer.assertion.algorithm");
        let algorithm = match algorithm.map(|name| name.to_ascii_uppercase()).as_deref() {
            None | Some("RS256") => SigningAlgorithm::Rs256,
            Some("ES256") => SigningAlgorithm::Es256,
            Some(other) => {
                return Err(format!("sasl.oauthbearer.assertion.algorithm: there is no {other}"));
            }
        };
        let claims = ["aud", "iss", "sub"].into_iter().filter_map(|claim| {
            let value = text(&format!("sasl.oauthbearer.assertion.claim.{claim}"))?;
            Some((claim.to_owned(), Value::from(value)))
        });
        let seconds =
            |name: &str, default, max| super::rules::number(text, name, default, (0, max));
        let has_id = text("sasl.oauthbearer.assertion.claim.jti.include");
        Ok(Self::Signed(AssertionRules {
            algorithm,
            key_file: text(KEY).ok_or_else(|| {
                format!("{KEY} is not set: an assertion is signed with it; or write {FILE}")
            })?,
            passphrase: text("sasl.oauthbearer.assertion.private.key.passphrase"),
            template_file: text("sasl.oauthbearer.assertion.template.file"),
            claims: claims.collect(),
            lifetime_seconds: seconds(
                "sasl.oauthbearer.assertion.claim.exp.seconds",
                LIFETIME_SECONDS,
                86_400,
            )?,
            began_seconds: seconds(
                "sasl.oauthbearer.assertion.claim.nbf.seconds",
                BEGAN_SECONDS,
                3_600,
            )?,
            has_id: has_id.is_some_and(|text| text.eq_ignore_ascii_case("true")),
        }))
    }
}

impl AssertionRules {
    /// The text that is signed. What the template says counts before the settings, and the times
    /// before both; `id` is one that no other assertion has.
    ///
    /// # Errors
    /// If the template cannot be used.
    pub fn unsigned(
        &self,
        template: Option<&[u8]>,
        now_ms: i64,
        id: &str,
    ) -> Result<String, NoToken> {
        let template = template.map(|bytes| {
            let whole = serde_json::from_slice::<Value>(bytes);
            whole.map_err(|error| NoToken::passing(format!("the template is no JSON: {error}")))
        });
        let template = template.transpose()?.unwrap_or_default();
        let part = |name: &str| match template.get(name) {
            None => Ok(Map::new()),
            Some(Value::Object(part)) => Ok(part.clone()),
            Some(_) => Err(NoToken::passing(format!("{name} of the template is no object"))),
        };
        let mut header = part("header")?;
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        let mut claims = self.claims.clone();
        claims.extend(part("payload")?);
        let now = now_ms.div_euclid(1_000);
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime_seconds).into());
        claims.insert("nbf".to_owned(), now.saturating_sub(self.began_seconds).into());
        if self.has_id {
            claims.insert("jti".to_owned(), id.into());
        }
        let [header, claims] =
            [header, claims].map(|part| BASE64URL.encode(Value::Object(part).to_string()));
        Ok(format!("{header}.{claims}"))
    }
}

/// An assertion of what was signed.
pub fn signed_assertion(unsigned: &str, signature: &[u8]) -> String {
    format!("{unsigned}.{}", BASE64URL.encode(signature))
}

impl AssertionGrant {
    /// The request for a token by an assertion.
    pub fn request(&self, assertion: &str, scope: Option<&str>) -> TokenRequest {
        let assertion = encoded(assertion.trim());
        let mut body = match self {
            Self::JwtBearer => format!(
                "grant_type={}&assertion={assertion}",
                encoded("urn:ietf:params:oauth:grant-type:jwt-bearer")
            ),
            Self::ClientCredentials { client_id } => {
                let kind = encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                let client = client_id.as_ref().map(|id| format!("&client_id={}", encoded(id)));
                format!(
                    "client_assertion_type={kind}&client_assertion={assertion}\
                     &grant_type=client_credentials{}",
                    client.unwrap_or_default()
                )
            }
        };
        if let Some(scope) = scope {
            body += &format!("&scope={}", encoded(scope));
        }
        TokenRequest { authorization: None, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<AssertionPlace, String> {
        let prefix = "sasl.oauthbearer.assertion.";
        AssertionPlace::read(&|name: &str| {
            let name = name.strip_prefix(prefix)?;
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_assertion_says_who_for_whom_and_when() {
        let place = read(&[
            ("private.key.file", "key"),
            ("claim.iss", "me"),
            ("claim.aud", "them"),
            ("claim.jti.include", "true"),
        ]);
        let AssertionPlace::Signed(rules) = place.unwrap() else { panic!("it is signed") };
        let template = br#"{"header":{"kid":"k"},"payload":{"aud":"others","exp":1}}"#;
        let unsigned = rules.unsigned(Some(template), 1_000_999, "x").unwrap();
        let parts = unsigned
            .split('.')
            .map(|part| serde_json::from_slice::<Value>(&BASE64URL.decode(part).unwrap()).unwrap());
        let parts: Vec<Value> = parts.collect();
        let expected = r#"[{"kid":"k","alg":"RS256","typ":"JWT"},
            {"iss":"me","aud":"others","iat":1000,"exp":1300,"nbf":940,"jti":"x"}]"#;
        assert_eq!(Value::from(parts), serde_json::from_str::<Value>(expected).unwrap());
        assert!(rules.unsigned(Some(b"x"), 0, "").unwrap_err().why.contains("no JSON"));
        assert!(rules.unsigned(Some(b"{\"header\":1}"), 0, "").is_err());
    }

    #[test]
    fn what_cannot_be_signed_is_said() {
        assert!(read(&[]).unwrap_err().contains(KEY));
        let other = read(&[("private.key.file", "key"), ("algorithm", "HS256")]);
        assert!(other.unwrap_err().contains("HS256"));
        assert_eq!(read(&[("file", "a")]), Ok(AssertionPlace::File("a".to_owned())));
    }

    #[test]
    fn an_assertion_stands_for_a_secret_or_for_everything() {
        let bearer = AssertionGrant::JwtBearer.request("a.b.c\n", Some("s"));
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        assert_eq!(bearer.body, format!("grant_type={kind}&assertion=a.b.c&scope=s"));
        assert_eq!(bearer.authorization, None);
        let client = AssertionGrant::ClientCredentials { client_id: Some("i".to_owned()) };
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let expected = format!(
            "client_assertion_type={kind}&client_assertion=a.b.c&grant_type=client_credentials\
             &client_id=i"
        );
        assert_eq!(client.request("a.b.c", None).body, expected);
    }
}
