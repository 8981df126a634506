//! Raw files of an unusual make: both flow logs in one stream, broken copies, lines and files that cannot be read; and what
//! is said of them. The rows have to be those that a store gets of the same files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::command_line::{err, flowq_in, flowq_with, out};

const FLOW: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n\
2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 40001 443 6 12 4210 1768471200 1768471258 ACCEPT OK\n\
2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.18 10.0.1.20 40002 22 6 1 40 1768471201 1768471258 REJECT OK\n";
/// The same log with other fields in another order.
const FLOW_CUSTOM: &str = "srcaddr dstaddr action start bytes region\n\
198.51.100.19 10.0.1.20 ACCEPT 1768471202 50 us-east-1\n";
const TRANSIT: &str = "version resource-type account-id tgw-id srcaddr dstaddr start end log-status\n\
6 TransitGateway 123456789012 tgw-0a1b2c3d4e5f60718 10.0.1.1 10.1.2.2 1768471200 1768471230 OK\n\
6 TransitGateway 123456789012 tgw-0a1b2c3d4e5f60718 10.0.1.1 10.1.2.3 1768471260 1768471290 OK\n";

struct Logs(TempDir);

impl Logs {
    fn new(files: &[(&str, &[u8])]) -> Logs {
        let logs = Logs(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            let path = logs.0.path().join("in").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        logs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("in").join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        flowq_in(self.0.path(), words)
    }

    /// The csv lines of a statement, without the header.
    fn raw(&self, sql: &str) -> Vec<String> {
        lines(&out(self.run(&["sql", "-q", "--format", "csv", "--from", "in", sql])))
    }

    fn stored(&self, sql: &str) -> Vec<String> {
        lines(&out(self.run(&["sql", "-q", "--format", "csv", "--store", "store", sql])))
    }

    /// Asserts that raw and stored rows are the same in every table, and how many there are of each flow log.
    fn assert_raw_equals_stored(&self, flow: usize, transit: usize) {
        assert_eq!(self.run(&["ingest", "in", "--store", "store"]).status.code(), Some(0));
        for (table, rows) in [("flow_logs", flow), ("tgw_flow_logs", transit)] {
            let sql = format!("select * exclude (extra) from {table} order by source_file, source_line");
            let raw = self.raw(&sql);
            assert_eq!(raw.len(), rows, "{table}");
            assert_eq!(raw, self.stored(&sql), "{table}");
            // A search for a text passes lines over, and must not pass a header over.
            let one = format!("select source_line from {table} where dstaddr = '10.1.2.3' order by 1");
            assert_eq!(self.raw(&one), self.stored(&one), "{table}");
        }
        let both = "select (select count(*) from flow_logs) as flow, (select count(*) from tgw_flow_logs) as transit";
        assert_eq!(self.raw(both), [format!("{flow},{transit}")]);
    }
}

fn lines(csv: &str) -> Vec<String> {
    csv.lines().skip(1).map(str::to_owned).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn rows_behind_a_header_of_the_other_flow_log_are_read_raw_as_they_are_stored() {
    let text = [FLOW, TRANSIT, FLOW_CUSTOM].concat();
    Logs::new(&[("a.log", text.as_bytes())]).assert_raw_equals_stored(3, 2);
    let text = [TRANSIT, FLOW, FLOW_CUSTOM, TRANSIT].concat();
    Logs::new(&[("a.log", text.as_bytes())]).assert_raw_equals_stored(3, 4);
    // As members of one gzip file, beside files of one kind.
    let members = [FLOW, TRANSIT, FLOW_CUSTOM].map(|part| gzip(part.as_bytes())).concat();
    let logs = Logs::new(&[
        ("a.log.gz", &members),
        ("b.log", FLOW_CUSTOM.as_bytes()),
        ("c.log", TRANSIT.as_bytes()),
    ]);
    logs.assert_raw_equals_stored(4, 4);
    // In a file so long that its head is looked at before it is opened.
    let long = format!("{FLOW}{}{TRANSIT}{FLOW_CUSTOM}", FLOW.lines().nth(1).unwrap().to_owned() + "\n");
    let many = format!("{FLOW}{}{TRANSIT}", format!("{}\n", FLOW.lines().nth(2).unwrap()).repeat(4000));
    let logs = Logs::new(&[("a.log", many.as_bytes()), ("b.log", long.as_bytes())]);
    assert_eq!(logs.raw("select count(*) from tgw_flow_logs"), ["4"]);
    logs.assert_raw_equals_stored(4002 + 4, 4);
}

#[test]
fn rows_behind_a_header_of_the_other_flow_log_are_read_from_standard_input() {
    let text = [TRANSIT, FLOW, TRANSIT].concat();
    let words = ["sql", "-q", "--format", "csv", "--from", "-", "select count(*) from flow_logs"];
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lines(&out(flowq_with(folder.path(), &words, &text))), ["2"]);
}

const NAME: &str = "123456789012_vpcflowlogs_us-east-1_fl-0a1b2c3d4e5f60718_20260115T1000Z_0badcafe.log.gz";

#[test]
fn a_broken_download_beside_the_whole_object_counts_once_raw_as_stored() {
    let text: String = FLOW.lines().nth(1).unwrap().to_owned() + "\n";
    let lines: String =
        (0..2000).map(|at| text.replace("40001", &(2000 + at * 13 % 60_000).to_string())).collect();
    let whole = gzip(format!("{}\n{lines}", FLOW.lines().next().unwrap()).as_bytes());
    let [a, b] = ["a", "b"].map(|folder| format!("{folder}/{NAME}"));
    let logs = Logs::new(&[(&a, &whole[..whole.len() / 2]), (&b, &whole)]);
    logs.assert_raw_equals_stored(2000, 0);
}

#[test]
fn objects_to_which_aws_gave_different_names_are_all_read() {
    let log = gzip(b"interface-id action log-status\neni-0a1b2c3d4e5f60718 - NODATA\n");
    let other = NAME.replace("0badcafe", "0badcaff");
    let copy = format!("copies/{NAME}");
    let logs = Logs::new(&[(NAME, &log), (&other, &log), (&copy, &log)]);
    logs.assert_raw_equals_stored(2, 0);
}

#[test]
fn rejects_of_formats_without_start_are_attributed() {
    let fields = "interface-id srcaddr dstaddr srcport dstport protocol action";
    let reject = "eni-0a1b2c3d4e5f60718 198.51.100.7 10.0.1.20 40001 443 6 REJECT";
    let bare = format!("{fields}\n{reject}\n{}\n", reject.replace("REJECT", "ACCEPT"));
    let ended = format!("{fields} end\n{reject} 1768471260\n");
    let logs = Logs::new(&[("bare.log", bare.as_bytes()), ("ended.log", ended.as_bytes())]);
    logs.assert_raw_equals_stored(3, 0);
    // Without times an ACCEPT of the same flow is neither before nor after it.
    let sql = "select regexp_replace(source_file, '.*/', ''), verdict, confidence, explanation from reject_attribution order by 1";
    let raw = logs.raw(sql);
    assert_eq!(raw, logs.stored(sql));
    assert_eq!(raw.len(), 2, "{raw:?}");
    assert!(raw[0].starts_with("bare.log,UNDETERMINED,NONE,"), "{raw:?}");
    assert!(raw[0].contains("start and end in the log format"), "{raw:?}");
    assert!(raw[1].starts_with("ended.log,UNDETERMINED,NONE,"), "{raw:?}");
}

#[test]
fn files_that_are_no_logs_are_named_for_what_they_are() {
    let logs = Logs::new(&[
        ("custom.log", b"10.0.1.20 10.0.1.21 443 ACCEPT 1768471200\n"),
        ("notes.txt", b"Dear diary,\nnothing happened.\n"),
    ]);
    let nothing = logs.run(&["sql", "--from", "in", "select count(*) from flow_logs"]);
    assert_eq!(nothing.status.code(), Some(4));
    let said = err(&nothing);
    assert!(said.contains("no AWS network log among 2 files") && said.contains("--log-format"), "{said}");
    // Beside a log, they are mentioned and no more.
    fs::write(logs.path("good.log"), FLOW).unwrap();
    let some = logs.run(&["sql", "--from", "in", "select count(*) from flow_logs"]);
    let said = err(&some);
    assert!(said.contains("skipped") && said.contains("(and 1 more file)"), "{said}");
    assert_eq!(some.status.code(), Some(0));
    assert_eq!(err(&logs.run(&["sql", "-q", "--from", "in", "select count(*) from flow_logs"])), "");
    // Where no file is looked at, nothing is known of any.
    assert_eq!(logs.run(&["sql", "--from", "in/notes.txt", "select 1"]).status.code(), Some(0));
}

/// Two good lines and one whose port is none.
fn with_bad_line() -> String {
    let bad = FLOW.lines().nth(1).unwrap().replace(" 40001 ", " 4000x ");
    format!("{FLOW}{bad}\n")
}

#[test]
fn under_strict_a_file_with_a_bad_line_is_refused_as_a_whole() {
    let logs = Logs::new(&[("bad.log", with_bad_line().as_bytes()), ("good.log", FLOW_CUSTOM.as_bytes())]);
    for sql in ["select count(*) from flow_logs", "select count(action) from flow_logs"] {
        let strict = logs.run(&["sql", "--strict", "--format", "csv", "--from", "in", sql]);
        assert_eq!(strict.status.code(), Some(3), "{}", err(&strict));
        let said = err(&strict);
        assert!(
            said.contains("refused (--strict)") && said.contains("1 refused line; line 4: srcport"),
            "{said}"
        );
        assert_eq!(lines(&String::from_utf8(strict.stdout).unwrap()), ["1"]);
    }
    let good = logs.run(&["sql", "--strict", "--from", "in/good.log", "select * from flow_logs"]);
    assert_eq!((good.status.code(), err(&good).as_str()), (Some(0), ""));
}

#[test]
fn the_quarantine_of_raw_files_needs_no_statement_before_it() {
    let logs = Logs::new(&[("bad.log", with_bad_line().as_bytes()), ("good.log", FLOW_CUSTOM.as_bytes())]);
    let sql = "select line, reason from quarantine";
    let raw = logs.raw(sql);
    assert_eq!(raw.len(), 1);
    assert!(raw[0].starts_with("4,"), "{raw:?}");
    assert_eq!(logs.run(&["ingest", "in", "--store", "store"]).status.code(), Some(0));
    assert_eq!(logs.stored(sql), raw);
}

#[test]
fn a_field_of_version_2_that_the_logs_lack_is_explained() {
    let logs = Logs::new(&[("custom.log", FLOW_CUSTOM.as_bytes())]);
    let sql = "select count(protocol), sum(bytes) from flow_logs";
    let without = "these flow logs were written without `protocol`";
    let raw = logs.run(&["sql", "--from", "in", sql]);
    assert!(err(&raw).contains(without), "{}", err(&raw));
    assert_eq!(logs.run(&["ingest", "in", "--store", "store"]).status.code(), Some(0));
    let stored = logs.run(&["sql", "--store", "store", sql]);
    assert!(err(&stored).contains(without), "{}", err(&stored));
}

#[test]
fn a_field_that_the_logs_carry_without_a_value_is_not_said_to_be_missing() {
    let log = "srcaddr sublocation-type start\n198.51.100.19 - 1768471202\n";
    let logs = Logs::new(&[("custom.log", log.as_bytes())]);
    let sql = "select count(sublocation_type) from flow_logs";
    assert_eq!(err(&logs.run(&["sql", "--from", "in", sql])), "");
    assert_eq!(logs.run(&["ingest", "in", "--store", "store"]).status.code(), Some(0));
    assert_eq!(err(&logs.run(&["sql", "--store", "store", sql])), "");
}

#[test]
fn a_timeout_is_not_called_lack_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let endless = "select count(*) from generate_series(1, 100000000000)";
    let output = flowq_in(folder.path(), &["sql", "--timeout", "0.2", endless]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("ran longer than 200ms") && said.contains("--timeout"), "{said}");
    assert!(!said.contains("memory"), "{said}");
}

