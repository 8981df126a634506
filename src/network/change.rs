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
        for (id, group) in newest(&planned.groups).filter_map(|(id, group)| Some((id, group?))) {
            let before =
                prior.groups.get(id, NEWEST).map(|found| found.value.rules.clone()).unwrap_or_default();
            let Some(known) = network.groups.get(id, NEWEST).map(|found| found.value.as_ref().clone()) else {
                changed.put(&mut network.groups, id, group.clone());
                continue;
            };
            let value =
                SecurityGroup { rules: difference(&known.rules, &before, &group.rules, same_rule), ..known };
            changed.put(&mut network.groups, id, value);
        }
        for (id, group) in newest(&prior.groups).filter_map(|(id, group)| Some((id, group?))) {
            if planned.groups.get(id, NEWEST).is_some() {
                continue;
            }
            // Rule resources without their group: the rules go and the group stays.
            if group.name.is_some() || group.vpc_id.is_some() {
                changed.remove(&mut network.groups, id);
            } else if let Some(known) =
                network.groups.get(id, NEWEST).map(|found| found.value.as_ref().clone())
            {
                let rules = difference(&known.rules, &group.rules, &[], same_rule);
                changed.put(&mut network.groups, id, SecurityGroup { rules, ..known });
            }
        }
        let mut taken = Vec::new();
        let mut keepers = Vec::new();
        for (id, acl) in newest(&planned.acls).filter_map(|(id, acl)| Some((id, acl?))) {
            let before =
                prior.acls.get(id, NEWEST).map(|found| found.value.as_ref().clone()).unwrap_or_default();
            let Some(known) = network.acls.get(id, NEWEST).map(|found| found.value.as_ref().clone()) else {
                changed.put(&mut network.acls, id, acl.clone());
                taken.extend(acl.subnet_ids.iter().cloned());
                keepers.push(id.to_owned());
                continue;
            };
            let new = acl.subnet_ids.iter().filter(|subnet| !before.subnet_ids.contains(subnet));
            taken.extend(new.cloned());
            keepers.push(id.to_owned());
            let value = NetworkAcl {
                entries: difference(&known.entries, &before.entries, &acl.entries, PartialEq::eq),
                subnet_ids: difference(&known.subnet_ids, &before.subnet_ids, &acl.subnet_ids, PartialEq::eq),
                ..known
            };
            changed.put(&mut network.acls, id, value);
        }
        for (id, _) in
            newest(&prior.acls).filter(|(id, acl)| acl.is_some() && planned.acls.get(id, NEWEST).is_none())
        {
            changed.remove(&mut network.acls, id);
        }
        for (id, list) in newest(&planned.prefix_lists).filter_map(|(id, list)| Some((id, list?))) {
            let before = prior.prefix_lists.get(id, NEWEST).and_then(|found| found.value.entries.clone());
            let known = network.prefix_lists.get(id, NEWEST).map(|found| found.value.as_ref().clone());
            let value = match (known, &list.entries) {
                (Some(known), Some(entries)) => {
                    let old = known.entries.clone().unwrap_or_default();
                    let entries = difference(&old, &before.unwrap_or_default(), entries, PartialEq::eq);
                    PrefixList { entries: Some(entries), ..known }
                }
                _ => list.clone(),
            };
            changed.put(&mut network.prefix_lists, id, value);
        }
        for (id, interface) in newest(&planned.interfaces).filter_map(|(id, one)| Some((id, one?))) {
            let before = prior.interfaces.get(id, NEWEST).map(|found| found.value.group_ids.clone());
            match network.interfaces.get(id, NEWEST).map(|found| found.value.as_ref().clone()) {
                None => changed.put(&mut network.interfaces, id, interface.clone()),
                Some(known) if interface.groups_known && before.as_ref() != Some(&interface.group_ids) => {
                    let old = before.unwrap_or_else(|| known.group_ids.clone());
                    let group_ids = difference(&known.group_ids, &old, &interface.group_ids, PartialEq::eq);
                    changed.put(&mut network.interfaces, id, NetworkInterface { group_ids, ..known });
                }
                Some(_) => changed.same = changed.same.saturating_add(1),
            }
        }
        network.move_subnets(&taken, |id| keepers.iter().any(|keeper| keeper == id));
        network.finish();
        (network, changed)
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

