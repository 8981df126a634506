//! Rows on their way into a row group: one builder for each table, day and set of columns.
//!
//! Each worker has its own builders, so that nothing is shared until a row group is complete.

use std::sync::Arc;

use arrow::array::{ArrayRef, MapBuilder, MapFieldNames, StringBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::format::{self, ColumnType, LogKind};
use crate::parse::cells::{Cells, ExtraField};
use crate::parse::flow::Layout;
use crate::parse::keyed::{BadCell, KeyedColumn, Values};

/// What the rows of one Parquet file have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The table.
    pub kind: LogKind,
    /// Days since 1970-01-01; `None` for rows without a time.
    pub date: Option<i32>,
    /// The columns that the input carries, by position in the table.
    pub columns: Arc<[usize]>,
    /// Whether some row holds more than the known columns.
    pub extra: bool,
}

impl Group {
    /// The schema of this group's Parquet files: only what the input carries.
    pub fn schema(&self) -> SchemaRef {
        let all = self.kind.columns();
        let mut fields: Vec<Field> = self
            .columns
            .iter()
            .filter_map(|column| all.get(*column))
            .map(|column| Field::new(column.name, column.ty.data_type(), true))
            .collect();
        fields.push(Field::new(format::SOURCE_FILE, ColumnType::Text.data_type(), true));
        fields.push(Field::new(format::SOURCE_LINE, ColumnType::Int64.data_type(), true));
        if self.extra {
            fields.push(Field::new(format::EXTRA, format::extra_type(), true));
        }
        Arc::new(Schema::new(fields))
    }

    /// Whether a bloom filter is worth writing for a column: what people look up by value.
    pub fn wants_bloom_filter(name: &str) -> bool {
        matches!(
            name,
            "srcaddr"
                | "dstaddr"
                | "pkt_srcaddr"
                | "pkt_dstaddr"
                | "interface_id"
                | "instance_id"
                | "client_ip"
                | "target_ip"
                | "trace_id"
                | "conn_trace_id"
        )
    }
}

/// The rows of a row group under construction.
#[derive(Debug)]
pub struct Rows {
    /// What they have in common.
    pub group: Group,
    /// One column per carried column, then `source_file` and `source_line`.
    pub columns: Vec<KeyedColumn>,
    extra: Option<MapBuilder<StringBuilder, StringBuilder>>,
    /// The most memory that its rows have taken.
    most: usize,
}

