//! The words of errors: DataFusion's turned into short ones with a caret and a hint, and what was meant by a mistyped
//! name.

mod names;
mod places;
mod rules;

pub(in crate::sql) use rules::type_in_words;
use std::{fmt, io};

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::prelude::SessionContext;

use super::mistakes::Mistake;
use super::session::TimedOut;
use crate::format::LogKind;
pub use names::as_written;
use places::at_word;

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
    match root {
        DataFusionError::SQL(error, _) => places::syntax(error, sql),
        DataFusionError::SchemaError(error, _) => names::schema(error, sql),
        DataFusionError::ResourcesExhausted(message) => plain(
            SqlErrorKind::Memory,
            &format!("out of memory: {message}"),
            Some(if message.contains("HashJoin") {
                "give more with --memory-limit, put the smaller side of the join first, or let joins sort and spill: \
                 set datafusion.optimizer.prefer_hash_join = false"
            } else {
                "give more with --memory-limit, or group and sort less at once"
            }),
        ),
        DataFusionError::IoError(error) => of_files(error),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::IoError(_, error) => of_files(error),
            _ => said(kind(root), root, sql, names),
        },
        DataFusionError::External(inner) => match inner.downcast_ref::<Mistake>() {
            Some(Mistake { said, hint, name }) => {
                at_word(SqlErrorKind::Plan, said.clone(), Some(hint.clone()), sql, name)
            }
            None if inner.is::<TimedOut>() => plain(
                SqlErrorKind::Run,
                &inner.to_string(),
                Some("allow more with --timeout SECONDS, or narrow the time range"),
            ),
            None => said(SqlErrorKind::Run, root, sql, names),
        },
        other => said(kind(other), other, sql, names),
    }
}

/// What the system says of a file.
fn of_files(error: &io::Error) -> SqlError {
    rules::spilling(error).unwrap_or_else(|| plain(SqlErrorKind::Run, &error.to_string(), None))
}

/// Whose fault an error is by its type, where its words say nothing else.
fn kind(error: &DataFusionError) -> SqlErrorKind {
    use DataFusionError::{ArrowError as Arrow, Configuration, Execution, NotImplemented, Plan};
    match error {
        Plan(_) | NotImplemented(_) | Configuration(_) => SqlErrorKind::Plan,
        // What is evaluated while running fails for a value that the statement asked for.
        Arrow(error, _) => match error.as_ref() {
            ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::NotYetImplemented(_) => SqlErrorKind::Plan,
            _ => SqlErrorKind::Run,
        },
        Execution(message) if !rules::is_of_the_machine(message) => SqlErrorKind::Plan,
        _ => SqlErrorKind::Run,
    }
}

/// The words of an error that are all that is known of it.
fn said(kind: SqlErrorKind, error: &DataFusionError, sql: &str, names: &Names) -> SqlError {
    let message = error.message();
    let message = without_backtrace(&message);
    let known = of_arguments(message)
        .map(|own| plain(SqlErrorKind::Plan, own, None))
        .or_else(|| of_names(message, sql, names))
        .or_else(|| rules::call(message, sql))
        .or_else(|| rules::operands(message))
        .or_else(|| rules::rephrased(message));
    known.unwrap_or_else(|| plain(kind, rules::without_debris(message), None))
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
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref::<DataFusionError>().map_or(error, root),
            _ => error,
        },
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

/// Of a table, a function or a column that is named where it cannot be.
fn of_names(message: &str, sql: &str, names: &Names) -> Option<SqlError> {
    if let Some(name) = between(message, "Invalid function '", "'") {
        let hint = match nearest(name, names.functions.iter().map(String::as_str)) {
            _ if names::otherwise(name).is_some() => names::otherwise(name).unwrap_or_default().to_owned(),
            Some(near) => format!("did you mean {near}?"),
            None => {
                "`flowq functions` lists the functions of networks; `show functions` all of them".to_owned()
            }
        };
        return Some(at_word(SqlErrorKind::Plan, format!("no function named {name}"), Some(hint), sql, name));
    }
    if let Some(full) = between(message, "table '", "' not found") {
        let name = full.rsplit('.').next().unwrap_or(full);
        let hint = match nearest(name, names.tables.iter().map(String::as_str)) {
            _ if names::other_table(name).is_some() => {
                names::other_table(name).map(|table| format!("it is called {table} here"))
            }
            Some(near) => Some(format!("did you mean {near}?")),
            None if names.tables.is_empty() => None,
            None => Some(format!("there are {}", names.tables.join(", "))),
        };
        return Some(at_word(SqlErrorKind::Plan, format!("no table named {name}"), hint, sql, name));
    }
    if message.contains("must be in GROUP BY")
        && let Some(full) = between(message, "column \"", "\" must appear")
    {
        let name = full.rsplit('.').next().unwrap_or(full);
        let said = format!("{name} must be in group by or inside an aggregate function");
        return Some(at_word(SqlErrorKind::Plan, said, None, sql, name));
    }
    None
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
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

/// The name nearest to a mistyped one, where one is near enough to be meant: at most a third of its letters differ,
/// or one of few.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= given.chars().count().max(name.chars().count()).max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
