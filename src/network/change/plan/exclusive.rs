//! Groups of which a plan leaves no other rules than it lists.

use super::super::{Changed, held};
use crate::network::model::*;
use crate::network::store::Network;

impl Network {
    /// Takes away what is not listed; `prior` and `planned` know ids of rules that this network may not.
    pub(super) fn plan_exclusive(&mut self, prior: &Network, planned: &Network, changed: &mut Changed) {
        for only in &planned.exclusive {
            let id = only.group_id.as_str();
            let Some(known) = held(&self.groups, id) else {
                changed.lacking.push(id.to_owned());
                continue;
            };
            let rules_of = |network: &Network| held(&network.groups, id).map(|group| group.rules);
            let (before, after) =
                (rules_of(prior).unwrap_or_default(), rules_of(planned).unwrap_or_default());
            let rules = known.rules.iter().filter_map(|rule| left(rule, only, &before, &after)).collect();
            changed.put(&mut self.groups, id, SecurityGroup { rules, ..known });
        }
    }
}

/// What is left of a rule: itself, nothing, or one of which it cannot be told whether it stays.
fn left(
    rule: &SecurityGroupRule,
    only: &ExclusiveRules,
    before: &[SecurityGroupRule],
    after: &[SecurityGroupRule],
) -> Option<SecurityGroupRule> {
    let same = |list: &[SecurityGroupRule]| list.iter().find(|other| other.means(rule)).cloned();
    // What the plan makes is listed by an id that is not known yet.
    let is_new = rule.rule_id.is_none() && same(before).is_none() && same(after).is_some();
    if rule.egress != only.egress || is_new {
        return Some(rule.clone());
    }
    let named = |list: &[SecurityGroupRule]| {
        list.iter().filter(|other| other.means(rule)).find_map(|other| other.rule_id.clone())
    };
    let id = rule.rule_id.clone().or_else(|| named(after)).or_else(|| named(before));
    match (id, &only.rule_ids) {
        (Some(id), Some(stay)) => stay.contains(&id).then(|| rule.clone()),
        _ => Some(SecurityGroupRule {
            remote: Remote::Unreadable("known after apply whether it stays".to_owned()),
            ..rule.clone()
        }),
    }
}
