//! The plan node that judges REJECTs.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::cast;
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
use tokio::sync::mpsc::Sender;

use super::evidence::{Passes, Prepared, together};
use super::output::{Derived, Filler};
use super::parts::Gathered;
use super::places::{MOST_PLACES, Place, Places};
use super::provider::Last;
use super::tally::Tally;
use crate::attribute::{Attribution, Evidence, Record, explain};
use crate::network::Network;
use crate::rules::Engine;
use crate::sql::records::{Coder, Columns};

/// An output column: one of the input's, or one of the attribution.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Input(usize),
    /// A column that no file has.
    Nothing,
    Derived(Derived),
}

/// What the passes leave behind, made once for all partitions.
pub(super) type Shared = Arc<OnceCell<Arc<Gathered>>>;

/// Judges REJECTs.
#[derive(Debug, Clone)]
pub(super) struct AttributionExec {
    pub(super) passes: Passes,
    pub(super) network: Option<Arc<Network>>,
    pub(super) shared: Shared,
    pub(super) sources: Arc<[Source]>,
    /// Where to leave what the passes found about the ACCEPTs.
    pub(super) last: Last,
    properties: Arc<PlanProperties>,
}

impl AttributionExec {
    pub(super) fn new(
        passes: Passes,
        network: Option<Arc<Network>>,
        sources: Arc<[Source]>,
        last: Last,
        schema: SchemaRef,
    ) -> AttributionExec {
        let partitions = passes.rejects.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let shared = Shared::default();
        AttributionExec { passes, network, shared, sources, last, properties: Arc::new(properties) }
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
        vec![&self.passes.rejects]
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
        let passes = Passes { rejects, ..self.passes.clone() };
        let (network, sources) = (self.network.clone(), Arc::clone(&self.sources));
        Ok(Arc::new(AttributionExec::new(passes, network, sources, self.last.clone(), self.schema())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&schema), 2);
        let out = builder.tx();
        let (passes, network, shared) = (self.passes.clone(), self.network.clone(), Arc::clone(&self.shared));
        let (sources, last) = (Arc::clone(&self.sources), self.last.clone());
        builder.spawn(async move {
            let gather = || async {
                let gathered = Gathered::new(&passes, network, &context).await?;
                if let Gathered::Whole(prepared) = &gathered {
                    last.set(prepared);
                }
                Ok::<_, DataFusionError>(Arc::new(gathered))
            };
            let mut parts = match shared.get_or_try_init(gather).await?.as_ref() {
                Gathered::Whole(prepared) => {
                    send(prepared, partition, &sources, &schema, &out).await?;
                    return Ok(());
                }
                // Their evidence is at hand for one part after the other.
                Gathered::InParts(_) if partition > 0 => return Ok(()),
                Gathered::InParts(parts) => parts.clone(),
            };
            while let Some(prepared) = parts.next(&context).await? {
                last.set(&prepared);
                let mut partition = 0;
                while send(&prepared, partition, &sources, &schema, &out).await? {
                    partition += 1;
                }
                if out.is_closed() {
                    break;
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Judges the REJECTs of a partition and sends them; whether there is that partition.
async fn send(
    prepared: &Prepared,
    partition: usize,
    sources: &[Source],
    schema: &SchemaRef,
    out: &Sender<Result<RecordBatch>>,
) -> Result<bool> {
    let Some(mut rejects) = prepared.rejects(partition)? else { return Ok(false) };
    let network = prepared.network();
    let mut judge = Judge::new(prepared, network.as_deref());
    while let Some(batch) = rejects.next().await {
        let judged = judge.judge(&batch?, sources, schema)?;
        if out.send(Ok(judged)).await.is_err() {
            break;
        }
    }
    Ok(true)
}

/// Judges all REJECTs and only counts them.
pub(super) async fn tally(
    passes: &Passes,
    network: Option<Arc<Network>>,
    last: &Last,
    context: &Arc<TaskContext>,
) -> Result<Tally> {
    let mut all = Tally::default();
    match Gathered::new(passes, network, context).await? {
        Gathered::Whole(prepared) => {
            last.set(&prepared);
            count(&prepared, &mut all).await?;
        }
        Gathered::InParts(mut parts) => {
            while let Some(prepared) = parts.next(context).await? {
                last.set(&prepared);
                count(&Arc::new(prepared), &mut all).await?;
            }
        }
    }
    Ok(all)
}

/// Counts the REJECTs of all partitions.
async fn count(prepared: &Arc<Prepared>, all: &mut Tally) -> Result<()> {
    let mut partition = 0;
    let mut running = Vec::new();
    while let Some(mut rejects) = prepared.rejects(partition)? {
        let prepared = Arc::clone(prepared);
        running.push(Ok(async move {
            let network = prepared.network();
            let mut judge = Judge::new(&prepared, network.as_deref());
            let mut tally = Tally::default();
            while let Some(batch) = rejects.next().await {
                judge.count(&batch?, &mut tally)?;
            }
            tally.settle(judge.take());
            Ok(tally)
        }));
        partition += 1;
    }
    together(running.into_iter()).await?.into_iter().for_each(|tally| all.merge(tally));
    Ok(())
}

/// One reader of REJECTs.
struct Judge<'p, 'n> {
    prepared: &'p Prepared,
    coder: Coder,
    places: Places<'n>,
    /// So many places are described.
    described: usize,
}

impl<'p, 'n> Judge<'p, 'n> {
    fn new(prepared: &'p Prepared, network: Option<&'n Network>) -> Judge<'p, 'n> {
        let places = prepared.places(network.map(Engine::new));
        Judge { prepared, coder: Coder::default(), places, described: 0 }
    }

    /// A record, what became of it, and its place.
    fn row<'c>(
        &mut self,
        columns: &'c Columns,
        row: usize,
    ) -> Result<(Record<'c>, Attribution, Evidence, usize)> {
        // A record without a time has the place of the texts that it shows, and no rules are asked for it.
        let start = columns.start(row).unwrap_or_default();
        let end = columns.end(row, start);
        let at = self.places.at(columns, row, start, end);
        let steady = self.places.is_steady(start, end);
        let new = self.places.places.iter_mut().skip(self.described);
        new.for_each(|place| self.prepared.describe(place));
        self.described = self.places.places.len();
        let nowhere = || DataFusionError::Internal("a record without a place".to_owned());
        let place = self.places.places.get(at).ok_or_else(nowhere)?;
        let record = self.prepared.record(columns, row, place);
        let (found, evidence) = self.prepared.attribute(&record, place, &mut self.places.engine, steady);
        Ok((record, found, evidence, at))
    }

    /// Forgets all places.
    fn take(&mut self) -> Vec<Place> {
        self.described = 0;
        self.places.take()
    }

    /// Counts the records of a batch.
    fn count(&mut self, batch: &RecordBatch, tally: &mut Tally) -> Result<()> {
        let columns = self.coder.columns(batch)?;
        columns.keep_addresses();
        self.places.begin(&columns);
        if self.places.places.len() > MOST_PLACES {
            tally.settle(self.take());
        }
        for row in 0..columns.rows() {
            let (record, found, _, at) = self.row(&columns, row)?;
            tally.add(&columns, row, at, &record, &found);
        }
        Ok(())
    }

    fn judge(&mut self, batch: &RecordBatch, sources: &[Source], schema: &SchemaRef) -> Result<RecordBatch> {
        let columns = self.coder.columns(batch)?;
        columns.keep_addresses();
        self.places.begin(&columns);
        if self.places.places.len() > MOST_PLACES {
            self.take();
        }
        let mut fillers: Vec<Option<Filler>> = sources
            .iter()
            .map(|source| match source {
                Source::Input(_) | Source::Nothing => None,
                Source::Derived(column) => Some(Filler::new(*column)),
            })
            .collect();
        let with_texts =
            sources.iter().any(|source| matches!(source, Source::Derived(column) if column.is_text()));
        for row in 0..columns.rows() {
            let (record, found, evidence, _) = self.row(&columns, row)?;
            let texts = with_texts.then(|| explain(&found, &record, self.places.engine.as_mut(), &evidence));
            for filler in fillers.iter_mut().flatten() {
                filler.add(&found, &record, texts.as_ref());
            }
        }
        let arrays =
            sources.iter().zip(&mut fillers).zip(schema.fields()).map(|((source, filler), field)| {
                let input = match (source, filler) {
                    (Source::Input(at), _) => batch.columns().get(*at).map(Arc::clone),
                    (Source::Derived(_), filler) => filler.as_mut().map(Filler::finish).transpose()?,
                    (Source::Nothing, _) => None,
                };
                Ok(match input {
                    Some(array) if array.data_type() == field.data_type() => array,
                    Some(array) => cast(&array, field.data_type())?,
                    None => new_null_array(field.data_type(), batch.num_rows()),
                })
            });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
    }
}
