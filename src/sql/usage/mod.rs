//! `rule_hits`: what each rule of security groups and each entry of network ACLs did for the traffic in `flow_logs`.
//!
//! The counting is [`usage`](crate::usage)'s; here the logs are read for it, once, with the columns that it needs. Filters
//! `observed_from >= T` and `observed_to < T` choose the records that are counted, by their start; all other filters choose
//! among the rows.
//!
//! Held in memory: the conversations, that is who talked to which service at which interface, against the session's limit;
//! what goes beyond it lies on disk meanwhile.

mod read;
mod rows;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::SessionContext;

pub use read::Window;

use super::attribution::NetworkSource;
use super::catalog::TableSource;
use crate::format::LogKind;
use crate::network::Network;
use crate::usage::{Counts, HitsReport, Plan, Traffic, hits};

/// The name of the table.
pub const TABLE: &str = "rule_hits";

/// What a count of hits says beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// What was read.
    pub counts: Counts,
    /// Conversations accepted.
    pub accepted: u64,
    /// Of these, the ones that the configuration does not explain.
    pub unexplained: u64,
    /// First and last second of the logs.
    pub window: Option<(i64, i64)>,
}

type LastSummary = Arc<Mutex<Option<Summary>>>;

/// The rules' use over the `flow_logs` of another source.
#[derive(Clone, Debug)]
pub struct UsageTables {
    logs: Arc<dyn TableSource>,
    network: NetworkSource,
    summary: LastSummary,
}

impl UsageTables {
    /// Over the flow logs of this source, with this configuration.
    pub fn new(logs: Arc<dyn TableSource>, network: NetworkSource) -> UsageTables {
        UsageTables { logs, network, summary: Arc::default() }
    }

    /// What the last count said beside its rows.
    pub fn summary(&self) -> Option<Summary> {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub async fn network(&self) -> Result<Arc<Network>> {
        self.network.load().await?.ok_or_else(no_configuration)
    }

    async fn flow_logs(&self) -> Result<Arc<dyn TableProvider>> {
        let missing = || DataFusionError::Plan("there are no flow logs (flowq ingest PATH)".to_owned());
        self.logs.open(LogKind::Flow.table()).await?.ok_or_else(missing)
    }

    /// The traffic of the logs within a window, as a network's rules see it.
    ///
    /// # Errors
    /// Those of reading the logs, and of temporary files.
    pub async fn traffic(
        &self,
        context: &SessionContext,
        plan: Arc<Plan>,
        window: Window,
    ) -> Result<Traffic> {
        let state = context.state();
        let physical = read::plan(self.flow_logs().await?, &state, window).await?;
        read::traffic(&physical, plan, &context.task_ctx()).await
    }
}

fn no_configuration() -> DataFusionError {
    let said = "there is no network configuration whose rules could be counted (flowq config import DIR, or --config PATH)";
    DataFusionError::External(said.into())
}

#[async_trait]
impl TableSource for UsageTables {
    fn names(&self) -> Vec<String> {
        vec![TABLE.to_owned()]
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name != TABLE {
            return Ok(None);
        }
        Ok(Some(Arc::new(RuleHits { tables: self.clone(), schema: rows::schema(), counted: Arc::default() })))
    }
}

/// Counts that were made, by their windows: a report asks several times.
type Counted = Arc<Mutex<Vec<(Window, Arc<HitsReport>)>>>;

/// The table.
#[derive(Debug)]
struct RuleHits {
    tables: UsageTables,
    schema: SchemaRef,
    counted: Counted,
}

/// The bound that a filter sets on the records to be counted.
fn bound(filter: &Expr) -> Option<Window> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (Expr::Column(column), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else {
        return None;
    };
    let micros = match value {
        ScalarValue::TimestampMicrosecond(value, _) => (*value)?,
        ScalarValue::TimestampNanosecond(value, _) => value.as_ref()?.div_euclid(1000),
        ScalarValue::TimestampMillisecond(value, _) => value.as_ref()?.checked_mul(1000)?,
        ScalarValue::TimestampSecond(value, _) => value.as_ref()?.checked_mul(1_000_000)?,
        _ => return None,
    };
    match (column.name(), op) {
        ("observed_from", Operator::GtEq) => Some(Window { from: Some(micros), to: None }),
        ("observed_to", Operator::Lt) => Some(Window { from: None, to: Some(micros) }),
        _ => None,
    }
}

#[async_trait]
impl TableProvider for RuleHits {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let supported = |filter: &&Expr| match bound(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(supported).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let window = filters.iter().filter_map(bound).fold(Window::default(), Window::and);
        let logs = read::plan(self.tables.flow_logs().await?, state, window).await?;
        let stream = CountStream {
            schema: Arc::clone(&self.schema),
            logs,
            window,
            tables: self.tables.clone(),
            counted: Arc::clone(&self.counted),
        };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(stream)];
        Ok(Arc::new(StreamingTableExec::try_new(self.schema(), partitions, projection, [], false, limit)?))
    }
}

/// Counts when it is read.
struct CountStream {
    schema: SchemaRef,
    logs: Arc<dyn ExecutionPlan>,
    window: Window,
    tables: UsageTables,
    counted: Counted,
}

impl fmt::Debug for CountStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountStream").field("window", &self.window).finish_non_exhaustive()
    }
}

impl PartitionStream for CountStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (logs, window, tables) = (Arc::clone(&self.logs), self.window, self.tables.clone());
        let counted = Arc::clone(&self.counted);
        let work = async move {
            let report = count(&logs, window, &tables, &counted, &context).await?;
            rows::batch(&report)
        };
        let stream = futures::stream::once(work);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

async fn count(
    logs: &Arc<dyn ExecutionPlan>,
    window: Window,
    tables: &UsageTables,
    counted: &Counted,
    context: &Arc<TaskContext>,
) -> Result<Arc<HitsReport>> {
    let known = {
        let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().find(|(known, _)| *known == window).map(|(_, report)| Arc::clone(report))
    };
    let report = match known {
        Some(report) => report,
        None => {
            let plan = Arc::new(Plan::new(tables.network().await?, None));
            let traffic = read::traffic(logs, plan, context).await?;
            let report = tokio::task::spawn_blocking(move || hits(&traffic))
                .await
                .map_err(|error| DataFusionError::External(Box::new(error)))??;
            let report = Arc::new(report);
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.push((window, Arc::clone(&report)));
            report
        }
    };
    let summary = Summary {
        counts: report.counts,
        accepted: report.accepted,
        unexplained: report.unexplained,
        window: report.window,
    };
    *tables.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    Ok(report)
}
