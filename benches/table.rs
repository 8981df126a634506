//! flowq beside DuckDB, Polars, chDB and DataFusion: the same files, the same work, the same number of threads, whole processes.
//!
//! Programs take turns (A B C A B C …), so that what disturbs the machine disturbs all of them; answers must agree,
//! or the table says so. The scripts of the other programs are in `peers/`: each states the work as that program does
//! it best, with the types given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowq::parse::inflate::Inflater;
use flowq::source::locate;

use crate::corpus::{Corpus, Options, median, scratch};
use crate::process::{self, Measured};
use crate::stages::inflate_members;

const TOP: &str = "SELECT srcaddr, count(*) AS n FROM flow_logs WHERE action = 'REJECT' \
                   GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10";

const PORTS: &str =
    "SELECT dstport, sum(bytes) AS n FROM flow_logs GROUP BY dstport ORDER BY n DESC, dstport LIMIT 10";

const NETWORK: &str = "SELECT srcaddr, sum(bytes) AS n FROM flow_logs WHERE cidr_contains('10.0.0.0/16', srcaddr) \
                       GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10";

/// What is asked of each program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Ingest,
    Raw,
    Store,
    Ports,
    Network,
}

impl Task {
    const ALL: [Task; 5] = [Task::Ingest, Task::Raw, Task::Store, Task::Ports, Task::Network];

    fn name(self) -> &'static str {
        match self {
            Task::Ingest => "ingest",
            Task::Raw => "raw",
            Task::Store => "store",
            Task::Ports => "ports",
            Task::Network => "network",
        }
    }

    /// The question, in flowq's SQL.
    fn sql(self) -> &'static str {
        match self {
            Task::Ingest => "SELECT count(*), sum(bytes) FROM flow_logs",
            Task::Raw | Task::Store => TOP,
            Task::Ports => PORTS,
            Task::Network => NETWORK,
        }
    }

    /// Whether it reads what the ingest has written.
    fn is_over_store(self) -> bool {
        !matches!(self, Task::Ingest | Task::Raw)
    }

    fn title(self) -> &'static str {
        match self {
            Task::Ingest => "gz to typed Parquet, zstd",
            Task::Raw => "top 10 rejected sources, straight from gz",
            Task::Store => "top 10 rejected sources, over the Parquet that it wrote itself",
            Task::Ports => "top 10 ports by bytes, over the Parquet that it wrote itself",
            Task::Network => "top 10 sources of a /16 by bytes, over the Parquet that it wrote itself",
        }
    }
}

/// A program that does the tasks.
enum Program {
    Flowq,
    /// The limit of whatever begins at gz: inflating, and nothing else.
    Inflate,
    Python {
        python: String,
        script: PathBuf,
        name: String,
    },
}

impl Program {
    fn name(&self) -> &str {
        match self {
            Program::Flowq => "flowq",
            Program::Inflate => "inflating alone",
            Program::Python { name, .. } => name,
        }
    }

    fn command(&self, task: Task, corpus: &Corpus, output: &Path, threads: usize) -> Option<Command> {
        let mut command;
        match self {
            Program::Flowq => {
                command = Command::new(env!("CARGO_BIN_EXE_flowq"));
                command.arg("--store").arg(output).arg("--threads").arg(threads.to_string());
                match task {
                    Task::Ingest => command.arg("ingest").arg("-q").arg(&corpus.folder),
                    Task::Raw => command.arg("sql").arg("--from").arg(&corpus.folder).args([
                        "--format",
                        "csv",
                        "-c",
                        task.sql(),
                    ]),
                    _ => command.args(["sql", "--format", "csv", "-c", task.sql()]),
                };
            }
            Program::Inflate => {
                if task.is_over_store() {
                    return None;
                }
                command = Command::new(std::env::current_exe().ok()?);
                command.arg("inflate").arg(&corpus.folder).arg(threads.to_string());
            }
            Program::Python { python, script, .. } => {
                command = Command::new(python);
                command.arg(script).arg(task.name()).arg(&corpus.folder).arg(output).arg(threads.to_string());
            }
        }
        Some(command)
    }

    /// What the Parquet that it wrote holds, as `rows,bytes`: asked after the ingest and not timed.
    fn count(&self, output: &Path, threads: usize) -> Option<Command> {
        let mut command;
        match self {
            Program::Flowq => {
                command = Command::new(env!("CARGO_BIN_EXE_flowq"));
                command.arg("--store").arg(output).args(["sql", "--format", "csv", "-c"]);
                command.arg(Task::Ingest.sql());
            }
            Program::Inflate => return None,
            Program::Python { python, script, .. } => {
                command = Command::new(python);
                command.arg(script).arg("count").arg("-").arg(output).arg(threads.to_string());
            }
        }
        Some(command)
    }
}

/// The Python that has the peers.
fn python() -> String {
    std::env::var("FLOWQ_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The programs that are there; says which are not.
fn programs() -> Vec<Program> {
    let mut programs = vec![Program::Inflate, Program::Flowq];
    for module in ["duckdb", "polars", "chdb", "datafusion"] {
        let python = python();
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
                programs.push(Program::Python { python, script, name: format!("{module} {version}") });
            }
            None => eprintln!("{module} is left out: {python} has no such module (set FLOWQ_BENCH_PYTHON)"),
        }
    }
    programs
}

