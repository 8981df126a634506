//! Copies whose carrier changes, files read by another field list, and counts of files that hold more than one thing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::once::{assert_records, later};
use crate::support::{Case, HEADER, aws_key, aws_name, flow_lines, flow_log, flowq, gzip};

/// Overwrites a file, with another time of modification.
fn change(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
    later(path);
}

/// The rows of each file of the folder, by name.
#[track_caller]
fn assert_rows(case: &Case, expected: &[(&str, usize)]) {
    for (name, rows) in expected {
        assert_eq!(case.rows_of("flow_logs", name).len(), *rows, "{name}");
    }
    let all: usize = expected.iter().map(|(_, rows)| rows).sum();
    assert_eq!(case.count("flow_logs"), all as u64);
}

#[track_caller]
fn assert_nothing_to_do(case: &Case, files: u64) {
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(
        (&summary["unchanged"], &summary["total"]["files"]),
        (&json!(files), &json!(0)),
        "{summary:#}"
    );
}

/// Ingests the folder. With one thread the first of several copies, by name, carries the rows.
#[track_caller]
fn ingest(case: &Case) -> Value {
    let summary = case.ingest(&["--threads", "1"]).expect(0).json();
    assert_eq!(summary["adds_up"], json!(true), "{summary:#}");
    summary
}

#[test]
fn the_rows_of_a_copy_stay_when_its_original_changes() {
    // Whichever of the two carries the rows is rotated; the other one is left as it is.
    for rotated in ["a.log", "b.log"] {
        let case = Case::new();
        let path = case.write("a.log", flow_log(0, 6));
        case.write("b.log", flow_log(0, 6));
        assert_eq!(ingest(&case)["duplicates"].as_array().unwrap().len(), 1);
        change(&path.with_file_name(rotated), flow_log(100, 5));
        let summary = ingest(&case);
        let other = if rotated == "a.log" { "b.log" } else { "a.log" };
        assert_rows(&case, &[(rotated, 5), (other, 6)]);
        if rotated == "a.log" {
            let said = summary["replaced"].to_string();
            assert!(said.contains("no longer holds the same content"), "{said}");
            assert_eq!((&summary["found"], &summary["unchanged"]), (&json!(2), &json!(0)));
        }
        assert_nothing_to_do(&case, 2);
    }
}

#[test]
fn the_rows_of_a_copy_stay_when_its_original_grows() {
    let case = Case::new();
    let path = case.write("a.log", flow_log(0, 6));
    case.write("b.log", flow_log(0, 6));
    case.write("c.log", flow_log(0, 6));
    ingest(&case);
    change(&path, flow_log(0, 9));
    ingest(&case);
    // One of the two copies carries the rows of both now.
    assert_rows(&case, &[("a.log", 9), ("b.log", 6), ("c.log", 0)]);
    assert_nothing_to_do(&case, 3);
    change(&path.with_file_name("b.log"), flow_log(50, 2));
    ingest(&case);
    assert_rows(&case, &[("a.log", 9), ("b.log", 2), ("c.log", 6)]);
    assert_nothing_to_do(&case, 3);
}

#[test]
fn a_copy_that_is_met_again_in_the_run_that_replaces_its_original_is_stored() {
    // The copy is looked at before or after the one that changes: files are taken in the order of their names.
    for (original, copy) in [("a.log", "b.log"), ("b.log", "a.log")] {
        let case = Case::new();
        let path = case.write(original, flow_log(0, 6));
        ingest(&case);
        let copied = case.write(copy, flow_log(0, 6));
        ingest(&case);
        change(&path, flow_log(100, 5));
        later(&copied);
        ingest(&case);
        assert_rows(&case, &[(original, 5), (copy, 6)]);
        assert_nothing_to_do(&case, 2);
    }
}

#[test]
fn files_that_swap_their_contents_keep_both() {
    let case = Case::new();
    let a = case.write("a.log", flow_log(0, 6));
    let b = case.write("b.log", flow_log(100, 5));
    ingest(&case);
    change(&a, flow_log(100, 5));
    change(&b, flow_log(0, 6));
    ingest(&case);
    assert_rows(&case, &[("a.log", 5), ("b.log", 6)]);
    assert_nothing_to_do(&case, 2);
}

#[test]
fn what_a_file_gave_goes_when_it_becomes_a_copy_of_another() {
    let case = Case::new();
    let a = case.write("a.log", flow_log(0, 6));
    case.write("b.log", flow_log(100, 5));
    ingest(&case);
    change(&a, flow_log(100, 5));
    ingest(&case);
    assert_rows(&case, &[("a.log", 0), ("b.log", 5)]);
    assert_nothing_to_do(&case, 2);
}

