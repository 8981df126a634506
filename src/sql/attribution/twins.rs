//! The store's way of reading evidence, by keys, against that of raw logs, record by record: over random records, files and
//! row groups both give the same rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::{RejectAttribution, TABLE};
use crate::format::{EVENT_DATE, LogKind, table_schema};
use crate::network::{Network, Observation, Origin, Timeline};
use crate::rules::fixture::Fixture;
use crate::sql::coded::rowgroups::{RowGroup, RowGroups};
use crate::sql::records::EVIDENCE;
use crate::sql::schema::as_views;
use crate::sql::stored::{self, StoredFile, StoredTable};

/// 2026-01-15T10:00:00Z.
const TEN: i64 = 1_768_471_200;

type Row = BTreeMap<&'static str, String>;

fn one(of: &[&'static str]) -> impl Strategy<Value = Option<&'static str>> + use<> {
    prop::sample::select(of.iter().map(|text| (!text.is_empty()).then_some(*text)).collect::<Vec<_>>())
}

const ADDRESSES: [&str; 8] =
    ["10.0.1.10", "10.0.1.26", "10.0.2.20", "198.51.100.7", "198.51.100.8", "203.0.113.9", "2001:db8::7", ""];

prop_compose! {
    /// A record; most are flows of few interfaces, addresses and ports, so that there is evidence.
    fn row()(
        interface in one(&["eni-s", "eni-s", "eni-b", "eni-b", "eni-x", "eni-x", "eni-y", ""]),
        own in one(&ADDRESSES), remote in one(&ADDRESSES), egress in any::<bool>(), plain in 0..8u8,
        ports in (prop::sample::select(vec!["22", "443", "40000", "40001"]), one(&["53", "443", "40000", "70000", ""])),
        protocol in one(&["6", "6", "6", "17", "17", "1", "300", ""]),
        start in prop::option::weighted(0.95, 0..40i64), length in prop::option::weighted(0.95, 0..120i64),
        action in one(&["ACCEPT", "ACCEPT", "ACCEPT", "REJECT", "REJECT", ""]),
        status in one(&["OK", "OK", "OK", "OK", "OK", "OK", "OK", "NODATA", "SKIPDATA", ""]),
        rest in (one(&["2", "18", "16", "17", ""]), one(&["ingress", "egress", "", ""]), one(&ADDRESSES), one(&ADDRESSES)),
        place in (one(&["subnet-1", "subnet-9", "", ""]), one(&["vpc-1", "vpc-2", ""]), one(&["123456789012", "210987654321", ""])),
        reason in (one(&["BPA", "", "", "", "", ""]), one(&["2", "8", "9", ""]), one(&["a.log", "b.log"])),
    ) -> Row {
        // Three quarters have an end that is the interface's own.
        let at_interface = match interface {
            Some("eni-s") => "10.0.1.10",
            Some("eni-b") => "10.0.2.20",
            Some("eni-x") => "10.0.3.30",
            _ => "10.0.4.40",
        };
        let own = if plain < 6 { Some(at_interface) } else { own };
        let (src, dst) = if egress { (own, remote) } else { (remote, own) };
        let (src_port, dst_port) = if egress { (Some(ports.0), ports.1) } else { (ports.1, Some(ports.0)) };
        let time = |seconds: i64| {
            DateTime::from_timestamp(TEN + seconds, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let texts = [
            ("interface_id", interface), ("srcaddr", src), ("dstaddr", dst), ("srcport", src_port), ("dstport", dst_port),
            ("protocol", protocol), ("action", action), ("log_status", status), ("tcp_flags", rest.0),
            ("flow_direction", rest.1), ("pkt_srcaddr", rest.2), ("pkt_dstaddr", rest.3), ("subnet_id", place.0),
            ("vpc_id", place.1), ("account_id", place.2), ("reject_reason", reason.0), ("version", reason.1),
            ("source_file", reason.2),
        ];
        let mut row: Row = texts.into_iter().filter_map(|(name, text)| Some((name, text?.to_owned()))).collect();
        row.extend(start.map(|start| ("start", time(start * 60))));
        row.extend(length.map(|length| ("end", time(start.unwrap_or(0) * 60 + length))));
        row
    }
}

fn batch(schema: &SchemaRef, rows: &[Row], without: &[&str]) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        if matches!(field.data_type(), DataType::Map(..)) || without.contains(&field.name().as_str()) {
            return new_null_array(field.data_type(), rows.len());
        }
        let texts: StringArray = rows.iter().map(|row| row.get(field.name().as_str())).collect();
        cast(&texts, field.data_type()).unwrap()
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

fn in_memory(files: &[Vec<Row>], without: &[&str]) -> Arc<dyn TableProvider> {
    let schema = as_views(&table_schema(LogKind::Flow));
    let parts = files.iter().map(|rows| vec![batch(&schema, rows, without)]).collect();
    Arc::new(MemTable::try_new(schema, parts).unwrap())
}

/// Files without the columns that are missing; row groups of a few rows, pages of fewer, dictionaries that overflow.
fn in_files(
    folder: &Path,
    files: &[Vec<Row>],
    without: &[&str],
    group: usize,
    dictionary: usize,
) -> Arc<dyn TableProvider> {
    let all = table_schema(LogKind::Flow);
    let write = |(at, rows): (usize, &Vec<Row>)| {
        let held = all.fields().iter().filter(|field| {
            let name = field.name().as_str();
            name != EVENT_DATE && !without.contains(&name) && !matches!(field.data_type(), DataType::Map(..))
        });
        let schema = Arc::new(Schema::new(held.cloned().collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_data_page_row_count_limit(7)
            .set_write_batch_size(2)
            .set_dictionary_page_size_limit(dictionary);
        let path = folder.join(format!("part-{at}.parquet"));
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build())).unwrap();
        writer.write(&batch(&schema, rows, &[])).unwrap();
        writer.close().unwrap();
        StoredFile {
            size: std::fs::metadata(&path).unwrap().len(),
            location: object_store::path::Path::from_absolute_path(path).unwrap(),
            modified: DateTime::<Utc>::UNIX_EPOCH,
            rows: Some(rows.len() as u64),
            date: Some(20_468),
            ranges: Vec::new(),
        }
    };
    let files = files.iter().enumerate().map(write).collect();
    Arc::new(StoredTable::new(&all, ObjectStoreUrl::local_filesystem(), files, Some("start")))
}

/// Two subnets under one list, which lets port 22 pass from ten past ten on where `changes`.
fn network(changes: bool) -> Network {
    let lines = |entry: &str| {
        Fixture::new(&format!(
            "vpc vpc-1 10.0.0.0/16
            subnet subnet-1 vpc-1 10.0.1.0/24
            subnet subnet-2 vpc-1 10.0.2.0/24
            eni eni-s subnet-1 10.0.1.10 10.0.1.26 groups=sg-s
            eni eni-b subnet-2 10.0.2.20 groups=sg-s
            nacl acl-1 vpc-1 subnet-1 subnet-2
            {entry}
            acl-1 in 20 deny udp 32768-65535 198.51.100.0/25
            acl-1 in 100 allow all 0.0.0.0/0
            acl-1 out 90 deny all 203.0.113.9/32
            acl-1 out 100 allow all 0.0.0.0/0
            sg-s in tcp 443 198.51.100.0/24
            sg-s out tcp 443 0.0.0.0/0"
        ))
    };
    let denies = "acl-1 in 10 deny tcp 22 0.0.0.0/0";
    let mut network = lines(denies).network();
    if changes {
        let versions = [(-600, denies), (600, "acl-1 in 10 allow tcp 22 0.0.0.0/0")];
        let versions = versions.map(|(at, entry)| {
            Observation::new(Some(TEN + at), Origin::History, Some(lines(entry).acls["acl-1"].clone()))
        });
        network.acls.put("acl-1".into(), Timeline::new(versions.into()));
        network.finish();
    }
    network
}

/// All rows of the table, and what the ACCEPTs were found to be.
async fn attributed(
    flow_logs: Arc<dyn TableProvider>,
    network: Option<&Arc<Network>>,
    filter: &str,
) -> (Vec<String>, String) {
    let context = SessionContext::new();
    let table = RejectAttribution::new(flow_logs, network.cloned());
    let table = Arc::new(table.detailed());
    context.register_table(TABLE, Arc::clone(&table) as Arc<dyn TableProvider>).unwrap();
    let query = format!("select * exclude (extra, {EVENT_DATE}) from {TABLE} {filter}");
    let batches = context.sql(&query).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = (batch.columns().iter())
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(values.join("|"));
        }
    }
    lines.sort_unstable();
    (lines, format!("{:?} {:?}", table.consistency(), table.skipped()))
}

/// Columns of which a format may lack any.
const OPTIONAL: [&str; 13] = [
    "tcp_flags",
    "flow_direction",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "subnet_id",
    "vpc_id",
    "account_id",
    "reject_reason",
    "log_status",
    "version",
    "end",
    "protocol",
    "srcport",
];

#[test]
fn the_twins_files_are_read_by_keys() {
    let folder = tempfile::tempdir().unwrap();
    let line = |action: &str| -> Row {
        let texts = [
            ("interface_id", "eni-s"),
            ("srcaddr", "198.51.100.7"),
            ("dstaddr", "10.0.1.10"),
            ("action", action),
        ];
        texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect()
    };
    let table = in_files(folder.path(), &[vec![line("ACCEPT"), line("REJECT")]], &["end"], 80, 1 << 20);
    let groups = RowGroups::new(&stored::coded(table.as_ref()).unwrap(), EVIDENCE).unwrap();
    assert!(matches!(groups.next(&mut Vec::new()).unwrap(), Some(RowGroup::Keyed(_))));
    assert!(groups.next(&mut Vec::new()).unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(200), ..Default::default() })]
    #[test]
    fn a_store_is_attributed_as_its_logs_are(
        files in prop::collection::vec(prop::collection::vec(row(), 1..60), 1..4),
        missing in prop::collection::vec(prop::bool::weighted(0.35), OPTIONAL.len()),
        group in 4usize..80, dictionary in prop_oneof![Just(40usize), Just(1 << 20)],
        configured in 0..3u8, filter in prop::sample::select(vec!["", "", "where dstport = 22"]),
    ) {
        let without: Vec<&str> =
            OPTIONAL.iter().zip(missing).filter(|(_, missing)| *missing).map(|(name, _)| *name).collect();
        let mut files = files;
        if without.contains(&"reject_reason") {
            // No format of version 8 lacks it: it is the only field of that version (log-formats 1.1).
            let of_version_8 = |row: &&mut Row| row.get("version").is_some_and(|version| version == "8");
            files.iter_mut().flatten().filter(of_version_8).for_each(|row| drop(row.remove("version")));
        }
        let network = (configured > 0).then(|| Arc::new(network(configured == 2)));
        let folder = tempfile::tempdir().unwrap();
        let raw = in_memory(&files, &without);
        let store = in_files(folder.path(), &files, &without, group, dictionary);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (raw, store) = runtime.block_on(async {
            (attributed(raw, network.as_ref(), filter).await, attributed(store, network.as_ref(), filter).await)
        });
        prop_assert_eq!(&store.0, &raw.0);
        prop_assert_eq!(store.1, raw.1);
    }
}
