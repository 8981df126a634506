//! The tables over raw files: which files a query has to open at all.

use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::datasource::MemTable;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;

use super::input::{Holds, RawFile, RawInput};
use super::long::Part;
use super::quarantine::Quarantine;
use super::source::{LeftOut, RawSource};
use crate::format::{self, LogKind};
use crate::source::decode::DecodeOptions;
use crate::source::{KeyKind, Limits, Located};
use crate::sql::catalog::TableSource;
use crate::sql::formats::{Formats, KnowsFiles};
use crate::sql::lacking::Lacking;
use crate::sql::unread::Unread;
use crate::sql::{memory, schema};
use crate::store;

/// The tables over raw files: one per kind, whether or not there are files of it, and `quarantine`.
#[derive(Clone, Debug)]
pub struct RawTables {
    input: Arc<RawInput>,
}

impl RawTables {
    /// Tables over these files, as [`locate`](crate::source::locate()) lists them. Nothing is opened yet.
    pub fn new(objects: Vec<Located>, decode: DecodeOptions) -> RawTables {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        RawTables::bounded(objects, decode, threads, memory::default_limit(), false)
    }

    /// The same where `threads` readers may hold about a quarter of `memory` bytes together. Files whose text does not
    /// fit into the share of one are read in pieces, which is slower where they are compressed. Where `strict`, files
    /// with a line that cannot be read are left out as a whole, which costs a reading of its own.
    pub fn bounded(
        objects: Vec<Located>,
        decode: DecodeOptions,
        threads: usize,
        memory: usize,
        strict: bool,
    ) -> RawTables {
        let share = memory / 4 / threads.max(1);
        let defaults = Limits::default();
        let limits = Limits { whole_text: share.clamp(defaults.whole_text / 4, 256 << 20), ..defaults };
        RawTables::limited(objects, decode, threads, limits, strict)
    }

    /// The same with these bounds for each reader; files beyond `whole_file` are read by all of them.
    pub fn limited(
        objects: Vec<Located>,
        decode: DecodeOptions,
        threads: usize,
        limits: Limits,
        strict: bool,
    ) -> RawTables {
        RawTables { input: Arc::new(RawInput::new(objects, decode, threads, limits, strict)) }
    }

    /// What has not been read so far, and why.
    pub fn quarantine(&self) -> &Quarantine {
        &self.input.quarantine
    }

    /// The columns of a kind that some file read so far carries. Empty while no file of it has been read.
    pub fn carried(&self, kind: LogKind) -> Vec<usize> {
        self.input.carried(kind)
    }

    /// Forgets which files statements have read.
    pub fn forget_read(&self) {
        self.input.forget_read();
    }

    /// How many of the files that statements have read hold lines of a kind without these columns.
    pub fn lacking(&self, kind: LogKind, columns: &BTreeSet<String>) -> Lacking {
        self.input.lacking(kind, columns)
    }

    /// Whether, since this was asked before, a query has taken lines as rows without looking at any field of theirs, as
    /// `count(*)` does: what an ingest would refuse for a field is a row then.
    pub fn take_unlooked(&self) -> bool {
        self.input.unlooked.swap(false, std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether files have been opened and none of them holds a log that can be read.
    pub fn nothing_recognised(&self) -> bool {
        self.input.nothing_recognised()
    }

    /// Whether each file is known to hold no line of a kind.
    pub fn lacks(&self, kind: LogKind) -> bool {
        let lacks = |file: &RawFile| file.is_known_to_lack(kind) || self.input.quarantine.is_copy(&file.path);
        self.input.files.iter().all(lacks)
    }

    /// Whether some file is known to begin with lines of a kind.
    pub fn holds(&self, kind: LogKind) -> bool {
        self.input.files.iter().any(|file| file.holds() == Some(&Holds::Log(kind)))
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.input.files.len()
    }
}

#[async_trait]
impl TableSource for RawTables {
    fn names(&self) -> Vec<String> {
        let kinds = LogKind::ALL.into_iter().map(|kind| kind.table().to_owned());
        kinds.chain([store::QUARANTINE_TABLE.to_owned()]).collect()
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == store::QUARANTINE_TABLE {
            return Ok(Some(Arc::new(QuarantineTable { input: Arc::clone(&self.input) })));
        }
        Ok(LogKind::from_table(name).map(|kind| {
            let table_schema = TableSchema::from(schema::log_table(kind));
            Arc::new(RawTable { input: Arc::clone(&self.input), kind, table_schema })
                as Arc<dyn TableProvider>
        }))
    }
}

/// The rows of one kind.
#[derive(Debug)]
struct RawTable {
    input: Arc<RawInput>,
    kind: LogKind,
    table_schema: TableSchema,
}

#[async_trait]
impl KnowsFiles for RawTable {
    async fn formats(&self) -> Result<Formats> {
        Ok(self.input.formats(self.kind))
    }

    async fn unread(&self) -> Result<Vec<Unread>> {
        Ok(self.input.unread(self.kind))
    }
}

/// What knows the files of a table over raw files.
pub fn knows_files(table: &dyn Any) -> Option<Arc<dyn KnowsFiles>> {
    let RawTable { input, kind, table_schema } = table.downcast_ref()?;
    Some(Arc::new(RawTable { input: Arc::clone(input), kind: *kind, table_schema: table_schema.clone() }))
}

impl RawTable {
    /// For each file, whether its name allows rows for which the filters are true.
    fn may_match(
        &self,
        state: &dyn Session,
        files: &[(usize, &RawFile)],
        filters: &[Expr],
    ) -> Result<Vec<bool>> {
        let all = vec![true; files.len()];
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all) };
        let schema = self.table_schema.table_schema();
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        let Ok(filter) = state.create_physical_expr(filter, &columns) else { return Ok(all) };
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
        let Some(predicate) = builder.build(filter) else { return Ok(all) };
        predicate.prune(&NamedTimes { kind: self.kind, files })
    }
}

