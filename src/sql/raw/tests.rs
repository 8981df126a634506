//! Tests of the tables over raw files.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use super::*;
use crate::source::decode::DecodeOptions;
use crate::source::locate;
use crate::sql::catalog::TableSource;
use crate::sql::functions::Enrichment;
use crate::sql::session::{Session, SessionOptions};

pub(super) const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
                      action log-status\n";
pub(super) const ALB: &str = r#"http 2026-01-15T10:00:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.0.2.131:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2026-01-15T09:59:59.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"
"#;

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// 2026-01-15T10:00:00Z.
const TEN: i64 = 1_768_471_200;

pub(super) fn record(number: i64, source: &str, port: &str, action: &str) -> String {
    let start = TEN + number % 3600;
    format!(
        "2 123456789012 eni-0123456789abcdef{} {source} 10.0.0.{} {port} 443 6 {number} {} {start} {} {action} OK\n",
        number % 3,
        number % 20,
        number * 40,
        start + 50
    )
}

/// Files of several kinds and forms: 40 flow log records in three files, one ALB line, one text that is no log.
fn dump(folder: &Path) {
    let lines = |from: i64, to: i64| -> String {
        (from..to)
            .map(|number| {
                let source = ["192.0.2.7", "198.51.100.101", "2001:db8::7", "10.0.0.5"][number as usize % 4];
                record(number, source, "50000", if number % 5 == 0 { "REJECT" } else { "ACCEPT" })
            })
            .collect()
    };
    put(folder, "a.log", format!("{HEADER}{}", lines(0, 20)).as_bytes());
    put(folder, "b.log.gz", &gzip(&format!("{HEADER}{}", lines(20, 30))));
    let custom: String = lines(30, 40)
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            format!("{} {} {} {} eu-west-1 future-value\n", fields[12], fields[3], fields[10], fields[9])
        })
        .collect();
    put(
        folder,
        "deep/c.log",
        format!("action srcaddr start bytes region a-future-field\n{custom}").as_bytes(),
    );
    put(folder, "elb.log", ALB.as_bytes());
    put(folder, "notes.txt", b"not a log at all\n");
}

fn open(folder: &Path) -> (Session, RawTables) {
    let found = locate(&[folder.to_str().unwrap()], None);
    let tables = RawTables::new(found.objects, DecodeOptions::default());
    let sources: Vec<Arc<dyn TableSource>> = vec![Arc::new(tables.clone())];
    let session = Session::new(SessionOptions::default(), sources, &Arc::new(Enrichment::default())).unwrap();
    (session, tables)
}

pub(super) async fn answer(session: &Session, sql: &str) -> String {
    pretty_format_batches(&session.query(sql).await.unwrap()).unwrap().to_string()
}

pub(super) async fn one_value(session: &Session, sql: &str) -> String {
    let table = answer(session, &format!("select * from ({sql}) as t(a)")).await;
    table.lines().nth(3).unwrap_or("no rows").trim_matches(['|', ' ']).to_owned()
}

/// Rows as texts, in no order.
pub(super) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
            );
        }
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn every_kind_has_its_table_and_files_of_several_forms_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path());
    let (session, tables) = open(folder.path());
    assert_eq!(one_value(&session, "select count(*) from flow_logs").await, "40");
    assert_eq!(one_value(&session, "select count(*) from alb_logs").await, "1");
    assert_eq!(one_value(&session, "select count(*) from nlb_logs").await, "0");
    // 10 records of the custom format lack the interface.
    assert_eq!(one_value(&session, "select count(interface_id) from flow_logs").await, "30");
    // Bytes are 40 times the number: 40 * (0 + ... + 39).
    assert_eq!(one_value(&session, "select sum(bytes) from flow_logs").await, "31200");
    assert_eq!(one_value(&session, "select count(*) from flow_logs where action = 'REJECT'").await, "8");
    let of_one = "select count(*) from flow_logs where srcaddr = '198.51.100.101' and action = 'ACCEPT'";
    assert_eq!(one_value(&session, of_one).await, "8");
    assert_eq!(one_value(&session, "select client_ip from alb_logs").await, "192.0.2.131");
    assert_eq!(one_value(&session, "select min(start) from flow_logs").await, "2026-01-15T10:00:00Z");
    assert_eq!(one_value(&session, "select max(event_date) from flow_logs").await, "2026-01-15");
    let extra = "select extra['a-future-field'] from flow_logs where region = 'eu-west-1' limit 1";
    assert_eq!(one_value(&session, extra).await, "future-value");
    let place = "select source_line from flow_logs where bytes = 800";
    assert_eq!(one_value(&session, place).await, "2");
    let file = "select source_file from flow_logs where bytes = 800";
    assert!(one_value(&session, file).await.ends_with("b.log.gz"));
    let summary = tables.quarantine().summary();
    assert_eq!((summary.lines, summary.skipped.len()), (0, 1));
    assert!(summary.skipped[0].0.ends_with("notes.txt"));
}

