//! Tests of [`super`]: small Parquet files whose statistics are given by hand.

use super::*;
use crate::format::LogKind;
use crate::sql::catalog::TableSource;
use crate::sql::functions::Enrichment;
use crate::sql::session::{Session, SessionOptions};
use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::Field;
use datafusion::arrow::util::pretty::pretty_format_batches;
use parquet::arrow::ArrowWriter;

/// 2026-01-15 and the day after, in days since 1970.
const DAY: i32 = 20_468;
const DAY_MICROS: i64 = 86_400_000_000;

#[derive(Debug)]
struct One(Arc<StoredTable>);

#[async_trait]
impl TableSource for One {
    fn names(&self) -> Vec<String> {
        vec!["flow_logs".to_owned()]
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok((name == "flow_logs").then(|| Arc::clone(&self.0) as Arc<dyn TableProvider>))
    }
}

/// A file with three columns and none of the others, whose rows are a second apart.
fn write(folder: &std::path::Path, day: i32, addresses: &[&str], ports: &[Option<i32>]) -> StoredFile {
    let schema = Arc::new(Schema::new(vec![
        Field::new("srcaddr", DataType::Utf8, true),
        Field::new("srcport", DataType::Int32, true),
        Field::new("start", format::timestamp(), true),
    ]));
    let first = i64::from(day) * DAY_MICROS;
    let times = (0..addresses.len() as i64).map(|row| first + row * 1_000_000);
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(StringArray::from(addresses.to_vec())),
            Arc::new(Int32Array::from(ports.to_vec())),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ],
    )
    .unwrap();
    let path = folder.join(format!("part-{day}.parquet"));
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let known: Vec<i32> = ports.iter().flatten().copied().collect();
    let port = |value: Option<&i32>| value.map(|value| ScalarValue::Int32(Some(*value)));
    let srcport = Range {
        min: port(known.iter().min()),
        max: port(known.iter().max()),
        nulls: Some((ports.len() - known.len()) as u64),
        exact: true,
    };
    StoredFile {
        size: std::fs::metadata(&path).unwrap().len(),
        location: Path::from_absolute_path(path).unwrap(),
        modified: DateTime::<Utc>::UNIX_EPOCH,
        rows: Some(addresses.len() as u64),
        date: Some(day),
        ranges: vec![("srcport".to_owned(), srcport)],
    }
}

fn session(files: Vec<StoredFile>) -> Session {
    let table = StoredTable::new(
        &format::table_schema(LogKind::Flow),
        ObjectStoreUrl::local_filesystem(),
        files,
        Some("start"),
    );
    let sources: Vec<Arc<dyn TableSource>> = vec![Arc::new(One(Arc::new(table)))];
    Session::new(SessionOptions::default(), sources, &Arc::new(Enrichment::default())).unwrap()
}

fn two_days(folder: &std::path::Path) -> Session {
    session(vec![
        write(folder, DAY, &["10.0.0.1", "10.0.0.2", "10.12.0.9"], &[Some(443), None, Some(50_000)]),
        write(folder, DAY + 1, &["192.0.2.1", "10.0.0.1"], &[Some(22), Some(80)]),
    ])
}

async fn answer(session: &Session, sql: &str) -> String {
    pretty_format_batches(&session.query(sql).await.unwrap()).unwrap().to_string()
}

async fn one_value(session: &Session, sql: &str) -> String {
    let table = answer(session, &format!("select * from ({sql}) as t(a)")).await;
    table.lines().nth(3).unwrap_or("no rows").trim_matches(['|', ' ']).to_owned()
}

async fn files_read(session: &Session, condition: &str) -> usize {
    let plan = answer(session, &format!("explain select srcaddr from flow_logs where {condition}")).await;
    let coded = plan.split_once("CodedScan: files=").and_then(|(_, rest)| rest.split(',').next());
    coded.map_or_else(|| plan.matches(".parquet").count(), |files| files.parse().unwrap())
}