#[test]
fn the_rows_of_a_copy_that_no_input_leads_to_stay_too() {
    let case = Case::new();
    let a = case.write("a.log", flow_log(0, 6));
    let b = case.write("b.log", flow_log(0, 6));
    ingest(&case);
    change(&a, flow_log(100, 5));
    let summary = case.ingest_paths(&[&a], &[]).expect(0).json();
    assert_eq!((&summary["found"], &summary["adds_up"]), (&json!(2), &json!(true)), "{summary:#}");
    assert_rows(&case, &[("a.log", 5), ("b.log", 6)]);
    // A copy that is gone has nothing to keep.
    change(&b, flow_log(200, 3));
    case.write("c.log", flow_log(200, 3));
    ingest(&case);
    fs::remove_file(case.input().join("c.log")).unwrap();
    change(&b, flow_log(300, 2));
    ingest(&case);
    assert_rows(&case, &[("a.log", 5), ("b.log", 2)]);
}

#[test]
fn a_truncated_download_over_the_whole_does_not_lose_the_copy_of_the_whole() {
    let case = Case::new();
    let whole = gzip(flow_log(0, 3000));
    let path = case.write(&aws_key("0badcafe"), &whole);
    case.write(&format!("copies/{}", aws_name("0badcafe")), &whole);
    ingest(&case);
    change(&path, &whole[..whole.len() / 2]);
    // The first run may still see the earlier state of the one or the other, the second knows both.
    ingest(&case);
    ingest(&case);
    assert_records(&case, 0, 3000);
    ingest(&case);
    assert_records(&case, 0, 3000);
}

#[test]
fn objects_to_which_aws_gave_different_names_are_no_copies() {
    // A format without times: quiet interfaces give the same bytes every few minutes.
    let log = "interface-id action log-status\neni-0a1b2c3d4e5f60718 - NODATA\n";
    let case = Case::new();
    case.write(&aws_key("00000001"), gzip(log));
    case.write(&aws_key("00000002"), gzip(log));
    case.write(&format!("copies/{}", aws_name("00000002")), gzip(log));
    case.write("saved.log.gz", gzip(log));
    let summary = ingest(&case);
    assert_eq!(summary["duplicates"].as_array().unwrap().len(), 2, "{summary:#}");
    assert_eq!(case.count("flow_logs"), 2);
    assert_nothing_to_do(&case, 4);
}

const CUSTOM: &str =
    "10.0.1.20 198.51.100.7 443 ACCEPT 1768471200\n10.0.1.21 198.51.100.7 22 REJECT 1768471201\n";
const RIGHT: &str = "srcaddr dstaddr dstport action start";

#[test]
fn a_file_read_by_the_wrong_log_format_is_read_again_by_the_right_one() {
    let case = Case::new();
    case.write("a.log", CUSTOM);
    case.write("headed.log", flow_log(0, 3));
    // The first names the wrong fields and refuses every line, the second gives rows of wrong columns.
    for wrong in ["srcaddr dstaddr dstport start action", "dstaddr srcaddr dstport action start"] {
        case.ingest(&["--log-format", wrong]).expect(0);
        assert_nothing_to_do(&case, 2);
    }
    let summary = case.ingest(&["--log-format", RIGHT]).expect(0).json();
    assert_eq!((&summary["total"]["rows"], &summary["unchanged"]), (&json!(2), &json!(1)), "{summary:#}");
    let said = summary["replaced"].to_string();
    assert!(said.contains("read again by this --log-format"), "{said}");
    let rows = case.rows_of("flow_logs", "a.log");
    let ports: Vec<_> = rows.iter().map(|row| (row["srcaddr"].clone(), row["dstport"].clone())).collect();
    assert_eq!(ports, [(json!("10.0.1.20"), json!(443)), (json!("10.0.1.21"), json!(22))]);
    assert_eq!((case.count("flow_logs"), case.count("quarantine")), (5, 0));
    let summary = case.ingest(&["--log-format", RIGHT]).expect(0).json();
    assert_eq!((&summary["total"]["rows"], &summary["unchanged"]), (&json!(0), &json!(2)));
}

