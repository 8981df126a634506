//! Queries that tell gateways, answers and spikes from what looks like them, over records made for it.

use std::sync::Arc;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::data::{Row, batch, flow, run};
use crate::format::{LogKind, table_schema};
use crate::sql::functions::{Enrichment, register};

/// A record of [`flow`] with more columns: `name=value`, and without those of `-name`.
fn record(text: &'static str, more: &str) -> Row {
    let mut row = flow(text);
    for word in more.split_whitespace() {
        match word.split_once('=') {
            Some((name, value)) => row.push((name.to_owned().leak(), value.to_owned())),
            None => row.retain(|(name, _)| Some(*name) != word.strip_prefix('-')),
        }
    }
    row
}

fn over(rows: &[Row]) -> SessionContext {
    let ctx = SessionContext::new();
    register(&ctx, &Arc::new(Enrichment::default())).unwrap();
    let schema = table_schema(LogKind::Flow);
    let table = MemTable::try_new(schema.clone(), vec![vec![batch(schema, rows)]]).unwrap();
    ctx.register_table("flow_logs", Arc::new(table)).unwrap();
    ctx
}

#[tokio::test]
async fn what_leaves_through_a_nat_gateway_is_no_direct_egress() {
    // Traffic path 1 stays in the VPC (on its way to the NAT gateway), 8 and 2 are the internet gateway, 3 is a private
    // gateway (spec 1.4).
    let ctx = over(&[
        record("10:00:00 eni-a egress 10.0.1.10 203.0.113.5 40000>443 6 10 5000 ACCEPT", "traffic_path=1"),
        record("10:00:00 eni-b egress 10.0.2.20 203.0.113.5 40000>443 6 10 700 ACCEPT", "traffic_path=8"),
        record("10:01:00 eni-b egress 10.0.2.20 203.0.113.6 40001>443 6 10 30 ACCEPT", "traffic_path=2"),
        record("10:02:00 eni-b egress 10.0.2.20 203.0.113.7 40002>443 6 10 9 ACCEPT", "traffic_path=3"),
    ]);
    assert_eq!(run(&ctx, "internet_egress_by_instance", "").await, ["i-b|730|20|2"]);
}

#[tokio::test]
async fn users_of_regional_nat_gateways_are_found() {
    // Spec 6.3, row 2, and section 1.5: no interface, the gateway is the resource, plain and packet addresses are equal.
    let regional = "-interface_id resource_id=nat-0123456789abcdef0 interface_type=regional_nat_gateway";
    let ctx = over(&[
        record("10:00:00 eni-r ingress 10.0.1.5 203.0.113.5 50112>443 6 20 5120 ACCEPT", regional),
        // Its other side shows the public address.
        record("10:00:00 eni-r egress 198.51.100.1 203.0.113.5 1024>443 6 20 5120 ACCEPT", regional),
        record("10:00:00 eni-n ingress 10.0.2.20 10.0.0.220=203.0.113.9 46000>443 6 30 3000 ACCEPT", ""),
    ]);
    assert_eq!(
        run(&ctx, "nat_gateway_users", "").await,
        ["10.0.1.5|nat-0123456789abcdef0||5120|20|1", "10.0.2.20|eni-n|10.0.0.220|3000|30|1"]
    );
}

