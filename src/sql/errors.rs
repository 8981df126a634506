//! The words of errors: DataFusion's turned into short ones with a caret and a hint, and what was meant by a mistyped
//! name.

use std::fmt;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::parser::ParserError;

use super::session::TimedOut;
use crate::format::LogKind;

/// What kind of error it is, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The statement is no SQL.
    Syntax,
    /// The statement names something that is not there, or combines what does not fit.
    Plan,
    /// The memory limit was reached.
    Memory,
    /// Anything else: input and output, a value that cannot be evaluated.
    Run,
}

/// An error as a user reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Its kind.
    pub kind: SqlErrorKind,
    /// What is wrong, in a line.
    pub message: String,
    /// Where in the statement: line and column, in characters from 1.
    pub position: Option<(usize, usize)>,
    /// The line of the statement that the position points into.
    pub line: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl SqlError {
    /// Whether the statement has to be changed, as opposed to the machine or the data.
    pub fn is_users(&self) -> bool {
        matches!(self.kind, SqlErrorKind::Syntax | SqlErrorKind::Plan)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let (Some((number, column)), Some(line)) = (self.position, &self.line) {
            // Tabs stay tabs under tabs, so that the caret stands where the terminal shows the character.
            let before: String = line
                .chars()
                .take(column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let margin = number.to_string();
            let blank = " ".repeat(margin.len());
            write!(f, "\n {margin} | {line}\n {blank} | {before}^")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

/// The names that a session knows, for suggestions.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Tables and views.
    pub tables: Vec<String>,
    /// Scalar, aggregate and window functions.
    pub functions: Vec<String>,
}

impl Names {
    /// The names in the default schema of a session.
    pub fn of(ctx: &SessionContext) -> Names {
        let mut tables = Vec::new();
        for catalog in ctx.catalog_names().iter().filter_map(|name| ctx.catalog(name)) {
            for schema in catalog.schema_names().iter().filter_map(|name| catalog.schema(name)) {
                tables.extend(schema.table_names());
            }
        }
        let state = ctx.state();
        let scalar = state.scalar_functions().keys();
        let functions =
            scalar.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys());
        let mut functions: Vec<String> = functions.cloned().collect();
        functions.sort();
        functions.dedup();
        Names { tables, functions }
    }
}

/// Turns an error of DataFusion over a statement into one for people.
pub fn explain(error: &DataFusionError, sql: &str, names: &Names) -> SqlError {
    let root = root(error);
    if let Some(own) = of_arguments(&root.message()) {
        return plain(SqlErrorKind::Plan, own, None);
    }
    match root {
        DataFusionError::SQL(error, _) => syntax(error, sql),
        DataFusionError::SchemaError(error, _) => schema(error, sql),
        DataFusionError::Plan(message) => plan(message, sql, names),
        DataFusionError::NotImplemented(message) => plain(SqlErrorKind::Plan, message, None),
        DataFusionError::ResourcesExhausted(message) => plain(
            SqlErrorKind::Memory,
            &format!("out of memory: {message}"),
            Some("give more with --memory-limit, or group and sort less at once"),
        ),
        DataFusionError::External(inner) if inner.is::<TimedOut>() => plain(
            SqlErrorKind::Run,
            &inner.to_string(),
            Some("allow more with --timeout SECONDS, or narrow the time range"),
        ),
        DataFusionError::Configuration(message) => plain(SqlErrorKind::Plan, message, None),
        // The engine looks for what a statement makes or drops only when it runs it.
        DataFusionError::Execution(message) if names_what_is_there_or_not(message) => {
            plain(SqlErrorKind::Plan, message, None)
        }
        other => plain(SqlErrorKind::Run, &other.message(), None),
    }
}

fn names_what_is_there_or_not(message: &str) -> bool {
    ["doesn't exist", "already exists", "cannot be dropped"].iter().any(|words| message.contains(words))
}

/// What a function itself says of its arguments: the engine says more around it, and nothing that helps.
fn of_arguments(message: &str) -> Option<&str> {
    let (_, said) = message.split_once(" coercion failed with: ")?;
    let said = said.strip_prefix("Error during planning: ").unwrap_or(said);
    said.split(" No function matches").next().map(|said| said.trim_end_matches('.'))
}

/// What lies at the bottom of contexts, diagnostics and shared errors.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::External(inner) => inner.downcast_ref::<DataFusionError>().map_or(error, root),
        other => other,
    }
}

