//! Cells to Arrow columns: what SQL over raw files reads, without a dictionary or a store in between.
//!
//! Each wanted column has a [`Converter`], which turns the cells of one batch into one array in a tight loop. Text becomes
//! views: up to twelve bytes lie in the view itself and touch no buffer, longer text is appended to one buffer per
//! array, once for neighbours and recent values that are the same. Values are what the store keeps for the same text
//! (`-` and empty are null, percent text is decoded, bytes that are not UTF-8 are escaped), so a raw table and a stored
//! one answer alike. Which rows to drop because of a cell that is no value is the caller's: it finds them in `bad`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, MapArray, PrimitiveArray, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Fields};

use super::cells::{Cells, ExtraField, Span};
use super::keyed::{BadCell, escape_invalid, small_number};
use super::values;
use crate::format::{self, Column, ColumnType};

/// How many recent texts a converter remembers; a power of two.
const REMEMBERED: usize = 4096;

/// Text of up to this many bytes lies in its view.
const INLINE: u32 = 12;

/// Which rows have a value; nothing is kept until the first that has none.
struct Validity {
    bits: Vec<u64>,
    rows: usize,
}

impl Validity {
    fn new(rows: usize) -> Validity {
        Validity { bits: Vec::new(), rows }
    }

    #[inline]
    fn set_null(&mut self, row: usize) {
        if self.bits.is_empty() {
            self.bits = vec![u64::MAX; self.rows.div_ceil(64)];
        }
        if let Some(word) = self.bits.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    fn finish(self) -> Option<NullBuffer> {
        if self.bits.is_empty() {
            return None;
        }
        Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(self.bits), 0, self.rows)))
    }
}

/// A text that has been checked, and where it lies in the buffer of the array of that `generation`.
#[derive(Clone, Copy, Default)]
struct Known {
    low: u64,
    high: u64,
    offset: u32,
    generation: u32,
}

/// Turns the cells of one column into arrays, batch after batch.
pub struct Converter {
    ty: ColumnType,
    known: Vec<Known>,
    generation: u32,
}

impl Converter {
    /// A converter for a column of this type.
    pub fn new(ty: ColumnType) -> Converter {
        Converter { ty, known: Vec::new(), generation: 0 }
    }

    /// One value for each span. Rows whose text is not of the column's type are named in `bad` and are null.
    pub fn array(&mut self, block: &[u8], spans: &[Span], bad: &mut Vec<BadCell>) -> ArrayRef {
        match self.ty {
            ColumnType::Text | ColumnType::Address | ColumnType::PercentText => {
                Arc::new(self.text(block, spans, bad))
            }
            ColumnType::Int32 => Arc::new(numbers::<arrow::datatypes::Int32Type>(
                block,
                spans,
                bad,
                |small| small as i32,
                values::parse_i32,
            )),
            ColumnType::Int64 => Arc::new(numbers::<arrow::datatypes::Int64Type>(
                block,
                spans,
                bad,
                |small| small,
                values::parse_i64,
            )),
            ColumnType::Float64 => {
                Arc::new(others::<arrow::datatypes::Float64Type>(block, spans, bad, values::parse_f64))
            }
            ColumnType::EpochSeconds => {
                Arc::new(times(block, spans, bad, values::parse_epoch_seconds).with_timezone("UTC"))
            }
            ColumnType::Time => {
                Arc::new(times(block, spans, bad, values::parse_time_micros).with_timezone("UTC"))
            }
        }
    }

