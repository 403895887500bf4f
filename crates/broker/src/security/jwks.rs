//! The public keys of those who sign tokens: where they come from, and what they say of a
//! signature (KIP-768).
//!
//! Keys are looked up without waiting. A task of each source reads them anew every
//! `sasl.oauthbearer.jwks.endpoint.refresh.ms`, and when a token names a key that is not known. A
//! source lives as long as a listener, or a connection of it, has it; its task ends with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use naru_client::net::{HttpUrl, fetch};
use naru_security::bearer::shown_address;
use naru_security::sasl::{Jwk, JwkMaterial, Jwt, JwtError};
use ring::signature::{self, RsaParameters, UnparsedPublicKey, VerificationAlgorithm};
use rustls::ClientConfig;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Least time between two looks, so that tokens of strangers do not cause many.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Where keys are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(PathBuf),
    Http(HttpUrl, Option<Arc<ClientConfig>>),
}

/// How often keys are read anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) refresh: Duration,
    /// The first and the longest pause after a failure.
    pub(super) backoff: (Duration, Duration),
}

/// All sources, by their settings: listeners that say the same share them.
#[derive(Debug, Default)]
pub(super) struct KeySources(Mutex<BTreeMap<String, Weak<KeySource>>>);

impl KeySources {
    /// The source of these settings, all in one text, made if it is new. One that was told of
    /// other settings of the same address lends its keys until they are read.
    pub(super) fn source(
        &self,
        name: &str,
        settings: String,
        place: Place,
        pace: Pace,
    ) -> Arc<KeySource> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|_, source| source.strong_count() > 0);
        if let Some(known) = sources.get(&settings).and_then(Weak::upgrade) {
            return known;
        }
        let before = sources.values().filter_map(Weak::upgrade).find(|known| known.name == name);
        let keys = before.map(|before| before.known()).unwrap_or_default();
        let source = Arc::new(KeySource {
            name: name.to_owned(),
            place,
            pace,
            keys: RwLock::new(keys),
            wanted: Arc::default(),
            is_kept_fresh: AtomicBool::new(false),
        });
        sources.insert(settings, Arc::downgrade(&source));
        source
    }

    /// Those that nobody keeps fresh yet, each of them once.
    pub(super) fn new_ones(&self) -> Vec<Arc<KeySource>> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = sources.values().filter_map(Weak::upgrade);
        all.filter(|source| !source.is_kept_fresh.swap(true, Ordering::Relaxed)).collect()
    }
}

/// One source.
#[derive(Debug)]
pub(crate) struct KeySource {
    name: String,
    place: Place,
    pace: Pace,
    keys: RwLock<Arc<Vec<Jwk>>>,
    /// A token named a key that is not known.
    wanted: Arc<Notify>,
    is_kept_fresh: AtomicBool,
}

impl Drop for KeySource {
    /// Ends what keeps it fresh.
    fn drop(&mut self) {
        self.wanted.notify_one();
    }
}

impl KeySource {
    /// Whether a token is signed with one of the keys.
    pub(super) fn check(&self, token: &Jwt<'_>) -> Result<(), JwtError> {
        let (id, algorithm) = (token.key_id.as_deref(), token.algorithm.as_str());
        if !is_served(algorithm) {
            return Err(JwtError::Algorithm(algorithm.to_owned()));
        }
        let keys = self.known();
        let mut fitting = keys.iter().filter(|key| key.may_have_signed(id, algorithm)).peekable();
        if fitting.peek().is_none() {
            self.wanted.notify_one();
            return Err(JwtError::Key);
        }
        match fitting.any(|key| has_signed(&key.material, token)) {
            true => Ok(()),
            false => Err(JwtError::Signature),
        }
    }