fn plain(kind: SqlErrorKind, message: &str, hint: Option<&str>) -> SqlError {
    let message = without_backtrace(message).trim().trim_end_matches('.');
    SqlError { kind, message: lowered(message), position: None, line: None, hint: hint.map(str::to_owned) }
}

fn without_backtrace(message: &str) -> &str {
    message.split("\n\nbacktrace: ").next().unwrap_or(message)
}

/// The message with a small first letter, unless it begins with a name in capitals.
fn lowered(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}

fn syntax(error: &ParserError, sql: &str) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
    };
    let (message, position) = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, place_of(place)),
        None => (text, None),
    };
    // Without a place the statement ended too early.
    let position = position.or_else(|| message.ends_with("found: EOF").then(|| end_of(sql)));
    let message = message.replace("found: EOF", "found: end of statement");
    let hint = position.and_then(|place| mistyped_keyword(sql, place));
    let line = position.and_then(|(line, _)| line_of(sql, line));
    SqlError { kind: SqlErrorKind::Syntax, message: lowered(&message), position, line, hint }
}

/// Words that statements begin their parts with.
const KEYWORDS: [&str; 24] = [
    "select", "from", "where", "group", "order", "by", "having", "limit", "offset", "join", "left", "inner",
    "on", "and", "or", "not", "between", "distinct", "with", "union", "describe", "explain", "values",
    "interval",
];

/// A parser stumbles at a mistyped keyword or one word after it, having taken it for an alias.
fn mistyped_keyword(sql: &str, (line, column): (usize, usize)) -> Option<String> {
    let line = line_of(sql, line)?;
    let before: String = line.chars().take(column.saturating_sub(1)).collect();
    let after: String = line.chars().skip(column.saturating_sub(1)).collect();
    let word = |text: Option<&str>| text.map(|word| word.to_ascii_lowercase()).filter(|word| word.len() > 2);
    let part = |c: char| !c.is_alphanumeric() && c != '_';
    let found = [word(before.trim_end().rsplit(part).next()), word(after.split(part).next())];
    found
        .into_iter()
        .flatten()
        .filter(|word| !KEYWORDS.contains(&word.as_str()))
        .find_map(|word| nearest(&word, KEYWORDS))
        .map(|keyword| format!("did you mean {keyword}?"))
}

/// `3, Column: 14`.
fn place_of(text: &str) -> Option<(usize, usize)> {
    let (line, column) = text.split_once(", Column: ")?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

fn line_of(sql: &str, number: usize) -> Option<String> {
    sql.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

fn end_of(sql: &str) -> (usize, usize) {
    let sql = sql.trim_end();
    let line = sql.lines().last().unwrap_or_default();
    (sql.lines().count().max(1), line.chars().count().saturating_add(1))
}

/// The place of a name as a whole word outside of quotes of text and comments.
fn find_word(sql: &str, name: &str) -> Option<(usize, usize)> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    for (number, line) in sql.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        for (at, found) in lower.match_indices(&name.to_ascii_lowercase()) {
            let before = lower.get(..at).unwrap_or_default();
            let after = lower.get(at.saturating_add(found.len())..).unwrap_or_default();
            let whole = !before.ends_with(part_of_word) && !after.starts_with(part_of_word);
            let quoted = before.matches('\'').count() % 2 == 1 || before.contains("--");
            if whole && !quoted {
                return Some((number.saturating_add(1), before.chars().count().saturating_add(1)));
            }
        }
    }
    None
}

fn at_word(kind: SqlErrorKind, message: String, hint: Option<String>, sql: &str, word: &str) -> SqlError {
    let position = find_word(sql, word);
    SqlError { kind, message, position, line: position.and_then(|(line, _)| line_of(sql, line)), hint }
}

