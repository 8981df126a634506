//! `flowq sql`, `run`, `queries` and `functions` as a user types them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use datafusion::arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::sessions;

/// Runs flowq in a folder with nothing on its standard input.
pub fn flowq_in(folder: &Path, words: &[&str]) -> Output {
    flowq_with(folder, words, "")
}

pub fn flowq_with(folder: &Path, words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowq"))
        .args(words)
        .current_dir(folder)
        .env_remove("FLOWQ_STORE")
        .env_remove("FLOWQ_QUERIES")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read its input may have ended before it was written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn flowq(words: &[&str]) -> Output {
    flowq_in(&sessions::dump(), words)
}

/// What was printed; the run must have gone well.
pub fn out(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The exit code and what was said; nothing may have been printed.
fn failure(output: Output) -> String {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    format!("{}\n{}", output.status.code().unwrap(), err(&output))
}

fn over_store(words: &[&str]) -> Output {
    let store = sessions::store();
    flowq(&[&["--store", store.to_str().unwrap()], words].concat())
}

const V7: &str = "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/\
                  111122223333_vpcflowlogs_us-east-1_fl-071b2c3d4e5f60718_20260115T1015Z_2f540970.log.gz";
const V3_FIELDS: &str = "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/\
                         111122223333_vpcflowlogs_us-east-1_fl-0e1b2c3d4e5f60718_20260115T1010Z_f4abd4fb.log.gz";
const BROKEN: &str = "broken/AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/\
                      111122223333_vpcflowlogs_us-east-1_fl-0bad000000000000_20260115T1008Z_4ab5473c.log.gz";
const COUNT: &str = "select count(*) as n from flow_logs";

#[test]
fn statements_come_from_words_files_and_standard_input_in_the_order_typed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("two.sql"), "select 2 as b;\nselect 3 as c").unwrap();
    let words = [
        "sql",
        "--format",
        "csv",
        "-c",
        "select 1 as a",
        "-f",
        "two.sql",
        "-c",
        "select 4 as d",
        "select 5 as e",
    ];
    assert_eq!(out(flowq_in(folder.path(), &words)), "a\n1\nb\n2\nc\n3\nd\n4\ne\n5\n");
    for words in [
        &["sql", "--format", "csv", "-"][..],
        &["sql", "--format", "csv"],
        &["sql", "--format", "csv", "-f", "-"],
    ] {
        assert_eq!(out(flowq_with(folder.path(), words, "select 7 as g;")), "g\n7\n", "{words:?}");
    }
    assert_eq!(out(flowq(&["sql", ""])), "");
    let twice = "create table t as select 1 as a; insert into t values (2)";
    assert_eq!(out(flowq(&["sql", "--format", "csv", twice])), "count\n1\n");
}

#[test]
fn paths_of_from_are_mixed_and_the_statement_may_stand_anywhere() {
    let csv = ["--format", "csv"];
    for words in [
        &["sql", "--from", V7, V3_FIELDS, COUNT][..],
        &["sql", "--from", V7, V3_FIELDS, "-c", COUNT],
        &["sql", COUNT, "--from", V7, "--from", V3_FIELDS],
        &["sql", "--from", V7, "AWSLogs/*/vpcflowlogs/us-east-1/2026/01/15/*fl-0e1b*", COUNT],
    ] {
        assert_eq!(out(flowq(&[words, &csv].concat())), "n\n14\n", "{words:?}");
    }
    let both =
        "select (select count(*) from flow_logs) as flows, (select count(*) from tgw_flow_logs) as transit";
    assert_eq!(
        out(flowq(&[&["sql", "--from", V7, "transit", both][..], &csv].concat())),
        "flows,transit\n3,10\n"
    );
    // Standard input as a log.
    let log = "version account-id srcaddr action\n2 111122223333 10.0.0.1 ACCEPT\n";
    let words = ["sql", "--from", "-", "select srcaddr from flow_logs", "--format", "csv"];
    assert_eq!(out(flowq_with(&sessions::dump(), &words, log)), "srcaddr\n10.0.0.1\n");
    // Fields of lines without a header.
    let words = [
        "sql",
        "--log-format",
        "${srcaddr} ${bytes}",
        "--from",
        "-",
        "select sum(bytes) as b from flow_logs",
        "--format",
        "csv",
    ];
    assert_eq!(out(flowq_with(&sessions::dump(), &words, "10.0.0.1 5\n10.0.0.2 6\n")), "b\n11\n");
}

