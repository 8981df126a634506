//! Groups of what has interfaces that no plan names, or names by their ids only: load balancers, databases, functions, endpoints.
//! Which interfaces these are is told by the ids, by AWS's descriptions, or by the groups that they carry.

use super::node::Node;
use super::terraform_plan::{CARRIERS, FOLLOWED, PIECES, actions, changes, holds_true};
use crate::network::model::{Owned, Regrouped};
use serde_json::Value;

/// Beginnings of types whose groups are those of interfaces that come later.
const TEMPLATES: &[&str] = &[
    "aws_launch_",
    "aws_autoscaling_",
    "aws_spot_fleet_request",
    "aws_ec2_fleet",
    "aws_batch_compute_environment",
    "aws_imagebuilder_",
];

/// Attaches one group to an interface endpoint.
const ENDPOINT_GROUP: &str = "aws_vpc_endpoint_security_group_association";

/// The resources of a plan whose groups change in place.
pub(super) fn regrouped(plan: Node<'_>) -> Vec<Regrouped> {
    changes(plan).filter_map(one).collect()
}

fn one(resource: Node<'_>) -> Option<Regrouped> {
    let (kind, actions) = (resource.text("type")?, actions(resource));
    let (change, address) = (resource.get("change")?, resource.text("address")?);
    let values = |side: &str| change.get(side);
    if kind == ENDPOINT_GROUP {
        let group = |side: &str| values(side).and_then(|side| side.text("security_group_id"));
        let endpoint = values("before").or(values("after"))?.text("vpc_endpoint_id")?;
        let idle = actions.iter().all(|action| !matches!(action.as_str(), "create" | "delete"));
        return (!idle).then(|| Regrouped {
            address,
            kind,
            before: group("before").into_iter().collect(),
            after: group("after").into_iter().collect(),
            all_known: true,
            only: true,
            owned: Owned::Described(endpoint_description(&endpoint)),
        });
    }
    let known = FOLLOWED.contains(&kind.as_str()) || PIECES.contains(&kind.as_str());
    let is_template = TEMPLATES.iter().any(|start| kind.starts_with(start));
    let before = values("before")?;
    if actions != ["update"] || known || is_template || !changes_groups(change) {
        return None;
    }
    let owned = match kind.as_str() {
        // Read as the interface is where the plan names it.
        kind if CARRIERS.contains(&kind) => match (kind, before.text("primary_network_interface_id")) {
            ("aws_instance", None) => Owned::Instance(before.text("id")?),
            _ => return None,
        },
        _ => owned(&kind, before),
    };
    let after = values("after");
    let (before, all_before) = group_ids(before);
    let (after, all_after) = after.map_or((Vec::new(), false), group_ids);
    Some(Regrouped {
        address,
        kind,
        before,
        after,
        all_known: all_before && all_after,
        only: only_groups(change),
        owned,
    })
}

/// Which interfaces are a resource's.
fn owned(kind: &str, values: Node<'_>) -> Owned {
    let mut ids = values.texts("network_interface_ids");
    ids.extend(values.text("network_interface_id"));
    let balancer = values.text("arn").and_then(|arn| Some(arn.split_once(":loadbalancer/")?.1.to_owned()));
    match (kind, balancer) {
        _ if !ids.is_empty() => Owned::Ids(ids),
        ("aws_lb" | "aws_alb", Some(name)) => Owned::Described(format!("ELB {name}")),
        ("aws_elb", _) => {
            values.text("name").map_or(Owned::Unknown, |name| Owned::Described(format!("ELB {name}")))
        }
        ("aws_vpc_endpoint", _) => {
            let id = values.text("id");
            id.map_or(Owned::Unknown, |id| Owned::Described(endpoint_description(&id)))
        }
        _ => Owned::Unknown,
    }
}

/// How AWS describes the interfaces of an endpoint.
fn endpoint_description(id: &str) -> String {
    format!("VPC Endpoint Interface {id}")
}

/// The ids of groups that it names, or addresses of those that the plan makes, and whether all are known.
fn group_ids(values: Node<'_>) -> (Vec<String>, bool) {
    let (mut ids, mut all) = (Vec::new(), true);
    for value in groups_in(values.0) {
        gather(value, &mut ids, &mut all);
    }
    ids.sort_unstable();
    ids.dedup();
    (ids, all)
}

fn gather(value: &Value, into: &mut Vec<String>, all: &mut bool) {
    match value {
        // Groups have names in the attributes of some types, which no interface has.
        Value::String(text) if text.starts_with("sg-") || text.contains("aws_security_group.") => {
            into.push(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|one| gather(one, into, all)),
        // What stands for a value that is not known.
        Value::Object(_) => *all &= !holds_true(value),
        _ => {}
    }
}

/// Whether the groups that something carries, which holds its interfaces where no plan names them (a database, a function),
/// change. What is created has no traffic yet.
pub(super) fn changes_groups(change: Node<'_>) -> bool {
    let Some(before) = change.get("before").map(|node| groups_in(node.0)) else { return false };
    let after = change.get("after").map(|node| groups_in(node.0)).unwrap_or_default();
    let unknown = change.get("after_unknown").map(|node| groups_in(node.0)).unwrap_or_default();
    before != after || unknown.into_iter().any(holds_true)
}

/// The members of it, however deep, that are named after groups. That of a Classic Load Balancer which others are to refer to is
/// not one that it carries.
fn groups_in(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(groups_in).collect(),
        Value::Object(object) => (object.iter())
            .filter(|(key, _)| !key.starts_with("source_"))
            .flat_map(|(key, value)| match key.contains("security_group") {
                true => vec![value],
                false => groups_in(value),
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Whether an update touches nothing but groups and tags.
fn only_groups(change: Node<'_>) -> bool {
    let object = |key: &str| change.get(key).and_then(|node| node.0.as_object());
    let (Some(before), Some(after)) = (object("before"), object("after")) else { return false };
    let differs = |key: &String| before.get(key) != after.get(key);
    let is_groups = |key: &String| {
        let of = |values: &serde_json::Map<String, Value>| {
            values.get(key).is_some_and(|value| !groups_in(value).is_empty())
        };
        key.contains("security_group") || key.starts_with("tags") || of(before) || of(after)
    };
    before.keys().chain(after.keys()).filter(|key| differs(key)).all(is_groups)
}
