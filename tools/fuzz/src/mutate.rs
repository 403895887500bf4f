//! Changes to inputs: what bits, lengths, numbers and texts go wrong by.

use crate::random::Random;

/// Inputs do not grow beyond this.
pub(crate) const INPUT_MAX: usize = 64 << 10;
/// Changes made to one input at most.
const CHANGES_MAX: usize = 6;

/// Changes `input` a few times; `other` is another input, to take parts of.
pub(crate) fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(CHANGES_MAX) {
        change(random, input, other);
    }
    input.truncate(INPUT_MAX);
}

fn change(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    if input.is_empty() {
        input.push(random.byte());
        return;
    }
    let at = random.below(input.len());
    match random.below(12) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.byte(),
        2 => input[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        3 => input[at] = input[at].wrapping_add(random.pick(&[1, 2, 0xff, 0xfe])),
        4 => overwrite_number(random, input, at),
        5 => {
            let end = at + random.below((input.len() - at).min(64)) + 1;
            input.drain(at..end.min(input.len()));
        }
        6 => input.truncate(at),
        7 => {
            let end = (at + random.below(64) + 1).min(input.len());
            let part = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, part);
        }
        8 => {
            let bytes: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
            input.splice(at..at, bytes);
        }
        9 => take_part(random, input, other, at),
        10 => change_digit(random, input, at),
        _ => {
            let to = random.below(input.len());
            input.swap(at, to);
        }
    }
}

/// A number of 2, 4 or 8 bytes, or of variable length, at an edge.
fn overwrite_number(random: &mut Random, input: &mut Vec<u8>, at: usize) {
    let number = if random.once_in(3) {
        i64::try_from(input.len() - at).unwrap_or(0) + i64::from(random.byte() % 5) - 2
    } else {
        random.number()
    };
    let bytes = number.to_be_bytes();
    let bytes = match random.below(4) {
        0 => bytes[6..].to_vec(),
        1 => bytes[4..].to_vec(),
        2 => bytes.to_vec(),
        _ => {
            let mut left = number.cast_unsigned();
            let mut out = Vec::new();
            while left >= 0x80 {
                out.push(left.to_le_bytes()[0] | 0x80);
                left >>= 7;
            }
            out.push(left.to_le_bytes()[0]);
            out
        }
    };
    let end = (at + bytes.len()).min(input.len());
    input.splice(at..end, bytes);
}

fn take_part(random: &mut Random, input: &mut Vec<u8>, other: &[u8], at: usize) {
    if other.is_empty() {
        return;
    }
    let from = random.below(other.len());
    let end = (from + random.below(256) + 1).min(other.len());
    let part = &other[from..end];
    if random.once_in(2) {
        input.splice(at..at, part.iter().copied());
    } else {
        let to = (at + part.len()).min(input.len());
        input.splice(at..to, part.iter().copied());
    }
}

/// The next digit becomes another, as texts are made of them.
fn change_digit(random: &mut Random, input: &mut [u8], at: usize) {
    let digit = input[at..].iter_mut().find(|byte| byte.is_ascii_digit());
    if let Some(digit) = digit {
        *digit = random.pick(b"0123456789-.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_changes_an_input_the_same_way_and_inputs_stay_bounded() {
        let changed = |seed| {
            let mut random = Random::new(seed);
            let mut input = b"some input with 12 digits".to_vec();
            for _ in 0..2000 {
                mutate(&mut random, &mut input, b"another one");
                assert!(input.len() <= INPUT_MAX);
            }
            input
        };
        assert_eq!(changed(1), changed(1));
        assert_ne!(changed(1), changed(2));
    }
}
