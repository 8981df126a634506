//! Named queries over small logs whose answers are worked out by hand, by the program.

use std::fs;
use std::path::Path;

use crate::command_line::{err, flowq_in, out};

/// The csv lines of a query over a log, without the header.
fn run(folder: &Path, words: &[&str]) -> Vec<String> {
    let words = [&["run"][..], words, &["--raw", "in", "--format", "csv", "-q"]].concat();
    out(flowq_in(folder, &words)).lines().skip(1).map(str::to_owned).collect()
}

fn logs(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("in").join(name), text).unwrap();
    }
    folder
}

/// An instance sends 9 GB to the internet over IPv6 and 1,000 bytes to a neighbour in its VPC, and is reached from the internet by ssh.
/// IPv6 addresses of a VPC are global (documentation ranges stand for them here): only the direction tells them from others.
const IPV6: &str = "\
version account-id interface-id instance-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status flow-direction
5 111122223333 eni-01 i-01 2001:db8:4::5 2001:db8:ffff::1 40000 443 6 100 9000000000 1768471200 1768471259 ACCEPT OK egress
5 111122223333 eni-01 i-01 2001:db8:ffff::1 2001:db8:4::5 443 40000 6 100 50000 1768471200 1768471259 ACCEPT OK ingress
5 111122223333 eni-01 i-01 2001:db8:ffff::2 2001:db8:4::5 50123 22 6 100 50000 1768471200 1768471259 ACCEPT OK ingress
5 111122223333 eni-01 i-01 2001:db8:4::5 2001:db8:4::6 40001 22 6 10 1000 1768471200 1768471259 ACCEPT OK egress
5 111122223333 eni-02 i-02 2001:db8:4::5 2001:db8:4::6 40001 22 6 10 1000 1768471200 1768471259 ACCEPT OK ingress
5 111122223333 eni-02 i-02 2001:db8:4::5 2001:db8:4::6 40002 25 6 1 80 1768471200 1768471259 REJECT OK ingress
";

#[test]
fn what_goes_over_ipv6_is_seen_by_the_queries_of_the_internet() {
    let folder = logs(&[("a.log", IPV6)]);
    let run = |words: &[&str]| run(folder.path(), words);
    assert_eq!(run(&["internet_egress_by_instance"]), ["i-01,9000000000,100,1"]);
    assert_eq!(run(&["inbound_from_internet"]), ["2001:db8:4::5,22,tcp,ssh,1,1,50000"]);
    let times = "2026-01-15T10:00:00Z,2026-01-15T10:00:59Z";
    let sent = format!("2001:db8:4::5,2001:db8:ffff::1,9000000000,50000,180000.0,{times}");
    assert_eq!(run(&["exfil_candidates"]), [sent]);
    let first = "2001:db8:ffff::1,2026-01-15T10:00:00Z,1,1,9000000000,";
    assert_eq!(run(&["new_destinations"]), [first]);
    let turned_away = format!("2001:db8:4::5,1,1,1,1,{times}");
    assert_eq!(run(&["internal_recon", "--min_targets", "1"]), [turned_away]);
    let from_internet = |line: &String| line.split(',').nth(5) == Some("true");
    let administration = run(&["admin_port_traffic", "--ports", "22"]);
    assert_eq!(administration.len(), 2, "{administration:?}");
    assert!(from_internet(&administration[0]) && administration[0].contains("2001:db8:ffff::2"));
    assert!(!from_internet(&administration[1]));
}

#[test]
fn bytes_between_zones_are_those_that_were_sent_whatever_other_logs_lack() {
    let header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status az-id";
    let row = |interface: &str, bytes: u32, action: &str, rest: &str| {
        format!(
            "5 111122223333 {interface} 10.0.0.1 10.0.1.2 40000 443 6 1 {bytes} 1768471200 1768471259 {action} OK {rest}\n"
        )
    };
    let sides = format!(
        "{header} flow-direction\n{}{}{}",
        row("eni-a", 1000, "ACCEPT", "use1-az1 egress"),
        row("eni-b", 1000, "ACCEPT", "use1-az2 ingress"),
        row("eni-a", 7, "REJECT", "use1-az1 egress")
    );
    let older = format!("{header}\n{}", row("eni-a", 1000, "ACCEPT", "use1-az1"));
    for files in [&[("a.log", sides.as_str())][..], &[("a.log", &sides), ("b.log", &older)]] {
        assert_eq!(run(logs(files).path(), &["cross_az_bytes"]), ["use1-az1,use1-az2,1000,1"]);
    }
}

#[test]
fn refused_lines_are_summed_by_reason_whatever_was_found() {
    let header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n";
    let lines: String = (0..20)
        .map(|at| {
            format!(
                "2 111122223333 eni-a 10.0.0.1 10.0.1.2 x{at} 443 6 1 40 1768471200 1768471259 ACCEPT OK\n"
            )
        })
        .collect();
    let folder = logs(&[("a.log", &format!("{header}{lines}"))]);
    let summed = run(folder.path(), &["quarantine_summary"]);
    assert_eq!(summed.len(), 1, "{summed:?}");
    assert!(summed[0].starts_with("flow_logs,srcport: expected a 32-bit integer,20,1,"), "{summed:?}");
}

#[test]
fn a_limit_that_was_reached_is_said() {
    let folder = logs(&[("a.log", IPV6)]);
    let run = |limit| flowq_in(folder.path(), &["run", "accepted", "--limit", limit, "--raw", "in"]);
    assert!(err(&run("2")).contains("the first 2 rows; there may be more (--limit N)"));
    assert!(!err(&run("20")).contains("--limit"));
}

#[test]
fn a_parameter_with_a_list_of_values_takes_no_other() {
    let folder = logs(&[("x.log", IPV6)]);
    let verdict = |value: &str| {
        flowq_in(folder.path(), &["run", "reject_attribution", "--raw", "in", "--verdict", value])
    };
    let said = err(&verdict("NACK"));
    assert!(said.contains("has no value \"NACK\"; did you mean NACL?"), "{said}");
    let said = err(&verdict("none of them"));
    assert!(said.contains("it may be NACL, SECURITY_GROUP, NACL_AND_SECURITY_GROUP"), "{said}");
    assert_eq!(verdict("none of them").status.code(), Some(2));
    assert_eq!(verdict("security_group").status.code(), Some(0));
}

#[test]
fn the_reason_of_failed_health_checks_is_the_most_frequent_one() {
    let line = |second: u32, status: &str, reason: &str| {
        format!("http 2026-01-15T10:00:{second:02}.000000Z 0.1 10.0.0.1:80 shop-web {status} 200 {reason}\n")
    };
    let text: String = [
        line(0, "FAIL", "AlphabeticallyFirst"),
        line(10, "FAIL", "RequestTimedOut"),
        line(20, "FAIL", "RequestTimedOut"),
        line(30, "PASS", "-"),
    ]
    .concat();
    let folder = logs(&[("x.log", &text)]);
    let rows = run(folder.path(), &["elb_backend_health"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].contains(",4,3,75.0,RequestTimedOut,"), "{rows:?}");
}
