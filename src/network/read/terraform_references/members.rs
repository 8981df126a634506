//! The members of a list of groups that a plan knows only after the apply: all that its expression names, where it names nothing but
//! groups, and so cannot choose among them.

use super::{GROUPS, MOST_STEPS, Node, Place, References, ends, key_of, steps, without_keys};
use hashbrown::HashMap;
use serde_json::Value;

/// The ids of resources, and of data sources, that a plan knows, by address.
pub(super) fn ids(plan: Node<'_>) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let prior = plan.get("prior_state").and_then(|state| state.get("values"));
    for side in [prior, plan.get("planned_values")] {
        side.and_then(|side| side.get("root_module"))
            .into_iter()
            .for_each(|root| gather(root, &mut found, 0));
    }
    for one in plan.list("resource_changes") {
        let Some((address, change)) = one.text("address").zip(one.get("change")) else { continue };
        let Some(after) = change.get("after") else { continue };
        match after.text("id") {
            Some(id) => found.insert(address, id),
            // A new one takes the place of that of now.
            None => found.remove(&address),
        };
    }
    found
}

fn gather(module: Node<'_>, into: &mut HashMap<String, String>, depth: usize) {
    for resource in module.list("resources") {
        let id = resource.get("values").and_then(|values| values.text("id"));
        into.extend(resource.text("address").zip(id));
    }
    if depth < MOST_STEPS {
        module.list("child_modules").for_each(|child| gather(child, into, depth.saturating_add(1)));
    }
}

impl<'a> References<'a> {
    /// Gathers the members of a list; whether they are surely all.
    pub(super) fn members(
        &self,
        expression: Node<'a>,
        place: Place<'_, 'a>,
        into: &mut Vec<String>,
        depth: usize,
    ) -> bool {
        if depth > MOST_STEPS {
            return false;
        }
        if let Some(constant) = expression.get("constant_value") {
            return constants(constant, into);
        }
        let ends: Vec<String> = ends(expression);
        let (keys, ends): (Vec<&String>, Vec<&String>) =
            ends.iter().partition(|end| matches!(end.as_str(), "each.key" | "count.index"));
        let several = ends.len() > 1;
        let deeper = depth.saturating_add(1);
        !ends.is_empty()
            && ends.iter().all(|end| {
                let words = steps(end);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                match words.as_slice() {
                    ["var", name] if !name.contains('[') => self.given(name, place, into, deeper),
                    ["module", name, output] if !output.contains('[') => {
                        let inner = [place.module, &["module".to_owned(), (*name).to_owned()]].concat();
                        let outputs = self.module(&inner).and_then(|module| module.get("outputs"));
                        let given =
                            outputs.and_then(|outputs| outputs.get(&without_keys(output))?.get("expression"));
                        let inside = Place { module: &inner, key: None, for_each: None };
                        given.is_some_and(|given| self.members(given, inside, into, deeper))
                    }
                    ["data", "aws_security_group", name, "id"] if !several || !name.contains('[') => {
                        let data = format!("data.aws_security_group.{name}");
                        let address = [place.module, &[data]].concat().join(".");
                        let known = self.ids.get(&address);
                        into.extend(known.cloned());
                        known.is_some()
                    }
                    // Of several, one with a key of its own, or without an attribute, may be what a condition asks.
                    [_, name, "id"] if several && name.contains('[') => false,
                    [_, _] if several => false,
                    // `type.name[*].id`, or a loop over its instances.
                    [kind, name] if keys.is_empty() && GROUPS.contains(kind) && key_of(name).is_none() => {
                        let address = [place.module, &[format!("{kind}.{name}")]].concat().join(".");
                        let all = self.instances.get(&without_keys(&address)).into_iter().flatten();
                        let all: Vec<String> = all.map(|one| self.id_of(one)).collect();
                        // A loop may leave some of several out.
                        into.extend(all.iter().cloned());
                        all.len() == 1
                    }
                    _ => self.one(end, &keys, place, into, deeper),
                }
            })
    }

    /// Gathers the one group that a reference names; whether it surely names one.
    fn one(
        &self,
        end: &str,
        keys: &[&String],
        place: Place<'_, 'a>,
        into: &mut Vec<String>,
        depth: usize,
    ) -> bool {
        let references: Vec<&str> = keys.iter().map(|key| key.as_str()).chain([end]).collect();
        let mut found = Vec::new();
        let sure = self.follow_ends(&references, place, GROUPS, &mut found, depth);
        match found.as_slice() {
            [one] if sure => {
                into.push(self.id_of(one));
                true
            }
            _ => false,
        }
    }

    /// Gathers the members of what was given to a module for a variable.
    fn given(&self, name: &str, place: Place<'_, 'a>, into: &mut Vec<String>, depth: usize) -> bool {
        let name = without_keys(name);
        let declared = self.module(place.module).and_then(|module| module.get("variables")?.get(&name));
        let default = declared.and_then(|declared| declared.get("default"));
        if place.module.is_empty() {
            let given = self.variables.and_then(|variables| variables.get(&name)?.get("value")).or(default);
            return given.is_some_and(|given| constants(given, into));
        }
        let (outer, call) = place.module.split_at(place.module.len().saturating_sub(2));
        let step = call.last();
        let call = step.and_then(|name| self.module_call(outer, name));
        let for_each = call.and_then(|call| call.get("for_each_expression"));
        let outside = Place { module: outer, key: step.and_then(|step| key_of(step)), for_each };
        match call.and_then(|call| call.get("expressions")?.get(&name)) {
            Some(given) => self.members(given, outside, into, depth),
            None => default.is_some_and(|given| constants(given, into)),
        }
    }

    /// The id of a resource, or its address where the plan does not know that yet.
    fn id_of(&self, address: &str) -> String {
        self.ids.get(address).cloned().unwrap_or_else(|| address.to_owned())
    }
}

/// Takes ids of groups that stand in the code; whether it is nothing else.
fn constants(value: Node<'_>, into: &mut Vec<String>) -> bool {
    let is_group = |text: &str| text.starts_with("sg-");
    match value.0 {
        Value::String(text) if is_group(text) => {
            into.push(text.clone());
            true
        }
        Value::Array(list) => list.iter().all(|one| one.is_string() && constants(Node(one), into)),
        _ => false,
    }
}
