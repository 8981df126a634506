//! What `copy … to` writes: each column under a name of its own, and in csv what has no form there as text.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::output::with_unique_names;

/// The same statement with its columns as they can be written.
pub fn prepared(copy: CopyTo) -> Result<CopyTo> {
    let schema: SchemaRef = Arc::clone(copy.input.schema().inner());
    let names = with_unique_names(&schema);
    let as_text = copy.file_type.get_ext() == "csv";
    let is_nested = |ty: &DataType| ty.is_nested() && !matches!(ty, DataType::Dictionary(..));
    let distinct: HashSet<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let nested = as_text && schema.fields().iter().any(|field| is_nested(field.data_type()));
    if distinct.len() == schema.fields().len() && !nested {
        return Ok(copy);
    }
    let text = ScalarUDF::new_from_impl(AsText::new());
    let columns = copy.input.schema().iter().zip(names.fields()).map(|((qualifier, field), named)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let column = if nested && is_nested(field.data_type()) { text.call(vec![column]) } else { column };
        column.alias(named.name())
    });
    let columns: Vec<Expr> = columns.collect();
    let input: LogicalPlan =
        LogicalPlanBuilder::new_from_arc(Arc::clone(&copy.input)).project(columns)?.build()?;
    Ok(CopyTo::new(Arc::new(input), copy.output_url, copy.partition_by, copy.file_type, copy.options))
}

/// Any value as it is shown.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsText {
    signature: Signature,
}

impl AsText {
    fn new() -> AsText {
        AsText { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AsText {
    fn name(&self) -> &str {
        "as_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(array) = arrays.first() else {
            return Ok(ColumnarValue::Array(Arc::new(StringArray::new_null(0))));
        };
        let options = FormatOptions::new();
        let shown = ArrayFormatter::try_new(array, &options)?;
        let text = |row| (!array.is_null(row)).then(|| shown.value(row).to_string());
        Ok(ColumnarValue::Array(Arc::new((0..array.len()).map(text).collect::<StringArray>())))
    }
}
