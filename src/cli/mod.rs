//! The command line: one file per command. What was typed is turned into what it means here, and nothing below knows clap.

mod attribute;
mod config;
mod engine;
mod explain;
mod ingest;
mod logs;
mod parameters;
mod printer;
mod rules;
mod sheet;
mod shell;
mod sql;
mod store;
mod whatif;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use printer::{Color, Printer, counted};

use crate::sql::output::OutputFormat;

/// Exit codes that scripts can rely on.
pub mod exit {
    /// Findings, where they were asked to count.
    pub const FINDINGS: u8 = 1;
    /// Usage, or SQL that does not parse.
    pub const USAGE: u8 = 2;
    /// Some input was refused under `--strict`.
    pub const REFUSED: u8 = 3;
    /// Input, output, or an error of flowq's own.
    pub const FAILED: u8 = 4;
    /// Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// SQL over AWS network logs, at the speed of gunzip.
#[derive(Debug, Parser)]
#[command(name = "flowq", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The store's folder
    #[arg(long, global = true, env = "FLOWQ_STORE", default_value = "./flowq-store", value_name = "DIR")]
    store: PathBuf,
    /// How results are written: table, csv, tsv, json, ndjson, markdown or parquet
    #[arg(long, global = true, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<OutputFormat>,
    /// Write the result to a file; its suffix chooses the format
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more (twice: much more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    /// How many threads work [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = parse_threads)]
    threads: Option<usize>,
    /// No progress bar
    #[arg(long, global = true)]
    no_progress: bool,
}

/// Each takes memory of its own, and no machine has as many processors as this.
const MOST_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= MOST_THREADS);
    count.ok_or_else(|| format!("expected a number up to {MOST_THREADS}"))
}

impl Global {
    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.filter(|threads| *threads > 0).unwrap_or_else(all)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read logs into the store: files, folders, globs, or - for standard input
    Ingest(ingest::IngestArgs),
    /// Run SQL over the store, or straight over raw files with --from; without a statement: the shell
    Sql(sql::SqlArgs),
    /// Run a named query
    Run(sql::RunArgs),
    /// List the named queries, or show one
    Queries(sql::QueriesArgs),
    /// The SQL functions that flowq adds, with examples
    Functions(sql::FunctionsArgs),
    /// What dropped the rejected traffic: how far the configuration explains the logs, then the causes, worst first
    Attribute(attribute::AttributeArgs),
    /// The network configuration: import, show, check, diff
    Config(config::ConfigArgs),
    /// Follow a flow through the configuration, stage by stage, there and back: what blocks it and what would help
    Explain(explain::ExplainArgs),
    /// What each rule of the network really does: hits, and rules that nothing uses
    Rules(rules::RulesArgs),
    /// The traffic of the logs against proposed rules: what they would block, and let pass
    Whatif(whatif::WhatIfArgs),
    /// What the store holds
    Info(store::InfoArgs),
    /// Merge small files of the store into large ones
    Optimize(store::OptimizeArgs),
    /// Delete the log rows of days before a date, and free their space
    Forget(store::ForgetArgs),
}

fn parse_format(text: &str) -> Result<OutputFormat, String> {
    text.parse().map_err(|error: crate::sql::output::OutputError| error.to_string())
}

/// The command line. A variable that is set and empty counts as not set.
fn parsed(words: Vec<OsString>) -> Cli {
    let words = parameters::spell_out(words, &Cli::command());
    let is_empty = |name: &str| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let mut command = Cli::command();
    if is_empty("FLOWQ_STORE") {
        command = command.mut_arg("store", |store| store.env(None));
    }
    if is_empty("FLOWQ_QUERIES") {
        for name in ["sql", "run", "queries"] {
            command = command.mut_subcommand(name, |command| command.mut_arg("queries", |dir| dir.env(None)));
        }
    }
    Cli::from_arg_matches(&command.get_matches_from(words)).unwrap_or_else(|error| error.exit())
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = parsed(std::env::args_os().collect());
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !crate::source::aws_parquet::panics_are_caught() {
            report(panic);
        }
    }));
    let level = match cli.global.verbose {
        0 => log::LevelFilter::Error,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
    let global = &cli.global;
    let file = global.output.clone().filter(|file| file.as_os_str() != "-");
    let printer = Printer::new(global.format, file, global.quiet, global.color);
    if printer.file.is_none() && printer.format().needs_file() {
        printer.error("parquet is not written to a terminal or pipe (name a file with -o)");
        return ExitCode::from(exit::USAGE);
    }
    if let Some(problem) = printer.unknown_suffix() {
        printer.error(&problem);
        return ExitCode::from(exit::USAGE);
    }
    let outcome = match &cli.command {
        Command::Ingest(args) => ingest::run(args, global, &printer),
        Command::Sql(args) => sql::sql(args, global, &printer),
        Command::Run(args) => sql::run(args, global, &printer),
        Command::Queries(args) => sql::queries(args, &printer),
        Command::Functions(args) => sql::list_functions(args, &printer),
        Command::Attribute(args) => attribute::run(args, global, &printer),
        Command::Config(args) => config::run(args, global, &printer),
        Command::Explain(args) => explain::run(args, global, &printer),
        Command::Rules(args) => rules::run(args, global, &printer),
        Command::Whatif(args) => whatif::run(args, global, &printer),
        Command::Info(args) => store::info(args, global, &printer),
        Command::Optimize(args) => store::optimize(args, global, &printer),
        Command::Forget(args) => store::forget(args, global, &printer),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) if printer::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer.failure(&error);
            ExitCode::from(exit::FAILED)
        }
    }
}
