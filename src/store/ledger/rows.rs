//! The ledger's entries as rows of its table.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{LedgerEntry, Status};
use crate::format::{LogKind, timestamp};
use crate::store::StoreError;

/// The column with the fields of a file's rows, which ledgers of earlier versions do not have.
const FIELDS: &str = "fields";

/// The column with why a file was not read to its end, which they do not have either.
const ENDING: &str = "ending";

/// The schema of [`LEDGER_TABLE`](super::LEDGER_TABLE).
pub fn ledger_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let time = |name: &str| Field::new(name, timestamp(), true);
    Arc::new(Schema::new(vec![
        text("path"),
        text("object_id"),
        text("kind"),
        text("status"),
        text("duplicate_of"),
        number("size"),
        number("modified_ns"),
        text("hash"),
        number("lines"),
        number("rows"),
        number("nodata"),
        number("skipdata"),
        number("quarantined"),
        number("short"),
        time("min_time"),
        time("max_time"),
        text("account"),
        text("region"),
        text("load_balancer"),
        text("flow_log_id"),
        number("compressed_bytes"),
        number("raw_bytes"),
        number("batch"),
        time("ingested_at"),
        text("log_format"),
        text(FIELDS),
        text(ENDING),
    ]))
}

/// Entries as a record batch of [`ledger_schema`].
pub(in crate::store) fn to_batch<'a>(
    entries: impl Iterator<Item = &'a LedgerEntry> + Clone,
    path: &Path,
) -> Result<RecordBatch, StoreError> {
    let text = |get: fn(&LedgerEntry) -> Option<&str>| -> ArrayRef {
        Arc::new(entries.clone().map(get).collect::<StringArray>())
    };
    let count = |get: fn(&LedgerEntry) -> u64| -> ArrayRef {
        let saturated = |entry| i64::try_from(get(entry)).unwrap_or(i64::MAX);
        Arc::new(Int64Array::from_iter_values(entries.clone().map(saturated)))
    };
    let time = |get: fn(&LedgerEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.clone().map(get).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let number = |get: fn(&LedgerEntry) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(entries.clone().map(get)))
    };
    let hash: ArrayRef = Arc::new(
        entries.clone().map(|entry| entry.hash.map(|hash| format!("{hash:032x}"))).collect::<StringArray>(),
    );
    let columns = vec![
        text(|e| Some(&e.path)),
        text(|e| e.object_id.as_deref()),
        text(|e| e.kind.map(LogKind::table)),
        text(|e| Some(e.status.name())),
        text(|e| e.duplicate_of.as_deref()),
        count(|e| e.size),
        number(|e| e.modified_ns),
        hash,
        count(|e| e.lines),
        count(|e| e.rows),
        count(|e| e.nodata),
        count(|e| e.skipdata),
        count(|e| e.quarantined),
        count(|e| e.short),
        time(|e| e.min_time),
        time(|e| e.max_time),
        text(|e| e.account.as_deref()),
        text(|e| e.region.as_deref()),
        text(|e| e.load_balancer.as_deref()),
        text(|e| e.flow_log_id.as_deref()),
        count(|e| e.compressed_bytes),
        count(|e| e.raw_bytes),
        number(|e| e.batch),
        time(|e| Some(e.ingested_at)),
        text(|e| e.log_format.as_deref()),
        text(|e| e.fields.as_deref()),
        text(|e| e.ending.as_deref()),
    ];
    RecordBatch::try_new(ledger_schema(), columns).map_err(StoreError::arrow(path))
}

