//! JKS: Java's own type of store until Java 9.
//!
//! Numbers are big-endian. Keys are hidden by a stream that SHA-1 makes of password and salt; at
//! the end stands a digest of the whole.

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use super::{KeyEntry, Store, StoreError, utf16};
use crate::der::{OCTETS, algorithm, sequence, tagged};

pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
pub(super) const MAGIC_JCEKS: [u8; 4] = [0xce, 0xce, 0xce, 0xce];
/// Between password and contents in the digest of the whole.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// 1.3.6.1.4.1.42.2.17.1.1, which hides keys.
const PROTECTOR: &[u8] = &[0x2b, 6, 1, 4, 1, 42, 2, 17, 1, 1];
const DIGEST_LEN: usize = 20;
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;

/// Takes things off the front.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn bytes(&mut self, count: usize) -> Result<&'b [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(StoreError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, StoreError> {
        let bytes = self.bytes(4)?.first_chunk().copied().unwrap_or_default();
        Ok(u32::from_be_bytes(bytes))
    }

    /// Bytes behind their length.
    fn block(&mut self) -> Result<&'b [u8], StoreError> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn text(&mut self) -> Result<&'b [u8], StoreError> {
        let bytes = self.bytes(2)?.first_chunk().copied().unwrap_or_default();
        self.bytes(u16::from_be_bytes(bytes).into())
    }

    fn certificate(&mut self, version: u32) -> Result<Vec<u8>, StoreError> {
        if version > 1 {
            // Its type: X.509, as there is no other.
            self.text()?;
        }
        Ok(self.block()?.to_vec())
    }
}

pub(super) fn read(
    bytes: &[u8],
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<Store, StoreError> {
    let at = bytes.len().checked_sub(DIGEST_LEN).ok_or(StoreError::Malformed)?;
    let (contents, digest) = bytes.split_at(at);
    if let Some(password) = password {
        let mut sha = Sha1::new_with_prefix(utf16(password));
        sha.update(WHITENER);
        sha.update(contents);
        if !bool::from(sha.finalize().as_slice().ct_eq(digest)) {
            return Err(StoreError::Password);
        }
    }
    let mut input = Input(contents);
    input.bytes(MAGIC.len())?;
    let version = input.number()?;
    let count = input.number()?;
    let mut store = Store::default();
    for _ in 0..count {
        let kind = input.number()?;
        // Name and date.
        input.text()?;
        input.bytes(8)?;
        match kind {
            KEY => {
                let hidden = input.block()?;
                let certificates = input.number()?;
                let mut chain = Vec::new();
                for _ in 0..certificates {
                    chain.push(input.certificate(version)?);
                }
                let password = key_password.or(password).ok_or(StoreError::NoPassword)?;
                store.keys.push(KeyEntry { key: shown(hidden, password)?, chain });
            }
            CERTIFICATE => store.certificates.push(input.certificate(version)?),
            _ => return Err(StoreError::Malformed),
        }
    }
    Ok(store)
}

/// The key in a hidden one.
fn shown(mut hidden: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let mut whole = sequence(&mut hidden).ok_or(StoreError::Malformed)?;
    let (id, _) = algorithm(&mut whole).ok_or(StoreError::Malformed)?;
    if id != PROTECTOR {
        return Err(StoreError::Cipher);
    }
    let protected = tagged(&mut whole, OCTETS).ok_or(StoreError::Malformed)?;
    let at = protected.len().checked_sub(DIGEST_LEN).ok_or(StoreError::Malformed)?;
    let (rest, check) = protected.split_at(at);
    let (salt, encrypted) = rest.split_at_checked(DIGEST_LEN).ok_or(StoreError::Malformed)?;
    let password = utf16(password);
    let digest = |more: &[u8]| -> [u8; DIGEST_LEN] {
        Sha1::new_with_prefix(&password).chain_update(more).finalize().into()
    };
    let mut mask = digest(salt);
    let mut key = Vec::with_capacity(encrypted.len());
    for piece in encrypted.chunks(DIGEST_LEN) {
        key.extend(piece.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        mask = digest(&mask);
    }
    match bool::from(digest(&key).ct_eq(check)) {
        true => Ok(key),
        false => Err(StoreError::KeyPassword),
    }
}
