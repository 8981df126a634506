//! Plans whose resources refer to others that the same plan makes, by ids known only after the apply (spec 6.9).

use super::tests::{ALL, applied, change, interface, plan, rules, stays};
use crate::network::change::NEWEST;
use crate::network::*;
use serde_json::{Value, json};

const NEW: &str = "aws_security_group.new";
const RULE: &str = "aws_vpc_security_group_ingress_rule.r";

fn new_group(address: &str) -> Value {
    let after = json!({"vpc_id": "vpc-1", "name": "new", "ingress": [], "egress": []});
    change("aws_security_group.new", &["create"], Value::Null, after, json!({"id": true, "arn": true}))
        .as_object()
        .map(|made| {
            let mut made = made.clone();
            made.insert("address".to_owned(), json!(address));
            Value::Object(made)
        })
        .unwrap()
}

/// A rule for HTTPS that is made in a group of which the plan does not know the id.
fn new_rule(address: &str) -> Value {
    let after = json!({"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "192.0.2.0/24"});
    let mut made =
        change(RULE, &["create"], Value::Null, after, json!({"id": true, "security_group_id": true}));
    made["address"] = json!(address);
    made
}

fn configured(resources: Value, more: Value) -> Value {
    let mut root = json!({"resources": resources});
    root.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"root_module": root})
}

fn expressions(address: &str, expressions: Value) -> Value {
    json!({"address": address, "mode": "managed", "type": address.split('.').next().unwrap(), "expressions": expressions})
}

fn references(list: &[&str]) -> Value {
    json!({"references": list})
}

#[test]
fn a_rule_belongs_to_the_group_that_the_same_plan_makes() {
    let attachment = change(
        "aws_network_interface_sg_attachment.a",
        &["create"],
        Value::Null,
        json!({"network_interface_id": "eni-a"}),
        json!({"id": true, "security_group_id": true}),
    );
    let mut listed = plan(&[new_group(NEW), new_rule(RULE), attachment], &[]);
    let to_new = json!({"security_group_id": references(&["aws_security_group.new.id", NEW])});
    listed["configuration"] = configured(
        json!([
            expressions(RULE, to_new.clone()),
            expressions("aws_network_interface_sg_attachment.a", to_new)
        ]),
        json!({}),
    );
    let (after, changed) = applied(&listed);
    assert_eq!(rules(&after, NEW), ["tcp 443 192.0.2.0/24"]);
    assert_eq!(interface(&after), (vec!["sg-1".to_owned(), NEW.to_owned()], true));
    assert_eq!(changed.objects, [NEW, "eni-a"]);
}

