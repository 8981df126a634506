//! Distinct floating point numbers.
//!
//! Durations are written with few decimals and repeat: a column of them has some thousand values. What a text is worth
//! is found by the text itself, so that it is converted once for each row group and not once for each row.

use super::distinct::{Distinct, Trial};
use super::{BadCell, NULL, Span, hash, is_null};
use crate::parse::values;

/// Floating point numbers with their tables.
#[derive(Debug, Default)]
pub struct FloatValues {
    /// The bits of each value.
    bits: Distinct,
    trial: Trial,
    /// Texts of up to seven bytes met lately and their keys, by their hash.
    recent: Vec<Recent>,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    text: u64,
    key: u32,
}

const EMPTY: Recent = Recent { text: 0, key: NULL };

/// How many texts are remembered: as many as the first-level cache holds beside everything else.
const RECENT: usize = 1024;

impl FloatValues {
    /// The value of a key.
    pub fn get(&self, key: u32) -> Option<f64> {
        self.bits.values().get(key as usize).map(|bits| f64::from_bits(*bits as u64))
    }

    /// All values, by their keys.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.bits.values().iter().map(|bits| f64::from_bits(*bits as u64))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.bits.values().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the column gave up on its dictionary: a value may have several keys.
    pub fn is_plain(&self) -> bool {
        self.trial.is_plain()
    }

    pub(super) fn clear(&mut self) {
        self.bits.clear();
        self.recent.fill(EMPTY);
        self.trial.begin_anew();
    }

    pub(super) fn memory(&self) -> usize {
        self.bits.memory()
    }

    pub(super) fn push_spans(
        &mut self,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        self.trial.reconsider(spans.len(), self.len());
        if self.recent.is_empty() {
            self.recent = vec![EMPTY; RECENT];
        }
        let plain = self.is_plain();
        for (row, span) in spans.iter().enumerate() {
            let text = if plain { None } else { seven_bytes(block, *span) };
            let place = text.map(|text| hash(text, 0) as usize % RECENT);
            if let (Some(text), Some(place)) = (text, place)
                && let Some(found) = self.recent.get(place)
                && found.text == text
            {
                keys.push(found.key);
                continue;
            }
            let token = span.of(block);
            if is_null(token) {
                keys.push(NULL);
                continue;
            }
            let Some(value) = values::parse_f64(token) else {
                keys.push(NULL);
                bad.push(BadCell { row: row as u32, span: *span });
                continue;
            };
            let bits = value.to_bits() as i64;
            let key = if plain { self.bits.push(bits) } else { self.bits.index_of(bits) };
            keys.push(key);
            if let (Some(text), Some(place)) = (text, place)
                && let Some(slot) = self.recent.get_mut(place)
            {
                *slot = Recent { text, key };
            }
        }
    }
}

/// A text of one to seven bytes as a word, its length in the last byte; `None` if it is longer or empty, or so near the
/// end of the block that eight bytes cannot be read.
#[inline(always)]
fn seven_bytes(block: &[u8], span: Span) -> Option<u64> {
    let start = span.start as usize;
    if span.len.wrapping_sub(1) >= 7 {
        return None;
    }
    let eight: [u8; 8] = block.get(start..start + 8)?.try_into().ok()?;
    let kept = u64::from_le_bytes(eight) & ((1u64 << (8 * span.len)) - 1);
    Some(kept | u64::from(span.len) << 56)
}