impl Rows {
    /// No rows yet.
    pub fn new(group: Group) -> Rows {
        let all = group.kind.columns();
        let mut columns: Vec<KeyedColumn> = group
            .columns
            .iter()
            .map(|column| KeyedColumn::new(all.get(*column).map_or(ColumnType::Text, |column| column.ty)))
            .collect();
        columns.push(KeyedColumn::new(ColumnType::Text));
        columns.push(KeyedColumn::new(ColumnType::Int64));
        let extra = group.extra.then(|| {
            let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
            MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        });
        Rows { group, columns, extra, most: 0 }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.columns.last().map_or(0, KeyedColumn::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes they take.
    pub fn memory(&self) -> usize {
        self.columns.iter().map(KeyedColumn::memory).sum()
    }

    /// About how many bytes its buffers take, full or not.
    pub fn room(&self) -> usize {
        self.most.max(self.memory())
    }

    /// Empties it for the next row group; keeps the memory.
    pub fn clear(&mut self) {
        self.most = self.room();
        self.columns.iter_mut().for_each(KeyedColumn::clear);
    }

    /// Adds a batch of cells, whose slots are this group's columns. Cells that are not of their column's type come back
    /// as `(slot, cell)`; then nothing has been added.
    pub fn push(
        &mut self,
        block: &[u8],
        cells: &Cells,
        source: &str,
        layout: Option<&Layout>,
    ) -> Vec<(usize, BadCell)> {
        let before = self.len();
        let mut bad = Vec::new();
        let mut bad_cells = Vec::new();
        for (slot, (column, spans)) in self.columns.iter_mut().zip(&cells.spans).enumerate() {
            column.push_spans(block, spans, &mut bad_cells);
            bad.extend(bad_cells.drain(..).map(|cell| (slot, cell)));
        }
        if !bad.is_empty() {
            self.truncate(before);
            return bad;
        }
        let carried = self.group.columns.len();
        if let Some(column) = self.columns.get_mut(carried) {
            column.push_repeated(Some(source), cells.rows());
        }
        if let Some(column) = self.columns.get_mut(carried + 1) {
            column.push_values(cells.lines.iter().map(|line| *line as i64));
        }
        if let Some(extra) = &mut self.extra {
            push_extra(extra, block, cells, layout);
        }
        bad
    }

    fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The days of the rows from `from` on: `(least, greatest)` of those that have one, and whether some have none.
    /// `None` where the group carries no time.
    pub fn days_since(&self, from: usize) -> Option<Days> {
        let time = self.group.kind.column_index(self.group.kind.time_column())?;
        let slot = self.group.columns.iter().position(|column| *column == time)?;
        let column = self.columns.get(slot)?;
        let Values::Int(ints) = &column.values else { return None };
        let mut days = Days { least: i64::MAX, most: i64::MIN, missing: false };
        for key in column.keys.get(from..).unwrap_or_default() {
            match ints.get(*key) {
                Some(micros) => {
                    days.least = days.least.min(micros);
                    days.most = days.most.max(micros);
                }
                _ => days.missing = true,
            }
        }
        Some(days)
    }

    /// Takes the rows from `rows` on back.
    pub fn take_back(&mut self, rows: usize) {
        self.truncate(rows);
        // Extra values cannot be taken back from the builder; groups with extras are split before they are pushed.
    }

    /// How often each of these texts stands in a column from row `from` on.
    pub fn count_texts<const N: usize>(&self, column: &str, from: usize, texts: [&[u8]; N]) -> [u64; N] {
        let mut counts = [0; N];
        let place = self.group.kind.column_index(column);
        let slot = place.and_then(|place| self.group.columns.iter().position(|column| *column == place));
        let Some(column) = slot.and_then(|slot| self.columns.get(slot)) else { return counts };
        let Values::Text(values) = &column.values else { return counts };
        let keys = column.keys.get(from..).unwrap_or_default();
        for (count, text) in counts.iter_mut().zip(texts) {
            if let Some(wanted) = (0..values.len()).find(|key| values.get(*key) == text) {
                *count = keys.iter().filter(|key| **key == wanted as u32).count() as u64;
            }
        }
        counts
    }

    /// The `extra` column of the row group, where the group has one.
    pub fn finish_extra(&mut self) -> Option<ArrayRef> {
        self.extra.as_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef)
    }
}

/// The times of some rows, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The earliest; greater than `most` where no row has one.
    pub least: i64,
    /// The latest.
    pub most: i64,
    /// Whether some row has none.
    pub missing: bool,
}

/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

impl Days {
    /// The day, if all rows share one.
    pub fn single(self) -> Option<Option<i32>> {
        if self.least > self.most {
            return Some(None);
        }
        let (first, last) = (self.least.div_euclid(DAY), self.most.div_euclid(DAY));
        (first == last && !self.missing).then_some(Some(first as i32))
    }
}

fn push_extra(
    builder: &mut MapBuilder<StringBuilder, StringBuilder>,
    block: &[u8],
    cells: &Cells,
    layout: Option<&Layout>,
) {
    let mut extras = cells.extra.iter().peekable();
    for row in 0..cells.rows() as u32 {
        let mut any = false;
        while let Some(extra) = extras.next_if(|extra| extra.row <= row) {
            let text = extra.span.of(block);
            let name = match extra.field {
                ExtraField::Header(field) => {
                    layout.and_then(|layout| layout.names.get(usize::from(field))).cloned()
                }
                ExtraField::Position(position) => Some(format!("field_{position}")),
            };
            let Some(name) = name else { continue };
            if text == b"-" || text.is_empty() || text == b"\"-\"" {
                continue;
            }
            let mut kept = Vec::new();
            crate::parse::keyed::escape_invalid(text, &mut kept);
            builder.keys().append_value(name);
            builder.values().append_value(String::from_utf8_lossy(&kept));
            any = true;
        }
        // Neither can fail: a key and a value have been added together.
        let _ = builder.append(any);
    }
}
