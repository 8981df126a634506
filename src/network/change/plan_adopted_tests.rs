//! Plans whose resources take something over that was there before: a VPC's default list, all rules of a group, a subnet.

use super::tests::{ALL, applied, change, plan, rules, stays};
use crate::network::change::NEWEST;
use crate::network::*;
use serde_json::{Value, json};

fn list(network: &Network, id: &str) -> (Vec<u32>, Vec<String>) {
    let found = network.acls.get(id, NEWEST).unwrap();
    let own = found.value.entries.iter().filter(|entry| !entry.is_default());
    (own.map(|entry| entry.number).collect(), found.value.subnet_ids.clone())
}

fn open() -> Value {
    json!([{"rule_no": 200, "action": "allow", "protocol": "-1", "cidr_block": ALL, "from_port": 0, "to_port": 0}])
}

#[test]
fn a_default_list_that_is_adopted_loses_its_entries() {
    let adopted = |after: Value| {
        let made = change(
            "aws_default_network_acl.d",
            &["create"],
            Value::Null,
            after,
            json!({"id": true, "vpc_id": true}),
        );
        let (network, changed) = applied(&plan(&[made], &[]));
        assert_eq!(changed.objects, ["acl-1"]);
        list(&network, "acl-1")
    };
    let serves = vec!["subnet-1".to_owned()];
    assert_eq!(adopted(json!({"default_network_acl_id": "acl-1"})), (vec![], serves.clone()));
    let after = json!({"default_network_acl_id": "acl-1", "ingress": open(), "egress": [], "subnet_ids": []});
    assert_eq!(adopted(after), (vec![200], serves));
}

#[test]
fn a_default_list_that_stays_managed_keeps_what_the_plan_does_not_touch() {
    let values = json!({"id": "acl-1", "default_network_acl_id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"],
        "ingress": open(), "egress": []});
    let (network, _) = applied(&plan(&[], &[stays("aws_default_network_acl.d", values)]));
    assert_eq!(list(&network, "acl-1").1, ["subnet-1"]);
}

#[test]
fn entries_of_their_own_go_to_the_default_list_that_the_same_plan_adopts() {
    let adopted = change(
        "aws_default_network_acl.d",
        &["create"],
        Value::Null,
        json!({"default_network_acl_id": "acl-1"}),
        json!({"id": true}),
    );
    let entry = json!({"rule_number": 300, "egress": false, "protocol": "-1", "rule_action": "allow", "cidr_block": ALL});
    let entry =
        change("aws_network_acl_rule.r", &["create"], Value::Null, entry, json!({"network_acl_id": true}));
    let mut listed = plan(&[adopted, entry], &[]);
    listed["configuration"] = json!({"root_module": {"resources": [{"address": "aws_network_acl_rule.r", "mode": "managed",
        "type": "aws_network_acl_rule", "expressions": {"network_acl_id":
            {"references": ["aws_default_network_acl.d.id", "aws_default_network_acl.d"]}}}]}});
    assert_eq!(list(&applied(&listed).0, "acl-1").0, [300]);
}

#[test]
fn what_was_adopted_stays_as_it_is_when_the_code_drops_it() {
    let group = json!({"id": "sg-d", "vpc_id": "vpc-1", "name": "default", "egress": [], "ingress": [{"from_port": 443,
        "to_port": 443, "protocol": "tcp", "cidr_blocks": [ALL]}]});
    let acl = json!({"id": "acl-1", "default_network_acl_id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"],
        "egress": [], "ingress": [{"rule_no": 100, "action": "allow", "protocol": "-1", "cidr_block": ALL, "from_port": 0,
            "to_port": 0}]});
    let gone = [
        change("aws_default_security_group.d", &["delete"], group, Value::Null, json!({})),
        change("aws_default_network_acl.d", &["delete"], acl, Value::Null, json!({})),
    ];
    let (network, changed) = applied(&plan(&gone, &[]));
    assert_eq!(changed.removed, Vec::<String>::new());
    assert_eq!(rules(&network, "sg-d"), ["tcp 443 0.0.0.0/0"]);
    assert_eq!(list(&network, "acl-1"), (vec![100], vec!["subnet-1".to_owned()]));
}

#[test]
fn a_subnet_goes_to_the_list_that_newly_claims_it() {
    let made = json!({"vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "ingress": open(), "egress": open()});
    let made = change("aws_network_acl.new", &["create"], Value::Null, made, json!({"id": true}));
    let old =
        json!({"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "ingress": [], "egress": []});
    let (network, _) = applied(&plan(&[made], &[stays("aws_network_acl.old", old)]));
    let found = network.acl_of("subnet-1", Some("vpc-1"), NEWEST).map(|acl| acl.value.id.clone());
    assert_eq!(found.as_deref(), Some("aws_network_acl.new"));
}

#[test]
fn exclusive_rules_take_away_all_others() {
    let exclusive = |actions: &[&str], ids: Value, unknown: Value| {
        let after = json!({"security_group_id": "sg-1", "ingress_rule_ids": ids, "egress_rule_ids": []});
        let one = change("aws_vpc_security_group_rules_exclusive.x", actions, Value::Null, after, unknown);
        let (network, changed) = applied(&plan(&[one], &[]));
        assert_eq!(changed.not_followed, Vec::<String>::new());
        rules(&network, "sg-1")
    };
    assert_eq!(exclusive(&["create"], json!([]), json!({})), Vec::<String>::new());
    assert_eq!(exclusive(&["update"], json!(["sgr-9"]), json!({})), Vec::<String>::new());
    assert_eq!(exclusive(&["create"], json!(["sgr-1"]), json!({})), ["tcp 443 0.0.0.0/0"]);
    assert_eq!(exclusive(&["no-op"], json!([]), json!({})), ["tcp 443 0.0.0.0/0"]);
    // One of which the id is not known yet is another.
    let unknown = json!({"ingress_rule_ids": [true]});
    assert_eq!(exclusive(&["create"], json!([null]), unknown), Vec::<String>::new());
    let unknown = json!({"ingress_rule_ids": true});
    assert_eq!(
        exclusive(&["create"], Value::Null, unknown),
        ["tcp 443 unreadable remote (known after apply whether it stays)"]
    );
    // What the plan makes beside it stays.
    let made = json!({"security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": ALL});
    let made = change(
        "aws_vpc_security_group_ingress_rule.x",
        &["create"],
        Value::Null,
        made,
        json!({"id": true, "security_group_rule_id": true}),
    );
    let only = json!({"security_group_id": "sg-1", "ingress_rule_ids": [null], "egress_rule_ids": []});
    let only = change(
        "aws_vpc_security_group_rules_exclusive.x",
        &["create"],
        Value::Null,
        only,
        json!({"ingress_rule_ids": [true]}),
    );
    assert_eq!(rules(&applied(&plan(&[made, only], &[])).0, "sg-1"), ["tcp 22 0.0.0.0/0"]);
}
