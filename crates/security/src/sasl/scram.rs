//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, 7677), without channel binding.
//!
//! A server knows two keys of a password, not the password; a client proves that it knows it, and
//! the server that it has the keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::{SaslError, same_secret};

/// The hash of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScramHash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Iterations above which Kafka takes a credential for a mistake.
pub const ITERATIONS_MAX: i32 = 16_384;
/// The header of a client that binds no channel.
const NO_BINDING: &str = "n,,";
/// Longest name and nonce that are looked at.
const PART_MAX: usize = 4096;

impl ScramHash {
    /// The mechanism's number in requests and records.
    pub const fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The mechanism of a number.
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The fewest iterations that a credential may have.
    pub const fn iterations_min(self) -> i32 {
        4096
    }

    /// H(bytes).
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// HMAC(key, text).
    pub fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        const ANY_KEY: &str = "HMAC takes keys of every length";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_KEY);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_KEY);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// Hi(password, salt, iterations).
    pub fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        }
    }
}

/// What a server keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Makes equal passwords differ.
    pub salt: Vec<u8>,
    /// How often the hash is applied.
    pub iterations: i32,
    /// Checks a client's proof.
    pub stored_key: Vec<u8>,
    /// Makes the server's own.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The keys of a password.
pub fn scram_keys(hash: ScramHash, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let salted = hash.salted(password.as_bytes(), salt, iterations);
    scram_keys_of(hash, &salted, salt, i32::try_from(iterations).unwrap_or(i32::MAX))
}

/// The keys of a salted password.
pub fn scram_keys_of(hash: ScramHash, salted: &[u8], salt: &[u8], iterations: i32) -> ScramKeys {
    ScramKeys {
        salt: salt.to_vec(),
        iterations,
        stored_key: hash.digest(&hash.hmac(salted, b"Client Key")),
        server_key: hash.hmac(salted, b"Server Key"),
    }
}

/// A client's first message: whose keys are to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramStart {
    /// The user, or the id of a delegation token.
    pub name: String,
    /// Whether it logs in with a delegation token (KIP-48).
    pub token: bool,
    nonce: String,
    bare: String,
}

impl ScramStart {
    /// Reads `n,[a=authorization],n=name,r=nonce[,extensions]`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(message: &[u8]) -> Result<Self, SaslError> {
        let bad = || SaslError::Untold("not a first message of SCRAM");
        let text = std::str::from_utf8(message).map_err(|_| bad())?;
        let text = text.strip_prefix("n,").ok_or_else(bad)?;
        let (authorization, bare) = text.split_once(',').ok_or_else(bad)?;
        let mut parts = bare.split(',');
        let name = parts.next().and_then(|part| part.strip_prefix("n=")).ok_or_else(bad)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(bad)?;
        let token = parts.any(|part| part == "tokenauth=true");
        let printable = |c: char| ('\u{21}'..='\u{7e}').contains(&c);
        if nonce.is_empty() || !nonce.chars().all(printable) || text.len() > PART_MAX {
            return Err(bad());
        }
        let name = unescape(name).filter(|name| !name.is_empty()).ok_or_else(bad)?;
        if let Some(id) = authorization.strip_prefix("a=")
            && unescape(id).as_ref() != Some(&name)
        {
            return Err(SaslError::Told(
                "Authentication failed: Client requested an authorization id that is different \
                 from username"
                    .to_owned(),
            ));
        }
        Ok(Self { name, token, nonce: nonce.to_owned(), bare: bare.to_owned() })
    }
}

/// A server that has sent its challenge.
#[derive(Debug, Clone)]
pub struct ScramServer {
    hash: ScramHash,
    keys: ScramKeys,
    nonce: String,
    /// Both first messages.
    so_far: String,
}

impl ScramServer {
    /// Answers a first message; `random` is this side's nonce, of printable characters without
    /// commas.
    pub fn start(
        hash: ScramHash,
        start: &ScramStart,
        keys: ScramKeys,
        random: &str,
    ) -> (Self, Vec<u8>) {
        let nonce = format!("{}{random}", start.nonce);
        let first = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        let so_far = format!("{},{first}", start.bare);
        (Self { hash, keys, nonce, so_far }, first.into_bytes())
    }

    /// Judges a client's proof; the server's own proof if it is good.
    ///
    /// # Errors
    /// If it is not.
    pub fn finish(&self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        let bad = || SaslError::Untold("not a final message of SCRAM");
        let text = std::str::from_utf8(message).map_err(|_| bad())?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(bad)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or_else(bad)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(bad)?;
        // Of a header with an authorization id everything was judged before.
        let header = BASE64.decode(binding).map_err(|_| bad())?;
        if !header.starts_with(b"n,") || nonce != self.nonce {
            return Err(SaslError::Untold("another nonce"));
        }
        let proof = BASE64.decode(proof).map_err(|_| bad())?;
        let auth = format!("{},{without_proof}", self.so_far);
        let signature = self.hash.hmac(&self.keys.stored_key, auth.as_bytes());
        if proof.len() != signature.len() {
            return Err(bad());
        }
        let key = self.hash.digest(&xor(&proof, &signature));
        if !same_secret(&key, &self.keys.stored_key) {
            return Err(SaslError::Untold("another password"));
        }
        let own = self.hash.hmac(&self.keys.server_key, auth.as_bytes());
        Ok(format!("v={}", BASE64.encode(own)).into_bytes())
    }
}

