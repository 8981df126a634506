//! Cases whose answer was right and whose words, or fixes, led the reader the wrong way. Expectations are worked out by hand.

use super::cases::{blockers, flow, traced};
use super::*;
use crate::network::{
    LoadBalancer, Network, Observation, Origin, Target, TargetGroup, Timeline, Timestamp, View,
};
use crate::rules::fixture::Fixture;

/// A server and a client in two subnets, every list and route open.
const OPEN: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1
    nacl acl-2 vpc-1 subnet-2
    acl-1 in 100 allow all 0.0.0.0/0
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-2 10.0.0.0/16 local
    bpa subnet-1 off
    bpa subnet-2 off
    sg-1 out all 0.0.0.0/0
    sg-2 out all 0.0.0.0/0";

const ANSWERS: &str = "acl-1 out 100 allow all 0.0.0.0/0";
const SERVER: &str = "eni eni-a subnet-1 10.0.1.10 groups=sg-1";
const CLIENT: &str = "eni eni-b subnet-2 10.0.2.20 groups=sg-2";

fn network(lines: &[&str]) -> Network {
    Fixture::new(&format!("{OPEN}\n{}", lines.join("\n"))).network()
}

fn to_server(lines: &[&str], src: &str, port: u16) -> Trace {
    traced(&network(lines), flow(src, "10.0.1.10", port))
}

fn nearest(trace: &Trace) -> &str {
    trace.stages.iter().find_map(|stage| stage.nearest.as_deref()).unwrap()
}

#[test]
fn what_an_egress_only_gateway_keeps_out_needs_no_rule() {
    // Route, network ACL, group (spec 1.1): nothing that begins outside comes through such a gateway.
    let text = "
        vpc vpc-1 2001:db8:1::/56
        subnet subnet-1 vpc-1 2001:db8:1:1::/64
        nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 allow all ::/0
        acl-1 out 100 allow all ::/0
        route subnet-1 2001:db8:1::/56 local
        route subnet-1 ::/0 eigw-1
        bpa subnet-1 off
        sg-1 out all ::/0
        eni eni-a subnet-1 2001:db8:1:1::10 groups=sg-1";
    let found = traced(&Fixture::new(text).network(), flow("2001:db8:ffff::9", "2001:db8:1:1::10", 22));
    assert_eq!(blockers(&found).first().map(String::as_str), Some("there address 2001:db8:1:1::10"));
    assert!(found.stages.iter().all(|stage| stage.fix.is_none()));
}

#[test]
fn a_fix_that_does_not_suffice_says_so() {
    let found = to_server(&[ANSWERS, SERVER], "203.0.113.9", 22);
    let text = found.text();
    assert!(text.contains("first blocker: address at 10.0.1.10: it has no public address"), "{text}");
    assert!(text.contains("what follows does not suffice alone: there is no fix here for route"), "{text}");
    assert_eq!(found.json()["fixes_suffice"], false);
    // Where a rule is all that is missing, it does.
    let found = to_server(&[ANSWERS, SERVER, CLIENT], "10.0.2.20", 22);
    assert!(!found.text().contains("suffice"), "{}", found.text());
    assert_eq!(found.json()["fixes_suffice"], true);
}

#[test]
fn a_half_open_range_of_client_ports_is_the_finding() {
    // Linux clients have 32768 to 61000 (spec 3.3), of which the list lets 49152 and above out.
    let rule = "sg-1 in tcp 22 10.0.0.0/16";
    let half = "acl-1 out 100 allow tcp 49152-65535 10.0.0.0/16";
    let found = to_server(&[half, rule, SERVER, CLIENT], "10.0.2.20", 22);
    let text = found.text();
    let first = "tcp 10.0.2.20 to 10.0.1.10 port 22: blocked for some client ports, 32768-49151 (Linux clients); passes for \
                 the others\n";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("first blocker, for some client ports: network_acl at subnet-1: 32768-49151"),
        "{text}"
    );
    assert_eq!(found.json()["blocked_client_ports"], serde_json::json!([[32768, 49151]]));
    assert_eq!(found.outcome(), Decision::Unknown);
    // What is open beside it stays open.
    let unknown = "list pl-1 unknown\nsg-1 in tcp 22 pl-1";
    let found = to_server(&[half, unknown, SERVER, CLIENT], "10.0.2.20", 22);
    assert!(found.text().lines().next().unwrap().ends_with("cannot be told from the configuration"));
}