#[tokio::test]
async fn what_the_files_do_not_carry_is_known_after_reading() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path());
    let (session, tables) = open(folder.path());
    let kind = crate::format::LogKind::Flow;
    assert!(tables.carried(kind).is_empty());
    assert_eq!(one_value(&session, "select count(flow_direction) from flow_logs").await, "0");
    let carried = tables.carried(kind);
    assert!(carried.contains(&kind.column_index("region").unwrap()));
    assert!(!carried.contains(&kind.column_index("flow_direction").unwrap()));
}

#[tokio::test]
async fn refused_lines_are_told_and_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    let bad = record(7, "192.0.2.7", "abc", "ACCEPT");
    let text = format!(
        "{HEADER}{}{bad}{}",
        record(1, "192.0.2.1", "1", "ACCEPT"),
        record(2, "192.0.2.2", "2", "REJECT")
    );
    put(folder.path(), "a.log", text.as_bytes());
    let (session, tables) = open(folder.path());
    for _ in 0..2 {
        assert_eq!(one_value(&session, "select count(srcport) from flow_logs").await, "2");
    }
    let summary = tables.quarantine().summary();
    assert_eq!((summary.lines, summary.files), (1, 1));
    let (_, line, reason) = summary.first.unwrap();
    assert_eq!((line, reason.as_str()), (3, "srcport: expected a 32-bit integer, found \"abc\""));
    let listed = "select kind || ' ' || line || ' ' || byte || ' ' || (text = '{}') from quarantine";
    let byte = HEADER.len() + record(1, "192.0.2.1", "1", "ACCEPT").len();
    let expected = format!("flow_logs 3 {byte} true");
    assert_eq!(one_value(&session, &listed.replace("{}", bad.trim_end())).await, expected);
    // A query that does not need the port has no reason to refuse the line.
    assert_eq!(one_value(&session, "select count(srcaddr) from flow_logs").await, "3");
}

#[tokio::test]
async fn the_time_in_a_name_leaves_files_out() {
    let folder = tempfile::tempdir().unwrap();
    for (hour, stamp) in [(10, "20260115T1000Z"), (12, "20260115T1200Z")] {
        let name = format!(
            "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/01/15/123456789012_vpcflowlogs_eu-west-1_\
             fl-0123456789abcdef0_{stamp}_0123abcd.log.gz"
        );
        let line = record(0, "192.0.2.7", "1", "ACCEPT")
            .replace(&TEN.to_string(), &(TEN + (hour - 10) * 3600).to_string());
        put(folder.path(), &name, &gzip(&format!("{HEADER}{line}")));
    }
    let (session, _) = open(folder.path());
    let count = |condition: &str| format!("select count(*) from flow_logs where {condition}");
    let later = count("start >= '2026-01-15T11:30:00Z'");
    assert_eq!(one_value(&session, &later).await, "1");
    let analysis = answer(&session, &format!("explain analyze {later}")).await;
    assert!(analysis.contains("files_pruned=1") && analysis.contains("files_read=1"), "{analysis}");
    // Records come late: 11:50 may stand in the object of 12:00, and so may 06:10; 05:30 is too long ago for it.
    for (before, pruned) in [("11:50", 0), ("06:10", 0), ("05:30", 1)] {
        let near = count(&format!("start < '2026-01-15T{before}:00Z'"));
        let near = answer(&session, &format!("explain analyze {near}")).await;
        assert!(near.contains(&format!("files_pruned={pruned}")), "{before}: {near}");
    }
    let date = answer(&session, &format!("explain analyze {}", count("event_date = '2026-01-16'"))).await;
    assert!(date.contains("files_pruned=2"), "{date}");
}

