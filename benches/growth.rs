//! flowq over logs of some hours and over logs of many more: the cost of what has to read them all grows as they do, that
//! of what is pruned does not.

use std::path::Path;

use crate::corpus::{Corpus, Options, median, scratch};
use crate::process::{self, Measured};
use crate::program::{Place, Program, wanted};
use crate::table::{cell, plain};
use crate::work::{Task, Wanted};

/// Runs `cargo bench -- growth`.
pub fn run(args: &[String]) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tasks = Task::ALL.iter().map(|task| task.name().to_owned()).collect();
    let options = Options { data: None, rows: 20_000_000, runs: 3, threads, tasks, times: 5 }.parse(args)?;
    if options.data.is_some() {
        return Err("growth makes its own logs (leave --data out)".to_owned());
    }
    let folder = scratch().join("growth");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let sizes = [options.rows, options.rows.saturating_mul(options.times)];
    let corpora = sizes.map(|rows| Corpus::get(&options, rows));
    let [small, large] = corpora;
    let corpora = [small?, large?];
    println!(
        "{} rows ({:.0} MB of gz) and {} ({:.0} MB); {} threads; medians of {} runs taken in turns",
        sizes[0],
        corpora[0].bytes as f64 / 1e6,
        sizes[1],
        corpora[1].bytes as f64 / 1e6,
        options.threads,
        options.runs
    );
    println!(
        "\n| work | wall s | wall s | times | CPU s | CPU s | times | peak MiB | peak MiB | rows | rows |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut looked_for = [Wanted::default(), Wanted::default()];
    for task in Task::ALL.into_iter().filter(|task| options.tasks.iter().any(|name| name == task.name())) {
        let mut runs: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..options.runs {
            for (at, corpus) in corpora.iter().enumerate() {
                let place = Place { corpus, output: &folder.join(at.to_string()), threads: options.threads };
                runs[at].push(once(task, &place, &mut looked_for[at], &folder)?);
            }
        }
        let of = |at: usize, part: fn(&Measured) -> f64| median(runs[at].iter().map(part).collect());
        let (walls, cpus) = ([0, 1].map(|at| of(at, |run| run.wall)), [0, 1].map(|at| of(at, |run| run.cpu)));
        let peaks = [0, 1].map(|at| of(at, |run| run.peak) / (1 << 20) as f64);
        let rows = [0, 1].map(|at| runs[at].last().map_or(0, |run| plain(&run.output).lines().count()));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            task.title(),
            cell(walls[0], 3),
            cell(walls[1], 3),
            cell(walls[1] / walls[0], 1),
            cell(cpus[0], 2),
            cell(cpus[1], 2),
            cell(cpus[1] / cpus[0], 1),
            cell(peaks[0], 0),
            cell(peaks[1], 0),
            rows[0],
            rows[1],
        );
    }
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}

fn once(task: Task, place: &Place<'_>, wanted_here: &mut Wanted, folder: &Path) -> Result<Measured, String> {
    let log = folder.join("output.txt");
    let begin = |task: Task, wanted: &Wanted| {
        let command = Program::Flowq.command(task, wanted, place);
        command.ok_or_else(|| format!("flowq has no {}", task.name()))
    };
    if task == Task::Ingest {
        let _ = std::fs::remove_dir_all(place.output);
    } else if task.is_over_store() && !place.output.exists() {
        process::run(&mut begin(Task::Ingest, wanted_here)?, &log)?;
    }
    if task.wants() && wanted_here.address.is_empty() {
        *wanted_here = wanted(place.output, &log)?;
    }
    process::run(&mut begin(task, wanted_here)?, &log)
}
