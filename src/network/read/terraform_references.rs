//! Which resource an attribute refers to that a plan knows only after the apply, as the plan's configuration tells
//! (`configuration`, `references`): a rule of a group that the same plan makes names it so.
//!
//! Only what one reference leads to is told: of a condition both branches are listed, and of `local` values nothing is.
//! `resource[each.key]`, `resource[count.index]`, and `each.value` where `for_each` is the resource, are the instance of the key that
//! the referring instance has itself. Candidates are left otherwise: what is referred to, and every resource that the plan makes,
//! since what is not known yet comes of something that is not there yet. The expression is told with them. Of a list of groups all
//! members are told, or none (`members`).

mod members;

use super::node::Node;
use hashbrown::HashMap;
use serde_json::Value;

/// What an attribute that is known only after the apply refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Referred {
    /// The resource of this address.
    To(String),
    /// All of these, by address or id.
    All(Vec<String>),
    /// One of these, as far as anything tells.
    OneOf(Vec<String>),
    /// No id of what is read here, or nothing is known of it.
    Nothing,
}

/// An attribute that is known only after the apply: what it refers to, and by which expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    referred: Referred,
    by: Vec<String>,
}

/// Where an expression stands: `each` and `count` are those of the resource or the module call.
#[derive(Clone, Copy)]
struct Place<'p, 'a> {
    module: &'p [String],
    /// The key of the instance, as `["web"]` or `[0]`.
    key: Option<&'p str>,
    for_each: Option<Node<'a>>,
}

/// Attributes that hold the id of a resource, and the types of resources whose id it may be.
const OF_IDS: &[(&str, &[&str])] = &[
    ("security_group_id", GROUPS),
    ("referenced_security_group_id", GROUPS),
    ("source_security_group_id", GROUPS),
    ("network_acl_id", &["aws_network_acl", "aws_default_network_acl"]),
    ("prefix_list_id", &["aws_ec2_managed_prefix_list"]),
    ("network_interface_id", &["aws_network_interface"]),
];

/// Attributes that hold the ids of groups.
const LISTS: &[&str] = &["security_groups", "vpc_security_group_ids", "security_group_ids"];

const GROUPS: &[&str] = &["aws_security_group", "aws_default_security_group"];

/// Modules and variables lead from one to the other as deep as the configuration nests; more steps than these are none.
const MOST_STEPS: usize = 64;

/// A plan's configuration with the resources that the plan ends with.
pub(super) struct References<'a> {
    root: Option<Node<'a>>,
    /// What was given to the root module.
    variables: Option<Node<'a>>,
    /// Ids that are known, by address.
    ids: HashMap<String, String>,
    /// What is written of each resource, by its address without keys.
    resources: HashMap<String, Node<'a>>,
    /// Addresses of all managed resources, by their address without keys.
    instances: HashMap<String, Vec<String>>,
    /// Addresses of resources whose id is known only after the apply, by type.
    made: HashMap<String, Vec<String>>,
}

impl<'a> References<'a> {
    pub(super) fn of(plan: Node<'a>) -> Self {
        let root = plan.get("configuration").and_then(|configuration| configuration.get("root_module"));
        let mut resources = HashMap::new();
        root.into_iter().for_each(|root| gather(root, "", &mut resources, 0));
        let mut found = References {
            root,
            variables: plan.get("variables"),
            ids: members::ids(plan),
            resources,
            instances: HashMap::new(),
            made: HashMap::new(),
        };
        for change in plan.list("resource_changes") {
            let (Some(address), Some(kind)) = (change.text("address"), change.text("type")) else { continue };
            let Some(told) = change.get("change").filter(|told| told.get("after").is_some()) else {
                continue;
            };
            found.instances.entry(without_keys(&address)).or_default().push(address.clone());
            let unknown = told.get("after_unknown").and_then(|unknown| unknown.flag("id"));
            if unknown == Some(true) {
                found.made.entry(kind).or_default().push(address);
            }
        }
        found
    }

