//! Tables over Parquet files whose statistics are known before any of them is opened: what the store gives.
//!
//! A query first drops files by the date of their partition and by their minima and maxima, then the Parquet reader
//! drops row groups, pages and, for addresses and interfaces, whatever a bloom filter rules out. How a snapshot of the
//! store becomes [`StoredFile`]s is [`TableSource`](super::catalog::TableSource)'s business.

use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::coded::scan::{CodedFile, CodedTable};
use super::formats::KnowsFiles;
use super::functions;
use super::lacking::Lacking;
use super::schema;
use crate::format;

/// Up to so many files carry their statistics into the plan, where they prune by what is only known while running (the
/// least of the ten newest rows, say). More would cost more to carry than they save.
const FILES_WITH_STATISTICS: usize = 256;

/// Files are shared among the threads in pieces of about so many bytes, some row groups each: where a filter rules out
/// half of a file, halves of the whole would leave a thread without work.
const PIECE: u64 = 16 << 20;

/// The files of a table for a scan that leaves text as dictionaries, where they are a store's and lie in the local file
/// system.
pub fn coded(table: &dyn TableProvider) -> Option<CodedTable> {
    (table as &dyn Any).downcast_ref::<StoredTable>()?.coded()
}

/// The columns of a store's table that some file has values for. `None` where there are no files, or one says nothing of
/// its columns.
pub fn carried(table: &dyn TableProvider) -> Option<Vec<String>> {
    let table = (table as &dyn Any).downcast_ref::<StoredTable>()?;
    let mut carried = Vec::new();
    for file in &table.files {
        if file.ranges.is_empty() {
            return None;
        }
        let known = file.ranges.iter().filter(|(_, range)| range.nulls.is_some());
        carried.extend(known.filter(|(_, range)| range.nulls != file.rows).map(|(name, _)| name.clone()));
    }
    (!table.files.is_empty()).then_some(carried)
}

/// Forgets which files of a store's table statements have read.
pub fn forget_read(table: &dyn TableProvider) {
    if let Some(table) = (table as &dyn Any).downcast_ref::<StoredTable>() {
        table.lock_read().clear();
    }
}

/// How many of the records in the files that statements have read come from logs without these columns; of all files
/// where none was read, and for the columns of time, by which files are left out. `None` where a file says nothing of its columns.
pub fn lacking(table: &dyn TableProvider, columns: &BTreeSet<String>) -> Option<Lacking> {
    let table = (table as &dyn Any).downcast_ref::<StoredTable>()?;
    let read = table.lock_read();
    let mut lacking = Lacking::new("records");
    for column in columns {
        let (mut without, mut total) = (0u64, 0u64);
        for (place, file) in table.files.iter().enumerate() {
            if !read.is_empty() && !is_time(column) && !read.contains(&place) {
                continue;
            }
            let rows = file.rows.filter(|_| !file.ranges.is_empty())?;
            total = total.saturating_add(rows);
            without = without.saturating_add(file.without(column, rows));
        }
        lacking.add(column, without, total);
    }
    Some(lacking)
}

fn is_time(column: &str) -> bool {
    ["start", "end", format::EVENT_DATE].contains(&column)
}

/// Columns that have a value in every record of a log that carries them, but for records without data.
const ALWAYS: [&str; 8] =
    ["srcaddr", "dstaddr", "protocol", "packets", "bytes", "action", "flow_direction", "pkt_srcaddr"];

impl StoredFile {
    fn nulls(&self, column: &str) -> Option<u64> {
        self.ranges.iter().find(|(name, _)| name == column)?.1.nulls
    }

    /// How many of its rows come from logs without a column. Of a file that was merged of several that can only be told
    /// of columns that are always filled, where one of them was in all of these logs.
    fn without(&self, column: &str, rows: u64) -> u64 {
        let Some(nulls) = self.nulls(column) else { return rows };
        if !ALWAYS.contains(&column) {
            return 0;
        }
        let without_data = ALWAYS.iter().filter_map(|column| self.nulls(column)).min().unwrap_or(nulls);
        nulls - without_data.min(nulls)
    }
}