    fn known(&self) -> Arc<Vec<Jwk>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys of a file at once, so that they are there before the first login.
    pub(super) fn read_file(&self) -> Result<(), String> {
        let Place::File(path) = &self.place else { return Ok(()) };
        let text = std::fs::read_to_string(path);
        let taken = text.map_err(|error| error.to_string()).and_then(|text| self.take(&text));
        taken.map(drop).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Takes the keys of a set.
    pub(super) fn take(&self, text: &str) -> Result<usize, String> {
        let keys = Jwk::parse_set(text).ok_or("this is no set of JSON web keys")?;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    async fn read(&self) -> Result<usize, String> {
        let bytes = match &self.place {
            Place::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
                reading.map_err(|e| e.to_string())?.map_err(|error| error.to_string())?
            }
            Place::Http(url, tls) => fetch(url, tls.clone(), PATIENCE).await?,
        };
        self.take(std::str::from_utf8(&bytes).map_err(|_| "this is no text")?)
    }

    /// Reads the keys again and again until the node stops or nobody has the source any more.
    pub(crate) async fn keep_fresh(source: Weak<Self>, mut stop: watch::Receiver<bool>) {
        let mut pause = None;
        while !*stop.borrow() {
            let Some(source) = source.upgrade() else { return };
            let (first, longest) = source.pace.backoff;
            let next = match source.read().await {
                Ok(count) => {
                    tracing::debug!(
                        from = shown_address(&source.name),
                        count,
                        "keys that sign tokens were read"
                    );
                    pause = None;
                    source.pace.refresh
                }
                Err(error) => {
                    tracing::warn!(
                        from = shown_address(&source.name),
                        "no keys that sign tokens: {error}"
                    );
                    let now = pause.unwrap_or(first);
                    pause = Some(now.saturating_mul(2).min(longest));
                    now
                }
            };
            // Whoever waits does not keep the source.
            let wanted = Arc::clone(&source.wanted);
            drop(source);
            let waiting = async {
                sleep(PAUSE_MIN).await;
                tokio::select! {
                    () = sleep(next.saturating_sub(PAUSE_MIN)) => {}
                    () = wanted.notified() => {}
                }
            };
            tokio::select! {
                () = waiting => {}
                _ = stop.changed() => {}
            }
        }
    }
}

fn is_served(algorithm: &str) -> bool {
    rsa(algorithm).is_some() || matches!(algorithm, "ES256" | "ES384" | "EdDSA")
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn has_signed(key: &JwkMaterial, token: &Jwt<'_>) -> bool {
    let (text, proof) = (token.signed.as_bytes(), token.signature.as_slice());
    let verify = |kind: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(kind, key).verify(text, proof).is_ok()
    };
    // A key is good for its own kind of algorithm only.
    match (key, token.algorithm.as_str()) {
        (JwkMaterial::Rsa { n, e }, algorithm) => rsa(algorithm).is_some_and(|kind| {
            signature::RsaPublicKeyComponents { n, e }.verify(kind, text, proof).is_ok()
        }),
        (JwkMaterial::P256(point), "ES256") => verify(&signature::ECDSA_P256_SHA256_FIXED, point),
        (JwkMaterial::P384(point), "ES384") => verify(&signature::ECDSA_P384_SHA384_FIXED, point),
        (JwkMaterial::Ed25519(point), "EdDSA") => verify(&signature::ED25519, point),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, A.2 and A.3: a key, and a token signed with it.
    const RSA_KEY: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const EC_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const EC_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn source(keys: &[&str]) -> Arc<KeySource> {
        let pace = Pace { refresh: PATIENCE, backoff: (PAUSE_MIN, PATIENCE) };
        let (name, place) = ("test", Place::File(PathBuf::new()));
        let source = KeySources::default().source(name, name.to_owned(), place, pace);
        source.take(&format!("{{\"keys\":[{}]}}", keys.join(","))).unwrap();
        source
    }

    #[test]
    fn the_examples_of_the_rfc_hold_with_their_own_keys_only() {
        for (key, other, token) in [(RSA_KEY, EC_KEY, RSA_TOKEN), (EC_KEY, RSA_KEY, EC_TOKEN)] {
            let jwt = Jwt::parse(token).unwrap();
            assert_eq!(source(&[other, key]).check(&jwt), Ok(()));
            assert_eq!(source(&[other]).check(&jwt), Err(JwtError::Signature));
            assert_eq!(source(&[]).check(&jwt), Err(JwtError::Key));
            let (head, rest) = token.split_once('.').unwrap();
            let forged = format!("{head}.f{}", rest.get(1..).unwrap());
            let forged = Jwt::parse(&forged);
            assert!(forged.is_err() || source(&[key]).check(&forged.unwrap()).is_err());
        }
    }

    #[test]
    fn a_token_without_a_signature_is_never_taken() {
        let jwt = Jwt::parse("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.").unwrap();
        let refused = Err(JwtError::Algorithm("none".to_owned()));
        assert_eq!(source(&[RSA_KEY]).check(&jwt), refused);
    }

    #[test]
    fn listeners_share_what_is_set_alike_and_new_settings_begin_with_the_keys_that_are_known() {
        let sources = KeySources::default();
        let make = |settings: &str| {
            let pace = Pace { refresh: PATIENCE, backoff: (PAUSE_MIN, PATIENCE) };
            sources.source("url", settings.to_owned(), Place::File(PathBuf::new()), pace)
        };
        let first = make("url 1");
        assert!(Arc::ptr_eq(&first, &make("url 1")));
        assert_eq!(sources.new_ones().len(), 1);
        assert!(sources.new_ones().is_empty(), "its task runs already");
        first.take(&format!("{{\"keys\":[{RSA_KEY}]}}")).unwrap();
        let second = make("url 2");
        assert_eq!(second.check(&Jwt::parse(RSA_TOKEN).unwrap()), Ok(()));
        assert_eq!(sources.new_ones().len(), 1, "made while running, it is kept fresh as well");
        drop(first);
        make("url 3");
        assert_eq!(sources.0.lock().unwrap().len(), 2, "what nobody has any more is forgotten");
    }
}