/// Reads what [`to_batch`] wrote. Columns that are not there read as null.
pub(in crate::store) fn from_batch(batch: &RecordBatch, path: &Path) -> Result<Vec<LedgerEntry>, StoreError> {
    let columns = Columns::new(batch, path)?;
    let damaged = |what: String| StoreError::Damaged { path: path.to_path_buf(), what };
    let mut entries = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let owned = |column: &StringArray| text_at(column, row).map(str::to_string);
        let count =
            |column: &Int64Array| valid(column, row).map_or(0, |value| u64::try_from(value).unwrap_or(0));
        let hash = match text_at(&columns.hash, row) {
            None => None,
            Some(hex) => {
                Some(u128::from_str_radix(hex, 16).map_err(|_| damaged(format!("{hex} is not a hash")))?)
            }
        };
        let status = match text_at(&columns.status, row) {
            Some("stored") => Status::Stored,
            Some("duplicate") => Status::Duplicate,
            other => return Err(damaged(format!("{other:?} is not a status"))),
        };
        entries.push(LedgerEntry {
            path: owned(&columns.path).ok_or_else(|| damaged("an entry without a path".to_string()))?,
            object_id: owned(&columns.object_id),
            kind: text_at(&columns.kind, row).and_then(LogKind::from_table),
            status,
            duplicate_of: owned(&columns.duplicate_of),
            size: count(&columns.size),
            modified_ns: valid(&columns.modified_ns, row).unwrap_or_default(),
            hash,
            lines: count(&columns.lines),
            rows: count(&columns.rows),
            nodata: count(&columns.nodata),
            skipdata: count(&columns.skipdata),
            quarantined: count(&columns.quarantined),
            short: count(&columns.short),
            min_time: valid_time(&columns.min_time, row),
            max_time: valid_time(&columns.max_time, row),
            account: owned(&columns.account),
            region: owned(&columns.region),
            load_balancer: owned(&columns.load_balancer),
            flow_log_id: owned(&columns.flow_log_id),
            compressed_bytes: count(&columns.compressed_bytes),
            raw_bytes: count(&columns.raw_bytes),
            batch: valid(&columns.batch, row).unwrap_or_default(),
            ingested_at: valid_time(&columns.ingested_at, row).unwrap_or_default(),
            log_format: owned(&columns.log_format),
            fields: text_at(&columns.fields, row).map(Arc::from),
            ending: owned(&columns.ending),
        });
    }
    Ok(entries)
}

/// What a query may have to know of a file whose rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLog<'a> {
    /// Its path.
    pub path: &'a str,
    /// What it holds.
    pub kind: Option<LogKind>,
    /// The fields of its rows, separated by spaces, where all have the same and they are known.
    pub fields: Option<&'a str>,
    /// The earliest and the latest time of a row, microseconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Lines refused.
    pub refused: u64,
    /// It breaks off, or could not be read to its end.
    pub breaks_off: bool,
}

