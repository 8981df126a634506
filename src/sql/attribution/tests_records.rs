//! What records of flows become, written as a few words each: order, borders of files and batches, memory, gaps in the logs, and what ACCEPTs say
//! of the configuration.

use std::collections::BTreeMap;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::tests::{network, over, rows, testdata};
use super::*;
use crate::format::table_schema;

/// A table of flow records in the default format, `interface src:port>dst:port protocol action status start flags`, in
/// batches of so many rows.
pub(super) fn records(lines: &[String], batch: usize) -> Arc<dyn TableProvider> {
    let schema = table_schema(LogKind::Flow);
    let row = |line: &String| -> BTreeMap<&'static str, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [interface, ends, protocol, action, status, start, flags] = words[..] else { panic!("{line}") };
        let time = |seconds: i64| {
            chrono::DateTime::from_timestamp(1_768_471_200 + seconds, 0)
                .unwrap()
                .format("%Y-%m-%dT%H:%M:%SZ")
                .to_string()
        };
        let start: i64 = start.parse().unwrap();
        let mut row = BTreeMap::from([
            ("account_id", "123456789012".to_owned()),
            ("interface_id", interface.to_owned()),
            ("action", action.to_owned()),
            ("log_status", status.to_owned()),
            ("start", time(start)),
            ("end", time(start + 30)),
        ]);
        if let Some((src, dst)) = ends.split_once('>') {
            for (side, addr, port) in [(src, "srcaddr", "srcport"), (dst, "dstaddr", "dstport")] {
                let (address, number) = side.rsplit_once(':').unwrap();
                row.insert(addr, address.to_owned());
                row.insert(port, number.to_owned());
            }
            row.insert("protocol", protocol.to_owned());
        }
        if flags != "-" {
            row.insert("tcp_flags", flags.to_owned());
        }
        if action == "-" {
            row.remove("action");
        }
        row
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if matches!(field.data_type(), DataType::Map(..)) {
                return new_null_array(field.data_type(), rows.len());
            }
            let texts: StringArray = rows.iter().map(|row| row.get(field.name().as_str())).collect();
            cast(&texts, field.data_type()).unwrap()
        })
        .collect();
    let all = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    // Every other batch goes to the other partition, as files do.
    let mut parts = vec![Vec::new(), Vec::new()];
    for (at, from) in (0..rows.len()).step_by(batch).enumerate() {
        parts[at % 2].push(all.slice(from, batch.min(rows.len() - from)));
    }
    Arc::new(MemTable::try_new(schema, parts).unwrap())
}

/// A server that answers, whose answers are dropped, closed and late connections, a scan, NTP, over more than an hour.
pub(super) fn traffic() -> Vec<String> {
    let mut lines = Vec::new();
    let server = "10.0.1.10";
    for at in 0..120i64 {
        let (start, port) = (at * 37, 40000 + at % 40);
        let client = format!("198.51.100.{}", at % 7);
        let flags = |text: &str| if at % 3 == 0 { "-".to_owned() } else { text.to_owned() };
        lines.push(format!("eni-a {client}:{port}>{server}:443 6 ACCEPT OK {start} {}", flags("3")));
        if at % 4 == 0 {
            lines.push(format!(
                "eni-a {server}:443>{client}:{port} 6 REJECT OK {} {}",
                start + 2,
                flags("18")
            ));
        } else {
            lines.push(format!(
                "eni-a {server}:443>{client}:{port} 6 ACCEPT OK {} {}",
                start + 2,
                flags("19")
            ));
            lines.push(format!(
                "eni-a {client}:{port}>{server}:443 6 REJECT OK {} {}",
                start + 90,
                flags("4")
            ));
        }
        lines.push(format!("eni-b 203.0.113.9:123>10.0.1.11:123 17 ACCEPT OK {start} -"));
        if at % 5 == 0 {
            lines.push(format!("eni-b 10.0.1.11:123>203.0.113.9:123 17 REJECT OK {} -", start + 1));
            lines.push(format!(
                "eni-b 203.0.113.{}:5000>10.0.1.11:{at} 6 REJECT OK {start} {}",
                at + 100,
                flags("2")
            ));
        }
    }
    lines.push("eni-b - - - SKIPDATA 2000 -".to_owned());
    lines
}

const JUDGED: &str = "select interface_id, srcaddr, dstaddr, srcport, dstport, start, tcp_flags, direction, verdict, \
    first_blocker, candidates, confidence, reason_code, explanation from reject_attribution order by 1, 2, 3, 4, 5, 6, 7";

