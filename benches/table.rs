//! flowq beside DuckDB, Polars, chDB and DataFusion: the same files, the same work, the same number of threads, whole processes.
//!
//! Programs take turns (A B C A B C …), so that what disturbs the machine disturbs all of them; answers must agree,
//! or the table says so. The scripts of the other programs are in `peers/`: each states the work as that program does
//! it best, with the types given.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowq::parse::inflate::Inflater;
use flowq::source::locate;

use crate::corpus::{Corpus, Options, median, scratch};
use crate::process::{self, Measured};
use crate::program::{Place, Program, programs, wanted};
use crate::stages::inflate_members;
use crate::work::{Task, Wanted};

/// Runs `cargo bench -- table`.
pub fn run(args: &[String]) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tasks = Task::ALL.iter().map(|task| task.name().to_owned()).collect();
    let defaults = Options { data: None, rows: 20_000_000, runs: 3, threads, tasks, times: 1 };
    let options = defaults.parse(args)?;
    if let Some(unknown) =
        options.tasks.iter().find(|name| !Task::ALL.iter().any(|task| task.name() == **name))
    {
        return Err(format!("unknown task {unknown}"));
    }
    let corpus = Corpus::get(&options, options.rows)?;
    println!(
        "{} files, {:.1} MB; {} threads; medians of {} runs taken in turns; whole processes",
        corpus.files.len(),
        corpus.bytes as f64 / 1e6,
        options.threads,
        options.runs
    );
    let folder = scratch().join("table");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let tasks = || Task::ALL.into_iter().filter(|task| options.tasks.iter().any(|name| name == task.name()));
    let runs = Runs {
        programs: programs(),
        corpus: &corpus,
        folder: &folder,
        options: &options,
        wanted: Wanted::default(),
    };
    let mut runs = runs.ready(tasks())?;
    let mut rows = Vec::new();
    for task in tasks() {
        rows.push(runs.measure(task)?);
    }
    runs.summary(&rows);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}

/// What all tasks of one run share.
struct Runs<'a> {
    programs: Vec<Program>,
    corpus: &'a Corpus,
    folder: &'a Path,
    options: &'a Options,
    wanted: Wanted,
}

/// How long each program took for a task, in seconds, by its place among them.
struct Row {
    task: Task,
    wall: BTreeMap<usize, f64>,
}

