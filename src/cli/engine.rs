//! The SQL engine as commands use it: opened over a store or raw files, one statement after another, results printed.

mod plans;
mod said;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use clap::Args;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::runtime::Runtime;

use super::ingest::InputArgs;
use super::{Global, Printer, exit};
use crate::source::locate;
use crate::sql::attribution::report::{Made, ReportOptions, report};
use crate::sql::attribution::{AttributionTables, NetworkSource, read_network};
use crate::sql::catalog::TableSource;
use crate::sql::config_tables::ConfigTables;
use crate::sql::functions::Enrichment;
use crate::sql::memory;
use crate::sql::output::OutputFormat;
use crate::sql::queries::{Need, Query};
use crate::sql::raw::RawTables;
use crate::sql::session::{Scanned, Session, SessionError, SessionOptions};
use crate::sql::store_tables::StoreTables;
use crate::sql::usage::{UsageTables, Window};
use crate::store::{self, Store, StoreError};
use crate::usage::{Plan, Traffic};
use plans::{is_plan, plan_lines};

/// What every command that runs SQL takes.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// Read these raw files instead of the store: files, folders, globs, or - for standard input
    #[arg(long = "from", value_name = "PATH", num_args = 1..)]
    pub from: Vec<String>,
    #[command(flatten)]
    pub options: EngineOptions,
}

/// How SQL is run, wherever its tables come from.
#[derive(Clone, Debug, Args)]
pub struct EngineOptions {
    #[command(flatten)]
    pub input: InputArgs,
    /// The network configuration by which rejects are attributed: files or folders of AWS CLI JSON, AWS Config or
    /// Terraform; instead of what the store holds
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub config: Vec<PathBuf>,
    /// How much memory queries may use before they spill to disk: 512MiB, 4G, 60% [default: 60%]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub memory_limit: Option<usize>,
    /// How long a statement or a report may take, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Let statements write files (COPY, CREATE EXTERNAL TABLE, INSERT)
    #[arg(long)]
    pub allow_write: bool,
    /// AWS's ip-ranges.json, for aws_service() and aws_region()
    #[arg(long, value_name = "FILE")]
    pub aws_ip_ranges: Option<PathBuf>,
    /// A MaxMind database, for country(), asn() and as_org() (repeatable)
    #[arg(long, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,
}

fn parse_memory(text: &str) -> Result<usize, String> {
    memory::parse_limit(text).ok_or_else(|| "expected a size such as 512MiB, 4G or 60%".to_owned())
}

fn workers(threads: usize) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        // Signals and timers are looked for once in so many turns of a thread, and a turn may be some milliseconds long.
        .event_interval(7)
        .enable_all()
        .build()
        .context("cannot start the worker threads")
}

/// The engine.
pub struct Engine {
    /// Where the work is done; there until the engine is dropped.
    workers: Option<Runtime>,
    threads: usize,
    handle: tokio::runtime::Handle,
    /// Where statements are waited for. It has its own clock and signals, so that these are heeded whatever the workers do.
    waiter: Runtime,
    /// Its session.
    pub session: Session,
    /// The attribution over its flow logs.
    attribution: AttributionTables,
    /// What the rules do for its flow logs.
    usage: UsageTables,
    store: Option<Store>,
    /// The input of a raw session, whose refused lines are reported.
    raw: Option<Arc<RawTables>>,
    strict: bool,
    /// How many rows the last result had.
    rows_given: AtomicU64,
    /// What has been said of logs that lack a field: once is enough.
    said: Mutex<HashSet<String>>,
}

/// How a statement ended.
pub enum Ran {
    /// With a result, in this time, after reading these columns.
    Done(Duration, Scanned),
    /// Without one (it created or dropped something).
    Nothing(Scanned),
    /// Interrupted by Ctrl-C.
    Cancelled,
}

/// Tables of a store that is not there: naming one says so.
#[derive(Debug)]
struct MissingStore(PathBuf);