#[tokio::test]
async fn order_and_borders_of_files_change_nothing() {
    let lines = traffic();
    let expected = rows(&over(records(&lines, lines.len()), None), JUDGED).await;
    let rejects = lines.iter().filter(|line| line.contains(" REJECT ")).count();
    assert_eq!(expected.len(), rejects);
    let verdicts: std::collections::BTreeSet<&str> =
        expected.iter().filter_map(|line| line.split('|').nth(8)).collect();
    assert!(verdicts.len() >= 3, "the traffic must be worth the test: {verdicts:?}");
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for batch in [1, 7, 64, 1000] {
        let mut shuffled = lines.clone();
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        assert_eq!(
            rows(&over(records(&shuffled, batch), None), JUDGED).await,
            expected,
            "batches of {batch}"
        );
    }
}

#[tokio::test]
async fn a_small_memory_limit_changes_no_answer() {
    let copies = (0..40).flat_map(|copy| {
        traffic().into_iter().map(move |line| line.replace("eni-", &format!("eni-{copy}-")))
    });
    let lines: Vec<String> = copies.collect();
    let query = JUDGED.split(" order by").next().unwrap();
    let mut expected = rows(&over(records(&lines, 512), None), query).await;
    expected.sort_unstable();
    assert_eq!(expected.len(), 40 * 168);
    // Room for the evidence, and not for the rejected records beside it; then for some of the evidence only.
    for limit in [2200 << 10, 400 << 10, 100 << 10] {
        let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new()
            .with_memory_limit(limit, 1.0)
            .build_arc();
        let context = SessionContext::new_with_config_rt(Default::default(), runtime.unwrap());
        let table = Arc::new(RejectAttribution::new(records(&lines, 512), None));
        let counted = table.tally(&context).await.unwrap().groups().unwrap();
        let counted: i64 = counted["records"].as_primitive::<Int64Type>().values().iter().sum();
        assert_eq!(counted, expected.len() as i64, "{limit}");
        context.register_table(TABLE, table).unwrap();
        let mut found = rows(&context, query).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{limit}");
        assert_eq!(context.runtime_env().memory_pool.reserved(), 0);
    }
}

#[tokio::test]
async fn logs_of_rejects_only_prove_nothing_by_what_they_lack() {
    let all = traffic();
    let rejects: Vec<String> = all.into_iter().filter(|line| !line.contains(" ACCEPT ")).collect();
    let context = over(records(&rejects, 16), None);
    let wrong = "select count(*) from reject_attribution where confidence in ('PROVEN', 'STRONG') and \
        not (reason_code = 'RESPONSE_OF_ACCEPTED_FLOW')";
    assert_eq!(rows(&context, wrong).await, ["0"]);
    let batches =
        context.sql("select count(*) from reject_attribution").await.unwrap().collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), rejects.len() as i64 - 1);
}

#[tokio::test]
async fn logs_without_flows_hold_no_rejects() {
    let idle = ["eni-a - - - NODATA 0 -".to_owned(), "eni-a - - - SKIPDATA 60 -".to_owned()];
    let context = over(records(&idle, 1), Some(network()));
    assert!(rows(&context, JUDGED).await.is_empty());
    let empty = records(&idle[..0], 1);
    assert!(rows(&over(empty, None), JUDGED).await.is_empty());
}

#[tokio::test]
async fn skipped_records_void_what_the_logs_do_not_show() {
    // A SYN-ACK whose SYN no record shows. Where the logs are whole and reach back five days, nobody asked for it and the
    // verdict is weak (8.8, L9); where records were skipped the SYN may be among them, and the row holds as it stands.
    let whole = [
        "eni-a 198.51.100.7:40000>10.0.1.10:443 6 ACCEPT OK -500000 2",
        "eni-a 198.51.100.8:40000>10.0.1.10:443 6 ACCEPT OK -500000 2",
        "eni-a 10.0.1.10:443>198.51.100.9:40001 6 REJECT OK 0 18",
    ];
    let judged = "select verdict, confidence from reject_attribution";
    let lines =
        |more: &str| -> Vec<String> { whole.iter().copied().chain([more]).map(str::to_owned).collect() };
    let idle = over(records(&lines("eni-a - - - NODATA -1000 -"), 2), None);
    assert_eq!(rows(&idle, judged).await, ["NACL|WEAK"]);
    let skipped = over(records(&lines("eni-a - - - SKIPDATA -1000 -"), 2), None);
    assert_eq!(rows(&skipped, judged).await, ["NACL|STRONG"]);
    let elsewhere = over(records(&lines("eni-b - - - SKIPDATA -1000 -"), 2), None);
    assert_eq!(rows(&elsewhere, judged).await, ["NACL|WEAK"], "of another interface");
}

