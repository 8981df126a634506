//! Each line is stored exactly once, whatever is copied, cut off, fetched again or named twice.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::delta;
use crate::samples::flow_row;
use crate::support::{Case, HEADER, Run, aws_key, aws_name, command, flow_lines, flow_log, gzip, project};

/// Asserts that the store holds these records of the default format, each once.
#[track_caller]
pub fn assert_records(case: &Case, from: u64, count: u64) {
    let mut found = case.rows("flow_logs");
    let text = flow_lines(from, count);
    let mut wanted: Vec<_> = text.lines().map(|line| flow_row(HEADER, line)).collect();
    // The bytes of each record are its number.
    let number = |row: &delta::Row| row["bytes"].as_u64();
    found.sort_by_key(number);
    wanted.sort_by_key(number);
    assert_eq!(found.len(), wanted.len());
    assert!(found == wanted, "the rows are not those that were written");
}

fn total(summary: &Value) -> u64 {
    summary["total"]["rows"].as_u64().unwrap()
}

/// Lets the time of modification differ from what was written before, whatever the file system's resolution.
pub fn later(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(2);
    file.set_modified(time).unwrap();
}

#[test]
fn a_truncated_download_is_replaced_by_the_whole() {
    let case = Case::new();
    let whole = gzip(flow_log(0, 5000));
    let path = case.write("a.log.gz", &whole[..whole.len() / 2]);
    let summary = case.ingest(&[]).expect(0).json();
    let part = total(&summary);
    assert!(part > 100 && part < 5000, "{part}");
    assert_eq!(summary["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(case.count("quarantine"), 1);

    fs::write(&path, &whole).unwrap();
    later(&path);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(total(&summary), 5000);
    assert_eq!(summary["replaced"].as_array().unwrap().len(), 1);
    assert_records(&case, 0, 5000);
    assert_eq!(case.count("quarantine"), 0, "the torn line went with the earlier version");
    assert_eq!(case.count("ingested_files"), 1);
    assert_eq!(total(&case.ingest(&[]).expect(0).json()), 0);
}

#[test]
fn the_whole_object_under_another_path_replaces_its_truncated_copy() {
    let whole = gzip(flow_log(0, 3000));
    // One after the other.
    let case = Case::new();
    case.write(&format!("downloads/{}", aws_name("0badcafe")), &whole[..whole.len() / 2]);
    case.ingest(&[]).expect(0);
    case.write(&aws_key("0badcafe"), &whole);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["replaced"].as_array().unwrap().len(), 1, "{summary:#}");
    assert_records(&case, 0, 3000);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(total(&summary), 0, "the truncated copy does not come back: {summary:#}");
    assert_records(&case, 0, 3000);
    // The whole first.
    let case = Case::new();
    case.write(&aws_key("0badcafe"), &whole);
    case.ingest(&[]).expect(0);
    case.write(&format!("downloads/{}", aws_name("0badcafe")), &whole[..whole.len() / 2]);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), summary["duplicates"].as_array().unwrap().len()), (0, 1));
    assert_records(&case, 0, 3000);
    // Both at once, in either order of their names.
    for folder in ["a-downloads", "z-downloads"] {
        let case = Case::new();
        case.write(&format!("{folder}/{}", aws_name("0badcafe")), &whole[..whole.len() / 2]);
        case.write(&aws_key("0badcafe"), &whole);
        case.ingest(&[]).expect(0);
        assert_records(&case, 0, 3000);
        assert_eq!(total(&case.ingest(&[]).expect(0).json()), 0);
        assert_records(&case, 0, 3000);
    }
}

#[test]
fn a_file_that_has_grown_replaces_what_it_gave() {
    let case = Case::new();
    let path = case.write("a.log", flow_log(0, 1000));
    case.write("b.log", flow_log(1000, 500));
    case.ingest(&[]).expect(0);
    for count in [1001, 2000] {
        let grown = format!("{HEADER}{}{}", flow_lines(0, 1000), flow_lines(1500, count - 1000));
        fs::write(&path, grown).unwrap();
        later(&path);
        let summary = case.ingest(&[]).expect(0).json();
        assert_eq!((total(&summary), &summary["unchanged"]), (count, &json!(1)));
        assert_records(&case, 0, count + 500);
    }
}

#[test]
fn a_file_of_the_same_size_with_other_content_replaces_what_it_gave() {
    let case = Case::new();
    let line = |port: u16| {
        format!(
            "{HEADER}2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 {port} 443 6 12 4210 1768471200 1768471258 ACCEPT OK\n"
        )
    };
    let path = case.write("a.log", line(40000));
    case.ingest(&[]).expect(0);
    fs::write(&path, line(40001)).unwrap();
    later(&path);
    case.ingest(&[]).expect(0);
    let ports: Vec<_> = case.rows("flow_logs").iter().map(|row| row["srcport"].clone()).collect();
    assert_eq!(ports, [json!(40001)]);
}

#[test]
fn a_file_whose_time_alone_has_changed_is_not_stored_again() {
    let case = Case::new();
    let path = case.write("a.log", flow_log(0, 10));
    case.ingest(&[]).expect(0);
    later(&path);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), &summary["unchanged"]), (0, &json!(1)));
    assert_records(&case, 0, 10);
}

