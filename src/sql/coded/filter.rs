//! Conditions on rows whose text is coded.

use std::sync::Arc;

use datafusion::arrow::array::new_null_array;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{cast, concat, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use super::{coded_text, same_texts};

/// Up to so many texts are looked for one by one.
const FEW_TEXTS: usize = 8;

/// A condition; rows for which it is not known to be true are left out.
#[derive(Debug, Clone)]
pub struct CodedFilter {
    parts: Vec<Part>,
}

/// One of the conditions that must all hold.
#[derive(Debug, Clone)]
pub struct Part {
    /// Over `schema`.
    condition: Arc<dyn PhysicalExpr>,
    /// The columns that it looks at, text as views.
    schema: SchemaRef,
    /// Of a condition on one text: the texts of the last batch, and what is true of each, of no text at last.
    known: Option<(ArrayRef, Vec<bool>)>,
    /// It looks at one text, and no text made it fail.
    by_text: bool,
}

/// The condition with the columns of these names in place of its own indexes.
fn over(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    reassign_expr_columns(Arc::clone(condition), schema)
}

impl CodedFilter {
    /// The condition over columns of `schema`, whose text is views.
    ///
    /// # Errors
    /// Where the condition names a column that the schema lacks.
    pub fn new(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<CodedFilter> {
        let part = |condition: &Arc<dyn PhysicalExpr>| {
            let mut names: Vec<String> =
                collect_columns(condition).into_iter().map(|column| column.name().to_owned()).collect();
            names.sort();
            names.dedup();
            let fields: Vec<Field> = names
                .iter()
                .map(|name| schema.field_with_name(name).cloned())
                .collect::<std::result::Result<_, _>>()?;
            let by_text = matches!(fields.as_slice(), [text] if text.data_type() == &DataType::Utf8View);
            let schema = Arc::new(Schema::new(fields));
            Ok(Part { condition: over(condition, &schema)?, schema, known: None, by_text })
        };
        let mut parts: Vec<Part> =
            split_conjunction(condition).into_iter().map(part).collect::<Result<_>>()?;
        // What is asked once for each distinct text costs least.
        parts.sort_by_key(|part| !part.by_text);
        Ok(CodedFilter { parts })
    }

    /// The conditions that must all hold, those first that cost least.
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// The names of the columns that it looks at.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(Part::columns)
    }

    /// Whether it asks something of a text alone.
    pub fn asks_texts(&self) -> bool {
        self.parts.iter().any(|part| part.by_text)
    }

    /// The rows of a batch for which the condition holds; columns that the batch lacks are null.
    ///
    /// # Errors
    /// Those of the condition.
    pub fn apply(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut kept: Option<BooleanBuffer> = None;
        for part in &mut self.parts {
            let holds = part.holds(&batch)?;
            let both = match kept {
                Some(kept) => &kept & &holds,
                None => holds,
            };
            let none = both.count_set_bits() == 0;
            kept = Some(both);
            if none {
                return Ok(batch.slice(0, 0));
            }
        }
        match kept {
            Some(kept) if kept.count_set_bits() < batch.num_rows() => {
                Ok(filter_record_batch(&batch, &BooleanArray::new(kept, None))?)
            }
            _ => Ok(batch),
        }
    }
}

impl Part {
    /// The names of the columns that it looks at.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|field| field.name().as_str())
    }

    /// The column that it looks at, if it is one only.
    pub fn column(&self) -> Option<&str> {
        match self.schema.fields().as_ref() {
            [field] => Some(field.name()),
            _ => None,
        }
    }

    /// The few texts of which its column has to be one, if that is all it says.
    pub fn texts(&self) -> Option<Vec<&[u8]>> {
        let mut texts = Vec::new();
        (self.by_text && equal_texts(&self.condition, &mut texts) && texts.len() <= FEW_TEXTS)
            .then_some(texts)
    }

    /// What is true of each of these values of its one column, and of no value at last; `None` where some value makes it
    /// fail, perhaps one that another condition leaves out.
    pub fn answers(&self, values: &ArrayRef) -> Option<Vec<bool>> {
        self.ask(values).ok()
    }

    /// For each row of a batch whether it holds; columns that the batch lacks are null.
    ///
    /// # Errors
    /// Those of the condition.
    pub fn holds(&mut self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        if self.by_text
            && let Some(name) = self.schema.fields().first().map(|field| field.name())
        {
            match batch.column_by_name(name) {
                Some(array) if array.data_type() == &coded_text() => {
                    let array = Arc::clone(array);
                    if let Some(holds) = self.holds_by_text(&array) {
                        return Ok(holds);
                    }
                    // Some text makes it fail, perhaps one that another condition leaves out: row by row, then.
                    self.by_text = false;
                }
                _ => {}
            }
        }
        let rows = batch.num_rows();
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => Ok(cast(column, field.data_type())?),
            None => Ok(new_null_array(field.data_type(), rows)),
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let holds = self.condition.evaluate(&batch)?.into_array(rows)?;
        truth(&holds)
    }

    /// Asks once for each text; `None` where that fails.
    fn holds_by_text(&mut self, array: &ArrayRef) -> Option<BooleanBuffer> {
        let dictionary = array.as_dictionary_opt::<Int32Type>()?;
        let texts = dictionary.values();
        let known = match self.known.take() {
            Some((known, holds)) if same_texts(&known, texts) => (known, holds),
            _ => (Arc::clone(texts), self.ask(texts).ok()?),
        };
        let (_, of_text) = &*self.known.insert(known);
        let of_none = of_text.last().copied().unwrap_or(false);
        let keys = dictionary.keys();
        let of_key = |key: i32| of_text.get(key as usize).copied().unwrap_or(false);
        // What a row without a text has for a key is of no account, so all rows are asked alike, and mended in words of 64.
        let values = keys.values();
        let holds =
            BooleanBuffer::collect_bool(values.len(), |row| values.get(row).is_some_and(|key| of_key(*key)));
        Some(match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => holds,
            Some(nulls) if of_none => &holds | &!nulls.inner(),
            Some(nulls) => &holds & nulls.inner(),
        })
    }

    /// What is true of each of these values, and of no value at last.
    fn ask(&self, values: &ArrayRef) -> Result<Vec<bool>> {
        let [field] = self.schema.fields().as_ref() else {
            return internal_err!("a condition on {} columns is asked of one", self.schema.fields().len());
        };
        let values = cast(values, field.data_type())?;
        let values = concat(&[values.as_ref(), new_null_array(field.data_type(), 1).as_ref()])?;
        let rows = values.len();
        let field = field.as_ref().clone().with_nullable(true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values])?;
        let holds = self.condition.evaluate(&batch)?.into_array(rows)?;
        Ok(truth(&holds)?.iter().collect())
    }
}

