//! `flowq sql`, `flowq run`, `flowq queries` and `flowq functions`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clap::{Args, Subcommand};

use super::engine::{Engine, EngineArgs};
use super::{Global, Printer, exit, shell};
use crate::sql::functions;
use crate::sql::queries::{Library, Query, library};

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// Statements to run; - reads them from standard input; none on a terminal opens the shell
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    /// Run these statements (repeatable)
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// Run the statements of a file (repeatable)
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    queries: QueryDir,
}

/// Where a user's own queries are.
#[derive(Clone, Debug, Args)]
pub struct QueryDir {
    /// A folder of your own named queries, over those that come with flowq
    #[arg(long, env = "FLOWQ_QUERIES", value_name = "DIR")]
    queries: Option<PathBuf>,
}

impl QueryDir {
    pub fn library(&self) -> anyhow::Result<Library> {
        Ok(library(self.queries.as_deref())?)
    }
}

pub fn sql(args: &SqlArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let mut texts = Vec::new();
    for path in &args.file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        texts.push(text);
    }
    texts.extend(args.command.iter().cloned());
    match args.sql.as_deref() {
        Some("-") => texts.push(read_stdin()?),
        Some(sql) => texts.push(sql.to_owned()),
        None if texts.is_empty() && std::io::stdin().is_terminal() => {
            let engine = Engine::open(&args.engine, global, printer)?;
            return shell::run(engine, &args.queries.library()?, printer);
        }
        None if texts.is_empty() => texts.push(read_stdin()?),
        None => {}
    }
    let engine = match Engine::open(&args.engine, global, printer) {
        Ok(engine) => engine,
        Err(error) if error.to_string().starts_with("--log-format") => {
            printer.error(&format!("{error:#}"));
            return Ok(exit::USAGE);
        }
        Err(error) => return Err(error),
    };
    for text in &texts {
        let code = engine.run(text, None, printer)?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The query's name (flowq queries list)
    name: String,
    /// Its parameters, each as --name value; --from and --to bound the time
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PARAM")]
    parameters: Vec<String>,
    #[command(flatten)]
    queries: QueryDir,
    /// Read raw files instead of the store (repeatable)
    #[arg(long, value_name = "PATH")]
    raw: Vec<String>,
    /// Attribute rejects by this network configuration (repeatable)
    #[arg(long, value_name = "PATH")]
    config: Vec<std::path::PathBuf>,
}

pub fn run(args: &RunArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let library = args.queries.library()?;
    let bound = library.get(&args.name).map_err(anyhow::Error::from).and_then(|query| {
        let given = parameters(&args.parameters)?;
        Ok((query, query.bind(&given)?))
    });
    let (query, values) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            printer.error(&format!("{error:#}"));
            return Ok(exit::USAGE);
        }
    };
    let engine = EngineArgs {
        from: args.raw.clone(),
        input: Default::default(),
        config: args.config.clone(),
        memory_limit: None,
        timeout: None,
        allow_write: false,
        aws_ip_ranges: None,
        geoip: Vec::new(),
    };
    Engine::open(&engine, global, printer)?.run(&query.sql, Some(&values), printer)
}

/// `--limit 20 --port=443` as names and values.
fn parameters(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else {
            anyhow::bail!("expected a parameter such as --limit 20, found {word:?} (flowq queries show NAME lists them)");
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
            let column = |text: &dyn Fn(&Query) -> String| {
                Arc::new(StringArray::from_iter_values(library.iter().map(text))) as ArrayRef
            };
            let batch = RecordBatch::try_from_iter([
                ("name", column(&|query| query.name.clone())),
                ("title", column(&|query| query.title.clone())),
                (
                    "parameters",
                    column(&|query| query.params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>().join(", ")),
                ),
            ])?;
            printer.batches(&batch.schema(), &[batch])?;
        }
        Some(QueriesCommand::Show { name }) => match library.get(name) {
            Ok(query) => printer.data(&format!("{}\n", query.text.trim_end()))?,
            Err(error) => {
                printer.error(&error.to_string());
                return Ok(exit::USAGE);
            }
        },
    }
    Ok(0)
}

#[derive(Debug, Args)]
pub struct FunctionsArgs {
    /// Only functions whose name holds this
    #[arg(default_value = "")]
    name: String,
}

pub fn list_functions(args: &FunctionsArgs, printer: &Printer) -> anyhow::Result<u8> {
    let all = functions::catalogue();
    let found: Vec<_> = all.iter().filter(|function| function.name.contains(args.name.as_str())).collect();
    let column = |text: &dyn Fn(&functions::FunctionDoc) -> String| {
        Arc::new(StringArray::from_iter_values(found.iter().map(|function| text(function)))) as ArrayRef
    };
    let batch = RecordBatch::try_from_iter([
        ("function", column(&|function| function.signature.clone())),
        ("what", column(&|function| function.description.to_owned())),
        ("example", column(&|function| function.example.to_owned())),
        ("gives", column(&|function| function.result.to_owned())),
    ])?;
    printer.batches(&batch.schema(), &[batch])?;
    Ok(0)
}
