//! Fixes that were proposed wrongly once. What is expected was worked out by hand from the semantics spec.

use super::Layer;
use super::regressions::{ONE_LIST, fixes, run};

#[test]
fn fixes_of_both_ways_share_a_list_and_no_number() {
    // Inbound at 10.0.2.10's subnet for the request, inbound at 10.0.1.10's for the answer: the same list.
    let found =
        run(&format!("{ONE_LIST}\nacl-1 in 100 allow tcp 443 198.51.100.0/24"), "10.0.1.10", "10.0.2.10");
    let found = fixes(&found);
    let commands: Vec<&str> = found.iter().map(|fix| fix.command.as_str()).collect();
    assert_eq!(
        commands,
        [
            "aws ec2 create-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 110 --protocol 6 \
             --port-range From=443,To=443 --cidr-block 10.0.1.10/32 --rule-action allow",
            "aws ec2 create-network-acl-entry --network-acl-id acl-1 --ingress --rule-number 120 --protocol 6 \
             --port-range From=1024,To=65535 --cidr-block 10.0.2.10/32 --rule-action allow",
        ]
    );
    let names: Vec<&str> = found.iter().filter_map(|fix| fix.terraform.lines().next()).collect();
    assert_eq!(
        names,
        [
            "resource \"aws_network_acl_rule\" \"acl_1_inbound_110\" {",
            "resource \"aws_network_acl_rule\" \"acl_1_inbound_120\" {"
        ]
    );
}

#[test]
fn an_entry_that_another_fix_adds_is_not_added_twice() {
    // The client's and the NAT gateway's subnet have one list without outbound entries.
    let text = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        subnet subnet-2 vpc-1 10.0.2.0/24
        nacl acl-1 vpc-1 subnet-1 subnet-2
        acl-1 in 100 allow all 0.0.0.0/0
        route subnet-1 0.0.0.0/0 igw-1
        route subnet-1 10.0.0.0/16 local
        route subnet-2 0.0.0.0/0 nat-1
        sg-1 out all 0.0.0.0/0
        eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway public=192.0.2.50 description=Interface for NAT Gateway nat-1
        eni eni-app subnet-2 10.0.2.10 groups=sg-1";
    let found = run(text, "10.0.2.10", "198.51.100.7");
    let words: Vec<&str> = fixes(&found)
        .into_iter()
        .map(|fix| match fix.command.split_once("--rule-number ") {
            Some((_, rest)) => rest.split(" --rule-action").next().unwrap(),
            None => fix.text.as_str(),
        })
        .collect();
    assert_eq!(
        words,
        [
            "100 --protocol 6 --port-range From=443,To=443 --cidr-block 198.51.100.7/32",
            "outbound entry 100 of acl-1, which another fix here adds, lets it pass too",
            "110 --protocol 6 --port-range From=1024,To=65535 --cidr-block 10.0.2.10/32",
        ]
    );
}

#[test]
fn the_default_deny_is_overtaken_by_any_free_number() {
    // 8.9: an allow at an unused number; 32767 itself cannot be changed.
    let found = run(&format!("{ONE_LIST}\nacl-1 in 32766 allow tcp 22 0.0.0.0/0"), "10.0.1.10", "10.0.2.10");
    assert!(fixes(&found)[0].command.contains("--rule-number 32760 "), "{:?}", fixes(&found)[0]);
}

#[test]
fn commands_survive_a_shell_and_resources_are_aligned() {
    let text = ONE_LIST.replace("sg-1 in all 0.0.0.0/0", "sg-1 in tcp 22 0.0.0.0/0");
    let found = run(&text, "10.0.1.10", "10.0.2.10");
    let found = fixes(&found);
    let group = found.iter().find(|fix| fix.command.contains("authorize")).unwrap();
    assert!(
        group.command.ends_with(
            " --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=10.0.1.10/32}]'"
        ),
        "{}",
        group.command
    );
    assert_eq!(
        group.terraform,
        "resource \"aws_vpc_security_group_ingress_rule\" \"sg_1_inbound_tcp_443_10_0_1_10\" {\n  \
           security_group_id = \"sg-1\"\n  \
           ip_protocol       = \"tcp\"\n  \
           from_port         = 443\n  \
           to_port           = 443\n  \
           cidr_ipv4         = \"10.0.1.10/32\"\n}"
    );
    let entry = found.iter().find(|fix| fix.command.contains("acl-entry")).unwrap();
    let column: Vec<Option<usize>> = entry.terraform.lines().skip(1).map(|line| line.find(" = ")).collect();
    assert!(column.iter().filter(|at| at.is_some()).all(|at| *at == column[0]), "{}", entry.terraform);
}

#[test]
fn to_a_gateway_in_the_subnet_the_fix_opens_both_lists() {
    // 1.2 row c: both must allow.
    let found = run(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 50 deny tcp 443 10.0.1.0/24
         acl-1 in 100 allow all 10.9.0.0/16
         route subnet-1 10.0.0.0/16 local
         route subnet-1 10.9.0.0/16 tgw-1
         sg-1 out all 0.0.0.0/0
         eni eni-a subnet-1 10.0.1.10 groups=sg-1
         eni eni-tgw subnet-1 10.0.1.5 groups= type=transit_gateway",
        "10.0.1.10",
        "10.9.1.1",
    );
    let stage = found.blockers().find(|stage| stage.layer == Layer::NetworkAcl).unwrap();
    let fix = stage.fix.clone().unwrap();
    let lines: Vec<&str> = fix.command.lines().collect();
    assert_eq!(lines.len(), 2, "{}", fix.command);
    assert!(lines[0].contains("--egress") && lines[0].contains("10.9.1.1/32"), "{}", lines[0]);
    assert!(lines[1].contains("--ingress") && lines[1].contains("10.0.1.10/32"), "{}", lines[1]);
    // The entry that comes nearest is one of the list that is named.
    assert!(stage.nearest.as_ref().is_none_or(|near| near.contains("outbound")), "{:?}", stage.nearest);
}

#[test]
fn a_fix_for_an_address_names_the_group_that_it_carries() {
    let text = ONE_LIST.replace("sg-1 in all 0.0.0.0/0", "sg-1 in tcp 22 0.0.0.0/0");
    let found = run(&text, "10.0.1.10", "10.0.2.10");
    let group = fixes(&found).into_iter().find(|fix| fix.command.contains("authorize")).unwrap();
    let carries = "a rule for sg-1, which 10.0.1.10 carries, would outlast its address";
    assert!(group.text.ends_with(carries), "{}", group.text);
}
