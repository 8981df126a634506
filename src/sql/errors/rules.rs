//! The engine's messages in our words: one table, and three kinds of messages that no pattern fits.

use std::io;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, visit_expressions,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::{SqlError, SqlErrorKind, lowered, plain};
use crate::sql::dialect::FlowqDialect;

/// What the engine says, what is to be said, and what to do.
///
/// In the first, `…` stands for anything; in the others, `{0}` for what the first `…` was, `{0:name}` for the column in it,
/// `{0:type}` for the type in it, `{0:line}` for its first line.
struct Rule(&'static str, &'static str, &'static str);

const RULES: [Rule; 37] = [
    Rule(
        "table function '…' not found",
        "there is no table function {0}",
        "raw logs are read with `flowq sql --from PATH`, other files by create external table (--allow-write)",
    ),
    Rule(
        "could not find config namespace for key \"…\"",
        "there is no setting {0}",
        "threads, memory and time are bounded by --threads, --memory-limit and --timeout",
    ),
    Rule("TOP", "there is no top", "write `limit N` at the end"),
    Rule(
        "unsupported SQL type inet…",
        "there is no type inet",
        "addresses are text: write ip_in(srcaddr, '10.0.0.0/8')",
    ),
    Rule(
        "unsupported SQL type cidr…",
        "there is no type cidr",
        "addresses and prefixes are text: write ip_in(srcaddr, '10.0.0.0/8')",
    ),
    Rule(
        "too many columns! The subquery should only return one column: …",
        "a subquery in `in` gives one column, not {0:line}",
        "write exists (select 1 from … where both are equal)",
    ),
    Rule(
        "placeholder '…' was not provided a value for execution",
        "{0} has no value",
        "only named queries have parameters: `flowq run NAME --param value`",
    ),
    Rule(
        "physical plan does not support logical expression WindowFunction…",
        "a window function cannot stand here",
        "filter by it with `qualify`, behind where and group by",
    ),
    Rule(
        "substring without for/from is not valid…",
        "substr wants a place to begin at",
        "write substr(text, 1, 3)",
    ),
    Rule(
        "projections require unique expression names but the expression \"…\" at position …",
        "two columns are called {0:name}",
        "give one of them another name with `as`",
    ),
    Rule(
        "cannot create filter with non-boolean predicate '…' returning …",
        "{0:name} is {1:type}, and a condition is wanted",
        "compare it with something",
    ),
    Rule(
        "unary operator 'NOT' requires a boolean expression, got …",
        "not wants a condition, not {0:type}",
        "",
    ),
    Rule(
        "there isn't a common type to coerce … and … in LIKE expression",
        "like works on text, and cannot compare {0:type} with {1:type}",
        "write `value::text like …`",
    ),
    Rule(
        "failed to coerce types … and … in BETWEEN expression…",
        "{0:type} cannot lie between {1:type}s",
        "",
    ),
    Rule("can not find compatible types to compare … with [… ]", "{0:type} cannot be one of {1:type}s", ""),
    Rule("can not find compatible types to compare … with […]", "{0:type} cannot be one of {1:type}s", ""),
    Rule(
        "…annot cast string '…' to value of … type…",
        "'{1}' is not {2:type}",
        "try_cast(value as type) gives null for what cannot be cast",
    ),
    Rule(
        "…annot cast value '…' to value of … type…",
        "'{1}' is not {2:type}",
        "try_cast(value as type) gives null for what cannot be cast",
    ),
    Rule(
        "…an't cast value … to type …",
        "{1} is beyond {2:type}",
        "try_cast(value as type) gives null for what cannot be cast",
    ),
    Rule(
        "…rror parsing timestamp from '…': …",
        "'{1}' is not a time: {2:line}",
        "write it as '2026-01-15T10:00:00Z'",
    ),
    Rule(
        "…nvalid input syntax for type interval: \"…\"…",
        "'{1}' is not an interval",
        "write interval '1 hour'",
    ),
    Rule("…regex parse error:…error: …", "'{1:line}' is not a regular expression: {2:line}", ""),
    Rule(
        "scalar subquery returned more than one row",
        "a subquery that stands for one value gave several rows",
        "add `limit 1`, or take max() of them",
    ),
    Rule(
        "COUNT DISTINCT with multiple arguments",
        "count(distinct …) counts one value",
        "write count(distinct concat(a, ' ', b))",
    ),
    Rule("LIMIT must be >= 0, '…' was provided", "limit is {0}, and cannot be less than 0", ""),
    Rule("OFFSET must be >=0, '…' was provided", "offset is {0}, and cannot be less than 0", ""),
    Rule(
        "order by column out of bounds, specified: …, max: …",
        "there is no column {0} to order by, the last is {1}",
        "",
    ),
    Rule("divide by zero error", "division by zero", "divide by nullif(value, 0), which gives null"),
    Rule(
        "…DATE_BIN stride must be non-zero…",
        "the intervals of date_bin are empty",
        "write interval '5 minutes'",
    ),
    Rule(
        "DATE_BIN stride must be …",
        "the intervals of date_bin must be {0:line}",
        "write interval '5 minutes'",
    ),
    Rule(
        "unsupported date_trunc granularity: '…'. Supported values are: …",
        "date_trunc knows no {0}",
        "it knows {1}",
    ),
    Rule(
        "date part '…' not supported",
        "there is no part {0} of a time",
        "there are year, month, day, hour, minute, second, dow, doy, week and epoch",
    ),
    Rule(
        "UNION queries have different number of columns…",
        "the parts of a union have different numbers of columns",
        "",
    ),
    Rule("compound identifier: […]", "a name has no more than four parts", ""),
    Rule(
        "aggregate functions are not allowed in the WHERE clause…",
        "an aggregate function cannot stand in where",
        "filter by it with `having`, behind group by",
    ),
    Rule(
        "table '…' already exists…",
        "there is a table {0:name} already",
        "choose another name, or write `create or replace`",
    ),
    Rule("internal error: …", "{0:line}", ""),
];

/// The message by the first rule that fits it.
pub(super) fn rephrased(message: &str) -> Option<SqlError> {
    let message = lowered(message.trim().trim_end_matches('.'));
    RULES.iter().find_map(|Rule(says, message_is, hint)| {
        let found = captures(says, &message)?;
        let hint = (!hint.is_empty()).then(|| filled(hint, &found));
        Some(plain(SqlErrorKind::Plan, &filled(message_is, &found), hint.as_deref()))
    })
}

/// What each `…` of a pattern stands for in a text, where it fits as a whole.
fn captures<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('…');
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let (captured, behind) = match (last, part.is_empty()) {
            (true, true) => (rest, ""),
            (true, false) => (rest.strip_suffix(part)?, ""),
            (false, _) => rest.split_once(part)?,
        };
        found.push(captured);
        rest = behind;
    }
    rest.is_empty().then_some(found)
}

