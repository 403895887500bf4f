//! Delegation tokens as this node knows them: the secret that they are made with, and what logins
//! are checked by.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use naru_model::config::Secret;
use naru_security::sasl::{ScramHash, ScramKeys};
use naru_security::token::{token_hmac, token_keys, token_of_hmac};

/// Most tokens whose keys are kept: to make them takes milliseconds.
const KEPT_MAX: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tokens {
    secret: Option<Secret>,
    kept: Mutex<HashMap<(ScramHash, String), ScramKeys>>,
}

impl Tokens {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self { secret, kept: Mutex::default() }
    }

    /// Whether there can be tokens.
    pub(crate) const fn are_served(&self) -> bool {
        self.secret.is_some()
    }

    /// What whoever is given the token `id` gets to know.
    pub(crate) fn hmac(&self, id: &str) -> Option<Vec<u8>> {
        self.secret.as_ref().map(|secret| token_hmac(secret.reveal(), id))
    }

    /// Which of these ids belongs to what somebody knows.
    pub(crate) fn id_of<'i>(
        &self,
        hmac: &[u8],
        ids: impl Iterator<Item = &'i str>,
    ) -> Option<&'i str> {
        token_of_hmac(self.secret.as_ref()?.reveal(), hmac, ids)
    }

    /// What a login with the token `id` is checked by.
    pub(super) fn keys(&self, hash: ScramHash, id: &str) -> Option<ScramKeys> {
        let secret = self.secret.as_ref()?.reveal();
        let key = (hash, id.to_owned());
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().get(&key) {
            return Some(known.clone());
        }
        let keys = token_keys(hash, secret, id);
        let mut kept = kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, keys.clone());
        Some(keys)
    }
}
