//! Ways over gateways, each followed by hand.

use super::cases::{self, blockers, flow, stages};
use super::*;
use crate::net::ICMP;
use crate::network::View;
use crate::rules::fixture::Fixture;

/// A public subnet with a NAT gateway, and a private one behind it.
const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-1 subnet-2
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    route subnet-2 0.0.0.0/0 nat-1
    sg-1 in tcp 443 192.0.2.50/32
    sg-1 out all 0.0.0.0/0
    eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
    eni eni-web subnet-1 10.0.1.10 groups=sg-1 public=192.0.2.10
    eni eni-app subnet-2 10.0.2.10 groups=sg-1
    bpa subnet-1 off
    bpa subnet-2 off";

fn run(text: &str, src: &str, dst: &str) -> Trace {
    cases::run(text, src, dst, 443)
}

#[test]
fn a_nat_gateway_is_followed_through_its_subnet() {
    let out = run(NETWORK, "10.0.2.10", "198.51.100.7");
    assert_eq!(
        stages(&out),
        [
            "there address 10.0.2.10 allow",
            "there address 198.51.100.7 not_applicable",
            "there address 10.0.2.10 allow",
            "there security_group outbound eni-app allow",
            "there network_acl outbound subnet-2 allow",
            "there route subnet-2 allow",
            "there network_acl inbound subnet-1 allow",
            "there network_acl outbound subnet-1 allow",
            "there route subnet-1 allow",
            "there vpc_block_public_access subnet-1 allow",
            "back network_acl inbound subnet-1 allow",
            "back network_acl outbound subnet-1 allow",
            "back route subnet-1 allow",
            "back network_acl inbound subnet-2 allow",
            "back security_group inbound eni-app not_applicable",
        ]
    );
    assert_eq!(out.outcome(), Decision::Allow);
    assert!(out.translated.contains(&"192.0.2.50".parse().unwrap()));
    // The gateway's own ports on the internet's side, the client's behind it.
    let ports = |at: usize| (out.stages[at].clients[0].first, out.stages[at].clients.len());
    assert_eq!((ports(10), ports(11)), ((1024, 1), (32768, 2)));

    for (entry, blocker) in [
        ("acl-1 in 50 deny tcp 443 10.0.2.0/24", "there network_acl subnet-1"),
        ("acl-1 out 50 deny tcp 443 198.51.100.0/24", "there network_acl subnet-1"),
        ("acl-1 in 50 deny tcp 198.51.100.0/24", "back network_acl subnet-1"),
        ("acl-1 out 50 deny tcp 10.0.2.0/24", "back network_acl subnet-1"),
    ] {
        let found = run(&format!("{NETWORK}\n{entry}"), "10.0.2.10", "198.51.100.7");
        assert_eq!(blockers(&found), [blocker], "{entry}");
    }
    let without = run(&NETWORK.replace("public=192.0.2.50 ", ""), "10.0.2.10", "198.51.100.7");
    assert_eq!(blockers(&without), ["there route subnet-1"], "a private NAT gateway at an internet gateway");
}

#[test]
fn over_a_nat_gateway_to_one_of_our_own() {
    // The group lets in the gateway's address and not the client's.
    let found = run(NETWORK, "10.0.2.10", "192.0.2.10");
    let group = found.stages.iter().rfind(|stage| stage.way == Way::There).unwrap();
    assert_eq!((group.layer, group.outcome), (Layer::SecurityGroup, Decision::Allow), "{:?}", stages(&found));
    assert_eq!(found.outcome(), Decision::Allow, "{:?}", stages(&found));
    // Behind it nothing can be reached that it was not asked to.
    let inwards = run(NETWORK, "198.51.100.7", "192.0.2.50");
    assert_eq!(blockers(&inwards)[0], "there address eni-nat");
}

