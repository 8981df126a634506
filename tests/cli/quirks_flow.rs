//! The irregularities of flow logs and their envelopes, by the numbers of the format specification (section 5).

use serde_json::{Value, json};

use crate::delta::Row;
use crate::dump::as_described;
use crate::samples::{assert_columns, flow_row, row};
use crate::support::{Case, HEADER, aws_key, bare, flow_lines, flow_log, gzip};

const ACCEPTED: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 49152 443 6 12 4210 1768471200 1768471258 ACCEPT OK";
const REJECTED: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 203.0.113.9 10.0.1.20 55412 3389 6 1 40 1768471203 1768471260 REJECT OK";
const NODATA: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 - - - - - - - 1768471260 1768471318 - NODATA";
const SKIPDATA: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 - - - - - - - 1768471260 1768471318 - SKIPDATA";

/// The row of a line of the default format.
fn default(line: &str) -> Row {
    flow_row(HEADER, line)
}

/// What one file gives, without any line refused.
#[track_caller]
pub fn read(table: &str, name: &str, bytes: impl AsRef<[u8]>, options: &[&str]) -> Vec<Row> {
    let case = Case::new();
    case.write(name, bytes);
    let summary = case.ingest(options).expect(0).json();
    assert_eq!(summary["total"]["quarantined"], json!(0), "{}", summary["refusals"]);
    assert_eq!(summary["total"]["files"], json!(1), "{summary:#}");
    case.rows(table)
}

fn records(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn q14_runs_of_spaces_separate_fields_once() {
    let line = REJECTED.replace("55412 3389", "55412   3389");
    assert_eq!(read("flow_logs", "a.log", format!("{HEADER}{line}\n"), &[]), [default(REJECTED)]);
}

#[test]
fn q22_nodata_and_skipdata_are_rows_of_nulls_and_no_errors() {
    let case = Case::new();
    case.write("a.log", format!("{HEADER}{}", records(&[NODATA, SKIPDATA, ACCEPTED])));
    let summary = case.ingest(&["--strict"]).expect(0).json();
    assert_eq!(summary["total"]["nodata"], json!(1));
    assert_eq!(summary["total"]["skipdata"], json!(1));
    assert_eq!(summary["total"]["quarantined"], json!(0));
    let rows = case.rows("flow_logs");
    for row in &rows[..2] {
        for name in ["srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "action"] {
            assert!(!row.contains_key(name), "{name} must be null, never zero: {row:?}");
        }
        assert_columns(row, json!({"start": "2026-01-15T10:01:00Z", "end": "2026-01-15T10:01:58Z"}));
    }
    assert_eq!(rows[2], default(ACCEPTED));
}

#[test]
fn q23_alphabetical_fields_are_bound_by_the_header() {
    let header = "account-id action az-id bytes dstaddr dstport end flow-direction instance-id interface-id log-status packets protocol region srcaddr srcport start subnet-id vpc-id";
    let line = "123456789012 - use1-az4 - - - 1768471318 - i-0123456789abcdef0 eni-0a1b2c3d4e5f60718 SKIPDATA - - us-east-1 - - 1768471260 subnet-0123456789abcdef0 vpc-0aa11bb22cc33dd44";
    let rows = read("flow_logs", "a.log", format!("{header}\n{line}\n"), &[]);
    assert_eq!(rows, [flow_row(header, line)]);
    assert_columns(
        &rows[0],
        json!({"log_status": "SKIPDATA", "az_id": "use1-az4", "bytes": null, "version": null}),
    );
}

#[test]
fn q24_unknown_field_names_are_kept_as_extra() {
    let text = "version srcaddr quantum-state dstaddr log-status colour\n12 198.51.100.17 up 10.0.1.20 OK blue\n12 - - 10.0.1.21 OK red\n";
    let rows = read("flow_logs", "a.log", text, &[]);
    assert_columns(
        &rows[0],
        json!({"version": 12, "srcaddr": "198.51.100.17", "dstaddr": "10.0.1.20", "log_status": "OK",
               "extra": {"quantum-state": "up", "colour": "blue"}}),
    );
    assert_eq!(rows[1]["extra"]["colour"], "red");
    assert_eq!(rows[1].get("srcaddr"), None);
}

#[test]
fn surplus_fields_are_kept_and_missing_ones_are_null() {
    let case = Case::new();
    case.write(
        "a.log",
        format!("{HEADER}{ACCEPTED} one two\n2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17\n"),
    );
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["total"]["short"], json!(1));
    let rows = case.rows("flow_logs");
    assert_eq!(rows[0]["extra"], json!({"field_15": "one", "field_16": "two"}));
    assert_eq!(
        rows[1],
        row(
            json!({"version": 2, "account_id": "123456789012", "interface_id": "eni-0a1b2c3d4e5f60718", "srcaddr": "198.51.100.17"})
        )
    );
}