#[tokio::test]
async fn rows_come_with_their_date_and_absent_columns_are_null() {
    let folder = tempfile::tempdir().unwrap();
    let session = two_days(folder.path());
    assert_eq!(one_value(&session, "select count(*) from flow_logs").await, "5");
    assert_eq!(one_value(&session, "select count(vpc_id) from flow_logs").await, "0");
    assert_eq!(one_value(&session, "select count(extra) from flow_logs").await, "0");
    assert_eq!(one_value(&session, "select max(event_date) from flow_logs").await, "2026-01-16");
    assert_eq!(one_value(&session, "select arrow_typeof(srcaddr) from flow_logs limit 1").await, "Utf8View");
    let day =
        "select string_agg(srcaddr, ' ' order by srcaddr) from flow_logs where event_date = '2026-01-16'";
    assert_eq!(one_value(&session, day).await, "10.0.0.1 192.0.2.1");
    let columns = answer(&session, "describe flow_logs").await;
    assert_eq!(columns.lines().count(), 54 + 4 + 4);
}

#[tokio::test]
async fn files_are_dropped_by_date_time_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let session = two_days(folder.path());
    assert_eq!(files_read(&session, "true").await, 2);
    assert_eq!(files_read(&session, "event_date >= '2026-01-16'").await, 1);
    assert_eq!(files_read(&session, "start < '2026-01-16T00:00:00Z'").await, 1);
    assert_eq!(files_read(&session, "start >= to_timestamp_seconds(1768521600)").await, 1);
    assert_eq!(files_read(&session, "srcport = 443").await, 1);
    assert_eq!(files_read(&session, "srcport is null").await, 1);
    assert_eq!(files_read(&session, "srcport > 60000").await, 0);
    // What nothing is known of drops nothing.
    assert_eq!(files_read(&session, "srcaddr = '10.0.0.1'").await, 2);
    assert_eq!(one_value(&session, "select count(*) from flow_logs where srcport > 60000").await, "0");
    assert_eq!(one_value(&session, "select count(*) from flow_logs where srcport > 100").await, "2");
    let cidr = "select count(*) from flow_logs where cidr_contains('10.0.0.0/24', srcaddr)";
    assert_eq!(one_value(&session, cidr).await, "3");
}

#[tokio::test]
async fn counts_are_answered_without_opening_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let session = two_days(folder.path());
    for sql in ["select count(*) from flow_logs", "select max(srcport) from flow_logs"] {
        let plan = answer(&session, &format!("explain {sql}")).await;
        assert!(!plan.contains("DataSourceExec") && plan.contains("PlaceholderRowExec"), "{plan}");
    }
    assert_eq!(one_value(&session, "select max(srcport) from flow_logs").await, "50000");
    assert_eq!(one_value(&session, "select count(srcport) from flow_logs").await, "4");
}

#[tokio::test]
async fn a_limit_takes_only_the_files_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let session = two_days(folder.path());
    let plan = answer(&session, "explain select srcaddr from flow_logs limit 2").await;
    assert_eq!(plan.matches(".parquet").count(), 1, "{plan}");
    assert_eq!(
        session
            .query("select srcaddr from flow_logs limit 4")
            .await
            .unwrap()
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>(),
        4
    );
}

#[tokio::test]
async fn a_table_without_rows_has_all_its_columns() {
    let session = session(Vec::new());
    assert_eq!(one_value(&session, "select count(*) from flow_logs where action = 'REJECT'").await, "0");
    assert_eq!(answer(&session, "describe flow_logs").await.lines().count(), 54 + 4 + 4);
    assert!(
        session
            .query("select srcaddr, sum(bytes) from flow_logs group by 1")
            .await
            .unwrap()
            .iter()
            .all(|batch| batch.num_rows() == 0)
    );
}

#[test]
fn ranges_unite_outwards_and_forget_what_one_of_them_lacks() {
    let range = |min: i32, max: i32| Range {
        min: Some(ScalarValue::Int32(Some(min))),
        max: Some(ScalarValue::Int32(Some(max))),
        nulls: Some(1),
        exact: true,
    };
    assert_eq!(unite(range(1, 5), range(3, 9)), Range { nulls: Some(2), ..range(1, 9) });
    let half = Range { max: None, exact: false, ..range(0, 0) };
    let united = unite(range(1, 5), half);
    assert_eq!((united.min, united.max, united.exact), (Some(ScalarValue::Int32(Some(0))), None, false));
}
