//! A network with proposed changes applied: what `whatif` compares the network of now with.
//!
//! A configuration replaces the objects that it names, whole; what it does not name stays as it is. A Terraform plan is
//! applied as the difference between its two sides, since it often holds only some of an object's rules.

use super::history::{Observation, Origin, Timeline, Timestamp, View};
use super::model::*;
use super::store::{Kind, Network};

/// What was changed, by id, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Objects that are new or different.
    pub objects: Vec<String>,
    /// Objects that are gone.
    pub removed: Vec<String>,
    /// Objects that are named and stay as they were.
    pub same: usize,
    /// Objects that a plan changes only a part of, and that this network does not hold: that part was left out.
    pub lacking: Vec<String>,
}

const NEWEST: View = View { at: Timestamp::MAX, after: false };

/// The newest version of each object of a kind, `None` where it was deleted.
fn newest<T>(kind: &Kind<T>) -> impl Iterator<Item = (&str, Option<&T>)> {
    kind.timelines().map(|(id, timeline)| (id, timeline.pick(NEWEST).map(|found| found.value.as_ref())))
}

fn gone<T: PartialEq>() -> Timeline<T> {
    Timeline::new(vec![Observation {
        at: None,
        sequence: 0,
        origin: Origin::History,
        reduced: false,
        value: None,
    }])
}

impl Changed {
    fn put<T: PartialEq>(&mut self, kind: &mut Kind<T>, id: &str, value: T) {
        if kind.get(id, NEWEST).is_some_and(|known| **known.value == value) {
            self.same = self.same.saturating_add(1);
            return;
        }
        kind.put(id.to_owned(), Timeline::always(value));
        self.objects.push(id.to_owned());
    }

    fn remove<T: PartialEq>(&mut self, kind: &mut Kind<T>, id: &str) {
        if kind.get(id, NEWEST).is_some() {
            kind.put(id.to_owned(), gone());
            self.removed.push(id.to_owned());
        }
    }

    fn replace<T: PartialEq + Clone>(
        &mut self,
        into: &mut Kind<T>,
        of: &Kind<T>,
        complete: impl Fn(T, Option<&T>) -> T,
    ) {
        for (id, value) in newest(of) {
            match value {
                Some(value) => {
                    let known = into.get(id, NEWEST).map(|found| found.value.as_ref().clone());
                    let value = complete(value.clone(), known.as_ref());
                    self.put(into, id, value);
                }
                None => self.remove(into, id),
            }
        }
    }
}

impl Network {
    /// This network with the objects of another in place of its own, at all times.
    pub fn with_objects(&self, proposed: &Network) -> (Network, Changed) {
        let mut network = self.clone();
        let mut changed = Changed::default();
        let whole = |value, _: Option<&_>| value;
        changed.replace(
            &mut network.interfaces,
            &proposed.interfaces,
            |mut value: NetworkInterface, known| {
                // Forms without groups say nothing about them.
                if let Some(known) = known.filter(|_| !value.groups_known) {
                    value.group_ids.clone_from(&known.group_ids);
                    value.groups_known = known.groups_known;
                }
                value
            },
        );
        changed.replace(&mut network.groups, &proposed.groups, |mut value: SecurityGroup, known| {
            // Rules alone (describe-security-group-rules) are a group without a name.
            if let Some(known) = known {
                value.name = value.name.or_else(|| known.name.clone());
                value.vpc_id = value.vpc_id.or_else(|| known.vpc_id.clone());
                value.owner_id = value.owner_id.or_else(|| known.owner_id.clone());
                value.rules = identified(value.rules, &known.rules);
            }
            value
        });
        changed.replace(&mut network.acls, &proposed.acls, whole);
        changed.replace(&mut network.subnets, &proposed.subnets, |value, _| value);
        changed.replace(&mut network.vpcs, &proposed.vpcs, |value, _| value);
        changed.replace(&mut network.prefix_lists, &proposed.prefix_lists, |mut value: PrefixList, known| {
            if let Some(known) = known {
                value.name = value.name.or_else(|| known.name.clone());
                value.owner_id = value.owner_id.or_else(|| known.owner_id.clone());
                value.entries = value.entries.or_else(|| known.entries.clone());
            }
            value
        });
        changed.replace(&mut network.route_tables, &proposed.route_tables, |value, _| value);
        changed.replace(&mut network.peerings, &proposed.peerings, |value, _| value);
        changed.replace(&mut network.instances, &proposed.instances, |value, _| value);
        let taken: Vec<String> = newest(&proposed.acls)
            .filter_map(|(_, acl)| acl)
            .flat_map(|acl| acl.subnet_ids.clone())
            .collect();
        let named: Vec<String> = newest(&proposed.acls).map(|(id, _)| id.to_owned()).collect();
        network.move_subnets(&taken, |id| named.iter().any(|named| named == id));
        network.finish();
        (network, changed)
    }

