//! The store as a whole: batches, crashes, neighbours.

mod crash;
mod ledger;
mod maintain;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use super::*;

/// 2026-01-15, in days.
const DAY: i32 = 20_468;
const DAY_MICROS: i64 = 86_400_000_000;

fn no_waiting() {}

fn lock(store: &Store) -> StoreLock {
    store.lock(&mut no_waiting).unwrap()
}

/// A flow log file as the ingest would write it: only some of the columns.
fn write_flow(batch: &mut Batch, date: Option<i32>, source: &str, lines: std::ops::Range<i64>) {
    let path = batch.data_path("flow_logs", date).unwrap();
    let start = i64::from(date.unwrap_or(0)) * DAY_MICROS;
    let count = lines.clone().count();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("srcaddr", Arc::new(StringArray::from(vec!["192.0.2.1"; count]))),
        (
            "start",
            Arc::new(
                lines
                    .clone()
                    .map(|line| date.map(|_| start + line * 1_000_000))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        ),
        ("source_file", Arc::new(StringArray::from(vec![source; count]))),
        ("source_line", Arc::new(Int64Array::from_iter_values(lines))),
    ];
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create_new(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let stats = FileStats::from_parquet_footer(&writer.close().unwrap());
    batch.add_file("flow_logs", date, path, stats);
}

fn quarantined(source: &str, lines: std::ops::Range<i64>) -> RecordBatch {
    let count = lines.clone().count();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; count])) };
    RecordBatch::try_new(
        quarantine_schema(),
        vec![
            text("flow_logs"),
            text(source),
            Arc::new(Int64Array::from_iter_values(lines.clone())),
            Arc::new(Int64Array::from_iter_values(lines)),
            text("too few fields"),
            text("2 garbage"),
            Arc::new(TimestampMicrosecondArray::from(vec![0; count]).with_timezone("UTC")),
        ],
    )
    .unwrap()
}

fn entry(path: &str, rows: u64) -> LedgerEntry {
    LedgerEntry {
        path: path.to_string(),
        object_id: Some(format!("object of {path}")),
        kind: Some(LogKind::Flow),
        size: 100 + rows,
        modified_ns: 1_700_000_000_123_456_789,
        hash: Some(u128::MAX - u128::from(rows)),
        lines: rows + 1,
        rows,
        min_time: Some(1),
        account: Some("123456789012".to_string()),
        ..LedgerEntry::default()
    }
}

/// How often each line of each source is in a table.
fn lines_of(store: &Store, table: &str) -> BTreeMap<(String, i64), usize> {
    let mut found = BTreeMap::new();
    let line_column = if table == QUARANTINE_TABLE { "line" } else { "source_line" };
    for file in store.snapshot(table).unwrap().map_or_else(Vec::new, |snapshot| snapshot.files) {
        assert_eq!(file.size, fs::metadata(&file.path).unwrap().len());
        let mut rows = 0;
        for batch in rewrite::read(&file.path).unwrap() {
            let batch = batch.unwrap();
            let sources = batch.column_by_name("source_file").unwrap().as_string::<i32>();
            let lines = batch.column_by_name(line_column).unwrap().as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                *found.entry((sources.value(row).to_string(), lines.value(row))).or_default() += 1;
                rows += 1;
            }
        }
        assert_eq!(file.rows, rows);
    }
    found
}

fn once(lines: &[(&str, std::ops::Range<i64>)]) -> BTreeMap<(String, i64), usize> {
    let each = |(source, lines): &(&str, std::ops::Range<i64>)| {
        let source = source.to_string();
        lines.clone().map(move |line| ((source.clone(), line), 1)).collect::<Vec<_>>()
    };
    lines.iter().flat_map(each).collect()
}

/// Every data file on the disk, by table.
fn files_on_disk(root: &Path) -> usize {
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter(|entry| files::is_part(&entry.as_ref().unwrap().file_name().to_string_lossy()))
        .count()
}

