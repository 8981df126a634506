//! The one pass over the flow logs.

use std::sync::Arc;

use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DataFusionError, Result, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use crate::attribute::Action;
use crate::format::LogKind;
use crate::usage::{Gatherer, Plan, Traffic};

use crate::sql::records::{Coder, Text};
use crate::sql::stored;

/// The columns that conversations are made of.
const COLUMNS: [&str; 18] = [
    "interface_id",
    "subnet_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log_status",
    "tcp_flags",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "flow_direction",
    "reject_reason",
];

/// A thread holds no more than this in memory, even where more would be allowed: sorted runs on disk are as fast, and while one
/// is written its parts are there twice.
const MOST_HELD: usize = 32 << 20;

/// Which records, by their start: microseconds since 1970, the end not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub from: Option<i64>,
    /// Before.
    pub to: Option<i64>,
}

impl Window {
    /// The records that are in both.
    pub(super) fn and(self, other: Window) -> Window {
        Window { from: self.from.max(other.from), to: self.to.into_iter().chain(other.to).min() }
    }

    /// The window as a condition in SQL, behind this word; empty where it is open.
    pub fn condition(self, word: &str) -> String {
        let time = |micros: i64| format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
        let from = self.from.map(|from| format!("start >= {}", time(from)));
        let to = self.to.map(|to| format!("start < {}", time(to)));
        let bounds: Vec<String> = from.into_iter().chain(to).collect();
        if bounds.is_empty() { String::new() } else { format!("{word}{}", bounds.join(" and ")) }
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The read of the logs.
pub(super) async fn plan(
    flow_logs: Arc<dyn TableProvider>,
    state: &dyn Session,
    window: Window,
) -> Result<Arc<dyn ExecutionPlan>> {
    if window == Window::default()
        && let Some(coded) = stored::coded(flow_logs.as_ref())
    {
        return coded.scan(&COLUMNS, state.config().target_partitions());
    }
    let schema = flow_logs.schema();
    let names = COLUMNS.iter().filter(|name| schema.column_with_name(name).is_some());
    let mut plan = LogicalPlanBuilder::scan(LogKind::Flow.table(), provider_as_source(flow_logs), None)?;
    let time = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    if let Some(from) = window.from {
        plan = plan.filter(column("start").gt_eq(time(from)))?;
    }
    if let Some(to) = window.to {
        plan = plan.filter(column("start").lt(time(to)))?;
    }
    let plan = plan.project(names.map(|name| column(name)))?.build()?;
    state.create_physical_plan(&plan).await
}

/// Gathers the conversations of what `logs` reads.
pub(super) async fn traffic(
    logs: &Arc<dyn ExecutionPlan>,
    plan: Arc<Plan>,
    context: &Arc<TaskContext>,
) -> Result<Traffic> {
    let mut running = tokio::task::JoinSet::new();
    for partition in 0..logs.output_partitioning().partition_count() {
        let mut stream = logs.execute(partition, Arc::clone(context))?;
        let mut coder = Coder::default();
        let mut gatherer = Gatherer::new(Arc::clone(&plan));
        let consumer = MemoryConsumer::new("conversations").with_can_spill(true);
        let memory = consumer.register(context.memory_pool());
        running.spawn(async move {
            while let Some(batch) = stream.next().await {
                let columns = coder.columns(&batch?)?;
                for row in 0..columns.rows() {
                    let mut record = columns.record(row, |_| None);
                    if !record.has_time {
                        gatherer.leave_undated();
                        continue;
                    }
                    if record.interface_id.is_none() || record.unshown.protocol {
                        // Without a protocol no rule is met, but the interface was logged.
                        record.action = Action::Other;
                    }
                    gatherer.observe(&record, columns.text(Text::LogStatus, row) == Some("SKIPDATA"));
                }
                if gatherer.memory() > MOST_HELD || memory.try_resize(gatherer.memory()).is_err() {
                    gatherer.spill()?;
                    memory.try_resize(gatherer.memory())?;
                }
            }
            Ok::<_, DataFusionError>((gatherer, memory))
        });
    }
    let (mut gatherers, mut held) = (Vec::new(), Vec::new());
    while let Some(joined) = running.join_next().await {
        let (gatherer, memory) = joined.map_err(|error| DataFusionError::External(Box::new(error)))??;
        gatherers.push(gatherer);
        held.push(memory);
    }
    tokio::task::spawn_blocking(move || Traffic::new(plan, gatherers))
        .await
        .map_err(|error| DataFusionError::External(Box::new(error)))?
        .map_err(DataFusionError::IoError)
}
