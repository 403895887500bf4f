//! Java's key and trust stores: JKS and PKCS12, read from their bytes.
//!
//! Says what keys and certificates are in a store, no more: whoever asked decides what they are
//! for. Whether a store is whole is checked with its password; bytes that are no store are an
//! error, never a panic.

mod cipher;
mod ec;
mod jks;
mod pkcs12;

use std::fmt;

pub use cipher::decrypted_key;

/// What is in a store.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Store {
    /// Private keys.
    pub keys: Vec<KeyEntry>,
    /// Certificates that belong to none of the keys, in DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A private key with the certificate for it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// PKCS#8, in DER.
    pub key: Vec<u8>,
    /// Certificates in DER, its own first, then those that vouch for the one before.
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, certificates) = (self.keys.len(), self.certificates.len());
        f.debug_struct("Store").field("keys", &keys).field("certificates", &certificates).finish()
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// A store that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It is neither JKS nor PKCS12, or ends early.
    #[error("it is no store of type JKS or PKCS12, or it is damaged")]
    Malformed,
    /// It was made by another program than those known here.
    #[error("stores of type JCEKS are not served; write it anew as PKCS12 with keytool")]
    Jceks,
    /// The password is another, or bytes have changed.
    #[error("the password is wrong, or the store is damaged")]
    Password,
    /// The key has a password of its own.
    #[error("the password of the key is wrong")]
    KeyPassword,
    /// A key cannot be read without one.
    #[error("a password is needed")]
    NoPassword,
    /// It is encrypted by an algorithm that is not served.
    #[error("it is encrypted by an algorithm that is not served; write it anew with keytool")]
    Cipher,
}

/// Reads a store. Which of the two types it has is seen in its bytes, as Java sees it, too.
///
/// Without a password JKS is not checked, and of PKCS12 only what is not encrypted is read.
///
/// # Errors
/// If it cannot be read.
pub fn read_store(
    bytes: &[u8],
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<Store, StoreError> {
    let mut store = match bytes.first_chunk() {
        Some(&jks::MAGIC) => jks::read(bytes, password, key_password),
        Some(&jks::MAGIC_JCEKS) => Err(StoreError::Jceks),
        _ => pkcs12::read(bytes, password, key_password),
    }?;
    for entry in &mut store.keys {
        let key = std::mem::take(&mut entry.key);
        entry.key = ec::completed(key, entry.chain.first());
    }
    Ok(store)
}

/// As Java hands passwords to digests: two bytes for each unit.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests;