    /// A subnet has one network ACL: the others that name it lose it.
    fn move_subnets(&mut self, subnets: &[String], keeps: impl Fn(&str) -> bool) {
        let holders: Vec<(String, NetworkAcl)> = newest(&self.acls)
            .filter(|(id, _)| !keeps(id))
            .filter_map(|(id, acl)| Some((id.to_owned(), acl?.clone())))
            .filter(|(_, acl)| acl.subnet_ids.iter().any(|subnet| subnets.contains(subnet)))
            .collect();
        for (id, mut acl) in holders {
            acl.subnet_ids.retain(|subnet| !subnets.contains(subnet));
            self.acls.put(id, Timeline::always(acl));
        }
    }

    /// This network with a plan applied: `prior` is what the plan starts from, `planned` what it ends with.
    pub fn with_plan(&self, prior: &Network, planned: &Network) -> (Network, Changed) {
        let mut network = self.clone();
        let mut changed = Changed::default();
        network.plan_groups(prior, planned, &mut changed);
        network.plan_acls(prior, planned, &mut changed);
        network.plan_lists(prior, planned, &mut changed);
        network.plan_interfaces(prior, planned, &mut changed);
        network.finish();
        (network, changed)
    }

    fn plan_groups(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for (id, group) in present(&planned.groups) {
            let before = held(&prior.groups, id).map(|found| found.rules).unwrap_or_default();
            let Some(known) = held(&self.groups, id) else {
                changed.put(&mut self.groups, id, group.clone());
                continue;
            };
            let value = SecurityGroup {
                rules: difference(&known.rules, &before, &group.rules, SecurityGroupRule::means),
                ..known
            };
            changed.put(&mut self.groups, id, value);
        }
        for (id, group) in present(&prior.groups) {
            if planned.groups.get(id, NEWEST).is_some() {
                continue;
            }
            // Rule resources without their group: the rules go and the group stays.
            if group.name.is_some() || group.vpc_id.is_some() {
                changed.remove(&mut self.groups, id);
            } else if let Some(known) = held(&self.groups, id) {
                let rules = difference(&known.rules, &group.rules, &[], SecurityGroupRule::means);
                changed.put(&mut self.groups, id, SecurityGroup { rules, ..known });
            }
        }
    }

    fn plan_acls(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        let mut taken = Vec::new();
        let mut keepers = Vec::new();
        for (id, acl) in present(&planned.acls) {
            let before = held(&prior.acls, id).unwrap_or_default();
            let new = acl.subnet_ids.iter().filter(|subnet| !before.subnet_ids.contains(subnet));
            let Some(known) = held(&self.acls, id) else {
                if acl.is_part() {
                    changed.lacking.push(id.to_owned());
                    continue;
                }
                changed.put(&mut self.acls, id, acl.clone());
                taken.extend(acl.subnet_ids.iter().cloned());
                keepers.push(id.to_owned());
                continue;
            };
            taken.extend(new.cloned());
            keepers.push(id.to_owned());
            changed.put(&mut self.acls, id, list_after(known, &before, acl));
        }
        for (id, acl) in present(&prior.acls) {
            if planned.acls.get(id, NEWEST).is_some() {
                continue;
            }
            // Entries without their list: they go and the list stays.
            match held(&self.acls, id) {
                Some(known) if acl.is_part() => {
                    changed.put(&mut self.acls, id, list_after(known, acl, &NetworkAcl::default()));
                }
                None if acl.is_part() => changed.lacking.push(id.to_owned()),
                _ => changed.remove(&mut self.acls, id),
            }
        }
        self.move_subnets(&taken, |id| keepers.iter().any(|keeper| keeper == id));
    }

