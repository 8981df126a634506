//! Plans that work on text as the dictionaries in which Parquet and kept tables hold it: each distinct address of a row
//! group once, and a number for each row.
//!
//! A query that groups and sums millions of rows touches each row's text only to look up what it already knows. Here the
//! few distinct texts are compared, matched and looked up once, and rows are numbers:
//!
//! * [`scan`] reads the store's files that way, and leaves out the row groups that cannot match;
//! * [`group`] looks only at the keys of those rows that are wanted, where a row group is made of keys alone;
//! * [`rowgroups`] gives the keys themselves, for readers that count on them;
//! * [`filter`] asks a condition on one text once for each distinct text;
//! * [`keys`] and [`aggregate`] group by those numbers;
//! * [`rule`] puts all this in place of the engine's own operators where a plan allows it.
//!
//! Answers are those of the engine's operators; `coded/tests.rs` compares them over random rows and queries.

pub mod aggregate;
mod files;
pub mod filter;
pub mod group;
pub mod keys;
mod prune;
pub mod rowgroups;
pub mod rule;
pub mod scan;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{Partitioning, PlanProperties};

/// The type of text here.
pub fn coded_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Whether two arrays are the same texts in the same memory. Batches of a row group share their texts, though each wraps
/// them anew.
pub fn same_texts(one: &ArrayRef, other: &ArrayRef) -> bool {
    let (Some(one), Some(other)) = (one.as_string_opt::<i32>(), other.as_string_opt::<i32>()) else {
        return false;
    };
    one.len() == other.len()
        && std::ptr::eq(one.value_offsets().as_ptr(), other.value_offsets().as_ptr())
        && std::ptr::eq(one.value_data().as_ptr(), other.value_data().as_ptr())
}

/// A field with text as a dictionary.
fn coded_field(field: &Field) -> Field {
    match field.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            field.clone().with_data_type(coded_text())
        }
        _ => field.clone(),
    }
}

/// The same columns with text as dictionaries.
pub fn coded_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| coded_field(field));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What a plan is told of a scan that gives batches as they come, in no order.
pub fn leaf_properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions.max(1)),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}
