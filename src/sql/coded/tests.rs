//! The coded operators against the engine's own, over random rows, files and queries.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray,
    StringBuilder, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;

use crate::format;
use crate::sql::catalog::TableSource;
use crate::sql::functions::Enrichment;
use crate::sql::schema::as_views;
use crate::sql::session::{Session, SessionOptions};
use crate::sql::stored::{StoredFile, StoredTable};

/// 2026-01-15, in days since 1970.
const DAY: i32 = 20_468;
const DAY_MICROS: i64 = 86_400_000_000;

/// Address, port, bytes, seconds of the day, action.
type Row = (Option<String>, Option<i32>, Option<i64>, i64, Option<&'static str>);

#[derive(Debug)]
struct One(Arc<dyn TableProvider>);

#[async_trait]
impl TableSource for One {
    fn names(&self) -> Vec<String> {
        vec!["logs".to_owned()]
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok((name == "logs").then(|| Arc::clone(&self.0)))
    }
}

fn session(table: Arc<dyn TableProvider>) -> Session {
    let options = SessionOptions { threads: std::num::NonZeroUsize::new(2).unwrap(), ..Default::default() };
    Session::new(options, vec![Arc::new(One(table))], &Arc::new(Enrichment::default())).unwrap()
}

fn table_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("srcaddr", DataType::Utf8, true),
        Field::new("port", DataType::Int32, true),
        Field::new("bytes", DataType::Int64, true),
        Field::new("start", format::timestamp(), true),
        Field::new("action", DataType::Utf8, true),
        Field::new("absent", DataType::Utf8, true),
        Field::new(format::EVENT_DATE, DataType::Date32, true),
    ]))
}

fn columns(rows: &[Row], day: i32, views: bool) -> Vec<ArrayRef> {
    let text = |values: Vec<Option<&str>>| -> ArrayRef {
        if views { Arc::new(StringViewArray::from(values)) } else { Arc::new(StringArray::from(values)) }
    };
    let first = i64::from(day) * DAY_MICROS;
    let times = rows.iter().map(|row| first + row.3 * 1_000_000);
    vec![
        text(rows.iter().map(|row| row.0.as_deref()).collect()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        text(rows.iter().map(|row| row.4).collect()),
    ]
}

/// Row groups of a few rows, pages of fewer, dictionaries that overflow; one file in two lacks the last column.
fn stored(folder: &std::path::Path, files: &[Vec<Row>], group: usize, dictionary: usize) -> Session {
    let all = table_schema();
    let write = |(at, rows): (usize, &Vec<Row>)| {
        let day = DAY + at as i32;
        let width = if at % 2 == 0 { 5 } else { 4 };
        let schema = Arc::new(all.project(&(0..width).collect::<Vec<_>>()).unwrap());
        let mut arrays = columns(rows, day, false);
        arrays.truncate(width);
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_data_page_row_count_limit(3)
            .set_write_batch_size(2)
            .set_dictionary_page_size_limit(dictionary)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_bloom_filter_enabled(true);
        let path = folder.join(format!("part-{day}.parquet"));
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build())).unwrap();
        writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
        writer.close().unwrap();
        StoredFile {
            size: std::fs::metadata(&path).unwrap().len(),
            location: Path::from_absolute_path(path).unwrap(),
            modified: DateTime::<Utc>::UNIX_EPOCH,
            rows: Some(rows.len() as u64),
            date: Some(day),
            ranges: Vec::new(),
        }
    };
    let files = files.iter().enumerate().map(write).collect();
    let store = ObjectStoreUrl::local_filesystem();
    session(Arc::new(StoredTable::new(&all, store, files, Some("start"))))
}

fn in_memory(files: &[Vec<Row>]) -> Session {
    let schema = as_views(&table_schema());
    let batch = |(at, rows): (usize, &Vec<Row>)| {
        let day = DAY + at as i32;
        let mut arrays = columns(rows, day, true);
        if at % 2 == 1 {
            arrays[4] = Arc::new(StringViewArray::from(vec![None::<&str>; rows.len()]));
        }
        arrays.push(Arc::new(StringViewArray::from(vec![None::<&str>; rows.len()])));
        arrays.push(Arc::new(Date32Array::from(vec![day; rows.len()])));
        RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap()
    };
    let batches = files.iter().enumerate().map(batch).collect();
    session(Arc::new(MemTable::try_new(Arc::clone(&schema), vec![batches]).unwrap()))
}

async fn sorted(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().skip(3).map(|line| line.replace(' ', "")).collect();
    lines.retain(|line| !line.starts_with('+'));
    lines.sort();
    lines
}