fn schema(error: &SchemaError, sql: &str) -> SqlError {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return plain(SqlErrorKind::Plan, &error.to_string(), None);
    };
    let known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
    let hint = match other_name(&field.name).filter(|name| known.contains(name)) {
        Some(name) => Some(format!("it is called {} here", quoted(name))),
        None => match nearest(&field.name, known.iter().copied()) {
            Some(name) => Some(format!("did you mean {}?", quoted(name))),
            None if known.is_empty() => None,
            None if known.len() > 20 => Some("`.schema TABLE` or `describe TABLE` shows the columns".into()),
            None => Some(format!("there are {}", known.join(", "))),
        },
    };
    at_word(SqlErrorKind::Plan, format!("no column named {}", field.name), hint, sql, &field.name)
}

fn plan(message: &str, sql: &str, names: &Names) -> SqlError {
    let message = without_backtrace(message);
    if let Some(name) = between(message, "Invalid function '", "'") {
        let hint = match nearest(name, names.functions.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => {
                "`flowq functions` lists the functions of networks; `show functions` all of them".to_owned()
            }
        };
        return at_word(SqlErrorKind::Plan, format!("no function named {name}"), Some(hint), sql, name);
    }
    if let Some(full) = between(message, "table '", "' not found") {
        let name = full.rsplit('.').next().unwrap_or(full);
        let hint = match nearest(name, names.tables.iter().map(String::as_str)) {
            Some(near) => Some(format!("did you mean {near}?")),
            None if names.tables.is_empty() => None,
            None => Some(format!("there are {}", names.tables.join(", "))),
        };
        return at_word(SqlErrorKind::Plan, format!("no table named {name}"), hint, sql, name);
    }
    if message.contains("must be in GROUP BY")
        && let Some(full) = between(message, "column \"", "\" must appear")
    {
        let name = full.rsplit('.').next().unwrap_or(full);
        let said = format!("{name} must be in group by or inside an aggregate function");
        return at_word(SqlErrorKind::Plan, said, None, sql, name);
    }
    plain(SqlErrorKind::Plan, message, None)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// A column as it has to be written in SQL.
fn quoted(name: &str) -> String {
    if name == "end" { "\"end\"".to_owned() } else { name.to_owned() }
}

/// Columns by the names that AWS's own Athena table definitions and older tools give them (documented).
fn other_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "sourceaddress" | "src_addr" | "src_ip" | "source_ip" | "src" => "srcaddr",
        "destinationaddress" | "dst_addr" | "dst_ip" | "dest_ip" | "destination_ip" | "dst" => "dstaddr",
        "sourceport" | "src_port" => "srcport",
        "destinationport" | "dst_port" | "dest_port" => "dstport",
        "numpackets" => "packets",
        "numbytes" => "bytes",
        "starttime" | "start_time" => "start",
        "endtime" | "end_time" => "end",
        "interfaceid" | "eni" | "eni_id" => "interface_id",
        "account" | "accountid" => "account_id",
        "logstatus" => "log_status",
        "day" | "date" => "event_date",
        _ => return None,
    })
}

/// What to say where a column is empty because the logs were written without it (flow logs) or because no line has a
/// value there (load balancers, whose fields are always the same); `None` for what is no column of the kind.
pub fn not_carried(kind: LogKind, column: &str) -> Option<String> {
    let column = kind.columns().get(kind.column_index(column)?)?;
    Some(match kind {
        LogKind::Flow | LogKind::TransitGateway => {
            format!("these flow logs were written without `{}`; add it to the log format", column.log_name)
        }
        _ => format!("no line of these {}s has a value of {}", kind.title(), column.log_name),
    })
}

