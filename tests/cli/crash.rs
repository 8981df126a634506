//! Ingests that are killed, that run beside each other, that are watched, and that find no space: each line is stored
//! exactly once in the end, and what had been committed is there all the time.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::delta::Table;
use crate::generate::{self, Kind};
use crate::support::{Case, Run, flow_log, gzip};

/// Logs of the default format in compressed files of different sizes; the number of their rows.
fn generated(folder: &Path, rows: u64, files: usize, seed: u64) -> u64 {
    let options = generate::Options {
        rows,
        files,
        seed,
        level: Some(1),
        ..generate::Options::new(Kind::FlowV2, folder)
    };
    generate::generate(&options).unwrap().rows
}

/// Asserts that so many lines are stored, and none of them twice.
#[track_caller]
fn assert_each_once(store: &Path, rows: u64) {
    let lines = Table::open(store, "flow_logs").unwrap().lines();
    let twice = lines.iter().find(|(_, times)| **times != 1);
    assert_eq!(twice, None, "stored more than once");
    assert_eq!(lines.len() as u64, rows);
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn silent(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How many runs are killed before they have ended.
const KILLS: u32 = 28;

#[test]
fn killed_at_any_instant_the_same_command_completes_the_work() {
    let case = Case::new();
    let old = 20_000;
    // What is committed before; one file of it grows later, so that the killed run also has to replace.
    case.write("first.log", flow_log(0, old));
    case.write("growing.log", flow_log(old, 1000));
    case.ingest(&[]).expect(0);
    let base = case.dir.path().join("base");
    fs::rename(case.store(), &base).unwrap();
    case.write("growing.log", flow_log(old, 2500));
    let new = generated(&case.input(), 250_000, 24, 7);
    let (before, after) = (old + 1000, old + 2500 + new);

    // How long it takes when nobody interferes.
    copy(&base, &case.store());
    let begun = Instant::now();
    case.ingest(&[]).expect(0);
    let whole = begun.elapsed();
    assert_each_once(&case.store(), after);

    let (mut cut_short, mut kill, mut whole) = (0, 0, whole);
    while cut_short < KILLS {
        assert!(kill < 4 * KILLS, "only {cut_short} of {kill} runs were cut short");
        fs::remove_dir_all(case.store()).unwrap();
        copy(&base, &case.store());
        // From before anything has begun until after all is done; every fourth one dies twice.
        for round in 0..=u32::from(kill % 4 == 3) {
            let mut child = silent(case.ingest_command(&[case.input()], &[])).spawn().unwrap();
            let instant = whole * (kill * 7 % KILLS + round) / (KILLS - 2);
            std::thread::sleep(instant);
            child.kill().unwrap();
            let ended = child.wait().unwrap().code().is_some();
            cut_short += u32::from(!ended);
            // The machine has other things to do as well, so what a whole run takes changes.
            if ended && instant < whole {
                whole = instant;
            } else if !ended && instant >= whole {
                whole = instant * 5 / 4;
            }
            let count = Table::open(&case.store(), "flow_logs").unwrap().count();
            assert!(
                count == before || count == after,
                "kill {kill}: {count} rows are neither {before} nor {after}"
            );
        }
        kill += 1;
        let summary = case.ingest(&[]).expect(0).json();
        assert_each_once(&case.store(), after);
        assert_eq!(summary["adds_up"], true);
        assert_eq!(case.count("ingested_files"), 26, "kill {kill}");
        let again = case.ingest(&[]).expect(0).json();
        assert_eq!((&again["total"]["rows"], &again["unchanged"]), (&0.into(), &26.into()), "kill {kill}");
    }
    // Nothing is left of what was written and not committed.
    let known: Vec<PathBuf> =
        Table::open(&case.store(), "flow_logs").unwrap().files().map(|(path, _)| path).collect();
    let stray = parquet_files(&case.store().join("flow_logs"));
    let stray =
        stray.iter().filter(|path| !known.contains(path) && !path.to_string_lossy().contains("_delta_log"));
    let replaced = Table::open(&base, "flow_logs").unwrap().file_count();
    assert!(stray.count() <= replaced, "files that no commit names");
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|suffix| suffix == "parquet") {
            all.push(path);
        }
    }
    all
}

#[test]
fn killed_while_the_store_is_being_made() {
    let case = Case::new();
    case.write("a.log.gz", gzip(flow_log(0, 2000)));
    for kill in 0..30 {
        let mut child = silent(case.ingest_command(&[case.input()], &[])).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(kill));
        child.kill().unwrap();
        child.wait().unwrap();
        case.ingest(&[]).expect(0);
        assert_each_once(&case.store(), 2000);
        fs::remove_dir_all(case.store()).unwrap();
    }
}

#[test]
fn interrupted_the_run_says_so_and_the_next_one_goes_on() {
    let case = Case::new();
    let rows = generated(&case.input(), 400_000, 8, 3);
    let begun = Instant::now();
    case.ingest(&[]).expect(0);
    let whole = begun.elapsed();
    fs::remove_dir_all(case.store()).unwrap();
    let mut interrupted = 0;
    for part in 1..6 {
        let child = case
            .ingest_command(&[case.input()], &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * part / 8);
        let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(signal.success());
        let run = Run::of(child.wait_with_output().unwrap());
        match run.code {
            Some(130) => {
                interrupted += 1;
                assert!(run.err.contains("interrupted"), "{}", run.err);
                assert_eq!(case.count("flow_logs"), 0, "the batch at hand is not stored by half");
            }
            // The signal came before the program listened, or after its work was done.
            None | Some(0) => {}
            other => panic!("{other:?}: {}", run.err),
        }
        if case.count("flow_logs") > 0 {
            fs::remove_dir_all(case.store()).unwrap();
        }
    }
    assert!(interrupted >= 2, "{interrupted}");
    case.ingest(&[]).expect(0);
    assert_each_once(&case.store(), rows);
}