#[test]
fn a_batch_commits_rows_refusals_and_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a store, with a space");
    let store = Store::open_or_create(&root).unwrap();
    assert!(store.snapshot("flow_logs").unwrap().is_none());
    assert!(store.ledger().unwrap().is_empty());
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..4);
    write_flow(&mut batch, None, "a.log", 4..5);
    batch.add_rows(QUARANTINE_TABLE, quarantined("a.log", 5..7));
    batch.record(vec![entry("/in/a.log", 4)]);
    let report = batch.commit().unwrap();
    assert_eq!((report.batch, report.rows_added, report.rows_removed), (1, 6, 0));
    let tables: Vec<&str> = report.versions.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(tables, ["flow_logs", "quarantine", "ingested_files"]);

    let reader = Store::open(&root).unwrap();
    assert_eq!(lines_of(&reader, "flow_logs"), once(&[("a.log", 1..5)]));
    assert_eq!(lines_of(&reader, "quarantine"), once(&[("a.log", 5..7)]));
    let snapshot = reader.snapshot("flow_logs").unwrap().unwrap();
    assert_eq!(snapshot.schema, format::table_schema(LogKind::Flow));
    let mut dates: Vec<Option<i32>> = snapshot.files.iter().map(|file| file.date).collect();
    dates.sort_unstable();
    assert_eq!(dates, [None, Some(DAY)]);
    let dated = snapshot.files.iter().find(|file| file.date.is_some()).unwrap();
    assert!(dated.relative.starts_with("event_date=2026-01-15/part-"), "{}", dated.relative);
    let stats: Value = serde_json::from_str(dated.stats.as_ref().unwrap()).unwrap();
    assert_eq!(stats["numRecords"], 3);
    assert_eq!(stats["minValues"]["srcaddr"], "192.0.2.1");
    assert!(stats["minValues"]["start"].as_str().unwrap().starts_with("2026-01-15T00:00:01"), "{stats}");
    assert_eq!(stats["maxValues"]["source_line"], 3);

    let ledger = reader.ledger().unwrap();
    let found = ledger.by_path("/in/a.log").unwrap();
    let expected = LedgerEntry { batch: 1, ingested_at: found.ingested_at, ..entry("/in/a.log", 4) };
    assert_eq!(*found, expected);
    assert!(found.ingested_at > 1_700_000_000_000_000);
    assert_eq!(ledger.by_object("object of /in/a.log"), Some(&expected));
    assert_eq!(ledger.by_hash(u128::MAX - 4, 104).collect::<Vec<_>>(), [&expected]);
    assert_eq!(ledger.by_hash(u128::MAX - 4, 105).next(), None);
    assert_eq!(files::names(&root.join("_flowq/pending")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_source_is_replaced_in_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..100);
    write_flow(&mut batch, Some(DAY + 1), "b.log", 1..100);
    write_flow(&mut batch, Some(DAY + 1), "a.log", 100..150);
    batch.add_rows(QUARANTINE_TABLE, quarantined("a.log", 150..151));
    batch.add_rows(QUARANTINE_TABLE, quarantined("b.log", 100..102));
    batch.record(vec![entry("/in/a.log", 149), entry("/in/b.log", 99)]);
    batch.commit().unwrap();
    let untouched = |store: &Store| {
        let files = store.snapshot("flow_logs").unwrap().unwrap().files;
        files
            .into_iter()
            .filter(|file| rewrite::holds(&file.path, &HashSet::from(["b.log".into()])).unwrap())
            .map(|f| f.relative)
            .collect::<Vec<_>>()
    };
    let before = untouched(&store);

    let mut batch = store.begin(&held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..201);
    batch.replace_sources(HashSet::from(["a.log".to_string()]));
    batch.record(vec![entry("/in/a.log", 200)]);
    let report = batch.commit().unwrap();
    assert_eq!((report.batch, report.rows_added, report.rows_removed), (2, 200, 150));
    assert_eq!(lines_of(&store, "flow_logs"), once(&[("a.log", 1..201), ("b.log", 1..100)]));
    assert_eq!(lines_of(&store, "quarantine"), once(&[("b.log", 100..102)]));
    assert_eq!(untouched(&store), before);
    let ledger = Store::open(folder.path()).unwrap().ledger().unwrap();
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger.by_path("/in/a.log").unwrap().rows, 200);
    assert_eq!(ledger.by_path("/in/b.log").unwrap().batch, 1);
    // Replaced files stay on record, so that who reads the older version finds them.
    drop(held);
    let on_disk = files_on_disk(folder.path());
    lock(&store);
    assert_eq!(files_on_disk(folder.path()), on_disk);
}

#[test]
fn sources_are_found_where_the_dictionary_does_not_tell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.parquet");
    let column: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("y")]));
    let rows = RecordBatch::try_from_iter_with_nullable([("source_file", column, true)]).unwrap();
    let plain = parquet::file::properties::WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), Some(plain)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    assert!(rewrite::holds(&path, &HashSet::from(["y".to_string()])).unwrap());
    assert!(!rewrite::holds(&path, &HashSet::from(["z".to_string()])).unwrap());
}

#[test]
fn a_dropped_batch_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..10);
    drop(batch);
    assert_eq!(files_on_disk(folder.path()), 0);
    assert!(store.snapshot("flow_logs").unwrap().is_none());
    assert_eq!(store.begin(&held).unwrap().commit().unwrap(), CommitReport::default());
}

#[test]
fn what_a_killed_writer_left_is_cleared_and_what_others_wrote_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut batch = store.begin(&lock(&store)).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..10);
    batch.commit().unwrap();
    let partition = folder.path().join("flow_logs/event_date=2026-01-15");
    let foreign = partition.join("part-00000-5e68c265-4989-4acb-8620-98a26ab5cd07-c000.snappy.parquet");
    fs::write(&foreign, "another writer's").unwrap();
    fs::write(partition.join(files::fresh_part()), "half a file").unwrap();
    fs::write(folder.path().join("_flowq/pending/00000000000000000002.json.x.tmp"), "{").unwrap();
    assert_eq!(files_on_disk(folder.path()), 2);
    lock(&store);
    assert_eq!(files_on_disk(folder.path()), 1);
    assert!(foreign.exists());
    assert!(files::names(&folder.path().join("_flowq/pending")).unwrap().is_empty());
    assert_eq!(lines_of(&store, "flow_logs"), once(&[("a.log", 1..10)]));
}

