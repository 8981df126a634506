//! AWS's Parquet flow logs, and files of their kind that other tools have written.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, ListArray, MapBuilder, RecordBatch, StringArray,
    StringBuilder, StructArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::quirks_flow::read;
use crate::samples::row;
use crate::support::{Case, flowq, gzip};

fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn q31_parquet_integers_of_any_width_and_dashes_for_missing_text() {
    let text = |values: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let bytes = parquet_file(vec![
        ("version", Arc::new(Int32Array::from(vec![5, 5, 5]))),
        ("srcaddr", text(["198.51.100.17", "-", "10.0.1.20"])),
        ("pkt-dstaddr", text(["10.0.1.20", "-", "203.0.113.9"])),
        ("protocol", Arc::new(Int64Array::from(vec![6, 0, 6]))),
        ("bytes", Arc::new(Int32Array::from(vec![4210, 0, 40]))),
        ("start", Arc::new(Int64Array::from(vec![1_768_471_200, 1_768_471_260, 1_768_471_203]))),
        ("log_status", text(["OK", "NODATA", "OK"])),
        ("traffic_path", Arc::new(Int32Array::from(vec![0, 0, 8]))),
    ]);
    let wanted = [
        row(
            json!({"version": 5, "srcaddr": "198.51.100.17", "pkt_dstaddr": "10.0.1.20", "protocol": 6, "bytes": 4210,
                   "start": "2026-01-15T10:00:00Z", "log_status": "OK"}),
        ),
        row(json!({"version": 5, "start": "2026-01-15T10:01:00Z", "log_status": "NODATA"})),
        row(
            json!({"version": 5, "srcaddr": "10.0.1.20", "pkt_dstaddr": "203.0.113.9", "protocol": 6, "bytes": 40,
                   "start": "2026-01-15T10:00:03Z", "log_status": "OK", "traffic_path": 8}),
        ),
    ];
    assert_eq!(read("flow_logs", "a.log.parquet", &bytes, &[]), wanted);
    // Recognised by content: without the suffix, and within gzip.
    assert_eq!(read("flow_logs", "a", &bytes, &[]), wanted);
    assert_eq!(read("flow_logs", "a.log.parquet.gz", gzip(&bytes), &[]), wanted);
}

/// The rows of a query over a raw file.
fn raw(path: &std::path::Path, sql: &str) -> Value {
    flowq(["sql", "--from", path.to_str().unwrap(), sql, "--format", "json"]).expect(0).json()
}

/// The same of the store.
fn stored(case: &Case, sql: &str) -> Value {
    flowq(["sql", "--store", case.store().to_str().unwrap(), sql, "--format", "json"]).expect(0).json()
}

fn column(name: &str, values: impl arrow::array::Array + 'static) -> (&str, ArrayRef) {
    (name, Arc::new(values))
}

#[test]
fn numbers_beyond_64_bits_and_bytes_that_are_no_text_are_refused_and_not_null() {
    let bad_address: &[u8] = b"10.0.0.\xff";
    let case = Case::new();
    let path = case.write(
        "a.log.parquet",
        parquet_file(vec![
            column("version", Int32Array::from(vec![2, 2, 2, 2])),
            column(
                "srcaddr",
                BinaryArray::from(vec![&b"10.0.0.1"[..], bad_address, &b"10.0.0.3"[..], &b"10.0.0.4"[..]]),
            ),
            column("srcport", UInt64Array::from(vec![Some(443), Some(80), Some(1 << 40), None])),
            column("bytes", UInt64Array::from(vec![u64::MAX, 40, 40, i64::MAX as u64])),
            column("start", UInt64Array::from(vec![1_768_471_200; 4])),
            // What a line of text may hold in a column of text, a column of bytes may: it is escaped.
            column("action", BinaryArray::from(vec![&b"OK"[..], b"OK", b"OK", b"A\xfe"])),
        ]),
    );
    case.ingest(&[]).expect(0);
    let rows = "select source_line, srcaddr, srcport, bytes, action from flow_logs order by source_line";
    let refused = "select line, reason from quarantine order by line";
    let wanted = (
        json!([{"source_line": 4, "srcaddr": "10.0.0.4", "srcport": null, "bytes": i64::MAX, "action": "A\\xFE"}]),
        json!([
            {"line": 1, "reason": "bytes: expected an integer, found \"18446744073709551615\""},
            {"line": 2, "reason": "srcaddr: expected an IP address, found \"10.0.0.\\xFF\""},
            {"line": 3, "reason": "srcport: expected a 32-bit integer, found \"1099511627776\""},
        ]),
    );
    assert_eq!((stored(&case, rows), stored(&case, refused)), wanted);
    assert_eq!((raw(&path, rows), raw(&path, refused)), wanted);
}

