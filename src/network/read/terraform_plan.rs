//! What a Terraform plan says besides its two sides (spec 6.9): values that are known only after the apply, resources that it
//! forgets and does not delete, rules that go with their own resources, and changes that no filter shows.

use super::node::Node;
use super::terraform::Resource;
use super::terraform_references::References;
use super::terraform_regroup::changes_groups;
use super::{Context, NetworkBuilder};
use crate::net::Prefix;
use crate::network::model::*;
use hashbrown::HashMap;
use serde_json::Value;

/// Types that hold a piece of an object which another resource holds too: a refresh writes the pieces to that one as well,
/// and a plan leaves them there when the piece's resource goes.
pub(super) const PIECES: &[&str] = &[
    "aws_security_group_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_network_acl_rule",
    "aws_network_acl_association",
    "aws_network_interface_sg_attachment",
    "aws_ec2_managed_prefix_list_entry",
];

/// Types whose changes are followed whatever they are.
pub(super) const FOLLOWED: &[&str] = &[
    "aws_security_group",
    "aws_default_security_group",
    "aws_network_acl",
    "aws_default_network_acl",
    "aws_ec2_managed_prefix_list",
    super::terraform_exclusive::EXCLUSIVE,
];

/// Types that adopt what AWS made with the VPC: deleted, they are forgotten, and rules stay as they are (documented of both).
const ADOPTED: &[&str] = &["aws_default_security_group", "aws_default_network_acl"];

/// Types of which the groups are followed where they are updated, and nothing else.
pub(super) const CARRIERS: &[&str] = &["aws_instance", "aws_network_interface"];

/// Beginnings of the names of types that bear on whether traffic arrives.
const BEARS_ON_TRAFFIC: &[&str] = &[
    "aws_route_table",
    "aws_main_route_table",
    "aws_default_route_table",
    "aws_default_subnet",
    "aws_default_vpc",
    "aws_eip",
    "aws_nat_gateway",
    "aws_internet_gateway",
    "aws_egress_only",
    "aws_vpc",
    "aws_vpn_",
    "aws_subnet",
    "aws_ec2_transit_gateway",
    "aws_networkfirewall_",
    "aws_network_interface_attachment",
    "aws_lb",
    "aws_alb",
    "aws_elb",
    "aws_dx_",
    "aws_customer_gateway",
    "aws_cloudformation_stack",
    "awscc_cloudformation_stack",
    "awscc_ec2_network_acl",
    "awscc_ec2_prefix_list",
    "awscc_ec2_route",
    "awscc_ec2_security_group",
    "awscc_ec2_subnet",
    "awscc_ec2_transit_gateway",
    "awscc_ec2_vpc",
];

/// Of these, the ones that bear on traffic of now where they are created: what else is new has none.
const NEW_ON_THE_WAY: &[&str] = &[
    "aws_route_table_association",
    "aws_main_route_table_association",
    "aws_vpc_endpoint",
    "aws_vpc_block_public_access",
    "aws_eip_association",
];

/// Of these, the ones that do not.
const BEARS_NOT: &[&str] = &["aws_vpc_dhcp", "aws_vpc_ipam", "aws_default_vpc_dhcp"];

/// Pieces whose resources a plan deletes or changes, by the object that they are pieces of.
#[derive(Debug, Default)]
pub(super) struct Gone {
    rules: HashMap<String, Vec<SecurityGroupRule>>,
    acls: HashMap<String, Vec<NetworkAcl>>,
    groups: HashMap<String, Vec<String>>,
    list_entries: HashMap<String, Vec<Prefix>>,
}

impl Gone {
    /// The rules of a group that stay.
    pub(super) fn keep_rules(&self, group: &str, rules: &mut Vec<SecurityGroupRule>) {
        if let Some(gone) = self.rules.get(group) {
            rules.retain(|rule| !gone.iter().any(|one| one.means(rule)));
        }
    }