#[test]
fn q25_formats_of_the_same_length_are_told_apart_by_their_types() {
    let (one, other) = ("srcaddr dstaddr srcport action", "action srcaddr dstaddr srcport");
    let lines = [
        "198.51.100.17 10.0.1.20 443 ACCEPT",
        "REJECT 203.0.113.9 10.0.1.21 444",
        "203.0.113.7 10.0.1.22 445 REJECT",
    ];
    for formats in [[one, other], [other, one]] {
        let options = ["--log-format", formats[0], "--log-format", formats[1]];
        let rows = read("flow_logs", "a.log", records(&lines), &options);
        assert_eq!(rows, [flow_row(one, lines[0]), flow_row(other, lines[1]), flow_row(one, lines[2])]);
    }
}

#[test]
fn q26_cloudwatch_export_prefix_is_stripped() {
    let text = format!("2026-01-15T10:00:00.000Z {ACCEPTED}\n2026-01-15T10:01:00.000Z {NODATA}\n");
    let key = "exportedlogs/4f2a6f1e-7c55-4f6e-9d8c-2b1f3a4c5d6e/eni-0a1b2c3d4e5f60718-all/000000.gz";
    assert_eq!(read("flow_logs", key, gzip(text), &[]), [default(ACCEPTED), default(NODATA)]);
}

#[test]
fn q26_export_of_a_custom_format_is_read_with_the_users_format() {
    let fields = "srcaddr dstaddr action start";
    let text = "2026-01-15T10:00:00.000Z 198.51.100.17 10.0.1.20 ACCEPT 1768471200\n";
    let rows = read("flow_logs", "000000.gz", gzip(text), &["--log-format", &as_described(fields)]);
    assert_eq!(rows, [flow_row(fields, "198.51.100.17 10.0.1.20 ACCEPT 1768471200")]);
}

#[test]
fn q27_firehose_message_objects_are_unwrapped() {
    for separator in ["", "\n", "\r\n", " "] {
        let text = [ACCEPTED, NODATA].map(|line| format!("{{\"message\":\"{line}\"}}{separator}")).concat();
        let rows = read("flow_logs", "stream-1-2026-01-15-10-00-00-uuid", text, &[]);
        assert_eq!(rows, [default(ACCEPTED), default(NODATA)], "separator {separator:?}");
    }
}

fn envelope(kind: &str, messages: &[&str]) -> String {
    let events: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(at, line)| json!({"id": format!("{at:056}"), "timestamp": 1_768_471_200_000_u64, "message": line}))
        .collect();
    json!({"messageType": kind, "owner": "123456789012", "logGroup": "vpc-flow", "logStream": "eni-0a1b2c3d4e5f60718-all",
           "subscriptionFilters": ["all"], "logEvents": events})
    .to_string()
}

