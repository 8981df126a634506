//! Fields that a record does not show: whether its log has them, over raw files and over a store, and what their absence hides.

use std::path::Path;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::tests::{over, rows};
use super::tests_records::records;
use super::*;
use crate::ingest::{IngestOptions, Watch, ingest};
use crate::parse::flow::Layout;
use crate::rules::fixture::Fixture;
use crate::source::decode::DecodeOptions;
use crate::source::{locate, parse_log_format};
use crate::sql::raw::RawTables;
use crate::sql::store_tables::StoreTables;
use crate::store::Store;

const FIELDS: &str = "interface-id srcaddr dstaddr srcport dstport protocol start end action log-status tcp-flags flow-direction";

/// SYNs to 10.0.2.20 that were rejected, in lines that begin and end with these words.
fn syns(ends: &[(&str, &str)]) -> String {
    let line = |(port, (first, last)): (usize, &(&str, &str))| {
        format!(
            "{first}eni-b 198.51.100.7 10.0.2.20 {} 443 6 1714651200 1714651260 REJECT OK 2 ingress{last}\n",
            50_000 + port
        )
    };
    ends.iter().enumerate().map(line).collect()
}

fn network() -> Network {
    Fixture::new(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-2 vpc-1 10.0.2.0/24
         eni eni-b subnet-2 10.0.2.20 groups=sg-b
         nacl acl-2 vpc-1 subnet-2
         acl-2 in 100 allow all 0.0.0.0/0
         acl-2 out 100 allow all 0.0.0.0/0
         sg-b in all 0.0.0.0/0
         bpa subnet-2 block-bidirectional",
    )
    .network()
}

fn options(log_format: &str) -> DecodeOptions {
    DecodeOptions { layouts: vec![Layout::bind(&parse_log_format(log_format).unwrap())] }
}

pub(super) async fn raw(folder: &Path, decode: DecodeOptions) -> Arc<dyn TableProvider> {
    let found = locate(&[folder.to_string_lossy().into_owned()], None);
    RawTables::new(found.objects, decode).open("flow_logs").await.unwrap().unwrap()
}

/// The files of a folder in a store.
pub(super) async fn stored(folder: &Path, store: &Path, decode: DecodeOptions) -> Store {
    let options = IngestOptions {
        inputs: vec![folder.to_string_lossy().into_owned()],
        store: store.to_path_buf(),
        decode,
        strict: false,
        dry_run: false,
        threads: 2,
    };
    let store = store.to_path_buf();
    // A store drives a runtime of its own.
    let work = move || {
        ingest(&options, &Watch::default()).unwrap();
        Store::open(&store).unwrap()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub(super) async fn of_store(store: &Store) -> Arc<dyn TableProvider> {
    StoreTables::new(store.clone()).open("flow_logs").await.unwrap().unwrap()
}

/// The table's rows, of which nobody knows the fields of their files.
async fn without_formats(logs: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
    let context = SessionContext::new();
    context.register_table("logs", logs).unwrap();
    let batches = context.sql("select * from logs").await.unwrap().collect().await.unwrap();
    Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).unwrap())
}

const BY_FILE: &str = "select regexp_replace(source_file, '.*/', ''), verdict, confidence from reject_attribution order by 1, srcport";

