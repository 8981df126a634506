//! The sample lines of the format specification, column by column; those of load balancers are in `samples_elb`.
//!
//! Rows that the specification spells out are spelled out here; for the other flow log lines the expected row comes from
//! [`flow_row`], which reads a line as the specification's table of fields says, and shares nothing with flowq.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::delta::Row;
use crate::support::{Case, bare};

const INTEGERS: [&str; 13] = [
    "version",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "tcp-flags",
    "traffic-path",
    "encryption-status",
    "packets-lost-no-route",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-ttl-expired",
];

/// The row of a flow log line without percent-encoded fields.
pub fn flow_row(fields: &str, line: &str) -> Row {
    let mut row = Map::new();
    for (name, text) in fields.split_whitespace().zip(line.split_whitespace()) {
        if text == "-" {
            continue;
        }
        let value = match name {
            "start" | "end" => {
                let time = chrono::DateTime::from_timestamp(text.parse().unwrap(), 0).unwrap();
                json!(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            }
            _ if INTEGERS.contains(&name) => json!(text.parse::<i64>().unwrap()),
            _ => json!(text),
        };
        row.insert(name.replace('-', "_"), value);
    }
    row
}

/// A literal row.
pub fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        other => panic!("{other} is no row"),
    }
}

/// Asserts some columns of a row; `null` means that there is no value.
#[track_caller]
pub fn assert_columns(found: &Row, wanted: Value) {
    for (name, wanted) in row(wanted) {
        assert_eq!(found.get(&name).unwrap_or(&Value::Null), &wanted, "{name} of {found:#?}");
    }
}

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        const SAMPLES: &[(&str, &str)] = &[$(($name, include_str!(concat!("samples/", $name, ".log")))),*];
    };
}
samples!(
    "alb",
    "alb-18",
    "alb-30",
    "alb-conn-12",
    "alb-conn-15",
    "alb-hc-10",
    "alb-hc-8",
    "clb",
    "clb-old",
    "cwl-export",
    "cwl-subscription",
    "firehose-direct",
    "flow-min",
    "flow-v11",
    "flow-v2",
    "flow-v5",
    "flow-v7",
    "nlb",
    "tgw",
);

/// All samples in one store.
fn stored() -> &'static Case {
    static STORED: OnceLock<Case> = OnceLock::new();
    STORED.get_or_init(|| {
        let case = Case::new();
        for (name, text) in SAMPLES {
            case.write(&format!("{name}.log"), text);
        }
        let summary = case.ingest(&[]).expect(0).json();
        assert_eq!(summary["total"]["quarantined"], json!(0), "{summary:#}");
        assert_eq!(summary["skipped"], json!([]));
        case
    })
}

/// The rows of one sample, without where they came from.
pub fn rows(table: &str, sample: &str) -> Vec<Row> {
    stored().rows_of(table, &format!("{sample}.log")).into_iter().map(bare).collect()
}

/// All lines of a flow log sample, by its header.
fn flow_rows(sample: &str) -> Vec<Row> {
    let (_, text) = SAMPLES.iter().find(|(name, _)| *name == sample).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    lines.lines().map(|line| flow_row(header, line)).collect()
}

#[test]
fn flow_v2_default_format() {
    let rows = rows("flow_logs", "flow-v2");
    assert_eq!(rows, flow_rows("flow-v2"));
    assert_eq!(
        rows[1],
        row(json!({
            "version": 2, "account_id": "123456789012", "interface_id": "eni-0a1b2c3d4e5f60718",
            "srcaddr": "203.0.113.9", "dstaddr": "10.0.1.20", "srcport": 55412, "dstport": 3389, "protocol": 6,
            "packets": 1, "bytes": 40, "start": "2026-01-15T10:00:03Z", "end": "2026-01-15T10:01:00Z",
            "action": "REJECT", "log_status": "OK",
        }))
    );
    assert_eq!(
        rows[4],
        row(json!({
            "version": 2, "account_id": "123456789012", "interface_id": "eni-0a1b2c3d4e5f60718",
            "start": "2026-01-15T10:01:00Z", "end": "2026-01-15T10:01:58Z", "log_status": "NODATA",
        }))
    );
    assert_columns(&rows[5], json!({"account_id": "unknown", "log_status": "SKIPDATA"}));
}

