//! A Terraform plan, applied as the difference between its two sides.

mod exclusive;
mod regrouped;

use super::{Changed, NEWEST, Taken, difference, held, present, rule_words, with_groups};
use crate::network::model::*;
use crate::network::store::Network;

impl Network {
    /// This network with a plan applied: `prior` is what the plan starts from, `planned` what it ends with.
    pub fn with_plan(&self, prior: &Network, planned: &Network) -> (Network, Changed) {
        let mut network = self.clone();
        let mut changed = Changed { not_followed: planned.not_followed.clone(), ..Changed::default() };
        network.plan_groups(prior, planned, &mut changed);
        network.plan_exclusive(prior, planned, &mut changed);
        network.plan_acls(prior, planned, &mut changed);
        network.plan_lists(prior, planned, &mut changed);
        network.plan_interfaces(prior, planned, &mut changed);
        network.plan_regrouped(planned, &mut changed);
        network.names.extend(planned.names.clone());
        network.finish();
        (network, changed)
    }

    fn plan_groups(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for (id, group) in present(&planned.groups) {
            if is_adopted(group) {
                self.adopt(group, changed);
                continue;
            }
            let before = held(&prior.groups, id).map(|found| found.rules).unwrap_or_default();
            let Some(known) = held(&self.groups, id) else {
                changed.put(&mut self.groups, id, group.clone());
                continue;
            };
            let whole = group.name.is_some() || group.vpc_id.is_some();
            let rules = rules_after(&known, &before, &group.rules, whole, changed);
            changed.put(&mut self.groups, id, SecurityGroup { rules, ..known });
        }
        for (id, group) in present(&prior.groups) {
            if planned.groups.get(id, NEWEST).is_some() {
                continue;
            }
            // Rule resources without their group: the rules go and the group stays.
            if group.name.is_some() || group.vpc_id.is_some() {
                changed.remove(&mut self.groups, id);
            } else if let Some(known) = held(&self.groups, id) {
                let rules = rules_after(&known, &group.rules, &[], false, changed);
                changed.put(&mut self.groups, id, SecurityGroup { rules, ..known });
            } else {
                changed.lacking.push(id.to_owned());
            }
        }
    }

    /// Terraform takes all rules from a default group that it adopts, and adds those of the plan (documented of
    /// `aws_default_security_group`); its id is then known only after the apply.
    fn adopt(&mut self, group: &SecurityGroup, changed: &mut Changed) {
        let is_it = |known: &SecurityGroup| {
            known.vpc_id == group.vpc_id && known.name.as_deref() == Some(DEFAULT_GROUP)
        };
        let known = present(&self.groups).find(|(_, known)| group.vpc_id.is_some() && is_it(known));
        let Some(known) = known.map(|(_, known)| known.clone()) else {
            changed.lacking.push(group.id.clone());
            return;
        };
        let id = known.id.clone();
        changed.put(&mut self.groups, &id, SecurityGroup { rules: group.rules.clone(), ..known });
    }