    fn plan_lists(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for (id, list) in present(&planned.prefix_lists) {
            let before = held(&prior.prefix_lists, id).and_then(|found| found.entries);
            let value = match (held(&self.prefix_lists, id), &list.entries) {
                (Some(known), Some(entries)) => {
                    let old = known.entries.clone().unwrap_or_default();
                    let entries = difference(&old, &before.unwrap_or_default(), entries, PartialEq::eq);
                    PrefixList { entries: Some(entries), ..known }
                }
                _ => list.clone(),
            };
            changed.put(&mut self.prefix_lists, id, value);
        }
    }

    fn plan_interfaces(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for (id, interface) in present(&planned.interfaces) {
            let before = held(&prior.interfaces, id).map(|found| found.group_ids);
            match held(&self.interfaces, id) {
                None if interface.is_part() => changed.lacking.push(id.to_owned()),
                None => changed.put(&mut self.interfaces, id, interface.clone()),
                Some(known) if interface.groups_known && before.as_ref() != Some(&interface.group_ids) => {
                    let old = match before {
                        Some(before) => before,
                        // A group is attached beside those that it has.
                        None if interface.is_part() => Vec::new(),
                        None => known.group_ids.clone(),
                    };
                    let group_ids = difference(&known.group_ids, &old, &interface.group_ids, PartialEq::eq);
                    changed.put(&mut self.interfaces, id, NetworkInterface { group_ids, ..known });
                }
                Some(_) => changed.same = changed.same.saturating_add(1),
            }
        }
        for (id, interface) in present(&prior.interfaces) {
            if !interface.is_part() || planned.interfaces.get(id, NEWEST).is_some() {
                continue;
            }
            match held(&self.interfaces, id) {
                Some(known) => {
                    let group_ids = difference(&known.group_ids, &interface.group_ids, &[], PartialEq::eq);
                    changed.put(&mut self.interfaces, id, NetworkInterface { group_ids, ..known });
                }
                None => changed.lacking.push(id.to_owned()),
            }
        }
    }
}

/// The newest version of an object.
fn held<T: Clone + PartialEq>(kind: &Kind<T>, id: &str) -> Option<T> {
    kind.get(id, NEWEST).map(|found| found.value.as_ref().clone())
}

/// The objects that there are in the newest version.
fn present<T>(kind: &Kind<T>) -> impl Iterator<Item = (&str, &T)> {
    newest(kind).filter_map(|(id, value)| Some((id, value?)))
}

/// A list that turns from `before` into `after` as far as a plan manages it. A number stands once in each direction, so that
/// an entry is the same whatever else of it changes.
fn list_after(known: NetworkAcl, before: &NetworkAcl, after: &NetworkAcl) -> NetworkAcl {
    fn of<'a>(list: &'a NetworkAcl, entry: &NaclEntry) -> Option<&'a NaclEntry> {
        list.entries.iter().find(|other| (other.number, other.egress) == (entry.number, entry.egress))
    }
    let untouched = known.entries.iter().filter(|entry| of(before, entry) == of(after, entry));
    let new = after.entries.iter().filter(|entry| of(before, entry) != Some(*entry));
    NetworkAcl {
        entries: untouched.chain(new).cloned().collect(),
        subnet_ids: difference(&known.subnet_ids, &before.subnet_ids, &after.subnet_ids, PartialEq::eq),
        ..known
    }
}

/// What is known, without what the plan takes away and with what it adds.
fn difference<T: Clone>(known: &[T], before: &[T], after: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let holds = |list: &[T], one: &T| list.iter().any(|other| same(one, other));
    let mut result: Vec<T> =
        known.iter().filter(|one| !holds(before, one) || holds(after, one)).cloned().collect();
    for one in after {
        if !holds(before, one) && !holds(&result, one) {
            result.push(one.clone());
        }
    }
    result
}

/// Rules that are known keep what is known of them.
fn identified(rules: Vec<SecurityGroupRule>, known: &[SecurityGroupRule]) -> Vec<SecurityGroupRule> {
    let same = |rule: &SecurityGroupRule| known.iter().find(|known| known.means(rule)).cloned();
    rules.into_iter().map(|rule| same(&rule).unwrap_or(rule)).collect()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
