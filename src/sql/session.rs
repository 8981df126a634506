//! A session: the engine set up for these logs, with bounds on memory, threads and time, and what may run in it.
//!
//! Nothing here knows a log table; they come from the [`TableSource`]s that the session is opened with.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, ParamValues};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::catalog::{Catalog, TableSource, Tables};
use super::coded::rule::CodedRows;
use super::cooperative::CooperativeJoins;
use super::copy;
use super::dialect::FlowqDialect;
use super::distinct::DistinctByGroups;
use super::functions;
use super::guard::{self, Forbidden, Owner};
use super::kept;
use super::memory;
use super::mistakes::{self, OperatorCheck};
use super::pool::SharedPool;
use super::statements;

/// What bounds a session.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// How many threads a query may use.
    pub threads: NonZeroUsize,
    /// How many bytes its operators may hold before they spill; see [`memory::default_limit`].
    pub memory_limit: usize,
    /// How long a statement may run.
    pub timeout: Option<Duration>,
    /// Whether statements may write files.
    pub allow_write: bool,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory_limit: memory::default_limit(),
            timeout: None,
            allow_write: false,
        }
    }
}

/// Why a statement gave no result.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It may not run.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It could not be parsed, planned or run.
    #[error(transparent)]
    Engine(#[from] DataFusionError),
}

/// A statement's result, still to be read.
pub struct Answer {
    /// Its rows. The stream ends with an error when the session's timeout passes.
    pub stream: SendableRecordBatchStream,
    /// The plan that makes them, with its metrics once the stream is at its end.
    pub plan: Arc<dyn ExecutionPlan>,
    /// What it reads.
    pub scanned: Scanned,
}

/// When a statement has to have ended, and how long it may run.
type Deadline = Option<(Instant, Duration)>;

/// The columns that a statement reads of each table, by name.
pub type Scanned = BTreeMap<String, BTreeSet<String>>;

impl Answer {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// Reads all rows.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, SessionError> {
        Ok(datafusion::physical_plan::common::collect(self.stream).await?)
    }
}

/// The engine with its tables.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    tables: Arc<Tables>,
    options: SessionOptions,
    workers: Option<Handle>,
}

