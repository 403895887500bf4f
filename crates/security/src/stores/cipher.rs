//! How PKCS#8 and PKCS12 encrypt with passwords: PBES2 (RFC 8018), and the older ways of PKCS12
//! (RFC 7292, appendix B).

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecryptMut, InnerIvInit as _, KeyInit};
use des::TdesEde3;
use hmac::{Hmac, Mac};
use rc2::Rc2;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{StoreError, utf16};
use crate::der::{INTEGER, OCTETS, SEQUENCE, algorithm, number, sequence, tagged};

/// Most rounds that are done to make a key: a store cannot make its reader work for ever.
const ROUNDS_MAX: u32 = 2_000_000;

/// 1.2.840.113549.1.5.13 and .12
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
/// 1.2.840.113549.1.12.1.x
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];
const TRIPLE_DES: u8 = 3;
const RC2_128: u8 = 5;
const RC2_40: u8 = 6;
/// 1.2.840.113549.2.x: HMAC with a digest.
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
/// 1.2.840.113549.3.7
const DES_EDE3_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];
/// 2.16.840.1.101.3.4.1.x: AES in its modes.
const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
const AES_128_CBC: u8 = 2;
const AES_192_CBC: u8 = 22;
const AES_256_CBC: u8 = 42;

/// The digests that stores use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// Output and block length in bytes.
    const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Sha1 => (20, 64),
            Self::Sha256 => (32, 64),
            Self::Sha384 => (48, 128),
            Self::Sha512 => (64, 128),
        }
    }

    pub(super) fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        macro_rules! hmac {
            ($hash:ty) => {{
                let mac = <Hmac<$hash> as Mac>::new_from_slice(key);
                let mac = mac.expect("HMAC takes keys of any length");
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::Sha1 => hmac!(Sha1),
            Self::Sha256 => hmac!(Sha256),
            Self::Sha384 => hmac!(Sha384),
            Self::Sha512 => hmac!(Sha512),
        }
    }

    fn pbkdf2(self, password: &[u8], salt: &[u8], rounds: u32, key: &mut [u8]) {
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, key),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, key),
            Self::Sha384 => pbkdf2::pbkdf2_hmac::<Sha384>(password, salt, rounds, key),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, key),
        }
    }
}

/// What bytes made of a password are for, in PKCS12's own way of making them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// Bytes made of a password in PKCS12's own way (RFC 7292, B.2).
pub(super) fn pkcs12_bytes(
    hash: Hash,
    purpose: Purpose,
    (password, salt, rounds): (&str, &[u8], u32),
    count: usize,
) -> Vec<u8> {
    let (_, block) = hash.lengths();
    let mut password = utf16(password);
    password.extend([0, 0]);
    let filled = |bytes: &[u8]| -> Vec<u8> {
        let length = bytes.len().div_ceil(block) * block;
        bytes.iter().copied().cycle().take(length).collect()
    };
    let mut input = [filled(salt), filled(&password)].concat();
    #[expect(clippy::as_conversions, reason = "the numbers of an enum")]
    let diversifier = vec![purpose as u8; block];
    let mut out = Vec::new();
    while out.len() < count {
        let mut made = hash.digest(&[&diversifier[..], &input].concat());
        for _ in 1..rounds {
            made = hash.digest(&made);
        }
        let plus = filled(&made);
        let plus = plus.get(..block).unwrap_or_default().to_vec();
        for piece in input.chunks_mut(block) {
            // The piece becomes its sum with what was made, and one.
            let mut carry = 1;
            for (byte, add) in piece.iter_mut().zip(&plus).rev() {
                let sum = u16::from(*byte) + u16::from(*add) + carry;
                *byte = sum.to_be_bytes()[1];
                carry = sum >> 8;
            }
        }
        out.extend(made);
    }
    out.truncate(count);
    out
}

/// The private key in PKCS#8's encrypted form.
///
/// # Errors
/// If it is something else, or the password is wrong.
pub fn decrypted_key(mut encrypted: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let mut whole = sequence(&mut encrypted).ok_or(StoreError::Malformed)?;
    let cipher = algorithm(&mut whole).ok_or(StoreError::Malformed)?;
    let bytes = tagged(&mut whole, OCTETS).ok_or(StoreError::Malformed)?;
    let plain = decrypted(cipher, bytes, password)?;
    // A wrong password may leave bytes that end well.
    let is_key = sequence(&mut &plain[..]).is_some();
    if is_key { Ok(plain) } else { Err(StoreError::KeyPassword) }
}

