//! SASL mechanisms, both sides of each, as Kafka speaks them.
//!
//! A side takes the other's bytes and gives its own; it never asks where passwords or keys come
//! from. Secrets are compared in constant time.

mod jwks;
mod mechanism;
mod oauth;
mod plain;
mod scram;

pub use jwks::{Jwk, JwkMaterial};
pub use mechanism::Mechanism;
pub use oauth::{
    Claims, Jwt, JwtError, JwtRules, OAUTH_ACKNOWLEDGED, OAuthServer, OAuthStep,
    oauth_first_message,
};
pub use plain::{PlainLogin, plain_message, same_secret};
pub use scram::{
    ITERATIONS_MAX, ScramClient, ScramHash, ScramKeys, ScramServer, ScramStart, scram_keys,
    scram_keys_of,
};

/// A login that fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Whoever logs in is told exactly this.
    #[error("{0}")]
    Told(String),
    /// Whoever logs in is told no more than that it failed.
    #[error("{0}")]
    Untold(&'static str),
}
