//! The letter of spec sections 1.2, 2 and 3, a line a case: a network, a packet at an interface, what each layer says.

use super::fixture::{Fixture, packet};
use super::{Direction, Engine, ScopeReason, acl_list, entry_text, rule_text, unfiltered};
use crate::net::Family;
use crate::network::View;

const NOW: View = View { at: 0, after: false };

/// `packet => N F`, N and F being A, D, U or X, N followed by the number of the entry that decides.
#[track_caller]
fn check(network: &str, interface: &str, cases: &[&str]) {
    let network = Fixture::new(network).network();
    let mut engine = Engine::new(&network);
    let rules = engine.interface(interface, NOW).expect("the interface is in the fixture");
    for case in cases {
        let (asked, expected) = case.split_once("=>").unwrap();
        let packet = packet(asked.trim());
        let letter = |decision| match decision {
            super::Decision::Allow => "A",
            super::Decision::Deny => "D",
            super::Decision::Unknown => "U",
            super::Decision::NotApplicable => "X",
        };
        let acl = rules.acl_verdict(&packet, None);
        let number = acl.entry.map(|entry| entry.number.to_string()).unwrap_or_default();
        let number = if acl.decision == super::Decision::Unknown { String::new() } else { number };
        let group = rules.group_verdict(&packet);
        let found = format!("{}{number} {}", letter(acl.decision), letter(group.decision));
        assert_eq!(found, expected.trim(), "{case}");
    }
}

const BASE: &str = "
    vpc vpc-1 10.0.0.0/16 2001:db8:1::/48
    subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 2001:db8:1:1::10 groups=sg-1
    eni eni-b subnet-1 10.0.1.20 groups=sg-2
    eni eni-c subnet-2 10.0.2.30 groups=sg-2 public=203.0.113.25
    nacl acl-1 vpc-1 subnet-1";

#[test]
fn entries_are_taken_by_number_not_by_place() {
    check(
        &format!(
            "{BASE}
            acl-1 in 100 allow tcp 443 0.0.0.0/0
            acl-1 in 90 deny all 198.51.100.0/24
            acl-1 out 100 allow all 0.0.0.0/0
            sg-1 in tcp 443 0.0.0.0/0"
        ),
        "eni-a",
        &[
            "in tcp 443 from 198.51.100.7 => D90 A",
            "in tcp 443 from 203.0.113.7 => A100 A",
            "in tcp 80 from 203.0.113.7 => D32767 D",
            "in tcp 443 from 2001:db8:9::7 => D32768 D",
            "out tcp 443 to 203.0.113.7 => A100 D",
        ],
    );
}

#[test]
fn ports_count_only_for_tcp_and_udp_and_types_only_for_icmp() {
    check(
        &format!(
            "{BASE}
            acl-1 in 100 allow icmp 8 0.0.0.0/0
            acl-1 in 110 allow 50 0.0.0.0/0
            acl-1 in 120 allow tcp 0-65535 10.0.0.0/8
            acl-1 in 130 allow icmpv6 2001:db8::/32
            sg-1 in icmp 0.0.0.0/0
            sg-1 in 50 0.0.0.0/0
            sg-1 in tcp 22 10.0.0.0/8
            sg-1 in icmpv6 128 2001:db8::/32"
        ),
        "eni-a",
        &[
            "in icmp from 198.51.100.7 => U A",
            "in icmp 8 from 198.51.100.7 => A100 A",
            "in icmp 0 from 198.51.100.7 => D32767 A",
            "in esp from 198.51.100.7 => A110 A",
            "in tcp ? from 10.0.2.30 => A120 U",
            "in tcp 22 from 10.0.2.30 => A120 A",
            "in icmpv6 from 2001:db8:9::7 => A130 U",
            "in gre from 10.0.2.30 => D32767 D",
        ],
    );
}

#[test]
fn maybe_leaves_open_only_what_follows_differently() {
    check(
        &format!(
            "{BASE}
            acl-1 in 100 deny icmp 8 0.0.0.0/0
            acl-1 in 200 deny all 198.51.100.0/24
            acl-1 in 300 allow all 0.0.0.0/0
            sg-1"
        ),
        "eni-a",
        &[
            "in icmp from 198.51.100.7 => D200 D", // rule 100 may, this one does
            "in icmp from 203.0.113.7 => U D",
            "in tcp 1 from 203.0.113.7 => A300 D",
        ],
    );
}