#[test]
fn flow_v5_custom_format() {
    let rows = rows("flow_logs", "flow-v5");
    assert_eq!(rows, flow_rows("flow-v5"));
    assert_columns(
        &rows[2],
        json!({
            "dstaddr": "10.0.0.220", "pkt_dstaddr": "203.0.113.5", "instance_id": null, "tcp_flags": 2,
            "traffic_path": null, "flow_direction": "ingress",
        }),
    );
    assert_columns(
        &rows[3],
        json!({"srcport": 443, "dstport": 51000, "action": "REJECT", "tcp_flags": 18, "traffic_path": 8}),
    );
}

#[test]
fn flow_v11_tags_next_hops_and_reject_reasons() {
    let mut wanted = flow_rows("flow-v11");
    for at in [0, 3] {
        wanted[at].insert("instance_tag".into(), json!("payments/edge #1"));
    }
    let rows = rows("flow_logs", "flow-v11");
    assert_eq!(rows, wanted);
    assert_columns(
        &rows[0],
        json!({
            "reject_reason": "BPA", "bytes": null, "packets": 3, "instance_tag": "payments/edge #1",
            "encryption_status": null,
        }),
    );
    assert_columns(
        &rows[1],
        json!({
            "interface_id": null, "resource_id": "nat-0123456789abcdef0", "interface_type": "regional_nat_gateway",
        }),
    );
}

#[test]
fn flow_v7_ecs_fields() {
    let rows = rows("flow_logs", "flow-v7");
    assert_eq!(rows, flow_rows("flow-v7"));
    assert_columns(
        &rows[0],
        json!({"ecs_cluster_name": "shop", "ecs_container_id": "0123456789ab-1111", "start": null}),
    );
}

#[test]
fn flow_minimal_custom_format() {
    let rows = rows("flow_logs", "flow-min");
    assert_eq!(
        rows[0],
        row(json!({"pkt_srcaddr": "198.51.100.17", "pkt_dstaddr": "10.0.1.20", "action": "ACCEPT"}))
    );
    assert_eq!(rows[1], Row::new());
    assert_eq!(rows.len(), 2);
}

#[test]
fn envelopes_hold_the_rows_of_the_default_format() {
    let plain = flow_rows("flow-v2");
    assert_eq!(rows("flow_logs", "cwl-export"), [plain[0].clone(), plain[4].clone()]);
    assert_eq!(rows("flow_logs", "firehose-direct"), [plain[0].clone(), plain[4].clone()]);
    assert_eq!(rows("flow_logs", "cwl-subscription"), [plain[0].clone(), plain[1].clone()]);
}

#[test]
fn transit_gateway_default_format() {
    let rows = rows("tgw_flow_logs", "tgw");
    assert_eq!(rows, flow_rows("tgw"));
    assert_columns(
        &rows[0],
        json!({"tcp_flags": 26, "tgw_pair_attachment_id": "tgw-attach-0bbbbbbbbbbbbbbbb", "bytes": 5230}),
    );
    assert_columns(
        &rows[1],
        json!({
            "packets_lost_no_route": 3, "tgw_dst_vpc_account_id": null, "tgw_dst_vpc_id": null,
            "tgw_dst_subnet_id": null, "tgw_dst_eni": null, "tgw_dst_az_id": null,
        }),
    );
}

#[test]
fn rows_lie_in_the_partition_of_their_day() {
    let dates = |table: &str, sample: &str| -> Vec<Value> {
        let rows = stored().rows_of(table, &format!("{sample}.log"));
        rows.iter().map(|row| row.get("event_date").cloned().unwrap_or_default()).collect()
    };
    assert_eq!(dates("flow_logs", "flow-v2"), vec![json!("2026-01-15"); 6]);
    assert_eq!(dates("alb_logs", "alb-18"), [json!("2016-11-23")]);
    assert_eq!(dates("clb_logs", "clb-old"), [json!("2014-02-15")]);
    assert_eq!(dates("flow_logs", "flow-min"), [json!(null), json!(null)], "no time, no day");
}
