//! Data files written anew without the rows of some sources, and how the stock writer writes files.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::Page;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnPath;

use super::{FileStats, StoreError};
use crate::format::{ColumnType, LogKind, SOURCE_FILE};

/// Rows read at a time.
const BATCH_ROWS: usize = 32 * 1024;

/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 20;

/// Bytes that a row group may take in memory while it is written.
const GROUP_BYTES: usize = 96 << 20;

/// How the files of a table are written by the stock writer.
pub(super) fn writer_properties(table: &str) -> Result<WriterProperties, StoreError> {
    let level = ZstdLevel::try_new(1).map_err(StoreError::parquet(Path::new(table)))?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES));
    for column in LogKind::from_table(table).map_or(&[][..], LogKind::columns) {
        let path = ColumnPath::from(column.name);
        if column.ty == ColumnType::Address || column.name == "interface_id" {
            builder = builder.set_column_bloom_filter_enabled(path, true);
        } else if matches!(column.ty, ColumnType::EpochSeconds | ColumnType::Time) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(builder.build())
}

/// Writes one new data file, batch by batch.
pub(super) struct PartWriter<'a> {
    path: &'a Path,
    writer: ArrowWriter<File>,
}

impl<'a> PartWriter<'a> {
    pub(super) fn create(
        table: &str,
        path: &'a Path,
        schema: SchemaRef,
    ) -> Result<PartWriter<'a>, StoreError> {
        let file = File::create_new(path).map_err(StoreError::io("create", path))?;
        let writer = ArrowWriter::try_new(file, schema, Some(writer_properties(table)?))
            .map_err(StoreError::parquet(path))?;
        Ok(PartWriter { path, writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.writer.write(batch).map_err(StoreError::parquet(self.path))
    }

    pub(super) fn finish(self) -> Result<FileStats, StoreError> {
        let footer = self.writer.close().map_err(StoreError::parquet(self.path))?;
        Ok(FileStats::from_parquet_footer(&footer))
    }
}

/// Reads a data file in batches.
pub(super) fn read(path: &Path) -> Result<ParquetRecordBatchReader, StoreError> {
    read_by(path, BATCH_ROWS)
}

/// Reads a data file in batches of that many rows.
pub(super) fn read_by(path: &Path, rows: usize) -> Result<ParquetRecordBatchReader, StoreError> {
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(rows).build())
        .map_err(StoreError::parquet(path))
}

/// Whether a data file has rows of one of these sources. Reads the dictionaries of one column, and the column itself
/// only where it is not dictionary-encoded throughout.
pub(super) fn holds(path: &Path, sources: &HashSet<String>) -> Result<bool, StoreError> {
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    let reader = SerializedFileReader::new(file).map_err(StoreError::parquet(path))?;
    let footer = reader.metadata();
    let columns = footer.file_metadata().schema_descr().columns();
    let Some(column) = columns.iter().position(|column| column.path().parts() == [SOURCE_FILE]) else {
        return Ok(false);
    };
    for group in 0..reader.num_row_groups() {
        let held = match dictionary_holds(&reader, footer, group, column, sources) {
            Ok(Some(held)) => held,
            Ok(None) => group_holds(path, group, column, sources)?,
            Err(error) => return Err(StoreError::parquet(path)(error)),
        };
        if held {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `None` where the dictionary does not tell.
fn dictionary_holds(
    reader: &SerializedFileReader<File>,
    footer: &ParquetMetaData,
    group: usize,
    column: usize,
    sources: &HashSet<String>,
) -> parquet::errors::Result<Option<bool>> {
    let Some(chunk) = footer.row_groups().get(group).and_then(|group| group.columns().get(column)) else {
        return Ok(None);
    };
    if !chunk.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY)) {
        return Ok(None);
    }
    let row_group = reader.get_row_group(group)?;
    let mut pages = row_group.get_column_page_reader(column)?;
    let Some(Page::DictionaryPage { buf, num_values, encoding, .. }) = pages.get_next_page()? else {
        return Ok(None);
    };
    if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
        return Ok(None);
    }
    let mut rest = &buf[..];
    for _ in 0..num_values {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((value, after)) = after.split_at_checked(length) else { return Ok(None) };
        if std::str::from_utf8(value).is_ok_and(|value| sources.contains(value)) {
            return Ok(Some(true));
        }
        rest = after;
    }
    Ok(Some(false))
}

fn group_holds(
    path: &Path,
    group: usize,
    column: usize,
    sources: &HashSet<String>,
) -> Result<bool, StoreError> {
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::parquet(path))?;
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
    let batches = builder
        .with_projection(mask)
        .with_row_groups(vec![group])
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(StoreError::parquet(path))?;
    for batch in batches {
        let batch = batch.map_err(StoreError::arrow(path))?;
        if kept(&batch, sources)?.false_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which rows belong to none of these sources.
fn kept(batch: &RecordBatch, sources: &HashSet<String>) -> Result<BooleanArray, StoreError> {
    let Some(column) = batch.column_by_name(SOURCE_FILE) else {
        return Ok(BooleanArray::from(vec![true; batch.num_rows()]));
    };
    let text = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)
        .map_err(StoreError::arrow(Path::new(SOURCE_FILE)))?;
    let text = text.as_string::<i32>();
    let keep = |row: usize| text.is_null(row) || !sources.contains(text.value(row));
    Ok((0..text.len()).map(|row| Some(keep(row))).collect())
}

/// Copies a data file without the rows of these sources. `None` where none would be left; then no file is made.
pub(super) fn copy_without(
    table: &str,
    from: &Path,
    to: &Path,
    sources: &HashSet<String>,
) -> Result<Option<FileStats>, StoreError> {
    let reader = read(from)?;
    let mut writer = None;
    for batch in reader {
        let batch = batch.map_err(StoreError::arrow(from))?;
        let batch = filter_record_batch(&batch, &kept(&batch, sources)?).map_err(StoreError::arrow(from))?;
        if batch.num_rows() == 0 {
            continue;
        }
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(PartWriter::create(table, to, batch.schema())?),
        };
        writer.write(&batch)?;
    }
    writer.map(PartWriter::finish).transpose()
}
