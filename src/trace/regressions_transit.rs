//! Faults once found in the way over a transit gateway, each told by hand.

use super::cases::{blockers, flow, traced};
use super::*;
use crate::rules::fixture::Fixture;

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    vpc vpc-2 10.8.0.0/16
    vpc vpc-3 10.9.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-8 vpc-2 10.8.1.0/24
    subnet subnet-9 vpc-3 10.9.1.0/28
    subnet subnet-7 vpc-3 10.9.2.0/28
    zone subnet-1 us-east-1a
    zone subnet-8 us-east-1a
    zone subnet-9 us-east-1a
    nacl acl-1 vpc-1 default subnet-1
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
    attachment tgw-attach-1 tgw-1 vpc-1 subnet-1 tgw-rtb-1
    attachment tgw-attach-2 tgw-1 vpc-2 subnet-8 tgw-rtb-1
    attachment tgw-attach-3 tgw-1 vpc-3 subnet-9 tgw-rtb-2
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-b subnet-8 10.8.1.10 groups=sg-1
    transit tgw-rtb-1 10.0.0.0/16 tgw-attach-1";

const DIRECT: &str = "transit tgw-rtb-1 10.8.0.0/16 tgw-attach-2";

fn of(more: &str, change: impl Fn(&mut Fixture)) -> Trace {
    let mut fixture = Fixture::new(&format!("{NETWORK}\n{more}"));
    change(&mut fixture);
    traced(&fixture.network(), flow("10.0.1.10", "10.8.1.10", 443))
}

fn commands(trace: &Trace) -> Vec<String> {
    let fixes = trace.stages.iter().filter_map(|stage| stage.fix.as_ref());
    fixes.flat_map(|fix| fix.command.lines()).map(str::to_owned).collect()
}

#[test]
fn a_vpc_that_inspects_what_passes_is_followed() {
    // The spokes' table leads everything to vpc-3, whose own table of the gateway knows both spokes.
    let inspected = |middle: &str| {
        let text = NETWORK.replace(
            "transit tgw-rtb-1 10.0.0.0/16 tgw-attach-1",
            "transit tgw-rtb-1 0.0.0.0/0 tgw-attach-3",
        );
        let back = "transit tgw-rtb-2 10.0.0.0/16 tgw-attach-1\ntransit tgw-rtb-2 10.8.0.0/16 tgw-attach-2";
        let network = Fixture::new(&format!("{text}\n{back}\n{middle}")).network();
        traced(&network, flow("10.0.1.10", "10.8.1.10", 443))
    };
    let endpoint = "eni eni-fw subnet-7 10.9.2.4 groups= type=gateway_load_balancer_endpoint description=VPC Endpoint Interface vpce-fw";
    let complete = format!("route subnet-9 0.0.0.0/0 vpce-fw\nroute subnet-7 10.0.0.0/8 tgw-1\n{endpoint}");
    let found = inspected(&complete);
    assert_eq!(found.outcome(), Decision::Unknown, "{}", found.text());
    assert!(
        found
            .not_checked
            .iter()
            .any(|text| text.contains("appliances behind the Gateway Load Balancer endpoint vpce-fw"))
    );
    let second = found.stages.iter().filter(|stage| stage.reason.starts_with("a second time")).count();
    assert_eq!(second, 2, "there and back: {}", found.text());
    // Behind an appliance a missing route is not sure: it may have another way on.
    let open =
        inspected(&format!("route subnet-9 0.0.0.0/0 vpce-fw\nroute subnet-7 10.9.0.0/16 local\n{endpoint}"));
    assert_eq!(open.outcome(), Decision::Unknown, "{}", open.text());
    // Where the VPC between does not lead on, it stops there.
    let cut = inspected("route subnet-9 10.9.0.0/16 local");
    assert_eq!(blockers(&cut), ["there route subnet-9", "back route subnet-9"]);
}

#[test]
fn an_attachment_that_waits_for_its_acceptance_carries_nothing() {
    let found = of(DIRECT, |fixture| {
        fixture.attachments.get_mut("tgw-attach-2").unwrap().state = Some("pendingAcceptance".into());
    });
    assert_eq!(blockers(&found)[0], "there gateway tgw-attach-2");
    let accept = "aws ec2 accept-transit-gateway-vpc-attachment --transit-gateway-attachment-id tgw-attach-2";
    assert_eq!(commands(&found), [accept]);
    assert_eq!(found.fixes_suffice(), None, "its routes show later");
    assert_eq!(of(DIRECT, |_| {}).outcome(), Decision::Allow);
}