    fn text(&mut self, block: &[u8], spans: &[Span], bad: &mut Vec<BadCell>) -> StringViewArray {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 || self.known.is_empty() {
            self.known = vec![Known::default(); REMEMBERED];
            self.generation = 1;
        }
        let mut views: Vec<u128> = Vec::with_capacity(spans.len());
        let mut buffer: Vec<u8> = Vec::new();
        let mut validity = Validity::new(spans.len());
        for (row, span) in spans.iter().enumerate() {
            if span.is_none() || (span.len == 1 && block.get(span.start as usize) == Some(&b'-')) {
                validity.set_null(row);
                views.push(0);
                continue;
            }
            let view = if self.ty == ColumnType::PercentText {
                self.unusual(span.of(block), &mut buffer)
            } else {
                self.view(block, *span, &mut buffer)
            };
            match view {
                Some(view) => views.push(view),
                None => {
                    validity.set_null(row);
                    views.push(0);
                    bad.push(BadCell { row: row as u32, span: *span });
                }
            }
        }
        let buffers = if buffer.is_empty() { Vec::new() } else { vec![Buffer::from_vec(buffer)] };
        let nulls = validity.finish();
        // SAFETY: there is one view per row. Each view was made by `inline_view` from at most twelve bytes with zeros
        // behind them, or by `long_view` with its length, its first four bytes and its place in the only buffer, where
        // exactly those bytes had just been appended. Both were given text that is ASCII or had passed
        // `str::from_utf8` or `escape_invalid`. `views_are_valid` below checks the same with `try_new`.
        unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers, nulls) }
    }

    /// The view of a text that is not empty; `None` where it is not of the column's type.
    #[inline(always)]
    fn view(&mut self, block: &[u8], span: Span, buffer: &mut Vec<u8>) -> Option<u128> {
        let start = span.start as usize;
        let Some(Ok(sixteen)) = block.get(start..start + 16).map(<[u8; 16]>::try_from) else {
            return self.unusual(span.of(block), buffer);
        };
        if span.len > 15 {
            return self.long(span.of(block), buffer);
        }
        let text = u128::from_le_bytes(sixteen) & ((1u128 << (8 * span.len)) - 1);
        if text & ASCII != text {
            return self.unusual(span.of(block), buffer);
        }
        let inline = span.len <= INLINE;
        if inline && self.ty != ColumnType::Address {
            return Some(text << 32 | u128::from(span.len));
        }
        let (low, high) = (text as u64, (text >> 64) as u64 | u64::from(span.len) << 56);
        let place = self.known.get_mut(slot(low, high))?;
        let same = (place.low, place.high) == (low, high);
        if !same && self.ty == ColumnType::Address && !values::is_ip_address(span.of(block)) {
            return None;
        }
        if inline {
            if !same {
                *place = Known { low, high, offset: 0, generation: 0 };
            }
            return Some(text << 32 | u128::from(span.len));
        }
        if !same || place.generation != self.generation {
            let offset = append(buffer, span.of(block))?;
            *place = Known { low, high, offset, generation: self.generation };
        }
        Some(long_view(text as u32, span.len, place.offset))
    }

    /// Text of sixteen bytes and more.
    fn long(&mut self, text: &[u8], buffer: &mut Vec<u8>) -> Option<u128> {
        if self.ty == ColumnType::Address || !text.is_ascii() {
            return self.unusual(text, buffer);
        }
        let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) else {
            return self.unusual(text, buffer);
        };
        let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
        let low = hash(first as u64 ^ last as u64, (first >> 64) as u64 ^ last.rotate_right(71) as u64);
        let high = u64::MAX << 32 | text.len() as u64;
        let place = self.known.get_mut(slot(low, high))?;
        let kept = place.offset as usize;
        let same = (place.low, place.high, place.generation) == (low, high, self.generation)
            && buffer.get(kept..kept + text.len()) == Some(text);
        if !same {
            let offset = append(buffer, text)?;
            *place = Known { low, high, offset, generation: self.generation };
        }
        Some(long_view(first as u32, text.len() as u32, place.offset))
    }

    /// Any text, with every check and change that its type asks for.
    #[cold]
    fn unusual(&mut self, text: &[u8], buffer: &mut Vec<u8>) -> Option<u128> {
        if self.ty == ColumnType::Address && !values::is_ip_address(text) {
            return None;
        }
        let mut kept = Vec::new();
        let decoded = self.ty == ColumnType::PercentText && values::percent_decode(text, &mut kept);
        let mut kept = if decoded { kept } else { text.to_vec() };
        if std::str::from_utf8(&kept).is_err() {
            let mut escaped = Vec::new();
            escape_invalid(&kept, &mut escaped);
            kept = escaped;
        }
        view_of(&kept, buffer)
    }
}

/// Every byte of sixteen without its top bit.
const ASCII: u128 = 0x7F7F_7F7F_7F7F_7F7F_7F7F_7F7F_7F7F_7F7F;

