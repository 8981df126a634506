//! Cases that were told wrongly once. What is expected was worked out by hand from the semantics spec.

use super::cases::{self, blockers, flow, traced};
use super::*;
use crate::rules::fixture::Fixture;

pub(super) fn run(text: &str, src: &str, dst: &str) -> Trace {
    cases::run(text, src, dst, 443)
}

fn unchecked(trace: &Trace, text: &str) -> bool {
    trace.not_checked.iter().any(|told| told.contains(text))
}

pub(super) fn fixes(trace: &Trace) -> Vec<&crate::attribute::Fix> {
    trace.stages.iter().filter_map(|stage| stage.fix.as_ref()).collect()
}

/// Two subnets under one list.
pub(super) const ONE_LIST: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-2 10.0.0.0/16 local
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-b subnet-2 10.0.2.10 groups=sg-1";

/// A subnet with an internet gateway, and an interface with two addresses.
const PUBLIC: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-1 10.0.0.0/16 local
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    bpa subnet-1 off";

#[test]
fn a_public_address_belongs_to_one_private_address() {
    // 6.5: `Association` stands in each element of `PrivateIpAddresses`.
    for (holder, other) in [("10.0.1.10", "10.0.1.12"), ("10.0.1.12", "10.0.1.10")] {
        let text = format!(
            "{PUBLIC}\neni eni-a subnet-1 10.0.1.10 10.0.1.12 groups=sg-1 public=203.0.113.10@{holder}"
        );
        assert_eq!(run(&text, "198.51.100.7", holder).outcome(), Decision::Allow);
        assert_eq!(run(&text, holder, "198.51.100.7").outcome(), Decision::Allow);
        let (inwards, outwards) = (run(&text, "198.51.100.7", other), run(&text, other, "198.51.100.7"));
        assert_eq!(blockers(&inwards)[0], format!("there address {other}"));
        assert_eq!(blockers(&outwards), ["there route subnet-1"]);
        let by_public = run(&text, "198.51.100.7", "203.0.113.10");
        assert!(
            by_public.stages[1].reason.contains(&format!("mapped to {holder} ")),
            "{:?}",
            by_public.stages[1]
        );
    }
    // The `Association` of the interface itself is the primary address's.
    let text = format!("{PUBLIC}\neni eni-a subnet-1 10.0.1.10 10.0.1.12 groups=sg-1 public=203.0.113.10");
    assert_eq!(run(&text, "198.51.100.7", "10.0.1.10").outcome(), Decision::Allow);
    assert_eq!(run(&text, "198.51.100.7", "10.0.1.12").outcome(), Decision::Deny);
}

#[test]
fn a_form_that_tells_no_public_address_denies_none() {
    let text = format!("{PUBLIC}\neni eni-a subnet-1 10.0.1.10 groups=sg-1 public=unknown");
    for (src, dst) in [("198.51.100.7", "10.0.1.10"), ("10.0.1.10", "198.51.100.7")] {
        let found = run(&text, src, dst);
        assert_eq!((blockers(&found), found.outcome()), (Vec::new(), Decision::Unknown), "{src} {dst}");
        assert!(
            unchecked(&found, "whether 10.0.1.10 of eni-a has a public address"),
            "{:?}",
            found.not_checked
        );
    }
}

#[test]
fn a_nat_gateway_whose_subnet_leads_back_to_it_reaches_nothing() {
    let text = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-3 vpc-1 10.0.3.0/24
        nacl acl-1 vpc-1 subnet-3
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        route subnet-3 0.0.0.0/0 nat-1
        route subnet-3 10.0.0.0/16 local
        sg-1 out all 0.0.0.0/0
        eni eni-nat subnet-3 10.0.3.220 groups= type=nat_gateway public=203.0.113.220 description=Interface for NAT Gateway nat-1
        eni eni-a subnet-3 10.0.3.10 groups=sg-1";
    let found = run(text, "10.0.3.10", "198.51.100.7");
    assert_eq!(blockers(&found), ["there route subnet-3"]);
    let stage = found.blockers().next().unwrap();
    assert!(stage.reason.contains("leads back to nat-1 itself"), "{}", stage.reason);
    // Through one gateway into another: not known to work, and not known to fail.
    let other = run(&text.replace("NAT Gateway nat-1", "NAT Gateway nat-2"), "10.0.3.220", "198.51.100.7");
    assert_eq!((blockers(&other), other.outcome()), (Vec::new(), Decision::Unknown));
}

