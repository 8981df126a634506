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

/// The commands of all fixes in order, and whether the trace says that they suffice.
fn all(trace: &Trace) -> (Vec<String>, bool) {
    let found = trace.stages.iter().filter_map(|stage| stage.fix.as_ref());
    let lines = found.flat_map(|fix| fix.command.lines()).map(str::to_owned).collect();
    (lines, trace.json()["fixes_suffice"].as_bool().unwrap())
}

/// `pcx-1` from vpc-1 to vpc-9 of another account and Region.
fn peered(status: &'static str) -> impl Fn(&mut Fixture) {
    move |fixture: &mut Fixture| {
        let peering = fixture.peerings.get_mut("pcx-1").unwrap();
        peering.status = Some(status.into());
        peering.requester.owner_id = Some("111122223333".into());
        peering.accepter.owner_id = Some("222233334444".into());
        peering.accepter.region = Some("eu-west-1".into());
        // EC2 shows routes over it as blackholes until it is accepted.
        let routes = fixture.tables.values_mut().flat_map(|table| &mut table.routes);
        routes
            .filter(|route| route.target == "pcx-1")
            .for_each(|route| route.state = Some("blackhole".into()));
    }
}

const ACCEPT: &str =
    "aws ec2 accept-vpc-peering-connection --vpc-peering-connection-id pcx-1 --region eu-west-1";

#[test]
fn a_peering_connection_that_waits_is_accepted() {
    let routes =
        "peering pcx-1 vpc-1 vpc-9\nroute subnet-1 10.9.0.0/16 pcx-1\nroute subnet-9 10.0.0.0/16 pcx-1";
    let waiting = of(routes, "10.0.1.10", "10.9.1.90", peered("pending-acceptance"));
    assert_eq!(all(&waiting), (vec![ACCEPT.to_owned()], true));
    let text = waiting.text();
    assert!(text.contains("pcx-1 is pending-acceptance"), "{text}");
    assert!(text.contains("accept pcx-1, as account 222233334444"), "{text}");
    assert!(text.contains("as another fix here does") && !text.contains("there is no fix here"), "{text}");
    // What it leads to is another VPC's: accepting it mends nothing.
    let third = format!("vpc vpc-8 10.8.0.0/16\n{}", routes.replace("vpc-1 vpc-9", "vpc-1 vpc-8"));
    let elsewhere = of(&third, "10.0.1.10", "10.9.1.90", peered("pending-acceptance"));
    assert_eq!(all(&elsewhere), (vec![], false));
    // What nobody can accept any more has no command, and that is said.
    let expired = of(routes, "10.0.1.10", "10.9.1.90", peered("expired"));
    assert_eq!(all(&expired), (vec![], false));
    assert!(expired.text().contains("there is no fix here for route at subnet-1"), "{}", expired.text());
}

#[test]
fn a_way_over_a_peering_connection_that_waits_needs_both_its_acceptance_and_a_route() {
    let waiting = |fixture: &mut Fixture| peered("pending-acceptance")(fixture);
    let back = "peering pcx-1 vpc-1 vpc-9\nroute subnet-9 10.0.0.0/16 pcx-1";
    let (commands, suffice) = all(&of(back, "10.0.1.10", "10.9.1.90", waiting));
    let route = "aws ec2 create-route --route-table-id rtb-subnet-1 --destination-cidr-block 10.9.0.0/16 \
                 --vpc-peering-connection-id pcx-1";
    assert!(commands.contains(&ACCEPT.to_owned()) && commands.contains(&route.to_owned()), "{commands:?}");
    assert!(suffice);
}

#[test]
fn what_has_no_public_address_gets_one() {
    let command = |address: &str, id: &str| {
        format!(
            "aws ec2 associate-address --network-interface-id {id} --private-ip-address {address} --allocation-id \"$(aws ec2 \
             allocate-address --domain vpc --query AllocationId --output text)\""
        )
    };
    let wanted = (vec![command("10.0.1.10", "eni-a")], true);
    let out = of("route subnet-1 0.0.0.0/0 igw-1", "10.0.1.10", "198.51.100.7", |_| {});
    assert_eq!(all(&out), wanted, "{}", out.text());
    // From outside its answers need it as well: that is said once.
    let into = of("route subnet-1 0.0.0.0/0 igw-1", "198.51.100.7", "10.0.1.10", |_| {});
    assert_eq!(all(&into), wanted, "{}", into.text());
    // A service decides about its own.
    let managed = |fixture: &mut Fixture| {
        fixture.interfaces.get_mut("eni-a").unwrap().requester_managed = true;
    };
    let lambda = of("route subnet-1 0.0.0.0/0 igw-1", "10.0.1.10", "198.51.100.7", managed);
    assert_eq!(all(&lambda), (vec![], false));
}

#[test]
fn one_exclusion_from_block_public_access_is_enough_for_both_ways() {
    let blocked = of(
        "route subnet-1 0.0.0.0/0 igw-1\nbpa subnet-1 block-bidirectional",
        "10.0.1.11",
        "198.51.100.7",
        |_| {},
    );
    let (commands, suffice) = all(&blocked);
    assert_eq!((commands.len(), suffice), (1, true), "{}", blocked.text());
}

#[test]
fn words_without_a_command_do_not_suffice() {
    let denied = |entries: &str| {
        let text = NETWORK.replace("    acl-1 in 100 allow all 0.0.0.0/0\n", entries);
        traced(&Fixture::new(&text).network(), flow("10.9.1.90", "10.0.1.10", 443))
    };
    // Number 1 is taken and 2 is not: the deny makes room.
    let peering = "\nacl-1 in 1 deny tcp 443 10.9.0.0/16\nacl-1 in 3 allow all 0.0.0.0/0\n";
    let found = denied(peering);
    let fix =
        found.blockers().filter_map(|stage| stage.fix.as_ref()).find(|fix| fix.command.contains("acl-1"));
    let lines: Vec<&str> = fix.unwrap().command.lines().collect();
    assert_eq!(
        lines,
        [
            "aws ec2 create-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 2 --protocol 6 --port-range \
             From=443,To=443 --cidr-block 10.9.0.0/16 --rule-action deny",
            "aws ec2 replace-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 1 --protocol 6 --port-range \
             From=443,To=443 --cidr-block 10.9.1.90/32 --rule-action allow",
        ]
    );
    // Where many would have to move, somebody has to decide.
    let many: String = (1..=9).map(|n| format!("\nacl-1 in {n} deny tcp 443 10.9.0.0/16")).collect();
    let found = denied(&format!("{many}\n"));
    let advice =
        found.stages.iter().filter_map(|stage| stage.fix.as_ref()).find(|fix| fix.is_advice).unwrap();
    assert_eq!(advice.text, "narrow rule 1 of acl-1: no smaller number is free");
    assert!(!all(&found).1);
    assert!(found.text().contains("no command mends network_acl at subnet-1"), "{}", found.text());
}
