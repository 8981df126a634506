//! Which resource an attribute refers to that a plan knows only after the apply, as the plan's configuration tells
//! (`configuration`, `references`): a rule of a group that the same plan makes names it so.
//!
//! Only what one reference leads to is told: of a condition both branches are listed, of `local` values nothing is, and of
//! `resource[each.key]` not the key. Candidates are left then: what is referred to, and every resource that the plan makes,
//! since what is not known yet comes of something that is not there yet.

use super::node::Node;
use hashbrown::HashMap;
use serde_json::Value;

/// What an attribute that is known only after the apply refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Referred {
    /// The resource of this address.
    To(String),
    /// One of these, as far as anything tells.
    OneOf(Vec<String>),
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

const GROUPS: &[&str] = &["aws_security_group", "aws_default_security_group"];

/// Modules and variables lead from one to the other as deep as the configuration nests; more steps than these are none.
const MOST_STEPS: usize = 64;

/// A plan's configuration with the resources that the plan ends with.
pub(super) struct References<'a> {
    root: Option<Node<'a>>,
    /// Addresses of all managed resources, by their address without keys.
    instances: HashMap<String, Vec<String>>,
    /// Addresses of resources whose id is known only after the apply, by type.
    made: HashMap<String, Vec<String>>,
}

impl<'a> References<'a> {
    pub(super) fn of(plan: Node<'a>) -> Self {
        let root = plan.get("configuration").and_then(|configuration| configuration.get("root_module"));
        let mut found = References { root, instances: HashMap::new(), made: HashMap::new() };
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

    /// What an attribute of a resource refers to; `None` where it holds no id of what is read here.
    pub(super) fn referred(&self, address: &str, attribute: &str) -> Option<Referred> {
        let (_, kinds) = OF_IDS.iter().find(|(name, _)| *name == attribute)?;
        let mut module = steps(address);
        let name = module.split_off(module.len().saturating_sub(2)).join(".");
        let expression = self.module(&module).and_then(|module| {
            let resource = module
                .list("resources")
                .find(|one| one.text("address").is_some_and(|of| of == without_keys(&name)))?;
            resource.get("expressions")?.get(attribute)
        });
        let mut candidates = Vec::new();
        if let Some(expression) = expression {
            let sure = self.follow(expression, &module, kinds, &mut candidates, 0);
            if let (true, [one]) = (sure, candidates.as_slice()) {
                return Some(Referred::To(one.clone()));
            }
        }
        candidates.extend(kinds.iter().filter_map(|kind| self.made.get(*kind)).flatten().cloned());
        candidates.sort_unstable();
        candidates.dedup();
        Some(Referred::OneOf(candidates))
    }

    /// The configuration of a module.
    fn module(&self, path: &[String]) -> Option<Node<'a>> {
        path.chunks(2).try_fold(self.root?, |module, call| match call {
            [_, name] => module.get("module_calls")?.get(&without_keys(name))?.get("module"),
            _ => None,
        })
    }

    /// Gathers the resources that an expression within a module may name; whether it is sure to name one of them.
    fn follow(
        &self,
        expression: Node<'a>,
        module: &[String],
        kinds: &[&str],
        into: &mut Vec<String>,
        depth: usize,
    ) -> bool {
        if depth > MOST_STEPS {
            return false;
        }
        let references = expression.texts("references");
        // `a.b.id` comes with `a.b`.
        let is_part = |one: &&String| !references.iter().any(|other| is_within(one, other));
        let ends: Vec<&String> = references.iter().filter(is_part).collect();
        let mut sure = ends.len() == 1;
        for end in ends {
            let words = steps(end);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            sure &= match words.as_slice() {
                ["var", name, ..] => {
                    let (outer, call) = module.split_at(module.len().saturating_sub(2));
                    let call = call.last().and_then(|name| self.module_call(outer, name));
                    let given = call.and_then(|call| call.get("expressions")?.get(&without_keys(name)));
                    given.is_some_and(|given| self.follow(given, outer, kinds, into, depth.saturating_add(1)))
                }
                ["module", name, output, ..] => {
                    let inner = [module, &["module".to_owned(), (*name).to_owned()]].concat();
                    let outputs = self.module(&inner).and_then(|module| module.get("outputs"));
                    let given =
                        outputs.and_then(|outputs| outputs.get(&without_keys(output))?.get("expression"));
                    given
                        .is_some_and(|given| self.follow(given, &inner, kinds, into, depth.saturating_add(1)))
                }
                [kind, name, rest @ ..]
                    if kinds.contains(kind) && rest.first().is_none_or(|word| *word == "id") =>
                {
                    let address = [module, &[(*kind).to_owned(), (*name).to_owned()]].concat().join(".");
                    let all = self.instances.get(&without_keys(&address)).into_iter().flatten();
                    // Where the module or the resource is there several times, the reference may leave out which it means.
                    let named: Vec<&String> = all.clone().filter(|one| one.as_str() == address).collect();
                    let found = if named.is_empty() { all.collect() } else { named };
                    into.extend(found.iter().map(|one| (*one).clone()));
                    found.len() == 1
                }
                _ => false,
            };
        }
        sure
    }

    fn module_call(&self, outer: &[String], name: &str) -> Option<Node<'a>> {
        self.module(outer)?.get("module_calls")?.get(&without_keys(name))
    }
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

/// A member of what stands for a value that is known only after the apply: the ids that it may be.
const ONE_OF: &str = "(one of)";

impl Referred {
    /// What stands in a plan for an attribute that refers so: the id by which the resource is known, or candidates for it.
    pub(super) fn value(self, unknown: Value) -> Value {
        match (self, unknown) {
            (Referred::To(address), _) => Value::String(address),
            (Referred::OneOf(candidates), Value::Object(mut unknown)) => {
                let candidates = candidates.into_iter().map(Value::String).collect();
                unknown.insert(ONE_OF.to_owned(), Value::Array(candidates));
                Value::Object(unknown)
            }
            (Referred::OneOf(_), unknown) => unknown,
        }
    }
}

/// The ids that a value which is known only after the apply may be.
pub(super) fn candidates(value: Node<'_>) -> Vec<String> {
    value.texts(ONE_OF)
}
