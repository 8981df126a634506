//! A file that several partitions read together gives what it gives one.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use proptest::prelude::*;

use super::RawTables;
use super::tests::{HEADER, answer, gzip, one_value, put, record, rows};
use crate::source::decode::DecodeOptions;
use crate::source::{Limits, locate};
use crate::sql::catalog::TableSource;
use crate::sql::functions::Enrichment;
use crate::sql::session::{Session, SessionOptions};

const SWAPPED: &str = "action srcaddr start bytes a-future-field srcport\n";
const TRANSIT: &str = "version resource-type tgw-id srcaddr bytes start end\n";

/// Every file is long, and a block holds a few lines.
fn tiny(block: usize) -> Limits {
    Limits { whole_file: 0, whole_text: 0, block, ..Limits::default() }
}

fn open(folder: &Path, threads: usize, limits: Limits, strict: bool) -> (Session, RawTables) {
    let found = locate(&[folder.to_str().unwrap()], None);
    let tables = RawTables::limited(found.objects, DecodeOptions::default(), threads, limits, strict);
    let sources: Vec<Arc<dyn TableSource>> = vec![Arc::new(tables.clone())];
    let options = SessionOptions { threads: threads.try_into().unwrap(), ..SessionOptions::default() };
    (Session::new(options, sources, &Arc::new(Enrichment::default())).unwrap(), tables)
}

/// A stretch of lines, and what they are.
#[derive(Clone, Debug)]
enum Piece {
    Default(usize),
    Swapped(usize),
    Transit(usize),
    Bad,
    Blank,
    /// Longer than a block.
    Long,
}

fn text(pieces: &[Piece]) -> String {
    let mut text = HEADER.to_owned();
    let (mut number, mut layout) = (0, 0);
    for piece in pieces {
        let wanted = match piece {
            Piece::Swapped(_) => 1,
            Piece::Transit(_) => 2,
            _ => 0,
        };
        let count = match piece {
            Piece::Default(count) | Piece::Swapped(count) | Piece::Transit(count) => {
                // A header comes where the lines change, and now and then where they do not.
                if layout != wanted || count % 3 == 0 {
                    text.push_str([HEADER, SWAPPED, TRANSIT][wanted]);
                    layout = wanted;
                }
                *count
            }
            Piece::Bad => {
                text.push_str("2 no address\n");
                0
            }
            Piece::Blank => {
                text.push('\n');
                0
            }
            Piece::Long => {
                text.push_str(&"x".repeat(700 + number as usize));
                text.push('\n');
                0
            }
        };
        for _ in 0..count {
            number += 1;
            let source = ["192.0.2.7", "198.51.100.101", "2001:db8::7"][number as usize % 3];
            let port = if number % 7 == 0 { "70000000000" } else { "50000" };
            let line = record(number, source, port, if number % 5 == 0 { "REJECT" } else { "ACCEPT" });
            let fields: Vec<&str> = line.trim_end().split(' ').collect();
            text.push_str(&match wanted {
                0 => line.clone(),
                1 => format!("{} {source} {} {} kept {port}\n", fields[12], fields[10], fields[9]),
                _ => format!("6 TransitGateway tgw-0123 {source} {port} {} {}\n", fields[10], fields[11]),
            });
        }
    }
    text
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => (1usize..12).prop_map(Piece::Default),
        2 => (1usize..12).prop_map(Piece::Swapped),
        1 => (1usize..12).prop_map(Piece::Transit),
        1 => Just(Piece::Bad),
        1 => Just(Piece::Blank),
        1 => Just(Piece::Long),
    ]
}

