//! Cases in which what lies beside the way, or beside the moment, was left out. Expectations are worked out by hand.

use super::cases::{blockers, flow, traced};
use super::*;
use crate::net::ICMP;
use crate::network::{
    Network, NetworkInterface, Observation, Origin, Peering, PeeringEnd, SecurityGroup, Timeline, View,
};
use crate::rules::fixture::Fixture;

/// A client and a server in two subnets, everything open, and a NAT gateway beside the server that the client's routes do not
/// lead to.
const TWO: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1
    nacl acl-2 vpc-1 subnet-2
    acl-1 out 100 allow all 0.0.0.0/0
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    bpa subnet-1 off
    bpa subnet-2 off
    sg-1 out all 0.0.0.0/0
    sg-2 out all 0.0.0.0/0
    eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10
    eni eni-b subnet-2 10.0.2.20 groups=sg-2
    eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1";

fn network(lines: &str) -> Network {
    Fixture::new(&format!("{TWO}\n{lines}")).network()
}

fn interface(network: &Network, id: &str) -> NetworkInterface {
    let view = View { at: 0, after: false };
    network.interfaces.get(id, view).unwrap().value.as_ref().clone()
}

#[test]
fn what_lies_behind_a_proposed_route_is_looked_at_too() {
    // The NAT gateway's subnet lets in tcp 22 alone: neither the request to 443 nor its answers.
    let found =
        traced(&network("acl-1 in 100 allow tcp 22 0.0.0.0/0"), flow("10.0.2.20", "198.51.100.7", 443));
    assert_eq!(
        blockers(&found),
        ["there route subnet-2", "there network_acl subnet-1", "back network_acl subnet-1"],
        "{}",
        found.text()
    );
    let route = found.blockers().next().and_then(|stage| stage.fix.as_ref()).unwrap();
    assert!(route.command.ends_with("--nat-gateway-id nat-1"), "{}", route.command);
    // Where it lets them in, the route is all that is missing.
    let open = traced(&network("acl-1 in 100 allow all 0.0.0.0/0"), flow("10.0.2.20", "198.51.100.7", 443));
    assert_eq!(blockers(&open), ["there route subnet-2"], "{}", open.text());
}

#[test]
fn blocks_of_a_peered_vpc_count_where_the_connection_shows_one_family() {
    let mut network = Fixture::new(
        "vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
         vpc vpc-2 10.1.0.0/16 2001:db8:2::/56
         subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64
         subnet subnet-2 vpc-2 10.1.1.0/24 2001:db8:2:1::/64
         route subnet-1 2001:db8:2::/56 pcx-1
         route subnet-2 2001:db8:1::/56 pcx-1
         sg-1 in all ::/0
         sg-1 out all ::/0
         eni eni-a subnet-1 10.0.1.10 2001:db8:1:1::10 groups=sg-1
         eni eni-b subnet-2 10.1.1.10 2001:db8:2:1::10 groups=sg-1",
    )
    .network();
    let end = |vpc: &str, block: &str| PeeringEnd {
        vpc_id: Some(vpc.into()),
        cidrs: vec![block.parse().unwrap()],
        ..PeeringEnd::default()
    };
    let peering = Peering {
        id: "pcx-1".into(),
        status: Some("active".into()),
        requester: end("vpc-1", "10.0.0.0/16"),
        accepter: end("vpc-2", "10.1.0.0/16"),
    };
    network.peerings.put("pcx-1".into(), Timeline::always(peering));
    network.finish();
    let found = traced(&network, flow("2001:db8:1:1::10", "2001:db8:2:1::10", 443));
    let routes: Vec<Decision> =
        found.stages.iter().filter(|stage| stage.layer == Layer::Route).map(|stage| stage.outcome).collect();
    assert_eq!(routes, [Decision::Allow, Decision::Allow], "{}", found.text());
}

#[test]
fn an_interface_that_denies_the_internet_is_not_reached_from_there() {
    // EC2 API, NetworkInterface, DenyAllIgwTraffic: inbound traffic from the internet is dropped.
    let mut network = network("acl-1 in 100 allow all 0.0.0.0/0\nsg-1 in tcp 443 0.0.0.0/0");
    let outcome = |network: &Network, src: &str| traced(network, flow(src, "10.0.1.10", 443)).outcome();
    assert_eq!(outcome(&network, "198.51.100.7"), Decision::Allow);
    let denying = NetworkInterface { denies_internet: true, ..interface(&network, "eni-a") };
    network.interfaces.put("eni-a".into(), Timeline::always(denying));
    network.finish();
    assert_eq!(outcome(&network, "198.51.100.7"), Decision::Deny);
    assert_eq!(outcome(&network, "10.0.2.20"), Decision::Allow, "from within the VPC");
}

