//! A scan of the store's files that leaves text as the dictionaries in which Parquet holds it.
//!
//! Where there is a condition it leaves out the row groups and pages that cannot match, by statistics, bloom filters and
//! the page index, and then the rows. Which files are read at all is [`StoredTable`](crate::sql::stored::StoredTable)'s choice.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column as PhysicalColumn, Literal};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::schema::types::SchemaDescriptor;

pub use super::files::CodedFile;
use super::files::{CodedFiles, Opened, unreadable};
use super::filter::{CodedFilter, with_value};
use super::group::{self, KeyedGroup};
use super::prune::{self, Chosen};
use super::{coded_field, leaf_properties};
use crate::format::EVENT_DATE;
use crate::sql::schema::as_views;
use crate::store::decode::Column;

/// Rows of a batch: more than the engine's own take fewer turns, and what is done to coded rows stays in the cache.
pub const BATCH_ROWS: usize = 32 * 1024;

/// From so many columns on that a condition does not look at, the condition is asked first.
const MANY_OTHERS: usize = 3;

/// A table's files, and the columns that the table has of them.
#[derive(Debug, Clone)]
pub struct CodedTable {
    pub(super) files: Arc<CodedFiles>,
    fields: SchemaRef,
}

impl CodedTable {
    /// These files as a table with these columns, text as views.
    pub fn new(files: Vec<CodedFile>, fields: SchemaRef) -> CodedTable {
        CodedTable { files: Arc::new(CodedFiles::new(files)), fields }
    }

