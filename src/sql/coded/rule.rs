//! Puts the coded operators in place of the engine's where a plan allows it.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, DynamicFilterTracking};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use object_store::local::LocalFileSystem;

use super::aggregate::CodedAggregateExec;
use super::scan::{CodedFile, CodedTable};
use crate::sql::kept::scan::KeptScan;

/// Aggregates over the store's files, and over kept tables, are done over coded rows.
#[derive(Debug)]
pub struct CodedAggregates;

impl PhysicalOptimizerRule for CodedAggregates {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match coded_aggregate(&plan)? {
                Some(coded) => Transformed::yes(coded),
                None => Transformed::no(plan),
            })
        };
        Ok(plan.transform_up(replace)?.data)
    }

    fn name(&self) -> &str {
        "coded_aggregates"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn coded_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(engine) = (plan.as_ref() as &dyn Any).downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(keys) = CodedAggregateExec::keys(engine) else { return Ok(None) };
    let Some(input) = coded(engine.input()) else { return Ok(None) };
    Ok(Some(Arc::new(CodedAggregateExec::new(Arc::new(engine.clone()), keys, input))))
}

/// The same rows with their text coded, if that is how they lie there.
pub fn coded(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(kept) = (plan.as_ref() as &dyn Any).downcast_ref::<KeptScan>() {
        return Some(Arc::new(kept.coded()));
    }
    let partitions = plan.output_partitioning().partition_count();
    // A scan shares its row groups among as many readers as are wanted.
    let plan = match (plan.as_ref() as &dyn Any).downcast_ref::<RepartitionExec>() {
        Some(shared) if matches!(shared.partitioning(), Partitioning::RoundRobinBatch(_)) => shared.input(),
        _ => plan,
    };
    let scan = (plan.as_ref() as &dyn Any).downcast_ref::<DataSourceExec>()?;
    let config = (scan.data_source().as_ref() as &dyn Any).downcast_ref::<FileScanConfig>()?;
    let source = (config.file_source().as_ref() as &dyn Any).downcast_ref::<ParquetSource>()?;
    // No order is kept; an order that comes from a column with one value only needs no keeping.
    if config.limit.is_some()
        || !config.output_ordering.is_empty()
        || config.object_store_url != ObjectStoreUrl::local_filesystem()
    {
        return None;
    }
    let schema = plan.schema();
    let table = config.file_source().table_schema().table_schema();
    let (fields, condition) = (plain_columns(config, &schema, table)?, source.filter());
    // What changes while it runs is the engine's own to follow.
    if condition.as_ref().is_some_and(|condition| {
        DynamicFilterTracking::classify(condition).contains_dynamic_filter() || is_volatile(condition)
    }) {
        return None;
    }
    let files = files(config)?;
    let table = CodedTable::new(files, Arc::clone(table));
    Some(Arc::new(table.select(&fields, condition, partitions)))
}

/// The columns of a scan, if each is one of the table's under its own name and of a type that coded rows may have.
fn plain_columns(config: &FileScanConfig, seen: &SchemaRef, table: &SchemaRef) -> Option<Vec<Field>> {
    let projection = config.file_source().projection();
    if let Some(projection) = projection {
        for expr in projection.iter() {
            let column = expr.expr.downcast_ref::<Column>()?;
            if column.name() != expr.alias {
                return None;
            }
        }
    }
    let field = |field: &Arc<Field>| {
        let nested = matches!(field.data_type(), DataType::Map(..) | DataType::List(_) | DataType::Struct(_));
        (!nested && table.column_with_name(field.name()).is_some()).then(|| field.as_ref().clone())
    };
    seen.fields().iter().map(field).collect()
}

/// The files of a scan, each once.
fn files(config: &FileScanConfig) -> Option<Vec<CodedFile>> {
    let local = LocalFileSystem::new();
    let mut seen = std::collections::HashSet::new();
    let pieces = config.file_groups.iter().flat_map(|group| group.iter());
    let new = pieces.filter(|piece| seen.insert(piece.object_meta.location.clone()));
    let file = |piece: &datafusion::datasource::listing::PartitionedFile| {
        let date = match piece.partition_values.as_slice() {
            [ScalarValue::Date32(date)] => *date,
            [] => None,
            _ => return None,
        };
        let path = local.path_to_filesystem(&piece.object_meta.location).ok()?;
        Some(CodedFile { path, date })
    };
    new.map(file).collect()
}