/// The name nearest to a mistyped one, where one is near enough to be meant: at most a third of its letters differ.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= given.chars().count().max(name.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::functions::{Enrichment, register};
    use std::sync::Arc;

    async fn said(sql: &str) -> String {
        let ctx = SessionContext::new();
        register(&ctx, &Arc::new(Enrichment::default())).unwrap();
        ctx.sql(
            "create table flow_logs(srcaddr text, dstaddr text, bytes bigint, start bigint, \"end\" bigint)",
        )
        .await
        .unwrap();
        let failed = match ctx.sql(sql).await {
            Ok(frame) => frame.collect().await.map(|_| ()),
            Err(error) => Err(error),
        };
        explain(&failed.expect_err(sql), sql, &Names::of(&ctx)).to_string()
    }

    #[tokio::test]
    async fn syntax_has_a_caret() {
        insta::assert_snapshot!(said("select srcaddr\nfrom flow_logs wher bytes > 1").await, @r"
        expected: end of statement, found: bytes
         2 | from flow_logs wher bytes > 1
           |                     ^
        hint: did you mean where?
        ");
        insta::assert_snapshot!(said("selct srcaddr from flow_logs").await, @r"
        expected: an SQL statement, found: selct
         1 | selct srcaddr from flow_logs
           | ^
        hint: did you mean select?
        ");
        insta::assert_snapshot!(said("select srcaddr from").await, @r"
        expected: identifier, found: end of statement
         1 | select srcaddr from
           |                    ^
        ");
    }

    #[tokio::test]
    async fn unknown_names_have_a_near_one() {
        insta::assert_snapshot!(said("select srcadr from flow_logs").await, @r"
        no column named srcadr
         1 | select srcadr from flow_logs
           |        ^
        hint: did you mean srcaddr?
        ");
        insta::assert_snapshot!(said("select 'src_ip' as srcip2, src_ip from flow_logs").await, @r"
        no column named src_ip
         1 | select 'src_ip' as srcip2, src_ip from flow_logs
           |                            ^
        hint: it is called srcaddr here
        ");
        insta::assert_snapshot!(said("select endtime from flow_logs").await, @r#"
        no column named endtime
         1 | select endtime from flow_logs
           |        ^
        hint: it is called "end" here
        "#);
        insta::assert_snapshot!(said("select *\nfrom flow_log").await, @r"
        no table named flow_log
         2 | from flow_log
           |      ^
        hint: did you mean flow_logs?
        ");
        insta::assert_snapshot!(said("select is_privat(srcaddr) from flow_logs").await, @r"
        no function named is_privat
         1 | select is_privat(srcaddr) from flow_logs
           |        ^
        hint: did you mean is_private?
        ");
    }

    #[tokio::test]
    async fn the_rest_is_short() {
        assert_eq!(
            said("select cidr_contains('10.0.0.0/33', srcaddr) from flow_logs").await,
            "\"10.0.0.0/33\" is no CIDR block: the length \"33\" is not between 0 and 32"
        );
        insta::assert_snapshot!(said("select srcaddr, sum(bytes) from flow_logs").await, @r"
        srcaddr must be in group by or inside an aggregate function
         1 | select srcaddr, sum(bytes) from flow_logs
           |        ^
        ");
    }

    #[test]
    fn fields_that_logs_may_lack() {
        assert_eq!(
            not_carried(LogKind::Flow, "flow_direction").as_deref(),
            Some("these flow logs were written without `flow-direction`; add it to the log format")
        );
        assert_eq!(
            not_carried(LogKind::Flow, "protocol").as_deref(),
            Some("these flow logs were written without `protocol`; add it to the log format")
        );
        let of_load_balancers = not_carried(LogKind::Nlb, "incoming_tls_alert").unwrap();
        assert!(of_load_balancers.ends_with("has a value of incoming_tls_alert"), "{of_load_balancers}");
        assert_eq!(not_carried(LogKind::Flow, "nonsense"), None);
    }

    #[test]
    fn near_names() {
        assert_eq!(nearest("srcadr", ["dstaddr", "srcaddr"]), Some("srcaddr"));
        assert_eq!(nearest("TCP", ["tcp"]), Some("tcp"));
        assert_eq!(nearest("bananas", ["srcaddr"]), None);
        assert_eq!(nearest("", []), None);
    }
}