#[test]
fn a_timestamp_is_answered() {
    // RFC 792: 13 by 14. The client's list lets echo replies in alone.
    let lines = "acl-1 in 100 allow icmp 0.0.0.0/0\nsg-1 in icmp 0.0.0.0/0";
    let text = format!("{TWO}\n{lines}")
        .replace("acl-2 in 100 allow all 0.0.0.0/0", "acl-2 in 100 allow icmp 0 0.0.0.0/0");
    let network = Fixture::new(&text).network();
    let ping = |kind: u8| {
        let asked = Flow {
            protocol: ICMP,
            dst_port: None,
            icmp: Some((kind, None)),
            ..flow("10.0.2.20", "10.0.1.10", 0)
        };
        blockers(&traced(&network, asked))
    };
    assert_eq!(ping(8), Vec::<String>::new());
    assert_eq!(ping(13), ["back network_acl subnet-2"]);
}

const HOUR: i64 = 3600;

/// A group that is open in a capture of second 0, and shut in the next, three hours later.
fn shut_by_the_next_capture() -> Network {
    let mut network = network("acl-1 in 100 allow all 0.0.0.0/0\nsg-1 in tcp 22 0.0.0.0/0");
    let view = View { at: 0, after: false };
    let open = network.groups.get("sg-1", view).unwrap().value.as_ref().clone();
    let shut = SecurityGroup { rules: vec![open.rules[0].clone()], ..open.clone() };
    assert!(shut.rules[0].egress);
    let captured = |at, group| Observation::new(Some(at), Origin::Snapshot, Some(group));
    network.groups.put("sg-1".into(), Timeline::new(vec![captured(0, open), captured(3 * HOUR, shut)]));
    network.finish();
    network
}

#[test]
fn the_headline_does_not_hide_what_the_next_capture_says() {
    let network = shut_by_the_next_capture();
    let headline = |at| {
        let found =
            trace(&network, flow("198.51.100.7", "10.0.1.10", 22), View { at, after: false }).unwrap();
        found.text().lines().next().unwrap_or_default().to_owned()
    };
    let told = "passes by the capture before that time; by the one after it it is blocked";
    assert!(headline(3 * HOUR - 60).ends_with(told), "{}", headline(3 * HOUR - 60));
    assert!(headline(0).ends_with(": passes"), "{}", headline(0));
}

#[test]
fn what_the_next_capture_says_otherwise_is_told() {
    let network = shut_by_the_next_capture();
    let at = |at| trace(&network, flow("198.51.100.7", "10.0.1.10", 22), View { at, after: false }).unwrap();
    let before = at(3 * HOUR - 60);
    assert_eq!(before.outcome(), Decision::Allow);
    let told = "by the later one it is blocked";
    assert!(before.not_checked.iter().any(|text| text.ends_with(told)), "{:?}", before.not_checked);
    for (moment, outcome) in [(0, Decision::Allow), (3 * HOUR, Decision::Deny)] {
        let found = at(moment);
        assert_eq!(found.outcome(), outcome);
        assert!(!found.not_checked.iter().any(|text| text.contains("by the later one")));
    }
}

#[test]
fn a_rule_of_the_other_family_and_of_another_port_differs_in_two_things() {
    let lines = "acl-1 in 100 allow all 0.0.0.0/0\nsg-1 in tcp 443 ::/0\nsg-1 in tcp 443 10.0.0.0/8";
    let found = traced(&network(lines), flow("10.0.2.20", "10.0.1.10", 22));
    let stage = found.blockers().next().unwrap();
    let because = |remote: &str| {
        let line = stage.rules.iter().find(|line| line.text.ends_with(remote)).unwrap();
        line.because.clone().unwrap_or_default()
    };
    assert_eq!(
        (because("::/0").as_str(), because("10.0.0.0/8").as_str()),
        ("other port and address", "other port")
    );
    assert_eq!(
        stage.nearest.as_deref(),
        Some("group sg-1 inbound rule allow tcp 443 from 10.0.0.0/8 (other port)")
    );
}

#[test]
fn what_a_host_sends_to_itself_is_no_matter_of_the_network() {
    let asked = trace(&network(""), flow("10.0.1.10", "10.0.1.10", 443), View { at: 0, after: false });
    assert!(matches!(asked, Err(TraceError::Same(_))), "{asked:?}");
}

#[test]
fn stages_at_addresses_name_their_interfaces_in_json() {
    let found =
        traced(&network("acl-1 in 100 allow all 0.0.0.0/0"), flow("198.51.100.7", "192.0.2.10", 443)).json();
    let stage = &found["stages"][1];
    assert_eq!((&stage["layer"], &stage["at"]), (&"address".into(), &"192.0.2.10".into()));
    assert_eq!((&stage["interface"], &stage["subnet"]), (&"eni-a".into(), &"subnet-1".into()));
    assert!(found["stages"][0]["interface"].is_null());
}