#[tokio::test]
async fn the_answers_of_a_server_are_no_port_scan() {
    let mut rows = Vec::new();
    for text in [
        // A client's connections and the server's answers.
        "10:00:00 eni-a ingress 10.0.9.1 10.0.1.10 40001>443 6 3 100 ACCEPT",
        "10:00:01 eni-a ingress 10.0.9.1 10.0.1.10 40002>443 6 3 100 ACCEPT",
        "10:00:00 eni-a egress 10.0.1.10 10.0.9.1 443>40001 6 3 900 ACCEPT",
        "10:00:01 eni-a egress 10.0.1.10 10.0.9.1 443>40002 6 3 900 ACCEPT",
        // A load balancer's node, whose own ports may be low ones, and the target's answers.
        "10:00:02 eni-a egress 10.0.1.10 10.0.0.9 8080>9001 6 3 900 ACCEPT",
        "10:00:03 eni-a egress 10.0.1.10 10.0.0.9 8080>60002 6 3 900 ACCEPT",
        // Answers that a network ACL drops.
        "10:00:04 eni-a egress 10.0.1.10 10.0.9.2 443>50001 6 1 40 REJECT",
        "10:00:05 eni-a egress 10.0.1.10 10.0.9.2 443>50002 6 1 40 REJECT",
        // Scans: from one high port, and from the port of name servers.
        "10:00:06 eni-a ingress 198.51.100.9 10.0.1.10 60000>22 6 1 40 ACCEPT",
        "10:00:07 eni-a ingress 198.51.100.9 10.0.1.10 60000>23 6 1 40 REJECT",
        "10:00:08 eni-a ingress 198.51.100.8 10.0.1.10 53>135 6 1 40 REJECT",
        "10:00:09 eni-a ingress 198.51.100.8 10.0.1.10 53>139 6 1 40 REJECT",
    ] {
        rows.push(record(text, ""));
    }
    assert_eq!(
        run(&over(&rows), "port_scan_vertical", "min_ports=2").await,
        ["10:00:00Z|198.51.100.8|10.0.1.10|2|2|2", "10:00:00Z|198.51.100.9|10.0.1.10|2|2|1"]
    );
    // With flags, ports decide nothing: a connection begins with SYN, its answer carries SYN and ACK (spec 1.4).
    let rows = [
        record("10:00:00 eni-a ingress 198.51.100.9 10.0.1.10 20>60001 6 1 40 ACCEPT", "tcp_flags=2"),
        record("10:00:01 eni-a ingress 198.51.100.9 10.0.1.10 20>60002 6 1 40 ACCEPT", "tcp_flags=2"),
        record("10:00:00 eni-a egress 10.0.1.10 198.51.100.9 60001>20 6 1 40 ACCEPT", "tcp_flags=18"),
        record("10:00:01 eni-a egress 10.0.1.10 198.51.100.9 60001>21 6 1 40 REJECT", "tcp_flags=18"),
    ];
    assert_eq!(
        run(&over(&rows), "port_scan_vertical", "min_ports=2").await,
        ["10:00:00Z|198.51.100.9|10.0.1.10|2|2|0"]
    );
}

#[tokio::test]
async fn rows_of_formats_without_log_status_are_records() {
    let nothing_flowed = "-log_status -srcaddr -dstaddr -srcport -dstport -packets -bytes -action";
    let ctx = over(&[
        record("10:00:00 eni-a egress 10.0.1.10 203.0.113.5 40000>443 6 10 5000 ACCEPT", "-log_status"),
        // Spec 1.6: such a row is seen by its empty flow fields alone, and is no record.
        record("10:01:00 eni-a egress 10.0.1.10 203.0.113.5 40000>443 6 10 5000 ACCEPT", nothing_flowed),
    ]);
    assert_eq!(run(&ctx, "coverage", "").await, ["2026-01-15|123456789012|eni-a|1|0|0|10:00:00Z|10:02:00Z"]);
}

#[tokio::test]
async fn a_spike_among_few_intervals_is_found() {
    let mut rows = Vec::new();
    // Nine rejects in each of three intervals, 27 in the fourth: 18 more than the mean, which is six times its square root.
    for (time, count) in [("10:00:00", 9), ("10:05:00", 9), ("10:10:00", 27), ("10:15:00", 9)] {
        for _ in 0..count {
            let text = format!("{time} eni-a ingress 198.51.100.9 10.0.1.10 60000>22 6 1 40 REJECT");
            rows.push(record(text.leak(), ""));
        }
    }
    assert_eq!(run(&over(&rows), "denied_spike", "").await, ["10:10:00Z|27|1|9.0|6.0"]);
    assert_eq!(run(&over(&rows), "denied_spike", "threshold=6").await, Vec::<String>::new());
}

#[tokio::test]
async fn destinations_without_anything_to_compare_with_say_so() {
    let ctx = over(&[record("10:00:00 eni-a egress 10.0.1.10 203.0.113.5 40000>443 6 10 5000 ACCEPT", "")]);
    assert_eq!(run(&ctx, "new_destinations", "").await, ["203.0.113.5|10:00:00Z|1|1|5000|"]);
}
