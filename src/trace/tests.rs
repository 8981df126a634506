//! Cases that one can follow by hand.

use super::cases::{blockers, run, stages};
use super::*;
use crate::net::{ICMP, TCP};
use crate::network::View;
use crate::rules::fixture::Fixture;

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 default subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-1 subnet-2
    acl-2 in 100 allow tcp 443 0.0.0.0/0
    acl-2 out 100 allow tcp 5432 10.0.1.0/24
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    route subnet-2 0.0.0.0/0 nat-1
    sg-1 in tcp 443 0.0.0.0/0
    sg-1 in tcp 22 203.0.113.0/24
    sg-1 out all 0.0.0.0/0
    sg-2 in tcp 443 sg-1
    sg-2 out all 0.0.0.0/0
    eni eni-web subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10
    eni eni-other subnet-1 10.0.1.11 groups=sg-1
    eni eni-api subnet-2 10.0.2.10 groups=sg-2
    bpa subnet-1 off
    bpa subnet-2 off";

#[test]
fn from_the_internet_to_a_public_address() {
    let trace = run(NETWORK, "198.51.100.7", "192.0.2.10", 443);
    assert_eq!(
        stages(&trace),
        vec![
            "there address 198.51.100.7 not_applicable",
            "there address 192.0.2.10 allow",
            "there vpc_block_public_access subnet-1 allow",
            "there network_acl inbound subnet-1 allow",
            "there security_group inbound eni-web allow",
            "back security_group outbound eni-web not_applicable",
            "back network_acl outbound subnet-1 allow",
            "back route subnet-1 allow",
        ]
    );
    assert_eq!(trace.outcome(), Decision::Allow);
}

#[test]
fn between_subnets_both_ends_filter_there_and_back() {
    let trace = run(NETWORK, "10.0.1.10", "10.0.2.10", 443);
    assert_eq!(
        stages(&trace),
        vec![
            "there address 10.0.1.10 allow",
            "there address 10.0.2.10 allow",
            "there security_group outbound eni-web allow",
            "there network_acl outbound subnet-1 allow",
            "there route subnet-1 allow",
            "there network_acl inbound subnet-2 allow",
            "there security_group inbound eni-api allow",
            "back security_group outbound eni-api not_applicable",
            "back network_acl outbound subnet-2 deny",
            "back route subnet-2 allow",
            "back network_acl inbound subnet-1 allow",
            "back security_group inbound eni-web not_applicable",
        ]
    );
    assert_eq!(blockers(&trace), vec!["back network_acl subnet-2"], "the list forgets the answers");
    let fix = trace.blockers().next().unwrap().fix.clone().unwrap();
    assert!(
        fix.command.contains("--egress") && fix.command.contains("From=1024,To=65535"),
        "{}",
        fix.command
    );
}

#[test]
fn a_port_that_no_rule_opens() {
    let trace = run(NETWORK, "198.51.100.7", "192.0.2.10", 22);
    assert_eq!(blockers(&trace), vec!["there security_group eni-web"]);
    let stage = trace.blockers().next().unwrap();
    let nearest = stage.nearest.clone().unwrap();
    assert!(nearest.contains("allow tcp 22 from 203.0.113.0/24 (other address)"), "{nearest}");
    assert!(stage.fix.clone().unwrap().command.contains("CidrIp=198.51.100.7/32"));
    let because: Vec<_> = stage.rules.iter().map(|line| line.because.clone().unwrap()).collect();
    assert_eq!(because, vec!["other port", "other address"]);
}

#[test]
fn everything_in_the_way_is_told() {
    let trace = run(NETWORK, "198.51.100.7", "10.0.2.10", 22);
    assert_eq!(
        blockers(&trace),
        vec![
            "there address 10.0.2.10",
            "there network_acl subnet-2",
            "there security_group eni-api",
            "back network_acl subnet-2",
            "back route subnet-2",
        ]
    );
}

#[test]
fn within_a_subnet_no_list_applies() {
    let trace = run(NETWORK, "10.0.1.10", "10.0.1.11", 443);
    let lists = trace.stages.iter().filter(|stage| stage.layer == Layer::NetworkAcl);
    assert!(
        lists.clone().count() == 4 && lists.clone().all(|stage| stage.outcome == Decision::NotApplicable)
    );
    assert_eq!(trace.outcome(), Decision::Allow);
}

#[test]
fn a_deny_hides_a_later_allow() {
    let text = format!("{NETWORK}\n acl-1 in 50 deny tcp 443 198.51.100.0/24");
    let trace = run(&text, "198.51.100.7", "192.0.2.10", 443);
    let stage = trace.blockers().next().unwrap();
    assert!(stage.reason.ends_with("rule 100 would allow it but comes later"), "{}", stage.reason);
    assert_eq!(stage.rules[1].because.as_deref(), Some("not reached"));
}

#[test]
fn answers_that_only_some_clients_get() {
    let text = format!("{NETWORK}\n acl-2 out 110 allow tcp 49152-65535 0.0.0.0/0");
    let mut trace = run(&text, "10.0.1.10", "10.0.2.10", 443);
    assert_eq!(trace.outcome(), Decision::Unknown);
    let stage = trace.stages.iter().find(|stage| stage.outcome == Decision::Unknown).unwrap();
    assert_eq!(
        stage.reason,
        "it depends on the client's port: answers to Linux clients (32768-61000) are dropped at ports 32768-49151; \
         answers to Windows clients (49152-65535) pass"
    );
    let clients: Vec<_> = stage.clients.iter().map(|line| (line.first, line.last, line.outcome)).collect();
    assert_eq!(clients, [(32768, 61000, Decision::Unknown), (49152, 65535, Decision::Allow)]);
    let network = Fixture::new(&text).network();
    for (port, outcome) in [(50_000, Decision::Allow), (40_000, Decision::Deny)] {
        trace.flow.src_port = Some(port);
        let again = super::trace(&network, trace.flow.clone(), View { at: 0, after: false }).unwrap();
        assert_eq!(again.outcome(), outcome, "port {port}");
    }
}

