//! Columns as dictionary keys, built while parsing: what the store's Parquet encoder takes without touching a string
//! again.
//!
//! An address or an interface repeats thousands of times in a log, so each column keeps its distinct values once and a
//! key per row. A column whose values hardly repeat (trace ids, URLs) stops looking them up and keeps each one as it
//! comes. Values are checked when they are new, so checking costs what is distinct and not what is read.

use super::cells::Span;
use super::values;
use crate::format::ColumnType;

/// The key of a row without a value.
pub const NULL: u32 = u32::MAX;

/// After this many values, a column that repeats too little stops being a dictionary.
const TRIAL: usize = 16 * 1024;

/// A cell that is not of its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// The row in its batch.
    pub row: u32,
    /// Its text.
    pub span: Span,
}

/// The distinct values of a column.
#[derive(Debug)]
pub enum Values {
    /// UTF-8 text.
    Text(TextValues),
    /// Integers, and times in microseconds.
    Int(IntValues),
    /// Floating point numbers, never looked up: durations hardly repeat.
    Float(Vec<f64>),
}

/// One column of rows.
#[derive(Debug)]
pub struct KeyedColumn {
    /// How text becomes a value.
    pub ty: ColumnType,
    /// A key for each row: an index into the values, or [`NULL`].
    pub keys: Vec<u32>,
    /// The values.
    pub values: Values,
}

impl KeyedColumn {
    /// An empty column.
    pub fn new(ty: ColumnType) -> KeyedColumn {
        let values = match ty {
            ColumnType::Text | ColumnType::Address | ColumnType::PercentText => {
                Values::Text(TextValues::default())
            }
            ColumnType::Float64 => Values::Float(Vec::new()),
            ColumnType::Int32 | ColumnType::Int64 | ColumnType::EpochSeconds | ColumnType::Time => {
                Values::Int(IntValues::default())
            }
        };
        KeyedColumn { ty, keys: Vec::new(), values }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a row for each span; rows whose text is not of the column's type are named in `bad` and are null.
    pub fn push_spans(&mut self, block: &[u8], spans: &[Span], bad: &mut Vec<BadCell>) {
        self.keys.reserve(spans.len());
        match &mut self.values {
            Values::Text(text) => text.push_spans(self.ty, block, spans, &mut self.keys, bad),
            Values::Int(ints) => match self.ty {
                ColumnType::Int32 => push_ints(ints, block, spans, &mut self.keys, bad, |token| {
                    values::parse_i32(token).map(i64::from)
                }),
                ColumnType::EpochSeconds => push_seconds(ints, block, spans, &mut self.keys, bad),
                ColumnType::Time => push_times(ints, block, spans, &mut self.keys, bad),
                _ => push_ints(ints, block, spans, &mut self.keys, bad, values::parse_i64),
            },
            Values::Float(floats) => {
                for (row, span) in spans.iter().enumerate() {
                    let token = span.of(block);
                    if is_null(token) {
                        self.keys.push(NULL);
                    } else if let Some(value) = values::parse_f64(token) {
                        self.keys.push(floats.len() as u32);
                        floats.push(value);
                    } else {
                        self.keys.push(NULL);
                        bad.push(BadCell { row: row as u32, span: *span });
                    }
                }
            }
        }
    }

    /// Adds the same text for `rows` rows; `None` is no value.
    pub fn push_repeated(&mut self, text: Option<&str>, rows: usize) {
        let key = match (text, &mut self.values) {
            (Some(text), Values::Text(values)) => values.key(self.ty, text.as_bytes()).unwrap_or(NULL),
            _ => NULL,
        };
        self.keys.resize(self.keys.len() + rows, key);
    }

    /// Adds integers, each one as it is.
    pub fn push_values(&mut self, values: impl Iterator<Item = i64>) {
        if let Values::Int(ints) = &mut self.values {
            ints.plain = true;
            for value in values {
                self.keys.push(ints.values.len() as u32);
                ints.values.push(value);
            }
        }
    }

    /// Takes the rows from `rows` on back. Values stay, unused.
    pub fn truncate(&mut self, rows: usize) {
        self.keys.truncate(rows);
    }

    /// Empties it for the next row group; keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        match &mut self.values {
            Values::Text(text) => text.clear(),
            Values::Int(ints) => ints.clear(),
            Values::Float(floats) => floats.clear(),
        }
    }

    /// About how many bytes it holds.
    pub fn memory(&self) -> usize {
        self.keys.capacity() * 4
            + match &self.values {
                Values::Text(text) => text.bytes.capacity() + text.ends.capacity() * 4 + text.slots_memory(),
                Values::Int(ints) => {
                    ints.values.capacity() * 8 + ints.slots.capacity() * 4 + ints.direct.len() * 4
                }
                Values::Float(floats) => floats.capacity() * 8,
            }
    }
}

