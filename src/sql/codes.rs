//! A scan of the store's files that leaves text as the dictionaries in which Parquet holds it: each distinct address of a row
//! group once, and a number for each row. Whoever works on every record of the logs converts the few texts and touches only
//! numbers after that.
//!
//! It reads whole files and takes no filter; what selects is better served by [`StoredTable`](super::stored::StoredTable).

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

/// A file, and what its footer says.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
}

/// Files whose footers are read once, however many scans go over them.
#[derive(Debug)]
struct CodedFiles {
    paths: Vec<PathBuf>,
    opened: OnceLock<std::result::Result<Vec<Opened>, Arc<DataFusionError>>>,
}

/// The type of text here.
pub fn coded_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Whether two arrays are the same texts in the same memory. Batches of a row group share their texts, though each wraps
/// them anew.
pub fn same_texts(one: &ArrayRef, other: &ArrayRef) -> bool {
    let (Some(one), Some(other)) = (one.as_string_opt::<i32>(), other.as_string_opt::<i32>()) else {
        return false;
    };
    one.len() == other.len()
        && std::ptr::eq(one.value_offsets().as_ptr(), other.value_offsets().as_ptr())
        && std::ptr::eq(one.value_data().as_ptr(), other.value_data().as_ptr())
}

fn as_codes(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => coded_text(),
        other => other.clone(),
    }
}

fn open(path: &Path) -> Result<Opened> {
    let failed = |error: parquet::errors::ParquetError| {
        DataFusionError::External(format!("cannot read {}: {error}", path.display()).into())
    };
    let file = File::open(path).map_err(|error| {
        DataFusionError::External(format!("cannot read {}: {error}", path.display()).into())
    })?;
    let inferred = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(failed)?;
    let fields = inferred.schema().fields().iter();
    let coded: Vec<Field> =
        fields.map(|field| field.as_ref().clone().with_data_type(as_codes(field.data_type()))).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(coded)));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(inferred.metadata()), options).map_err(failed)?;
    Ok(Opened { path: path.to_owned(), metadata })
}

impl CodedFiles {
    /// Whether some file has a column of this name.
    fn hold(&self, name: &str) -> Result<bool> {
        Ok(self.opened()?.iter().any(|file| file.metadata.schema().column_with_name(name).is_some()))
    }

    fn opened(&self) -> Result<&[Opened]> {
        let opened = self.opened.get_or_init(|| {
            self.paths.iter().map(|path| open(path)).collect::<Result<Vec<_>>>().map_err(Arc::new)
        });
        match opened {
            Ok(opened) => Ok(opened),
            Err(error) => Err(DataFusionError::Shared(Arc::clone(error))),
        }
    }
}

/// A table's files, and the columns that the table has of them.
#[derive(Debug, Clone)]
pub struct CodedTable {
    files: Arc<CodedFiles>,
    fields: SchemaRef,
}

impl CodedTable {
    /// These files as a table with these columns.
    pub fn new(paths: Vec<PathBuf>, fields: SchemaRef) -> CodedTable {
        let files = Arc::new(CodedFiles { paths, opened: OnceLock::new() });
        CodedTable { files, fields }
    }

    /// Whether the table has all of these columns.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.fields.column_with_name(name).is_some())
    }

    /// A scan of those of these columns that some file has.
    ///
    /// # Errors
    /// Where the footer of a file cannot be read.
    pub fn scan(&self, names: &[&str], partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let mut fields = Vec::new();
        for name in names {
            if let Ok(field) = self.fields.field_with_name(name)
                && self.files.hold(name)?
            {
                fields.push(field.clone());
            }
        }
        Ok(Arc::new(CodedScan::new(Arc::clone(&self.files), &fields, partitions)))
    }
}

/// The plan node.
#[derive(Debug, Clone)]
struct CodedScan {
    files: Arc<CodedFiles>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl CodedScan {
    /// A scan of these fields, whose types are those of the table; a file that lacks a column gives nulls for it.
    fn new(files: Arc<CodedFiles>, fields: &[Field], partitions: usize) -> CodedScan {
        let fields: Vec<Field> =
            fields.iter().map(|field| field.clone().with_data_type(as_codes(field.data_type()))).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        CodedScan { files, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for CodedScan {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "CodedScan: files={}, projection=[{}]", self.files.paths.len(), names.join(", "))
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
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = self.properties.partitioning.partition_count().max(1);
        let reader = Reader {
            files: Arc::clone(&self.files),
            schema: Arc::clone(&self.schema),
            partition,
            partitions,
            rows: context.session_config().batch_size(),
            next: 0,
            nothing: vec![None; self.schema.fields().len()],
            current: None,
        };
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(reader));
        // The reader never waits, so that nothing else would make it let others run.
        Ok(Box::pin(cooperative(stream)))
    }
}

/// Reads every so many row groups of the files.
struct Reader {
    files: Arc<CodedFiles>,
    schema: SchemaRef,
    partition: usize,
    partitions: usize,
    rows: usize,
    next: usize,
    /// Columns of nulls, of the length of a batch.
    nothing: Vec<Option<ArrayRef>>,
    current: Option<ParquetRecordBatchReader>,
}

impl Reader {
    /// The next row group of this partition; `None` after the last.
    fn advance(&mut self) -> Result<Option<ParquetRecordBatchReader>> {
        let mut before = 0;
        for file in self.files.opened()? {
            let groups = file.metadata.metadata().num_row_groups();
            while self.next < before + groups {
                let group = self.next - before;
                self.next += 1;
                if (before + group) % self.partitions == self.partition {
                    return self.open(file, group).map(Some);
                }
            }
            before += groups;
        }
        Ok(None)
    }

    fn open(&self, opened: &Opened, group: usize) -> Result<ParquetRecordBatchReader> {
        let failed = |error: &dyn fmt::Display| {
            DataFusionError::External(format!("cannot read {}: {error}", opened.path.display()).into())
        };
        let file = File::open(&opened.path).map_err(|error| failed(&error))?;
        let stored = opened.metadata.schema();
        let wanted = self.schema.fields().iter().filter_map(|field| stored.index_of(field.name()).ok());
        let descriptor = opened.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::roots(descriptor, wanted);
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, opened.metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(self.rows)
            .build()
            .map_err(|error| failed(&error))
    }

    /// The batch with this scan's columns, in its order.
    fn in_order(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.schema.fields().iter().zip(&mut self.nothing).map(|(field, nothing)| {
            Ok(match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
                Some(column) => cast(column, field.data_type())?,
                None => match nothing {
                    Some(nulls) if nulls.len() >= rows => nulls.slice(0, rows),
                    nothing => Arc::clone(nothing.insert(new_null_array(field.data_type(), rows))),
                },
            })
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reader) = &mut self.current {
                match reader.next() {
                    Some(Ok(batch)) => return Some(self.in_order(&batch)),
                    Some(Err(error)) => return Some(Err(error.into())),
                    None => self.current = None,
                }
            }
            match self.advance() {
                Ok(Some(reader)) => self.current = Some(reader),
                Ok(None) => return None,
                Err(error) => {
                    // Once is enough: what follows would fail the same way.
                    self.next = usize::MAX;
                    return Some(Err(error));
                }
            }
        }
    }
}
