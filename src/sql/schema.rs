//! The columns of the log tables as SQL sees them, over the store and over raw files alike.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::format::{self, LogKind};

/// The schema of a kind's table: text as views, which operators compare and group without touching the heap for what is
/// short; all else as it is stored.
pub fn log_table(kind: LogKind) -> SchemaRef {
    as_views(&format::table_schema(kind))
}

/// The same columns with text as views. Text inside maps stays as it is.
pub fn as_views(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The partition column, as a field.
pub fn event_date() -> FieldRef {
    Arc::new(Field::new(format::EVENT_DATE, DataType::Date32, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_seen_as_views_and_nothing_else_changes() {
        for kind in LogKind::ALL {
            let (stored, seen) = (format::table_schema(kind), log_table(kind));
            assert_eq!(stored.fields().len(), seen.fields().len());
            for (stored, seen) in stored.fields().iter().zip(seen.fields()) {
                assert_eq!(stored.name(), seen.name());
                match stored.data_type() {
                    DataType::Utf8 => assert_eq!(seen.data_type(), &DataType::Utf8View),
                    other => assert_eq!(seen.data_type(), other),
                }
            }
            assert_eq!(seen.fields().last(), Some(&event_date()));
        }
    }
}
