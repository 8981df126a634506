//! Tests of [`super`]: the story of `testdata/`, whose answers follow from what `testdata/README.md` says happens in it, and
//! the window.

use std::path::Path;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;
use crate::source::decode::DecodeOptions;
use crate::source::locate;
use crate::sql::attribution::read_network;
use crate::sql::raw::RawTables;

fn testdata(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

/// A session over the story's main log: the default format, every five minutes.
async fn story() -> (SessionContext, UsageTables) {
    let folder =
        "s3-dump/AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/*_fl-0a1b2c3d4e5f60718_*.log.gz";
    let found = locate(&[testdata(folder).to_string_lossy().into_owned()], None);
    assert!(found.problems.is_empty());
    let raw: Arc<dyn TableSource> = Arc::new(RawTables::new(found.objects, DecodeOptions::default()));
    let (network, _, errors) = read_network(&[testdata("aws-config")]);
    assert!(errors.is_empty(), "{errors:?}");
    let tables = UsageTables::new(raw, NetworkSource::Given(Arc::new(network)));
    let context = SessionContext::new();
    context.register_table("flow_logs", tables.flow_logs().await.unwrap()).unwrap();
    context.register_table(TABLE, tables.open(TABLE).await.unwrap().unwrap()).unwrap();
    (context, tables)
}

async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(values.join("|"));
        }
    }
    lines
}

#[tokio::test]
async fn the_story_hits_the_rules_that_it_was_written_for() {
    let (context, tables) = story().await;
    // Counted from the lines by other means: the records of who began, their bytes and remote addresses.
    let hits = "select rule, conversations, sole, shared, records, bytes, remotes from rule_hits \
        where conversations > 0 and (layer = 'security_group' or action = 'deny' or object_id like 'acl-03%') order by rule";
    let sg = |id: &str| format!("group sg-{id}000000000000000");
    let acl = |id: &str| format!("nacl acl-{id}000000000000000");
    let found = rows(&context, hits).await;
    let with = |text: String| {
        let line = found.iter().find(|line| line.starts_with(&text));
        line.map(|line| line[text.len()..].to_owned()).unwrap_or_else(|| panic!("{text} not in {found:#?}"))
    };
    // Each of both web servers for the load balancer, and each again at the database.
    assert_eq!(
        with(format!("{} inbound rule sgr-", sg("04")))[17..],
        *" allow tcp 5432 from 111122223333/sg-03000000000000000|2|2|0|341|1395120|2"
    );
    assert_eq!(
        with(format!("{} outbound rule * deny all traffic to 0.0.0.0/0|", acl("03"))),
        "1|1|0|30|7200|1"
    );
    // Three interfaces, three ports; two of the interfaces carry groups that drop them as well.
    assert_eq!(
        with(format!("{} inbound rule 80 deny all traffic from 198.51.100.77/32|", acl("02"))),
        "9|3|6|36|1440|1"
    );
    let summary = tables.summary().unwrap();
    assert_eq!((summary.counts.records, summary.unexplained), (6063, 0));
    assert_eq!(summary.window, Some((1_768_471_203, 1_768_474_785)));
}

#[tokio::test]
async fn unused_rules_are_rows_too() {
    let (context, _) = story().await;
    // The spare interface, which writes records without data all hour, carries the partner API's group and list.
    let spare = "select distinct interfaces_seen, coverage from rule_hits where object_id like 'acl-03%'";
    assert_eq!(rows(&context, spare).await, ["2|0.5833333333333334"]);
    let never = "select traffic, conversations, possible, interfaces, interfaces_seen, action_logged from rule_hits \
        where layer = 'security_group' and conversations = 0 and from_port = 9100";
    assert_eq!(rows(&context, never).await, ["tcp 9100|0|0|2|2|true"]);
}

#[tokio::test]
async fn the_window_chooses_the_records() {
    let (context, _) = story().await;
    // 10:26 to 10:30: the records that begin then, counted from the lines.
    let count = |window: &'static str| {
        let sql = format!("select sum(records) from rule_hits where rule_number = 80 and {window}");
        let context = context.clone();
        async move { rows(&context, &sql).await.join("") }
    };
    assert_eq!(count("true").await, "36");
    assert_eq!(count("observed_from >= timestamp '2026-01-15T10:28:00Z'").await, "18");
    assert_eq!(count("observed_to < timestamp '2026-01-15T10:28:00Z'").await, "18");
    assert_eq!(count("observed_from >= timestamp '2026-01-15T10:28:00Z' and observed_to < timestamp '2026-01-15T10:28:00Z'").await, "0");
}

#[tokio::test]
async fn without_configuration_the_table_says_what_to_do() {
    let (_, with) = story().await;
    let without = UsageTables::new(Arc::clone(&with.logs), NetworkSource::Nothing);
    let context = SessionContext::new();
    context.register_table(TABLE, without.open(TABLE).await.unwrap().unwrap()).unwrap();
    let error =
        context.sql("select * from rule_hits").await.unwrap().collect().await.unwrap_err().to_string();
    assert!(error.contains("flowq config import"), "{error}");
}