#[test]
fn public_access_is_blocked_by_the_subnets_mode() {
    let with = |mode: &str| NETWORK.replace("bpa subnet-1 off", &format!("bpa subnet-1 {mode}"));
    let asked = |mode: &str, src: &str, dst: &str| {
        let found = run(&with(mode), src, dst);
        let fixes =
            found.stages.iter().filter(|s| s.layer == Layer::PublicAccess).find_map(|s| s.fix.clone());
        let blocked = blockers(&found).contains(&"there vpc_block_public_access subnet-1".to_owned());
        (blocked, fixes.map(|fix| fix.command.rsplit(' ').next().unwrap().to_owned()))
    };
    let exclusion = |mode: &str| (true, Some(mode.to_owned()));

    // In from the internet, out over the internet gateway, out over the NAT gateway.
    for (src, dst, bidirectional, ingress) in [
        ("198.51.100.7", "192.0.2.10", "allow-bidirectional", true),
        // Over an internet gateway letting out may not suffice.
        ("10.0.1.10", "198.51.100.7", "allow-bidirectional", true),
        ("10.0.2.10", "198.51.100.7", "allow-egress", false),
    ] {
        assert_eq!(asked("block-bidirectional", src, dst), exclusion(bidirectional), "{src} {dst}");
        assert_eq!(asked("block-ingress", src, dst).0, ingress, "{src} {dst}");
        assert!(!asked("off", src, dst).0);
    }
    // From block-ingress an exclusion that lets out takes nothing out.
    let out = asked("block-ingress", "10.0.1.10", "198.51.100.7");
    assert_eq!(out, exclusion("allow-bidirectional"));
    let unknown = run(&NETWORK.replace("bpa subnet-1 off", ""), "198.51.100.7", "192.0.2.10");
    assert!(unknown.not_checked.iter().any(|text| text.contains("Block Public Access at subnet-1")));
}

const TRANSIT: &str = "
    vpc vpc-1 10.0.0.0/16
    vpc vpc-2 10.8.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-9 vpc-1 10.0.9.0/28
    subnet subnet-8 vpc-2 10.8.1.0/24
    zone subnet-1 us-east-1a
    zone subnet-9 us-east-1a
    zone subnet-8 us-east-1a
    nacl acl-1 vpc-1 default subnet-1 subnet-9
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-2 default subnet-8
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-1 10.8.0.0/16 tgw-1
    route subnet-8 10.8.0.0/16 local
    route subnet-8 10.0.0.0/8 tgw-1
    sg-1 in all 10.0.0.0/8
    sg-1 out all 0.0.0.0/0
    attachment tgw-attach-1 tgw-1 vpc-1 subnet-9
    attachment tgw-attach-2 tgw-1 vpc-2 subnet-8
    eni eni-t1 subnet-9 10.0.9.5 groups= type=transit_gateway
    eni eni-t2 subnet-8 10.8.1.5 groups= type=transit_gateway
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-b subnet-8 10.8.1.10 groups=sg-1";

#[test]
fn a_transit_gateway_is_followed_as_far_as_the_configuration_goes() {
    let found = run(TRANSIT, "10.0.1.10", "10.8.1.10");
    let between: Vec<String> = stages(&found).into_iter().skip(2).take(8).collect();
    assert_eq!(
        between,
        [
            "there security_group outbound eni-a allow",
            "there network_acl outbound subnet-1 allow",
            "there route subnet-1 allow",
            "there network_acl inbound subnet-9 allow",
            "there gateway tgw-1 unknown",
            // Spec 1.2, rows e and d: within one subnet no list applies from the attachment to the instance.
            "there network_acl outbound subnet-8 not_applicable",
            "there network_acl inbound subnet-8 not_applicable",
            "there security_group inbound eni-b allow",
        ]
    );
    assert_eq!(found.outcome(), Decision::Unknown);
    assert!(found.not_checked.iter().any(|text| text.contains("route tables of tgw-1")));

    let zone = run(
        &TRANSIT.replace("zone subnet-9 us-east-1a", "zone subnet-9 us-east-1b"),
        "10.0.1.10",
        "10.8.1.10",
    );
    assert_eq!(blockers(&zone)[0], "there gateway tgw-attach-1", "no attachment in the zone");
    let unattached =
        run(&TRANSIT.replace("attachment tgw-attach-1 tgw-1 vpc-1 subnet-9", ""), "10.0.1.10", "10.8.1.10");
    assert_eq!(blockers(&unattached), Vec::<String>::new(), "what is missing proves nothing");
    let blocked = run(
        &TRANSIT.replace("acl-1 in 100 allow all 0.0.0.0/0", "acl-1 in 100 allow all 10.8.0.0/16"),
        "10.0.1.10",
        "10.8.1.10",
    );
    assert_eq!(blockers(&blocked), ["there network_acl subnet-9"], "the attachment's list sees the source");
}

