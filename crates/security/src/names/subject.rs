//! A certificate's subject as Java writes it: RFC 2253, the last attribute first.
//!
//! Reads just as much of the certificate's DER as leads to the subject. Nothing is trusted here:
//! whoever made the certificate has been checked before.

use std::net::IpAddr;

use crate::der::{Element, OCTETS, OID, SEQUENCE, SET, element, tagged};

const VERSION: u8 = 0xa0;
const BMP_STRING: u8 = 0x1e;
const EXTENSIONS: u8 = 0xa3;
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 29, 17];
/// Of the kinds of alternative names.
const IP_ADDRESS: u8 = 7;

/// Attribute types that RFC 2253 has words for, by their encoded ids.
const WORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The distinguished name of a certificate's subject; none if the bytes are no certificate.
pub fn subject_of(certificate: &[u8]) -> Option<String> {
    let mut outer = certificate;
    let mut whole = tagged(&mut outer, SEQUENCE)?;
    let mut inner = tagged(&mut whole, SEQUENCE)?;
    if inner.first() == Some(&VERSION) {
        element(&mut inner)?;
    }
    // Serial number, signature, issuer, validity.
    for _ in 0..4 {
        element(&mut inner)?;
    }
    let mut names = tagged(&mut inner, SEQUENCE)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let mut set = tagged(&mut names, SET)?;
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let mut attribute = tagged(&mut set, SEQUENCE)?;
            let id = tagged(&mut attribute, OID)?;
            let raw = attribute;
            let value = element(&mut attribute)?;
            attributes.push(written(id, value, raw)?);
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The alternative names of a certificate's subject, each with the number of its kind as Java
/// writes it; none if it has none.
pub fn alternatives_of(certificate: &[u8]) -> Vec<String> {
    names_in(certificate).unwrap_or_default()
}

fn names_in(certificate: &[u8]) -> Option<Vec<String>> {
    let mut outer = certificate;
    let mut whole = tagged(&mut outer, SEQUENCE)?;
    let mut inner = tagged(&mut whole, SEQUENCE)?;
    let mut extensions = loop {
        let (tag, contents) = element(&mut inner)?;
        if tag == EXTENSIONS {
            let mut contents = contents;
            break tagged(&mut contents, SEQUENCE)?;
        }
    };
    while !extensions.is_empty() {
        let mut extension = tagged(&mut extensions, SEQUENCE)?;
        if tagged(&mut extension, OID)? != ALTERNATIVE_NAMES {
            continue;
        }
        // Whether it is critical may stand before the value.
        let mut value = loop {
            if let (OCTETS, value) = element(&mut extension)? {
                break value;
            }
        };
        let mut names = tagged(&mut value, SEQUENCE)?;
        let mut all = Vec::new();
        while !names.is_empty() {
            let (tag, name) = element(&mut names)?;
            let kind = tag & 0x1f;
            let text = match kind {
                IP_ADDRESS => address(name),
                _ => String::from_utf8_lossy(name).into_owned(),
            };
            all.push(format!("[{kind}, {text}]"));
        }
        return Some(all);
    }
    None
}

fn address(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return IpAddr::from(four).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |all| IpAddr::from(all).to_string())
}

/// Whose certificate this is and who vouches for it: issuer and subject, as their bytes.
pub(crate) fn issuer_and_subject_of(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = certificate;
    let mut whole = tagged(&mut outer, SEQUENCE)?;
    let mut inner = tagged(&mut whole, SEQUENCE)?;
    if inner.first() == Some(&VERSION) {
        element(&mut inner)?;
    }
    // Serial number and signature come before, validity between.
    element(&mut inner)?;
    element(&mut inner)?;
    let issuer = tagged(&mut inner, SEQUENCE)?;
    element(&mut inner)?;
    Some((issuer, tagged(&mut inner, SEQUENCE)?))
}

