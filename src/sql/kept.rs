//! Tables made of a query's answer (`create table t as select …`), kept in memory in a packed form.
//!
//! A table of millions of rows as the engine's own batches takes sixteen bytes for each text and as many as its type has
//! for each number. Here a text is a key of one to four bytes into the distinct texts of its chunk, a number its
//! distance from the least one. What it takes is drawn from the memory limit. Packing is [`packed`]'s. Whole columns of
//! a stored table are not kept at all: [`snapshot`].

mod packed;
pub(in crate::sql) mod scan;
mod snapshot;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, TableReference, exec_err};
use datafusion::datasource::{MemTable, TableType};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    CreateMemoryTable, DdlStatement, Expr, LogicalPlan, TableProviderFilterPushDown,
};
use datafusion::physical_plan::{ExecutionPlan, execute_stream, execute_stream_partitioned};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::task::JoinSet;

use packed::{Chunk, Packer};
use scan::KeptScan;
use snapshot::SnapshotTable;

use super::coded::rule;

/// Rows of a chunk: many enough for texts to repeat, few enough to look them up in the cache.
const CHUNK_ROWS: usize = 512 * 1024;

/// Rows of a chunk that ends early, because those behind it have other dictionaries.
const LEAST_ROWS: usize = 64 * 1024;

/// Bytes of the texts of a column in a chunk, about.
const CHUNK_TEXT: usize = 256 << 20;

/// A table in memory.
pub struct KeptTable {
    schema: SchemaRef,
    /// The chunks of each partition.
    partitions: Vec<Arc<Vec<Chunk>>>,
    _memory: Vec<MemoryReservation>,
}

impl fmt::Debug for KeptTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptTable").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What a plan asks to be kept, where it is a plain `create table … as` that can be kept packed.
pub fn asked(plan: &LogicalPlan) -> Option<&CreateMemoryTable> {
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
            let plain = create.constraints.iter().next().is_none()
                && create.column_defaults.is_empty()
                && !create.temporary
                && !create.if_not_exists
                && !matches!(create.input.as_ref(), LogicalPlan::EmptyRelation(_));
            plain.then_some(create)
        }
        _ => None,
    }
}

/// Runs the query and registers its answer as a table.
pub async fn keep(context: &SessionContext, create: &CreateMemoryTable) -> Result<()> {
    let exists = context.table_exist(create.name.clone())?;
    if exists && !create.or_replace {
        return exec_err!(
            "table '{}' already exists (choose another name, or use create or replace table)",
            create.name
        );
    }
    let input = create.input.as_ref().clone();
    let mut names = std::collections::HashSet::new();
    for name in input.schema().fields().iter().map(|field| field.name()) {
        if !names.insert(name) {
            return exec_err!("the column {name} comes twice (give one another name with `as`)");
        }
    }
    let table: Arc<dyn TableProvider> = match SnapshotTable::of(&input) {
        Some(snapshot) => Arc::new(snapshot),
        None => {
            let frame = context.execute_logical_plan(input).await?;
            let task = Arc::new(frame.task_ctx());
            let plan = frame.create_physical_plan().await?;
            Arc::new(KeptTable::of(plan, &task).await?)
        }
    };
    if exists {
        context.deregister_table(create.name.clone())?;
    }
    context.register_table(create.name.clone(), table)?;
    Ok(())
}

/// Whether a table lies in the memory of the run, so that rows can be added to it.
pub fn is_in_memory(table: &dyn TableProvider) -> bool {
    let table: &dyn Any = table;
    table.is::<MemTable>() || table.is::<KeptTable>() || table.is::<SnapshotTable>()
}

/// Makes a table of the run one that rows can be inserted into, which is the engine's own form; whether it has changed.
pub async fn unpack(context: &SessionContext, name: &TableReference) -> Result<bool> {
    let table = context.table_provider(name.clone()).await?;
    if (table.as_ref() as &dyn Any).is::<MemTable>() {
        return Ok(false);
    }
    let frame = context.read_table(table)?;
    let (schema, task) = (Arc::clone(frame.schema().inner()), Arc::new(frame.task_ctx()));
    let memory = MemoryConsumer::new(format!("insert into {name}")).register(task.memory_pool());
    let mut rows = Vec::new();
    let mut stream = execute_stream(frame.create_physical_plan().await?, task)?;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        memory.try_grow(batch.get_array_memory_size())?;
        rows.push(batch);
    }
    context.deregister_table(name.clone())?;
    context.register_table(name.clone(), Arc::new(MemTable::try_new(schema, vec![rows])?))?;
    Ok(true)
}

impl KeptTable {
    async fn of(plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> Result<KeptTable> {
        let schema = plan.schema();
        let plan = rule::coded(&plan).unwrap_or(plan);
        let streams = execute_stream_partitioned(plan, Arc::clone(task))?;
        // Dropped with this future: then the tasks end.
        let mut tasks = JoinSet::new();
        for (partition, stream) in streams.into_iter().enumerate() {
            let memory =
                MemoryConsumer::new(format!("create table [{partition}]")).register(task.memory_pool());
            let schema = Arc::clone(&schema);
            tasks.spawn(async move { (partition, pack(&schema, stream, memory).await) });
        }
        let mut parts = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok((partition, packed)) => parts.push((partition, packed?)),
                Err(error) => return exec_err!("the query ended early: {error}"),
            }
        }
        parts.sort_by_key(|(partition, _)| *partition);
        let (partitions, memory) =
            parts.into_iter().map(|(_, (chunks, memory))| (Arc::new(chunks), memory)).unzip();
        Ok(KeptTable { schema, partitions, _memory: memory })
    }
}

async fn pack(
    schema: &SchemaRef,
    mut stream: SendableRecordBatchStream,
    memory: MemoryReservation,
) -> Result<(Vec<Chunk>, MemoryReservation)> {
    let mut packer = Packer::new(schema);
    let mut chunks = Vec::new();
    let mut kept = 0;
    let mut end_chunk = |packer: &mut Packer| {
        let chunk = packer.finish()?;
        kept += chunk.memory();
        chunks.push(chunk);
        memory.try_resize(kept)
    };
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if packer.rows() >= LEAST_ROWS && !packer.fits(&batch) {
            end_chunk(&mut packer)?;
        }
        packer.push(&batch)?;
        if packer.rows() >= CHUNK_ROWS || packer.text_bytes() >= CHUNK_TEXT {
            end_chunk(&mut packer)?;
        }
    }
    if packer.rows() > 0 {
        end_chunk(&mut packer)?;
    }
    Ok((chunks, memory))
}

#[async_trait]
impl TableProvider for KeptTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let supported = |filter: &&Expr| match is_own(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(supported).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let condition = match conjunction(filters.iter().cloned().map(unnormalize_col)) {
            Some(filter) => {
                let columns = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(state.create_physical_expr(filter, &columns)?)
            }
            None => None,
        };
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(KeptScan::new(schema, self.partitions.clone(), columns, condition)?))
    }
}

/// Whether a filter needs nothing but a row of the table.
fn is_own(filter: &Expr) -> bool {
    let foreign = filter.exists(|part| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    });
    !filter.is_volatile() && foreign.is_ok_and(|foreign| !foreign)
}
