//! Tokens that nobody signs, made of a JAAS entry's options: for tests (KIP-255).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Number, Value};

use crate::jaas::JaasEntry;

/// What all options begin with.
pub(super) const PREFIX: &str = "unsecuredLogin";
/// How long a token is good if nothing is said.
const LIFETIME_SECONDS: i64 = 3_600;
/// The longest that can be asked for: a hundred years.
const LIFETIME_SECONDS_MAX: i64 = 100 * 366 * 86_400;

/// What a token that is not signed claims.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsecuredToken {
    claims: Map<String, Value>,
    lifetime_seconds: i64,
    /// Which claim says whose token it is.
    pub subject_claim: String,
}

impl UnsecuredToken {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(entry: &JaasEntry) -> Result<Self, String> {
        let mut claims = Map::new();
        for (option, value) in entry.options() {
            let Some((kind, claim)) = option.strip_prefix(PREFIX).and_then(|o| o.split_once('_'))
            else {
                continue;
            };
            let value = match kind {
                "StringClaim" => Value::from(value),
                "NumberClaim" => number(option, value)?,
                "ListClaim" => list(value),
                _ => continue,
            };
            if matches!(claim, "iat" | "exp") {
                return Err(format!("{option}: the claim {claim} cannot be set"));
            }
            claims.insert(claim.to_owned(), value);
        }
        let named = |option: &str| entry.option(&format!("{PREFIX}{option}"));
        let lifetime_seconds = match named("LifetimeSeconds") {
            None => LIFETIME_SECONDS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (1..=LIFETIME_SECONDS_MAX).contains(seconds))
                .ok_or_else(|| format!("{PREFIX}LifetimeSeconds: {text} is no time"))?,
        };
        let subject_claim = named("PrincipalClaimName").map(str::trim).filter(|n| !n.is_empty());
        let subject_claim = subject_claim.unwrap_or("sub").to_owned();
        let subject = claims.get(&subject_claim).and_then(Value::as_str).map(str::trim);
        if subject.is_none_or(str::is_empty) {
            return Err(format!(
                "the token has no name in it: write {PREFIX}StringClaim_{subject_claim}=\"NAME\""
            ));
        }
        Ok(Self { claims, lifetime_seconds, subject_claim })
    }

    /// The token as it is made at a time.
    pub fn text(&self, now_ms: i64) -> String {
        let now = now_ms.div_euclid(1_000);
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime_seconds).into());
        let claims = BASE64URL.encode(Value::Object(claims).to_string());
        format!("{}.{claims}.", BASE64URL.encode("{\"alg\":\"none\"}"))
    }
}

fn number(option: &str, text: &str) -> Result<Value, String> {
    let whole = text.trim().parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| text.trim().parse().ok().and_then(Number::from_f64));
    number.map(Value::Number).ok_or_else(|| format!("{option}: {text} is no number"))
}

/// `|a|b` is a list of two: its first character stands between its entries.
fn list(text: &str) -> Value {
    let mut chars = text.chars();
    match chars.next() {
        Some(between) if !chars.as_str().is_empty() => {
            chars.as_str().split(between).map(Value::from).collect()
        }
        _ => Value::Array(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::OwnToken;

    fn read(options: &str) -> Result<UnsecuredToken, String> {
        UnsecuredToken::read(&JaasEntry::parse(&format!("M required {options};")).unwrap())
    }

    #[test]
    fn options_become_claims() {
        let token = read(
            "unsecuredLoginStringClaim_sub=\"a\" unsecuredLoginNumberClaim_n=\"1.5\" \
             unsecuredLoginListClaim_scope=\"|x|y\" unsecuredLoginLifetimeSeconds=\"10\" other=\"1\"",
        );
        let text = token.unwrap().text(5_999);
        let payload = BASE64URL.decode(text.split('.').nth(1).unwrap()).unwrap();
        let expected = r#"{"n":1.5,"scope":["x","y"],"sub":"a","iat":5,"exp":15}"#;
        let (payload, expected): (Value, Value) =
            (serde_json::from_slice(&payload).unwrap(), serde_json::from_str(expected).unwrap());
        assert_eq!(payload, expected);
        assert_eq!(OwnToken::read(&text, "sub").unwrap().expires_ms, 15_000);
    }

    #[test]
    fn what_makes_no_token_is_refused() {
        assert!(read("a=\"b\"").unwrap_err().contains("StringClaim_sub"));
        let named = "unsecuredLoginStringClaim_sub=\"a\" unsecuredLogin";
        assert!(read(&format!("{named}NumberClaim_n=\"x\"")).unwrap_err().contains("no number"));
        assert!(read(&format!("{named}LifetimeSeconds=\"0\"")).unwrap_err().contains("no time"));
        assert!(read(&format!("{named}NumberClaim_exp=\"1\"")).unwrap_err().contains("exp"));
    }
}
