//! Raw files as the engine's scan sees them: what is asked of a scan ends up here, and each file is opened with it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, conjunction};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use object_store::ObjectStore;

use super::input::RawInput;
use super::long::{LongFile, Part};
use super::needle::needle;
use super::opener::{Counters, RawOpener, Work};
use crate::format::LogKind;

/// The engine's default number of rows in a batch.
const BATCH: usize = 8192;

/// A scan of one table over raw files.
#[derive(Clone)]
pub struct RawSource {
    input: Arc<RawInput>,
    kind: LogKind,
    table_schema: TableSchema,
    projection: ProjectionExprs,
    filter: Option<Arc<dyn PhysicalExpr>>,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
    left_out: LeftOut,
    readers: usize,
}

/// How many files a scan leaves out before it opens any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// By the time in their name.
    pub by_time: usize,
    /// Because they are known to hold something else.
    pub of_other_kinds: usize,
    /// Because another file holds the same bytes.
    pub duplicate: usize,
}

impl RawSource {
    /// A scan of this kind's rows with all columns of the schema.
    pub fn new(
        input: Arc<RawInput>,
        kind: LogKind,
        table_schema: TableSchema,
        left_out: LeftOut,
    ) -> RawSource {
        let schema = table_schema.table_schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        RawSource {
            projection: ProjectionExprs::from_indices(&all, schema),
            input,
            kind,
            table_schema,
            filter: None,
            batch_size: BATCH,
            metrics: ExecutionPlanMetricsSet::new(),
            left_out,
            readers: 1,
        }
    }

    /// Lets so many partitions read a long file together.
    pub fn read_by(self, readers: usize) -> RawSource {
        RawSource { readers, ..self }
    }
}

impl FileSource for RawSource {
    fn create_file_opener(
        &self,
        _object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let counters = Counters::new(&self.metrics, partition);
        if partition == 0 {
            counters.files_pruned.add(self.left_out.by_time);
            counters.files_of_other_kinds.add(self.left_out.of_other_kinds);
            counters.files_duplicate.add(self.left_out.duplicate);
        }
        let work = Work::new(
            Arc::clone(&self.input),
            self.kind,
            self.table_schema.table_schema(),
            &self.projection,
            self.filter.as_ref(),
            self.batch_size,
            counters,
        )?
        .one_of(self.readers);
        Ok(Arc::new(RawOpener::new(work)))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(RawSource { batch_size, ..self.clone() })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.filter.clone()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "raw"
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(filter) = &self.filter else { return Ok(()) };
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "filter={filter}"),
            _ => {
                write!(f, ", filter={filter}")?;
                match needle(self.kind, filter) {
                    Some(text) => write!(f, ", only_lines_with={}", String::from_utf8_lossy(&text)),
                    None => Ok(()),
                }
            }
        }
    }

    fn supports_repartitioning(&self) -> bool {
        // Files are shared among the partitions while they run, and large ones are divided by the opener.
        false
    }

    fn repartitioned(
        &self,
        _target_partitions: usize,
        _repartition_file_min_size: usize,
        _output_ordering: Option<LexOrdering>,
        _config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        Ok(None)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        // Each is evaluated on every row that is cut, so nothing is left for an operator above.
        let answers = vec![PushedDown::Yes; filters.len()];
        let filter = conjunction(self.filter.iter().cloned().chain(filters));
        let source = RawSource { filter: Some(filter), ..self.clone() };
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(answers)
            .with_updated_node(Arc::new(source) as Arc<dyn FileSource>))
    }

    /// The queue of one execution; the engine asks for it once, when the first partition of a plan is executed. So what
    /// the partitions share of a long file is made here.
    fn reorder_files(&self, mut files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        // The largest first: whoever is done early then finds small ones, and no thread waits long at the end.
        files.sort_by_key(|file| std::cmp::Reverse(file.object_meta.size));
        let mut long = Vec::new();
        for file in &mut files {
            let Some(Part::File(number)) = file.extension::<Part>() else { continue };
            if !self.input.is_long(*number) {
                continue;
            }
            let part = Arc::new(LongFile::new(*number));
            *file = file.clone().with_extension(Part::Long(Arc::clone(&part)));
            long.push(part);
        }
        // Each has a file of its own as long as there are enough; then they join whoever still reads a long one.
        let long: Arc<[Arc<LongFile>]> = long.into();
        if let Some(any) = files.first().filter(|_| !long.is_empty()).cloned() {
            let rest = || any.clone().with_extension(Part::Rest(Arc::clone(&long)));
            files.extend((1..self.readers).map(|_| rest()));
        }
        files
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(RawSource { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let projected = self.projection.iter().map(|projected| &projected.expr);
        apply_expression_roots(self.filter.iter().chain(projected), f)
    }
}
