use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::*;
use crate::format::{LogKind, table_schema};
use crate::sql::attribution::{NetworkSource, RejectAttribution};
use crate::sql::catalog::TableSource;
use crate::sql::functions::{Enrichment, register};
use crate::sql::usage::UsageTables;

/// A row: columns and texts. Columns that are not there are NULL.
type Row = Vec<(&'static str, String)>;

fn batch(schema: Arc<Schema>, rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if matches!(field.data_type(), DataType::Map(..)) {
                return new_null_array(field.data_type(), rows.len());
            }
            let texts: StringArray = rows
                .iter()
                .map(|row| row.iter().find(|(name, _)| name == field.name()).map(|(_, text)| text.as_str()))
                .collect();
            let column = cast(&texts, field.data_type()).unwrap();
            assert_eq!(column.null_count(), arrow::array::Array::null_count(&texts), "{}", field.name());
            column
        })
        .collect();
    for row in rows {
        for (name, _) in row {
            assert!(schema.column_with_name(name).is_some(), "{name}");
        }
    }
    RecordBatch::try_new(schema, columns).unwrap()
}

/// `a=1 b=2`, with `_` for a space inside a value.
fn row(text: &'static str) -> Row {
    text.split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name, value.replace('_', " "))
        })
        .collect()
}

fn plus(text: &str, seconds: i64) -> String {
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").unwrap();
    (time + chrono::Duration::seconds(seconds)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A flow record of one minute: `time interface direction source>destination ports protocol packets bytes action`.
fn flow(text: &'static str) -> Row {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [time, interface, direction, src, dst, ports, protocol, packets, bytes, action] = words[..] else {
        panic!("{text}")
    };
    let (sport, dport) = ports.split_once('>').unwrap();
    let (dst, pkt_dst) = dst.split_once('=').unwrap_or((dst, dst));
    let mut row = window(time, interface, "OK");
    for (name, value) in [
        ("flow_direction", direction),
        ("srcaddr", src),
        ("dstaddr", dst),
        ("pkt_srcaddr", src),
        ("pkt_dstaddr", pkt_dst),
        ("srcport", sport),
        ("dstport", dport),
        ("protocol", protocol),
        ("packets", packets),
        ("bytes", bytes),
        ("action", action),
    ] {
        row.push((name, value.to_owned()));
    }
    row
}

/// What a record of an interface has even where nothing flowed.
fn window(time: &str, interface: &str, status: &str) -> Row {
    let start = if time.len() == 8 { format!("2026-01-15T{time}Z") } else { format!("{time}Z") };
    let (instance, subnet, zone) = match interface {
        "eni-a" => (Some("i-a"), "subnet-1", "use1-az1"),
        "eni-b" => (Some("i-b"), "subnet-2", "use1-az2"),
        _ => (None, "subnet-0", "use1-az1"),
    };
    let mut row = vec![
        ("event_date", start[..10].to_owned()),
        ("end", plus(&start, 60)),
        ("start", start),
        ("account_id", "123456789012".into()),
        ("interface_id", interface.into()),
        ("subnet_id", subnet.into()),
        ("az_id", zone.into()),
        ("log_status", status.into()),
    ];
    row.extend(instance.map(|instance| ("instance_id", instance.to_owned())));
    row
}

fn flows() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        // A database connection between two zones, seen at both ends.
        "10:00:00 eni-a egress 10.0.1.10 10.0.2.20 40000>5432 6 10 1000 ACCEPT",
        "10:00:00 eni-b ingress 10.0.1.10 10.0.2.20 40000>5432 6 10 1000 ACCEPT",
        "10:00:01 eni-b egress 10.0.2.20 10.0.1.10 5432>40000 6 20 9000 ACCEPT",
        "10:00:01 eni-a ingress 10.0.2.20 10.0.1.10 5432>40000 6 20 9000 ACCEPT",
        // A visitor, and an upload.
        "10:04:00 eni-a ingress 198.51.100.7 10.0.1.10 51000>443 6 5 500 ACCEPT",
        "10:04:01 eni-a egress 10.0.1.10 198.51.100.7 443>51000 6 6 6000 ACCEPT",
        "10:06:00 eni-a egress 10.0.1.10 203.0.113.5 45000>443 6 100 200000 ACCEPT",
        "10:06:01 eni-a ingress 203.0.113.5 10.0.1.10 443>45000 6 8 800 ACCEPT",
        // Through the NAT gateway, at its interface.
        "10:07:00 eni-n ingress 10.0.2.20 10.0.0.220=203.0.113.9 46000>443 6 30 3000 ACCEPT",
        "10:07:00 eni-n egress 10.0.0.220 203.0.113.9 1024>443 6 30 3000 ACCEPT",
        // A scan from outside and a try from inside.
        "10:10:00 eni-a ingress 198.51.100.99 10.0.1.10 60000>22 6 1 40 REJECT",
        "10:10:01 eni-a ingress 198.51.100.99 10.0.1.10 60000>23 6 1 40 REJECT",
        "10:10:02 eni-a ingress 198.51.100.99 10.0.1.10 60000>3389 6 1 40 REJECT",
        "10:10:03 eni-b ingress 198.51.100.99 10.0.2.20 60000>22 6 1 40 REJECT",
        "10:12:00 eni-b ingress 10.0.1.10 10.0.2.20 41000>22 6 2 120 REJECT",
        "10:12:01 eni-b ingress 10.0.1.10 10.0.2.20 41000>3306 6 2 120 REJECT",
        // Name servers, IPv6, a tunnel.
        "10:20:00 eni-a egress 10.0.1.10 192.0.2.53 50000>53 17 1 60 ACCEPT",
        "10:20:00 eni-b egress 10.0.2.20 192.0.2.54 50000>53 17 1 60 ACCEPT",
        "11:00:00 eni-a ingress 2001:db8::7 2001:db8:1::10 52000>443 6 3 300 ACCEPT",
        "11:05:00 eni-a ingress 198.51.100.50 10.0.1.10 0>0 47 4 400 REJECT",
        // The next day, recorded twice.
        "2026-01-16T10:00:00 eni-a egress 10.0.1.10 203.0.113.77 47000>443 6 7 700 ACCEPT",
        "2026-01-16T10:00:00 eni-a egress 10.0.1.10 203.0.113.77 47000>443 6 7 700 ACCEPT",
    ]
    .into_iter()
    .map(flow)
    .collect();
    rows.push(window("11:10:00", "eni-a", "NODATA"));
    rows.push(window("11:10:00", "eni-b", "SKIPDATA"));
    rows.push(window("12:10:00", "eni-b", "SKIPDATA"));
    rows
}