/// Reads of a ledger's file what is told of each file whose rows are stored.
pub(in crate::store) fn each_stored_log(
    file: &Path,
    each: &mut dyn FnMut(StoredLog<'_>),
) -> Result<(), StoreError> {
    const READ: [&str; 8] = ["path", "kind", "status", "quarantined", "min_time", "max_time", FIELDS, ENDING];
    each_batch(file, &READ, &mut |batch| {
        let text = |name| text_column(batch, name, file);
        let (paths, kinds, statuses) = (text("path")?, text("kind")?, text("status")?);
        let (lists, endings) = (text(FIELDS)?, text(ENDING)?);
        let refused: Int64Array =
            column_as(batch, "quarantined", &DataType::Int64, file)?.as_primitive().clone();
        let time = |name| Ok(column_as(batch, name, &timestamp(), file)?.as_primitive().clone());
        let (least, most): (TimestampMicrosecondArray, TimestampMicrosecondArray) =
            (time("min_time")?, time("max_time")?);
        for row in 0..batch.num_rows() {
            let Some(path) = text_at(&paths, row) else { continue };
            if text_at(&statuses, row) != Some(Status::Stored.name()) {
                continue;
            }
            each(StoredLog {
                path,
                kind: text_at(&kinds, row).and_then(LogKind::from_table),
                fields: text_at(&lists, row),
                times: valid_time(&least, row).zip(valid_time(&most, row)),
                refused: valid(&refused, row).map_or(0, |count| u64::try_from(count).unwrap_or(0)),
                breaks_off: text_at(&endings, row).is_some(),
            });
        }
        Ok(())
    })
}

/// Reads these columns of a file of a table, those of them that it has.
pub(in crate::store) fn each_batch(
    file: &Path,
    columns: &[&str],
    each: &mut dyn FnMut(&RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let open = File::open(file).map_err(StoreError::io("read", file))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(open).map_err(StoreError::parquet(file))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let batches = builder
        .with_projection(mask)
        .with_batch_size(16 * 1024)
        .build()
        .map_err(StoreError::parquet(file))?;
    for batch in batches {
        each(&batch.map_err(StoreError::arrow(file))?)?;
    }
    Ok(())
}

/// A column of text; null where it is not there. Another writer may have stored the same values as large or view strings.
pub(in crate::store) fn text_column(
    batch: &RecordBatch,
    name: &str,
    file: &Path,
) -> Result<StringArray, StoreError> {
    Ok(column_as(batch, name, &DataType::Utf8, file)?.as_string::<i32>().clone())
}

fn column_as(
    batch: &RecordBatch,
    name: &str,
    wanted: &DataType,
    file: &Path,
) -> Result<ArrayRef, StoreError> {
    match batch.column_by_name(name) {
        Some(column) => cast(column, wanted).map_err(StoreError::arrow(file)),
        None => Ok(arrow::array::new_null_array(wanted, batch.num_rows())),
    }
}

pub(in crate::store) fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn valid(column: &Int64Array, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}

fn valid_time(column: &TimestampMicrosecondArray, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}

/// The columns of a ledger file, each of its type.
struct Columns {
    path: StringArray,
    object_id: StringArray,
    kind: StringArray,
    status: StringArray,
    duplicate_of: StringArray,
    size: Int64Array,
    modified_ns: Int64Array,
    hash: StringArray,
    lines: Int64Array,
    rows: Int64Array,
    nodata: Int64Array,
    skipdata: Int64Array,
    quarantined: Int64Array,
    short: Int64Array,
    min_time: TimestampMicrosecondArray,
    max_time: TimestampMicrosecondArray,
    account: StringArray,
    region: StringArray,
    load_balancer: StringArray,
    flow_log_id: StringArray,
    compressed_bytes: Int64Array,
    raw_bytes: Int64Array,
    batch: Int64Array,
    ingested_at: TimestampMicrosecondArray,
    log_format: StringArray,
    fields: StringArray,
    ending: StringArray,
}

impl Columns {
    fn new(batch: &RecordBatch, file: &Path) -> Result<Columns, StoreError> {
        let of = |name: &str, wanted: &DataType| column_as(batch, name, wanted, file);
        let text = |name: &str| text_column(batch, name, file);
        let number = |name: &str| Ok(of(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone());
        let time =
            |name: &str| Ok(of(name, &timestamp())?.as_primitive::<TimestampMicrosecondType>().clone());
        Ok(Columns {
            path: text("path")?,
            object_id: text("object_id")?,
            kind: text("kind")?,
            status: text("status")?,
            duplicate_of: text("duplicate_of")?,
            size: number("size")?,
            modified_ns: number("modified_ns")?,
            hash: text("hash")?,
            lines: number("lines")?,
            rows: number("rows")?,
            nodata: number("nodata")?,
            skipdata: number("skipdata")?,
            quarantined: number("quarantined")?,
            short: number("short")?,
            min_time: time("min_time")?,
            max_time: time("max_time")?,
            account: text("account")?,
            region: text("region")?,
            load_balancer: text("load_balancer")?,
            flow_log_id: text("flow_log_id")?,
            compressed_bytes: number("compressed_bytes")?,
            raw_bytes: number("raw_bytes")?,
            batch: number("batch")?,
            ingested_at: time("ingested_at")?,
            log_format: text("log_format")?,
            fields: text(FIELDS)?,
            ending: text(ENDING)?,
        })
    }
}
