//! The dump of `testdata/`: every file counts to what `expected.json` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::delta;
use crate::support::{Case, flow_lines, project};

pub fn expected() -> BTreeMap<String, Value> {
    let text = fs::read(project().join("testdata/expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

const LOGS: [&str; 7] = [
    "flow_logs",
    "tgw_flow_logs",
    "alb_logs",
    "alb_connection_logs",
    "alb_health_check_logs",
    "clb_logs",
    "nlb_logs",
];

#[test]
fn the_dump_counts_to_what_the_specification_says() {
    let dump = project().join("testdata/s3-dump");
    let case = Case::new();
    let summary = case.ingest_paths(&[&dump], &[]).expect(0).json();
    let expected = expected();
    let key = |path: &str| {
        let path = Path::new(path).strip_prefix(&dump).unwrap_or_else(|_| panic!("{path}"));
        path.to_string_lossy().into_owned()
    };

    let mut rows: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    let (mut nodata, mut skipdata) = (BTreeMap::new(), BTreeMap::new());
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for table in LOGS {
        for row in case.table(table).unwrap().rows() {
            let file = key(row["source_file"].as_str().unwrap());
            match row.get("log_status").and_then(Value::as_str) {
                Some("NODATA") => *nodata.entry(file.clone()).or_insert(0) += 1,
                Some("SKIPDATA") => *skipdata.entry(file.clone()).or_insert(0) += 1,
                _ => {}
            }
            *bytes.entry(file.clone()).or_insert(0) += row.get("bytes").and_then(Value::as_u64).unwrap_or(0);
            *rows.entry(file).or_default().entry(table).or_insert(0) += 1;
        }
    }
    let mut quarantined: BTreeMap<String, u64> = BTreeMap::new();
    for row in case.table("quarantine").unwrap().rows() {
        *quarantined.entry(key(row["source_file"].as_str().unwrap())).or_insert(0) += 1;
        assert!(row["line"].as_i64().unwrap() > 0 && !row["reason"].as_str().unwrap().is_empty(), "{row:?}");
    }
    let ledger: BTreeMap<String, Map<String, Value>> = case
        .table("ingested_files")
        .unwrap()
        .rows()
        .into_iter()
        .map(|row| (key(row["path"].as_str().unwrap()), row))
        .collect();

    let mut wrong = Vec::new();
    let mut check = |file: &str, what: &str, found: Value, wanted: Value| {
        if found != wanted {
            wrong.push(format!("{file}: {what} is {found}, not {wanted}"));
        }
    };
    for (file, wanted) in &expected {
        let entry = ledger.get(file);
        let stored = wanted["skipped_reason"].is_null();
        let none = BTreeMap::new();
        let found = rows.get(file).unwrap_or(&none);
        let status = match wanted["skipped_reason"].as_str() {
            None => json!("stored"),
            Some("duplicate") => json!("duplicate"),
            Some(_) => Value::Null,
        };
        check(file, "status", entry.map_or(Value::Null, |entry| entry["status"].clone()), status);
        if !stored {
            check(file, "rows", json!(found.values().sum::<u64>()), json!(0));
            continue;
        }
        let kind = wanted["kind"].as_str().unwrap();
        check(file, "tables", json!(found.keys().filter(|table| **table != kind).count()), json!(0));
        check(file, "rows", json!(found.get(kind).copied().unwrap_or(0)), wanted["rows"].clone());
        for (what, counts) in [("nodata", &nodata), ("skipdata", &skipdata), ("quarantined", &quarantined)] {
            check(file, what, json!(counts.get(file).copied().unwrap_or(0)), wanted[what].clone());
        }
        if let Some(wanted) = wanted["bytes"].as_u64() {
            check(file, "sum of bytes", json!(bytes.get(file).copied().unwrap_or(0)), json!(wanted));
        }
        let entry = entry.unwrap();
        check(file, "kind in the ledger", entry["kind"].clone(), wanted["kind"].clone());
        for what in ["rows", "nodata", "skipdata", "quarantined"] {
            check(file, &format!("{what} in the ledger"), entry[what].clone(), wanted[what].clone());
        }
        assert!(number(&entry["lines"]) >= number(&wanted["lines"]), "{file}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known: BTreeSet<&String> = expected.keys().collect();
    assert!(
        rows.keys().chain(ledger.keys()).all(|file| known.contains(file)),
        "a file that expected.json does not name"
    );

    // The summary says the same.
    let sum = |what: &str, table: Option<&str>| -> u64 {
        let stored = expected.values().filter(|file| file["skipped_reason"].is_null());
        stored
            .filter(|file| table.is_none_or(|table| file["kind"] == table))
            .map(|file| number(&file[what]))
            .sum()
    };
    assert_eq!(summary["adds_up"], json!(true));
    assert_eq!(number(&summary["found"]), expected.len() as u64);
    for table in LOGS {
        for what in ["rows", "nodata", "skipdata", "quarantined"] {
            assert_eq!(number(&summary["tables"][table][what]), sum(what, Some(table)), "{table} {what}");
        }
    }
    let total = &summary["total"];
    for what in ["rows", "nodata", "skipdata", "quarantined"] {
        assert_eq!(number(&total[what]), sum(what, None), "{what}");
    }
    let record_lines = number(&total["lines"]) - number(&total["headers"]) - number(&total["blank"]);
    assert_eq!(record_lines, sum("lines", None));
    let count = |reason: &[&str]| {
        let is = |file: &&Value| file["skipped_reason"].as_str().is_some_and(|text| reason.contains(&text));
        expected.values().filter(is).count()
    };
    assert_eq!(
        number(&total["files"]) as usize,
        expected.values().filter(|file| file["skipped_reason"].is_null()).count()
    );
    assert_eq!(summary["duplicates"].as_array().unwrap().len(), count(&["duplicate"]));
    let left_out = summary["skipped"].as_array().unwrap().len() as u64 + number(&summary["passed_over"]);
    let reasons = [
        "empty",
        "not-a-log",
        "elb-test-object",
        "cloudwatch-write-test",
        "cloudtrail",
        "unsupported-compression",
    ];
    assert_eq!(left_out as usize, count(&reasons));
    assert_eq!(summary["failed"], json!([]));
    for (file, what) in
        [("CloudTrail/", "CloudTrail"), ("photo.png", "binary"), (".snappy", "snappy"), (".zip", "zip")]
    {
        let skipped = summary["skipped"].as_array().unwrap();
        let note = skipped.iter().find(|note| note["file"].as_str().unwrap().contains(file));
        let note = note.unwrap_or_else(|| panic!("{file} is not named among the skipped files"));
        assert!(note["what"].as_str().unwrap().contains(what), "{note}");
    }
    assert_eq!(summary["total"]["first"], "2014-02-15T23:39:40Z");
    for account in ["111122223333", "123456789012", "444455556666"] {
        assert!(summary["accounts"].as_array().unwrap().contains(&json!(account)), "{account}");
    }
    for region in ["us-east-1", "us-west-2", "us-gov-west-1", "eusc-de-east-1"] {
        assert!(summary["regions"].as_array().unwrap().contains(&json!(region)), "{region}");
    }

    // A second run stores nothing.
    let versions = |case: &Case| {
        delta::tables(&case.store())
            .into_iter()
            .map(|name| (case.table(&name).unwrap().version, case.count(&name), name))
            .collect::<Vec<_>>()
    };
    let before = versions(&case);
    let again = case.ingest_paths(&[&dump], &[]).expect(0).json();
    assert_eq!(number(&again["total"]["rows"]), 0);
    assert_eq!(number(&again["stored_bytes"]), 0);
    let known =
        expected.values().filter(|file| file["skipped_reason"].is_null()).count() + count(&["duplicate"]);
    assert_eq!(number(&again["unchanged"]) as usize, known);
    assert_eq!(versions(&case), before, "a run without anything new leaves every table as it was");
}

#[test]
fn a_dry_run_of_the_dump_counts_the_same_and_writes_nothing() {
    let case = Case::new();
    let dump = project().join("testdata/s3-dump");
    let summary = case.ingest_paths(&[&dump], &["--dry-run"]).expect(0).json();
    let rows: u64 = expected()
        .values()
        .filter(|file| file["skipped_reason"].is_null())
        .map(|file| number(&file["rows"]))
        .sum();
    assert_eq!(number(&summary["total"]["rows"]), rows);
    assert_eq!(summary["adds_up"], json!(true));
    assert_eq!(summary["dry_run"], json!(true));
    assert!(!case.store().exists());
}

/// The fields of `make/fields.py`, `V5`.
pub const V5: &str = "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status";

/// As `describe-flow-logs` prints a format.
pub fn as_described(fields: &str) -> String {
    fields.split(' ').map(|name| format!("${{{name}}}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn headerless_files_are_read_with_the_format_that_the_user_gives() {
    let extra = project().join("testdata/extra");
    for format in [V5.to_owned(), as_described(V5)] {
        for name in ["headerless-custom.log", "headerless-mixed.log"] {
            let case = Case::new();
            let summary = case.ingest_paths(&[extra.join(name)], &["--log-format", &format]).expect(0).json();
            assert_eq!(number(&summary["total"]["rows"]), 10, "{name}");
            let text = fs::read_to_string(extra.join(name)).unwrap();
            let rows = case.rows("flow_logs");
            assert_eq!(rows.len(), 10);
            for (row, line) in rows.iter().zip(text.lines()) {
                let fields = if line.starts_with("5 ") { V5 } else { crate::support::HEADER.trim_end() };
                assert_eq!(*row, crate::samples::flow_row(fields, line), "{name}");
            }
        }
    }
}

#[test]
fn a_headerless_custom_file_without_a_format_is_named_with_the_option_that_is_missing() {
    let case = Case::new();
    let custom = project().join("testdata/extra/headerless-custom.log");
    let summary = case.ingest_paths(&[custom], &[]).expect(4).json();
    let skipped = summary["skipped"][0]["what"].as_str().unwrap();
    assert!(skipped.contains("--log-format") && skipped.contains("29"), "{skipped}");
    // Beside a file that is recognised it is no reason to fail.
    case.write("known.log", flow_lines(0, 3));
    case.write("custom.log", fs::read(project().join("testdata/extra/headerless-custom.log")).unwrap());
    assert_eq!(number(&case.ingest(&[]).expect(0).json()["total"]["rows"]), 3);
}
