//! What other engines call functions that this one has under another name, and times without seconds: rewritten before
//! planning.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::FlowqDialect;

/// Functions that differ in their names only, as DuckDB, PostgreSQL, Athena and Spark have them.
const NAMES: [(&str, &str); 16] = [
    ("approx_count_distinct", "approx_distinct"),
    ("approx_percentile", "approx_percentile_cont"),
    ("arbitrary", "any_value"),
    ("first", "first_value"),
    ("from_iso8601_timestamp", "to_timestamp"),
    ("group_concat", "string_agg"),
    ("last", "last_value"),
    ("len", "length"),
    ("list", "array_agg"),
    ("listagg", "string_agg"),
    ("prefix", "starts_with"),
    ("regexp_matches", "regexp_like"),
    ("strftime", "to_char"),
    ("suffix", "ends_with"),
    ("time_bucket", "date_bin"),
    ("today", "current_date"),
];

/// Functions that are written otherwise here, with how many arguments they take: `{0}` stands for the first.
const FORMS: [(&str, usize, &str); 16] = [
    ("arg_max", 2, "first_value({0} order by {1} desc) filter (where {1} is not null)"),
    ("arg_min", 2, "first_value({0} order by {1}) filter (where {1} is not null)"),
    ("count_if", 1, "count(*) filter (where {0})"),
    ("countif", 1, "count(*) filter (where {0})"),
    ("day", 1, "date_part('day', {0})"),
    ("epoch", 1, "date_part('epoch', {0})"),
    ("hour", 1, "date_part('hour', {0})"),
    ("if", 2, "case when {0} then {1} end"),
    ("if", 3, "case when {0} then {1} else {2} end"),
    ("iff", 3, "case when {0} then {1} else {2} end"),
    ("max_by", 2, "first_value({0} order by {1} desc) filter (where {1} is not null)"),
    ("min_by", 2, "first_value({0} order by {1}) filter (where {1} is not null)"),
    ("minute", 1, "date_part('minute', {0})"),
    ("month", 1, "date_part('month', {0})"),
    ("week", 1, "date_part('week', {0})"),
    ("year", 1, "date_part('year', {0})"),
];

/// Columns that hold times, whatever their table.
const TIMES: [&str; 9] = [
    "start",
    "end",
    "time",
    "first_seen",
    "last_seen",
    "captured_at",
    "valid_from",
    "valid_to",
    "ingested_at",
];

/// Writes an expression as the engine knows it.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            if let Some(form) = other_form(function) {
                *expr = form;
            }
        }
        Expr::TypedString(typed) if is_timestamp(&typed.data_type) => with_seconds(&mut typed.value),
        Expr::Cast { expr, data_type, .. } if is_timestamp(data_type) => literal_with_seconds(expr),
        Expr::BinaryOp { left, op, right } if compares(op) => {
            if is_time(left) {
                literal_with_seconds(right);
            } else if is_time(right) {
                literal_with_seconds(left);
            }
        }
        Expr::Between { expr, low, high, .. } if is_time(expr) => {
            literal_with_seconds(low);
            literal_with_seconds(high);
        }
        Expr::InList { expr, list, .. } if is_time(expr) => list.iter_mut().for_each(literal_with_seconds),
        _ => {}
    }
}

/// The function by its name here, or what is written in its place.
fn other_form(function: &mut Function) -> Option<Expr> {
    let [part] = function.name.0.as_slice() else { return None };
    let given = part.as_ident()?.value.to_lowercase();
    if let Some((_, name)) = NAMES.iter().find(|(other, _)| *other == given) {
        function.name = ObjectName::from(Ident::new(*name));
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
    if !plain || !list.clauses.is_empty() || list.duplicate_treatment.is_some() {
        return None;
    }
    let arguments = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.to_string()),
        _ => None,
    });
    let arguments = arguments.collect::<Option<Vec<_>>>()?;
    let (.., form) = FORMS.iter().find(|(name, count, _)| *name == given && *count == arguments.len())?;
    let mut text = String::new();
    let mut rest = *form;
    // Not by replacing: a text among the arguments may hold `{1}`.
    while let Some((before, after)) = rest.split_once('{') {
        let (number, after) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(arguments.get(number.parse::<usize>().ok()?)?);
        rest = after;
    }
    text.push_str(rest);
    Parser::new(&FlowqDialect).try_with_sql(&text).ok()?.parse_expr().ok()
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Datetime(_))
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_time(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.is_some_and(|name| TIMES.contains(&name.value.to_lowercase().as_str()))
}

fn literal_with_seconds(expr: &mut Expr) {
    if let Expr::Value(value) = expr {
        with_seconds(value);
    }
}

fn with_seconds(value: &mut ValueWithSpan) {
    let Value::SingleQuotedString(text) = &mut value.value else { return };
    if let Some(whole) = completed(text) {
        *text = whole;
    }
}

/// `2026-01-15 10:30` as `2026-01-15 10:30:00`; `None` for any other text.
pub(super) fn completed(text: &str) -> Option<String> {
    let (time, zone) = match text.strip_suffix('Z') {
        Some(time) => (time, "Z"),
        None => (text, ""),
    };
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let is_one = forms.iter().any(|form| chrono::NaiveDateTime::parse_from_str(time, form).is_ok());
    is_one.then(|| format!("{time}:00{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let mut expr = Parser::new(&FlowqDialect).try_with_sql(text).unwrap().parse_expr().unwrap();
        rewrite(&mut expr);
        expr.to_string()
    }

    #[test]
    fn functions_of_other_engines() {
        for (given, here) in [
            ("len(srcaddr)", "length(srcaddr)"),
            ("strftime(start, '%H:%M')", "to_char(start, '%H:%M')"),
            ("time_bucket('5 minutes', start)", "date_bin('5 minutes', start)"),
            ("COUNT_IF(action = 'REJECT')", "count(*) FILTER (WHERE action = 'REJECT')"),
            (
                "arg_max(dstaddr, bytes)",
                "first_value(dstaddr ORDER BY bytes DESC) FILTER (WHERE bytes IS NOT NULL)",
            ),
            ("if(bytes > 0, '{1}', 'no')", "CASE WHEN bytes > 0 THEN '{1}' ELSE 'no' END"),
            ("hour(start)", "date_part('hour', start)"),
            // What is not that function stays.
            ("length(srcaddr)", "length(srcaddr)"),
            ("hour(start, 2)", "hour(start, 2)"),
            ("s.len(srcaddr)", "s.len(srcaddr)"),
        ] {
            assert_eq!(rewritten(given), here);
        }
    }

    #[test]
    fn times_may_do_without_seconds() {
        for (given, here) in [
            ("start >= '2026-01-15 10:30'", "start >= '2026-01-15 10:30:00'"),
            ("'2026-01-15T10:30Z' < f.\"end\"", "'2026-01-15T10:30:00Z' < f.\"end\""),
            (
                "start between '2026-01-15 10:30' and '2026-01-15'",
                "start BETWEEN '2026-01-15 10:30:00' AND '2026-01-15'",
            ),
            ("timestamp '2026-01-15 10:30'", "TIMESTAMP '2026-01-15 10:30:00'"),
            ("'2026-01-15 10:30'::timestamp", "'2026-01-15 10:30:00'::TIMESTAMP"),
            // A text that is compared with a text stays.
            ("minute = '2026-01-15 10:30'", "minute = '2026-01-15 10:30'"),
            ("start > '2026-01-15 25:30'", "start > '2026-01-15 25:30'"),
        ] {
            assert_eq!(rewritten(given), here);
        }
    }
}