impl Session {
    /// Sets the engine up. The tables' sources are asked only when a query names a table.
    pub fn new(
        options: SessionOptions,
        sources: Vec<Arc<dyn TableSource>>,
        enrichment: &Arc<functions::Enrichment>,
    ) -> Result<Session, SessionError> {
        let consumers_named = NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(SharedPool::new(options.memory_limit), consumers_named);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory),
            )
            .build_arc()?;
        let tables = Arc::new(Tables::new(sources));
        let state = SessionStateBuilder::new()
            .with_config(config(options.threads, options.memory_limit))
            .with_runtime_env(runtime)
            .with_expr_planners(vec![Arc::new(OperatorCheck)])
            .with_default_features()
            .with_optimizer_rule(Arc::new(DistinctByGroups))
            .with_physical_optimizer_rule(Arc::new(CodedRows))
            .with_physical_optimizer_rule(Arc::new(CooperativeJoins))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(Catalog::NAME, Arc::new(Catalog::new(Arc::clone(&tables))));
        functions::register(&context, enrichment)?;
        Ok(Session { context, tables, options, workers: None })
    }

    /// The same session, whose statements are worked on by this runtime and not by the one that waits for them.
    pub fn on(self, workers: Handle) -> Session {
        Session { workers: Some(workers), ..self }
    }

    /// Later statements are worked on by this runtime.
    pub fn work_on(&mut self, workers: Handle) {
        self.workers = Some(workers);
    }

    /// The engine itself, for what this type does not wrap.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The tables by name.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Cuts a text into its statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, SessionError> {
        let parsed = datafusion::sql::parser::DFParserBuilder::new(sql)
            .with_dialect(&FlowqDialect)
            .with_recursion_limit(self.context.state().config_options().sql_parser.recursion_limit.get())
            .build()?
            .parse_statements()?;
        let mut statements: Vec<Statement> = parsed.into();
        statements.iter_mut().for_each(statements::complete);
        Ok(statements)
    }

    /// Runs one statement with these values for its `$name` parameters.
    pub async fn run(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
    ) -> Result<Answer, SessionError> {
        let deadline = self.deadline();
        let (context, tables) = (self.context.clone(), Arc::clone(&self.tables));
        let start = start(context, tables, self.options.allow_write, statement, parameters);
        let answer = self.on_workers(start, deadline).await?;
        let Some((until, timeout)) = deadline else { return Ok(answer) };
        let sleep = Box::pin(tokio::time::sleep_until(until));
        let stream =
            Box::pin(Bounded { inner: Some(answer.stream), schema: answer.plan.schema(), sleep, timeout });
        Ok(Answer { stream, ..answer })
    }

    /// Does work that is no statement within the time that a statement may take.
    pub async fn bounded<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DataFusionError>> + Send + 'static,
    ) -> Result<T, SessionError> {
        let work = async move { work.await.map_err(SessionError::from) };
        self.on_workers(work, self.deadline()).await
    }

    fn deadline(&self) -> Deadline {
        self.options.timeout.map(|timeout| (Instant::now() + timeout, timeout))
    }

    /// Waits for work until its deadline. It is a task of its own: whoever waits for this can give up at any time, though an
    /// operator that finds nothing, or a read of something that does not come, may hold its thread for long.
    async fn on_workers<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SessionError>> + Send + 'static,
        deadline: Deadline,
    ) -> Result<T, SessionError> {
        let mut works = JoinSet::new();
        works.spawn_on(work, &self.workers.clone().unwrap_or_else(Handle::current));
        let done = async {
            let done = works
                .join_next()
                .await
                .transpose()
                .map_err(|error| SessionError::from(DataFusionError::External(Box::new(error))))?;
            done.unwrap_or_else(|| Err(DataFusionError::Internal("a statement was lost".to_owned()).into()))
        };
        match deadline {
            None => done.await,
            Some((until, timeout)) => {
                tokio::time::timeout_at(until, done).await.map_err(|_| timed_out(timeout))?
            }
        }
    }

    /// Runs each statement of a text and reads the rows of the last one.
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, SessionError> {
        let mut rows = Vec::new();
        for statement in self.statements(sql)? {
            rows = self.run(statement, None).await?.collect().await?;
        }
        Ok(rows)
    }
}

/// Plans a statement and begins it.
async fn start(
    context: SessionContext,
    tables: Arc<Tables>,
    allow_write: bool,
    statement: Statement,
    parameters: Option<ParamValues>,
) -> Result<Answer, SessionError> {
    let mut plan = match planned(&context, statement.clone()).await {
        // Whatever else is wrong with its rows: they cannot be added there.
        Err(_) if inserts_into_logs(&statement, &tables) => {
            let table = statements::inserted_into(&statement).unwrap_or_default();
            return Err(Forbidden::Logs { statement: "INSERT", table }.into());
        }
        planned => planned?,
    };
    guard::check(&plan, allow_write, &|table| tables.owner(table))?;
    mistakes::check(&plan)?;
    if let LogicalPlan::Dml(change) = &plan
        && tables.owner(&change.table_name) == Owner::Run
        && kept::unpack(&context, &change.table_name).await?
    {
        plan = planned(&context, statement).await?;
    }
    if let Some(parameters) = parameters {
        plan = plan.with_param_values(parameters)?;
    }
    if let LogicalPlan::Copy(copy) = plan {
        plan = LogicalPlan::Copy(copy::prepared(copy)?);
    }
    let mut scanned = Scanned::new();
    if let Some(create) = kept::asked(&plan) {
        scanned = scanned_by(&context.state().optimize(&create.input)?);
        kept::keep(&context, create).await?;
        plan = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(DFSchema::empty()),
        });
    }
    let (state, plan) = context.execute_logical_plan(plan).await?.into_parts();
    let plan = state.optimize(&plan)?;
    scanned.append(&mut scanned_by(&plan));
    let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
    let stream = datafusion::physical_plan::execute_stream(Arc::clone(&plan), state.task_ctx())?;
    Ok(Answer { stream: apart(stream), plan, scanned })
}

