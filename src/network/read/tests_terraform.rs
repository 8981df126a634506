//! Terraform resources that lead traffic: Elastic addresses, blocks, route tables, NAT gateways.

use super::*;
use crate::network::history::View;

const VIEW: View = View { at: 0, after: false };

fn state(resources: &[(&str, &str)]) -> (Network, Vec<String>) {
    let resources: Vec<String> = resources
        .iter()
        .map(|(kind, values)| {
            format!(
                r#"{{"address":"{kind}.x","mode":"managed","type":"{kind}","name":"x","values":{values}}}"#
            )
        })
        .collect();
    let text = format!(
        r#"{{"format_version":"1.0","values":{{"root_module":{{"resources":[{}]}}}}}}"#,
        resources.join(",")
    );
    let mut builder = NetworkBuilder::new();
    builder.read("state.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    let (network, problems) = builder.finish();
    (network, problems.iter().map(|one| format!("{}: {}", one.object, one.message)).collect())
}

const VPC: (&str, &str) =
    ("aws_vpc", r#"{"id":"vpc-1","cidr_block":"10.0.0.0/16","main_route_table_id":"rtb-main"}"#);
const SUBNET: (&str, &str) =
    ("aws_subnet", r#"{"id":"subnet-1","vpc_id":"vpc-1","cidr_block":"10.0.1.0/24"}"#);
const INTERFACE: (&str, &str) = (
    "aws_network_interface",
    r#"{"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","private_ips":["10.0.1.10","10.0.1.11"],
     "arn":"arn:aws:ec2:us-east-1:111122223333:network-interface/eni-1","security_groups":[],
     "attachment":[{"instance":"i-1","device_index":1}]}"#,
);

#[test]
fn an_interface_has_its_account_its_vpc_and_its_instance() {
    let (network, problems) = state(&[INTERFACE, VPC, SUBNET]);
    let found = network.interfaces.get("eni-1", VIEW).unwrap();
    assert_eq!(found.value.owner_id.as_deref(), Some("111122223333"));
    assert_eq!(found.value.vpc_id.as_deref(), Some("vpc-1"));
    assert_eq!(found.value.instance_id.as_deref(), Some("i-1"));
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn elastic_addresses_are_mapped_in_each_of_the_ways() {
    for resources in [
        vec![(
            "aws_eip",
            r#"{"id":"eipalloc-1","public_ip":"203.0.113.9","network_interface":"eni-1","private_ip":"10.0.1.10"}"#,
        )],
        vec![("aws_eip", r#"{"id":"eipalloc-1","public_ip":"203.0.113.9","instance":"i-1"}"#)],
        vec![
            (
                "aws_eip_association",
                r#"{"id":"eipassoc-1","allocation_id":"eipalloc-1","network_interface_id":"eni-1"}"#,
            ),
            ("aws_eip", r#"{"id":"eipalloc-1","public_ip":"203.0.113.9"}"#),
        ],
    ] {
        let all: Vec<_> = [VPC, SUBNET, INTERFACE].into_iter().chain(resources).collect();
        let (network, problems) = state(&all);
        let found = network.interfaces.get("eni-1", VIEW).unwrap();
        assert_eq!(found.value.public_addresses, ["203.0.113.9".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn further_blocks_of_a_vpc() {
    let more = (
        "aws_vpc_ipv4_cidr_block_association",
        r#"{"id":"x","vpc_id":"vpc-1","cidr_block":"100.64.0.0/16"}"#,
    );
    let (network, _) = state(&[more, VPC]);
    let blocks: Vec<String> =
        network.vpcs.get("vpc-1", VIEW).unwrap().value.cidrs.iter().map(ToString::to_string).collect();
    assert_eq!(blocks, ["10.0.0.0/16", "100.64.0.0/16"]);
}

fn routes(network: &Network, id: &str) -> Vec<String> {
    let table = network.route_tables.get(id, VIEW).unwrap();
    let shown = |route: &Route| match &route.destination {
        Destination::Cidr(block) => format!("{block} {}", route.target),
        Destination::PrefixList(list) => format!("{list} {}", route.target),
    };
    table.value.routes.iter().map(shown).collect()
}

#[test]
fn route_tables_with_their_own_routes_and_others() {
    let (network, problems) = state(&[
        VPC,
        SUBNET,
        (
            "aws_route_table",
            r#"{"id":"rtb-1","vpc_id":"vpc-1","route":[{"cidr_block":"0.0.0.0/0","gateway_id":"igw-1","nat_gateway_id":""}]}"#,
        ),
        (
            "aws_route",
            r#"{"route_table_id":"rtb-1","destination_cidr_block":"10.9.0.0/16","transit_gateway_id":"tgw-1"}"#,
        ),
        ("aws_route_table_association", r#"{"route_table_id":"rtb-1","subnet_id":"subnet-1"}"#),
        ("aws_vpc_endpoint", r#"{"id":"vpce-1","route_table_ids":["rtb-1"],"prefix_list_id":"pl-1"}"#),
        ("aws_route_table", r#"{"id":"rtb-main","vpc_id":"vpc-1","route":[]}"#),
        ("aws_internet_gateway", r#"{"id":"igw-1","vpc_id":"vpc-1"}"#),
    ]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        routes(&network, "rtb-1"),
        ["0.0.0.0/0 igw-1", "10.9.0.0/16 tgw-1", "pl-1 vpce-1", "10.0.0.0/16 local"]
    );
    let of = |subnet: &str| {
        network.route_table_of(subnet, Some("vpc-1"), VIEW).map(|found| found.value.id.clone())
    };
    assert_eq!((of("subnet-1").as_deref(), of("subnet-2").as_deref()), (Some("rtb-1"), Some("rtb-main")));
}

#[test]
fn what_is_not_whole_or_not_read_is_named() {
    let (network, problems) = state(&[
        ("aws_route_table", r#"{"id":"rtb-1","vpc_id":"vpc-1","route":[]}"#),
        (
            "aws_route",
            r#"{"route_table_id":"rtb-2","destination_cidr_block":"0.0.0.0/0","gateway_id":"igw-1"}"#,
        ),
        ("aws_vpn_gateway", r#"{"id":"vgw-1"}"#),
        ("aws_vpn_gateway", r#"{"id":"vgw-2"}"#),
        ("aws_s3_bucket", r#"{"id":"b"}"#),
    ]);
    assert!(network.route_tables.is_empty());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(network.part_captures.len(), 1, "the route of a table that no input holds");
    assert!(problems.contains(&"aws_vpn_gateway: 2 resources of this type are not read".to_string()));
}

#[test]
fn a_nat_gateway_is_an_interface_that_its_id_finds() {
    let (network, _) = state(&[
        VPC,
        SUBNET,
        (
            "aws_nat_gateway",
            r#"{"id":"nat-1","network_interface_id":"eni-9","subnet_id":"subnet-1","private_ip":"10.0.1.4","public_ip":"203.0.113.4"}"#,
        ),
    ]);
    let found = network.interfaces.get("eni-9", VIEW).unwrap().value.clone();
    assert!(found.is_type("nat_gateway") && found.groups_known && found.group_ids.is_empty());
    assert_eq!(found.description.as_deref(), Some("Interface for NAT Gateway nat-1"));
    assert_eq!(found.vpc_id.as_deref(), Some("vpc-1"));
}

#[test]
fn an_edge_association_names_a_gateway() {
    let (network, problems) = state(&[
        VPC,
        (
            "aws_route_table",
            r#"{"id":"rtb-e","vpc_id":"vpc-1","route":[{"cidr_block":"10.0.1.0/24","vpc_endpoint_id":"vpce-1"}]}"#,
        ),
        ("aws_route_table_association", r#"{"route_table_id":"rtb-e","gateway_id":"igw-1","subnet_id":""}"#),
    ]);
    assert_eq!(problems, Vec::<String>::new());
    let table = network.route_tables.get("rtb-e", VIEW).unwrap().value.clone();
    assert_eq!((table.gateway_ids.as_slice(), table.subnet_ids.len()), (["igw-1".to_string()].as_slice(), 0));
}

#[test]
fn lists_of_a_wrong_type_are_unknown_and_not_empty() {
    let named = |resource: (&str, &str), told: &str| {
        let (network, problems) = state(&[VPC, SUBNET, resource]);
        assert!(problems.iter().any(|problem| problem.contains(told)), "{told}: {problems:?}");
        network
    };
    // The groups of an interface: "none" would mean that nothing filters it.
    let network = named(
        (
            "aws_network_interface",
            r#"{"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","security_groups":"sg-1"}"#,
        ),
        "eni-1: security_groups is no list",
    );
    assert!(!network.interfaces.get("eni-1", VIEW).unwrap().value.groups_known);
    let network = named(
        (
            "aws_network_interface",
            r#"{"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","security_groups":["sg-1",{}]}"#,
        ),
        "eni-1: an element of security_groups cannot be read",
    );
    let found = network.interfaces.get("eni-1", VIEW).unwrap().value.clone();
    assert_eq!((found.groups_known, found.group_ids.len()), (false, 1));
    // The remotes of a rule: another one beside them does not make it whole.
    let unsure = |rule: &str, told: &str| {
        let text = format!(r#"{{"id":"sg-1","vpc_id":"vpc-1","ingress":[{rule}],"egress":[]}}"#);
        let network = named(("aws_security_group", &text), told);
        let group = network.groups.get("sg-1", VIEW).unwrap().value.clone();
        assert!(group.rules.iter().any(|rule| matches!(rule.remote, Remote::Unreadable(_))), "{rule}");
        group.rules.len()
    };
    let rule = |more: &str| format!(r#"{{"from_port":22,"to_port":22,"protocol":"tcp",{more}}}"#);
    assert_eq!(
        unsure(
            &rule(r#""cidr_blocks":["10.0.0.0/8"],"ipv6_cidr_blocks":"::/0""#),
            "ipv6_cidr_blocks is no list"
        ),
        2
    );
    assert_eq!(
        unsure(&rule(r#""cidr_blocks":["10.0.0.0/8",null]"#), "an element of cidr_blocks cannot be read"),
        2
    );
    assert_eq!(
        unsure(&rule(r#""prefix_list_ids":{},"security_groups":["sg-2"]"#), "prefix_list_ids is no list"),
        2
    );
    // Whom a list serves: its subnet would be thought to have the VPC's default list.
    let lists = [
        (
            "aws_default_network_acl",
            r#"{"id":"acl-0","vpc_id":"vpc-1","subnet_ids":[],"ingress":[],"egress":[]}"#,
        ),
        (
            "aws_network_acl",
            r#"{"id":"acl-1","vpc_id":"vpc-1","subnet_ids":"subnet-1","ingress":[],"egress":[]}"#,
        ),
    ];
    let (network, problems) = state(&[VPC, SUBNET, lists[0], lists[1]]);
    assert!(problems.iter().any(|told| told.contains("acl-1: subnet_ids is no list")), "{problems:?}");
    assert!(network.acl_of("subnet-1", Some("vpc-1"), VIEW).is_none());
    let right = lists[1].1.replace(r#""subnet-1""#, r#"["subnet-9"]"#);
    let (network, _) = state(&[VPC, SUBNET, lists[0], (lists[1].0, &right)]);
    assert_eq!(network.acl_of("subnet-1", Some("vpc-1"), VIEW).unwrap().value.id, "acl-0");
    // Entries of a prefix list, routes, and which direction a rule has.
    let network = named(
        (
            "aws_ec2_managed_prefix_list",
            r#"{"id":"pl-1","address_family":"IPv4","entry":{"cidr":"10.0.0.0/8"}}"#,
        ),
        "pl-1: entry is no list",
    );
    assert!(network.prefix_lists.get("pl-1", VIEW).unwrap().value.entries.is_none());
    let network = named(
        ("aws_route_table", r#"{"id":"rtb-1","vpc_id":"vpc-1","route":{"cidr_block":"0.0.0.0/0"}}"#),
        "rtb-1: route is no list",
    );
    assert!(network.route_tables.get("rtb-1", VIEW).unwrap().value.more_routes);
    let network = named(
        (
            "aws_security_group_rule",
            r#"{"id":"sgrule-1","security_group_id":"sg-1","type":7,"protocol":"-1","cidr_blocks":["0.0.0.0/0"]}"#,
        ),
        "sg-1: a rule whose type is neither ingress nor egress",
    );
    let group = network.groups.get("sg-1", VIEW).unwrap().value.clone();
    let unreadable = |rule: &&SecurityGroupRule| matches!(rule.traffic, Traffic::Unreadable(_));
    assert_eq!(group.rules.iter().filter(unreadable).count(), 2);
}

const TARGETS: [(&str, &str); 4] = [
    (
        "aws_lb",
        r#"{"id":"arn:lb","arn":"arn:lb","name":"web","load_balancer_type":"network","subnets":["subnet-1"]}"#,
    ),
    (
        "aws_lb_target_group",
        r#"{"id":"arn:tg","arn":"arn:tg","name":"app","port":8080,"protocol":"TCP","target_type":"instance","preserve_client_ip":"true"}"#,
    ),
    (
        "aws_lb_target_group_attachment",
        r#"{"id":"x","target_group_arn":"arn:tg","target_id":"i-1","port":9090}"#,
    ),
    (
        "aws_lb_target_group_attachment",
        r#"{"id":"y","target_group_arn":"arn:tg","target_id":"i-2","port":null}"#,
    ),
];

#[test]
fn target_groups_with_their_targets_and_ports() {
    let listener = (
        "aws_lb_listener",
        r#"{"id":"arn:l","arn":"arn:l","load_balancer_arn":"arn:lb","default_action":[{"type":"forward","target_group_arn":"arn:tg"}]}"#,
    );
    let shared = (
        "aws_lb_listener",
        r#"{"id":"arn:l","arn":"arn:l","load_balancer_arn":"arn:lb","default_action":[{"type":"forward","forward":[{"target_group":[{"arn":"arn:tg","weight":1}]}]}]}"#,
    );
    let plain = (
        "aws_lb_listener",
        r#"{"id":"arn:l","arn":"arn:l","load_balancer_arn":"arn:lb","default_action":[{"type":"fixed-response"}]}"#,
    );
    let rule = (
        "aws_lb_listener_rule",
        r#"{"id":"r","listener_arn":"arn:l","action":[{"type":"forward","target_group_arn":"arn:tg"}]}"#,
    );
    for more in [vec![listener], vec![shared], vec![plain, rule]] {
        let resources: Vec<_> = more.into_iter().chain(TARGETS).collect();
        let (network, problems) = state(&resources);
        assert_eq!(problems, Vec::<String>::new());
        let group = network.target_groups.get("arn:tg", VIEW).unwrap().value.clone();
        assert!(group.is_of("arn:lb"), "{group:?}");
        assert_eq!((group.port, group.preserve_client_ip), (Some(8080), Some(true)));
        let targets: Vec<_> = group.targets.iter().map(|one| (one.id.as_str(), one.port)).collect();
        assert_eq!(targets, [("i-1", Some(9090)), ("i-2", None)]);
    }
}

#[test]
fn a_classic_load_balancer_has_targets_behind_each_listener() {
    let (network, _) = state(&[
        (
            "aws_elb",
            r#"{"id":"old","name":"old","instances":["i-1"],"listener":[{"lb_port":80,"instance_port":8080,"instance_protocol":"HTTP"},{"lb_port":443,"instance_port":8443,"instance_protocol":"TCP"}]}"#,
        ),
        ("aws_elb_attachment", r#"{"id":"x","elb":"old","instance":"i-2"}"#),
    ]);
    let groups: Vec<_> = network.target_groups.all(VIEW).map(|found| found.value.clone()).collect();
    let ports: Vec<_> = groups.iter().map(|group| (group.port, group.targets.len())).collect();
    assert_eq!(ports, [(Some(8080), 2), (Some(8443), 2)]);
    assert!(groups.iter().all(|group| group.is_of("old")));
}