#[test]
fn a_transit_gateways_own_routes_decide_where_it_leads() {
    // The table that is associated with the attachment by which the packets come in, the longest prefix first.
    let network = TRANSIT
        .replace("tgw-1 vpc-1 subnet-9", "tgw-1 vpc-1 subnet-9 tgw-rtb-1")
        .replace("tgw-1 vpc-2 subnet-8", "tgw-1 vpc-2 subnet-8 tgw-rtb-2");
    let back = "transit tgw-rtb-2 10.0.0.0/16 tgw-attach-1";
    let led = |there: &str| {
        let found = run(&format!("{network}\n{back}\n{there}"), "10.0.1.10", "10.8.1.10");
        let stage = found.stages.iter().find(|stage| stage.layer == Layer::Gateway).unwrap();
        let left_out = found.not_checked.iter().any(|text| text.contains("search-transit-gateway-routes"));
        (stage.outcome, stage.rule.clone().unwrap_or_default(), left_out, found.outcome())
    };
    let right = "transit tgw-rtb-1 10.8.0.0/16 tgw-attach-2";
    let rule = "tgw-rtb-1 10.8.0.0/16 to tgw-attach-2".to_owned();
    assert_eq!(led(right), (Decision::Allow, rule.clone(), false, Decision::Allow));
    let longer = led(&format!("{right}\ntransit tgw-rtb-1 10.8.1.0/24 blackhole"));
    assert_eq!((longer.0, longer.3), (Decision::Deny, Decision::Deny));
    // An attachment that is not in the configuration may lead to what inspects packets and sends them on.
    assert_eq!(led("transit tgw-rtb-1 0.0.0.0/0 tgw-attach-9").0, Decision::Unknown);
    assert_eq!(led("transit tgw-rtb-1 10.9.0.0/16 tgw-attach-2").0, Decision::Deny, "no route");
    // What an answer may leave out denies nothing.
    let part = "transit tgw-rtb-1 part";
    assert_eq!(led(&format!("{part}\n{right}")), (Decision::Allow, rule, true, Decision::Allow));
    for there in ["transit tgw-rtb-1 0.0.0.0/0 tgw-attach-9", "transit tgw-rtb-1 10.9.0.0/16 tgw-attach-2"] {
        assert_eq!(led(&format!("{part}\n{there}")).0, Decision::Unknown);
    }
    assert_eq!(led("").0, Decision::Unknown, "its routes are not in the configuration");
}

#[test]
fn other_targets_are_followed_or_named() {
    let route = |line: &str, dst: &str| {
        let found = run(&format!("{NETWORK}\n{line}"), "10.0.1.10", dst);
        let stage = found.stages.iter().find(|stage| stage.layer == Layer::Route).unwrap();
        (stage.outcome, found.not_checked.join("\n"))
    };
    let (vpn, named) = route("route subnet-1 192.168.0.0/16 vgw-1", "192.168.1.1");
    assert!(
        vpn == Decision::Unknown && named.contains("VPN connections and Direct Connect gateways of vgw-1")
    );
    let (endpoint, named) = route("list pl-1 203.0.113.0/24\nroute subnet-1 pl-1 vpce-1", "203.0.113.9");
    assert!(
        endpoint == Decision::Allow && named.contains("policy of the gateway endpoint vpce-1"),
        "{named}"
    );
    let (firewall, _) = route("route subnet-1 203.0.113.0/24 vpce-2", "203.0.113.9");
    assert_eq!(firewall, Decision::Unknown);
    // A list whose entries are not known may hold the address.
    let none =
        NETWORK.replace("route subnet-1 0.0.0.0/0 igw-1", "list pl-1 unknown\nroute subnet-1 pl-1 vpce-1");
    let found = run(&none, "10.0.1.10", "203.0.113.9");
    assert_eq!(found.stages.iter().find(|s| s.layer == Layer::Route).unwrap().outcome, Decision::Unknown);
    // A fixture's interfaces check source and destination.
    assert_eq!(route("route subnet-1 203.0.113.0/24 eni-app", "203.0.113.9").0, Decision::Deny);
    // Overlapping blocks: the other VPC's address is one of the own VPC, and its packets never leave.
    let twin = "vpc vpc-2 10.0.0.0/16\nsubnet subnet-7 vpc-2 10.0.7.0/24\neni eni-twin subnet-7 10.0.7.7 groups=sg-1";
    assert_eq!(route(twin, "10.0.7.7").0, Decision::Deny);
}

#[test]
fn the_fix_of_a_ping_names_its_type() {
    let network = Fixture::new(&format!("{NETWORK}\nacl-1 in 50 deny icmp 198.51.100.0/24")).network();
    let flow = Flow {
        protocol: ICMP,
        dst_port: None,
        icmp: Some((8, None)),
        ..flow("198.51.100.7", "192.0.2.10", 0)
    };
    let found = trace(&network, flow, View { at: 0, after: false }).unwrap();
    let commands: Vec<String> =
        found.blockers().filter_map(|s| s.fix.clone()).map(|fix| fix.command).collect();
    assert!(commands[0].contains("--icmp-type-code Type=8,Code=-1"), "{commands:?}");
    assert!(commands[1].contains("IpProtocol=icmp,FromPort=8,ToPort=-1"), "{commands:?}");
}

