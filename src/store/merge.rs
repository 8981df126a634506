//! Several data files as one, in order of time, with all their columns, in bounded memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchReader, new_null_array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::delta::DataFile;
use super::rewrite::{self, PartWriter};
use super::{FileStats, StoreError, table_schema};
use crate::format::LogKind;

/// Rows that are held decoded over all inputs together.
const ROWS_HELD: usize = 1 << 18;

/// Rows written at a time.
const ROWS_OUT: usize = 16 * 1024;

/// Files that are merged at a time: each is open and has a page of each column decoded.
pub(super) const FILES_AT_ONCE: usize = 128;

/// Merges files into one. Inputs that are sorted by time give an output that is; others one that is nearly so.
pub(super) fn merge(table: &str, files: &[DataFile], to: &Path) -> Result<FileStats, StoreError> {
    let rows_each = (ROWS_HELD / files.len().max(1)).clamp(256, 32 * 1024);
    let mut readers = Vec::with_capacity(files.len());
    for file in files {
        readers.push(rewrite::read_by(&file.path, rows_each)?);
    }
    let schema = united(table, readers.iter().map(|reader| reader.schema()))?;
    let mut writer = PartWriter::create(table, to, schema.clone())?;
    let time_column = LogKind::from_table(table).map_or("ingested_at", LogKind::time_column);
    let mut inputs = Vec::with_capacity(files.len());
    let mut queue = BinaryHeap::with_capacity(files.len());
    for (reader, file) in readers.into_iter().zip(files) {
        let mut input = Input { reader, path: &file.path, time_column, schema: &schema, head: None, row: 0 };
        input.refill()?;
        if let Some(time) = input.time() {
            queue.push(Reverse((time, inputs.len())));
        }
        inputs.push(input);
    }

    // Rows that are due lie in these batches; an input's current batch is the one at its place in `at`.
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut at: Vec<Option<usize>> = vec![None; inputs.len()];
    let mut due: Vec<(usize, usize)> = Vec::with_capacity(ROWS_OUT);
    while let Some(Reverse((_, index))) = queue.pop() {
        let (Some(input), Some(place)) = (inputs.get_mut(index), at.get_mut(index)) else { continue };
        let Some(head) = &input.head else { continue };
        let batch = *place.get_or_insert_with(|| {
            batches.push(head.batch.clone());
            batches.len() - 1
        });
        due.push((batch, input.row));
        input.row += 1;
        if input.row >= head.batch.num_rows() {
            input.refill()?;
            *place = None;
        }
        if let Some(time) = input.time() {
            queue.push(Reverse((time, index)));
        }
        // Batches that are read to their end are held until their rows are written.
        if due.len() >= ROWS_OUT || batches.len() > 2 * FILES_AT_ONCE {
            write_due(&mut writer, &batches, &due, to)?;
            due.clear();
            batches.clear();
            at.fill(None);
        }
    }
    write_due(&mut writer, &batches, &due, to)?;
    let stats = writer.finish()?;
    let expected: u64 = files.iter().map(|file| file.rows).sum();
    if stats.rows != expected {
        let what = format!("{} rows came of {expected}", stats.rows);
        return Err(StoreError::Damaged { path: to.to_path_buf(), what });
    }
    Ok(stats)
}

fn write_due(
    writer: &mut PartWriter<'_>,
    batches: &[RecordBatch],
    due: &[(usize, usize)],
    to: &Path,
) -> Result<(), StoreError> {
    if due.is_empty() {
        return Ok(());
    }
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let rows = interleave_record_batch(&batches, due).map_err(StoreError::arrow(to))?;
    writer.write(&rows)
}

/// All columns of the inputs, in the table's order and of its types.
fn united(table: &str, schemas: impl Iterator<Item = SchemaRef>) -> Result<SchemaRef, StoreError> {
    let known = table_schema(table).ok_or_else(|| StoreError::UnknownTable { table: table.to_string() })?;
    let mut present: Vec<FieldRef> = Vec::new();
    for schema in schemas {
        for field in schema.fields() {
            if !present.iter().any(|other| other.name() == field.name()) {
                present.push(field.clone());
            }
        }
    }
    let (mut fields, others): (Vec<FieldRef>, Vec<FieldRef>) =
        present.into_iter().partition(|field| known.index_of(field.name()).is_ok());
    fields = known
        .fields()
        .iter()
        .filter(|field| fields.iter().any(|present| present.name() == field.name()))
        .cloned()
        .collect();
    // Columns that another writer added to the table.
    fields.extend(others.into_iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))));
    Ok(Arc::new(Schema::new(fields)))
}

/// A file that is being merged.
struct Input<'a> {
    reader: ParquetRecordBatchReader,
    path: &'a Path,
    time_column: &'static str,
    schema: &'a SchemaRef,
    head: Option<Head>,
    row: usize,
}

struct Head {
    batch: RecordBatch,
    /// Missing where the file has no such column.
    times: Option<ArrayRef>,
}

impl Input<'_> {
    /// Reads the next batch that has rows; `head` is none at the end.
    fn refill(&mut self) -> Result<(), StoreError> {
        self.row = 0;
        self.head = None;
        for batch in self.reader.by_ref() {
            let batch = batch.map_err(StoreError::arrow(self.path))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = fitted(&batch, self.schema, self.path)?;
            let times = batch.column_by_name(self.time_column).cloned();
            self.head = Some(Head { batch, times });
            break;
        }
        Ok(())
    }

    /// The time of the current row, rows without one last; `None` at the end.
    fn time(&self) -> Option<i64> {
        let times = self.head.as_ref()?.times.as_ref();
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        Some(times.filter(|times| times.is_valid(self.row)).map_or(i64::MAX, |times| times.value(self.row)))
    }
}

/// A batch with the columns of that schema: missing ones are null, others are converted where their types differ.
fn fitted(batch: &RecordBatch, schema: &SchemaRef, path: &Path) -> Result<RecordBatch, StoreError> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match batch.column_by_name(field.name()) {
            None => new_null_array(field.data_type(), batch.num_rows()),
            Some(column) if column.data_type() == field.data_type() => column.clone(),
            Some(column) => cast(column, field.data_type()).map_err(StoreError::arrow(path))?,
        });
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(StoreError::arrow(path))
}