    /// The entries and subnets of a list that stay.
    pub(super) fn keep_entries(&self, acl: &mut NetworkAcl) {
        for gone in self.acls.get(&acl.id).into_iter().flatten() {
            let place = |entry: &NaclEntry| (entry.number, entry.egress);
            acl.entries.retain(|entry| !gone.entries.iter().any(|one| place(one) == place(entry)));
            acl.subnet_ids.retain(|subnet| !gone.subnet_ids.contains(subnet));
        }
    }

    /// The groups of an interface that stay.
    pub(super) fn keep_groups(&self, interface: &mut NetworkInterface) {
        if let Some(gone) = self.groups.get(&interface.id) {
            interface.group_ids.retain(|group| !gone.contains(group));
        }
    }

    /// Whether an entry of a prefix list goes.
    pub(super) fn takes(&self, list: &str, entry: &Prefix) -> bool {
        self.list_entries.get(list).is_some_and(|gone| gone.contains(entry))
    }
}

pub(super) fn actions(change: Node<'_>) -> Vec<String> {
    change.get("change").map(|change| change.texts("actions")).unwrap_or_default()
}

/// Managed resources that the plan lists, with what it does to them.
pub(super) fn changes<'a>(plan: Node<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
    plan.list("resource_changes").filter(|one| one.text("mode").as_deref() == Some("managed"))
}

/// Whether a resource leaves the state while what it stands for stays.
fn is_forgotten(change: Node<'_>) -> bool {
    let is_adopted = change.text("type").is_some_and(|kind| ADOPTED.contains(&kind.as_str()));
    actions(change).iter().any(|action| action == "forget" || (is_adopted && action == "delete"))
}

impl NetworkBuilder {
    /// The pieces that a plan takes away or changes.
    pub(super) fn gone(plan: Node<'_>, context: &Context) -> Gone {
        let taken = changes(plan).filter(|one| {
            let actions = actions(*one);
            actions.iter().any(|action| action == "delete" || action == "update")
        });
        let resources: Vec<Resource<'_>> = taken
            .filter_map(|one| {
                let kind = one.text("type").filter(|kind| PIECES.contains(&kind.as_str()))?;
                let values = one.get("change")?.get("before")?;
                Some(Resource { address: one.text("address").unwrap_or_default(), kind, values })
            })
            .collect();
        let mut read = NetworkBuilder::new();
        read.terraform_resources(&resources, context, true, &Gone::default());
        let mut gone = Gone::default();
        for piece in read.rule_pieces {
            gone.rules.entry(piece.id).or_default().push(piece.value);
        }
        for (id, readings) in read.acls {
            gone.acls.entry(id).or_default().extend(readings.into_iter().filter_map(|one| one.seen.value));
        }
        for (id, readings) in read.interfaces {
            let groups = readings.into_iter().filter_map(|one| one.seen.value);
            gone.groups.entry(id).or_default().extend(groups.flat_map(|one| one.group_ids));
        }
        for piece in read.list_pieces {
            gone.list_entries.entry(piece.id).or_default().extend(piece.value.into_iter().flatten());
        }
        gone
    }
}

