//! The plan node that judges REJECTs.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::StreamExt;
use tokio::sync::OnceCell;

use super::columns::Columns;
use super::evidence::{Passes, Prepared};
use super::output::{Derived, Filler};
use crate::attribute::explain;
use crate::network::Network;
use crate::rules::Engine;

/// An output column: one of the input's, or one of the attribution.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Input(usize),
    Derived(Derived),
}

/// What the passes leave behind, made once for all partitions.
pub(super) type Shared = Arc<OnceCell<Arc<Prepared>>>;

/// Judges the records of its input, which are REJECTs.
#[derive(Debug, Clone)]
pub(super) struct AttributionExec {
    pub(super) rejects: Arc<dyn ExecutionPlan>,
    pub(super) passes: Passes,
    pub(super) network: Option<Arc<Network>>,
    pub(super) shared: Shared,
    pub(super) sources: Arc<[Source]>,
    properties: Arc<PlanProperties>,
}

impl AttributionExec {
    pub(super) fn new(
        rejects: Arc<dyn ExecutionPlan>,
        passes: Passes,
        network: Option<Arc<Network>>,
        shared: Shared,
        sources: Arc<[Source]>,
        schema: SchemaRef,
    ) -> AttributionExec {
        let partitions = rejects.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        AttributionExec { rejects, passes, network, shared, sources, properties: Arc::new(properties) }
    }
}

impl DisplayAs for AttributionExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configuration = if self.network.is_some() { "given" } else { "none" };
        write!(f, "AttributionExec: configuration={configuration}, evidence=flow_logs")
    }
}

impl ExecutionPlan for AttributionExec {
    fn name(&self) -> &str {
        "AttributionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.rejects]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(rejects), true) = (children.pop(), children.is_empty()) else {
            return Err(DataFusionError::Internal("the attribution has one input".to_owned()));
        };
        Ok(Arc::new(AttributionExec::new(
            rejects,
            self.passes.clone(),
            self.network.clone(),
            Arc::clone(&self.shared),
            Arc::clone(&self.sources),
            self.schema(),
        )))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&schema), 2);
        let out = builder.tx();
        let mut rejects = self.rejects.execute(partition, Arc::clone(&context))?;
        let (passes, network, shared) = (self.passes.clone(), self.network.clone(), Arc::clone(&self.shared));
        let sources = Arc::clone(&self.sources);
        builder.spawn(async move {
            let prepared = shared
                .get_or_try_init(|| async { Prepared::new(&passes, network, &context).await.map(Arc::new) })
                .await?;
            let network = prepared.network();
            let mut engine = network.as_deref().map(Engine::new);
            while let Some(batch) = rejects.next().await {
                let judged = judge(prepared, &batch?, &mut engine, &sources, &schema)?;
                if out.send(Ok(judged)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

fn judge(
    prepared: &Prepared,
    batch: &RecordBatch,
    engine: &mut Option<Engine<'_>>,
    sources: &[Source],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = Columns::new(batch)?;
    let mut fillers: Vec<Option<Filler>> = sources
        .iter()
        .map(|source| match source {
            Source::Input(_) => None,
            Source::Derived(column) => Some(Filler::new(*column)),
        })
        .collect();
    let with_texts =
        sources.iter().any(|source| matches!(source, Source::Derived(column) if column.is_text()));
    for row in 0..columns.rows() {
        let (record, rules) = prepared.record(&columns, row, engine);
        let Some(record) = record else {
            return Err(DataFusionError::Internal("a rejected record without a time".to_owned()));
        };
        let (found, evidence) = prepared.attribute(&columns, row, &record, rules.as_deref(), engine);
        let texts = with_texts.then(|| explain(&found, &record, engine.as_mut(), &evidence));
        for filler in fillers.iter_mut().flatten() {
            filler.add(&found, &record, texts.as_ref());
        }
    }
    let arrays: Vec<ArrayRef> = sources
        .iter()
        .zip(&mut fillers)
        .filter_map(|(source, filler)| match (source, filler) {
            (Source::Input(at), _) => batch.columns().get(*at).cloned(),
            (Source::Derived(_), filler) => filler.as_mut().map(Filler::finish),
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}