/// The view of valid UTF-8, appended to the buffer if it is long; `None` where the buffer would outgrow its offsets.
fn view_of(text: &[u8], buffer: &mut Vec<u8>) -> Option<u128> {
    if text.len() <= INLINE as usize {
        let mut sixteen = [0u8; 16];
        sixteen.iter_mut().skip(4).zip(text).for_each(|(place, byte)| *place = *byte);
        return Some(u128::from_le_bytes(sixteen) | text.len() as u128);
    }
    let prefix = u32::from_le_bytes(*text.first_chunk::<4>()?);
    let offset = append(buffer, text)?;
    Some(long_view(prefix, text.len() as u32, offset))
}

#[inline(always)]
fn long_view(prefix: u32, len: u32, offset: u32) -> u128 {
    u128::from(len) | u128::from(prefix) << 32 | u128::from(offset) << 96
}

fn append(buffer: &mut Vec<u8>, text: &[u8]) -> Option<u32> {
    let offset = buffer.len();
    if offset + text.len() > i32::MAX as usize {
        return None;
    }
    buffer.extend_from_slice(text);
    Some(offset as u32)
}

#[inline(always)]
fn hash(low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD6E8_FEB8_6659_FD93);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn slot(low: u64, high: u64) -> usize {
    (hash(low, high) >> 20) as usize & (REMEMBERED - 1)
}

#[inline(always)]
fn is_null(text: &[u8]) -> bool {
    matches!(text, [] | [b'-'])
}

#[inline(always)]
fn numbers<T: ArrowPrimitiveType>(
    block: &[u8],
    spans: &[Span],
    bad: &mut Vec<BadCell>,
    small: impl Fn(i64) -> T::Native,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    let mut validity = Validity::new(spans.len());
    let mut numbers: Vec<T::Native> = Vec::with_capacity(spans.len());
    numbers.extend(spans.iter().enumerate().map(|(row, span)| match small_number(block, *span) {
        Some(value) => small(value),
        None => other(block, row, *span, &mut validity, bad, &parse),
    }));
    PrimitiveArray::new(ScalarBuffer::from(numbers), validity.finish())
}

fn others<T: ArrowPrimitiveType>(
    block: &[u8],
    spans: &[Span],
    bad: &mut Vec<BadCell>,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    let mut validity = Validity::new(spans.len());
    let mut numbers: Vec<T::Native> = Vec::with_capacity(spans.len());
    let rows = spans.iter().enumerate();
    numbers.extend(rows.map(|(row, span)| other(block, row, *span, &mut validity, bad, &parse)));
    PrimitiveArray::new(ScalarBuffer::from(numbers), validity.finish())
}

fn other<N: Default>(
    block: &[u8],
    row: usize,
    span: Span,
    validity: &mut Validity,
    bad: &mut Vec<BadCell>,
    parse: &impl Fn(&[u8]) -> Option<N>,
) -> N {
    let text = span.of(block);
    if !is_null(text) {
        if let Some(value) = parse(text) {
            return value;
        }
        bad.push(BadCell { row: row as u32, span });
    }
    validity.set_null(row);
    N::default()
}

fn times(
    block: &[u8],
    spans: &[Span],
    bad: &mut Vec<BadCell>,
    parse: impl Fn(&[u8]) -> Option<i64>,
) -> TimestampMicrosecondArray {
    let mut validity = Validity::new(spans.len());
    let mut micros: Vec<i64> = Vec::with_capacity(spans.len());
    let (mut last, mut last_value) = ([0u8; 10], None);
    micros.extend(spans.iter().enumerate().map(|(row, span)| {
        // Neighbouring records mostly share their window: ten digits that are the same need no second look.
        let start = span.start as usize;
        let ten = if span.len == 10 { block.get(start..start + 10) } else { None };
        if let (Some(ten), Some(value)) = (ten, last_value)
            && ten == last
        {
            return value;
        }
        let value = other(block, row, *span, &mut validity, bad, &parse);
        if let Some(Ok(ten)) = ten.map(<[u8; 10]>::try_from)
            && bad.last().is_none_or(|bad| bad.row as usize != row)
        {
            (last, last_value) = (ten, Some(value));
        }
        value
    }));
    PrimitiveArray::new(ScalarBuffer::from(micros), validity.finish())
}