#[async_trait]
impl TableProvider for RawTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Here they leave files out; the optimizer then moves them into the source, which evaluates them all.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let of_kind = |file: &RawFile| !file.is_known_to_lack(self.kind);
        let all = self.input.files.iter().enumerate();
        let candidates: Vec<(usize, &RawFile)> = all.filter(|(_, file)| of_kind(file)).collect();
        let of_other_kinds = self.input.files.len() - candidates.len();
        let keep = self.may_match(state, &candidates, filters)?;
        let kept = candidates.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(candidate, _)| *candidate);
        let kept: Vec<(usize, &RawFile)> = kept.collect();
        let (by_time, with_copies) = (candidates.len() - kept.len(), kept.len());
        // After pruning, so that only files that have to be opened anyway are compared. Of an original that its name
        // rules out no copy has a matching row.
        let originals = self.input.without_copies(kept);
        let any_long = originals.iter().any(|(number, _)| self.input.is_long(*number));
        let files: Vec<PartitionedFile> = originals
            .into_iter()
            .map(|(number, file)| {
                PartitionedFile::new(file.located.path.as_str(), file.located.size)
                    .with_extension(Part::File(number))
            })
            .collect();
        let left_out = LeftOut { by_time, of_other_kinds, duplicate: with_copies - files.len() };
        let most = state.config().target_partitions().max(1);
        let partitions = if any_long { most } else { most.min(files.len()).max(1) };
        // Which partition a file is listed under does not matter: they all take from one queue.
        let mut groups = FileGroup::new(files).split_files(partitions);
        groups.resize_with(partitions, FileGroup::default);
        let source = RawSource::new(Arc::clone(&self.input), self.kind, self.table_schema.clone(), left_out)
            .read_by(partitions);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The times that the names of flow log objects allow. Which end of the interval the name's time means has changed
/// (documented), and an hourly object may be named for its first minute; records that are late come in an object named
/// for the time at which they came. AWS names no bound for that; losing records is worse than opening files.
struct NamedTimes<'a> {
    kind: LogKind,
    files: &'a [(usize, &'a RawFile)],
}

/// So long after the time in the name a record may lie, in seconds.
const AFTER_NAME: i64 = 60 * 60;
/// So long before it.
const BEFORE_NAME: i64 = 6 * 60 * 60;
const DAY: i64 = 24 * 60 * 60;

impl NamedTimes<'_> {
    fn bounds(&self, column: &Column, side: i64) -> Option<ArrayRef> {
        if !matches!(self.kind, LogKind::Flow | LogKind::TransitGateway) {
            return None;
        }
        let times = self.files.iter().map(|(_, file)| {
            let key = &file.located.key;
            key.stamp.filter(|_| key.kind == Some(KeyKind::FlowLog)).map(|stamp| stamp.saturating_add(side))
        });
        match column.name.as_str() {
            "start" | "end" => {
                let micros = times.map(|time| time.map(|seconds| seconds.saturating_mul(1_000_000)));
                Some(Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
            }
            format::EVENT_DATE => {
                let days = times.map(|time| time.map(|seconds| seconds.div_euclid(DAY) as i32));
                Some(Arc::new(days.collect::<Date32Array>()))
            }
            _ => None,
        }
    }
}

impl PruningStatistics for NamedTimes<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, -BEFORE_NAME)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, AFTER_NAME)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// The lines that cannot be read. Whoever asks for them wants those of all files: what has not been read in full yet is.
#[derive(Debug)]
struct QuarantineTable {
    input: Arc<RawInput>,
}

#[async_trait]
impl TableProvider for QuarantineTable {
    fn schema(&self) -> SchemaRef {
        schema::as_views(&store::quarantine_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (input, threads) = (Arc::clone(&self.input), state.config().target_partitions());
        tokio::task::spawn_blocking(move || input.check_all(threads))
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let rows = self.input.quarantine.rows()?;
        let seen = self.schema();
        let columns = rows.columns().iter().zip(seen.fields());
        let columns = columns
            .map(|(column, field)| datafusion::arrow::compute::cast(column, field.data_type()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let rows = datafusion::arrow::array::RecordBatch::try_new(Arc::clone(&seen), columns)?;
        MemTable::try_new(seen, vec![vec![rows]])?.scan(state, projection, filters, limit).await
    }
}