/// What `reject_attribution` is made of beyond [`flows`]: an answer that is dropped, a late packet, a service that another
/// connection reaches in the same minute.
fn to_judge() -> Vec<Row> {
    let rows = [
        ("10:30:00 eni-a ingress 198.51.100.8 10.0.1.10 52000>443 6 5 500 ACCEPT", None),
        ("10:30:01 eni-a egress 10.0.1.10 198.51.100.8 443>52000 6 2 120 REJECT", None),
        ("10:40:00 eni-a ingress 198.51.100.7 10.0.1.10 51000>443 6 1 40 REJECT", None),
        ("11:20:00 eni-b ingress 203.0.113.50 10.0.2.20 53000>443 6 2 120 ACCEPT", Some("2")),
        ("11:20:10 eni-b ingress 203.0.113.50 10.0.2.20 53001>443 6 2 120 REJECT", Some("2")),
    ];
    let row = |(text, flags): (&'static str, Option<&str>)| {
        let mut row = flow(text);
        row.extend(flags.map(|flags| ("tcp_flags", flags.to_owned())));
        row
    };
    rows.into_iter().map(row).collect()
}

/// The rules that `ruled` uses, or not.
const RULES: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-web
    eni eni-b subnet-2 10.0.2.20 groups=sg-db
    sg-web in tcp 443 0.0.0.0/0
    sg-web in tcp 22 10.0.0.0/8
    sg-db in tcp 1000-9999 10.0.0.0/8
    sg-db out tcp 443 0.0.0.0/0
    sg-none in tcp 80 0.0.0.0/0
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 90 deny all 203.0.113.9/32
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 in 110 allow tcp 443 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0";

/// Three visitors of the web server, one of them kept out; the web server at the database, whose interface was logged in
/// the first ten minutes of the hour only.
fn ruled() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "10:00:00 eni-a ingress 198.51.100.7 10.0.1.10 51000>443 6 5 500 ACCEPT",
        "10:00:00 eni-a egress 10.0.1.10 198.51.100.7 443>51000 6 6 6000 ACCEPT",
        "10:20:00 eni-a ingress 198.51.100.8 10.0.1.10 51000>443 6 5 700 ACCEPT",
        "10:30:00 eni-a ingress 203.0.113.9 10.0.1.10 51000>443 6 1 40 REJECT",
        "10:01:00 eni-b ingress 10.0.1.10 10.0.2.20 40000>5432 6 10 1000 ACCEPT",
        "10:02:00 eni-b ingress 10.0.1.10 10.0.2.20 40001>5432 6 10 2000 ACCEPT",
    ]
    .into_iter()
    .map(flow)
    .collect();
    rows.extend(["10:10:00", "10:40:00", "10:50:00", "10:58:00"].map(|time| window(time, "eni-a", "NODATA")));
    rows
}

/// A table of flow logs as a source.
#[derive(Debug)]
struct Logs(Arc<dyn TableProvider>);

#[async_trait::async_trait]
impl TableSource for Logs {
    fn names(&self) -> Vec<String> {
        vec!["flow_logs".to_owned()]
    }

    async fn open(&self, _name: &str) -> datafusion::common::Result<Option<Arc<dyn TableProvider>>> {
        Ok(Some(Arc::clone(&self.0)))
    }
}