#[test]
fn a_nat_gateway_carries_three_protocols() {
    let text = format!(
        "{PUBLIC}\nsubnet subnet-2 vpc-1 10.0.2.0/24\nnacl acl-2 vpc-1 subnet-2\nacl-2 in 100 allow all 0.0.0.0/0
        acl-2 out 100 allow all 0.0.0.0/0\nroute subnet-2 0.0.0.0/0 nat-1
        eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
        eni eni-app subnet-2 10.0.2.10 groups=sg-1"
    );
    let asked = |protocol| {
        let asked = Flow { protocol, dst_port: None, ..flow("10.0.2.10", "198.51.100.7", 443) };
        blockers(&traced(&Fixture::new(&text).network(), asked))
    };
    assert_eq!(
        (asked(50), asked(47)),
        (vec!["there gateway nat-1".to_owned()], vec!["there gateway nat-1".to_owned()])
    );
    assert_eq!(asked(1), Vec::<String>::new());
    // Services of the VPC itself lie on no route (2.7, 3.4).
    let metadata = run(&text, "10.0.2.10", "169.254.169.254");
    assert_eq!(metadata.outcome(), Decision::Allow);
    assert!(metadata.translated.is_empty() && metadata.stages.iter().all(|stage| stage.at != "subnet-1"));
}

#[test]
fn of_several_holders_the_one_that_the_other_end_can_reach_is_meant() {
    let own = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        subnet subnet-3 vpc-1 10.0.3.0/24
        eni eni-pub subnet-1 10.0.1.10 groups=sg-1
        eni eni-priv subnet-3 10.0.3.10 groups=sg-1
        vpc vpc-9 10.0.0.0/16
        subnet subnet-9 vpc-9 10.0.3.0/24
        eni eni-9 subnet-9 10.0.3.10 groups=sg-1";
    let holder = |text: &str, src: &str, dst: &str| {
        let found = run(text, src, dst);
        let told = found.not_checked.iter().find(|text| text.contains("is held by")).cloned();
        (found.interfaces.map(|end| end.map(|(interface, _)| interface)), told.unwrap_or_default())
    };
    for (src, dst, at) in [("10.0.3.10", "10.0.1.10", 0), ("10.0.1.10", "10.0.3.10", 1)] {
        let (ends, told) = holder(own, src, dst);
        assert_eq!(ends[at].as_deref(), Some("eni-priv"));
        assert!(told.contains("eni-priv, in the other end's VPC, was taken"), "{told}");
    }
    // Neither is in the other end's VPC, and one in a VPC that is peered with it.
    let peered = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        eni eni-pub subnet-1 10.0.1.10 groups=sg-1
        vpc vpc-0 10.9.0.0/16
        vpc vpc-2 10.9.0.0/16
        subnet subnet-0 vpc-0 10.9.1.0/24
        subnet subnet-2 vpc-2 10.9.1.0/24
        eni eni-0 subnet-0 10.9.1.20 groups=sg-1
        eni eni-2 subnet-2 10.9.1.20 groups=sg-1
        peering pcx-1 vpc-1 vpc-2";
    let (ends, told) = holder(peered, "10.0.1.10", "10.9.1.20");
    assert_eq!(ends[1].as_deref(), Some("eni-2"));
    assert!(told.contains("whose VPC is peered"), "{told}");
    let (ends, told) = holder(&peered.replace("peering pcx-1 vpc-1 vpc-2", ""), "10.0.1.10", "10.9.1.20");
    assert!(ends[1].as_deref() == Some("eni-0") && told.contains("the first, was taken"), "{told}");
}

const TRANSIT: &str = "
    vpc vpc-1 10.0.0.0/16
    vpc vpc-2 10.1.0.0/16
    subnet subnet-1 vpc-1 10.0.3.0/24
    subnet subnet-9 vpc-1 10.0.4.0/24
    subnet subnet-2 vpc-2 10.1.1.0/24
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-9 vpc-1 subnet-9
    acl-9 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-2 subnet-2
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.1.0.0/16 tgw-1
    route subnet-2 10.0.0.0/16 tgw-1
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    attachment tgw-attach-1 tgw-1 vpc-1 subnet-9
    attachment tgw-attach-2 tgw-1 vpc-2 subnet-2
    eni eni-t1 subnet-9 10.0.4.5 groups= type=transit_gateway
    eni eni-t2 subnet-2 10.1.1.5 groups= type=transit_gateway
    eni eni-a subnet-1 10.0.3.10 groups=sg-1
    eni eni-b subnet-2 10.1.1.10 groups=sg-1";