#[test]
fn what_a_gateways_table_lacks_is_proposed() {
    let route = |verb: &str, block: &str| {
        format!(
            "aws ec2 {verb}-transit-gateway-route --transit-gateway-route-table-id tgw-rtb-1 --destination-cidr-block {block} \
             --transit-gateway-attachment-id tgw-attach-2"
        )
    };
    assert_eq!(commands(&of("", |_| {})), [route("create", "10.8.0.0/16")]);
    let narrow = format!("{DIRECT}\ntransit tgw-rtb-1 10.8.1.0/24 blackhole");
    assert_eq!(commands(&of(&narrow, |_| {})), [route("replace", "10.8.1.0/24")]);
    let wide = "transit tgw-rtb-1 10.8.0.0/12 blackhole";
    assert_eq!(commands(&of(wide, |_| {})), [route("create", "10.8.0.0/16")]);
}

#[test]
fn an_attachment_known_to_have_no_table_is_a_blocker() {
    let without = |known: bool| {
        of(DIRECT, |fixture| {
            let attachment = fixture.attachments.get_mut("tgw-attach-1").unwrap();
            (attachment.route_table_id, attachment.association_known) = (None, known);
        })
    };
    assert_eq!(without(false).outcome(), Decision::Unknown);
    let found = without(true);
    let associate = "aws ec2 associate-transit-gateway-route-table --transit-gateway-route-table-id tgw-rtb-1 \
                     --transit-gateway-attachment-id tgw-attach-1";
    assert_eq!((found.outcome(), commands(&found)), (Decision::Deny, vec![associate.to_owned()]));
}

#[test]
fn a_zone_without_the_attachment_loses_what_it_sends_not_what_it_is_sent() {
    let found = of(
        &format!(
            "{DIRECT}\nzone subnet-8 us-east-1b\nsubnet subnet-6 vpc-2 10.8.6.0/24\nzone subnet-6 us-east-1a"
        ),
        |fixture| {
            fixture.attachments.get_mut("tgw-attach-2").unwrap().subnet_ids = vec!["subnet-6".into()];
        },
    );
    assert_eq!(blockers(&found), ["back gateway tgw-attach-2"]);
    let add = "aws ec2 modify-transit-gateway-vpc-attachment --transit-gateway-attachment-id tgw-attach-2 --add-subnet-ids \
               subnet-8";
    assert_eq!(commands(&found), [add]);
    assert_eq!(found.fixes_suffice(), Some(true));
}

#[test]
fn a_nat_gateway_of_another_vpc_is_followed_over_the_transit_gateway() {
    // vpc-3 has the NAT gateway of all: in by subnet-9, out by subnet-7.
    let nat = "eni eni-nat subnet-7 10.9.2.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1";
    let text = format!(
        "{NETWORK}\nroute subnet-1 0.0.0.0/0 tgw-1\ntransit tgw-rtb-1 0.0.0.0/0 tgw-attach-3\n\
         transit tgw-rtb-2 10.0.0.0/16 tgw-attach-1\nnacl acl-3 vpc-3 default subnet-7 subnet-9\n\
         acl-3 in 100 allow all 0.0.0.0/0\nacl-3 out 100 allow all 0.0.0.0/0\n{nat}\nbpa subnet-7 off\n\
         route subnet-7 10.9.0.0/16 local\nroute subnet-7 0.0.0.0/0 igw-1"
    );
    let out = |more: &[&str]| {
        let mut fixture = Fixture::new(&text);
        more.iter().for_each(|line| fixture.line(line));
        traced(&fixture.network(), flow("10.0.1.10", "198.51.100.7", 443))
    };
    let (to_nat, back) = ("route subnet-9 0.0.0.0/0 nat-1", "route subnet-7 10.0.0.0/8 tgw-1");
    let whole = out(&[to_nat, back]);
    assert_eq!(whole.outcome(), Decision::Allow, "{}", whole.text());
    assert!(whole.translated.contains(&"192.0.2.50".parse().unwrap()));
    let lost = out(&[to_nat]);
    assert_eq!(blockers(&lost), ["back route subnet-7"]);
    let create = "aws ec2 create-route --route-table-id rtb-subnet-7 --destination-cidr-block 10.0.0.0/16 --transit-gateway-id tgw-1";
    assert_eq!(commands(&lost), [create]);
    let cut = out(&["route subnet-9 10.9.0.0/16 local", back]);
    assert_eq!(blockers(&cut), ["there route subnet-9"]);
    assert_eq!(cut.fixes_suffice(), None, "what lies behind was not followed");
}

#[test]
fn a_static_route_of_a_gateway_comes_before_a_propagated_one() {
    let (made, dead) =
        ("transit tgw-rtb-1 10.8.0.0/16 tgw-attach-2 propagated", "transit tgw-rtb-1 10.8.0.0/16 blackhole");
    for routes in [[made, dead], [dead, made]] {
        assert_eq!(of(&routes.join("\n"), |_| {}).outcome(), Decision::Deny, "{routes:?}");
    }
}