#[async_trait]
impl TableSource for MissingStore {
    fn names(&self) -> Vec<String> {
        store::TABLES.map(str::to_owned).to_vec()
    }

    async fn open(&self, name: &str) -> datafusion::common::Result<Option<Arc<dyn TableProvider>>> {
        if !store::TABLES.contains(&name) {
            return Ok(None);
        }
        match Store::open(&self.0) {
            // It has been made since the session began.
            Ok(store) => StoreTables::new(store).open(name).await,
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What was given up may hold its thread for long; nobody waits for it.
        if let Some(workers) = self.workers.take() {
            workers.shutdown_background();
        }
    }
}

impl Engine {
    /// Opens the engine over the store, or over the raw files of `--from`.
    pub fn open(args: &EngineArgs, global: &Global, printer: &Printer) -> anyhow::Result<Engine> {
        args.options.input.warn_of_unknown_fields(printer);
        let network = network(&args.options, global, printer)?;
        Engine::with_network(args, global, network)
    }

    /// As [`open`](Engine::open), with this configuration.
    pub fn with_network(
        args: &EngineArgs,
        global: &Global,
        network: NetworkSource,
    ) -> anyhow::Result<Engine> {
        let EngineArgs { from, options: args } = args;
        let threads = global.threads();
        let workers = workers(threads)?;
        let waiter = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot listen for signals")?;
        let handle = workers.handle().clone();
        let enrichment = Arc::new(Enrichment::load(args.aws_ip_ranges.as_deref(), &args.geoip)?);
        let memory_limit = args.memory_limit.unwrap_or_else(memory::default_limit);
        let mut opened = None;
        let mut raw = None;
        let source: Arc<dyn TableSource> = if from.is_empty() {
            match Store::open(&global.store) {
                Ok(store) => {
                    opened = Some(store.clone());
                    Arc::new(StoreTables::new(store))
                }
                Err(StoreError::Missing { .. }) => Arc::new(MissingStore(global.store.clone())),
                Err(error) => return Err(error.into()),
            }
        } else {
            let mut found = locate(from, Some(&global.store));
            let nothing = found.objects.is_empty();
            if let Some(at) = found.problems.iter().position(|problem| nothing || problem.is_mistake()) {
                return Err(found.problems.swap_remove(at).into());
            }
            let (decode, strict) = (args.input.decode()?, args.input.strict);
            let tables = Arc::new(RawTables::bounded(found.objects, decode, threads, memory_limit, strict));
            for problem in &found.problems {
                tables.quarantine().add_problem(problem.path(), problem.to_string());
            }
            raw = Some(tables.clone());
            tables
        };
        let options = SessionOptions {
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            memory_limit,
            timeout: args.timeout.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.001, 1e9))),
            allow_write: args.allow_write,
        };
        let config = match &network {
            NetworkSource::Given(network) => ConfigTables::given(Arc::clone(network)),
            _ => ConfigTables::new(&global.store),
        };
        let attribution = AttributionTables::new(Arc::clone(&source), network.clone());
        let usage = UsageTables::new(Arc::clone(&source), network);
        let sources: Vec<Arc<dyn TableSource>> =
            vec![source, Arc::new(config), Arc::new(attribution.clone()), Arc::new(usage.clone())];
        let session = Session::new(options, sources, &enrichment)?.on(handle.clone());
        Ok(Engine {
            workers: Some(workers),
            threads,
            handle,
            waiter,
            session,
            attribution,
            usage,
            store: opened,
            raw,
            strict: args.input.strict,
            rows_given: AtomicU64::new(0),
            said: Mutex::default(),
        })
    }

    /// Later statements get threads of their own: one that was given up may hold its thread for long, as a join does that finds
    /// nothing.
    pub fn renew_workers(&mut self) -> anyhow::Result<()> {
        let workers = workers(self.threads)?;
        self.handle = workers.handle().clone();
        self.session.work_on(self.handle.clone());
        if let Some(given_up) = self.workers.replace(workers) {
            given_up.shutdown_background();
        }
        Ok(())
    }

    /// The report of `flowq attribute`; see [`bounded`](Engine::bounded).
    pub fn attribution_report(&self, options: ReportOptions) -> Option<Result<Made, SessionError>> {
        let (attribution, context) = (self.attribution.clone(), self.session.context().clone());
        self.bounded(async move {
            let missing = || DataFusionError::Plan("there are no flow logs to attribute".to_owned());
            let table = attribution.table().await?.ok_or_else(missing)?;
            report(&context, &table, &options).await
        })
    }

    /// What `made` makes of the traffic of a window, and that traffic; see [`bounded`](Engine::bounded).
    pub fn of_traffic<T: Send + 'static>(
        &self,
        plan: Arc<Plan>,
        window: Window,
        made: impl FnOnce(&Traffic) -> std::io::Result<T> + Send + 'static,
    ) -> Option<Result<(T, Traffic), SessionError>> {
        let (usage, context) = (self.usage.clone(), self.session.context().clone());
        self.bounded(async move {
            let traffic = usage.traffic(&context, plan, window).await?;
            let made = tokio::task::spawn_blocking(move || Ok((made(&traffic)?, traffic))).await;
            made.map_err(|error| DataFusionError::External(Box::new(error)))?
                .map_err(DataFusionError::IoError)
        })
    }

    /// Does work that is no statement within `--timeout`; `None` where Ctrl-C ends it.
    fn bounded<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DataFusionError>> + Send + 'static,
    ) -> Option<Result<T, SessionError>> {
        self.waiter.block_on(async {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => None,
                done = self.session.bounded(work) => Some(done),
            }
        })
    }

    /// The rules' use over its flow logs.
    pub fn usage(&self) -> &UsageTables {
        &self.usage
    }

    /// Waits for work of the engine.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }

    /// Runs every statement of a text and prints its results; says what is wrong where one fails.
    /// The exit code is 0 where all have run.
    pub fn run(&self, sql: &str, printer: &Printer) -> anyhow::Result<u8> {
        self.run_all(sql, None, None, printer)
    }

    /// The same of a named query with these values.
    pub fn run_query(&self, query: &Query, values: &ParamValues, printer: &Printer) -> anyhow::Result<u8> {
        self.run_all(&query.sql, Some(values), Some(&query.needs), printer)
    }

    fn run_all(
        &self,
        sql: &str,
        parameters: Option<&ParamValues>,
        needs: Option<&[Need]>,
        printer: &Printer,
    ) -> anyhow::Result<u8> {
        let statements = match self.session.statements(sql) {
            Ok(statements) => statements,
            Err(error) => return self.failed(error, sql, printer),
        };
        for statement in statements {
            match self.run_one(statement, parameters.cloned(), printer) {
                Ok(Ran::Cancelled) => return Ok(exit::INTERRUPTED),
                Ok(Ran::Done(_, scanned) | Ran::Nothing(scanned)) => {
                    self.warn_of_missing_columns(&scanned, needs, printer);
                }
                Err(error) => match error.downcast::<SessionError>() {
                    Ok(error) => return self.failed(error, sql, printer),
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(self.report_refused(printer))
    }

    /// Whether this is said for the first time.
    fn is_new(&self, text: &str) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned())
    }

    /// The number that a query of one number gives; `None` where it fails.
    pub fn count(&self, sql: &str, parameters: &ParamValues) -> Option<u64> {
        self.handle.block_on(async {
            let statement = self.session.statements(sql).ok()?.into_iter().next()?;
            let answer = self.session.run(statement, Some(parameters.clone())).await.ok()?;
            let batches = answer.collect().await.ok()?;
            let column = batches.iter().find(|batch| batch.num_rows() > 0)?.columns().first()?.clone();
            let counts = column.as_primitive_opt::<Int64Type>()?;
            u64::try_from(counts.value(0)).ok()
        })
    }

    /// How many rows the last result had.
    pub fn rows_given(&self) -> u64 {
        self.rows_given.load(Ordering::Relaxed)
    }

    /// How many statements of these texts give a result; those that do not parse are counted when they are run.
    pub fn results(&self, texts: &[String]) -> usize {
        use datafusion::sql::sqlparser::ast::Statement as Sql;
        let gives_none = |statement: &Statement| match statement {
            Statement::Statement(statement) => matches!(
                statement.as_ref(),
                Sql::CreateTable(_) | Sql::CreateView(_) | Sql::Drop { .. } | Sql::Set(_)
            ),
            Statement::CreateExternalTable(_) | Statement::Reset(_) => true,
            _ => false,
        };
        let statements = texts.iter().filter_map(|text| self.session.statements(text).ok()).flatten();
        statements.filter(|statement| !gives_none(statement)).count()
    }

    /// Runs one statement and prints its result. Ctrl-C ends it.
    pub fn run_one(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
        printer: &Printer,
    ) -> anyhow::Result<Ran> {
        let begun = Instant::now();
        self.forget_read();
        self.waiter.block_on(async {
            let work = async {
                let mut answer = self.session.run(statement, parameters).await?;
                let schema = answer.schema();
                let scanned = std::mem::take(&mut answer.scanned);
                if schema.fields().is_empty() {
                    while let Some(batch) = answer.stream.next().await {
                        batch.map_err(SessionError::from)?;
                    }
                    return Ok(Ran::Nothing(scanned));
                }
                if is_plan(&schema) && printer.format() == OutputFormat::Table {
                    let batches: Vec<RecordBatch> = answer.collect().await?;
                    printer.text(&plan_lines(&batches))?;
                    self.rows_given.store(1, Ordering::Relaxed);
                    return Ok(Ran::Done(begun.elapsed(), scanned));
                }
                let mut writer = printer.result(&schema)?;
                while let Some(batch) = answer.stream.next().await {
                    writer.write(&batch.map_err(SessionError::from)?)?;
                }
                self.rows_given.store(writer.finish()?.rows, Ordering::Relaxed);
                Ok(Ran::Done(begun.elapsed(), scanned))
            };
            tokio::select! {
                ran = work => ran,
                _ = tokio::signal::ctrl_c() => Ok(Ran::Cancelled),
            }
        })
    }

    /// Waits for something; `None` where Ctrl-C ends it.
    pub fn interruptible<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.handle.block_on(async {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => None,
                done = work => Some(done),
            }
        })
    }

    /// The rows of a table, where that is known without reading them.
    pub fn rows(&self, table: &str) -> Option<u64> {
        let store = self.store.as_ref().filter(|_| store::TABLES.contains(&table))?;
        let snapshot = store.snapshot(table).ok()?;
        Some(snapshot.map_or(0, |snapshot| snapshot.files.iter().map(|file| file.rows).sum()))
    }
}

/// The configuration of `--config`, where what is wrong is said and the rest is used; else that of the store.
pub(super) fn network(
    args: &EngineOptions,
    global: &Global,
    printer: &Printer,
) -> anyhow::Result<NetworkSource> {
    if args.config.is_empty() {
        let root = global.store.clone();
        let load = move || match store::config::load(&root) {
            Ok(network) => Ok(network),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        return Ok(NetworkSource::later(load));
    }
    let (network, problems, errors) = read_network(&args.config);
    for error in &errors {
        printer.warn(&error.to_string());
    }
    for problem in &problems {
        printer.warn(&problem.to_string());
    }
    if network.interfaces.is_empty() {
        anyhow::bail!(
            "no network interface in the configuration of --config (describe-network-interfaces is needed)"
        );
    }
    Ok(NetworkSource::Given(Arc::new(network)))
}