fn rule_hits() -> UsageTables {
    let schema = table_schema(LogKind::Flow);
    let logs = MemTable::try_new(schema.clone(), vec![vec![batch(schema, &ruled())]]).unwrap();
    let network = crate::rules::fixture::Fixture::new(RULES).network();
    UsageTables::new(Arc::new(Logs(Arc::new(logs))), NetworkSource::Given(Arc::new(network)))
}

fn requests() -> Vec<Row> {
    const OLD_TLS: &str = " ssl_protocol=TLSv1.2 ssl_cipher=ECDHE-RSA-AES128-GCM-SHA256";
    const NEW_TLS: &str = " ssl_protocol=TLSv1.3 ssl_cipher=TLS-AES-128";
    let visitor = "client_ip=198.51.100.7 user_agent=Mozilla target_ip=10.0.1.10 target_port=8080";
    let api = "client_ip=203.0.113.9 user_agent=curl request_url=https://shop.example.com:443/api";
    let second = "target_ip=10.0.2.20 target_port=8080";
    let scanner = "client_ip=192.0.2.66 user_agent=scanner target_ip=10.0.1.10 target_port=8080";
    [
        format!("10:00:00 {visitor} elb_status_code=200 target_status_code=200 received_bytes=100 sent_bytes=1000 \
            request_url=https://shop.example.com:443/ request_processing_time=0.25 target_processing_time=0.5 \
            response_processing_time=0 {OLD_TLS}"),
        format!("10:01:00 {visitor} elb_status_code=200 target_status_code=200 received_bytes=100 sent_bytes=2000 \
            request_url=https://shop.example.com:443/cart request_processing_time=0.5 target_processing_time=2.5 \
            response_processing_time=0 {OLD_TLS}"),
        format!("10:02:00 {api} {second} elb_status_code=500 target_status_code=500 received_bytes=50 sent_bytes=10 \
            request_processing_time=0 target_processing_time=0.25 response_processing_time=0 {NEW_TLS}"),
        format!("10:03:00 {api} elb_status_code=503 received_bytes=50 sent_bytes=0 request_processing_time=-1 \
            target_processing_time=-1 response_processing_time=-1 {NEW_TLS}"),
        format!("10:06:00 {scanner} elb_status_code=404 target_status_code=404 received_bytes=30 sent_bytes=5 \
            request_url=http://shop.example.com:80/.env"),
        format!("10:06:01 {scanner} elb_status_code=404 target_status_code=404 received_bytes=30 sent_bytes=5 \
            request_url=http://shop.example.com:80/wp-login.php?x=1"),
        "10:07:00 client_ip=192.0.2.67 elb_status_code=400 received_bytes=20 sent_bytes=0 classification=Severe \
            request_url=http://shop.example.com:80/a".to_owned(),
        format!("10:07:30 {api} {second} elb_status_code=502 received_bytes=50 sent_bytes=0 request_processing_time=0 \
            target_processing_time=-1 response_processing_time=-1 {NEW_TLS}"),
    ]
    .into_iter()
    .map(|text| {
        let (time, rest) = text.split_once(' ').unwrap();
        let mut row = row(Box::leak(rest.to_owned().into_boxed_str()));
        row.push(("time", format!("2026-01-15T{time}Z")));
        row.push(("elb", "app/shop/1".into()));
        row.push(("request_verb", "GET".into()));
        row
    })
    .collect()
}

