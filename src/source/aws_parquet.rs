//! AWS's Parquet flow logs: columns to cells, so that what follows need not know where a row came from.
//!
//! Documented: the field names with underscores, STRING, INT_32 and INT_64, gzip inside. Observed: missing strings are the
//! literal `-`; missing integers may be null or anything, so on rows that are not `OK` the flow's own fields are taken as
//! missing, and a traffic path of zero or less as well.
//!
//! Whatever type a column has, its values become the text that a log would have, and what is made of that (a value, a refusal)
//! is the same as for text: a number beyond its column's width or bytes that are no address refuse their row.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchReader};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, UInt64Type};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::{ParquetError, Result};

use super::content::{ContentReader, Identity};
use super::locate::Located;
use crate::parse::cells::{Cells, Extra, ExtraField, Span, Wanted};
use crate::parse::flow::Layout;

/// The largest gzip-wrapped Parquet file that is read: it has to be inflated whole.
const WRAPPED: usize = 1 << 30;

/// Fields that a NODATA or SKIPDATA record cannot have, whatever its file holds there.
const FLOW_FIELDS: [&str; 11] = [
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "action",
    "tcp_flags",
    "pkt_srcaddr",
    "pkt_dstaddr",
];

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be the Parquet library's and become an error: then nobody needs to be told.
pub fn panics_are_caught() -> bool {
    GUARDED.get()
}

/// The library panics on some damaged files (negative offsets in the footer, for one), which must not end the run.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    outcome.unwrap_or_else(|_| Err(ParquetError::General("its metadata contradict the file".to_owned())))
}

/// Reads one Parquet object.
pub struct ParquetFeed {
    reader: ParquetRecordBatchReader,
    layout: Layout,
    path: String,
    identity: Option<Identity>,
    /// The batch at hand and how many of its rows have been taken.
    at_hand: Option<(RecordBatch, usize)>,
}

impl ParquetFeed {
    /// Opens it; `None` if no column is a flow log field.
    pub fn open(mut content: ContentReader<'_>, located: &Located) -> Result<Option<ParquetFeed>> {
        let mut identity = content.identity();
        let reader = if content.layers() == 0 && !located.is_stdin() {
            let path = located.file().to_path_buf();
            if identity.is_none() {
                identity = Identity::of_file(&path).ok();
            }
            let file = File::open(path)?;
            guarded(|| ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(4096).build())?
        } else {
            let mut bytes = Vec::new();
            content.read_all(&mut bytes, WRAPPED).map_err(|error| ParquetError::External(Box::new(error)))?;
            identity = identity.or(content.identity());
            let bytes = Bytes::from(bytes);
            guarded(|| ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(4096).build())?
        };
        let schema = reader.schema();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().replace('_', "-")).collect();
        let layout = Layout::bind(&names);
        let known = layout.columns.iter().flatten().count();
        if known == 0 || known * 2 < names.len() {
            return Ok(None);
        }
        let path = located.path.clone();
        Ok(Some(ParquetFeed { reader, layout, path, identity, at_hand: None }))
    }

    /// VPC or Transit Gateway.
    pub fn kind(&self) -> crate::format::LogKind {
        self.layout.kind
    }

    /// The file's columns.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The object's name in messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The object's identity.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Writes the next rows as text into `block`, with their cells; false at the end. Rows count from `first_line`.
    pub fn next_batch(
        &mut self,
        wanted: &Wanted,
        first_line: u64,
        max_rows: usize,
        block: &mut Vec<u8>,
        cells: &mut Cells,
    ) -> Result<bool> {
        let (batch, from) = match self.at_hand.take() {
            Some(at_hand) => at_hand,
            None => match guarded(|| self.reader.next().transpose().map_err(ParquetError::from))? {
                Some(batch) => (batch, 0),
                None => return Ok(false),
            },
        };
        let rows = (batch.num_rows() - from).min(max_rows.max(1));
        let slice = batch.slice(from, rows);
        if from + rows < batch.num_rows() {
            self.at_hand = Some((batch, from + rows));
        }
        block.clear();
        let ok = self.rows_with_flows(&slice)?;
        for (slot, column) in wanted.columns().iter().enumerate() {
            let Some(spans) = cells.spans.get_mut(slot) else { continue };
            let place = self.layout.columns.iter().position(|found| *found == Some(*column));
            let array = place.map(|place| slice.column(place));
            let name = self.layout.kind.columns().get(*column).map_or("", |column| column.name);
            match array {
                Some(array) => render(array, name, ok.as_deref(), block, spans)?,
                None => spans.resize(rows, Span::NONE),
            }
        }
        if wanted.extra {
            self.render_extra(&slice, block, cells)?;
        }
        cells.lines.extend((0..rows as u64).map(|row| first_line + row));
        cells.whole.resize(rows, Span::NONE);
        Ok(true)
    }

    /// Which rows hold a flow: those whose status is `OK`; `None` where there is no status.
    fn rows_with_flows(&self, batch: &RecordBatch) -> Result<Option<Vec<bool>>> {
        let Some(place) = self.layout.names.iter().position(|name| name == "log-status") else {
            return Ok(None);
        };
        let Texts::Bytes(status) = Texts::of(batch.column(place))? else { return Ok(None) };
        let status = status.as_binary::<i32>();
        Ok(Some(status.iter().map(|status| status.is_none_or(|status| status == b"OK")).collect()))
    }

    fn render_extra(&self, batch: &RecordBatch, block: &mut Vec<u8>, cells: &mut Cells) -> Result<()> {
        for (field, column) in self.layout.columns.iter().enumerate() {
            if column.is_some() {
                continue;
            }
            let mut spans = Vec::new();
            render(batch.column(field), "", None, block, &mut spans)?;
            let found = spans.into_iter().enumerate().filter(|(_, span)| !span.is_none());
            cells.extra.extend(found.map(|(row, span)| Extra {
                row: row as u32,
                field: ExtraField::Header(field as u16),
                span,
            }));
        }
        cells.extra.sort_by_key(|extra| extra.row);
        Ok(())
    }
}

