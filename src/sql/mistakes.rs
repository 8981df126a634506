//! Comparisons and calculations that cannot have been meant, found while planning: the engine would either say which types
//! do not fit and not whose they are, or cast the column and fail at its first value.

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, Like, LogicalPlan, Operator, expr::InList,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::errors::as_written;
use super::synonyms::completed;
use crate::format::LogKind;

/// A column used as what it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, in a line.
    pub said: String,
    /// What to write instead.
    pub hint: String,
    /// The column.
    pub name: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.said, self.hint)
    }
}

impl std::error::Error for Mistake {}

impl From<Mistake> for DataFusionError {
    fn from(mistake: Mistake) -> DataFusionError {
        DataFusionError::External(Box::new(mistake))
    }
}

/// What is asked of operators while they are planned.
#[derive(Debug)]
pub struct OperatorCheck;

impl ExprPlanner for OperatorCheck {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let ty =
            |column: &Column| schema.field_from_column(column).ok().map(|field| field.data_type().clone());
        let op = expr.op.to_string().to_lowercase();
        match use_of(&expr.op) {
            Some(Use::Compare) => {
                complete_time(&expr.left, &mut expr.right, schema);
                complete_time(&expr.right, &mut expr.left, schema);
                let mirrored = mirrored(&op);
                compared(&expr.left, &op, &expr.right, &ty)?;
                compared(&expr.right, mirrored, &expr.left, &ty)?;
            }
            Some(Use::Calculate) => {
                calculated(&expr.left, &op, &expr.right, &ty)?;
                calculated(&expr.right, &op, &expr.left, &ty)?;
            }
            Some(Use::Match) => matched(&expr.left, &op, &ty)?,
            Some(Use::Shift) => shifted(&expr.left, &op, &expr.right, &ty)?,
            None => {}
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// Gives a time without seconds that a timestamp is compared with its seconds.
fn complete_time(time: &Expr, literal: &mut Expr, schema: &DFSchema) {
    let Expr::Literal(value, _) = literal else { return };
    let Some(Some(whole)) = value.try_as_str().map(|text| text.and_then(completed)) else { return };
    if matches!(time.get_type(schema), Ok(DataType::Timestamp(..))) {
        *value = ScalarValue::Utf8(Some(whole));
    }
}

/// Looks through a plan for comparisons that are planned without [`OperatorCheck`]: `between`, `in` and `like`.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let ty = |column: &Column| {
            let of = |input: &&LogicalPlan| input.schema().field_from_column(column).ok().cloned();
            node.inputs().iter().find_map(of).map(|field| field.data_type().clone())
        };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                match part {
                    Expr::Between(Between { expr, low, high, .. }) => {
                        compared(expr, ">=", low, &ty)?;
                        compared(expr, "<=", high, &ty)?;
                    }
                    Expr::InList(InList { expr, list, .. }) => {
                        list.iter().try_for_each(|other| compared(expr, "=", other, &ty))?;
                        list.iter().try_for_each(|other| spelled(node, expr, other))?;
                    }
                    Expr::ScalarFunction(call) if call.name() == "to_char" => formatted(&call.args, &ty)?,
                    Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::NotEq, right }) => {
                        spelled(node, left, right)?;
                        spelled(node, right, left)?;
                    }
                    Expr::Like(Like { expr, .. }) | Expr::SimilarTo(Like { expr, .. }) => {
                        matched(expr, "like", &ty)?;
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// What an operator does with its sides.
enum Use {
    Compare,
    Calculate,
    Match,
    /// PostgreSQL's test whether an address is inside a prefix.
    Shift,
}

fn use_of(op: &BinaryOperator) -> Option<Use> {
    use BinaryOperator::{
        Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, PGBitwiseShiftLeft, PGILikeMatch,
        PGLikeMatch, PGNotILikeMatch, PGNotLikeMatch, PGRegexIMatch, PGRegexMatch, PGRegexNotIMatch,
        PGRegexNotMatch, Plus,
    };
    Some(match op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq => Use::Compare,
        Plus | Minus | Multiply | Divide | Modulo => Use::Calculate,
        PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch | PGLikeMatch | PGILikeMatch
        | PGNotLikeMatch | PGNotILikeMatch => Use::Match,
        PGBitwiseShiftLeft => Use::Shift,
        _ => return None,
    })
}

/// The operator with its sides exchanged.
fn mirrored(op: &str) -> &str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

/// What kinds of values people tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Time,
    Date,
    Condition,
}

