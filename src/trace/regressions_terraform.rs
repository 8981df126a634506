//! Fixes as Terraform, of configuration that is Terraform's: what has its rules inline gets a block there. The blocks are those of the
//! provider's documents of `aws_network_acl`, `aws_security_group` and `aws_route_table`.

use super::Trace;
use super::cases::{flow, traced};
use crate::network::{Network, NetworkBuilder, ReadOptions};
use serde_json::{Value, json};

fn resource(kind: &str, name: &str, values: Value) -> Value {
    json!({"address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "values": values})
}

fn interface(id: &str, subnet: &str, address: &str, group: &str) -> Value {
    let values = json!({"id": id, "subnet_id": subnet, "private_ip": address, "private_ips": [address], "security_groups": [group]});
    resource("aws_network_interface", id, values)
}

/// A client and a server in two subnets of one VPC; the server's list, group and table are `more`.
fn state(more: Vec<Value>) -> Network {
    let subnet = |id: &str, block: &str| {
        resource("aws_subnet", id, json!({"id": id, "vpc_id": "vpc-1", "cidr_block": block}))
    };
    let open = json!([{"rule_no": 100, "action": "allow", "protocol": "-1", "from_port": 0, "to_port": 0, "cidr_block": "0.0.0.0/0",
                       "ipv6_cidr_block": "", "icmp_type": 0, "icmp_code": 0}]);
    let all = json!([{"from_port": 0, "to_port": 0, "protocol": "-1", "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": [],
                      "prefix_list_ids": [], "security_groups": [], "self": false, "description": ""}]);
    let mut resources = vec![
        resource(
            "aws_vpc",
            "v",
            json!({"id": "vpc-1", "cidr_block": "10.0.0.0/16", "main_route_table_id": "rtb-1"}),
        ),
        resource("aws_route_table", "main", json!({"id": "rtb-1", "vpc_id": "vpc-1", "route": []})),
        subnet("subnet-1", "10.0.1.0/24"),
        subnet("subnet-2", "10.0.2.0/24"),
        interface("eni-1", "subnet-1", "10.0.1.10", "sg-1"),
        interface("eni-2", "subnet-2", "10.0.2.10", "sg-2"),
        resource(
            "aws_network_acl",
            "open",
            json!({"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "ingress": open, "egress": open}),
        ),
        resource(
            "aws_security_group",
            "client",
            json!({"id": "sg-1", "vpc_id": "vpc-1", "ingress": [], "egress": all}),
        ),
    ];
    resources.extend(more);
    let text =
        json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}}).to_string();
    let mut builder = NetworkBuilder::new();
    builder.read("state.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    builder.finish().0
}

fn terraform(trace: &Trace) -> Vec<String> {
    trace.stages.iter().filter_map(|stage| Some(stage.fix.as_ref()?.terraform.clone())).collect()
}

fn list(ingress: Value, egress: Value) -> Value {
    let values = json!({"id": "acl-2", "vpc_id": "vpc-1", "subnet_ids": ["subnet-2"], "ingress": ingress, "egress": egress});
    resource("aws_network_acl", "db", values)
}

fn group(ingress: Value) -> Value {
    resource(
        "aws_security_group",
        "db",
        json!({"id": "sg-2", "vpc_id": "vpc-1", "ingress": ingress, "egress": []}),
    )
}

fn entry(number: u32, port: u16) -> Value {
    json!({"rule_no": number, "action": "deny", "protocol": "6", "from_port": port, "to_port": port, "cidr_block": "0.0.0.0/0",
           "ipv6_cidr_block": "", "icmp_type": 0, "icmp_code": 0})
}

fn ssh() -> Value {
    json!({"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["10.0.1.0/24"], "ipv6_cidr_blocks": [],
           "prefix_list_ids": [], "security_groups": [], "self": false, "description": ""})
}

#[test]
fn where_rules_are_inline_a_fix_is_a_block_of_their_resource() {
    // A resource of its own is what the next apply takes away (spec 6.9).
    let network = state(vec![list(json!([entry(90, 22)]), json!([])), group(json!([ssh()]))]);
    let found = terraform(&traced(&network, flow("10.0.1.10", "10.0.2.10", 5432)));
    let [into, rule, back] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        into,
        "# in aws_network_acl.db, beside the others: it has these inline, and an apply takes away what has a resource of its own\n\
         ingress {\n  rule_no    = 100\n  action     = \"allow\"\n  protocol   = \"6\"\n  from_port  = 5432\n  to_port    = 5432\n  \
         cidr_block = \"10.0.1.10/32\"\n}"
    );
    assert!(rule.starts_with("# in aws_security_group.db, beside the others"), "{rule}");
    assert!(
        rule.ends_with(
            "ingress {\n  from_port   = 5432\n  to_port     = 5432\n  protocol    = \"tcp\"\n  cidr_blocks = [\"10.0.1.10/32\"]\n}"
        ),
        "{rule}"
    );
    assert!(
        back.contains("\negress {\n") && back.contains("from_port  = 1024\n  to_port    = 65535\n"),
        "{back}"
    );
}

#[test]
fn where_rules_have_resources_a_fix_is_one_too() {
    // A refresh shows in the object's resource what resources of their own have.
    let rule = json!({"id": "sgr-1", "security_group_id": "sg-2", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.1.0/24"});
    let own = json!({"id": "nacl-1", "network_acl_id": "acl-2", "rule_number": 90, "egress": false, "protocol": "6", "rule_action": "deny",
                     "cidr_block": "0.0.0.0/0", "from_port": 22, "to_port": 22});
    let network = state(vec![
        list(json!([entry(90, 22)]), json!([])),
        group(json!([ssh()])),
        resource("aws_vpc_security_group_ingress_rule", "ssh", rule),
        resource("aws_network_acl_rule", "ssh", own),
    ]);
    let found = terraform(&traced(&network, flow("10.0.1.10", "10.0.2.10", 5432)));
    assert!(found[0].starts_with("resource \"aws_network_acl_rule\""), "{found:?}");
    assert!(found[1].starts_with("resource \"aws_vpc_security_group_ingress_rule\""), "{found:?}");
    // The VPC's default group and list take away all that they do not have themselves.
    let values = json!({"id": "sg-2", "vpc_id": "vpc-1", "ingress": [], "egress": []});
    let network = state(vec![
        list(json!([entry(90, 22)]), json!([])),
        resource("aws_default_security_group", "default", values),
    ]);
    let found = terraform(&traced(&network, flow("10.0.1.10", "10.0.2.10", 5432)));
    assert!(found[1].starts_with("# in aws_default_security_group.default"), "{found:?}");
}

#[test]
fn where_routes_are_inline_a_route_is_a_block_of_their_table() {
    let peering = resource(
        "aws_vpc_peering_connection",
        "p",
        json!({"id": "pcx-1", "vpc_id": "vpc-1", "peer_vpc_id": "vpc-9", "accept_status": "active"}),
    );
    let route = json!({"cidr_block": "10.8.0.0/16", "vpc_peering_connection_id": "pcx-1"});
    let table = json!({"id": "rtb-2", "vpc_id": "vpc-1", "route": [route]});
    let network = state(vec![
        peering,
        resource("aws_route_table", "app", table),
        resource(
            "aws_route_table_association",
            "a",
            json!({"id": "rtbassoc-1", "route_table_id": "rtb-2", "subnet_id": "subnet-1"}),
        ),
        resource(
            "aws_vpc",
            "far",
            json!({"id": "vpc-9", "cidr_block": "10.9.0.0/16", "main_route_table_id": "rtb-9"}),
        ),
        resource("aws_route_table", "far", json!({"id": "rtb-9", "vpc_id": "vpc-9", "route": []})),
        resource(
            "aws_subnet",
            "far",
            json!({"id": "subnet-9", "vpc_id": "vpc-9", "cidr_block": "10.9.1.0/24"}),
        ),
        interface("eni-9", "subnet-9", "10.9.1.10", "sg-1"),
    ]);
    let trace = traced(&network, flow("10.0.1.10", "10.9.1.10", 443));
    let found = terraform(&trace);
    let inline = found
        .iter()
        .find(|text| text.contains("aws_route_table.app"))
        .unwrap_or_else(|| panic!("{}", trace.text()));
    assert!(
        inline.ends_with("route {\n  cidr_block                = \"10.9.0.0/16\"\n  vpc_peering_connection_id = \"pcx-1\"\n}"),
        "{inline}"
    );
    assert!(found.iter().any(|text| text.starts_with("resource \"aws_route\" \"rtb_9")), "{found:?}");
}
