//! Just as much of DER as certificates and key stores need.
//!
//! Every reader takes what it reads off the front of the bytes, and is `None` if they are
//! something else. No length is believed that is not there.

/// One element: its tag and its contents.
pub(crate) type Element<'d> = (u8, &'d [u8]);

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// The first of what a structure has by number, with a tag of its own inside.
pub(crate) const FIRST: u8 = 0xa0;
/// The same, without one.
pub(crate) const FIRST_IMPLICIT: u8 = 0x80;

/// The contents of the next element, which must have this tag.
pub(crate) fn tagged<'d>(bytes: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    element(bytes).filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
}

/// The next element.
pub(crate) fn element<'d>(bytes: &mut &'d [u8]) -> Option<Element<'d>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        rest = after;
        digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
    };
    let (contents, after) = rest.split_at_checked(length)?;
    *bytes = after;
    Some((tag, contents))
}

/// The contents of a structure.
pub(crate) fn sequence<'d>(bytes: &mut &'d [u8]) -> Option<&'d [u8]> {
    tagged(bytes, SEQUENCE)
}

/// A number that is not negative and not large.
pub(crate) fn number(bytes: &mut &[u8]) -> Option<u32> {
    let digits = tagged(bytes, INTEGER)?;
    let small = digits.len() <= 5 && digits.first().is_some_and(|first| first & 0x80 == 0);
    let value = digits.iter().fold(0u64, |value, digit| value << 8 | u64::from(*digit));
    small.then_some(value).and_then(|value| u32::try_from(value).ok())
}

/// An algorithm: its id, and what is left of it are its parameters.
pub(crate) fn algorithm<'d>(bytes: &mut &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
    let mut inside = sequence(bytes)?;
    let id = tagged(&mut inside, OID)?;
    Some((id, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_structures_are_read_and_lies_are_not() {
        assert_eq!(number(&mut &[2, 2, 0x27, 0x10][..]), Some(10_000));
        assert_eq!(number(&mut &[2, 5, 0, 0xff, 0xff, 0xff, 0xff][..]), Some(u32::MAX));
        assert_eq!(number(&mut &[2, 1, 0xff][..]), None, "negative");
        assert_eq!(number(&mut &[2, 4, 1][..]), None, "shorter than it says");
        assert_eq!(number(&mut &[2, 0][..]), None, "empty");
        let mut bytes = &[0x30, 5, 6, 1, 7, 5, 0, 9][..];
        assert_eq!(algorithm(&mut bytes), Some((&[7][..], &[5, 0][..])));
        assert_eq!(bytes, [9]);
    }
}