impl Family {
    fn of(ty: &DataType) -> Option<Family> {
        Some(match ty {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
            DataType::Dictionary(_, values) => return Family::of(values),
            ty if ty.is_numeric() => Family::Number,
            DataType::Timestamp(..) => Family::Time,
            DataType::Date32 | DataType::Date64 => Family::Date,
            DataType::Boolean => Family::Condition,
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Family::Text => "text",
            Family::Number => "a number",
            Family::Time => "a timestamp",
            Family::Date => "a date",
            Family::Condition => "true or false",
        }
    }
}

/// Looks a column's type up.
type Types<'a> = &'a dyn Fn(&Column) -> Option<DataType>;

fn column_of<'a>(expr: &'a Expr, ty: Types<'_>) -> Option<(&'a str, DataType, Family)> {
    let Expr::Column(column) = expr else { return None };
    let ty = ty(column)?;
    let family = Family::of(&ty)?;
    Some((&column.name, ty, family))
}

/// A value that stands in the statement, as it is written there.
fn literal(expr: &Expr) -> Option<(&ScalarValue, Family, String)> {
    let Expr::Literal(value, _) = expr else { return None };
    let family = Family::of(&value.data_type()).filter(|_| !value.is_null())?;
    let written = match value.try_as_str() {
        Some(Some(text)) => format!("'{}'", text.replace('\'', "''")),
        _ => value.to_string(),
    };
    Some((value, family, written))
}

/// Whether a column can be compared with what it is compared with.
fn compared(left: &Expr, op: &str, right: &Expr, ty: Types<'_>) -> Result<()> {
    let Some((name, column_type, family)) = column_of(left, ty) else { return Ok(()) };
    let written = as_written(name);
    let mistake = |said: String, hint: String| Err(Mistake { said, hint, name: name.to_owned() }.into());
    let Some((value, other, value_written)) = literal(right) else {
        let Some((other_name, _, other)) = column_of(right, ty) else { return Ok(()) };
        let other_written = as_written(other_name);
        return match (family, other) {
            (Family::Text, Family::Number) => mistake(
                format!("{name} is text, and {other_name} is a number"),
                format!("write {written} {op} {other_written}::text"),
            ),
            (Family::Time | Family::Date, Family::Number) => mistake(
                format!("{name} is {}, and {other_name} is a number", family.words()),
                format!("write {written} {op} to_timestamp_seconds({other_written})"),
            ),
            _ => Ok(()),
        };
    };
    let hint = match (family, other) {
        (Family::Text, Family::Number) => format!("write {written} {op} '{value_written}'"),
        (Family::Time, Family::Number) => {
            let (function, time) = unix_time(value);
            format!("write {written} {op} {function}({value_written}) or {written} {op} '{time}'")
        }
        (Family::Date, Family::Number) => format!("write a date as '{}'", a_date(value)),
        (_, Family::Text) if family != Family::Text && value.cast_to(&column_type).is_err() => match family {
            Family::Time => "write a time as '2026-01-15T10:00:00Z' or '2026-01-15'".to_owned(),
            Family::Date => "write a date as '2026-01-15'".to_owned(),
            Family::Number if name == "protocol" => {
                format!("write {written} {op} protocol_number({value_written})")
            }
            _ => format!("write {} without quotes", family.words()),
        },
        _ => return Ok(()),
    };
    let said = match other {
        Family::Text => format!("{name} is {}, and {value_written} is not", family.words()),
        _ => format!("{name} is {}, and {value_written} is {}", family.words(), other.words()),
    };
    mistake(said, hint)
}

/// The function for so many seconds or milliseconds, and the time that they are.
fn unix_time(value: &ScalarValue) -> (&'static str, String) {
    /// Of seconds that would be the year 5138.
    const MOST_SECONDS: i64 = 100_000_000_000;
    let number = number(value).unwrap_or_default();
    let (function, time) = if number < MOST_SECONDS {
        ("to_timestamp_seconds", chrono::DateTime::from_timestamp(number, 0))
    } else {
        ("to_timestamp_millis", chrono::DateTime::from_timestamp_millis(number))
    };
    let time = time.filter(|time| time.timestamp() > 0);
    let time = time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    (function, time.unwrap_or_else(|| "2026-01-15T10:00:00Z".to_owned()))
}

/// The date that a number like 20260115 spells, or one as an example.
fn a_date(value: &ScalarValue) -> String {
    let spelled = number(value).map(|number| number.to_string());
    let date = spelled.and_then(|digits| chrono::NaiveDate::parse_from_str(&digits, "%Y%m%d").ok());
    date.map_or_else(|| "2026-01-15".to_owned(), |date| date.to_string())
}

