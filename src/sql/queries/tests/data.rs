//! The small tables that the queries are asked over, and how they are asked.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::format::{LogKind, table_schema};
use crate::sql::attribution::{NetworkSource, RejectAttribution};
use crate::sql::catalog::TableSource;
use crate::sql::functions::{Enrichment, register};
use crate::sql::queries::*;
use crate::sql::usage::UsageTables;

/// A row: columns and texts. Columns that are not there are NULL.
pub(super) type Row = Vec<(&'static str, String)>;

pub(super) fn batch(schema: Arc<Schema>, rows: &[Row]) -> RecordBatch {
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
pub(super) fn row(text: &'static str) -> Row {
    text.split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name, value.replace('_', " "))
        })
        .collect()
}

pub(super) fn plus(text: &str, seconds: i64) -> String {
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").unwrap();
    (time + chrono::Duration::seconds(seconds)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A flow record of one minute: `time interface direction source>destination ports protocol packets bytes action`.
pub(super) fn flow(text: &'static str) -> Row {
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
pub(super) fn window(time: &str, interface: &str, status: &str) -> Row {
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

pub(super) fn flows() -> Vec<Row> {
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
pub(super) fn to_judge() -> Vec<Row> {
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
pub(super) const RULES: &str = "
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
pub(super) fn ruled() -> Vec<Row> {
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

pub(super) fn rule_hits() -> UsageTables {
    let schema = table_schema(LogKind::Flow);
    let logs = MemTable::try_new(schema.clone(), vec![vec![batch(schema, &ruled())]]).unwrap();
    let network = crate::rules::fixture::Fixture::new(RULES).network();
    UsageTables::new(Arc::new(Logs(Arc::new(logs))), NetworkSource::Given(Arc::new(network)))
}

pub(super) fn requests() -> Vec<Row> {
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

pub(super) fn session() -> SessionContext {
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
pub(super) async fn run(ctx: &SessionContext, name: &str, params: &str) -> Vec<String> {
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
