//! The programs that are measured, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::corpus::Corpus;
use crate::process;
use crate::work::{COUNT, Task, WANTED, Wanted};

/// A program that does the tasks.
pub enum Program {
    Flowq,
    /// The limit of whatever begins at gz: inflating, and nothing else.
    Inflate,
    Python {
        python: String,
        script: PathBuf,
        name: String,
    },
}

/// What a program reads, what it writes and with how many threads.
pub struct Place<'a> {
    pub corpus: &'a Corpus,
    /// Its own Parquet.
    pub output: &'a Path,
    pub threads: usize,
}

impl Program {
    pub fn name(&self) -> &str {
        match self {
            Program::Flowq => "flowq",
            Program::Inflate => "inflating alone",
            Program::Python { name, .. } => name,
        }
    }

    /// The command that does a task; `None` where the program does no such thing.
    pub fn command(&self, task: Task, wanted: &Wanted, place: &Place<'_>) -> Option<Command> {
        let threads = place.threads.to_string();
        let mut command;
        match self {
            Program::Flowq => {
                command = Command::new(env!("CARGO_BIN_EXE_flowq"));
                command.arg("--store").arg(place.output).arg("--threads").arg(threads);
                match task {
                    Task::Ingest => command.arg("ingest").arg("-q").arg(&place.corpus.folder),
                    Task::Raw | Task::RawTable => command.arg("sql").arg("--from").arg(&place.corpus.folder),
                    _ => command.arg("sql"),
                };
                if task != Task::Ingest {
                    command.args(["--format", "csv"]);
                    for statement in task.statements(wanted) {
                        command.arg("-c").arg(statement);
                    }
                }
            }
            Program::Inflate => {
                if task.is_over_store() {
                    return None;
                }
                command = Command::new(std::env::current_exe().ok()?);
                command.arg("inflate").arg(&place.corpus.folder).arg(threads);
            }
            Program::Python { python, script, .. } => {
                command = Command::new(python);
                command.arg(script).arg(task.name()).arg(&place.corpus.folder).arg(place.output).arg(threads);
                command.arg(&wanted.address).arg(wanted.from.to_string());
            }
        }
        Some(command)
    }

    /// What the Parquet that it wrote holds, as `rows,bytes`: asked after the ingest and not timed.
    pub fn count(&self, place: &Place<'_>) -> Option<Command> {
        match self {
            Program::Flowq => Some(of_store(place.output, COUNT)),
            Program::Inflate => None,
            Program::Python { python, script, .. } => {
                let mut command = Command::new(python);
                command.arg(script).args(["count", "-"]).arg(place.output).arg(place.threads.to_string());
                Some(command)
            }
        }
    }
}

fn of_store(store: &Path, sql: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowq"));
    command.arg("--store").arg(store).args(["sql", "--format", "csv", "-c", sql]);
    command
}

/// What the tasks over this store of flowq's look for.
pub fn wanted(store: &Path, log: &Path) -> Result<Wanted, String> {
    let answer = process::run(&mut of_store(store, WANTED), log)?.output;
    let row = answer.lines().nth(1).and_then(|row| row.split_once(','));
    let (address, from) = row.ok_or_else(|| format!("no address has been found: {answer}"))?;
    let from = from.parse().map_err(|_| format!("no time has been found: {answer}"))?;
    Ok(Wanted { address: address.to_owned(), from })
}

/// The programs that are there; says which are not.
pub fn programs() -> Vec<Program> {
    let python = std::env::var("FLOWQ_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut programs = vec![Program::Inflate, Program::Flowq];
    for module in ["duckdb", "polars", "chdb", "datafusion"] {
        let version = Command::new(&python)
            .args(["-c", &format!("import {module}; print({module}.__version__)")])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        match version {
            Some(version) => {
                let file = format!("{module}_peer.py");
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(file);
                let name = format!("{module} {version}");
                programs.push(Program::Python { python: python.clone(), script, name });
            }
            None => eprintln!("{module} is left out: {python} has no such module (set FLOWQ_BENCH_PYTHON)"),
        }
    }
    programs
}