    /// Whether the table has all of these columns.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.fields.column_with_name(name).is_some())
    }

    /// Whether some file has a column.
    ///
    /// # Errors
    /// Where the footer of a file cannot be read.
    pub fn holds(&self, name: &str) -> Result<bool> {
        Ok(!self.held(&[name])?.is_empty())
    }

    /// Those of these columns that some file has.
    pub(super) fn held(&self, names: &[&str]) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        for name in names {
            if let Ok(field) = self.fields.field_with_name(name)
                && (*name == EVENT_DATE || self.files.hold(name)?)
            {
                fields.push(field.clone());
            }
        }
        Ok(fields)
    }

    /// A scan of those of these columns that some file has.
    ///
    /// # Errors
    /// Where the footer of a file cannot be read.
    pub fn scan(&self, names: &[&str], partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.select(&self.held(names)?, None, partitions)))
    }

    /// The same of the rows that have this text in a column.
    ///
    /// # Errors
    /// Where the footer of a file cannot be read.
    pub fn scan_of(
        &self,
        names: &[&str],
        (column, text): (&str, &str),
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let text = Literal::new(ScalarValue::Utf8View(Some(text.to_owned())));
        let column = PhysicalColumn::new(column, 0);
        let condition = BinaryExpr::new(Arc::new(column), Operator::Eq, Arc::new(text));
        Ok(Arc::new(self.select(&self.held(names)?, Some(Arc::new(condition)), partitions)))
    }

    /// A scan of the rows for which `condition` holds, which finds its columns by name in the table. A file that lacks a
    /// column gives nulls for it.
    pub fn select(
        &self,
        fields: &[Field],
        condition: Option<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> CodedScan {
        let schema = Arc::new(Schema::new(fields.iter().map(coded_field).collect::<Vec<_>>()));
        CodedScan {
            table: self.clone(),
            properties: leaf_properties(Arc::clone(&schema), partitions),
            schema,
            condition,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

/// The plan node.
#[derive(Debug, Clone)]
pub struct CodedScan {
    pub(super) table: CodedTable,
    schema: SchemaRef,
    condition: Option<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for CodedScan {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let files = self.table.files.files.len();
        write!(f, "CodedScan: files={files}, projection=[{}]", names.join(", "))?;
        match &self.condition {
            Some(condition) => write!(f, ", predicate={condition}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CodedScan {
    fn name(&self) -> &str {
        "CodedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.condition.as_ref().map_or(Ok(TreeNodeRecursion::Continue), f)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        if let Some(condition) = &self.condition {
            let mut names: Vec<_> =
                collect_columns(condition).into_iter().map(|column| column.name().to_owned()).collect();
            names.sort();
            for name in names {
                if self.schema.column_with_name(&name).is_none() && name != EVENT_DATE {
                    fields.push(coded_field(self.table.fields.field_with_name(&name)?));
                }
            }
        }
        let reader = Reader::new(self.clone(), fields, partition);
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(reader));
        // The reader never waits, so that nothing else would make it let others run.
        Ok(Box::pin(cooperative(stream)))
    }
}

/// A row group that is being read.
enum Current {
    /// Made of keys alone.
    Keyed(KeyedGroup),
    /// Any other.
    Plain { rows: ParquetRecordBatchReader, date: Option<i32>, filter: Option<CodedFilter> },
}

/// Reads every so many row groups of the files.
pub(super) struct Reader {
    scan: CodedScan,
    partition: usize,
    partitions: usize,
    /// The columns that are given, and those that only the condition looks at.
    read: SchemaRef,
    /// The number of the file that comes next.
    file: usize,
    /// The file before it, and its row groups that are still to be read.
    opened: Option<Arc<Opened>>,
    waiting: VecDeque<Chosen>,
    /// Columns of nulls, of the length of a batch.
    nothing: Vec<Option<ArrayRef>>,
    current: Option<Current>,
    /// Readers of row groups that are made of keys, between two of them.
    columns: Vec<Column>,
    rows: BaselineMetrics,
}

impl Reader {
    fn new(scan: CodedScan, fields: Vec<Field>, partition: usize) -> Reader {
        Reader {
            partition,
            partitions: scan.properties.partitioning.partition_count().max(1),
            nothing: vec![None; fields.len()],
            read: Arc::new(Schema::new(fields)),
            file: 0,
            opened: None,
            waiting: VecDeque::new(),
            current: None,
            columns: Vec::new(),
            rows: BaselineMetrics::new(&scan.metrics, partition),
            scan,
        }
    }

    /// A reader of one row group of a scan without a condition.
    pub(super) fn of_group(scan: CodedScan, opened: Arc<Opened>, group: usize) -> Reader {
        let fields = scan.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let waiting = VecDeque::from([(group, None)]);
        Reader { file: usize::MAX, opened: Some(opened), waiting, ..Reader::new(scan, fields, 0) }
    }

    /// The next row group of this partition; `None` after the last.
    fn advance(&mut self) -> Result<Option<Current>> {
        let pages = match self.scan.condition {
            Some(_) => PageIndexPolicy::Optional,
            None => PageIndexPolicy::Skip,
        };
        loop {
            if let Some(file) = self.opened.clone()
                && let Some(chosen) = self.waiting.pop_front()
            {
                return self.open(&file, chosen).map(Some);
            }
            let Some(file) = self.scan.table.files.open(self.file, pages)? else { return Ok(None) };
            self.waiting = self.choose(&file)?;
            self.opened = Some(file);
            self.file += 1;
        }
    }

    /// The row groups of a file that are this partition's and may match.
    fn choose(&self, file: &Opened) -> Result<VecDeque<Chosen>> {
        let own = |group: usize| (self.file + group) % self.partitions == self.partition;
        let Some(condition) = self.condition(file)? else {
            let groups = 0..file.metadata.metadata().num_row_groups();
            return Ok(groups.filter(|group| own(*group)).map(|group| (group, None)).collect());
        };
        let path = &file.file.path;
        let reader = File::open(path).map_err(|error| unreadable(path, &error))?;
        let metrics = ParquetFileMetrics::new(self.partition, &path.to_string_lossy(), &self.scan.metrics);
        let schema = with_text_as_views(file.metadata.schema());
        let condition = self.of_file(condition, &schema)?;
        Ok(prune::may_match(&condition, &reader, &file.metadata, &schema, own, &metrics).into())
    }

    /// The condition over a file's own columns: those that it lacks are null.
    fn of_file(&self, condition: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let mut condition = condition;
        for column in collect_columns(&condition) {
            if schema.column_with_name(column.name()).is_none() {
                let ty = self.scan.table.fields.field_with_name(column.name())?.data_type();
                let null: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::try_new_null(ty)?));
                condition = with_value(&condition, column.name(), &null)?;
            }
        }
        reassign_expr_columns(condition, schema)
    }

    /// The condition for the rows of a file, whose date is known.
    fn condition(&self, file: &Opened) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let date: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Date32(file.file.date)));
        let condition = self.scan.condition.as_ref();
        condition.map(|condition| with_value(condition, EVENT_DATE, &date)).transpose()
    }

    fn open(&mut self, opened: &Opened, (group, rows): Chosen) -> Result<Current> {
        let path = &opened.file.path;
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let condition = self.condition(opened)?;
        let condition =
            condition.map(|condition| CodedFilter::new(&condition, &with_text_as_views(&self.read)));
        let condition = condition.transpose()?;
        let origins = group::origins(&opened.metadata, group, &self.read, condition.as_ref());
        if let Some(origins) = origins {
            let columns = std::mem::take(&mut self.columns);
            let others = |names: &[&str], rows: RowSelection| {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                let builder = builder(file, &opened.metadata, names.iter().copied(), group);
                builder.with_row_selection(rows).build().map_err(|error| unreadable(path, &error))
            };
            let (given, asked) = ((self.read.as_ref(), origins), (condition, rows));
            let group =
                KeyedGroup::new(file, opened.file.date, given, &self.scan.schema, asked, columns, &others);
            return group.map(Current::Keyed).map_err(|error| unreadable(path, &error));
        }
        let stored = opened.metadata.schema();
        let descriptor = opened.metadata.metadata().file_metadata().schema_descr();
        let names = self.read.fields().iter().map(|field| field.name().as_str());
        let mut builder = builder(file, &opened.metadata, names, group);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows);
        }
        let mut filter = None;
        if let Some(condition) = condition {
            match self.filter_first(&condition, stored) {
                true => builder = builder.with_row_filter(row_filter(condition, descriptor, stored)),
                false => filter = Some(condition),
            }
        }
        let rows = builder.build().map_err(|error| unreadable(path, &error))?;
        Ok(Current::Plain { rows, date: opened.file.date, filter })
    }

    /// Whether the columns of a condition are better read before all others, of which only the chosen rows are read then.
    /// It takes a second turn over the rows, which few others do not repay.
    fn filter_first(&self, condition: &CodedFilter, stored: &Schema) -> bool {
        let names: Vec<&str> = condition.columns().collect();
        let held = names.iter().all(|name| stored.column_with_name(name).is_some());
        let others = self.read.fields().iter().filter(|field| {
            !names.contains(&field.name().as_str()) && stored.column_with_name(field.name()).is_some()
        });
        held && !names.is_empty() && others.count() >= MANY_OTHERS
    }

    /// The batch with the columns of `read`, in its order.
    fn in_order(&mut self, batch: &RecordBatch, date: Option<i32>) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.read.fields().iter().zip(&mut self.nothing).map(|(field, nothing)| {
            Ok(match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
                Some(column) => cast(column, field.data_type())?,
                None if field.name() == EVENT_DATE => ScalarValue::Date32(date).to_array_of_size(rows)?,
                None => match nothing {
                    Some(nulls) if nulls.len() >= rows => nulls.slice(0, rows),
                    nothing => Arc::clone(nothing.insert(new_null_array(field.data_type(), rows))),
                },
            })
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.read), columns, &options)?)
    }

    /// The rows of a batch that are wanted, with the columns that are.
    fn wanted(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let date = match &self.current {
            Some(Current::Plain { date, .. }) => *date,
            _ => None,
        };
        let mut batch = self.in_order(batch, date)?;
        if let Some(Current::Plain { filter: Some(filter), .. }) = &mut self.current {
            batch = filter.apply(batch)?;
        }
        let rows = batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let (_, mut columns, _) = batch.into_parts();
        columns.truncate(self.scan.schema.fields().len());
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.scan.schema), columns, &options)?)
    }
}