    /// The expressions that are written for a resource.
    pub(super) fn written(&self, address: &str) -> Option<Node<'a>> {
        self.resources.get(&without_keys(address))?.get("expressions")
    }

    /// What is known of an attribute of a resource, or of a block in it, for which this is written.
    pub(super) fn told(&self, address: &str, attribute: &str, expression: Option<Node<'a>>) -> Told {
        let mut module = steps(address);
        let name = module.split_off(module.len().saturating_sub(2)).join(".");
        let resource = self.resources.get(&without_keys(address)).copied();
        let for_each = resource.and_then(|resource| resource.get("for_each_expression"));
        let place = Place { module: &module, key: key_of(&name), for_each };
        let by = expression.map(ends).unwrap_or_default();
        if let (true, Some(expression)) = (LISTS.contains(&attribute), expression) {
            let mut found = Vec::new();
            let sure = self.members(expression, place, &mut found, 0) && !found.is_empty();
            let referred = if sure { Referred::All(found) } else { Referred::Nothing };
            return Told { referred, by };
        }
        let Some((_, kinds)) = OF_IDS.iter().find(|(name, _)| *name == attribute) else {
            return Told { referred: Referred::Nothing, by };
        };
        let mut candidates = Vec::new();
        if let Some(expression) = expression {
            let sure = self.follow(expression, place, kinds, &mut candidates, 0);
            if let (true, [one]) = (sure, candidates.as_slice()) {
                return Told { referred: Referred::To(one.clone()), by };
            }
        }
        candidates.extend(kinds.iter().filter_map(|kind| self.made.get(*kind)).flatten().cloned());
        candidates.sort_unstable();
        candidates.dedup();
        Told { referred: Referred::OneOf(candidates), by }
    }

    /// The configuration of a module.
    fn module(&self, path: &[String]) -> Option<Node<'a>> {
        path.chunks(2).try_fold(self.root?, |module, call| match call {
            [_, name] => module.get("module_calls")?.get(&without_keys(name))?.get("module"),
            _ => None,
        })
    }

    /// Gathers the resources that an expression may name; whether it is sure to name one of them.
    fn follow(
        &self,
        expression: Node<'a>,
        place: Place<'_, 'a>,
        kinds: &[&str],
        into: &mut Vec<String>,
        depth: usize,
    ) -> bool {
        let ends = ends(expression);
        let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
        self.follow_ends(&ends, place, kinds, into, depth)
    }

    /// The same of what an expression refers to.
    fn follow_ends(
        &self,
        ends: &[&str],
        place: Place<'_, 'a>,
        kinds: &[&str],
        into: &mut Vec<String>,
        depth: usize,
    ) -> bool {
        if depth > MOST_STEPS {
            return false;
        }
        let module = place.module;
        let deeper = depth.saturating_add(1);
        let (keys, ends): (Vec<&str>, Vec<&str>) =
            ends.iter().copied().partition(|end| matches!(*end, "each.key" | "count.index"));
        let key = place.key.filter(|_| !keys.is_empty());
        let mut sure = ends.len() == 1;
        for end in ends {
            let words = steps(end);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            sure &= match words.as_slice() {
                ["each", "value"] | ["each", "value", "id"] => {
                    // Of a resource's instances the one of its own key.
                    let names = place.for_each.map(self::ends).unwrap_or_default();
                    match (names.as_slice(), place.key) {
                        ([name], Some(key)) => self.instance(module, name, Some(key), kinds, into),
                        _ => false,
                    }
                }
                ["var", name, ..] => {
                    let (outer, call) = module.split_at(module.len().saturating_sub(2));
                    let step = call.last();
                    let call = step.and_then(|name| self.module_call(outer, name));
                    let given = call.and_then(|call| call.get("expressions")?.get(&without_keys(name)));
                    let for_each = call.and_then(|call| call.get("for_each_expression"));
                    let key = step.and_then(|step| key_of(step));
                    let outside = Place { module: outer, key, for_each };
                    given.is_some_and(|given| self.follow(given, outside, kinds, into, deeper))
                }
                ["module", name, output, ..] => {
                    let inner = [module, &["module".to_owned(), (*name).to_owned()]].concat();
                    let outputs = self.module(&inner).and_then(|module| module.get("outputs"));
                    let given =
                        outputs.and_then(|outputs| outputs.get(&without_keys(output))?.get("expression"));
                    let inside = Place { module: &inner, key: None, for_each: None };
                    given.is_some_and(|given| self.follow(given, inside, kinds, into, deeper))
                }
                [_, _, rest @ ..] if rest.first().is_none_or(|word| *word == "id") => {
                    let name: Vec<&str> = words.iter().take(2).copied().collect();
                    let found = self.instance(module, &name.join("."), key, kinds, into);
                    // `a.b.id` beside a key is one of several values that the key chooses from.
                    found && (keys.is_empty() || (rest.is_empty() && key.is_some()))
                }
                _ => false,
            };
        }
        sure
    }

    /// Gathers the instances of a resource of a module, or the one of a key if there is one; whether it is one.
    fn instance(
        &self,
        module: &[String],
        name: &str,
        key: Option<&str>,
        kinds: &[&str],
        into: &mut Vec<String>,
    ) -> bool {
        if !kinds.iter().any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'))) {
            return false;
        }
        let address = [module, &[name.to_owned()]].concat().join(".");
        let all = self.instances.get(&without_keys(&address)).into_iter().flatten();
        let keyed = key.map(|key| format!("{address}{key}"));
        // Where the module or the resource is there several times, the reference may leave out which it means.
        let is_named = |one: &&String| *one == keyed.as_ref().unwrap_or(&address);
        let named: Vec<&String> = all.clone().filter(is_named).collect();
        let is_found = !named.is_empty();
        let found = if is_found { named } else { all.collect() };
        into.extend(found.iter().map(|one| (*one).clone()));
        found.len() == 1 && (is_found || key.is_none())
    }

    fn module_call(&self, outer: &[String], name: &str) -> Option<Node<'a>> {
        self.module(outer)?.get("module_calls")?.get(&without_keys(name))
    }
}