fn filled(template: &str, found: &[&str]) -> String {
    let mut text = template.to_owned();
    for (at, found) in found.iter().enumerate() {
        for (form, value) in [
            (format!("{{{at}}}"), (*found).to_owned()),
            (format!("{{{at}:name}}"), column(found).to_owned()),
            (format!("{{{at}:type}}"), type_in_words(found)),
            (format!("{{{at}:line}}"), found.trim().lines().next().unwrap_or_default().to_owned()),
        ] {
            text = text.replace(&form, &value);
        }
    }
    text
}

/// The name of a column as people write it: `count(Int64(1)) AS count(*)` is count(*), `flow_logs.srcaddr` is srcaddr.
fn column(name: &str) -> &str {
    let name = name.rsplit(" AS ").next().unwrap_or(name);
    if name.contains(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))) {
        return name;
    }
    name.rsplit('.').next().unwrap_or(name)
}

/// A type as the engine writes it, in words.
pub(in crate::sql) fn type_in_words(name: &str) -> String {
    const WORDS: [(&str, &str); 24] = [
        ("Utf8", "text"),
        ("LargeUtf8", "text"),
        ("String", "text"),
        ("Timestamp", "a timestamp"),
        ("Date", "a date"),
        ("Time", "a time of day"),
        ("Interval", "an interval"),
        ("Int64", "an integer"),
        ("Int32", "an integer of 32 bits"),
        ("Int", "an integer"),
        ("UInt", "an integer"),
        ("Float", "a number"),
        ("Decimal", "a number"),
        ("Numeric", "a number"),
        ("Native", "a number"),
        ("Bool", "a condition"),
        ("Duration", "a duration"),
        ("List", "a list"),
        ("LargeList", "a list"),
        ("FixedSizeList", "a list"),
        ("Map", "a map"),
        ("Struct", "a struct"),
        ("Binary", "bytes"),
        ("Null", "null"),
    ];
    let name = name.trim();
    let known = WORDS.iter().find(|(known, _)| name.starts_with(known));
    known.map_or_else(|| name.to_lowercase(), |(_, words)| (*words).to_owned())
}