#[test]
fn stores_that_are_none_or_newer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open(&folder.path().join("none")).err().unwrap();
    assert!(matches!(missing, StoreError::Missing { .. }));
    assert!(missing.hint().unwrap().contains("flowq ingest"));

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes.txt"), "mine").unwrap();
    for refused in [Store::open(&foreign), Store::open_or_create(&foreign)] {
        let error = refused.err().unwrap();
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(files::names(&foreign).unwrap(), ["notes.txt"]);

    let newer = folder.path().join("newer");
    Store::open_or_create(&newer).unwrap();
    fs::write(newer.join("_flowq/store.json"), r#"{"format":2,"written_by":"flowq 9.0.0"}"#).unwrap();
    let error = Store::open_or_create(&newer).err().unwrap();
    assert!(error.to_string().contains("written by a newer flowq (flowq 9.0.0, format 2)"), "{error}");
    assert_eq!(error.hint(), Some("update flowq"));
}

#[test]
fn two_writers_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    Store::open_or_create(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let root = folder.path();
            scope.spawn(move || {
                let store = Store::open_or_create(root).unwrap();
                for round in 0..5 {
                    let held = lock(&store);
                    let name = format!("{writer}-{round}.log");
                    let mut batch = store.begin(&held).unwrap();
                    write_flow(&mut batch, Some(DAY), &name, 1..11);
                    batch.record(vec![entry(&format!("/in/{name}"), 10)]);
                    batch.commit().unwrap();
                }
            });
        }
        // A reader beside them sees whole commits only.
        scope.spawn(|| {
            let store = Store::open(folder.path()).unwrap();
            for _ in 0..20 {
                let rows = lines_of(&store, "flow_logs");
                assert_eq!(rows.len() % 10, 0);
                assert!(rows.values().all(|&count| count == 1));
            }
        });
    });
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(lines_of(&store, "flow_logs").len(), 100);
    let batches: HashSet<i64> = store.ledger().unwrap().iter().map(|entry| entry.batch).collect();
    assert_eq!(batches, (1..=10).collect());
}

#[test]
fn waiting_is_announced_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let (announce, announced) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let root = folder.path();
        let waiter = scope.spawn(move || {
            let store = Store::open(root).unwrap();
            store.lock(&mut || announce.send(()).unwrap()).map(|_| ())
        });
        announced.recv().unwrap();
        assert!(!waiter.is_finished());
        drop(held);
        waiter.join().unwrap().unwrap();
        assert!(announced.recv().is_err());
    });
}

#[test]
fn a_store_works_within_another_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Store::open_or_create(folder.path()).unwrap();
        let mut batch = store.begin(&lock(&store)).unwrap();
        write_flow(&mut batch, Some(DAY), "a.log", 1..10);
        batch.commit().unwrap();
        assert_eq!(lines_of(&store, "flow_logs").len(), 9);
    });
}

#[test]
fn many_commits_make_checkpoints_and_few_ledger_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let started = std::time::Instant::now();
    for round in 0..45 {
        let mut batch = store.begin(&held).unwrap();
        write_flow(&mut batch, Some(DAY), &format!("{round}.log"), 1..3);
        batch.record(vec![entry(&format!("/in/{round}.log"), 2)]);
        batch.commit().unwrap();
    }
    println!("a small commit: {:?}", started.elapsed() / 45);
    let log = files::names(&folder.path().join("flow_logs/_delta_log")).unwrap();
    assert!(log.iter().any(|name| name.ends_with(".checkpoint.parquet")), "{log:?}");
    let started = std::time::Instant::now();
    let reader = Store::open(folder.path()).unwrap();
    println!("open: {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let snapshot = reader.snapshot("flow_logs").unwrap().unwrap();
    println!("first snapshot of 45 files: {:?}", started.elapsed());
    let started = std::time::Instant::now();
    reader.snapshot("flow_logs").unwrap().unwrap();
    println!("second snapshot: {:?}", started.elapsed());
    // Those within a checkpoint as well as those after it.
    for file in &snapshot.files {
        let stats: Value = serde_json::from_str(file.stats.as_ref().unwrap()).unwrap();
        assert_eq!(stats["minValues"]["start"], "2026-01-15T00:00:01.000Z", "{stats}");
        assert_eq!(stats["maxValues"]["start"], "2026-01-15T00:00:02.000Z", "{stats}");
    }
    assert_eq!(lines_of(&reader, "flow_logs").len(), 90);
    assert_eq!(reader.ledger().unwrap().len(), 45);
    assert!(reader.snapshot(LEDGER_TABLE).unwrap().unwrap().files.len() <= 17);
    let started = std::time::Instant::now();
    drop(held);
    let _again = lock(&reader);
    println!("lock: {:?}", started.elapsed());
}