#[test]
fn the_ports_of_a_client_whose_system_is_known() {
    let lines = ["acl-1 out 100 allow tcp 49152-65535 10.0.0.0/16", "sg-1 in tcp 22 10.0.0.0/16", SERVER];
    let asked = |windows: Option<bool>| {
        let client = format!("{CLIENT} instance=i-1\ninstance i-1 m5.large");
        let mut network = network(&[lines[0], lines[1], lines[2], &client]);
        let mut instance = crate::network::Instance { id: "i-1".into(), ..Default::default() };
        instance.is_windows = windows;
        network.instances.put("i-1".into(), Timeline::always(instance));
        network.finish();
        traced(&network, flow("10.0.2.20", "10.0.1.10", 22))
    };
    assert_eq!(asked(Some(true)).outcome(), Decision::Allow);
    assert!(
        asked(Some(false)).text().contains("32768-49151") && !asked(Some(false)).text().contains("Windows")
    );
    assert!(asked(None).text().contains("Windows"));
}

#[test]
fn a_nat_gateway_that_is_not_in_the_configuration_may_be_gone() {
    let text = "route subnet-2 0.0.0.0/0 nat-1";
    let found = traced(&network(&[text, CLIENT]), flow("10.0.2.20", "203.0.113.9", 443));
    assert_eq!(found.outcome(), Decision::Unknown);
    assert!(
        found.text().contains("gateway at nat-1: unknown: its interface is not in the configuration"),
        "{}",
        found.text()
    );
}

#[test]
fn the_nearest_rule_differs_in_one_thing() {
    // Spec 8.9: protocol, port or remote.
    let group = "sg-3\nsg-1 in tcp 5432 sg-3\nsg-1 in tcp 22 10.0.0.0/16";
    let found = to_server(&[ANSWERS, group, SERVER, CLIENT], "10.0.2.20", 3306);
    assert_eq!(nearest(&found), "group sg-1 inbound rule allow tcp 22 from 10.0.0.0/16 (other port)");
    let text = found.text();
    assert!(text.contains("allow tcp 5432 from sg-3: does not match (other port and address)"), "{text}");
    // The usual slip: the other of TCP and UDP.
    let udp = "sg-1 in udp 443 0.0.0.0/0\nsg-1 in tcp 8443 10.9.0.0/16";
    let found = to_server(&[ANSWERS, udp, SERVER, CLIENT], "10.0.2.20", 443);
    assert_eq!(nearest(&found), "group sg-1 inbound rule allow udp 443 from 0.0.0.0/0 (other protocol)");
    // Behind a deny, the allow that comes later.
    let deny = "acl-1 in 90 deny tcp 443 10.0.0.0/16\nacl-1 in 80 allow tcp 22 10.0.0.0/16";
    let found = to_server(&[ANSWERS, deny, SERVER, CLIENT], "10.0.2.20", 443);
    assert_eq!(nearest(&found), "nacl acl-1 inbound rule 100 allow all traffic from 0.0.0.0/0 (comes later)");
}

#[test]
fn a_member_that_comes_by_its_public_address_is_told_as_one() {
    // References hold for private addresses (spec 2.4, T13).
    let lines = [
        ANSWERS,
        "route subnet-1 0.0.0.0/0 igw-1",
        "route subnet-2 0.0.0.0/0 igw-1",
        "sg-1 in tcp 5432 sg-2",
        "eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10",
        "eni eni-b subnet-2 10.0.2.20 groups=sg-2 public=192.0.2.20",
    ];
    let found = traced(&network(&lines), flow("10.0.2.20", "192.0.2.10", 5432));
    let why = "a member, seen by its public address, for which references do not hold";
    assert!(nearest(&found).ends_with(&format!("({why})")), "{}", nearest(&found));
    assert!(found.text().contains(&format!("from sg-2: does not match ({why})")));
}

#[test]
fn a_route_by_a_prefix_list_shows_the_list() {
    let lines = ["list pl-s3 192.0.2.0/24", "route subnet-2 pl-s3 vpce-1", CLIENT];
    let found = traced(&network(&lines), flow("10.0.2.20", "192.0.2.77", 443));
    assert!(found.text().contains("rtb-subnet-2 pl-s3 (192.0.2.0/24) to vpce-1"), "{}", found.text());
}

#[test]
fn the_list_of_an_address_that_no_interface_holds_is_named() {
    let found = traced(&network(&[ANSWERS, CLIENT]), flow("10.0.2.20", "10.0.1.99", 443));
    let told = "network ACL acl-1 of subnet-1, in which 10.0.1.99 lies, inbound and outbound, and the groups of what holds it";
    assert!(found.not_checked.iter().any(|text| text == told), "{:?}", found.not_checked);
    // And it is nobody behind an address translation.
    let found = to_server(&[ANSWERS, "sg-1 in tcp 22 10.0.0.0/16", SERVER], "10.0.2.77", 22);
    assert!(!found.text().contains("behind a NAT"), "{}", found.text());
}