#[test]
fn rules_that_refer_to_groups() {
    let network = format!(
        "{BASE}
        vpc vpc-9 10.9.0.0/16
        subnet subnet-9 vpc-9 10.9.1.0/24
        eni eni-z subnet-9 10.9.1.90 groups=sg-2
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 in 101 allow all ::/0
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1 in tcp 5432 sg-2
        sg-1 out tcp 5432 sg-2
        sg-2"
    );
    let same = [
        "in tcp 5432 from 10.0.2.30 => A100 A",    // a member, in another subnet
        "in tcp 5432 from 10.0.1.20 => X A",       // a member, in the same subnet
        "in tcp 5433 from 10.0.2.30 => A100 D",    // another port
        "in tcp 5432 from 203.0.113.25 => A100 D", // a member's public address is not meant
        "in tcp 5432 from 10.0.2.31 => A100 D",    // nobody's address in a VPC whose interfaces are known
        "in tcp 5432 from 10.77.0.1 => A100 U",    // a private address of a VPC that nobody described
        "in tcp 5432 from 2001:db8:9::7 => A101 D", // the internet
    ];
    check(&network, "eni-a", &same);
    // Whether vpc-9 is peered is not known; then it is, then it surely is not: over a transit gateway only inbound rules
    // may refer to groups.
    check(
        &network,
        "eni-a",
        &["in tcp 5432 from 10.9.1.90 => A100 U", "out tcp 5432 to 10.9.1.90 => A100 U"],
    );
    let peered = format!("{network}\npeering pcx-1 vpc-1 vpc-9");
    check(&peered, "eni-a", &["in tcp 5432 from 10.9.1.90 => A100 A", "out tcp 5432 to 10.9.1.90 => A100 A"]);
    let apart = format!("{network}\npeering pcx-1 vpc-1 vpc-7");
    check(&apart, "eni-a", &["in tcp 5432 from 10.9.1.90 => A100 U", "out tcp 5432 to 10.9.1.90 => A100 D"]);
}

/// What the groups make of 10.9.1.90 in vpc-9, in and out, as `in out`; the fixture is changed by hand before.
fn across(more: &str, change: impl Fn(&mut Fixture)) -> String {
    let text = format!(
        "{BASE}
        vpc vpc-9 10.9.0.0/16
        subnet subnet-9 vpc-9 10.9.1.0/24
        eni eni-far subnet-9 10.9.1.90 groups=sg-2
        sg-1 in tcp 5432 sg-2
        sg-1 out tcp 5432 sg-2
        sg-2
        {more}"
    );
    let mut fixture = Fixture::new(&text);
    change(&mut fixture);
    let network = fixture.network();
    let rules = Engine::new(&network).interface("eni-a", NOW).unwrap();
    let of = |text: &str| match rules.group_verdict(&packet(text)).decision {
        super::Decision::Allow => "A",
        super::Decision::Deny => "D",
        super::Decision::Unknown => "U",
        super::Decision::NotApplicable => "X",
    };
    format!("{} {}", of("in tcp 5432 from 10.9.1.90"), of("out tcp 5432 to 10.9.1.90"))
}

#[test]
fn references_follow_the_path() {
    let keep = |_: &mut Fixture| {};
    // Spec 2.4, row by row: inbound, outbound.
    assert_eq!(across("peering pcx-1 vpc-1 vpc-9", keep), "A A");
    let far = |fixture: &mut Fixture| {
        let peering = fixture.peerings.get_mut("pcx-1").unwrap();
        peering.requester.region = Some("us-east-1".into());
        peering.accepter.region = Some("eu-west-1".into());
    };
    assert_eq!(across("peering pcx-1 vpc-1 vpc-9", far), "D D");
    // A transit gateway: outbound never; inbound where the gateway, whose setting no input has, and both attachments allow.
    assert_eq!(across("route subnet-1 10.9.0.0/16 tgw-1", keep), "U D");
    // Beside a peering connection the routes of the sender decide, and those of the other end are not known here.
    assert_eq!(across("route subnet-1 10.0.0.0/8 tgw-1\npeering pcx-1 vpc-1 vpc-9", keep), "U D");
    let back = "route subnet-9 10.0.0.0/16 pcx-1\npeering pcx-1 vpc-1 vpc-9";
    assert_eq!(across(&format!("route subnet-1 10.0.0.0/8 tgw-1\n{back}"), keep), "A D");
    let attached = "peering pcx-1 vpc-1 vpc-7
        attachment tgw-attach-1 tgw-1 vpc-1 subnet-1
        attachment tgw-attach-9 tgw-1 vpc-9 subnet-9";
    let setting = |setting: &'static str| {
        move |fixture: &mut Fixture| {
            let attachment = fixture.attachments.get_mut("tgw-attach-9").unwrap();
            attachment.security_group_referencing = Some(setting.into());
        }
    };
    assert_eq!(across(attached, setting("enable")), "U D");
    assert_eq!(across(attached, setting("disable")), "D D");
    // Two gateways that are peered.
    assert_eq!(across(&attached.replace("tgw-1 vpc-9", "tgw-2 vpc-9"), keep), "D D");
    // What is between the two VPCs is not known at all.
    assert_eq!(across("", keep), "U U");
    assert_eq!(across("route subnet-1 10.9.0.0/16 pcx-1", keep), "U U");
}

