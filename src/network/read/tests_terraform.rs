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
    assert_eq!(problems.len(), 3, "{problems:?}");
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
