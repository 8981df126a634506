//! The story of `testdata/` with the answers that an independent reading of it found.

use std::path::Path;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;

use super::tests_records::{records, traffic};
use super::*;
use crate::source::decode::DecodeOptions;
use crate::source::locate;
use crate::sql::raw::RawTables;
use crate::sql::usage::Window;

pub(super) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

pub(super) fn network() -> Network {
    let (network, _, errors) = read_network(&[testdata("aws-config")]);
    assert!(errors.is_empty(), "{errors:?}");
    network
}

/// A session over flow logs.
pub(super) fn over(flow_logs: Arc<dyn TableProvider>, network: Option<Network>) -> SessionContext {
    let context = SessionContext::new();
    let table = RejectAttribution::new(Arc::clone(&flow_logs), network.map(Arc::new));
    context.register_table("flow_logs", flow_logs).unwrap();
    context.register_table(TABLE, Arc::new(table)).unwrap();
    context
}

/// The story's main log: the default format, every five minutes.
async fn story(network: Option<Network>) -> SessionContext {
    let folder =
        "s3-dump/AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/*_fl-0a1b2c3d4e5f60718_*.log.gz";
    let found = locate(&[testdata(folder).to_string_lossy().into_owned()], None);
    assert!(found.problems.is_empty());
    let raw = RawTables::new(found.objects, DecodeOptions::default());
    over(raw.open("flow_logs").await.unwrap().unwrap(), network)
}

pub(super) async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let mut lines = Vec::new();
    for batch in batches {
        let options = datafusion::arrow::util::display::FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| {
                datafusion::arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options).unwrap()
            })
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
            );
        }
    }
    lines
}

#[tokio::test]
async fn the_story_is_told_as_its_authors_know_it() {
    let context = story(Some(network())).await;
    let causes = "select srcaddr, dstaddr, verdict, nacl_rule_number, reason_code, confidence, candidates, count(*) \
        from reject_attribution group by 1, 2, 3, 4, 5, 6, 7 order by 8 desc, 1, 2";
    // The log has no flags and goes back an hour: that a packet is the first of its connection, so that no state of the
    // groups can have existed, is not shown (8.6, S15). Where the network ACL allows, the groups are named by elimination
    // (row 16); where rule 80 denies, they stay a candidate (row 11). Read without that doubt this is 464 times the groups
    // alone, 24 times rule 80 and the groups, 12 times rule 80 alone, 30 times the network ACL's last entry, 4 late packets.
    assert_eq!(
        rows(&context, causes).await,
        [
            "203.0.113.99|10.0.0.10|SECURITY_GROUP||BY_ELIMINATION|WEAK|[STALE_CONNECTION]|300",
            "198.51.100.66|10.0.0.10|SECURITY_GROUP||BY_ELIMINATION|WEAK|[STALE_CONNECTION]|164",
            // Answers of the partner API, for which the network ACL has no ephemeral ports.
            "10.0.3.30|203.0.113.44|NACL|32767|NACL_DEFAULT_DENY|STRONG|[]|30",
            "198.51.100.77|10.0.0.10|NACL|80|NACL_EXPLICIT_DENY|STRONG|[SECURITY_GROUP]|12",
            // A NAT gateway has no groups.
            "198.51.100.77|10.0.0.220|NACL|80|NACL_EXPLICIT_DENY|STRONG|[]|12",
            "198.51.100.77|10.0.0.9|NACL|80|NACL_EXPLICIT_DENY|STRONG|[SECURITY_GROUP]|12",
            // Closed connections, at an open port.
            "198.51.100.23|10.0.0.9|STALE_CONNECTION||OUT_OF_STATE|WEAK|[CONFIG_MISMATCH]|4",
        ]
    );
    let sure = "select count(*) from reject_attribution where confidence = 'NONE' or direction is null";
    assert_eq!(rows(&context, sure).await, ["0"]);
}

#[tokio::test]
async fn a_verdict_comes_with_rule_groups_words_and_fix() {
    let context = story(Some(network())).await;
    let shown = "select direction, nacl_id is not null, security_group_ids, blocking_set, candidates, fix, \
        explanation like '%10.0.3.30%' from reject_attribution where srcaddr = '10.0.3.30' and verdict = 'NACL' limit 1";
    let found = rows(&context, shown).await.join("");
    assert!(found.starts_with("egress|true|[sg-05"), "{found}");
    assert!(found.contains("|[NACL]|"), "{found}");
    assert!(found.contains("create-network-acl-entry"), "{found}");
    assert!(found.contains("--port-range From=1024,To=65535 --cidr-block 203.0.113.44/32"), "{found}");
    assert!(found.ends_with("|true"), "{found}");
}

#[tokio::test]
async fn without_configuration_only_the_evidence_speaks() {
    let context = story(None).await;
    let causes = "select verdict, count(*) from reject_attribution group by 1 order by 2 desc, 1";
    let found = rows(&context, causes).await;
    // A first packet's REJECT cannot be told apart. The partner API talks to one peer only, so that the log does not tell
    // which way its packets went (spec 4.4). The late packets follow an ACCEPT of their own five-tuple (8.8, L7b).
    assert_eq!(found, ["UNDETERMINED|530", "STALE_CONNECTION|4"]);
    let known = "select count(*) from reject_attribution where confidence = 'PROVEN'";
    assert_eq!(rows(&context, known).await, ["0"]);
}