#[test]
fn a_plan_is_printed_line_by_line() {
    let logs = Logs::new(&[("a.log", FLOW.as_bytes())]);
    let words = ["sql", "--from", "in", "explain analyze select srcaddr from flow_logs where bytes > 1"];
    let plan = out(logs.run(&words));
    assert!(!plan.contains("\\n") && plan.lines().count() > 1, "{plan}");
    assert!(plan.lines().any(|line| line.trim().starts_with("DataSourceExec")), "{plan}");
    assert!(plan.contains("lines_read=3"), "{plan}");
    // Other formats keep the plan as a value.
    let csv = out(logs.run(&[&words[..], &["--format", "csv"]].concat()));
    assert!(csv.starts_with("plan_type,plan\n"), "{csv}");
}

#[test]
fn an_output_file_whose_suffix_names_no_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.csv.gz", "x.xyz"] {
        let output = flowq_in(folder.path(), &["sql", "select 1", "-o", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains(".csv, .tsv"), "{}", err(&output));
        assert!(!folder.path().join(name).exists());
    }
    for words in [&["-o", "x.csv"][..], &["-o", "plain"], &["-o", "x.xyz", "--format", "csv"]] {
        assert_eq!(flowq_in(folder.path(), &[&["sql", "select 1"], words].concat()).status.code(), Some(0));
    }
}

