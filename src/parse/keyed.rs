//! Columns as dictionary keys, built while parsing: what the store's Parquet encoder takes without touching a string
//! again.
//!
//! An address or an interface repeats thousands of times in a log, so each column keeps its distinct values once and a
//! key per row. A column whose values hardly repeat (trace ids, URLs) stops looking them up and keeps each one as it
//! comes. Values are checked when they are new, so checking costs what is distinct and not what is read.

mod distinct;
mod floats;
mod ints;
mod lanes;
mod texts;
mod words;

use super::cells::Span;
use crate::format::ColumnType;

pub use floats::FloatValues;
pub use ints::{IntValues, Order, SMALL, small_number};
pub use texts::TextValues;
pub use words::escape_invalid;

/// The key of a row without a value.
pub const NULL: u32 = u32::MAX;

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
    /// Floating point numbers.
    Float(FloatValues),
}

/// One column of rows.
#[derive(Debug)]
pub struct KeyedColumn {
    /// How text becomes a value.
    pub ty: ColumnType,
    /// A key for each row, which its values tell the meaning of, or [`NULL`].
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
            ColumnType::Float64 => Values::Float(FloatValues::default()),
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
        // Columns that a load balancer seldom fills: a batch of nothing is seen at a glance.
        if spans.iter().all(|span| span.is_none()) {
            self.keys.resize(self.keys.len() + spans.len(), NULL);
            return;
        }
        self.keys.reserve(spans.len());
        match &mut self.values {
            Values::Text(text) => text.push_spans(self.ty, block, spans, &mut self.keys, bad),
            Values::Int(ints) => ints.push_spans(self.ty, block, spans, &mut self.keys, bad),
            Values::Float(floats) => floats.push_spans(block, spans, &mut self.keys, bad),
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
            ints.push_plain(values, &mut self.keys);
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

    /// About how many bytes its rows take; room that it keeps for the next row group is not counted.
    pub fn memory(&self) -> usize {
        self.keys.len() * 4
            + match &self.values {
                Values::Text(text) => text.memory(),
                Values::Int(ints) => ints.memory(),
                Values::Float(floats) => floats.memory(),
            }
    }
}

/// Whether a token stands for "no value".
#[inline(always)]
fn is_null(token: &[u8]) -> bool {
    token.is_empty() || token == b"-"
}

#[inline(always)]
fn hash(low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
    let folded = product as u64 ^ (product >> 64) as u64;
    folded ^ (folded >> 29)
}

#[cfg(test)]
#[path = "keyed_tests.rs"]
mod tests;