/// The plan with what its planned side leaves out: an attribute that is known only after the apply is there and has no
/// readable value, so that no reader takes it for an empty one; a resource that is forgotten stays as it was.
pub(super) fn completed(plan: &Value) -> Value {
    let references = References::of(Node(plan));
    let mut plan = plan.clone();
    let mut unknown: HashMap<String, Value> = HashMap::new();
    let mut forgotten: Vec<Value> = Vec::new();
    let listed = plan.get_mut("resource_changes").and_then(Value::as_array_mut);
    for resource in listed.into_iter().flatten() {
        let node = Node(resource);
        let address = node.text("address").unwrap_or_default();
        if is_forgotten(node) {
            let before =
                node.get("change").and_then(|change| change.get("before")).map(|node| node.0.clone());
            let mut whole = resource.clone();
            if let (Some(object), Some(before)) = (whole.as_object_mut(), before) {
                object.insert("values".to_string(), before.clone());
                forgotten.push(whole);
                // One that is made anew beside it has an end of its own.
                let change = resource.get_mut("change").and_then(Value::as_object_mut);
                if let Some(change) = change.filter(|change| change.get("after").is_none_or(Value::is_null)) {
                    change.insert("after".to_string(), before);
                    continue;
                }
            }
        }
        let node = Node(resource);
        let told = node.get("change").and_then(|change| change.get("after_unknown"));
        let mut told = told.map_or(Value::Null, |told| told.0.clone());
        fill(&mut told, references.written(&address), &references, &address, 0);
        let after = resource.get_mut("change").and_then(|change| change.get_mut("after"));
        after.into_iter().for_each(|after| mark(after, &told, 0));
        unknown.insert(address, told);
    }
    if let Some(root) = plan.get_mut("planned_values").and_then(|planned| planned.get_mut("root_module")) {
        mark_module(root, &unknown, 0);
        match root.get_mut("resources").and_then(Value::as_array_mut) {
            Some(resources) => resources.extend(forgotten),
            None => {
                if let Some(root) = root.as_object_mut() {
                    root.insert("resources".to_string(), Value::Array(forgotten));
                }
            }
        }
    }
    plan
}

/// The only member of what stands for a value that is known only after the apply: an object, which is no text, number, flag, address
/// or list. Terraform's own values have no such member.
const KNOWN_AFTER_APPLY: &str = "(known after apply)";

/// Whether this stands for a value that is known only after the apply.
pub(super) fn is_unknown(value: Node<'_>) -> bool {
    value.0.as_object().is_some_and(|object| object.contains_key(KNOWN_AFTER_APPLY))
}

fn unknown_value() -> Value {
    Value::Object([(KNOWN_AFTER_APPLY.to_string(), Value::Bool(true))].into_iter().collect())
}

/// Values nest as deep as the schemas of resources, which is less than this.
const DEEPEST_VALUE: usize = 32;

/// Puts what stands for an unknown value wherever `unknown` has `true`, or what it has there in its place. A list of which it
/// cannot be told which element is meant is unknown itself.
fn mark(known: &mut Value, unknown: &Value, depth: usize) {
    if depth > DEEPEST_VALUE {
        return;
    }
    match (known, unknown) {
        (known, Value::Bool(true)) if known.is_null() => *known = unknown_value(),
        // A list has stood in it what is known of it.
        (known, told) if stands_in(told) && (known.is_null() || known.is_array()) => *known = told.clone(),
        (known, told) if known.is_null() && is_unknown(Node(told)) => *known = told.clone(),
        (Value::Object(known), Value::Object(unknown)) => {
            for (key, value) in unknown.iter().filter(|(_, value)| tells(value)) {
                mark(known.entry(key.clone()).or_insert(Value::Null), value, depth.saturating_add(1));
            }
        }
        (Value::Array(known), Value::Array(unknown)) if known.len() == unknown.len() => {
            known
                .iter_mut()
                .zip(unknown)
                .for_each(|(known, unknown)| mark(known, unknown, depth.saturating_add(1)));
        }
        (known, unknown @ Value::Array(_)) if tells(unknown) => *known = unknown_value(),
        _ => {}
    }
}

/// Puts what is known of an attribute in the place of `true`: of a resource, and of the blocks in it.
fn fill<'a>(
    told: &mut Value,
    written: Option<Node<'a>>,
    references: &References<'a>,
    address: &str,
    depth: usize,
) {
    if depth > DEEPEST_VALUE {
        return;
    }
    for (key, value) in told.as_object_mut().into_iter().flatten() {
        let written = written.and_then(|written| written.get(key));
        match value {
            Value::Bool(true) => *value = references.told(address, key, written).value(unknown_value()),
            Value::Array(list) if list.iter().all(Value::is_boolean) => {
                let told = references.told(address, key, written).value(Value::Null);
                let new: Vec<Value> =
                    told.as_array().into_iter().flatten().filter(|one| is_new(one)).cloned().collect();
                let unknown = list.iter_mut().filter(|one| **one == Value::Bool(true));
                let unknown: Vec<&mut Value> = unknown.collect();
                if new.len() == unknown.len() {
                    unknown.into_iter().zip(new).for_each(|(slot, one)| *slot = one);
                }
            }
            Value::Array(blocks) => {
                for (at, block) in blocks.iter_mut().enumerate() {
                    let of_block = written.and_then(|written| written.0.as_array()?.get(at).map(Node));
                    fill(block, of_block, references, address, depth.saturating_add(1));
                }
            }
            other => fill(other, written, references, address, depth.saturating_add(1)),
        }
    }
}

