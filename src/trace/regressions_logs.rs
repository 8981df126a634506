//! Records that were taken for a flow's and are another's, and what no log holds.

use super::cases::{flow, run, traced};
use super::*;
use crate::rules::fixture::Fixture;

/// Two VPCs with one block, and a NAT gateway in the first.
const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-0 vpc-1 10.0.0.0/24
    vpc vpc-2 10.0.0.0/16
    subnet subnet-2 vpc-2 10.0.1.0/24
    nacl acl-1 vpc-1 subnet-1 subnet-0
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-2 subnet-2
    acl-2 in 100 allow all 0.0.0.0/0
    acl-2 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 nat-1
    route subnet-0 10.0.0.0/16 local
    route subnet-0 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    eni eni-nat subnet-0 10.0.0.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
    eni eni-client subnet-1 10.0.1.10 groups=sg-1
    eni eni-server subnet-1 10.0.1.20 groups=sg-1
    eni eni-other-client subnet-2 10.0.1.10 groups=sg-1
    eni eni-other-server subnet-2 10.0.1.20 groups=sg-1
    bpa subnet-0 off";

fn of(interface: &str) -> Trace {
    let asked = Flow { interface: Some(interface.to_owned()), ..flow("10.0.1.10", "10.0.1.20", 5432) };
    traced(&Fixture::new(NETWORK).network(), asked)
}

#[test]
fn records_of_another_network_with_the_same_addresses_are_left_out() {
    for (asked, left_out) in [
        ("eni-server", "not in ('eni-other-client', 'eni-other-server')"),
        ("eni-other-server", "not in ('eni-client', 'eni-server')"),
    ] {
        let condition = of(asked).condition(Window::default());
        assert!(condition.contains(left_out), "{asked}: {condition}");
    }
    let alone = run(NETWORK, "10.0.1.10", "198.51.100.7", 443);
    assert!(!alone.condition(Window::default()).contains("interface_id in"));
}

#[test]
fn behind_a_nat_gateway_records_are_of_the_port_that_was_asked_about() {
    let network = Fixture::new(
        NETWORK
            .replace("eni-other-client subnet-2 10.0.1.10", "eni-other-client subnet-2 10.0.1.11")
            .as_str(),
    )
    .network();
    let asked = |src_port| {
        let flow = Flow { src_port, ..flow("10.0.1.10", "198.51.100.7", 443) };
        traced(&network, flow)
    };
    let with_port = asked(Some(62_400));
    let condition = with_port.condition(Window::default());
    let there = "(srcaddr in ('10.0.1.10') or pkt_srcaddr in ('10.0.1.10')) and (dstaddr in ('198.51.100.7') or pkt_dstaddr in \
                 ('198.51.100.7')) and srcport = 62400 and dstport = 443";
    assert!(condition.contains(there), "{condition}");
    // What the gateway sends on has a port of the gateway's, and no record tells whose it is.
    assert!(!condition.contains("192.0.2.50"), "{condition}");
    assert!(with_port.not_checked.iter().any(|text| text.contains("NAT gateway's own addresses")));
    let any = asked(None).condition(Window::default());
    assert!(any.contains("'192.0.2.50'") && !any.contains("srcport = 62400"), "{any}");
}

#[test]
fn what_flow_logs_never_hold_is_told() {
    // 4.6
    let told = |dst: &str| {
        let found = run(NETWORK, "10.0.1.10", dst, 53);
        found
            .not_checked
            .iter()
            .any(|text| text.starts_with("the logs: flow logs hold nothing of traffic to"))
    };
    assert!(told("10.0.0.2") && told("169.254.169.254") && told("169.254.169.123"));
    // The task metadata endpoint is not among them, and a server of one's own is logged.
    assert!(!told("169.254.170.2") && !told("198.51.100.53"));
}
