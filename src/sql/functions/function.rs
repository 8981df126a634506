//! The frame that all functions share: argument types, nulls, literals, dictionaries, documentation.
//!
//! A function is a row of a table ([`Spec`]): its words, its parameters, and one routine over [`Input`]s in which
//! text is always a `StringViewArray` and integers are always 64 bits. The frame brings every other type there,
//! answers NULL where a literal is NULL, evaluates a dictionary's values once, and checks literals while planning.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewArray, StringViewBuilder, make_array,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::sql::errors::type_in_words;

use super::enrich::Enrichment;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text type, dictionaries of text included.
    Text,
    /// Any integer type.
    Int,
}

/// One parameter: name, what it takes, what it means.
pub(super) struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
}

pub(super) const fn text(name: &'static str, doc: &'static str) -> Param {
    Param { name, kind: Kind::Text, doc }
}

pub(super) const fn int(name: &'static str, doc: &'static str) -> Param {
    Param { name, kind: Kind::Int, doc }
}

/// A literal argument, as the check while planning sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Int(i64),
}

/// Checks literals while planning: `None` where the argument is no literal, or is NULL.
pub(super) type Check = fn(&Enrichment, &[Option<Literal>]) -> Result<()>;
/// Evaluates `rows` rows. No literal input is NULL.
pub(super) type Eval = fn(&Enrichment, &[Input], usize) -> Result<ArrayRef>;

/// All there is to know about one function.
pub(super) struct Spec {
    pub name: &'static str,
    pub params: &'static [Param],
    pub returns: DataType,
    pub description: &'static str,
    /// A call without `select`, and what it gives.
    pub example: &'static str,
    pub result: &'static str,
    pub check: Check,
    pub eval: Eval,
}

impl Spec {
    /// `name(a, b) -> type`.
    pub fn signature(&self) -> String {
        format!("{} -> {}", self.syntax(), type_name(&self.returns))
    }

    fn syntax(&self) -> String {
        let params: Vec<&str> = self.params.iter().map(|param| param.name).collect();
        format!("{}({})", self.name, params.join(", "))
    }

    fn documentation(&self) -> Documentation {
        let section = DocSection {
            include: true,
            label: "Network functions",
            description: Some("Addresses, ports, protocols and URLs of network logs"),
        };
        let mut doc = Documentation::builder(section, self.description, self.syntax())
            .with_sql_example(format!("select {}; -- {}", self.example, self.result));
        for param in self.params {
            doc = doc.with_argument(param.name, param.doc);
        }
        doc.build()
    }
}

/// The name of a type as the documentation writes it.
fn type_name(ty: &DataType) -> &'static str {
    match ty {
        DataType::Boolean => "boolean",
        DataType::Int32 | DataType::Int64 => "bigint",
        _ => "text",
    }
}

/// A check that accepts everything.
pub(super) fn no_check(_: &Enrichment, _: &[Option<Literal>]) -> Result<()> {
    Ok(())
}

/// One argument of a call, brought to one of four shapes.
pub(super) enum Input {
    Texts(StringViewArray),
    Ints(Int64Array),
    Text(String),
    Int(i64),
}

impl Input {
    /// The text of a row; `None` for NULL and for what is no text.
    #[inline]
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Input::Texts(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Input::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer of a row; `None` for NULL and for what is no integer.
    #[inline]
    pub fn int(&self, row: usize) -> Option<i64> {
        match self {
            Input::Ints(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Input::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Input::Texts(array) => array.nulls(),
            Input::Ints(array) => array.nulls(),
            _ => None,
        }
    }
}

/// The argument at a position.
pub(super) fn input(inputs: &[Input], at: usize) -> Result<&Input> {
    inputs.get(at).ok_or_else(|| internal_datafusion_err!("argument {at} is missing"))
}

/// A boolean per row.
pub(super) fn booleans(rows: usize, row: impl FnMut(usize) -> Option<bool>) -> ArrayRef {
    Arc::new((0..rows).map(row).collect::<BooleanArray>())
}

/// An integer per row.
pub(super) fn integers(rows: usize, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
    Arc::new((0..rows).map(row).collect::<Int64Array>())
}

/// A text per row.
pub(super) fn texts<T: AsRef<str>>(rows: usize, mut row: impl FnMut(usize) -> Option<T>) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows);
    for index in 0..rows {
        builder.append_option(row(index));
    }
    Arc::new(builder.finish())
}

/// A function as DataFusion knows it.
pub(super) struct Function {
    spec: &'static Spec,
    enrichment: Arc<Enrichment>,
    signature: Signature,
    documentation: OnceLock<Documentation>,
}

impl Function {
    pub fn new(spec: &'static Spec, enrichment: Arc<Enrichment>) -> Function {
        Function {
            spec,
            enrichment,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: OnceLock::new(),
        }
    }