fn session() -> SessionContext {
    let ctx = SessionContext::new();
    register(&ctx, &Arc::new(Enrichment::default())).unwrap();
    let put = |name: &str, schema, rows: Vec<Row>| {
        // Two batches, so that groups meet across them.
        let all = batch(schema, &rows);
        let half = all.num_rows() / 2;
        let halves = vec![all.slice(0, half), all.slice(half, all.num_rows() - half)];
        ctx.register_table(name, Arc::new(MemTable::try_new(all.schema(), vec![halves]).unwrap())).unwrap();
    };
    put("flow_logs", table_schema(LogKind::Flow), flows());
    let judged = MemTable::try_new(
        table_schema(LogKind::Flow),
        vec![vec![batch(
            table_schema(LogKind::Flow),
            &flows().into_iter().chain(to_judge()).collect::<Vec<_>>(),
        )]],
    );
    let judged = RejectAttribution::new(Arc::new(judged.unwrap()), None);
    ctx.register_table("reject_attribution", Arc::new(judged)).unwrap();
    let hits = futures::executor::block_on(rule_hits().open("rule_hits")).unwrap().unwrap();
    ctx.register_table("rule_hits", hits).unwrap();
    put("alb_logs", table_schema(LogKind::Alb), requests());
    let checks = [
        "time=2026-01-15T10:00:00Z target_addr=10.0.1.10:8080 status=PASS latency=0.01 target_group_id=tg-1",
        "time=2026-01-15T10:01:00Z target_addr=10.0.1.10:8080 status=FAIL latency=0.03 target_group_id=tg-1 \
         reason_code=RequestTimedOut",
        "time=2026-01-15T10:01:00Z target_addr=10.0.2.20:8080 status=PASS latency=0.02 target_group_id=tg-1",
    ];
    put("alb_health_check_logs", table_schema(LogKind::AlbHealthCheck), checks.map(row).to_vec());
    let connections = [
        "time=2026-01-15T09:00:00Z elb=net/n/1 listener=l1 client_ip=198.51.100.7 tls_protocol_version=tlsv13",
        "time=2026-01-15T09:01:00Z elb=net/n/1 listener=l1 client_ip=203.0.113.9",
        "time=2026-01-15T09:02:00Z elb=net/n/1 listener=l1 client_ip=203.0.113.9",
        "time=2026-01-15T09:03:00Z elb=net/n/1 listener=l1 client_ip=192.0.2.1 incoming_tls_alert=48 \
         tls_protocol_version=tlsv12",
    ];
    put("nlb_logs", table_schema(LogKind::Nlb), connections.map(row).to_vec());
    let fields: Vec<Field> = [
        ("source_file", DataType::Utf8),
        ("line", DataType::Int64),
        ("byte", DataType::Int64),
        ("reason", DataType::Utf8),
        ("text", DataType::Utf8),
        ("kind", DataType::Utf8),
    ]
    .into_iter()
    .map(|(name, ty)| Field::new(name, ty, true))
    .collect();
    let refused = [
        "source_file=b.log line=3 reason=too_few_fields text=2_x kind=flow",
        "source_file=a.log line=9 reason=too_few_fields text=2_y kind=flow",
        "source_file=a.log line=7 reason=no_number text=z kind=alb",
    ];
    put("quarantine", Arc::new(Schema::new(fields)), refused.map(row).to_vec());
    ctx
}

/// Rows as text, cells between `|`, times of the first day without their date.
async fn run(ctx: &SessionContext, name: &str, params: &str) -> Vec<String> {
    let library = library(None).unwrap();
    let query = library.get(name).unwrap();
    let given: Vec<(String, String)> = params
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let frame = ctx.sql(&query.sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let frame = frame.with_param_values(query.bind(&given).unwrap()).unwrap();
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut out = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayRef> =
            batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        for at in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| {
                    let column = column.as_string::<i32>();
                    let text = if arrow::array::Array::is_null(column, at) { "" } else { column.value(at) };
                    text.replace("2026-01-15T", "")
                })
                .collect();
            out.push(cells.join("|"));
        }
    }
    out
}

