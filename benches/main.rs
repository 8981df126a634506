//! The one benchmark binary: `cargo bench -- COMMAND`.
//!
//! `generate` writes realistic logs, `stages` says where the time of an ingest goes, `attribution` what verdicts cost, `table` runs flowq beside DuckDB,
//! Polars, chDB and DataFusion over the same files and prints the README's table, `growth` does flowq's part over five times as many. Everything is measured on the machine at hand, so only
//! ratios within one run mean anything elsewhere.

mod attribution;
mod corpus;
mod generate;
mod growth;
mod process;
mod program;
mod stages;
mod table;
mod work;

use std::process::ExitCode;

const USAGE: &str = "cargo bench -- COMMAND

stages [--data DIR] [--rows N] [--runs N]
    what each stage of an ingest costs, on one thread
attribution [--data DIR] [--rows N] [--runs N] [--threads N] [--tasks store,decide,import]
    REJECTs of a store beside a scan of the same columns; decisions and the import of a large configuration
table [--data DIR] [--rows N] [--runs N] [--threads N] [--tasks ingest,raw,raw-table,table,store,address,window,network,subnet]
    flowq beside DuckDB, Polars, chDB and DataFusion (as far as $FLOWQ_BENCH_PYTHON or python3 has them) on the same work
growth [--rows N] [--times N] [--runs N] [--threads N] [--tasks …]
    flowq over N rows and over so many times as many: what grows with the logs and what does not
";

fn main() -> ExitCode {
    // cargo adds `--bench` to whatever it was given.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[] as &[String]),
    };
    let outcome = match command {
        "generate" => generate::run(rest),
        "stages" => stages::run(rest),
        "table" => table::run(rest),
        "growth" => growth::run(rest),
        "attribution" => attribution::run(rest),
        "inflate" => table::inflate(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}{}", generate::USAGE);
            Ok(())
        }
        other => Err(format!("unknown command {other}\n{USAGE}{}", generate::USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
