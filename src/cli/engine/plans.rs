//! Plans as people read them.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

/// Whether it is what EXPLAIN gives.
pub(super) fn is_plan(schema: &SchemaRef) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

/// Plans as lines: each below its name, a line for each operator, which a table would have to cut.
pub(super) fn plan_lines(batches: &[RecordBatch]) -> String {
    let mut text = String::new();
    for batch in batches {
        let column = |at: usize| {
            let column = batch.columns().get(at)?;
            arrow::compute::cast(column, &DataType::Utf8).ok()?.as_string_opt::<i32>().cloned()
        };
        let (Some(names), Some(plans)) = (column(0), column(1)) else { continue };
        for (name, plan) in names.iter().zip(&plans) {
            text.push_str(name.unwrap_or_default());
            text.push('\n');
            for line in plan.unwrap_or_default().lines() {
                text.push_str("  ");
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