/// The answers, worked out from the rows above by hand.
const ANSWERS: &[(&str, &str, &[&str])] = &[
    ("top_talkers", "limit=3", &["10.0.1.10|209700|145|9", "10.0.2.20|21060|71|4", "10.0.0.220|3000|30|1"]),
    (
        "top_talkers_packet_level",
        "limit=2",
        &["10.0.1.10|203.0.113.5|200000|100|1", "10.0.2.20|10.0.1.10|18000|40|2"],
    ),
    (
        "top_talkers_packet_level",
        "from=2026-01-15T10:07:00Z to=2026-01-15T10:07:01Z",
        &["10.0.0.220|203.0.113.9|3000|30|1", "10.0.2.20|203.0.113.9|3000|30|1"],
    ),
    ("top_instances", "", &["i-a|219580|174|14", "i-b|10340|36|6"]),
    ("top_subnets", "", &["subnet-1|219580|174|14", "subnet-2|10340|36|6", "subnet-0|6000|60|2"]),
    ("bytes_over_time", "bucket=1h to=2026-01-16", &["10:00:00Z|233820|249|18", "11:00:00Z|700|7|2"]),
    ("bytes_over_time", "from=2026-01-16", &["2026-01-16T10:00:00Z|1400|14|2"]),
    ("traffic_over_time", "to=2026-01-16", &["10:00:00Z|12|6|233420|400", "11:00:00Z|1|1|300|400"]),
    (
        "traffic_between",
        "a=10.0.1.10 b=10.0.2.0/24",
        &[
            "10.0.2.20|10.0.1.10|40000|tcp|ACCEPT|2|40|18000|10:00:01Z|10:01:01Z",
            "10.0.1.10|10.0.2.20|5432|tcp|ACCEPT|2|20|2000|10:00:00Z|10:01:00Z",
            "10.0.1.10|10.0.2.20|22|tcp|REJECT|1|2|120|10:12:00Z|10:13:00Z",
            "10.0.1.10|10.0.2.20|3306|tcp|REJECT|1|2|120|10:12:01Z|10:13:01Z",
        ],
    ),
    (
        "traffic_of_address",
        "address=198.51.100.7",
        &[
            "10:04:01Z|10:05:01Z|eni-a|10.0.1.10|443|198.51.100.7|51000|tcp|ACCEPT|6|6000",
            "10:04:00Z|10:05:00Z|eni-a|198.51.100.7|51000|10.0.1.10|443|tcp|ACCEPT|5|500",
        ],
    ),
    (
        "accepted",
        "limit=2",
        &["10.0.1.10|203.0.113.5|443|tcp|1|100|200000", "10.0.2.20|10.0.1.10|40000|tcp|2|40|18000"],
    ),
    (
        "rejected",
        "limit=3",
        &[
            "10.0.1.10|10.0.2.20|22|tcp|1|2|10:12:00Z|10:13:00Z",
            "10.0.1.10|10.0.2.20|3306|tcp|1|2|10:12:01Z|10:13:01Z",
            "198.51.100.50|10.0.1.10|0|gre|1|4|11:05:00Z|11:06:00Z",
        ],
    ),
    ("rejected_by_port", "limit=3", &["22|tcp|ssh|3|4|2", "0|gre||1|4|1", "23|tcp|telnet|1|1|1"]),
    (
        "rejected_by_source",
        "limit=2",
        &["198.51.100.99|4|4|2|3|10:10:00Z|10:11:03Z", "10.0.1.10|2|4|1|2|10:12:00Z|10:13:01Z"],
    ),
    ("ip_family_split", "", &["IPv4|21|267|235620|99.9", "IPv6|1|3|300|0.1"]),
    (
        "top_ports",
        "limit=3",
        &["443|tcp|https|9|196|215000", "5432|tcp|postgresql|4|60|20000", "22|tcp|ssh|3|4|200"],
    ),
    (
        "https_receivers",
        "limit=3",
        &["203.0.113.5|100|200000|1", "10.0.0.220|30|3000|1", "203.0.113.9|30|3000|1"],
    ),
    ("cross_az_bytes", "", &["use1-az2|use1-az1|9000|1", "use1-az1|use1-az2|1000|1"]),
    ("internet_egress_by_instance", "", &["i-a|207460|121|4", "i-b|60|1|1"]),
    ("nat_gateway_users", "", &["10.0.2.20|eni-n|10.0.0.220|3000|30|1"]),
    ("protocol_breakdown", "", &["6|tcp|19|264|235400|99.8", "47|gre|1|4|400|0.2", "17|udp|2|2|120|0.1"]),
    ("unusual_protocols", "", &["47|gre|198.51.100.50|10.0.1.10|REJECT|1|4|400"]),
    (
        "admin_port_traffic",
        "ports=22,3389",
        &[
            "22|ssh|198.51.100.99|10.0.1.10|REJECT|true|1|40|10:10:00Z|10:11:00Z",
            "22|ssh|198.51.100.99|10.0.2.20|REJECT|true|1|40|10:10:03Z|10:11:03Z",
            "3389|rdp|198.51.100.99|10.0.1.10|REJECT|true|1|40|10:10:02Z|10:11:02Z",
            "22|ssh|10.0.1.10|10.0.2.20|REJECT|false|1|120|10:12:00Z|10:13:00Z",
        ],
    ),
    ("inbound_from_internet", "", &["10.0.1.10|443|tcp|https|1|1|500"]),
    ("port_scan_vertical", "min_ports=3", &["10:10:00Z|198.51.100.99|10.0.1.10|3|3|3"]),
    ("port_scan_vertical", "min_ports=4", &[]),
    ("port_scan_horizontal", "min_hosts=2", &["10:10:00Z|198.51.100.99|22|tcp|2|2|2"]),
    ("internal_recon", "min_targets=2", &["10.0.1.10|2|1|2|2|10:12:00Z|10:13:01Z"]),
    ("new_destinations", "recent=2h", &["203.0.113.77|2026-01-16T10:00:00Z|1|2|1400"]),
    ("denied_spike", "threshold=0.5 min_rejects=2", &["10:10:00Z|6|2|3.5|1.0"]),
    ("denied_spike", "threshold=1 min_rejects=2", &[]),
    ("exfil_candidates", "min_bytes=100000", &["10.0.1.10|203.0.113.5|200000|800|250.0|10:06:00Z|10:07:01Z"]),
    ("unapproved_dns", "approved=192.0.2.54", &["10.0.1.10|192.0.2.53|53|udp|ACCEPT|true|1|60"]),
    (
        "unapproved_dns",
        "",
        &["10.0.1.10|192.0.2.53|53|udp|ACCEPT|true|1|60", "10.0.2.20|192.0.2.54|53|udp|ACCEPT|true|1|60"],
    ),
    (
        "threat_intel_hits",
        "indicators=198.51.100.99,203.0.113.5",
        &[
            "203.0.113.5|10.0.1.10|203.0.113.5|443|tcp|ACCEPT|1|200000|10:06:00Z|10:07:00Z",
            "203.0.113.5|203.0.113.5|10.0.1.10|45000|tcp|ACCEPT|1|800|10:06:01Z|10:07:01Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|22|tcp|REJECT|1|40|10:10:00Z|10:11:00Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|23|tcp|REJECT|1|40|10:10:01Z|10:11:01Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|3389|tcp|REJECT|1|40|10:10:02Z|10:11:02Z",
            "198.51.100.99|198.51.100.99|10.0.2.20|22|tcp|REJECT|1|40|10:10:03Z|10:11:03Z",
        ],
    ),
    (
        "reject_summary",
        "",
        &[
            "UNDETERMINED|NONE|CONFIG_MISSING|7|12|3|2|10:10:00Z|11:06:00Z",
            "CONFIG_MISMATCH|WEAK|CONFIG_CHANGED_IN_WINDOW|1|2|1|1|11:20:10Z|11:21:10Z",
            "NACL|STRONG|RESPONSE_OF_ACCEPTED_FLOW|1|2|1|1|10:30:01Z|10:31:01Z",
            "STALE_CONNECTION|WEAK|OUT_OF_STATE|1|1|1|1|10:40:00Z|10:41:00Z",
        ],
    ),
    (
        "reject_attribution",
        "verdict=NACL",
        &["eni-a|egress|10.0.1.10|198.51.100.8|52000|tcp|NACL||||STRONG|1|2"],
    ),
    ("nacl_return_path_blocks", "", &["eni-a|egress|10.0.1.10|443|tcp|||STRONG|1|1|2|10:30:01Z|10:31:01Z"]),
    (
        "stale_connections",
        "",
        &["eni-a|198.51.100.7|10.0.1.10|443|tcp|OUT_OF_STATE|WEAK|1|1|10:40:00Z|10:41:00Z"],
    ),
    (
        "undetermined_rejects",
        "limit=2",
        &[
            "eni-b|ingress|22|tcp|CONFIG_MISSING|NACL, SECURITY_GROUP|2|2|3",
            "eni-a|ingress|0|gre|CONFIG_MISSING|NACL, SECURITY_GROUP|1|1|4",
        ],
    ),
    ("config_mismatches", "", &["eni-b|||CONFIG_CHANGED_IN_WINDOW|WEAK|1|11:20:10Z|11:21:10Z"]),
    (
        "elb_requests_over_time",
        "",
        &["10:00:00Z|app/shop/1|4|0|2|300|3010", "10:05:00Z|app/shop/1|4|3|1|130|10"],
    ),
    ("elb_top_clients", "limit=2", &["203.0.113.9|3|3|150|10|1", "192.0.2.66|2|2|60|10|1"]),
    (
        "elb_errors",
        "limit=3",
        &[
            "app/shop/1|404|404||2|1|10:06:00Z|10:06:01Z",
            "app/shop/1|400|||1|1|10:07:00Z|10:07:00Z",
            "app/shop/1|500|500||1|1|10:02:00Z|10:02:00Z",
        ],
    ),
    ("elb_5xx_by_target", "", &["10.0.2.20|8080|2|1|1|100.0", "||2|0|1|50.0"]),
    (
        "elb_slow",
        "",
        &[
            "10:01:00Z|app/shop/1|198.51.100.7|10.0.1.10|GET|https://shop.example.com:443/cart|200|3.0|0.5|2.5|0.0",
        ],
    ),
    (
        "elb_tls",
        "",
        &[
            "app/shop/1|TLSv1.2|ECDHE-RSA-AES128-GCM-SHA256|2|1|10:01:00Z",
            "app/shop/1|TLSv1.3|TLS-AES-128|3|1|10:07:30Z",
        ],
    ),
    (
        "elb_suspicious_clients",
        "",
        &["192.0.2.66|2|2|2|0|2|scanner|10:06:00Z|10:06:01Z", "192.0.2.67|1|1|0|1|1||10:07:00Z|10:07:00Z"],
    ),
    (
        "elb_backend_health",
        "",
        &[
            "tg-1|10.0.1.10:8080|2|1|50.0|RequestTimedOut|0.02|10:01:00Z",
            "tg-1|10.0.2.20:8080|1|0|0.0||0.02|",
        ],
    ),
    (
        "nlb_tls_failures",
        "",
        &["net/n/1|l1|203.0.113.9|||2|09:01:00Z|09:02:00Z", "net/n/1|l1|192.0.2.1|48||1|09:03:00Z|09:03:00Z"],
    ),
    (
        "coverage",
        "",
        &[
            "2026-01-15|123456789012|eni-a|12|1|0|10:00:00Z|11:11:00Z",
            "2026-01-15|123456789012|eni-b|6|0|2|10:00:00Z|12:11:00Z",
            "2026-01-15|123456789012|eni-n|2|0|0|10:07:00Z|10:08:00Z",
            "2026-01-16|123456789012|eni-a|2|0|0|2026-01-16T10:00:00Z|2026-01-16T10:01:00Z",
        ],
    ),
    (
        "rule_hits",
        "object=sg-web",
        &[
            "security_group|sg-web|ingress|allow|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|2|2|1200|2|2|0|0|10:00:00Z|10:21:00Z",
            "security_group|sg-web|ingress|allow|group sg-web inbound rule allow tcp 22 from 10.0.0.0/8|0|0|0|0|0|0|0||",
        ],
    ),
    (
        // The second visitor alone; what follows in the list allows him too.
        "rule_hits",
        "object=acl-1 from=2026-01-15T10:10:00Z to=2026-01-15T10:30:00Z limit=1",
        &[
            "network_acl|acl-1|ingress|allow|nacl acl-1 inbound rule 100 allow all traffic from 0.0.0.0/0|1|1|700|1|0|1|0|10:20:00Z|10:21:00Z",
        ],
    ),
    (
        "unused_rules",
        "",
        &[
            "unused|security_group|sg-none|ingress|group sg-none inbound rule allow tcp 80 from 0.0.0.0/0|no interface carries the group|0|0||10:00:00Z|10:59:00Z",
            "unused|security_group|sg-web|ingress|group sg-web inbound rule allow tcp 22 from 10.0.0.0/8||1|1|100.0|10:00:00Z|10:59:00Z",
            // In one of six times ten minutes.
            "not enough evidence|security_group|sg-db|egress|group sg-db outbound rule allow tcp 443 to 0.0.0.0/0|its interfaces were logged in 16.7 % of the window|1|1|16.7|10:00:00Z|10:59:00Z",
            // The mean of its two interfaces.
            "not enough evidence|network_acl|acl-1|ingress|nacl acl-1 inbound rule 110 allow tcp 443 from 0.0.0.0/0|its interfaces were logged in 58.3 % of the window|2|2|58.3|10:00:00Z|10:59:00Z",
        ],
    ),
    (
        "unused_rules",
        "min_coverage=0.1 limit=1",
        &[
            "unused|security_group|sg-db|egress|group sg-db outbound rule allow tcp 443 to 0.0.0.0/0||1|1|16.7|10:00:00Z|10:59:00Z",
        ],
    ),
    (
        "overwide_rules",
        "",
        &[
            "sg-db|ingress|group sg-db inbound rule allow tcp 1000-9999 from 10.0.0.0/8|9000|1|10.0.0.0/8|1|1|3000|few of its ports and few of its addresses",
            "sg-web|ingress|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|1|1|0.0.0.0/0|2|2|1200|few of its addresses",
        ],
    ),
    (
        "overwide_rules",
        "few=1 factor=10000",
        &[
            "sg-db|ingress|group sg-db inbound rule allow tcp 1000-9999 from 10.0.0.0/8|9000|1|10.0.0.0/8|1|1|3000|few of its addresses",
        ],
    ),
    (
        "world_open_and_contacted",
        "",
        &["sg-web|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|1|2|2|1200|2|10:00:00Z|10:21:00Z"],
    ),
    ("skipdata_by_hour", "", &["11:00:00Z|1|1", "12:00:00Z|1|1"]),
    ("duplicate_flow_logs", "", &["eni-a|1|1|700"]),
    ("quarantine_summary", "", &["flow|too few fields|2|2|a.log|2 x", "alb|no number|1|1|a.log|z"]),
];