#[test]
fn every_format_is_written() {
    let sql = "select interface_id, ecs_cluster_name as cluster, version from flow_logs order by source_line limit 3";
    let written = |format: &str| out(flowq(&["sql", "--from", V7, "-c", sql, "--format", format]));
    insta::assert_snapshot!(written("table"), @"
    interface_id           cluster  version
    ─────────────────────  ───────  ───────
    eni-0a1b00000000000e1  shop           7
    eni-0a1b00000000000e1  shop           7
    eni-0a1b00000000000e1  NULL           7
    (3 rows)
    ");
    assert_eq!(
        written("csv"),
        "interface_id,cluster,version\neni-0a1b00000000000e1,shop,7\neni-0a1b00000000000e1,shop,7\neni-0a1b00000000000e1,,7\n"
    );
    assert_eq!(written("tsv"), written("csv").replace(',', "\t"));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&written("json")).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[0],
        serde_json::json!({"interface_id": "eni-0a1b00000000000e1", "cluster": "shop", "version": 7})
    );
    assert_eq!(rows[2].get("cluster"), Some(&serde_json::Value::Null));
    let lines = written("ndjson");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, rows);
    assert_eq!(written("markdown").lines().count(), 5);
    assert!(
        written("markdown").starts_with("| interface\\_id | cluster | version |\n"),
        "{}",
        written("markdown")
    );
}

