//! PKCS12 (RFC 7292), as keytool and openssl write it: protected by a password.

use subtle::ConstantTimeEq as _;

use super::cipher::{Hash, Purpose, decrypted, decrypted_key, pkcs12_bytes, rounds};
use super::{KeyEntry, Store, StoreError};
use crate::der::{
    FIRST, FIRST_IMPLICIT, INTEGER, OCTETS, OID, SEQUENCE, SET, algorithm, element, number,
    sequence, tagged,
};
use crate::names::issuer_and_subject_of;

/// 1.2.840.113549.1.7.1 and .6
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
/// 1.2.840.113549.1.12.10.1.x: what a bag holds.
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];
const KEY: u8 = 1;
const ENCRYPTED_KEY: u8 = 2;
const CERTIFICATE: u8 = 3;
/// 1.2.840.113549.1.9.22.1
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
/// 1.2.840.113549.1.9.21: what a key and its certificate have in common.
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 21];
/// 1.3.14.3.2.26
const SHA1: &[u8] = &[0x2b, 14, 3, 2, 26];
/// 2.16.840.1.101.3.4.2.x
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];

/// Something with the mark of the key that it belongs to.
struct Marked {
    bytes: Vec<u8>,
    mark: Option<Vec<u8>>,
}

/// What the bags of a store hold.
#[derive(Default)]
struct Bags {
    keys: Vec<Marked>,
    certificates: Vec<Marked>,
}

/// The passwords of a store and of its keys.
#[derive(Clone, Copy)]
struct Passwords<'p> {
    store: Option<&'p str>,
    key: Option<&'p str>,
}

pub(super) fn read(
    mut bytes: &[u8],
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<Store, StoreError> {
    let malformed = StoreError::Malformed;
    let mut whole = sequence(&mut bytes).ok_or(malformed)?;
    number(&mut whole).ok_or(malformed)?;
    let (id, contents) = content(&mut whole).ok_or(malformed)?;
    if id != DATA {
        // A signature protects it instead of a password.
        return Err(StoreError::Cipher);
    }
    let contents = tagged(&mut &contents[..], OCTETS).ok_or(malformed)?;
    if let (Some(password), Some(mac)) = (password, sequence(&mut whole)) {
        check(mac, contents, password)?;
    }
    let passwords = Passwords { store: password, key: key_password };
    let mut bags = Bags::default();
    let mut safes = sequence(&mut &contents[..]).ok_or(malformed)?;
    while !safes.is_empty() {
        let (id, safe) = content(&mut safes).ok_or(malformed)?;
        if id == DATA {
            let plain = tagged(&mut &safe[..], OCTETS).ok_or(malformed)?;
            read_bags(plain, passwords, &mut bags)?;
        } else if id == ENCRYPTED_DATA {
            // Without a password Java, too, shows only what is not encrypted.
            let Some(password) = password else { continue };
            read_bags(&decrypted_safe(safe, password)?, passwords, &mut bags)?;
        } else {
            return Err(StoreError::Cipher);
        }
    }
    Ok(joined(bags))
}

/// The kind of some contents, and what is in them.
fn content<'d>(bytes: &mut &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
    let mut inside = sequence(bytes)?;
    Some((tagged(&mut inside, OID)?, tagged(&mut inside, FIRST)?))
}

/// Whether the store is as it was written by whoever knew the password.
fn check(mut mac: &[u8], contents: &[u8], password: &str) -> Result<(), StoreError> {
    let malformed = StoreError::Malformed;
    let mut digest = sequence(&mut mac).ok_or(malformed)?;
    let (id, _) = algorithm(&mut digest).ok_or(malformed)?;
    let expected = tagged(&mut digest, OCTETS).ok_or(malformed)?;
    let salt = tagged(&mut mac, OCTETS).ok_or(malformed)?;
    let rounds = if mac.first() == Some(&INTEGER) { rounds(&mut mac)? } else { 1 };
    let (hash, length) = match id.strip_prefix(SHA2) {
        _ if id == SHA1 => (Hash::Sha1, 20),
        Some([1]) => (Hash::Sha256, 32),
        Some([2]) => (Hash::Sha384, 48),
        Some([3]) => (Hash::Sha512, 64),
        _ => return Err(StoreError::Cipher),
    };
    let key = pkcs12_bytes(hash, Purpose::Mac, (password, salt, rounds), length);
    match bool::from(hash.hmac(&key, contents).ct_eq(expected)) {
        true => Ok(()),
        false => Err(StoreError::Password),
    }
}