impl Reader {
    /// The next rows of the current row group; `None` after its last.
    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        let next = match self.current.as_mut()? {
            Current::Keyed(group) => group.next_batch().transpose().map(|batch| {
                batch.map_err(|error| match (&error, &self.opened) {
                    (DataFusionError::ParquetError(_), Some(opened)) => unreadable(&opened.file.path, &error),
                    _ => error,
                })
            }),
            Current::Plain { rows, .. } => {
                let batch = rows.next();
                batch.map(|batch| batch.map_err(DataFusionError::from).and_then(|batch| self.wanted(&batch)))
            }
        };
        if next.is_none()
            && let Some(Current::Keyed(group)) = self.current.take()
        {
            self.columns = group.into_columns();
        }
        next
    }

    /// Reads no more: once an error has been told, what follows would fail the same way.
    fn end(&mut self) {
        self.file = usize::MAX;
        self.waiting.clear();
        self.current = None;
    }
}

/// The usual reader of those of these columns that the file has, in one row group.
fn builder<'n>(
    file: File,
    metadata: &ArrowReaderMetadata,
    names: impl Iterator<Item = &'n str>,
    group: usize,
) -> ParquetRecordBatchReaderBuilder<File> {
    let wanted = names.filter_map(|name| metadata.schema().index_of(name).ok());
    let mask = ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), wanted);
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
        .with_projection(mask)
        .with_row_groups(vec![group])
        .with_batch_size(BATCH_ROWS)
}

/// The condition as the reader of a file asks it.
fn row_filter(condition: CodedFilter, columns: &SchemaDescriptor, stored: &Schema) -> RowFilter {
    let predicates = condition.into_parts().into_iter().map(|mut part| {
        let places = part.columns().filter_map(|name| stored.index_of(name).ok());
        let mask = ProjectionMask::roots(columns, places.collect::<Vec<_>>());
        let holds = move |batch: RecordBatch| {
            let holds = part.holds(&batch).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
            Ok(BooleanArray::new(holds, None))
        };
        Box::new(ArrowPredicateFn::new(mask, holds)) as Box<dyn ArrowPredicate>
    });
    RowFilter::new(predicates.collect())
}

/// The columns as a condition sees them.
fn with_text_as_views(schema: &Schema) -> SchemaRef {
    let plain = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, text) => field.as_ref().clone().with_data_type(text.as_ref().clone()),
        _ => field.as_ref().clone(),
    });
    as_views(&Schema::new(plain.collect::<Vec<_>>()))
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let time = self.rows.elapsed_compute().clone();
        let _timer = time.timer();
        loop {
            match self.next_batch() {
                Some(Ok(batch)) => {
                    // A batch without rows is given all the same: whoever asks for it may then let others run.
                    self.rows.record_output(batch.num_rows());
                    return Some(Ok(batch));
                }
                Some(Err(error)) => {
                    self.end();
                    return Some(Err(error));
                }
                None => {}
            }
            match self.advance() {
                Ok(Some(current)) => self.current = Some(current),
                Ok(None) => return None,
                Err(error) => {
                    self.end();
                    return Some(Err(error));
                }
            }
        }
    }
}
