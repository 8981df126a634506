//! The groups of the provider `awscc`, put into the words of `aws`: the same objects, with AWS CloudFormation's names.

use super::node::Node;
use serde_json::{Map, Value, json};

const GROUP: &str = "awscc_ec2_security_group";
const RULES: [(&str, &str); 2] = [
    ("awscc_ec2_security_group_ingress", "aws_vpc_security_group_ingress_rule"),
    ("awscc_ec2_security_group_egress", "aws_vpc_security_group_egress_rule"),
];

/// A state or plan nests as deep as its modules.
const DEEPEST: usize = 200;

/// The document in the words of `aws`, where it holds something of `awscc` that is read.
pub(super) fn in_words_of_aws(document: &Value) -> Option<Value> {
    holds(document, 0).then(|| {
        let mut document = document.clone();
        translate(&mut document, 0);
        document
    })
}

fn known(value: &Value) -> Option<&'static str> {
    let kind = value.get("type")?.as_str()?;
    if kind == GROUP {
        return Some("aws_security_group");
    }
    RULES.iter().find(|(name, _)| *name == kind).map(|(_, other)| *other)
}

fn holds(value: &Value, depth: usize) -> bool {
    let deeper = depth.saturating_add(1);
    match value {
        _ if depth > DEEPEST => false,
        Value::Array(list) => list.iter().any(|one| holds(one, deeper)),
        Value::Object(object) => known(value).is_some() || object.values().any(|one| holds(one, deeper)),
        _ => false,
    }
}

fn translate(value: &mut Value, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    let deeper = depth.saturating_add(1);
    let kind = known(value);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| translate(one, deeper)),
        Value::Object(object) => match kind {
            Some(kind) => resource(object, kind),
            None => object.values_mut().for_each(|one| translate(one, deeper)),
        },
        _ => {}
    }
}

/// A resource of a state (`values`, `attributes`), or its change (`before`, `after` and `after_unknown`).
fn resource(object: &mut Map<String, Value>, kind: &str) {
    object.insert("type".to_owned(), json!(kind));
    let is_group = kind == "aws_security_group";
    let words = |values: &mut Value| {
        if values.is_object() {
            *values = if is_group { group(Node(values)) } else { rule(Node(values)) };
        }
    };
    object.get_mut("values").into_iter().for_each(words);
    for instance in object.get_mut("instances").and_then(Value::as_array_mut).into_iter().flatten() {
        instance.get_mut("attributes").into_iter().for_each(words);
    }
    let mut change = object.get_mut("change").and_then(Value::as_object_mut);
    for side in ["before", "after", "after_unknown"] {
        change.as_mut().and_then(|change| change.get_mut(side)).into_iter().for_each(words);
    }
}

/// The first of these members that is there.
fn first(values: Node<'_>, keys: &[&str]) -> Value {
    keys.iter().find_map(|key| values.get(key)).map_or(Value::Null, |found| found.0.clone())
}

fn rule(values: Node<'_>) -> Value {
    json!({
        "id": first(values, &["security_group_ingress_id", "security_group_egress_id"]),
        "security_group_rule_id": first(values, &["security_group_ingress_id", "security_group_egress_id"]),
        "security_group_id": first(values, &["group_id"]),
        "ip_protocol": first(values, &["ip_protocol"]),
        "from_port": first(values, &["from_port"]),
        "to_port": first(values, &["to_port"]),
        "cidr_ipv4": first(values, &["cidr_ip"]),
        "cidr_ipv6": first(values, &["cidr_ipv_6"]),
        "prefix_list_id": first(values, &["source_prefix_list_id", "destination_prefix_list_id"]),
        "referenced_security_group_id": first(values, &["source_security_group_id", "destination_security_group_id"]),
        "description": first(values, &["description"]),
    })
}

fn group(values: Node<'_>) -> Value {
    let rules = |key: &str| match values.get(key) {
        Some(found) if found.0.is_array() => Value::Array(values.list(key).map(inline).collect()),
        found => found.map_or(Value::Null, |found| found.0.clone()),
    };
    json!({
        "id": first(values, &["group_id", "security_group_id", "id"]),
        "name": first(values, &["group_name"]),
        "vpc_id": first(values, &["vpc_id"]),
        "ingress": rules("security_group_ingress"),
        "egress": rules("security_group_egress"),
    })
}

/// A rule of a group, or what stands for it in the part of a change that tells what is not known.
fn inline(values: Node<'_>) -> Value {
    if !values.0.is_object() {
        return values.0.clone();
    }
    let listed = |keys: &[&str]| match first(values, keys) {
        Value::Null => json!([]),
        Value::Bool(flag) => json!(flag),
        one => json!([one]),
    };
    json!({
        "protocol": first(values, &["ip_protocol"]),
        "from_port": first(values, &["from_port"]),
        "to_port": first(values, &["to_port"]),
        "cidr_blocks": listed(&["cidr_ip"]),
        "ipv6_cidr_blocks": listed(&["cidr_ipv_6"]),
        "prefix_list_ids": listed(&["source_prefix_list_id", "destination_prefix_list_id"]),
        "security_groups": listed(&["source_security_group_id", "destination_security_group_id"]),
        "description": first(values, &["description"]),
    })
}