#[test]
fn copies_under_other_names_are_duplicates() {
    let case = Case::new();
    let log = flow_log(0, 50);
    case.write("a.log", &log);
    case.write("copy of a", &log);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), summary["duplicates"].as_array().unwrap().len()), (50, 1));
    case.write("deep/er/b.log", &log);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), summary["duplicates"].as_array().unwrap().len()), (0, 1));
    assert_records(&case, 0, 50);
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((&summary["unchanged"], summary["duplicates"].as_array().unwrap().len()), (&json!(3), 0));
}

#[test]
fn one_object_under_two_roots_in_one_run() {
    let case = Case::new();
    let log = gzip(flow_log(0, 200));
    case.write(&format!("one/{}", aws_key("00000001")), &log);
    case.write(&format!("two/{}", aws_key("00000001")), &log);
    case.write(&format!("two/{}", aws_key("00000002")), gzip(flow_log(200, 100)));
    let summary =
        case.ingest_paths(&[case.input().join("one"), case.input().join("two")], &[]).expect(0).json();
    assert_eq!((total(&summary), summary["duplicates"].as_array().unwrap().len()), (300, 1));
    assert_records(&case, 0, 300);
}

#[test]
fn overlapping_inputs_are_read_once() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 20));
    case.write("x/b.log", flow_log(20, 20));
    case.write("x/c.txt", flow_log(40, 20));
    let input = case.input();
    let glob = input.join("**/*.log");
    let paths = [input.clone(), input.join("a.log"), input.join("x"), glob, input.join("x/../a.log")];
    let summary = case.ingest_paths(&paths, &[]).expect(0).json();
    assert_eq!((total(&summary), &summary["found"]), (60, &json!(3)));
    assert_records(&case, 0, 60);
}

#[test]
fn a_glob_takes_what_it_matches_and_no_more() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 20));
    case.write("x/b.log", flow_log(20, 20));
    case.write("x/y/c.log", flow_log(40, 20));
    case.write("x/y/d.txt", flow_log(60, 20));
    case.ingest_paths(&[case.input().join("*.log")], &[]).expect(0);
    assert_records(&case, 0, 20);
    case.ingest_paths(&[case.input().join("**/*.log")], &[]).expect(0);
    assert_records(&case, 0, 60);
}

#[test]
fn relative_and_absolute_paths_are_the_same_file() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 20));
    case.ingest(&[]).expect(0);
    let mut command = case.ingest_command(&["./in"], &[]);
    let run = crate::support::Run::of(command.current_dir(case.dir.path()).output().unwrap());
    assert_eq!(run.expect(0).json()["unchanged"], json!(1));
    assert_records(&case, 0, 20);
}

#[test]
fn standard_input_is_read_and_recognised_when_it_comes_again() {
    let case = Case::new();
    let log = flow_log(0, 300);
    assert_eq!(total(&case.ingest_stdin(log.as_bytes(), &[]).expect(0).json()), 300);
    assert_eq!(total(&case.ingest_stdin(log.as_bytes(), &[]).expect(0).json()), 0);
    assert_eq!(total(&case.ingest_stdin(&gzip(flow_log(300, 100)), &[]).expect(0).json()), 100);
    assert_records(&case, 0, 400);
    // Nothing at all is no log, and nothing is made for it.
    let empty = Case::new();
    let run = empty.ingest_stdin(b"", &[]);
    assert!(!run.err.contains("panicked"), "{}", run.err);
    assert_eq!(empty.count("flow_logs"), 0);
}

#[test]
fn strict_stores_nothing_of_a_file_with_a_refused_line() {
    let case = Case::new();
    case.write("good.log", flow_log(0, 30));
    case.write(
        "bad.log",
        format!(
            "{}2 123456789012 eni-1 10.0.0.999 10.0.0.1 1 2 6 1 1 1768471200 1768471201 ACCEPT OK\n",
            flow_log(30, 40)
        ),
    );
    case.write("fine.log", flow_log(100, 10));
    let run = case.ingest(&["--strict"]).expect(3);
    assert!(run.err.contains("bad.log") && run.err.contains("srcaddr"), "{}", run.err);
    let summary = run.json();
    assert_eq!((total(&summary), summary["refused"].as_array().unwrap().len()), (40, 1));
    assert_eq!(case.rows_of("flow_logs", "bad.log").len(), 0);
    assert_eq!(case.count("flow_logs"), 40);
    assert_eq!(case.count("quarantine"), 0);
    // Without it the same command stores what can be read.
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), &summary["total"]["quarantined"]), (40, &json!(1)));
    assert_eq!(case.count("flow_logs"), 80);
    assert_eq!(case.count("quarantine"), 1);
}

#[test]
fn strict_counts_in_a_dry_run_as_well() {
    let case = Case::new();
    case.write(
        "bad.log",
        format!("{HEADER}2 a eni-1 10.0.0.1 10.0.0.2 x 2 6 1 1 1768471200 1768471201 ACCEPT OK\n"),
    );
    case.ingest(&["--strict", "--dry-run"]).expect(3);
    assert!(!case.store().exists());
}