/// Adds the texts of `column = 'text'`, of several of these with `or` between them, and of `column in ('text', …)`; `false`
/// if it is something else.
fn equal_texts<'e>(condition: &'e Arc<dyn PhysicalExpr>, texts: &mut Vec<&'e [u8]>) -> bool {
    let is_column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_some();
    let mut add = |expr: &'e Arc<dyn PhysicalExpr>| {
        let text = expr.downcast_ref::<Literal>().and_then(|literal| literal.value().try_as_str().flatten());
        texts.extend(text.map(str::as_bytes));
        text.is_some()
    };
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        return !list.negated() && is_column(list.expr()) && list.list().iter().all(add);
    }
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { return false };
    match binary.op() {
        Operator::Eq if is_column(binary.left()) => add(binary.right()),
        Operator::Eq => is_column(binary.right()) && add(binary.left()),
        Operator::Or => equal_texts(binary.left(), texts) && equal_texts(binary.right(), texts),
        _ => false,
    }
}

/// Where a condition is true; not where it is null.
fn truth(holds: &ArrayRef) -> Result<BooleanBuffer> {
    let Some(holds) = holds.as_boolean_opt() else {
        return internal_err!("a condition gave {} in place of true and false", holds.data_type());
    };
    Ok(match holds.nulls() {
        Some(nulls) => holds.values() & nulls.inner(),
        None => holds.values().clone(),
    })
}

/// The condition with this value in place of the column of this name.
///
/// # Errors
/// None that a condition of the engine could give.
pub fn with_value(
    condition: &Arc<dyn PhysicalExpr>,
    name: &str,
    value: &Arc<dyn PhysicalExpr>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let replace = |expr: Arc<dyn PhysicalExpr>| {
        let is_it = expr.downcast_ref::<Column>().is_some_and(|column| column.name() == name);
        Ok(if is_it { Transformed::yes(Arc::clone(value)) } else { Transformed::no(expr) })
    };
    Ok(Arc::clone(condition).transform(replace)?.data)
}