impl<'a> Runs<'a> {
    /// Makes ready what these tasks find there: each program's Parquet, and what is looked for in it.
    fn ready(mut self, tasks: impl Iterator<Item = Task>) -> Result<Runs<'a>, String> {
        let tasks: Vec<Task> = tasks.collect();
        let flowq = self.flowq();
        let from_store = tasks.iter().any(|task| task.is_over_store()) && !tasks.contains(&Task::Ingest);
        for (place, program) in self.programs.iter().enumerate().filter(|_| from_store) {
            let output = self.output(place);
            let ingest = program.command(Task::Ingest, &self.wanted, &self.at(&output));
            if let Some(mut command) = ingest.filter(|_| !matches!(program, Program::Inflate)) {
                process::run(&mut command, &self.log())?;
            }
        }
        if tasks.iter().any(|task| task.wants()) && !tasks.contains(&Task::Ingest) {
            self.wanted = wanted(&self.output(flowq), &self.log())?;
        }
        Ok(self)
    }

    fn flowq(&self) -> usize {
        self.programs.iter().position(|program| matches!(program, Program::Flowq)).unwrap_or(0)
    }

    fn output(&self, place: usize) -> std::path::PathBuf {
        self.folder.join(place.to_string())
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.join("output.txt")
    }

    fn at<'o>(&'o self, output: &'o Path) -> Place<'o> {
        Place { corpus: self.corpus, output, threads: self.options.threads }
    }

    fn measure(&mut self, task: Task) -> Result<Row, String> {
        let mut runs: BTreeMap<usize, Vec<Measured>> = BTreeMap::new();
        let mut failed: BTreeMap<usize, String> = BTreeMap::new();
        let mut answers: BTreeMap<usize, String> = BTreeMap::new();
        let log = self.log();
        if task.wants() && self.wanted.address.is_empty() {
            self.wanted = wanted(&self.output(self.flowq()), &log)?;
        }
        for _ in 0..self.options.runs {
            for (place, program) in self.programs.iter().enumerate() {
                if failed.contains_key(&place) {
                    continue;
                }
                let output = self.output(place);
                if task == Task::Ingest {
                    let _ = std::fs::remove_dir_all(&output);
                }
                let at = self.at(&output);
                let Some(mut command) = program.command(task, &self.wanted, &at) else { continue };
                match process::run(&mut command, &log) {
                    Ok(measured) => {
                        let answer = match task {
                            Task::Ingest => program.count(&at).and_then(|mut command| {
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
        Ok(self.print(task, &runs, &failed, &answers))
    }

    fn print(
        &self,
        task: Task,
        runs: &BTreeMap<usize, Vec<Measured>>,
        failed: &BTreeMap<usize, String>,
        answers: &BTreeMap<usize, String>,
    ) -> Row {
        let of = |place: usize, part: fn(&Measured) -> f64| {
            median(runs.get(&place).map_or_else(Vec::new, |runs| runs.iter().map(part).collect()))
        };
        let flowq = self.flowq();
        let best = of(flowq, |run| run.wall);
        let over = if task.is_over_store() { ", over the Parquet that it wrote itself" } else { "" };
        println!("\n### {}{over}\n", task.title());
        println!("| program | wall s | times flowq | CPU s | peak MiB | gz MB/s | output MB | answer |");
        println!("|---|---:|---:|---:|---:|---:|---:|---|");
        let reference = answers.get(&flowq).or_else(|| answers.values().next());
        let mut row = Row { task, wall: BTreeMap::new() };
        for (place, program) in self.programs.iter().enumerate().filter(|(place, _)| runs.contains_key(place))
        {
            let wall = of(place, |run| run.wall);
            row.wall.insert(place, wall);
            let size = match (task, program) {
                (Task::Raw | Task::RawTable, _) | (_, Program::Inflate) => String::new(),
                _ => format!("{:.1}", size_of(&self.output(place)) as f64 / 1e6),
            };
            let answer = match answers.get(&place) {
                None => "",
                Some(answer) if answer.is_empty() => "**empty**",
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
                cell(self.corpus.bytes as f64 / 1e6 / wall, 0),
            );
        }
        for (place, error) in failed {
            println!("\n{} is missing: {error}", self.programs.get(*place).map_or("?", Program::name));
        }
        row
    }

    /// All tasks in one table, as the README has it.
    fn summary(&self, rows: &[Row]) {
        let flowq = self.flowq();
        let names: Vec<&str> = self.programs.iter().map(Program::name).collect();
        println!("\n### All\n");
        println!("| work | {} | flowq / best |", names.join(" | "));
        println!("|---|{}---:|", "---:|".repeat(names.len()));
        for row in rows {
            let own = row.wall.get(&flowq).copied().unwrap_or(f64::NAN);
            let peers = row
                .wall
                .iter()
                .filter(|(place, _)| matches!(self.programs.get(**place), Some(Program::Python { .. })));
            let best = peers.map(|(_, wall)| *wall).fold(f64::NAN, f64::min);
            let walls = (0..names.len()).map(|place| {
                let wall = row.wall.get(&place).copied().unwrap_or(f64::NAN);
                if wall.is_finite() { format!("{wall:.2} s") } else { "—".to_owned() }
            });
            let walls: Vec<String> = walls.collect();
            println!("| {} | {} | {} |", row.task.title(), walls.join(" | "), cell(own / best, 2));
        }
    }
}

/// An answer without the header line and the line ends of its program, its rows in order.
pub fn plain(answer: &str) -> String {
    let lines = answer.lines().map(str::trim).filter(|line| line.chars().any(|c| c.is_ascii_digit()));
    let mut lines: Vec<&str> = lines.filter(|line| !line.contains('(')).collect();
    lines.sort_unstable();
    lines.join("\n")
}

pub fn cell(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "—".to_owned() }
}

/// Bytes of the Parquet files under a folder.
pub fn size_of(folder: &Path) -> u64 {
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
