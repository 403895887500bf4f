//! Stores that keytool of Java 17 and openssl 3 made, of one key (of key.der) and its certificate
//! that an authority (ca.der) vouches for.

use proptest::prelude::*;

use super::*;

const STORE: Option<&str> = Some("store-secret");
const KEY: Option<&str> = Some("key-secret");

/// A store and the password of its key.
const STORES: [(&[u8], Option<&str>); 4] = [
    (include_bytes!("testdata/key.jks"), KEY),
    // AES by keytool, 3DES and RC2 by an older one, AES by openssl.
    (include_bytes!("testdata/key.p12"), None),
    (include_bytes!("testdata/legacy.p12"), None),
    (include_bytes!("testdata/openssl.p12"), None),
];
const TRUST: [&[u8]; 2] =
    [include_bytes!("testdata/trust.jks"), include_bytes!("testdata/trust.p12")];
const CA: &[u8] = include_bytes!("testdata/ca.der");
/// Without its public half, as Java has it.
const BARE_KEY: &[u8] = include_bytes!("testdata/key.der");

#[test]
fn every_store_has_the_key_and_its_certificate_first() {
    let mut known: Option<KeyEntry> = None;
    for (bytes, key_password) in STORES {
        let store = read_store(bytes, STORE, key_password).unwrap();
        assert_eq!(store.keys.len(), 1, "{store:?}");
        let entry = store.keys.into_iter().next().unwrap();
        assert_eq!(crate::names::subject_of(&entry.chain[0]).as_deref(), Some("CN=own"));
        assert_eq!(entry.chain[1..], [CA.to_vec()]);
        assert!(store.certificates.is_empty());
        let known = known.get_or_insert_with(|| entry.clone());
        assert!(*known == entry);
        assert_eq!(entry.key.len(), BARE_KEY.len() + 71, "with the public half");
    }
}

#[test]
fn stores_of_certificates_have_no_keys() {
    for bytes in TRUST {
        let store = read_store(bytes, STORE, None).unwrap();
        assert_eq!((store.keys.len(), store.certificates), (0, vec![CA.to_vec()]));
    }
    let unchecked = read_store(TRUST[0], None, None).unwrap();
    assert_eq!(unchecked.certificates.len(), 1, "JKS tells certificates without a password");
}

#[test]
fn another_password_is_told() {
    for (bytes, key_password) in STORES {
        assert_eq!(read_store(bytes, Some("other"), key_password), Err(StoreError::Password));
    }
    let [(jks, _), (p12, _), ..] = STORES;
    assert_eq!(read_store(jks, STORE, Some("other")), Err(StoreError::KeyPassword));
    assert_eq!(read_store(p12, None, None), Err(StoreError::NoPassword));
    assert!(read_store(p12, STORE, Some("other")).is_ok(), "the store's own fits");
}

#[test]
fn an_encrypted_key_is_read_with_its_password() {
    let encrypted = include_bytes!("testdata/encrypted.der");
    assert_eq!(decrypted_key(encrypted, "key-secret").as_deref(), Ok(BARE_KEY));
    assert!(decrypted_key(encrypted, "other").is_err());
}

#[test]
fn what_is_no_store_is_refused() {
    assert_eq!(read_store(b"", STORE, None), Err(StoreError::Malformed));
    assert_eq!(read_store(b"-----BEGIN CERTIFICATE", STORE, None), Err(StoreError::Malformed));
    assert_eq!(read_store(&[0xce; 40], STORE, None), Err(StoreError::Jceks));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_store_is_never_taken_and_never_panics(
        which in 0..2usize, at in any::<prop::sample::Index>(), bit in 0..8u8,
    ) {
        let mut bytes = TRUST[which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Some bits of PKCS12 say nothing; the contents are what they were.
        let damaged = read_store(&bytes, STORE, None);
        prop_assert!(damaged.is_err() || damaged == read_store(TRUST[which], STORE, None));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_store(&bytes, None, None);
        let _ = read_store(&[&jks::MAGIC[..], &bytes].concat(), None, None);
        let _ = decrypted_key(&bytes, "x");
    }
}