fn decrypted_safe(mut safe: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let malformed = StoreError::Malformed;
    let mut inside = sequence(&mut safe).ok_or(malformed)?;
    number(&mut inside).ok_or(malformed)?;
    let mut encrypted = sequence(&mut inside).ok_or(malformed)?;
    tagged(&mut encrypted, OID).ok_or(malformed)?;
    let cipher = algorithm(&mut encrypted).ok_or(malformed)?;
    let bytes = tagged(&mut encrypted, FIRST_IMPLICIT).ok_or(malformed)?;
    decrypted(cipher, bytes, password)
}

fn read_bags(mut bytes: &[u8], passwords: Passwords<'_>, to: &mut Bags) -> Result<(), StoreError> {
    let malformed = StoreError::Malformed;
    let mut all = sequence(&mut bytes).ok_or(malformed)?;
    while !all.is_empty() {
        let mut bag = sequence(&mut all).ok_or(malformed)?;
        let id = tagged(&mut bag, OID).ok_or(malformed)?;
        let value = tagged(&mut bag, FIRST).ok_or(malformed)?;
        let mark = mark_of(bag);
        match id.strip_prefix(BAG) {
            Some([KEY]) => to.keys.push(Marked { bytes: value.to_vec(), mark }),
            Some([ENCRYPTED_KEY]) => {
                let Passwords { store, key } = passwords;
                let mut known = [key, store].into_iter().flatten();
                let first = known.next().ok_or(StoreError::NoPassword)?;
                let tried = decrypted_key(value, first);
                // A key of PKCS12 mostly has the password of its store.
                let bytes = match (tried, known.next()) {
                    (Err(_), Some(second)) => decrypted_key(value, second),
                    (tried, _) => tried,
                };
                let bytes = bytes.map_err(|error| match error {
                    StoreError::Password => StoreError::KeyPassword,
                    other => other,
                })?;
                to.keys.push(Marked { bytes, mark });
            }
            Some([CERTIFICATE]) => {
                let mut inside = sequence(&mut &value[..]).ok_or(malformed)?;
                if tagged(&mut inside, OID).ok_or(malformed)? == X509 {
                    let mut wrapped = tagged(&mut inside, FIRST).ok_or(malformed)?;
                    let bytes = tagged(&mut wrapped, OCTETS).ok_or(malformed)?.to_vec();
                    to.certificates.push(Marked { bytes, mark });
                }
            }
            // Lists of what was taken back, secrets and the like.
            _ => {}
        }
    }
    Ok(())
}

/// The mark of the key that a bag belongs to, among its attributes.
fn mark_of(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut attributes = tagged(&mut rest, SET)?;
    while !attributes.is_empty() {
        let mut attribute = tagged(&mut attributes, SEQUENCE)?;
        let id = tagged(&mut attribute, OID)?;
        let mut values = tagged(&mut attribute, SET)?;
        if id == LOCAL_KEY_ID {
            return element(&mut values).map(|(_, value)| value.to_vec());
        }
    }
    None
}

/// Gives each key its certificate and those that vouch for it.
fn joined(Bags { keys, certificates }: Bags) -> Store {
    let mut left: Vec<Marked> = certificates;
    let mut store = Store::default();
    let has_keys = !keys.is_empty();
    for key in keys {
        let own = left.iter().position(|one| one.mark.is_some() && one.mark == key.mark);
        // A store of one key may do without marks.
        let own = own.or_else(|| (!left.is_empty()).then_some(0));
        let mut chain: Vec<Vec<u8>> = own.map(|at| left.remove(at).bytes).into_iter().collect();
        while let Some((issuer, subject)) =
            chain.last().and_then(|last| issuer_and_subject_of(last))
            && issuer != subject
        {
            let vouches = |one: &Marked| {
                issuer_and_subject_of(&one.bytes).is_some_and(|(_, subject)| subject == issuer)
            };
            let Some(at) = left.iter().position(vouches) else { break };
            let next = left.remove(at).bytes;
            chain.push(next);
        }
        store.keys.push(KeyEntry { key: key.bytes, chain });
    }
    // Beside keys only what is marked by nobody is trusted.
    let trusted = left.into_iter().filter(|one| !has_keys || one.mark.is_none());
    store.certificates = trusted.map(|one| one.bytes).collect();
    store
}
