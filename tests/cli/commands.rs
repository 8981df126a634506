//! The commands that look after a store, held against what another reader sees in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::delta::{self, Row};
use crate::support::{Case, HEADER, Run, command, flow_lines, flow_log, flowq, project};

fn run(case: &Case, args: &[&str]) -> Run {
    let mut command = command();
    command.args(args).arg("--store").arg(case.store());
    Run::of(command.output().unwrap())
}

fn sql(case: &Case, statement: &str) -> Value {
    run(case, &["sql", statement, "--format", "json"]).expect(0).json()
}

fn dump() -> Case {
    let case = Case::new();
    case.ingest_paths(&[project().join("testdata/s3-dump")], &[]).expect(0);
    case
}

/// The rows of all log tables, in an order that does not depend on files.
fn contents(case: &Case) -> BTreeMap<String, Vec<String>> {
    let text = |row: Row| Value::Object(row).to_string();
    delta::tables(&case.store())
        .into_iter()
        .map(|name| {
            let mut rows: Vec<String> = case.table(&name).unwrap().rows().into_iter().map(text).collect();
            rows.sort();
            (name, rows)
        })
        .collect()
}

fn parquet_files(folder: &Path) -> usize {
    let count = |entry: fs::DirEntry| match entry.path() {
        path if path.is_dir() => parquet_files(&path),
        path => usize::from(path.extension().is_some_and(|suffix| suffix == "parquet")),
    };
    fs::read_dir(folder).unwrap().flatten().map(count).sum()
}

#[test]
fn sql_over_the_store_sees_what_another_reader_sees() {
    let case = dump();
    for table in delta::tables(&case.store()) {
        let counted = sql(&case, &format!("select count(*) as n from {table}"));
        assert_eq!(counted, json!([{"n": case.count(&table)}]), "{table}");
    }
    let mut wanted: BTreeMap<Option<String>, (u64, Option<i64>)> = BTreeMap::new();
    for row in case.table("flow_logs").unwrap().rows() {
        let sums = wanted.entry(row.get("action").and_then(Value::as_str).map(str::to_owned)).or_default();
        sums.0 += 1;
        if let Some(bytes) = row.get("bytes").and_then(Value::as_i64) {
            sums.1 = Some(sums.1.unwrap_or(0) + bytes);
        }
    }
    let found = sql(&case, "select action, count(*) as n, sum(bytes) as b from flow_logs group by action");
    let found: BTreeMap<Option<String>, (u64, Option<i64>)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["action"].as_str().map(str::to_owned), (row["n"].as_u64().unwrap(), row["b"].as_i64()))
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn sql_over_raw_files_sees_what_ingest_stores() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 700));
    case.write("b.log", format!("srcaddr bytes action\n10.0.0.1 5 ACCEPT\n{HEADER}"));
    case.ingest(&[]).expect(0);
    let statement = "select action, count(*) as n, sum(bytes) as b, min(start) as s from flow_logs group by action order by action";
    let stored = sql(&case, statement);
    assert_eq!(stored.as_array().unwrap().len(), 2);
    let mut command = command();
    command.args(["sql", statement, "--format", "json", "--from"]).arg(case.input());
    assert_eq!(Run::of(command.output().unwrap()).expect(0).json(), stored);
}