#[test]
fn the_attachments_list_counts_though_no_zone_is_known() {
    // 1.2: the attachment subnet's inbound rules on the source address, from the instance to the gateway.
    let found = run(TRANSIT, "10.0.3.10", "10.1.1.10");
    assert_eq!(blockers(&found), ["there network_acl subnet-9"]);
    assert!(unchecked(&found, "whether tgw-attach-1 is in the zone of subnet-1"));
    assert!(!unchecked(&found, "whether tgw-attach-2"), "the target is in the attachment's own subnet");
    // One of several subnets cannot be chosen without zones; an attachment that is not there is named.
    let several = TRANSIT.replace("tgw-1 vpc-1 subnet-9", "tgw-1 vpc-1 subnet-9 subnet-8");
    let found = run(&several, "10.0.3.10", "10.1.1.10");
    assert_eq!(blockers(&found), Vec::<String>::new());
    assert!(unchecked(&found, "the network ACL where tgw-attach-1 is"), "{:?}", found.not_checked);
    let unattached =
        run(&TRANSIT.replace("attachment tgw-attach-1 tgw-1 vpc-1 subnet-9", ""), "10.0.3.10", "10.1.1.10");
    assert!(unchecked(&unattached, "the network ACL where the VPC is attached to tgw-1"));
}

#[test]
fn a_table_of_the_internet_gateway_routes_what_comes_in() {
    let text = format!(
        "{PUBLIC}\neni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.10\nedge igw-1 vpc-1 10.0.0.0/16 local"
    );
    let routes = |trace: &Trace| -> Vec<String> {
        let at = trace.stages.iter().filter(|stage| stage.at == "igw-1");
        at.map(|stage| format!("{} {} {}", stage.way, stage.outcome, stage.rule.clone().unwrap_or_default()))
            .collect()
    };
    assert_eq!(routes(&run(&text, "198.51.100.7", "10.0.1.10")), Vec::<String>::new(), "no detour");
    let detour = format!("{text}\nedge igw-1 vpc-1 10.0.1.0/24 vpce-1");
    for (src, dst, way) in [("198.51.100.7", "10.0.1.10", "there"), ("10.0.1.10", "198.51.100.7", "back")] {
        let found = run(&detour, src, dst);
        assert_eq!(routes(&found), [format!("{way} unknown rtb-igw-1 10.0.1.0/24 to vpce-1")]);
        assert!(found.outcome() == Decision::Unknown && unchecked(&found, "the appliances behind vpce-1"));
    }
    // A fixture's interfaces check source and destination, so one of them drops what is for another.
    let checked =
        format!("{text}\nedge igw-1 vpc-1 10.0.1.0/24 eni-fw\neni eni-fw subnet-1 10.0.1.99 groups=");
    assert_eq!(blockers(&run(&checked, "198.51.100.7", "10.0.1.10")), ["there route igw-1"]);
}

fn accepted(src: &str, dst: &str, ports: (i64, i64), flags: Option<i64>, interface: &str) -> LogRecord {
    LogRecord {
        start: "2026-01-15T10:05:00Z".into(),
        interface: interface.into(),
        src: src.into(),
        dst: dst.into(),
        src_port: Some(ports.0),
        dst_port: Some(ports.1),
        action: "ACCEPT".into(),
        tcp_flags: flags,
        ..LogRecord::default()
    }
}

