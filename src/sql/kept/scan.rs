//! Reading a kept table.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::packed::Chunk;
use crate::sql::coded::filter::CodedFilter;
use crate::sql::coded::scan::BATCH_ROWS;
use crate::sql::coded::{coded_schema, leaf_properties};

/// The plan node: some columns of the rows for which a condition holds.
#[derive(Debug, Clone)]
pub struct KeptScan {
    table: SchemaRef,
    partitions: Vec<Arc<Vec<Chunk>>>,
    columns: Arc<[usize]>,
    /// Finds its columns by name in the table.
    condition: Option<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl KeptScan {
    /// A scan of these columns of a table.
    pub fn new(
        table: SchemaRef,
        partitions: Vec<Arc<Vec<Chunk>>>,
        columns: Vec<usize>,
        condition: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<KeptScan> {
        let schema = Arc::new(table.project(&columns)?);
        let properties = leaf_properties(schema, partitions.len());
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(KeptScan { table, partitions, columns: columns.into(), condition, properties, metrics })
    }

    /// The same scan with its text coded.
    pub fn coded(&self) -> KeptScan {
        let schema = coded_schema(&self.schema());
        KeptScan { properties: leaf_properties(schema, self.partitions.len()), ..self.clone() }
    }
}

impl DisplayAs for KeptScan {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "KeptScan: projection=[{}]", names.join(", "))?;
        match &self.condition {
            Some(condition) => write!(f, ", predicate={condition}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for KeptScan {
    fn name(&self) -> &str {
        "KeptScan"
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
        let mut read = self.columns.to_vec();
        let mut filter = None;
        if let Some(condition) = &self.condition {
            for column in collect_columns(condition) {
                let place = self.table.index_of(column.name())?;
                if !read.contains(&place) {
                    read.push(place);
                }
            }
            filter = Some(CodedFilter::new(condition, &self.table)?);
        }
        let schema = coded_schema(&self.table.project(&read)?);
        let chunks = self.partitions.get(partition).cloned().unwrap_or_default();
        let of_chunk = |(at, chunk): (usize, &Chunk)| {
            (0..chunk.rows()).step_by(BATCH_ROWS).map(move |row| (at, row)).collect::<Vec<_>>()
        };
        let places: Vec<(usize, usize)> = chunks.iter().enumerate().flat_map(of_chunk).collect();
        let given = self.schema();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = places.into_iter().filter_map(move |(chunk, row)| {
            let _timer = metrics.elapsed_compute().timer();
            let mut batch = chunks.get(chunk)?.unpack(&schema, &read, row, BATCH_ROWS);
            if let Some(filter) = &mut filter {
                batch = batch.and_then(|batch| filter.apply(batch));
            }
            let batch = batch.and_then(|batch| as_given(batch, &given));
            metrics.record_output(batch.as_ref().map_or(0, RecordBatch::num_rows));
            Some(batch)
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), futures::stream::iter(batches));
        Ok(Box::pin(cooperative(stream)))
    }
}

/// The first columns of a batch, as `given` describes them.
fn as_given(batch: RecordBatch, given: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(given.fields()).map(|(column, field)| {
        match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => Ok(cast(column, field.data_type())?),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    Ok(RecordBatch::try_new_with_options(Arc::clone(given), columns, &options)?)
}