#[test]
fn two_ingests_into_one_store_at_once() {
    for round in 0..4 {
        let case = Case::new();
        let one = generated(&case.input().join("one"), 60_000, 12, 11);
        let two = generated(&case.input().join("two"), 60_000, 12, 12);
        let spawn = |paths: &[PathBuf]| {
            case.ingest_command(paths, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let (a, b) = (case.input().join("one"), case.input().join("two"));
        // The first have nothing in common, the second half, the third everything.
        let inputs = match round {
            0 => [vec![a], vec![b]],
            1 => [vec![a.clone()], vec![b, a]],
            _ => [vec![case.input()], vec![case.input()]],
        };
        let children = inputs.map(|paths| spawn(&paths));
        let runs = children.map(|child| Run::of(child.wait_with_output().unwrap()).expect(0).json());
        let rows: u64 = runs.iter().map(|run| run["total"]["rows"].as_u64().unwrap()).sum();
        assert_eq!(rows, one + two, "together they stored everything once");
        assert_each_once(&case.store(), one + two);
        assert_eq!(case.count("ingested_files"), 24);
    }
}

#[test]
fn a_reader_beside_an_ingest_sees_whole_commits_only() {
    let case = Case::new();
    let store = case.store();
    let done = AtomicBool::new(false);
    // Each run adds a file and replaces another that has grown.
    let totals: Vec<u64> = (1..=8).map(|run| run * 3000 + run * 500).collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let count = Table::open(&store, "flow_logs").map_or(0, |table| table.count());
                assert!(count >= last, "{count} rows after {last}");
                last = count;
                *seen.entry(count).or_insert(0) += 1;
            }
            seen
        });
        for run in 1..=8 {
            case.write(&format!("{run}.log.gz"), gzip(flow_log(run * 100_000, 3000)));
            case.write("growing.log", flow_log(0, run * 500));
            let outcome = case.ingest(&[]);
            if outcome.code != Some(0) {
                done.store(true, Ordering::Relaxed);
                panic!("{outcome:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(seen.len() > 4, "the reader saw too little: {seen:?}");
        for count in seen.keys() {
            assert!(*count == 0 || totals.contains(count), "{count} rows were never committed: {totals:?}");
        }
    });
    assert_each_once(&store, 28_000);
}

/// A file system of so many MiB, where this user may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: &Path, mebibytes: u32) -> Option<SmallDisk> {
        fs::create_dir(at).unwrap();
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_next_run_completes_the_work() {
    let case = Case::new();
    let Some(disk) = SmallDisk::new(&case.dir.path().join("disk"), 16) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let store = disk.0.join("store");
    let ingest = || {
        let mut command = crate::support::command();
        command.arg("ingest").arg(case.input()).arg("--store").arg(&store).args(["--format", "json"]);
        Run::of(command.output().unwrap())
    };
    case.write("a.log", flow_log(0, 500));
    ingest().expect(0);
    let rows = generated(&case.input(), 300_000, 6, 5);
    let filler = disk.0.join("filler");
    // From nothing left to more than half of what is needed, so that the space ends in different places.
    for left in [0, 16, 150, 700, 1500, 2500] {
        let mut file = fs::File::create(&filler).unwrap();
        let mut size = 0;
        while let Ok(count @ 1..) = file.write(&[0; 4096]) {
            size += count as u64;
        }
        file.set_len(size.saturating_sub(left << 10)).unwrap();
        let run = ingest();
        assert_eq!(run.code, Some(4), "{left} KiB left: {run:?}");
        assert!(run.err.contains("space"), "{}", run.err);
        assert_eq!(Table::open(&store, "flow_logs").unwrap().count(), 500);
        fs::remove_file(&filler).unwrap();
    }
    ingest().expect(0);
    assert_each_once(&store, rows + 500);
    assert_eq!(Table::open(&store, "ingested_files").unwrap().count(), 7);
}

#[test]
fn writes_that_fail_leave_nothing_and_the_next_run_completes_the_work() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 500));
    case.ingest(&[]).expect(0);
    let rows = generated(&case.input(), 150_000, 6, 5);
    let program = env!("CARGO_BIN_EXE_flowq");
    for kibibytes in [1, 4, 16, 64, 256] {
        // The signal is ignored, so that the write fails with an error, as on a full disk.
        let limited = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &limited, program, "ingest"]).arg(case.input()).arg("--store").arg(case.store());
        let run = Run::of(command.env_remove("FLOWQ_STORE").output().unwrap());
        assert_eq!(run.code, Some(4), "{kibibytes}: {run:?}");
        let place = case.store().display().to_string();
        assert!(run.err.contains("cannot") && run.err.contains(&place), "{kibibytes}: {}", run.err);
        assert_eq!(case.count("flow_logs"), 500, "{kibibytes}");
    }
    case.ingest(&[]).expect(0);
    assert_each_once(&case.store(), rows + 500);
    assert_eq!(case.count("ingested_files"), 7);
}