#[test]
fn q28_envelopes_without_separators_are_all_read() {
    let text =
        [envelope("DATA_MESSAGE", &[ACCEPTED]), envelope("DATA_MESSAGE", &[NODATA, REJECTED])].concat();
    let wanted = [default(ACCEPTED), default(NODATA), default(REJECTED)];
    assert_eq!(read("flow_logs", "stream", &text, &[]), wanted);
    // Pretty-printed, with lines between.
    let pretty: String = text
        .replace("}{", "}\n{")
        .lines()
        .map(|line| {
            serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).unwrap()).unwrap() + "\n\n"
        })
        .collect();
    assert_eq!(read("flow_logs", "stream", pretty, &[]), wanted);
}

#[test]
fn q29_control_messages_are_discarded() {
    let control =
        envelope("CONTROL_MESSAGE", &["CWL CONTROL MESSAGE: Checking health of destination Firehose."]);
    let data = envelope("DATA_MESSAGE", &[REJECTED]);
    for text in [format!("{control}{data}"), format!("{data}{control}"), format!("{control}{control}{data}")]
    {
        assert_eq!(read("flow_logs", "stream", text, &[]), [default(REJECTED)]);
    }
    // Nothing but control messages is an object without records, which is normal.
    let case = Case::new();
    case.write("stream", control);
    case.write("a.log", flow_log(0, 2));
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["skipped"], json!([]));
    assert_eq!(summary["passed_over"], json!(1));
}

#[test]
fn filter_log_events_pages_are_read_one_after_the_other() {
    let page = |messages: &[&str]| {
        let events: Vec<Value> =
            messages.iter().map(|line| json!({"timestamp": 1, "message": line})).collect();
        json!({"events": events, "searchedLogStreams": [], "nextToken": "x"}).to_string()
    };
    let text = [page(&[]), page(&[ACCEPTED, SKIPDATA]), page(&[]), page(&[REJECTED])].join("\n");
    assert_eq!(
        read("flow_logs", "events.json", text, &[]),
        [default(ACCEPTED), default(SKIPDATA), default(REJECTED)]
    );
}

#[test]
fn q30_gzip_within_gzip_and_members_one_after_the_other() {
    let text = flow_log(0, 40);
    let lines: Vec<Row> = text.lines().skip(1).map(default).collect();
    assert_eq!(read("flow_logs", "a.gz", gzip(gzip(&text)), &[]), lines);
    assert_eq!(read("flow_logs", "a.gz", gzip(gzip(gzip(&text))), &[]), lines);
    let members: Vec<u8> =
        [HEADER.to_owned(), flow_lines(0, 25), flow_lines(25, 15)].iter().flat_map(gzip).collect();
    assert_eq!(read("flow_logs", "a.gz", &members, &[]), lines);
    // As Firehose leaves them: no suffix, one member per envelope.
    let envelopes: Vec<u8> = [envelope("DATA_MESSAGE", &[ACCEPTED]), envelope("DATA_MESSAGE", &[REJECTED])]
        .iter()
        .flat_map(gzip)
        .collect();
    assert_eq!(read("flow_logs", "stream", envelopes, &[]), [default(ACCEPTED), default(REJECTED)]);
}

/// A Parquet file as flow logs deliver them, with columns of any type.
#[test]
fn q32_q46_date_paths_with_and_without_hive_keys() {
    let name = |account: &str, region: &str, hash: &str| {
        format!("{account}_vpcflowlogs_{region}_fl-0a1b2c3d4e5f60718_20260115T1005Z_{hash}.log.gz")
    };
    let keys = [
        format!(
            "AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/{}",
            name("111122223333", "us-east-1", "aaaa0001")
        ),
        format!(
            "p/AWSLogs/111122223333/vpcflowlogs/us-west-2/2026/01/15/10/{}",
            name("111122223333", "us-west-2", "aaaa0002")
        ),
        format!(
            "AWSLogs/aws-account-id=444455556666/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=01/day=15/hour=10/{}",
            name("444455556666", "eu-west-1", "aaaa0003")
        ),
        format!(
            "AWSLogs/aws-account-id=444455556666/service=vpcflowlogs/aws-region=sa-east-1/year=2026/month=01/day=15/{}",
            name("444455556666", "sa-east-1", "aaaa0004")
        ),
    ];
    let case = Case::new();
    for (at, key) in keys.iter().enumerate() {
        case.write(key, gzip(flow_log(100 * at as u64, 3)));
    }
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["accounts"], json!(["111122223333", "444455556666"]));
    assert_eq!(summary["regions"], json!(["eu-west-1", "sa-east-1", "us-east-1", "us-west-2"]));
    assert_eq!(case.count("flow_logs"), 12);
}

