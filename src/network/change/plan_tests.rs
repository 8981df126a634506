//! Plans as `terraform show -json` writes them, with what each change says besides its two sides (spec 6.9).

use crate::network::change::{Changed, NEWEST};
use crate::network::*;
use serde_json::{Value, json};

/// What the CLI says: a default group, a group with one rule of a known id, a list, a prefix list, an interface with both groups.
pub(super) fn captured() -> Network {
    let group = |id: &str, name: &str| {
        json!({"GroupId": id, "GroupName": name, "VpcId": "vpc-1", "OwnerId": "111122223333",
            "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
                "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}], "IpPermissionsEgress": []})
    };
    let documents = [
        json!({"SecurityGroups": [group("sg-d", "default"), group("sg-1", "web")]}),
        json!({"SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IsEgress": false,
            "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "0.0.0.0/0"}]}),
        json!({"NetworkAcls": [{"NetworkAclId": "acl-1", "VpcId": "vpc-1", "IsDefault": false,
            "Associations": [{"SubnetId": "subnet-1"}], "Entries": [{"RuleNumber": 100, "Egress": false, "Protocol": "-1",
                "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}]}]}),
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-a", "SubnetId": "subnet-1", "VpcId": "vpc-1",
            "PrivateIpAddress": "10.0.1.10", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.10", "Primary": true}],
            "Groups": [{"GroupId": "sg-1"}]}]}),
        json!({"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "office", "AddressFamily": "IPv4"}]}),
        json!({"Entries": [{"Cidr": "192.0.2.0/24"}, {"Cidr": "198.51.100.0/24"}]}),
    ];
    let mut builder = NetworkBuilder::new();
    let options = ReadOptions { captured_at: Some(1_768_478_400), ..ReadOptions::default() };
    for (at, document) in documents.iter().enumerate() {
        let name = if at == 5 { "pl-1.json".to_owned() } else { format!("{at}.json") };
        builder.read(&name, document.to_string().as_bytes(), &options).unwrap();
    }
    builder.finish().0
}

/// One change: what it is done to, how, and the values before and after with what of these is known only after the apply.
pub(super) fn change(address: &str, actions: &[&str], before: Value, after: Value, unknown: Value) -> Value {
    let kind = address.split('.').next().unwrap();
    json!({"address": address, "mode": "managed", "type": kind,
        "change": {"actions": actions, "before": before, "after": after, "after_unknown": unknown}})
}

/// A plan of these changes, and of resources that stay as they are.
pub(super) fn plan(changes: &[Value], stays: &[Value]) -> Value {
    let side = |side: &str| {
        let resources = changes.iter().filter(|one| !one["change"][side].is_null()).map(|one| {
            json!({"address": one["address"], "mode": "managed", "type": one["type"], "values": one["change"][side]})
        });
        json!({"root_module": {"resources": resources.chain(stays.iter().cloned()).collect::<Vec<_>>()}})
    };
    json!({"format_version": "1.2", "planned_values": side("after"), "resource_changes": changes,
        "prior_state": {"format_version": "1.0", "values": side("before")}})
}

pub(super) fn stays(address: &str, values: Value) -> Value {
    json!({"address": address, "mode": "managed", "type": address.split('.').next().unwrap(), "values": values})
}

pub(super) fn applied(plan: &Value) -> (Network, Changed) {
    applied_to(&captured(), plan)
}

pub(super) fn applied_to(network: &Network, plan: &Value) -> (Network, Changed) {
    let side = |plan_side| {
        let mut builder = NetworkBuilder::new();
        let options = ReadOptions { plan_side, compared: true, ..ReadOptions::default() };
        builder.read("plan.json", plan.to_string().as_bytes(), &options).unwrap();
        builder.finish().0
    };
    network.with_plan(&side(PlanSide::Prior), &side(PlanSide::Planned))
}

pub(super) fn rules(network: &Network, id: &str) -> Vec<String> {
    let group = network.groups.get(id, NEWEST).unwrap();
    group.value.rules.iter().map(|rule| format!("{} {}", rule.traffic, rule.remote)).collect()
}

pub(super) fn interface(network: &Network) -> (Vec<String>, bool) {
    let found = network.interfaces.get("eni-a", NEWEST).unwrap();
    (found.value.group_ids.clone(), found.value.groups_known)
}

fn https(id: &str, cidr: &str) -> Value {
    json!({"id": id, "security_group_rule_id": id, "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 443,
        "to_port": 443, "cidr_ipv4": cidr})
}

const RULE: &str = "aws_vpc_security_group_ingress_rule.x";
pub(super) const ALL: &str = "0.0.0.0/0";

#[test]
fn the_last_group_of_an_interface_leaves_its_groups_unknown() {
    // An interface has one group at least (spec 5.4): which one it gets is not known, and it is not open to everything.
    let attachment = json!({"network_interface_id": "eni-a", "security_group_id": "sg-1"});
    let gone =
        change("aws_network_interface_sg_attachment.x", &["delete"], attachment, Value::Null, json!({}));
    assert_eq!(interface(&applied(&plan(&[gone], &[])).0), (Vec::new(), false));
}

#[test]
fn groups_that_are_known_after_the_apply_are_not_those_of_now() {
    let eni = json!({"id": "eni-a", "subnet_id": "subnet-1", "private_ip": "10.0.1.10", "security_groups": ["sg-1"]});
    let after = json!({"id": "eni-a", "subnet_id": "subnet-1", "private_ip": "10.0.1.10"});
    let update =
        change("aws_network_interface.n", &["update"], eni.clone(), after, json!({"security_groups": true}));
    assert_eq!(interface(&applied(&plan(&[update], &[])).0), (Vec::new(), false));
    let before =
        json!({"id": "i-1", "primary_network_interface_id": "eni-a", "vpc_security_group_ids": ["sg-1"]});
    let after = json!({"id": "i-1", "primary_network_interface_id": "eni-a"});
    let unknown = json!({"vpc_security_group_ids": true});
    let update = change("aws_instance.i", &["update"], before, after, unknown);
    assert_eq!(interface(&applied(&plan(&[update], &[])).0), (Vec::new(), false));
    // What a plan does not change stays.
    let other = change("aws_eip.e", &["create"], Value::Null, json!({}), json!({"id": true}));
    let same = applied(&plan(&[other], &[stays("aws_network_interface.n", eni)])).0;
    assert_eq!(interface(&same), (vec!["sg-1".to_owned()], true));
}

#[test]
fn a_default_group_that_is_adopted_loses_its_rules() {
    let after = json!({"vpc_id": "vpc-1", "ingress": [], "egress": []});
    let unknown = json!({"id": true, "name": true});
    let adopted = change("aws_default_security_group.d", &["create"], Value::Null, after, unknown);
    let (after, changed) = applied(&plan(&[adopted], &[]));
    assert_eq!(rules(&after, "sg-d"), Vec::<String>::new());
    assert_eq!(changed.objects, ["sg-d"]);
    // As Terraform writes it where the resource says nothing of rules.
    let unknown = json!({"id": true, "name": true, "ingress": true, "egress": true});
    let after = json!({"vpc_id": "vpc-1"});
    let adopted = change("aws_default_security_group.d", &["create"], Value::Null, after, unknown);
    let (after, _) = applied(&plan(&[adopted], &[]));
    let found = after.groups.get("sg-d", NEWEST).unwrap();
    assert!(found.value.rules.iter().all(|rule| matches!(rule.traffic, Traffic::Unreadable(_))));
    assert_eq!(found.value.rules.len(), 2);
}

#[test]
fn an_attribute_that_is_known_after_the_apply_is_not_empty() {
    let before = json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web", "ingress": [{"from_port": 443, "to_port": 443,
        "protocol": "tcp", "cidr_blocks": [ALL]}], "egress": []});
    let after = json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web", "egress": []});
    let update = change("aws_security_group.w", &["update"], before, after, json!({"ingress": true}));
    let (network, _) = applied(&plan(&[update], &[]));
    let found = network.groups.get("sg-1", NEWEST).unwrap();
    assert!(matches!(found.value.rules.as_slice(), [rule] if matches!(rule.traffic, Traffic::Unreadable(_))));

    let before = json!({"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "ingress": [{"rule_no": 100,
        "action": "allow", "protocol": "-1", "cidr_block": ALL, "from_port": 0, "to_port": 0}], "egress": []});
    let after = json!({"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "egress": []});
    let update = change("aws_network_acl.a", &["update"], before, after, json!({"ingress": true}));
    let (network, _) = applied(&plan(&[update], &[]));
    let found = network.acls.get("acl-1", NEWEST).unwrap();
    assert!(found.value.entries.iter().any(|entry| entry.number == NACL_UNPLACED));
    assert!(found.value.entries.iter().all(|entry| entry.number == NACL_UNPLACED || entry.is_default()));

    let before = json!({"id": "pl-1", "name": "office", "address_family": "IPv4", "entry": [{"cidr": "192.0.2.0/24"}]});
    let after = json!({"id": "pl-1", "name": "office", "address_family": "IPv4"});
    let update = change("aws_ec2_managed_prefix_list.p", &["update"], before, after, json!({"entry": true}));
    let (network, _) = applied(&plan(&[update], &[]));
    assert_eq!(network.prefix_lists.get("pl-1", NEWEST).unwrap().value.entries, None);
}

#[test]
fn a_subnet_that_goes_to_a_list_the_plan_makes_is_not_filtered_by_the_one_of_now() {
    let of_subnet = |plan: &Value| {
        let network = applied(plan).0;
        let found = network.acl_of("subnet-1", Some("vpc-1"), NEWEST);
        let own = |acl: &NetworkAcl| -> Vec<u32> {
            acl.entries.iter().filter(|entry| !entry.is_default()).map(|entry| entry.number).collect()
        };
        found.map(|acl| own(acl.value))
    };
    let unknown = json!({"id": true, "network_acl_id": true});
    let association = json!({"subnet_id": "subnet-1"});
    let moved = change("aws_network_acl_association.a", &["create"], Value::Null, association, unknown);
    assert_eq!(of_subnet(&plan(&[moved], &[])), Some(vec![NACL_UNPLACED; 2]));
    // A list of which it is not known any more which subnets it serves.
    let list = |subnets: Value| {
        let mut values = json!({"id": "acl-1", "vpc_id": "vpc-1", "egress": [], "ingress": [{"rule_no": 100,
            "action": "allow", "protocol": "-1", "cidr_block": ALL, "from_port": 0, "to_port": 0}]});
        values["subnet_ids"] = subnets;
        values
    };
    let (before, after) = (list(json!(["subnet-1"])), list(Value::Null));
    let update = change("aws_network_acl.a", &["update"], before, after, json!({"subnet_ids": true}));
    assert_eq!(of_subnet(&plan(&[update], &[])), None);
    assert_eq!(of_subnet(&plan(&[], &[])), Some(vec![100]));
}

#[test]
fn a_rule_is_the_one_of_its_id_whatever_the_capture_says() {
    let gone = change(RULE, &["delete"], https("sgr-1", "203.0.113.0/24"), Value::Null, json!({}));
    assert_eq!(rules(&applied(&plan(&[gone], &[])).0, "sg-1"), Vec::<String>::new());
    let (before, after) = (https("sgr-1", "203.0.113.0/24"), https("sgr-1", "192.0.2.0/24"));
    let update = change(RULE, &["update"], before, after, json!({}));
    assert_eq!(rules(&applied(&plan(&[update], &[])).0, "sg-1"), ["tcp 443 192.0.2.0/24"]);
}

#[test]
fn what_a_plan_takes_away_and_the_capture_lacks_is_named() {
    let gone = change(RULE, &["delete"], https("sgr-9", "203.0.113.0/24"), Value::Null, json!({}));
    let (after, changed) = applied(&plan(&[gone], &[]));
    assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0"]);
    assert_eq!(changed.missing, ["sg-1: inbound tcp 443 from 203.0.113.0/24"]);
}

#[test]
fn a_rule_goes_with_its_resource_although_the_group_still_lists_it() {
    // A refresh writes the rules of rule resources to the group too, and a plan leaves them there.
    let listed = json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web", "egress": [], "ingress": [{"from_port": 443,
        "to_port": 443, "protocol": "tcp", "cidr_blocks": [ALL]}]});
    let group = stays("aws_security_group.w", listed);
    let gone = change(RULE, &["delete"], https("sgr-1", ALL), Value::Null, json!({}));
    assert_eq!(rules(&applied(&plan(&[gone], std::slice::from_ref(&group))).0, "sg-1"), Vec::<String>::new());
    let update = change(RULE, &["update"], https("sgr-1", ALL), https("sgr-1", "192.0.2.0/24"), json!({}));
    let (after, _) = applied(&plan(&[update], std::slice::from_ref(&group)));
    assert_eq!(rules(&after, "sg-1"), ["tcp 443 192.0.2.0/24"]);
    // So with entries of network ACLs and of prefix lists, and with groups of interfaces.
    let entry = json!({"network_acl_id": "acl-1", "rule_number": 100, "egress": false, "protocol": "-1",
        "rule_action": "allow", "cidr_block": ALL});
    let list = stays(
        "aws_network_acl.a",
        json!({"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "egress": [],
        "ingress": [{"rule_no": 100, "action": "allow", "protocol": "-1", "cidr_block": ALL, "from_port": 0, "to_port": 0}]}),
    );
    let gone = change("aws_network_acl_rule.r", &["delete"], entry, Value::Null, json!({}));
    let (after, _) = applied(&plan(&[gone], &[list]));
    assert!(after.acls.get("acl-1", NEWEST).unwrap().value.entries.iter().all(NaclEntry::is_default));
    let list = stays(
        "aws_ec2_managed_prefix_list.p",
        json!({"id": "pl-1", "name": "office", "address_family": "IPv4",
        "entry": [{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.0/24"}]}),
    );
    let entry = json!({"prefix_list_id": "pl-1", "cidr": "192.0.2.0/24"});
    let gone = change("aws_ec2_managed_prefix_list_entry.e", &["delete"], entry, Value::Null, json!({}));
    let (after, _) = applied(&plan(&[gone], &[list]));
    let entries = after.prefix_lists.get("pl-1", NEWEST).unwrap().value.entries.clone();
    assert_eq!(entries, Some(vec!["198.51.100.0/24".parse().unwrap()]));
}

#[test]
fn what_is_forgotten_stays() {
    let gone = change(RULE, &["forget"], https("sgr-1", ALL), Value::Null, json!({}));
    for plan in
        [plan(std::slice::from_ref(&gone), &[]), json!({"format_version": "1.2", "resource_changes": [gone]})]
    {
        let (after, changed) = applied(&plan);
        assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0"]);
        assert_eq!((changed.objects, changed.missing), (Vec::<String>::new(), Vec::<String>::new()));
    }
}

#[test]
fn changes_that_no_filter_shows_are_named() {
    let none = || json!({});
    let route =
        json!({"id": "r-1", "route_table_id": "rtb-1", "destination_cidr_block": ALL, "gateway_id": "igw-1"});
    let changes = [
        change("aws_route_table.t", &["update"], json!({"tags": {}}), json!({"tags": {"a": "b"}}), none()),
        change("module.net.aws_route.r", &["delete"], route.clone(), Value::Null, none()),
        change("aws_route_table.u", &["update"], json!({"route": []}), json!({"route": [route]}), none()),
        change(
            "aws_eip_association.e",
            &["delete", "create"],
            json!({"id": "a"}),
            json!({}),
            json!({"id": true}),
        ),
        change("aws_instance.i", &["delete"], json!({"id": "i-1"}), Value::Null, none()),
        change("aws_instance.j", &["create"], Value::Null, json!({}), json!({"id": true})),
        change(
            "aws_db_instance.d",
            &["update"],
            json!({"vpc_security_group_ids": ["sg-9"]}),
            json!({"vpc_security_group_ids": ["sg-d"]}),
            none(),
        ),
        change("aws_nat_gateway.n", &["create"], Value::Null, json!({}), json!({"id": true})),
        change(
            "aws_route.s",
            &["create"],
            Value::Null,
            json!({"route_table_id": "rtb-1"}),
            json!({"id": true}),
        ),
        change("aws_s3_bucket.b", &["delete"], json!({"id": "b"}), Value::Null, none()),
        change("aws_vpc.v", &["no-op"], json!({"id": "vpc-1"}), json!({"id": "vpc-1"}), none()),
        change(RULE, &["delete"], https("sgr-1", ALL), Value::Null, none()),
    ];
    let mut listed = plan(&changes, &[]);
    listed["resource_changes"][1]["type"] = json!("aws_route");
    assert_eq!(
        applied(&listed).1.not_followed,
        [
            "aws_db_instance.d (update)",
            "aws_eip_association.e (delete, create)",
            "aws_instance.i (delete)",
            "aws_route.s (create)",
            "aws_route_table.u (update)",
            "module.net.aws_route.r (delete)",
        ]
    );
}

#[test]
fn a_plan_that_broke_off_is_refused() {
    let mut broken = plan(&[], &[]);
    broken["errored"] = json!(true);
    let options = ReadOptions { plan_side: PlanSide::Planned, compared: true, ..ReadOptions::default() };
    let read = NetworkBuilder::new().read("plan.json", broken.to_string().as_bytes(), &options);
    assert!(matches!(read, Err(ReadError::BrokenPlan { .. })), "{read:?}");
}
