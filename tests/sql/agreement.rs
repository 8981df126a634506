//! Raw files give what a store of them gives: every table cell by cell, every named query.

use flowq::format::LogKind;
use flowq::sql::queries::{Library, library};
use flowq::sql::session::Session;

use crate::sessions;

async fn table(session: &Session, sql: &str) -> Vec<Vec<String>> {
    sessions::rows(&session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

fn assert_same(what: &str, stored: &[Vec<String>], raw: &[Vec<String>]) {
    for (row, (stored, raw)) in stored.iter().zip(raw).enumerate() {
        assert_eq!(stored, raw, "{what}: row {row}, a store first, then raw files");
    }
    assert_eq!(stored.len(), raw.len(), "{what}: rows of a store and of raw files");
}

#[test]
fn tables_are_the_same_cell_by_cell() {
    sessions::runtime().block_on(async {
        let (stored, raw) = (sessions::stored(), sessions::raw());
        for kind in LogKind::ALL {
            let sql = format!("select * from {} order by source_file, source_line", kind.table());
            let (stored, raw) = (table(&stored, &sql).await, table(&raw, &sql).await);
            assert!(!stored.is_empty(), "{kind}");
            assert_same(kind.table(), &stored, &raw);
            let described = format!("describe {}", kind.table());
            assert_same(
                &described,
                &table(&sessions::stored(), &described).await,
                &table(&sessions::raw(), &described).await,
            );
        }
        let sql =
            "select kind, source_file, line, byte, reason, text from quarantine order by source_file, line";
        let refused = table(&stored, sql).await;
        assert_eq!(refused.len(), 11);
        assert_same("quarantine", &refused, &table(&raw, sql).await);
    });
}

/// What queries need that have parameters without a default.
const GIVEN: [(&str, &[(&str, &str)]); 3] = [
    ("traffic_between", &[("a", "10.0.1.0/24"), ("b", "10.0.2.15")]),
    ("traffic_of_address", &[("address", "10.0.1.21")]),
    ("threat_intel_hits", &[("indicators", "198.51.100.66,203.0.113.99")]),
];

async fn answer(
    session: &Session,
    library: &Library,
    name: &str,
    window: &[(&str, &str)],
) -> Vec<Vec<String>> {
    let query = library.get(name).unwrap();
    let given = GIVEN.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, given)| given);
    let given: Vec<(String, String)> =
        given.iter().chain(window).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let values = query.bind(&given).unwrap();
    let statement = session.statements(&query.sql).unwrap().remove(0);
    let answer = session.run(statement, Some(values)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    sessions::rows(&answer.collect().await.unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Everything in the dump but the files with lines that cannot be read: raw files are only checked as far as a query
/// reads them, so a query that does not look at a bad port counts its line, which a store has refused.
const SOUND: [&str; 11] = [
    "AWSLogs",
    "archive",
    "cloudwatch",
    "copies",
    "exportedlogs",
    "firehose",
    "headerless",
    "logs",
    "my-app",
    "prefix",
    "transit",
];

#[test]
fn named_queries_give_the_same() {
    let library = library(None).unwrap();
    sessions::runtime().block_on(async {
        let (stored, _folder) = sessions::stored_of(&SOUND);
        let raw = sessions::raw_of(&SOUND);
        let mut with_rows = 0;
        for query in library.iter() {
            for window in [&[][..], &[("from", "2026-01-15T10:20:00Z"), ("to", "2026-01-15T10:40:00Z")]] {
                let mut expected = answer(&stored, &library, &query.name, window).await;
                let mut found = answer(&raw, &library, &query.name, window).await;
                // Rows that a query's order does not tell apart come in any order.
                expected.sort();
                found.sort();
                assert_same(&format!("{} {window:?}", query.name), &expected, &found);
                with_rows += usize::from(!expected.is_empty());
            }
        }
        // Some questions have no answer in the story; most must, or this compares nothing.
        assert!(with_rows > 50, "{with_rows}");
    });
}

#[test]
fn every_query_runs_over_the_whole_dump() {
    let library = library(None).unwrap();
    sessions::runtime().block_on(async {
        let (stored, raw) = (sessions::stored(), sessions::raw());
        for query in library.iter() {
            answer(&stored, &library, &query.name, &[]).await;
            answer(&raw, &library, &query.name, &[]).await;
        }
    });
}

#[test]
fn a_table_of_columns_stays_as_its_statement_saw_them() {
    let counts = "select (select count(*) from t) as kept, (select count(dst) from t) as named, (select count(*) from flow_logs) as now";
    sessions::runtime().block_on(async {
        let (stored, folder) = sessions::stored_of(&["AWSLogs"]);
        let made = "create table t as select srcaddr, dstaddr as dst, bytes from flow_logs f";
        stored.query(made).await.unwrap();
        let before = sessions::rows(&stored.query(counts).await.unwrap()).remove(0);
        assert_ne!(before[0], "0");
        assert_eq!(before[0], before[2]);

        let writing = tokio::task::spawn_blocking(move || {
            sessions::ingest_into(&folder, &["headerless"]);
            folder
        });
        let _folder = writing.await.unwrap();
        stored.tables().refresh();
        let after = sessions::rows(&stored.query(counts).await.unwrap()).remove(0);
        assert_eq!(after[..2], before[..2]);
        assert_ne!(after[2], before[2]);

        // A selection, or anything computed, is kept in memory; columns are read where they lie.
        let plan =
            |sql: &'static str| async { format!("{:?}", sessions::rows(&stored.query(sql).await.unwrap())) };
        assert!(!plan("explain select bytes from t").await.contains("KeptScan"));
        stored.query("create table u as select bytes from flow_logs where bytes > 0").await.unwrap();
        assert!(plan("explain select bytes from u").await.contains("KeptScan"));
    });
}

#[test]
fn windows_over_columns_with_one_value_give_the_same() {
    let busiest = "select srcaddr from flow_logs where srcaddr is not null group by 1 order by count(*) desc, 1 limit 1";
    sessions::runtime().block_on(async {
        let (stored, raw) = (sessions::stored(), sessions::raw());
        let addr = sessions::rows(&raw.query(busiest).await.unwrap()).remove(0).remove(0);
        for partition in ["srcaddr", "srcaddr, dstaddr", "protocol, srcaddr"] {
            let flows = format!(
                "select start, row_number() over w as n, lag(start) over w as before from flow_logs \
                 where srcaddr = '{addr}' and protocol = 6 window w as (partition by {partition} order by start, source_file, source_line) \
                 order by source_file, source_line"
            );
            let rows = sessions::rows(&stored.query(&flows).await.unwrap());
            assert!(rows.len() > 1, "{flows}");
            assert_eq!(rows, sessions::rows(&raw.query(&flows).await.unwrap()), "{flows}");
        }
        let grouped = format!(
            "select srcaddr, dstport, sum(count(*)) over (partition by srcaddr order by dstport) from flow_logs \
             where srcaddr = '{addr}' group by 1, 2 order by 2"
        );
        let rows = sessions::rows(&stored.query(&grouped).await.unwrap());
        assert_eq!(rows, sessions::rows(&raw.query(&grouped).await.unwrap()), "{grouped}");
    });
}
