//! Java's key stores, and keys in PKCS#8: whatever their bytes and lengths say, they are read or
//! refused.

use naru_security::stores::{decrypted_key, read_store};
use sha1::{Digest as _, Sha1};

use super::{Memory, Target};

/// What is read is copied once; the keys of ciphers are small.
const MEMORY: Memory = Memory { factor: 16, floor: 1 << 20 };
const PASSWORD: &str = "store-secret";
const KEY_PASSWORD: &str = "key-secret";
/// Rounds of making a key beyond which an input is not tried: each is paid for, and rightly.
const ROUNDS_MAX: u32 = 20_000;

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../../../../crates/security/src/stores/testdata/", $name))
    };
}

const SAMPLES: [&[u8]; 7] = [
    sample!("key.jks"),
    sample!("trust.jks"),
    sample!("key.p12"),
    sample!("legacy.p12"),
    sample!("openssl.p12"),
    sample!("trust.p12"),
    sample!("encrypted.der"),
];

/// See the module.
pub(super) fn targets() -> Vec<Target> {
    vec![Target {
        name: "key-stores",
        about: "JKS, PKCS12 and encrypted keys",
        make: Box::new(|random| random.pick(&SAMPLES).to_vec()),
        repair,
        take: Box::new(take),
        memory: MEMORY,
    }]
}

/// Gives JKS the digest that it should have; PKCS12 is read without its password as well.
#[expect(clippy::ptr_arg, reason = "the type of `Target::repair`: others change the length")]
fn repair(input: &mut Vec<u8>) {
    const DIGEST_LEN: usize = 20;
    let Some(at) = input.len().checked_sub(DIGEST_LEN) else { return };
    if !input.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
        return;
    }
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let digest = Sha1::new_with_prefix(password).chain_update(b"Mighty Aphrodite");
    let digest = digest.chain_update(&input[..at]).finalize();
    input[at..].copy_from_slice(&digest);
}

fn take(input: &[u8]) -> bool {
    if asks_for_many_rounds(input) {
        return false;
    }
    let whole = read_store(input, Some(PASSWORD), Some(KEY_PASSWORD));
    let bare = read_store(input, None, Some(PASSWORD));
    let key = decrypted_key(input, KEY_PASSWORD);
    whole.is_ok() || bare.is_ok() || key.is_ok()
}

/// Whether any number in DER is greater than what is tried.
fn asks_for_many_rounds(input: &[u8]) -> bool {
    const INTEGER: u8 = 2;
    let is_great = |rest: &[u8]| {
        let [INTEGER, len @ 3..=5, number @ ..] = rest else { return false };
        let number = number.iter().take(usize::from(*len));
        let number = number.fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        number > u64::from(ROUNDS_MAX)
    };
    (0..input.len()).any(|at| is_great(&input[at..]))
}