#[tokio::test]
async fn the_fields_of_a_log_tell_whether_it_has_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("in");
    std::fs::create_dir(&logs).unwrap();
    let write = |name: &str, text: String| std::fs::write(logs.join(name), text).unwrap();
    let headed = |header: &str, ends| format!("{header}\n{}", syns(ends));
    write("11.log", headed(&format!("version {FIELDS} reject-reason"), &[("11 ", " -")]));
    let given = || options(&format!("version {FIELDS} reject-reason subnet-id"));
    // In two batches, so that there is something to merge.
    stored(&logs, &folder.path().join("store"), given()).await;
    write("11-without.log", headed(&format!("version {FIELDS}"), &[("11 ", "")]));
    write("no-version.log", headed(&format!("{FIELDS} reject-reason"), &[("", " -")]));
    write("given.log", syns(&[("9 ", " - subnet-2"), ("9 ", " - subnet-2")]));
    let both = headed(&format!("version {FIELDS} reject-reason"), &[("11 ", " -")])
        + &headed(&format!("version {FIELDS}"), &[("11 ", "")]);
    write("twice.log", both);
    let expected = [
        // The list and the groups pass it, and its log would have named Block Public Access: row 28.
        "11.log|CONFIG_MISMATCH|WEAK",
        // Its log does not name reasons: row 22.
        "11-without.log|VPC_BPA|STRONG",
        "given.log|CONFIG_MISMATCH|WEAK",
        "given.log|CONFIG_MISMATCH|WEAK",
        "no-version.log|CONFIG_MISMATCH|WEAK",
        // Of lines under two headers it is not known: row 22 as far as it goes.
        "twice.log|VPC_BPA|WEAK",
        "twice.log|VPC_BPA|WEAK",
    ];
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort_by_key(|line| line.split('|').next().map(str::to_owned));
    let context = over(raw(&logs, given()).await, Some(network()));
    assert_eq!(rows(&context, BY_FILE).await, expected, "raw");
    let store = stored(&logs, &folder.path().join("store"), given()).await;
    let context = over(of_store(&store).await, Some(network()));
    assert_eq!(rows(&context, BY_FILE).await, expected, "stored");
    let filtered =
        format!("{} where srcport > 0 order by 1, srcport", BY_FILE.replace(" order by 1, srcport", ""));
    assert_eq!(rows(&context, &filtered).await, expected, "stored, with a filter");
    // Rows of all files end in one file of the store.
    let merged = store.clone();
    let merge = move || {
        let lock = merged.lock(&mut || ()).unwrap();
        merged.optimize(&lock, 1 << 30, std::time::Duration::ZERO, &mut |_, _| ()).unwrap().files_before
    };
    assert!(tokio::task::spawn_blocking(merge).await.unwrap() > 1);
    let context = over(of_store(&store).await, Some(network()));
    assert_eq!(rows(&context, BY_FILE).await, expected, "merged");
}

#[tokio::test]
async fn a_store_without_any_reason_is_one_of_logs_without_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("in");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("a.log"), format!("{FIELDS}\n{}", syns(&[("", "")]))).unwrap();
    let store = stored(&logs, &folder.path().join("store"), DecodeOptions::default()).await;
    let context = over(of_store(&store).await, Some(network()));
    assert_eq!(rows(&context, BY_FILE).await, ["a.log|VPC_BPA|STRONG"]);
}