/// A client that has sent its first message.
#[derive(Clone)]
pub struct ScramClient {
    hash: ScramHash,
    password: String,
    nonce: String,
    bare: String,
    server_proof: Option<Vec<u8>>,
}

impl fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramClient").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl ScramClient {
    /// Begins; `token` if name and password are those of a delegation token.
    pub fn start(
        hash: ScramHash,
        name: &str,
        password: &str,
        token: bool,
        random: &str,
    ) -> (Self, Vec<u8>) {
        let extension = if token { ",tokenauth=true" } else { "" };
        let bare = format!("n={},r={random}{extension}", escape(name));
        let first = format!("{NO_BINDING}{bare}").into_bytes();
        let this = Self {
            hash,
            password: password.to_owned(),
            nonce: random.to_owned(),
            bare,
            server_proof: None,
        };
        (this, first)
    }

    /// Answers the server's challenge.
    ///
    /// # Errors
    /// If it is none.
    pub fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let bad = || SaslError::Untold("the server's first message is none of SCRAM");
        let text = std::str::from_utf8(challenge).map_err(|_| bad())?;
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or_else(bad)?;
        let salt = part("s=").and_then(|salt| BASE64.decode(salt).ok()).ok_or_else(bad)?;
        let iterations: i32 = part("i=").and_then(|i| i.parse().ok()).ok_or_else(bad)?;
        let in_bounds = (self.hash.iterations_min()..=1_000_000).contains(&iterations);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || !in_bounds {
            return Err(SaslError::Untold("the server's challenge cannot be trusted"));
        }
        let iterations = iterations.unsigned_abs();
        let salted = self.hash.salted(self.password.as_bytes(), &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let header = BASE64.encode(NO_BINDING);
        let without_proof = format!("c={header},r={nonce}");
        let auth = format!("{},{text},{without_proof}", self.bare);
        let signature = self.hash.hmac(&self.hash.digest(&client_key), auth.as_bytes());
        let server_key = self.hash.hmac(&salted, b"Server Key");
        self.server_proof = Some(self.hash.hmac(&server_key, auth.as_bytes()));
        let proof = BASE64.encode(xor(&client_key, &signature));
        Ok(format!("{without_proof},p={proof}").into_bytes())
    }

    /// Judges the server's proof.
    ///
    /// # Errors
    /// If the server does not know the password's keys.
    pub fn judge(&self, message: &[u8]) -> Result<(), SaslError> {
        let proof = message.strip_prefix(b"v=").and_then(|proof| BASE64.decode(proof).ok());
        match (&self.server_proof, proof) {
            (Some(expected), Some(proof)) if same_secret(expected, &proof) => Ok(()),
            _ => Err(SaslError::Untold("the server does not know the password")),
        }
    }
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

/// A name as it goes between commas.
fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn unescape(name: &str) -> Option<String> {
    let plain = name.replace("=2C", ",").replace("=3D", "\u{0}");
    (!plain.contains('=')).then(|| plain.replace('\u{0}', "="))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_rfc_holds_on_both_sides() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = scram_keys(ScramHash::Sha256, "pencil", &salt, 4096);
        let (mut client, first) =
            ScramClient::start(ScramHash::Sha256, "user", "pencil", false, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let start = ScramStart::parse(&first).unwrap();
        assert_eq!((start.name.as_str(), start.token), ("user", false));
        let (server, challenge) =
            ScramServer::start(ScramHash::Sha256, &start, keys, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let proof = client.prove(&challenge).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(std::str::from_utf8(&proof), Ok(expected));
        let answer = server.finish(&proof).unwrap();
        assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(client.judge(&answer), Ok(()));
        assert!(client.judge(b"v=AAAA").is_err());
    }

    #[test]
    fn another_password_or_nonce_is_refused() {
        for hash in [ScramHash::Sha256, ScramHash::Sha512] {
            let keys = scram_keys(hash, "right", b"salt", 4096);
            let (mut client, first) = ScramClient::start(hash, "u,=v", "wrong", false, "abc");
            let start = ScramStart::parse(&first).unwrap();
            assert_eq!(start.name, "u,=v");
            let (server, challenge) = ScramServer::start(hash, &start, keys, "def");
            let proof = client.prove(&challenge).unwrap();
            assert_eq!(server.finish(&proof), Err(SaslError::Untold("another password")));
            let text = String::from_utf8(proof).unwrap().replace("r=abcdef", "r=abcdeg");
            assert_eq!(server.finish(text.as_bytes()), Err(SaslError::Untold("another nonce")));
        }
    }

    #[test]
    fn messages_that_are_none_are_refused() {
        for bad in ["", "n,,", "n,,n=a", "n,,r=a,n=b", "y,,n=a,r=b", "n,,n=,r=b", "n,,n=a=b,r=c"] {
            assert!(ScramStart::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(ScramStart::parse(b"n,a=other,n=user,r=b").is_err());
        assert!(ScramStart::parse(b"n,a=user,n=user,r=b").is_ok());
        assert!(ScramStart::parse(b"n,,n=id,r=b,tokenauth=true").unwrap().token);
    }
}