const CONDITIONS: [&str; 16] = [
    "true",
    "action = 'REJECT'",
    "action is null",
    "action is distinct from 'ACCEPT'",
    "srcaddr = '10.0.0.1'",
    "srcaddr in ('10.0.0.1', '10.0.0.3', 'no address')",
    "srcaddr not in ('10.0.0.1', '10.0.0.3')",
    "srcaddr like '10.0.%'",
    "cidr_contains('10.0.0.0/30', srcaddr)",
    "srcaddr > action",
    "srcaddr = '10.0.0.2' or port = 443",
    "port between 80 and 1000 and action = 'ACCEPT'",
    "start >= timestamp '2026-01-15T00:00:20Z' and start < timestamp '2026-01-16T00:00:10Z'",
    "event_date = date '2026-01-16'",
    "coalesce(srcaddr, 'none') = 'none' and bytes > 100",
    "absent is null and srcaddr is not null",
];

const KEYS: [&str; 9] = [
    "",
    "srcaddr",
    "port",
    "action",
    "srcaddr, port",
    "action, srcaddr, bytes",
    "start",
    "absent, port",
    "event_date",
];

const FUNCTIONS: &str = "count(*), count(srcaddr), sum(bytes), min(port), max(srcaddr), avg(bytes), \
    count(*) filter (where action = 'REJECT'), count(distinct port), sum(bytes) filter (where port < 100)";

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let address = prop::option::weighted(
        0.9,
        prop_oneof![
            (0..6u8).prop_map(|last| format!("10.0.0.{last}")),
            any::<u16>().prop_map(|low| format!("2001:db8::{low:x}")),
            Just("an interface whose name is long enough".to_owned()),
        ],
    );
    let port = prop::option::weighted(0.9, prop_oneof![Just(443), 0..200i32, any::<i32>()]);
    let bytes = prop::option::weighted(0.9, prop_oneof![0..300i64, 1_000_000..2_000_000i64]);
    let action = prop_oneof![Just(Some("ACCEPT")), Just(Some("REJECT")), Just(None)];
    prop::collection::vec((address, port, bytes, 0..60i64, action), 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn answers_are_those_of_the_engine(
        files in prop::collection::vec(rows(), 1..4),
        group in 1usize..40,
        dictionary in prop_oneof![Just(20usize), Just(1_000_000)],
        condition in prop::sample::select(&CONDITIONS[..]),
        keys in prop::sample::select(&KEYS[..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let coded = stored(folder.path(), &files, group, dictionary);
        let plain = in_memory(&files);
        let (also, by) = match keys {
            "" => (String::new(), String::new()),
            keys => (format!("{keys}, "), format!("group by {keys}")),
        };
        let sql = |table| format!("select {also}{FUNCTIONS} from {table} where {condition} {by}");
        runtime.block_on(async {
            let wanted = sorted(&plain, &sql("logs")).await;
            assert_eq!(sorted(&coded, &sql("logs")).await, wanted, "{}", sql("logs"));
            let all = format!("select * from logs where {condition}");
            assert_eq!(sorted(&coded, &all).await, sorted(&plain, &all).await, "{all}");
            // The same over a kept table, made of coded rows, and over one that is the stored table's own columns.
            let columns = "select srcaddr, port, bytes, start, action, absent, event_date from logs";
            coded.query(&format!("create table kept as {columns} where true; create table lent as {columns}")).await.unwrap();
            assert_eq!(sorted(&coded, &sql("lent")).await, wanted, "lent: {}", sql("lent"));
            assert_eq!(sorted(&coded, &sql("kept")).await, wanted, "kept: {}", sql("kept"));
            let all = format!("select * from kept where {condition}");
            assert_eq!(sorted(&coded, &all).await, sorted(&plain, &all.replace("kept", "logs")).await, "{all}");
        });
    }
}

/// The plan of a query over a file of these rows.
async fn plan(rows: Vec<Row>, sql: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let session = stored(folder.path(), &[rows], 2, 1_000_000);
    pretty_format_batches(&session.query(sql).await.unwrap()).unwrap().to_string()
}

fn row(address: &str, second: i64) -> Row {
    (Some(address.to_owned()), Some(443), Some(1), second, Some("REJECT"))
}

#[tokio::test]
async fn aggregates_over_the_store_are_coded_and_say_what_they_leave_out() {
    let rows = (0..8).map(|at| row(if at < 6 { "10.0.0.1" } else { "10.0.0.9" }, at)).collect();
    let sql = "explain analyze select srcaddr, sum(bytes) from logs where srcaddr = '10.0.0.9' group by srcaddr, port";
    let plan = plan(rows, sql).await;
    assert!(plan.contains("CodedAggregateExec"), "{plan}");
    // Four row groups of two rows: the first three hold another address only.
    assert!(plan.contains("row_groups_pruned_statistics=4 total → 1 matched"), "{plan}");
}

#[tokio::test]
async fn rows_that_hardly_repeat_are_handed_on() {
    let count = 250_000;
    let rows = (0..count).map(|at| (Some(format!("10.0.0.{}", at % 7)), Some(at), Some(1), 0, None));
    let folder = tempfile::tempdir().unwrap();
    let session = stored(folder.path(), &[rows.collect()], 60_000, 1_000_000);
    let sql = "select count(*), sum(n), sum(b) from (select srcaddr, port, count(*) n, sum(bytes) b from logs group by 1, 2)";
    let answer = sorted(&session, sql).await;
    assert_eq!(answer, ["|250000|250000|250000|"]);
}

#[tokio::test]
async fn conditions_on_text_are_asked_of_coded_rows() {
    let rows: Vec<Row> = (0..8).map(|at| row(if at == 6 { "10.0.0.9" } else { "10.0.0.1" }, at)).collect();
    let columns =
        "select upper(srcaddr) as who, port + 1, bytes, start, action, absent, event_date from logs";
    let sql = format!("{columns} where srcaddr = '10.0.0.9'");
    let plan = plan(rows.clone(), &format!("explain {sql}")).await;
    assert!(plan.contains("CodedScan") && !plan.contains("DataSourceExec"), "{plan}");
    let folder = tempfile::tempdir().unwrap();
    let session = stored(folder.path(), &[rows], 3, 1_000_000);
    let answer = sorted(&session, &sql).await;
    assert_eq!(answer, ["|10.0.0.9|444|1|2026-01-15T00:00:06Z|REJECT||2026-01-15|"]);
}

/// A file of ten rows with a map, and one without; every column is keys but the map and the line.
#[tokio::test]
async fn columns_that_are_no_keys_come_with_the_rows_that_are_wanted() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("srcaddr", DataType::Utf8, true),
        Field::new(format::SOURCE_LINE, DataType::Int64, true),
        Field::new(format::EXTRA, format::extra_type(), true),
    ]));
    let folder = tempfile::tempdir().unwrap();
    let write = |at: usize| {
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut extra = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for row in 0..10 {
            if row % 2 == 0 {
                extra.keys().append_value("vpc");
                extra.values().append_value(format!("vpc-{row}"));
            }
            extra.append(row % 2 == 0).unwrap();
        }
        let addresses = (0..10).map(|row| Some(format!("10.0.0.{}", row % 3)));
        let arrays: [ArrayRef; 3] = [
            Arc::new(addresses.collect::<StringArray>()),
            Arc::new((1..=10).map(Some).collect::<Int64Array>()),
            Arc::new(extra.finish()),
        ];
        let schema = Arc::new(schema.project(&(0..3 - at).collect::<Vec<_>>()).unwrap());
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(4))
            .set_column_dictionary_enabled(format::SOURCE_LINE.into(), false);
        let path = folder.path().join(format!("part-{at}.parquet"));
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build())).unwrap();
        writer.write(&RecordBatch::try_new(schema, arrays[..3 - at].to_vec()).unwrap()).unwrap();
        writer.close().unwrap();
        StoredFile {
            size: std::fs::metadata(&path).unwrap().len(),
            location: Path::from_absolute_path(path).unwrap(),
            modified: DateTime::<Utc>::UNIX_EPOCH,
            rows: Some(10),
            date: None,
            ranges: Vec::new(),
        }
    };
    let files = vec![write(0), write(1)];
    let table = StoredTable::new(&schema, ObjectStoreUrl::local_filesystem(), files, None);
    let session = session(Arc::new(table));
    let sql = "select * from logs where srcaddr = '10.0.0.1'";
    let plan =
        pretty_format_batches(&session.query(&format!("explain {sql}")).await.unwrap()).unwrap().to_string();
    assert!(plan.contains("CodedScan"), "{plan}");
    // Rows 2, 5 and 8 of each, counted from 1; of the first file the even ones counted from 0 have a map.
    let wanted = [
        "|10.0.0.1|2||",
        "|10.0.0.1|2||",
        "|10.0.0.1|5|{vpc:vpc-4}|",
        "|10.0.0.1|5||",
        "|10.0.0.1|8||",
        "|10.0.0.1|8||",
    ];
    let mut wanted = wanted.map(str::to_owned);
    wanted.sort();
    assert_eq!(sorted(&session, sql).await, wanted);
}
