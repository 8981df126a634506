//! Compaction, forgetting, and what `info` says.

use std::time::Duration;

use arrow::array::{Array, Int32Array, new_null_array};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::NaiveDate;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A file whose times lie between those of other files, with a column that others lack.
fn write_interleaved(
    batch: &mut Batch,
    date: i32,
    source: &str,
    offset: i64,
    step: i64,
    count: i64,
    port: bool,
) {
    let path = batch.data_path("flow_logs", Some(date)).unwrap();
    let start = i64::from(date) * DAY_MICROS;
    let lines = 1..=count;
    let times = lines.clone().map(|line| start + (offset + line * step) * 1_000_000);
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("start", Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("source_file", Arc::new(StringArray::from_iter_values(lines.clone().map(|_| source)))),
        ("source_line", Arc::new(Int64Array::from_iter_values(lines.clone()))),
    ];
    if port {
        columns.push(("extra", new_null_array(&format::extra_type(), lines.clone().count())));
        columns.insert(0, ("dstport", Arc::new(Int32Array::from_iter_values(lines.map(|_| 443)))));
    }
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create_new(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let stats = FileStats::from_parquet_footer(&writer.close().unwrap());
    batch.add_file("flow_logs", Some(date), path, stats);
}

#[test]
fn small_files_become_one_in_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    for file in 0..10 {
        write_interleaved(&mut batch, DAY, &format!("{file}.log"), file, 10, 700, file % 2 == 0);
    }
    write_interleaved(&mut batch, DAY + 1, "other.log", 0, 1, 5, false);
    batch.add_rows(QUARANTINE_TABLE, quarantined("a.log", 1..3));
    batch.record(vec![entry("/in/0.log", 700)]);
    batch.commit().unwrap();
    let mut batch = store.begin(&held).unwrap();
    batch.add_rows(QUARANTINE_TABLE, quarantined("b.log", 1..3));
    batch.commit().unwrap();
    let before = lines_of(&store, "flow_logs");
    let refused = lines_of(&store, QUARANTINE_TABLE);

    let mut told = Vec::new();
    let report =
        store.optimize(&held, TARGET_BYTES, HOUR, &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!((report.files_before, report.files_after, report.files_deleted), (12, 2, 0));
    assert!(told.iter().all(|(done, total)| done == total) && told.len() == 2);
    assert_eq!(lines_of(&store, "flow_logs"), before);
    assert_eq!(lines_of(&store, QUARANTINE_TABLE), refused);
    let files = store.snapshot("flow_logs").unwrap().unwrap().files;
    assert_eq!(files.len(), 2);
    let merged = files.iter().find(|file| file.date == Some(DAY)).unwrap();
    let (mut last, mut ports, mut nulls) = (i64::MIN, 0, 0);
    for rows in rewrite::read(&merged.path).unwrap() {
        let rows = rows.unwrap();
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["dstport", "start", "source_file", "source_line", "extra"]);
        for time in rows.column(1).as_primitive::<TimestampMicrosecondType>().values() {
            assert!(*time >= last);
            last = *time;
        }
        nulls += rows.column(0).null_count();
        ports += rows.num_rows() - rows.column(0).null_count();
    }
    assert_eq!((ports, nulls), (3500, 3500));
    // Compaction changes no data, and says so.
    let log = files::names(&folder.path().join("flow_logs/_delta_log")).unwrap();
    let newest = log.iter().rfind(|name| name.ends_with(".json")).unwrap();
    let commit = fs::read_to_string(folder.path().join("flow_logs/_delta_log").join(newest)).unwrap();
    assert!(commit.contains("\"dataChange\":false") && !commit.contains("\"dataChange\":true"), "{commit}");
    assert!(commit.contains("OPTIMIZE"));

    // The replaced files stay for as long as asked, and go then.
    assert_eq!(files_on_disk(folder.path()), 12 + 2 + 1 + 1);
    assert!(store.info().unwrap().replaced_bytes > 0);
    let report = store.optimize(&held, TARGET_BYTES, Duration::ZERO, &mut |_, _| {}).unwrap();
    assert_eq!((report.files_before, report.files_deleted), (0, 12));
    assert_eq!(files_on_disk(folder.path()), 2 + 1 + 1);
    assert_eq!(store.info().unwrap().replaced_bytes, 0);
    assert_eq!(lines_of(&store, "flow_logs"), before);
    drop(held);
    lock(&store);
    assert_eq!(lines_of(&store, "flow_logs"), before);
}