#[test]
fn a_member_behind_a_middlebox_is_no_member() {
    // Spec 2.4: through a middlebox between the subnets a reference does not match.
    let network = |routes: &str| {
        format!(
            "vpc vpc-1 10.0.0.0/16
             subnet subnet-1 vpc-1 10.0.1.0/24
             subnet subnet-2 vpc-1 10.0.2.0/24
             subnet subnet-fw vpc-1 10.0.9.0/24
             eni eni-a subnet-1 10.0.1.10 groups=sg-1
             eni eni-n subnet-1 10.0.1.11 groups=sg-1
             eni eni-b subnet-2 10.0.2.20 groups=sg-1
             eni eni-fw subnet-fw 10.0.9.9 groups=sg-1 instance=i-fw
             nacl acl-1 vpc-1 default
             sg-1 in all sg-1
             sg-1 out all sg-1
             route subnet-1 10.0.0.0/16 local
             route subnet-2 10.0.0.0/16 local
             {routes}"
        )
    };
    let asked = |routes: &str, expected: [&str; 2]| {
        let (into, out) = ("in tcp 1 from 10.0.2.20 => D32767", "out tcp 1 to 10.0.2.20 => D32767");
        let cases = [format!("{into} {}", expected[0]), format!("{out} {}", expected[1])];
        check(&network(routes), "eni-a", &cases.each_ref().map(String::as_str));
    };
    asked("", ["A", "A"]);
    for target in ["eni-fw", "i-fw", "vpce-fw"] {
        let there = format!("route subnet-1 10.0.2.0/24 {target}");
        let back = format!("route subnet-2 10.0.1.0/24 {target}");
        asked(&format!("{there}\n{back}"), ["D", "D"]);
        // The sender's routes decide; of the other direction alone nothing is documented.
        asked(&there, ["U", "D"]);
        asked(&back, ["D", "U"]);
    }
    // The appliance itself is reached without another, and so are neighbours.
    let all = "route subnet-1 10.0.9.0/24 eni-fw\nroute subnet-1 10.0.1.0/24 eni-fw
        route subnet-fw 10.0.0.0/16 local";
    check(
        &network(all),
        "eni-a",
        &[
            "in tcp 1 from 10.0.9.9 => D32767 A",
            "out tcp 1 to 10.0.9.9 => D32767 A",
            "in tcp 1 from 10.0.1.11 => X A",
        ],
    );
    // To another VPC over an appliance.
    assert_eq!(across("peering pcx-1 vpc-1 vpc-9\nroute subnet-1 10.9.0.0/16 eni-b", |_| {}), "U D");
}

#[test]
fn an_ipv6_address_of_no_known_vpc_may_be_a_foreign_groups() {
    // Spec 2.4: the owner's VPC or account is not in the snapshot.
    let network = |more: &str| {
        format!(
            "{BASE}
            acl-1 in 100 allow all ::/0
            acl-1 out 100 allow all ::/0
            sg-1 in tcp 443 123456789012/sg-far
            sg-1 in tcp 22 sg-2
            sg-1 out tcp 443 123456789012/sg-far
            sg-2
            {more}"
        )
    };
    check(
        &network(""),
        "eni-a",
        &[
            "in tcp 443 from 2001:db8:9::7 => A100 U",
            "out tcp 443 to 2001:db8:9::7 => A100 U",
            "in tcp 22 from 2001:db8:9::7 => A100 D", // its members are in the VPC that is known
            "in tcp 443 from 198.51.100.7 => D32767 D", // public
            "in tcp 443 from 2001:db8:1:1::99 => A100 D", // nobody's in a VPC whose interfaces are known
        ],
    );
    // Over an internet gateway no reference is preserved.
    check(
        &network("route subnet-1 ::/0 igw-1"),
        "eni-a",
        &["in tcp 443 from 2001:db8:9::7 => A100 U", "out tcp 443 to 2001:db8:9::7 => A100 D"],
    );
    // The reference names a home that is known, and then the group is used elsewhere, too.
    let home = |vpc: &str, used: Option<&str>| {
        let mut fixture = Fixture::new(&network(""));
        for rule in &mut fixture.groups.get_mut("sg-1").unwrap().rules {
            if let crate::network::Remote::Group(reference) = &mut rule.remote
                && reference.group_id == "sg-far"
            {
                reference.vpc_id = Some(vpc.into());
            }
        }
        let mut network = fixture.network();
        if let Some(used) = used {
            let one = crate::network::GroupVpcAssociation {
                id: format!("sg-far/{used}"),
                group_id: "sg-far".into(),
                vpc_id: used.into(),
                state: Some("associated".into()),
            };
            network.group_associations.put(one.id.clone(), crate::network::Timeline::always(one));
        }
        let rules = Engine::new(&network).interface("eni-a", NOW).unwrap();
        rules.group_verdict(&packet("in tcp 443 from 2001:db8:9::7")).decision
    };
    assert_eq!(home("vpc-1", None), super::Decision::Deny);
    assert_eq!(home("vpc-1", Some("vpc-8")), super::Decision::Unknown);
    assert_eq!(home("vpc-9", None), super::Decision::Unknown);
}

