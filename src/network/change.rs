//! A network with proposed changes applied: what `whatif` compares the network of now with.
//!
//! A configuration replaces the objects that it names, whole; what it does not name stays as it is. A Terraform plan is
//! applied as the difference between its two sides, since it often holds only some of an object's rules.

mod plan;

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
    /// Rules and entries that a plan takes away and that this network does not hold, in words: it is of another time than the
    /// plan.
    pub missing: Vec<String>,
    /// Changes of a plan that bear on traffic and that no filter shows, as `aws_route.r (delete)`.
    pub not_followed: Vec<String>,
}

const NEWEST: View = View { at: Timestamp::MAX, after: false };

/// The newest version of each object of a kind, `None` where it was deleted.
fn newest<T>(kind: &Kind<T>) -> impl Iterator<Item = (&str, Option<&T>)> {
    kind.timelines().map(|(id, timeline)| (id, timeline.pick(NEWEST).map(|found| found.value.as_ref())))
}

fn gone<T: PartialEq>() -> Timeline<T> {
    Timeline::new(vec![Observation::new(None, Origin::History, None)])
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
        network.names.extend(proposed.names.clone());
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
}

/// The newest version of an object.
fn held<T: Clone + PartialEq>(kind: &Kind<T>, id: &str) -> Option<T> {
    kind.get(id, NEWEST).map(|found| found.value.as_ref().clone())
}

/// The objects that there are in the newest version.
fn present<T>(kind: &Kind<T>) -> impl Iterator<Item = (&str, &T)> {
    newest(kind).filter_map(|(id, value)| Some((id, value?)))
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

/// `inbound tcp 443 from 0.0.0.0/0`.
fn rule_words(rule: &SecurityGroupRule) -> String {
    let (way, word) = if rule.egress { ("outbound", "to") } else { ("inbound", "from") };
    format!("{way} {} {word} {}", rule.traffic, rule.remote)
}

/// Rules that are known keep what is known of them.
fn identified(rules: Vec<SecurityGroupRule>, known: &[SecurityGroupRule]) -> Vec<SecurityGroupRule> {
    let same = |rule: &SecurityGroupRule| known.iter().find(|known| known.means(rule)).cloned();
    rules.into_iter().map(|rule| same(&rule).unwrap_or(rule)).collect()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
