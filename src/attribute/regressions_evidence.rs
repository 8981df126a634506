//! What logs show of a rejected record's flow, and what they leave open: each named for what was wrong once.

use super::accept_contradicts;
use super::regressions::SECONDARY;
use super::tests::{ALL_OPEN, Case, OPEN, judge, record, two, with, with_history, without};
use crate::network::{LoadBalancer, Timeline};
use crate::rules::Engine;
use crate::rules::fixture::Fixture;

#[test]
fn a_flow_that_began_near_a_change_of_the_rules_may_have_been_untracked() {
    // S7a and 6.8: the rules before the change left it untracked, those after it would not have. When it began either may have
    // been in force, so that the close may have ended a state or not.
    let log = |began: i64| {
        let ended = began + 10;
        format!(
            "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT {began}..{ended}
             eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT {began}..{ended}
             eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 4 ACCEPT {ended}..{ended}
             > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 600"
        )
    };
    let network = || {
        let open = "sg-b in tcp 22 0.0.0.0/0\nsg-b out all 0.0.0.0/0";
        Some(with_history(open, "sg-b out all 0.0.0.0/0"))
    };
    let judged = |began: i64, expected: &str| {
        judge(&Case { network: network(), log: &log(began), skipdata: None }, expected)
    };
    judged(-3000, "SECURITY_GROUP STRONG");
    judged(-20, "STALE_CONNECTION WEAK AFTER_CLOSE or=SECURITY_GROUP");
    judged(60, "STALE_CONNECTION STRONG AFTER_CLOSE");
}

#[test]
fn without_flags_a_packet_inside_a_subnet_may_be_a_late_one() {
    // L19 has TCP NONE as a stale connection, and the format does not say whether it is that.
    let log = |flags: &str| {
        format!("> eni-b in tcp 10.0.2.30:443 10.0.2.20:50001 {flags} REJECT 0 subnet=s next=s")
    };
    without(&log("1"), "STALE_CONNECTION WEAK or=SECURITY_GROUP");
    without(&log("-"), "SECURITY_GROUP WEAK INTRA_SUBNET or=STALE_CONNECTION+NACL_SCOPE_EXCEPTION");
    without(&log("2"), "SECURITY_GROUP STRONG INTRA_SUBNET or=NACL_SCOPE_EXCEPTION");
}

#[test]
fn a_record_that_does_not_show_its_flow_has_no_mirror_to_miss() {
    // S15: what cannot be looked for is not absent. The group lets the answer out by state, the network ACL does not.
    let network = two("acl-2 in 100 allow all 0.0.0.0/0\nsg-b in udp 53 0.0.0.0/0");
    let query = "eni-b in udp 203.0.113.7:51000 10.0.2.20:53 - ACCEPT 0..0";
    let with_ports = format!("{query}\n> eni-b out udp 10.0.2.20:53 203.0.113.7:51000 - REJECT 0..0");
    with(&network, &with_ports, "NACL or=SECURITY_GROUP");
    let without_ports = format!("{query}\n> eni-b out udp 10.0.2.20:0 203.0.113.7:0 - REJECT 0..0");
    with(&network, &without_ports, "NACL or=SECURITY_GROUP");
}

#[test]
fn records_without_ports_belong_to_no_flow() {
    // 8.2 and 8.5: a flow is told by both ports. 443 was open and closed; what is rejected went to another port, which the format
    // does not tell apart.
    let network = two(&format!("{OPEN}sg-b in tcp 443 203.0.113.0/24"));
    let log = |port: u16| {
        format!(
            "eni-b in tcp 203.0.113.7:{port} 10.0.2.20:{port} 3 ACCEPT -60
             eni-b out tcp 10.0.2.20:{port} 203.0.113.7:{port} 19 ACCEPT -60
             > eni-b in tcp 203.0.113.7:{port} 10.0.2.20:{port} 16 REJECT 60"
        )
    };
    with(&network, &log(443), "STALE_CONNECTION STRONG AFTER_CLOSE");
    with(&network, &log(0), "!AFTER_CLOSE !PROVEN !STRONG");
    without(&log(0), "!AFTER_CLOSE !PROVEN !STRONG");
}