#[test]
fn an_appliance_that_checks_is_told_not_to() {
    let lines = ["route subnet-2 0.0.0.0/0 eni-fw", "eni eni-fw subnet-1 10.0.1.200 groups=sg-1", CLIENT];
    let found = traced(&network(&lines), flow("10.0.2.20", "203.0.113.9", 443));
    let fix = found.stages.iter().find_map(|stage| stage.fix.as_ref()).unwrap();
    assert_eq!(
        fix.command,
        "aws ec2 modify-network-interface-attribute --network-interface-id eni-fw --no-source-dest-check"
    );
}

#[test]
fn an_icmp_error_is_shown_whole_and_has_no_answer() {
    let mut asked = flow("10.0.2.20", "10.0.1.10", 0);
    (asked.protocol, asked.dst_port, asked.icmp) = (crate::net::ICMP, None, Some((3, Some(4))));
    let text = traced(&network(&[ANSWERS, SERVER, CLIENT]), asked).text();
    assert!(text.starts_with("icmp type 3 code 4 10.0.2.20 to 10.0.1.10: "), "{text}");
    assert!(text.contains("smallest fix") && !text.contains("responses need no rule"), "{text}");
}

/// A Classic load balancer with a listener on 80 in front of a server on 8080.
fn balanced(rule: &str, port: u16) -> Trace {
    let node = "eni eni-lb subnet-2 10.0.2.40 groups=sg-2 description=ELB old";
    let server = format!("{SERVER} instance=i-1");
    let mut network = network(&[
        ANSWERS,
        rule,
        "sg-2 in all 0.0.0.0/0",
        node,
        &server,
        "eni eni-c subnet-2 10.0.2.50 groups=sg-2",
    ]);
    let balancer = LoadBalancer {
        id: "old".into(),
        name: "old".into(),
        kind: "classic".into(),
        vpc_id: Some("vpc-1".into()),
        ..LoadBalancer::default()
    };
    let group = TargetGroup {
        id: "elb/old/8080".into(),
        protocol: Some("HTTP".into()),
        port: Some(8080),
        load_balancer_ids: vec!["old".into()],
        listener_ports: vec![80],
        targets: vec![Target { id: "i-1".into(), port: None, health: None }],
        ..TargetGroup::default()
    };
    network.load_balancers.put("old".into(), Timeline::always(balancer));
    network.target_groups.put(group.id.clone(), Timeline::always(group));
    network.finish();
    traced(&network, flow("10.0.2.50", "10.0.2.40", port))
}

#[test]
fn a_load_balancer_without_a_listener_lets_nothing_through() {
    let found = balanced("sg-1 in tcp 8080 sg-2", 8443);
    assert_eq!(blockers(&found), ["there load_balancer old"]);
    assert!(found.text().contains("it has no listener on port 8443, only on 80"), "{}", found.text());
    assert_eq!(balanced("sg-1 in tcp 8080 sg-2", 80).outcome(), Decision::Allow);
}

#[test]
fn the_fix_behind_a_load_balancer_names_its_group() {
    // Its nodes and their addresses change (spec 5.5, 8.9).
    let found = balanced("sg-1 in tcp 22 10.0.0.0/16", 80);
    let fix = found.stages.iter().find_map(|stage| stage.fix.as_ref()).unwrap();
    assert_eq!(
        fix.command,
        "aws ec2 authorize-security-group-ingress --group-id sg-1 --ip-permissions \
         'IpProtocol=tcp,FromPort=8080,ToPort=8080,UserIdGroupPairs=[{GroupId=sg-2}]'"
    );
    assert!(fix.terraform.contains("  referenced_security_group_id = \"sg-2\"\n}"), "{}", fix.terraform);
}

#[test]
fn the_newest_capture_of_all_interfaces_tells_who_holds_an_address() {
    // 2.4: at the end of time no capture covers the moment, and yet who asks means what the last one shows.
    let text = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        subnet subnet-2 vpc-1 10.0.2.0/24
        nacl acl-1 vpc-1 subnet-1 subnet-2
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1 in tcp 443 sg-2
        eni eni-a subnet-1 10.0.1.10 groups=sg-1";
    let captured = |part: bool| {
        let mut fixture = Fixture::new(text);
        let interface = fixture.interfaces.remove("eni-a").unwrap();
        let mut network = fixture.network();
        let reading = Observation::new(Some(1000), Origin::Snapshot, Some(interface));
        network.interfaces.put("eni-a".into(), Timeline::new(vec![Observation { part, ..reading }]));
        network.finish();
        network
    };
    let at_group = |network: &Network, at: Timestamp| {
        let asked = flow("10.0.2.77", "10.0.1.10", 443);
        let found = trace(network, asked, View { at, after: false }).unwrap();
        found.stages.iter().find(|one| one.layer == Layer::SecurityGroup).unwrap().outcome
    };
    assert_eq!(at_group(&captured(false), 1000), Decision::Deny);
    assert_eq!(at_group(&captured(false), Timestamp::MAX), Decision::Deny);
    assert_eq!(at_group(&captured(false), 5000), Decision::Unknown, "an interface may have been made since");
    assert_eq!(at_group(&captured(true), Timestamp::MAX), Decision::Unknown, "a page");
}