#[tokio::test]
async fn every_query_answers_as_worked_out_by_hand() {
    let ctx = session();
    let mut wrong = Vec::new();
    for (name, params, rows) in ANSWERS {
        let found = run(&ctx, name, params).await;
        if found != *rows {
            wrong.push(format!("{name} {params}\n  found    {found:#?}\n  expected {rows:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (name, _) in BUILTIN {
        assert!(ANSWERS.iter().any(|(tested, ..)| tested == name), "{name} has no answer");
    }
}

#[tokio::test]
async fn every_query_answers_over_empty_tables() {
    let ctx = session();
    for table in [
        "flow_logs",
        "reject_attribution",
        "rule_hits",
        "alb_logs",
        "alb_health_check_logs",
        "nlb_logs",
        "quarantine",
    ] {
        let provider = ctx.table_provider(table).await.unwrap();
        ctx.deregister_table(table).unwrap();
        let empty = MemTable::try_new(provider.schema(), vec![vec![]]).unwrap();
        ctx.register_table(table, Arc::new(empty)).unwrap();
    }
    for (name, params, _) in ANSWERS {
        assert_eq!(run(&ctx, name, params).await, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_a_query_needs_exists() {
    let none = MemTable::try_new(table_schema(LogKind::Flow), vec![vec![]]).unwrap();
    let attributed = RejectAttribution::new(Arc::new(none), None);
    let hits = futures::executor::block_on(rule_hits().open("rule_hits")).unwrap().unwrap();
    for query in library(None).unwrap().iter() {
        assert!(!query.needs.is_empty(), "{}", query.name);
        for need in &query.needs {
            assert!(query.sql.contains(&need.table), "{}", query.name);
            let schema = match (LogKind::from_table(&need.table), need.table.as_str()) {
                (Some(kind), _) => table_schema(kind),
                (None, "reject_attribution") => attributed.schema(),
                (None, "rule_hits") => hits.schema(),
                (None, table) => {
                    assert_eq!(table, "quarantine");
                    continue;
                }
            };
            for column in &need.columns {
                assert!(schema.column_with_name(column).is_some(), "{}: {column}", query.name);
                assert!(query.sql.contains(column.as_str()), "{}: {column}", query.name);
            }
        }
    }
}

const SMALL: &str = "-- title: T\n-- purpose: One\n--   two.\n-- needs: flow_logs(srcaddr)\n\
                     -- param: limit int = 20 \"how many\"\n-- param: who address \"whom\"\n\nselect $limit, $who;\n";

#[test]
fn heads_are_read() {
    let query = Query::parse("small", SMALL, None).unwrap();
    assert_eq!((query.title.as_str(), query.purpose.as_str()), ("T", "One two."));
    assert_eq!(query.needs, [Need { table: "flow_logs".into(), columns: vec!["srcaddr".into()] }]);
    assert_eq!(query.params[0].default, ParamDefault::Value("20".into()));
    assert_eq!(query.params[1].default, ParamDefault::Required);
    assert_eq!(query.sql, "select $limit, $who");
}

#[test]
fn heads_that_are_wrong_say_where_and_why() {
    for (text, said) in [
        ("select 1", "x.sql:1: no title; add a line `-- title: ...` at the top"),
        ("-- title: T\nselect 1", "x.sql:1: no purpose; add a line `-- purpose: ...` at the top"),
        ("-- titel: T\nselect 1", "x.sql:1: unknown entry \"titel\"; did you mean \"title\"?"),
        (
            "-- title: T\n-- hello\nselect 1",
            "x.sql:2: expected `-- key: text` with one of title, purpose, needs, param, origin",
        ),
        ("-- title: T\n-- title: U\n-- purpose: P\nselect 1", "x.sql:2: title is there twice"),
        ("-- title: T\n-- purpose: P\n", "x.sql:3: no statement below the head"),
        (
            "-- title: T\n-- purpose: P\nselect $n",
            "x.sql:3: $n is not declared; add a line `-- param: n TYPE = DEFAULT \"meaning\"`",
        ),
        (
            "-- title: T\n-- purpose: P\n-- param: n int = 1\nselect '$n' -- $n",
            "x.sql:4: parameter n is declared and not used",
        ),
        (
            "-- title: T\n-- purpose: P\n-- param: n int = many\nselect $n",
            "x.sql:3: the default \"many\" of parameter n is not a whole number",
        ),
        (
            "-- title: T\n-- purpose: P\n-- needs: flow_logs\nselect 1",
            "x.sql:3: \"flow_logs\" is no need; write `-- needs: flow_logs(srcaddr, bytes)`",
        ),
    ] {
        assert_eq!(Query::parse("x", text, None).unwrap_err().to_string(), said);
    }
}

#[test]
fn parameters_that_are_wrong_say_so() {
    let query = Query::parse("small", SMALL, None).unwrap();
    let bind = |given: &[(&str, &str)]| {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        query.bind(&given).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(bind(&[("who", "10.0.0.1")]), Ok(()));
    assert_eq!(bind(&[("who", "10.0.0.1"), ("from", "2026-01-15"), ("limit", "5")]), Ok(()));
    let said = |given: &[(&str, &str)]| bind(given).unwrap_err();
    assert_eq!(said(&[("limt", "5")]), "small takes no parameter \"limt\"; did you mean limit?");
    assert_eq!(said(&[("xyz", "5")]), "small takes no parameter \"xyz\"; it takes limit, who, from, to");
    assert_eq!(said(&[("limit", "ten")]), "parameter limit of small must be a whole number, not \"ten\"");
    assert_eq!(
        said(&[("who", "10.0.0.300")]),
        "parameter who of small must be an address such as 10.0.0.1 or 2001:db8::1, not \"10.0.0.300\""
    );
    assert_eq!(
        said(&[("who", "10.0.0.1"), ("to", "noon")]),
        "parameter to of small must be a time such as 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds, not \"noon\""
    );
    assert_eq!(
        said(&[]),
        "small needs the parameter who (whom): give --who with an address such as 10.0.0.1 or 2001:db8::1"
    );
}

#[test]
fn a_folder_of_queries_lies_over_the_built_in_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("top_talkers.sql"), "-- title: Mine\n-- purpose: P\nselect 1").unwrap();
    std::fs::write(dir.path().join("own.sql"), "-- title: Own\n-- purpose: P\nselect 2;\n").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not a query").unwrap();
    let library = library(Some(dir.path())).unwrap();
    assert_eq!(library.get("top_talkers").unwrap().title, "Mine");
    assert_eq!(library.get("own").unwrap().sql, "select 2");
    assert_eq!(library.iter().count(), BUILTIN.len() + 1);
    let said = library.get("top_talker").unwrap_err().to_string();
    assert_eq!(said, "no query named \"top_talker\"; did you mean top_talkers?");
    let said = library.get("zzz").unwrap_err().to_string();
    assert_eq!(said, "no query named \"zzz\"; `flowq queries list` shows them all");
    assert!(matches!(super::library(Some(&dir.path().join("none"))), Err(QueryError::Read { .. })));
}