/// The least and greatest value of a column in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// No value of the column is below this.
    pub min: Option<ScalarValue>,
    /// No value of the column is above this.
    pub max: Option<ScalarValue>,
    /// How many rows have no value.
    pub nulls: Option<u64>,
    /// Whether `min` and `max` are values of the column, and not only bounds.
    pub exact: bool,
}

/// One Parquet file of a table.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Where it lies, from the root of the object store.
    pub location: Path,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: DateTime<Utc>,
    /// How many rows it has, where that is known.
    pub rows: Option<u64>,
    /// The value of `event_date`, in days since 1970, for all of its rows; `None` is null.
    pub date: Option<i32>,
    /// What is known of its columns, by name.
    pub ranges: Vec<(String, Range)>,
}

/// A table over such files.
pub struct StoredTable {
    /// With the partition column last.
    table_schema: TableSchema,
    object_store: ObjectStoreUrl,
    files: Vec<StoredFile>,
    /// The column whose date is `event_date`.
    time_column: Option<&'static str>,
    /// The files that have been read since this was last forgotten, by their places.
    read: Mutex<BTreeSet<usize>>,
    pub(super) known_by: Option<Arc<dyn KnowsFiles>>,
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTable").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl StoredTable {
    /// A table with the columns of `schema` over these files. If `event_date` is its last column, that one comes from
    /// [`StoredFile::date`] and not from the files. Columns that a file lacks are null.
    ///
    /// `time_column` names the column whose date the partition is: where a file has no statistics for it, the date
    /// bounds it.
    pub fn new(
        schema: &SchemaRef,
        object_store: ObjectStoreUrl,
        files: Vec<StoredFile>,
        time_column: Option<&'static str>,
    ) -> StoredTable {
        let seen = schema::as_views(schema);
        let fields = seen.fields();
        let table_schema = match fields.split_last() {
            Some((last, rest)) if last.name() == format::EVENT_DATE => {
                TableSchema::builder(Arc::new(Schema::new(rest.to_vec())))
                    .with_table_partition_cols(vec![Arc::clone(last)])
                    .build()
            }
            _ => TableSchema::from(seen),
        };
        StoredTable { table_schema, object_store, files, time_column, read: Mutex::default(), known_by: None }
    }

    /// With what knows the fields of the files that its rows came from.
    pub fn known_by(self, knows: Arc<dyn KnowsFiles>) -> StoredTable {
        StoredTable { known_by: Some(knows), ..self }
    }