#[tokio::test]
async fn a_reason_that_one_log_names_says_nothing_of_other_logs() {
    let folder = tempfile::tempdir().unwrap();
    let name = |log: &str, at: &str| {
        format!("111122223333_vpcflowlogs_us-east-1_{log}_20240502T12{at}Z_0a1b2c3d.log")
    };
    for (name, reason) in [
        ("custom.log".to_owned(), ""),
        (name("fl-00000000000000001", "00"), " BPA"),
        (name("fl-00000000000000001", "05"), " -"),
        (name("fl-00000000000000002", "00"), " -"),
    ] {
        let field = if reason.is_empty() { "" } else { " reject-reason" };
        let text = format!("version {FIELDS}{field}\n{}", syns(&[("11 ", reason)]));
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let judged = "select regexp_replace(source_file, '.*[/_](custom|fl-0*[12]_20240502T12..).*', '\\1'), verdict, confidence \
        from reject_attribution order by 1";
    let logs = raw(folder.path(), DecodeOptions::default()).await;
    // As of a store that was written before the ledger kept fields.
    let context = over(without_formats(Arc::clone(&logs)).await, Some(network()));
    assert_eq!(
        rows(&context, judged).await,
        [
            // Whether they have the field is not known: row 22 as far as it goes.
            "custom|VPC_BPA|WEAK",
            "fl-00000000000000001_20240502T1200|VPC_BPA|PROVEN",
            // It would have been named: row 28.
            "fl-00000000000000001_20240502T1205|CONFIG_MISMATCH|WEAK",
            "fl-00000000000000002_20240502T1200|VPC_BPA|WEAK",
        ]
    );
    let context = over(logs, Some(network()));
    assert_eq!(
        rows(&context, judged).await,
        [
            "custom|VPC_BPA|STRONG",
            "fl-00000000000000001_20240502T1200|VPC_BPA|PROVEN",
            "fl-00000000000000001_20240502T1205|CONFIG_MISMATCH|WEAK",
            "fl-00000000000000002_20240502T1200|CONFIG_MISMATCH|WEAK",
        ]
    );
}

#[tokio::test]
async fn a_format_without_the_protocol_is_said_to_lack_that_and_not_the_direction() {
    let folder = tempfile::tempdir().unwrap();
    let log = "interface-id srcaddr dstaddr srcport dstport start end action log-status flow-direction\n\
        eni-b 10.0.2.20 198.51.100.7 443 50000 1714651200 1714651260 REJECT OK egress\n\
        eni-b 198.51.100.7 10.0.2.20 50000 443 1714651200 1714651260 REJECT OK -\n\
        eni-x 198.51.100.7 10.0.9.20 50000 443 1714651200 1714651260 REJECT OK -\n";
    std::fs::write(folder.path().join("a.log"), log).unwrap();
    let logs = raw(folder.path(), DecodeOptions::default()).await;
    let context = over(logs, Some(network()));
    let judged = "select direction, verdict, reason_code, candidates, explanation from reject_attribution order by source_line";
    let found = rows(&context, judged).await;
    let open = "UNDETERMINED||[NACL, SECURITY_GROUP]|";
    assert!(found[0].starts_with(&format!("egress|{open}")), "{found:?}");
    assert!(found[0].ends_with("would decide: protocol in the log format"), "{found:?}");
    // The configuration tells the direction.
    assert!(found[1].starts_with(&format!("ingress|{open}")), "{found:?}");
    assert!(found[2].starts_with("|UNDETERMINED|DIRECTION_UNKNOWN|"), "{found:?}");
    assert!(found[2].ends_with("would decide: protocol and flow-direction in the log format"), "{found:?}");
}

#[tokio::test]
async fn a_direction_that_the_format_has_is_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let fields = "version interface-id srcaddr dstaddr srcport dstport protocol start end action log-status";
    let record = "5 eni-x 198.51.100.7 10.0.9.20 50000 443 6 1714651200 1714651260 REJECT OK";
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.log", format!("{fields} flow-direction\n{record} -\n"));
    write("b.log", format!("{fields}\n{record}\n"));
    let context = over(raw(folder.path(), DecodeOptions::default()).await, None);
    let found = rows(&context, "select explanation from reject_attribution order by source_file").await;
    assert!(
        found[0].ends_with("the interface's configuration: the record does not show its direction"),
        "{found:?}"
    );
    assert!(
        found[1].ends_with("flow-direction in the log format, or the interface's configuration"),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_accept_of_the_same_flow_counts_though_it_does_not_show_its_direction() {
    // L7b: the very 5-tuple was let through before. The answer alone would name the network ACL (L14).
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("in");
    std::fs::create_dir(&logs).unwrap();
    let log = "version interface-id srcaddr dstaddr srcport dstport protocol start end action log-status flow-direction\n\
        5 eni-b - - - - - 1714600000 1714600060 - NODATA -\n\
        5 eni-b 10.0.2.20 198.51.100.7 54248 8443 6 1714651200 1714651220 ACCEPT OK -\n\
        5 eni-b 198.51.100.7 10.0.2.20 8443 54248 6 1714651202 1714651222 ACCEPT OK ingress\n\
        5 eni-b 10.0.2.20 198.51.100.7 54248 8443 6 1714651240 1714651245 REJECT OK egress\n";
    std::fs::write(logs.join("a.log"), log).unwrap();
    let judged = "select verdict, confidence, reason_code, candidates from reject_attribution";
    let expected = ["STALE_CONNECTION|WEAK|OUT_OF_STATE|[SECURITY_GROUP]"];
    let context = over(raw(&logs, DecodeOptions::default()).await, None);
    assert_eq!(rows(&context, judged).await, expected);
    let store = stored(&logs, &folder.path().join("store"), DecodeOptions::default()).await;
    let context = over(of_store(&store).await, None);
    assert_eq!(rows(&context, judged).await, expected, "stored");
}

#[tokio::test]
async fn an_interface_without_any_accept_may_have_a_log_of_rejects_alone() {
    // 8.5, COMPLETE: that another interface's flow log holds ACCEPTs says nothing of this one's. Row 11 and not row 9.
    let network = || {
        Fixture::new(
            "vpc vpc-1 10.0.0.0/16
             subnet subnet-2 vpc-1 10.0.2.0/24
             eni eni-b subnet-2 10.0.2.20 groups=sg-b
             eni eni-o subnet-2 10.0.2.30 groups=sg-b
             nacl acl-2 vpc-1 subnet-2
             acl-2 out 100 allow all 0.0.0.0/0
             sg-b out all 0.0.0.0/0",
        )
        .network()
    };
    let other = "eni-o 10.0.2.30:40000>198.51.100.9:443 6 ACCEPT OK -500000 -";
    let rejected = "eni-b 198.51.100.7:53>10.0.2.20:40000 17 REJECT OK 0 -";
    let own = "eni-b 10.0.2.20:40001>198.51.100.9:443 6 ACCEPT OK -400000 -";
    let judged = "select verdict, confidence, candidates from reject_attribution";
    let lines = |lines: &[&str]| records(&lines.iter().map(|line| line.to_string()).collect::<Vec<_>>(), 2);
    let context = over(lines(&[other, rejected]), Some(network()));
    assert_eq!(rows(&context, judged).await, ["NACL|PROVEN|[SECURITY_GROUP]"]);
    let context = over(lines(&[other, own, rejected]), Some(network()));
    assert_eq!(rows(&context, judged).await, ["NACL_AND_SECURITY_GROUP|PROVEN|[]"]);
}

#[tokio::test]
async fn a_row_without_a_flow_may_stand_for_skipped_records_where_the_format_has_no_status() {
    // Log-formats 1.6, and 8.5: what is not in the logs may be among the skipped. S = U, so that row 11 stands and not row 9.
    let network = || {
        let lines = "vpc vpc-1 10.0.0.0/16\nsubnet subnet-2 vpc-1 10.0.2.0/24\neni eni-b subnet-2 10.0.2.20 groups=sg-b\n\
            nacl acl-2 vpc-1 subnet-2\nacl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0";
        Fixture::new(lines).network()
    };
    let log = |gap: &str| {
        format!(
            "interface-id srcaddr dstaddr srcport dstport protocol start end action\n\
             eni-b 10.0.2.20 198.51.100.9 40001 443 6 1714000000 1714000060 ACCEPT\n{gap}\
             eni-b 198.51.100.7 10.0.2.20 53 40000 17 1714651200 1714651260 REJECT\n"
        )
    };
    let judged = "select verdict, confidence, candidates from reject_attribution";
    for (gap, expected) in [
        ("", "NACL_AND_SECURITY_GROUP|PROVEN|[]"),
        ("eni-b - - - - - 1714651140 1714651200 -\n", "NACL|PROVEN|[SECURITY_GROUP]"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("in");
        std::fs::create_dir(&logs).unwrap();
        std::fs::write(logs.join("a.log"), log(gap)).unwrap();
        let context = over(raw(&logs, DecodeOptions::default()).await, Some(network()));
        assert_eq!(rows(&context, judged).await, [expected], "raw");
        let store = stored(&logs, &folder.path().join("store"), DecodeOptions::default()).await;
        let context = over(of_store(&store).await, Some(network()));
        assert_eq!(rows(&context, judged).await, [expected], "stored");
    }
}

#[tokio::test]
async fn either_of_two_fields_shows_the_interfaces_own_side() {
    // 4.2: on the way in dstaddr shows the primary address, on the way out pkt-srcaddr the secondary. Row 8: the group let it out.
    let network = Fixture::new(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-s subnet-1 10.0.1.10 10.0.1.11 groups=sg-s
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 100 allow all 0.0.0.0/0
         sg-s in tcp 443 0.0.0.0/0",
    )
    .network();
    let folder = tempfile::tempdir().unwrap();
    let log = "interface-id pkt-srcaddr dstaddr srcport dstport protocol start end action log-status tcp-flags flow-direction\n\
        eni-s 203.0.113.9 10.0.1.10 51000 443 6 1714651200 1714651230 ACCEPT OK 2 ingress\n\
        eni-s 10.0.1.11 203.0.113.9 443 51000 6 1714651201 1714651230 REJECT OK 18 egress\n";
    std::fs::write(folder.path().join("a.log"), log).unwrap();
    let context = over(raw(folder.path(), DecodeOptions::default()).await, Some(network));
    let judged = "select verdict, confidence, blocking_set from reject_attribution";
    assert_eq!(rows(&context, judged).await, ["NACL|PROVEN|[NACL]"]);
}