#[tokio::test]
async fn a_filter_on_the_flow_narrows_the_rejects_and_not_the_evidence() {
    let context = over(records(&traffic(), 16), None);
    // The accepted mirrors and five-tuples that decide are outside of these filters.
    for filter in ["srcport = 443", "dstport = 443 and tcp_flags = 4", "srcaddr = '10.0.1.11'"] {
        let columns =
            "srcaddr, dstaddr, srcport, dstport, start, verdict, confidence, reason_code, explanation";
        let pushed =
            format!("select {columns} from reject_attribution where {filter} order by 1, 2, 3, 4, 5");
        let above = format!(
            "select {columns} from (select * from reject_attribution limit 100000) where {filter} order by 1, 2, 3, 4, 5"
        );
        let found = rows(&context, &pushed).await;
        assert!(
            found.iter().any(|line| !line.contains("UNDETERMINED")) || filter.contains(".11"),
            "{filter}"
        );
        assert_eq!(found, rows(&context, &above).await, "{filter}");
    }
    let none = "select count(*) from reject_attribution where action = 'ACCEPT'";
    assert_eq!(rows(&context, none).await, ["0"]);
}

#[tokio::test]
async fn columns_are_the_flow_logs_and_then_the_attribution() {
    let context = story(None).await;
    let flow = context.table("flow_logs").await.unwrap().schema().fields().clone();
    let table = context.table(TABLE).await.unwrap().schema().fields().clone();
    let names: Vec<&str> = table.iter().map(|field| field.name().as_str()).collect();
    assert!(flow.iter().zip(&names).all(|(field, name)| field.name() == name));
    assert_eq!(
        names[flow.len()..],
        [
            "direction",
            "verdict",
            "first_blocker",
            "blocking_set",
            "candidates",
            "confidence",
            "reason_code",
            "nacl_id",
            "nacl_rule_number",
            "security_group_ids",
            "explanation",
            "fix",
        ]
    );
    let plain = "explain select srcaddr from reject_attribution";
    assert!(!rows(&context, plain).await.join("\n").contains("AttributionExec"), "nothing is judged unasked");
    let all = rows(&context, "select * from reject_attribution limit 3").await;
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn the_report_begins_with_trust_and_ends_with_what_would_decide() {
    let context = story(Some(network())).await;
    let raw = context.table_provider("flow_logs").await.unwrap();
    let table = RejectAttribution::new(raw, Some(Arc::new(network())));
    let options = report::ReportOptions { filter: None, window: Window::default(), by: None, limit: 10 };
    let batches = report::report(&context, &table, &options).await.unwrap().batches;
    let mut lines: Vec<Vec<String>> = Vec::new();
    for batch in &batches {
        let columns: Vec<ArrayRef> =
            batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines
                .push(columns.iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect());
        }
    }
    assert_eq!(lines[0][0], "accepts", "{lines:?}");
    let of = |section: &str| lines.iter().filter(|line| line[0] == section).cloned().collect::<Vec<_>>();
    assert!(
        of("accepts").iter().all(|line| line[3] == "0"),
        "the configuration of the story was in force: {lines:?}"
    );
    let verdicts: Vec<(String, String)> =
        of("verdict").into_iter().map(|line| (format!("{} {}", line[1], line[2]), line[3].clone())).collect();
    assert_eq!(verdicts[0], ("SECURITY_GROUP WEAK".to_owned(), "464".to_owned()), "{verdicts:?}");
    assert_eq!(of("rule").iter().map(|line| line[3].parse::<i64>().unwrap()).sum::<i64>(), 534);
    assert_eq!(of("remote")[0][1], "203.0.113.99");
    assert_eq!(of("capture").len(), 1);
    let by = report::ReportOptions {
        filter: Some("srcport = 443".to_owned()),
        window: Window::default(),
        by: Some(report::By::Nacl),
        limit: 10,
    };
    let batches = report::report(&context, &table, &by).await.unwrap().batches;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "the partner API's answers");
}

#[test]
fn configuration_is_known_by_its_content_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let interface = |id: &str| {
        format!(
            " {{\"NetworkInterfaces\": [{{\"NetworkInterfaceId\": \"{id}\", \"PrivateIpAddress\": \"10.0.1.10\", \"Groups\": []}}]}}\n"
        )
    };
    write("interfaces.txt", &interface("eni-1"));
    write("interfaces", &format!("\u{feff}{}", interface("eni-2")));
    write("terraform.tfstate.backup", &interface("eni-3"));
    write("notes.txt", "what is in this folder");
    write("empty.txt", "");
    let (network, problems, errors) = read_network(&[folder.path().to_owned()]);
    assert!(errors.is_empty() && problems.is_empty(), "{errors:?} {problems:?}");
    let ids: std::collections::BTreeSet<&str> = network.interfaces.timelines().map(|(id, _)| id).collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["eni-1", "eni-2"], "a state put aside is not in force");
}

#[tokio::test]
async fn a_network_that_several_tables_use_is_read_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let later = NetworkSource::later(move || match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Err("the file is locked".to_owned()),
        1 => Ok(None),
        _ => Ok(Some(network())),
    });
    let shared = later.clone();
    assert!(later.load().await.unwrap_err().to_string().contains("the file is locked"));
    assert!(later.load().await.unwrap().is_none(), "what is imported meanwhile is found");
    let first = later.load().await.unwrap().unwrap();
    let second = shared.load().await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(reads.load(Ordering::Relaxed), 3);
}