/// The public key in a certificate: a string of bits as an element, whatever it is of.
pub(crate) fn public_key_of(certificate: &[u8]) -> Option<&[u8]> {
    let mut outer = certificate;
    let mut whole = tagged(&mut outer, SEQUENCE)?;
    let mut inner = tagged(&mut whole, SEQUENCE)?;
    if inner.first() == Some(&VERSION) {
        element(&mut inner)?;
    }
    // Serial number, signature, issuer, validity, subject.
    for _ in 0..5 {
        element(&mut inner)?;
    }
    let mut key = tagged(&mut inner, SEQUENCE)?;
    element(&mut key)?;
    Some(key)
}

fn written(id: &[u8], (tag, value): Element<'_>, raw: &[u8]) -> Option<String> {
    let word = WORDS.iter().find(|(known, _)| *known == id).map(|(_, word)| *word);
    let Some(word) = word else {
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        return Some(format!("{}=#{hex}", dotted(id)?));
    };
    let text = if tag == BMP_STRING {
        let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()?
    } else {
        match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            // Teletex strings are Latin-1 in practice.
            Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
        }
    };
    Some(format!("{word}={}", escaped(&text)))
}

fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let edge = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// An object id in numbers.
fn dotted(id: &[u8]) -> Option<String> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in id {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.extend([first, number - first * 40]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
    }
    Some(numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u8::try_from(contents.len()).unwrap();
        [&[tag, length][..], contents].concat()
    }

    fn attribute(id: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(SEQUENCE, &[der(OID, id), der(tag, value)].concat())
    }

    fn certificate(sets: &[Vec<u8>]) -> Vec<u8> {
        let names: Vec<u8> = sets.iter().flat_map(|set| der(SET, set)).collect();
        let filler = [der(2, &[1]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), der(SEQUENCE, &[])];
        let inner = [der(VERSION, &[2, 1, 2]), filler.concat(), der(SEQUENCE, &names)].concat();
        der(SEQUENCE, &der(SEQUENCE, &inner))
    }

    #[test]
    fn the_last_attribute_comes_first_and_specials_are_escaped() {
        let country = attribute(&[0x55, 4, 6], 0x13, b"DE");
        let organisation = attribute(&[0x55, 4, 10], 0x0c, b"A, B + \"C\"");
        let both = [
            attribute(&[0x55, 4, 3], 0x0c, b" al#ice "),
            attribute(&[0x55, 4, 11], 0x1e, &[0, b'o', 0, b'u']),
        ];
        let subject = subject_of(&certificate(&[country, organisation, both.concat()]));
        let expected = "CN=\\ al#ice\\ +OU=ou,O=A\\, B \\+ \\\"C\\\",C=DE";
        assert_eq!(subject.as_deref(), Some(expected));
    }

    #[test]
    fn attributes_without_a_word_are_numbers() {
        let email = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        let subject = subject_of(&certificate(&[attribute(&email, 0x16, b"a@b")]));
        assert_eq!(subject.as_deref(), Some("1.2.840.113549.1.9.1=#1603614062"));
    }

    #[test]
    fn alternative_names_tell_their_kind() {
        let names = [der(0x82, b"kafka1"), der(0x87, &[127, 0, 0, 1]), der(0x87, &[0; 16])];
        let value = der(OCTETS, &der(SEQUENCE, &names.concat()));
        let critical = der(1, &[0xff]);
        let other = der(SEQUENCE, &[der(OID, &[0x55, 29, 15]), der(OCTETS, &[1])].concat());
        let own = der(SEQUENCE, &[der(OID, ALTERNATIVE_NAMES), critical, value].concat());
        let extensions = der(EXTENSIONS, &der(SEQUENCE, &[other, own].concat()));
        let certificate = der(SEQUENCE, &der(SEQUENCE, &[der(2, &[1]), extensions].concat()));
        assert_eq!(alternatives_of(&certificate), ["[2, kafka1]", "[7, 127.0.0.1]", "[7, ::]"]);
        assert!(alternatives_of(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = subject_of(&bytes);
            let _ = alternatives_of(&bytes);
        }
    }
}