/// Runs `cargo bench -- table`.
pub fn run(args: &[String]) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tasks = Task::ALL.iter().map(|task| task.name().to_owned()).collect();
    let defaults = Options { data: None, rows: 20_000_000, runs: 3, threads, tasks };
    let options = defaults.parse(args)?;
    if let Some(unknown) =
        options.tasks.iter().find(|name| !Task::ALL.iter().any(|task| task.name() == **name))
    {
        return Err(format!("unknown task {unknown}"));
    }
    let corpus = Corpus::get(&options)?;
    let programs = programs();
    println!(
        "{} files, {:.1} MB; {} threads; medians of {} runs taken in turns; whole processes",
        corpus.files.len(),
        corpus.bytes as f64 / 1e6,
        options.threads,
        options.runs
    );
    let folder = scratch().join("table");
    for task in Task::ALL {
        if options.tasks.iter().any(|name| name == task.name()) {
            measure(task, &programs, &corpus, &folder, &options)?;
        }
    }
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}

fn measure(
    task: Task,
    programs: &[Program],
    corpus: &Corpus,
    folder: &Path,
    options: &Options,
) -> Result<(), String> {
    let mut runs: BTreeMap<usize, Vec<Measured>> = BTreeMap::new();
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    let mut answers: BTreeMap<usize, String> = BTreeMap::new();
    let log = folder.join("output.txt");
    for _ in 0..options.runs {
        for (place, program) in programs.iter().enumerate() {
            if failed.contains_key(&place) {
                continue;
            }
            let output = folder.join(place.to_string());
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
            if task == Task::Ingest {
                let _ = std::fs::remove_dir_all(&output);
            } else if task.is_over_store() && !output.exists() {
                // The store is an ingest of its own where that was not asked for.
                if let Some(mut command) = program.command(Task::Ingest, corpus, &output, options.threads) {
                    process::run(&mut command, &log)?;
                }
            }
            let Some(mut command) = program.command(task, corpus, &output, options.threads) else { continue };
            match process::run(&mut command, &log) {
                Ok(measured) => {
                    let answer = match task {
                        Task::Ingest => program.count(&output, options.threads).and_then(|mut command| {
                            process::run(&mut command, &log).ok().map(|measured| measured.output)
                        }),
                        _ if matches!(program, Program::Inflate) => None,
                        _ => Some(measured.output.clone()),
                    };
                    answers.extend(answer.map(|answer| (place, plain(&answer))));
                    runs.entry(place).or_default().push(measured);
                }
                Err(error) => {
                    runs.remove(&place);
                    failed.insert(place, error);
                }
            }
        }
    }
    print(task, programs, &runs, &failed, &answers, folder, corpus);
    Ok(())
}

/// An answer without the header line and the line ends of its program.
fn plain(answer: &str) -> String {
    let lines = answer.lines().map(str::trim).filter(|line| line.chars().any(|c| c.is_ascii_digit()));
    lines.filter(|line| !line.contains('(')).collect::<Vec<_>>().join("\n")
}

fn print(
    task: Task,
    programs: &[Program],
    runs: &BTreeMap<usize, Vec<Measured>>,
    failed: &BTreeMap<usize, String>,
    answers: &BTreeMap<usize, String>,
    folder: &Path,
    corpus: &Corpus,
) {
    let of = |place: usize, part: fn(&Measured) -> f64| {
        median(runs.get(&place).map_or_else(Vec::new, |runs| runs.iter().map(part).collect()))
    };
    let flowq = programs.iter().position(|program| matches!(program, Program::Flowq)).unwrap_or(0);
    let best = of(flowq, |run| run.wall);
    println!("\n### {}\n", task.title());
    println!("| program | wall s | times flowq | CPU s | peak MiB | gz MB/s | output MB | answer |");
    println!("|---|---:|---:|---:|---:|---:|---:|---|");
    let reference = answers.get(&flowq).or_else(|| answers.values().next());
    for (place, program) in programs.iter().enumerate().filter(|(place, _)| runs.contains_key(place)) {
        let wall = of(place, |run| run.wall);
        let size = match (task, program) {
            (Task::Raw, _) | (_, Program::Inflate) => String::new(),
            _ => format!("{:.1}", size_of(&folder.join(place.to_string())) as f64 / 1e6),
        };
        let answer = match answers.get(&place) {
            None => "",
            Some(answer) if Some(answer) == reference => "agrees",
            Some(_) => "**differs**",
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {size} | {answer} |",
            program.name(),
            cell(wall, 3),
            cell(wall / best, 2),
            cell(of(place, |run| run.cpu), 2),
            cell(of(place, |run| run.peak) / (1 << 20) as f64, 0),
            cell(corpus.bytes as f64 / 1e6 / wall, 0),
        );
    }
    for (place, error) in failed {
        println!("\n{} is missing: {error}", programs.get(*place).map_or("?", Program::name));
    }
}

fn cell(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "—".to_owned() }
}

/// Bytes of the Parquet files under a folder.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size_of(&entry.path()),
        Ok(_) if entry.path().extension().is_some_and(|suffix| suffix == "parquet") => {
            entry.metadata().map_or(0, |data| data.len())
        }
        _ => 0,
    });
    sizes.sum()
}

/// `inflate DIR THREADS`: the limit, as a program of its own, so that it is measured like the others.
pub fn inflate(args: &[String]) -> Result<(), String> {
    let [folder, threads] = args else { return Err("inflate DIR THREADS".to_owned()) };
    let threads: usize = threads.parse().map_err(|_| format!("{threads} is no number"))?;
    let files = locate(&[folder.as_str()], None).objects;
    let next = AtomicUsize::new(0);
    let work = || -> Result<u64, String> {
        let mut inflater = Inflater::new().map_err(|error| error.to_string())?;
        let (mut text, mut bytes) = (Vec::new(), 0);
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let raw = std::fs::read(file.file()).map_err(|error| format!("{}: {error}", file.path))?;
            bytes += inflate_members(&raw, &mut inflater, &mut text);
        }
        Ok(bytes)
    };
    let bytes: Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread broke off".to_owned())?)
            .collect()
    });
    println!("{}", bytes?.iter().sum::<u64>());
    Ok(())
}
