//! Private keys of elliptic curves with their public halves.
//!
//! Java leaves the public half out of PKCS#8, and ring wants it there: it is taken from the
//! certificate.

use crate::der::{INTEGER, OCTETS, OID, SEQUENCE, algorithm, element, number, sequence, tagged};
use crate::names::public_key_of;

/// 1.2.840.10045.2.1
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// Where the public half stands.
const PUBLIC: u8 = 0xa1;

/// The key as ring takes it; as it was if it is of another kind, or whole.
pub(super) fn completed(key: Vec<u8>, certificate: Option<&Vec<u8>>) -> Vec<u8> {
    let whole = certificate.and_then(|certificate| with_public_half(&key, certificate));
    whole.unwrap_or(key)
}

fn with_public_half(mut key: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
    let mut whole = sequence(&mut key)?;
    number(&mut whole)?;
    let at = whole;
    let (id, mut curve) = algorithm(&mut whole)?;
    let kind = at.get(..at.len().checked_sub(whole.len())?)?;
    let named = tagged(&mut curve, OID);
    let mut inside = tagged(&mut whole, OCTETS)?;
    let mut private = sequence(&mut inside)?;
    number(&mut private)?;
    let secret = tagged(&mut private, OCTETS)?;
    while !private.is_empty() {
        if element(&mut private)?.0 == PUBLIC {
            return None;
        }
    }
    if id != EC_KEY || named.is_none() {
        return None;
    }
    // The bits are an element of their own there, too.
    let public = public_key_of(certificate)?;
    let private = [written(INTEGER, &[1]), written(OCTETS, secret), written(PUBLIC, public)];
    let private = written(SEQUENCE, &private.concat());
    let parts = [written(INTEGER, &[0]), kind.to_vec(), written(OCTETS, &private)];
    Some(written(SEQUENCE, &parts.concat()))
}

fn written(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let digits = length.to_be_bytes();
    let first = digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len());
    let digits = digits.get(first..).unwrap_or_default();
    let mut out = vec![tag];
    if length < 0x80 {
        out.extend(length.to_be_bytes().last());
    } else {
        out.extend(digits.len().to_be_bytes().last().map(|count| count | 0x80));
        out.extend(digits);
    }
    out.extend(contents);
    out
}