#[test]
fn q33_region_codes_of_every_partition() {
    let regions = ["us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "ap-southeast-12"];
    let case = Case::new();
    for (at, region) in regions.iter().enumerate() {
        let key = format!(
            "AWSLogs/123456789012/vpcflowlogs/{region}/2026/01/15/123456789012_vpcflowlogs_{region}_fl-1234abcd_20260115T1005Z_0000000{at}.log.gz"
        );
        case.write(&key, gzip(flow_log(at as u64 * 10, 1)));
    }
    let summary = case.ingest(&[]).expect(0).json();
    let mut wanted = regions.to_vec();
    wanted.sort_unstable();
    assert_eq!(summary["regions"], json!(wanted));
    let ledger = case.table("ingested_files").unwrap().rows();
    let mut stored: Vec<&str> = ledger.iter().map(|row| row["region"].as_str().unwrap()).collect();
    stored.sort_unstable();
    assert_eq!(stored, wanted);
}

#[test]
fn q34_an_account_may_be_unknown_and_keeps_its_zeros() {
    let text = format!(
        "{HEADER}{}\n{}\n",
        ACCEPTED.replace("123456789012", "unknown"),
        ACCEPTED.replace("123456789012", "001234567890")
    );
    let rows = read("flow_logs", "a.log", text, &[]);
    assert_eq!(rows[0]["account_id"], "unknown");
    assert_eq!(rows[1]["account_id"], "001234567890");
}

#[test]
fn q35_header_lines_are_no_records_wherever_they_stand() {
    let case = Case::new();
    case.write("a.log", format!("{HEADER}{ACCEPTED}\n{HEADER}{REJECTED}\n"));
    case.write("tag.log", "interface-tag\npayments\nversion\n");
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["total"]["headers"], json!(3));
    assert_eq!(case.rows_of("flow_logs", "a.log").len(), 2);
    // A later line of one token is a value, although it could be a field's name.
    let tags = case.rows_of("flow_logs", "tag.log");
    let tags: Vec<_> = tags.iter().map(|row| row["interface_tag"].as_str().unwrap()).collect();
    assert_eq!(tags, ["payments", "version"]);
}

#[test]
fn q38_packets_may_be_missing() {
    let line = REJECTED.replace(" 6 1 40 ", " 6 - 40 ");
    let rows = read("flow_logs", "a.log", format!("{HEADER}{line}\n"), &[]);
    assert_columns(&rows[0], json!({"packets": null, "bytes": 40, "protocol": 6}));
}

#[test]
fn q39_objects_of_one_folder_may_have_different_headers() {
    let case = Case::new();
    let folder = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/15/123456789012_vpcflowlogs_us-east-1";
    case.write(
        &format!("{folder}_fl-00000001_20260115T1005Z_00000001.log.gz"),
        gzip(format!("{HEADER}{ACCEPTED}\n")),
    );
    let fields = "dstaddr srcaddr vpc-id";
    let line = "10.0.1.20 198.51.100.17 vpc-0aa11bb22cc33dd44";
    case.write(
        &format!("{folder}_fl-00000002_20260115T1005Z_00000002.log.gz"),
        gzip(format!("{fields}\n{line}\n")),
    );
    case.ingest(&[]).expect(0);
    assert_eq!(case.rows("flow_logs"), [default(ACCEPTED), flow_row(fields, line)]);
}

