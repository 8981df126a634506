//! What groups remember of a flow, and what of that no log shows: each named for what was wrong once.

use super::tests::{ALL_OPEN, Case, OPEN, judge, two, with};
use crate::rules::fixture::Fixture;

#[test]
fn a_state_of_packets_that_the_list_dropped_leaves_no_accept() {
    // 1.1: outbound packets pass the groups before the list drops them. That groups remember them is documented nowhere, so that
    // both layers drop the peer's packets is not proven.
    let log = "> eni-b in udp 198.51.100.7:123 10.0.2.20:123 - REJECT 0";
    with(&two("sg-b out all 0.0.0.0/0"), log, "NACL PROVEN blocks=NACL or=SECURITY_GROUP+STALE_CONNECTION");
    let open = "acl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0";
    with(&two(open), log, "NACL_AND_SECURITY_GROUP PROVEN or=-");
    with(&two(""), log, "NACL_AND_SECURITY_GROUP PROVEN or=-");
    let syn = "> eni-b in tcp 198.51.100.7:50000 10.0.2.20:22 2 REJECT 0";
    with(&two("sg-b out all 0.0.0.0/0"), syn, "NACL_AND_SECURITY_GROUP PROVEN or=-");
}

#[test]
fn the_destination_port_is_all_that_filters_look_at() {
    // 8.2: a format without srcport has what rules ask for, and no flow.
    let network = two(&format!("{OPEN}acl-2 in 90 deny tcp 22 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0"));
    let log = |port: u16, flags: &str| {
        format!("> eni-b in tcp 198.51.100.7:0 10.0.2.20:{port} {flags} REJECT 0 ports=dst")
    };
    with(&network, &log(22, "2"), "NACL_AND_SECURITY_GROUP PROVEN rule=90");
    with(&network, &log(80, "2"), "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
    with(&network, &log(443, "2"), "CONFIG_MISMATCH WEAK");
    // Whether it has a state hangs on its flow, which nothing tells (S15).
    let found = with(&network, &log(80, "-"), "SECURITY_GROUP WEAK BY_ELIMINATION");
    assert_eq!(found.would_decide.as_deref(), Some("srcport in the log format"));
    assert!(found.text.contains("198.51.100.7 to 10.0.2.20 port 80 (http)"), "{}", found.text);
}

#[test]
fn a_timeout_has_passed_only_beyond_the_slack_of_timestamps() {
    // 8.5: beyond only where the gap less 60 s exceeds it. Within that the state may live, and the list alone drops the packets.
    let mut fixture = Fixture::new(&two("acl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0"));
    fixture.interfaces.get_mut("eni-b").unwrap().tcp_established_timeout = Some(350);
    let network = fixture.network();
    let judged = |log: &str, expected: &str| {
        judge(&Case { network: Some(network.clone()), log, skipdata: None }, expected);
    };
    let tcp = |at: i64| {
        format!(
            "eni-b out tcp 10.0.2.20:51000 203.0.113.7:443 2 ACCEPT -60..0
             eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 18 ACCEPT -60..0
             > eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 0 REJECT {at}"
        )
    };
    judged(&tcp(340), "NACL PROVEN blocks=NACL");
    for open in [355, 405] {
        judged(&tcp(open), "NACL PROVEN blocks=NACL or=SECURITY_GROUP+STALE_CONNECTION");
    }
    judged(&tcp(415), "NACL_AND_SECURITY_GROUP PROVEN");
    let ntp = |at: i64| {
        format!(
            "eni-b out udp 10.0.2.20:123 203.0.113.7:123 - ACCEPT 0..5
             > eni-b in udp 203.0.113.7:123 10.0.2.20:123 - REJECT {at}"
        )
    };
    judged(&ntp(45), "NACL PROVEN blocks=NACL or=SECURITY_GROUP");
    judged(&ntp(100), "NACL_AND_SECURITY_GROUP PROVEN");
}

#[test]
fn a_longer_gap_makes_a_stale_connection_no_less_likely() {
    // Row 26b and 8.5: what timed out is looked for further back than the timeout.
    let mut fixture = Fixture::new(&two(ALL_OPEN));
    fixture.interfaces.get_mut("eni-b").unwrap().tcp_established_timeout = Some(60);
    let network = fixture.network();
    for (at, reason) in [(30, "OUT_OF_STATE"), (335, "IDLE_TIMEOUT")] {
        let log = format!(
            "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - ACCEPT -65..0
             eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 - ACCEPT -65..0
             > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - REJECT {at}"
        );
        let case = Case { network: Some(network.clone()), log: &log, skipdata: None };
        judge(&case, &format!("STALE_CONNECTION WEAK {reason} or=CONFIG_MISMATCH"));
    }
}