#[test]
fn stale_references_match_nothing() {
    let mut fixture = Fixture::new(&format!("{BASE}\nsg-1 in tcp 22 sg-2\nsg-2"));
    if let crate::network::Remote::Group(reference) =
        &mut fixture.groups.get_mut("sg-1").unwrap().rules[0].remote
    {
        reference.peering_status = Some("deleted".into());
    }
    let network = fixture.network();
    let rules = Engine::new(&network).interface("eni-a", NOW).unwrap();
    assert_eq!(rules.group_verdict(&packet("in tcp 22 from 10.0.2.30")).decision, super::Decision::Deny);
}

#[test]
fn prefix_lists_and_groups_that_are_missing_leave_open() {
    check(
        &format!(
            "{BASE}
            list pl-1 203.0.113.0/24 198.51.100.0/24
            sg-1 in tcp 22 pl-1
            sg-1 in tcp 23 pl-2
            sg-1 in tcp 24 0.0.0.0/0"
        ),
        "eni-a",
        &[
            "in tcp 22 from 203.0.113.7 => D32767 A",
            "in tcp 22 from 192.0.2.7 => D32767 D",
            "in tcp 23 from 192.0.2.7 => D32767 U",
        ],
    );
    check(
        &BASE.replace("groups=sg-1", "groups=sg-1,sg-lost"),
        "eni-a",
        &["in tcp 22 from 192.0.2.7 => D32767 U"],
    );
}

#[test]
fn interfaces_without_groups_and_subnets_without_association() {
    let network = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        subnet subnet-2 vpc-1 10.0.2.0/24
        eni eni-nat subnet-1 10.0.1.10 groups= type=nat_gateway
        eni eni-x subnet-2 10.0.2.10 groups=
        nacl acl-0 vpc-1 default
        acl-0 in 100 allow all 0.0.0.0/0
        nacl acl-1 vpc-1 subnet-2";
    check(
        network,
        "eni-nat",
        &["in tcp 22 from 203.0.113.7 => A100 X", "in tcp 22 from 2001:db8:9::7 => D32768 X"],
    );
    check(network, "eni-x", &["in tcp 22 from 203.0.113.7 => D32767 X"]);
}

#[test]
fn inside_a_subnet() {
    let network = format!(
        "{BASE}
        eni eni-lb subnet-1 10.0.1.40 groups=sg-2 description=ELB classic
        eni eni-alb subnet-1 10.0.1.50 groups=sg-2 description=ELB app/front/0123456789abcdef
        acl-1 in 100 deny all 10.0.1.0/24
        acl-1 in 200 allow all 0.0.0.0/0"
    );
    check(
        &network,
        "eni-a",
        &[
            "in tcp 80 from 10.0.1.20 => X U",    // nothing but the groups
            "in tcp 80 from 10.0.1.40 => D100 U", // a Classic Load Balancer
            "in tcp 80 from 10.0.1.50 => X U",    // an Application Load Balancer
            "in tcp 80 from 10.0.1.99 => U U",    // who that is is not known
        ],
    );
    check(&network, "eni-lb", &["in tcp 80 from 10.0.1.10 => D100 U"]);
}