fn inserts_into_logs(statement: &Statement, tables: &Tables) -> bool {
    let table = statements::inserted_into(statement);
    table.is_some_and(|table| tables.owner(&table.into()) == Owner::Logs)
}

/// Plans a statement with the columns of its result named as they are written.
async fn planned(context: &SessionContext, statement: Statement) -> Result<LogicalPlan, DataFusionError> {
    let mut named = statement.clone();
    statements::name_as_written(&mut named);
    match planned_with_unique_names(context, named).await {
        // What cannot be named so, or is wrong, is planned, or said, as it was typed.
        Err(_) => planned_with_unique_names(context, statement).await,
        planned => planned,
    }
}

/// Plans a statement; where columns of it have one name, with names of their own.
async fn planned_with_unique_names(
    context: &SessionContext,
    mut statement: Statement,
) -> Result<LogicalPlan, DataFusionError> {
    let state = context.state();
    match state.statement_to_plan(statement.clone()).await {
        Err(error) if statements::has_repeated_names(&error) => {
            statements::rename_repeated(&mut statement);
            // What cannot be mended so is said of the statement as it was typed.
            state.statement_to_plan(statement).await.map_err(|_| error)
        }
        planned => planned,
    }
}

/// The same rows, made by a task of its own.
fn apart(mut stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut builder = RecordBatchReceiverStream::builder(stream.schema(), 2);
    let rows = builder.tx();
    builder.spawn(async move {
        while let Some(batch) = stream.next().await {
            let failed = batch.is_err();
            if rows.send(batch).await.is_err() || failed {
                break;
            }
        }
        Ok(())
    });
    builder.build()
}

/// What an optimized plan reads.
fn scanned_by(plan: &LogicalPlan) -> Scanned {
    let mut scanned = Scanned::new();
    // The visitor never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let names = scan.projected_schema.fields().iter().map(|field| field.name().clone());
            scanned.entry(scan.table_name.table().to_owned()).or_default().extend(names);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    scanned
}

/// Batches are so small that each thread could hold so many bytes for each of their rows.
const MEMORY_OF_A_ROW: usize = 16 * 1024;

/// Options of the engine: those that differ from its defaults differ because that was measured to be faster on logs,
/// or because they change what is shown and say why.
fn config(threads: NonZeroUsize, memory_limit: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads.get())
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(Catalog::NAME, Catalog::SCHEMA);
    let options = config.options_mut();
    options.execution.time_zone = Some("+00:00".to_owned());
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.planning_concurrency = threads.get();
    options.explain.logical_plan_only = false;
    // Whoever sorts by the largest first does not ask for the rows without a value.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    // What each sort sets aside for merging must not be all there is: a report has a dozen sorts, and the pool keeps each merge a
    // share in any case.
    let set_aside = options.execution.sort_spill_reservation_bytes;
    options.execution.sort_spill_reservation_bytes = set_aside.min(memory_limit / threads.get() / 64);
    // Sorts that have spilled hold a batch of each run that they merge.
    let batch = (memory_limit / threads.get() / MEMORY_OF_A_ROW).clamp(256, config.batch_size());
    config.with_batch_size(1 << batch.ilog2())
}

/// A statement ran longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the statement ran longer than {0:?}")]
pub struct TimedOut(pub Duration);

fn timed_out(timeout: Duration) -> DataFusionError {
    DataFusionError::External(Box::new(TimedOut(timeout)))
}

/// A stream that ends with an error at its deadline.
struct Bounded {
    inner: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    sleep: Pin<Box<Sleep>>,
    timeout: Duration,
}

impl Stream for Bounded {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The clock first: a stream that always has a batch ready would never let it be looked at.
        if self.inner.is_some() && self.sleep.as_mut().poll(cx).is_ready() {
            // Dropping the stream is what stops the work.
            self.inner = None;
            return Poll::Ready(Some(Err(timed_out(self.timeout))));
        }
        match self.inner.as_mut() {
            Some(inner) => inner.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl RecordBatchStream for Bounded {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
