//! Cells: where in a block the text of each wanted column of each row lies.

use std::sync::Arc;

use super::keyed::escape_invalid;

/// A piece of a block. Empty means "no value": `-`, a missing trailing field, or an empty one.
// Eight of them are read at once where the processor can: the order of the fields counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte in the block.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// No value.
    pub const NONE: Span = Span { start: 0, len: 0 };

    /// The span of `start..end`. An end before the start gives no value.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// Whether there is no value.
    pub fn is_none(self) -> bool {
        self.len == 0
    }

    /// The text; empty where the span lies outside the block.
    pub fn of(self, block: &[u8]) -> &[u8] {
        let start = self.start as usize;
        block.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// Which columns of a log type are asked for, and in which slot of [`Cells`] each one goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// By position in [`LogKind::columns`](crate::format::LogKind::columns): the slot, or `None`.
    slots: Vec<Option<u16>>,
    columns: Vec<usize>,
    /// Whether what lies beyond the known columns is asked for.
    pub extra: bool,
}

impl Wanted {
    /// Asks for these columns (positions in the kind's columns), in this order.
    pub fn new(kind_columns: usize, columns: &[usize], extra: bool) -> Wanted {
        let mut slots = vec![None; kind_columns];
        for (slot, &column) in columns.iter().enumerate() {
            if let Some(place) = slots.get_mut(column) {
                *place = Some(slot as u16);
            }
        }
        Wanted { slots, columns: columns.to_vec(), extra }
    }

    /// Asks for every column.
    pub fn all(kind_columns: usize) -> Wanted {
        Wanted::new(kind_columns, &(0..kind_columns).collect::<Vec<_>>(), true)
    }

    /// The slot of a column, where it is asked for.
    #[inline]
    pub fn slot(&self, column: usize) -> Option<usize> {
        self.slots.get(column).copied().flatten().map(usize::from)
    }

    /// The columns asked for, in slot order.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }
}

/// Why a line is not a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line in its file (or event in its envelope), from 1.
    pub line: u64,
    /// Where the line begins in the block.
    pub start: u32,
    /// Its length in bytes, without its end.
    pub len: u32,
    /// What was found and what was expected.
    pub reason: String,
}

impl Refusal {
    /// So many bytes of a refused line are kept.
    const KEPT: usize = 4096;

    /// The line as it is kept: bytes that are no UTF-8 written out, and its length behind an ellipsis where it is longer
    /// than what is kept.
    pub fn text(&self, block: &[u8]) -> String {
        let start = self.start as usize;
        let line = block.get(start..start.saturating_add(self.len as usize)).unwrap_or_default();
        let mut end = line.len().min(Refusal::KEPT);
        // Not in the middle of a character.
        while end < line.len()
            && end > Refusal::KEPT - 4
            && line.get(end).is_some_and(|byte| byte >> 6 == 0b10)
        {
            end -= 1;
        }
        let mut text = Vec::new();
        escape_invalid(line.get(..end).unwrap_or(line), &mut text);
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if end < line.len() {
            text.push_str(&format!("… ({} bytes)", line.len()));
        }
        text
    }
}

/// Something a line held beyond the known columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// The row in its [`Cells`].
    pub row: u32,
    /// Which one: an index into the names of unknown header fields, or the field's position from 1.
    pub field: ExtraField,
    /// Its text.
    pub span: Span,
}

/// How an extra value is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraField {
    /// An unknown name of the header, by its position in the header from 0.
    Header(u16),
    /// A trailing field without a name, by its position in the line from 1.
    Position(u16),
}

/// A batch of rows, cut but not yet converted.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// One list per wanted column, in slot order; each as long as `lines`.
    pub spans: Vec<Vec<Span>>,
    /// The line of each row, from 1.
    pub lines: Vec<u64>,
    /// Where each row's line begins in the block, and its length.
    pub whole: Vec<Span>,
    /// What lay beyond the known columns, by row.
    pub extra: Vec<Extra>,
    /// The lines of rows that had fewer fields than their header, in order.
    pub short: Vec<u64>,
    /// The field lists by which rows were cut, of flow logs: names separated by spaces. Of a row with fewer fields than its header
    /// those that it has.
    pub field_lists: Vec<Arc<str>>,
}

impl Cells {
    /// Empties it for the next batch, with a slot for each wanted column; keeps the memory.
    pub fn reset(&mut self, wanted: &Wanted) {
        self.spans.resize_with(wanted.columns().len(), Vec::new);
        self.spans.iter_mut().for_each(Vec::clear);
        self.lines.clear();
        self.whole.clear();
        self.extra.clear();
        self.short.clear();
        self.field_lists.clear();
    }

    /// Notes that some row has the fields of this list.
    #[inline]
    pub fn note_fields(&mut self, list: &Arc<str>) {
        if !self.field_lists.last().is_some_and(|last| Arc::ptr_eq(last, list))
            && !self.field_lists.contains(list)
        {
            self.field_lists.push(Arc::clone(list));
        }
    }

    /// The same of a list that nobody keeps.
    pub fn note_field_list(&mut self, list: &str) {
        if !self.field_lists.iter().any(|known| **known == *list) {
            self.field_lists.push(list.into());
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Opens a row: every cell empty until it is set.
    pub fn push_row(&mut self, line: u64, whole: Span) {
        self.lines.push(line);
        self.whole.push(whole);
        self.spans.iter_mut().for_each(|column| column.push(Span::NONE));
    }

    /// Sets a cell of the newest row.
    #[inline]
    pub fn set_last(&mut self, slot: usize, span: Span) {
        if let Some(last) = self.spans.get_mut(slot).and_then(|column| column.last_mut()) {
            *last = span;
        }
    }

    /// Takes the newest row back.
    pub fn pop_row(&mut self) {
        let row = self.lines.len().saturating_sub(1) as u32;
        self.lines.pop();
        self.whole.pop();
        self.spans.iter_mut().for_each(|column| {
            column.pop();
        });
        while self.extra.last().is_some_and(|extra| extra.row >= row) {
            self.extra.pop();
        }
    }
}