#[test]
fn transit_gateways_in_the_subnet() {
    let network = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        subnet subnet-2 vpc-1 10.0.2.0/24
        eni eni-a subnet-1 10.0.1.10 groups=sg-1
        eni eni-b subnet-2 10.0.2.10 groups=sg-1
        eni eni-tgw subnet-1 10.0.1.5 groups= type=transit_gateway
        nacl acl-1 vpc-1 subnet-1 subnet-2
        acl-1 in 100 deny all 10.0.1.0/24
        acl-1 in 110 deny all 10.9.0.0/16
        acl-1 in 200 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1 in all 0.0.0.0/0
        sg-1 out all 0.0.0.0/0";
    let routed = format!(
        "{network}
        route subnet-1 10.0.0.0/16 local
        route subnet-1 10.9.0.0/16 tgw-1
        route subnet-1 0.0.0.0/0 igw-1"
    );
    check(
        &routed,
        "eni-a",
        &[
            "in tcp 22 from 10.9.1.1 => X A",      // row d
            "out tcp 22 to 10.9.1.1 => D100 A",    // row c: the inbound list on the own address denies
            "out tcp 22 to 203.0.113.7 => A100 A", // by the internet gateway
            "in tcp 22 from 10.0.2.10 => A200 A",
        ],
    );
    check(network, "eni-a", &["in tcp 22 from 10.9.1.1 => U A", "out tcp 22 to 10.0.2.10 => A100 A"]);
    check(&routed, "eni-tgw", &["out tcp 22 to 10.0.1.10 => X X", "in tcp 22 from 10.0.1.10 => U X"]);
    check(&routed, "eni-b", &["in tcp 22 from 10.9.1.1 => D110 A"]);
}

#[test]
fn gateway_endpoints_in_the_subnet() {
    check(
        "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        eni eni-a subnet-1 10.0.1.10 groups=
        eni eni-e subnet-1 10.0.1.5 groups= type=gateway_load_balancer_endpoint
        nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 deny all 10.0.1.0/24
        acl-1 out 100 allow tcp 443 0.0.0.0/0
        route subnet-1 0.0.0.0/0 vpce-1",
        "eni-a",
        &[
            "out tcp 443 to 203.0.113.7 => U X", // whether the inbound list applies as well is not documented
            "out tcp 80 to 203.0.113.7 => D32767 X",
            "in tcp 80 from 203.0.113.7 => U X",
        ],
    );
}

#[test]
fn what_neither_layer_filters() {
    check(BASE, "eni-a", &["out udp 53 to 10.0.0.2 => X X", "out tcp 80 to 169.254.169.254 => X X"]);
    let cidrs = ["10.0.1.0/24".parse().unwrap()];
    assert_eq!(unfiltered(&cidrs, &[], &"10.0.1.1".parse().unwrap()), Some("VPC router"));
    assert_eq!(unfiltered(&cidrs, &[], &"10.0.1.2".parse().unwrap()), None);
}

#[test]
fn rules_read_well() {
    let fixture = Fixture::new(&format!(
        "{BASE}
        acl-1 in 100 deny tcp 22 0.0.0.0/0
        acl-1 out 7 allow icmp 3/4 10.0.0.0/8
        sg-1 in tcp 443 203.0.113.0/24
        sg-1 out all 123456789012/sg-2"
    ));
    let acl = &fixture.acls["acl-1"];
    assert_eq!(entry_text(acl, &acl.entries[0]), "nacl acl-1 inbound rule 100 deny tcp 22 from 0.0.0.0/0");
    assert_eq!(
        entry_text(acl, &acl.entries[1]),
        "nacl acl-1 outbound rule 7 allow icmp type 3 code 4 to 10.0.0.0/8"
    );
    let closing = acl_list(acl, false, Family::V6);
    assert_eq!(entry_text(acl, &closing[0]), "nacl acl-1 inbound rule * deny all traffic from ::/0");
    let group = &fixture.groups["sg-1"];
    assert_eq!(
        rule_text(group, &group.rules[0]),
        "group sg-1 inbound rule allow tcp 443 from 203.0.113.0/24"
    );
    assert_eq!(
        rule_text(group, &group.rules[1]),
        "group sg-1 outbound rule allow all traffic to 123456789012/sg-2"
    );
}

#[test]
fn scope_says_why() {
    let network = Fixture::new(BASE).network();
    let rules = Engine::new(&network).interface("eni-a", NOW).unwrap();
    assert_eq!(rules.scope(&packet("in tcp 1 from 10.0.1.20"), None).reason, ScopeReason::IntraSubnet);
    assert_eq!(rules.scope(&packet("in tcp 1 from 10.0.2.20"), None).reason, ScopeReason::Border);
    assert_eq!(Direction::Ingress.opposite(), Direction::Egress);
}