#[tokio::test]
async fn the_distance_to_the_capture_is_each_records_own() {
    let lines: Vec<String> = [0, 1800, 7200]
        .iter()
        .map(|at| format!("eni-0a1b00000000000a3 203.0.113.99:40000>10.0.0.10:25 6 REJECT OK {at} 2"))
        .collect();
    let mut builder = NetworkBuilder::new();
    // An hour before the first record, which is at 1768471200.
    let options = ReadOptions { captured_at: Some(1_768_471_200 - 3600), ..ReadOptions::default() };
    for entry in std::fs::read_dir(testdata("aws-config")).unwrap() {
        let path = entry.unwrap().path();
        builder.read(&path.to_string_lossy(), &std::fs::read(&path).unwrap(), &options).unwrap();
    }
    let table = RejectAttribution::new(records(&lines, 1), Some(Arc::new(builder.finish().0)));
    let context = SessionContext::new();
    context.register_table(TABLE, Arc::new(table.detailed())).unwrap();
    let found = rows(&context, "select capture_distance from reject_attribution order by start").await;
    assert_eq!(found, ["3600", "5400", "10800"]);
}

#[tokio::test]
async fn without_a_direction_nothing_is_guessed() {
    // One peer only: which of the two addresses is the interface's own cannot be told.
    let lines = ["eni-a 198.51.100.7:40000>10.0.1.10:22 6 REJECT OK 0 2".to_owned()];
    let context = over(records(&lines, 1), None);
    let found =
        rows(&context, "select direction, verdict, reason_code, candidates from reject_attribution").await;
    assert_eq!(found, ["|UNDETERMINED|DIRECTION_UNKNOWN|[NACL, SECURITY_GROUP]"]);
}

#[tokio::test]
async fn an_accept_against_the_configuration_is_counted_and_lowers_confidence() {
    // The story's bastion takes ssh from the office alone: this ACCEPT shows other rules in force.
    let mut lines = vec!["eni-0a1b00000000000a3 192.0.2.77:40000>10.0.0.10:22 6 ACCEPT OK 0 2".to_owned()];
    lines.push("eni-0a1b00000000000a3 203.0.113.99:40000>10.0.0.10:25 6 REJECT OK 0 2".to_owned());
    let flow_logs = records(&lines, 1);
    let table = Arc::new(RejectAttribution::new(Arc::clone(&flow_logs), Some(Arc::new(network()))));
    let context = SessionContext::new();
    context.register_table(TABLE, Arc::clone(&table) as Arc<dyn TableProvider>).unwrap();
    let found = rows(&context, "select verdict, confidence from reject_attribution").await;
    assert_eq!(found, ["SECURITY_GROUP|WEAK"]);
    assert_eq!(
        rows(&context, "select verdict from reject_attribution where srcaddr = '203.0.113.99'").await,
        ["SECURITY_GROUP"]
    );
    let (counts, accepts) = table.consistency().unwrap();
    assert_eq!(accepts, 1);
    assert_eq!(counts.len(), 1);
    assert_eq!(counts[0].2, Consistency { checked: 1, against_acl: 0, against_groups: 1 });
}

#[tokio::test]
async fn groups_that_an_accept_refutes_decide_weakly_wherever_they_are() {
    // The app server b1 accepts what no rule given for its group allows: there is another, for b2 of the same group too. What
    // the bastion's group does is not touched.
    let refuted = "eni-0a1b00000000000b1 10.0.0.9:40000>10.0.1.20:25 6 ACCEPT OK 0 2".to_owned();
    let rejected = [
        "eni-0a1b00000000000b2 10.0.0.9:40001>10.0.1.21:25 6 REJECT OK 0 2".to_owned(),
        "eni-0a1b00000000000a3 203.0.113.99:40000>10.0.0.10:25 6 REJECT OK 0 2".to_owned(),
    ];
    let judged = "select interface_id, verdict, confidence, explanation like '%an interface with the same groups accepted%' \
        from reject_attribution order by 1 desc";
    let (b2, a3) =
        ("eni-0a1b00000000000b2|SECURITY_GROUP", "eni-0a1b00000000000a3|SECURITY_GROUP|STRONG|false");
    let before = over(records(&rejected, 1), Some(network()));
    assert_eq!(rows(&before, judged).await, [format!("{b2}|STRONG|false").as_str(), a3]);
    let lines: Vec<String> = rejected.iter().cloned().chain([refuted]).collect();
    let after = over(records(&lines, 1), Some(network()));
    assert_eq!(rows(&after, judged).await, [format!("{b2}|WEAK|true").as_str(), a3]);
}

