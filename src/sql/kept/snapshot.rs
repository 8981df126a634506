//! A table made of whole columns of a stored table: nothing is copied.
//!
//! Files of a store never change once they are committed, so `create table t as select srcaddr, bytes from flow_logs` has its
//! answer on the disk already: the snapshot that the statement saw, whatever is ingested later. It is read with the store's
//! own scan, which leaves files, row groups and pages out. A selection of rows, or anything computed, is kept in
//! memory by [`kept`](super).

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::{TableType, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;

use crate::sql::stored::StoredTable;

/// Columns of a stored table, as it was when the statement named it.
#[derive(Debug)]
pub struct SnapshotTable {
    columns: ViewTable,
}

impl SnapshotTable {
    /// A table of what the query selects, if that is nothing but columns of a stored table, under whatever names.
    pub fn of(query: &LogicalPlan) -> Option<SnapshotTable> {
        is_columns_of_a_store(query).then(|| SnapshotTable { columns: ViewTable::new(query.clone(), None) })
    }
}

fn is_columns_of_a_store(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Projection(projection) => {
            let columns = projection.expr.iter().all(|column| {
                matches!(column, Expr::Column(_))
                    || matches!(column, Expr::Alias(alias) if matches!(*alias.expr, Expr::Column(_)))
            });
            columns && is_columns_of_a_store(&projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => is_columns_of_a_store(&alias.input),
        LogicalPlan::TableScan(scan) => {
            let stored = |table: &Arc<dyn TableProvider>| (table.as_ref() as &dyn Any).is::<StoredTable>();
            scan.filters.is_empty()
                && scan.fetch.is_none()
                && source_as_provider(&scan.source).is_ok_and(|table| stored(&table))
        }
        _ => false,
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.columns.get_logical_plan()
    }

    fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.columns.scan(state, projection, filters, limit).await
    }
}