#[test]
fn more_files_than_are_opened_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    for file in 0..300 {
        write_flow(&mut batch, Some(DAY), &format!("{file}.log"), 1..4);
    }
    batch.commit().unwrap();
    let report = store.optimize(&held, TARGET_BYTES, HOUR, &mut |_, _| {}).unwrap();
    assert_eq!((report.files_before, report.files_after), (303, 4));
    assert_eq!(store.snapshot("flow_logs").unwrap().unwrap().files.len(), 1);
    assert_eq!(lines_of(&store, "flow_logs").len(), 900);
}

#[test]
fn large_files_are_left_alone() {
    let file = |size: u64, date: i32, name: &str| DataFile {
        path: name.into(),
        relative: name.to_string(),
        size,
        rows: 1,
        date: Some(date),
        stats: None,
    };
    let all = vec![file(80, 0, "a"), file(10, 0, "b"), file(60, 0, "c"), file(70, 0, "d"), file(10, 1, "e")];
    let groups = crate::store::maintain::groups("flow_logs", all, 100);
    let names: Vec<Vec<String>> =
        groups.into_iter().map(|group| group.into_iter().map(|file| file.relative).collect()).collect();
    assert_eq!(names, [["b", "c"]]);
}

#[test]
fn days_are_forgotten_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    for day in 0..4 {
        write_flow(&mut batch, Some(DAY + day), &format!("{day}.log"), 1..11);
    }
    write_flow(&mut batch, None, "undated.log", 1..3);
    batch.record(vec![entry("/in/0.log", 10)]);
    batch.commit().unwrap();
    let mut batch = store.begin(&held).unwrap();
    batch.replace_sources(HashSet::from(["0.log".to_string()]));
    write_flow(&mut batch, Some(DAY), "0.log", 1..21);
    batch.commit().unwrap();

    let before = NaiveDate::from_ymd_opt(2026, 1, 17).unwrap();
    let announced = store.forgettable(before).unwrap();
    assert_eq!((announced.files, announced.rows, announced.days), (2, 30, 2));
    assert_eq!(announced.tables, [("flow_logs".to_string(), 30, announced.bytes)]);
    assert_eq!(store.forget(&held, before).unwrap(), announced);
    assert_eq!(
        lines_of(&store, "flow_logs"),
        once(&[("2.log", 1..11), ("3.log", 1..11), ("undated.log", 1..3)])
    );
    // The replaced file of a forgotten day holds the same rows: it goes as well.
    let mut left = files::names(&folder.path().join("flow_logs")).unwrap();
    left.retain(|name| name.starts_with("event_date"));
    assert_eq!(
        left,
        ["event_date=2026-01-17", "event_date=2026-01-18", "event_date=__HIVE_DEFAULT_PARTITION__"]
    );
    assert_eq!(files_on_disk(&folder.path().join("flow_logs")), 3);
    assert!(store.ledger().unwrap().by_path("/in/0.log").is_some());
    assert_eq!(store.forget(&held, before).unwrap(), ForgetReport::default());
}

#[test]
fn info_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    assert_eq!(store.info().unwrap(), StoreInfo::default());
    let mut batch = store.begin(&lock(&store)).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 0..10);
    write_flow(&mut batch, Some(DAY + 2), "a.log", 10..15);
    batch.add_rows(QUARANTINE_TABLE, quarantined("a.log", 15..17));
    batch.commit().unwrap();
    let info = store.info().unwrap();
    assert_eq!((info.files, info.log_rows, info.tables.len()), (3, 15, 2));
    assert_eq!(info.bytes, info.tables.iter().map(|table| table.bytes).sum::<u64>());
    let flows = &info.tables[0];
    assert_eq!((flows.table.as_str(), flows.rows, flows.files, flows.days), ("flow_logs", 15, 2, 2));
    let day = |day| NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
    assert_eq!(flows.day_range, Some((day(15), day(17))));
    let start = i64::from(DAY) * DAY_MICROS;
    assert_eq!(flows.time_range, Some((start, start + 2 * DAY_MICROS + 14_000_000)));
}

/// Prints what compaction costs; nothing is asserted of time.
#[test]
fn compaction_of_two_million_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let mut batch = store.begin(&held).unwrap();
    for file in 0..20 {
        write_interleaved(&mut batch, DAY, &format!("{file}.log"), 0, 1, 100_000, true);
    }
    batch.commit().unwrap();
    let started = std::time::Instant::now();
    let report = store.optimize(&held, TARGET_BYTES, HOUR, &mut |_, _| {}).unwrap();
    println!("merging 2,000,000 rows of four columns: {:?}, {report:?}", started.elapsed());
    assert_eq!(store.snapshot("flow_logs").unwrap().unwrap().files[0].rows, 2_000_000);
}