/// Whether an id is that of something which the plan makes: its address.
fn is_new(id: &Value) -> bool {
    id.as_str().is_some_and(|id| !id.starts_with("sg-"))
}

/// Whether this stands in the place of what is not known: an id, or ids.
fn stands_in(value: &Value) -> bool {
    let is_list = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
    value.is_string() || value.as_array().is_some_and(is_list)
}

/// Whether something in it is not known, or stands in the place of what is not.
fn tells(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(tells),
        Value::Object(object) => object.values().any(tells),
        Value::Bool(flag) => *flag,
        Value::String(_) => true,
        Value::Null | Value::Number(_) => false,
    }
}

fn mark_module(module: &mut Value, unknown: &HashMap<String, Value>, depth: usize) {
    for resource in module.get_mut("resources").and_then(Value::as_array_mut).into_iter().flatten() {
        let told = Node(resource).text("address").and_then(|address| unknown.get(&address));
        if let (Some(told), Some(values)) = (told, resource.get_mut("values")) {
            mark(values, told, 0);
        }
    }
    if depth < super::terraform::DEEPEST_MODULE {
        let children = module.get_mut("child_modules").and_then(Value::as_array_mut);
        children.into_iter().flatten().for_each(|child| mark_module(child, unknown, depth + 1));
    }
}

/// The changes of a plan that bear on traffic and that no filter shows, as `aws_route.r (delete)`.
pub(super) fn not_followed(plan: Node<'_>) -> Vec<String> {
    let mut found: Vec<String> = changes(plan)
        .filter_map(|one| {
            let (kind, actions) = (one.text("type")?, actions(one));
            let idle = actions.iter().all(|action| matches!(action.as_str(), "no-op" | "read" | "forget"));
            if idle || FOLLOWED.contains(&kind.as_str()) || PIECES.contains(&kind.as_str()) {
                return None;
            }
            let change = one.get("change")?;
            let is_update = actions == ["update"];
            if is_update && only_tags(change) {
                return None;
            }
            let is_new = actions == ["create"];
            let carrier = CARRIERS.contains(&kind.as_str());
            let listed = |list: &[&str]| list.iter().any(|start| kind.starts_with(start));
            let bears = match carrier {
                // What is new has no traffic yet, and updates of its groups are followed.
                true => actions.iter().any(|action| action == "delete"),
                false => {
                    kind == "aws_route"
                        || (is_new && listed(NEW_ON_THE_WAY))
                        || (!is_new && listed(BEARS_ON_TRAFFIC) && !listed(BEARS_NOT))
                        || changes_groups(change)
                }
            };
            bears.then(|| {
                format!("{} ({})", one.text("address").unwrap_or_else(|| kind.clone()), actions.join(", "))
            })
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an update touches nothing but tags.
fn only_tags(change: Node<'_>) -> bool {
    let is_tag = |key: &str| key == "tags" || key == "tags_all";
    let object = |key: &str| change.get(key).and_then(|node| node.0.as_object());
    let (Some(before), Some(after)) = (object("before"), object("after")) else { return false };
    let unknown = object("after_unknown").into_iter().flatten();
    let untold = unknown.filter(|(key, value)| !is_tag(key) && holds_true(value)).count();
    let differs = |key: &String| !is_tag(key) && before.get(key) != after.get(key);
    untold == 0 && !before.keys().chain(after.keys()).any(differs)
}

/// Whether anything in it is known only after the apply.
pub(super) fn holds_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Array(list) => list.iter().any(holds_true),
        Value::Object(object) => object.values().any(holds_true),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}