#[test]
fn stages_are_told_by_the_names_of_interfaces() {
    let mut network = network(&[ANSWERS, SERVER, CLIENT]);
    network.names.insert("eni-a".into(), "web-1".into());
    let found =
        trace(&network, flow("198.51.100.7", "10.0.1.10", 443), View { at: 0, after: false }).unwrap();
    assert!(found.text().contains("inbound at eni-a (web-1): "), "{}", found.text());
    let stage = found.json()["stages"].as_array().unwrap().iter().find(|one| one["at"] == "eni-a").cloned();
    assert_eq!(stage.unwrap()["name"], "web-1");
}

#[test]
fn a_request_that_was_accepted_does_not_contradict_the_deny_of_its_answer() {
    // 8.10: what was accepted satisfies the filters of its own direction, and the list keeps no state.
    let lines =
        ["nacl acl-1 vpc-1 subnet-1", "acl-1 in 100 allow tcp 443 0.0.0.0/0", "sg-1 out all 0.0.0.0/0"];
    let eni = "eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10\nroute subnet-1 0.0.0.0/0 igw-1";
    let network = Fixture::new(&format!(
        "vpc vpc-1 10.0.0.0/16\nsubnet subnet-1 vpc-1 10.0.1.0/24\n{}\n{eni}",
        lines.join("\n")
    ))
    .network();
    let mut asked = flow("10.0.1.10", "203.0.113.44", 51_090);
    asked.src_port = Some(443);
    let mut found = traced(&network, asked);
    assert_eq!(found.blockers().next().map(|stage| stage.layer), Some(Layer::NetworkAcl));
    let mut with = |flags: Option<i64>| {
        let record = LogRecord {
            start: "2026-01-15T10:00:00Z".into(),
            interface: "eni-a".into(),
            src: "203.0.113.44".into(),
            src_port: Some(51_090),
            dst: "10.0.1.10".into(),
            dst_port: Some(443),
            action: "ACCEPT".into(),
            tcp_flags: flags,
            ..LogRecord::default()
        };
        found.logged = Some(Logged { found: 1, records: vec![record], ..Logged::default() });
        (found.contradiction(), found.answer_to())
    };
    let (contradiction, answer_to) = with(Some(2));
    assert_eq!(contradiction, None);
    let told = "this is the answer to 203.0.113.44 port 51090 to 10.0.1.10 port 443, which eni-a accepted";
    assert!(answer_to.clone().unwrap_or_default().starts_with(told), "{answer_to:?}");
    // Without flags, and in the middle of a connection, nobody knows which end began.
    assert_eq!((with(None), with(Some(16))), ((None, None), (None, None)));
    // A SYN-ACK that came in shows that the SYN went out.
    assert!(with(Some(18)).0.is_some_and(|told| told.contains("(network_acl at subnet-1)")));
}

#[test]
fn within_the_vpc_no_address_is_translated() {
    // Only the internet gateway maps a private address to its public one: 10.0.2.20 asked for by its Elastic address is seen
    // as 10.0.2.20, for which the reference holds.
    let lines = [
        ANSWERS,
        "route subnet-1 0.0.0.0/0 igw-1",
        "route subnet-1 10.0.0.0/16 local",
        "route subnet-2 0.0.0.0/0 igw-1",
        "route subnet-2 10.0.0.0/16 local",
        "sg-1 in tcp 5432 sg-2",
        "eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10",
        "eni eni-b subnet-2 10.0.2.20 groups=sg-2 public=192.0.2.20",
    ];
    let network = network(&lines);
    let found = traced(&network, flow("192.0.2.20", "10.0.1.10", 5432));
    assert_eq!((found.outcome(), blockers(&found)), (Decision::Allow, Vec::new()), "{}", found.text());
    assert!(
        found.text().contains("192.0.2.20 is its address on the internet only: 10.0.1.10 sees 10.0.2.20")
    );
    // By public addresses on both sides it goes over the internet gateway.
    assert_eq!(traced(&network, flow("192.0.2.20", "192.0.2.10", 5432)).outcome(), Decision::Deny);
}