#[test]
fn a_rule_may_refer_to_the_group_that_the_same_plan_makes() {
    let after = json!({"security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22});
    let unknown = json!({"id": true, "referenced_security_group_id": true});
    let made = change(RULE, &["create"], Value::Null, after, unknown);
    let mut listed = plan(&[new_group(NEW), made], &[]);
    // Without the configuration the remote may be any.
    let found = applied(&listed).0.groups.get("sg-1", NEWEST).unwrap().value.rules.clone();
    assert!(matches!(found[1].remote, Remote::Unreadable(_)), "{found:?}");
    let to_new = json!({"referenced_security_group_id": references(&["aws_security_group.new.id", NEW])});
    listed["configuration"] = configured(json!([expressions(RULE, to_new)]), json!({}));
    assert_eq!(rules(&applied(&listed).0, "sg-1"), ["tcp 443 0.0.0.0/0", "tcp 22 aws_security_group.new"]);
}

#[test]
fn references_lead_through_modules() {
    let (group, rule) =
        ("module.sg[\"a.b\"].aws_security_group.this[0]", "module.web.aws_vpc_security_group_ingress_rule.r");
    let mut listed = plan(&[new_group(group), new_rule(rule)], &[]);
    let variable = json!({"security_group_id": references(&["var.group"])});
    let output = references(&[
        "aws_security_group.this[0].id",
        "aws_security_group.this[0]",
        "aws_security_group.this",
    ]);
    listed["configuration"] = configured(
        json!([]),
        json!({"module_calls": {
            "web": {"expressions": {"group": references(&["module.sg[\"a.b\"].group_id", "module.sg[\"a.b\"]", "module.sg"])},
                "module": {"resources": [expressions(RULE, variable)]}},
            "sg": {"module": {"outputs": {"group_id": {"expression": output}}}}}}),
    );
    assert_eq!(rules(&applied(&listed).0, group), ["tcp 443 192.0.2.0/24"]);
}

#[test]
fn a_rule_whose_group_the_plan_does_not_tell_may_be_of_each_that_it_makes() {
    let other = "aws_security_group.other";
    let condition =
        references(&["var.which", "aws_security_group.new.id", NEW, "aws_security_group.other.id", other]);
    let each = references(&[NEW, "each.key"]);
    for told in [Some(condition), Some(references(&["local.group"])), Some(each), None] {
        let mut listed = plan(&[new_group(NEW), new_group(other), new_rule(RULE)], &[]);
        if let Some(told) = told {
            listed["configuration"] =
                configured(json!([expressions(RULE, json!({"security_group_id": told}))]), json!({}));
        }
        let after = applied(&listed).0;
        for id in [NEW, other] {
            let found = &after.groups.get(id, NEWEST).unwrap().value.rules;
            let [rule] = found.as_slice() else { panic!("{id}: {found:?}") };
            assert_eq!(rule.traffic.to_string(), "tcp 443");
            assert!(matches!(rule.remote, Remote::Unreadable(_)), "{rule:?}");
        }
    }
}

#[test]
fn an_entry_whose_list_is_not_known_yet_may_be_in_each_that_the_plan_makes() {
    let list = json!({"vpc_id": "vpc-1", "ingress": [], "egress": [], "subnet_ids": []});
    let list = change("aws_network_acl.n", &["create"], Value::Null, list, json!({"id": true}));
    let after = json!({"rule_number": 100, "egress": false, "protocol": "-1", "rule_action": "allow", "cidr_block": ALL});
    let entry = change(
        "aws_network_acl_rule.e",
        &["create"],
        Value::Null,
        after,
        json!({"id": true, "network_acl_id": true}),
    );
    let entries = |configuration: Value| {
        let mut listed = plan(&[list.clone(), entry.clone()], &[]);
        listed["configuration"] = configuration;
        let after = applied(&listed).0;
        let found = after.acls.get("aws_network_acl.n", NEWEST).unwrap().value.entries.clone();
        found.iter().filter(|one| one.number == 100).map(|one| one.traffic.to_string()).collect::<Vec<_>>()
    };
    let told = json!({"network_acl_id": references(&["aws_network_acl.n.id", "aws_network_acl.n"])});
    assert_eq!(
        entries(configured(json!([expressions("aws_network_acl_rule.e", told)]), json!({}))),
        ["all traffic"]
    );
    let untold = entries(json!({}));
    assert!(untold.len() == 1 && untold[0] != "all traffic", "{untold:?}");
}

#[test]
fn what_an_inline_rule_knows_only_after_the_apply_is_not_nothing() {
    // The block names addresses and a group that the plan makes: the group is left out of `after`.
    let block =
        |cidr: &[&str]| json!([{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": cidr}]);
    let group = |ingress: Value| json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web", "egress": [], "ingress": ingress});
    let update = change(
        "aws_security_group.w",
        &["update"],
        group(json!([])),
        group(block(&["192.0.2.0/24"])),
        json!({"ingress": [{"cidr_blocks": [false], "security_groups": true}]}),
    );
    let unchanged = stays("aws_vpc.v", json!({"id": "vpc-1"}));
    let found =
        applied(&plan(&[update], &[unchanged])).0.groups.get("sg-1", NEWEST).unwrap().value.rules.clone();
    let remotes: Vec<&Remote> =
        found.iter().filter(|rule| rule.traffic.to_string() == "tcp 22").map(|rule| &rule.remote).collect();
    assert!(matches!(remotes.as_slice(), [Remote::Cidr(_), Remote::Unreadable(_)]), "{remotes:?}");
}

/// Groups and their rules, made for the same keys.
fn keyed(keys: [&str; 2], told: Value, for_each: Option<&[&str]>) -> Network {
    let group = |key: &str| new_group(&format!("{NEW}[{key}]"));
    let rule = |key: &str| new_rule(&format!("{RULE}[{key}]"));
    let mut listed = plan(&[group(keys[0]), group(keys[1]), rule(keys[0])], &[]);
    let mut written = expressions(RULE, json!({"security_group_id": told}));
    if let Some(for_each) = for_each {
        written["for_each_expression"] = references(for_each);
    }
    listed["configuration"] = configured(json!([written]), json!({}));
    applied(&listed).0
}

#[test]
fn a_rule_made_for_each_group_belongs_to_the_group_of_its_key() {
    let texts = [r#""web""#, r#""db""#];
    for (keys, told, for_each) in [
        (texts, references(&[NEW, "each.key"]), None),
        (["0", "1"], references(&[NEW, "count.index"]), None),
        (texts, references(&["each.value.id", "each.value"]), Some(&[NEW][..])),
    ] {
        let after = keyed(keys, told.clone(), for_each);
        assert_eq!(rules(&after, &format!("{NEW}[{}]", keys[0])), ["tcp 443 192.0.2.0/24"], "{told}");
        assert_eq!(rules(&after, &format!("{NEW}[{}]", keys[1])), Vec::<String>::new(), "{told}");
    }
}

#[test]
fn of_what_stays_unknown_the_expression_is_told() {
    let told = references(&["each.value.group", "each.value"]);
    let after = keyed([r#""web""#, r#""db""#], told, Some(&["local.rules"]));
    for key in ["web", "db"] {
        let group = after.groups.get(&format!("{NEW}[{key:?}]"), NEWEST).unwrap();
        assert!(matches!(group.value.rules[0].remote, Remote::Unreadable(_)), "{key}: each may get it");
    }
    // An address that a local value gives.
    let made = json!({"security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22});
    let made = change(RULE, &["create"], Value::Null, made, json!({"id": true, "cidr_ipv4": true}));
    let mut listed = plan(&[made], &[]);
    listed["configuration"] = configured(
        json!([expressions(RULE, json!({"cidr_ipv4": references(&["local.office"])}))]),
        json!({}),
    );
    let found = applied(&listed).0.groups.get("sg-1", NEWEST).unwrap().value.rules.clone();
    assert!(
        found
            .iter()
            .any(|rule| rule.remote == Remote::Unreadable("known after apply: local.office".to_owned())),
        "{found:?}"
    );
}

/// The groups of an interface of which a plan tells these only after the apply.
fn groups_after(
    unknown: Value,
    after: Value,
    told: Value,
    more: Value,
    made: &[&str],
) -> (Vec<String>, bool) {
    let values = |groups: Value| json!({"id": "eni-a", "subnet_id": "subnet-1", "private_ip": "10.0.1.10", "security_groups": groups});
    let eni = "aws_network_interface.n";
    let update =
        change(eni, &["update"], values(json!(["sg-1"])), values(after), json!({"security_groups": unknown}));
    let changes: Vec<Value> =
        std::iter::once(update).chain(made.iter().map(|group| new_group(group))).collect();
    let known = stays("aws_security_group.web", json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web"}));
    let mut listed = plan(&changes, std::slice::from_ref(&known));
    let same = json!([]);
    let no_op =
        change("aws_security_group.web", &["no-op"], known["values"].clone(), known["values"].clone(), same);
    listed["resource_changes"].as_array_mut().unwrap().push(no_op);
    listed["configuration"] = configured(json!([expressions(eni, json!({"security_groups": told}))]), more);
    interface(&applied(&listed).0)
}

#[test]
fn groups_that_the_same_plan_makes_are_those_that_the_code_names() {
    let to_new = || references(&["aws_security_group.new.id", NEW]);
    let both = || {
        references(&["aws_security_group.web.id", "aws_security_group.web", "aws_security_group.new.id", NEW])
    };
    let whole = |told: Value| groups_after(json!(true), Value::Null, told, json!({}), &[NEW]);
    let new = (vec![NEW.to_owned()], true);
    let with_old = (vec!["sg-1".to_owned(), NEW.to_owned()], true);
    assert_eq!(whole(to_new()), new);
    assert_eq!(whole(both()), with_old);
    // Members that are known stay, whatever else the code names.
    assert_eq!(groups_after(json!([true]), json!([null]), to_new(), json!({}), &[NEW]), new);
    let one = groups_after(json!([false, true]), json!(["sg-1", null]), to_new(), json!({}), &[NEW]);
    assert_eq!(one, with_old);
    // What a condition may choose from is not known.
    for told in [
        references(&["var.which", "aws_security_group.new.id", NEW]),
        references(&["local.groups"]),
        references(&[
            "aws_security_group.new[0].id",
            "aws_security_group.new[0]",
            NEW,
            "aws_security_group.web.id",
        ]),
        json!({}),
    ] {
        assert!(!whole(told.clone()).1, "{told}");
    }
    // Of several instances a loop may leave some out.
    let keyed = [r#"aws_security_group.new["a"]"#, r#"aws_security_group.new["b"]"#];
    let all = references(&[NEW]);
    let many = |made: &[&str]| groups_after(json!(true), Value::Null, all.clone(), json!({}), made);
    assert_eq!(many(&keyed[..1]), (vec![keyed[0].to_owned()], true));
    assert!(!many(&keyed).1);
}

#[test]
fn groups_are_followed_through_variables() {
    let to_new = references(&["aws_security_group.new.id", NEW]);
    let eni = "module.m.aws_network_interface.n";
    let values = |groups: Value| json!({"id": "eni-a", "subnet_id": "subnet-1", "security_groups": groups});
    let mut update = change(
        "aws_network_interface.n",
        &["update"],
        values(json!(["sg-1"])),
        values(Value::Null),
        json!({"security_groups": true}),
    );
    update["address"] = json!(eni);
    let groups = |given: Value, variables: Value| {
        let mut listed = plan(&[update.clone(), new_group(NEW)], &[]);
        let written = json!({"security_groups": references(&["var.groups", "var.more"])});
        let module =
            json!({"resources": [expressions("aws_network_interface.n", written)], "variables": variables});
        listed["configuration"] =
            configured(json!([]), json!({"module_calls": {"m": {"expressions": given, "module": module}}}));
        interface(&applied(&listed).0)
    };
    let empty = json!({"more": {"default": []}});
    assert_eq!(groups(json!({"groups": to_new}), empty.clone()), (vec![NEW.to_owned()], true));
    let literal = json!({"groups": to_new, "more": {"constant_value": ["sg-d"]}});
    assert_eq!(groups(literal, empty), (vec![NEW.to_owned(), "sg-d".to_owned()], true));
    let flag = json!({"groups": to_new, "more": {"constant_value": true}});
    assert!(!groups(flag, json!({})).1, "which a condition may ask");
}
