//! The first half of an aggregation, over coded rows: what the engine's partial [`AggregateExec`] gives, its groups found by
//! number.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::keys::{Groups, can_group_by};

/// After so many rows it is known whether they repeat.
const TRIAL_ROWS: usize = 100_000;

/// Rows that repeat less than this are handed on as they are: the second half of the aggregation looks at them anyway.
const MOST_GROUPS: f64 = 0.8;

/// The plan node.
#[derive(Debug, Clone)]
pub struct CodedAggregateExec {
    /// What it stands for: a partial aggregation of the same columns.
    engine: Arc<AggregateExec>,
    /// Gives the columns of `engine`'s input, its text coded.
    input: Arc<dyn ExecutionPlan>,
    keys: Arc<[usize]>,
    /// The columns as arguments and filters see them: text that they look at as views.
    arguments: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
}

impl CodedAggregateExec {
    /// The places of the columns by which this aggregation groups, if it can be done over coded rows.
    pub fn keys(engine: &AggregateExec) -> Option<Vec<usize>> {
        let fits = engine.mode() == &AggregateMode::Partial
            && engine.limit_options().is_none()
            && (engine.group_expr().is_single() || engine.group_expr().is_empty())
            && !engine.group_expr().has_grouping_set();
        let plain = engine.aggr_expr().iter().all(|function| {
            function.groups_accumulator_supported()
                && !function.is_distinct()
                && function.order_bys().is_empty()
        });
        if !fits || !plain {
            return None;
        }
        let input = engine.input().schema();
        let place = |expr: &Arc<dyn PhysicalExpr>| {
            let column = expr.downcast_ref::<Column>()?;
            let field = input.fields().get(column.index())?;
            can_group_by(field.data_type()).then_some(column.index())
        };
        engine.group_expr().expr().iter().map(|(expr, _)| place(expr)).collect()
    }