/// The UTC date of each time: the table's `event_date`.
pub fn event_dates(times: &TimestampMicrosecondArray) -> Date32Array {
    times.unary(values::date_of_micros)
}

/// The same text for every row: the table's `source_file`.
pub fn repeated(text: &str, rows: usize) -> StringViewArray {
    let mut buffer = Vec::new();
    let view = view_of(text.as_bytes(), &mut buffer).unwrap_or(0);
    let buffers = if buffer.is_empty() { Vec::new() } else { vec![Buffer::from_vec(buffer)] };
    // SAFETY: `view_of` made the view from a `str` that lies in the only buffer or in the view; a view of zero is the
    // empty text.
    unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(vec![view; rows]), buffers, None) }
}

/// The line of each row: the table's `source_line`.
pub fn lines(cells: &Cells) -> Int64Array {
    cells.lines.iter().map(|line| *line as i64).collect::<Vec<_>>().into()
}

/// What lay beyond the known columns, per row; `names` are the header's. Null where a row had nothing more.
pub fn extras(block: &[u8], cells: &Cells, names: &[String]) -> MapArray {
    let rows = cells.rows();
    let mut counts = vec![0usize; rows];
    let mut validity = Validity::new(rows);
    let mut keys: Vec<String> = Vec::with_capacity(cells.extra.len());
    let mut texts: Vec<String> = Vec::with_capacity(cells.extra.len());
    for extra in &cells.extra {
        let text = extra.span.of(block);
        // A field without a value is as good as one that is not there; the store leaves it out as well.
        if is_null(text) || text == b"\"-\"" {
            continue;
        }
        let Some(count) = counts.get_mut(extra.row as usize) else { continue };
        *count += 1;
        keys.push(match extra.field {
            ExtraField::Header(field) => {
                names.get(field as usize).cloned().unwrap_or_else(|| format!("field_{}", field as u32 + 1))
            }
            ExtraField::Position(position) => format!("field_{position}"),
        });
        let mut kept = Vec::new();
        escape_invalid(text, &mut kept);
        texts.push(String::from_utf8_lossy(&kept).into_owned());
    }
    for (row, count) in counts.iter().enumerate() {
        if *count == 0 {
            validity.set_null(row);
        }
    }
    let entries = StructArray::new(
        entry_fields(),
        vec![Arc::new(StringArray::from(keys)) as ArrayRef, Arc::new(StringArray::from(texts)) as ArrayRef],
        None,
    );
    let field = match format::extra_type() {
        DataType::Map(field, _) => field,
        other => Arc::new(Field::new("key_value", other, false)),
    };
    MapArray::new(field, OffsetBuffer::from_lengths(counts), entries, validity.finish(), false)
}

fn entry_fields() -> Fields {
    match format::extra_type() {
        DataType::Map(field, _) => match field.data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        },
        _ => Fields::empty(),
    }
}

/// Why a row with this cell is refused: `srcport: expected an integer, found "abc"`.
pub fn refusal_reason(column: &Column, text: &[u8]) -> String {
    const SHOWN: usize = 60;
    let expected = match column.ty {
        ColumnType::Int32 => "a 32-bit integer",
        ColumnType::Int64 => "an integer",
        ColumnType::Float64 => "a number",
        ColumnType::EpochSeconds => "Unix seconds",
        ColumnType::Time => "an ISO 8601 time",
        ColumnType::Address => "an IP address",
        ColumnType::Text | ColumnType::PercentText => "text of less than 2 GiB",
    };
    let mut shown = Vec::new();
    escape_invalid(text.get(..SHOWN).unwrap_or(text), &mut shown);
    let more = if text.len() > SHOWN { "…" } else { "" };
    format!("{}: expected {expected}, found \"{}{more}\"", column.log_name, String::from_utf8_lossy(&shown))
}

/// An array of nulls for a column that the file does not carry.
pub fn absent(ty: &DataType, rows: usize) -> ArrayRef {
    match ty {
        DataType::Utf8View => Arc::new(StringViewArray::new_null(rows)),
        DataType::Int32 => Arc::new(Int32Array::new_null(rows)),
        DataType::Int64 => Arc::new(Int64Array::new_null(rows)),
        DataType::Float64 => Arc::new(Float64Array::new_null(rows)),
        other => arrow::array::new_null_array(other, rows),
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