#[test]
fn a_dry_run_writes_nothing_and_knows_what_is_stored() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 30));
    let summary = case.ingest(&["--dry-run"]).expect(0).json();
    assert_eq!(total(&summary), 30);
    assert!(!case.store().exists());
    case.ingest(&[]).expect(0);
    case.write("b.log", flow_log(30, 5));
    let before = listing(&case.store());
    let summary = case.ingest(&["--dry-run"]).expect(0).json();
    assert_eq!((total(&summary), &summary["unchanged"]), (5, &json!(1)));
    assert_eq!(listing(&case.store()), before);
}

fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        all.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            all.extend(listing(&entry.path()));
        }
    }
    all.sort();
    all
}

#[test]
fn thousands_of_small_inputs_become_a_handful_of_files() {
    let case = Case::new();
    for at in 0..3000 {
        let log = flow_log(at * 18, 18);
        assert!((1800..2600).contains(&log.len()), "{}", log.len());
        case.write(&format!("{:02}/{at}.log", at % 50), log);
    }
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&summary), &summary["total"]["files"]), (54_000, &json!(3000)));
    let table = case.table("flow_logs").unwrap();
    assert!(table.file_count() <= 4, "{} files", table.file_count());
    assert_eq!(table.lines().len(), 54_000);
    assert!(table.lines().values().all(|times| *times == 1));
    assert!(case.table("ingested_files").unwrap().file_count() <= 2);
    let again = case.ingest(&[]).expect(0).json();
    assert_eq!((total(&again), &again["unchanged"]), (0, &json!(3000)));
}

#[test]
fn rows_of_many_days_lie_in_their_partitions() {
    let case = Case::new();
    let lines: String = (0..40)
        .map(|day| {
            format!(
                "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 {day} {0} {0} ACCEPT OK\n",
                1_768_471_200 - day * 86_400
            )
        })
        .collect();
    case.write("a.log", format!("{HEADER}{lines}"));
    case.ingest(&[]).expect(0);
    let rows = case.table("flow_logs").unwrap().rows();
    assert_eq!(rows.len(), 40);
    for row in rows {
        assert_eq!(row["event_date"].as_str().unwrap(), &row["start"].as_str().unwrap()[..10]);
    }
}

#[test]
fn later_runs_go_on_after_a_checkpoint_of_the_log() {
    let case = Case::new();
    // More commits than a Delta log has between two checkpoints.
    for at in 0..25 {
        case.write(&format!("{at}.log"), flow_log(at * 10, 10));
        case.ingest(&[]).expect(0);
    }
    assert_records(&case, 0, 250);
    assert!(case.table("flow_logs").unwrap().version >= 25);
    let log = listing(&case.store().join("flow_logs/_delta_log"));
    assert!(log.iter().any(|name| name.ends_with(".checkpoint.parquet")), "{log:?}");
}

#[test]
fn the_same_dump_copied_elsewhere_is_recognised_as_a_whole() {
    let case = Case::new();
    let dump = project().join("testdata/s3-dump");
    let rows = total(&case.ingest_paths(&[&dump], &[]).expect(0).json());
    let copy = case.input().join("copy");
    let done = std::process::Command::new("cp").arg("-r").args([&dump, &copy]).status().unwrap();
    assert!(done.success());
    let summary = case.ingest_paths(&[&copy], &[]).expect(0).json();
    assert_eq!(total(&summary), 0, "{summary:#}");
    let stored: u64 = delta::tables(&case.store())
        .iter()
        .filter(|name| name.ends_with("_logs"))
        .map(|name| case.count(name))
        .sum();
    assert_eq!(stored, rows);
}

#[test]
fn a_path_that_goes_up_and_down_again_names_the_same_file() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 10));
    case.write("b/c.log", flow_log(10, 10));
    case.ingest(&[]).expect(0);
    let roundabout = case.input().join("b/../../in");
    let summary = case.ingest_paths(&[roundabout], &[]).expect(0).json();
    assert_eq!(summary["unchanged"], json!(2), "{summary:#}");
    assert_eq!(case.count("ingested_files"), 2);
}

#[cfg(unix)]
#[test]
fn files_whose_names_are_no_text_are_told_apart() {
    use std::os::unix::ffi::OsStrExt;
    let case = Case::new();
    let names = [&b"f\xff.log"[..], b"f\xfe.log", "f\u{fffd}.log".as_bytes()];
    for (at, name) in (0..).zip(names) {
        let path = case.input().join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(path, flow_log(at * 10, at + 1)).unwrap();
    }
    case.ingest(&[]).expect(0);
    let again = case.ingest(&[]).expect(0).json();
    assert_eq!((&again["unchanged"], case.count("flow_logs")), (&serde_json::json!(3), 6));
    let raw = Run::of(
        command()
            .args([
                "sql",
                "--format",
                "csv",
                "select count(*), count(distinct source_file) from flow_logs",
                "--from",
            ])
            .arg(case.input())
            .output()
            .unwrap(),
    );
    assert_eq!(raw.expect(0).out.lines().nth(1), Some("6,3"));
}