/// The resources of a module and of those that it calls.
fn gather<'a>(module: Node<'a>, path: &str, into: &mut HashMap<String, Node<'a>>, depth: usize) {
    for resource in module.list("resources") {
        if let Some(address) = resource.text("address") {
            into.insert(format!("{path}{address}"), resource);
        }
    }
    let calls = module.get("module_calls").and_then(|calls| calls.0.as_object());
    for (name, call) in calls.into_iter().flatten().filter(|_| depth < MOST_STEPS) {
        if let Some(called) = Node(call).get("module") {
            gather(called, &format!("{path}module.{name}."), into, depth.saturating_add(1));
        }
    }
}

/// What an expression refers to: `a.b.id` comes with `a.b`.
fn ends(expression: Node<'_>) -> Vec<String> {
    let references = expression.texts("references");
    let is_whole = |one: &&String| !references.iter().any(|other| is_within(one, other));
    references.iter().filter(is_whole).cloned().collect()
}

/// The key of an instance at the end of an address, in its brackets.
fn key_of(address: &str) -> Option<&str> {
    let last = address.find('[').filter(|_| address.ends_with(']'))?;
    address.get(last..)
}

/// Whether another reference names a part of what this one names.
fn is_within(one: &str, other: &str) -> bool {
    other.strip_prefix(one).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// The parts of an address: `module.a["x.y"].aws_x.b` has four.
fn steps(address: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let (mut in_key, mut quoted, mut escaped) = (false, false, false);
    for letter in address.chars() {
        match letter {
            '.' if !in_key => {
                found.push(String::new());
                continue;
            }
            '[' if !quoted => in_key = true,
            ']' if !quoted => in_key = false,
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        if let Some(last) = found.last_mut() {
            last.push(letter);
        }
    }
    found
}

/// An address without the keys of `count` and `for_each`.
fn without_keys(address: &str) -> String {
    let parts = steps(address).into_iter().map(|step| step.split('[').next().unwrap_or_default().to_owned());
    parts.collect::<Vec<_>>().join(".")
}

/// Members of what stands for a value that is known only after the apply: the ids that it may be, and the expression that it is.
const ONE_OF: &str = "(one of)";
const BY: &str = "(by)";

impl Told {
    /// What stands in a plan for an attribute that refers so: the id by which the resource is known, or candidates for it.
    pub(super) fn value(self, unknown: Value) -> Value {
        let listed = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
        match (self.referred, unknown) {
            (Referred::To(address), _) => Value::String(address),
            (Referred::All(ids), _) => listed(ids),
            (referred, Value::Object(mut unknown)) => {
                if let Referred::OneOf(candidates) = referred {
                    unknown.insert(ONE_OF.to_owned(), listed(candidates));
                }
                if !self.by.is_empty() {
                    unknown.insert(BY.to_owned(), listed(self.by));
                }
                Value::Object(unknown)
            }
            (_, unknown) => unknown,
        }
    }
}

/// The ids that a value which is known only after the apply may be.
pub(super) fn candidates(value: Node<'_>) -> Vec<String> {
    value.texts(ONE_OF)
}

/// That a value is known only after the apply, with the expression that it is, where the plan tells that.
pub(super) fn after_apply(value: Option<Node<'_>>) -> String {
    let by = value.map(|value| value.texts(BY)).unwrap_or_default();
    match by.is_empty() {
        true => "known after apply".to_owned(),
        false => format!("known after apply: {}", by.join(", ")),
    }
}
