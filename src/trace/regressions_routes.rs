//! Faults once found in the choice of routes and in what is proposed for them, each told by hand.

use super::cases::{blockers, flow, run, traced};
use super::*;
use crate::net::UDP;
use crate::rules::fixture::Fixture;

/// A public subnet with a NAT gateway, a private one, a peered VPC.
const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
    vpc vpc-2 10.1.0.0/16 2001:db8:2::/56
    subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1::/64
    subnet subnet-2 vpc-1 10.0.2.0/24 2001:db8:1:1::/64
    subnet subnet-8 vpc-2 10.1.1.0/24 2001:db8:2::/64
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    acl-1 in 101 allow all ::/0
    acl-1 out 101 allow all ::/0
    nacl acl-2 vpc-2 subnet-8
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    acl-2 in 101 allow all ::/0
    acl-2 out 101 allow all ::/0
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    sg-1 in all ::/0
    sg-1 out all ::/0
    eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
    eni eni-web subnet-1 10.0.1.10 groups=sg-1
    eni eni-app subnet-2 10.0.2.10 2001:db8:1:1::10 groups=sg-1
    eni eni-far subnet-8 10.1.1.10 2001:db8:2::10 groups=sg-1
    bpa subnet-1 off
    bpa subnet-2 off
    bpa subnet-8 off
    peering pcx-1 vpc-1 vpc-2
    route subnet-1 10.0.0.0/16 local
    route subnet-1 2001:db8:1::/56 local
    route subnet-2 2001:db8:1::/56 local
    route subnet-2 10.0.0.0/16 local
    route subnet-8 10.1.0.0/16 local
    route subnet-8 10.0.0.0/16 pcx-1";

const PUBLIC: &str = "route subnet-1 0.0.0.0/0 igw-1";
const PRIVATE: &str = "route subnet-2 0.0.0.0/0 nat-1";

fn commands(trace: &Trace) -> Vec<String> {
    let fixes = trace.stages.iter().filter_map(|stage| stage.fix.as_ref());
    fixes.flat_map(|fix| fix.command.lines()).map(str::to_owned).collect()
}

#[test]
fn the_order_of_routes_in_a_file_decides_nothing() {
    let list = "list pl-1 10.1.0.0/16";
    let routes = [
        "route subnet-2 10.1.0.0/16 pcx-1",
        "route subnet-2 pl-1 tgw-9",
        "route subnet-2 10.1.0.0/16 vgw-1 propagated",
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let text: Vec<&str> = order.iter().map(|at| routes[*at]).collect();
        let found = run(&format!("{NETWORK}\n{list}\n{}", text.join("\n")), "10.0.2.10", "10.1.1.10", 443);
        assert_eq!(found.outcome(), Decision::Allow, "static first: {text:?}");
        // Without the static one the list's comes before the propagated one.
        let rest: Vec<&str> = order.iter().filter(|at| **at != 0).map(|at| routes[*at]).collect();
        let found = run(&format!("{NETWORK}\n{list}\n{}", rest.join("\n")), "10.0.2.10", "10.1.1.10", 443);
        let route = found.stages.iter().find(|stage| stage.layer == Layer::Route).unwrap();
        assert!(route.rule.as_ref().unwrap().ends_with("pl-1 (10.1.0.0/16) to tgw-9"), "{:?}", route.rule);
    }
}

#[test]
fn the_local_route_comes_before_a_narrower_propagated_one() {
    let propagated = "route subnet-1 10.0.2.0/24 vgw-1 propagated";
    let within =
        |route: &str| run(&format!("{NETWORK}\n{PUBLIC}\n{route}"), "10.0.1.10", "10.0.2.10", 443).outcome();
    assert_eq!(within(propagated), Decision::Allow);
    // A static one is taken.
    assert_eq!(within("route subnet-1 10.0.2.0/24 vgw-1"), Decision::Unknown);
}

