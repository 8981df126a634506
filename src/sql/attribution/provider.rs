//! The table: which columns of the flow logs each pass reads, and what may be pushed down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, Result};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::OnceCell;

use super::columns::{ADDRESSES, EVIDENCE, REJECT_ONLY};
use super::evidence::{Consistency, Passes, Prepared};
use super::exec::{AttributionExec, Shared, Source};
use super::output::{self, Derived};
use crate::format::LogKind;
use crate::network::Network;

/// `reject_attribution` over a table of flow logs.
pub struct RejectAttribution {
    flow_logs: Arc<dyn TableProvider>,
    network: Option<Arc<Network>>,
    schema: SchemaRef,
    flow_columns: usize,
    derived: Vec<Derived>,
    /// The filter on the REJECTs that was asked for last, and what the passes found for it: a report asks several times.
    last: Arc<Mutex<Option<(String, Shared)>>>,
}

impl fmt::Debug for RejectAttribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectAttribution").field("network", &self.network.is_some()).finish_non_exhaustive()
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// An interface, its subnet's network ACL where that is known, and how the configuration explains its ACCEPTs.
pub type ConsistencyRow = (String, Option<String>, Consistency);

impl RejectAttribution {
    /// Over these flow logs; without a network the logs alone decide.
    pub fn new(flow_logs: Arc<dyn TableProvider>, network: Option<Arc<Network>>) -> RejectAttribution {
        RejectAttribution::with_columns(flow_logs, network, false, Arc::default())
    }

    fn with_columns(
        flow_logs: Arc<dyn TableProvider>,
        network: Option<Arc<Network>>,
        details: bool,
        last: Arc<Mutex<Option<(String, Shared)>>>,
    ) -> RejectAttribution {
        let flow_schema = flow_logs.schema();
        let (schema, derived) = output::schema(&flow_schema, details);
        RejectAttribution {
            flow_columns: flow_schema.fields().len(),
            flow_logs,
            network,
            schema,
            derived,
            last,
        }
    }

    /// The same table with `would_decide`, `captured_at` and `capture_distance` behind the others.
    pub fn detailed(&self) -> RejectAttribution {
        let (flow_logs, network) = (Arc::clone(&self.flow_logs), self.network.clone());
        RejectAttribution::with_columns(flow_logs, network, true, Arc::clone(&self.last))
    }

    /// The configuration in use.
    pub fn network(&self) -> Option<&Arc<Network>> {
        self.network.as_ref()
    }

    /// How the configuration explains the ACCEPTs, by interface and network ACL, and how many ACCEPTs the logs hold; known
    /// once a query over the table has run.
    pub fn consistency(&self) -> Option<(Vec<ConsistencyRow>, u64)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared: Arc<Prepared> = Arc::clone(last.as_ref()?.1.get()?);
        let rows = prepared.consistency().iter();
        let rows = rows.map(|((interface, acl), found)| (interface.clone(), acl.clone(), found.clone()));
        Some((rows.collect(), prepared.accepts))
    }

    fn shared(&self, filter: &str) -> Shared {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, shared)) = last.as_ref()
            && known == filter
        {
            return Arc::clone(shared);
        }
        let shared: Shared = Arc::new(OnceCell::new());
        *last = Some((filter.to_owned(), Arc::clone(&shared)));
        shared
    }

    /// A read of the flow logs' columns of these names, as far as they exist.
    async fn read(
        &self,
        state: &dyn Session,
        filter: Option<Expr>,
        names: &[&str],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.flow_logs.schema();
        let names = names.iter().filter(|name| schema.column_with_name(name).is_some());
        let source = provider_as_source(Arc::clone(&self.flow_logs));
        let mut plan = LogicalPlanBuilder::scan(LogKind::Flow.table(), source, None)?;
        if let Some(filter) = filter {
            plan = plan.filter(filter)?;
        }
        let plan = plan.project(names.map(|name| column(name)))?.build()?;
        state.create_physical_plan(&plan).await
    }
}

/// Rejected, and with a time: rows without one belong to no moment.
fn rejected(filters: &[Expr]) -> Option<Expr> {
    let own = [column("action").eq(lit("REJECT")), column("start").is_not_null()];
    conjunction(own.into_iter().chain(filters.iter().cloned().map(unnormalize_col)))
}

#[async_trait]
impl TableProvider for RejectAttribution {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let flow = self.flow_logs.schema();
        let own = |filter: &Expr| {
            !filter.is_volatile()
                && filter.column_refs().iter().all(|column| flow.column_with_name(&column.name).is_some())
        };
        let supported = |filter: &&Expr| {
            if own(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
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
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema: SchemaRef = Arc::new(self.schema.project(projection)?);
        let filter = rejected(filters);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let derived_of =
            |at: &usize| at.checked_sub(self.flow_columns).and_then(|at| self.derived.get(at)).copied();
        if projection.iter().all(|at| derived_of(at).is_none()) {
            return self.read(state, filter, &names).await;
        }
        let mut read: Vec<&str> = EVIDENCE.iter().chain(REJECT_ONLY).copied().collect();
        let judged_by = read.clone();
        let flow =
            projection.iter().zip(&names).filter(|(at, _)| derived_of(at).is_none()).map(|(_, name)| *name);
        read.extend(flow.filter(|name| !judged_by.contains(name)));
        let rejects = self.read(state, filter.clone(), &read).await?;
        let sources = projection.iter().zip(&names).map(|(at, name)| match derived_of(at) {
            Some(column) => Ok(Source::Derived(column)),
            None => Ok(Source::Input(rejects.schema().index_of(name)?)),
        });
        let sources: Arc<[Source]> = sources.collect::<Result<Vec<_>>>()?.into();
        let without_direction = column("flow_direction").is_null().and(column("srcaddr").is_not_null());
        let shared = self.shared(&filter.as_ref().map(|filter| filter.to_string()).unwrap_or_default());
        let passes = Passes {
            addresses: self.read(state, Some(without_direction), ADDRESSES).await?,
            wanted: self.read(state, filter, &judged_by).await?,
            all: self.read(state, None, EVIDENCE).await?,
        };
        Ok(Arc::new(AttributionExec::new(rejects, passes, self.network.clone(), shared, sources, schema)))
    }
}
