//! `flowq sql`, `flowq run`, `flowq queries` and `flowq functions`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Subcommand};
use datafusion::common::{ParamValues, ScalarValue};

use super::engine::{Engine, EngineArgs};
use super::logs::LogArgs;
use super::{Cli, Global, Printer, exit, shell};
use crate::sql::errors::nearest;
use crate::sql::functions;
use crate::sql::output::OutputFormat;
use crate::sql::queries::{Library, Query, QueryError, library};

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// Statements to run; - reads them from standard input; none on a terminal opens the shell
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    #[command(flatten)]
    texts: Texts,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    queries: QueryDir,
}

/// The values of `-c` and `-f`, in the order in which they were typed.
#[derive(Clone, Debug, Default)]
struct Texts(Vec<Text>);

#[derive(Clone, Debug)]
enum Text {
    Statements(String),
    File(PathBuf),
}

impl Args for Texts {
    fn augment_args(command: clap::Command) -> clap::Command {
        let repeatable = |id, short, name, help| {
            Arg::new(id).short(short).long(id).value_name(name).action(ArgAction::Append).help(help)
        };
        command.arg(repeatable("command", 'c', "SQL", "Run these statements (repeatable)")).arg(
            repeatable(
                "file",
                'f',
                "FILE",
                "Run the statements of a file, - for standard input (repeatable)",
            )
            .value_parser(clap::value_parser!(PathBuf)),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Texts::augment_args(command)
    }
}

impl FromArgMatches for Texts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Texts, clap::Error> {
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let commands =
            matches.get_many::<String>("command").into_iter().flatten().cloned().map(Text::Statements);
        let files = matches.get_many::<PathBuf>("file").into_iter().flatten().cloned().map(Text::File);
        let mut texts: Vec<(usize, Text)> =
            places("command").zip(commands).chain(places("file").zip(files)).collect();
        texts.sort_by_key(|(place, _)| *place);
        Ok(Texts(texts.into_iter().map(|(_, text)| text).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Texts::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where a user's own queries are.
#[derive(Clone, Debug, Args)]
pub struct QueryDir {
    /// A folder of your own named queries, over those that come with flowq
    #[arg(long, global = true, env = "FLOWQ_QUERIES", value_name = "DIR")]
    queries: Option<PathBuf>,
}

impl QueryDir {
    pub fn library(&self) -> anyhow::Result<Library> {
        Ok(library(self.queries.as_deref())?)
    }
}

pub fn sql(args: &SqlArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let mut engine = args.engine.clone();
    let sql = args.sql.clone().or_else(|| statement_among_paths(&mut engine));
    let of_stdin = |text: &Text| matches!(text, Text::File(path) if path.as_os_str() == "-");
    let asked = args.texts.0.iter().filter(|text| of_stdin(text)).count()
        + usize::from(sql.as_deref() == Some("-"))
        + usize::from(engine.from.iter().any(|path| path == "-"));
    if asked > 1 {
        printer.error("standard input is asked for twice (- can stand for one thing only)");
        return Ok(exit::USAGE);
    }
    let mut texts = Vec::new();
    for text in &args.texts.0 {
        texts.push(match text {
            Text::Statements(text) => text.clone(),
            Text::File(path) if path.as_os_str() == "-" => read_stdin()?,
            Text::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
            }
        });
    }
    match sql.as_deref() {
        Some("-") => texts.push(read_stdin()?),
        Some(sql) => texts.push(sql.to_owned()),
        None if texts.is_empty() && std::io::stdin().is_terminal() => {
            let engine = Engine::open(&engine, global, printer)?;
            return shell::run(engine, &args.queries.library()?, printer);
        }
        None if texts.is_empty() => texts.push(read_stdin()?),
        None => {}
    }
    let Some(engine) = open(&engine, global, printer)? else { return Ok(exit::USAGE) };
    if let Some(file) = printer.file.as_deref().filter(|_| engine.results(&texts) > 1) {
        let only = "only one statement with a result can be written to a file";
        printer.error(&format!("{only}, and each would replace {} (run them one by one)", file.display()));
        return Ok(exit::USAGE);
    }
    for text in &texts {
        let code = engine.run(text, printer)?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// Opens the engine; `None` where an option is wrong, which has then been said.
fn open(args: &EngineArgs, global: &Global, printer: &Printer) -> anyhow::Result<Option<Engine>> {
    match Engine::open(args, global, printer) {
        Ok(engine) => Ok(Some(engine)),
        Err(error) if error.to_string().starts_with("--log-format") => {
            printer.failure(&error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `--from a --config b "select …"`: an option with several values takes all words up to the next option, the statement
/// too. It is told from a path by its first word, and by there being no file of that name.
fn statement_among_paths(engine: &mut EngineArgs) -> Option<String> {
    let is_last = |last: &str, len: usize| len > 1 && is_statement(last);
    let from = &mut engine.from;
    if from.last().is_some_and(|last| is_last(last, from.len())) {
        return from.pop();
    }
    let config = &mut engine.options.config;
    let last = config.last()?.to_str()?.to_owned();
    is_last(&last, config.len()).then(|| config.pop()).flatten().map(|_| last)
}

fn is_statement(text: &str) -> bool {
    const FIRST_WORDS: [&str; 19] = [
        "select", "with", "explain", "describe", "desc", "show", "create", "drop", "set", "reset", "values",
        "copy", "insert", "update", "delete", "alter", "table", "analyze", "from",
    ];
    let begins = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let end = begins.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(begins.len());
    let (word, rest) = begins.split_at(end);
    let comment = begins.starts_with("--") || begins.starts_with("/*");
    let is_keyword = FIRST_WORDS.contains(&word.to_ascii_lowercase().as_str())
        && rest.starts_with(|c: char| c.is_whitespace() || "*('\"".contains(c));
    (comment || is_keyword) && !std::path::Path::new(text).exists()
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

#[derive(Debug, Args)]
#[command(
    after_help = "Parameters of the query are given as --NAME VALUE; `flowq queries show NAME` lists them."
)]
pub struct RunArgs {
    /// The query's name (flowq queries list)
    name: String,
    /// A parameter of the query; --NAME VALUE means the same where no option here has that name (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    #[command(flatten)]
    logs: LogArgs,
    #[command(flatten)]
    queries: QueryDir,
}

pub fn run(args: &RunArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let asked = args.queries.library()?.asked_for(&args.name);
    let bound = asked.map_err(anyhow::Error::from).and_then(|query| {
        let mut given = pairs(&args.param)?;
        given.extend(args.logs.parameters());
        let values = query.bind(&given).map_err(with_nearest_option)?;
        Ok((query, values))
    });
    let (query, values) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            printer.failure(&error);
            return Ok(exit::USAGE);
        }
    };
    let Some(engine) = open(&args.logs.engine(), global, printer)? else { return Ok(exit::USAGE) };
    let code = engine.run_query(&query, &values, printer)?;
    if let Some(limit) = limit(&values).filter(|limit| *limit > 0 && *limit == engine.rows_given()) {
        printer.note(&format!("the first {limit} rows; there may be more (--limit N)"));
    }
    if code == 0
        && engine.rows_given() == 0
        && args.logs.is_recent()
        && let Some(newest) = engine.newest(query.needs.iter().map(|need| need.table.as_str()))
    {
        let newest = newest.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        printer.note(&format!(
            "--since counts from now, and the newest record is of {newest} (--from TIME reads older ones)"
        ));
    }
    Ok(code)
}

/// How many rows at most a query gives, by the parameter that says it.
fn limit(values: &ParamValues) -> Option<u64> {
    let ParamValues::Map(values) = values else { return None };
    match values.get("limit")?.value {
        ScalarValue::Int64(limit) => u64::try_from(limit?).ok(),
        _ => None,
    }
}

/// `limit=20` as name and value.
fn pairs(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |given: &String| match given.split_once('=') {
        Some((name, value)) => Ok((name.replace('-', "_"), value.to_owned())),
        None => anyhow::bail!("parameter {given} needs a value (--{given} VALUE or --{given}=VALUE)"),
    };
    given.iter().map(pair).collect()
}

/// What is no parameter may be a mistyped option.
fn with_nearest_option(error: QueryError) -> QueryError {
    let QueryError::UnknownParam { query, name, near, takes } = error else { return error };
    let options = super::parameters::long_options(&Cli::command(), "run");
    let typed = name.replace('_', "-");
    let near = nearest(&typed, near.as_deref().into_iter().chain(options.iter().map(String::as_str)));
    QueryError::UnknownParam { near: near.map(|near| format!("--{near}")), query, name, takes }
}

/// `--limit 20 --port=443` as names and values.
pub(super) fn parameters(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else {
            anyhow::bail!(
                "expected a parameter such as --limit 20, found {word:?} (flowq queries show NAME lists them)"
            );
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match words.next() {
                Some(value) => (name, value.clone()),
                None => anyhow::bail!("--{name} needs a value"),
            },
        };
        parameters.push((name.replace('-', "_"), value));
    }
    Ok(parameters)
}

#[derive(Debug, Args)]
pub struct QueriesArgs {
    #[command(subcommand)]
    command: Option<QueriesCommand>,
    #[command(flatten)]
    queries: QueryDir,
}

#[derive(Debug, Subcommand)]
enum QueriesCommand {
    /// All queries, a line each
    List,
    /// One query: what it is for, its parameters, its SQL
    Show {
        /// Its name
        name: String,
    },
}

pub fn queries(args: &QueriesArgs, printer: &Printer) -> anyhow::Result<u8> {
    let library = args.queries.library()?;
    match &args.command {
        None | Some(QueriesCommand::List) => {
            library.broken().values().for_each(|error| printer.warn(&error.to_string()));
            let batch = query_list(&library)?;
            printer.batches(&batch.schema(), &[batch])?;
        }
        Some(QueriesCommand::Show { name }) => match library.asked_for(name) {
            Ok(query) if printer.format() == OutputFormat::Table => {
                printer.data(&format!("{}\n", query.text.trim_end()))?
            }
            Ok(query) => {
                let batch = query_row(&query)?;
                printer.batches(&batch.schema(), &[batch])?;
            }
            Err(error) => {
                printer.error(&error.to_string());
                return Ok(exit::USAGE);
            }
        },
    }
    Ok(0)
}

/// The named queries, a row each.
pub(super) fn query_list(library: &Library) -> anyhow::Result<RecordBatch> {
    let column = |text: &dyn Fn(&Query) -> String| {
        Arc::new(StringArray::from_iter_values(library.iter().map(text))) as ArrayRef
    };
    let parameters =
        |query: &Query| query.params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>().join(", ");
    Ok(RecordBatch::try_from_iter([
        ("name", column(&|query| query.name.clone())),
        ("title", column(&|query| query.title.clone())),
        ("parameters", column(&parameters)),
    ])?)
}

/// All about one query, for programs.
fn query_row(query: &Query) -> anyhow::Result<RecordBatch> {
    let column = |text: String| Arc::new(StringArray::from_iter_values([text])) as ArrayRef;
    let needs = query.needs.iter().map(|need| format!("{}({})", need.table, need.columns.join(", ")));
    let parameters = query.params.iter().map(|param| format!("{} {}", param.name, param.ty));
    Ok(RecordBatch::try_from_iter([
        ("name", column(query.name.clone())),
        ("title", column(query.title.clone())),
        ("purpose", column(query.purpose.clone())),
        ("needs", column(needs.collect::<Vec<_>>().join("; "))),
        ("parameters", column(parameters.collect::<Vec<_>>().join(", "))),
        ("origin", column(query.origin.clone())),
        ("sql", column(query.sql.clone())),
    ])?)
}

#[derive(Debug, Args)]
pub struct FunctionsArgs {
    /// Only functions whose name holds this
    #[arg(default_value = "")]
    name: String,
}

pub fn list_functions(args: &FunctionsArgs, printer: &Printer) -> anyhow::Result<u8> {
    let batch = function_list(&args.name)?;
    printer.batches(&batch.schema(), &[batch])?;
    Ok(0)
}

/// The functions whose name holds a text, a row each.
pub(super) fn function_list(name: &str) -> anyhow::Result<RecordBatch> {
    let all = functions::catalogue();
    let found: Vec<_> = all.iter().filter(|function| function.name.contains(name)).collect();
    let column = |text: &dyn Fn(&functions::FunctionDoc) -> String| {
        Arc::new(StringArray::from_iter_values(found.iter().map(|function| text(function)))) as ArrayRef
    };
    Ok(RecordBatch::try_from_iter([
        ("function", column(&|function| function.signature.clone())),
        ("what", column(&|function| function.description.to_owned())),
        ("example", column(&|function| function.example.to_owned())),
        ("gives", column(&|function| function.result.to_owned())),
    ])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(words: &[&str]) -> SqlArgs {
        let cli = Cli::try_parse_from(["flowq", "sql"].iter().chain(words)).unwrap();
        match cli.command {
            super::super::Command::Sql(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statements_and_files_keep_their_order() {
        let args = parse(&["-c", "a", "-f", "b.sql", "--command", "c", "-f", "-", "d"]);
        let texts: Vec<String> = args.texts.0.iter().map(|text| format!("{text:?}")).collect();
        assert_eq!(texts, [r#"Statements("a")"#, r#"File("b.sql")"#, r#"Statements("c")"#, r#"File("-")"#]);
        assert_eq!(args.sql.as_deref(), Some("d"));
    }

    #[test]
    fn a_statement_behind_paths_is_no_path() {
        let taken = |words: &[&str]| {
            let mut engine = parse(words).engine;
            let sql = statement_among_paths(&mut engine);
            (sql, engine.from, engine.options.config.len())
        };
        let select = "SELECT * from flow_logs";
        let one = || vec!["a".to_owned()];
        assert_eq!(
            taken(&["--from", "a", "b", select]),
            (Some(select.to_owned()), vec!["a".to_owned(), "b".to_owned()], 0)
        );
        assert_eq!(taken(&["--from", "a", "--config", "c", select]), (Some(select.to_owned()), one(), 1));
        assert_eq!(taken(&["--config", "c", "--from", "a", select]), (Some(select.to_owned()), one(), 1));
        for text in ["select*from x", "(select 1)", "with a as (select 1) select * from a"] {
            assert_eq!(taken(&["--from", "a", text]).0.as_deref(), Some(text));
        }
        assert_eq!(taken(&["--from", "a", "selected/logs"]).0, None);
        assert_eq!(taken(&["--from", "a", "show.json"]).0, None);
        assert_eq!(taken(&["--from", "a", "my logs"]).0, None);
        assert_eq!(taken(&["--from", select]).0, None);
        assert_eq!(taken(&["--from", "a", "-c", select]).0, None);
    }
}
