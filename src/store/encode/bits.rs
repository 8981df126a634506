//! The three ways in which page bodies pack integers: bit-packed and run-length hybrid, and binary-packed deltas.
//!
//! Layouts: Apache Parquet, "Encodings".

/// The number of bits that hold the keys `0..count`.
pub fn width_of(count: usize) -> u8 {
    (usize::BITS - count.saturating_sub(1).leading_zeros()) as u8
}

/// Appends an unsigned LEB128 integer.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)) as u64, out);
}

/// From this length on, equal neighbours are written as a run.
const MIN_RUN: usize = 16;

/// Appends keys in the run-length and bit-packed hybrid; the width itself is the caller's to write.
pub fn hybrid(keys: &[u32], width: u8, out: &mut Vec<u8>) {
    let mut rest = keys;
    while !rest.is_empty() {
        let literal = literal_length(rest);
        let (packed, after) = rest.split_at(literal);
        if !packed.is_empty() {
            varint(((packed.len().div_ceil(8) as u64) << 1) | 1, out);
            pack(packed, width, out);
        }
        rest = after;
        if let Some(&value) = rest.first() {
            let length = rest.iter().take_while(|key| **key == value).count();
            varint((length as u64) << 1, out);
            out.extend(value.to_le_bytes().iter().take(usize::from(width).div_ceil(8)));
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// How many keys to bit-pack before the next run: all of them, or a multiple of eight.
fn literal_length(keys: &[u32]) -> usize {
    let (groups, _) = keys.as_chunks::<8>();
    let mut at = 0;
    for pair in groups.windows(MIN_RUN / 8) {
        let value = pair[0][0];
        if pair[1][7] == value && pair.iter().flatten().all(|key| *key == value) {
            return at;
        }
        at += 8;
    }
    keys.len()
}

/// Appends keys bit-packed, filled up with zeros to a multiple of eight.
///
/// Each width has its own code, in which every shift is a constant: eight keys do not wait for one another.
fn pack(keys: &[u32], width: u8, out: &mut Vec<u8>) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => pack_width::<$width>(keys, out),)*
                _ => {}
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

fn pack_width<const WIDTH: usize>(keys: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    let (eights, rest) = keys.as_chunks::<8>();
    out.resize(start + keys.len().div_ceil(8) * WIDTH, 0);
    let (places, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<WIDTH>();
    for (place, eight) in places.iter_mut().zip(eights) {
        *place = pack_eight(eight);
    }
    if !rest.is_empty()
        && let Some(place) = places.last_mut()
    {
        let mut eight = [0; 8];
        eight.iter_mut().zip(rest).for_each(|(place, key)| *place = *key);
        *place = pack_eight(&eight);
    }
}

/// Eight keys of so many bits in as many bytes.
#[inline(always)]
fn pack_eight<const WIDTH: usize>(keys: &[u32; 8]) -> [u8; WIDTH] {
    let mut bytes = [0u8; WIDTH];
    if WIDTH <= 16 {
        let half = |keys: &[u32]| {
            keys.iter().enumerate().fold(0u64, |word, (at, key)| word | u64::from(*key) << (at * WIDTH))
        };
        let (low, high) = keys.split_at(4);
        let word = u128::from(half(low)) | u128::from(half(high)) << (4 * WIDTH);
        bytes.iter_mut().zip(word.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        return bytes;
    }
    let (mut word, mut filled, mut at) = (0u64, 0, 0);
    for &key in keys {
        word |= u64::from(key) << filled;
        filled += WIDTH;
        if filled >= 32 {
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&(word as u32).to_le_bytes());
            }
            word >>= 32;
            filled -= 32;
            at += 4;
        }
    }
    let left = bytes.get_mut(at..).unwrap_or_default();
    left.iter_mut().zip(word.to_le_bytes()).for_each(|(place, byte)| *place = byte);
    bytes
}

const BLOCK: usize = 128;
const MINI_BLOCK: usize = 32;

/// Appends integers as binary-packed deltas.
pub fn delta(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINI_BLOCK) as u64, out);
    varint(values.len() as u64, out);
    let Some((&first, rest)) = values.split_first() else {
        zigzag(0, out);
        return;
    };
    zigzag(first, out);
    let mut previous = first;
    let mut deltas = [0i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        for (place, &value) in deltas.iter_mut().zip(block) {
            *place = value.wrapping_sub(previous);
            previous = value;
        }
        let deltas = deltas.get(..block.len()).unwrap_or_default();
        let least = deltas.iter().copied().min().unwrap_or(0);
        zigzag(least, out);
        let minis = deltas.chunks(MINI_BLOCK);
        let mut widths = [0u8; BLOCK / MINI_BLOCK];
        for (width, mini) in widths.iter_mut().zip(minis.clone()) {
            let all = mini.iter().fold(0u64, |all, delta| all | delta.wrapping_sub(least) as u64);
            *width = (u64::BITS - all.leading_zeros()) as u8;
        }
        out.extend_from_slice(&widths);
        for (width, mini) in widths.iter().zip(minis) {
            pack_mini(mini, least, *width, out);
        }
    }
}

fn pack_mini(mini: &[i64], least: i64, width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let start = out.len();
    let mut word = 0u128;
    let mut filled = 0;
    for delta in mini {
        word |= u128::from(delta.wrapping_sub(least) as u64) << filled;
        filled += u32::from(width);
        if filled >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            filled -= 64;
        }
    }
    out.extend(word.to_le_bytes().iter().take(filled.div_ceil(8) as usize));
    out.resize(start + MINI_BLOCK * usize::from(width) / 8, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, the first key in the lowest bits.
    fn pack_naive(keys: &[u32], width: u8) -> Vec<u8> {
        let mut bytes = vec![0u8; keys.len().div_ceil(8) * usize::from(width)];
        for (at, key) in keys.iter().enumerate() {
            for bit in 0..usize::from(width) {
                let place = at * usize::from(width) + bit;
                bytes[place / 8] |= ((key >> bit & 1) as u8) << (place % 8);
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn every_width_is_packed_as_bit_by_bit(keys: Vec<u32>, width in 1u8..=32) {
            let keys: Vec<u32> = keys.iter().map(|key| (u64::from(*key) & ((1u64 << width) - 1)) as u32).collect();
            let mut out = vec![7];
            pack(&keys, width, &mut out);
            prop_assert_eq!(&out[..1], &[7]);
            prop_assert_eq!(&out[1..], &pack_naive(&keys, width)[..]);
        }
    }
}