#[test]
fn what_was_accepted_behind_a_blocker_contradicts_it() {
    let with = |text: &str, record: LogRecord| {
        let (client, server) = ("198.51.100.7", "10.0.1.10");
        let mut found = run(text, client, server);
        found.logged = Some(Logged { found: 1, records: vec![record], ..Logged::default() });
        found.contradiction().unwrap_or_default()
    };
    let eni = "eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.10";
    let by_group = format!("{}\n{eni}", PUBLIC.replace("sg-1 in all 0.0.0.0/0", "sg-1 in tcp 22 0.0.0.0/0"));
    let request = |flags| accepted("198.51.100.7", "10.0.1.10", (40_002, 443), flags, "eni-a");
    let answer = |flags| accepted("10.0.1.10", "198.51.100.7", (443, 40_002), flags, "eni-a");
    // SYN and FIN of the client, and the SYN-ACK of the answer, show that the connection began.
    for record in [request(Some(3)), answer(Some(18))] {
        let told = with(&by_group, record);
        assert!(told.contains("(security_group at eni-a), and yet eni-a accepted"), "{told}");
    }
    assert!(with(&by_group, request(None)).contains("began the other way"));
    assert_eq!(with(&by_group, request(Some(16))), "", "it may be a connection from before");
    // A list keeps no state: whatever passed contradicts it.
    let by_list = format!("{PUBLIC}\n{eni}\nacl-1 in 50 deny tcp 443 198.51.100.0/24");
    assert!(with(&by_list, request(Some(16))).contains("(network_acl at subnet-1)"));
    // What is accepted before the blocker does not contradict it (1.3).
    let answers = format!("{PUBLIC}\n{eni}\nacl-1 out 50 deny tcp 198.51.100.0/24");
    assert_eq!(with(&answers, request(Some(2))), "");
    assert!(with(&answers, answer(Some(18))).contains("(network_acl at subnet-1)"));
    assert_eq!(
        with(&by_list, LogRecord { interface: "eni-b".into(), ..request(Some(2)) }),
        "",
        "another's record"
    );
}

#[test]
fn a_record_after_the_capture_does_not_say_that_it_was_another_then() {
    let text = format!(
        "{}\neni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.10",
        PUBLIC.replace("sg-1 in all 0.0.0.0/0", "sg-1 in tcp 22 0.0.0.0/0")
    );
    let mut found = run(&text, "198.51.100.7", "10.0.1.10");
    let record = accepted("198.51.100.7", "10.0.1.10", (40_002, 443), Some(2), "eni-a");
    found.logged = Some(Logged { found: 1, records: vec![record], ..Logged::default() });
    // The record is of 2026-01-15T10:05:00Z; captures of an hour before and after it.
    const RECORD: i64 = 1_768_471_500;
    found.captured = Some((RECORD - 3600, RECORD - 3600));
    let told = found.contradiction().unwrap();
    assert!(told.contains("it was captured before that, at 2026-01-15T09:05:00Z"), "{told}");
    assert!(!told.contains("it was another then"), "{told}");
    found.captured = Some((RECORD + 3600, RECORD + 3600));
    assert!(found.contradiction().unwrap().ends_with("it was another then"));
}

#[test]
fn the_nearest_miss_may_be_of_the_other_family() {
    // T6 and T7: what is forgotten is the other family.
    let network = |rules: &str| {
        format!(
            "vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
             subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64
             eni eni-a subnet-1 10.0.1.10 2001:db8:1:1::10 groups=sg-1 public=192.0.2.10
             nacl acl-1 vpc-1 subnet-1
             route subnet-1 0.0.0.0/0 igw-1
             route subnet-1 ::/0 igw-1
             {rules}"
        )
    };
    let nearest = |rules: &str, src: &str, dst: &str, layer: Layer| {
        let trace = run(&network(rules), src, dst);
        let stage =
            trace.stages.iter().find(|stage| stage.layer == layer && stage.way == Way::There).unwrap();
        assert_eq!(stage.outcome, Decision::Deny);
        stage.nearest.clone().unwrap_or_default()
    };
    let v4_only = "acl-1 in 100 allow tcp 443 0.0.0.0/0
        acl-1 in 110 allow tcp 80 ::/0
        sg-1 in tcp 443 0.0.0.0/0
        sg-1 in tcp 443 2001:db8:77::/48";
    let v6 = ("2001:db8:99::7", "2001:db8:1:1::10");
    assert_eq!(
        nearest(v4_only, v6.0, v6.1, Layer::NetworkAcl),
        "nacl acl-1 inbound rule 100 allow tcp 443 from 0.0.0.0/0 (for IPv4 only; the packet is IPv6)"
    );
    assert_eq!(
        nearest(v4_only, v6.0, v6.1, Layer::SecurityGroup),
        "group sg-1 inbound rule allow tcp 443 from 0.0.0.0/0 (for IPv4 only; the packet is IPv6)"
    );
    let v6_only = "acl-1 in 100 deny tcp 443 2001:db8:55::/48
        acl-1 in 110 allow all ::/0
        sg-1 in tcp 443 2001:db8:77::/48
        sg-1 in tcp 80 0.0.0.0/0";
    let v4 = ("198.51.100.7", "192.0.2.10");
    assert_eq!(
        nearest(v6_only, v4.0, v4.1, Layer::NetworkAcl),
        "nacl acl-1 inbound rule 110 allow all traffic from ::/0 (for IPv6 only; the packet is IPv4)"
    );
    let closed = v6_only.replace("2001:db8:55::/48", "::/0");
    assert_eq!(nearest(&closed, v4.0, v4.1, Layer::NetworkAcl), "");
    assert_eq!(
        nearest(v6_only, v4.0, v4.1, Layer::SecurityGroup),
        "group sg-1 inbound rule allow tcp 443 from 2001:db8:77::/48 (for IPv6 only; the packet is IPv4)"
    );
}

