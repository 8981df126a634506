//! Keys in the run-length and bit-packed hybrid: all of them, some of them, or where one of them stands.
//!
//! Layout: Apache Parquet, "Encodings", RLE/bit-packing hybrid. The writing side is `encode::bits`.

use super::bits::Bits;

/// Keys unpacked at a time.
const STEP: usize = 32;

/// What a page's keys are made of.
#[derive(Clone, Copy, Debug)]
enum Run<'a> {
    /// The same key again and again.
    Same(u32),
    /// Keys one behind the other, in groups of eight.
    Packed(&'a [u8]),
}

/// The runs of a page.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    rest: &'a [u8],
    width: usize,
    /// Keys that are still to come.
    left: usize,
    damaged: bool,
}

impl<'a> Runs<'a> {
    /// So many keys of so many bits each.
    pub fn new(bytes: &'a [u8], width: u8, count: usize) -> Runs<'a> {
        Runs { rest: bytes, width: usize::from(width), left: count, damaged: width > 32 }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next run and its length, never 0.
    fn step(&mut self) -> Option<(Run<'a>, usize)> {
        while self.left > 0 {
            let head = self.varint()?;
            let count = usize::try_from(head >> 1).ok()?;
            let run = match head & 1 {
                1 => {
                    // The last group may be cut short, by writers that do not fill it up.
                    let bytes = count.checked_mul(self.width)?.min(self.rest.len());
                    let (packed, rest) = self.rest.split_at_checked(bytes)?;
                    self.rest = rest;
                    let whole = count.checked_mul(8)?.min(self.left);
                    if packed.len().checked_mul(8)? < whole.checked_mul(self.width)? {
                        return None;
                    }
                    (Run::Packed(packed), whole)
                }
                _ => {
                    let (bytes, rest) = self.rest.split_at_checked(self.width.div_ceil(8))?;
                    self.rest = rest;
                    let key = bytes.iter().rev().fold(0u32, |key, byte| key << 8 | u32::from(*byte));
                    (Run::Same(key), count.min(self.left))
                }
            };
            if run.1 > 0 {
                self.left -= run.1;
                return Some(run);
            }
        }
        None
    }

    fn next(&mut self) -> Option<(Run<'a>, usize)> {
        if self.damaged || self.left == 0 {
            return None;
        }
        let run = self.step();
        self.damaged = run.is_none();
        run
    }

    /// Adds all keys. `None` where they break off.
    pub fn all(mut self, keys: &mut Vec<u32>) -> Option<()> {
        keys.reserve(self.left);
        while let Some((run, count)) = self.next() {
            match run {
                Run::Same(key) => keys.resize(keys.len() + count, key),
                Run::Packed(bytes) => unpack(bytes, self.width, count, |step| keys.extend_from_slice(step))?,
            }
        }
        (!self.damaged).then_some(())
    }

    /// Adds the keys, which are bits. `None` where they break off.
    pub fn bits(mut self, bits: &mut Bits) -> Option<()> {
        if self.width != 1 {
            return None;
        }
        while let Some((run, count)) = self.next() {
            match run {
                Run::Same(key) => bits.push_run(key == 1, count),
                Run::Packed(bytes) => bits.push_bytes(bytes, count),
            }
        }
        (!self.damaged).then_some(())
    }

    /// Adds for each key whether it is this one. `None` where they break off.
    pub fn find(mut self, wanted: u32, found: &mut Bits) -> Option<()> {
        while let Some((run, count)) = self.next() {
            match run {
                Run::Same(key) => found.push_run(key == wanted, count),
                Run::Packed(bytes) => unpack(bytes, self.width, count, |step| {
                    let some = step.iter().fold(false, |some, key| some | (*key == wanted));
                    let bit = |(at, key): (usize, &u32)| u64::from(*key == wanted) << at;
                    let bits = if some { step.iter().enumerate().map(bit).sum() } else { 0 };
                    found.push(bits, step.len());
                })?,
            }
        }
        (!self.damaged).then_some(())
    }

    /// Adds for each key what `holds` says of it; keys beyond its end do not hold. `None` where they break off.
    pub fn test(mut self, holds: &[u8], found: &mut Bits) -> Option<()> {
        let of_key = |key: u32| u64::from(holds.get(key as usize).copied().unwrap_or(0));
        while let Some((run, count)) = self.next() {
            match run {
                Run::Same(key) => found.push_run(of_key(key) != 0, count),
                Run::Packed(bytes) => unpack(bytes, self.width, count, |step| {
                    let bits = step.iter().enumerate().fold(0, |bits, (at, key)| bits | of_key(*key) << at);
                    found.push(bits, step.len());
                })?,
            }
        }
        (!self.damaged).then_some(())
    }

    /// Gives the keys at these places, which ascend, one after the other. `None` where they break off.
    pub fn at(mut self, places: impl Iterator<Item = usize>, mut give: impl FnMut(u32)) -> Option<()> {
        let mask = if self.width >= 32 { u64::from(u32::MAX) } else { (1 << self.width) - 1 };
        let (mut run, mut from, mut until) = (Run::Same(0), 0, 0);
        for place in places {
            while place >= until {
                from = until;
                let (next, count) = self.next()?;
                run = next;
                until += count;
            }
            give(match run {
                Run::Same(key) => key,
                Run::Packed(bytes) => {
                    let bit = (place - from) * self.width;
                    let rest = bytes.get(bit / 8..)?;
                    let word = match rest.first_chunk::<8>() {
                        Some(eight) => u64::from_le_bytes(*eight),
                        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
                    };
                    (word >> (bit % 8) & mask) as u32
                }
            });
        }
        Some(())
    }
}

/// Hands the first `count` keys of a packed run over, [`STEP`] at a time.
fn unpack(bytes: &[u8], width: usize, count: usize, give: impl FnMut(&[u32])) -> Option<()> {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                0 => same(count, give),
                $($width => unpack_wide::<$width>(bytes, count, give),)*
                _ => return None,
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
    Some(())
}

fn same(count: usize, mut give: impl FnMut(&[u32])) {
    for at in (0..count).step_by(STEP) {
        give([0; STEP].get(..(count - at).min(STEP)).unwrap_or_default());
    }
}

#[inline(always)]
fn unpack_wide<const WIDTH: usize>(bytes: &[u8], count: usize, mut give: impl FnMut(&[u32])) {
    let mut keys = [0u32; STEP];
    let mut left = count;
    let (words, _) = bytes.as_chunks::<4>();
    let (steps, rest) = words.as_chunks::<WIDTH>();
    for step in steps {
        if left < STEP {
            break;
        }
        unpack_step(step, &mut keys);
        give(&keys);
        left -= STEP;
    }
    if left > 0 {
        let mut step = [[0; 4]; WIDTH];
        let tail = rest.as_flattened().len() + bytes.len() % 4;
        let tail = bytes.get(bytes.len() - tail..).unwrap_or_default();
        // The last keys may be within a whole step, where more follow that are not wanted.
        let last = steps.get((count - left) / STEP).map_or(tail, |step| step.as_flattened());
        step.as_flattened_mut().iter_mut().zip(last).for_each(|(place, byte)| *place = *byte);
        unpack_step(&step, &mut keys);
        give(keys.get(..left).unwrap_or_default());
    }
}

#[inline(always)]
fn unpack_step<const WIDTH: usize>(step: &[[u8; 4]; WIDTH], keys: &mut [u32; STEP]) {
    // Keys that do not straddle words are unpacked several at a time; of the others, each alone in a word of 64 bits.
    if !WIDTH.is_power_of_two() {
        return unpack_eights(step, keys);
    }
    let mask = u32::MAX >> (32 - WIDTH);
    let word = |at: usize| step.get(at).map_or(0, |bytes| u32::from_le_bytes(*bytes));
    for (at, key) in keys.iter_mut().enumerate() {
        let bit = at * WIDTH;
        let (first, shift) = (bit / 32, bit % 32);
        *key = word(first) >> shift & mask;
    }
}

#[inline(always)]
fn unpack_eights<const WIDTH: usize>(step: &[[u8; 4]; WIDTH], keys: &mut [u32; STEP]) {
    // Eight keys are `WIDTH` bytes, and each lies within eight bytes from where it begins.
    let mut bytes = [0u8; 4 * 32 + 16];
    bytes.iter_mut().zip(step.as_flattened()).for_each(|(place, byte)| *place = *byte);
    let mask = u64::from(u32::MAX >> (32 - WIDTH));
    let (eights, _) = keys.as_chunks_mut::<8>();
    for (group, eight) in eights.iter_mut().enumerate() {
        let Some(part) = bytes.get(group * WIDTH..).and_then(|rest| rest.first_chunk::<40>()) else { return };
        for (at, key) in eight.iter_mut().enumerate() {
            let bit = at * WIDTH;
            let word = part.get(bit / 8..).and_then(|rest| rest.first_chunk::<8>());
            *key = (word.map_or(0, |word| u64::from_le_bytes(*word)) >> (bit % 8) & mask) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::encode::bits;
    use proptest::prelude::*;

    /// The keys one bit after the other, as the layout says.
    fn naive(mut bytes: &[u8], width: usize, count: usize) -> Vec<u32> {
        let mut keys = Vec::new();
        while keys.len() < count {
            let (mut head, mut shift) = (0usize, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                head |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
            let key = |from: usize| (0..width).map(|at| bit(from + at) << at).sum::<u32>();
            let used = match head & 1 {
                1 => {
                    keys.extend((0..head / 2 * 8).map(|at| key(at * width)));
                    head / 2 * width
                }
                _ => {
                    keys.extend(std::iter::repeat_n(key(0), head / 2));
                    width.div_ceil(8)
                }
            };
            bytes = &bytes[used..];
        }
        keys.truncate(count);
        keys
    }

    fn truths(bits: &Bits) -> Vec<bool> {
        (0..bits.len()).map(|at| bits.word_at(at) & 1 == 1).collect()
    }

    fn packed(runs: &[(u32, usize, bool)], width: u8) -> (Vec<u32>, Vec<u8>) {
        let most = u32::MAX.checked_shr(32 - u32::from(width)).unwrap_or(0);
        let keys: Vec<u32> = runs
            .iter()
            .flat_map(|&(key, count, repeats)| {
                (0..count as u32).map(move |at| if repeats { key } else { key.wrapping_mul(at + 1) } & most)
            })
            .collect();
        let mut bytes = Vec::new();
        bits::hybrid(&keys, width, &mut bytes);
        (keys, bytes)
    }

    proptest! {
        #[test]
        fn keys_are_those_that_were_packed(
            runs in prop::collection::vec((any::<u32>(), 1usize..90, any::<bool>()), 0..12),
            width in 0u8..=32, every in 1usize..40, wanted in any::<prop::sample::Index>(),
        ) {
            let (keys, bytes) = packed(&runs, width);
            prop_assert_eq!(naive(&bytes, width.into(), keys.len()), keys.clone());
            let runs = Runs::new(&bytes, width, keys.len());
            let mut all = Vec::new();
            runs.clone().all(&mut all).unwrap();
            prop_assert_eq!(&all, &keys);
            let mut some = Vec::new();
            runs.clone().at((0..keys.len()).step_by(every), |key| some.push(key)).unwrap();
            prop_assert_eq!(some, keys.iter().copied().step_by(every).collect::<Vec<_>>());
            if keys.is_empty() {
                return Ok(());
            }
            let wanted = keys[wanted.index(keys.len())];
            let mut found = Bits::default();
            runs.clone().find(wanted, &mut found).unwrap();
            prop_assert_eq!(truths(&found), keys.iter().map(|key| *key == wanted).collect::<Vec<_>>());
            let mut bits = Bits::default();
            let whole = runs.clone().bits(&mut bits);
            prop_assert_eq!(whole.is_some(), width == 1);
            if width == 1 {
                prop_assert_eq!(truths(&bits), keys.iter().map(|key| *key == 1).collect::<Vec<_>>());
            }
            let holds: Vec<u8> = (0..1000u32).map(|key| u8::from(key % 3 == 0)).collect();
            let mut found = Bits::default();
            runs.test(&holds, &mut found).unwrap();
            let hold = |key: &u32| *key < 1000 && key.is_multiple_of(3);
            prop_assert_eq!(truths(&found), keys.iter().map(hold).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_keys_neither_panic_nor_come_in_excess(
            bytes in prop::collection::vec(any::<u8>(), 0..200), width in 0u8..=40, count in 0usize..2000,
        ) {
            let runs = Runs::new(&bytes, width, count);
            let mut keys = Vec::new();
            let whole = runs.clone().all(&mut keys);
            prop_assert!(keys.len() <= count && (whole.is_none() || keys.len() == count));
            let mut found = Bits::default();
            prop_assert_eq!(runs.clone().find(7, &mut found), whole);
            let mut found = Bits::default();
            prop_assert_eq!(runs.clone().test(&[0, 1], &mut found), whole);
            let mut some = Vec::new();
            if runs.at(0..count, |key| some.push(key)).is_some() {
                prop_assert_eq!(some, keys);
            }
        }
    }
}