#[test]
fn info_counts_what_is_there() {
    let case = dump();
    let info = run(&case, &["info", "--format", "json"]).expect(0).json();
    let found: BTreeMap<&str, (u64, u64, u64)> = info
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_u64().unwrap();
            (row["table"].as_str().unwrap(), (number("rows"), number("files"), number("version")))
        })
        .collect();
    let names = delta::tables(&case.store());
    let wanted: BTreeMap<&str, (u64, u64, u64)> = names
        .iter()
        .map(|name| {
            let table = case.table(name).unwrap();
            (name.as_str(), (table.count(), table.file_count() as u64, table.version))
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn optimize_merges_files_and_changes_no_row() {
    let case = Case::new();
    for at in 0..12 {
        case.write(&format!("{at}.log"), flow_log(at * 100, 100));
        case.ingest(&[]).expect(0);
    }
    let before = contents(&case);
    assert_eq!(case.table("flow_logs").unwrap().file_count(), 12);
    run(&case, &["optimize"]).expect(0);
    assert!(contents(&case) == before, "optimize changed rows");
    let table = case.table("flow_logs").unwrap();
    assert_eq!(table.file_count(), 1);
    // What was replaced stays for its readers for an hour, and goes when nobody asks for that.
    assert!(parquet_files(&case.store().join("flow_logs/event_date=2026-01-15")) > 1);
    run(&case, &["optimize", "--retain", "0"]).expect(0);
    assert_eq!(parquet_files(&case.store().join("flow_logs/event_date=2026-01-15")), 1);
    assert!(contents(&case) == before, "optimize changed rows");
    assert_eq!(case.ingest(&[]).expect(0).json()["unchanged"], json!(12));
}

#[test]
fn replaced_files_are_kept_for_as_long_as_was_asked() {
    let case = Case::new();
    for (name, from) in [("a.log", 0), ("b.log", 100)] {
        let log = case.write(name, flow_log(from, 10));
        run(&case, &["ingest", log.to_str().unwrap()]).expect(0);
    }
    run(&case, &["optimize"]).expect(0);
    let optimize = |minutes: &str| run(&case, &["optimize", "--retain", minutes]).expect(0).err;
    // Minutes that are more seconds than can be told.
    assert!(optimize("18446744073709551615").contains("deleted 0 replaced files"));
    assert!(!optimize("0").contains("deleted 0 replaced files"));
}

#[test]
fn optimize_killed_at_any_instant_changes_no_row() {
    let case = Case::new();
    for at in 0..6 {
        case.write(&format!("{at}.log"), flow_log(at * 20_000, 20_000));
        case.ingest(&[]).expect(0);
    }
    let lines = case.table("flow_logs").unwrap().lines();
    let base = case.dir.path().join("base");
    fs::rename(case.store(), &base).unwrap();
    let fresh = || {
        let _ = fs::remove_dir_all(case.store());
        assert!(Command::new("cp").arg("-r").args([&base, &case.store()]).status().unwrap().success());
    };
    fresh();
    let begun = Instant::now();
    run(&case, &["optimize"]).expect(0);
    let whole = begun.elapsed();
    for kill in 0..12 {
        fresh();
        let mut command = command();
        command.args(["optimize", "--store"]).arg(case.store()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole * kill / 11 + Duration::from_millis(1));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(case.table("flow_logs").unwrap().lines() == lines, "kill {kill}");
        assert_eq!(case.ingest(&[]).expect(0).json()["unchanged"], json!(6), "kill {kill}");
        assert!(case.table("flow_logs").unwrap().lines() == lines, "kill {kill}, then ingest");
    }
}

#[test]
fn forget_asks_first_deletes_whole_days_and_frees_their_space() {
    let case = dump();
    let before = case.count("alb_logs");
    let refused = run(&case, &["forget", "--before", "2026-01-01"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    assert_eq!(case.count("alb_logs"), before);
    let files = parquet_files(&case.store().join("alb_logs"));
    run(&case, &["forget", "--before", "2026-01-01", "--yes"]).expect(0);
    let rows = case.table("alb_logs").unwrap().rows();
    assert!(!rows.is_empty() && (rows.len() as u64) < before);
    assert!(rows.iter().all(|row| row["event_date"].as_str().unwrap() >= "2026-01-01"));
    assert!(parquet_files(&case.store().join("alb_logs")) < files);
    assert_eq!(case.count("clb_logs"), 65, "five lines are of 2014");
    // What was forgotten does not come back.
    let after = contents(&case);
    case.ingest_paths(&[project().join("testdata/s3-dump")], &[]).expect(0);
    assert!(contents(&case) == after, "the next run brought it back");
}

#[test]
fn a_store_that_is_not_there_is_named_with_what_makes_one() {
    let case = Case::new();
    for args in [&["info"][..], &["optimize"], &["forget", "--before", "2026-01-01", "--yes"]] {
        let run = run(&case, args).expect(4);
        assert!(run.err.contains("no store") && run.err.contains("flowq ingest"), "{args:?}: {}", run.err);
        assert!(!case.store().exists());
    }
}

#[test]
fn sql_that_does_not_parse_ends_with_two() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    case.ingest(&[]).expect(0);
    for statement in ["selekt 1", "select nonsense from flow_logs", "select 1 from no_such_table"] {
        let run = run(&case, &["sql", statement]);
        assert_eq!(run.code, Some(2), "{statement}: {run:?}");
        assert!(!run.err.is_empty() && run.out.is_empty(), "{run:?}");
    }
    assert!(flowq(["queries"]).expect(0).out.contains("top_talkers"));
}

#[test]
fn a_query_of_the_last_days_leaves_out_what_is_older() {
    let case = Case::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let line = |age: u64, source: u8| {
        let start = now - age;
        format!(
            "2 123456789012 eni-0a1b2c3d4e5f60718 192.0.2.{source} 10.0.0.5 40000 443 6 1 100 {start} {} ACCEPT OK\n",
            start + 10
        )
    };
    case.write("a.log", format!("{HEADER}{}{}", line(3600, 1), line(3 * 86_400, 2)));
    case.ingest(&[]).expect(0);
    let talkers = |since: &str| run(&case, &["run", "top_talkers", "--since", since]);
    let recent = talkers("2h").expect(0).out;
    assert!(recent.contains("192.0.2.1") && !recent.contains("192.0.2.2"), "{recent}");
    assert!(talkers("1w").expect(0).out.contains("192.0.2.2"));
    for wrong in ["2", "h", "2y", "", "2ｈ"] {
        assert!(talkers(wrong).expect(2).err.contains("as in 90m or 2d"), "{wrong}");
    }
}

#[test]
fn a_raw_count_refuses_what_is_no_record_and_says_that_it_did_not_look_at_fields() {
    let case = Case::new();
    let bad_port = flow_lines(10, 1).replacen(" 443 ", " 4x3 ", 1);
    case.write("a.log", format!("{}not a record at all\ngarbage\n{bad_port}", flow_log(0, 10)));
    let raw = |sql: &str, options: &[&str]| {
        let input = case.input();
        let words = ["sql", "--format", "csv", "--from", input.to_str().unwrap(), sql];
        flowq(words.iter().chain(options)).expect(0)
    };
    let count = raw("select count(*) as n from flow_logs", &[]);
    assert_eq!(count.out, "n\n11\n");
    assert!(count.err.contains("without reading their fields"), "{}", count.err);
    assert!(count.err.contains("2 lines in 1 file could not be read"), "{}", count.err);
    assert_eq!(raw("select count(*) from flow_logs", &["-q"]).err, "");
    let ports = raw("select count(dstport) as n from flow_logs", &[]);
    assert_eq!(ports.out, "n\n10\n");
    assert!(!ports.err.contains("without looking"), "{}", ports.err);
    assert_eq!(raw("select count(*) as n from quarantine", &[]).out, "n\n3\n");
    // A statement that looks at a field of each line has nothing to say either.
    let looked = raw("select count(*) as n from flow_logs where dstport = 443", &[]);
    assert_eq!((looked.out.as_str(), looked.err.contains("without looking")), ("n\n10\n", false));
}