fn number(value: &ScalarValue) -> Option<i64> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

/// Whether a column can be calculated with.
fn calculated(column: &Expr, op: &str, other: &Expr, ty: Types<'_>) -> Result<()> {
    let Some((name, _, family)) = column_of(column, ty) else { return Ok(()) };
    let other = literal(other).map(|(_, family, _)| family);
    let hint = match (family, other) {
        (Family::Text, Some(Family::Number)) => {
            format!("write {}::bigint {op} …, if all its values are numbers", as_written(name))
        }
        (Family::Time, Some(Family::Number)) => format!("write {} {op} interval '1 hour'", as_written(name)),
        (Family::Date, Some(Family::Number)) => format!("write {} {op} interval '1 day'", as_written(name)),
        _ => return Ok(()),
    };
    let said = format!("{name} is {}, and {op} with a number needs a number", family.words());
    Err(Mistake { said, hint, name: name.to_owned() }.into())
}

/// Columns of the logs that hold one of few texts, with these.
const SPELLINGS: [(&str, &[&str]); 6] = [
    ("action", &["ACCEPT", "REJECT"]),
    ("log_status", &["OK", "NODATA", "SKIPDATA"]),
    ("flow_direction", &["ingress", "egress"]),
    ("type", &["IPv4", "IPv6", "EFA"]),
    ("verdict", &["NACL", "SECURITY_GROUP", "NACL_AND_SECURITY_GROUP", "STALE_CONNECTION", "UNDETERMINED"]),
    ("confidence", &["PROVEN", "STRONG", "WEAK", "NONE"]),
];

/// Whether a column of the logs, below a filter, is compared with a text that differs from one of its own by case.
fn spelled(node: &LogicalPlan, column: &Expr, other: &Expr) -> Result<()> {
    let LogicalPlan::Filter(filter) = node else { return Ok(()) };
    let scan = match filter.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        input => input,
    };
    let LogicalPlan::TableScan(scan) = scan else { return Ok(()) };
    let table = scan.table_name.table();
    let (Expr::Column(column), Expr::Literal(value, _)) = (column, other) else { return Ok(()) };
    let of_logs = LogKind::from_table(table).is_some() || table == "reject_attribution";
    let Some(Some(text)) = value.try_as_str().filter(|_| of_logs) else { return Ok(()) };
    let known = SPELLINGS.iter().find(|(name, _)| *name == column.name).map_or(&[][..], |(_, known)| known);
    match known.iter().find(|known| **known != text && known.eq_ignore_ascii_case(text)) {
        Some(known) => Err(Mistake {
            said: format!("no {} is '{text}'", column.name),
            hint: format!("it is written '{known}'"),
            name: text.to_owned(),
        }
        .into()),
        None => Ok(()),
    }
}

/// Whether a form of `to_char` is one for times: PostgreSQL's comes out as it went in.
fn formatted(args: &[Expr], ty: Types<'_>) -> Result<()> {
    let [column, form] = args else { return Ok(()) };
    let Some((name, _, Family::Time | Family::Date)) = column_of(column, ty) else { return Ok(()) };
    let Expr::Literal(value, _) = form else { return Ok(()) };
    match value.try_as_str() {
        Some(Some(text)) if !text.contains('%') => Err(Mistake {
            said: format!("'{text}' holds no part of a time"),
            hint: format!("write to_char({}, '%Y-%m-%d %H:%M:%S')", as_written(name)),
            name: text.to_owned(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// Whether a text is shifted: what PostgreSQL does with addresses.
fn shifted(column: &Expr, op: &str, other: &Expr, ty: Types<'_>) -> Result<()> {
    match column_of(column, ty) {
        Some((name, _, Family::Text)) => {
            let prefix = literal(other).map_or_else(|| "'10.0.0.0/8'".to_owned(), |(.., written)| written);
            Err(Mistake {
                said: format!("{name} is text, and {op} shifts integers"),
                hint: format!("write ip_in({}, {prefix})", as_written(name)),
                name: name.to_owned(),
            }
            .into())
        }
        _ => Ok(()),
    }
}

/// Whether a column can be matched with a pattern.
fn matched(column: &Expr, op: &str, ty: Types<'_>) -> Result<()> {
    match column_of(column, ty) {
        Some((name, _, family)) if family != Family::Text => Err(Mistake {
            said: format!("{name} is {}, and {op} works on text", family.words()),
            hint: format!("write {}::text {op} …", as_written(name)),
            name: name.to_owned(),
        }
        .into()),
        _ => Ok(()),
    }
}
