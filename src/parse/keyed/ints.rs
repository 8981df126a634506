//! Distinct integers and times.
//!
//! Ports, protocols and most counts are below [`SMALL`]: such a number is its own key, and one bit says that it occurs.
//! A table of their keys would be looked up at random all over the second-level cache; the bits stay in the first, and
//! a key's place among the values is counted from them when the column is written.

use super::distinct::{Distinct, Trial};
use super::{BadCell, NULL, Span, is_null, lanes};
use crate::format::ColumnType;
use crate::parse::values;

/// Numbers from 0 to below this are their own keys.
pub const SMALL: u32 = 1 << 16;

/// Integers with their table.
#[derive(Debug, Default)]
pub struct IntValues {
    /// The larger and the negative values, each with the key [`SMALL`] plus its index.
    others: Distinct,
    /// A bit for each small number that occurs; empty until there is one.
    occurs: Vec<u64>,
    /// Whether `others` may hold a value more than once.
    trial: Trial,
    /// Keys of times, by their distance in seconds from `first_second`.
    seconds: Vec<u32>,
    first_second: i64,
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
        if key < SMALL {
            Some(i64::from(key))
        } else {
            self.others.values().get((key - SMALL) as usize).copied()
        }
    }

    /// Whether the column gave up on its dictionary: a value may have several keys.
    pub fn is_plain(&self) -> bool {
        self.trial.is_plain()
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
        let least = self.others.values().iter().copied().chain(first).min()?;
        let most = self.others.values().iter().copied().chain(last).max()?;
        Some((least, most))
    }

    pub(super) fn clear(&mut self) {
        self.others.clear();
        self.occurs.fill(0);
        self.trial.begin_anew();
        self.seconds.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.others.memory() + self.occurs.len() * 8 + self.seconds.len() * 4
    }

    /// Adds values without looking any of them up.
    pub(super) fn push_plain(&mut self, values: impl Iterator<Item = i64>, keys: &mut Vec<u32>) {
        self.trial.give_up();
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
        let index = if self.trial.is_plain() { self.others.push(value) } else { self.others.index_of(value) };
        SMALL + index
    }
}

impl Order<'_> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.small as usize + self.ints.others.values().len()
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
        small.chain(self.ints.others.values().iter().copied())
    }

    /// Appends the place of each key among the values; there must be no [`NULL`] among the keys.
    pub fn places(&self, keys: &[u32], out: &mut Vec<u32>) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: the one feature that the function is compiled for has just been detected.
            unsafe { self.places_counted(keys, out) };
            return;
        }
        out.extend(keys.iter().map(|key| self.place(*key)));
    }

    /// Counts bits by the processor's own instruction: without it that takes a dozen for each key.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn places_counted(&self, keys: &[u32], out: &mut Vec<u32>) {
        out.extend(keys.iter().map(|key| self.place(*key)));
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
    ints.trial.reconsider(spans.len(), ints.others.values().len());
    let mut one = |ints: &mut IntValues, row: usize, span: Span| {
        let value = match small_number(block, span) {
            Some(value) => Some(value),
            None => {
                let token = span.of(block);
                if is_null(token) {
                    return NULL;
                }
                parse(token)
            }
        };
        value.map_or_else(|| refuse(bad, row, span), |value| ints.key(value))
    };
    by_eight(
        spans,
        keys,
        ints,
        // SAFETY: the lanes are only asked where they are supported.
        |ints, eight| unsafe { small_lanes(ints, block, eight) },
        |ints, row, span| one(ints, row, span),
    );
}

/// Keys of eight rows at a time, where the processor can and `eight` knows them, else by `one`, which takes the row and its
/// span.
#[inline(always)]
pub(super) fn by_eight<V>(
    spans: &[Span],
    keys: &mut Vec<u32>,
    values: &mut V,
    mut eight: impl FnMut(&mut V, &[Span; 8]) -> Option<[u32; 8]>,
    mut one: impl FnMut(&mut V, usize, Span) -> u32,
) {
    if !lanes::are_supported() {
        keys.extend(spans.iter().enumerate().map(|(row, span)| one(values, row, *span)));
        return;
    }
    let (eights, rest) = spans.as_chunks::<8>();
    for (chunk, at) in eights.iter().zip(0..) {
        match eight(values, chunk) {
            Some(found) => keys.extend_from_slice(&found),
            None => keys.extend(chunk.iter().zip(8 * at..).map(|(span, row)| one(values, row, *span))),
        }
    }
    let done = 8 * eights.len();
    keys.extend(rest.iter().zip(done..).map(|(span, row)| one(values, row, *span)));
}