#[test]
fn a_copy_of_a_file_read_by_the_wrong_log_format_is_read_by_the_right_one() {
    let case = Case::new();
    let a = case.write("a.log", CUSTOM);
    case.write("b.log", CUSTOM);
    case.ingest(&["--log-format", "srcaddr dstaddr dstport start action"]).expect(0);
    assert_eq!(case.count("flow_logs"), 0);
    fs::remove_file(a).unwrap();
    case.ingest(&["--log-format", RIGHT]).expect(0);
    assert_rows(&case, &[("b.log", 2)]);
    assert_eq!(case.count("quarantine"), 0);
    let summary = case.ingest(&["--log-format", RIGHT]).expect(0).json();
    assert_eq!(summary["unchanged"], json!(1), "{summary:#}");
}

const TRANSIT: &str = "version resource-type account-id tgw-id srcaddr dstaddr start end log-status\n\
6 TransitGateway 123456789012 tgw-0a1b2c3d4e5f60718 10.0.1.1 10.1.2.2 1768471200 1768471230 OK\n\
6 TransitGateway 123456789012 tgw-0a1b2c3d4e5f60718 10.0.1.1 10.1.2.3 1768471260 1768471290 NODATA\n";

#[test]
fn rows_of_both_flow_logs_in_one_file_are_counted_with_their_tables() {
    let case = Case::new();
    // A refused line in the middle part: `x` is no time.
    let bad = "6 TransitGateway 123456789012 tgw-0a1b2c3d4e5f60718 10.0.1.1 10.1.2.4 x 1768471290 OK\n";
    case.write("mixed.log", format!("{}{TRANSIT}{bad}{}", flow_log(0, 6), flow_log(6, 5)));
    let summary = ingest(&case);
    let of = |table: &str, count: &str| summary["tables"][table][count].as_u64().unwrap();
    // Two headers of VPC flow logs and one of the other count with the kind that the file begins with.
    assert_eq!((of("flow_logs", "rows"), of("flow_logs", "lines")), (11, 14));
    assert_eq!((of("tgw_flow_logs", "rows"), of("tgw_flow_logs", "nodata")), (2, 1));
    assert_eq!((of("tgw_flow_logs", "quarantined"), of("tgw_flow_logs", "lines")), (1, 3));
    assert_eq!((&summary["total"]["files"], &summary["total"]["lines"]), (&json!(1), &json!(17)));
    assert_eq!(summary["tables"]["tgw_flow_logs"]["last"], json!("2026-01-15T10:01:00Z"));
    assert_eq!((case.count("flow_logs"), case.count("tgw_flow_logs")), (11, 2));
}

#[test]
fn a_file_that_breaks_off_counts_once_in_the_summary() {
    let case = Case::new();
    let event =
        |line: &str| json!({ "id": "1", "timestamp": 1_768_471_200_000u64, "message": line }).to_string();
    let line = flow_lines(0, 1);
    case.write("events.json", format!("{{\"events\":[{},{{\"message\":}}]}}", event(line.trim())));
    case.write("good.log", flow_log(10, 2));
    let run = case.ingest(&[]);
    let summary = run.expect(4).json();
    assert_eq!(summary["failed"].as_array().unwrap().len(), 1, "{summary:#}");
    assert_eq!((&summary["found"], &summary["adds_up"]), (&json!(2), &json!(true)), "{summary:#}");
    assert_eq!(summary["partly"], summary["total"]["files"].as_u64().map(|files| json!(files - 1)).unwrap());
}

#[test]
fn only_rows_count_as_rows_with_too_few_fields() {
    let case = Case::new();
    let short = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20\n";
    let short_and_bad = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 notaport\n";
    case.write("a.log", format!("{HEADER}{short}{short_and_bad}{}", flow_lines(0, 2)));
    let summary = ingest(&case);
    assert_eq!((&summary["total"]["short"], &summary["total"]["quarantined"]), (&json!(1), &json!(1)));
    let said = summary["warnings"].to_string();
    assert!(said.contains("1 row has fewer fields"), "{said}");
}

#[test]
fn a_query_over_raw_files_tells_of_short_rows_and_agrees_with_an_ingest() {
    // F6 of the format specification: fewer values than names are filled with nulls, and a warning counts them.
    let case = Case::new();
    let short = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20\n";
    let short_and_bad = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 notaport\n";
    let path = case.write("a.log", format!("{HEADER}{}{short}{short_and_bad}", flow_lines(0, 2)));
    let query = |from: &str, of: &std::path::Path, sql: &str| {
        flowq(["sql", from, of.to_str().unwrap(), sql, "--format", "json"]).expect(0)
    };
    let sql = "select source_line, srcaddr, dstport from flow_logs order by source_line";
    let refused = "select byte, reason, text from quarantine";
    let raw = query("--from", &path, sql);
    assert!(raw.err.contains("a.log:4 has fewer fields than its header"), "{}", raw.err);
    ingest(&case);
    let (stored, store) = (query("--store", &case.store(), sql), case.store());
    assert!(raw.json().as_array().is_some_and(|rows| rows.len() == 3));
    assert_eq!(raw.json(), stored.json());
    assert_eq!(query("--from", &path, refused).json(), query("--store", &store, refused).json());
}

