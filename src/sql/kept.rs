//! Tables made of a query's answer (`create table t as select …`), kept in memory in a packed form.
//!
//! A table of millions of rows as the engine's own batches takes sixteen bytes for each text and as many as its type has
//! for each number. Here a text is a key of one to four bytes into the distinct texts of its chunk, a number its
//! distance from the least one. What it takes is drawn from the memory limit. Packing is [`packed`]'s.

mod packed;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::TableType;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{CreateMemoryTable, DdlStatement, Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::task::JoinSet;

use packed::{Chunk, Packer};

/// Rows of a chunk: many enough for texts to repeat, few enough to look them up in the cache.
const CHUNK_ROWS: usize = 512 * 1024;

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
    let frame = context.execute_logical_plan(input).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    let table = Arc::new(KeptTable::of(plan, &task).await?);
    if exists {
        context.deregister_table(create.name.clone())?;
    }
    context.register_table(create.name.clone(), table)?;
    Ok(())
}

impl KeptTable {
    async fn of(plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> Result<KeptTable> {
        let schema = plan.schema();
        let streams = execute_stream_partitioned(plan, Arc::clone(task))?;
        // Dropped with this future: then the tasks end.
        let mut tasks = JoinSet::new();
        for (partition, stream) in streams.into_iter().enumerate() {
            let memory =
                MemoryConsumer::new(format!("create table [{partition}]")).register(task.memory_pool());
            tasks.spawn(async move { (partition, pack(stream, memory).await) });
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
    mut stream: SendableRecordBatchStream,
    memory: MemoryReservation,
) -> Result<(Vec<Chunk>, MemoryReservation)> {
    let mut packer = Packer::new(&stream.schema());
    let mut chunks = Vec::new();
    let mut kept = 0;
    while let Some(batch) = stream.next().await {
        packer.push(&batch?)?;
        if packer.rows() >= CHUNK_ROWS {
            let chunk = packer.finish()?;
            kept += chunk.memory();
            memory.try_resize(kept)?;
            chunks.push(chunk);
        }
    }
    if packer.rows() > 0 {
        let chunk = packer.finish()?;
        kept += chunk.memory();
        memory.try_resize(kept)?;
        chunks.push(chunk);
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

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        let columns: Arc<[usize]> = columns.into();
        let part = |chunks: &Arc<Vec<Chunk>>| {
            let part = Part {
                schema: Arc::clone(&schema),
                columns: Arc::clone(&columns),
                chunks: Arc::clone(chunks),
            };
            Arc::new(part) as Arc<dyn PartitionStream>
        };
        let parts = self.partitions.iter().map(part).collect();
        let scan = StreamingTableExec::try_new(Arc::clone(&schema), parts, None, Vec::new(), false, limit)?;
        Ok(Arc::new(scan))
    }
}

/// One partition as a scan reads it.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    columns: Arc<[usize]>,
    chunks: Arc<Vec<Chunk>>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let step = task.session_config().batch_size().max(1);
        let (schema, columns, chunks) =
            (Arc::clone(&self.schema), Arc::clone(&self.columns), Arc::clone(&self.chunks));
        let places: Vec<(usize, usize)> = chunks
            .iter()
            .enumerate()
            .flat_map(|(chunk, rows)| (0..rows.rows()).step_by(step).map(move |row| (chunk, row)))
            .collect();
        let batches = places.into_iter().filter_map(move |(chunk, row)| {
            chunks.get(chunk).map(|chunk| chunk.unpack(&schema, &columns, row, step))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}