/// The keys of eight small numbers, marked as such.
///
/// # Safety
/// [`lanes::are_supported`] must have said so.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
unsafe fn small_lanes(ints: &mut IntValues, block: &[u8], spans: &[Span; 8]) -> Option<[u32; 8]> {
    // SAFETY: as the caller promises.
    let keys = unsafe { lanes::small_numbers(block, spans) }?;
    let marks = ints.occurs.first_chunk_mut::<{ SMALL as usize / 64 }>()?;
    // SAFETY: as the caller promises.
    if !unsafe { lanes::are_marked(marks, &keys) } {
        for key in keys {
            if let Some(word) = marks.get_mut(key as usize / 64) {
                *word |= 1 << (key % 64);
            }
        }
    }
    Some(keys)
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn small_lanes(_: &mut IntValues, _: &[u8], _: &[Span; 8]) -> Option<[u32; 8]> {
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
unsafe fn second_lanes(ints: &IntValues, block: &[u8], spans: &[Span; 8]) -> Option<[u32; 8]> {
    // SAFETY: as the caller promises.
    unsafe { lanes::seconds(block, spans, ints.first_second, &ints.seconds) }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn second_lanes(_: &IntValues, _: &[u8], _: &[Span; 8]) -> Option<[u32; 8]> {
    None
}

#[cold]
fn refuse(bad: &mut Vec<BadCell>, row: usize, span: Span) -> u32 {
    bad.push(BadCell { row: row as u32, span });
    NULL
}

fn push_times(
    ints: &mut IntValues,
    block: &[u8],
    spans: &[Span],
    keys: &mut Vec<u32>,
    bad: &mut Vec<BadCell>,
) {
    ints.trial.reconsider(spans.len(), ints.others.values().len());
    let mut minute = Minute::default();
    keys.extend(spans.iter().enumerate().map(|(row, span)| {
        let token = span.of(block);
        if is_null(token) {
            return NULL;
        }
        // A bare number too is refused: it is no ISO 8601 time.
        minute.parse(token).map_or_else(|| refuse(bad, row, *span), |value| ints.key(value))
    }));
}

/// The minute of the last time, whose calendar is known: neighbours mostly share it.
#[derive(Default)]
struct Minute {
    /// `2026-01-15T10:00`.
    text: [u8; 16],
    micros: i64,
}

impl Minute {
    /// What [`values::parse_time_micros`] says.
    #[inline(always)]
    fn parse(&mut self, token: &[u8]) -> Option<i64> {
        self.within(token).or_else(|| self.anew(token))
    }

    /// A time of this minute, of the form that load balancers write: `2026-01-15T10:00:00.186641Z`.
    #[inline(always)]
    fn within(&self, token: &[u8]) -> Option<i64> {
        let token: &[u8; 27] = token.try_into().ok()?;
        let (text, rest) = token.split_first_chunk::<16>()?;
        let [b':', tens, ones, b'.', micros @ .., b'Z'] = rest else { return None };
        let micros: &[u8; 6] = micros.try_into().ok()?;
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if u128::from_le_bytes(*text) != u128::from_le_bytes(self.text) || tens > 5 || ones > 9 {
            return None;
        }
        let [a, b, c, d, e, f] = *micros;
        let micros = eight_digits(u64::from_le_bytes([b'0', b'0', a, b, c, d, e, f]))?;
        Some(self.micros + i64::from(tens * 10 + ones) * 1_000_000 + micros)
    }

    #[cold]
    fn anew(&mut self, token: &[u8]) -> Option<i64> {
        let value = values::parse_time_micros(token)?;
        if token.len() == 27
            && let Some(text) = token.first_chunk::<16>()
        {
            let mut whole = *b"0000-00-00T00:00:00";
            whole.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
            if let Some(micros) = values::parse_time_micros(&whole) {
                *self = Minute { text: *text, micros };
            }
        }
        Some(value)
    }
}

fn push_seconds(
    ints: &mut IntValues,
    block: &[u8],
    spans: &[Span],
    keys: &mut Vec<u32>,
    bad: &mut Vec<BadCell>,
) {
    let mut one = |ints: &mut IntValues, row: usize, span: Span| {
        if let Some(seconds) = ten_digits(block, span) {
            return ints.key_of_second(seconds);
        }
        let token = span.of(block);
        if is_null(token) {
            return NULL;
        }
        let micros = values::parse_epoch_seconds(token);
        micros
            .map_or_else(|| refuse(bad, row, span), |micros| ints.key_of_second(micros.div_euclid(1_000_000)))
    };
    by_eight(
        spans,
        keys,
        ints,
        // SAFETY: the lanes are only asked where they are supported.
        |ints, eight| unsafe { second_lanes(ints, block, eight) },
        |ints, row, span| one(ints, row, span),
    );
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_of_a_known_minute_are_those_of_parsing_each(
            tokens in prop::collection::vec(
                "2026-01-(15T10|31T23):(00|01|59):[0-9]{2}[.][0-9]{6}Z?|2026-0[12]-3[01]T23:59:60(.[0-9]{1,6})?Z|[0-9T:.Z-]{27}", 0..20),
        ) {
            let mut minute = Minute::default();
            for token in &tokens {
                prop_assert_eq!(minute.parse(token.as_bytes()), values::parse_time_micros(token.as_bytes()), "{}", token);
            }
        }
    }
}