#[test]
fn members_of_json_records_that_are_not_known_are_kept() {
    let record = json!({
        "type": "tls", "version": "2.0", "time": "2026-01-15T02:59:40", "elb": "net/n/c6c77339dd6d8ca2",
        "listener": "g3d4b5e8bb8464cd", "client_port": "203.0.113.154:51341",
        "destination_port": "10.100.100.185:443", "connection_time": 5, "tls_handshake_time": 2,
        "received_bytes": 98, "sent_bytes": 246, "a-new-member": "some value", "another": "-",
    });
    let case = Case::new();
    case.write("nlb.json", record.to_string());
    ingest(&case);
    let rows = case.rows("nlb_logs");
    let extra = rows[0]["extra"].to_string();
    assert!(extra.contains("a_new_member=some%20value") && !extra.contains("another"), "{extra}");
}

#[test]
fn tar_archives_are_named_and_skipped() {
    let mut archive = vec![0; 1024];
    archive[..5].copy_from_slice(b"a.log");
    archive[257..262].copy_from_slice(b"ustar");
    archive.extend_from_slice(flow_log(0, 3).as_bytes());
    let case = Case::new();
    case.write("x.tar.gz", gzip(archive));
    let summary = case.ingest(&[]).expect(4).json();
    assert!(summary["skipped"].to_string().contains("tar archives are not read"), "{summary:#}");
}

#[test]
fn of_two_copies_of_an_object_the_fuller_stays_whatever_their_sizes_on_disk() {
    // The whole one compressed, and one that was unpacked on its way and broke off: far larger on disk, with fewer records.
    let (whole, cut) = (gzip(flow_log(0, 1000)), flow_log(0, 300).into_bytes());
    assert!(cut.len() > whole.len());
    for order in [["a", "b"], ["b", "a"]] {
        let case = Case::new();
        let name = aws_name("0000aaaa");
        let paths = order
            .map(|folder| case.write(&format!("{folder}/{name}"), if folder == "a" { &whole } else { &cut }));
        for path in &paths {
            case.ingest_paths(&[path], &[]).expect(0);
        }
        assert_records(&case, 0, 1000);
        case.ingest(&[]).expect(0);
        assert_records(&case, 0, 1000);
        // Both in one run, and straight over the files.
        let together = Case { dir: tempfile::tempdir().unwrap() };
        together.ingest_paths(&[case.input()], &[]).expect(0);
        assert_records(&together, 0, 1000);
        let raw = ["sql", "--format", "csv", "select count(*) as c from flow_logs", "--from"];
        let raw =
            flowq(raw.into_iter().map(String::from).chain([case.input().to_string_lossy().into_owned()]));
        assert_eq!(raw.expect(0).out, "c\n1000\n");
    }
}

#[test]
fn two_equal_short_copies_beside_a_fuller_one_are_both_left_out() {
    let name = aws_name("0000bbbb");
    for rows in [[8, 8, 9], [8, 9, 8], [9, 8, 8], [8, 9, 9]] {
        let case = Case::new();
        for (folder, rows) in ["a", "b", "c"].iter().zip(rows) {
            case.write(&format!("{folder}/{name}"), flow_log(0, rows));
        }
        case.ingest(&[]).expect(0);
        assert_records(&case, 0, 9);
        case.ingest(&[]).expect(0);
        assert_records(&case, 0, 9);
    }
}

#[test]
fn a_lesser_copy_that_is_larger_on_disk_stays_one_when_the_fuller_grows() {
    let case = Case::new();
    let name = aws_name("0000cccc");
    case.write(&format!("x/{name}"), flow_log(0, 18));
    let fuller = case.write(&format!("z/{name}"), gzip(flow_log(0, 19)));
    case.ingest(&[]).expect(0);
    assert_records(&case, 0, 19);
    assert_nothing_to_do(&case, 2);
    // The other copy is not even among the inputs.
    change(&fuller, gzip(flow_log(0, 25)));
    case.ingest_paths(&[fuller.parent().unwrap()], &[]).expect(0);
    assert_records(&case, 0, 25);
    case.ingest(&[]).expect(0);
    assert_records(&case, 0, 25);
    assert_nothing_to_do(&case, 2);
}
