//! Distinct texts.

mod rows;

use super::distinct::{Trial, place};
use super::words::{DASH, escape_invalid, glance, hash_long, pack, packed, padded, same};
use super::{BadCell, NULL, Span, hash, is_null};
use crate::format::ColumnType;
use crate::parse::values;

/// Texts with their tables: one for those of up to fifteen bytes, held in the slots themselves, one for longer ones.
#[derive(Debug, Default)]
pub struct TextValues {
    /// All values, one after another.
    pub bytes: Vec<u8>,
    /// Where each value ends in `bytes`.
    pub ends: Vec<u32>,
    trial: Trial,
    short: Vec<ShortSlot>,
    short_used: usize,
    long: Vec<LongSlot>,
    long_used: usize,
    /// Texts of 16 to 32 bytes met lately, held in the slots themselves.
    medium: Vec<MediumSlot>,
    /// Longer texts met lately, by a look at a few of their bytes.
    recent: Vec<LongSlot>,
}

#[derive(Clone, Copy, Debug)]
struct ShortSlot {
    low: u64,
    high: u64,
    key: u32,
}

/// The first and the last sixteen bytes and the length tell such a text from any other.
#[derive(Clone, Copy, Debug)]
struct MediumSlot {
    head: u128,
    tail: u128,
    len: u32,
    key: u32,
}

/// Where the text lies among the values stands in the slot, so that it can be asked for before it is looked at.
#[derive(Clone, Copy, Debug)]
struct LongSlot {
    tag: u32,
    key: u32,
    start: u32,
    len: u32,
}

/// A cell with a value: of a short text both words.
#[derive(Clone, Copy, Debug)]
struct LastCell {
    low: u64,
    high: u64,
    span: Span,
    key: u32,
}

const NO_CELL: LastCell = LastCell { low: 0, high: 0, span: Span::NONE, key: NULL };