#[test]
fn an_accept_without_a_direction_is_of_its_own_flow_and_of_no_other_key() {
    // L7b: one 5-tuple goes one way at an interface, so the ACCEPT is the record's own, or its mirror, whatever it shows.
    let flow = |direction: &str| {
        format!(
            "eni-x {direction} tcp 10.0.2.20:54248 198.51.100.7:8443 - ACCEPT 0..20
             eni-x in tcp 198.51.100.7:8443 10.0.2.20:54248 - ACCEPT 2..22
             > eni-x out tcp 10.0.2.20:54248 198.51.100.7:8443 - REJECT 40..45"
        )
    };
    without(&flow("out"), "STALE_CONNECTION WEAK OUT_OF_STATE or=SECURITY_GROUP");
    without(&flow("?"), "STALE_CONNECTION WEAK OUT_OF_STATE or=SECURITY_GROUP");
    let answer = |direction: &str| {
        format!(
            "eni-x {direction} tcp 198.51.100.7:51000 10.0.2.20:443 - ACCEPT 700
             > eni-x out tcp 10.0.2.20:443 198.51.100.7:51000 - REJECT 701"
        )
    };
    without(&answer("in"), "NACL STRONG RESPONSE_OF_ACCEPTED_FLOW");
    without(&answer("?"), "NACL STRONG RESPONSE_OF_ACCEPTED_FLOW");
    // Another connection to the same service: SAME_KEY needs the direction.
    let key = |direction: &str| {
        format!(
            "eni-x {direction} tcp 198.51.100.7:51000 10.0.2.20:443 16 ACCEPT 0
             > eni-x in tcp 198.51.100.7:51001 10.0.2.20:443 16 REJECT 0"
        )
    };
    without(&key("in"), "STALE_CONNECTION STRONG");
    without(&key("?"), "STALE_CONNECTION WEAK or=NACL+SECURITY_GROUP");
}

#[test]
fn one_of_the_packets_addresses_in_the_format_hides_no_mirror() {
    // 4.2: dstaddr shows the primary address, pkt-srcaddr of the answer the secondary, and nothing pkt-dstaddr of the request.
    let request = "eni-s in tcp 203.0.113.9:51000 10.0.1.10:443 - ACCEPT 0 pkt-src=203.0.113.9";
    let answer = "> eni-s out tcp 10.0.1.10:443 203.0.113.9:51000 - REJECT 0 pkt-src=10.0.1.26";
    let network =
        SECONDARY.replace("acl-1 out 100", "acl-1 in 100").replace("sg-s out all", "sg-s in tcp 443");
    with(&network, &format!("{request}\n{answer}"), "NACL PROVEN RESPONSE_OF_ACCEPTED_FLOW blocks=NACL");
}

#[test]
fn udp_that_no_timeout_covers_has_surely_timed_out() {
    // S12 and row 15, STRONG with IDLE: 180 s are the most that a state of UDP lives without packets (2.2).
    let network = two(&format!("{OPEN}sg-b in udp 53 203.0.113.0/24"));
    let log = |at: i64| {
        format!(
            "eni-b in udp 203.0.113.7:51000 10.0.2.20:53 - ACCEPT 0..0
             > eni-b out udp 10.0.2.20:53 203.0.113.7:51000 - REJECT {at}"
        )
    };
    with(&network, &log(2000), "STALE_CONNECTION STRONG IDLE_TIMEOUT or=-");
    with(&network, &log(120), "STALE_CONNECTION WEAK IDLE_TIMEOUT");
}

#[test]
fn a_network_load_balancers_timeouts_hold_for_flows_through_it() {
    // 2.2: 350 s of TCP and 120 s of UDP, whatever the instance has otherwise. Rows S8 and 15.
    let network = two(&format!(
        "{OPEN}sg-b in tcp 5432 10.0.1.0/24\nsg-b in udp 53 10.0.1.0/24
         instance i-1 m5.large
         eni eni-b subnet-2 10.0.2.20 groups=sg-b instance=i-1
         eni eni-lb subnet-1 10.0.1.50 groups=sg-a type=network_load_balancer"
    ));
    let log = |client: &str, at: i64| {
        format!(
            "eni-b in tcp {client}:51000 10.0.2.20:5432 0 ACCEPT -60..0
             eni-b out tcp 10.0.2.20:5432 {client}:51000 0 ACCEPT -60..0
             > eni-b out tcp 10.0.2.20:5432 {client}:51000 0 REJECT {at}"
        )
    };
    with(&network, &log("10.0.1.50", 2000), "STALE_CONNECTION STRONG IDLE_TIMEOUT");
    with(&network, &log("10.0.1.10", 2000), "STALE_CONNECTION WEAK OUT_OF_STATE");
    let query = "eni-b in udp 10.0.1.50:51000 10.0.2.20:53 - ACCEPT 0..0
         > eni-b out udp 10.0.2.20:53 10.0.1.50:51000 - REJECT 181";
    with(&network, query, "STALE_CONNECTION STRONG IDLE_TIMEOUT");
}