    fn plan_acls(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        let mut claims = Vec::new();
        let claim = |subnet: &String, id: &str| (subnet.clone(), id.to_owned());
        for (id, acl) in present(&planned.acls) {
            let before = held(&prior.acls, id);
            let is_adopted = acl.is_default && before.as_ref().is_none_or(NetworkAcl::is_part);
            let before = before.unwrap_or_default();
            let Some(known) = held(&self.acls, id) else {
                if acl.is_part() {
                    changed.lacking.push(id.to_owned());
                    continue;
                }
                changed.put(&mut self.acls, id, acl.clone());
                claims.extend(acl.subnet_ids.iter().map(|subnet| claim(subnet, id)));
                continue;
            };
            // What it had before it claims no more than the plan's other lists do.
            let new = acl.subnet_ids.iter().filter(|subnet| !before.subnet_ids.contains(subnet));
            claims.extend(new.map(|subnet| claim(subnet, id)));
            let value = match is_adopted {
                true => adopted(known, acl),
                false => list_after(known, &before, acl, changed),
            };
            changed.put(&mut self.acls, id, value);
        }
        for (id, acl) in present(&prior.acls) {
            if planned.acls.get(id, NEWEST).is_some() {
                continue;
            }
            // Entries without their list: they go and the list stays.
            match held(&self.acls, id) {
                Some(known) if acl.is_part() => {
                    let value = list_after(known, acl, &NetworkAcl::default(), changed);
                    changed.put(&mut self.acls, id, value);
                }
                None if acl.is_part() => changed.lacking.push(id.to_owned()),
                _ => changed.remove(&mut self.acls, id),
            }
        }
        self.move_subnets(&claims);
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
                (Some(known), None) => PrefixList { entries: None, ..known },
                // Entries of a list that is managed elsewhere are not the whole list.
                (None, _) if is_part(list) => {
                    changed.lacking.push(id.to_owned());
                    continue;
                }
                (None, _) => list.clone(),
            };
            changed.put(&mut self.prefix_lists, id, value);
        }
        for (id, list) in present(&prior.prefix_lists) {
            if planned.prefix_lists.get(id, NEWEST).is_some() {
                continue;
            }
            match held(&self.prefix_lists, id) {
                None => changed.lacking.push(id.to_owned()),
                Some(known) if is_part(list) => {
                    let (old, gone) =
                        (known.entries.clone().unwrap_or_default(), list.entries.clone().unwrap_or_default());
                    let entries = Some(difference(&old, &gone, &[], PartialEq::eq));
                    changed.put(&mut self.prefix_lists, id, PrefixList { entries, ..known });
                }
                Some(_) => changed.remove(&mut self.prefix_lists, id),
            }
        }
    }

    fn plan_interfaces(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for (id, interface) in present(&planned.interfaces) {
            let before = held(&prior.interfaces, id);
            // Of what it starts from the plan knew the groups.
            let unknown = !interface.groups_known && before.as_ref().is_some_and(|one| one.groups_known);
            let before = before.map(|found| found.group_ids);
            match held(&self.interfaces, id) {
                None if interface.is_part() => changed.lacking.push(id.to_owned()),
                None => changed.put(&mut self.interfaces, id, interface.clone()),
                Some(known)
                    if unknown
                        || (interface.groups_known && before.as_ref() != Some(&interface.group_ids)) =>
                {
                    let old = match before {
                        Some(before) => before,
                        // A group is attached beside those that it has.
                        None if interface.is_part() => Vec::new(),
                        None => known.group_ids.clone(),
                    };
                    let ids = difference(&known.group_ids, &old, &interface.group_ids, PartialEq::eq);
                    changed.put(&mut self.interfaces, id, with_groups(known, ids, !unknown));
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
                    let ids = difference(&known.group_ids, &interface.group_ids, &[], PartialEq::eq);
                    changed.put(&mut self.interfaces, id, with_groups(known, ids, true));
                }
                None => changed.lacking.push(id.to_owned()),
            }
        }
    }
}

/// The name of a VPC's default group.
const DEFAULT_GROUP: &str = "default";

/// Whether a plan adopts this group, of which it does not know the id yet: nothing else can be called so.
fn is_adopted(group: &SecurityGroup) -> bool {
    !group.id.starts_with("sg-") && group.name.as_deref() == Some(DEFAULT_GROUP)
}

/// Whether it holds only entries that a plan adds to a list which is managed elsewhere.
fn is_part(list: &PrefixList) -> bool {
    list.name.is_none() && list.family.is_none() && list.owner_id.is_none()
}

