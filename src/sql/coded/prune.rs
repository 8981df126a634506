//! Which row groups and pages of a file may hold rows for which a condition is true.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::datasource::physical_plan::parquet::{
    BloomFilterStatistics, PagePruningAccessPlanFilter, ParquetAccessPlan, RowGroupAccess,
    RowGroupAccessPlanFilter,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::arrow::parquet_column;

/// A row group to read, and the rows of it where not all are to be.
pub type Chosen = (usize, Option<RowSelection>);

/// The row groups among `groups` that may match, by their statistics, then by bloom filters, then by the page index.
/// `schema` are the file's columns with text as views. What a filter cannot be judged by keeps everything.
pub fn may_match(
    condition: &Arc<dyn PhysicalExpr>,
    file: &File,
    metadata: &ArrowReaderMetadata,
    schema: &SchemaRef,
    groups: impl Fn(usize) -> bool,
    metrics: &ParquetFileMetrics,
) -> Vec<Chosen> {
    let parquet = metadata.metadata();
    let count = parquet.num_row_groups();
    let mut plan = ParquetAccessPlan::new_none(count);
    (0..count).filter(|group| groups(*group)).for_each(|group| plan.scan(group));
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    let descriptor = parquet.file_metadata().schema_descr();
    if let Some(predicate) = builder.build(Arc::clone(condition)) {
        let mut chosen = RowGroupAccessPlanFilter::new(plan);
        chosen.prune_by_statistics(schema, descriptor, parquet.row_groups(), &predicate, metrics);
        let columns: Vec<(String, usize)> = predicate
            .literal_columns()
            .into_iter()
            .filter_map(|name| parquet_column(descriptor, schema, &name).map(|(column, _)| (name, column)))
            .collect();
        if !columns.is_empty() && !chosen.is_empty() {
            let filters = bloom_filters(file, metadata, &columns, chosen.row_group_indexes().collect());
            if let Some(filters) = filters {
                chosen.prune_by_bloom_filters(&predicate, metrics, &filters);
            }
        }
        plan = chosen.build();
    }
    if metadata.metadata().column_index().is_some() && metadata.metadata().offset_index().is_some() {
        let pages = PagePruningAccessPlanFilter::new(condition, Arc::clone(schema));
        if pages.filter_number() > 0 {
            plan = pages.prune_plan_with_page_index(plan, schema, descriptor, parquet, metrics);
        }
    }
    let access = plan.into_inner().into_iter().enumerate();
    let chosen = access.filter_map(|(group, access)| match access {
        RowGroupAccess::Skip => None,
        RowGroupAccess::Scan => Some((group, None)),
        RowGroupAccess::Selection(rows) => Some((group, Some(rows))),
    });
    chosen.collect()
}

/// The bloom filters of these columns, for each row group; `None` where the file cannot be read, which reading it will tell.
fn bloom_filters(
    file: &File,
    metadata: &ArrowReaderMetadata,
    columns: &[(String, usize)],
    groups: Vec<usize>,
) -> Option<Vec<BloomFilterStatistics>> {
    let file = file.try_clone().ok()?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    let descriptor = metadata.metadata().file_metadata().schema_descr();
    let mut filters = vec![BloomFilterStatistics::new(); metadata.metadata().num_row_groups()];
    for group in groups {
        let Some(of_group) = filters.get_mut(group) else { continue };
        for (name, column) in columns {
            if let Ok(Some(filter)) = reader.get_row_group_column_bloom_filter(group, *column) {
                let kind = descriptor.column(*column);
                of_group.insert(name, filter, kind.physical_type(), kind.type_length());
            }
        }
    }
    Some(filters)
}