#[test]
fn the_nearest_entry_of_a_list_is_named() {
    let text =
        NETWORK.replace("acl-1 in 100 allow all 0.0.0.0/0", "acl-1 in 100 allow tcp 443 203.0.113.0/24");
    let found = run(&text, "198.51.100.7", "192.0.2.10");
    let stage = found.blockers().find(|stage| stage.layer == Layer::NetworkAcl).unwrap();
    assert!(stage.nearest.as_ref().unwrap().ends_with("(other address)"), "{:?}", stage.nearest);
}

#[test]
fn records_of_the_flow_are_told_from_others() {
    let mut found = run(NETWORK, "198.51.100.7", "192.0.2.10");
    found.flow.src_port = Some(40_000);
    let window = Window { from: Some(0), to: Some(60) };
    assert_eq!(
        found.condition(window),
        "protocol = 6 and (((srcaddr in ('198.51.100.7') or pkt_srcaddr in ('198.51.100.7')) and (dstaddr in ('10.0.1.10', \
         '192.0.2.10') or pkt_dstaddr in ('10.0.1.10', '192.0.2.10')) and srcport = 40000 and dstport = 443) or ((srcaddr in \
         ('10.0.1.10', '192.0.2.10') or pkt_srcaddr in ('10.0.1.10', '192.0.2.10')) and (dstaddr in ('198.51.100.7') or \
         pkt_dstaddr in ('198.51.100.7')) and srcport = 443 and dstport = 40000)) and \"end\" >= '1970-01-01T00:00:00Z' and \
         start <= '1970-01-01T00:01:00Z'"
    );
}

#[test]
fn behind_a_nat_gateway_that_translates_from_ipv6_the_ipv4_address_is_asked_for() {
    // AWS, "DNS64 and NAT64": 64:ff9b::/96 is routed to the gateway, which sends to the IPv4 address in it.
    let text = |out: &str| {
        format!(
            "vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
             subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64
             subnet subnet-2 vpc-1 10.0.2.0/24 2001:db8:1:2::/64
             nacl acl-1 vpc-1 subnet-1
             acl-1 in 100 allow all 0.0.0.0/0
             acl-1 in 101 allow all ::/0
             {out}
             acl-1 out 101 allow all ::/0
             nacl acl-2 vpc-1 subnet-2
             acl-2 in 101 allow all ::/0
             acl-2 out 101 allow all ::/0
             route subnet-1 2001:db8:1::/56 local
             route subnet-1 0.0.0.0/0 igw-1
             route subnet-2 2001:db8:1::/56 local
             route subnet-2 64:ff9b::/96 nat-1
             sg-1 out all ::/0
             bpa subnet-1 off
             bpa subnet-2 off
             eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
             eni eni-a subnet-2 10.0.2.10 2001:db8:1:2::10 groups=sg-1"
        )
    };
    let ask = |out: &str| run(&text(out), "2001:db8:1:2::10", "64:ff9b::c633:6414");
    let open = ask("acl-1 out 100 allow all 0.0.0.0/0");
    assert_eq!(open.outcome(), Decision::Allow, "{}", open.text());
    assert!(open.text().contains("the destination sees 192.0.2.50 of nat-1"), "{}", open.text());
    // The list of the gateway's subnet is asked about 198.51.100.20.
    let shut = ask("acl-1 out 100 allow all 203.0.113.0/24");
    assert_eq!(
        shut.blockers().map(|stage| stage.at.as_str()).collect::<Vec<_>>(),
        ["subnet-1"],
        "{}",
        shut.text()
    );
}

#[test]
fn a_route_that_another_may_take_is_not_known() {
    // The list's route is longer, if the address is in it.
    let text = format!("{NETWORK}\nlist pl-9 unknown\nroute subnet-1 pl-9 pcx-1");
    let found = run(&text, "10.0.1.10", "203.0.113.9");
    let stage = found.stages.iter().find(|stage| stage.layer == Layer::Route).unwrap();
    assert_eq!(stage.outcome, Decision::Unknown);
    assert!(stage.reason.contains("unless it is taken by the route of"), "{}", stage.reason);
    // A gateway endpoint's list holds public addresses, and says nothing of private ones.
    let endpoint = format!("{NETWORK}\nlist pl-9 unknown\nroute subnet-1 pl-9 vpce-1");
    let found = run(&endpoint, "10.0.1.10", "10.0.1.99");
    assert!(found.not_checked.iter().all(|text| !text.contains("pl-9")), "{:?}", found.not_checked);
}
