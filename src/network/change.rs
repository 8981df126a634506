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
    /// The same, for traffic that they may have let pass.
    pub taken: Vec<Taken>,
    /// Interfaces that may be those of something whose groups a plan changes.
    pub perhaps: Vec<Perhaps>,
    /// Changes of a plan that bear on traffic and that no filter shows, as `aws_route.r (delete)`.
    pub not_followed: Vec<String>,
}

/// Other groups for an interface, if it is that of a resource which a plan changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perhaps {
    /// The interface.
    pub interface_id: String,
    /// The resource's address.
    pub by: String,
    /// Groups of before.
    pub before: Vec<String>,
    /// Groups of after.
    pub after: Vec<String>,
    /// Whether these are all.
    pub all_known: bool,
}

/// What a plan takes away from an object, and this network does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A rule of a group.
    Rule {
        /// The group.
        group_id: String,
        /// The rule.
        rule: SecurityGroupRule,
        /// All rules that the plan leaves the group, where it holds all of them.
        left: Option<Vec<SecurityGroupRule>>,
    },
    /// An entry of a network ACL.
    Entry {
        /// The list.
        acl_id: String,
        /// The entry.
        entry: NaclEntry,
    },
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

    /// Names the proposed objects of a kind that no filter is, where they are not what is there.
    fn name<T: PartialEq>(&mut self, (kind, known): (&str, &Kind<T>), proposed: &Kind<T>) {
        for (id, value) in newest(proposed) {
            let now = known.get(id, NEWEST).map(|found| found.value.as_ref());
            if now != value {
                self.not_followed.push(format!("{kind} {id}"));
            } else {
                self.same = self.same.saturating_add(1);
            }
        }
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
        changed.replace(&mut network.acl_associations, &proposed.acl_associations, |value, _| value);
        changed.replace(&mut network.group_associations, &proposed.group_associations, |value, _| value);
        changed.name(("Block Public Access of", &self.bpa_options), &proposed.bpa_options);
        changed.name(("Block Public Access exclusion", &self.bpa_exclusions), &proposed.bpa_exclusions);
        changed.name(("load balancer", &self.load_balancers), &proposed.load_balancers);
        changed.name(("target group", &self.target_groups), &proposed.target_groups);
        changed
            .name(("transit gateway attachment", &self.transit_attachments), &proposed.transit_attachments);
        changed.name(("transit gateway route table", &self.transit_tables), &proposed.transit_tables);
        let claims: Vec<Claim> = present(&proposed.acls)
            .flat_map(|(id, acl)| acl.subnet_ids.iter().map(|subnet| (subnet.clone(), id.to_owned())))
            .collect();
        network.move_subnets(&claims);
        network.names.extend(proposed.names.clone());
        network.finish();
        (network, changed)
    }

    /// This network if each interface is that of the resource whose change may be its.
    pub fn with_perhaps(&self, perhaps: &[Perhaps]) -> Network {
        let mut network = self.clone();
        for (at, one) in perhaps.iter().enumerate() {
            let Some(known) = held(&self.interfaces, &one.interface_id) else { continue };
            let ids = difference(&known.group_ids, &one.before, &one.after, PartialEq::eq);
            let mut value = with_groups(known, ids, one.all_known);
            let others = perhaps.iter().take(at).filter(|other| other.interface_id == one.interface_id);
            // Of two resources either may be the one.
            if others.count() > 0
                && let Some(other) = held(&network.interfaces, &one.interface_id)
                && other != value
            {
                value.group_ids.retain(|group| other.group_ids.contains(group));
                value.groups_known = false;
            }
            network.interfaces.put(one.interface_id.clone(), Timeline::always(value));
        }
        network.finish();
        network
    }

    /// A subnet has one network ACL: the others that name it lose it to those that claim it.
    fn move_subnets(&mut self, claims: &[Claim]) {
        let loses = |id: &str, subnet: &String| {
            let mut claims = claims.iter().filter(|(claimed, _)| claimed == subnet).peekable();
            claims.peek().is_some() && claims.all(|(_, by)| by != id)
        };
        let holders: Vec<(String, NetworkAcl)> = present(&self.acls)
            .filter(|(id, acl)| acl.subnet_ids.iter().any(|subnet| loses(id, subnet)))
            .map(|(id, acl)| (id.to_owned(), acl.clone()))
            .collect();
        for (id, mut acl) in holders {
            acl.subnet_ids.retain(|subnet| !loses(&id, subnet));
            self.acls.put(id, Timeline::always(acl));
        }
    }
}

/// A subnet, and the list that is to serve it.
type Claim = (String, String);

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

/// An interface with other groups. One without any would be open to everything, which AWS does not let an interface that had some
/// become (it demands at least one): which it then has is not known.
fn with_groups(known: NetworkInterface, group_ids: Vec<String>, sure: bool) -> NetworkInterface {
    let emptied = group_ids.is_empty() && !known.group_ids.is_empty();
    NetworkInterface { groups_known: known.groups_known && sure && !emptied, group_ids, ..known }
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