#[test]
fn of_two_lists_with_one_block_either_may_be_taken() {
    let lists =
        "list pl-1 10.1.0.0/16\nlist pl-2 10.1.0.0/16\nroute subnet-2 pl-1 pcx-1\nroute subnet-2 pl-2 tgw-9";
    let found = run(&format!("{NETWORK}\n{lists}"), "10.0.2.10", "10.1.1.10", 443);
    assert_eq!(found.outcome(), Decision::Unknown);
    assert!(
        found.not_checked.iter().any(|text| text.contains("takes one at random")),
        "{:?}",
        found.not_checked
    );
}

#[test]
fn addresses_that_nat_gateways_translate_pass_no_other_gateway() {
    let to = "64:ff9b::c633:6407";
    for route in ["route subnet-2 ::/0 eigw-1", "route subnet-2 ::/0 igw-1", ""] {
        let found = run(&format!("{NETWORK}\n{PUBLIC}\n{PRIVATE}\n{route}"), "2001:db8:1:1::10", to, 443);
        assert_eq!(found.outcome(), Decision::Deny, "{route}");
        let wanted = "aws ec2 create-route --route-table-id rtb-subnet-2 --destination-ipv6-cidr-block 64:ff9b::/96 \
                      --nat-gateway-id nat-1";
        assert_eq!(commands(&found), [wanted], "{route}");
    }
    let with = format!("{NETWORK}\n{PUBLIC}\n{PRIVATE}\nroute subnet-2 64:ff9b::/96 nat-1");
    assert_eq!(run(&with, "2001:db8:1:1::10", to, 443).outcome(), Decision::Allow);
}

#[test]
fn a_gateway_endpoint_takes_no_udp() {
    let text = format!("{NETWORK}\nlist pl-1 203.0.113.0/24\nroute subnet-2 pl-1 vpce-1");
    let network = Fixture::new(&text).network();
    let ask =
        |protocol| traced(&network, Flow { protocol, ..flow("10.0.2.10", "203.0.113.9", 443) }).outcome();
    assert_eq!((ask(6), ask(UDP)), (Decision::Allow, Decision::Deny));
}

#[test]
fn a_blackhole_in_a_gateways_route_table_drops_what_comes_in() {
    let text = format!("{NETWORK}\n{PUBLIC}\nedge igw-1 vpc-1 10.0.1.0/24 eni-gone blackhole")
        .replace("10.0.1.10 groups=sg-1", "10.0.1.10 groups=sg-1 public=192.0.2.10");
    let found = run(&text, "198.51.100.7", "192.0.2.10", 443);
    assert_eq!(blockers(&found)[0], "there route igw-1");
}

#[test]
fn a_nat_gateway_is_not_proposed_to_its_own_subnet() {
    for (state, verb) in [("", "create-route"), ("route subnet-1 0.0.0.0/0 igw-1", "replace-route")] {
        let mut fixture =
            Fixture::new(&format!("{NETWORK}\n{PRIVATE}\n{state}\nroute subnet-9 0.0.0.0/0 igw-1"));
        fixture.tables.get_mut("rtb-subnet-9").unwrap().vpc_id = Some("vpc-1".into());
        for route in &mut fixture.tables.get_mut("rtb-subnet-1").unwrap().routes {
            route.state = (route.target == "igw-1").then(|| "blackhole".into());
        }
        let found = traced(&fixture.network(), flow("10.0.1.10", "198.51.100.7", 443));
        let commands = commands(&found);
        assert!(commands[0].contains(verb) && commands[0].ends_with("--gateway-id igw-1"), "{commands:?}");
        assert!(commands[1].starts_with("aws ec2 associate-address"), "{commands:?}");
        assert_eq!(commands.len(), 2, "{commands:?}");
    }
}

