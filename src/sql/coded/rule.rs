//! Puts the coded operators in place of the engine's where a plan allows it.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, DynamicFilterTracking};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use object_store::local::LocalFileSystem;

use super::aggregate::CodedAggregateExec;
use super::coded_text;
use super::filter::CodedFilter;
use super::scan::{CodedFile, CodedScan, CodedTable};
use crate::sql::kept::scan::KeptScan;

/// Aggregates over the store's files, and over kept tables, are done over coded rows, and so are conditions on text.
#[derive(Debug)]
pub struct CodedRows;

impl PhysicalOptimizerRule for CodedRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wants_order =
            plan.exists(|plan| Ok(plan.required_input_ordering().iter().any(Option::is_some)))?;
        // Who wants an order leaves columns with one value out of it, and must not lose sight of them afterwards.
        let fits = |plan: &Arc<dyn ExecutionPlan>, coded: &Arc<dyn ExecutionPlan>| {
            let kept = coded.equivalence_properties();
            let constants = plan.equivalence_properties().constants();
            !wants_order || constants.iter().all(|one| kept.is_expr_constant(&one.expr).is_some())
        };
        let aggregates = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match coded_aggregate(&plan)?.filter(|coded| fits(&plan, coded)) {
                // Its input is as it should be.
                Some(coded) => Transformed::new(coded, true, TreeNodeRecursion::Jump),
                None => Transformed::no(plan),
            })
        };
        let scans = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match coded_scan(&plan)?.filter(|coded| fits(&plan, coded)) {
                Some(coded) => Transformed::yes(coded),
                None => Transformed::no(plan),
            })
        };
        Ok(plan.transform_down(aggregates)?.data.transform_up(scans)?.data)
    }

    fn name(&self) -> &str {
        "coded_rows"
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

/// A scan with a condition on text: the texts are compared coded, and what is given out is views as before.
fn coded_scan(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(scan) = StoreScan::of(plan) else { return Ok(None) };
    let Some(condition) = &scan.condition else { return Ok(None) };
    if !CodedFilter::new(condition, &scan.table)?.asks_texts() {
        return Ok(None);
    }
    let mut names: Vec<(usize, String)> = Vec::new();
    for projected in &scan.projection {
        for column in collect_columns(&projected.expr) {
            names.push((column.index(), column.name().to_owned()));
        }
    }
    names.sort();
    names.dedup();
    let field = |(_, name): &(usize, String)| scan.field(name);
    let Some(fields) = names.iter().map(field).collect::<Option<Vec<Field>>>() else { return Ok(None) };
    let input = Arc::new(scan.select(&fields)) as Arc<dyn ExecutionPlan>;
    let given = input.schema();
    let as_view = |expr: Arc<dyn PhysicalExpr>| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let place = given.index_of(column.name())?;
        let coded: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), place));
        Ok(match given.field(place).data_type() == &coded_text() {
            // The cast is not looked into: there is a column in it again.
            true => {
                let view = CastExpr::new(coded, DataType::Utf8View, None);
                Transformed::new(Arc::new(view) as Arc<dyn PhysicalExpr>, true, TreeNodeRecursion::Jump)
            }
            false => Transformed::yes(coded),
        })
    };
    let projection = scan.projection.into_iter().map(|projected| {
        let expr = projected.expr.transform_down(as_view)?.data;
        Ok(ProjectionExpr { expr, alias: projected.alias })
    });
    let projection = ProjectionExec::try_new(projection.collect::<Result<Vec<_>>>()?, input)?;
    // What the engine could tell from the condition, that a column is never null, say, is told no more.
    Ok((projection.schema().as_ref() == plan.schema().as_ref()).then(|| Arc::new(projection) as _))
}

/// The same rows with their text coded, if that is how they lie there.
pub fn coded(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(kept) = (plan.as_ref() as &dyn Any).downcast_ref::<KeptScan>() {
        return Some(Arc::new(kept.coded()));
    }
    let scan = StoreScan::of(plan)?;
    let fields = scan.projection.iter().map(|projected| {
        let column = projected.expr.downcast_ref::<Column>()?;
        if column.name() == projected.alias { scan.field(column.name()) } else { None }
    });
    let fields = fields.collect::<Option<Vec<Field>>>()?;
    Some(Arc::new(scan.select(&fields)))
}

/// What the engine's scan of a store's files says.
struct StoreScan {
    files: Vec<CodedFile>,
    table: SchemaRef,
    projection: Vec<ProjectionExpr>,
    condition: Option<Arc<dyn PhysicalExpr>>,
    partitions: usize,
}

impl StoreScan {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<StoreScan> {
        let partitions = plan.output_partitioning().partition_count();
        // A scan shares its row groups among as many readers as are wanted.
        let plan = match (plan.as_ref() as &dyn Any).downcast_ref::<RepartitionExec>() {
            Some(shared) if matches!(shared.partitioning(), Partitioning::RoundRobinBatch(_)) => {
                shared.input()
            }
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
        let condition = source.filter();
        let left_to_engine = |condition: &Arc<dyn PhysicalExpr>| {
            // What changes while it runs is the engine's own to follow.
            DynamicFilterTracking::classify(condition).contains_dynamic_filter() || is_volatile(condition)
        };
        if condition.as_ref().is_some_and(left_to_engine) {
            return None;
        }
        let projection = config.file_source().projection()?.iter().cloned().collect();
        let table = Arc::clone(config.file_source().table_schema().table_schema());
        Some(StoreScan { files: files(config)?, table, projection, condition, partitions })
    }

    /// A column of the table, if coded rows may have it: one that is nested they only carry along.
    fn field(&self, name: &str) -> Option<Field> {
        let field = self.table.field_with_name(name).ok()?;
        let nested = matches!(field.data_type(), DataType::Map(..) | DataType::List(_) | DataType::Struct(_));
        let is_asked = || {
            let condition = self.condition.iter().flat_map(collect_columns);
            condition.into_iter().any(|column| column.name() == name)
        };
        (!nested || !is_asked()).then(|| field.clone())
    }

    fn select(&self, fields: &[Field]) -> CodedScan {
        let table = CodedTable::new(self.files.clone(), Arc::clone(&self.table));
        table.select(fields, self.condition.clone(), self.partitions)
    }
}

/// The files of a scan, each once.
fn files(config: &FileScanConfig) -> Option<Vec<CodedFile>> {
    let local = LocalFileSystem::new();
    let mut seen = std::collections::HashSet::new();
    let pieces = config.file_groups.iter().flat_map(|group| group.iter());
    let new = pieces.filter(|piece| seen.insert(piece.object_meta.location.clone()));
    let file = |piece: &PartitionedFile| {
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