/// All that can be seen of a folder: rows, refused lines, counts.
async fn seen(folder: &Path, threads: usize, limits: Limits) -> Vec<Vec<String>> {
    let (session, tables) = open(folder, threads, limits, false);
    let mut seen = Vec::new();
    for sql in [
        "select source_line, srcaddr, bytes, start, extra from flow_logs",
        "select source_line, bytes from flow_logs where action = 'REJECT'",
        "select source_line, srcaddr from flow_logs where srcaddr = '198.51.100.101'",
        "select source_line, bytes, tgw_id from tgw_flow_logs",
        "select a.source_line, b.srcport from flow_logs a join flow_logs b using (source_line)",
        "select count(*), count(srcport), sum(srcport) from flow_logs",
        "select count(*) from flow_logs",
    ] {
        seen.push(rows(&session.query(sql).await.unwrap()));
        let summary = tables.quarantine().summary();
        seen.push(vec![format!("{} lines of {} files, {:?}", summary.lines, summary.files, summary.first)]);
    }
    for condition in ["srcport > 0", "action = 'REJECT'", "srcaddr = '192.0.2.7'"] {
        let sql = format!("explain analyze select bytes from flow_logs where {condition}");
        let analysis = answer(&session, &sql).await;
        let scan = analysis.lines().find(|line| line.contains("DataSourceExec")).unwrap();
        let names =
            ["lines_read=", "lines_refused=", "lines_skipped=", "files_read=", "bytes_read=", "output_rows="];
        let value = |name| scan.split(name).nth(1).unwrap().split([',', ']']).next().unwrap();
        seen.push(names.into_iter().map(|name| format!("{name}{}", value(name))).collect());
    }
    seen.push(rows(&session.query("select kind, line, byte, reason, text from quarantine").await.unwrap()));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn dividing_a_file_changes_nothing(
        pieces in proptest::collection::vec(piece(), 0..14),
        ended in any::<bool>(),
        block in 1usize..900,
    ) {
        let mut text = text(&pieces);
        if !ended {
            text.pop();
        }
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a.log", text.as_bytes());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(async {
            let whole = seen(folder.path(), 1, Limits::default()).await;
            for threads in [1, 3] {
                let divided = seen(folder.path(), threads, tiny(block)).await;
                prop_assert_eq!(&whole, &divided, "{} threads\n{}", threads, text);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_line_beyond_all_bounds_is_one_refused_line() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (record(1, "192.0.2.1", "1", "ACCEPT"), record(2, "192.0.2.2", "2", "ACCEPT"));
    let text = format!("{HEADER}{first}{}\n{last}", "x".repeat(5000));
    put(folder.path(), "a.log", text.as_bytes());
    let place = format!("3 {}", HEADER.len() + first.len());
    for threads in [1, 2, 3] {
        let (session, _) = open(folder.path(), threads, Limits { line: 600, ..tiny(100) }, false);
        assert_eq!(one_value(&session, "select sum(source_line) from flow_logs").await, "6");
        assert_eq!(one_value(&session, "select line || ' ' || byte from quarantine").await, place);
        // A stream is read in steps that are longer than this line, so that one reader alone holds all of it.
        if threads > 1 {
            let listed = "select reason || ', of which ' || length(text) from quarantine";
            let expected = "the line is longer than 5000 bytes, of which 600";
            assert_eq!(one_value(&session, listed).await, expected);
        }
    }
}

/// Several megabytes of records, every hundredth with a bad port; the number of records.
fn long(folder: &Path, name: &str, compressed: bool) -> usize {
    let count = 60_000;
    let line =
        |number: i64| record(number, "192.0.2.7", if number % 100 == 0 { "bad" } else { "1" }, "ACCEPT");
    let lines: String = (0..count).map(line).collect();
    let text = format!("{HEADER}{lines}");
    put(folder, name, &if compressed { gzip(&text) } else { text.into_bytes() });
    count as usize
}

fn divided() -> Limits {
    Limits { whole_file: 1 << 16, whole_text: 1 << 16, block: 1 << 16, line: 1 << 16 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn partitions_share_the_blocks_of_a_long_file() {
    for compressed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let count = long(folder.path(), "a.log", compressed);
        let (session, tables) = open(folder.path(), 4, divided(), false);
        let sql = "select srcport, source_line from flow_logs";
        let plan = session.context().sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let context = session.context().task_ctx();
        let streams =
            datafusion::physical_plan::execute_stream_partitioned(Arc::clone(&plan), context).unwrap();
        assert_eq!(streams.len(), 4);
        // In turns: each gives rows before any has come to its end.
        let mut streams: Vec<_> = streams.into_iter().map(Box::pin).collect();
        let mut counts = vec![0; streams.len()];
        let mut open = true;
        while open {
            open = false;
            for (stream, rows) in streams.iter_mut().zip(&mut counts) {
                if let Some(batch) = futures::StreamExt::next(stream).await {
                    *rows += batch.unwrap().num_rows();
                    open = true;
                }
            }
        }
        assert!(counts.iter().all(|rows| *rows > 1000), "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), count - count / 100);
        let summary = tables.quarantine().summary();
        assert_eq!((summary.lines, summary.files), (count as u64 / 100, 1));
        assert_eq!(summary.first.unwrap().1, 2);

        // Once more from the start, and one partition alone takes all.
        let again = Arc::clone(&plan).reset_state().unwrap();
        let alone = again.execute(2, session.context().task_ctx()).unwrap();
        let batches: Vec<RecordBatch> = futures::TryStreamExt::try_collect(alone).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), count - count / 100);
        assert_eq!(tables.quarantine().summary().lines, count as u64 / 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_limit_ends_the_reading_of_all_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let count = long(folder.path(), "a.log", false);
    let (session, _) = open(folder.path(), 3, divided(), false);
    let limited = session.query("select srcaddr from flow_logs limit 5").await.unwrap();
    assert_eq!(limited.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    assert_eq!(one_value(&session, "select count(*) from flow_logs").await, count.to_string());
    // Many statements at once over the same file.
    let sql = "select count(srcport) from flow_logs";
    let all = futures::future::join_all((0..5).map(|_| one_value(&session, sql))).await;
    assert_eq!(all, vec![(count - count / 100).to_string(); 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_long_file_with_a_bad_line_is_left_out_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let count = long(folder.path(), "a.log", false);
    put(folder.path(), "b.log", format!("{HEADER}{}", record(1, "192.0.2.9", "1", "ACCEPT")).as_bytes());
    let (session, tables) = open(folder.path(), 3, divided(), true);
    assert_eq!(one_value(&session, "select count(*) from flow_logs").await, "1");
    assert_eq!(tables.quarantine().summary().lines, count as u64 / 100);
    let (session, _) = open(folder.path(), 3, divided(), false);
    let listed = "select count(*) || ' ' || min(line) || ' ' || max(line) from quarantine";
    let expected = format!("{} 2 {}", count / 100, count - 100 + 2);
    assert_eq!(one_value(&session, listed).await, expected);
}

#[tokio::test]
async fn a_query_that_finds_nothing_lets_others_have_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("srcaddr start\n{}", "192.0.2.7 1768471200\n".repeat(250_000));
    put(folder.path(), "a.log", text.as_bytes());
    for limits in [divided(), Limits::default()] {
        let (session, _) = open(folder.path(), 1, limits, false);
        let sql = "select srcaddr from flow_logs where start = '2026-01-15T10:00:01Z'";
        let plan = session.context().sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let mut stream = plan.execute(0, session.context().task_ctx()).unwrap();
        let mut pauses = 0;
        let rows = loop {
            match futures::FutureExt::now_or_never(futures::StreamExt::next(&mut stream)) {
                Some(batch) => break batch.map(|batch| batch.unwrap().num_rows()),
                None => pauses += 1,
            }
        };
        assert_eq!(rows.unwrap_or(0), 0);
        assert!((10..20).contains(&pauses), "one for each sixteen thousand lines, and not {pauses}");
    }
}
