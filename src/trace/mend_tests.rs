//! Routes that are missing or lead nowhere, and what would mend them, each found by hand.

use super::cases::{flow, traced};
use super::*;
use crate::rules::fixture::Fixture;

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    vpc vpc-9 10.9.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    subnet subnet-9 vpc-9 10.9.1.0/24
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-9 vpc-9 subnet-9
    acl-9 in 100 allow all 0.0.0.0/0
    acl-9 out 100 allow all 0.0.0.0/0
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-public subnet-1 10.0.1.11 groups=sg-1 public=192.0.2.11
    eni eni-far subnet-9 10.9.1.90 groups=sg-1
    route subnet-1 10.0.0.0/16 local
    route subnet-2 10.0.0.0/16 local
    route subnet-9 10.9.0.0/16 local";

fn of(more: &str, src: &str, dst: &str, change: impl Fn(&mut Fixture)) -> Trace {
    let mut fixture = Fixture::new(&format!("{NETWORK}\n{more}"));
    change(&mut fixture);
    traced(&fixture.network(), flow(src, dst, 443))
}

/// The commands that mend routes, with the way.
fn fixes(trace: &Trace) -> Vec<String> {
    let routes = trace.stages.iter().filter(|stage| stage.layer == Layer::Route);
    routes.filter_map(|stage| Some(format!("{}: {}", stage.way, stage.fix.as_ref()?.command))).collect()
}

#[test]
fn a_way_between_vpcs() {
    let to_far = |more: &str| of(more, "10.0.1.10", "10.9.1.90", |_| {});
    let peering = "vpc-peering-connection-id pcx-1";
    assert_eq!(
        fixes(&to_far("peering pcx-1 vpc-1 vpc-9")),
        [
            format!(
                "there: aws ec2 create-route --route-table-id rtb-subnet-1 --destination-cidr-block 10.9.0.0/16 --{peering}"
            ),
            format!(
                "back: aws ec2 create-route --route-table-id rtb-subnet-9 --destination-cidr-block 10.0.0.0/16 --{peering}"
            ),
        ]
    );
    let gateway = "attachment tgw-attach-1 tgw-1 vpc-1 subnet-1\nattachment tgw-attach-9 tgw-1 vpc-9 subnet-9\n\
         route subnet-9 10.0.0.0/16 tgw-1";
    let over = to_far(gateway);
    assert_eq!(
        fixes(&over),
        [
            "there: aws ec2 create-route --route-table-id rtb-subnet-1 --destination-cidr-block 10.9.0.0/16 --transit-gateway-id tgw-1"
        ]
    );
    let terraform = &over.blockers().next().unwrap().fix.as_ref().unwrap().terraform;
    assert_eq!(
        terraform,
        "resource \"aws_route\" \"rtb_subnet_1_10_9_0_0_16\" {\n  route_table_id         = \"rtb-subnet-1\"\n  \
         destination_cidr_block = \"10.9.0.0/16\"\n  transit_gateway_id     = \"tgw-1\"\n}"
    );
    // Attached to two gateways, nothing known joins them.
    let apart = to_far(&gateway.replace("tgw-1 vpc-9", "tgw-2 vpc-9"));
    assert_eq!(fixes(&apart), Vec::<String>::new());
    let reason = &apart.blockers().next().unwrap().reason;
    assert_eq!(
        reason,
        "rtb-subnet-1 has no route to 10.9.1.90; no active peering connection or shared transit gateway of vpc-1 that \
         leads there is in the configuration"
    );
}

#[test]
fn a_route_that_leads_nowhere_is_replaced() {
    let text =
        "route subnet-1 10.9.0.0/16 pcx-old\nroute subnet-9 10.0.0.0/16 pcx-1\npeering pcx-1 vpc-1 vpc-9";
    let dead = |fixture: &mut Fixture| {
        let table = fixture.tables.get_mut("rtb-subnet-1").unwrap();
        table.routes.iter_mut().filter(|route| route.target == "pcx-old").for_each(|route| {
            route.state = Some("blackhole".into());
        });
    };
    let command = "there: aws ec2 replace-route --route-table-id rtb-subnet-1 --destination-cidr-block 10.9.0.0/16 \
                   --vpc-peering-connection-id pcx-1";
    assert_eq!(fixes(&of(text, "10.0.1.10", "10.9.1.90", dead)), [command]);
    // A connection that was deleted, and one that took its place.
    let deleted = |fixture: &mut Fixture| {
        let mut old = fixture.peerings["pcx-1"].clone();
        (old.id, old.status) = ("pcx-old".into(), Some("deleted".into()));
        fixture.peerings.insert("pcx-old".into(), old);
    };
    assert_eq!(fixes(&of(text, "10.0.1.10", "10.9.1.90", deleted)), [command]);
}

#[test]
fn a_way_to_the_internet() {
    let out = |src: &str, more: &str| {
        of(&format!("{more}\nroute subnet-2 0.0.0.0/0 igw-1"), src, "198.51.100.7", |_| {})
    };
    let nat = "eni eni-nat subnet-2 10.0.2.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1";
    let route = "aws ec2 create-route --route-table-id rtb-subnet-1 --destination-cidr-block 198.51.100.7/32";
    assert_eq!(fixes(&out("10.0.1.11", nat)), [format!("there: {route} --gateway-id igw-1")]);
    assert_eq!(fixes(&out("10.0.1.10", nat)), [format!("there: {route} --nat-gateway-id nat-1")]);
    let without = out("10.0.1.10", "");
    assert_eq!(fixes(&without), Vec::<String>::new());
    let reason = &without.blockers().next().unwrap().reason;
    assert!(reason.ends_with(
        "no NAT gateway, nor a public address for an internet gateway, of vpc-1 that leads there is in the configuration"
    ));
    // The answers to who comes from outside.
    let in_ = of("route subnet-2 0.0.0.0/0 igw-1", "198.51.100.7", "10.0.1.11", |_| {});
    assert_eq!(fixes(&in_), [format!("back: {route} --gateway-id igw-1")]);
}