#[test]
fn is_distinct_from_ends_before_and() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "select count(*) from (values (false, false)) t(a, b) where a is not distinct from true and b";
    assert_eq!(lines(&out(flowq_in(folder.path(), &["sql", "--format", "csv", sql]))), ["0"]);
}

#[test]
fn info_and_optimize_agree_on_what_can_be_freed() {
    let logs = Logs::new(&[("a.log", FLOW.as_bytes())]);
    let store = ["--store", "store"];
    let run = |words: &[&str]| {
        let output = logs.run(&[words, &store].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        err(&output)
    };
    run(&["ingest", "in"]);
    change(&logs.path("a.log"), &FLOW.replace("40001", "40009"));
    run(&["ingest", "in"]);
    assert!(run(&["info"]).contains("replaced more than 60 minutes ago"));
    assert!(run(&["optimize"]).contains("replaced less than 60 minutes ago (--retain 0 deletes them too)"));
    assert!(!run(&["optimize", "--retain", "0"]).contains("kept"));
    assert!(!run(&["info"]).contains("replaced"));
}

/// Overwrites a file, with another time of modification.
fn change(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let file = fs::File::options().append(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(2);
    file.set_modified(time).unwrap();
}

#[test]
fn refused_lines_of_copies_are_listed_once_as_in_a_store() {
    let bad = format!(
        "{FLOW}2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.18 10.0.1.20 44x 22 6 1 40 1768471201 1768471258 REJECT OK\n"
    );
    let logs = Logs::new(&[("a.log", bad.as_bytes()), ("b.log", bad.as_bytes())]);
    let folder = &logs.0.path().join("in");
    let sql =
        "select count(*) as lines, count(distinct source_file) as files, min(line) as line from quarantine";
    let raw = out(flowq_in(folder, &["sql", "--from", ".", "--format", "csv", sql]));
    assert_eq!(raw, "lines,files,line\n1,1,4\n");
    // After a query that has read both, before they were known to be the same.
    let both = [
        "sql",
        "--from",
        ".",
        "--format",
        "csv",
        "-c",
        "select count(srcport) as n from flow_logs where srcport > 0",
        "-c",
        sql,
    ];
    assert_eq!(out(flowq_in(folder, &both)), "n\n2\nlines,files,line\n1,1,4\n");
    out(flowq_in(folder, &["ingest", "a.log", "b.log", "--store", "s", "-q"]));
    assert_eq!(out(flowq_in(folder, &["sql", "--store", "s", "--format", "csv", sql])), raw);
}

#[test]
fn a_refused_line_that_is_kept_in_part_says_so() {
    // 2 + 4,200 bytes, of which 4,096 end within a character of two bytes.
    let line = format!("x {}", "ä".repeat(2100));
    let log = format!("{FLOW}{line}\n");
    let logs = Logs::new(&[("a.log", log.as_bytes())]);
    let folder = &logs.0.path().join("in");
    let sql = "select text from quarantine";
    let kept = format!("x {}… (4202 bytes)", "ä".repeat(2047));
    let raw = out(flowq_in(folder, &["sql", "--from", "a.log", "--format", "csv", sql]));
    assert_eq!(raw, format!("text\n{kept}\n"));
    out(flowq_in(folder, &["ingest", "a.log", "--store", "s", "-q"]));
    assert_eq!(out(flowq_in(folder, &["sql", "--store", "s", "--format", "csv", sql])), raw);
}