#[test]
fn q40_two_formats_may_alternate_in_one_stream() {
    let fields = "version vpc-id srcaddr dstaddr action log-status";
    let other = "3 vpc-0aa11bb22cc33dd44 198.51.100.17 10.0.1.20 ACCEPT OK";
    let text = records(&[ACCEPTED, other, NODATA, other, REJECTED]);
    let wanted = [
        default(ACCEPTED),
        flow_row(fields, other),
        default(NODATA),
        flow_row(fields, other),
        default(REJECTED),
    ];
    assert_eq!(read("flow_logs", "stream", text, &["--log-format", &as_described(fields)]), wanted);
}

#[test]
fn q41_empty_objects_headers_blank_lines_and_cut_lines() {
    let case = Case::new();
    case.write("empty.log", "");
    case.write("empty.log.gz", gzip(""));
    case.write("header.log", HEADER);
    case.write("blank.log", format!("{HEADER}\n{ACCEPTED}\n\n  \n{REJECTED}"));
    case.write("crlf.log", format!("{HEADER}{NODATA}\n").replace('\n', "\r\n"));
    case.write("cut.log", format!("{HEADER}{SKIPDATA}\n{}", &ACCEPTED[..60]));
    let whole = gzip(flow_log(0, 5000));
    case.write("torn.log.gz", &whole[..whole.len() / 2]);
    case.write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["adds_up"], json!(true));
    assert_eq!(case.rows_of("flow_logs", "header.log").len(), 0);
    let of = |name: &str| case.rows_of("flow_logs", name).into_iter().map(bare).collect::<Vec<_>>();
    assert_eq!(
        of("blank.log"),
        [default(ACCEPTED), default(REJECTED)],
        "the last line has no end and all fields"
    );
    assert_eq!(of("crlf.log"), [default(NODATA)]);
    assert_eq!(of("cut.log"), [default(SKIPDATA)]);
    // What could be inflated of the torn one is whole lines of what was written, from the first on.
    let torn = of("torn.log.gz");
    let wanted: Vec<Row> = flow_lines(0, 5000).lines().take(torn.len()).map(default).collect();
    assert!(torn.len() > 1000 && torn.len() < 4000, "{}", torn.len());
    assert_eq!(torn, wanted);
    let quarantine = case.table("quarantine").unwrap().rows();
    let lines: Vec<(String, i64, &str)> = quarantine
        .iter()
        .map(|row| {
            let name = row["source_file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (name, row["line"].as_i64().unwrap(), row["text"].as_str().unwrap())
        })
        .collect();
    assert!(lines.contains(&("cut.log".to_owned(), 3, &ACCEPTED[..60])), "{lines:?}");
    let byte = quarantine.iter().find(|row| row["line"] == json!(3)).unwrap()["byte"].as_u64().unwrap();
    assert_eq!(byte as usize, HEADER.len() + SKIPDATA.len() + 1);
    assert!(
        lines.iter().any(|(name, line, _)| name == "torn.log.gz" && *line == torn.len() as i64 + 2),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
    let files: Vec<&str> =
        summary["skipped"].as_array().unwrap().iter().map(|note| note["file"].as_str().unwrap()).collect();
    assert!(files.len() == 1 && files[0].ends_with("picture.png"), "{files:?}");
    assert_eq!(summary["passed_over"], json!(2));
}

#[test]
fn q43_a_secondary_address_stands_in_pkt_dstaddr() {
    let header = "dstaddr pkt-dstaddr flow-direction";
    let rows = read("flow_logs", "a.log", format!("{header}\n10.0.1.20 10.0.1.99 ingress\n"), &[]);
    assert_eq!(
        rows,
        [row(json!({"dstaddr": "10.0.1.20", "pkt_dstaddr": "10.0.1.99", "flow_direction": "ingress"}))]
    );
}

#[test]
fn q44_a_bpa_rejection_has_no_bytes() {
    let header = "srcaddr packets bytes action log-status reject-reason";
    let rows = read("flow_logs", "a.log", format!("{header}\n203.0.113.77 3 - REJECT OK BPA\n"), &[]);
    assert_eq!(
        rows,
        [row(
            json!({"srcaddr": "203.0.113.77", "packets": 3, "action": "REJECT", "log_status": "OK", "reject_reason": "BPA"})
        )]
    );
}

#[test]
fn q45_tag_values_are_percent_decoded_and_kept_where_they_do_not_decode() {
    let header = "instance-tag interface-tag asg-tag asg-tag-2 vpc-id";
    let line = "payments%2Fedge%20%231 caf%C3%A9 %FF%2 - vpc-%41";
    let rows = read("flow_logs", "a.log", format!("{header}\n{line}\n"), &[]);
    assert_eq!(
        rows,
        [row(
            json!({"instance_tag": "payments/edge #1", "interface_tag": "café", "asg_tag": "%FF%2", "vpc_id": "vpc-%41"})
        )]
    );
}

#[test]
fn q48_the_same_traffic_of_two_subscriptions_is_kept_with_its_source() {
    let case = Case::new();
    let name = |id: &str| format!("123456789012_vpcflowlogs_us-east-1_{id}_20260115T1005Z_aaaabbbb.log.gz");
    case.write(&name("fl-00000001"), gzip(format!("{HEADER}{ACCEPTED}\n")));
    case.write(&name("fl-00000002"), gzip(format!("{HEADER}{ACCEPTED}\n{NODATA}\n")));
    case.ingest(&[]).expect(0);
    let sources = case.table("flow_logs").unwrap().rows_by_source();
    assert_eq!(sources.values().copied().collect::<Vec<_>>(), [1, 2]);
    let ids: Vec<Value> =
        case.table("ingested_files").unwrap().rows().iter().map(|row| row["flow_log_id"].clone()).collect();
    assert!(ids.contains(&json!("fl-00000001")) && ids.contains(&json!("fl-00000002")), "{ids:?}");
}

#[test]
fn q47_q50_times_come_from_the_records_and_never_from_the_key() {
    let case = Case::new();
    let key =
        aws_key("aaaa0001").replace("2026/01/15", "2019/03/04").replace("20260115T1005Z", "20190304T0000Z");
    case.write(&key, gzip(format!("{HEADER}{ACCEPTED}\n")));
    case.ingest(&[]).expect(0);
    let rows = case.table("flow_logs").unwrap().rows();
    assert_columns(&rows[0], json!({"start": "2026-01-15T10:00:00Z", "event_date": "2026-01-15"}));
}

#[test]
fn addresses_and_numbers_that_are_none_are_refused_with_their_reason() {
    let case = Case::new();
    let bad = [
        ("srcport", ACCEPTED.replace("49152", "49x52")),
        ("srcaddr", ACCEPTED.replace("198.51.100.17", "198.51.100.256")),
        ("dstaddr", ACCEPTED.replace("10.0.1.20", "2001:db8::zz")),
        ("bytes", ACCEPTED.replace(" 4210 ", " 99999999999999999999 ")),
        ("start", ACCEPTED.replace("1768471200", "yesterday")),
    ];
    let text: String = bad.iter().map(|(_, line)| format!("{line}\n{REJECTED}\n")).collect();
    case.write("a.log", format!("{HEADER}{text}"));
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["total"]["quarantined"], json!(5));
    assert_eq!(case.count("flow_logs"), 5);
    let mut quarantine = case.table("quarantine").unwrap().rows();
    quarantine.sort_by_key(|row| row["line"].as_i64());
    for (at, ((column, line), row)) in bad.iter().zip(&quarantine).enumerate() {
        assert_eq!(row["line"], json!(2 + 2 * at));
        assert_eq!(row["text"], json!(line));
        assert!(row["reason"].as_str().unwrap().starts_with(&format!("{column}: ")), "{row:?}");
    }
}
