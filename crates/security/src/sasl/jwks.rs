//! JSON web key sets (RFC 7517): the public keys of whoever signs tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

/// Most keys that are taken of a set.
const KEYS_MAX: usize = 1_000;

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    /// What tokens call it.
    pub id: Option<String>,
    /// The one algorithm that it is for, if it is for one.
    pub algorithm: Option<String>,
    /// The key itself.
    pub material: JwkMaterial,
}

/// The numbers of a public key, as ring takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwkMaterial {
    /// RSA.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Exponent.
        e: Vec<u8>,
    },
    /// A point on the curve P-256, uncompressed.
    P256(Vec<u8>),
    /// A point on the curve P-384, uncompressed.
    P384(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
}

impl Jwk {
    /// The keys of a set that can check signatures; others, as keys of kinds that are not served,
    /// are left out. None if it is no set.
    pub fn parse_set(text: &str) -> Option<Vec<Self>> {
        let whole: Value = serde_json::from_str(text).ok()?;
        let keys = whole.get("keys")?.as_array()?;
        Some(keys.iter().take(KEYS_MAX).filter_map(Self::parse).collect())
    }

    fn parse(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64URL.decode(text(name)?.trim_end_matches('=')).ok();
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let point = |length: usize| -> Option<Vec<u8>> {
            let mut point = vec![4];
            for part in [bytes("x")?, bytes("y")?] {
                point.resize(point.len() + length.checked_sub(part.len())?, 0);
                point.extend(part);
            }
            Some(point)
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => JwkMaterial::Rsa { n: bytes("n")?, e: bytes("e")? },
            ("EC", Some("P-256")) => JwkMaterial::P256(point(32)?),
            ("EC", Some("P-384")) => JwkMaterial::P384(point(48)?),
            ("OKP", Some("Ed25519")) => JwkMaterial::Ed25519(bytes("x")?),
            _ => return None,
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        Some(Self { id: owned("kid"), algorithm: owned("alg"), material })
    }

    /// Whether a token that names `id`, or none, signed by `algorithm`, may be signed by this key.
    pub fn may_have_signed(&self, id: Option<&str>, algorithm: &str) -> bool {
        id.is_none_or(|id| self.id.as_deref() == Some(id))
            && self.algorithm.as_deref().is_none_or(|own| own == algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_check_signatures_are_taken_and_others_left() {
        let set = r#"{"keys":[
            {"kty":"RSA","kid":"one","use":"sig","alg":"RS256","n":"AQID","e":"AQAB"},
            {"kty":"RSA","kid":"two","use":"enc","n":"AQID","e":"AQAB"},
            {"kty":"EC","crv":"P-256","x":"AQ","y":"Ag"},
            {"kty":"EC","crv":"P-521","x":"AQ","y":"Ag"},
            {"kty":"oct","k":"AQ"}, 7]}"#;
        let keys = Jwk::parse_set(set).unwrap();
        assert_eq!(keys.len(), 2);
        let rsa = JwkMaterial::Rsa { n: vec![1, 2, 3], e: vec![1, 0, 1] };
        assert_eq!(keys[0].material, rsa);
        let JwkMaterial::P256(point) = &keys[1].material else { panic!("{:?}", keys[1]) };
        assert_eq!((point.len(), point[0], point[32], point[64]), (65, 4, 1, 2));
        assert!(keys[0].may_have_signed(Some("one"), "RS256"));
        assert!(keys[0].may_have_signed(None, "RS256"));
        assert!(!keys[0].may_have_signed(Some("two"), "RS256"));
        assert!(!keys[0].may_have_signed(Some("one"), "PS256"));
        assert!(!keys[1].may_have_signed(Some("one"), "ES256"), "it has no name");
    }

    #[test]
    fn what_is_no_set_is_none() {
        for bad in ["", "{}", "[]", "{\"keys\":7}", "nonsense"] {
            assert_eq!(Jwk::parse_set(bad), None, "{bad}");
        }
        assert_eq!(Jwk::parse_set("{\"keys\":[]}"), Some(Vec::new()));
    }
}
