//! Tests of [`super`].

use super::*;
use datafusion::arrow::util::pretty::pretty_format_batches;

fn session(options: SessionOptions) -> Session {
    Session::new(options, Vec::new(), &Arc::new(functions::Enrichment::default())).unwrap()
}

async fn answer(session: &Session, sql: &str) -> String {
    pretty_format_batches(&session.query(sql).await.unwrap()).unwrap().to_string()
}

async fn refusal(session: &Session, sql: &str) -> String {
    session.query(sql).await.unwrap_err().to_string()
}

#[tokio::test]
async fn reading_and_the_memory_of_the_run_are_always_allowed() {
    let session = session(SessionOptions::default());
    let made = "create table t as select 1 as a union all select 2; create view v as select sum(a) as s from t; select s from v";
    assert_eq!(answer(&session, made).await, "+---+\n| s |\n+---+\n| 3 |\n+---+");
    assert!(answer(&session, "explain select * from t").await.contains("physical_plan"));
    assert!(answer(&session, "describe t").await.contains("Int64"));
    assert!(answer(&session, "show tables").await.contains("| flowq"));
    session.query("set datafusion.execution.batch_size = 1024; drop view v; drop table t").await.unwrap();
    assert!(refusal(&session, "select * from t").await.contains("not found"));
}

#[tokio::test]
async fn writing_files_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.csv");
    let copy = format!("copy (select 1 as a) to '{}'", file.display());
    let read_only = session(SessionOptions::default());
    assert!(refusal(&read_only, &copy).await.contains("--allow-write"));
    assert!(refusal(&read_only, &format!("explain {copy}")).await.contains("--allow-write"));
    let external = format!("create external table e (a int) stored as csv location '{}'", file.display());
    assert!(refusal(&read_only, &external).await.contains("--allow-write"));
    assert!(refusal(&read_only, "create schema s").await.contains("not supported"));
    // Rows of a table in memory are no files.
    read_only.query("create table t as select 1 as a; insert into t values (2)").await.unwrap();
    assert!(answer(&read_only, "select sum(a) as s from t").await.contains("| 3 |"));
    assert!(!file.exists());
    session(SessionOptions { allow_write: true, ..SessionOptions::default() }).query(&copy).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\n1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_at_its_timeout() {
    let options = SessionOptions { timeout: Some(Duration::from_millis(50)), ..SessionOptions::default() };
    let endless = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where a.value * b.value = -1";
    assert!(refusal(&session(options), endless).await.contains("ran longer than"));
}

#[tokio::test]
async fn what_outgrows_the_memory_names_its_operator() {
    let options = SessionOptions { memory_limit: 1 << 20, ..SessionOptions::default() };
    // A cross join keeps one side in memory and cannot spill it.
    let large = "select a.value from generate_series(1, 1000000) a, generate_series(1, 2) b";
    let message = refusal(&session(options), large).await;
    assert!(message.contains("Resources exhausted"), "{message}");
    assert!(message.contains("Join"), "{message}");
}

#[tokio::test]
async fn sorting_spills_where_memory_is_short() {
    let options = SessionOptions { memory_limit: 24 << 20, ..SessionOptions::default() };
    let sorted = "select min(v), count(*) from (select value * 7919 % 1000003 as v from generate_series(1, 4000000) order by 1)";
    assert!(answer(&session(options), sorted).await.contains("4000000"));
}

/// Sorting spilled, and then there was no memory left to merge what had been.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sorts_of_wide_rows_by_long_texts_end_with_rows() {
    for (limit, threads) in [(24 << 20, 2), (24 << 20, 1), (48 << 20, 4)] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let session = session(SessionOptions { memory_limit: limit, threads, ..SessionOptions::default() });
        let rows = "select concat('/a/path/that/many/rows/share/and/that/is/not/short/at/all/', v % 7, '.log') as f, v, \
            repeat('x', 300) as a, cast(v as text) as b, v + 1 as c, v + 2 as d from (select value as v from generate_series(1, 150000))";
        let batches = session.query(&format!("select * from ({rows}) order by f, v desc")).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 150_000, "{limit} {threads}");
        let windows = format!(
            "select f, row_number() over (partition by f order by v) as n, \
            row_number() over (partition by b order by v desc) as m, a from ({rows})"
        );
        let batches = session.query(&windows).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 150_000, "{limit} {threads}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_makes_many_rows_of_few_ends_at_its_timeout() {
    let options = SessionOptions { timeout: Some(Duration::from_millis(200)), ..SessionOptions::default() };
    let endless =
        "select sum(a.value * b.value) from generate_series(1, 10000000) a, generate_series(1, 10000000) b";
    assert!(refusal(&session(options), endless).await.contains("ran longer than"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_made_of_answers_are_kept_and_counted_against_the_memory() {
    let session = self::session(SessionOptions::default());
    let made = "create table t as select value as n, concat('text ', value % 7) as s from generate_series(1, 600000)";
    session.query(made).await.unwrap();
    assert_eq!(
        answer(&session, "select count(*) as c, sum(n) as n, count(distinct s) as s from t").await,
        "+--------+--------------+---+\n| c      | n            | s |\n+--------+--------------+---+\n| 600000 | 180000300000 | 7 |\n+--------+--------------+---+"
    );
    assert!(refusal(&session, made).await.contains("already exists"));
    session.query("create or replace table t as select s from t where n = 8").await.unwrap();
    assert!(answer(&session, "select * from t").await.contains("| text 1 |"));
    session.query("create table e as select * from t where false").await.unwrap();
    assert!(answer(&session, "select count(*) as c from e").await.contains("| 0 |"));
    let small = self::session(SessionOptions { memory_limit: 1 << 20, ..SessionOptions::default() });
    let large = "create table t as select value * value * 7919 as n from generate_series(1, 3000000)";
    assert!(refusal(&small, large).await.contains("create table"));
}

#[tokio::test]
async fn a_join_that_finds_nothing_ends_at_its_timeout() {
    let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = SessionOptions { timeout: Some(Duration::from_millis(200)), ..SessionOptions::default() };
    let session = session(options).on(workers.handle().clone());
    // It would run for hours, and holds the only worker for a while after it is given up.
    let fruitless = "select count(*) from (select value v from generate_series(1, 100000)) a, \
        (select value v from generate_series(1, 1000000000)) b where a.v + b.v = 1";
    assert!(refusal(&session, fruitless).await.contains("ran longer than"));
    workers.shutdown_background();
}