/// A group's rules after a plan has taken away and added some. A rule is the one of its id whatever it says: captured earlier or
/// later than the plan was made, it may say something else. `whole`: the plan holds all its rules, as a refresh writes them.
fn rules_after(
    known: &SecurityGroup,
    before: &[SecurityGroupRule],
    after: &[SecurityGroupRule],
    whole: bool,
    changed: &mut Changed,
) -> Vec<SecurityGroupRule> {
    let has_id = |one: &SecurityGroupRule, other: &SecurityGroupRule| {
        one.rule_id.is_some() && one.rule_id == other.rule_id
    };
    let holds =
        |list: &[SecurityGroupRule], one: &SecurityGroupRule| list.iter().any(|other| other.means(one));
    let goes: Vec<&SecurityGroupRule> = before.iter().filter(|one| !holds(after, one)).collect();
    for one in &goes {
        if !known.rules.iter().any(|rule| has_id(rule, one) || rule.means(one)) {
            changed.missing.push(format!("{}: {}", known.id, rule_words(one)));
            let (group_id, rule) = (known.id.clone(), (*one).clone());
            changed.taken.push(Taken::Rule { group_id, rule, left: whole.then(|| after.to_vec()) });
        }
    }
    let mut rules: Vec<SecurityGroupRule> = (known.rules.iter())
        .filter(|rule| !goes.iter().any(|one| has_id(rule, one) || one.means(rule)))
        .cloned()
        .collect();
    for one in after {
        if !holds(before, one) && !holds(&rules, one) {
            rules.push(one.clone());
        }
    }
    rules
}

/// A VPC's default list that a plan adopts: Terraform takes all its entries away and makes those of the code (documented of
/// `aws_default_network_acl`).
fn adopted(known: NetworkAcl, after: &NetworkAcl) -> NetworkAcl {
    let closing = known.entries.iter().filter(|entry| entry.is_default());
    let entries = closing.chain(&after.entries).cloned().collect();
    let subnet_ids = with_more(&known.subnet_ids, &after.subnet_ids);
    NetworkAcl { entries, subnet_ids, is_default: true, ..known }
}

/// All of one list, and what only the other has.
fn with_more(known: &[String], more: &[String]) -> Vec<String> {
    difference(known, &[], more, PartialEq::eq)
}

/// A list that turns from `before` into `after` as far as a plan manages it. A number stands once in each direction, so that
/// an entry is the same whatever else of it changes.
fn list_after(
    known: NetworkAcl,
    before: &NetworkAcl,
    after: &NetworkAcl,
    changed: &mut Changed,
) -> NetworkAcl {
    fn of<'a>(list: &'a NetworkAcl, entry: &NaclEntry) -> Option<&'a NaclEntry> {
        list.entries.iter().find(|other| (other.number, other.egress) == (entry.number, entry.egress))
    }
    for entry in before.entries.iter().filter(|entry| of(after, entry).is_none()) {
        if of(&known, entry).is_none() && !entry.is_default() {
            let way = if entry.egress { "outbound" } else { "inbound" };
            changed.missing.push(format!("{}: {way} entry {}", known.id, entry.number_text()));
            changed.taken.push(Taken::Entry { acl_id: known.id.clone(), entry: entry.clone() });
        }
    }
    let untouched = known.entries.iter().filter(|entry| of(before, entry) == of(after, entry));
    let new = after.entries.iter().filter(|entry| of(before, entry) != Some(*entry));
    // A subnet leaves the default list for another only.
    let subnet_ids = match known.is_default {
        true => with_more(&known.subnet_ids, &after.subnet_ids),
        false => difference(&known.subnet_ids, &before.subnet_ids, &after.subnet_ids, PartialEq::eq),
    };
    NetworkAcl {
        entries: untouched.chain(new).cloned().collect(),
        subnet_ids,
        // Where the plan does not know its subnets any more, those of before may still be.
        more_subnets: known.more_subnets || (after.more_subnets && !before.more_subnets),
        ..known
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "plan_adopted_tests.rs"]
mod adopted_tests;

#[cfg(test)]
#[path = "plan_regrouped_tests.rs"]
mod regrouped_tests;

#[cfg(test)]
#[path = "plan_references_tests.rs"]
mod references_tests;