    /// This aggregation over coded rows.
    pub fn new(
        engine: Arc<AggregateExec>,
        keys: Vec<usize>,
        input: Arc<dyn ExecutionPlan>,
    ) -> CodedAggregateExec {
        let looked_at = |place: usize| {
            let filters = engine.filter_expr().iter().flatten().cloned();
            // Counting asks whether there is a value, and not for the value.
            let counts = |function: &AggregateFunctionExpr| {
                let plain = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_some();
                function.fun().name() == "count" && function.expressions().iter().all(plain)
            };
            let others = engine.aggr_expr().iter().filter(|function| !counts(function));
            let arguments = others.flat_map(|function| function.expressions());
            filters.chain(arguments).any(|expr| collect_columns(&expr).iter().any(|c| c.index() == place))
        };
        let (seen, coded) = (engine.input().schema(), input.schema());
        let fields = seen.fields().iter().zip(coded.fields()).enumerate();
        let fields: Vec<Field> = fields
            .map(|(place, (seen, coded))| {
                (if looked_at(place) { seen } else { coded }).as_ref().clone().with_nullable(true)
            })
            .collect();
        CodedAggregateExec {
            engine,
            input,
            keys: keys.into(),
            arguments: Arc::new(Schema::new(fields)),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for CodedAggregateExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coded")?;
        self.engine.fmt_as(t, f)
    }
}

impl ExecutionPlan for CodedAggregateExec {
    fn name(&self) -> &str {
        "CodedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.engine.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.engine.apply_expressions(f)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("an aggregation has one input");
        };
        let (engine, keys) = (Arc::clone(&self.engine), self.keys.to_vec());
        Ok(Arc::new(CodedAggregateExec::new(engine, keys, input)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("aggregate [{partition}]"));
        let types: Vec<DataType> =
            self.keys.iter().map(|key| self.arguments_type(*key)).collect::<Result<_>>()?;
        let work = Work {
            input: self.input.execute(partition, Arc::clone(&context))?,
            memory: consumer.register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            batch_rows: context.session_config().batch_size().max(1),
            accumulators: accumulators(&self.engine)?,
            groups: Groups::new(&types),
            of_rows: Vec::new(),
            rows: 0,
            ready: VecDeque::new(),
            repeats: true,
            ended: false,
            plan: self.clone(),
        };
        let schema = self.schema();
        let batches = futures::stream::try_unfold(work, |mut work| async move {
            Ok(work.next().await?.map(|batch| (batch, work)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

impl CodedAggregateExec {
    fn arguments_type(&self, place: usize) -> Result<DataType> {
        let seen = self.engine.input().schema();
        match seen.fields().get(place) {
            Some(field) => Ok(field.data_type().clone()),
            None => internal_err!("the input of an aggregation has no column {place}"),
        }
    }
}

fn accumulators(engine: &AggregateExec) -> Result<Vec<Box<dyn GroupsAccumulator>>> {
    engine.aggr_expr().iter().map(|function| function.create_groups_accumulator()).collect()
}

/// The aggregation of one partition.
struct Work {
    plan: CodedAggregateExec,
    input: SendableRecordBatchStream,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    batch_rows: usize,
    groups: Groups,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    of_rows: Vec<usize>,
    /// How many rows the groups are made of.
    rows: usize,
    ready: VecDeque<RecordBatch>,
    /// Rows share groups, as far as is known.
    repeats: bool,
    ended: bool,
}

impl Work {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.next().await {
                Some(batch) => {
                    let time = self.metrics.elapsed_compute().clone();
                    let _timer = time.timer();
                    self.take(&batch?)?;
                }
                None => {
                    self.ended = true;
                    self.emit()?;
                    self.memory.free();
                }
            }
        }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let columns = self.plan.arguments.fields().iter().zip(batch.columns());
        let columns: Vec<ArrayRef> = columns
            .map(|(field, column)| match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => Ok(cast(column, field.data_type())?),
            })
            .collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let arguments = Arc::clone(&self.plan.arguments);
        let seen = RecordBatch::try_new_with_options(arguments, columns, &options)?;
        let keys = self.plan.keys.iter().map(|key| batch.columns().get(*key).cloned());
        let Some(keys) = keys.collect::<Option<Vec<ArrayRef>>>() else {
            return internal_err!("a batch lacks a column by which it is grouped");
        };
        if !self.repeats {
            return self.hand_on(&seen, keys);
        }
        self.groups.of_rows(batch.num_rows(), &keys, &mut self.of_rows)?;
        self.rows += batch.num_rows();
        let total = self.groups.len();
        let functions = self.plan.engine.aggr_expr().iter().zip(self.plan.engine.filter_expr());
        for (accumulator, (function, filter)) in self.accumulators.iter_mut().zip(functions) {
            let values = evaluated(&function.expressions(), &seen)?;
            let filter = filter.as_ref().map(|filter| truth(filter, &seen)).transpose()?;
            accumulator.update_batch(&values, &self.of_rows, filter.as_ref(), total)?;
        }
        if self.rows >= TRIAL_ROWS
            && total as f64 > self.rows as f64 * MOST_GROUPS
            && !self.plan.keys.is_empty()
        {
            self.repeats = false;
            return self.emit();
        }
        let held = self.groups.memory() + self.accumulators.iter().map(|one| one.size()).sum::<usize>();
        if self.memory.try_resize(held).is_err() {
            // The second half spills where it must.
            self.emit()?;
            self.memory.free();
        }
        Ok(())
    }

    /// Each row as a group of its own.
    fn hand_on(&mut self, seen: &RecordBatch, keys: Vec<ArrayRef>) -> Result<()> {
        let schema = self.plan.engine.schema();
        let keys = keys.iter().zip(schema.fields());
        let mut columns: Vec<ArrayRef> =
            keys.map(|(key, field)| Ok(cast(key, field.data_type())?)).collect::<Result<_>>()?;
        let functions = self.plan.engine.aggr_expr().iter().zip(self.plan.engine.filter_expr());
        for (accumulator, (function, filter)) in self.accumulators.iter().zip(functions) {
            let values = evaluated(&function.expressions(), seen)?;
            let filter = filter.as_ref().map(|filter| truth(filter, seen)).transpose()?;
            columns.extend(accumulator.convert_to_state(&values, filter.as_ref())?);
        }
        self.ready.push_back(RecordBatch::try_new(schema, columns)?);
        Ok(())
    }

    /// Gives out all groups and forgets them.
    fn emit(&mut self) -> Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let mut columns = self.groups.columns();
        for accumulator in &mut self.accumulators {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        self.groups.clear();
        self.rows = 0;
        let all = RecordBatch::try_new(self.plan.engine.schema(), columns)?;
        let parts = (0..all.num_rows()).step_by(self.batch_rows);
        let part = |from: usize| all.slice(from, self.batch_rows.min(all.num_rows() - from));
        self.ready.extend(parts.map(part));
        Ok(())
    }
}

fn evaluated(expressions: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let array = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows)?.into_array(rows.num_rows());
    expressions.iter().map(array).collect()
}

fn truth(filter: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let holds = filter.evaluate(rows)?.into_array(rows.num_rows())?;
    let Some(holds) = holds.as_boolean_opt() else {
        let ty = holds.data_type();
        return Err(DataFusionError::Internal(format!("a condition gave {ty} in place of true and false")));
    };
    Ok(holds.clone())
}