/// Whether a token stands for "no value".
#[inline(always)]
fn is_null(token: &[u8]) -> bool {
    token.is_empty() || token == b"-"
}

/// Integers with their table.
#[derive(Debug, Default)]
pub struct IntValues {
    /// The distinct values in order of appearance; in a column that gave up on its dictionary, every value.
    pub values: Vec<i64>,
    /// Whether `values` may hold a value more than once.
    pub plain: bool,
    /// Keys of the values 0 to 65535 (ports, protocols, most counts), by value.
    direct: Vec<u32>,
    /// Keys of times, by their distance in seconds from `first_second`.
    seconds: Vec<u32>,
    first_second: i64,
    slots: Vec<u32>,
    seen: usize,
}

impl IntValues {
    fn clear(&mut self) {
        self.values.clear();
        self.plain = false;
        self.direct.clear();
        self.seconds.clear();
        self.slots.clear();
        self.seen = 0;
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
            self.first_second = second - (1 << 14);
        }
        let key = self.key_hashed(second.wrapping_mul(1_000_000));
        if let Some(place) = self.seconds.get_mut(second.wrapping_sub(self.first_second) as usize) {
            *place = key;
        }
        key
    }

    #[inline(always)]
    fn key(&mut self, value: i64) -> u32 {
        if self.plain {
            self.values.push(value);
            return (self.values.len() - 1) as u32;
        }
        match self.direct.get(value as usize) {
            Some(&key) if key != NULL => key,
            Some(_) => {
                let key = self.values.len() as u32;
                self.values.push(value);
                if let Some(place) = self.direct.get_mut(value as usize) {
                    *place = key;
                }
                key
            }
            None => self.key_hashed(value),
        }
    }

    fn key_hashed(&mut self, value: i64) -> u32 {
        if (0..1 << 16).contains(&value) && self.direct.is_empty() {
            self.direct.resize(1 << 16, NULL);
            return self.key(value);
        }
        if (self.values.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(value as u64, 0) as usize & mask;
        loop {
            match self.slots.get(slot).copied() {
                Some(NULL) | None => break,
                Some(key) if self.values.get(key as usize) == Some(&value) => return key,
                Some(_) => slot = (slot + 1) & mask,
            }
        }
        let key = self.values.len() as u32;
        self.values.push(value);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = key;
        }
        key
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024).max(((self.values.len() + 1) * 2).next_power_of_two());
        self.slots.clear();
        self.slots.resize(size, NULL);
        for (key, &value) in self.values.iter().enumerate() {
            if (0..1 << 16).contains(&value) {
                continue;
            }
            let mut slot = hash(value as u64, 0) as usize & (size - 1);
            while self.slots.get(slot).is_some_and(|key| *key != NULL) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(place) = self.slots.get_mut(slot) {
                *place = key as u32;
            }
        }
    }

    /// Gives the dictionary up where it does not pay.
    fn reconsider(&mut self, rows: usize) {
        self.seen += rows;
        if !self.plain && self.seen >= TRIAL && self.values.len() * 4 > self.seen * 3 {
            self.plain = true;
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

/// Texts with their tables: one for those of up to fifteen bytes, held in the slots themselves, one for longer ones.
#[derive(Debug, Default)]
pub struct TextValues {
    /// All values, one after another.
    pub bytes: Vec<u8>,
    /// Where each value ends in `bytes`.
    pub ends: Vec<u32>,
    /// Whether a value may stand there more than once.
    pub plain: bool,
    short: Vec<ShortSlot>,
    short_used: usize,
    long: Vec<LongSlot>,
    long_used: usize,
    seen: usize,
}

#[derive(Clone, Copy, Debug)]
struct ShortSlot {
    low: u64,
    high: u64,
    key: u32,
}

#[derive(Clone, Copy, Debug)]
struct LongSlot {
    tag: u32,
    key: u32,
}

const EMPTY_SHORT: ShortSlot = ShortSlot { low: 0, high: 0, key: NULL };
const EMPTY_LONG: LongSlot = LongSlot { tag: 0, key: NULL };

impl TextValues {
    /// The value of a key.
    pub fn get(&self, key: usize) -> &[u8] {
        let start = match key.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        let end = self.ends.get(key).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.plain = false;
        self.short.fill(EMPTY_SHORT);
        self.short_used = 0;
        self.long.fill(EMPTY_LONG);
        self.long_used = 0;
        self.seen = 0;
    }

    fn slots_memory(&self) -> usize {
        self.short.capacity() * size_of::<ShortSlot>() + self.long.capacity() * size_of::<LongSlot>()
    }

    fn push_spans(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        self.seen += spans.len();
        if !self.plain && self.seen >= TRIAL && self.ends.len() * 4 > self.seen * 3 {
            self.plain = true;
        }
        if !self.plain && self.short.len() >= LARGE_TABLE {
            self.push_prefetched(ty, block, spans, keys, bad);
            return;
        }
        let mut last = (0u64, 0u64, NULL);
        let mut last_long: (&[u8], u32) = (&[], NULL);
        for (row, span) in spans.iter().enumerate() {
            let key = match packed(block, *span) {
                Some((low, high)) if !self.plain => {
                    if low == DASH.0 && high == DASH.1 {
                        keys.push(NULL);
                        continue;
                    }
                    if (low, high) == (last.0, last.1) {
                        keys.push(last.2);
                        continue;
                    }
                    let key = self.key_short(ty, low, high, block, *span);
                    if let Some(key) = key {
                        last = (low, high, key);
                    }
                    key
                }
                _ => {
                    let token = span.of(block);
                    if is_null(token) {
                        keys.push(NULL);
                        continue;
                    }
                    if token == last_long.0 && !self.plain {
                        keys.push(last_long.1);
                        continue;
                    }
                    let key = self.key(ty, token);
                    if let Some(key) = key {
                        last_long = (token, key);
                    }
                    key
                }
            };
            match key {
                Some(key) => keys.push(key),
                None => {
                    keys.push(NULL);
                    bad.push(BadCell { row: row as u32, span: *span });
                }
            }
        }
    }

    /// For a table larger than the cache: a stretch of rows asks for its slots before it looks at any of them.
    fn push_prefetched(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        let mut ready = [(0u64, 0u64); 64];
        for (stretch, chunk) in spans.chunks(ready.len()).enumerate() {
            let mask = self.short.len().wrapping_sub(1);
            for (place, span) in ready.iter_mut().zip(chunk) {
                *place = packed(block, *span).unwrap_or((0, 0));
                if let Some(slot) = self.short.get(hash(place.0, place.1) as usize & mask) {
                    prefetch(slot);
                }
            }
            for (offset, (&(low, high), span)) in ready.iter().zip(chunk).enumerate() {
                let key = if (low, high) == DASH {
                    Some(NULL)
                } else if high != 0 {
                    self.key_short(ty, low, high, block, *span)
                } else {
                    let token = span.of(block);
                    if is_null(token) { Some(NULL) } else { self.key(ty, token) }
                };
                keys.push(key.unwrap_or(NULL));
                if key.is_none() {
                    bad.push(BadCell { row: (stretch * ready.len() + offset) as u32, span: *span });
                }
            }
        }
    }

    #[inline(always)]
    fn key_short(&mut self, ty: ColumnType, low: u64, high: u64, block: &[u8], span: Span) -> Option<u32> {
        let mask = self.short.len().wrapping_sub(1);
        let mut slot = hash(low, high) as usize & mask;
        while let Some(found) = self.short.get(slot) {
            if found.low == low && found.high == high {
                return Some(found.key);
            }
            if found.key == NULL {
                break;
            }
            slot = (slot + 1) & mask;
        }
        self.insert_short(ty, low, high, span.of(block))
    }

    #[cold]
    fn insert_short(&mut self, ty: ColumnType, low: u64, high: u64, token: &[u8]) -> Option<u32> {
        let key = self.insert(ty, token)?;
        if (self.short_used + 1) * 2 > self.short.len() {
            let size = (self.short.len() * 2).max(512);
            let old = std::mem::replace(&mut self.short, vec![EMPTY_SHORT; size]);
            old.into_iter().filter(|slot| slot.key != NULL).for_each(|slot| self.place_short(slot));
        }
        self.place_short(ShortSlot { low, high, key });
        self.short_used += 1;
        Some(key)
    }

    fn place_short(&mut self, new: ShortSlot) {
        let mask = self.short.len().wrapping_sub(1);
        let mut slot = hash(new.low, new.high) as usize & mask;
        while self.short.get(slot).is_some_and(|slot| slot.key != NULL) {
            slot = (slot + 1) & mask;
        }
        if let Some(place) = self.short.get_mut(slot) {
            *place = new;
        }
    }

    /// The key of a text of any length.
    fn key(&mut self, ty: ColumnType, token: &[u8]) -> Option<u32> {
        if self.plain {
            return self.insert(ty, token);
        }
        if token.len() < 16 {
            let mut padded = [0u8; 16];
            padded.iter_mut().zip(token).for_each(|(place, byte)| *place = *byte);
            let (low, high) = pack(padded, token.len());
            return self.key_short(ty, low, high, token, Span::new(0, token.len()));
        }
        let hash = hash_long(token);
        let tag = (hash >> 32) as u32;
        let mask = self.long.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        while let Some(found) = self.long.get(slot) {
            if found.key == NULL {
                break;
            }
            if found.tag == tag && self.get(found.key as usize) == token {
                return Some(found.key);
            }
            slot = (slot + 1) & mask;
        }
        self.insert_long(ty, hash, token)
    }

    #[cold]
    fn insert_long(&mut self, ty: ColumnType, hash: u64, token: &[u8]) -> Option<u32> {
        let key = self.insert(ty, token)?;
        if self.get(key as usize) != token {
            // Kept in another form (decoded, escaped): the table would never find it again, so each one is kept.
            return Some(key);
        }
        if (self.long_used + 1) * 2 > self.long.len() {
            let size = (self.long.len() * 2).max(512);
            let old = std::mem::replace(&mut self.long, vec![EMPTY_LONG; size]);
            for slot in old.into_iter().filter(|slot| slot.key != NULL) {
                let hash = hash_long(self.get(slot.key as usize));
                self.place_long(hash, slot);
            }
        }
        self.place_long(hash, LongSlot { tag: (hash >> 32) as u32, key });
        self.long_used += 1;
        Some(key)
    }

    fn place_long(&mut self, hash: u64, new: LongSlot) {
        let mask = self.long.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        while self.long.get(slot).is_some_and(|slot| slot.key != NULL) {
            slot = (slot + 1) & mask;
        }
        if let Some(place) = self.long.get_mut(slot) {
            *place = new;
        }
    }

    /// Checks a new value and keeps it; `None` where it is not of the column's type.
    fn insert(&mut self, ty: ColumnType, token: &[u8]) -> Option<u32> {
        if self.bytes.len() + 2 * token.len() + 16 > u32::MAX as usize {
            return None;
        }
        let start = self.bytes.len();
        match ty {
            ColumnType::Address if !values::is_ip_address(token) => return None,
            ColumnType::PercentText => {
                if !values::percent_decode(token, &mut self.bytes) {
                    self.bytes.truncate(start);
                    self.bytes.extend_from_slice(token);
                }
            }
            _ => self.bytes.extend_from_slice(token),
        }
        if self.bytes.get(start..).is_some_and(|kept| !kept.is_ascii() && std::str::from_utf8(kept).is_err())
        {
            let kept = self.bytes.split_off(start);
            escape_invalid(&kept, &mut self.bytes);
        }
        let key = self.ends.len() as u32;
        self.ends.push(self.bytes.len() as u32);
        Some(key)
    }
}

/// Writes bytes that are not UTF-8 as `\xHH`, the form that load balancers use, so that nothing is lost.
pub fn escape_invalid(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
        }
    }
}