/// What was encrypted by an algorithm with its parameters.
pub(super) fn decrypted(
    (id, mut parameters): (&[u8], &[u8]),
    bytes: &[u8],
    password: &str,
) -> Result<Vec<u8>, StoreError> {
    if id == PBES2 {
        return pbes2(sequence(&mut parameters).ok_or(StoreError::Malformed)?, bytes, password);
    }
    let Some(&[way]) = id.strip_prefix(PKCS12_PBE) else { return Err(StoreError::Cipher) };
    let mut parameters = sequence(&mut parameters).ok_or(StoreError::Malformed)?;
    let salt = tagged(&mut parameters, OCTETS).ok_or(StoreError::Malformed)?;
    let rounds = rounds(&mut parameters)?;
    let made = |purpose, count| pkcs12_bytes(Hash::Sha1, purpose, (password, salt, rounds), count);
    match way {
        TRIPLE_DES => cbc::<TdesEde3>(&made(Purpose::Key, 24), &made(Purpose::Iv, 8), bytes),
        RC2_128 | RC2_40 => {
            let length = if way == RC2_128 { 16 } else { 5 };
            let key = made(Purpose::Key, length);
            let cipher = Rc2::new_with_eff_key_len(&key, length * 8);
            let iv = made(Purpose::Iv, 8);
            let decryptor = Decryptor::inner_iv_slice_init(cipher, &iv);
            let decryptor = decryptor.map_err(|_| StoreError::Malformed)?;
            decryptor.decrypt_padded_vec_mut::<Pkcs7>(bytes).map_err(|_| StoreError::Password)
        }
        _ => Err(StoreError::Cipher),
    }
}

fn pbes2(mut parameters: &[u8], bytes: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let malformed = StoreError::Malformed;
    let (derivation, mut how) = algorithm(&mut parameters).ok_or(malformed)?;
    let (cipher, mut iv) = algorithm(&mut parameters).ok_or(malformed)?;
    if derivation != PBKDF2 {
        return Err(StoreError::Cipher);
    }
    let mut how = sequence(&mut how).ok_or(malformed)?;
    let salt = tagged(&mut how, OCTETS).ok_or(malformed)?;
    let rounds = rounds(&mut how)?;
    if how.first() == Some(&INTEGER) {
        // The length of the key is that of the cipher.
        number(&mut how).ok_or(malformed)?;
    }
    let hash = if how.first() == Some(&SEQUENCE) {
        let (id, _) = algorithm(&mut how).ok_or(malformed)?;
        match id.strip_prefix(HMAC) {
            Some([7]) => Hash::Sha1,
            Some([9]) => Hash::Sha256,
            Some([10]) => Hash::Sha384,
            Some([11]) => Hash::Sha512,
            _ => return Err(StoreError::Cipher),
        }
    } else {
        Hash::Sha1
    };
    let iv = tagged(&mut iv, OCTETS).ok_or(malformed)?;
    let key = |length: usize| {
        let mut key = vec![0; length];
        hash.pbkdf2(password.as_bytes(), salt, rounds, &mut key);
        key
    };
    if cipher == DES_EDE3_CBC {
        return cbc::<TdesEde3>(&key(24), iv, bytes);
    }
    match cipher.strip_prefix(AES) {
        Some([AES_128_CBC]) => cbc::<Aes128>(&key(16), iv, bytes),
        Some([AES_192_CBC]) => cbc::<Aes192>(&key(24), iv, bytes),
        Some([AES_256_CBC]) => cbc::<Aes256>(&key(32), iv, bytes),
        _ => Err(StoreError::Cipher),
    }
}

pub(super) fn rounds(parameters: &mut &[u8]) -> Result<u32, StoreError> {
    let rounds = number(parameters).ok_or(StoreError::Malformed)?;
    if (1..=ROUNDS_MAX).contains(&rounds) { Ok(rounds) } else { Err(StoreError::Malformed) }
}

fn cbc<C>(key: &[u8], iv: &[u8], bytes: &[u8]) -> Result<Vec<u8>, StoreError>
where
    C: BlockCipher + BlockDecryptMut + KeyInit,
{
    let cipher = C::new_from_slice(key).map_err(|_| StoreError::Malformed)?;
    let decryptor = Decryptor::inner_iv_slice_init(cipher, iv);
    let decryptor = decryptor.map_err(|_| StoreError::Malformed)?;
    decryptor.decrypt_padded_vec_mut::<Pkcs7>(bytes).map_err(|_| StoreError::Password)
}