#[test]
fn routes_decide_too() {
    let out = |text: &str| {
        let trace = run(text, "10.0.1.10", "198.51.100.7", 443);
        let route = trace.stages.iter().find(|stage| stage.layer == Layer::Route).unwrap();
        (route.outcome, route.reason.clone())
    };
    assert_eq!(out(NETWORK).0, Decision::Allow);
    let narrower = format!("{NETWORK}\n route subnet-1 198.51.100.0/24 tgw-1");
    assert_eq!(
        out(&narrower),
        (Decision::Allow, "over the transit gateway tgw-1".to_owned()),
        "the longest prefix"
    );
    let whole = run(&narrower, "10.0.1.10", "198.51.100.7", 443);
    assert_eq!(whole.outcome(), Decision::Unknown, "the gateway's routes are not known");
    let none = NETWORK.replace("route subnet-1 0.0.0.0/0 igw-1", "");
    assert_eq!(out(&none).0, Decision::Deny);
    let other = run(NETWORK, "10.0.1.11", "198.51.100.7", 443);
    assert_eq!(blockers(&other), vec!["there route subnet-1"], "no public address at the internet gateway");
    let nat = run(NETWORK, "10.0.2.10", "198.51.100.7", 443);
    let route = nat.stages.iter().find(|stage| stage.layer == Layer::Route).unwrap();
    assert_eq!(route.outcome, Decision::Allow);
    assert!(nat.not_checked.iter().any(|text| text.contains("nat-1")));
}

#[test]
fn peering_is_not_transitive() {
    let text = format!(
        "{NETWORK}\n vpc vpc-2 10.8.0.0/16\n peering pcx-1 vpc-1 vpc-2\n route subnet-1 10.8.0.0/15 pcx-1\n \
         subnet subnet-8 vpc-2 10.8.1.0/24\n eni eni-far subnet-8 10.8.1.10 groups=sg-1"
    );
    let route = |dst: &str| {
        let trace = run(&text, "10.0.1.10", dst, 443);
        trace.stages.into_iter().find(|stage| stage.layer == Layer::Route).unwrap()
    };
    assert_eq!(route("10.8.1.10").outcome, Decision::Allow);
    assert_eq!(route("10.9.1.10").outcome, Decision::Deny);
}

#[test]
fn a_ping_and_its_answer() {
    let network = Fixture::new(&format!("{NETWORK}\n sg-1 in icmp 8 0.0.0.0/0")).network();
    let mut flow = Flow {
        src: "198.51.100.7".parse().unwrap(),
        dst: "192.0.2.10".parse().unwrap(),
        protocol: ICMP,
        src_port: None,
        dst_port: None,
        icmp: Some((8, Some(0))),
        interface: None,
    };
    let view = View { at: 0, after: false };
    assert_eq!(trace(&network, flow.clone(), view).unwrap().outcome(), Decision::Allow);
    flow.icmp = Some((13, None));
    assert_eq!(blockers(&trace(&network, flow.clone(), view).unwrap()), vec!["there security_group eni-web"]);
    flow.icmp = None;
    assert_eq!(trace(&network, flow, view).unwrap().outcome(), Decision::Unknown, "the rule asks for a type");
}

#[test]
fn what_is_missing_is_unknown_and_never_guessed() {
    let trace = run("eni eni-a subnet-1 10.0.1.10 groups=sg-1", "10.0.1.10", "198.51.100.7", 443);
    assert_eq!(blockers(&trace), Vec::<String>::new());
    assert_eq!(trace.outcome(), Decision::Unknown);
}

#[test]
fn addresses_of_nobody_are_refused() {
    let network = Fixture::new(NETWORK).network();
    let flow = |src: &str, dst: &str, interface: Option<&str>| Flow {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        protocol: TCP,
        src_port: None,
        dst_port: Some(1),
        icmp: None,
        interface: interface.map(str::to_owned),
    };
    let view = View { at: 0, after: false };
    let error = |flow| trace(&network, flow, view).unwrap_err();
    assert!(matches!(error(flow("198.51.100.7", "198.51.100.8", None)), TraceError::Nobody { .. }));
    assert!(matches!(error(flow("198.51.100.7", "::1", None)), TraceError::Family { .. }));
    assert!(matches!(
        error(flow("198.51.100.7", "10.0.1.10", Some("eni-api"))),
        TraceError::OtherInterface { .. }
    ));
}

#[test]
fn text_and_json_say_the_same() {
    let trace = run(NETWORK, "10.0.1.10", "10.0.2.10", 443);
    let text = trace.text();
    assert!(text.starts_with("tcp 10.0.1.10 to 10.0.2.10 port 443: blocked\n"), "{text}");
    assert!(text.contains("first blocker: network_acl at subnet-2"), "{text}");
    let json = trace.json();
    assert_eq!(json["outcome"], "deny");
    assert_eq!(json["first_blocker"], 8);
    assert_eq!(json["stages"][8]["layer"], "network_acl");
    assert_eq!(json["stages"][8]["outcome"], "deny");
    assert_eq!(json["stages"].as_array().unwrap().len(), trace.stages.len());
}