/// A function that does not take what it was given.
pub(super) fn call(message: &str, sql: &str) -> Option<SqlError> {
    let (_, rest) = message.split_once("No function matches the given name and argument types '")?;
    let (given, rest) = rest.split_once("'. You might")?;
    let (name, types) = given.split_once('(')?;
    let types = top_level(types.strip_suffix(')')?);
    let mut taken: Vec<Vec<String>> = Vec::new();
    for line in rest.lines().skip(1) {
        let Some((_, of)) = line.trim().split_once('(') else { continue };
        let of = top_level(of.trim_end_matches(')')).into_iter().map(number_or_type).collect();
        if !taken.contains(&of) && !line.contains("Candidate functions") {
            taken.push(of);
        }
    }
    let argument = arguments(sql, name, types.len()).and_then(|all| all.into_iter().next());
    if let ([ty], true) = (types.as_slice(), taken.iter().any(|of| of.len() == 1)) {
        let alternatives: Vec<&str> =
            taken.iter().filter(|of| of.len() == 1).flatten().map(String::as_str).collect();
        let argument = argument.unwrap_or_else(|| "this".to_owned());
        let said = format!("{name} takes {}, and {argument} is {}", or(&alternatives), type_in_words(ty));
        let hint = (alternatives == ["text"]).then(|| format!("write {name}({argument}::text)"));
        return Some(plain(SqlErrorKind::Plan, &said, hint.as_deref()));
    }
    let types: Vec<String> = types.into_iter().map(type_in_words).collect();
    let said = format!("{name} does not take ({})", types.join(", "));
    let calls: Vec<String> = taken.iter().map(|of| format!("{name}({})", of.join(", "))).collect();
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let hint = (!calls.is_empty()).then(|| format!("there is {}", or(&calls)));
    Some(plain(SqlErrorKind::Plan, &said, hint.as_deref()))
}

/// Numbers of any width are one thing to those who write them.
fn number_or_type(name: &str) -> String {
    match type_in_words(name).as_str() {
        "an integer" | "an integer of 32 bits" => "a number".to_owned(),
        words => words.to_owned(),
    }
}

