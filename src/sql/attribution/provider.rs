//! The table: which columns of the flow logs each pass reads, and what may be pushed down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DataFusionError, Result};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::evidence::{self, Passes, Prepared};
use super::exec::{AttributionExec, Source, tally};
use super::observe::Consistency;
use super::output::{self, Derived};
use super::skipped::Skipped;
use super::tally::Tally;
use crate::format::{LogKind, SOURCE_FILE};
use crate::network::Network;
use crate::sql::coded::rowgroups::RowGroups;
use crate::sql::coded::scan::CodedTable;
use crate::sql::records::{ADDRESSES, EVIDENCE, REJECT_ONLY};
use crate::sql::{formats, stored};

/// `reject_attribution` over a table of flow logs.
pub struct RejectAttribution {
    flow_logs: Arc<dyn TableProvider>,
    network: Option<Arc<Network>>,
    schema: SchemaRef,
    flow_columns: usize,
    derived: Vec<Derived>,
    last: Last,
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

/// What a query found about the logs as a whole.
#[derive(Debug)]
struct Checked {
    consistency: Vec<ConsistencyRow>,
    accepts: u64,
    skipped: Vec<(String, Skipped)>,
}

/// What the query that ran last found about the ACCEPTs; see [`RejectAttribution::consistency`].
#[derive(Debug, Clone, Default)]
pub(super) struct Last(Arc<Mutex<Option<Arc<Checked>>>>);

impl Last {
    pub(super) fn set(&self, prepared: &Prepared) {
        let rows = prepared.consistency().iter();
        let rows = rows.map(|((interface, acl), found)| (interface.clone(), acl.clone(), found.clone()));
        let found = Checked {
            consistency: rows.collect(),
            accepts: prepared.accepts,
            skipped: prepared.skipped.iter().map(|(interface, found)| (interface.clone(), *found)).collect(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(found));
    }

    fn get(&self) -> Option<Arc<Checked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RejectAttribution {
    /// Over these flow logs; without a network the logs alone decide.
    pub fn new(flow_logs: Arc<dyn TableProvider>, network: Option<Arc<Network>>) -> RejectAttribution {
        RejectAttribution::with_columns(flow_logs, network, false, Last::default())
    }

    fn with_columns(
        flow_logs: Arc<dyn TableProvider>,
        network: Option<Arc<Network>>,
        details: bool,
        last: Last,
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

    /// The same table with `would_decide`, `captured_at`, `capture_distance` and `mismatch` behind the others.
    pub fn detailed(&self) -> RejectAttribution {
        let (flow_logs, network) = (Arc::clone(&self.flow_logs), self.network.clone());
        RejectAttribution::with_columns(flow_logs, network, true, self.last.clone())
    }

    /// The configuration in use.
    pub fn network(&self) -> Option<&Arc<Network>> {
        self.network.as_ref()
    }

    /// How the configuration explains the ACCEPTs, by interface and network ACL, and how many ACCEPTs the logs hold; known
    /// once a query over the table has run.
    pub fn consistency(&self) -> Option<(Vec<ConsistencyRow>, u64)> {
        self.last.get().map(|found| (found.consistency.clone(), found.accepts))
    }

    /// Interfaces of which the logs say that records were skipped; known once a query over the table has run.
    pub fn skipped(&self) -> Vec<(String, Skipped)> {
        self.last.get().map_or_else(Vec::new, |found| found.skipped.clone())
    }

    /// The reads for the REJECTs that pass these filters, whose columns are `flow` and what judging them takes.
    async fn passes(&self, state: &dyn Session, filters: &[Expr], flow: &[&str]) -> Result<Passes> {
        let read = EVIDENCE.iter().chain(REJECT_ONLY).copied();
        // Where no log has reasons, it is the same of which log a record is.
        let coded = stored::coded(self.flow_logs.as_ref()).filter(|coded| coded.has(flow));
        let may_name_reasons = coded.as_ref().map_or(Ok(true), |coded| coded.holds("reject_reason"))?;
        let files = formats::knower(self.flow_logs.as_ref());
        let own: Vec<&str> = read.filter(|name| may_name_reasons || *name != SOURCE_FILE).collect();
        let mut read = own.clone();
        let known = |name: &&str| own.contains(name);
        read.extend(flow.iter().filter(|name| !known(name)));
        let partitions = state.config().target_partitions();
        let filter = rejected(filters);
        let groups = |coded: &CodedTable, names| {
            let groups = RowGroups::new(coded, names)?;
            Ok::<_, DataFusionError>(evidence::Source::Groups(Arc::new(groups), partitions))
        };
        Ok(match (&coded, filters.is_empty()) {
            (Some(coded), no_filter) => Passes {
                addresses: Some(groups(coded, ADDRESSES)?),
                // Other columns need not be made of keys.
                both: match no_filter && flow.iter().all(known) {
                    true => Some(Arc::new(RowGroups::new(coded, &read)?)),
                    false => None,
                },
                rejects: match no_filter {
                    true => coded.scan_of(&read, ("action", "REJECT"), partitions)?,
                    false => self.read(state, filter, &read).await?,
                },
                all: groups(coded, EVIDENCE)?,
                may_name_reasons,
                files,
            },
            // Files that are read as they were logged are best read as few times as may be.
            (None, true) => Passes {
                addresses: None,
                both: None,
                rejects: self.read(state, None, &read).await?,
                all: evidence::Source::Plan(self.read(state, None, EVIDENCE).await?),
                may_name_reasons,
                files,
            },
            (None, false) => {
                let without_direction =
                    column("flow_direction").is_null().and(column("srcaddr").is_not_null());
                Passes {
                    addresses: Some(evidence::Source::Plan(
                        self.read(state, Some(without_direction), ADDRESSES).await?,
                    )),
                    both: None,
                    rejects: self.read(state, filter, &read).await?,
                    all: evidence::Source::Plan(self.read(state, None, EVIDENCE).await?),
                    may_name_reasons,
                    files,
                }
            }
        })
    }

    /// Judges all REJECTs and counts them.
    pub(super) async fn tally(&self, context: &SessionContext) -> Result<Tally> {
        let passes = self.passes(&context.state(), &[], &[]).await?;
        tally(&passes, self.network.clone(), &self.last, &context.task_ctx()).await
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

/// Rejected, and what else is asked for.
fn rejected(filters: &[Expr]) -> Option<Expr> {
    let own = column("action").eq(lit("REJECT"));
    conjunction(std::iter::once(own).chain(filters.iter().cloned().map(unnormalize_col)))
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
        let flow: Vec<&str> = projection
            .iter()
            .zip(&names)
            .filter(|(at, _)| derived_of(at).is_none())
            .map(|(_, name)| *name)
            .collect();
        let passes = self.passes(state, filters, &flow).await?;
        let rejects = passes.rejects.schema();
        let sources = projection.iter().zip(&names).map(|(at, name)| match derived_of(at) {
            Some(column) => Source::Derived(column),
            None => rejects.index_of(name).map_or(Source::Nothing, Source::Input),
        });
        let sources: Arc<[Source]> = sources.collect();
        Ok(Arc::new(AttributionExec::new(passes, self.network.clone(), sources, self.last.clone(), schema)))
    }
}