/// Slots of a table that does not fit into the second-level cache beside everything else.
const LARGE_TABLE: usize = 16 * 1024;

/// Asks for the cache line of a slot that will be read soon.
#[inline(always)]
fn prefetch(slot: &ShortSlot) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has SSE, and prefetching reads nothing; the address is that of a live slot.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slot;
}

/// `-`, packed.
const DASH: (u64, u64) = (b'-' as u64, 1 << 56);

/// A text of up to fifteen bytes as two words, its length in the last byte; `None` if it is longer or empty, or so near
/// the end of the block that sixteen bytes cannot be read.
#[inline(always)]
fn packed(block: &[u8], span: Span) -> Option<(u64, u64)> {
    let start = span.start as usize;
    if span.len.wrapping_sub(1) >= 15 {
        return None;
    }
    let bytes: [u8; 16] = block.get(start..start + 16)?.try_into().ok()?;
    Some(pack(bytes, span.len as usize))
}

#[inline(always)]
fn pack(bytes: [u8; 16], len: usize) -> (u64, u64) {
    let kept = u128::from_le_bytes(bytes) & ((1u128 << ((8 * len as u32) & 127)) - 1);
    (kept as u64, (kept >> 64) as u64 | (len as u64) << 56)
}

#[inline(always)]
fn hash(low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
    let folded = product as u64 ^ (product >> 64) as u64;
    folded ^ (folded >> 29)
}

fn hash_long(token: &[u8]) -> u64 {
    let mut state = token.len() as u64;
    let (chunks, rest) = token.as_chunks::<16>();
    for chunk in chunks {
        let word = u128::from_le_bytes(*chunk);
        state = hash(state ^ word as u64, (word >> 64) as u64);
    }
    if !rest.is_empty() {
        // The last sixteen bytes, overlapping what has been hashed: as good as the rest alone, and one read.
        if let Some(last) = token.last_chunk::<16>() {
            let word = u128::from_le_bytes(*last);
            state = hash(state ^ word as u64, (word >> 64) as u64);
        }
    }
    state
}

#[cfg(test)]
#[path = "keyed_tests.rs"]
mod tests;