#[test]
fn a_file_gets_the_format_of_its_suffix() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str| {
        out(flowq(&["sql", "--from", V7, V3_FIELDS, "select * from flow_logs", "-o", &path(name)]))
    };
    assert_eq!(write("a.parquet"), "");
    let file = std::fs::File::open(path("a.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.schema().fields().len(), 58);
    let rows: usize =
        reader.build().unwrap().map(Result::unwrap).map(|batch: RecordBatch| batch.num_rows()).sum();
    assert_eq!(rows, 14);
    write("a.csv");
    assert_eq!(std::fs::read_to_string(path("a.csv")).unwrap().lines().count(), 15);
    write("a.ndjson");
    assert_eq!(std::fs::read_to_string(path("a.ndjson")).unwrap().lines().count(), 14);

    // A view and its use are one result; two would replace each other.
    let view = "create view v as select 1 as a; select * from v";
    out(flowq(&["sql", view, "-o", &path("b.csv")]));
    assert_eq!(std::fs::read_to_string(path("b.csv")).unwrap(), "a\n1\n");
    let two = failure(flowq(&["sql", "select 1; select 2", "-o", &path("c.csv")]));
    assert!(two.starts_with("2\nerror: only one statement with a result can be written to a file"), "{two}");
    assert!(!Path::new(&path("c.csv")).exists());
    insta::assert_snapshot!(failure(flowq(&["sql", "select 1", "--format", "parquet"])), @"
    2
    error: parquet is not written to a terminal or pipe (name a file with -o)
    ");
}

#[test]
fn errors_say_where_and_what_to_do() {
    let said = |sql: &str| failure(over_store(&["sql", sql]));
    insta::assert_snapshot!(said("select scraddr from flow_logs"), @"
    2
    error: no column named scraddr
     1 | select scraddr from flow_logs
       |        ^
    hint: did you mean srcaddr?
    ");
    insta::assert_snapshot!(said("select srcaddr\nform flow_logs"), @"
    2
    error: expected: end of statement, found: flow_logs
     2 | form flow_logs
       |      ^
    hint: did you mean from?
    ");
    insta::assert_snapshot!(said("select cidr_contain('10.0.0.0/8', srcaddr) from flow_logs"), @"
    2
    error: no function named cidr_contain
     1 | select cidr_contain('10.0.0.0/8', srcaddr) from flow_logs
       |        ^
    hint: did you mean cidr_contains?
    ");
    insta::assert_snapshot!(said("select * from flow_log"), @"
    2
    error: no table named flow_log
     1 | select * from flow_log
       |               ^
    hint: did you mean flow_logs?
    ");
    insta::assert_snapshot!(said("copy flow_logs to 'x.csv'"), @"
    2
    error: COPY TO writes files, and this session is read-only (start it with --allow-write to permit it)
    ");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let code = |words: &[&str]| flowq(words).status.code().unwrap();
    assert_eq!(code(&["sql", "select 1"]), 0);
    assert_eq!(code(&["sql", "selec 1"]), 2);
    assert_eq!(code(&["sql", "--no-such-option"]), 2);
    assert_eq!(code(&["sql", "select 1", "--from", "transit", "--log-format", "nonsense"]), 2);
    assert_eq!(code(&["sql", "--from", "nowhere", "select 1"]), 4);
    assert_eq!(code(&["sql", "-f", "nowhere.sql"]), 4);
    assert_eq!(code(&["--store", "nowhere", "sql", COUNT]), 4);
    assert_eq!(code(&["sql", "select 1", "-o", "nowhere/x.csv"]), 4);
    let all = "select * from flow_logs";
    let lax = flowq(&["sql", "--from", BROKEN, all]);
    assert_eq!(lax.status.code(), Some(0));
    assert!(err(&lax).contains("6 lines in 1 file could not be read"), "{}", err(&lax));
    let strict = flowq(&["sql", "--strict", "--from", BROKEN, all]);
    assert_eq!(strict.status.code(), Some(3), "{}", err(&strict));
    // Which columns a query looks at makes no difference: the file is refused as a whole.
    assert_eq!(code(&["sql", "--strict", "--from", BROKEN, "select count(action) from flow_logs"]), 3);
}

#[test]
fn a_column_that_the_logs_were_written_without_is_explained() {
    let output = flowq(&["sql", "--from", V7, "select flow_direction from flow_logs"]);
    assert!(
        err(&output).contains("these flow logs were written without `flow-direction`"),
        "{}",
        err(&output)
    );
    let output = flowq(&["sql", "--from", V7, "select ecs_cluster_name from flow_logs"]);
    assert_eq!(err(&output), "");
}

#[test]
fn named_queries_take_their_parameters_wherever_they_stand() {
    // By the lines of the log of version 11: the scan of 10:25, then the partner's replies, then the probes.
    let raw = "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/\
               111122223333_vpcflowlogs_us-east-1_fl-0c1b2c3d4e5f60718_20260115T1040Z_c4768be7.log.gz";
    let first_column = |output: Output| {
        let text = out(output);
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for words in [
        &["run", "rejected_by_source", "--limit", "2", "--raw", raw, "--format", "csv"][..],
        &["run", "--format", "csv", "rejected_by_source", "--raw", raw, "--limit=2"],
        &["--format", "csv", "run", "--limit", "2", "rejected_by_source", "--raw", raw],
        &["run", "rejected_by_source", "--param", "limit=2", "--format", "csv", "--raw", raw],
    ] {
        assert_eq!(first_column(flowq(words)), ["203.0.113.99", "10.0.3.30"], "{words:?}");
    }
    let window = ["--from", "2026-01-15T10:30:00Z", "--to", "2026-01-15T10:40:00Z"];
    let words = [&["run", "rejected_by_source", "--format", "csv"][..], &window, &["--raw", raw]].concat();
    assert_eq!(first_column(flowq(&words)).first().map(String::as_str), Some("10.0.3.30"));
    // The same over the store, bounded to the scan's address.
    let words = ["run", "traffic_of_address", "--address", "203.0.113.99", "--limit", "3", "--format", "csv"];
    assert_eq!(out(over_store(&words)).lines().count(), 4);
}

#[test]
fn wrong_parameters_name_the_nearest() {
    let said = |words: &[&str]| failure(over_store(words));
    insta::assert_snapshot!(said(&["run", "top_talkers", "--limt", "3"]), @r#"
    2
    error: top_talkers takes no parameter "limt"; did you mean --limit?
    "#);
    insta::assert_snapshot!(said(&["run", "top_talkers", "--fromat", "csv"]), @r#"
    2
    error: top_talkers takes no parameter "fromat"; did you mean --format?
    "#);
    insta::assert_snapshot!(said(&["run", "top_talkers", "--limit"]), @"
    2
    error: parameter limit needs a value (--limit VALUE or --limit=VALUE)
    ");
    insta::assert_snapshot!(said(&["run", "top_talkers", "--limit", "many"]), @r#"
    2
    error: parameter limit of top_talkers must be a whole number, not "many"
    "#);
    insta::assert_snapshot!(said(&["run", "top_talkers", "--from", "yesterday"]), @r#"
    2
    error: parameter from of top_talkers must be a time such as 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds, not "yesterday"
    "#);
    insta::assert_snapshot!(said(&["run", "traffic_of_address"]), @"
    2
    error: traffic_of_address needs the parameter address (the address): give --address with an address such as 10.0.0.1 or 2001:db8::1
    ");
    insta::assert_snapshot!(said(&["run", "top_talker"]), @r#"
    2
    error: no query named "top_talker"; did you mean top_talkers?
    "#);
    insta::assert_snapshot!(said(&["queries", "show", "top_talker"]), @r#"
    2
    error: no query named "top_talker"; did you mean top_talkers?
    "#);
}

#[test]
fn own_queries_stand_over_those_that_come_with_flowq() {
    let folder = tempfile::tempdir().unwrap();
    let text = "-- title: Mine\n-- purpose: Counts.\n-- needs: nlb_logs(time)\n-- origin: me\n\
                select count(*) as n from nlb_logs where ($from is null or time >= $from) and ($to is null or time < $to)\n";
    std::fs::write(folder.path().join("mine.sql"), text).unwrap();
    std::fs::write(folder.path().join("top_talkers.sql"), text).unwrap();
    let queries = folder.path().to_str().unwrap();
    for name in ["mine", "top_talkers"] {
        assert_eq!(out(over_store(&["run", name, "--queries", queries, "--format", "csv"])), "n\n45\n");
    }
    let listed = out(flowq(&["queries", "list", "--queries", queries, "--format", "csv"]));
    assert!(listed.contains("\nmine,Mine,\"\"\n"), "{listed}");
    assert_eq!(out(flowq(&["queries", "show", "mine", "--queries", queries])), text);
}

#[test]
fn functions_are_listed_with_examples_that_hold() {
    let listed = out(flowq(&["functions", "--format", "json"]));
    let functions: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    assert!(functions.len() >= 25, "{listed}");
    for function in functions {
        let (example, gives) = (function["example"].as_str().unwrap(), function["gives"].as_str().unwrap());
        if ["aws_", "country", "asn", "as_org"].iter().any(|needs_file| example.starts_with(needs_file)) {
            continue;
        }
        let sql = format!("select {example} as a");
        let given = out(flowq(&["sql", &sql, "--format", "csv"]));
        assert_eq!(given.lines().nth(1), Some(gives), "{example}");
    }
}

#[test]
fn results_with_one_name_twice_can_be_read_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "select a.x, b.x, c.x from (select 1 as x) a, (select 2 as x) b, (select 3 as x) c";
    let json = out(flowq_in(folder.path(), &["sql", "--format", "ndjson", sql]));
    assert_eq!(json, "{\"x\":1,\"x_1\":2,\"x_2\":3}\n");
    assert_eq!(out(flowq_in(folder.path(), &["sql", "--format", "tsv", sql])), "x\tx_1\tx_2\n1\t2\t3\n");
    out(flowq_in(folder.path(), &["sql", "-o", "j.parquet", sql]));
    out(flowq_in(folder.path(), &["sql", "--allow-write", &format!("copy ({sql}) to 'c.parquet'")]));
    for name in ["j.parquet", "c.parquet"] {
        let file = std::fs::File::open(folder.path().join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let names: Vec<&str> = reader.schema().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["x", "x_1", "x_2"], "{name}");
    }
}

#[test]
fn csv_keeps_rows_and_nulls_apart() {
    let csv = |sql: &str| out(flowq_in(Path::new("."), &["sql", "--format", "csv", sql]));
    // An untyped NULL is one as any other.
    assert_eq!(csv("select null as n, null::text as b, '' as e"), "n,b,e\n,,\"\"\n");
    // A blank line is no row for readers of csv.
    assert_eq!(csv("select * from (values (1), (null), (3)) t(a)"), "a\n1\n\"\"\n3\n");
}

#[test]
fn copy_to_csv_writes_maps_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    let from = sessions::dump().join("transit");
    let copy = format!(
        "copy (select version, extra, map(['a'], [1]) as m from tgw_flow_logs limit 1) to '{}'",
        file.display()
    );
    out(flowq_in(folder.path(), &["sql", "--allow-write", "--from", from.to_str().unwrap(), &copy]));
    let written = std::fs::read_to_string(file).unwrap();
    assert_eq!(written.lines().count(), 2, "{written}");
    assert!(written.starts_with("version,extra,m\n") && written.trim_end().ends_with(",{a: 1}"), "{written}");
}

#[test]
fn a_recent_span_without_records_says_when_the_newest_is() {
    let ran = over_store(&["run", "rejected_by_port", "--since", "2h"]);
    assert!(
        err(&ran).contains("--since counts from now, and the newest record is of 2026-01-15T10:59:24Z"),
        "{}",
        err(&ran)
    );
}

#[test]
fn a_query_over_logs_that_are_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s");
    let store = store.to_str().unwrap();
    let transit = sessions::dump().join("transit");
    let ingest = flowq_in(folder.path(), &["ingest", transit.to_str().unwrap(), "--store", store]);
    assert_eq!(ingest.status.code(), Some(0), "{}", err(&ingest));
    let ran = flowq_in(folder.path(), &["run", "elb_errors", "--store", store]);
    let said = "there are no ALB access logs in the store (there are tgw_flow_logs)";
    assert!(err(&ran).contains(said), "{}", err(&ran));
    let ran = flowq_in(folder.path(), &["run", "top_talkers", "--store", store]);
    let said = "there are no VPC flow logs in the store (there are tgw_flow_logs)";
    assert!(err(&ran).contains(said), "{}", err(&ran));
    let ran = flowq_in(
        folder.path(),
        &["sql", "--from", transit.to_str().unwrap(), "select count(*) from alb_logs"],
    );
    assert!(err(&ran).contains("there are no ALB access logs among these files"), "{}", err(&ran));
    let ran = flowq_in(folder.path(), &["run", "tgw_flow_logs", "--store", store]);
    assert!(!err(&ran).contains("there are no"), "{}", err(&ran));
}

#[test]
fn columns_without_a_name_are_called_as_they_are_written() {
    let header = |sql: &str| {
        let csv = out(over_store(&["sql", "-q", "--format", "csv", sql]));
        csv.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        header("select action, count(*), sum(bytes) / 8 from flow_logs group by action"),
        "action,count(*),sum(bytes) / 8"
    );
    assert_eq!(header("select 1, 'x' union all select 2, 'y'"), "1,'x'");
    // Functions of other engines by their own names.
    assert_eq!(
        header("select max_by(dstaddr, bytes), hour(start) from flow_logs group by 2"),
        "\"max_by(dstaddr, bytes)\",hour(start)"
    );
    let kept = "create table t as select action, count(*) from flow_logs group by 1; select sum(\"count(*)\") from t";
    assert_eq!(header(kept), "\"sum(\"\"count(*)\"\")\"");
}

#[test]
fn a_dash_stands_for_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let ran = flowq_in(folder.path(), &["sql", "select 1 as one", "--format", "csv", "-o", "-"]);
    assert_eq!(out(ran), "one\n1\n");
    assert!(!folder.path().join("-").exists());
}

#[test]
fn a_log_format_of_a_later_version_is_read_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.log"), "10.0.0.1 5 weird\n").unwrap();
    let format = "${srcaddr} ${bytes} ${new-field}";
    let sql = "select srcaddr, bytes, extra['new-field'] as extra from flow_logs";
    let ran =
        flowq_in(folder.path(), &["sql", "--from", "x.log", "--log-format", format, "--format", "csv", sql]);
    assert!(err(&ran).contains("flowq knows no field `new-field`"), "{}", err(&ran));
    assert_eq!(out(ran), "srcaddr,bytes,extra\n10.0.0.1,5,weird\n");
    let ran = flowq_in(folder.path(), &["ingest", "x.log", "--log-format", format]);
    assert!(err(&ran).contains("flowq knows no field `new-field`"), "{}", err(&ran));
    let ran = flowq_in(folder.path(), &["sql", "--format", "csv", sql]);
    assert_eq!(out(ran), "srcaddr,bytes,extra\n10.0.0.1,5,weird\n");
}