/// Whether two forms of a rule mean the same: one may know the rule's id, its description or the account that the other
/// leaves out.
fn same_rule(one: &SecurityGroupRule, other: &SecurityGroupRule) -> bool {
    let remote = match (&one.remote, &other.remote) {
        (Remote::Group(one), Remote::Group(other)) => one.group_id == other.group_id,
        (one, other) => one == other,
    };
    one.egress == other.egress && one.traffic == other.traffic && remote
}

/// Rules that are known keep what is known of them.
fn identified(rules: Vec<SecurityGroupRule>, known: &[SecurityGroupRule]) -> Vec<SecurityGroupRule> {
    let same = |rule: &SecurityGroupRule| known.iter().find(|known| same_rule(known, rule)).cloned();
    rules.into_iter().map(|rule| same(&rule).unwrap_or(rule)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const BASE: &str = "
        subnet subnet-1 vpc-1 10.0.1.0/24
        nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 allow all 0.0.0.0/0
        sg-1 in tcp 22 10.0.0.0/8
        sg-1 in tcp 443 0.0.0.0/0
        sg-2 in tcp 80 0.0.0.0/0";

    fn network(text: &str) -> Network {
        Fixture::new(text).network()
    }

    fn rules(network: &Network, id: &str) -> Vec<String> {
        let group = network.groups.get(id, NEWEST);
        let rules = group.iter().flat_map(|group| &group.value.rules);
        rules.map(|rule| format!("{} {}", rule.traffic, rule.remote)).collect()
    }

    #[test]
    fn objects_that_are_named_are_replaced_and_the_others_stay() {
        let (after, changed) =
            network(BASE).with_objects(&network("sg-1 in tcp 443 0.0.0.0/0\nsg-2 in tcp 80 0.0.0.0/0"));
        assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0"]);
        assert_eq!(rules(&after, "sg-2"), ["tcp 80 0.0.0.0/0"]);
        assert_eq!((changed.objects, changed.same), (vec!["sg-1".to_owned()], 1));
        assert_eq!(after.acls.len(), 1);
    }

    #[test]
    fn a_subnet_moves_to_the_list_that_names_it() {
        let (after, _) = network(BASE).with_objects(&network("nacl acl-2 vpc-1 subnet-1"));
        let acl = after.acl_of("subnet-1", None, View { at: 0, after: false });
        assert_eq!(acl.unwrap().value.id, "acl-2");
    }

    #[test]
    fn a_plan_is_a_difference() {
        // The plan knows one rule of sg-1 and turns it into another; it takes a rule of sg-2 away, whose group it lacks.
        let prior = network("sg-1 in tcp 22 10.0.0.0/8\nsg-2 in tcp 80 0.0.0.0/0");
        let planned = network("sg-1 in tcp 2222 10.0.0.0/8\nsg-3 in tcp 25 10.0.0.0/8");
        let (after, changed) = network(BASE).with_plan(&prior, &planned);
        assert_eq!(rules(&after, "sg-1"), ["tcp 443 0.0.0.0/0", "tcp 2222 10.0.0.0/8"]);
        assert_eq!(rules(&after, "sg-2"), Vec::<String>::new());
        assert_eq!(rules(&after, "sg-3"), ["tcp 25 10.0.0.0/8"]);
        assert_eq!(changed.objects, ["sg-1", "sg-3", "sg-2"]);
    }

    #[test]
    fn a_plan_changes_entries_and_moves_subnets() {
        let prior = network("nacl acl-1 vpc-1 subnet-1\nacl-1 in 100 allow all 0.0.0.0/0");
        let planned = network("nacl acl-1 vpc-1\nacl-1 in 100 deny all 0.0.0.0/0\nnacl acl-2 vpc-1 subnet-1");
        let (after, _) = network(BASE).with_plan(&prior, &planned);
        let acl = after.acls.get("acl-1", NEWEST).unwrap().value;
        assert_eq!((acl.entries.len(), acl.entries[0].action), (1, Some(RuleAction::Deny)));
        assert_eq!(after.acl_of("subnet-1", None, View { at: 0, after: false }).unwrap().value.id, "acl-2");
    }
}
