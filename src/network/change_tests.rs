use super::*;
use crate::rules::fixture::Fixture;

const BASE: &str = "
    subnet subnet-1 vpc-1 10.0.1.0/24
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    sg-1 in tcp 22 10.0.0.0/8
    sg-1 in tcp 443 0.0.0.0/0
    sg-2 in tcp 80 0.0.0.0/0";

fn network(text: &str) -> Network {
    Fixture::new(text).network()
}

fn rules(network: &Network, id: &str) -> Vec<String> {
    let group = network.groups.get(id, NEWEST);
    let rules = group.iter().flat_map(|group| &group.value.rules);
    rules.map(|rule| format!("{} {}", rule.traffic, rule.remote)).collect()
}

#[test]
fn objects_that_are_named_are_replaced_and_the_others_stay() {
    let (after, changed) =
        network(BASE).with_objects(&network("sg-1 in tcp 443 0.0.0.0/0\nsg-2 in tcp 80 0.0.0.0/0"));
    assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0"]);
    assert_eq!(rules(&after, "sg-2"), ["tcp 80 0.0.0.0/0"]);
    assert_eq!((changed.objects, changed.same), (vec!["sg-1".to_owned()], 1));
    assert_eq!(after.acls.len(), 1);
}

#[test]
fn a_subnet_moves_to_the_list_that_names_it() {
    let (after, _) = network(BASE).with_objects(&network("nacl acl-2 vpc-1 subnet-1"));
    let acl = after.acl_of("subnet-1", None, View { at: 0, after: false });
    assert_eq!(acl.unwrap().value.id, "acl-2");
}

#[test]
fn a_plan_is_a_difference() {
    // The plan knows one rule of sg-1 and turns it into another; it takes a rule of sg-2 away, whose group it lacks.
    let prior = network("sg-1 in tcp 22 10.0.0.0/8\nsg-2 in tcp 80 0.0.0.0/0");
    let planned = network("sg-1 in tcp 2222 10.0.0.0/8\nsg-3 in tcp 25 10.0.0.0/8");
    let (after, changed) = network(BASE).with_plan(&prior, &planned);
    assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0", "tcp 2222 10.0.0.0/8"]);
    assert_eq!(rules(&after, "sg-2"), Vec::<String>::new());
    assert_eq!(rules(&after, "sg-3"), ["tcp 25 10.0.0.0/8"]);
    assert_eq!(changed.objects, ["sg-1", "sg-3", "sg-2"]);
}

#[test]
fn a_plan_changes_entries_and_moves_subnets() {
    let prior = network("nacl acl-1 vpc-1 subnet-1\nacl-1 in 100 allow all 0.0.0.0/0");
    let planned = network("nacl acl-1 vpc-1\nacl-1 in 100 deny all 0.0.0.0/0\nnacl acl-2 vpc-1 subnet-1");
    let (after, _) = network(BASE).with_plan(&prior, &planned);
    let acl = after.acls.get("acl-1", NEWEST).unwrap().value;
    assert_eq!((acl.entries.len(), acl.entries[0].action), (1, Some(RuleAction::Deny)));
    assert_eq!(after.acl_of("subnet-1", None, View { at: 0, after: false }).unwrap().value.id, "acl-2");
}

