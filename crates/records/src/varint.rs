//! Zigzag varints as Kafka's records use them: at most 5 bytes for 32 bits, 10 for 64.

/// Reads a 32-bit varint at `at`; returns the value and the position after it.
#[inline]
pub(crate) fn read_i32(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((zigzag_32(u32::from(first)), at + 1));
    }
    let mut raw = u32::from(first & 0x7f);
    for step in 1..5 {
        let byte = *bytes.get(at + step)?;
        raw |= u32::from(byte & 0x7f) << (7 * step);
        if byte < 0x80 {
            return Some((zigzag_32(raw), at + step + 1));
        }
    }
    None
}

/// Reads a 64-bit varint at `at`; returns the value and the position after it.
#[inline]
pub(crate) fn read_i64(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((zigzag_64(u64::from(first)), at + 1));
    }
    let mut raw = u64::from(first & 0x7f);
    for step in 1..10 {
        let byte = *bytes.get(at + step)?;
        raw |= u64::from(byte & 0x7f) << (7 * step);
        if byte < 0x80 {
            return Some((zigzag_64(raw), at + step + 1));
        }
    }
    None
}

/// Undoes zigzag on 32 bits.
#[inline]
pub(crate) fn zigzag_32(raw: u32) -> i32 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// Undoes zigzag on 64 bits.
#[inline]
pub(crate) fn zigzag_64(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// Appends a varint; a 32-bit value has the same bytes as its 64-bit one.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push((raw & 0x7f) as u8);
}

/// How many bytes [`write`] takes for `value`.
#[inline]
pub(crate) fn len(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    ((70 - (raw | 1).leading_zeros()) / 7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_kafkas() {
        for (value, bytes) in [
            (0i64, vec![0u8]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![0x7e]),
            (-64, vec![0x7f]),
            (64, vec![0x80, 1]),
            (8192, vec![0x80, 0x80, 1]),
            (i64::from(i32::MAX), vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn an_unending_varint_is_refused() {
        assert_eq!(read_i32(&[0x80; 9], 0), None);
        assert_eq!(read_i64(&[0x80; 19], 0), None);
        assert_eq!(read_i64(&[], 0), None);
        assert_eq!(read_i64(&[0x80], 0), None);
    }

    proptest! {
        #[test]
        fn round_trips_with_the_length_foretold(value: i64, small: i32) {
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            prop_assert_eq!(read_i64(&out, 0), Some((value, out.len())));
            out.clear();
            write(&mut out, i64::from(small));
            prop_assert_eq!(read_i32(&out, 0), Some((small, out.len())));
        }
    }
}