#[test]
fn a_reference_that_the_path_loses_is_told() {
    // Spec 2.4: through a middlebox a reference does not match; the rule to add names the address.
    let text = format!(
        "{}\nsg-2 in tcp 443 sg-1\nroute subnet-1 10.0.2.0/24 eni-fw\nroute subnet-2 10.0.1.0/24 eni-fw
         subnet subnet-fw vpc-1 10.0.9.0/24
         eni eni-fw subnet-fw 10.0.9.9 groups=",
        ONE_LIST.replace("10.0.2.10 groups=sg-1", "10.0.2.10 groups=sg-2")
    );
    let found = run(&text, "10.0.1.10", "10.0.2.10");
    let stage = found.blockers().find(|stage| stage.layer == Layer::SecurityGroup).unwrap();
    let nearest = stage.nearest.as_deref().unwrap();
    assert!(nearest.ends_with("(a member, over a path that preserves no references to groups)"), "{nearest}");
    assert!(stage.fix.as_ref().unwrap().command.contains("CidrIp=10.0.1.10/32"));
}

#[test]
fn within_a_subnet_no_route_table_is_missed() {
    // 1.1: two interfaces of one subnet, groups alone.
    let found = run(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         nacl acl-1 vpc-1 subnet-1
         sg-1 in all 0.0.0.0/0
         sg-1 out all 0.0.0.0/0
         eni eni-a subnet-1 10.0.1.10 groups=sg-1
         eni eni-b subnet-1 10.0.1.60 groups=sg-1",
        "10.0.1.10",
        "10.0.1.60",
    );
    assert_eq!(found.outcome(), Decision::Allow, "{:#?}", found.stages);
}

#[test]
fn an_exclusion_that_lets_out_is_an_answer_both_ways() {
    // 8.9: allow-egress lets in nothing that begins outside.
    let network = "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 100 allow all 0.0.0.0/0
         acl-1 out 100 allow all 0.0.0.0/0
         route subnet-1 10.0.0.0/16 local
         route subnet-1 0.0.0.0/0 igw-1
         bpa subnet-1 allow-egress
         sg-1 in all 0.0.0.0/0
         sg-1 out all 0.0.0.0/0
         eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.25";
    let into = run(network, "198.51.100.7", "203.0.113.25");
    assert_eq!(blockers(&into), ["there vpc_block_public_access subnet-1"]);
    // Of a way out over an internet gateway AWS's own example says both.
    assert_eq!(run(network, "10.0.1.10", "198.51.100.7").outcome(), Decision::Unknown);
}

#[test]
fn a_public_range_behind_a_private_path_is_not_the_internet() {
    // The route tells which side an address is on, not its range (1.2: a public remote excludes no gateway).
    for target in ["vgw-1", "tgw-1", "pcx-1"] {
        let network =
            format!("{ONE_LIST}\nacl-1 in 100 allow all 0.0.0.0/0\nroute subnet-1 11.200.0.0/16 {target}");
        let found = run(&network, "11.200.1.1", "10.0.1.10");
        assert_eq!(found.blockers().count(), 0, "{target}: {:#?}", found.stages);
        assert_eq!(found.outcome(), Decision::Unknown, "{target}");
    }
    let outside = run(&format!("{ONE_LIST}\nroute subnet-1 0.0.0.0/0 igw-1"), "11.200.1.1", "10.0.1.10");
    assert_eq!(outside.blockers().next().unwrap().layer, Layer::Address, "it has no public address");
}