    fn lock_read(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files as such, for a scan that leaves text as dictionaries; `None` where they do not lie in the local file
    /// system.
    fn coded(&self) -> Option<CodedTable> {
        if self.object_store != ObjectStoreUrl::local_filesystem() {
            return None;
        }
        let local = object_store::local::LocalFileSystem::new();
        let files = self.files.iter().map(|file| {
            let path = local.path_to_filesystem(&file.location).ok()?;
            Some(CodedFile { path, date: file.date })
        });
        let files = files.collect::<Option<Vec<_>>>()?;
        Some(CodedTable::new(files, Arc::clone(self.table_schema.table_schema())))
    }

    fn partitioned(&self) -> bool {
        !self.table_schema.table_partition_cols().is_empty()
    }

    /// The places of the files that may hold rows for which all of `filters` are true.
    fn may_match(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all = || (0..self.files.len()).collect();
        let pruning = filters.iter().map(functions::pruning_filter);
        let Some(filter) = conjunction(pruning) else { return Ok(all()) };
        let schema = self.table_schema.table_schema();
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        // A filter that statistics cannot judge prunes nothing; what is wrong with it is said where it is evaluated.
        let Ok(filter) = state.create_physical_expr(filter, &columns) else { return Ok(all()) };
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
        let Some(predicate) = builder.build(filter) else { return Ok(all()) };
        let kept = predicate.prune(&FileRanges { table: self })?;
        Ok(kept.into_iter().enumerate().filter(|(_, kept)| *kept).map(|(place, _)| place).collect())
    }

    /// Notes which files were read, or would have been if their logs had the columns that leave them out: those that the
    /// conditions on time allow.
    fn note_read(&self, state: &dyn Session, filters: &[Expr], kept: &[usize], taken: usize) -> Result<()> {
        let of_time = |filter: &&Expr| filter.column_refs().iter().all(|column| is_time(&column.name));
        let of_time: Vec<Expr> = filters.iter().filter(of_time).cloned().collect();
        if of_time.len() == filters.len() {
            self.lock_read().extend(kept.iter().take(taken));
        } else {
            let places = self.may_match(state, &of_time)?;
            self.lock_read().extend(places);
        }
        Ok(())
    }

    /// What is known of a column of a file.
    fn range(&self, file: &StoredFile, column: &str) -> Option<Range> {
        if column == format::EVENT_DATE && self.partitioned() {
            let date = file.date.map(|date| ScalarValue::Date32(Some(date)));
            let nulls = if date.is_some() { Some(0) } else { file.rows };
            return Some(Range { min: date.clone(), max: date, nulls, exact: true });
        }
        if let Some((_, range)) = file.ranges.iter().find(|(name, _)| name == column) {
            return Some(range.clone());
        }
        let (true, Some(date)) = (self.time_column == Some(column), file.date) else { return None };
        const DAY_MICROS: i64 = 86_400_000_000;
        let start = i64::from(date) * DAY_MICROS;
        let at = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        Some(Range { min: at(start), max: at(start + DAY_MICROS - 1), nulls: Some(0), exact: false })
    }

    /// The statistics of one file, in the order of the table's columns.
    fn file_statistics(&self, file: &StoredFile) -> Statistics {
        let columns = self.table_schema.table_schema().fields().iter();
        Statistics {
            num_rows: exactly(file.rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns
                .map(|field| column_statistics(self.range(file, field.name())))
                .collect(),
        }
    }

    /// The statistics of several files together.
    fn statistics_of(&self, files: &[&StoredFile]) -> Statistics {
        let schema = self.table_schema.table_schema();
        let mut total = Statistics::new_unknown(schema);
        total.num_rows = exactly(files.iter().map(|file| file.rows).sum::<Option<u64>>());
        for (field, statistics) in schema.fields().iter().zip(&mut total.column_statistics) {
            let mut ranges = files.iter().map(|file| self.range(file, field.name()));
            let Some(Some(first)) = ranges.next() else { continue };
            let united = ranges.try_fold(first, |united, range| Some(unite(united, range?)));
            *statistics = column_statistics(united);
        }
        total
    }
}

fn exactly(count: Option<u64>) -> Precision<usize> {
    match count.map(usize::try_from) {
        Some(Ok(count)) => Precision::Exact(count),
        _ => Precision::Absent,
    }
}

fn column_statistics(range: Option<Range>) -> ColumnStatistics {
    let Some(range) = range else { return ColumnStatistics::new_unknown() };
    let bound = |value: Option<ScalarValue>| match value {
        None => Precision::Absent,
        Some(value) if range.exact => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
    };
    ColumnStatistics {
        null_count: exactly(range.nulls),
        min_value: bound(range.min.clone()),
        max_value: bound(range.max.clone()),
        ..ColumnStatistics::new_unknown()
    }
}

/// The range of the values of two files. A file without bounds leaves none, but one whose rows are all null.
fn unite(one: Range, other: Range) -> Range {
    let pick = |one: Option<ScalarValue>, other: Option<ScalarValue>, wanted| match (one, other) {
        (Some(one), Some(other)) => {
            let take_one = one.partial_cmp(&other).is_none_or(|order| order == wanted);
            Some(if take_one { one } else { other })
        }
        _ => None,
    };
    Range {
        min: pick(one.min, other.min, std::cmp::Ordering::Less),
        max: pick(one.max, other.max, std::cmp::Ordering::Greater),
        nulls: one.nulls.zip(other.nulls).map(|(one, other)| one.saturating_add(other)),
        exact: one.exact && other.exact,
    }
}

/// The files' statistics as the pruning rules ask for them.
struct FileRanges<'a> {
    table: &'a StoredTable,
}

impl FileRanges<'_> {
    fn bounds(&self, column: &Column, take: impl Fn(Range) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let schema = self.table.table_schema.table_schema();
        let (_, field) = schema.column_with_name(&column.name)?;
        let nothing = ScalarValue::try_from(field.data_type()).ok()?;
        let bounds = self.table.files.iter().map(|file| {
            let bound = self.table.range(file, &column.name).and_then(&take);
            bound.and_then(|bound| as_type(bound, field.data_type())).unwrap_or_else(|| nothing.clone())
        });
        ScalarValue::iter_to_array(bounds).ok()
    }
}