    /// Evaluates once every argument is a literal or a plain array of `rows` rows.
    fn evaluate(&self, args: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let mut inputs = Vec::with_capacity(args.len());
        for (arg, param) in args.iter().zip(self.spec.params) {
            match shape(arg, param.kind)? {
                Some(input) => inputs.push(input),
                None => return Ok(new_null_array(&self.spec.returns, rows)),
            }
        }
        let nulls = inputs.iter().fold(None, |nulls, input| NullBuffer::union(nulls.as_ref(), input.nulls()));
        let result = (self.spec.eval)(&self.enrichment, &inputs, rows)?;
        match nulls {
            Some(nulls) if result.null_count() < nulls.null_count() => with_nulls(&result, nulls),
            _ => Ok(result),
        }
    }
}

/// Adds NULLs to a result whose routine did not look at them.
fn with_nulls(array: &ArrayRef, nulls: NullBuffer) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(array.nulls(), Some(&nulls));
    Ok(make_array(array.to_data().into_builder().nulls(nulls).build()?))
}

/// Brings an argument to the shape its parameter wants; `None` for a NULL literal.
fn shape(arg: &ColumnarValue, kind: Kind) -> Result<Option<Input>> {
    Ok(match arg {
        ColumnarValue::Scalar(value) => literal(value, kind)?.map(|literal| match literal {
            Literal::Text(text) => Input::Text(text),
            Literal::Int(value) => Input::Int(value),
        }),
        ColumnarValue::Array(array) => Some(match kind {
            Kind::Text => Input::Texts(match array.as_string_view_opt() {
                Some(views) => views.clone(),
                None => cast(array, &DataType::Utf8View)?.as_string_view().clone(),
            }),
            Kind::Int => Input::Ints(match array.as_primitive_opt::<Int64Type>() {
                Some(ints) => ints.clone(),
                None => cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
            }),
        }),
    })
}

/// A literal's value; `None` for NULL.
fn literal(value: &ScalarValue, kind: Kind) -> Result<Option<Literal>> {
    if value.is_null() {
        return Ok(None);
    }
    Ok(match kind {
        Kind::Text => value.try_as_str().flatten().map(|text| Literal::Text(text.to_owned())),
        Kind::Int => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(value)) => Some(Literal::Int(value)),
            _ => None,
        },
    })
}

fn is_text(ty: &DataType) -> bool {
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec.name)
    }
}

// Two functions are the same where name and data behind them are: plans are compared, data is not.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name && Arc::ptr_eq(&self.enrichment, &other.enrichment)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if arg_types.len() != self.spec.params.len() {
            let given = arg_types.len();
            return plan_err!(
                "{} takes {} argument{}, not {given}: {}",
                self.spec.name,
                self.spec.params.len(),
                if self.spec.params.len() == 1 { "" } else { "s" },
                self.spec.syntax()
            );
        }
        let coerced = arg_types.iter().zip(self.spec.params).map(|(ty, param)| match (param.kind, ty) {
            (Kind::Text, ty) if is_text(ty) => Ok(ty.clone()),
            (Kind::Text, DataType::Null) => Ok(DataType::Utf8),
            (Kind::Int, ty) if ty.is_integer() => Ok(ty.clone()),
            (Kind::Int, DataType::Null) => Ok(DataType::Int64),
            (Kind::Int, DataType::Dictionary(_, values)) if values.is_integer() => Ok(DataType::Int64),
            (kind, ty) => {
                let wanted = if kind == Kind::Text { "text" } else { "an integer" };
                let given = type_in_words(&ty.to_string());
                plan_err!("{} of {} must be {wanted}, not {given}", param.name, self.spec.syntax())
            }
        });
        coerced.collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.spec.returns.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let mut literals = Vec::with_capacity(self.spec.params.len());
        for (value, param) in args.scalar_arguments.iter().zip(self.spec.params) {
            literals.push(match value {
                Some(value) => literal(value, param.kind)?,
                None => None,
            });
        }
        (self.spec.check)(&self.enrichment, &literals)?;
        Ok(Arc::new(Field::new(self.spec.name, self.spec.returns.clone(), true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays: Vec<usize> = args
            .args
            .iter()
            .enumerate()
            .filter_map(|(at, arg)| matches!(arg, ColumnarValue::Array(_)).then_some(at))
            .collect();
        if arrays.is_empty() {
            let result = self.evaluate(&args.args, 1)?;
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        if let [at] = arrays[..]
            && let Some(ColumnarValue::Array(array)) = args.args.get(at)
            && let Some(dictionary) = array.as_any_dictionary_opt()
            && dictionary.values().len() < args.number_rows
        {
            let values = Arc::clone(dictionary.values());
            let rows = values.len();
            let mut replaced = args.args.clone();
            if let Some(arg) = replaced.get_mut(at) {
                *arg = ColumnarValue::Array(values);
            }
            let result = self.evaluate(&replaced, rows)?;
            return Ok(ColumnarValue::Array(take(&result, dictionary.keys(), None)?));
        }
        Ok(ColumnarValue::Array(self.evaluate(&args.args, args.number_rows)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.documentation.get_or_init(|| self.spec.documentation()))
    }
}

/// An error in what the user wrote.
pub(super) fn user_error(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Plan(message.into())
}