/// A column's values, by how they are written.
enum Texts {
    /// Integers that an `i64` holds.
    Signed(ArrayRef),
    /// Those that may be larger.
    Unsigned(ArrayRef),
    /// Text, or bytes that should be, as `Binary`: whether they are UTF-8 is asked of them as of any text.
    Bytes(ArrayRef),
    /// Lists, structs and maps.
    Nested(ArrayRef),
}

impl Texts {
    fn of(array: &ArrayRef) -> Result<Texts> {
        let ty = array.data_type();
        let value = match ty {
            DataType::Dictionary(_, value) => value.as_ref(),
            ty => ty,
        };
        Ok(match value {
            DataType::UInt64 => Texts::Unsigned(cast(array, &DataType::UInt64)?),
            value if value.is_integer() => Texts::Signed(cast(array, &DataType::Int64)?),
            value if value.is_nested() => Texts::Nested(array.clone()),
            value if value.is_string() || value.is_binary() => Texts::Bytes(cast(array, &DataType::Binary)?),
            _ => Texts::Bytes(cast(&cast(array, &DataType::Utf8)?, &DataType::Binary)?),
        })
    }
}

/// Writes one column's values as text.
fn render(
    array: &ArrayRef,
    name: &str,
    ok: Option<&[bool]>,
    block: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<()> {
    let only_flows = FLOW_FIELDS.contains(&name);
    let has = |row: usize| !only_flows || ok.and_then(|ok| ok.get(row)).copied().unwrap_or(true);
    let mut put = |row: usize, write: &mut dyn FnMut(&mut Vec<u8>)| {
        let start = block.len();
        if has(row) {
            write(block);
        }
        spans.push(Span::new(start, block.len()));
    };
    match Texts::of(array)? {
        Texts::Signed(numbers) => {
            for (row, number) in numbers.as_primitive::<Int64Type>().iter().enumerate() {
                let number = number.filter(|number| !(name == "traffic_path" && *number <= 0));
                put(row, &mut |block| write_number(block, number));
            }
        }
        Texts::Unsigned(numbers) => {
            for (row, number) in numbers.as_primitive::<UInt64Type>().iter().enumerate() {
                let number = number.filter(|number| !(name == "traffic_path" && *number == 0));
                put(row, &mut |block| write_number(block, number));
            }
        }
        Texts::Bytes(texts) => {
            for (row, text) in texts.as_binary::<i32>().iter().enumerate() {
                let text = text.filter(|text| *text != b"-").unwrap_or_default();
                put(row, &mut |block| block.extend_from_slice(text));
            }
        }
        Texts::Nested(values) => {
            let texts = nested(&values)?;
            for (row, text) in texts.iter().enumerate() {
                put(row, &mut |block| block.extend_from_slice(text));
            }
        }
    }
    Ok(())
}

fn write_number(block: &mut Vec<u8>, number: Option<impl std::fmt::Display>) {
    if let Some(number) = number {
        // Writing to memory does not fail.
        let _ = write!(block, "{number}");
    }
}

/// Values of a type within a type as JSON, or, where JSON has no form for them (a map by numbers), as they are displayed; nothing for nulls.
fn nested(array: &ArrayRef) -> Result<Vec<Vec<u8>>> {
    let (field, options) =
        (Field::new("", array.data_type().clone(), true).into(), EncoderOptions::default());
    let rows = 0..array.len();
    if let Ok(mut json) = make_encoder(&field, array, &options) {
        let text = |row| {
            let mut text = Vec::new();
            if !json.is_null(row) {
                json.encode(row, &mut text);
            }
            text
        };
        return Ok(rows.map(text).collect());
    }
    let options = FormatOptions::new();
    let shown = ArrayFormatter::try_new(array, &options)?;
    let text = |row| if array.is_null(row) { Vec::new() } else { shown.value(row).to_string().into_bytes() };
    Ok(rows.map(text).collect())
}