#[tokio::test]
async fn rows_without_traffic_tell_how_far_the_logs_reach_back() {
    // As above: with logs that reach back five days nobody asked for the SYN-ACK. An idle interface is logged as NODATA.
    let lines = [
        "eni-a 198.51.100.7:40000>10.0.1.10:443 6 ACCEPT OK -300 2",
        "eni-a 198.51.100.8:40000>10.0.1.10:443 6 ACCEPT OK -300 2",
        "eni-a 10.0.1.10:443>198.51.100.9:40001 6 REJECT OK 0 18",
    ];
    let judged = "select verdict, confidence from reject_attribution";
    let short: Vec<String> = lines.iter().copied().map(str::to_owned).collect();
    assert_eq!(rows(&over(records(&short, 2), None), judged).await, ["NACL|STRONG"]); // L9
    let long: Vec<String> = short.into_iter().chain(["eni-a - - - NODATA -500000 -".to_owned()]).collect();
    assert_eq!(rows(&over(records(&long, 2), None), judged).await, ["NACL|WEAK"]);
}

/// One list for two subnets that drops what comes to port 22, and answers to clients' ports of eni-s.
const ONE_LIST: &str = "vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-s subnet-1 10.0.1.10 10.0.1.26 groups=sg-s
    eni eni-b subnet-2 10.0.2.20 groups=sg-open
    eni eni-c subnet-2 10.0.2.30 groups=sg-open
    eni eni-d subnet-1 10.0.1.40 groups=sg-open
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 10 deny tcp 22 0.0.0.0/0
    acl-1 in 20 deny udp 32768-65535 0.0.0.0/0
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    sg-s out all 0.0.0.0/0
    sg-open in all 0.0.0.0/0
    sg-open out all 0.0.0.0/0";

#[tokio::test]
async fn a_flow_is_one_whichever_of_the_interfaces_addresses_a_record_shows() {
    // 4.2, 9.2 no. 9: the request shows the secondary address, its answer the primary. S11 and row 11, not row 9.
    let lines = [
        "eni-s 10.0.1.26:40001>198.51.100.53:53 17 ACCEPT OK 0 -".to_owned(),
        "eni-s 198.51.100.53:53>10.0.1.10:40001 17 REJECT OK 0 -".to_owned(),
        "eni-s 198.51.100.54:53>10.0.1.10:40001 17 REJECT OK 0 -".to_owned(),
        "eni-s 198.51.100.53:53>10.0.1.10:1 17 ACCEPT OK -900000 -".to_owned(),
    ];
    let network = crate::rules::fixture::Fixture::new(ONE_LIST).network();
    let judged = "select srcaddr, verdict, candidates from reject_attribution order by 1";
    for batch in [1, 4] {
        assert_eq!(
            rows(&over(records(&lines, batch), Some(network.clone())), judged).await,
            ["198.51.100.53|NACL|[SECURITY_GROUP]", "198.51.100.54|NACL_AND_SECURITY_GROUP|[]"]
        );
    }
}

#[tokio::test]
async fn what_a_neighbour_accepts_inside_its_subnet_does_not_clear_the_list() {
    // 8.5: the list is not asked about packets from 10.0.2.30 to 10.0.2.20, and is about those to 10.0.1.40.
    let lines = [
        "eni-b 10.0.2.30:51000>10.0.2.20:22 6 ACCEPT OK 0 2".to_owned(),
        "eni-d 10.0.2.30:51000>10.0.1.40:22 6 REJECT OK 0 2".to_owned(),
    ];
    let network = crate::rules::fixture::Fixture::new(ONE_LIST).network();
    let judged = "select verdict, confidence, nacl_rule_number from reject_attribution";
    assert_eq!(rows(&over(records(&lines, 1), Some(network)), judged).await, ["NACL|PROVEN|10"]);
}