/// The same value as another type of text; `None` where the types differ in kind.
fn as_type(value: ScalarValue, data_type: &DataType) -> Option<ScalarValue> {
    if &value.data_type() == data_type {
        return Some(value);
    }
    value.cast_to(data_type).ok()
}

impl PruningStatistics for FileRanges<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |range| range.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |range| range.max)
    }

    fn num_containers(&self) -> usize {
        self.table.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let files = self.table.files.iter();
        let counts = files.map(|file| self.table.range(file, &column.name).and_then(|range| range.nulls));
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.table.files.iter().map(|file| file.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The scan uses them to skip; the optimizer then moves those into the reader that it can evaluate.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics_of(&self.files.iter().collect::<Vec<_>>()))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = self.may_match(state, filters)?;
        let mut files: Vec<&StoredFile> = places.iter().filter_map(|place| self.files.get(*place)).collect();
        if filters.is_empty() {
            files = enough_for(files, limit);
        }
        self.note_read(state, filters, &places, files.len())?;
        let statistics = self.statistics_of(&files);
        let options = state.default_table_options().parquet;
        // The footer of a file is read once, not by each thread that takes a piece of it.
        let runtime = state.runtime_env();
        let footers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.object_store)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(footers));
        let carry_statistics = files.len() <= FILES_WITH_STATISTICS;
        let partitioned: Vec<PartitionedFile> = files
            .iter()
            .flat_map(|file| {
                let mut partitioned = PartitionedFile::new_from_meta(ObjectMeta {
                    location: file.location.clone(),
                    last_modified: file.modified,
                    size: file.size,
                    e_tag: None,
                    version: None,
                });
                if self.partitioned() {
                    partitioned.partition_values = vec![ScalarValue::Date32(file.date)];
                }
                if carry_statistics {
                    partitioned.statistics = Some(Arc::new(self.file_statistics(file)));
                }
                pieces(partitioned)
            })
            .collect();
        let groups = if partitioned.is_empty() {
            vec![FileGroup::default()]
        } else {
            FileGroup::new(partitioned).split_files(state.config().target_partitions())
        };
        let config = FileScanConfigBuilder::new(self.object_store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// A file in pieces of about [`PIECE`] bytes; a row group is of the piece in which it begins.
fn pieces(file: PartitionedFile) -> Vec<PartitionedFile> {
    let size = file.object_meta.size;
    let count = size.div_ceil(PIECE);
    if count < 2 {
        return vec![file];
    }
    let bound = |piece: u64| i64::try_from(size.saturating_mul(piece) / count).unwrap_or(i64::MAX);
    (0..count).map(|piece| file.clone().with_range(bound(piece), bound(piece + 1))).collect()
}

/// As many of the files as are needed for so many rows.
fn enough_for(files: Vec<&StoredFile>, limit: Option<usize>) -> Vec<&StoredFile> {
    let Some(limit) = limit else { return files };
    let mut rows = 0u64;
    let mut enough = Vec::new();
    for file in files {
        if rows >= limit as u64 && !enough.is_empty() {
            break;
        }
        rows = rows.saturating_add(file.rows.unwrap_or(0));
        enough.push(file);
    }
    enough
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