const EMPTY_SHORT: ShortSlot = ShortSlot { low: 0, high: 0, key: NULL };
const EMPTY_MEDIUM: MediumSlot = MediumSlot { head: 0, tail: 0, len: 0, key: NULL };
const EMPTY_LONG: LongSlot = LongSlot { tag: 0, key: NULL, start: 0, len: 0 };

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

    /// Whether the column gave up on its dictionary: a value may stand there more than once.
    pub fn is_plain(&self) -> bool {
        self.trial.is_plain()
    }

    /// The key of a text, which is kept if it is new.
    pub fn key_of(&mut self, text: &str) -> u32 {
        self.key(ColumnType::Text, text.as_bytes()).unwrap_or(NULL)
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.trial.begin_anew();
        self.short.fill(EMPTY_SHORT);
        self.short_used = 0;
        self.long.fill(EMPTY_LONG);
        self.long_used = 0;
        self.medium.fill(EMPTY_MEDIUM);
        self.recent.fill(EMPTY_LONG);
    }

    pub(crate) fn memory(&self) -> usize {
        // A table has from two to four slots for each text in it.
        self.bytes.len()
            + self.ends.len() * 4
            + self.short_used * 3 * size_of::<ShortSlot>()
            + self.long_used * 3 * size_of::<LongSlot>()
    }

    pub(super) fn push_spans(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        self.trial.reconsider(spans.len(), self.ends.len());
        if self.is_plain() {
            self.push_plain(ty, block, spans, keys, bad);
            return;
        }
        if self.short.len() >= LARGE_SHORT || self.long.len() >= LARGE_LONG {
            self.push_prefetched(ty, block, spans, keys, bad);
            return;
        }
        if self.ends.len() <= FEW && self.long_used == 0 {
            self.push_few(ty, block, spans, keys, bad);
            return;
        }
        let mut last = NO_CELL;
        keys.extend(spans.iter().enumerate().map(|(row, span)| {
            self.key_or_last(ty, block, *span, &mut last).unwrap_or_else(|| {
                bad.push(BadCell { row: row as u32, span: *span });
                NULL
            })
        }));
    }

    /// The key of a cell; `last` is the one before it. Records of an interface stand together, and so do its network,
    /// zone and instance.
    #[inline(always)]
    fn key_or_last(&mut self, ty: ColumnType, block: &[u8], span: Span, last: &mut LastCell) -> Option<u32> {
        let Some((low, high)) = packed(block, span) else {
            let token = span.of(block);
            if span.len == last.span.len && last.key != NULL && same(token, last.span.of(block)) {
                return Some(last.key);
            }
            if is_null(token) {
                return Some(NULL);
            }
            let key = self.key(ty, token)?;
            *last = LastCell { low: 0, high: 0, span, key };
            return Some(key);
        };
        if low == DASH.0 && high == DASH.1 {
            return Some(NULL);
        }
        if (low, high) == (last.low, last.high) {
            return Some(last.key);
        }
        let key = self.key_short(ty, low, high, block, span)?;
        *last = LastCell { low, high, span, key };
        Some(key)
    }

    #[inline(always)]
    fn key_short(&mut self, ty: ColumnType, low: u64, high: u64, block: &[u8], span: Span) -> Option<u32> {
        self.key_hashed(ty, (low, high), hash(low, high), block, span)
    }

    #[inline(always)]
    fn key_hashed(
        &mut self,
        ty: ColumnType,
        (low, high): (u64, u64),
        hash: u64,
        block: &[u8],
        span: Span,
    ) -> Option<u32> {
        let mask = self.short.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
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
            for slot in old.into_iter().filter(|slot| slot.key != NULL) {
                place(&mut self.short, hash(slot.low, slot.high), slot, |slot| slot.key == NULL);
            }
        }
        place(&mut self.short, hash(low, high), ShortSlot { low, high, key }, |slot| slot.key == NULL);
        self.short_used += 1;
        Some(key)
    }

    /// The key of a text of any length.
    pub(super) fn key(&mut self, ty: ColumnType, token: &[u8]) -> Option<u32> {
        if self.is_plain() {
            return self.insert(ty, token);
        }
        // The empty text would look like an empty slot.
        if (1..16).contains(&token.len()) {
            let (low, high) = pack(padded(token), token.len());
            return self.key_short(ty, low, high, token, Span::new(0, token.len()));
        }
        if let (Some(head), Some(tail), ..=32) = (token.first_chunk(), token.last_chunk(), token.len()) {
            return self.key_medium(ty, u128::from_le_bytes(*head), u128::from_le_bytes(*tail), token);
        }
        let glance = glance(token);
        let (near, near_tag) = (glance as usize % RECENT, (glance >> 32) as u32);
        if let Some(found) = self.recent.get(near)
            && found.tag == near_tag
            && self.holds(*found, token)
        {
            return Some(found.key);
        }
        let key = self.key_long(ty, hash_long(token), token)?;
        if self.recent.is_empty() {
            self.recent = vec![EMPTY_LONG; RECENT];
        }
        let slot = LongSlot { tag: near_tag, ..self.slot_of(0, key) };
        if let Some(place) = self.recent.get_mut(near) {
            *place = slot;
        }
        Some(key)
    }

    #[inline(always)]
    fn key_medium(&mut self, ty: ColumnType, head: u128, tail: u128, token: &[u8]) -> Option<u32> {
        let len = token.len() as u32;
        let low = head as u64 ^ (tail >> 64) as u64 ^ u64::from(len);
        let place = hash(low, (head >> 64) as u64 ^ (tail as u64).rotate_left(32)) as usize % MEDIUM;
        if let Some(found) = self.medium.get(place)
            && (found.head, found.tail, found.len) == (head, tail, len)
        {
            return Some(found.key);
        }
        let key = self.key_long(ty, hash_long(token), token)?;
        if self.medium.is_empty() {
            self.medium = vec![EMPTY_MEDIUM; MEDIUM];
        }
        if let Some(slot) = self.medium.get_mut(place) {
            *slot = MediumSlot { head, tail, len, key };
        }
        Some(key)
    }

    /// Whether a slot's text is this one.
    #[inline(always)]
    fn holds(&self, slot: LongSlot, token: &[u8]) -> bool {
        let start = slot.start as usize;
        slot.len as usize == token.len() && self.bytes.get(start..start + token.len()) == Some(token)
    }

    fn slot_of(&self, hash: u64, key: u32) -> LongSlot {
        let end = self.ends.get(key as usize).copied().unwrap_or(0);
        let len = self.get(key as usize).len() as u32;
        LongSlot { tag: (hash >> 32) as u32, key, start: end.saturating_sub(len), len }
    }

    fn key_long(&mut self, ty: ColumnType, hash: u64, token: &[u8]) -> Option<u32> {
        let tag = (hash >> 32) as u32;
        let mask = self.long.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        while let Some(found) = self.long.get(slot) {
            if found.key == NULL {
                break;
            }
            if found.tag == tag && self.holds(*found, token) {
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
                place(&mut self.long, hash, slot, |slot| slot.key == NULL);
            }
        }
        let slot = self.slot_of(hash, key);
        place(&mut self.long, hash, slot, |slot| slot.key == NULL);
        self.long_used += 1;
        Some(key)
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

/// With up to so many texts, rows are compared with all of them.
const FEW: usize = 8;

/// Longer texts remembered by [`glance`]: most columns of them (ARNs, agents) have few values.
const RECENT: usize = 64;

/// Texts of 16 to 32 bytes remembered (identifiers of interfaces, networks, instances; ciphers, names).
const MEDIUM: usize = 512;

/// Slots of tables that do not fit into the second-level cache beside everything else.
const LARGE_SHORT: usize = 16 * 1024;
const LARGE_LONG: usize = 8 * 1024;