#[tokio::test]
async fn a_rare_text_is_looked_for_before_lines_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path());
    let (session, _) = open(folder.path());
    let sql = "explain analyze select srcaddr from flow_logs where action = 'REJECT'";
    let analysis = answer(&session, sql).await;
    // 36 of the 43 lines hold neither the text nor a header... the eight REJECT lines are cut, and the headers.
    assert!(analysis.contains("only_lines_with=REJECT") && analysis.contains("lines_read=43"), "{analysis}");
    assert!(analysis.contains("lines_skipped=32"), "{analysis}");
    assert!(analysis.contains("output_rows=8"), "{analysis}");
}

#[tokio::test]
async fn a_limit_ends_the_reading() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..200_000).map(|number| record(number, "192.0.2.7", "1", "ACCEPT")).collect();
    put(folder.path(), "a.log", format!("{HEADER}{lines}").as_bytes());
    let (session, _) = open(folder.path());
    let limited = session.query("select srcaddr from flow_logs limit 5").await.unwrap();
    assert_eq!(limited.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    let analysis = answer(&session, "explain analyze select srcaddr from flow_logs limit 5").await;
    let read = analysis.split("lines_read=").nth(1).unwrap();
    assert!(read.starts_with("8.19 K"), "{analysis}");
}

#[tokio::test]
async fn a_file_that_breaks_off_gives_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..5000).map(|number| record(number, "192.0.2.7", "1", "ACCEPT")).collect();
    let whole = gzip(&format!("{HEADER}{lines}"));
    put(folder.path(), "a.log.gz", &whole[..whole.len() / 2]);
    put(folder.path(), "b.log", format!("{HEADER}{}", record(1, "192.0.2.9", "1", "ACCEPT")).as_bytes());
    let (session, tables) = open(folder.path());
    let count: u64 = one_value(&session, "select count(*) from flow_logs").await.parse().unwrap();
    assert!(count > 1000 && count < 5000, "{count}");
    assert_eq!(one_value(&session, "select count(*) from flow_logs where srcaddr = '192.0.2.9'").await, "1");
    assert_eq!(tables.quarantine().summary().lines, 1);
}

const TEXTS: [&str; 6] = ["192.0.2.7", "198.51.100.101", "2001:db8::7", "10.0.0.5", "REJECT", "future-value"];

fn condition() -> impl Strategy<Value = String> {
    let text = || {
        (
            prop_oneof![Just("srcaddr"), Just("action"), Just("interface_id"), Just("region")],
            0..TEXTS.len(),
            any::<bool>(),
        )
            .prop_map(|(column, text, equal)| {
                format!("{column} {} '{}'", if equal { "=" } else { "<>" }, TEXTS[text])
            })
    };
    let leaf = prop_oneof![
        text(),
        text(),
        (prop_oneof![Just("bytes"), Just("packets"), Just("srcport"), Just("source_line")], 0i64..1700)
            .prop_map(|(column, value)| format!("{column} > {value}")),
        (0i64..45).prop_map(|seconds| format!("start >= to_timestamp_seconds({})", TEN + seconds)),
        Just("interface_id is null".to_owned()),
        Just("event_date = '2026-01-15'".to_owned()),
        Just("cidr_contains('192.0.2.0/24', srcaddr)".to_owned()),
        Just("source_file like '%.gz'".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} and {other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} or {other})")),
            inner.prop_map(|one| format!("not ({one})")),
        ]
    })
}

const COLUMNS: [&str; 12] = [
    "srcaddr",
    "action",
    "bytes",
    "start",
    "interface_id",
    "region",
    "source_line",
    "event_date",
    "srcport",
    "extra",
    "split_part(source_file, '/', -1)",
    "bytes * 2 + source_line",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn pushing_down_changes_no_answer(
        condition in condition(),
        columns in proptest::sample::subsequence(COLUMNS.to_vec(), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            dump(folder.path());
            let (session, _) = open(folder.path());
            let all = session.query("select * from flow_logs").await.unwrap();
            prop_assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
            let memory = MemTable::try_new(all[0].schema(), vec![all]).unwrap();
            session.context().register_table("kept", Arc::new(memory)).unwrap();
            let select = |table: &str| format!("select {} from {table} where {condition}", columns.join(", "));
            let pushed = session.query(&select("flow_logs")).await.unwrap();
            let naive = session.query(&select("kept")).await.unwrap();
            prop_assert_eq!(rows(&pushed), rows(&naive));
            let counts = |table: &str| format!("select count(*) from {table} where {condition}");
            let pushed = session.query(&counts("flow_logs")).await.unwrap();
            let naive = session.query(&counts("kept")).await.unwrap();
            prop_assert_eq!(rows(&pushed), rows(&naive));
            Ok(())
        })?;
    }
}