#[test]
fn columns_of_unknown_names_are_kept_whatever_their_type() {
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int64, true)), column("", Int64Array::from(vec![1, 2])).1),
        (Arc::new(Field::new("b", DataType::Utf8, true)), column("", StringArray::from(vec!["x", "y"])).1),
    ]);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("k");
    maps.values().append_value("v");
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let lists = vec![Some(vec![Some(1), Some(2)]), None];
    let case = Case::new();
    let path = case.write(
        "a.log.parquet",
        parquet_file(vec![
            column("version", Int32Array::from(vec![2, 2])),
            column("srcaddr", StringArray::from(vec!["10.0.0.1", "10.0.0.2"])),
            column("bytes", Int64Array::from(vec![40, 80])),
            column("start", Int64Array::from(vec![1_768_471_200; 2])),
            column("new_struct", structs),
            column("new_map", maps.finish()),
            column("new_list", ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ]),
    );
    case.ingest(&[]).expect(0);
    let sql = "select srcaddr, extra['new-struct'] s, extra['new-map'] m, extra['new-list'] l from flow_logs \
               order by source_line";
    let wanted = json!([
        {"srcaddr": "10.0.0.1", "s": r#"{"a":1,"b":"x"}"#, "m": r#"{"k":"v"}"#, "l": "[1,2]"},
        {"srcaddr": "10.0.0.2", "s": r#"{"a":2,"b":"y"}"#, "m": null, "l": null},
    ]);
    assert_eq!(stored(&case, sql), wanted);
    assert_eq!(raw(&path, sql), wanted);
}

#[test]
fn a_known_column_of_a_nested_type_refuses_its_rows_and_not_the_file() {
    let fields = [(
        Arc::new(Field::new("a", DataType::Utf8, true)),
        column("", StringArray::from(vec![Some("10.0.0.1"), None])).1,
    )];
    let nulls = arrow::buffer::NullBuffer::from(vec![true, false]);
    let case = Case::new();
    case.write(
        "a.log.parquet",
        parquet_file(vec![
            column("version", Int32Array::from(vec![2, 2])),
            column(
                "srcaddr",
                StructArray::new(
                    fields.iter().map(|(field, _)| field.clone()).collect(),
                    fields.iter().map(|(_, values)| values.clone()).collect(),
                    Some(nulls),
                ),
            ),
            column("bytes", Int64Array::from(vec![40, 80])),
            column("start", Int64Array::from(vec![1_768_471_200; 2])),
        ]),
    );
    case.ingest(&[]).expect(0);
    assert_eq!(
        stored(&case, "select source_line, srcaddr from flow_logs"),
        json!([{"source_line": 2, "srcaddr": null}])
    );
    assert_eq!(
        stored(&case, "select line, reason from quarantine"),
        json!([{"line": 1, "reason": r#"srcaddr: expected an IP address, found "{"a":"10.0.0.1"}""#}])
    );
}

#[test]
fn records_without_a_flow_keep_what_is_no_part_of_one() {
    let text = |values: [&str; 2]| StringArray::from(values.to_vec());
    let bytes = parquet_file(vec![
        column("version", Int32Array::from(vec![5, 5])),
        column("srcaddr", text(["10.0.1.20", "10.0.1.20"])),
        column("tcp_flags", Int32Array::from(vec![2, 2])),
        column("start", Int64Array::from(vec![1_768_471_200, 1_768_471_260])),
        column("log_status", text(["OK", "SKIPDATA"])),
        column("pkt_src_aws_service", text(["AMAZON", "AMAZON"])),
        column("reject_reason", text(["-", "BPA"])),
    ]);
    let common = json!({"version": 5, "pkt_src_aws_service": "AMAZON"});
    let with = |more: Value| {
        let mut all = common.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        row(Value::Object(all))
    };
    let wanted = [
        with(
            json!({"srcaddr": "10.0.1.20", "tcp_flags": 2, "start": "2026-01-15T10:00:00Z", "log_status": "OK"}),
        ),
        with(json!({"start": "2026-01-15T10:01:00Z", "log_status": "SKIPDATA", "reject_reason": "BPA"})),
    ];
    assert_eq!(read("flow_logs", "a.log.parquet", &bytes, &[]), wanted);
}