#[test]
fn a_missing_route_is_told_though_there_is_a_default_route() {
    for default in [PRIVATE, "route subnet-2 0.0.0.0/0 igw-1", ""] {
        let found = run(&format!("{NETWORK}\n{PUBLIC}\n{default}"), "10.0.2.10", "10.1.1.10", 443);
        let wanted = "aws ec2 create-route --route-table-id rtb-subnet-2 --destination-cidr-block 10.1.0.0/16 \
                      --vpc-peering-connection-id pcx-1";
        assert_eq!(commands(&found), [wanted], "{default}");
    }
    // And where the answers are lost.
    let back = NETWORK.replace("route subnet-8 10.0.0.0/16 pcx-1", "route subnet-8 0.0.0.0/0 igw-2");
    let found = run(&format!("{back}\nroute subnet-2 10.1.0.0/16 pcx-1"), "10.0.2.10", "10.1.1.10", 443);
    assert!(found.text().contains("first blocker: route at subnet-8, on the way back: "), "{}", found.text());
    assert!(commands(&found)[0].contains("rtb-subnet-8 --destination-cidr-block 10.0.0.0/16"));
}

#[test]
fn a_narrow_wrong_route_is_taken_away_where_the_wide_one_is_right() {
    let routes = "route subnet-2 10.1.0.0/16 pcx-1\nroute subnet-2 10.1.1.0/24 igw-1";
    let found = run(&format!("{NETWORK}\n{routes}"), "10.0.2.10", "10.1.1.10", 443);
    let wanted = "aws ec2 delete-route --route-table-id rtb-subnet-2 --destination-cidr-block 10.1.1.0/24";
    assert_eq!(commands(&found), [wanted]);
}

#[test]
fn what_leaves_for_the_internet_needs_a_way_into_the_other_vpc() {
    let routes = "route subnet-2 ::/0 eigw-1\nroute subnet-8 2001:db8:1::/56 pcx-1";
    let found = run(&format!("{NETWORK}\n{routes}"), "2001:db8:1:1::10", "2001:db8:2::10", 443);
    assert_eq!(found.outcome(), Decision::Unknown);
    assert!(found.not_checked.iter().any(|text| text.ends_with("a route to it over pcx-1 is missing")));
    let with = run(
        &format!("{NETWORK}\n{routes}\nroute subnet-8 ::/0 igw-2"),
        "2001:db8:1:1::10",
        "2001:db8:2::10",
        443,
    );
    assert_eq!(with.outcome(), Decision::Allow, "{}", with.text());
}

#[test]
fn a_gateway_endpoint_of_the_vpc_is_proposed_before_a_nat_gateway() {
    let mut fixture =
        Fixture::new(&format!("{NETWORK}\n{PUBLIC}\nlist pl-1 203.0.113.0/24\nroute subnet-1 pl-1 vpce-1"));
    fixture.tables.values_mut().for_each(|table| table.vpc_id = Some("vpc-1".into()));
    let found = traced(&fixture.network(), flow("10.0.2.10", "203.0.113.9", 443));
    let wanted = "aws ec2 modify-vpc-endpoint --vpc-endpoint-id vpce-1 --add-route-table-ids rtb-subnet-2";
    assert_eq!(commands(&found), [wanted]);
}

#[test]
fn an_egress_only_gateway_is_proposed_to_a_private_subnet_before_an_internet_gateway() {
    let fix = |more: &str| {
        let mut fixture = Fixture::new(&format!("{NETWORK}\nroute subnet-1 ::/0 igw-1\n{more}"));
        fixture.tables.values_mut().for_each(|table| table.vpc_id = Some("vpc-1".into()));
        let found = traced(&fixture.network(), flow("2001:db8:1:1::10", "2001:db8:9::1", 443));
        let stage = found.stages.iter().find(|stage| stage.fix.is_some()).unwrap();
        let fix = stage.fix.clone().unwrap();
        (fix.command.rsplit(' ').next().unwrap().to_owned(), fix.text.contains("begin flows"))
    };
    assert_eq!(fix("route subnet-9 ::/0 eigw-1"), ("eigw-1".to_owned(), false));
    assert_eq!(fix(""), ("igw-1".to_owned(), true));
}