#[test]
fn no_half_of_a_fix_is_given_for_a_syn_ack_that_nobody_asked_for() {
    // S5 and row 9; 8.9: both, in one report, or none where the traffic needs no rule.
    let found = with(
        &two(""),
        "> eni-b in tcp 203.0.113.9:443 10.0.2.20:51111 18 REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN",
    );
    assert!(found.fixes.is_empty(), "{:?}", found.fixes);
    assert!(found.text.contains("one that nobody asked for none either"), "{}", found.text);
}

#[test]
fn groups_that_are_not_asked_about_private_link_traffic_are_not_blamed_for_it() {
    // 5.4: off. An address of no interface may be a client's behind an endpoint, whose packets the group's rules do not concern.
    let network = |list: &str, enforces: Option<bool>| {
        let mut network = Fixture::new(&format!(
            "vpc vpc-1 10.0.0.0/16
             subnet subnet-1 vpc-1 10.0.1.0/24
             eni eni-lb subnet-1 10.0.1.10 groups=sg-lb type=network_load_balancer description=ELB net/front/0123456789abcdef
             eni eni-c subnet-1 10.0.1.20 groups=sg-lb
             nacl acl-1 vpc-1 subnet-1
             {list}
             acl-1 in 100 allow all 0.0.0.0/0
             acl-1 out 100 allow all 0.0.0.0/0
             sg-lb in tcp 443 0.0.0.0/0"
        ))
        .network();
        let id =
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/front/0123456789abcdef";
        let balancer = LoadBalancer {
            id: id.into(),
            kind: "network".into(),
            group_ids: vec!["sg-lb".into()],
            enforces_on_private_link: enforces,
            ..LoadBalancer::default()
        };
        network.load_balancers.put(id.into(), Timeline::always(balancer));
        network.finish();
        Some(network)
    };
    let judged = |list: &str, enforces, remote: &str, expected: &str| {
        let log = format!("> eni-lb in tcp {remote}:40001 10.0.1.10:80 2 REJECT 0");
        judge(&Case { network: network(list, enforces), log: &log, skipdata: None }, expected)
    };
    let deny = "acl-1 in 5 deny tcp 80 0.0.0.0/0";
    let found = judged(deny, Some(false), "10.0.9.9", "NACL PROVEN blocks=NACL or=SECURITY_GROUP");
    assert!(
        found.text.contains("if it came through PrivateLink its groups were not asked"),
        "{}",
        found.text
    );
    assert_eq!(
        found.would_decide.as_deref(),
        Some("whether it came through PrivateLink, which flow logs do not show")
    );
    for enforces in [Some(true), None] {
        judged(deny, enforces, "10.0.9.9", "NACL_AND_SECURITY_GROUP PROVEN or=-");
    }
    judged("", Some(false), "10.0.1.20", "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
    judged(deny, Some(false), "198.51.100.7", "NACL_AND_SECURITY_GROUP PROVEN");
    // Nothing else can have dropped it.
    judged("", Some(false), "10.0.9.9", "SECURITY_GROUP WEAK BY_ELIMINATION");
    // An ACCEPT of such traffic is none against the configuration (8.10).
    let accept = record("eni-lb in tcp 10.0.9.9:40001 10.0.1.10:80 2 ACCEPT 0");
    let contradicts = |enforces| {
        let network = network("", enforces).unwrap();
        let mut engine = Engine::new(&network);
        accept_contradicts(&accept, &mut engine)
    };
    assert_eq!((contradicts(Some(true)), contradicts(Some(false))), (Some(true), Some(false)));
}

#[test]
fn encryption_controls_name_what_else_may_have_dropped_it() {
    // 8.1: of a WEAK verdict several explanations fit. Beside row 23 that is what rows 24 to 29 say.
    let judged = |flags: &str, evidence: &str, expected: &str| {
        let mut fixture = Fixture::new(&two(ALL_OPEN));
        fixture.vpcs.get_mut("vpc-1").unwrap().encryption_mode = Some("enforce".into());
        fixture.interfaces.get_mut("eni-b").unwrap().interface_type = Some("vpc_endpoint".into());
        let log = format!("{evidence}\n> eni-b in tcp 10.9.0.7:51000 10.0.2.20:443 {flags} REJECT 0");
        judge(&Case { network: Some(fixture.network()), log: &log, skipdata: None }, expected)
    };
    let found = judged("2", "", "ENCRYPTION_CONTROLS WEAK BY_ELIMINATION first=EC or=CONFIG_MISMATCH");
    assert!(found.text.contains("also possible: CONFIG_MISMATCH"), "{}", found.text);
    judged("0", "", "ENCRYPTION_CONTROLS WEAK or=STALE_CONNECTION+CONFIG_MISMATCH");
    let closed = "eni-b in tcp 10.9.0.7:51000 10.0.2.20:443 3 ACCEPT -30";
    judged("0", closed, "ENCRYPTION_CONTROLS WEAK or=STALE_CONNECTION");
}