fn or(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What stands between the commas that are within no brackets.
fn top_level(list: &str) -> Vec<&str> {
    let mut depth = 0i32;
    let parts = list.split(|c: char| {
        depth += i32::from(matches!(c, '(' | '[' | '<')) - i32::from(matches!(c, ')' | ']' | '>'));
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The arguments of the first call of a function in a statement, as they were typed.
fn arguments(sql: &str, name: &str, count: usize) -> Option<Vec<String>> {
    let statements = Parser::parse_sql(&FlowqDialect, sql).ok()?;
    let found = visit_expressions(&statements, |expr| {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
        if !function.name.to_string().eq_ignore_ascii_case(name) || list.args.len() != count {
            return ControlFlow::Continue(());
        }
        let text = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => expr.to_string(),
            other => other.to_string(),
        };
        ControlFlow::Break(list.args.iter().map(text).collect())
    });
    match found {
        ControlFlow::Break(arguments) => Some(arguments),
        ControlFlow::Continue(()) => None,
    }
}

/// An operator between what it cannot be used on.
pub(super) fn operands(message: &str) -> Option<SqlError> {
    let message = lowered(message.trim());
    let (compared, pair) = match message.strip_prefix("cannot coerce arithmetic expression ") {
        Some(rest) => (false, rest.strip_suffix(" to valid types").unwrap_or(rest)),
        None => (true, message.strip_prefix("cannot infer common argument type for comparison operation ")?),
    };
    const OPERATORS: [&str; 15] =
        ["=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "~", "~*", "!~", "!~*"];
    let found = OPERATORS.iter().find_map(|op| {
        let (left, right) = pair.split_once(&format!(" {op} "))?;
        Some((type_in_words(left), op, type_in_words(right)))
    });
    let (left, op, right) = found?;
    let said = match compared {
        true => format!("{left} cannot be compared with {right}"),
        false => format!("{left} {op} {right} cannot be calculated"),
    };
    let hint = match (left.as_str(), right.as_str()) {
        ("a timestamp", "an integer") if compared => {
            Some("to_timestamp_seconds(number) is the time of Unix seconds")
        }
        ("a timestamp" | "a date", "an integer") => Some("write a span of time as interval '1 hour'"),
        _ => None,
    };
    Some(plain(SqlErrorKind::Plan, &said, hint))
}

/// Whether an error of execution is no fault of the statement's.
pub(super) fn is_of_the_machine(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "Error writing to object store",
        "Error sending",
        "panicked",
        "deadlock",
        "pill file",
        "ended early",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

/// What the folder for spilled data refuses; nothing else of a query's own files is written or read outside of it.
pub(super) fn spilling(error: &io::Error) -> Option<SqlError> {
    let folder = std::env::temp_dir();
    let folder = folder.to_string_lossy();
    let text = error.to_string();
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || text.contains("No space left on device");
    if !full && !text.contains(&format!("\"{}", folder.trim_end_matches('/'))) {
        return None;
    }
    let reason = match error.kind() {
        _ if full => "no space left".to_owned(),
        io::ErrorKind::NotFound => "no such folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => text,
    };
    let said = format!("cannot spill to {folder}: {reason}");
    let hint = "queries beyond --memory-limit continue on disk; TMPDIR names another folder for it";
    Some(plain(SqlErrorKind::Run, &said, Some(hint)))
}

/// A message without requests to report it elsewhere and without the engine's own structures.
pub(super) fn without_debris(message: &str) -> &str {
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    let message = message.split(". No function matches").next().unwrap_or(message);
    // `Substring { expr: Identifier(Ident { value: …`
    let structure = message.match_indices(" { ").find(|(at, _)| {
        message.get(..*at).and_then(|before| before.chars().next_back()).is_some_and(char::is_alphanumeric)
    });
    let Some((at, _)) = structure else { return message };
    let before = message.get(..at).unwrap_or(message);
    before.rfind(' ').and_then(|end| before.get(..end)).unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_messages() {
        assert_eq!(captures("a …, b …", "a 1, b 2, 3"), Some(vec!["1", "2, 3"]));
        assert_eq!(captures("…x…", "axbxc"), Some(vec!["a", "bxc"]));
        assert_eq!(captures("a … b", "a 1 b"), Some(vec!["1"]));
        assert_eq!(captures("a … b", "a 1 b c"), None);
        assert_eq!(captures("TOP", "TOPS"), None);
    }

    #[test]
    fn messages_lose_what_is_the_engines() {
        assert_eq!(without_debris("it failed.\nThis issue was likely caused by a bug in X"), "it failed.");
        assert_eq!(
            without_debris("no such thing as Substring { expr: Ident { value: \"a\" } }"),
            "no such thing as"
        );
        assert_eq!(without_debris("plain words"), "plain words");
    }
}