/// A resource of a plan.
fn resource(kind: &str, name: &str, values: serde_json::Value) -> serde_json::Value {
    serde_json::json!({"address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "values": values})
}

/// A plan from one list of resources to another: with states on both sides, or as the changes alone.
fn plan(before: &[serde_json::Value], after: &[serde_json::Value], changes_only: bool) -> String {
    let root = |resources: &[serde_json::Value]| serde_json::json!({"root_module": {"resources": resources}});
    let change = |resource: &serde_json::Value, side: &str| {
        let mut change = resource.clone();
        change["change"] = serde_json::json!({"actions": ["whatever"], side: resource["values"]});
        change
    };
    let plan = if changes_only {
        let before = before.iter().map(|resource| change(resource, "before"));
        let changes: Vec<_> = before.chain(after.iter().map(|one| change(one, "after"))).collect();
        serde_json::json!({"format_version": "1.2", "resource_changes": changes})
    } else {
        serde_json::json!({"format_version": "1.2", "planned_values": root(after),
            "prior_state": {"format_version": "1.0", "values": root(before)}})
    };
    plan.to_string()
}

/// The base with a plan applied, read as a file is.
fn applied(text: &str) -> (Network, Changed) {
    use crate::network::{NetworkBuilder, PlanSide, ReadOptions};
    let side = |plan_side| {
        let mut builder = NetworkBuilder::new();
        let options = ReadOptions { plan_side, compared: true, ..ReadOptions::default() };
        builder.read("plan.json", text.as_bytes(), &options).unwrap();
        builder.finish().0
    };
    network(&format!("{BASE}\neni eni-a subnet-1 10.0.1.10 groups=sg-1"))
        .with_plan(&side(PlanSide::Prior), &side(PlanSide::Planned))
}

fn entries(network: &Network, id: &str) -> Vec<String> {
    let acl = network.acls.get(id, NEWEST).unwrap().value;
    acl.entries.iter().map(|entry| format!("{} {:?}", entry.number, entry.action.unwrap())).collect()
}

fn entry(number: u32, action: &str) -> serde_json::Value {
    let values = serde_json::json!({"network_acl_id": "acl-1", "rule_number": number, "egress": false, "protocol": "6",
        "rule_action": action, "cidr_block": "198.51.100.64/26", "ipv6_cidr_block": "", "from_port": 443, "to_port": 443});
    resource("aws_network_acl_rule", &format!("entry{number}"), values)
}

#[test]
fn a_plan_changes_entries_of_a_list_that_it_does_not_hold() {
    for changes_only in [false, true] {
        let (after, changed) = applied(&plan(&[], &[entry(50, "deny")], changes_only));
        assert_eq!(entries(&after, "acl-1"), ["100 Allow", "50 Deny"]);
        assert_eq!(changed.objects, ["acl-1"]);
        let acl = after.acl_of("subnet-1", None, View { at: 0, after: false }).unwrap();
        assert_eq!((acl.value.id.as_str(), acl.value.vpc_id.as_deref()), ("acl-1", Some("vpc-1")));
        // One entry becomes another; one goes; the list stays.
        let (after, _) = applied(&plan(&[entry(100, "allow")], &[entry(100, "deny")], changes_only));
        assert_eq!(entries(&after, "acl-1"), ["100 Deny"]);
        let (after, _) = applied(&plan(&[entry(100, "allow")], &[], changes_only));
        assert_eq!(entries(&after, "acl-1"), Vec::<String>::new());
        // What the plan holds and leaves as it is changes nothing.
        let same = applied(&plan(&[entry(100, "allow")], &[entry(100, "allow")], changes_only)).1;
        assert_eq!((same.objects, same.same), (Vec::<String>::new(), 1));
    }
}

#[test]
fn a_plan_associates_a_list_that_it_does_not_hold() {
    let values = serde_json::json!({"network_acl_id": "acl-1", "subnet_id": "subnet-9"});
    let association = resource("aws_network_acl_association", "a", values);
    for changes_only in [false, true] {
        let (after, _) = applied(&plan(&[], std::slice::from_ref(&association), changes_only));
        let subnets = &after.acls.get("acl-1", NEWEST).unwrap().value.subnet_ids;
        assert_eq!(subnets, &["subnet-1", "subnet-9"]);
    }
}

#[test]
fn a_plan_changes_rules_of_a_group_that_it_does_not_hold() {
    let old = resource(
        "aws_security_group_rule",
        "old",
        serde_json::json!({"security_group_id": "sg-1", "type": "ingress", "protocol": "tcp", "from_port": 22,
            "to_port": 22, "cidr_blocks": ["10.0.0.0/8"]}),
    );
    let new = resource(
        "aws_vpc_security_group_ingress_rule",
        "new",
        serde_json::json!({"security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22,
            "cidr_ipv4": "10.1.0.0/16"}),
    );
    for changes_only in [false, true] {
        let (after, _) = applied(&plan(std::slice::from_ref(&old), std::slice::from_ref(&new), changes_only));
        assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0", "tcp 22 10.1.0.0/16"]);
    }
}

#[test]
fn a_plan_attaches_groups_to_an_interface_that_it_does_not_hold() {
    let attachment = |group: &str| {
        let values = serde_json::json!({"network_interface_id": "eni-a", "security_group_id": group});
        resource("aws_network_interface_sg_attachment", group, values)
    };
    let groups = |network: &Network| network.interfaces.get("eni-a", NEWEST).unwrap().value.group_ids.clone();
    let (after, _) = applied(&plan(&[], &[attachment("sg-2")], false));
    assert_eq!(groups(&after), ["sg-1", "sg-2"]);
    let (after, _) = applied(&plan(&[attachment("sg-1")], &[attachment("sg-2")], true));
    assert_eq!(groups(&after), ["sg-2"]);
    let (after, _) = applied(&plan(&[attachment("sg-1")], &[], true));
    assert_eq!(groups(&after), Vec::<String>::new());
}

#[test]
fn what_neither_holds_is_named() {
    let values = serde_json::json!({"network_acl_id": "acl-9", "rule_number": 50, "egress": false, "protocol": "-1",
        "rule_action": "deny", "cidr_block": "0.0.0.0/0"});
    let (after, changed) = applied(&plan(&[], &[resource("aws_network_acl_rule", "z", values)], false));
    assert_eq!((changed.lacking, after.acls.len()), (vec!["acl-9".to_owned()], 1));
}

#[test]
fn proposed_objects_that_are_no_filters_are_named() {
    let options = |mode: &str| {
        let text = format!(
            r#"{{"VpcBlockPublicAccessOptions":{{"AwsAccountId":"111122223333","AwsRegion":"us-east-1",
             "State":"update-complete","InternetGatewayBlockMode":"{mode}"}}}}"#
        );
        let mut builder = crate::network::NetworkBuilder::new();
        builder.read("bpa.json", text.as_bytes(), &crate::network::ReadOptions::default()).unwrap();
        builder.finish().0
    };
    let (_, changed) = network(BASE).with_objects(&options("block-bidirectional"));
    assert_eq!(changed.not_followed.len(), 1, "{:?}", changed.not_followed);
    assert!(changed.not_followed[0].starts_with("Block Public Access of "), "{:?}", changed.not_followed);
    let (_, changed) = options("off").with_objects(&options("off"));
    assert_eq!((changed.not_followed.len(), changed.same), (0, 1));
}
