//! Distinct integers and times.
//!
//! Ports, protocols and most counts are below [`SMALL`]: such a number is its own key, and one bit says that it occurs.
//! A table of their keys would be looked up at random all over the second-level cache; the bits stay in the first, and
//! a key's place among the values is counted from them when the column is written.

use super::{BadCell, NULL, Span, TRIAL, hash, is_null};
use crate::format::ColumnType;
use crate::parse::values;

/// Numbers from 0 to below this are their own keys.
pub const SMALL: u32 = 1 << 16;

/// Integers with their table.
#[derive(Debug, Default)]
pub struct IntValues {
    /// The larger and the negative values, each with the key [`SMALL`] plus its index.
    others: Vec<i64>,
    /// A bit for each small number that occurs; empty until there is one.
    occurs: Vec<u64>,
    /// Whether `others` may hold a value more than once.
    plain: bool,
    /// Keys of times, by their distance in seconds from `first_second`.
    seconds: Vec<u32>,
    first_second: i64,
    slots: Vec<u32>,
    seen: usize,
}

/// The values of a column in order, and the place of each key among them.
#[derive(Debug)]
pub struct Order<'a> {
    ints: &'a IntValues,
    /// For each word of `occurs`, how many small numbers come before it.
    before: Vec<u32>,
    small: u32,
}

impl IntValues {
    /// The value of a key.
    #[inline(always)]
    pub fn get(&self, key: u32) -> Option<i64> {
        if key < SMALL { Some(i64::from(key)) } else { self.others.get((key - SMALL) as usize).copied() }
    }

    /// Whether the column gave up on its dictionary: a value may have several keys.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Numbers the values: the small ones in their order, then the others as they came.
    pub fn order(&self) -> Order<'_> {
        let mut small = 0;
        let before = self.occurs.iter().map(|word| {
            let before = small;
            small += word.count_ones();
            before
        });
        let before = before.collect();
        Order { ints: self, before, small }
    }

    /// The least and the greatest value.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let first = self.occurs.iter().zip(0i64..).find(|(word, _)| **word != 0);
        let last = self.occurs.iter().zip(0i64..).filter(|(word, _)| **word != 0).last();
        let first = first.map(|(word, at)| at * 64 + i64::from(word.trailing_zeros()));
        let last = last.map(|(word, at)| at * 64 + 63 - i64::from(word.leading_zeros()));
        let least = self.others.iter().copied().chain(first).min()?;
        let most = self.others.iter().copied().chain(last).max()?;
        Some((least, most))
    }

    pub(super) fn clear(&mut self) {
        self.others.clear();
        self.occurs.fill(0);
        self.plain = false;
        self.seconds.clear();
        self.slots.clear();
        self.seen = 0;
    }

    pub(super) fn memory(&self) -> usize {
        (self.others.len() + self.occurs.len()) * 8 + (self.slots.len() + self.seconds.len()) * 4
    }

    /// Adds values without looking any of them up.
    pub(super) fn push_plain(&mut self, values: impl Iterator<Item = i64>, keys: &mut Vec<u32>) {
        self.plain = true;
        self.mark_all();
        keys.extend(values.map(|value| self.key(value)));
    }

    pub(super) fn push_spans(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        self.mark_all();
        match ty {
            ColumnType::Int32 => {
                push_ints(self, block, spans, keys, bad, |token| values::parse_i32(token).map(i64::from))
            }
            ColumnType::EpochSeconds => push_seconds(self, block, spans, keys, bad),
            ColumnType::Time => push_times(self, block, spans, keys, bad),
            _ => push_ints(self, block, spans, keys, bad, values::parse_i64),
        }
    }

    /// Makes room for the bits of the small numbers.
    fn mark_all(&mut self) {
        self.occurs.resize(SMALL as usize / 64, 0);
    }

    /// The key of a time in whole seconds. The times of a row group lie within a few hours, so their distance from the
    /// first one finds them.
    #[inline(always)]
    fn key_of_second(&mut self, second: i64) -> u32 {
        let distance = second.wrapping_sub(self.first_second) as usize;
        match self.seconds.get(distance) {
            Some(&key) if key != NULL => key,
            _ => self.new_second(second),
        }
    }

    #[cold]
    fn new_second(&mut self, second: i64) -> u32 {
        if self.seconds.is_empty() {
            self.seconds.resize(1 << 16, NULL);
            // Neighbouring files begin a little earlier.
            self.first_second = second.saturating_sub(1 << 14);
        }
        let key = self.key(second.saturating_mul(1_000_000));
        if let Some(place) = self.seconds.get_mut(second.wrapping_sub(self.first_second) as usize) {
            *place = key;
        }
        key
    }

    #[inline(always)]
    fn key(&mut self, value: i64) -> u32 {
        if (0..i64::from(SMALL)).contains(&value) {
            if let Some(word) = self.occurs.get_mut(value as usize / 64) {
                *word |= 1 << (value % 64);
            }
            return value as u32;
        }
        if self.plain {
            self.others.push(value);
            return SMALL + (self.others.len() - 1) as u32;
        }
        self.key_hashed(value)
    }

    fn key_hashed(&mut self, value: i64) -> u32 {
        if (self.others.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(value as u64, 0) as usize & mask;
        loop {
            match self.slots.get(slot).copied() {
                Some(NULL) | None => break,
                Some(index) if self.others.get(index as usize) == Some(&value) => return SMALL + index,
                Some(_) => slot = (slot + 1) & mask,
            }
        }
        let index = self.others.len() as u32;
        self.others.push(value);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = index;
        }
        SMALL + index
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024).max(((self.others.len() + 1) * 2).next_power_of_two());
        self.slots.clear();
        self.slots.resize(size, NULL);
        for (index, &value) in self.others.iter().enumerate() {
            let mut slot = hash(value as u64, 0) as usize & (size - 1);
            while self.slots.get(slot).is_some_and(|index| *index != NULL) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(place) = self.slots.get_mut(slot) {
                *place = index as u32;
            }
        }
    }

    /// Gives the dictionary up where it does not pay.
    fn reconsider(&mut self, rows: usize) {
        self.seen += rows;
        if !self.plain && self.seen >= TRIAL && self.others.len() * 4 > self.seen * 3 {
            self.plain = true;
        }
    }
}

impl Order<'_> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.small as usize + self.ints.others.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = i64> {
        let small = self.ints.occurs.iter().zip(0i64..).flat_map(|(&word, at)| {
            std::iter::successors(Some(word), |left| Some(left & left.wrapping_sub(1)))
                .take(word.count_ones() as usize)
                .map(move |left| at * 64 + i64::from(left.trailing_zeros()))
        });
        small.chain(self.ints.others.iter().copied())
    }

    /// The place of a key among the values.
    #[inline(always)]
    pub fn place(&self, key: u32) -> u32 {
        if key >= SMALL {
            return key - SMALL + self.small;
        }
        let at = key as usize / 64;
        match (self.before.get(at), self.ints.occurs.get(at)) {
            (Some(before), Some(word)) => before + (word & ((1u64 << (key % 64)) - 1)).count_ones(),
            _ => 0,
        }
    }
}

#[inline(always)]
fn push_ints(
    ints: &mut IntValues,
    block: &[u8],
    spans: &[Span],
    keys: &mut Vec<u32>,
    bad: &mut Vec<BadCell>,
    parse: impl Fn(&[u8]) -> Option<i64>,
) {
    ints.reconsider(spans.len());
    for (row, span) in spans.iter().enumerate() {
        let value = match small_number(block, *span) {
            Some(value) => Some(value),
            None => {
                let token = span.of(block);
                if is_null(token) {
                    keys.push(NULL);
                    continue;
                }
                parse(token)
            }
        };
        match value {
            Some(value) => keys.push(ints.key(value)),
            None => {
                keys.push(NULL);
                bad.push(BadCell { row: row as u32, span: *span });
            }
        }
    }
}

fn push_times(
    ints: &mut IntValues,
    block: &[u8],
    spans: &[Span],
    keys: &mut Vec<u32>,
    bad: &mut Vec<BadCell>,
) {
    ints.reconsider(spans.len());
    for (row, span) in spans.iter().enumerate() {
        let token = span.of(block);
        if is_null(token) {
            keys.push(NULL);
        } else if let Some(value) = values::parse_time_micros(token) {
            keys.push(ints.key(value));
        } else {
            // A bare number too: it is no ISO 8601 time.
            keys.push(NULL);
            bad.push(BadCell { row: row as u32, span: *span });
        }
    }
}

fn push_seconds(
    ints: &mut IntValues,
    block: &[u8],
    spans: &[Span],
    keys: &mut Vec<u32>,
    bad: &mut Vec<BadCell>,
) {
    for (row, span) in spans.iter().enumerate() {
        if let Some(seconds) = ten_digits(block, *span) {
            keys.push(ints.key_of_second(seconds));
            continue;
        }
        let token = span.of(block);
        if is_null(token) {
            keys.push(NULL);
        } else if let Some(micros) = values::parse_epoch_seconds(token) {
            keys.push(ints.key_of_second(micros.div_euclid(1_000_000)));
        } else {
            keys.push(NULL);
            bad.push(BadCell { row: row as u32, span: *span });
        }
    }
}

/// A number of ten digits, which is what Unix seconds have from 2001 to 2286; `None` says only that the slow way has to
/// look.
#[inline(always)]
fn ten_digits(block: &[u8], span: Span) -> Option<i64> {
    let start = span.start as usize;
    if span.len != 10 {
        return None;
    }
    let [tens, ones, rest @ ..]: [u8; 10] = block.get(start..start + 10)?.try_into().ok()?;
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return None;
    }
    let low = eight_digits(u64::from_le_bytes(rest))?;
    Some(i64::from(tens) * 1_000_000_000 + i64::from(ones) * 100_000_000 + low)
}

/// Eight digits as text, the first one in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> Option<i64> {
    let not_digits = (digits & 0xF0F0_F0F0_F0F0_F0F0) ^ 0x3030_3030_3030_3030;
    let above_nine =
        (digits.wrapping_add(0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0) ^ 0x3030_3030_3030_3030;
    if not_digits | above_nine != 0 {
        return None;
    }
    let tens = (digits & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul((10 << 8) + 1) >> 8;
    let hundreds = (tens & 0x00FF_00FF_00FF_00FF).wrapping_mul((100 << 16) + 1) >> 16;
    Some(((hundreds & 0x0000_FFFF_0000_FFFF).wrapping_mul((10_000 << 32) + 1) >> 32) as i64)
}

/// A number of one to seven digits, eight bytes at a time; `None` says only that the slow way has to look.
#[inline(always)]
pub fn small_number(block: &[u8], span: Span) -> Option<i64> {
    let start = span.start as usize;
    if span.len.wrapping_sub(1) >= 7 {
        return None;
    }
    let eight: [u8; 8] = block.get(start..start + 8)?.try_into().ok()?;
    let unused = 64 - 8 * span.len;
    // The digits move to the top and zeros (as text) fill up below: "443" becomes "00000443".
    let digits = (u64::from_le_bytes(eight) << unused) | (0x3030_3030_3030_3030 & ((1u64 << unused) - 1));
    eight_digits(digits)
}
